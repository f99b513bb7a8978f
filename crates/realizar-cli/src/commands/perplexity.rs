//! `perplexity`: how well a model predicts a text.
//!
//! The text is cut into chunks of `--ctx` tokens, each with an empty cache; where the model begins texts with a token of
//! its own, that token takes the first place. The second half of a chunk is scored, so that every scored token has at
//! least half a chunk before it. This is llama.cpp's windowing, so the figures can be compared.

use std::path::PathBuf;

use clap::Args;
use realizar_model::{Span, Want};
use realizar_sample::LogNormalizer;
use realizar_tokenize::EncodeOptions;
use serde::Serialize;

use crate::args::{ComputeArgs, ModelArg};
use crate::error::CliError;
use crate::{load, output, session};

/// Tokens per chunk where `--ctx` does not say.
const CHUNK: usize = 256;

/// Flags of `perplexity`.
#[derive(Debug, Args)]
pub(crate) struct PerplexityArgs {
    #[command(flatten)]
    model: ModelArg,
    /// The text
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// One JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    compute: ComputeArgs,
}

/// What `--json` prints.
#[derive(Serialize)]
struct Summary {
    ppl: f64,
    nll: f64,
    tokens: usize,
    chunks: usize,
}

/// Runs the command.
pub(crate) fn run(args: PerplexityArgs) -> Result<(), CliError> {
    let text = std::fs::read(&args.file).map_err(|error| CliError::file("read", &args.file, error))?;
    let loaded = load::model(&args.model.model)?;
    load::warn(&loaded, args.compute.quiet);
    let plain = EncodeOptions { add_special: true, parse_special: false };
    let mut ids = loaded.tokenizer().encode(&text, plain)?;
    // What the model puts before every text, it puts before every chunk.
    let bos = loaded.tokenizer().encode(b"", plain)?.first().copied();
    let chunk = args.compute.ctx.unwrap_or(CHUNK);
    if chunk < 2 || ids.len() < chunk {
        return Err(CliError::Usage(format!(
            "the text has {} tokens, --ctx {chunk} needs as many and at least 2",
            ids.len()
        )));
    }
    let mut session = session::open(loaded.model(), &args.compute, 1, chunk)?;
    let (mut nll, mut tokens, mut chunks) = (0.0, 0, 0);
    for window in ids.chunks_exact_mut(chunk) {
        if let Some(bos) = bos {
            window[0] = bos;
        }
        let seq = session.open()?;
        let half = chunk / 2;
        session.forward(&[Span { seq, tokens: &window[..half], logits: Want::None }])?;
        let scores = session.forward(&[Span { seq, tokens: &window[half..], logits: Want::All }])?;
        for position in half..chunk - 1 {
            let row = scores.row(position - half);
            nll -= LogNormalizer::of(row)?.logprob(row[window[position + 1] as usize]);
            tokens += 1;
        }
        session.close(seq)?;
        chunks += 1;
    }
    let summary = Summary { ppl: (nll / tokens as f64).exp(), nll, tokens, chunks };
    if args.json {
        return output::json_line(&summary);
    }
    output::print(&format!("perplexity {:.4} ({tokens} tokens of {chunks} chunks)\n", summary.ppl))
}
