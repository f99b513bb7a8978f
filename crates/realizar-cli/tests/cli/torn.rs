//! A model file that another program shortens while it is in use: the command ends with an error, a server goes on and
//! says so, and nothing is ended by a signal.
#![cfg(target_os = "linux")]

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use crate::harness::{binary, data};

/// A copy of a model that is read through its mapping.
fn copy(folder: &Path) -> PathBuf {
    let path = folder.join("model.gguf");
    fs::copy(data("llama-gqa.gguf"), &path).expect("copied");
    path
}

fn shorten(path: &Path) {
    File::options().write(true).open(path).and_then(|file| file.set_len(4096)).expect("shortened");
}

/// Waits until the process has mapped the file, and a while longer, in which it loads it.
fn wait_for_mapping(id: u32, path: &Path) {
    let path = path.to_str().expect("UTF-8");
    let start = Instant::now();
    while !fs::read_to_string(format!("/proc/{id}/maps")).expect("maps").contains(path) {
        assert!(start.elapsed() < Duration::from_secs(20), "the model is never mapped");
        std::thread::sleep(Duration::from_millis(5));
    }
    std::thread::sleep(Duration::from_millis(500));
}

#[test]
fn run_ends_with_an_error() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = copy(folder.path());
    let mut child = binary()
        .args(["run", path.to_str().expect("UTF-8"), "-n", "8", "--threads", "1"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("starts");
    // It has the model and waits for the prompt.
    wait_for_mapping(child.id(), &path);
    shorten(&path);
    child.stdin.take().expect("piped").write_all(b"hello world").expect("a prompt");
    let output = child.wait_with_output().expect("ends");
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(
        told.lines()
            .last()
            .is_some_and(|line| line.starts_with("error: ") && line.contains("changed while it was in use")),
        "{told}"
    );
}

#[test]
fn a_server_goes_on_and_says_so() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = copy(folder.path());
    let mut child = binary()
        .args(["serve", path.to_str().expect("UTF-8"), "--listen", "127.0.0.1:0", "--threads", "1"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("starts");
    let mut stderr = BufReader::new(child.stderr.take().expect("piped"));
    let mut line = String::new();
    while !line.contains("listening on http://") {
        line.clear();
        assert!(stderr.read_line(&mut line).expect("text") > 0, "it never listens");
    }
    let address = line.trim().rsplit("http://").next().expect("an address").to_owned();
    let ask = |method: &str, target: &str, body: &str| {
        let mut stream = TcpStream::connect(&address).expect("it listens");
        stream.set_read_timeout(Some(Duration::from_secs(30))).expect("a limit");
        let length = body.len();
        let request = format!(
            "{method} {target} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}"
        );
        stream.write_all(request.as_bytes()).expect("sent");
        let mut text = String::new();
        stream.read_to_string(&mut text).expect("an answer");
        text
    };
    let body = r#"{"prompt":"hello","max_tokens":3,"temperature":0,"ignore_eos":true}"#;
    let whole = ask("POST", "/v1/completions", body);
    assert!(whole.starts_with("HTTP/1.1 200"), "{whole}");
    shorten(&path);
    let torn = ask("POST", "/v1/completions", body);
    let (ready, live) = (ask("GET", "/readyz", ""), ask("GET", "/livez", ""));
    let alive = child.try_wait().expect("a process");
    child.kill().expect("killed");
    child.wait().expect("ended");
    assert!(torn.starts_with("HTTP/1.1 500") && torn.contains("model_changed"), "{torn}");
    assert!(ready.starts_with("HTTP/1.1 503"), "{ready}");
    assert!(live.starts_with("HTTP/1.1 200"), "{live}");
    assert!(alive.is_none(), "{alive:?}");
}
