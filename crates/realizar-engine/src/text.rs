//! Tokens to text, token by token: whole letters, and spaces as the tokens before them say.

use realizar_tokenize::{StreamDecoder, TokenId, Tokenizer};

/// How many tokens of a prompt can matter to the text of the one behind it. A letter has at most four bytes, hence four
/// tokens.
const WINDOW: usize = 8;

/// The text of an answer, as far as its letters are whole.
#[derive(Debug)]
pub(crate) struct TextStream<'a>(StreamDecoder<'a>);

impl<'a> TextStream<'a> {
    /// Goes on after a prompt.
    pub(crate) fn after(prompt: &[TokenId], tokenizer: &'a Tokenizer) -> Self {
        let mut decoder = tokenizer.stream().after_prompt();
        for &id in &prompt[prompt.len().saturating_sub(WINDOW)..] {
            // What it gives out here is the prompt.
            let _ = decoder.push(id);
        }
        Self(decoder)
    }

    /// Takes a token, gives the text that is complete with it. A token past the vocabulary, which a model with a padded
    /// table can pick, has no text.
    pub(crate) fn push(&mut self, id: TokenId) -> String {
        self.0.push(id).unwrap_or_default().to_owned()
    }

    /// The end: U+FFFD for a letter that was never finished.
    pub(crate) fn finish(&mut self) -> &str {
        self.0.finish()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{prop, prop_assert_eq, proptest};
    use realizar_tokenize::{Compat, GgufVocab};

    use super::*;

    /// Tokens 3 to 258 are the bytes, 259 is " word".
    fn tokenizer() -> Tokenizer {
        let mut texts = vec!["<unk>".to_owned(), "<s>".to_owned(), "</s>".to_owned()];
        texts.extend((0..=255).map(|byte| format!("<0x{byte:02X}>")));
        texts.push("\u{2581}word".to_owned());
        let kinds = |id| match id {
            0 => 2,
            1 | 2 => 3,
            3..259 => 6,
            _ => 1,
        };
        let vocab = GgufVocab {
            model: "llama",
            tokens: texts.iter().map(String::as_bytes).collect(),
            scores: Some(vec![0.0; texts.len()]),
            types: Some((0..texts.len() as i32).map(kinds).collect()),
            unk: Some(0),
            bos: Some(1),
            eos: Some(2),
            ..GgufVocab::default()
        };
        Tokenizer::from_gguf(&vocab, Compat::Original).expect("a vocabulary")
    }

    fn pieces(prompt: &[TokenId], ids: &[TokenId], tokenizer: &Tokenizer) -> Vec<String> {
        let mut stream = TextStream::after(prompt, tokenizer);
        let mut pieces: Vec<String> = ids.iter().map(|&id| stream.push(id)).collect();
        pieces.push(stream.finish().to_owned());
        pieces
    }

    #[test]
    fn letters_come_out_whole() {
        let tokenizer = tokenizer();
        let bytes =
            |text: &[u8]| -> Vec<TokenId> { text.iter().map(|&byte| 3 + TokenId::from(byte)).collect() };
        for (name, prompt, ids, expected) in [
            ("words keep their spaces", vec![1], vec![259, 259], &[" word", " word", ""][..]),
            ("two tokens for a letter", vec![1], bytes("é!".as_bytes()), &["", "é", "!", ""]),
            ("four tokens for a letter", vec![1], bytes("😀".as_bytes()), &["", "", "", "😀", ""]),
            ("never finished", vec![1], bytes(b"a\xE2\x82"), &["a", "", "", "\u{FFFD}"]),
            ("begun by the prompt", [vec![1], bytes(b"\xC3")].concat(), bytes(b"\xA9"), &["é", ""]),
            ("the end of the text shows nothing", vec![1], vec![259, 2], &[" word", "", ""]),
            ("past the vocabulary", vec![1], vec![9999, 259], &["", " word", ""]),
        ] {
            assert_eq!(pieces(&prompt, &ids, &tokenizer), expected, "{name}");
        }
    }

    proptest! {
        #[test]
        fn valid_text_comes_out_unchanged(text in "\\PC{0,20}", prompt in prop::collection::vec(259u32..260, 0..12)) {
            let tokenizer = tokenizer();
            let ids: Vec<TokenId> = text.bytes().map(|byte| 3 + TokenId::from(byte)).collect();
            prop_assert_eq!(pieces(&prompt, &ids, &tokenizer).concat(), text);
        }
    }
}
