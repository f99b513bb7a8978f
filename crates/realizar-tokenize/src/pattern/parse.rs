//! Regular expressions as tokenizers write them (the common part of Oniguruma, Rust and ECMAScript) to a tree.

use super::class::Set;
use crate::{TokenizeError, unicode};

/// How a repetition chooses its count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Greed {
    Greedy,
    Lazy,
    Possessive,
}

/// What a look around looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Look {
    pub(crate) ahead: bool,
    pub(crate) negate: bool,
}

#[derive(Debug, Clone)]
pub(crate) enum Node {
    Empty,
    Set(Set),
    Sequence(Vec<Node>),
    Choice(Vec<Node>),
    Repeat {
        node: Box<Node>,
        min: u32,
        max: u32,
        greed: Greed,
    },
    Look(Look, Box<Node>),
    Atomic(Box<Node>),
    TextStart,
    TextEnd,
    LineStart,
    LineEnd,
    /// Whether a word is to begin or end here, and the characters of words.
    WordBorder(bool, Set),
}

const MAX_DEPTH: usize = 32;

/// Parses `pattern`; `line_anchors` makes `^` and `$` match at lines, as Oniguruma does.
pub(crate) fn parse(pattern: &str, line_anchors: bool) -> Result<Node, TokenizeError> {
    let mut parser = Parser { pattern, pos: 0, depth: 0, fold_case: false, line_anchors };
    let node = parser.choice()?;
    if parser.pos < pattern.len() {
        return Err(parser.error("unmatched closing parenthesis"));
    }
    Ok(node)
}

struct Parser<'a> {
    pattern: &'a str,
    pos: usize,
    depth: usize,
    fold_case: bool,
    line_anchors: bool,
}

