//! `logits`: the model's scores for given tokens.

use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use realizar_model::{Model, Session, Span, Want};
use realizar_sample::{argmax, top_logprobs};
use realizar_tokenize::{Compat, Tokenizer};
use serde::Serialize;

use crate::args::{ComputeArgs, ModelArg};
use crate::error::CliError;
use crate::ids::{self, Ids};
use crate::out_file::OutFile;
use crate::{load, output, session};

/// Flags of `logits`.
#[derive(Debug, Args)]
pub(crate) struct LogitsArgs {
    #[command(flatten)]
    model: ModelArg,
    /// The tokens
    #[arg(long, value_name = "1,2,3", value_parser = ids::parse, required_unless_present = "prompt", conflicts_with = "prompt")]
    ids: Option<Ids>,
    /// A text instead of tokens
    #[arg(short, long, value_name = "TEXT")]
    prompt: Option<String>,
    /// After which tokens: `last`, `all`, or positions that begin at 0
    #[arg(long, value_name = "last|all|0,5,11", default_value = "last", value_parser = positions)]
    positions: Positions,
    /// Write the scores to a file: little-endian f32, one row of the vocabulary's size per position
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// A JSON object with the positions and the best token after each
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    compute: ComputeArgs,
}

/// Which rows are wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Positions {
    Last,
    All,
    List(Vec<usize>),
}

fn positions(text: &str) -> Result<Positions, String> {
    match text {
        "last" => Ok(Positions::Last),
        "all" => Ok(Positions::All),
        list => {
            let Ids(ids) = ids::parse(list)
                .map_err(|_| "it must be `last`, `all` or positions such as 0,5,11".to_owned())?;
            let list: Vec<usize> = ids.iter().map(|&id| id as usize).collect();
            if list.is_sorted_by(|a, b| a < b) {
                Ok(Positions::List(list))
            } else {
                Err("positions must ascend".to_owned())
            }
        }
    }
}

/// What `--json` prints.
#[derive(Serialize)]
struct Summary {
    vocab: usize,
    positions: Vec<usize>,
    argmax: Vec<u32>,
}

/// Runs the command.
pub(crate) fn run(args: LogitsArgs) -> Result<(), CliError> {
    let (model, tokenizer, ids) = match args.ids {
        // Tokens need no tokenizer; where there is one, it shows their text.
        Some(Ids(ids)) => {
            let source = load::source(&args.model.model)?;
            let model = Arc::new(Model::load(source.as_ref())?);
            load::warn_of(model.warnings(), args.compute.quiet);
            (model, realizar_engine::tokenizer(source.as_ref(), Compat::Original).ok().map(Arc::new), ids)
        }
        None => {
            let loaded = load::model(&args.model.model)?;
            load::warn(&loaded, args.compute.quiet);
            let ids = loaded.tokenize(args.prompt.as_deref().unwrap_or_default(), true)?;
            (Arc::clone(loaded.model()), Some(Arc::clone(loaded.tokenizer())), ids)
        }
    };
    let last =
        ids.len().checked_sub(1).ok_or_else(|| CliError::Usage("the text has no tokens".to_owned()))?;
    let wanted = match args.positions {
        Positions::Last => vec![last],
        Positions::All => (0..ids.len()).collect(),
        Positions::List(list) => list,
    };
    if let Some(&position) = wanted.iter().find(|&&position| position > last) {
        return Err(CliError::Usage(format!("--positions names {position}, the last position is {last}")));
    }
    let mut session = session::open(&model, &args.compute, 1, ids.len())?;
    let mut sink = Sink {
        summary: Summary { vocab: model.config().vocab, positions: Vec::new(), argmax: Vec::new() },
        file: args.out.as_deref().map(OutFile::create).transpose()?,
    };
    let show = args.out.is_none() && !args.json;
    rows(&mut session, &ids, &wanted, args.compute.chunk, |position, row| {
        if show {
            show_best(tokenizer.as_deref(), position, row)?;
        }
        sink.take(position, row)
    })?;
    let summary = sink.finish()?;
    if args.json { output::json_line(&summary) } else { Ok(()) }
}

/// Feeds the tokens and hands over the wanted rows in order. Where positions lie close together, a chunk's rows are
/// computed at once, else only those that end a pass: the scores are the same either way.
fn rows(
    session: &mut Session,
    ids: &[u32],
    wanted: &[usize],
    chunk: usize,
    mut take: impl FnMut(usize, &[f32]) -> Result<(), CliError>,
) -> Result<(), CliError> {
    let seq = session.open()?;
    let dense = wanted.len() * 2 > ids.len();
    let mut wanted = wanted.iter().copied().peekable();
    let mut done = 0;
    while let Some(&next) = wanted.peek() {
        let end = if dense { (done + chunk).min(ids.len()) } else { next + 1 };
        let logits = if !dense { Want::Last } else { Want::All };
        let scores = session.forward(&[Span { seq, tokens: &ids[done..end], logits }])?;
        while let Some(position) = wanted.next_if(|&position| position < end) {
            take(position, scores.row(if dense { position - done } else { 0 }))?;
        }
        done = end;
    }
    Ok(())
}

/// Where the rows go.
struct Sink {
    summary: Summary,
    file: Option<OutFile>,
}

impl Sink {
    fn take(&mut self, position: usize, row: &[f32]) -> Result<(), CliError> {
        self.summary.positions.push(position);
        self.summary.argmax.push(argmax(row)?);
        self.file.as_mut().map_or(Ok(()), |file| file.numbers(row))
    }

    fn finish(self) -> Result<Summary, CliError> {
        self.file.map_or(Ok(()), OutFile::finish)?;
        Ok(self.summary)
    }
}

/// One line a position for people: the five most probable tokens.
fn show_best(tokenizer: Option<&Tokenizer>, position: usize, row: &[f32]) -> Result<(), CliError> {
    let mut line = format!("{position}:");
    for best in top_logprobs(row, 5)? {
        line.push_str(&format!("  {}", best.id));
        if let Some(tokenizer) = tokenizer {
            let bytes = tokenizer.token_bytes(best.id, true).unwrap_or_default();
            line.push_str(&format!(" {:?}", String::from_utf8_lossy(&bytes)));
        }
        line.push_str(&format!(" {:.4}", best.logprob.exp()));
    }
    output::print(&(line + "\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn position_lists() {
        assert_eq!(positions("last"), Ok(Positions::Last));
        assert_eq!(positions("all"), Ok(Positions::All));
        assert_eq!(positions("0,5"), Ok(Positions::List(vec![0, 5])));
        for bad in ["", "first", "5,0", "1,1", "-1"] {
            assert!(positions(bad).is_err(), "{bad:?}");
        }
    }
}
