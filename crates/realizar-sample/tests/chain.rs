//! The chain as a caller sees it: what it picks, what it refuses, and that it neither remembers nor allocates.

use proptest::prelude::{Strategy, prop, prop_assert, prop_assert_eq, proptest};
use realizar_sample::{Chain, SampleError, SampleOptions, argmax};

fn pick(options: &SampleOptions, logits: &[f32], history: &[u32], position: u64) -> Result<u32, SampleError> {
    Chain::new(options)?.pick(logits, history, position)
}

/// Name, what to switch on, the only ids that may come out of the scores [0, 1, 2, 3, 4] with history [4].
type Case = (&'static str, fn(&mut SampleOptions), &'static [u32]);

const CASES: &[Case] = &[
    ("greedy", |o| o.temperature = 0.0, &[4]),
    ("top-k 2", |o| o.top_k = 2, &[3, 4]),
    ("top-p 0.6 keeps the best alone", |o| o.top_p = 0.6, &[4]),
    ("min-p 0.3", |o| o.min_p = 0.3, &[3, 4]),
    ("a typical mass of zero keeps one", |o| o.typical_p = 0.0, &[3]),
    ("top-n-sigma 1", |o| o.top_n_sigma = 1.0, &[3, 4]),
    ("xtc removes the best", |o| (o.xtc_probability, o.xtc_threshold) = (1.0, 0.1), &[0, 1, 2, 3]),
    ("bias excludes", |o| o.logit_bias = vec![(4, f32::NEG_INFINITY), (3, f32::NEG_INFINITY)], &[0, 1, 2]),
    ("bias forces", |o| o.logit_bias = vec![(0, 100.0)], &[0]),
    ("penalty on the repeated", |o| (o.repeat_last_n, o.presence_penalty) = (64, 100.0), &[0, 1, 2, 3]),
    (
        "greedy after a penalty",
        |o| (o.temperature, o.repeat_last_n, o.frequency_penalty) = (0.0, 1, 1.5),
        &[3],
    ),
    ("almost no temperature", |o| o.temperature = 1e-30, &[4]),
    (
        "dynamic temperature down to zero",
        |o| (o.temperature, o.dynatemp_range, o.dynatemp_exponent) = (0.01, 0.01, 50.0),
        &[4],
    ),
];

#[test]
fn each_sampler_limits_the_choice() {
    let logits = [0.0, 1.0, 2.0, 3.0, 4.0];
    for &(name, set, allowed) in CASES {
        let mut seen = [false; 5];
        for seed in 0..2_000 {
            let mut options = SampleOptions { temperature: 1.0, seed, ..SampleOptions::greedy() };
            set(&mut options);
            let id = pick(&options, &logits, &[4], 1).expect(name);
            assert!(allowed.contains(&id), "{name}: {id}");
            seen[id as usize] = true;
        }
        for &id in allowed {
            assert!(seen[id as usize], "{name}: {id} never came");
        }
    }
}

#[test]
fn frequencies_follow_the_probabilities() {
    let expected = [0.5, 0.3, 0.15, 0.05];
    let logits: Vec<f32> = expected.iter().map(|p: &f32| p.ln()).collect();
    let mut chain =
        Chain::new(&SampleOptions { temperature: 1.0, seed: 3, ..SampleOptions::greedy() }).expect("valid");
    let mut counts = [0f32; 4];
    for position in 0..40_000 {
        counts[chain.pick(&logits, &[], position).expect("finite") as usize] += 1.0;
    }
    for (id, (count, p)) in counts.iter().zip(expected).enumerate() {
        assert!((count / 40_000.0 - p).abs() < 0.01, "token {id}: {count}");
    }
}

#[test]
fn broken_scores_and_options_are_refused() {
    let sampled = SampleOptions { temperature: 0.7, ..SampleOptions::greedy() };
    for options in [SampleOptions::greedy(), sampled.clone()] {
        assert!(matches!(
            pick(&options, &[0.0, f32::NAN], &[], 0),
            Err(SampleError::NotFinite { id: 1, .. })
        ));
        assert!(matches!(
            pick(&options, &[f32::INFINITY], &[], 0),
            Err(SampleError::NotFinite { id: 0, .. })
        ));
        assert!(matches!(pick(&options, &[], &[], 0), Err(SampleError::NoCandidate { vocab: 0 })));
    }
    let banned = SampleOptions { logit_bias: vec![(0, f32::NEG_INFINITY)], ..sampled.clone() };
    assert_eq!(pick(&banned, &[1.0], &[], 0), Err(SampleError::NoCandidate { vocab: 1 }));
    let foreign = SampleOptions { logit_bias: vec![(9, 1.0)], ..sampled.clone() };
    assert_eq!(pick(&foreign, &[1.0], &[], 0), Err(SampleError::BiasToken { id: 9, vocab: 1 }));
    assert!(matches!(
        Chain::new(&SampleOptions { top_p: 1.5, ..sampled }),
        Err(SampleError::OutOfRange { field: "top_p", .. })
    ));
}

