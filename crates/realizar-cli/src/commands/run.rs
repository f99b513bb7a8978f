//! `run`: text after a prompt, as it is written.

use std::ffi::{OsStr, OsString};
use std::io::Read;
use std::path::PathBuf;

use clap::Args;
use realizar_engine::{AnswerOptions, ChatMessage, ChatPrompt, Loaded, Solo};
use serde::Serialize;

use crate::args::{ComputeArgs, positive};
use crate::error::CliError;
use crate::ids::{self, Ids};
use crate::sampling::SamplingArgs;
use crate::{demo, load, output, session};

/// Flags of `run`.
#[derive(Debug, Args)]
#[command(allow_negative_numbers = true)]
pub(crate) struct RunArgs {
    /// A model file and a prompt; one alone is the model if it names one, else a prompt for the built-in model
    #[arg(value_name = "MODEL] [PROMPT", num_args = 0..=2)]
    positional: Vec<OsString>,
    /// The model by name
    #[arg(short, long, value_name = "MODEL")]
    model: Option<PathBuf>,
    /// The prompt by name
    #[arg(short, long, value_name = "TEXT")]
    prompt: Option<String>,
    /// The most tokens to write [default: until the model ends the text, or the context is full]
    #[arg(short = 'n', long = "max-tokens", value_name = "N", value_parser = positive)]
    max_tokens: Option<usize>,
    #[command(flatten)]
    sampling: SamplingArgs,
    /// End the text where this string comes; may be given several times
    #[arg(long, value_name = "TEXT")]
    stop: Vec<String>,
    /// The prompt as token ids, to which nothing is added
    #[arg(long, value_name = "1,2,3", value_parser = ids::parse, conflicts_with = "prompt")]
    ids: Option<Ids>,
    /// The prompt as it stands, without the model's chat template
    #[arg(long)]
    raw: bool,
    /// Do not put the beginning-of-text token first
    #[arg(long)]
    no_bos: bool,
    /// Go on after the model ended the text
    #[arg(long)]
    ignore_eos: bool,
    /// One JSON object a line: each token, then a summary
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    compute: ComputeArgs,
}

/// A line of `--json` for each token.
#[derive(Serialize)]
struct TokenLine<'a> {
    id: u32,
    text: &'a str,
}

/// The last line of `--json`.
#[derive(Serialize)]
struct SummaryLine<'a> {
    finish: &'a str,
    prompt_tokens: usize,
    completion_tokens: usize,
    first_token_ms: f64,
    prefill_ms: f64,
    decode_ms: f64,
}

/// Runs the command.
pub(crate) fn run(args: RunArgs) -> Result<(), CliError> {
    let started = std::time::Instant::now();
    let sampling = args.sampling.to_options(args.compute.seed)?;
    if args.stop.iter().any(String::is_empty) {
        return Err(CliError::Usage("--stop is empty, it must have at least one character".to_owned()));
    }
    let (model, prompt) = model_and_prompt(&args)?;
    let loaded = load::model(&model)?;
    load::warn(&loaded, args.compute.quiet);
    let prompt = match (&args.ids, prompt) {
        (Some(Ids(ids)), _) => ids.clone(),
        (None, Some(prompt)) => prompt_ids(&loaded, &prompt, &args)?,
        (None, None) => prompt_ids(&loaded, &read_stdin()?, &args)?,
    };
    let wanted = prompt.len().saturating_add(args.max_tokens.unwrap_or(0));
    let session = session::options(loaded.model(), &args.compute, 1, wanted)?;
    let mut solo = Solo::new(loaded, session)?;
    let options = AnswerOptions {
        sampling,
        max_tokens: args.max_tokens,
        stop: args.stop.clone(),
        ignore_eos: args.ignore_eos,
        logprobs: None,
    };
    let mut answer = solo.answer(&prompt, &options)?;
    let mut first_token_ms = None;
    while let Some(token) = answer.next_token()? {
        first_token_ms.get_or_insert_with(|| started.elapsed().as_secs_f64() * 1e3);
        if args.json {
            output::json_line(&TokenLine { id: token.id, text: &token.text })?;
        } else {
            output::print(&token.text)?;
        }
    }
    let summary = answer.summary();
    if args.json {
        output::json_line(&SummaryLine {
            finish: summary.finish.as_ref().map_or("length", |finish| finish.name()),
            prompt_tokens: summary.usage.prompt_tokens,
            completion_tokens: summary.usage.completion_tokens,
            first_token_ms: first_token_ms.unwrap_or(0.0),
            prefill_ms: summary.timings.prefill.as_secs_f64() * 1e3,
            decode_ms: summary.timings.decode.as_secs_f64() * 1e3,
        })
    } else {
        output::print("\n")
    }
}

/// Who is meant by the two positional arguments. No prompt means: read it from stdin.
fn model_and_prompt(args: &RunArgs) -> Result<(PathBuf, Option<String>), CliError> {
    let mut model = args.model.clone();
    let mut prompt = args.prompt.clone();
    let has_prompt = |prompt: &Option<String>| prompt.is_some() || args.ids.is_some();
    let mut positional = args.positional.iter();
    if let (None, Some(first)) = (&model, args.positional.first()) {
        // With a second argument or a prompt elsewhere, the first one can only be a model.
        if args.positional.len() == 2 || has_prompt(&prompt) || names_model(first) {
            model = positional.next().map(PathBuf::from);
        }
    }
    for text in positional {
        if has_prompt(&prompt) {
            return Err(CliError::Usage(format!(
                "unexpected argument `{}`: the prompt is already given",
                text.display()
            )));
        }
        let text = text
            .to_str()
            .ok_or_else(|| CliError::Usage(format!("the prompt `{}` is not UTF-8", text.display())))?;
        prompt = Some(text.to_owned());
    }
    Ok((model.unwrap_or_else(|| PathBuf::from(demo::NAME)), prompt))
}

/// Whether a single argument is meant as a model: by its ending, a separator in it, or because it is there.
fn names_model(argument: &OsStr) -> bool {
    let text = argument.to_string_lossy();
    let path = std::path::Path::new(argument);
    let ending = path
        .extension()
        .is_some_and(|ending| ["gguf", "safetensors", "apr"].iter().any(|known| ending == *known));
    text == demo::NAME || ending || text.contains(std::path::is_separator) || path.exists()
}

fn read_stdin() -> Result<String, CliError> {
    let mut bytes = Vec::new();
    std::io::stdin().lock().read_to_end(&mut bytes).map_err(CliError::Stdin)?;
    String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        CliError::Usage(format!("the prompt on standard input is not UTF-8 at byte {at}"))
    })
}

/// The prompt as tokens: through the model's chat template where it has one, unless `--raw`.
fn prompt_ids(loaded: &Loaded, prompt: &str, args: &RunArgs) -> Result<Vec<u32>, CliError> {
    if args.raw || !loaded.has_template() {
        return Ok(loaded.tokenize(prompt, !args.no_bos)?);
    }
    let messages = [ChatMessage::new("user", prompt)];
    let chat = ChatPrompt {
        messages: &messages,
        add_generation_prompt: true,
        extra: &serde_json::Map::new(),
        now: std::time::SystemTime::now(),
    };
    Ok(loaded.render_tokens(&chat, !args.no_bos)?)
}
