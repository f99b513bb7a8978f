//! What Ctrl-C does: it ends the program with code 130, unless something at work only wants to be told.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use signal_hook::consts::SIGINT;

use crate::error::CliError;

/// The two flags that the signal handlers look at and set.
#[derive(Debug, Clone)]
pub(crate) struct Interrupt {
    ends: Arc<AtomicBool>,
    seen: Arc<AtomicBool>,
}

impl Interrupt {
    /// Installs the handlers. Everything that is written is flushed at once, so the program may end at any point.
    pub(crate) fn install() -> Result<Self, CliError> {
        let interrupt =
            Self { ends: Arc::new(AtomicBool::new(true)), seen: Arc::new(AtomicBool::new(false)) };
        signal_hook::flag::register_conditional_shutdown(SIGINT, 130, Arc::clone(&interrupt.ends))
            .and_then(|_| signal_hook::flag::register(SIGINT, Arc::clone(&interrupt.seen)))
            .map_err(CliError::Signals)?;
        // A file that grows past a limit is an error of the write, not the end of the process.
        #[cfg(unix)]
        signal_hook::flag::register(signal_hook::consts::SIGXFSZ, Arc::default())
            .map_err(CliError::Signals)?;
        Ok(interrupt)
    }

    /// Lets a request to end (SIGTERM) be told like an interrupt: for work that has something to take away first.
    pub(crate) fn tell_of_termination(&self) -> Result<(), CliError> {
        #[cfg(unix)]
        signal_hook::flag::register(signal_hook::consts::SIGTERM, Arc::clone(&self.seen))
            .map_err(CliError::Signals)?;
        Ok(())
    }

    /// Runs `work`, during which an interrupt does not end the program but is told by [`Interrupt::came`].
    pub(crate) fn hold<T>(&self, work: impl FnOnce() -> T) -> T {
        self.seen.store(false, Ordering::SeqCst);
        self.ends.store(false, Ordering::SeqCst);
        let result = work();
        self.ends.store(true, Ordering::SeqCst);
        result
    }

    /// Whether an interrupt came since the work began.
    pub(crate) fn came(&self) -> bool {
        self.seen.load(Ordering::SeqCst)
    }
}