#[test]
fn a_choice_has_numbers_of_its_own() {
    let logits = [0.0; 1000];
    let picks = |choice| {
        let options = SampleOptions { temperature: 1.0, choice, ..SampleOptions::greedy() };
        let mut chain = Chain::new(&options).expect("valid");
        (0..8).map(|position| chain.pick(&logits, &[], position).expect("finite")).collect::<Vec<_>>()
    };
    assert_eq!(picks(1), picks(1));
    assert_ne!(picks(0), picks(1));
}

#[test]
fn no_pick_after_the_first_allocates() {
    let logits: Vec<f32> =
        (0u32..5_000).map(|i| (i.wrapping_mul(2_654_435_761) % 1000) as f32 / 100.0).collect();
    let history: Vec<u32> = (0..200).collect();
    let everything = SampleOptions {
        temperature: 0.8,
        dynatemp_range: 0.1,
        top_k: 400,
        top_p: 0.99,
        min_p: 0.001,
        typical_p: 0.99,
        top_n_sigma: 3.0,
        xtc_probability: 0.5,
        xtc_threshold: 0.1,
        repeat_penalty: 1.1,
        repeat_last_n: 64,
        logit_bias: vec![(3, 1.0)],
        ..SampleOptions::greedy()
    };
    let plain = SampleOptions { temperature: 1.0, ..SampleOptions::greedy() };
    for options in [SampleOptions::greedy(), plain, everything] {
        let mut chain = Chain::new(&options).expect("valid");
        chain.pick(&logits, &history, 0).expect("finite");
        let counted = allocation_counter::measure(|| {
            for position in 1..50 {
                chain.pick(&logits, &history, position).expect("finite");
            }
        });
        assert_eq!(counted.count_total, 0, "{options:?}");
    }
}

fn any_options() -> impl Strategy<Value = SampleOptions> {
    let first = (0.0f32..3.0, 0u32..20, 0.0f32..=1.0, 0.0f32..=1.0, 0.0f32..=1.0, 0.0f32..4.0);
    let second = (0.0f32..=1.0, 0.0f32..=1.0, 0.5f32..2.0, 0usize..8, -2.0f32..2.0, 0.0f32..1.0);
    (first, second, 0u64..u64::MAX).prop_map(|(a, b, seed)| SampleOptions {
        temperature: a.0,
        dynatemp_range: b.5,
        dynatemp_exponent: 1.0,
        top_k: a.1,
        top_p: a.2,
        min_p: a.3,
        typical_p: a.4,
        top_n_sigma: a.5,
        xtc_probability: b.0,
        xtc_threshold: b.1,
        repeat_penalty: b.2,
        repeat_last_n: b.3,
        frequency_penalty: b.4,
        presence_penalty: -b.4,
        logit_bias: vec![(0, b.4)],
        seed,
        choice: 0,
    })
}

/// Scores as hostile as finite numbers get, with excluded tokens among them; at least one is not excluded.
fn any_logits() -> impl Strategy<Value = Vec<f32>> {
    let score = prop::num::f32::NORMAL | prop::num::f32::NEGATIVE | prop::num::f32::ZERO;
    (prop::collection::vec(score, 1..300), -50.0f32..50.0).prop_map(|(mut logits, finite)| {
        logits[0] = finite;
        logits
    })
}

proptest! {
    #[test]
    fn any_valid_options_pick_a_possible_token(
        options in any_options(), logits in any_logits(), history in prop::collection::vec(0u32..400, 0..20),
        position: u64,
    ) {
        let mut chain = Chain::new(&options).expect("in range");
        let id = chain.pick(&logits, &history, position);
        let Ok(id) = id else { panic!("{id:?}") };
        prop_assert!(logits[id as usize] > f32::NEG_INFINITY, "an excluded token came out: {id}");
        // Nothing is remembered: other picks in between change nothing.
        chain.pick(&[1.0, 2.0, 3.0], &[1], 5).expect("finite");
        prop_assert_eq!(chain.pick(&logits, &history, position), Ok(id));
    }

    #[test]
    fn arbitrary_bits_never_panic(bits in prop::collection::vec(proptest::num::u32::ANY, 0..60), options in any_options()) {
        let logits: Vec<f32> = bits.into_iter().map(f32::from_bits).collect();
        if let Ok(id) = Chain::new(&options).expect("in range").pick(&logits, &[0, 1], 2) {
            prop_assert!((id as usize) < logits.len());
        }
    }

    #[test]
    fn cuts_never_remove_the_best(logits in any_logits(), seed: u64, k in 1u32..9, p in 0.0f32..1.0) {
        // A cold draw after any of the relative cuts is the greedy choice, up to tokens that score (almost) the same.
        let options = SampleOptions { temperature: 1e-30, top_k: k, top_p: p, min_p: p, seed, ..SampleOptions::greedy() };
        let cold = pick(&options, &logits, &[], 0).expect("finite");
        let best = argmax(&logits).expect("finite");
        prop_assert!(logits[best as usize] - logits[cold as usize] < 1e-25, "{cold} instead of {best}");
    }
}
