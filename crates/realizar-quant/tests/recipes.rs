//! Recipes against llama-quantize's own choices (`tests/data/recipes.txt`), and what users may add to them.

#![expect(clippy::unwrap_used, reason = "the data is the test's own")]

use realizar_quant::{Choice, DType, ModelFacts, PlanOptions, QuantError, Recipe, TensorFacts};

const PLAIN: PlanOptions =
    PlanOptions { importance: false, pure: false, keep_output: false, output: None, embedding: None };

#[derive(Debug, Default)]
struct Model {
    architecture: String,
    /// Layers, heads, key/value heads, experts.
    numbers: [u32; 4],
    importance: bool,
    tensors: Vec<(String, [usize; 3])>,
}

impl Model {
    /// `model ARCH layers N heads N kv_heads N experts N importance 0|1`
    fn parse(words: &[&str]) -> Self {
        let number = |i: usize| words[i].parse().unwrap();
        Self {
            architecture: words[0].to_owned(),
            numbers: [number(2), number(4), number(6), number(8)],
            importance: words[10] == "1",
            tensors: Vec::new(),
        }
    }

    fn add(&mut self, name: String, words: &[&str]) {
        self.tensors.push((name, [0, 1, 2].map(|i| words[i].parse().unwrap())));
    }

    fn plan(&self, recipe: &Recipe) -> Result<Vec<Choice>, QuantError> {
        let [layers, heads, kv_heads, experts] = self.numbers;
        let facts = ModelFacts { architecture: &self.architecture, layers, heads, kv_heads, experts };
        let tensors: Vec<TensorFacts<'_>> =
            self.tensors.iter().map(|(name, shape)| tensor(name, shape)).collect();
        recipe.plan(&facts, &PlanOptions { importance: self.importance, ..PLAIN }, &tensors)
    }
}

fn tensor<'a>(name: &'a str, shape: &'a [usize]) -> TensorFacts<'a> {
    TensorFacts { name, shape, dtype: DType::F32, wanted: None }
}

#[test]
fn choices_are_llama_quantizes() {
    let mut model = Model::default();
    let mut plans = 0;
    for line in include_str!("data/recipes.txt").lines() {
        let words: Vec<&str> = line.split(' ').collect();
        match words[0] {
            "model" => model = Model::parse(&words[1..]),
            "tensor" => model.add(words[1].to_owned(), &words[2..]),
            "each" => {
                for layer in 0..model.numbers[0] {
                    model.add(format!("blk.{layer}.{}", words[1]), &words[2..]);
                }
            }
            "recipe" => {
                plans += 1;
                let name = format!("{} of {:?} {:?}", words[1], model.architecture, model.numbers);
                let plan = model.plan(Recipe::named(words[1]).unwrap());
                if words[2] == "refused" {
                    assert!(matches!(plan, Err(QuantError::NoFallback { .. })), "{name}");
                    continue;
                }
                let expected = words[2..].iter().flat_map(|run| {
                    let (id, count) = run.split_once('*').unwrap();
                    std::iter::repeat_n(id, count.parse().unwrap())
                });
                let plan = plan.unwrap();
                assert_eq!(expected.clone().count(), plan.len(), "{name}");
                for ((choice, id), (tensor, _)) in plan.iter().zip(expected).zip(&model.tensors) {
                    let mark = if choice.needs_importance { "!" } else { "" };
                    assert_eq!(format!("{}{mark}", choice.dtype.ggml_id().unwrap()), id, "{name}: {tensor}");
                }
            }
            _ => {}
        }
    }
    assert_eq!(plans, 8 * Recipe::ALL.len());
}

#[test]
fn names_are_known_in_any_case() {
    for recipe in Recipe::ALL {
        assert_eq!(Recipe::named(&recipe.name.to_lowercase()).unwrap().file_type, recipe.file_type);
    }
    assert_eq!(Recipe::named("q4_k").unwrap().name, "Q4_K_M");
    let error = Recipe::named("Q4_K_XL").unwrap_err().to_string();
    assert!(error.starts_with("unknown recipe `Q4_K_XL`, known are Q1_0, IQ1_S"), "{error}");
}

