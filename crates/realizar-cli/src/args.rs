//! What the user typed: the commands, and the flags that several of them share.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::error::ErrorKind;
use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::commands;
use crate::error::CliError;

/// Run language models on this machine.
#[derive(Debug, Parser)]
#[command(name = "realizar-cli", version, disable_help_subcommand = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

/// One command and its flags.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Write text after a prompt
    Run(commands::run::RunArgs),
    /// Talk with a model, line by line
    Chat(commands::chat::ChatArgs),
    /// Answer requests over HTTP
    Serve(commands::serve::ServeArgs),
    /// Scores of the model for given tokens
    Logits(commands::logits::LogitsArgs),
    /// Text to token ids
    Tokenize(commands::tokenize::TokenizeArgs),
    /// Token ids to text
    Detokenize(commands::detokenize::DetokenizeArgs),
    /// Texts to vectors
    Embed(commands::embed::EmbedArgs),
    /// Documents in the order in which they answer a query
    Rerank(commands::rerank::RerankArgs),
    /// A model in another format
    Convert(commands::convert::ConvertArgs),
    /// What a model file holds
    Info(commands::info::InfoArgs),
    /// Measure speed, and this machine's bounds
    Bench(commands::bench::BenchArgs),
    /// How well a model predicts a text
    Perplexity(commands::perplexity::PerplexityArgs),
    /// The same model in fewer bits
    Quantize(commands::quantize::QuantizeArgs),
}

/// Flags of every command, so that a script may pass them everywhere; each command reads those that concern it.
#[derive(Debug, Clone, Args)]
pub(crate) struct ComputeArgs {
    /// Threads that compute [default: the cores that this process may use]
    #[arg(long, value_name = "N", value_parser = positive)]
    pub(crate) threads: Option<usize>,
    /// Tokens that a sequence may hold [default: what the model was trained for, at most 8192]
    #[arg(long, value_name = "N", value_parser = positive)]
    pub(crate) ctx: Option<usize>,
    /// How keys and values are stored
    #[arg(long, value_name = "TYPE", default_value = "f16")]
    pub(crate) kv: KvChoice,
    /// Prompt tokens per forward pass
    #[arg(long, value_name = "N", default_value = "512", value_parser = positive)]
    pub(crate) chunk: usize,
    /// Recurrent states that a sequence keeps of its past, for models that have them: each makes going back cheaper
    #[arg(long, value_name = "N", default_value = "1")]
    pub(crate) checkpoints: usize,
    /// Where to compute
    #[arg(long, value_name = "DEVICE", default_value = "auto")]
    pub(crate) device: DeviceChoice,
    /// Key of the random numbers: the same seed gives the same text
    #[arg(long, value_name = "N", default_value = "0")]
    pub(crate) seed: u64,
    /// Say nothing on stderr but errors
    #[arg(short, long)]
    pub(crate) quiet: bool,
}

/// Storage of keys and values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
pub(crate) enum KvChoice {
    F32,
    F16,
    #[value(name = "q8_0")]
    Q8,
}

/// Where to compute.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum DeviceChoice {
    Auto,
    Cpu,
    Gpu,
}

/// A model, by flag-free position.
#[derive(Debug, Clone, Args)]
pub(crate) struct ModelArg {
    /// A model file, or `demo` for the built-in model
    #[arg(value_name = "MODEL")]
    pub(crate) model: PathBuf,
}

/// A tokenizer, by position.
#[derive(Debug, Clone, Args)]
pub(crate) struct TokenizerArg {
    /// A model file or folder, `demo`, a tokenizer.json, a SentencePiece .model file, or ranks (with --pattern)
    #[arg(value_name = "MODEL")]
    pub(crate) model: PathBuf,
    /// MODEL is a tiktoken rank file whose texts are cut by this: gpt2, cl100k, o200k or a regular expression
    #[arg(long, value_name = "NAME|REGEX")]
    pub(crate) pattern: Option<String>,
}

/// What the arguments ask for.
pub(crate) enum Parsed {
    /// Help or the version: text for stdout.
    Text(String),
    /// A command.
    Command(Box<Command>),
}

/// Reads the arguments, the first of which is the program's name.
pub(crate) fn parse(args: impl Iterator<Item = OsString>) -> Result<Parsed, CliError> {
    match Cli::try_parse_from(args) {
        Ok(cli) => Ok(Parsed::Command(Box::new(cli.command))),
        Err(error) if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) => {
            Ok(Parsed::Text(error.render().to_string()))
        }
        Err(error) => Err(CliError::Usage(one_line(&error))),
    }
}

/// The first paragraph of clap's message, on one line and without its own `error:`.
fn one_line(error: &clap::Error) -> String {
    if error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        return "a command is missing, try `realizar-cli --help`".to_owned();
    }
    let text = error.render().to_string();
    let paragraph = text.split("\n\n").next().unwrap_or(&text);
    let line = paragraph.split_whitespace().collect::<Vec<_>>().join(" ");
    line.strip_prefix("error: ").unwrap_or(&line).to_owned()
}

/// A whole number of at least 1.
pub(crate) fn positive(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(number) if number > 0 => Ok(number),
        _ => Err("it must be a whole number of at least 1".to_owned()),
    }
}
