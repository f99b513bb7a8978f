//! Which names and which web pages may reach this server: the two ways in which a browser attacks a local port.

use std::net::IpAddr;

use http::header::{HOST, ORIGIN};
use http::uri::Authority;
use http::{HeaderMap, Method, Uri, Version};

use crate::refusal::{Refusal, cut};

/// Names and pages beyond the address that the server listens on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Access {
    /// The address that the server listens on. Its literal and `localhost` are always names of it.
    pub listen: Option<IpAddr>,
    /// Further host names, without port.
    pub hosts: Vec<String>,
    /// Origins (`https://app.example`) whose pages may call.
    pub origins: Vec<String>,
}

/// A request's origin, when it is one of those that were let in.
pub(crate) type AllowedOrigin = Option<String>;

impl Access {
    /// The name under which the request reached us must be ours: a foreign one that resolves to us is DNS rebinding.
    pub(crate) fn host(
        &self,
        uri: &Uri,
        version: Version,
        headers: &HeaderMap,
    ) -> Result<Authority, Refusal> {
        let mut fields = headers.get_all(HOST).iter();
        let (first, second) = (fields.next(), fields.next());
        if second.is_some() {
            return Err(Refusal::Protocol { what: "there is more than one Host field" });
        }
        let authority = match (first, uri.authority()) {
            (Some(field), _) => {
                let text = field.to_str().ok().filter(|text| !text.contains('@'));
                text.and_then(|text| text.parse::<Authority>().ok())
            }
            // HTTP/2 sends the name as part of the target.
            (None, Some(authority)) if version >= Version::HTTP_2 => Some(authority.clone()),
            // HTTP/1.0 has no such field, and no browser speaks it any more.
            (None, _) if version == Version::HTTP_10 => Some(Authority::from_static("localhost")),
            (None, _) => return Err(Refusal::Protocol { what: "the Host field is missing" }),
        };
        let told = uri.authority().filter(|_| version >= Version::HTTP_2);
        if let (Some(one), Some(other)) = (&authority, told)
            && !one.as_str().eq_ignore_ascii_case(other.as_str())
        {
            return Err(Refusal::Protocol { what: "the Host field is another name than the target's" });
        }
        let Some(authority) = authority else {
            return Err(Refusal::Protocol { what: "the Host field is not a host" });
        };
        if self.is_ours(authority.host()) {
            Ok(authority)
        } else {
            Err(Refusal::Host { got: cut(authority.host(), 64) })
        }
    }

    fn is_ours(&self, host: &str) -> bool {
        let host = host.trim_end_matches('.');
        if host.eq_ignore_ascii_case("localhost")
            || self.hosts.iter().any(|name| name.eq_ignore_ascii_case(host))
        {
            return true;
        }
        let literal = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
        match (literal, self.listen) {
            (Ok(literal), Some(listen)) if listen.is_loopback() => literal.is_loopback(),
            // An address that a browser was told as a number cannot have been rebound.
            (Ok(_), None) => true,
            (Ok(literal), Some(listen)) => {
                listen.is_unspecified() || literal == listen || literal.is_loopback()
            }
            (Err(_), _) => false,
        }
    }

    /// The page that makes the browser send this must be one of ours, or one that was let in.
    pub(crate) fn origin(&self, host: &Authority, headers: &HeaderMap) -> Result<AllowedOrigin, Refusal> {
        let mut origins = headers.get_all(ORIGIN).iter();
        let origin = match (origins.next(), origins.next()) {
            (None, _) => None,
            (Some(origin), None) => Some(String::from_utf8_lossy(origin.as_bytes()).into_owned()),
            (Some(_), Some(_)) => return Err(Refusal::Origin { got: "several".to_owned() }),
        };
        if let Some(origin) = origin {
            if origin != "null" && self.origins.contains(&origin) {
                return Ok(Some(origin));
            }
            let own =
                origin.split_once("://").is_some_and(|(_, rest)| rest.eq_ignore_ascii_case(host.as_str()));
            return if own { Ok(None) } else { Err(Refusal::Origin { got: cut(&origin, 64) }) };
        }
        let site = headers.get("sec-fetch-site").map(|site| site.as_bytes());
        match site {
            None | Some(b"same-origin" | b"none") => Ok(None),
            Some(_) => Err(Refusal::Origin { got: "another site".to_owned() }),
        }
    }

    /// Whether this asks if a page of another origin may call.
    pub(crate) fn is_preflight(method: &Method, headers: &HeaderMap) -> bool {
        method == Method::OPTIONS && headers.contains_key("access-control-request-method")
    }
}

#[cfg(test)]
mod tests {
    use super::Access;
    use http::{HeaderMap, Uri, Version};

