//! `serve` as its users meet it: the process, its port, its signals.
#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[path = "../../../realizar-http/tests/http/bad_bodies.rs"]
mod bad_bodies;
#[path = "../../../realizar-http/tests/http/bad_protocol.rs"]
mod bad_protocol;
#[cfg(target_os = "linux")]
mod limits;
#[path = "../../../realizar-http/tests/http/wire.rs"]
mod wire;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

/// A server of the built-in model; ended when the test is over.
struct Serving {
    child: Child,
    stderr: BufReader<std::process::ChildStderr>,
    address: String,
}

impl Drop for Serving {
    fn drop(&mut self) {
        // The second signal does not wait for answers.
        for _ in 0..2 {
            if matches!(self.child.try_wait(), Ok(None)) {
                self.terminate();
            }
        }
        let start = Instant::now();
        while start.elapsed() < Duration::from_secs(10)
            && self.child.try_wait().is_ok_and(|end| end.is_none())
        {
            std::thread::sleep(Duration::from_millis(10));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn command(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_realizar-cli"));
    command.arg("serve").args(args).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn serve(args: &[&str]) -> Serving {
    listening(command(&[&["--listen", "127.0.0.1:0", "--threads", "1"], args].concat()))
}

/// Starts a server and waits until it says where it listens.
fn listening(mut command: Command) -> Serving {
    let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
    let mut stderr = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    stderr.read_line(&mut line).unwrap();
    let address =
        line.trim().strip_prefix("listening on http://").unwrap_or_else(|| panic!("{line}")).to_owned();
    Serving { child, stderr, address }
}

impl Serving {
    fn send(&self, request: &str) -> TcpStream {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        stream
    }

    fn ask(&self, request: &str) -> String {
        let mut text = String::new();
        self.send(request).read_to_string(&mut text).unwrap();
        text
    }

    fn terminate(&self) {
        self.signal("-TERM");
    }

    fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args([name, &id]).status().unwrap().success());
    }

    fn ends_within(&mut self, time: Duration) -> i32 {
        let start = Instant::now();
        while start.elapsed() < time {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code().unwrap();
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        panic!("still there after {time:?}");
    }
}

fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")
}

fn post(path: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "POST {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}"
    )
}

#[test]
fn the_demo_model_is_served_and_logged_without_a_word_of_the_prompt() {
    let mut server = serve(&["--name", "storyteller", "--alias", "other"]);
    assert!(server.ask(&get("/readyz")).starts_with("HTTP/1.1 200"));
    let models = server.ask(&get("/v1/models"));
    assert!(models.contains(r#""id":"storyteller""#) && models.contains(r#""id":"other""#), "{models}");
    let body = r#"{"prompt":"canary canary","max_tokens":3,"temperature":0,"model":"other"}"#;
    let answer = server.ask(&post("/v1/completions", body));
    assert!(answer.contains(r#""completion_tokens":3"#), "{answer}");
    server.terminate();
    assert_eq!(server.ends_within(Duration::from_secs(10)), 0);
    let mut log = String::new();
    server.stderr.read_to_string(&mut log).unwrap();
    let lines: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let routes: Vec<&str> = lines.iter().map(|line| line["route"].as_str().unwrap()).collect();
    assert_eq!(routes, ["/readyz", "/v1/models", "/v1/completions"], "{log}");
    assert_eq!(lines[2]["completion_tokens"], 3, "{log}");
    assert!(!log.contains("canary"), "{log}");
}

#[test]
fn row_186_sigterm_lets_answers_finish() {
    let mut server = serve(&[]);
    let body = r#"{"prompt":"Once","stream":true,"ignore_eos":true,"logprobs":5,"max_tokens":200}"#;
    let mut running: Vec<TcpStream> = Vec::new();
    for _ in 0..16 {
        let mut stream = server.send(&post("/v1/completions", body));
        stream.read_exact(&mut [0; 64]).unwrap();
        running.push(stream);
    }
    server.terminate();
    assert_eq!(server.ends_within(Duration::from_secs(60)), 0);
    for mut stream in running {
        let mut rest = String::new();
        stream.read_to_string(&mut rest).unwrap();
        assert!(rest.contains("data: [DONE]"), "what runs is finished: {rest}");
    }
}

#[test]
fn row_186_nothing_new_is_taken_and_a_second_sigterm_does_not_wait() {
    let time = (0..5).map(|_| second_sigterm()).min().unwrap();
    assert!(time <= Duration::from_secs(1), "the best of five took {time:?}");
}

#[test]
fn row_186_an_interrupt_ends_it_and_other_signals_do_not() {
    let mut server = serve(&[]);
    // Without a file of keys there is nothing to read again.
    for name in ["-HUP", "-PIPE"] {
        server.signal(name);
        assert!(server.ask(&get("/livez")).starts_with("HTTP/1.1 200"), "after {name}");
    }
    server.signal("-INT");
    assert_eq!(server.ends_within(Duration::from_secs(10)), 130);
}

/// The time from the second signal to the end, beside answers that do not end.
fn second_sigterm() -> Duration {
    // Who does not read keeps its answer for 30 s; what the system holds for it is far less than one.
    let mut server = serve(&["--limit", "send-buffer=4096", "--parallel", "8"]);
    let body = r#"{"prompt":"Once","stream":true,"ignore_eos":true,"logprobs":5,"max_tokens":100000,"n":4}"#;
    let unread: Vec<TcpStream> = (0..2).map(|_| server.send(&post("/v1/completions", body))).collect();
    let mut kept = TcpStream::connect(&server.address).unwrap();
    kept.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let running = |kept: &mut TcpStream| {
        kept.write_all(b"GET /metrics HTTP/1.1\r\nhost: localhost\r\n\r\n").unwrap();
        wire::read_reply(kept).body
    };
    // Two, and the question itself.
    while !running(&mut kept).contains("\nrealizar_requests_active 3\n") {
        std::thread::sleep(Duration::from_millis(5));
    }
    server.terminate();
    // From the moment on which the signal is heard.
    let mut drains = || {
        kept.write_all(b"GET /readyz HTTP/1.1\r\nhost: localhost\r\n\r\n").unwrap();
        wire::read_reply(&mut kept).status == 503
    };
    while !drains() {
        std::thread::sleep(Duration::from_millis(5));
    }
    let refused = server.reply(post("/v1/completions", r#"{"prompt":"a"}"#).as_bytes());
    assert_eq!((refused.status, refused.code().as_str()), (503, "draining"), "{refused:?}");
    assert_eq!(refused.json()["error"]["type"], "unavailable_error");
    assert_eq!(refused.header("retry-after"), Some("5"));
    assert!(server.child.try_wait().unwrap().is_none(), "it waits for its answers");
    let began = Instant::now();
    server.terminate();
    assert_eq!(server.ends_within(Duration::from_secs(20)), 0);
    drop(unread);
    began.elapsed()
}

#[test]
fn what_cannot_be_served_is_told_in_one_line() {
    let folder = tempfile::tempdir().unwrap();
    let keys = folder.path().join("keys");
    std::fs::write(&keys, "0123456789abcdef\n").unwrap();
    let open = keys.to_str().unwrap().to_owned();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap().to_string();
    let cases: &[(&[&str], i32, &str)] = &[
        (&["--listen", "0.0.0.0:0"], 2, "others than this machine could call without a key"),
        (&["--listen", "nowhere"], 2, "--listen"),
        (&["--listen", &taken], 1, "cannot listen on"),
        (&["--api-key-file", &open], 1, "only its owner may read it"),
        (&["--api-key-file", "/no/such/file"], 1, "cannot read the key file"),
        (&["--listen", "127.0.0.1:0", "no-such-model.gguf"], 1, "no-such-model.gguf"),
        (
            &["a.gguf", "b.gguf"],
            2,
            "a server has one model: run another one, with a --listen of its own, for `b.gguf`",
        ),
        (&["--parallel", "0"], 2, "at least 1"),
        (&["--limit", "beards=3"], 2, "no limit is called `beards`"),
        (&["--limit", "headers=0"], 2, "it must be a number above 0"),
        (&["--limit", "headers"], 2, "NAME=VALUE"),
    ];
    std::fs::set_permissions(&keys, std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
    for (args, code, words) in cases {
        let output = command(args).output().unwrap();
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(*code), "{args:?}: {text}");
        assert!(
            text.starts_with("error: ") && text.lines().count() == 1 && text.contains(words),
            "{args:?}: {text}"
        );
        assert!(output.stdout.is_empty(), "{args:?}");
    }
}

#[test]
fn keys_are_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let keys = folder.path().join("keys");
    std::fs::write(&keys, "0123456789abcdef\n").unwrap();
    std::fs::set_permissions(&keys, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let server = serve(&["--api-key-file", keys.to_str().unwrap(), "--no-http2"]);
    assert!(server.ask(&get("/v1/models")).starts_with("HTTP/1.1 401"));
    let with = get("/v1/models").replace("host:", "x-api-key: 0123456789abcdef\r\nhost:");
    assert!(server.ask(&with).starts_with("HTTP/1.1 200"));
}

/// Limits that are short enough to wait for.
const QUICK: &[&str] = &[
    "--quiet",
    "--ctx",
    "256",
    "--parallel",
    "4",
    "--limit",
    "body-bytes=1048576",
    "--limit",
    "body-gap=0.4",
    "--limit",
    "header-time=1",
];

/// A server that says nothing, at a port that is free.
fn serve_quietly(args: &[&str]) -> Serving {
    serve_quietly_with(args, &[])
}

/// The same with variables of the environment.
fn serve_quietly_with(args: &[&str], variables: &[(&str, &str)]) -> Serving {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let address = format!("127.0.0.1:{port}");
    let mut command = command(&[&["--listen", &address, "--threads", "1"], args].concat());
    let mut child = command.envs(variables.iter().copied()).spawn().unwrap();
    let stderr = BufReader::new(child.stderr.take().unwrap());
    let start = Instant::now();
    while TcpStream::connect(&address).is_err() {
        assert!(start.elapsed() < Duration::from_secs(30), "it never listens");
        std::thread::sleep(Duration::from_millis(20));
    }
    Serving { child, stderr, address }
}

impl Serving {
    fn reply(&self, bytes: &[u8]) -> wire::Reply {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        // A server that refuses early may close before everything is written.
        let _ = stream.write_all(bytes);
        wire::read_reply(&mut stream)
    }
}

#[test]
fn rows_113_to_119_bad_protocol_on_the_program_itself() {
    let server = serve_quietly(QUICK);
    bad_protocol::check("the program", |bytes| server.reply(bytes));
    // The form of a request whose body is welcome is the same.
    let head = bad_protocol::HEAD;
    let body = r#"{"text":"x"}"#;
    let request = format!(
        "POST /tokenize HTTP/1.1\r\n{head}connection: close\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    assert_eq!(server.reply(request.as_bytes()).status, 200);
}

#[test]
fn rows_133_to_149_bad_bodies_on_the_program_itself() {
    let server = serve_quietly(QUICK);
    bad_bodies::check("the program", |path, body| server.reply(wire::post(path, body).as_bytes()));
    let answer =
        server.reply(wire::post(bad_bodies::COMPLETIONS, r#"{"prompt":"a","max_tokens":1}"#).as_bytes());
    let chat = r#"{"messages":[{"role":"user","content":"a"}],"max_tokens":1}"#;
    let chat = server.reply(wire::post(bad_bodies::CHAT, chat).as_bytes());
    assert_eq!((answer.status, chat.status), (200, 200), "{chat:?}");
    assert_eq!(answer.header("content-type"), Some("application/json"));
}

#[test]
fn the_operator_chooses_a_template() {
    let server = serve(&["--template", "chatml"]);
    let asked = server.ask(&post("/apply-template", r#"{"messages":[{"role":"user","content":"hi"}]}"#));
    assert!(asked.contains("<|im_start|>user\\nhi<|im_end|>"), "{asked}");
    let unknown = command(&["--listen", "127.0.0.1:0", "--template", "none such"]).output().unwrap();
    let text = String::from_utf8_lossy(&unknown.stderr).into_owned();
    assert!(unknown.status.code() == Some(1) && text.contains("none such"), "{text}");
}

#[test]
fn keys_of_the_environment_and_keys_that_change() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("keys");
    let write = |text: &str| {
        std::fs::write(&file, text).unwrap();
        std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    };
    write("0123456789abcdef\n");
    let args = ["--listen", "127.0.0.1:0", "--threads", "1", "--api-key-file", file.to_str().unwrap()];
    let mut with_key = command(&args);
    with_key.env("REALIZAR_API_KEY", "key of the environment");
    let mut server = listening(with_key);
    let passes = |server: &Serving, key: &str| {
        let request = get("/v1/models").replace("host:", &format!("authorization: Bearer {key}\r\nhost:"));
        server.ask(&request).starts_with("HTTP/1.1 200")
    };
    let told = |server: &mut Serving, words: &str| {
        server.signal("-HUP");
        let mut line = String::new();
        while !line.contains(words) {
            line.clear();
            assert!(server.stderr.read_line(&mut line).unwrap() > 0, "it never says `{words}`");
        }
    };
    assert!(passes(&server, "0123456789abcdef") && passes(&server, "key of the environment"));
    write("a key of tomorrow\n");
    told(&mut server, "keys were read again");
    assert!(!passes(&server, "0123456789abcdef"));
    assert!(passes(&server, "a key of tomorrow") && passes(&server, "key of the environment"));
    write("short\n");
    told(&mut server, "the keys stay as they were");
    assert!(passes(&server, "a key of tomorrow"));
    let short = command(&["--listen", "127.0.0.1:0"]).env("REALIZAR_API_KEY", "short").output().unwrap();
    let text = String::from_utf8_lossy(&short.stderr).into_owned();
    assert_eq!(
        (short.status.code(), text.as_str()),
        (Some(1), "error: REALIZAR_API_KEY holds a key of 5 bytes, at least 16 are needed\n")
    );
    // A key that cannot be read is not no key.
    let bytes: &std::ffi::OsStr = std::os::unix::ffi::OsStrExt::from_bytes(b"\xff\xfe0123456789abcdef");
    let other = command(&["--listen", "127.0.0.1:0"]).env("REALIZAR_API_KEY", bytes).output().unwrap();
    let text = String::from_utf8_lossy(&other.stderr).into_owned();
    assert!(other.status.code() == Some(2) && text.contains("REALIZAR_API_KEY is not UTF-8"), "{text}");
}
