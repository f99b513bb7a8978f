//! `serve`: a model behind HTTP, until it is told to stop.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use realizar_engine::{Engine, EngineOptions, Times};
use realizar_http::{
    Access, App, HyperServer, Keys, Limits, Listener, LogSink, RequestLog, Served, Server, Settings,
};
use serde::Serialize;
use signal_hook::consts::SIGTERM;
use signal_hook::iterator::Signals;

use crate::args::{ComputeArgs, positive};
use crate::error::CliError;
use crate::{demo, load, output, session};

/// Threads that talk to clients. They only pass bytes on; the cores belong to the model.
const WORKERS: usize = 2;
/// Prompt tokens per step beside the answers that are being written.
const STEP_TOKENS: usize = 512;
/// Events that a slow client may leave unread before its answer waits for it.
const MAX_EVENTS: usize = 64;

/// How long a request may wait for its turn, and for its first token.
const QUEUE_TIME: Duration = Duration::from_secs(120);
const FIRST_TOKEN_TIME: Duration = Duration::from_secs(600);

/// Flags of `serve`.
#[derive(Debug, Args)]
pub(crate) struct ServeArgs {
    /// A model file, or `demo` for the built-in model
    #[arg(value_name = "MODEL", default_value = demo::NAME)]
    model: PathBuf,
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
    /// A file of API keys, one a line, that only its owner may read; clients must send one of them
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
    /// Speak HTTP/1.1 only
    #[arg(long)]
    no_http2: bool,
    #[command(flatten)]
    compute: ComputeArgs,
}

/// Runs the command.
pub(crate) fn run(args: ServeArgs) -> Result<(), CliError> {
    let keys = args.api_key_file.as_deref().map(Keys::read).transpose()?.unwrap_or_default();
    if keys.is_open() && !args.listen.ip().is_loopback() && !args.insecure_no_auth {
        let message = format!(
            "--listen {}: others than this machine could call without a key; give --api-key-file, or --insecure-no-auth",
            args.listen
        );
        return Err(CliError::Usage(message));
    }
    let limits = Limits { http2: !args.no_http2, ..Limits::default() };
    // Taken before the model is loaded: a port that is in use is told at once.
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(WORKERS).enable_all().build();
    let runtime = runtime.map_err(CliError::Runtime)?;
    let listener = {
        let _inside = runtime.enter();
        Listener::bind(args.listen, &limits)?
    };
    let address = listener.local_addr().map_err(CliError::Runtime)?;
    let engine = start(&args)?;
    let name = args.name.clone().unwrap_or_else(|| name_of(&args.model));
    let quiet = args.compute.quiet;
    let settings = Settings {
        limits,
        keys,
        access: access(&args, address.ip()),
        aliases: args.alias.clone(),
        log: (!quiet).then(|| LogSink::new(log)),
    };
    let app = App::new(Served::new(engine.clone(), name), settings);
    stop_on_sigterm(&runtime, &app, Duration::from_secs(args.drain_time))?;
    output::note(quiet, &format!("listening on http://{address}"));
    runtime.block_on(HyperServer.serve(listener, app)).map_err(CliError::Runtime)?;
    engine.shutdown();
    Ok(())
}

fn start(args: &ServeArgs) -> Result<Engine, CliError> {
    let loaded = load::model(&args.model)?;
    load::warn(&loaded, args.compute.quiet);
    let options = EngineOptions {
        session: session::options(&loaded, &args.compute, args.parallel, 0)?,
        max_queue: args.max_queue,
        step_tokens: STEP_TOKENS,
        max_events: MAX_EVENTS,
        times: Times { queue: Some(QUEUE_TIME), first_token: Some(FIRST_TOKEN_TIME), answer: None },
    };
    Ok(Engine::start(loaded, options)?)
}

/// What clients call the model: the file's name without its ending.
fn name_of(model: &std::path::Path) -> String {
    model.file_stem().map_or_else(|| "model".to_owned(), |stem| stem.to_string_lossy().into_owned())
}

fn access(args: &ServeArgs, listen: IpAddr) -> Access {
    Access { listen: Some(listen), hosts: args.allow_host.clone(), origins: args.allow_origin.clone() }
}

/// The first SIGTERM lets running answers finish, the second does not.
fn stop_on_sigterm(runtime: &tokio::runtime::Runtime, app: &App, grace: Duration) -> Result<(), CliError> {
    let mut signals = Signals::new([SIGTERM]).map_err(CliError::Signals)?;
    let (handle, app) = (runtime.handle().clone(), app.clone());
    std::thread::spawn(move || {
        for (count, _) in signals.forever().enumerate() {
            let app = app.clone();
            let grace = if count == 0 { grace } else { Duration::ZERO };
            handle.spawn(async move { app.shut_down(grace).await });
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
