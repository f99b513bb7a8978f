//! Random-weight model files of well-known shapes, so that anyone can repeat a figure without a download.
//!
//! The text that such a model writes means nothing; its speed and its memory do. Weights are drawn block by block from a
//! seeded pool of encoded blocks, so that even a large file costs hardly more than writing it, whatever the type.

mod llama;
mod qwen35;
mod vocabulary;
mod weights;

use std::error::Error;
use std::io::Write;
use std::path::Path;

use realizar_format::{GgufWriter, Shape, Value};
use realizar_quant::{Choice, Codec, DType, ModelFacts, PlanOptions, Recipe, TensorFacts};

use self::llama::{LLAMAS, Llama};
use self::qwen35::{QWENS, Qwen35};
use self::weights::Weights;
use crate::Seeded;

/// What a file of random weights is to be.
///
/// ```
/// use realizar_benches::RandomModel;
///
/// let tiny = RandomModel::named("tiny", "Q4_K_M")?;
/// let file = tiny.to_bytes()?;
/// assert_eq!(file, tiny.to_bytes()?);
/// assert_eq!(realizar_format::parse(file.into())?.tensors().count(), 21);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct RandomModel {
    model: Architecture,
    mix: Mix,
    /// Decides every weight.
    pub seed: u64,
    /// Encoded units per pool.
    units: usize,
}

/// A shape of one of the architectures.
#[derive(Debug, Clone)]
enum Architecture {
    Llama(Llama),
    Qwen35(Qwen35),
}

/// Which type each matrix gets.
#[derive(Debug, Clone, Copy)]
enum Mix {
    Recipe(&'static Recipe),
    /// The same for all.
    Pure(DType),
}

/// A tensor to be written.
#[derive(Debug, Clone)]
struct Part {
    name: String,
    /// Outermost dimension first.
    dims: Vec<usize>,
    values: Values,
}

impl Part {
    /// A matrix whose product keeps the size of what it multiplies.
    fn matrix(name: String, rows: usize, cols: usize) -> Self {
        Self { name, dims: vec![rows, cols], values: Values::Normal(1.0 / (cols as f32).sqrt()) }
    }

    /// The gain of a norm.
    fn gain(name: String, size: usize) -> Self {
        Self { name, dims: vec![size], values: Values::GAIN }
    }
}

/// What a tensor is filled with.
#[derive(Debug, Clone, Copy)]
enum Values {
    /// Normal numbers of this deviation.
    Normal(f32),
    /// Normal numbers around another, which stay in f32.
    Around { middle: f32, deviation: f32 },
    /// The factors that stretch the rotary angles of Llama 3.
    Stretch { base: f32 },
}

impl Values {
    /// A norm's gain.
    const GAIN: Self = Self::Around { middle: 1.0, deviation: 0.1 };
}

impl Architecture {
    fn all() -> impl Iterator<Item = Self> {
        let llamas = LLAMAS.iter().cloned().map(Self::Llama);
        llamas.chain(QWENS.iter().cloned().map(Self::Qwen35))
    }

    fn name(&self) -> &'static str {
        match self {
            Self::Llama(llama) => llama.name,
            Self::Qwen35(qwen) => qwen.name,
        }
    }

    fn parts(&self) -> Vec<Part> {
        match self {
            Self::Llama(llama) => llama.parts(),
            Self::Qwen35(qwen) => qwen.parts(),
        }
    }

    fn describe(&self, head: &mut GgufWriter) -> Result<(), Box<dyn Error>> {
        match self {
            Self::Llama(llama) => llama.describe(head),
            Self::Qwen35(qwen) => qwen.describe(head),
        }
    }

    fn facts(&self) -> Result<ModelFacts<'static>, Box<dyn Error>> {
        let (architecture, layers, heads, kv_heads) = match self {
            Self::Llama(llama) => ("llama", llama.layers, llama.heads, llama.kv_heads),
            Self::Qwen35(qwen) => ("qwen35", qwen.layers, qwen.heads, qwen.kv_heads),
        };
        let (layers, heads, kv_heads) =
            (u32::try_from(layers)?, u32::try_from(heads)?, u32::try_from(kv_heads)?);
        Ok(ModelFacts { architecture, layers, heads, kv_heads, experts: 0 })
    }
}

