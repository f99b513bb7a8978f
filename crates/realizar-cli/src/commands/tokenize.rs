//! `tokenize`: text to token ids.

use std::io::{BufRead, IsTerminal, Read};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clap::{Args, ValueEnum};
use realizar_tokenize::{Compat, EncodeOptions, Encoded, TokenizeError, Tokenizer};
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
    /// Show the pieces of the text instead of ids, in colours on a terminal
    #[arg(long, conflicts_with = "jsonl")]
    pieces: bool,
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
    if args.pieces {
        // Colours are for eyes, and for those who want them (no-color.org).
        let colours =
            std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|set| set.is_empty());
        return output::print(&pieces(
            &tokenizer,
            &bytes,
            &tokenizer.encode_with_offsets(&bytes, options)?,
            colours,
        ));
    }
    output::json_line(&tokenizer.encode(&bytes, options)?)
}

/// Backgrounds that neighbours take in turn, with black letters.
const COLOURS: [u8; 5] = [151, 222, 183, 153, 217];

/// The text in its pieces, and their number. What stands for nothing in the text, or for a part of a character, is shown
/// as the vocabulary spells it.
fn pieces(tokenizer: &Tokenizer, text: &[u8], encoded: &Encoded, colours: bool) -> String {
    let mut out = String::new();
    let mut done = 0;
    for (index, (id, (start, end))) in encoded.ids.iter().zip(&encoded.offsets).enumerate() {
        let part = if start < end && *start >= done { text.get(*start..*end) } else { None };
        let part = String::from_utf8_lossy(part.unwrap_or_else(|| tokenizer.token_text(*id)));
        done = done.max(*end);
        // Nothing of the text may command the terminal.
        let shown: String = part
            .chars()
            .map(
                |letter| {
                    if commands(letter) { letter.escape_default().to_string() } else { letter.to_string() }
                },
            )
            .collect();
        if colours {
            let colour = COLOURS.get(index % COLOURS.len()).copied().unwrap_or_default();
            out.push_str(&format!("\u{1b}[30;48;5;{colour}m{shown}\u{1b}[0m"));
        } else {
            out.push_str(if index > 0 { "|" } else { "" });
            out.push_str(&shown);
        }
    }
    let count = encoded.ids.len();
    format!("{out}\n{count} token{}\n", if count == 1 { "" } else { "s" })
}

/// Whether a character does something to what is shown around it: controls, line ends, and marks of direction.
fn commands(letter: char) -> bool {
    letter.is_control()
        || matches!(letter, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_shown_for_people() {
        let ranks: String = (0..=255u8).map(|byte| format!("{} {byte}\n", STANDARD.encode([byte]))).collect();
        let ranks = format!("{ranks}{} 256\n", STANDARD.encode("ab"));
        let ranks = format!("{ranks}{} 257\n", STANDARD.encode("\u{202e}"));
        let tokenizer = Tokenizer::from_tiktoken(ranks.as_bytes(), "gpt2", &[("<end>", 258)]).unwrap();
        for (text, colours, expected) in [
            ("ab", false, "ab\n1 token\n"),
            ("ab c<end>", false, "ab| |c|<end>\n4 tokens\n"),
            ("a\n\u{1b}[2J", false, "a|\\n|\\u{1b}|[|2|J\n6 tokens\n"),
            ("\u{202e}", false, "\\u{202e}\n1 token\n"),
            ("abc", true, "\u{1b}[30;48;5;151mab\u{1b}[0m\u{1b}[30;48;5;222mc\u{1b}[0m\n2 tokens\n"),
        ] {
            let options = EncodeOptions { add_special: true, parse_special: true };
            let encoded = tokenizer.encode_with_offsets(text.as_bytes(), options).unwrap();
            assert_eq!(pieces(&tokenizer, text.as_bytes(), &encoded, colours), expected, "{text:?}");
        }
    }
}
