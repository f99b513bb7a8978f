//! Responses as bytes: read until they are complete, and taken apart. Nothing here knows what runs at the other end, so the
//! built program is tested with it too.

use std::io::{ErrorKind, Read};
use std::net::TcpStream;

use serde_json::Value;

/// A response, or what there was of one.
#[derive(Debug, Clone, Default)]
pub(crate) struct Reply {
    /// 0 when the connection was closed without any.
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
    /// Whether the server closed the connection.
    pub(crate) closed: bool,
    /// What came after the response.
    pub(crate) rest: Vec<u8>,
}

impl Reply {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The stable code of an error object of either shape.
    pub(crate) fn code(&self) -> String {
        let body = self.json();
        let error = if body["error"].is_object() { &body["error"] } else { &body };
        error["code"].as_str().unwrap_or_default().to_owned()
    }
}

pub(crate) fn post(path: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\
         connection: close\r\n\r\n{body}"
    )
}

/// Reads until a response is complete or the connection ends.
pub(crate) fn read_reply(stream: &mut TcpStream) -> Reply {
    let mut bytes = Vec::new();
    let mut buffer = [0; 16 << 10];
    let mut reply = Reply::default();
    loop {
        if let Some(done) = complete(&bytes, reply.closed) {
            reply = Reply { closed: reply.closed, ..done };
            if reply.closed || !close_follows(&reply) {
                return reply;
            }
        }
        if reply.closed {
            return reply;
        }
        match stream.read(&mut buffer) {
            Ok(0) => reply.closed = true,
            Ok(count) => bytes.extend_from_slice(&buffer[..count]),
            Err(error) if error.kind() == ErrorKind::ConnectionReset => reply.closed = true,
            // The process was stopped and goes on.
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => {
                let begin = String::from_utf8_lossy(&bytes[..bytes.len().min(500)]).into_owned();
                panic!("no answer in time: {error}, so far {} bytes: {begin:?}", bytes.len());
            }
        }
    }
}

fn close_follows(reply: &Reply) -> bool {
    reply.header("connection").is_some_and(|value| value.eq_ignore_ascii_case("close"))
}

fn complete(bytes: &[u8], closed: bool) -> Option<Reply> {
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
    let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
    let status = head.split(' ').nth(1)?.parse().ok()?;
    let mut reply = Reply { status, head, ..Reply::default() };
    let rest = &bytes[end..];
    if status == 100 {
        return complete(rest, closed);
    }
    let (body, used) = if let Some(length) = reply.header("content-length") {
        let length: usize = length.parse().unwrap();
        (rest.get(..length)?.to_vec(), length)
    } else if reply.header("transfer-encoding").is_some() {
        chunks(rest)?
    } else if closed || status == 204 {
        (rest.to_vec(), rest.len())
    } else {
        return None;
    };
    reply.body = String::from_utf8(body).unwrap();
    reply.rest = rest[used..].to_vec();
    Some(reply)
}

fn chunks(bytes: &[u8]) -> Option<(Vec<u8>, usize)> {
    let (mut at, mut body) = (0, Vec::new());
    loop {
        let line = at + bytes[at..].windows(2).position(|window| window == b"\r\n")?;
        let size = usize::from_str_radix(std::str::from_utf8(&bytes[at..line]).ok()?, 16).ok()?;
        body.extend_from_slice(bytes.get(line + 2..line + 2 + size)?);
        at = line + 2 + size + 2;
        bytes.get(..at)?;
        if size == 0 {
            return Some((body, at));
        }
    }
}