impl Parser<'_> {
    fn error(&self, what: &'static str) -> TokenizeError {
        TokenizeError::BadPattern { pattern: self.pattern.to_owned(), what, offset: self.pos }
    }

    fn rest(&self) -> &str {
        self.pattern.get(self.pos..).unwrap_or("")
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn next(&mut self) -> Option<char> {
        let char = self.peek()?;
        self.pos += char.len_utf8();
        Some(char)
    }

    fn eat(&mut self, token: &str) -> bool {
        let found = self.rest().starts_with(token);
        if found {
            self.pos += token.len();
        }
        found
    }

    fn choice(&mut self) -> Result<Node, TokenizeError> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(self.error("groups are nested too deep"));
        }
        let fold_case = self.fold_case;
        let mut branches = vec![self.sequence()?];
        while self.eat("|") {
            branches.push(self.sequence()?);
        }
        self.fold_case = fold_case;
        self.depth -= 1;
        Ok(match branches.len() {
            1 => branches.pop().unwrap_or(Node::Empty),
            _ => Node::Choice(branches),
        })
    }

    fn sequence(&mut self) -> Result<Node, TokenizeError> {
        let mut items = Vec::new();
        while let Some(char) = self.peek() {
            if char == '|' || char == ')' {
                break;
            }
            let item = self.atom()?;
            items.push(self.repeats(item)?);
        }
        Ok(match items.len() {
            0 => Node::Empty,
            1 => items.pop().unwrap_or(Node::Empty),
            _ => Node::Sequence(items),
        })
    }

    fn repeats(&mut self, mut node: Node) -> Result<Node, TokenizeError> {
        loop {
            let braces = self.peek() == Some('{');
            let (min, max) = match self.peek() {
                Some('*') => self.skip((0, u32::MAX)),
                Some('+') => self.skip((1, u32::MAX)),
                Some('?') => self.skip((0, 1)),
                Some('{') => match self.bounds() {
                    Some(bounds) => bounds,
                    None => return Ok(node),
                },
                _ => return Ok(node),
            };
            if min > max || (max != u32::MAX && max > 1000) || min > 1000 {
                return Err(self.error("repetition count is out of range"));
            }
            let greed = if self.eat("?") {
                Greed::Lazy
            } else if !(braces && self.line_anchors) && self.eat("+") {
                // To Oniguruma a plus behind braces is one more repetition.
                Greed::Possessive
            } else {
                Greed::Greedy
            };
            node = Node::Repeat { node: Box::new(node), min, max, greed };
        }
    }

    /// `{n}`, `{n,}`, `{,m}` or `{n,m}`; anything else is literal text and is left alone. The closing brace is
    /// consumed.
    fn bounds(&mut self) -> Option<(u32, u32)> {
        let inside = self.rest().strip_prefix('{')?;
        let end = inside.find('}')?;
        let inside = inside.get(..end)?;
        let (min, max) = match inside.split_once(',') {
            None => {
                let count = inside.parse().ok()?;
                (count, count)
            }
            Some(("", "")) => return None,
            Some((min, max)) => {
                let min = if min.is_empty() { 0 } else { min.parse().ok()? };
                (min, if max.is_empty() { u32::MAX } else { max.parse().ok()? })
            }
        };
        self.pos += end + 2;
        Some((min, max))
    }

    fn atom(&mut self) -> Result<Node, TokenizeError> {
        let Some(char) = self.next() else { return Ok(Node::Empty) };
        Ok(match char {
            '(' => return self.group(),
            '[' => Node::Set(self.bracket()?),
            '.' => Node::Set(Set::Not(Box::new(Set::Ranges(vec![(10, 10)])))),
            '^' if self.line_anchors => Node::LineStart,
            '^' => Node::TextStart,
            '$' if self.line_anchors => Node::LineEnd,
            '$' => Node::TextEnd,
            '*' | '+' | '?' => return Err(self.error("nothing to repeat")),
            '\\' => match self.peek() {
                Some('b') => self.skip(Node::WordBorder(true, self.word())),
                Some('B') => self.skip(Node::WordBorder(false, self.word())),
                Some('A') => self.skip(Node::TextStart),
                Some('z') => self.skip(Node::TextEnd),
                Some('R') => self.skip(line_break()),
                Some('Z') => return Err(self.error("this escape is not supported")),
                Some('1'..='9') => return Err(self.error("back references are not supported")),
                _ => Node::Set(self.escape()?),
            },
            char => Node::Set(self.literal(char)),
        })
    }

    /// `\w`, to which Oniguruma adds the fractions and exponents of Latin-1.
    fn word(&self) -> Set {
        let latin =
            if self.line_anchors { vec![(0xB2, 0xB3), (0xB9, 0xB9), (0xBC, 0xBE)] } else { Vec::new() };
        Set::Any(vec![word(), Set::Ranges(latin)])
    }

    fn skip<T>(&mut self, value: T) -> T {
        self.next();
        value
    }

    fn literal(&self, char: char) -> Set {
        let mut ranges = vec![(char as u32, char as u32)];
        if self.fold_case {
            ranges.extend(case_variants(char as u32).into_iter().map(|code| (code, code)));
        }
        Set::Ranges(ranges)
    }

    fn group(&mut self) -> Result<Node, TokenizeError> {
        let outer = self.fold_case;
        let look = |ahead, negate| Some(Look { ahead, negate });
        let (mut around, mut atomic) = (None, false);
        if self.eat("?:") {
        } else if self.eat("?=") {
            around = look(true, false);
        } else if self.eat("?!") {
            around = look(true, true);
        } else if self.eat("?<=") {
            around = look(false, false);
        } else if self.eat("?<!") {
            around = look(false, true);
        } else if self.eat("?>") {
            atomic = true;
        } else if self.eat("?i:") {
            self.fold_case = true;
        } else if self.eat("?i)") {
            // Until the end of the enclosing group.
            self.fold_case = true;
            return Ok(Node::Empty);
        } else if self.eat("?-i:") {
            self.fold_case = false;
        } else if self.eat("?P<") || self.eat("?<") {
            let end = self.rest().find('>').ok_or_else(|| self.error("group name does not end"))?;
            self.pos += end + 1;
        } else if self.rest().starts_with('?') {
            return Err(self.error("this kind of group is not supported"));
        }
        let inside = self.choice()?;
        if !self.eat(")") {
            return Err(self.error("missing closing parenthesis"));
        }
        self.fold_case = outer;
        Ok(match around {
            Some(look) => Node::Look(look, Box::new(inside)),
            None if atomic => Node::Atomic(Box::new(inside)),
            None => inside,
        })
    }

    /// What follows a backslash, as a set.
    fn escape(&mut self) -> Result<Set, TokenizeError> {
        let Some(char) = self.next() else { return Err(self.error("pattern ends in a backslash")) };
        let negated = |set| Set::Not(Box::new(set));
        Ok(match char {
            's' => Set::space(),
            'S' => negated(Set::space()),
            'd' => Set::Categories(unicode::DECIMAL),
            'D' => negated(Set::Categories(unicode::DECIMAL)),
            'w' => self.word(),
            'W' => negated(self.word()),
            'h' => Set::Ranges(vec![(0x30, 0x39), (0x41, 0x46), (0x61, 0x66)]),
            'p' => self.property()?,
            'P' => negated(self.property()?),
            _ => {
                let code = self.escaped_code(char)?;
                return Ok(
                    char::from_u32(code).map_or(Set::Ranges(vec![(code, code)]), |char| self.literal(char))
                );
            }
        })
    }

    fn escaped_code(&mut self, char: char) -> Result<u32, TokenizeError> {
        Ok(match char {
            'n' => 10,
            'r' => 13,
            't' => 9,
            'f' => 12,
            'v' => 11,
            'a' => 7,
            'e' => 27,
            '0' => 0,
            'x' if self.peek() == Some('{') => {
                let end = self.rest().find('}').ok_or_else(|| self.error("escape does not end"))?;
                let digits = self.rest().get(1..end).unwrap_or("").to_owned();
                self.pos += end + 1;
                self.hex(&digits)?
            }
            'x' => self.fixed_hex(2)?,
            'u' => self.fixed_hex(4)?,
            char if char.is_ascii_alphanumeric() => return Err(self.error("unknown escape")),
            char => char as u32,
        })
    }

    fn fixed_hex(&mut self, len: usize) -> Result<u32, TokenizeError> {
        let digits = self.rest().get(..len).unwrap_or("").to_owned();
        self.pos += digits.len();
        self.hex(&digits)
    }

    fn hex(&self, digits: &str) -> Result<u32, TokenizeError> {
        u32::from_str_radix(digits, 16).map_err(|_| self.error("bad hexadecimal number"))
    }

    fn property(&mut self) -> Result<Set, TokenizeError> {
        let name = if self.eat("{") {
            let end = self.rest().find('}').ok_or_else(|| self.error("property name does not end"))?;
            let name = self.rest().get(..end).unwrap_or("").to_owned();
            self.pos += end + 1;
            name
        } else {
            self.next().map(String::from).unwrap_or_default()
        };
        let (negate, name) = name.strip_prefix('^').map_or((false, name.as_str()), |name| (true, name));
        let Some(set) = property(name) else { return Err(self.error("unknown Unicode property")) };
        Ok(if negate { Set::Not(Box::new(set)) } else { set })
    }

    /// A bracket expression; the opening bracket has been read.
    fn bracket(&mut self) -> Result<Set, TokenizeError> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(self.error("brackets are nested too deep"));
        }
        let negate = self.eat("^");
        let (mut all, mut any, mut first) = (Vec::new(), Vec::new(), true);
        loop {
            if self.eat("&&") {
                all.push(Set::Any(std::mem::take(&mut any)));
            } else if !first && self.eat("]") {
                break;
            } else if self.eat("[:") {
                let end = self.rest().find(":]").ok_or_else(|| self.error("class name does not end"))?;
                let name = self.rest().get(..end).unwrap_or("").to_owned();
                let set = posix(&name, self.line_anchors).ok_or_else(|| self.error("unknown class name"))?;
                self.pos += end + 2;
                any.push(set);
            } else if self.eat("[") {
                any.push(self.bracket()?);
            } else {
                any.push(self.bracket_item()?);
            }
            first = false;
        }
        self.depth -= 1;
        let set = if all.is_empty() {
            Set::Any(any)
        } else {
            all.push(Set::Any(any));
            Set::All(all)
        };
        Ok(if negate { Set::Not(Box::new(set)) } else { set })
    }

    /// One character, range or escape of a bracket expression.
    fn bracket_item(&mut self) -> Result<Set, TokenizeError> {
        let Some(low) = self.bracket_char()? else { return self.escape() };
        let range = self.rest().strip_prefix('-').is_some_and(|after| !after.starts_with([']', '[']));
        if !range {
            return Ok(char::from_u32(low).map_or(Set::Ranges(vec![(low, low)]), |char| self.literal(char)));
        }
        self.next();
        let Some(high) = self.bracket_char()? else { return Err(self.error("a class cannot end a range")) };
        if high < low {
            return Err(self.error("range is out of order"));
        }
        let mut ranges = vec![(low, high)];
        if self.fold_case && high - low < 0x100 {
            ranges.extend((low..=high).flat_map(case_variants).map(|code| (code, code)));
        }
        Ok(Set::Ranges(ranges))
    }

    /// The next character, escaped or not; `None`, with the backslash consumed, where it is a class.
    fn bracket_char(&mut self) -> Result<Option<u32>, TokenizeError> {
        match self.next() {
            None => Err(self.error("missing closing bracket")),
            Some('\\') => match self.peek() {
                Some('s' | 'S' | 'd' | 'D' | 'w' | 'W' | 'h' | 'p' | 'P') => Ok(None),
                Some('b') => {
                    self.next();
                    Ok(Some(8))
                }
                Some(char) => {
                    self.next();
                    self.escaped_code(char).map(Some)
                }
                None => Err(self.error("pattern ends in a backslash")),
            },
            Some(char) => Ok(Some(char as u32)),
        }
    }
}

