//! `bench`: speed of prompts and answers, beside what this machine can do at best.

mod work;

use std::path::PathBuf;
use std::time::Instant;

use clap::Args;
use realizar_engine::Loaded;
use realizar_model::{SeqId, Session, Span, Want};
use realizar_tensor::hardware::{Bounds, measure};
use realizar_tokenize::Compat;
use serde::Serialize;

use self::work::Work;

use crate::args::{ComputeArgs, positive};
use crate::error::CliError;
use crate::{demo, load, output, session};

/// Flags of `bench`.
#[derive(Debug, Args)]
#[command(allow_negative_numbers = true)]
pub(crate) struct BenchArgs {
    /// A model file, or `demo` for the built-in model [default: demo]
    #[arg(value_name = "MODEL")]
    model: Option<PathBuf>,
    /// Tokens of the prompt
    #[arg(short, long, value_name = "N", default_value = "256", value_parser = positive)]
    prompt: usize,
    /// Tokens of an answer
    #[arg(short = 'n', long, value_name = "N", default_value = "64", value_parser = positive)]
    tokens: usize,
    /// How many answers are written together
    #[arg(short, long, value_name = "1,4,8", default_value = "1,4,8,16", value_parser = batches)]
    batch: Batches,
    /// Tokens that each sequence holds before its prompt or its answer begins
    #[arg(short, long, value_name = "N", default_value = "0")]
    depth: usize,
    /// How often each test runs
    #[arg(short, long, value_name = "N", default_value = "5", value_parser = positive)]
    repeat: usize,
    /// Without a MODEL: measure only what the machine can do
    #[arg(long)]
    hardware: bool,
    /// One JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    compute: ComputeArgs,
}

/// Batch sizes.
#[derive(Debug, Clone)]
struct Batches(Vec<usize>);

fn batches(text: &str) -> Result<Batches, String> {
    let sizes: Result<_, _> = text.split(',').map(|item| positive(item.trim())).collect();
    sizes.map(Batches).map_err(|_| "it must be whole numbers of at least 1, such as 1,4,8".to_owned())
}

/// What `--json` prints.
#[derive(Serialize)]
struct Report {
    model: Option<String>,
    threads: usize,
    isa: &'static str,
    results: Vec<TestResult>,
    hardware: Hardware,
}

/// One test.
#[derive(Serialize)]
struct TestResult {
    test: String,
    batch: usize,
    tokens_per_s: Speed,
    /// What stands in the way: `memory`, `int8` or `f32`.
    bound: &'static str,
    share_of_bound: f64,
}

/// Tokens per second of all sequences together.
#[derive(Clone, Copy, Serialize)]
struct Speed {
    median: f64,
    min: f64,
    max: f64,
}

/// What the machine can do at best.
#[derive(Serialize)]
struct Hardware {
    read_gb_s: f64,
    int8_gmac_s: f64,
    f32_gmac_s: f64,
}

/// Runs the command.
pub(crate) fn run(args: BenchArgs) -> Result<(), CliError> {
    let model = match &args.model {
        None if args.hardware => None,
        model => Some(model.clone().unwrap_or_else(|| PathBuf::from(demo::NAME))),
    };
    // A model that cannot be loaded is told at once, not after the machine was measured.
    let loaded = match &model {
        Some(path) => {
            let source = load::source(path)?;
            let loaded = Loaded::new(source.as_ref(), Compat::Original)?;
            let work = Work::of(source.as_ref(), loaded.model().config());
            Some((loaded, work))
        }
        None => None,
    };
    let (pool, kernels) = (session::pool(&args.compute)?, session::kernels()?);
    let (threads, isa) = (pool.threads(), kernels.name());
    let mut bounds = measure(&pool, kernels);
    let mut speeds = Vec::new();
    if let Some((loaded, _)) = &loaded {
        load::warn(loaded, args.compute.quiet);
        speeds = measure_model(&args, loaded)?;
        // Machines change their pace within a minute: what they reached before or after is the bound.
        bounds = best(bounds, measure(&pool, kernels));
    }
    let results = loaded.iter().flat_map(|(_, work)| results(&args, work, &bounds, &speeds)).collect();
    let Bounds { read_gb_s, int8_gmac_s, f32_gmac_s } = bounds;
    let report = Report {
        model: loaded.map(|(loaded, _)| loaded.name().to_owned()),
        threads,
        isa,
        results,
        hardware: Hardware { read_gb_s, int8_gmac_s, f32_gmac_s },
    };
    if args.json { output::json_line(&report) } else { output::print(&words(&report)) }
}

fn best(a: Bounds, b: Bounds) -> Bounds {
    Bounds {
        read_gb_s: a.read_gb_s.max(b.read_gb_s),
        int8_gmac_s: a.int8_gmac_s.max(b.int8_gmac_s),
        f32_gmac_s: a.f32_gmac_s.max(b.f32_gmac_s),
    }
}

