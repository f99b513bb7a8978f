//! `quantize`: the same model in fewer bits.
//!
//! The file equals the one that llama-quantize makes of the same source: the same type for every tensor, the same bytes
//! in it, the same order and metadata. It is made piece by piece, so that memory does not grow with the model, and takes
//! its place when it is complete.

mod error;
mod files;
mod imatrix;
mod plan;
mod progress;
mod report;
mod wanted;
mod work;

use std::path::PathBuf;
use std::time::Instant;

use clap::Args;
use realizar_format::{GgufWriter, Shape, Value};
use realizar_model::GgufView;
use realizar_quant::{Codec, DType, Recipe};
use realizar_tensor::Pool;

pub(crate) use error::QuantizeError;

use crate::args::ComputeArgs;
use crate::error::CliError;
use crate::interrupt::Interrupt;
use crate::load;
use crate::out_file::OutFile;
use imatrix::Imatrix;
use plan::Plan;
use progress::Progress;
use report::Report;
use wanted::Wanted;

/// Flags of `quantize`.
#[derive(Debug, Args)]
pub(crate) struct QuantizeArgs {
    /// The model: a GGUF file (of several parts: the first), a Hugging Face folder, or an .apr file
    #[arg(value_name = "IN")]
    input: PathBuf,
    /// The GGUF file to make
    #[arg(value_name = "OUT")]
    output: PathBuf,
    /// A recipe, such as Q4_K_M, Q8_0 or IQ3_XS; COPY keeps every type
    #[arg(value_name = "TYPE", value_parser = Target::parse)]
    target: Target,
    /// The recipe's main type for every tensor that may change
    #[arg(long)]
    pure: bool,
    /// Another type for the output matrix
    #[arg(long, value_name = "TYPE", alias = "output-tensor-type", value_parser = makeable)]
    output_type: Option<DType>,
    /// Another type for the token embeddings
    #[arg(long, value_name = "TYPE", value_parser = makeable)]
    token_embedding_type: Option<DType>,
    /// A type for the tensors whose name matches; the first match counts (repeatable)
    #[arg(long, value_name = "REGEX=TYPE", value_parser = Wanted::parse)]
    tensor_type: Vec<Wanted>,
    /// The output matrix stays as it is
    #[arg(long)]
    leave_output_tensor: bool,
    /// How much each input matters: a file of llama-imatrix, .gguf or .dat
    #[arg(long, value_name = "FILE")]
    imatrix: Option<PathBuf>,
    /// Only tell what would be made, and how large it would be
    #[arg(long)]
    dry_run: bool,
    /// Take a source that is quantised already, at the cost of quality
    #[arg(long)]
    allow_requantize: bool,
    /// One JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    compute: ComputeArgs,
}

