//! From the tree to operations.

use super::class::{Class, Set};
use super::parse::{Greed, Look, Node};
use super::{Op, Pattern};
use crate::TokenizeError;

const MAX_OPS: usize = 20_000;

pub(super) fn compile(node: &Node, source: &str) -> Result<Pattern, TokenizeError> {
    let mut compiler = Compiler { source, ops: Vec::new(), classes: Vec::new() };
    let whole = [node.clone()];
    // More branches than a mask has bits: one branch that holds them all.
    let branches = match node {
        Node::Choice(branches) if branches.len() <= 64 => branches.as_slice(),
        _ => whole.as_slice(),
    };
    let (mut starts, mut first, mut nullable) = (Vec::new(), Box::new([0u64; 256]), 0);
    for (index, branch) in branches.iter().enumerate() {
        starts.push(compiler.ops.len() as u32);
        compiler.node(branch, true)?;
        compiler.push(Op::Match)?;
        let bit = 1u64 << index;
        let mut bytes = [false; 256];
        if first_bytes(branch, &mut bytes) {
            nullable |= bit;
            bytes = [true; 256];
        }
        for (mask, may) in first.iter_mut().zip(bytes) {
            *mask |= if may { bit } else { 0 };
        }
    }
    Ok(Pattern { ops: compiler.ops, classes: compiler.classes, branches: starts, first, nullable })
}

/// Marks the bytes that a match can begin with; true where the match may be empty (or look around first).
fn first_bytes(node: &Node, bytes: &mut [bool; 256]) -> bool {
    match node {
        Node::Set(set) => {
            let class = Class::new(set.clone());
            for (byte, may) in (0..=255u8).zip(bytes.iter_mut()) {
                *may |= if byte < 0x80 { class.has_ascii(byte) } else { class.may_be_wide() };
            }
            false
        }
        Node::Sequence(items) => items.iter().all(|item| first_bytes(item, bytes)),
        Node::Choice(branches) => {
            branches.iter().fold(false, |empty, branch| first_bytes(branch, bytes) | empty)
        }
        Node::Repeat { node, min, .. } => first_bytes(node, bytes) || *min == 0,
        Node::Atomic(node) => first_bytes(node, bytes),
        Node::Empty
        | Node::Look(..)
        | Node::TextStart
        | Node::TextEnd
        | Node::LineStart
        | Node::LineEnd
        | Node::WordBorder(..) => true,
    }
}

struct Compiler<'a> {
    source: &'a str,
    ops: Vec<Op>,
    classes: Vec<Class>,
}

