//! A loaded model: its configuration and its weights, shared by any number of sessions.

use realizar_format::TensorSource;

use crate::arch::Windows;
use crate::config::{self, Config};
use crate::dialect::Dialect;
use crate::error::ModelError;
use crate::weights::Weights;

/// A model whose configuration was checked and whose tensors were all found. It keeps its file mapped and copies
/// nothing.
#[derive(Debug)]
pub struct Model {
    config: Config,
    pub(crate) weights: Weights,
    weights_bytes: u64,
    parameters: u64,
    warnings: Vec<ModelWarning>,
}

/// Something odd about a model that does not keep it from running.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[expect(missing_docs, reason = "each message explains its fields")]
pub enum ModelWarning {
    #[error("{count} tensors are not used by this architecture: {}", .names.join(", "))]
    SurplusTensors { count: usize, names: Vec<String> },
    #[error("metadata key `{key}` is not used by this architecture")]
    IgnoredKey { key: String },
}

impl Model {
    /// Reads the configuration and binds the weights.
    ///
    /// # Errors
    ///
    /// The architecture is unknown, a number of the metadata cannot be right, or a tensor is missing or has another
    /// shape than the numbers say. Nothing of a failed load stays in memory.
    pub fn load(source: &dyn TensorSource) -> Result<Self, ModelError> {
        let dialect = config::dialect(source)?;
        let config = Config::read_as(source, dialect)?;
        let (weights, surplus) = Weights::bind(source, dialect, &config)?;
        let sizes = source.tensors().map(|view| (view.data.len() as u64, elements(&view.shape)));
        let (weights_bytes, parameters) =
            sizes.fold((0, 0), |(bytes, elems), size| (bytes + size.0, elems + size.1));
        let warnings = warnings(source, dialect, &config, &surplus)?;
        Ok(Self { config, weights, weights_bytes, parameters, warnings })
    }

    /// What the model is.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// What is odd about the file.
    #[must_use]
    pub fn warnings(&self) -> &[ModelWarning] {
        &self.warnings
    }

    /// Bytes of all tensors in the file.
    #[must_use]
    pub fn weights_bytes(&self) -> u64 {
        self.weights_bytes
    }

    /// Numbers in all tensors of the file.
    #[must_use]
    pub fn parameters(&self) -> u64 {
        self.parameters
    }
}

fn elements(shape: &[usize]) -> u64 {
    shape.iter().map(|dim| *dim as u64).product()
}

fn warnings(
    source: &dyn TensorSource,
    dialect: Dialect,
    config: &Config,
    surplus: &[String],
) -> Result<Vec<ModelWarning>, ModelError> {
    const SHOWN: usize = 20;
    let mut warnings = Vec::new();
    if !surplus.is_empty() {
        let names = surplus.iter().take(SHOWN).cloned().collect();
        warnings.push(ModelWarning::SurplusTensors { count: surplus.len(), names });
    }
    // A checkpoint that says whether its window is used was refused if it is.
    let said = source.get_bool(&dialect.key(source, "use_sliding_window"))?.is_some();
    if config.arch.windows == Windows::Never && !said {
        let window = dialect.key(source, crate::facts::WINDOW.key);
        if source.metadata(&window).is_some() {
            warnings.push(ModelWarning::IgnoredKey { key: window });
        }
    }
    Ok(warnings)
}
