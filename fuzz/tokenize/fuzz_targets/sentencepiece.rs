//! Any bytes as a SentencePiece model; what loads encodes and decodes.
#![no_main]

use libfuzzer_sys::fuzz_target;
use realizar_tokenize::{DecodeOptions, EncodeOptions, Tokenizer};

fuzz_target!(|bytes: &[u8]| {
    let Ok(tokenizer) = Tokenizer::from_sentencepiece(bytes) else { return };
    let options = EncodeOptions { add_special: true, parse_special: true };
    let decode = DecodeOptions { keep_special: true, clean_spaces: true, strip_ends: true };
    for text in ["Hello, wörld! 1234\n\n  x ".as_bytes(), b"\xCC\x81\xEF\xAC\x81 \xFF\xE4\xB8 </s><0x0A>"] {
        let Ok(encoded) = tokenizer.encode_with_offsets(text, options) else { continue };
        assert_eq!(tokenizer.encode(text, options).as_ref(), Ok(&encoded.ids));
        assert!(encoded.offsets.iter().all(|place| place.0 <= place.1 && place.1 <= text.len()));
        assert!(tokenizer.decode(&encoded.ids, decode).is_ok());
    }
});
