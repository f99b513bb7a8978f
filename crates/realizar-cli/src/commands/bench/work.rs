//! How much a step of a model has to read and to multiply, and thus how fast a machine could be at best.

use realizar_format::{TensorSource, TensorView};
use realizar_model::Config;
use realizar_tensor::hardware::Bounds;

/// The embeddings, by the names that files give them: rows of them are copied, not multiplied.
const EMBEDDINGS: &[&str] = &["token_embd.weight", "model.embed_tokens.weight"];
/// The output matrix, likewise: it meets only the tokens whose scores were asked for.
const OUTPUTS: &[&str] = &["output.weight", "lm_head.weight"];

/// The work of one step, attention left aside.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Work {
    /// Bytes of all weights that are multiplied.
    bytes: f64,
    /// Multiply-adds of one token, the output matrix left aside.
    layers_macs: f64,
    /// Multiply-adds of the output matrix for one token.
    output_macs: f64,
    /// The matrices are floats: no integer instruction can multiply them.
    floats: bool,
}

impl Work {
    /// Counts the weights of a file. Of a mixture's experts those count that one token uses.
    pub(super) fn of(source: &dyn TensorSource, config: &Config) -> Self {
        let has_output = source.tensors().any(|view| OUTPUTS.contains(&view.name));
        let used = config.moe.as_ref().map_or(1.0, |moe| moe.used as f64 / moe.experts.max(1) as f64);
        let mut work = Self { bytes: 0.0, layers_macs: 0.0, output_macs: 0.0, floats: false };
        let mut weights = 0.0;
        for view in source.tensors() {
            let embeds = EMBEDDINGS.contains(&view.name);
            if view.shape.len() < 2 || embeds && has_output {
                continue;
            }
            let share = if is_expert(&view) { used } else { 1.0 };
            let elements = view.shape.iter().map(|&dim| dim as f64).product::<f64>() * share;
            weights += elements;
            work.bytes += view.data.len() as f64 * share;
            if embeds || OUTPUTS.contains(&view.name) {
                work.output_macs += elements;
            } else {
                work.layers_macs += elements;
            }
        }
        work.floats = work.bytes >= 2.0 * weights;
        work
    }

    /// The most tokens per second of steps with `tokens` tokens, the scores of `scored` of which are wanted, and which bound
    /// that is: the weights are read once per step and multiplied with every token.
    pub(super) fn bound(&self, bounds: &Bounds, tokens: usize, scored: usize) -> (&'static str, f64) {
        let (tokens, scored) = (tokens as f64, scored as f64);
        let macs = self.layers_macs * tokens + self.output_macs * scored;
        let (name, rate) =
            if self.floats { ("f32", bounds.f32_gmac_s) } else { ("int8", bounds.int8_gmac_s) };
        let (reading, multiplying) = (self.bytes / (bounds.read_gb_s * 1e9), macs / (rate * 1e9));
        if reading > multiplying { ("memory", tokens / reading) } else { (name, tokens / multiplying) }
    }
}

fn is_expert(view: &TensorView<'_>) -> bool {
    view.name.contains("_exps.") || view.name.contains(".experts.")
}

#[cfg(test)]
mod tests {
    use super::Work;
    use realizar_tensor::hardware::Bounds;

    const BOUNDS: Bounds = Bounds { read_gb_s: 10.0, int8_gmac_s: 100.0, f32_gmac_s: 20.0 };

    #[test]
    fn the_slower_of_reading_and_multiplying_is_the_bound() {
        let work = Work { bytes: 1e9, layers_macs: 1.5e9, output_macs: 0.5e9, floats: false };
        for (tokens, scored, expected) in [
            (1, 1, ("memory", 10.0)),
            (4, 4, ("memory", 40.0)),
            (8, 8, ("int8", 50.0)),
            (100, 0, ("int8", 66.6)),
        ] {
            let (name, rate) = work.bound(&BOUNDS, tokens, scored);
            assert_eq!(name, expected.0, "{tokens} tokens");
            assert!((rate - expected.1).abs() < 0.1, "{tokens} tokens: {rate}");
        }
        assert_eq!(Work { floats: true, ..work }.bound(&BOUNDS, 8, 8), ("f32", 10.0));
    }

    #[test]
    fn the_demo_model_counts_what_it_multiplies() {
        let source = crate::load::source(std::path::Path::new(crate::demo::NAME)).expect("the demo model");
        let config = realizar_model::Config::read(source.as_ref()).expect("its configuration");
        let work = Work::of(source.as_ref(), &config);
        assert_eq!(work.output_macs, (config.vocab * config.hidden) as f64);
        assert!(work.layers_macs > work.output_macs && !work.floats, "{work:?}");
        assert!(
            work.bytes > work.layers_macs && work.bytes < 2.0 * (work.layers_macs + work.output_macs),
            "{work:?}"
        );
    }
}