impl RandomModel {
    /// The names of the shapes.
    #[must_use]
    pub fn shapes() -> Vec<&'static str> {
        Architecture::all().map(|model| model.name()).collect()
    }

    /// A model of a shape ([`Self::shapes`]) with weights of a type: a recipe such as `Q4_K_M` (which gives the tensors the
    /// types that a quantiser would), or any type that can be encoded, for all matrices alike.
    ///
    /// # Errors
    /// When there is no such shape or type; the error lists those that there are.
    pub fn named(shape: &str, dtype: &str) -> Result<Self, Box<dyn Error>> {
        let model = Architecture::all().find(|model| model.name() == shape).ok_or_else(|| {
            format!("there is no shape `{shape}` (there are: {})", Self::shapes().join(", "))
        })?;
        let pure = DType::ALL.iter().find(|candidate| candidate.name().eq_ignore_ascii_case(dtype));
        let mix = match (Recipe::named(dtype), pure) {
            (Ok(recipe), _) => Mix::Recipe(recipe),
            (Err(_), Some(&pure)) if Codec::of(pure).is_some_and(Codec::encodes) => Mix::Pure(pure),
            (Err(unknown), None) => return Err(unknown.into()),
            (Err(_), Some(pure)) => return Err(format!("{pure} has no encoder").into()),
        };
        Ok(Self { model, mix, seed: 1, units: weights::UNITS })
    }

    /// Takes another number of layers than the shape has.
    pub fn set_layers(&mut self, layers: usize) {
        match &mut self.model {
            Architecture::Llama(llama) => llama.layers = layers,
            Architecture::Qwen35(qwen) => qwen.layers = layers,
        }
    }

    /// Number of weights.
    #[must_use]
    pub fn parameters(&self) -> usize {
        self.model.parts().iter().map(|part| part.dims.iter().product::<usize>()).sum()
    }

    /// Writes the file at `path`; it appears there when it is complete.
    ///
    /// # Errors
    /// When the type cannot be made, or the file cannot be written.
    pub fn write(&self, path: &Path) -> Result<(), Box<dyn Error>> {
        let file = realizar_format::NewFile::create(path)?;
        Ok(self.write_to(file)?.commit()?)
    }

    /// The file in memory.
    ///
    /// # Errors
    /// When the type cannot be made.
    pub fn to_bytes(&self) -> Result<Vec<u8>, Box<dyn Error>> {
        self.write_to(Vec::new())
    }

    fn write_to<W: Write>(&self, out: W) -> Result<W, Box<dyn Error>> {
        let parts = self.model.parts();
        let dtypes = self.dtypes(&parts)?;
        let mut head = GgufWriter::new();
        self.model.describe(&mut head)?;
        if let Mix::Recipe(recipe) = self.mix {
            head.metadata("general.file_type", Value::U32(recipe.file_type))?;
        }
        head.metadata("general.quantization_version", Value::U32(2))?;
        for (part, &dtype) in parts.iter().zip(&dtypes) {
            head.tensor(&part.name, dtype, Shape::new(&part.dims).ok_or("too many dimensions")?)?;
        }
        let mut data = head.begin(out)?;
        let mut weights = Weights::new(self.seed, self.units);
        for (part, &dtype) in parts.iter().zip(&dtypes) {
            weights.write(part, dtype, &mut data)?;
        }
        Ok(data.finish()?)
    }

    /// The type of every tensor: what is not a matrix of weights stays in f32.
    fn dtypes(&self, parts: &[Part]) -> Result<Vec<DType>, Box<dyn Error>> {
        let facts: Vec<TensorFacts<'_>> = parts
            .iter()
            .map(|part| TensorFacts { name: &part.name, shape: &part.dims, dtype: DType::F32, wanted: None })
            .collect();
        match self.mix {
            Mix::Pure(dtype) => {
                let pure =
                    |part: &Part| if matches!(part.values, Values::Normal(_)) { dtype } else { DType::F32 };
                Ok(parts.iter().map(pure).collect())
            }
            Mix::Recipe(recipe) => {
                let options = PlanOptions {
                    importance: false,
                    pure: false,
                    keep_output: false,
                    output: None,
                    embedding: None,
                };
                let plan = recipe.plan(&self.model.facts()?, &options, &facts)?;
                let dtype = |(part, choice): (&Part, &Choice)| match part.values {
                    Values::Normal(_) => choice.dtype,
                    _ => DType::F32,
                };
                Ok(parts.iter().zip(&plan).map(dtype).collect())
            }
        }
    }
}

