//! `detokenize`: token ids to text.

use std::io::BufRead;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clap::Args;
use realizar_tokenize::{Compat, DecodeOptions};
use serde::{Deserialize, Serialize};

use crate::args::{ComputeArgs, TokenizerArg};
use crate::error::CliError;
use crate::ids::{self, Ids};
use crate::{load, output};

/// Flags of `detokenize`.
#[derive(Debug, Args)]
pub(crate) struct DetokenizeArgs {
    #[command(flatten)]
    source: TokenizerArg,
    /// The token ids
    #[arg(long, value_name = "1,2,3", value_parser = ids::parse, required_unless_present = "jsonl")]
    ids: Option<Ids>,
    /// One JSON object a line on standard input: `{"ids":[1,2,3]}`
    #[arg(long, conflicts_with = "ids")]
    jsonl: bool,
    /// Write control tokens out instead of leaving them away
    #[arg(long)]
    keep_special: bool,
    #[command(flatten)]
    compute: ComputeArgs,
}

/// A line of `--jsonl`.
#[derive(Deserialize)]
struct IdsLine {
    ids: Vec<u32>,
}

/// The answer to a line of `--jsonl`.
#[derive(Serialize)]
struct BytesLine {
    b64: String,
}

/// Runs the command.
pub(crate) fn run(args: DetokenizeArgs) -> Result<(), CliError> {
    let tokenizer = load::tokenizer(&args.source.model, Compat::Original, args.source.pattern.as_deref())?;
    load::warn_of(tokenizer.warnings(), args.compute.quiet);
    let options = DecodeOptions { keep_special: args.keep_special, clean_spaces: false, strip_ends: false };
    if let Some(Ids(ids)) = args.ids {
        return output::write(&tokenizer.decode(&ids, options)?);
    }
    for (number, line) in (1..).zip(std::io::stdin().lock().lines()) {
        let bad = |message: String| CliError::Line { line: number, message };
        let line = line.map_err(|error| bad(error.to_string()))?;
        if line.trim().is_empty() {
            continue;
        }
        let wanted: IdsLine = serde_json::from_str(&line).map_err(|error| bad(error.to_string()))?;
        let bytes = tokenizer.decode(&wanted.ids, options).map_err(|error| bad(error.to_string()))?;
        output::json_line(&BytesLine { b64: STANDARD.encode(bytes) })?;
    }
    Ok(())
}
