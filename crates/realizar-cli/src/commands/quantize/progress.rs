//! How far the work is: for people at a terminal.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::plan::Plan;

/// A bar on stderr, which draws nothing where stderr is no terminal.
#[derive(Debug)]
pub(super) struct Progress(ProgressBar);

/// Share, bytes read of all, bytes a second, time left.
const TEMPLATE: &str =
    "{percent:>3}% [{bar:30}] {binary_bytes} of {binary_total_bytes}, {binary_bytes_per_sec}, {eta} left";

impl Progress {
    pub(super) fn new(plan: &Plan<'_>, quiet: bool) -> Self {
        let total = plan.tensors.iter().map(|tensor| tensor.bytes_in).sum();
        let target = if quiet { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr() };
        let bar = ProgressBar::with_draw_target(Some(total), target);
        // The template is a constant of ours; were it wrong, the plain style would do.
        let style = ProgressStyle::with_template(TEMPLATE).unwrap_or_else(|_| ProgressStyle::default_bar());
        Self(bar.with_style(style.progress_chars("=> ")))
    }

    /// So many bytes of the source are done.
    pub(super) fn add(&self, bytes: u64) {
        self.0.inc(bytes);
    }
}

impl Drop for Progress {
    /// Takes the bar away, also before the message of an error.
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
