//! The fields that matter of SentencePiece's `ModelProto`, read from protocol buffer bytes.

use crate::TokenizeError;

/// What a piece is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Normal,
    Unknown,
    Control,
    UserDefined,
    Byte,
    Unused,
}

/// How a text becomes pieces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ModelKind {
    Unigram,
    Bpe,
    Word,
    Char,
}

/// One piece.
#[derive(Debug, Clone)]
pub(super) struct Piece<'a> {
    pub(super) text: &'a str,
    pub(super) score: f32,
    pub(super) kind: Kind,
}

/// The file.
#[derive(Debug, Clone)]
pub(super) struct ModelFile<'a> {
    pub(super) pieces: Vec<Piece<'a>>,
    pub(super) kind: ModelKind,
    pub(super) charsmap: &'a [u8],
    pub(super) add_dummy_prefix: bool,
    pub(super) remove_extra_whitespaces: bool,
    pub(super) escape_whitespaces: bool,
    pub(super) whitespace_as_suffix: bool,
    pub(super) unk_surface: &'a str,
    pub(super) byte_fallback: bool,
    /// The pieces that begin and end a text.
    pub(super) bos: &'a str,
    pub(super) eos: &'a str,
    /// Ids with a meaning that the trainer was given; nothing looks at them, but they say whether the file fits together.
    pub(super) trainer_ids: Vec<(&'static str, u64)>,
}

const BOS: &str = "<s>";
const EOS: &str = "</s>";

struct Reader<'a> {
    bytes: &'a [u8],
    /// Where `bytes` begins in the file.
    base: usize,
    pos: usize,
}

enum Field<'a> {
    Number(u64),
    Bytes(&'a [u8], usize),
    Fixed32(u32),
    Other,
}

impl<'a> Reader<'a> {
    fn new(bytes: &'a [u8], base: usize) -> Self {
        Self { bytes, base, pos: 0 }
    }

    fn error(&self, what: &'static str) -> TokenizeError {
        TokenizeError::BadSentencePiece { offset: self.base + self.pos, what }
    }

    fn varint(&mut self) -> Result<u64, TokenizeError> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = *self.bytes.get(self.pos).ok_or_else(|| self.error("a number is cut off"))?;
            self.pos += 1;
            value |= u64::from(byte & 0x7F) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(self.error("a number is too long"))
    }

    fn take(&mut self, len: u64) -> Result<&'a [u8], TokenizeError> {
        let end = usize::try_from(len).ok().and_then(|len| self.pos.checked_add(len));
        let taken = end
            .and_then(|end| self.bytes.get(self.pos..end))
            .ok_or_else(|| self.error("a field is cut off"))?;
        self.pos += taken.len();
        Ok(taken)
    }

    /// The next field's number and value.
    fn next(&mut self) -> Result<Option<(u64, Field<'a>)>, TokenizeError> {
        if self.pos >= self.bytes.len() {
            return Ok(None);
        }
        let tag = self.varint()?;
        let field = match tag & 7 {
            0 => Field::Number(self.varint()?),
            1 => {
                self.take(8)?;
                Field::Other
            }
            2 => {
                let len = self.varint()?;
                let at = self.base + self.pos;
                Field::Bytes(self.take(len)?, at)
            }
            5 => {
                let bytes = self.take(4)?;
                Field::Fixed32(bytes.first_chunk::<4>().map_or(0, |bytes| u32::from_le_bytes(*bytes)))
            }
            _ => return Err(self.error("unknown wire type")),
        };
        Ok(Some((tag >> 3, field)))
    }

    fn text(&self, bytes: &'a [u8]) -> Result<&'a str, TokenizeError> {
        std::str::from_utf8(bytes).map_err(|_| self.error("a text is not UTF-8"))
    }
}

