//! Rust source as a flat list of tokens: enough to tell code from comments and text, and no more.
//!
//! A check that searched the bytes of a file would trip over `unsafe` in a comment and miss it after an odd line
//! break. Numbers and operators are of no interest and come out as single characters or not at all.

/// One token and the line it starts on, counted from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Token<'a> {
    pub(crate) kind: Kind<'a>,
    pub(crate) line: usize,
}

/// What a token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind<'a> {
    /// A keyword or a name; a raw name comes without its `r#`.
    Word(&'a str),
    /// A comment with its slashes.
    Comment(&'a str),
    /// A text or byte text literal with its quotes.
    Text(&'a str),
    /// Any other character.
    Mark(char),
}

/// Cuts `source` into tokens. Source that does not compile gives some tokens as well, never a panic.
pub(crate) fn tokens(source: &str) -> Vec<Token<'_>> {
    let mut cutter = Cutter { rest: source, line: 1, tokens: Vec::new() };
    while let Some(first) = cutter.rest.chars().next() {
        cutter.one(first);
    }
    cutter.tokens
}

/// Code without comments, for the checks that look at sequences of tokens.
pub(crate) fn code(source: &str) -> Vec<Token<'_>> {
    tokens(source).into_iter().filter(|token| !matches!(token.kind, Kind::Comment(_))).collect()
}

struct Cutter<'a> {
    rest: &'a str,
    line: usize,
    tokens: Vec<Token<'a>>,
}

impl<'a> Cutter<'a> {
    fn one(&mut self, first: char) {
        if self.rest.starts_with("//") {
            let length = self.rest.find('\n').unwrap_or(self.rest.len());
            self.emit(length, Kind::Comment);
        } else if self.rest.starts_with("/*") {
            self.emit(block_comment(self.rest), Kind::Comment);
        } else if let Some(length) = text(self.rest) {
            self.emit(length, Kind::Text);
        } else if first == '\'' {
            self.emit(quote(self.rest), Kind::Text);
        } else if let Some(name) = self.rest.strip_prefix("r#").filter(|name| word(name) > 0) {
            self.rest = name;
            self.emit(word(name), Kind::Word);
        } else if first.is_ascii_digit() {
            let end = self.rest.find(|c: char| !is_word(c)).unwrap_or(self.rest.len());
            self.skip(end);
        } else if word(self.rest) > 0 {
            self.emit(word(self.rest), Kind::Word);
        } else {
            if !first.is_whitespace() {
                self.tokens.push(Token { kind: Kind::Mark(first), line: self.line });
            }
            self.skip(first.len_utf8());
        }
    }

