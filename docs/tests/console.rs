//! The terminal sessions of the documents, typed again and compared.
//!
//! A block of the language `console` holds commands after `$ ` and below each what it prints on stdout. A line `...`
//! stands for any number of lines, and `...` within a line for any text. Commands run in the root of the repository, where `realizar-cli` is on the path.
#![cfg(unix)]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs, io};

/// One command and the lines below it.
#[derive(Debug, PartialEq)]
struct Session {
    command: String,
    printed: Vec<String>,
}

fn sessions(page: &str) -> Vec<Session> {
    let mut sessions: Vec<Session> = Vec::new();
    let mut inside = false;
    for line in page.lines() {
        if line.starts_with("```") {
            inside = line == "```console";
        } else if let Some(command) = line.strip_prefix("$ ").filter(|_| inside) {
            sessions.push(Session { command: command.to_owned(), printed: Vec::new() });
        } else if let (true, Some(session)) = (inside, sessions.last_mut()) {
            session.printed.push(line.to_owned());
        }
    }
    sessions
}

/// Whether `found` has the form of `expected`, where `...` stands for any lines.
fn same(expected: &[String], found: &[String]) -> bool {
    match expected.split_first() {
        None => found.is_empty(),
        Some((first, rest)) if first == "..." => (0..=found.len()).any(|at| same(rest, &found[at..])),
        Some((first, rest)) => {
            found.first().is_some_and(|line| alike(first, line)) && same(rest, &found[1..])
        }
    }
}

/// Whether a line has the form of `expected`, where `...` stands for any text.
fn alike(expected: &str, line: &str) -> bool {
    match expected.split_once("...") {
        None => expected == line,
        Some((start, end)) => {
            line.len() >= start.len() + end.len() && line.starts_with(start) && line.ends_with(end)
        }
    }
}

/// The folder of the program: the gate has built it beside this test; alone, the test builds it.
fn programs(root: &Path) -> io::Result<PathBuf> {
    let test = env::current_exe()?;
    let folder = test.ancestors().nth(2).unwrap_or(root).to_owned();
    if !folder.join("realizar-cli").is_file() {
        let build = Command::new("cargo").args(["build", "--quiet", "--package", "realizar-cli"]).status()?;
        assert!(build.success(), "realizar-cli does not build");
    }
    Ok(folder)
}

fn pages(folder: &Path, found: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if path.is_dir() && !name.starts_with('.') && !name.starts_with("target") {
            pages(&path, found)?;
        } else if name.ends_with(".md") {
            found.push(path);
        }
    }
    Ok(())
}

#[test]
fn terminal_sessions_of_the_documents_are_true() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut found = Vec::new();
    pages(root, &mut found).unwrap();
    let mut folder = None;
    let mut wrong = Vec::new();
    for page in found {
        for session in sessions(&fs::read_to_string(&page).unwrap()) {
            let folder = folder.get_or_insert_with(|| programs(root).unwrap());
            let path = format!("{}:{}", folder.display(), env::var("PATH").unwrap_or_default());
            let shell = Command::new("sh")
                .args(["-c", &session.command])
                .current_dir(root)
                .env("PATH", path)
                .output();
            let output = shell.unwrap();
            let printed = String::from_utf8_lossy(&output.stdout).into_owned();
            let lines: Vec<String> = printed.lines().map(|line| line.trim_end().to_owned()).collect();
            let complaint = String::from_utf8_lossy(&output.stderr);
            let place = format!("{}: `{}`", page.display(), session.command);
            if !same(&session.printed, &lines) {
                wrong.push(format!("{place} printed\n{printed}{complaint}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn sessions_are_read_and_compared() {
    let page = "$ no\n```console\n$ a b\nx\n...\ny\n$ c\n```\n```sh\n$ d\n```\n";
    let found = sessions(page);
    let commands: Vec<&str> = found.iter().map(|session| session.command.as_str()).collect();
    assert_eq!(commands, ["a b", "c"]);
    let lines = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    for (text, expected) in
        [("x y", true), ("x 1 2 y", true), ("x", false), ("1 x y", false), ("x y z", false)]
    {
        assert_eq!(same(&found[0].printed, &lines(text)), expected, "{text}");
    }
    assert!(same(&found[1].printed, &[]));
    for (expected, line, alike) in
        [("a", "a", true), ("a...c", "abc", true), ("ab...bc", "abc", false), ("a...", "b", false)]
    {
        assert_eq!(self::alike(expected, line), alike, "{expected} {line}");
    }
}