fn piece(bytes: &[u8], base: usize) -> Result<Piece<'_>, TokenizeError> {
    let mut reader = Reader::new(bytes, base);
    let mut piece = Piece { text: "", score: 0.0, kind: Kind::Normal };
    while let Some((number, field)) = reader.next()? {
        match (number, field) {
            (1, Field::Bytes(text, _)) => piece.text = reader.text(text)?,
            (2, Field::Fixed32(bits)) => piece.score = f32::from_bits(bits),
            (3, Field::Number(kind)) => {
                piece.kind = match kind {
                    1 => Kind::Normal,
                    2 => Kind::Unknown,
                    3 => Kind::Control,
                    4 => Kind::UserDefined,
                    5 => Kind::Unused,
                    6 => Kind::Byte,
                    _ => return Err(reader.error("unknown kind of piece")),
                };
            }
            _ => {}
        }
    }
    Ok(piece)
}

/// Reads a file.
pub(super) fn read(bytes: &[u8]) -> Result<ModelFile<'_>, TokenizeError> {
    let mut reader = Reader::new(bytes, 0);
    let mut file = ModelFile {
        pieces: Vec::new(),
        kind: ModelKind::Unigram,
        charsmap: &[],
        add_dummy_prefix: true,
        remove_extra_whitespaces: true,
        escape_whitespaces: true,
        whitespace_as_suffix: false,
        unk_surface: " \u{2047} ",
        byte_fallback: false,
        bos: BOS,
        eos: EOS,
        trainer_ids: Vec::new(),
    };
    while let Some((number, field)) = reader.next()? {
        match (number, field) {
            (1, Field::Bytes(bytes, base)) => file.pieces.push(piece(bytes, base)?),
            (2, Field::Bytes(bytes, base)) => trainer(bytes, base, &mut file)?,
            (3, Field::Bytes(bytes, base)) => {
                let mut reader = Reader::new(bytes, base);
                while let Some((number, field)) = reader.next()? {
                    match (number, field) {
                        (2, Field::Bytes(map, _)) => file.charsmap = map,
                        (3, Field::Number(on)) => file.add_dummy_prefix = on != 0,
                        (4, Field::Number(on)) => file.remove_extra_whitespaces = on != 0,
                        (5, Field::Number(on)) => file.escape_whitespaces = on != 0,
                        _ => {}
                    }
                }
            }
            _ => {}
        }
    }
    Ok(file)
}

fn some_or<'a>(text: &'a str, default: &'a str) -> &'a str {
    if text.is_empty() { default } else { text }
}

fn trainer<'a>(bytes: &'a [u8], base: usize, file: &mut ModelFile<'a>) -> Result<(), TokenizeError> {
    let mut reader = Reader::new(bytes, base);
    while let Some((number, field)) = reader.next()? {
        match (number, field) {
            (3, Field::Number(kind)) => {
                file.kind = match kind {
                    1 => ModelKind::Unigram,
                    2 => ModelKind::Bpe,
                    3 => ModelKind::Word,
                    4 => ModelKind::Char,
                    _ => return Err(reader.error("unknown kind of model")),
                };
            }
            (24, Field::Number(on)) => file.whitespace_as_suffix = on != 0,
            (35, Field::Number(on)) => file.byte_fallback = on != 0,
            (40, Field::Number(id)) => file.trainer_ids.push(("trainer_spec.unk_id", id)),
            (41, Field::Number(id)) => file.trainer_ids.push(("trainer_spec.bos_id", id)),
            (42, Field::Number(id)) => file.trainer_ids.push(("trainer_spec.eos_id", id)),
            (43, Field::Number(id)) => file.trainer_ids.push(("trainer_spec.pad_id", id)),
            (44, Field::Bytes(text, _)) => file.unk_surface = reader.text(text)?,
            (46, Field::Bytes(text, _)) => file.bos = some_or(reader.text(text)?, BOS),
            (47, Field::Bytes(text, _)) => file.eos = some_or(reader.text(text)?, EOS),
            _ => {}
        }
    }
    Ok(())
}
