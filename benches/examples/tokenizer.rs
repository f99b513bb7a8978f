//! One tokenizer of ours on the command line, for `benches/tokenizers/*.py`: how fast it is, or what it answers.
//!
//! - `tokenizer speed FILE TEXT [PATTERN]`: one JSON object with the times of loading, the rates of encoding on one
//!   thread, the number of tokens and the memory that encoding took beyond the text.
//! - `tokenizer runs FILE [PATTERN]`: the seconds that 10 MB of one letter, of spaces and the like take.
//! - `tokenizer answers FILE [PATTERN]`: for each line `{"text":..}` of standard input a line with ids, offsets and the
//!   decoded text.
//!
//! FILE is a GGUF file, a `tokenizer.json`, a `tekken.json` (any file whose name begins so), a SentencePiece `.model`, or a
//! tiktoken rank file with its PATTERN.

#![expect(clippy::print_stdout, reason = "one line of JSON is the result")]

use std::error::Error;
use std::io::{BufRead as _, Write as _};
use std::path::Path;
use std::time::Instant;

use bytes::Bytes;
use realizar_tokenize::{Compat, DecodeOptions, EncodeOptions, Tokenizer};
use serde_json::{Value, json};

const PLAIN: EncodeOptions = EncodeOptions { add_special: false, parse_special: false };
const DECODE: DecodeOptions = DecodeOptions { keep_special: false, clean_spaces: false, strip_ends: false };
const ROUNDS: usize = 7;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments.as_slice() {
        ["speed", file, text] => speed(file, text, None),
        ["speed", file, text, pattern] => speed(file, text, Some(pattern)),
        ["runs", file] => runs(&load(file, std::fs::read(file)?, None)?),
        ["runs", file, pattern] => runs(&load(file, std::fs::read(file)?, Some(pattern))?),
        ["answers", file] => answers(&load(file, std::fs::read(file)?, None)?),
        ["answers", file, pattern] => answers(&load(file, std::fs::read(file)?, Some(pattern))?),
        _ => Err("usage: tokenizer speed FILE TEXT [PATTERN] | runs FILE [PATTERN] | answers FILE [PATTERN]"
            .into()),
    }
}

fn load(path: &str, bytes: Vec<u8>, pattern: Option<&str>) -> Result<Tokenizer, Box<dyn Error>> {
    let ending = Path::new(path).extension().and_then(|ending| ending.to_str());
    let name = Path::new(path).file_name().and_then(|name| name.to_str()).unwrap_or_default();
    Ok(match (pattern, ending) {
        (Some(pattern), _) => Tokenizer::from_tiktoken(&bytes, pattern, &[])?,
        (None, Some("json")) if name.starts_with("tekken") => Tokenizer::from_tekken(&bytes)?,
        (None, Some("json")) => Tokenizer::from_json(&bytes)?,
        (None, Some("model")) => Tokenizer::from_sentencepiece(&bytes)?,
        _ => realizar_engine::tokenizer(&*realizar_format::parse(Bytes::from(bytes))?, Compat::Original)?,
    })
}

fn speed(file: &str, text: &str, pattern: Option<&str>) -> Result<(), Box<dyn Error>> {
    let (bytes, text) = (std::fs::read(file)?, std::fs::read(text)?);
    let mut loads = Vec::new();
    for _ in 0..ROUNDS {
        let bytes = bytes.clone();
        let start = Instant::now();
        drop(load(file, bytes, pattern)?);
        loads.push(start.elapsed().as_secs_f64() * 1e3);
    }
    let tokenizer = load(file, bytes, pattern)?;
    // A short text first: tables that are made on first use belong to nobody's round.
    tokenizer.encode(text.get(..1000).unwrap_or(&text), PLAIN)?;
    reset_peak();
    let before = status("VmRSS:");
    let (mut rates, mut tokens) = (Vec::new(), 0);
    let mut peak = None;
    for _ in 0..ROUNDS {
        let start = Instant::now();
        tokens = tokenizer.encode(&text, PLAIN)?.len();
        rates.push(text.len() as f64 / 1e6 / start.elapsed().as_secs_f64());
        peak = peak.or_else(|| status("VmHWM:"));
    }
    let memory =
        peak.zip(before).map(|(peak, before)| peak.saturating_sub(before) as f64 / text.len() as f64);
    println!(
        "{}",
        json!({"load_ms": loads, "mb_per_s": rates, "tokens": tokens, "memory_per_text_byte": memory})
    );
    Ok(())
}

