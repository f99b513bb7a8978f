//! A file that appears under its name only when it is complete.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::error::FormatError;
use crate::escape::Escaped;

/// A file under construction. It is written under a temporary name in the target's folder; [`NewFile::commit`] puts
/// it in place in one step. Dropped before that, it is removed, and what was there before stays as it was.
#[derive(Debug)]
pub struct NewFile {
    file: File,
    temporary: PathBuf,
    target: PathBuf,
    committed: bool,
}

impl NewFile {
    /// Begins a file that will be at `target`.
    ///
    /// # Errors
    ///
    /// The folder does not exist or cannot be written to.
    pub fn create(target: impl AsRef<Path>) -> Result<Self, FormatError> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let target = target.as_ref();
        let fail = |source| FormatError::Io { action: "create", path: target.to_path_buf(), source };
        let Some(name) = target.file_name() else {
            return Err(fail(io::Error::new(io::ErrorKind::InvalidInput, "the path has no file name")));
        };
        let mut temporary_name = std::ffi::OsString::from(".");
        temporary_name.push(name);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        temporary_name.push(format!(".{}-{number}.partial", process::id()));
        let temporary = target.with_file_name(temporary_name);
        // Read as well: checksums over what was written are taken from the file.
        let file =
            OpenOptions::new().read(true).write(true).create_new(true).open(&temporary).map_err(fail)?;
        Ok(Self { file, temporary, target: target.to_path_buf(), committed: false })
    }

    /// Makes everything durable and puts the file in place, over what may have been there.
    ///
    /// # Errors
    ///
    /// The disk is full or fails; the target is as before then.
    pub fn commit(mut self) -> Result<(), FormatError> {
        let path = self.target.clone();
        let fail = |source| FormatError::Io { action: "write", path: path.clone(), source };
        self.file.sync_all().map_err(fail)?;
        fs::rename(&self.temporary, &self.target).map_err(fail)?;
        self.committed = true;
        // The rename is durable when the folder is. Not every system can sync a folder, and none needs to.
        #[cfg(unix)]
        if let Some(folder) = self.target.parent()
            && let Ok(folder) =
                File::open(if folder.as_os_str().is_empty() { Path::new(".") } else { folder })
        {
            let _ = folder.sync_all();
        }
        Ok(())
    }

    /// Adds the path to an error of the file, which a writer above could not know.
    fn named(&self, error: io::Error) -> io::Error {
        io::Error::new(error.kind(), format!("`{}`: {error}", Escaped::path(&self.target)))
    }

    /// The path that the file will have.
    #[must_use]
    pub fn target(&self) -> &Path {
        &self.target
    }
}

impl Write for NewFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes).map_err(|error| self.named(error))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush().map_err(|error| self.named(error))
    }
}

impl Drop for NewFile {
    fn drop(&mut self) {
        if !self.committed {
            let _ = fs::remove_file(&self.temporary);
        }
    }
}
