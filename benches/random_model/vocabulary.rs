//! Made-up vocabularies of the right size: every text can be split, all the rest are fillers.

use std::error::Error;

use realizar_format::{GgufWriter, PackedArray, Value};

/// The kind of vocabulary.
#[derive(Debug, Clone, Copy)]
pub(super) enum Vocabulary {
    /// Pieces with scores, as Llama 2's: specials, the bytes, a few pieces.
    SentencePiece,
    /// Merged bytes, as Llama 3's: the bytes, a few merges, and 256 specials at the end.
    BytePairs,
}

/// Kinds of tokens in a GGUF file.
const NORMAL: i32 = 1;
const UNKNOWN: i32 = 2;
const CONTROL: i32 = 3;
const BYTE: i32 = 6;

/// Pieces that split some text into more than letters.
const PIECES: &[&str] = &[
    "\u{2581}",
    "\u{2581}t",
    "he",
    "in",
    "er",
    "\u{2581}a",
    "re",
    "on",
    "\u{2581}the",
    "e",
    "t",
    "a",
    "o",
    "i",
    "n",
    "s",
    "h",
    "r",
    "d",
    "l",
    "u",
    "c",
    "m",
    "f",
    "w",
    "y",
    "g",
    "p",
    "b",
    "v",
    "k",
    ".",
    ",",
];

/// Merges in their order; a blank is written `\u{120}` in such vocabularies.
const MERGES: &[(&str, &str)] = &[
    ("\u{120}", "t"),
    ("h", "e"),
    ("i", "n"),
    ("e", "r"),
    ("\u{120}", "a"),
    ("o", "n"),
    ("r", "e"),
    ("\u{120}t", "he"),
];

/// Tokens at the end of a vocabulary of byte pairs.
const SPECIALS: usize = 256;

/// Writes a vocabulary of `size` tokens.
pub(super) fn describe(kind: Vocabulary, size: usize, head: &mut GgufWriter) -> Result<(), Box<dyn Error>> {
    match kind {
        Vocabulary::SentencePiece => sentence_piece(size, head),
        Vocabulary::BytePairs => byte_pairs(size, head),
    }
}

fn sentence_piece(size: usize, head: &mut GgufWriter) -> Result<(), Box<dyn Error>> {
    let mut tokens: Vec<String> = ["<unk>", "<s>", "</s>"].map(str::to_owned).into();
    tokens.extend((0..=u8::MAX).map(|byte| format!("<0x{byte:02X}>")));
    let made = tokens.len();
    tokens.extend(PIECES.iter().map(|&piece| piece.to_owned()));
    fill(&mut tokens, size, "\u{2581}filler");
    let mut types = vec![UNKNOWN, CONTROL, CONTROL];
    types.extend([BYTE; 256]);
    types.resize(size, NORMAL);
    // Earlier pieces are joined first.
    let scores = (0..size).map(|id| made as f32 - id.max(made) as f32);

    head.metadata("tokenizer.ggml.model", Value::from("llama"))?;
    head.metadata("tokenizer.ggml.pre", Value::from("default"))?;
    head.metadata("tokenizer.ggml.tokens", Value::Array(PackedArray::strings(&tokens).as_array()))?;
    head.metadata("tokenizer.ggml.scores", Value::Array(PackedArray::f32s(scores).as_array()))?;
    head.metadata("tokenizer.ggml.token_type", Value::Array(PackedArray::i32s(types).as_array()))?;
    head.metadata("tokenizer.ggml.unknown_token_id", Value::U32(0))?;
    head.metadata("tokenizer.ggml.bos_token_id", Value::U32(1))?;
    head.metadata("tokenizer.ggml.eos_token_id", Value::U32(2))?;
    head.metadata("tokenizer.ggml.add_bos_token", Value::Bool(true))?;
    Ok(())
}

fn byte_pairs(size: usize, head: &mut GgufWriter) -> Result<(), Box<dyn Error>> {
    let mut tokens: Vec<String> = byte_letters().map(String::from).collect();
    tokens.extend(MERGES.iter().map(|(left, right)| format!("{left}{right}")));
    let first_special = size - SPECIALS;
    fill(&mut tokens, first_special, "filler");
    tokens.extend((0..SPECIALS).map(|id| match id {
        0 => "<|begin_of_text|>".to_owned(),
        1 => "<|end_of_text|>".to_owned(),
        8 => "<|eom_id|>".to_owned(),
        9 => "<|eot_id|>".to_owned(),
        _ => format!("<|reserved_special_token_{id}|>"),
    }));
    let types = (0..size).map(|id| if id < first_special { NORMAL } else { CONTROL });
    let merges: Vec<String> = MERGES.iter().map(|(left, right)| format!("{left} {right}")).collect();
    let first_special = u32::try_from(first_special)?;

    head.metadata("tokenizer.ggml.model", Value::from("gpt2"))?;
    head.metadata("tokenizer.ggml.pre", Value::from("llama-bpe"))?;
    head.metadata("tokenizer.ggml.tokens", Value::Array(PackedArray::strings(&tokens).as_array()))?;
    head.metadata("tokenizer.ggml.token_type", Value::Array(PackedArray::i32s(types).as_array()))?;
    head.metadata("tokenizer.ggml.merges", Value::Array(PackedArray::strings(&merges).as_array()))?;
    head.metadata("tokenizer.ggml.bos_token_id", Value::U32(first_special))?;
    head.metadata("tokenizer.ggml.eos_token_id", Value::U32(first_special + 9))?;
    Ok(())
}

fn fill(tokens: &mut Vec<String>, size: usize, name: &str) {
    let missing = size.saturating_sub(tokens.len());
    tokens.extend((0..missing).map(|number| format!("{name}{number}")));
}

/// The letter that stands for each byte: printable bytes for themselves, the others from U+0100 on.
fn byte_letters() -> impl Iterator<Item = char> {
    let mut others = (0x100_u32..).filter_map(char::from_u32);
    (0..=u8::MAX).map(move |byte| match byte {
        b'!'..=b'~' | 0xa1..=0xac | 0xae..=0xff => char::from(byte),
        _ => others.next().unwrap_or(char::REPLACEMENT_CHARACTER),
    })
}

#[cfg(test)]
mod tests {
    use super::{Vocabulary, byte_letters, describe};
    use realizar_format::{GgufWriter, TensorSource};

    #[test]
    fn every_byte_has_its_own_letter() {
        let letters: std::collections::HashSet<char> = byte_letters().collect();
        assert_eq!(letters.len(), 256);
        assert_eq!(byte_letters().nth(32), Some('\u{120}'));
    }

    #[test]
    fn vocabularies_have_the_size_that_was_asked_for() {
        for (kind, size) in [(Vocabulary::SentencePiece, 400), (Vocabulary::BytePairs, 700)] {
            let mut head = GgufWriter::new();
            head.metadata("general.architecture", "llama".into()).unwrap();
            describe(kind, size, &mut head).unwrap();
            let bytes = head.begin(Vec::new()).unwrap().finish().unwrap();
            let source = realizar_format::Gguf::parse(bytes.into()).unwrap();
            for key in ["tokens", "token_type"] {
                let value = source.metadata(&format!("tokenizer.ggml.{key}")).unwrap();
                assert_eq!(value.as_array().unwrap().len(), size, "{kind:?} {key}");
            }
        }
    }
}