/// `\R`: one line break of any kind.
fn line_break() -> Node {
    let one = |code| Node::Set(Set::Ranges(vec![(code, code)]));
    let both = Node::Sequence(vec![one(13), one(10)]);
    let single = Node::Set(Set::Ranges(vec![(10, 13), (0x85, 0x85), (0x2028, 0x2029)]));
    Node::Atomic(Box::new(Node::Choice(vec![both, single])))
}

/// Word characters: letters, marks, decimal and letter-like numbers, connectors, and the circled letters, which are
/// symbols but alphabetic.
pub(crate) fn word() -> Set {
    Set::Any(vec![
        Set::Categories(
            unicode::LETTER | unicode::MARK | (unicode::NUMBER & !(1 << 10)) | unicode::CONNECTOR,
        ),
        Set::Ranges(vec![(0x24B6, 0x24E9), (0x1_F130, 0x1_F149), (0x1_F150, 0x1_F169), (0x1_F170, 0x1_F189)]),
    ])
}

/// The long names of general categories, as they are compared.
const LONG_NAMES: [(&str, &str); 37] = [
    ("letter", "L"),
    ("casedletter", "LC"),
    ("uppercaseletter", "Lu"),
    ("lowercaseletter", "Ll"),
    ("titlecaseletter", "Lt"),
    ("modifierletter", "Lm"),
    ("otherletter", "Lo"),
    ("mark", "M"),
    ("combiningmark", "M"),
    ("nonspacingmark", "Mn"),
    ("spacingmark", "Mc"),
    ("enclosingmark", "Me"),
    ("number", "N"),
    ("decimalnumber", "Nd"),
    ("letternumber", "Nl"),
    ("othernumber", "No"),
    ("punctuation", "P"),
    ("connectorpunctuation", "Pc"),
    ("dashpunctuation", "Pd"),
    ("openpunctuation", "Ps"),
    ("closepunctuation", "Pe"),
    ("initialpunctuation", "Pi"),
    ("finalpunctuation", "Pf"),
    ("otherpunctuation", "Po"),
    ("symbol", "S"),
    ("mathsymbol", "Sm"),
    ("currencysymbol", "Sc"),
    ("modifiersymbol", "Sk"),
    ("othersymbol", "So"),
    ("separator", "Z"),
    ("spaceseparator", "Zs"),
    ("lineseparator", "Zl"),
    ("paragraphseparator", "Zp"),
    ("other", "C"),
    ("control", "Cc"),
    ("format", "Cf"),
    ("unassigned", "Cn"),
];

