//! The commands, one file each.

pub(crate) mod bench;
pub(crate) mod chat;
pub(crate) mod convert;
pub(crate) mod detokenize;
pub(crate) mod embed;
pub(crate) mod info;
pub(crate) mod logits;
pub(crate) mod perplexity;
pub(crate) mod quantize;
pub(crate) mod rerank;
pub(crate) mod run;
pub(crate) mod serve;
pub(crate) mod tokenize;

use crate::args::Command;
use crate::error::CliError;
use crate::interrupt::Interrupt;

/// Does what was asked for.
pub(crate) fn dispatch(command: Command, interrupt: &Interrupt) -> Result<(), CliError> {
    match command {
        Command::Convert(args) => convert::run(args, interrupt),
        Command::Quantize(args) => quantize::run(args, interrupt),
        Command::Run(args) => run::run(args),
        Command::Chat(args) => chat::run(args, interrupt),
        Command::Serve(args) => serve::run(args),
        Command::Logits(args) => logits::run(args),
        Command::Tokenize(args) => tokenize::run(args),
        Command::Detokenize(args) => detokenize::run(args),
        Command::Embed(args) => embed::run(args),
        Command::Rerank(args) => rerank::run(args),
        Command::Info(args) => info::run(args),
        Command::Bench(args) => bench::run(args),
        Command::Perplexity(args) => perplexity::run(args),
    }
}
