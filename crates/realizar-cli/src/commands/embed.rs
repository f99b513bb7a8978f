//! `embed`: texts to vectors.

use std::io::BufRead;
use std::sync::Arc;

use clap::{Args, ValueEnum};
use realizar_engine::Loaded;
use realizar_model::{Encoder, EncoderOptions, Pooling};
use realizar_tokenize::EncodeOptions;
use serde::{Deserialize, Serialize};

use crate::args::{ComputeArgs, ModelArg};
use crate::error::CliError;
use crate::ids::{self, Ids};
use crate::{load, output, session};

/// Flags of `embed`.
#[derive(Debug, Args)]
pub(crate) struct EmbedArgs {
    #[command(flatten)]
    model: ModelArg,
    /// The texts
    #[arg(value_name = "TEXT", required_unless_present_any = ["ids", "jsonl"])]
    texts: Vec<String>,
    /// A text as token ids, to which nothing is added
    #[arg(long, value_name = "1,2,3", value_parser = ids::parse, conflicts_with = "texts")]
    ids: Option<Ids>,
    /// One JSON object a line on standard input: `{"text":".."}`
    #[arg(long, conflicts_with_all = ["texts", "ids"])]
    jsonl: bool,
    /// One JSON object for each text, a line each
    #[arg(long)]
    json: bool,
    /// How the tokens' vectors are joined [default: as the model's file says, else mean]
    #[arg(long, value_name = "HOW")]
    pooling: Option<PoolingChoice>,
    /// Leave the vector's length as it is
    #[arg(long)]
    no_normalize: bool,
    #[command(flatten)]
    compute: ComputeArgs,
}

/// How the tokens' vectors are joined.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum PoolingChoice {
    Mean,
    Cls,
    Last,
    None,
}

/// A line of `--jsonl`.
#[derive(Deserialize)]
struct TextLine {
    text: String,
}

/// A vector, or one for each token.
#[derive(Serialize)]
struct Embedding<T> {
    embedding: T,
}

/// A model at work, and how its vectors are to look.
struct Work {
    loaded: Loaded,
    encoder: Encoder,
    pooling: Pooling,
    unit_length: bool,
    json: bool,
}

/// Runs the command.
pub(crate) fn run(args: EmbedArgs) -> Result<(), CliError> {
    let loaded = load::model(&args.model.model)?;
    load::warn(&loaded, args.compute.quiet);
    let model = Arc::clone(loaded.model());
    let pooling = match args.pooling {
        None => model.config().pooling.unwrap_or(Pooling::Mean),
        Some(PoolingChoice::Mean) => Pooling::Mean,
        Some(PoolingChoice::Cls) => Pooling::Cls,
        Some(PoolingChoice::Last) => Pooling::Last,
        Some(PoolingChoice::None) => Pooling::None,
    };
    let session = session::options(loaded.model(), &args.compute, 1, 0)?;
    let options =
        EncoderOptions { pool: session.pool, kernels: session.kernels, max_tokens: session.context };
    let encoder = Encoder::new(model, options)?;
    let json = args.json || args.jsonl;
    let mut work = Work { loaded, encoder, pooling, unit_length: !args.no_normalize, json };
    if let Some(Ids(ids)) = &args.ids {
        return work.embed(ids);
    }
    for text in &args.texts {
        work.embed_text(text)?;
    }
    if args.jsonl {
        work.lines()?;
    }
    Ok(())
}

impl Work {
    fn lines(&mut self) -> Result<(), CliError> {
        for (number, line) in (1..).zip(std::io::stdin().lock().lines()) {
            let line = line.map_err(CliError::Stdin)?;
            if line.trim().is_empty() {
                continue;
            }
            let bad = |message: String| CliError::Line { line: number, message };
            let TextLine { text } = serde_json::from_str(&line).map_err(|error| bad(error.to_string()))?;
            self.embed_text(&text).map_err(|error| bad(error.to_line()))?;
        }
        Ok(())
    }

    fn embed_text(&mut self, text: &str) -> Result<(), CliError> {
        let options = EncodeOptions { add_special: true, parse_special: false };
        let ids = self.loaded.tokenizer().encode(text.as_bytes(), options)?;
        self.embed(&ids)
    }

    fn embed(&mut self, ids: &[u32]) -> Result<(), CliError> {
        let vector = self.encoder.encode(ids, self.pooling, self.unit_length)?;
        if !self.json {
            let numbers: Vec<String> = vector.iter().map(f32::to_string).collect();
            return output::print(&(numbers.join(" ") + "\n"));
        }
        match self.pooling {
            Pooling::None => {
                let width = vector.len() / ids.len();
                output::json_line(&Embedding { embedding: vector.chunks(width).collect::<Vec<_>>() })
            }
            _ => output::json_line(&Embedding { embedding: vector }),
        }
    }
}
