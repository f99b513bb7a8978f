//! A load generator for HTTP servers of language models: keep-alive connections, one thread each, nothing but `std`.
//!
//! ```text
//! serve-load health   ADDRESS [CONNECTIONS] [SECONDS]         requests/s and times of GET /health
//! serve-load streams  ADDRESS [STREAMS] [TOKENS] [REQUESTS]   tokens/s of completions that are streamed together
//! serve-load overload ADDRESS [CLIENTS] [SECONDS] [TOKENS]    how soon those who find no place are told
//! ```
//!
//! It asks any server that speaks `/v1/completions` and `/health` the same, so figures of two servers can be laid side by
//! side. One JSON object goes to stdout.

#![forbid(unsafe_code)]

use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Error, Read, Result, Write};
use std::net::TcpStream;
use std::process::ExitCode;
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::{Duration, Instant};

const PROMPT: &str = "Once upon a time there was a little girl who lived in a house at the end of the wood.";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let number = |at: usize, default: usize| args.get(at).map_or(Ok(default), |text| text.parse());
    let report = match (args.first().map(String::as_str), args.get(1)) {
        (Some("health"), Some(address)) => {
            number(2, 8).and_then(|c| Ok((c, number(3, 5)?))).map(|(c, s)| health(address, c, s))
        }
        (Some("streams"), Some(address)) => number(2, 16)
            .and_then(|s| Ok((s, number(3, 64)?, number(4, 1)?)))
            .map(|(s, t, r)| streams(address, s, t, r)),
        (Some("overload"), Some(address)) => number(2, 240)
            .and_then(|c| Ok((c, number(3, 60)?, number(4, 24)?)))
            .map(|(c, s, t)| overload(address, c, s, t)),
        _ => {
            tell("usage: serve-load health|streams|overload ADDRESS [NUMBERS...]");
            return ExitCode::from(2);
        }
    };
    match report {
        Ok(Ok(report)) => {
            let _ = writeln!(std::io::stdout(), "{report}");
            ExitCode::SUCCESS
        }
        Ok(Err(error)) => {
            tell(&format!("error: {error}"));
            ExitCode::FAILURE
        }
        Err(error) => {
            tell(&format!("error: {error}"));
            ExitCode::from(2)
        }
    }
}

fn tell(what: &str) {
    let _ = writeln!(std::io::stderr(), "{what}");
}

/// Requests as fast as `connections` clients can send them one after the other.
fn health(address: &str, connections: usize, seconds: usize) -> Result<String> {
    let time = Duration::from_secs(seconds as u64);
    let (wall, all) = together(connections, |_| {
        let mut client = Client::new(address);
        let request = format!("GET /health HTTP/1.1\r\nhost: {address}\r\n\r\n");
        let (mut times, end) = (Vec::new(), Instant::now() + time);
        while Instant::now() < end {
            let began = Instant::now();
            let answer = client.ask(&request)?;
            if answer.status != 200 {
                return Err(Error::other(format!("/health answered {}", answer.status)));
            }
            times.push(began.elapsed());
        }
        Ok(times)
    })?;
    let mut times: Vec<Duration> = all.into_iter().flatten().collect();
    let rate = times.len() as f64 / wall.as_secs_f64();
    Ok(format!(
        "{{\"test\":\"health\",\"connections\":{connections},\"requests_per_s\":{rate:.0},{}}}",
        quantiles(&mut times)
    ))
}

