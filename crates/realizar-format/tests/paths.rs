//! What can stand behind a path: nothing, a folder, a FIFO, a device, an empty file.

#![allow(clippy::expect_used, clippy::unwrap_used, reason = "test code")]

mod raw;

use std::path::Path;
use std::time::{Duration, Instant};

use realizar_format::{Access, FormatError, Gguf, TensorSource, open, open_with, parse};

fn refuse(path: &Path) -> FormatError {
    let start = Instant::now();
    let error = open(path).expect_err("must be refused");
    // A debug build on a busy machine gets twenty times as long.
    let bound = Duration::from_millis(if cfg!(debug_assertions) { 2_000 } else { 100 });
    assert!(start.elapsed() < bound, "{error} took {:?}", start.elapsed());
    assert_eq!(error.path(), Some(path), "{error}");
    assert!(
        error.to_string().contains(&path.display().to_string()) && !error.to_string().contains('\n'),
        "{error}"
    );
    error
}

#[test]
fn row_103_missing_or_forbidden() {
    let folder = tempfile::tempdir().unwrap();
    let error = refuse(&folder.path().join("missing.gguf"));
    assert!(
        matches!(&error, FormatError::Io { action: "open", source, .. } if source.kind() == std::io::ErrorKind::NotFound)
    );
    assert!(std::error::Error::source(&error).is_some());
    assert!(matches!(open("").err().unwrap(), FormatError::Io { .. }));
    assert!(matches!(refuse(Path::new("/dev/null/x")), FormatError::Io { .. }));
}

#[test]
fn row_104_folder_without_a_model() {
    let folder = tempfile::tempdir().unwrap();
    let error = Gguf::open(folder.path()).unwrap_err();
    assert!(matches!(error, FormatError::NotAFile { found: "a folder", .. }), "{error}");
    refuse(folder.path());
}

#[cfg(unix)]
#[test]
fn row_105_fifo_and_devices_do_not_hang() {
    let folder = tempfile::tempdir().unwrap();
    let fifo = folder.path().join("model.gguf");
    assert!(std::process::Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    for (path, expected) in
        [(&*fifo, "a FIFO"), (Path::new("/dev/zero"), "a device"), (Path::new("/dev/null"), "a device")]
    {
        let error = refuse(path);
        assert!(matches!(&error, FormatError::NotAFile { found, .. } if *found == expected), "{error}");
    }
    let socket = folder.path().join("socket");
    let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    assert!(matches!(refuse(&socket), FormatError::Io { .. }));
}

#[test]
fn an_empty_file_has_no_magic() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("empty.gguf");
    std::fs::write(&path, b"").unwrap();
    let error = refuse(&path);
    assert!(matches!(error.root(), FormatError::Magic { .. }), "{error}");
    assert!(error.to_string().ends_with("empty.gguf: `magic` at byte 0: the file has 0 bytes; a GGUF, safetensors or .apr file was expected"), "{error}");
}

#[test]
fn mapped_and_read_files_are_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.gguf");
    std::fs::write(&path, raw::seed().bytes).unwrap();
    let memory = parse(raw::seed().build()).unwrap();
    assert_eq!(memory.path(), None);
    for access in [Access::Map, Access::Read] {
        let file = open_with(&path, access).unwrap();
        assert_eq!(file.path(), Some(&*path));
        for (ours, theirs) in file.tensors().zip(memory.tensors()) {
            assert_eq!((ours.name, ours.data), (theirs.name, theirs.data), "{access:?}");
        }
    }
    // The name says nothing, and a link that the user names is followed.
    let odd = folder.path().join("odd.safetensors");
    std::fs::rename(&path, &odd).unwrap();
    assert_eq!(Gguf::open(&odd).unwrap().tensors().count(), 3);
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink(&odd, &path).unwrap();
        assert_eq!(open(&path).unwrap().tensors().count(), 3);
    }
}

#[test]
fn sources_can_be_shared_between_threads() {
    fn shared<T: Send + Sync + 'static>() {}
    shared::<Gguf>();
    shared::<Box<dyn TensorSource>>();
    shared::<FormatError>();
}
