//! A SentencePiece `tokenizer.model`. It was read before, so that what is odd about it need not be told again.

use realizar_format::TensorSource;
use realizar_tokenize::Tokenizer;

use super::{Around, ConvertError, NO_TOKEN, PIECES, Shape, Vocabulary, kind, refused, specials};

/// The vocabulary of a file that `original` was made of.
pub(super) fn read(
    bytes: &[u8],
    source: &dyn TensorSource,
    original: &Tokenizer,
    rows: usize,
) -> Result<Vocabulary, ConvertError> {
    let file = File::read(bytes).ok_or_else(|| refused(format!("{PIECES} cannot be read")))?;
    let mut vocabulary = Vocabulary::empty(file.pieces.len().max(rows))?;
    vocabulary.scores = vec![NO_TOKEN; vocabulary.tokens.len()];
    for (id, (text, score, kind)) in file.pieces.iter().enumerate() {
        // The numbers of the kinds are those of GGUF.
        vocabulary.set(id, text, *kind);
        if let Some(slot) = vocabulary.scores.get_mut(id) {
            *slot = *score;
        }
    }
    vocabulary.specials = specials(source, original);
    vocabulary.learn(Around::of(original), false);
    let unknown = file.pieces.iter().position(|(_, _, kind)| *kind == kind::UNKNOWN);
    vocabulary.specials[2] = unknown.and_then(|id| u32::try_from(id).ok());
    // A vocabulary of characters is one of pieces that are never longer.
    vocabulary.shapes = match file.model {
        UNIGRAM | CHARACTERS => vec![Shape::unigram(file.space, file.squeeze)],
        MERGES => vec![Shape::scored(file.space)],
        _ => return Err(refused("GGUF has no tokenizer model of whole words")),
    };
    if file.model != MERGES {
        vocabulary.charsmap = file.charsmap.to_vec();
    }
    Ok(vocabulary)
}

const UNIGRAM: u64 = 1;
const MERGES: u64 = 2;
const CHARACTERS: u64 = 4;

/// What of a file matters to GGUF.
#[derive(Debug)]
struct File<'a> {
    /// Texts, scores and kinds.
    pieces: Vec<(String, f32, i32)>,
    model: u64,
    charsmap: &'a [u8],
    space: bool,
    squeeze: bool,
}

/// The value of a field of a message.
#[derive(Debug, Clone, Copy)]
enum Field<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

impl<'a> File<'a> {
    fn read(bytes: &'a [u8]) -> Option<Self> {
        let mut file = Self { pieces: Vec::new(), model: UNIGRAM, charsmap: &[], space: true, squeeze: true };
        for_each(bytes, &mut |number, field| {
            match (number, field) {
                (1, Field::Bytes(bytes)) => file.pieces.push(piece(bytes)?),
                (2, Field::Bytes(bytes)) => for_each(bytes, &mut |number, field| {
                    if let (3, Field::Number(model)) = (number, field) {
                        file.model = model;
                    }
                    Some(())
                })?,
                (3, Field::Bytes(bytes)) => for_each(bytes, &mut |number, field| {
                    match (number, field) {
                        (2, Field::Bytes(map)) => file.charsmap = map,
                        (3, Field::Number(on)) => file.space = on != 0,
                        (4, Field::Number(on)) => file.squeeze = on != 0,
                        _ => {}
                    }
                    Some(())
                })?,
                _ => {}
            }
            Some(())
        })?;
        Some(file)
    }
}

fn piece(bytes: &[u8]) -> Option<(String, f32, i32)> {
    let mut piece = (String::new(), 0.0, kind::NORMAL);
    for_each(bytes, &mut |number, field| {
        match (number, field) {
            (1, Field::Bytes(text)) => piece.0 = std::str::from_utf8(text).ok()?.to_owned(),
            (2, Field::Number(bits)) => piece.1 = f32::from_bits(u32::try_from(bits).ok()?),
            (3, Field::Number(kind)) => piece.2 = i32::try_from(kind).ok()?,
            _ => {}
        }
        Some(())
    })?;
    Some(piece)
}

/// Calls `take` with every field of a message in the encoding of protocol buffers.
fn for_each<'a>(mut rest: &'a [u8], take: &mut dyn FnMut(u64, Field<'a>) -> Option<()>) -> Option<()> {
    while !rest.is_empty() {
        let tag = varint(&mut rest)?;
        let field = match tag & 7 {
            0 => Field::Number(varint(&mut rest)?),
            1 => Field::Bytes(rest.split_off(..8)?),
            2 => {
                let len = usize::try_from(varint(&mut rest)?).ok()?;
                Field::Bytes(rest.split_off(..len)?)
            }
            5 => {
                let bits = rest.split_off(..4)?.first_chunk::<4>()?;
                Field::Number(u64::from(u32::from_le_bytes(*bits)))
            }
            _ => return None,
        };
        take(tag >> 3, field)?;
    }
    Some(())
}

fn varint(rest: &mut &[u8]) -> Option<u64> {
    let mut value = 0u64;
    for shift in (0..64).step_by(7) {
        let byte = *rest.split_off_first()?;
        value |= u64::from(byte & 0x7F) << shift;
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}