/// Completions of `tokens` tokens each, `streams` at a time, `requests` one after the other in each.
fn streams(address: &str, streams: usize, tokens: usize, requests: usize) -> Result<String> {
    // Whatever the server sets up for its first request is not measured.
    Client::new(address).ask(&completion(address, "Hello", 2))?;
    let (wall, all) = together(streams, |number| {
        let mut client = Client::new(address);
        let mut done = Vec::new();
        for round in 0..requests {
            // Prompts differ, so that no cache of prefixes makes them cheaper.
            let prompt = format!("{number} {round}: {PROMPT}");
            let answer = client.ask(&completion(address, &prompt, tokens))?;
            if answer.status != 200 || answer.tokens == 0 {
                return Err(Error::other(format!("status {}, {} tokens", answer.status, answer.tokens)));
            }
            done.push(answer);
        }
        Ok(done)
    })?;
    let answers: Vec<Answer> = all.into_iter().flatten().collect();
    let total: usize = answers.iter().map(|answer| answer.tokens).sum();
    let mut first: Vec<Duration> = answers.iter().filter_map(|answer| answer.first).collect();
    let mut gaps: Vec<Duration> = answers.iter().flat_map(|answer| answer.gaps.iter().copied()).collect();
    let decode: Duration = answers.iter().flat_map(|answer| &answer.gaps).sum();
    let rate = total as f64 / wall.as_secs_f64();
    let decode_rate = gaps.len() as f64 / decode.as_secs_f64();
    Ok(format!(
        "{{\"test\":\"streams\",\"streams\":{streams},\"tokens\":{total},\"seconds\":{:.2},\"tokens_per_s\":{rate:.2},\
         \"decode_tokens_per_s_each\":{decode_rate:.2},\"first\":{{{}}},\"gap\":{{{}}}}}",
        wall.as_secs_f64(),
        quantiles(&mut first),
        quantiles(&mut gaps)
    ))
}

/// Many more clients than the server takes. Those who are turned away come back after a moment.
fn overload(address: &str, clients: usize, seconds: usize, tokens: usize) -> Result<String> {
    let time = Duration::from_secs(seconds as u64);
    let (_, all) = together(clients, |number| {
        let mut client = Client::new(address);
        let (mut accepted, mut refused, mut other) = (0_usize, Vec::new(), 0_usize);
        let end = Instant::now() + time;
        let mut round = 0;
        while Instant::now() < end {
            round += 1;
            let request = completion(address, &format!("{number} {round}: {PROMPT}"), tokens);
            let began = Instant::now();
            let answer = client.ask(&request)?;
            match answer.status {
                200 if answer.done => accepted += 1,
                429 if answer.retry_after => {
                    refused.push(began.elapsed());
                    thread::sleep(Duration::from_millis(200));
                }
                _ => other += 1,
            }
        }
        Ok((accepted, refused, other))
    })?;
    let accepted: usize = all.iter().map(|(accepted, ..)| accepted).sum();
    let other: usize = all.iter().map(|(_, _, other)| other).sum();
    let mut refused: Vec<Duration> = all.into_iter().flat_map(|(_, refused, _)| refused).collect();
    let count = refused.len();
    Ok(format!(
        "{{\"test\":\"overload\",\"clients\":{clients},\"seconds\":{seconds},\"accepted\":{accepted},\"other\":{other},\
         \"refused\":{count},\"refusal\":{{{}}}}}",
        quantiles(&mut refused)
    ))
}

/// Runs one client per thread, all from the same moment on. Gives the time that all took and what each came to.
fn together<T: Send + 'static>(
    clients: usize,
    client: impl Fn(usize) -> Result<T> + Send + Sync,
) -> Result<(Duration, Vec<T>)> {
    let start = Arc::new(Barrier::new(clients + 1));
    thread::scope(|scope| {
        let client = &client;
        let threads: Vec<_> = (0..clients)
            .map(|number| {
                let start = Arc::clone(&start);
                scope.spawn(move || {
                    start.wait();
                    client(number)
                })
            })
            .collect();
        start.wait();
        let began = Instant::now();
        let results: Result<Vec<T>> = threads
            .into_iter()
            .map(|thread| thread.join().unwrap_or_else(|_| Err(Error::other("a client panicked"))))
            .collect();
        Ok((began.elapsed(), results?))
    })
}

fn completion(address: &str, prompt: &str, tokens: usize) -> String {
    let body = format!(
        "{{\"prompt\":\"{prompt}\",\"max_tokens\":{tokens},\"temperature\":0,\"ignore_eos\":true,\"stream\":true,\
         \"cache_prompt\":false,\"stream_options\":{{\"include_usage\":true}}}}"
    );
    let length = body.len();
    format!(
        "POST /v1/completions HTTP/1.1\r\nhost: {address}\r\ncontent-type: application/json\r\n\
         content-length: {length}\r\n\r\n{body}"
    )
}

