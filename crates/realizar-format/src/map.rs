//! A whole file as bytes: mapped where that is possible, else read.
//!
//! The only room of this crate with `unsafe` in it.

use std::fs::{File, FileType, OpenOptions};
use std::io::Read;
use std::path::Path;

use bytes::Bytes;

use crate::error::{FormatError, Place, reserve};

/// How the bytes of a file come into memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Map the file: nothing is copied, and pages are shared with other processes. Another process that shortens
    /// the file while it is in use takes pages away from under us (see the crate's README). Where mapping is not
    /// available (feature `mmap` off, wasm32), the file is read.
    Map,
    /// Read the file into memory. Nothing that happens to the file later can matter.
    Read,
}

/// What stands behind a path, opened once and examined by its handle, so that nothing can be exchanged in between.
pub(crate) enum Opened {
    File(File, u64),
    Folder,
}

/// Whether the last component of a path may be a symbolic link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Links {
    Follow,
    Refuse,
}

/// Opens a path without waiting for it, whatever it is, and refuses everything but regular files and folders.
pub(crate) fn open(path: &Path, links: Links) -> Result<Opened, FormatError> {
    let fail = |source| FormatError::Io { action: "open", path: path.to_path_buf(), source };
    let mut options = OpenOptions::new();
    options.read(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        // A FIFO without a writer would block here forever.
        let no_follow = if links == Links::Refuse { libc::O_NOFOLLOW } else { 0 };
        options.custom_flags(libc::O_NONBLOCK | no_follow);
    }
    #[cfg(not(unix))]
    let _ = links;
    let file = options.open(path).map_err(fail)?;
    let metadata = file.metadata().map_err(fail)?;
    if metadata.is_file() {
        Ok(Opened::File(file, metadata.len()))
    } else if metadata.is_dir() {
        Ok(Opened::Folder)
    } else {
        Err(FormatError::NotAFile { path: path.to_path_buf(), found: kind(metadata.file_type()) })
    }
}

fn kind(file_type: FileType) -> &'static str {
    #[cfg(unix)]
    {
        use std::os::unix::fs::FileTypeExt;
        if file_type.is_fifo() {
            return "a FIFO";
        }
        if file_type.is_char_device() || file_type.is_block_device() {
            return "a device";
        }
    }
    let _ = file_type;
    "a special file"
}

/// The bytes of the regular file at a path.
pub(crate) fn load_path(path: &Path, links: Links, access: Access) -> Result<Bytes, FormatError> {
    match open(path, links)? {
        Opened::File(file, len) => load(path, &file, len, access),
        Opened::Folder => Err(FormatError::NotAFile { path: path.to_path_buf(), found: "a folder" }),
    }
}

/// The bytes of an open file.
pub(crate) fn load(path: &Path, file: &File, len: u64, access: Access) -> Result<Bytes, FormatError> {
    let fail = |action| move |source| FormatError::Io { action, path: path.to_path_buf(), source };
    let len = usize::try_from(len).map_err(|_| too_large(path, len))?;
    if len == 0 {
        return Ok(Bytes::new());
    }
    match access {
        #[cfg(feature = "mmap")]
        Access::Map => map(file, len).map_err(fail("map")),
        _ => {
            let mut bytes = Vec::new();
            reserve(&mut bytes, len, || Place::new("file", 0)).map_err(|error| error.in_file(Some(path)))?;
            file.take(len as u64).read_to_end(&mut bytes).map_err(fail("read"))?;
            Ok(bytes.into())
        }
    }
}

fn too_large(path: &Path, len: u64) -> FormatError {
    FormatError::Memory { at: Place::new("file", 0), bytes: len }.in_file(Some(path))
}

#[cfg(feature = "mmap")]
#[expect(unsafe_code, reason = "a mapping is outside the language's rules about who may change memory")]
fn map(file: &File, len: usize) -> std::io::Result<Bytes> {
    // SAFETY: the mapping is private and read-only, and only shared slices of it leave this crate. What the type
    // system cannot rule out is another process that writes to the file: then bytes change under us. No code here
    // or above relies on two reads giving the same bytes for memory safety: lengths and offsets are checked again
    // by each slice operation, and weights of any value are valid numbers. Truncation raises SIGBUS, which stops
    // the process and does not corrupt it; `Access::Read` is the way out for files that others may shorten.
    let map = unsafe { memmap2::MmapOptions::new().len(len).map(file)? };
    Ok(Bytes::from_owner(map))
}
