//! Bodies that are refused, by the list and one by one.

use serde_json::Value;

use crate::bad_bodies::{self, CHAT, COMPLETIONS, HI};
use crate::client::each;

#[test]
fn rows_133_to_149_bad_bodies_are_refused_by_field() {
    each(|kind, server| {
        bad_bodies::check(&format!("{kind:?}"), |path, body| server.post(path, body));
        assert_eq!(server.live(), 0, "{kind:?}");
    });
}

#[test]
fn row_139_a_prompt_over_the_context_names_both_numbers() {
    each(|kind, server| {
        let reply = server.post(COMPLETIONS, &format!(r#"{{"prompt":"{}"}}"#, "a".repeat(400)));
        let error = reply.json()["error"].clone();
        assert_eq!(error["message"], "the prompt has 401 tokens, the context holds 256", "{kind:?}");
        assert_eq!(
            (&error["n_prompt_tokens"], &error["n_ctx"]),
            (&Value::from(401), &Value::from(256)),
            "{kind:?}"
        );
        let ids = vec!["1"; 100_000].join(",");
        let reply = server.post(COMPLETIONS, &format!(r#"{{"prompt":[{ids}]}}"#));
        assert_eq!(reply.code(), "context_length_exceeded", "{kind:?}");
    });
}

#[test]
fn row_132_plain_curl_may_leave_the_type_out() {
    each(|kind, server| {
        for fields in [
            "content-type: application/x-www-form-urlencoded\r\n",
            "",
            "content-type: Application/JSON; charset=utf-8\r\n",
        ] {
            let bytes = format!(
                "POST /tokenize HTTP/1.1\r\nhost: localhost\r\n{fields}content-length: 12\r\nconnection: close\r\n\r\n{{\"text\":\"x\"}}"
            );
            assert_eq!(server.raw(bytes.as_bytes()).status, 200, "{fields} over {kind:?}");
        }
    });
}

#[test]
fn null_is_absent_and_whole_floats_are_integers() {
    each(|kind, server| {
        let nulls = r#""model":null,"temperature":null,"n":null,"stop":null,"seed":null,"stream":null,"logit_bias":null,"tools":null"#;
        for body in [
            format!("{{{HI},{nulls}}}"),
            format!(
                r#"{{{HI},"max_tokens":4.0,"n":1.0,"seed":-0,"logit_bias":{{"1":-100}},"top_k":-1,"repeat_last_n":-1}}"#
            ),
            format!(
                r#"{{{HI},"messages2":7,"temperature":0,"top_p":0,"stop":["x","y"],"max_completion_tokens":3}}"#
            ),
        ] {
            let reply = server.post(CHAT, &body);
            assert_eq!(reply.status, 200, "{body} over {kind:?}: {reply:?}");
        }
        // A large body is parsed elsewhere, with the same result.
        let large = format!(r#"{{"text":"{}"}}"#, "a".repeat(500_000));
        assert_eq!(server.post("/tokenize", &large).json()["num_tokens"], 500_001, "{kind:?}");
        let broken = format!(r#"{{"text":"{}""#, "a".repeat(500_000));
        assert_eq!(server.post("/tokenize", &broken).code(), "invalid_json", "{kind:?}");
    });
}

#[test]
fn row_152_what_is_no_text_is_refused_by_its_path_and_nothing_is_fetched() {
    let trap = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    trap.set_nonblocking(true).unwrap();
    let url = format!("http://{}/x.png", trap.local_addr().unwrap());
    each(|kind, server| {
        for part in [
            format!(r#"{{"type":"image_url","image_url":{{"url":"{url}"}}}}"#),
            r#"{"type":"image_url","image_url":{"url":"data:image/png;base64,iVBORw0KGgo="}}"#.to_owned(),
            r#"{"type":"input_audio","input_audio":{"data":"AAAA","format":"wav"}}"#.to_owned(),
            r#"{"type":"file","file":{"file_id":"/etc/passwd"}}"#.to_owned(),
        ] {
            let body = format!(
                r#"{{"messages":[{{"role":"user","content":[{{"type":"text","text":"a"}},{part}]}}]}}"#
            );
            let reply = server.post(CHAT, &body);
            assert_eq!((reply.status, reply.code().as_str()), (400, "unsupported"), "{part} over {kind:?}");
            assert_eq!(reply.json()["error"]["param"], "messages[0].content[1]", "{part} over {kind:?}");
        }
    });
    assert!(trap.accept().is_err(), "something was fetched");
}
