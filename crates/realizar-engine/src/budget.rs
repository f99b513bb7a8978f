//! How many prompt tokens a step may take beside answers that are being written.
//!
//! A step with a piece of a prompt in it takes longer, and every answer waits for it. A short prompt is one short wait, and
//! whole it costs least; a long prompt would be one wait after the other, so it goes in pieces that the answers hardly
//! feel, by what steps took so far. What comes out of the model does not depend on it.

use std::time::Duration;

/// A step with prompts in it may take this many times as long again as one without.
const SHARE: f64 = 1.5;
/// Long prompts go on by at least this many tokens a step, however slow they are.
const LEAST: usize = 8;
/// While nothing has been measured.
const UNKNOWN: usize = 32;
/// Weight of a new measurement.
const NEW: f64 = 0.25;

/// The prompt tokens of one step that are left to give.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Share {
    all: usize,
    /// Of those for long prompts.
    long: usize,
    /// A longer prompt is a long one.
    short: usize,
}

impl Share {
    /// Takes what a prompt of `prompt` tokens may go on by, of which `left` are left.
    pub(crate) fn take(&mut self, prompt: usize, left: usize) -> usize {
        if prompt <= self.short {
            let taken = left.min(self.all);
            self.all -= taken;
            return taken;
        }
        let taken = left.min(self.all).min(self.long);
        self.long -= taken;
        self.all -= taken;
        taken
    }
}

/// The share of prompts in a step.
#[derive(Debug, Clone)]
pub(crate) struct Budget {
    /// The most tokens of a short prompt, and of all of them in a step beside answers.
    short: usize,
    /// What prompts get when nobody is waiting for a next token.
    most: usize,
    /// Seconds of a step that only goes on with answers.
    answers: Option<f64>,
    /// Seconds per token of a prompt.
    prompt: Option<f64>,
}

impl Budget {
    pub(crate) fn new(most: usize, short: usize) -> Self {
        Self { short, most, answers: None, prompt: None }
    }

    /// Prompt tokens for the next step.
    pub(crate) fn share(&self, beside_answers: bool) -> Share {
        let long = self.tokens(beside_answers);
        let all = if beside_answers { self.most.min(self.short.max(long)) } else { self.most };
        Share { all, long, short: self.short }
    }

    /// Tokens of long prompts for the next step.
    fn tokens(&self, beside_answers: bool) -> usize {
        if !beside_answers {
            return self.most;
        }
        let fits = match (self.answers, self.prompt) {
            (Some(answers), Some(prompt)) => (SHARE * answers / prompt) as usize,
            _ => UNKNOWN,
        };
        fits.max(LEAST).min(self.most)
    }

    /// Takes note of what a step took.
    pub(crate) fn took(&mut self, prompt_tokens: usize, beside_answers: bool, time: Duration) {
        let seconds = time.as_secs_f64();
        if prompt_tokens == 0 {
            mix(&mut self.answers, seconds);
            return;
        }
        let of_answers = if beside_answers { self.answers.unwrap_or(0.0) } else { 0.0 };
        mix(&mut self.prompt, (seconds - of_answers).max(0.0) / prompt_tokens as f64);
    }
}

fn mix(mean: &mut Option<f64>, new: f64) {
    *mean = Some(mean.map_or(new, |old| old + (new - old) * NEW));
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn prompts_get_what_answers_hardly_feel() {
        let mut budget = Budget::new(512, 256);
        assert_eq!((budget.tokens(false), budget.tokens(true)), (512, UNKNOWN), "nothing is known");
        budget.took(100, false, 200 * MS);
        assert_eq!(budget.tokens(true), UNKNOWN, "of answers nothing is known");
        budget.took(0, true, 24 * MS);
        // 1.5 x 24 ms at 2 ms a token.
        assert_eq!((budget.tokens(false), budget.tokens(true)), (512, 18));
        // A token beside answers costs as much when their own time is taken off.
        budget.took(18, true, 60 * MS);
        assert_eq!(budget.tokens(true), 18);
        for _ in 0..40 {
            budget.took(18, true, 24 * MS + 18 * 4 * MS);
        }
        assert_eq!(budget.tokens(true), 9, "4 ms a token");
        for _ in 0..40 {
            budget.took(1, true, 500 * MS);
        }
        assert_eq!(budget.tokens(true), LEAST, "prompts always go on");
        for _ in 0..90 {
            budget.took(64, true, MS);
        }
        assert_eq!(budget.tokens(true), 512, "prompts that take no time get all");
        assert_eq!(Budget::new(3, 256).tokens(true), 3, "never more than the most");
    }

    #[test]
    fn short_prompts_go_whole_and_long_ones_in_pieces() {
        // Name, beside answers, prompts (all of whose tokens are left), what each goes on by.
        for (name, beside, prompts, taken) in [
            ("nobody waits", false, [600, 40], [512, 0]),
            ("nobody waits, several", false, [100, 600], [100, 412]),
            ("a long one", true, [600, 600], [UNKNOWN, 0]),
            ("short ones pass a long one", true, [600, 200], [UNKNOWN, 200]),
            ("short ones together are bounded", true, [200, 200], [200, 56]),
            ("a long one gets what is left", true, [240, 600], [240, 16]),
        ] {
            let mut share = Budget::new(512, 256).share(beside);
            assert_eq!(prompts.map(|prompt| share.take(prompt, prompt)), taken, "{name}");
        }
        let mut share = Budget::new(64, 256).share(true);
        assert_eq!(share.take(200, 200), 64, "never more than the most");
    }
}
