//! `serve`: a model behind HTTP, until it is told to stop.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use realizar_engine::{Engine, EngineOptions, Times};
use realizar_http::{
    Access, App, HyperServer, Keys, Limits, Listener, LogSink, RequestLog, Served, Server, Settings,
};
use serde::Serialize;
use signal_hook::consts::{SIGHUP, SIGTERM};
use signal_hook::iterator::Signals;

use crate::args::{ComputeArgs, positive};
use crate::error::CliError;
use crate::{demo, load, output, session};

/// Most threads that talk to clients. They only pass bytes on; the cores belong to the model.
const WORKERS: usize = 2;
/// Prompt tokens per step beside the answers that are being written.
const STEP_TOKENS: usize = 512;
/// Events that a slow client may leave unread before its answer waits for it.
const MAX_EVENTS: usize = 256;

/// Connections of an address beyond those whose requests are answered or wait.
const SPARE: usize = 64;

/// A key in the environment, beside those of the file.
const KEY: &str = "REALIZAR_API_KEY";

/// Flags of `serve`.
#[derive(Debug, Args)]
pub(crate) struct ServeArgs {
    /// A model file, or `demo` for the built-in model; a server has one model
    #[arg(value_name = "MODEL", default_value = demo::NAME)]
    models: Vec<PathBuf>,
    /// Where to listen; port 0 picks a free one
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:8080")]
    listen: SocketAddr,
    /// The name of the model [default: that of its file]
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// A further name of the model; may be given several times
    #[arg(long, value_name = "NAME")]
    alias: Vec<String>,
    /// Answers that are written together
    #[arg(long, value_name = "N", default_value = "16", value_parser = positive)]
    parallel: usize,
    /// Requests that may wait; more are told to come back later
    #[arg(long, value_name = "N", default_value = "256", value_parser = positive)]
    max_queue: usize,
    /// A file of API keys, one a line, that only its owner may read; clients must send one of them, or that of the
    /// environment variable REALIZAR_API_KEY. SIGHUP reads it again
    #[arg(long, value_name = "FILE")]
    api_key_file: Option<PathBuf>,
    /// Listen beyond this machine without any key
    #[arg(long)]
    insecure_no_auth: bool,
    /// A further host name under which clients may call; may be given several times
    #[arg(long, value_name = "HOST")]
    allow_host: Vec<String>,
    /// An origin (such as `https://app.example`) whose web pages may call; may be given several times
    #[arg(long, value_name = "ORIGIN")]
    allow_origin: Vec<String>,
    /// Seconds that running answers get when the server is told to end
    #[arg(long, value_name = "SECONDS", default_value = "30")]
    drain_time: u64,
    /// Change a limit of sizes (bytes), counts or times (seconds), such as body-bytes=1048576 or queue-time=30
    #[arg(long, value_name = "NAME=VALUE", value_parser = limit)]
    limit: Vec<Limit>,
    /// Speak HTTP/1.1 only
    #[arg(long)]
    no_http2: bool,
    #[command(flatten)]
    compute: ComputeArgs,
}

/// Runs the command.
pub(crate) fn run(args: ServeArgs) -> Result<(), CliError> {
    let model = model(&args.models)?;
    let keys = keys(args.api_key_file.as_deref())?;
    if keys.is_open() && !args.listen.ip().is_loopback() && !args.insecure_no_auth {
        let message = format!(
            "--listen {}: others than this machine could call without a key; give --api-key-file, or --insecure-no-auth",
            args.listen
        );
        return Err(CliError::Usage(message));
    }
    let limits = limits(&args)?;
    // Taken before the model is loaded: a port that is in use is told at once.
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(workers()).enable_all().build();
    let runtime = runtime.map_err(CliError::Runtime)?;
    let listener = {
        let _inside = runtime.enter();
        Listener::bind(args.listen, &limits)?
    };
    let address = listener.local_addr().map_err(CliError::Runtime)?;
    let engine = start(model, &args, &limits)?;
    let name = args.name.clone().unwrap_or_else(|| name_of(model));
    let quiet = args.compute.quiet;
    let settings = Settings {
        limits,
        keys,
        access: access(&args, address.ip()),
        aliases: args.alias.clone(),
        log: (!quiet).then(|| LogSink::new(log)),
    };
    let app = App::new(Served::new(engine.clone(), name), settings);
    obey_signals(&runtime, &app, &args)?;
    output::note(quiet, &format!("listening on http://{address}"));
    runtime.block_on(HyperServer.serve(listener, app)).map_err(CliError::Runtime)?;
    engine.shutdown();
    Ok(())
}

/// Threads that talk to clients: on two cores one. Two of them wake each other at every turn of a stream, and that time is taken
/// from the threads that compute.
fn workers() -> usize {
    std::thread::available_parallelism().map_or(1, |cores| (cores.get() / 2).clamp(1, WORKERS))
}

/// The one model. Every further one would take its memory from it, and answers their cores from each other.
fn model(models: &[PathBuf]) -> Result<&Path, CliError> {
    match models {
        [model] => Ok(model),
        [model, other, ..] => Err(CliError::Usage(format!(
            "a server has one model: run another one, with a --listen of its own, for `{}` beside `{}`",
            other.display(),
            model.display()
        ))),
        [] => Ok(Path::new(demo::NAME)),
    }
}

