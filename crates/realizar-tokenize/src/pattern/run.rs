//! Matching.

use std::ops::Range;

use super::class::Class;
use super::parse::{Greed, Look};
use super::{Op, Pattern};
use crate::{TokenizeError, unicode};

/// Steps allowed per search, and more for every byte of text.
const STEPS: u64 = 1_000_000;
const STEPS_PER_BYTE: u64 = 64;

/// The working memory of a search; one serves any number of searches.
#[derive(Debug, Default)]
pub(crate) struct Matcher {
    stack: Vec<Frame>,
    steps: u64,
}

/// Where to go on when the current way fails.
#[derive(Debug, Clone, Copy)]
struct Frame {
    at: u32,
    pos: usize,
    kind: Kind,
}

#[derive(Debug, Clone, Copy)]
enum Kind {
    Branch,
    /// A greedy loop that may give back characters down to this position.
    GiveBack {
        floor: usize,
    },
    /// A lazy loop that may take this many more.
    TakeMore {
        class: u32,
        left: u32,
    },
}

impl Matcher {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Calls `emit` with each match from left to right.
    pub(crate) fn each_match(
        &mut self,
        pattern: &Pattern,
        text: &[u8],
        mut emit: impl FnMut(Range<usize>),
    ) -> Result<(), TokenizeError> {
        self.steps = STEPS.saturating_add(STEPS_PER_BYTE.saturating_mul(text.len() as u64));
        let mut pos = 0;
        // An empty match may not stand where the match before it ended.
        let mut empty_at = None;
        while pos <= text.len() {
            let byte = text.get(pos);
            let branches = byte.map_or(pattern.nullable, |&byte| first(pattern, byte));
            let end = if branches == 0 { None } else { self.try_at(pattern, branches, text, pos, empty_at) };
            if self.steps == 0 {
                return Err(TokenizeError::PatternTooCostly);
            }
            match end {
                Some(end) => {
                    emit(pos..end);
                    empty_at = Some(end);
                    pos = end;
                }
                None => pos += byte.map_or(1, |&byte| unicode::promised_len(byte)),
            }
        }
        Ok(())
    }

    fn try_at(
        &mut self,
        pattern: &Pattern,
        mut branches: u64,
        text: &[u8],
        pos: usize,
        not_empty_at: Option<usize>,
    ) -> Option<usize> {
        while branches != 0 {
            let branch = branches.trailing_zeros() as usize;
            branches &= branches - 1;
            let at = *pattern.branches.get(branch)?;
            if let Some(end) = self.run(pattern, text, at, pos)
                && (end > pos || not_empty_at != Some(pos))
            {
                return Some(end);
            }
        }
        None
    }

    /// Runs the program at `at` from `pos`; the end of its match. Recursion is as deep as the pattern's groups.
    fn run(&mut self, pattern: &Pattern, text: &[u8], mut at: u32, mut pos: usize) -> Option<usize> {
        let base = self.stack.len();
        loop {
            if self.steps == 0 {
                self.stack.truncate(base);
                return None;
            }
            self.steps -= 1;
            let went_on = match pattern.ops.get(at as usize)? {
                Op::Match => {
                    self.stack.truncate(base);
                    return Some(pos);
                }
                Op::Class(class) => class_of(pattern, *class)?.matches(text, pos).is_some_and(|len| {
                    pos += len;
                    true
                }),
                Op::Loop { class, min, max, greed } => {
                    self.class_loop(pattern, text, (at + 1, *class), (*min, *max), *greed, &mut pos)
                }
                Op::Split { first, second } => {
                    self.stack.push(Frame { at: *second, pos, kind: Kind::Branch });
                    at = *first;
                    continue;
                }
                Op::Jump(target) => {
                    at = *target;
                    continue;
                }
                Op::Look { look, end } => {
                    let held = self.look(pattern, text, at + 1, pos, *look);
                    if held {
                        at = *end;
                        continue;
                    }
                    false
                }
                Op::Atomic { min, max, end } => {
                    if let Some(after) = self.atomic(pattern, text, at + 1, pos, (*min, *max)) {
                        pos = after;
                        at = *end;
                        continue;
                    }
                    false
                }
                Op::TextStart => pos == 0,
                Op::TextEnd => pos == text.len(),
                Op::LineStart => pos == 0 || text.get(pos - 1) == Some(&b'\n'),
                Op::LineEnd => matches!(text.get(pos), None | Some(b'\n')),
                Op::WordBorder { wanted, class } => {
                    is_border(class_of(pattern, *class)?, text, pos) == *wanted
                }
            };
            if went_on {
                at += 1;
            } else {
                (at, pos) = self.back(pattern, text, base)?;
            }
        }
    }

