//! `rerank`: documents in the order in which they answer a query.

use std::io::Read;
use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use realizar_engine::Loaded;
use realizar_model::{Encoder, EncoderOptions};
use realizar_tokenize::EncodeOptions;
use serde::Serialize;

use crate::args::{ComputeArgs, ModelArg};
use crate::error::CliError;
use crate::{load, output, session};

/// Flags of `rerank`.
#[derive(Debug, Args)]
pub(crate) struct RerankArgs {
    #[command(flatten)]
    model: ModelArg,
    /// What is looked for
    #[arg(value_name = "QUERY")]
    query: String,
    /// The documents
    #[arg(value_name = "DOCUMENT", required_unless_present = "documents")]
    texts: Vec<String>,
    /// A file of documents, one a line; `-` reads standard input
    #[arg(long, value_name = "FILE")]
    documents: Option<PathBuf>,
    /// What a document must do, for models that are asked in words
    #[arg(
        long,
        value_name = "TEXT",
        default_value = "Given a web search query, retrieve relevant passages that answer the query"
    )]
    instruction: String,
    /// The best so many only
    #[arg(long, value_name = "N")]
    top: Option<usize>,
    /// One JSON object with all results
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    compute: ComputeArgs,
}

/// All results, the best first.
#[derive(Serialize)]
struct Ranking<'a> {
    results: Vec<Scored<'a>>,
}

/// A document with its place among those that were given.
#[derive(Serialize)]
struct Scored<'a> {
    index: usize,
    score: f32,
    document: &'a str,
}

/// How a model is asked.
enum Question {
    /// Query and document as a pair of texts.
    Pair,
    /// In words, to a decoder with a head.
    Words,
    /// In words, where the answer is one of two tokens.
    YesOrNo([u32; 2]),
}

/// Runs the command.
pub(crate) fn run(args: RerankArgs) -> Result<(), CliError> {
    let mut documents = args.texts.clone();
    if let Some(path) = &args.documents {
        documents.extend(lines(path)?);
    }
    let loaded = load::model(&args.model.model)?;
    load::warn(&loaded, args.compute.quiet);
    let config = loaded.model().config();
    let question = match (config.causal(), config.ranks) {
        (false, true) => Question::Pair,
        (true, true) => Question::Words,
        (true, false) => Question::YesOrNo(answers(&loaded)?),
        (false, false) => {
            let name = args.model.model.display();
            return Err(CliError::Usage(format!(
                "`{name}` is an encoder without a reranker's head; see `embed`"
            )));
        }
    };
    let options = session::options(loaded.model(), &args.compute, 1, 0)?;
    let options =
        EncoderOptions { pool: options.pool, kernels: options.kernels, max_tokens: options.context };
    let mut encoder = Encoder::new(Arc::clone(loaded.model()), options)?;
    let mut results = Vec::with_capacity(documents.len());
    for (index, document) in documents.iter().enumerate() {
        let score = match &question {
            Question::Pair => encoder.score(&pair(&loaded, &args.query, document)?)?,
            Question::Words => encoder.score(&words(&loaded, &args, document)?)?,
            Question::YesOrNo([yes, no]) => {
                let logits = encoder.last_logits(&words(&loaded, &args, document)?)?;
                1.0 / (1.0 + (logits[*no as usize] - logits[*yes as usize]).exp())
            }
        };
        results.push(Scored { index, score, document });
    }
    // Equal scores stay in the order in which they were given.
    results.sort_by(|a, b| b.score.total_cmp(&a.score));
    results.truncate(args.top.unwrap_or(usize::MAX));
    if args.json {
        return output::json_line(&Ranking { results });
    }
    for Scored { index, score, document } in results {
        let shown = document.lines().next().unwrap_or_default();
        output::print(&format!("{score:.6}\t{index}\t{shown}\n"))?;
    }
    Ok(())
}

fn lines(path: &PathBuf) -> Result<Vec<String>, CliError> {
    let text = if path.as_os_str() == "-" {
        let mut text = String::new();
        std::io::stdin().lock().read_to_string(&mut text).map_err(CliError::Stdin)?;
        text
    } else {
        std::fs::read_to_string(path).map_err(|error| CliError::file("read", path, error))?
    };
    Ok(text.lines().filter(|line| !line.trim().is_empty()).map(str::to_owned).collect())
}

/// The tokens of the two answers.
fn answers(loaded: &Loaded) -> Result<[u32; 2], CliError> {
    let token = |word: &str| {
        loaded.tokenizer().token_id(word.as_bytes()).ok_or_else(|| {
            CliError::Usage(format!("the model has no token `{word}`, which a reranker answers with"))
        })
    };
    Ok([token("yes")?, token("no")?])
}

/// Query and document as the tokenizers of encoders join a pair: one separator between them in BERT's way, two in
/// RoBERTa's.
fn pair(loaded: &Loaded, query: &str, document: &str) -> Result<Vec<u32>, CliError> {
    let options = EncodeOptions { add_special: true, parse_special: false };
    let tokenizer = loaded.tokenizer();
    if let Some(encoding) = tokenizer.encode_pair(query, Some(document), options, false)? {
        return Ok(encoding.ids);
    }
    let (mut ids, second) = (loaded.encode(query, options)?, loaded.encode(document, options)?);
    let begins = second.first().is_some_and(|first| ids.first() == Some(first));
    let double = begins && tokenizer.token_text(second[0]) != b"[CLS]";
    ids.extend(ids.last().copied().filter(|_| double));
    ids.extend(&second[usize::from(begins)..]);
    Ok(ids)
}

/// The question in the words of Qwen 3's rerankers. Control tokens that are spelled out in query or document stay text.
fn words(loaded: &Loaded, args: &RerankArgs, document: &str) -> Result<Vec<u32>, CliError> {
    let mut text = String::from(
        "<|im_start|>system\nJudge whether the Document meets the requirements based on the Query and the Instruct \
         provided. Note that the answer can only be \"yes\" or \"no\".<|im_end|>\n<|im_start|>user\n<Instruct>: ",
    );
    let mut plain = Vec::with_capacity(3);
    let parts = [(args.instruction.as_str(), "\n<Query>: "), (&args.query, "\n<Document>: "), (document, "")];
    for (part, behind) in parts {
        plain.push(text.len()..text.len() + part.len());
        text.push_str(part);
        text.push_str(behind);
    }
    text.push_str("<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n");
    plain.retain(|range| !range.is_empty());
    let options = EncodeOptions { add_special: false, parse_special: true };
    Ok(loaded.tokenizer().encode_guarded(text.as_bytes(), &plain, options)?)
}
