//! Repetition, frequency and presence penalties over the latest tokens.

use crate::SampleOptions;
use crate::candidates::Candidates;

/// The three penalties. Keeps one counter per token of the vocabulary, all zero between calls.
#[derive(Debug)]
pub(crate) struct Penalties {
    last_n: usize,
    repeat: f32,
    frequency: f32,
    presence: f32,
    counts: Vec<u32>,
}

impl Penalties {
    /// `None` when the options leave the scores alone.
    pub(crate) fn new(options: &SampleOptions) -> Option<Self> {
        let neutral = options.repeat_penalty == 1.0
            && options.frequency_penalty == 0.0
            && options.presence_penalty == 0.0;
        (options.repeat_last_n > 0 && !neutral).then(|| Self {
            last_n: options.repeat_last_n,
            repeat: options.repeat_penalty,
            frequency: options.frequency_penalty,
            presence: options.presence_penalty,
            counts: Vec::new(),
        })
    }

    /// Lowers the scores of the tokens in the window. `candidates` must still be in the order of ids; ids of `history`
    /// outside the vocabulary are passed over.
    pub(crate) fn apply(&mut self, candidates: &mut Candidates, history: &[u32]) {
        let items = candidates.items_mut();
        self.counts.resize(items.len(), 0);
        let window = &history[history.len().saturating_sub(self.last_n)..];
        for &id in window {
            if let Some(count) = self.counts.get_mut(id as usize) {
                *count += 1;
            }
        }
        for &id in window {
            let Some(count) = self.counts.get_mut(id as usize).filter(|count| **count > 0) else { continue };
            let logit = &mut items[id as usize].logit;
            let scaled = if *logit <= 0.0 { *logit * self.repeat } else { *logit / self.repeat };
            let lowered = scaled - *count as f32 * self.frequency - self.presence;
            // An excluded token stays excluded; all others stay finite.
            if logit.is_finite() {
                *logit = lowered.clamp(f32::MIN, f32::MAX);
            }
            *count = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(last_n: usize, repeat: f32, frequency: f32, presence: f32) -> SampleOptions {
        SampleOptions {
            repeat_last_n: last_n,
            repeat_penalty: repeat,
            frequency_penalty: frequency,
            presence_penalty: presence,
            ..SampleOptions::greedy()
        }
    }

    fn penalised(options: &SampleOptions, history: &[u32]) -> Vec<f32> {
        let mut candidates = Candidates::default();
        let mut penalties = Penalties::new(options).expect("an effective penalty");
        for _ in 0..2 {
            // Twice, so that a counter left over would show.
            candidates.fill(&[4.0, -4.0, 2.0, f32::NEG_INFINITY]);
            penalties.apply(&mut candidates, history);
        }
        candidates.items().iter().map(|item| item.logit).collect()
    }

    #[test]
    fn each_penalty_does_what_it_says() {
        let none = f32::NEG_INFINITY;
        for (name, options, history, expected) in [
            ("repeat", options(9, 2.0, 0.0, 0.0), &[0u32, 1, 0][..], [2.0, -8.0, 2.0, none]),
            ("frequency counts", options(9, 1.0, 0.5, 0.0), &[0, 2, 0], [3.0, -4.0, 1.5, none]),
            ("presence counts once", options(9, 1.0, 0.0, 0.5), &[0, 2, 0], [3.5, -4.0, 1.5, none]),
            ("the window is the end", options(1, 2.0, 0.0, 0.0), &[0, 2], [4.0, -4.0, 1.0, none]),
            ("all of it", options(usize::MAX, 2.0, 0.0, 0.0), &[0, 2], [2.0, -4.0, 1.0, none]),
            ("foreign and excluded ids", options(9, 2.0, 1.0, -1.0), &[7, 3], [4.0, -4.0, 2.0, none]),
            ("together", options(9, 2.0, 0.5, 1.0), &[0, 0], [0.0, -4.0, 2.0, none]),
        ] {
            assert_eq!(penalised(&options, history), expected, "{name}");
        }
    }

    #[test]
    fn neutral_values_need_no_work() {
        assert!(Penalties::new(&options(64, 1.0, 0.0, 0.0)).is_none());
        assert!(Penalties::new(&options(0, 1.5, 1.0, 1.0)).is_none());
    }

    #[test]
    fn scores_stay_finite() {
        let mut candidates = Candidates::of(&[3e38, -3e38]);
        Penalties::new(&options(9, 0.01, 0.0, 0.0)).expect("effective").apply(&mut candidates, &[0, 1]);
        assert_eq!(candidates.items()[0].logit, f32::MAX);
    }
}