/// A property by its name, in which case, spaces, `-` and `_` do not count.
fn property(name: &str) -> Option<Set> {
    let fold = |text: &str| -> String {
        let kept = text.chars().filter(|char| !matches!(char, '_' | '-' | ' '));
        kept.map(|char| char.to_ascii_lowercase()).collect()
    };
    let mut plain = fold(name.trim());
    for prefix in ["is", "script=", "sc=", "generalcategory=", "gc="] {
        plain = plain.strip_prefix(prefix).map_or(plain.clone(), str::to_owned);
    }
    let short = LONG_NAMES.iter().find(|(long, _)| *long == plain).map_or(plain.clone(), |row| fold(row.1));
    let categories = unicode::CATEGORY_NAMES.iter().zip(0..);
    let of_name = |full: &str| match short.as_str() {
        "lc" => matches!(full, "Lu" | "Ll" | "Lt"),
        "" => false,
        _ => short.len() <= 2 && full.to_ascii_lowercase().starts_with(&short),
    };
    let mut mask = categories.filter(|(full, _)| of_name(full)).fold(0u32, |mask, (_, bit)| mask | 1 << bit);
    if mask & unicode::CONTROL != 0 {
        mask |= unicode::CONTROL;
    }
    if mask != 0 {
        return Some(Set::Categories(mask));
    }
    match plain.as_str() {
        "any" => Some(Set::Categories(unicode::ALL)),
        "alphabetic" | "alpha" => Some(Set::Predicate(|code| holds(code, char::is_alphabetic))),
        "uppercase" | "upper" => Some(Set::Predicate(|code| holds(code, char::is_uppercase))),
        // A letter that lost its case after the reference's tables were made.
        "lowercase" | "lower" => {
            Some(Set::Predicate(|code| code == 0x295 || holds(code, char::is_lowercase)))
        }
        "whitespace" | "space" => Some(Set::space()),
        "ascii" => Some(Set::Ranges(vec![(0, 127)])),
        _ => {
            let index = unicode::SCRIPT_NAMES.iter().position(|script| fold(script) == plain)?;
            let script = Set::Script(index as u8);
            // The table of scripts is newer than that of the categories, which is the reference's.
            Some(Set::All(vec![script, Set::Not(Box::new(Set::Categories(unicode::UNASSIGNED)))]))
        }
    }
}