impl Compiler<'_> {
    fn error(&self, what: &'static str) -> TokenizeError {
        TokenizeError::BadPattern { pattern: self.source.to_owned(), what, offset: self.source.len() }
    }

    fn push(&mut self, op: Op) -> Result<usize, TokenizeError> {
        if self.ops.len() >= MAX_OPS {
            return Err(self.error("the pattern is too large"));
        }
        self.ops.push(op);
        Ok(self.ops.len() - 1)
    }

    fn here(&self) -> u32 {
        self.ops.len() as u32
    }

    fn set(&mut self, at: usize, op: Op) {
        if let Some(slot) = self.ops.get_mut(at) {
            *slot = op;
        }
    }

    fn class(&mut self, set: &Set) -> u32 {
        self.classes.push(Class::new(set.clone()));
        self.classes.len() as u32 - 1
    }

    /// Compiles `node`; `last` says that nothing but the end of the match follows it.
    fn node(&mut self, node: &Node, last: bool) -> Result<(), TokenizeError> {
        match node {
            Node::Empty => {}
            Node::Set(set) => {
                let class = self.class(set);
                self.push(Op::Class(class))?;
            }
            Node::Sequence(items) => self.sequence(items, last)?,
            Node::Choice(branches) => self.choice(branches, last)?,
            Node::Repeat { node, min, max, greed } => self.repeat(node, (*min, *max), *greed, last)?,
            Node::Look(look, inside) => self.look(*look, inside)?,
            Node::Atomic(inside) => self.program(inside, |end| Op::Atomic { min: 1, max: 1, end })?,
            Node::TextStart => drop(self.push(Op::TextStart)?),
            Node::TextEnd => drop(self.push(Op::TextEnd)?),
            Node::LineStart => drop(self.push(Op::LineStart)?),
            Node::LineEnd => drop(self.push(Op::LineEnd)?),
            Node::WordBorder(wanted, set) => {
                let class = self.class(set);
                self.push(Op::WordBorder { wanted: *wanted, class })?;
            }
        }
        Ok(())
    }

    fn sequence(&mut self, items: &[Node], last: bool) -> Result<(), TokenizeError> {
        let mut rest = items;
        while let [item, after @ ..] = rest {
            let item = match item {
                // A loop over a class that cannot begin what follows never has to give anything back.
                Node::Repeat { node, min, max, greed: Greed::Greedy } if cannot_continue(node, after) => {
                    &Node::Repeat { node: node.clone(), min: *min, max: *max, greed: Greed::Possessive }
                }
                item => item,
            };
            self.node(item, last && after.is_empty())?;
            rest = after;
        }
        Ok(())
    }

    fn choice(&mut self, branches: &[Node], last: bool) -> Result<(), TokenizeError> {
        let mut jumps = Vec::new();
        let mut rest = branches;
        while let [branch, after @ ..] = rest {
            if after.is_empty() {
                self.node(branch, last)?;
            } else {
                let split = self.push(Op::Jump(0))?;
                self.node(branch, last)?;
                jumps.push(self.push(Op::Jump(0))?);
                let second = self.here();
                self.set(split, Op::Split { first: split as u32 + 1, second });
            }
            rest = after;
        }
        let end = self.here();
        for jump in jumps {
            self.set(jump, Op::Jump(end));
        }
        Ok(())
    }

    /// `inside` as a program of its own behind the operation that `op` makes, given its end.
    fn program(&mut self, inside: &Node, op: impl FnOnce(u32) -> Op) -> Result<(), TokenizeError> {
        let at = self.push(Op::Match)?;
        self.node(inside, true)?;
        self.push(Op::Match)?;
        let end = self.here();
        self.set(at, op(end));
        Ok(())
    }

    fn look(&mut self, look: Look, inside: &Node) -> Result<(), TokenizeError> {
        let one_character = match inside {
            Node::Set(_) => true,
            Node::Choice(branches) => branches.iter().all(|branch| matches!(branch, Node::Set(_))),
            _ => false,
        };
        if !look.ahead && !one_character {
            return Err(self.error("looking behind works for one character only"));
        }
        self.program(inside, |end| Op::Look { look, end })
    }

    fn repeat(
        &mut self,
        node: &Node,
        (min, max): (u32, u32),
        greed: Greed,
        last: bool,
    ) -> Result<(), TokenizeError> {
        let possessive = greed == Greed::Possessive || (last && greed == Greed::Greedy);
        if let Node::Set(set) = node {
            let class = self.class(set);
            let greed = if possessive { Greed::Possessive } else { greed };
            self.push(Op::Loop { class, min, max, greed })?;
            return Ok(());
        }
        if possessive {
            return self.program(node, |end| Op::Atomic { min, max, end });
        }
        if max == u32::MAX && first_bytes(node, &mut [false; 256]) {
            return Err(self.error("an endless loop over something that may be empty"));
        }
        for _ in 0..min {
            self.node(node, false)?;
        }
        let lazy = greed == Greed::Lazy;
        let split = |inside: u32, out: u32| {
            if lazy {
                Op::Split { first: out, second: inside }
            } else {
                Op::Split { first: inside, second: out }
            }
        };
        if max == u32::MAX {
            let at = self.push(Op::Match)?;
            self.node(node, false)?;
            self.push(Op::Jump(at as u32))?;
            let out = self.here();
            self.set(at, split(at as u32 + 1, out));
            return Ok(());
        }
        let mut splits = Vec::new();
        for _ in min..max {
            splits.push(self.push(Op::Match)?);
            self.node(node, false)?;
        }
        let out = self.here();
        for at in splits {
            self.set(at, split(at as u32 + 1, out));
        }
        Ok(())
    }
}

/// Whether no character of `node` can begin `after`, which cannot be empty.
fn cannot_continue(node: &Node, after: &[Node]) -> bool {
    let Node::Set(set) = node else { return false };
    let class = Class::new(set.clone());
    for next in after {
        let (next, min) = match next {
            Node::Set(next) => (next, 1),
            Node::Repeat { node, min, .. } => match node.as_ref() {
                Node::Set(next) => (next, *min),
                _ => return false,
            },
            _ => return false,
        };
        if !class.is_disjoint(&Class::new(next.clone())) {
            return false;
        }
        if min > 0 {
            return true;
        }
    }
    false
}