fn start(model: &Path, args: &ServeArgs, limits: &Limits) -> Result<Engine, CliError> {
    let loaded = load::model(model)?;
    load::warn(&loaded, args.compute.quiet);
    if let Err(error) = loaded.try_template() {
        output::note(args.compute.quiet, &format!("warning: no conversation can be answered: {error}"));
    }
    let options = EngineOptions {
        session: session::options(loaded.model(), &args.compute, args.parallel, 0)?,
        max_queue: args.max_queue,
        step_tokens: STEP_TOKENS,
        max_events: MAX_EVENTS,
        times: Times {
            queue: Some(limits.queue_time),
            first_token: Some(limits.first_token_time),
            answer: Some(limits.answer_time),
            stalled: Some(limits.stall_time),
        },
    };
    Ok(Engine::start(loaded, options)?)
}

/// What clients call the model: the file's name without its ending.
fn name_of(model: &Path) -> String {
    model.file_stem().map_or_else(|| "model".to_owned(), |stem| stem.to_string_lossy().into_owned())
}

fn access(args: &ServeArgs, listen: IpAddr) -> Access {
    Access { listen: Some(listen), hosts: args.allow_host.clone(), origins: args.allow_origin.clone() }
}

/// A limit's name and value.
type Limit = (String, String);

fn limit(text: &str) -> Result<Limit, String> {
    let (name, value) = text.split_once('=').ok_or("it must be NAME=VALUE, such as body-bytes=1048576")?;
    // Tried here, so that a wrong one is told as wrong usage.
    Limits::default().set(name, value).map_err(|error| error.to_string())?;
    Ok((name.to_owned(), value.to_owned()))
}

/// The standard limits with those that were changed. One that was loosened is told of.
fn limits(args: &ServeArgs) -> Result<Limits, CliError> {
    let mut limits = Limits { http2: !args.no_http2, ..Limits::default() };
    // Whoever sends more than can wait is told so, even from one address; only more connections than that are closed.
    let wanted = args.parallel.saturating_add(args.max_queue).saturating_add(SPARE);
    limits.connections_per_address = limits.connections_per_address.max(wanted);
    limits.connections = limits.connections.max(wanted);
    for (name, value) in &args.limit {
        if limits.set(name, value)? {
            output::note(args.compute.quiet, &format!("warning: limit {name}={value} is above the standard"));
        }
    }
    Ok(limits)
}

/// The keys of the file and of the environment.
fn keys(file: Option<&Path>) -> Result<Keys, CliError> {
    let keys = file.map(Keys::read).transpose()?.unwrap_or_default();
    match std::env::var(KEY) {
        Ok(key) if !key.is_empty() => Ok(keys.and(Keys::one(&key, KEY)?)),
        _ => Ok(keys),
    }
}

/// The first SIGTERM lets running answers finish, the second does not. SIGHUP reads the keys again; if that fails, those
/// from before stay.
fn obey_signals(runtime: &tokio::runtime::Runtime, app: &App, args: &ServeArgs) -> Result<(), CliError> {
    let mut signals = Signals::new([SIGTERM, SIGHUP]).map_err(CliError::Signals)?;
    let (handle, app) = (runtime.handle().clone(), app.clone());
    let (file, quiet) = (args.api_key_file.clone(), args.compute.quiet);
    let mut grace = Duration::from_secs(args.drain_time);
    std::thread::spawn(move || {
        for signal in signals.forever() {
            match (signal, &file) {
                (SIGHUP, None) => {}
                (SIGHUP, Some(file)) => match keys(Some(file)) {
                    Ok(keys) => {
                        app.replace_keys(keys);
                        output::note(quiet, "{\"event\":\"the keys were read again\"}");
                    }
                    Err(error) => {
                        output::complain(&format!("{}; the keys stay as they were", error.to_line()))
                    }
                },
                _ => {
                    let app = app.clone();
                    let grace = std::mem::take(&mut grace);
                    handle.spawn(async move { app.shut_down(grace).await });
                }
            }
        }
    });
    Ok(())
}

/// A request as one line of JSON on stderr. What client and model wrote is not in it.
fn log(request: &RequestLog) {
    #[derive(Serialize)]
    struct Line<'a> {
        id: &'a str,
        method: &'a str,
        route: &'a str,
        status: u16,
        #[serde(skip_serializing_if = "Option::is_none")]
        code: Option<&'a str>,
        ms: u128,
        prompt_tokens: usize,
        completion_tokens: usize,
        complete: bool,
    }
    let line = Line {
        id: &request.id,
        method: request.method,
        route: request.route,
        status: request.status,
        code: request.code,
        ms: request.duration.as_millis(),
        prompt_tokens: request.prompt_tokens,
        completion_tokens: request.completion_tokens,
        complete: request.complete,
    };
    if let Ok(line) = serde_json::to_string(&line) {
        output::note(false, &line);
    }
}