/// What came back.
#[derive(Debug, Default)]
struct Answer {
    status: u16,
    retry_after: bool,
    /// Whether a stream came to its end.
    done: bool,
    tokens: usize,
    first: Option<Duration>,
    /// Between two events that bring text.
    gaps: Vec<Duration>,
}

/// One connection, which is opened again when the server has closed it.
struct Client<'a> {
    address: &'a str,
    stream: Option<BufReader<TcpStream>>,
}

impl<'a> Client<'a> {
    fn new(address: &'a str) -> Self {
        Self { address, stream: None }
    }

    fn ask(&mut self, request: &str) -> Result<Answer> {
        let mut stream = match self.stream.take() {
            Some(stream) => stream,
            None => {
                let stream = TcpStream::connect(self.address)?;
                stream.set_nodelay(true)?;
                BufReader::new(stream)
            }
        };
        let began = Instant::now();
        stream.get_mut().write_all(request.as_bytes())?;
        let mut answer = Answer::default();
        let (mut length, mut chunked, mut close) = (None, false, false);
        let mut line = String::new();
        loop {
            line.clear();
            if stream.read_line(&mut line)? == 0 {
                return Err(Error::other("the server closed the connection"));
            }
            let text = line.trim_end();
            if answer.status == 0 {
                answer.status = text.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
            } else if text.is_empty() {
                break;
            } else if let Some((name, value)) = text.split_once(':') {
                let value = value.trim();
                match name.to_ascii_lowercase().as_str() {
                    "content-length" => length = value.parse().ok(),
                    "transfer-encoding" => chunked = value.eq_ignore_ascii_case("chunked"),
                    "connection" => close = value.eq_ignore_ascii_case("close"),
                    "retry-after" => answer.retry_after = true,
                    _ => {}
                }
            }
        }
        let mut last = None;
        let mut body = |piece: &[u8], answer: &mut Answer| {
            // A piece may hold several events.
            for event in String::from_utf8_lossy(piece).split("\n\n") {
                answer.done |= event.contains("[DONE]");
                if let Some((_, rest)) = event.split_once("\"completion_tokens\":") {
                    let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
                    answer.tokens = digits.parse().unwrap_or(0);
                } else if event.contains("\"text\":\"") {
                    let now = Instant::now();
                    answer.first.get_or_insert(now - began);
                    if let Some(last) = last.replace(now) {
                        answer.gaps.push(now - last);
                    }
                }
            }
        };
        if chunked {
            loop {
                line.clear();
                stream.read_line(&mut line)?;
                let size = usize::from_str_radix(line.trim(), 16).map_err(Error::other)?;
                let mut chunk = vec![0; size + 2];
                stream.read_exact(&mut chunk)?;
                if size == 0 {
                    break;
                }
                body(&chunk[..size], &mut answer);
            }
        } else if let Some(length) = length {
            let mut whole = vec![0; length];
            stream.read_exact(&mut whole)?;
            body(&whole, &mut answer);
        } else {
            close = true;
            let mut whole = Vec::new();
            stream.read_to_end(&mut whole)?;
            body(&whole, &mut answer);
        }
        self.stream = (!close).then_some(stream);
        Ok(answer)
    }
}

/// Median, 99th percentile and maximum in milliseconds.
fn quantiles(times: &mut [Duration]) -> String {
    times.sort_unstable();
    let mut out = String::new();
    for (name, share) in [("p50_ms", 0.5), ("p99_ms", 0.99), ("max_ms", 1.0)] {
        let at = ((times.len() as f64 * share) as usize).min(times.len().saturating_sub(1));
        let time = times.get(at).copied().unwrap_or_default();
        let comma = if out.is_empty() { "" } else { "," };
        let _ = write!(out, "{comma}\"{name}\":{:.3}", time.as_secs_f64() * 1000.0);
    }
    out
}