    /// Takes up the latest alternative.
    fn back(&mut self, pattern: &Pattern, text: &[u8], base: usize) -> Option<(u32, usize)> {
        if self.stack.len() <= base {
            return None;
        }
        let frame = self.stack.pop()?;
        match frame.kind {
            Kind::Branch => Some((frame.at, frame.pos)),
            Kind::GiveBack { floor } => {
                let pos = unicode::step_back(text, frame.pos).max(floor);
                if pos > floor {
                    self.stack.push(Frame { pos, ..frame });
                }
                Some((frame.at, pos))
            }
            Kind::TakeMore { class, left } => match class_of(pattern, class)?.matches(text, frame.pos) {
                Some(len) => {
                    let pos = frame.pos + len;
                    if left > 1 {
                        self.stack.push(Frame {
                            pos,
                            kind: Kind::TakeMore { class, left: left - 1 },
                            ..frame
                        });
                    }
                    Some((frame.at, pos))
                }
                None => self.back(pattern, text, base),
            },
        }
    }

    fn class_loop(
        &mut self,
        pattern: &Pattern,
        text: &[u8],
        (after, class_index): (u32, u32),
        (min, max): (u32, u32),
        greed: Greed,
        pos: &mut usize,
    ) -> bool {
        let Some(class) = class_of(pattern, class_index) else { return false };
        let first = if greed == Greed::Lazy { min } else { max };
        let (mut count, mut end, mut floor) = (0, *pos, *pos);
        while count < first {
            let Some(len) = class.matches(text, end) else { break };
            end += len;
            count += 1;
            if count == min {
                floor = end;
            }
        }
        // A long run costs steps as it would if it were written out.
        self.steps = self.steps.saturating_sub(((end - *pos) / 8) as u64).max(1);
        if count < min {
            return false;
        }
        match greed {
            Greed::Greedy if end > floor => {
                self.stack.push(Frame { at: after, pos: end, kind: Kind::GiveBack { floor } });
            }
            Greed::Lazy if max > count => {
                let kind = Kind::TakeMore { class: class_index, left: max - count };
                self.stack.push(Frame { at: after, pos: end, kind });
            }
            _ => {}
        }
        *pos = end;
        true
    }

    fn look(&mut self, pattern: &Pattern, text: &[u8], at: u32, pos: usize, look: Look) -> bool {
        let found = if look.ahead {
            self.run(pattern, text, at, pos).is_some()
        } else {
            pos > 0 && self.run(pattern, text, at, unicode::step_back(text, pos)) == Some(pos)
        };
        found != look.negate
    }

    fn atomic(
        &mut self,
        pattern: &Pattern,
        text: &[u8],
        at: u32,
        mut pos: usize,
        (min, max): (u32, u32),
    ) -> Option<usize> {
        let mut count = 0;
        while count < max {
            match self.run(pattern, text, at, pos) {
                Some(end) if end > pos => pos = end,
                // Once more would change nothing.
                Some(_) => return Some(pos),
                None => break,
            }
            count += 1;
        }
        (count >= min).then_some(pos)
    }
}

#[inline]
fn class_of(pattern: &Pattern, index: u32) -> Option<&Class> {
    pattern.classes.get(index as usize)
}

#[inline]
fn first(pattern: &Pattern, byte: u8) -> u64 {
    pattern.first.get(byte as usize).copied().unwrap_or(0)
}

fn is_border(word: &Class, text: &[u8], pos: usize) -> bool {
    let before = pos > 0 && word.matches(text, unicode::step_back(text, pos)).is_some();
    before != word.matches(text, pos).is_some()
}
