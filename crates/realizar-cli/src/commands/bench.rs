//! `bench`: speed of prompts and answers, beside what this machine can do at best.

use std::path::PathBuf;
use std::time::Instant;

use clap::Args;
use realizar_engine::Loaded;
use realizar_model::{Session, Span, Want};
use realizar_tensor::hardware::{Bounds, measure};
use serde::Serialize;

use crate::args::{ComputeArgs, positive};
use crate::error::CliError;
use crate::{demo, load, output, session};

/// Flags of `bench`.
#[derive(Debug, Args)]
#[command(allow_negative_numbers = true)]
pub(crate) struct BenchArgs {
    /// A model file, or `demo` for the built-in model
    #[arg(value_name = "MODEL", default_value = demo::NAME)]
    model: PathBuf,
    /// Tokens of the prompt
    #[arg(short, long, value_name = "N", default_value = "256", value_parser = positive)]
    prompt: usize,
    /// Tokens of an answer
    #[arg(short = 'n', long, value_name = "N", default_value = "64", value_parser = positive)]
    tokens: usize,
    /// How many answers are written together
    #[arg(short, long, value_name = "1,4,8", default_value = "1,4,8,16", value_parser = batches)]
    batch: Batches,
    /// How often each test runs
    #[arg(short, long, value_name = "N", default_value = "5", value_parser = positive)]
    repeat: usize,
    /// Measure only what the machine can do
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
    share_of_bound: f64,
}

/// Tokens per second of all sequences together.
#[derive(Serialize)]
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
    // A model that cannot be loaded is told at once, not after the machine was measured.
    let loaded = if args.hardware { None } else { Some(load::model(&args.model)?) };
    let (pool, kernels) = (session::pool(&args.compute)?, session::kernels()?);
    let Bounds { read_gb_s, int8_gmac_s, f32_gmac_s } = measure(&pool, kernels);
    let hardware = Hardware { read_gb_s, int8_gmac_s, f32_gmac_s };
    let (threads, isa) = (pool.threads(), kernels.name());
    let mut report = Report { model: None, threads, isa, results: Vec::new(), hardware };
    drop(pool);
    if let Some(loaded) = loaded {
        load::warn(&loaded, args.compute.quiet);
        report.model = Some(loaded.name().to_owned());
        speeds(&args, &loaded, &mut report)?;
    }
    if args.json { output::json_line(&report) } else { output::print(&words(&report)) }
}

fn speeds(args: &BenchArgs, loaded: &Loaded, report: &mut Report) -> Result<(), CliError> {
    let Batches(batches) = &args.batch;
    let most = batches.iter().copied().max().unwrap_or(1);
    let mut session = session::open(loaded, &args.compute, most, args.prompt.max(args.tokens + 1))?;
    let speeds = repeat(args.repeat, || prefill(&mut session, args.prompt))?;
    // A prompt is bound by multiplications: one per weight and token.
    let macs = loaded.model().parameters() as f64 * speeds.median;
    let share = macs / (report.hardware.int8_gmac_s * 1e9);
    report.results.push(TestResult {
        test: format!("pp{}", args.prompt),
        batch: 1,
        tokens_per_s: speeds,
        share_of_bound: share,
    });
    for &batch in batches {
        let speeds = repeat(args.repeat, || decode(&mut session, batch, args.tokens))?;
        // An answer is bound by reading the weights: once per step, whatever the batch.
        let read = loaded.model().weights_bytes() as f64 * speeds.median / batch as f64;
        let share = read / (report.hardware.read_gb_s * 1e9);
        report.results.push(TestResult {
            test: format!("tg{}", args.tokens),
            batch,
            tokens_per_s: speeds,
            share_of_bound: share,
        });
    }
    Ok(())
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

/// Tokens per second of a prompt of `n` tokens.
fn prefill(session: &mut Session, n: usize) -> Result<f64, CliError> {
    let tokens = vec![1; n];
    let seq = session.open()?;
    let started = Instant::now();
    session.forward(&[Span { seq, tokens: &tokens, logits: Want::Last }])?;
    let seconds = started.elapsed().as_secs_f64();
    session.close(seq)?;
    Ok(n as f64 / seconds)
}

/// Tokens per second of `batch` answers of `n` tokens each, together.
fn decode(session: &mut Session, batch: usize, n: usize) -> Result<f64, CliError> {
    let seqs = (0..batch).map(|_| session.open()).collect::<Result<Vec<_>, _>>()?;
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
    for TestResult { test, batch, tokens_per_s: Speed { median, min, max }, share_of_bound } in
        &report.results
    {
        let share = share_of_bound * 100.0;
        out.push_str(&format!(
            "{test:>8} x{batch:<3} {median:10.1} tokens/s ({min:.1} to {max:.1}), {share:.0} % of the bound\n"
        ));
    }
    out
}
