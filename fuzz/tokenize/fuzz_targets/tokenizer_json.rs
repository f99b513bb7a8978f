//! Any bytes as a `tokenizer.json` or a `tekken.json`; what loads encodes and decodes.
#![no_main]

use libfuzzer_sys::fuzz_target;
use realizar_tokenize::{DecodeOptions, EncodeOptions, Tokenizer};

fuzz_target!(|bytes: &[u8]| {
    let Ok(tokenizer) = Tokenizer::from_json(bytes).or_else(|_| Tokenizer::from_tekken(bytes)) else {
        return;
    };
    let decode = DecodeOptions { keep_special: true, clean_spaces: true, strip_ends: true };
    for parse_special in [false, true] {
        let options = EncodeOptions { add_special: parse_special, parse_special };
        for text in ["Hello, wörld! 1234\n\n  x", "\u{301}e\u{301} ﬁ 中文🙂</s><0x0A>"] {
            let Ok(encoded) = tokenizer.encode_with_offsets(text.as_bytes(), options) else { continue };
            assert_eq!(tokenizer.encode_str(text, options).as_ref(), Ok(&encoded.ids));
            assert!(encoded.offsets.iter().all(|place| place.0 <= place.1 && place.1 <= text.len()));
            // Templates may name ids that are no tokens.
            let _ = tokenizer.decode(&encoded.ids, decode);
            let _ = tokenizer.encode_pair(text, Some("b"), options, true);
        }
    }
});