    fn emit(&mut self, length: usize, kind: fn(&'a str) -> Kind<'a>) {
        self.tokens.push(Token { kind: kind(&self.rest[..length]), line: self.line });
        self.skip(length);
    }

    fn skip(&mut self, length: usize) {
        self.line += self.rest[..length].matches('\n').count();
        self.rest = &self.rest[length..];
    }
}

fn is_word(c: char) -> bool {
    c == '_' || c.is_alphanumeric()
}

/// Bytes of the word at the start of `rest`.
fn word(rest: &str) -> usize {
    rest.find(|c: char| !is_word(c)).unwrap_or(rest.len())
}

/// Block comments nest.
fn block_comment(rest: &str) -> usize {
    let mut depth = 0_usize;
    let mut at = 0;
    while let Some(pair) = rest.get(at..at + 2).or_else(|| rest.as_bytes().get(at).map(|_| "")) {
        match pair {
            "/*" => (depth, at) = (depth + 1, at + 2),
            "*/" => (depth, at) = (depth - 1, at + 2),
            _ => at += rest[at..].chars().next().map_or(1, char::len_utf8),
        }
        if depth == 0 {
            return at;
        }
    }
    rest.len()
}

/// Bytes of the text literal at the start of `rest`, with its prefix and its hash marks.
fn text(rest: &str) -> Option<usize> {
    let prefix = ["br", "cr", "b", "c", "r", ""].into_iter().find(|prefix| {
        rest.strip_prefix(prefix).is_some_and(|tail| {
            let tail = if prefix.ends_with('r') { tail.trim_start_matches('#') } else { tail };
            tail.starts_with('"')
        })
    })?;
    let tail = &rest[prefix.len()..];
    if prefix.ends_with('r') {
        let hashes = tail.find('"')?;
        let close = format!("\"{}", &tail[..hashes]);
        let body = hashes + 1;
        let end = tail[body..].find(&close).map_or(tail.len(), |at| body + at + close.len());
        return Some(prefix.len() + end);
    }
    Some(prefix.len() + escaped(tail, '"'))
}

/// Bytes of a literal that starts with a quote, knows backslashes and ends with `close`.
fn escaped(rest: &str, close: char) -> usize {
    let mut characters = rest.char_indices().skip(1);
    while let Some((at, c)) = characters.next() {
        if c == '\\' {
            characters.next();
        } else if c == close {
            return at + c.len_utf8();
        }
    }
    rest.len()
}

/// A character literal, or the quote of a lifetime, which is one byte.
fn quote(rest: &str) -> usize {
    let mut characters = rest.chars().skip(1);
    match (characters.next(), characters.next()) {
        (Some('\\'), _) => escaped(rest, '\''),
        (Some(c), Some('\'')) => 2 + c.len_utf8(),
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::{Kind, code, tokens};

    /// Name, source, the words that are code.
    const WORDS: &[(&str, &str, &[&str])] = &[
        ("plain", "unsafe fn f() {}", &["unsafe", "fn", "f"]),
        ("line comment", "// unsafe\nfn f() {}", &["fn", "f"]),
        ("doc comment", "//! unsafe\n/// unsafe\nfn f() {}", &["fn", "f"]),
        ("block comment", "/* unsafe */ fn f() {}", &["fn", "f"]),
        ("nested block comment", "/* a /* unsafe */ unsafe */ fn f() {}", &["fn", "f"]),
        ("open block comment", "fn /* unsafe /* x */", &["fn"]),
        ("block comment with wide letters", "/* ünsafe ∑ */ fn", &["fn"]),
        ("text", r#"let a = "unsafe";"#, &["let", "a"]),
        ("text with escaped quote", r#"let a = "\" unsafe";"#, &["let", "a"]),
        ("text with backslash at its end", r#"let a = "\\"; unsafe"#, &["let", "a", "unsafe"]),
        ("text without end", "let a = \"unsafe", &["let", "a"]),
        ("raw text", r##"let a = r#"" unsafe "#; b"##, &["let", "a", "b"]),
        ("raw text without hashes", r#"let a = r"\"; unsafe"#, &["let", "a", "unsafe"]),
        ("raw text without end", r##"let a = r#" unsafe"##, &["let", "a"]),
        ("byte text", r#"let a = b"unsafe"; b"#, &["let", "a", "b"]),
        ("raw byte text", r##"let a = br#"unsafe"#; br"##, &["let", "a", "br"]),
        ("c text", r#"let a = c"unsafe"; c"#, &["let", "a", "c"]),
        ("quote character", r"let a = '\''; unsafe", &["let", "a", "unsafe"]),
        ("text quote as character", "let a = '\"'; unsafe { \"\" }", &["let", "a", "unsafe"]),
        ("wide character", "let a = '∑'; unsafe", &["let", "a", "unsafe"]),
        ("byte character", "let a = b'x'; unsafe", &["let", "a", "b", "unsafe"]),
        ("lifetime", "fn f<'a>(x: &'a str) { unsafe }", &["fn", "f", "a", "x", "a", "str", "unsafe"]),
        ("static", "&'static str", &["static", "str"]),
        ("raw name", "fn r#unsafe_like() {}", &["fn", "unsafe_like"]),
        ("longer name", "unsafe_code is_unsafe", &["unsafe_code", "is_unsafe"]),
        ("numbers", "let a = 0xfe + 1u8 + 1_000.5e3;", &["let", "a"]),
        ("a quote at the very end", "let a '", &["let", "a"]),
        ("empty", "", &[]),
    ];

    #[test]
    fn words_of_code_are_told_from_comments_and_text() {
        for &(name, source, expected) in WORDS {
            let words: Vec<&str> = code(source)
                .into_iter()
                .filter_map(|token| if let Kind::Word(word) = token.kind { Some(word) } else { None })
                .collect();
            assert_eq!(words, expected, "{name}");
        }
    }

    #[test]
    fn lines_are_counted_through_comments_and_text() {
        let source = "/* a\nb */\n\"c\nd\"\nunsafe";
        let lines: Vec<usize> = tokens(source).iter().map(|token| token.line).collect();
        assert_eq!(lines, [1, 3, 5]);
    }

    #[test]
    fn comments_and_text_keep_their_bytes() {
        let kinds: Vec<Kind<'_>> = tokens("// x\n\"y\" !").iter().map(|token| token.kind).collect();
        assert_eq!(kinds, [Kind::Comment("// x"), Kind::Text("\"y\""), Kind::Mark('!')]);
    }
}
