//! `chat`: a conversation, line by line.

use std::io::{BufRead, IsTerminal, stdin};
use std::path::PathBuf;
use std::time::SystemTime;

use clap::Args;
use realizar_engine::{AnswerOptions, ChatMessage, ChatPrompt, EngineError, Loaded, Solo};

use crate::args::{ComputeArgs, positive};
use crate::error::CliError;
use crate::interrupt::Interrupt;
use crate::sampling::SamplingArgs;
use crate::{demo, load, output, session};

/// Flags of `chat`.
#[derive(Debug, Args)]
#[command(allow_negative_numbers = true)]
pub(crate) struct ChatArgs {
    /// A model file or folder, or `demo` for the built-in model
    #[arg(value_name = "MODEL", default_value = demo::NAME)]
    model: PathBuf,
    /// What the model is told before the conversation
    #[arg(long, value_name = "TEXT")]
    system: Option<String>,
    /// A built-in chat template instead of the model's own
    #[arg(long, value_name = "NAME")]
    template: Option<String>,
    /// The most tokens of an answer [default: until the model ends its turn, or the context is full]
    #[arg(short = 'n', long = "max-tokens", value_name = "N", value_parser = positive)]
    max_tokens: Option<usize>,
    #[command(flatten)]
    sampling: SamplingArgs,
    #[command(flatten)]
    compute: ComputeArgs,
}

/// Runs the command: a line of stdin is a message, its answer goes to stdout. `/clear` forgets the conversation, `/exit` or
/// the end of the input ends it, and Ctrl-C stops an answer.
pub(crate) fn run(args: ChatArgs, interrupt: &Interrupt) -> Result<(), CliError> {
    let options = AnswerOptions {
        max_tokens: args.max_tokens,
        ..AnswerOptions::new(args.sampling.to_options(args.compute.seed)?)
    };
    let mut loaded = load::model(&args.model)?;
    if let Some(name) = &args.template {
        loaded = loaded.with_named_template(name)?;
    }
    load::warn(&loaded, args.compute.quiet);
    // Before anything is typed: whether there is a template at all.
    loaded.template()?;
    let session = session::options(loaded.model(), &args.compute, 1, 0)?;
    let mut solo = Solo::new(loaded, session)?;
    let system = args.system.map(|text| ChatMessage::new("system", text));
    let mut messages: Vec<ChatMessage> = system.iter().cloned().collect();
    let asks = stdin().is_terminal();
    loop {
        if asks {
            output::ask("> ");
        }
        let mut line = Vec::new();
        if stdin().lock().read_until(b'\n', &mut line).map_err(CliError::Stdin)? == 0 {
            return Ok(());
        }
        let Ok(line) = String::from_utf8(line) else {
            output::complain("the line is not UTF-8");
            continue;
        };
        match line.trim() {
            "" => {}
            "/exit" => return Ok(()),
            "/clear" => messages = system.iter().cloned().collect(),
            text => {
                messages.push(ChatMessage::new("user", text));
                match answer(&mut solo, &messages, &options, interrupt) {
                    Ok(text) => messages.push(ChatMessage::new("assistant", text)),
                    // The conversation goes on without what could not be answered.
                    Err(CliError::Engine(error)) => {
                        messages.pop();
                        output::complain(&CliError::Engine(error).to_line());
                    }
                    Err(error) => return Err(error),
                }
            }
        }
    }
}

/// Writes the answer to the conversation as it comes, and gives it back. An interrupt ends it early.
fn answer(
    solo: &mut Solo,
    messages: &[ChatMessage],
    options: &AnswerOptions,
    interrupt: &Interrupt,
) -> Result<String, CliError> {
    let prompt = tokens(solo.loaded(), messages)?;
    let text = interrupt.hold(|| -> Result<String, CliError> {
        let mut answer = solo.answer(&prompt, options)?;
        let mut text = String::new();
        while let Some(token) = answer.next_token()? {
            output::print(&token.text)?;
            text.push_str(&token.text);
            if interrupt.came() {
                break;
            }
        }
        Ok(text)
    })?;
    output::print("\n")?;
    Ok(text)
}

fn tokens(loaded: &Loaded, messages: &[ChatMessage]) -> Result<Vec<u32>, EngineError> {
    let extra = serde_json::Map::new();
    let chat = ChatPrompt { messages, add_generation_prompt: true, extra: &extra, now: SystemTime::now() };
    loaded.render_tokens(&chat, true)
}