/// What TYPE names.
#[derive(Debug, Clone, Copy)]
enum Target {
    Recipe(&'static Recipe),
    Copy,
}

impl Target {
    fn parse(name: &str) -> Result<Self, String> {
        if name.eq_ignore_ascii_case("copy") {
            return Ok(Self::Copy);
        }
        Recipe::named(name).map(Self::Recipe).map_err(|error| format!("{error}, COPY"))
    }
}

/// A type that a tensor of a GGUF file can be given.
fn makeable(name: &str) -> Result<DType, String> {
    // These two are for activations, and no program reads weights of them.
    let makeable = |dtype: &DType| {
        let codec = Codec::of(*dtype);
        let activations = matches!(dtype, DType::Q8_1 | DType::Q8_K);
        !activations && dtype.ggml_id().is_some() && codec.is_some_and(Codec::encodes)
    };
    let known = || DType::ALL.into_iter().filter(makeable);
    known().find(|dtype| dtype.name().eq_ignore_ascii_case(name)).ok_or_else(|| {
        let names: Vec<&str> = known().map(DType::name).collect();
        format!("no tensor can be made `{}`, known are {}", name.escape_debug(), names.join(", "))
    })
}

/// Runs the command.
pub(crate) fn run(args: QuantizeArgs, interrupt: &Interrupt) -> Result<(), CliError> {
    let started = Instant::now();
    let source = load::source(&args.input)?;
    load::warn_of(source.warnings(), args.compute.quiet);
    let input_files = files::of_source(&args.input, source.as_ref());
    let kept = files::kept(&args.input, source.as_ref(), &input_files);
    files::refuse_same(&args.output, &kept, args.imatrix.as_deref())?;
    let weights = realizar_engine::gguf_view(source.as_ref())?;
    load::warn_of(weights.warnings(), args.compute.quiet);
    let imatrix = args.imatrix.as_deref().map(Imatrix::open).transpose()?;
    let plan = plan::make(&args, &weights, imatrix.as_ref())?;
    plan.warn(args.compute.quiet);
    let head = || head(&plan, &weights, imatrix.as_ref());
    let bytes_out = report::file_bytes(head()?, &plan, &weights)?;
    // The built-in model is no file.
    let weights_bytes = || plan.tensors.iter().map(|tensor| tensor.bytes_in).sum::<u64>();
    let bytes_in = files::bytes(&input_files).unwrap_or_else(weights_bytes);
    let report = Report { plan: &plan, bytes_in, bytes_out };
    if args.dry_run {
        return report.planned(started.elapsed(), args.json);
    }
    interrupt.tell_of_termination()?;
    interrupt.hold(|| {
        let out = OutFile::create(&args.output)?;
        let threads = args.compute.threads.unwrap_or_else(Pool::default_threads);
        let progress = Progress::new(&plan, args.compute.quiet);
        let mut data = head()?.begin(out)?;
        let job = work::Job { plan: &plan, weights: &weights, imatrix: imatrix.as_ref() };
        work::run(&job, threads, |bytes, taken| {
            if interrupt.came() {
                return Err(CliError::Interrupted);
            }
            data.write(bytes)?;
            progress.add(taken);
            Ok(())
        })?;
        // What was computed on pages that somebody took away is worth nothing.
        if realizar_format::torn_pages() > 0 {
            return Err(CliError::Torn);
        }
        data.finish()?.finish()
    })?;
    report.done(started.elapsed(), args.json)
}

/// What says which part of a model a file is; the result is one file.
const SPLIT: [&str; 3] = ["split.no", "split.count", "split.tensors.count"];

/// The metadata and the list of tensors, as the file will have them.
fn head(plan: &Plan<'_>, weights: &GgufView<'_>, imatrix: Option<&Imatrix>) -> Result<GgufWriter, CliError> {
    let mut head = GgufWriter::new();
    let mut added: Vec<(&str, Value<'_>)> = vec![("general.quantization_version", Value::U32(2))];
    added.push(("general.file_type", Value::U32(plan.file_type)));
    if let Some(imatrix) = imatrix {
        added.push(("quantize.imatrix.file", Value::from(imatrix.file())));
        added.extend(imatrix.dataset().map(|dataset| ("quantize.imatrix.dataset", Value::from(dataset))));
        added.push(("quantize.imatrix.entries_count", Value::U32(imatrix.len() as u32)));
        if imatrix.chunks() > 0 {
            added.push(("quantize.imatrix.chunks_count", Value::U32(imatrix.chunks())));
        }
    }
    let replaced = |key: &str| SPLIT.contains(&key) || added.iter().any(|(new, _)| *new == key);
    for (key, value) in weights.metadata().filter(|(key, _)| !replaced(key)) {
        head.metadata(key, value)?;
    }
    for &(key, value) in &added {
        head.metadata(key, value)?;
    }
    for tensor in &plan.tensors {
        head.tensor(tensor.name, tensor.to, without_ones(tensor.shape))?;
    }
    Ok(head)
}

/// The shape without outer dimensions of 1, which files of llama.cpp do not have.
fn without_ones(shape: Shape) -> Shape {
    let ones = shape.iter().take(shape.len().saturating_sub(1)).take_while(|&&size| size == 1).count();
    Shape::new(&shape[ones..]).unwrap_or(shape)
}