/// Roughly normal numbers of deviation 1, the same on every machine: sums of uniform ones.
fn normal(seeded: &mut Seeded) -> f32 {
    (0..12).map(|_| seeded.signed()).sum::<f32>() * 0.5
}

#[cfg(test)]
mod tests {
    use super::RandomModel;
    use realizar_format::TensorSource;
    use realizar_quant::{Codec, DType, Recipe};

    fn parsed(dtype: &str) -> Box<dyn TensorSource> {
        let mut model = RandomModel::named("tiny", dtype).unwrap();
        model.units = 31;
        realizar_format::parse(model.to_bytes().unwrap().into()).unwrap()
    }

    #[test]
    fn every_type_and_recipe_can_be_made() {
        let types = DType::ALL.iter().filter(|&&dtype| Codec::of(dtype).is_some_and(Codec::encodes));
        let names: Vec<&str> =
            Recipe::ALL.iter().map(|recipe| recipe.name).chain(types.map(|dtype| dtype.name())).collect();
        for name in names {
            let source = parsed(name);
            let query = source.tensor("blk.0.attn_q.weight").unwrap();
            let mut values = vec![0.0; 256 * 256];
            realizar_quant::decode(query.dtype, &query.data, &mut values).unwrap();
            let square = values.iter().map(|x| x * x).sum::<f32>() / values.len() as f32;
            // Deviation 1 / 16. The coarsest types are far off; zeros or noise would be further.
            assert!((0.0003..0.03).contains(&square), "{name}: mean square {square}");
            assert_eq!(source.tensor("output_norm.weight").unwrap().dtype, DType::F32, "{name}");
        }
    }

    #[test]
    fn a_recipe_gives_the_types_that_a_quantiser_would() {
        let source = parsed("q4_k_m");
        for (name, dtype) in [
            ("token_embd.weight", DType::Q4_K),
            ("output.weight", DType::Q6_K),
            ("blk.1.ffn_up.weight", DType::Q4_K),
        ] {
            assert_eq!(source.tensor(name).unwrap().dtype, dtype, "{name}");
        }
        assert_eq!(source.metadata("general.file_type").and_then(|value| value.as_u32()), Some(15));
    }

    #[test]
    fn the_seed_decides_the_weights() {
        let mut model = RandomModel::named("tiny", "Q8_0").unwrap();
        let one = model.to_bytes().unwrap();
        assert_eq!(one, model.to_bytes().unwrap());
        model.seed = 2;
        assert_ne!(one, model.to_bytes().unwrap());
    }

    #[test]
    fn names_that_do_not_exist_are_refused_with_those_that_do() {
        for (shape, dtype, expected) in [
            ("huge", "Q4_0", "there is no shape `huge` (there are: tiny, tinyllama-1.1b"),
            ("tiny", "Q9_9", "Q9_9"),
            ("tiny", "I32", "I32 has no encoder"),
        ] {
            let error = RandomModel::named(shape, dtype).unwrap_err().to_string();
            assert!(error.contains(expected), "{shape} {dtype}: {error}");
        }
    }

    #[test]
    fn shapes_are_as_large_as_their_names_say() {
        for (shape, billions) in
            [("tinyllama-1.1b", 1.1), ("llama-3.2-1b", 1.236), ("llama-3.2-3b", 3.213), ("qwen35-1b", 1.128)]
        {
            let found = RandomModel::named(shape, "F16").unwrap().parameters() as f64 / 1e9;
            assert!((found - billions).abs() < 0.001, "{shape}: {found}");
        }
    }

    #[test]
    fn a_file_appears_complete_or_not_at_all() {
        let folder = std::env::temp_dir().join(format!("random-model-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let path = folder.join("tiny.gguf");
        let model = RandomModel::named("tiny", "Q4_0").unwrap();
        model.write(&path).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), model.to_bytes().unwrap());
        assert!(model.write(&folder.join("none/tiny.gguf")).is_err());
        assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 1);
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
