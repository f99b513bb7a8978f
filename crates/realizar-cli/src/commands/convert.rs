//! `convert`: a model in another format.

use std::path::PathBuf;
use std::time::Instant;

use clap::Args;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use realizar_engine::ConvertError;
use realizar_format::FormatError;
use serde_json::json;

use crate::args::ComputeArgs;
use crate::error::CliError;
use crate::interrupt::Interrupt;
use crate::{load, output};

/// Flags of `convert`.
#[derive(Debug, Args)]
pub(crate) struct ConvertArgs {
    /// A model file or folder, or `demo` for the built-in model
    #[arg(value_name = "IN")]
    input: PathBuf,
    /// The new model: NAME.gguf, NAME.safetensors, NAME.apr, or a folder as Hugging Face lays it out
    #[arg(value_name = "OUT")]
    output: PathBuf,
    /// One JSON object about what was done
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    compute: ComputeArgs,
}

/// Share, bytes written of all, bytes a second, time left.
const TEMPLATE: &str =
    "{percent:>3}% [{bar:30}] {binary_bytes} of {binary_total_bytes}, {binary_bytes_per_sec}, {eta} left";

/// Runs the command.
pub(crate) fn run(args: ConvertArgs, interrupt: &Interrupt) -> Result<(), CliError> {
    let started = Instant::now();
    let source = load::source(&args.input)?;
    let quiet = args.compute.quiet;
    load::warn_of(source.warnings(), quiet);
    let bytes_in: u64 = source.tensors().map(|tensor| tensor.data.len() as u64).sum();
    interrupt.tell_of_termination()?;
    let converted = interrupt.hold(|| {
        let target = if quiet { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr() };
        let style = ProgressStyle::with_template(TEMPLATE).unwrap_or_else(|_| ProgressStyle::default_bar());
        let bar =
            ProgressBar::with_draw_target(Some(bytes_in), target).with_style(style.progress_chars("=> "));
        let converted = realizar_engine::convert(source.as_ref(), &args.output, &mut |done, total| {
            bar.set_length(total);
            bar.set_position(done);
            !interrupt.came()
        });
        bar.finish_and_clear();
        converted
    });
    let converted = match converted {
        Err(ConvertError::Cancelled) => return Err(CliError::Interrupted),
        Err(ConvertError::Torn) => return Err(CliError::Torn),
        // Those about a path name it themselves.
        Err(
            source @ (ConvertError::Model(_)
            | ConvertError::Tokenizer { .. }
            | ConvertError::BadTokenizer { .. }
            | ConvertError::Metadata { .. }
            | ConvertError::OnePart { .. }
            | ConvertError::Format(FormatError::Invalid { .. })),
        ) => {
            let path = args.input.to_string_lossy().into_owned();
            return Err(CliError::ConvertOf { path, source: Box::new(source) });
        }
        other => other?,
    };
    load::warn_of(&converted.warnings, quiet);
    let seconds = started.elapsed().as_secs_f64();
    if args.json {
        return output::json_line(&json!({
            "tensors": converted.tensors,
            "bytes_in": bytes_in,
            "bytes_out": converted.bytes,
            "layout": converted.layout,
            "seconds": seconds,
        }));
    }
    let message = format!(
        "{}: {} tensors, {} bytes, {}, in {seconds:.1} s",
        args.output.display(),
        converted.tensors,
        converted.bytes,
        converted.layout
    );
    output::note(quiet, &message);
    Ok(())
}