/// Name, options, type wanted for the tensor, resulting type of `token_embd`, `per_layer_token_embd`, `output`,
/// `blk.0.attn_v` and `blk.0.ffn_down` of a Q4_K_M model.
type Case = (&'static str, PlanOptions, Option<DType>, [DType; 5]);

const CASES: &[Case] = &[
    ("plain", PLAIN, None, [DType::Q4_K, DType::Q4_K, DType::Q6_K, DType::Q6_K, DType::Q4_K]),
    ("pure", PlanOptions { pure: true, ..PLAIN }, None, [DType::Q4_K; 5]),
    (
        "output kept",
        PlanOptions { keep_output: true, ..PLAIN },
        None,
        [DType::Q4_K, DType::Q4_K, DType::F32, DType::Q6_K, DType::Q4_K],
    ),
    (
        "types for embeddings and output",
        PlanOptions { embedding: Some(DType::Q3_K), output: Some(DType::Q8_0), ..PLAIN },
        None,
        [DType::Q3_K, DType::Q3_K, DType::Q8_0, DType::Q6_K, DType::Q4_K],
    ),
    (
        "a type wanted by name wins over the rules, but not over the options",
        PlanOptions { embedding: Some(DType::Q3_K), ..PLAIN },
        Some(DType::Q5_K),
        [DType::Q3_K, DType::Q5_K, DType::Q5_K, DType::Q5_K, DType::Q5_K],
    ),
];

#[test]
fn options_change_the_plan() {
    let facts = ModelFacts { architecture: "llama", layers: 4, heads: 8, kv_heads: 8, experts: 0 };
    let names = [
        "token_embd.weight",
        "per_layer_token_embd.weight",
        "output.weight",
        "blk.0.attn_v.weight",
        "blk.0.ffn_down.weight",
    ];
    for (case, options, wanted, expected) in CASES {
        let tensors = names.map(|name| TensorFacts { wanted: *wanted, ..tensor(name, &[512, 256]) });
        let plan = Recipe::named("Q4_K_M").unwrap().plan(&facts, options, &tensors).unwrap();
        // One value tensor, which is the first eighth and the last.
        let found: Vec<DType> = plan.iter().map(|choice| choice.dtype).collect();
        assert_eq!(found, expected[..], "{case}");
    }
}

/// Name, type of the plan in an architecture with lists of its own, and in another.
const LISTED: &[(&str, DType, DType)] = &[
    ("blk.0.attn_q_a.weight", DType::Q8_0, DType::Q4_K),
    ("blk.0.attn_k_b.weight", DType::F32, DType::Q4_K),
    ("blk.0.ffn_up.weight", DType::Q4_K, DType::Q4_K),
];

#[test]
fn an_architecture_may_list_weights() {
    for (name, listed, plain) in LISTED {
        for (architecture, expected) in [("glm5-next", listed), ("llama", plain)] {
            let facts = ModelFacts { architecture, layers: 8, heads: 8, kv_heads: 8, experts: 0 };
            let tensors = [tensor(name, &[512, 256])];
            let plan = Recipe::named("Q4_K_S").unwrap().plan(&facts, &PLAIN, &tensors).unwrap();
            assert_eq!(plan[0].dtype, *expected, "{name} of {architecture}");
        }
    }
}

/// Name, shape, type of the plan, whether the row length forced it.
const FALLBACKS: &[(&str, &[usize], DType, bool)] = &[
    ("blk.0.attn_q.weight", &[64, 512], DType::Q4_K, false),
    ("blk.0.attn_q.weight", &[64, 96], DType::Q5_0, true),
    ("blk.0.attn_q.weight", &[64, 100], DType::F16, true),
    ("blk.0.attn_q.weight", &[1, 512], DType::F32, false),
    ("blk.0.attn_q.weight", &[512], DType::F32, false),
    ("blk.0.attn_q.weight", &[], DType::F32, false),
    ("blk.0.attn_q.bias", &[64, 512], DType::F32, false),
    ("blk.x.ffn_down_exps.weight", &[8, 64, 512], DType::Q4_K, false),
    ("token_types.weight", &[64, 512], DType::F32, false),
];

#[test]
fn odd_shapes_fall_back() {
    let facts = ModelFacts { architecture: "bert", layers: 0, heads: 0, kv_heads: 0, experts: 64 };
    for (name, shape, dtype, fell_back) in FALLBACKS {
        let plan = Recipe::named("Q4_K_S").unwrap().plan(&facts, &PLAIN, &[tensor(name, shape)]);
        let choice = plan.unwrap()[0];
        assert_eq!((choice.dtype, choice.fell_back), (*dtype, *fell_back), "{name} {shape:?}");
    }
}