/// Asks the kernel to forget the peak of memory so far, where it can.
fn reset_peak() {
    let _ = std::fs::write("/proc/self/clear_refs", "5");
}

/// A figure of this process in bytes.
fn status(key: &str) -> Option<usize> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(key))?;
    line.trim().strip_suffix("kB")?.trim().parse::<usize>().ok().map(|kib| kib * 1024)
}

fn runs(tokenizer: &Tokenizer) -> Result<(), Box<dyn Error>> {
    const BYTES: usize = 10_000_000;
    let mut state = 1u64;
    let mut random = std::iter::repeat_with(|| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (state >> 33) as u8
    });
    // Bytes from 0xF4 on may encode numbers above U+10FFFF, which llama.cpp refuses.
    let bytes: Vec<u8> = random.by_ref().filter(|byte| *byte < 0xF4).take(BYTES).collect();
    let letters: Vec<u8> = random.take(BYTES).map(|byte| b'a' + byte % 26).collect();
    let repeated = |unit: &str| unit.repeat(BYTES / unit.len()).into_bytes();
    let mut out = serde_json::Map::new();
    for (name, text) in [
        ("one letter", repeated("a")),
        ("spaces", repeated(" ")),
        ("one emoji", repeated("🙂")),
        ("random bytes", bytes),
        ("^", repeated("^")),
        ("digits", repeated("1")),
        ("newlines", repeated("\n")),
        ("combining marks", repeated("\u{301}")),
        // Of these only the memory has a goal.
        ("letters without spaces", letters),
        ("control tokens", repeated("<s></s>")),
    ] {
        reset_peak();
        let before = status("VmRSS:");
        let start = Instant::now();
        let count = tokenizer.encode(&text, PLAIN)?.len();
        let seconds = start.elapsed().as_secs_f64();
        let memory = status("VmHWM:").zip(before);
        let memory = memory.map(|(peak, before)| peak.saturating_sub(before) as f64 / text.len() as f64);
        out.insert(
            name.to_owned(),
            json!({"seconds": seconds, "tokens": count, "memory_per_text_byte": memory}),
        );
    }
    println!("{}", Value::Object(out));
    Ok(())
}

fn answers(tokenizer: &Tokenizer) -> Result<(), Box<dyn Error>> {
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    for line in std::io::stdin().lock().lines() {
        let line: Value = serde_json::from_str(&line?)?;
        let text = line.get("text").and_then(Value::as_str).ok_or("expected `text`")?;
        let flag = |key| line.get(key).and_then(Value::as_bool).unwrap_or(false);
        let options =
            EncodeOptions { add_special: flag("add_special"), parse_special: flag("parse_special") };
        let encoded = tokenizer.encode_with_offsets(text.as_bytes(), options)?;
        let ids = tokenizer.encode_str(text, options)?;
        if ids != encoded.ids {
            return Err(format!("with and without offsets differ on {text:?}").into());
        }
        let decoded = tokenizer.decode(&ids, DECODE)?;
        let offsets: Vec<usize> = encoded.offsets.iter().flat_map(|(start, end)| [*start, *end]).collect();
        let answer = json!({"ids": ids, "offsets": offsets, "decode": String::from_utf8_lossy(&decoded)});
        writeln!(out, "{answer}")?;
    }
    out.flush()?;
    Ok(())
}
