//! Stop strings: the answer ends where one begins, wherever the token borders are.

/// Finds the first stop string in text that arrives in pieces.
///
/// Invariant: `held` is the longest end of the text so far that some stop string begins with, so nothing of a stop string
/// ever leaves before it is certain not to be one.
#[derive(Debug, Clone)]
pub(crate) struct StopMatcher {
    stops: Vec<String>,
    held: String,
}

/// What a piece of text led to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Scan {
    /// Text that can go out; it may be empty.
    Text(String),
    /// A stop string was met: the text before it, and which one.
    Stopped { text: String, stop: String },
}

impl StopMatcher {
    /// Looks for any of `stops`, none of which may be empty.
    pub(crate) fn new(stops: &[String]) -> Self {
        Self { stops: stops.to_vec(), held: String::new() }
    }

    /// Takes the next piece.
    pub(crate) fn push(&mut self, piece: &str) -> Scan {
        if self.stops.is_empty() {
            return Scan::Text(piece.to_owned());
        }
        self.held.push_str(piece);
        // The stop string that is complete first wins, of two that end together the longer one: so neither the order of the
        // list nor the borders of the pieces are of any matter.
        let found = self
            .stops
            .iter()
            .filter_map(|stop| self.held.find(stop.as_str()).map(|at| (at, stop)))
            .min_by_key(|(at, stop)| (at + stop.len(), *at));
        if let Some((at, stop)) = found {
            let stop = stop.clone();
            self.held.truncate(at);
            return Scan::Stopped { text: std::mem::take(&mut self.held), stop };
        }
        let keep = self.stops.iter().map(|stop| overlap(&self.held, stop)).max().unwrap_or(0);
        let rest = self.held.split_off(self.held.len() - keep);
        Scan::Text(std::mem::replace(&mut self.held, rest))
    }

    /// The text that was held back; the matcher is empty afterwards.
    pub(crate) fn finish(&mut self) -> String {
        std::mem::take(&mut self.held)
    }
}

/// Length of the longest end of `text` that `stop` begins with, short of all of `stop`.
fn overlap(text: &str, stop: &str) -> usize {
    let longest = text.len().min(stop.len().saturating_sub(1));
    (1..=longest)
        .rev()
        .filter(|&n| stop.is_char_boundary(n))
        .find(|&n| text.as_bytes().ends_with(&stop.as_bytes()[..n]))
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::{prop, prop_assert_eq, proptest};

    fn run(stops: &[&str], pieces: &[&str]) -> (String, Option<String>) {
        let stops: Vec<String> = stops.iter().map(|&stop| stop.to_owned()).collect();
        let mut matcher = StopMatcher::new(&stops);
        let mut out = String::new();
        for piece in pieces {
            match matcher.push(piece) {
                Scan::Text(text) => out.push_str(&text),
                Scan::Stopped { text, stop } => return (out + &text, Some(stop)),
            }
        }
        (out + &matcher.finish(), None)
    }

    /// Name, stop strings, pieces, text that goes out, the stop that was met.
    type Case =
        (&'static str, &'static [&'static str], &'static [&'static str], &'static str, Option<&'static str>);

    const CASES: &[Case] = &[
        ("none", &[], &["a", "b"], "ab", None),
        ("inside a piece", &["b"], &["abc"], "a", Some("b")),
        ("over three pieces", &["</s>"], &["hi <", "/s", "> more"], "hi ", Some("</s>")),
        ("a false start is given back", &["<end>"], &["a <e", "xit>"], "a <exit>", None),
        ("a false start at the end of the text", &["<end>"], &["a <en"], "a <en", None),
        ("a start inside a false start", &["aab"], &["aa", "aab"], "aa", Some("aab")),
        ("the earliest of several", &["z", "y"], &["xyz"], "x", Some("y")),
        ("inside a longer one that begins before", &["yzz", "z"], &["xyzz"], "xy", Some("z")),
        ("the one that is complete first", &["ab", "abc"], &["xabc"], "x", Some("ab")),
        ("the longer of two that end together", &["bc", "abc"], &["xa", "bc"], "x", Some("abc")),
        ("at the very start", &["x"], &["x"], "", Some("x")),
        ("letters of more than one byte", &["né"], &["an", "é"], "a", Some("né")),
        ("held back at a letter of two bytes", &["é!"], &["é", "?"], "é?", None),
    ];

    #[test]
    fn borders_do_not_matter() {
        for &(name, stops, pieces, text, stop) in CASES {
            assert_eq!(run(stops, pieces), (text.to_owned(), stop.map(str::to_owned)), "{name}");
        }
    }

    #[test]
    fn what_cannot_be_a_stop_goes_out_at_once() {
        let mut matcher = StopMatcher::new(&["\n\n".to_owned()]);
        assert_eq!(matcher.push("one"), Scan::Text("one".to_owned()));
        assert_eq!(matcher.push(" two\n"), Scan::Text(" two".to_owned()));
        assert_eq!(matcher.push("three"), Scan::Text("\nthree".to_owned()));
    }

    proptest! {
        #[test]
        fn any_cutting_gives_the_same_answer(text in "[ab<é]{0,24}", stops in prop::collection::vec("[ab<é]{1,4}", 1..4),
                                             cuts in prop::collection::vec(0usize..24, 0..6)) {
            let stops: Vec<&str> = stops.iter().map(String::as_str).collect();
            let mut borders: Vec<usize> = cuts.into_iter().filter(|&c| c < text.len() && text.is_char_boundary(c)).collect();
            borders.extend([0, text.len()]);
            borders.sort_unstable();
            let pieces: Vec<&str> = borders.windows(2).map(|w| &text[w[0]..w[1]]).collect();
            let (out, stop) = run(&stops, &pieces);
            let first = stops.iter().filter_map(|stop| text.find(stop).map(|at| (at + stop.len(), at))).min();
            prop_assert_eq!(&out, &text[..first.map_or(text.len(), |(_, at)| at)]);
            prop_assert_eq!(stop.is_some(), first.is_some());
        }
    }
}
