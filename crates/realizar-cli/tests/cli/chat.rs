//! `chat`: messages in, answers out.

use std::io::{Read, Write};
use std::process::Stdio;

use crate::harness::{binary, data, run, run_with_stdin};

#[test]
fn a_conversation() {
    let args = ["chat", "-n", "8", "--temp", "0"];
    let alone = run_with_stdin(&args, b"Once upon a time\n").ok("one message");
    assert!(alone.text().starts_with(','), "{}", alone.text());
    assert_eq!(alone.text().lines().count(), 1);
    // The second message is answered with the first in view, and after `/clear` without it.
    let cleared = run_with_stdin(&args, b"Once upon a time\n\n/clear\nOnce upon a time\n/exit\nnever read\n")
        .ok("cleared");
    assert_eq!(cleared.text(), format!("{0}{0}", alone.text()));
    let two = run_with_stdin(&args, b"Once upon a time\nOnce upon a time\n").ok("two messages");
    assert!(two.text().starts_with(alone.text()));
    assert_ne!(two.text(), cleared.text());
    assert_eq!(two.stderr, "", "no prompt where nobody types");
}

#[test]
fn system_text_and_template() {
    let text = |args: &[&str]| {
        run_with_stdin(&[&["chat", "-n", "4", "--temp", "0"], args].concat(), b"Hello\n").ok("chat").stdout
    };
    assert_ne!(text(&[]), text(&["--system", "The little dragon was"]));
    assert_ne!(text(&[]), text(&["--template", "chatml"]));
    run(&["chat", "--template", "nope"]).refused("template", 1, &["nope", "chatml"]);
    run(&["chat", "--temp", "-1"]).refused("temperature", 2, &["--temp"]);
    run(&["chat", data("llama-gqa.gguf").to_str().expect("UTF-8")]).refused(
        "no template",
        1,
        &["chat template"],
    );
}

#[test]
fn a_message_that_does_not_fit_ends_nothing() {
    let long = "Once upon a time ".repeat(40);
    let input = format!("{long}\nOnce upon a time\n");
    let answer =
        run_with_stdin(&["chat", "-n", "4", "--temp", "0", "--ctx", "64"], input.as_bytes()).ok("chat");
    assert!(answer.text().starts_with(','), "{}", answer.text());
    assert!(
        answer.stderr.starts_with("error: the prompt has") && answer.stderr.lines().count() == 1,
        "{}",
        answer.stderr
    );
}

#[cfg(unix)]
#[test]
fn a_line_that_is_no_text_ends_nothing() {
    let args = ["chat", "-n", "4", "--temp", "0"];
    let alone = run_with_stdin(&args, b"Once upon a time\n").ok("one message");
    let answer = run_with_stdin(&args, b"caf\xe9\n\xff\xfe\nOnce upon a time\n").ok("bytes before it");
    assert_eq!(answer.text(), alone.text());
    assert_eq!(answer.stderr, "error: the line is not UTF-8\n".repeat(2));
}

#[test]
fn an_interrupt_stops_the_answer_and_then_the_program() {
    let mut child = binary()
        .args(["chat", "--temp", "0", "--repeat-penalty", "1.5"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("starts");
    let interrupt = |id: u32| {
        let sent = std::process::Command::new("kill").args(["-INT", &id.to_string()]).status().expect("kill");
        assert!(sent.success());
    };
    let (mut input, mut output) = (child.stdin.take().expect("piped"), child.stdout.take().expect("piped"));
    input.write_all(b"Once upon a time\n").expect("a message");
    output.read_exact(&mut [0; 8]).expect("the answer begins");
    interrupt(child.id());
    // It waits for the next message: an answer to it ends with a line feed.
    input.write_all(b"/clear\n").expect("it still listens");
    let mut byte = [0];
    while byte[0] != b'\n' {
        output.read_exact(&mut byte).expect("the rest of the line");
    }
    std::thread::sleep(std::time::Duration::from_millis(200));
    interrupt(child.id());
    assert_eq!(child.wait().expect("ends").code(), Some(130));
}
