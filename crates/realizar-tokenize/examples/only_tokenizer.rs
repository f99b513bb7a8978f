//! Counts or lists the tokens of each line of standard input.
//!
//! `only_tokenizer FILE [--ids]`, where FILE is a `tokenizer.json`, a SentencePiece `.model` or a tiktoken rank file.
//! With `--ids` lines are JSON strings, and the ids come out as JSON.

use std::io::{BufRead as _, Write as _};

use realizar_tokenize::{EncodeOptions, Tokenizer};

fn load(path: &str) -> Result<Tokenizer, Box<dyn std::error::Error>> {
    let bytes = std::fs::read(path)?;
    Ok(match path.rsplit('.').next() {
        #[cfg(feature = "hf")]
        Some("json") => Tokenizer::from_json(&bytes)?,
        Some("model") => Tokenizer::from_sentencepiece(&bytes)?,
        _ => Tokenizer::from_tiktoken(&bytes, "cl100k", &[])?,
    })
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let path = arguments.next().ok_or("usage: only_tokenizer FILE [--ids]")?;
    let ids = arguments.next().is_some_and(|flag| flag == "--ids");
    let tokenizer = load(&path)?;
    let options = EncodeOptions { add_special: false, parse_special: false };
    let mut out = std::io::stdout().lock();
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        if ids {
            let text: String = serde_json::from_str(&line)?;
            let parse_special = path.ends_with(".json");
            let ids = tokenizer.encode_str(&text, EncodeOptions { parse_special, ..options })?;
            writeln!(out, "{}", serde_json::to_string(&ids)?)?;
        } else {
            writeln!(out, "{}", tokenizer.count(line.as_bytes(), options)?)?;
        }
    }
    Ok(())
}