/// Speeds of the prompt, then of each batch.
fn measure_model(args: &BenchArgs, loaded: &Loaded) -> Result<Vec<Speed>, CliError> {
    let Batches(batches) = &args.batch;
    // A prompt behind other tokens is a copy of the sequence that holds these.
    let most = batches.iter().copied().max().unwrap_or(1).max(if args.depth > 0 { 2 } else { 1 });
    let wanted = args.depth.saturating_add(args.prompt.max(args.tokens.saturating_add(1)));
    let mut session = session::open(loaded.model(), &args.compute, most, wanted)?;
    let mut speeds = vec![prompts(args, &mut session)?];
    for &batch in batches {
        speeds.push(repeat(args.repeat, || decode(&mut session, batch, args.depth, args.tokens))?);
    }
    Ok(speeds)
}

/// The speeds beside what the bounds allow.
fn results(args: &BenchArgs, work: &Work, bounds: &Bounds, speeds: &[Speed]) -> Vec<TestResult> {
    let Batches(batches) = &args.batch;
    let (prompt, answer) = (format!("pp{}", args.prompt), format!("tg{}", args.tokens));
    let tests = batches.iter().map(|&batch| (answer.clone(), batch, batch, batch));
    // A prompt goes through the model at once, and only its last token through the output matrix.
    let tests = std::iter::once((prompt, 1, args.prompt, 1)).chain(tests);
    tests
        .zip(speeds)
        .map(|((test, batch, tokens, scored), &tokens_per_s)| {
            let (bound, most) = work.bound(bounds, tokens, scored);
            TestResult { test, batch, tokens_per_s, bound, share_of_bound: tokens_per_s.median / most }
        })
        .collect()
}

/// Runs a test once to warm up and then `times` over.
fn repeat(times: usize, mut test: impl FnMut() -> Result<f64, CliError>) -> Result<Speed, CliError> {
    test()?;
    let mut speeds = (0..times).map(|_| test()).collect::<Result<Vec<_>, _>>()?;
    speeds.sort_by(f64::total_cmp);
    let middle = speeds.len() / 2;
    let median =
        if speeds.len() % 2 == 1 { speeds[middle] } else { (speeds[middle - 1] + speeds[middle]) / 2.0 };
    Ok(Speed { median, min: speeds[0], max: speeds[speeds.len() - 1] })
}

/// The speed of the prompt, after `depth` tokens that are read once.
fn prompts(args: &BenchArgs, session: &mut Session) -> Result<Speed, CliError> {
    if args.depth == 0 {
        return repeat(args.repeat, || {
            let seq = session.open()?;
            prefill(session, seq, args.prompt)
        });
    }
    let before = session.open()?;
    session.forward(&[Span { seq: before, tokens: &vec![1; args.depth], logits: Want::None }])?;
    let speed = repeat(args.repeat, || {
        let seq = session.fork(before)?;
        prefill(session, seq, args.prompt)
    })?;
    session.close(before)?;
    Ok(speed)
}

/// Tokens per second of a prompt of `n` tokens; `seq` ends with it.
fn prefill(session: &mut Session, seq: SeqId, n: usize) -> Result<f64, CliError> {
    let tokens = vec![1; n];
    let started = Instant::now();
    session.forward(&[Span { seq, tokens: &tokens, logits: Want::Last }])?;
    let seconds = started.elapsed().as_secs_f64();
    session.close(seq)?;
    Ok(n as f64 / seconds)
}

/// Tokens per second of `batch` answers of `n` tokens each, together, after `depth` tokens each.
fn decode(session: &mut Session, batch: usize, depth: usize, n: usize) -> Result<f64, CliError> {
    let seqs = (0..batch).map(|_| session.open()).collect::<Result<Vec<_>, _>>()?;
    let before = vec![1; depth];
    for &seq in seqs.iter().filter(|_| depth > 0) {
        session.forward(&[Span { seq, tokens: &before, logits: Want::None }])?;
    }
    let spans: Vec<Span<'_>> =
        seqs.iter().map(|&seq| Span { seq, tokens: &[1], logits: Want::Last }).collect();
    let started = Instant::now();
    for _ in 0..n {
        session.forward(&spans)?;
    }
    let seconds = started.elapsed().as_secs_f64();
    for seq in seqs {
        session.close(seq)?;
    }
    Ok((batch * n) as f64 / seconds)
}

/// The report for people.
fn words(report: &Report) -> String {
    let Hardware { read_gb_s, int8_gmac_s, f32_gmac_s } = report.hardware;
    let mut out = format!(
        "{} threads, {}: reads {read_gb_s:.1} GB/s, {int8_gmac_s:.0} int8 and {f32_gmac_s:.0} f32 GMAC/s\n",
        report.threads, report.isa
    );
    for TestResult { test, batch, tokens_per_s: Speed { median, min, max }, bound, share_of_bound } in
        &report.results
    {
        let share = share_of_bound * 100.0;
        let of = match *bound {
            "memory" => "read rate",
            rate => &format!("{rate} rate"),
        };
        out.push_str(&format!(
            "{test:>8} x{batch:<3} {median:10.1} tokens/s ({min:.1} to {max:.1}), {share:.0} % of what the {of} allows\n"
        ));
    }
    out
}