/// What the standard library says of a character, if the categories' version of Unicode has it.
fn holds(code: u32, property: fn(char) -> bool) -> bool {
    char::from_u32(code).is_some_and(property) && !unicode::is(code, unicode::UNASSIGNED)
}

/// A class of POSIX; `wide_symbols`: the symbols of all Unicode are punctuation, as to Oniguruma.
fn posix(name: &str, wide_symbols: bool) -> Option<Set> {
    let (negate, name) = name.strip_prefix('^').map_or((false, name), |name| (true, name));
    let not = |mask: u32| Set::Not(Box::new(Set::Categories(mask)));
    let set = match name {
        "alpha" | "upper" | "lower" => property(name)?,
        "digit" => Set::Categories(unicode::DECIMAL),
        "alnum" => Set::Any(vec![property("alpha")?, Set::Categories(unicode::DECIMAL)]),
        "space" => Set::space(),
        "blank" => Set::Any(vec![Set::Categories(unicode::SPACE_SEPARATOR), Set::Ranges(vec![(9, 9)])]),
        "punct" if wide_symbols => Set::Categories(unicode::PUNCTUATION | unicode::SYMBOL),
        "punct" => Set::Any(vec![
            Set::Categories(unicode::PUNCTUATION),
            Set::Ranges("$+<=>^`|~".chars().map(|char| (char as u32, char as u32)).collect()),
        ]),
        "graph" => {
            let hidden = unicode::CONTROL | unicode::UNASSIGNED | unicode::SURROGATE;
            Set::All(vec![not(hidden), Set::Not(Box::new(Set::space()))])
        }
        "print" => Set::Any(vec![posix("graph", wide_symbols)?, Set::Categories(unicode::SPACE_SEPARATOR)]),
        "xdigit" => Set::Ranges(vec![(0x30, 0x39), (0x41, 0x46), (0x61, 0x66)]),
        "cntrl" => Set::Categories(unicode::CONTROL),
        "word" => word(),
        "ascii" => Set::Ranges(vec![(0, 127)]),
        _ => return None,
    };
    Some(if negate { Set::Not(Box::new(set)) } else { set })
}

/// The other characters that are equal to this one when case is ignored.
fn case_variants(code: u32) -> Vec<u32> {
    let Some(char) = char::from_u32(code) else { return Vec::new() };
    let single = |mut mapped: Box<dyn Iterator<Item = char>>| match (mapped.next(), mapped.next()) {
        (Some(one), None) => Some(one as u32),
        _ => None,
    };
    let lower = single(Box::new(char.to_lowercase()));
    let upper = single(Box::new(char.to_uppercase()));
    let mut out: Vec<u32> = lower.into_iter().chain(upper).filter(|other| *other != code).collect();
    match char {
        'ß' => out.push(0x1E9E),
        's' | 'S' => out.push(0x17F),
        'k' | 'K' => out.push(0x212A),
        _ => {}
    }
    out
}
