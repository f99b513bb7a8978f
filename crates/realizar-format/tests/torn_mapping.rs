//! The reliability catalogue, row 106: a mapped file that another process shortens.

#![cfg(all(target_os = "linux", feature = "mmap"))]
#![allow(clippy::unwrap_used, reason = "test code")]

mod raw;

use std::fs::OpenOptions;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::Command;

use raw::Raw;
use realizar_format::{Access, guard_mappings, open, open_with, release_pages, torn_pages};

const ELEMENTS: usize = 1 << 18;
const SIGBUS: i32 = 7;

fn write_model(path: &Path) {
    let raw = Raw::header(3, 1, 0).tensor("t", &[ELEMENTS as u64], 0, 0).pad(32);
    std::fs::write(path, [raw.bytes, vec![7; 4 * ELEMENTS]].concat()).unwrap();
}

fn shorten(path: &Path) {
    OpenOptions::new().write(true).open(path).unwrap().set_len(100).unwrap();
}

#[test]
fn row_106_a_shortened_file_reads_as_zeros_and_is_counted() {
    guard_mappings().unwrap();
    guard_mappings().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.gguf");
    write_model(&path);
    let kept = open_with(&path, Access::Read).unwrap();
    let model = open(&path).unwrap();
    let data = model.tensor("t").unwrap().data;
    assert_eq!((torn_pages(), data[0]), (0, 7));
    drop(model);
    shorten(&path);
    // The first page is still there, cut by the system; the others are gone, for several threads at once.
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| assert!(data[8192..].iter().all(|byte| *byte == 0)));
        }
    });
    let pages = (data.len() / 4096) as u64;
    assert!((pages - 3..=4 * pages).contains(&torn_pages()), "{} of {pages}", torn_pages());
    assert!(kept.tensor("t").unwrap().data.iter().all(|byte| *byte == 7));
    drop(data);
    // Entries of the handler's list are used again.
    for _ in 0..100 {
        write_model(&path);
        let (first, second) = (open(&path).unwrap(), open(&path).unwrap());
        assert_eq!(first.tensor("t").unwrap().data, second.tensor("t").unwrap().data);
    }
}

/// Kilobytes of mapped files that count as this process's memory.
fn resident_file_kilobytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("RssFile:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[test]
fn released_pages_leave_memory_and_come_back() {
    const LARGE: usize = 32 << 20;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.gguf");
    let raw = Raw::header(3, 1, 0).tensor("t", &[LARGE as u64 / 4], 0, 0).pad(32);
    std::fs::write(&path, [raw.bytes, vec![7; LARGE]].concat()).unwrap();
    for access in [Access::Map, Access::Read] {
        let data = open_with(&path, access).unwrap().tensor("t").unwrap().data;
        assert!(data.iter().all(|byte| *byte == 7));
        let before = resident_file_kilobytes();
        release_pages(&data);
        let given_back = before.saturating_sub(resident_file_kilobytes());
        // Other tests run beside this one: most of it is enough.
        assert_eq!(
            given_back > LARGE as u64 / 1024 / 2,
            access == Access::Map,
            "{access:?}: {given_back} KB"
        );
        assert!(data.iter().all(|byte| *byte == 7), "{access:?}");
    }
    release_pages(&[]);
    release_pages(&[0; 20_000]);
}

/// Runs the test `name` in a process of its own; gives the signal that ended it.
fn signal_of(name: &str, path: &Path) -> Option<i32> {
    let mut child = Command::new(std::env::current_exe().unwrap());
    let status = child.args([name, "--exact"]).env("TORN_MODEL", path).output().unwrap().status;
    status.signal()
}

#[test]
fn other_signals_still_end_the_process() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.gguf");
    write_model(&path);
    assert_eq!(signal_of("child_without_a_guard", &path), Some(SIGBUS));
    write_model(&path);
    assert_eq!(signal_of("child_that_is_sent_the_signal", &path), Some(SIGBUS));
}

#[test]
fn child_without_a_guard() {
    let Some(path) = std::env::var_os("TORN_MODEL") else { return };
    let data = open(&path).unwrap().tensor("t").unwrap().data;
    shorten(Path::new(&path));
    assert_eq!(data[ELEMENTS], 0);
}

#[test]
fn child_that_is_sent_the_signal() {
    if std::env::var_os("TORN_MODEL").is_none() {
        return;
    }
    guard_mappings().unwrap();
    let me = std::process::id().to_string();
    // The first one goes to the handler of the standard library, which steps back and waits for the next.
    let twice = format!("kill -BUS {me}; sleep 0.3; kill -BUS {me}");
    assert!(Command::new("sh").args(["-c", &twice]).status().unwrap().success());
    std::thread::sleep(std::time::Duration::from_secs(5));
}