    fn access(listen: &str) -> Access {
        Access {
            listen: Some(listen.parse().unwrap()),
            hosts: vec!["model.example".to_owned()],
            origins: vec!["https://app.example".to_owned(), "null".to_owned()],
        }
    }

    /// Listening address, Host field, status (200 passes).
    const HOSTS: &[(&str, &str, u16)] = &[
        ("127.0.0.1", "localhost", 200),
        ("127.0.0.1", "LOCALHOST:8080", 200),
        ("127.0.0.1", "localhost.:8080", 200),
        ("127.0.0.1", "127.0.0.1:8080", 200),
        ("127.0.0.1", "127.0.0.2", 200),
        ("127.0.0.1", "[::1]:8080", 200),
        ("127.0.0.1", "model.example", 200),
        ("127.0.0.1", "Model.Example:80", 200),
        ("127.0.0.1", "evil.example", 403),
        ("127.0.0.1", "localhost.evil.example", 403),
        ("127.0.0.1", "127.0.0.1.evil.example", 403),
        ("127.0.0.1", "10.0.0.1", 403),
        ("127.0.0.1", "0.0.0.0", 403),
        ("127.0.0.1", "", 400),
        ("127.0.0.1", "a b", 400),
        ("127.0.0.1", "user@localhost", 400),
        ("0.0.0.0", "10.0.0.1:8080", 200),
        ("0.0.0.0", "evil.example", 403),
        ("10.0.0.1", "10.0.0.1", 200),
        ("10.0.0.1", "127.0.0.1", 200),
        ("10.0.0.1", "10.0.0.2", 403),
    ];

    #[test]
    fn row_176_a_foreign_host_is_refused() {
        for (listen, host, status) in HOSTS {
            let mut headers = HeaderMap::new();
            headers.insert("host", host.parse().unwrap());
            let result = access(listen).host(&Uri::from_static("/"), Version::HTTP_11, &headers);
            let got = result.map_or_else(|refusal| refusal.status().as_u16(), |_| 200);
            assert_eq!(got, *status, "`{host}` at {listen}");
        }
        let uri = Uri::from_static("http://localhost/");
        assert!(access("::1").host(&uri, Version::HTTP_2, &HeaderMap::new()).is_ok());
        let missing = access("::1").host(&uri, Version::HTTP_11, &HeaderMap::new()).unwrap_err();
        assert_eq!(missing.status(), 400);
        assert!(access("::1").host(&uri, Version::HTTP_10, &HeaderMap::new()).is_ok());
        let mut twice = HeaderMap::new();
        twice.append("host", "localhost".parse().unwrap());
        twice.append("host", "localhost".parse().unwrap());
        assert_eq!(access("::1").host(&uri, Version::HTTP_11, &twice).unwrap_err().status(), 400);
        let anywhere = Access::default();
        let mut headers = HeaderMap::new();
        headers.insert("host", "8.8.8.8".parse().unwrap());
        assert!(anywhere.host(&uri, Version::HTTP_11, &headers).is_ok());
    }

    /// Fields, whether the request passes, the origin that may read the answer.
    type Case = (&'static [(&'static str, &'static str)], bool, Option<&'static str>);

    const ORIGINS: &[Case] = &[
        (&[], true, None),
        (&[("origin", "http://localhost:8080")], true, None),
        (&[("origin", "http://LOCALHOST:8080")], true, None),
        (&[("origin", "http://localhost:8081")], false, None),
        (&[("origin", "http://localhost")], false, None),
        (&[("origin", "https://evil.example")], false, None),
        (&[("origin", "https://app.example")], true, Some("https://app.example")),
        (&[("origin", "https://app.example.evil")], false, None),
        (&[("origin", "null")], false, None),
        (&[("origin", "https://app.example"), ("origin", "https://app.example")], false, None),
        (&[("sec-fetch-site", "same-origin")], true, None),
        (&[("sec-fetch-site", "none")], true, None),
        (&[("sec-fetch-site", "cross-site")], false, None),
        (&[("sec-fetch-site", "same-site")], false, None),
        (
            &[("sec-fetch-site", "cross-site"), ("origin", "https://app.example")],
            true,
            Some("https://app.example"),
        ),
    ];

    #[test]
    fn row_177_pages_of_others_are_refused() {
        let host = "localhost:8080".parse().unwrap();
        for (fields, passes, origin) in ORIGINS {
            let mut headers = HeaderMap::new();
            for (name, value) in *fields {
                headers.append(*name, value.parse().unwrap());
            }
            let result = access("127.0.0.1").origin(&host, &headers);
            assert_eq!(result.is_ok(), *passes, "{fields:?}");
            assert_eq!(result.ok().flatten().as_deref(), *origin, "{fields:?}");
        }
    }
}
