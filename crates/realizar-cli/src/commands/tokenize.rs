//! `tokenize`: text to token ids.

use std::io::{BufRead, Read};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clap::{Args, ValueEnum};
use realizar_tokenize::{Compat, EncodeOptions, TokenizeError, Tokenizer};
use serde::{Deserialize, Serialize};

use crate::args::{ComputeArgs, TokenizerArg};
use crate::error::CliError;
use crate::{load, output};

/// Flags of `tokenize`.
#[derive(Debug, Args)]
pub(crate) struct TokenizeArgs {
    #[command(flatten)]
    source: TokenizerArg,
    /// The text [default: standard input]
    #[arg(value_name = "TEXT")]
    text: Option<String>,
    /// Do not add the tokens that begin or end a text
    #[arg(long)]
    no_special: bool,
    /// Read special tokens that are written out in the text
    #[arg(long)]
    parse_special: bool,
    /// One JSON object a line on standard input: `{"text":".."}` or `{"b64":".."}`
    #[arg(long, conflicts_with = "text")]
    jsonl: bool,
    /// Whose ids count where llama.cpp differs from a model's own tokenizer
    #[arg(long, value_name = "WHOSE", default_value = "original")]
    compat: CompatChoice,
    #[command(flatten)]
    compute: ComputeArgs,
}

/// Whose ids count.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum CompatChoice {
    Original,
    #[value(name = "llama.cpp")]
    LlamaCpp,
}

impl CompatChoice {
    pub(crate) fn to_compat(self) -> Compat {
        match self {
            Self::Original => Compat::Original,
            Self::LlamaCpp => Compat::LlamaCpp,
        }
    }
}

/// A line of `--jsonl`.
#[derive(Deserialize)]
struct TextLine {
    text: Option<String>,
    b64: Option<String>,
    add_special: Option<bool>,
    parse_special: Option<bool>,
}

/// The answer to a line of `--jsonl`.
#[derive(Serialize)]
struct IdsLine {
    ids: Vec<u32>,
}

/// Runs the command.
pub(crate) fn run(args: TokenizeArgs) -> Result<(), CliError> {
    let tokenizer =
        load::tokenizer(&args.source.model, args.compat.to_compat(), args.source.pattern.as_deref())?;
    load::warn_of(tokenizer.warnings(), args.compute.quiet);
    let options = EncodeOptions { add_special: !args.no_special, parse_special: args.parse_special };
    if args.jsonl {
        return lines(&tokenizer, options);
    }
    let bytes = match args.text {
        Some(text) => text.into_bytes(),
        None => {
            let mut bytes = Vec::new();
            std::io::stdin().lock().read_to_end(&mut bytes).map_err(CliError::Stdin)?;
            bytes
        }
    };
    output::json_line(&tokenizer.encode(&bytes, options)?)
}

fn lines(tokenizer: &Tokenizer, defaults: EncodeOptions) -> Result<(), CliError> {
    for (number, line) in (1..).zip(std::io::stdin().lock().lines()) {
        let bad = |message: String| CliError::Line { line: number, message };
        let line = line.map_err(|error| bad(error.to_string()))?;
        if line.trim().is_empty() {
            continue;
        }
        let wanted: TextLine = serde_json::from_str(&line).map_err(|error| bad(error.to_string()))?;
        let bytes = match (wanted.text, wanted.b64) {
            (Some(text), None) => text.into_bytes(),
            (None, Some(b64)) => STANDARD.decode(b64).map_err(|error| bad(format!("`b64`: {error}")))?,
            _ => return Err(bad("expected one of `text` and `b64`".to_owned())),
        };
        let options = EncodeOptions {
            add_special: wanted.add_special.unwrap_or(defaults.add_special),
            parse_special: wanted.parse_special.unwrap_or(defaults.parse_special),
        };
        let ids = tokenizer.encode(&bytes, options).map_err(|error: TokenizeError| bad(error.to_string()))?;
        output::json_line(&IdsLine { ids })?;
    }
    Ok(())
}
