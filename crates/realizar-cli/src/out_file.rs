//! A file for a result: it takes its place when it is complete, so that a command that fails leaves what was there.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use realizar_format::NewFile;

use crate::error::CliError;

/// A result on its way to a file.
pub(crate) struct OutFile {
    path: PathBuf,
    place: Place,
}

enum Place {
    /// Written beside the target, then renamed.
    Beside(BufWriter<NewFile>),
    /// A device or a pipe takes what comes; a new file must not push it aside.
    Stream(BufWriter<File>),
}

impl OutFile {
    /// Begins the result that will be at `path`.
    pub(crate) fn create(path: &Path) -> Result<Self, CliError> {
        let place = if path.metadata().is_ok_and(|found| !found.is_file()) {
            let file = File::options().write(true).open(path);
            Place::Stream(BufWriter::new(file.map_err(|error| CliError::file("create", path, error))?))
        } else {
            Place::Beside(BufWriter::new(NewFile::create(path)?))
        };
        Ok(Self { path: path.to_owned(), place })
    }

    /// Appends numbers as little-endian f32.
    pub(crate) fn numbers(&mut self, values: &[f32]) -> Result<(), CliError> {
        let out = self.stream();
        let written: io::Result<()> = values.iter().try_for_each(|value| out.write_all(&value.to_le_bytes()));
        written.map_err(|error| CliError::file("write", &self.path, error))
    }

    fn stream(&mut self) -> &mut dyn Write {
        match &mut self.place {
            Place::Beside(out) => out,
            Place::Stream(out) => out,
        }
    }

    /// Puts the result in its place.
    pub(crate) fn finish(self) -> Result<(), CliError> {
        let fail = |error| CliError::file("write", &self.path, error);
        match self.place {
            Place::Beside(out) => Ok(out.into_inner().map_err(|error| fail(error.into_error()))?.commit()?),
            Place::Stream(mut out) => out.flush().map_err(fail),
        }
    }
}

impl Write for OutFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.place {
            Place::Beside(out) => out.write(bytes),
            // A file on its way says its name itself; a device does not.
            Place::Stream(out) => out.write(bytes).map_err(|error| {
                let path = self.path.to_string_lossy();
                io::Error::new(error.kind(), format!("`{}`: {error}", path.escape_debug()))
            }),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream().flush()
    }
}
