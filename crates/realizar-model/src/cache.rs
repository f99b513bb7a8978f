//! The stores of keys and values: one for layers that see everything, and one for layers with a window, of which a
//! sequence holds only what can still be seen.

use realizar_tensor::{KV_BLOCK, KvShape, KvStore, KvType};

use crate::config::Config;
use crate::error::ModelError;

/// Keys and values of a session.
#[derive(Debug)]
pub(crate) struct Cache {
    pub(crate) full: KvStore,
    /// With the window.
    pub(crate) window: Option<(KvStore, usize)>,
    /// Per layer: whether it is in the window's store, and its number in its store.
    pub(crate) places: Vec<(bool, usize)>,
}

/// Shapes and blocks of the stores, before anything is allocated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CachePlan {
    full: (KvShape, usize),
    window: Option<(KvShape, usize, usize)>,
    places: Vec<(bool, usize)>,
}

impl CachePlan {
    /// Stores for up to `sequences` of `context` tokens that grow by up to `chunk` at once.
    pub(crate) fn new(
        config: &Config,
        dtype: KvType,
        blocks: usize,
        (sequences, context, chunk): (usize, usize, usize),
    ) -> Self {
        let all = context.div_ceil(KV_BLOCK);
        let window = config.window.map_or(usize::MAX, |window| window as usize);
        // What a chunk sees and adds, from anywhere inside a block.
        let held = window.saturating_add(chunk).div_ceil(KV_BLOCK).saturating_add(1);
        let windowed = (0..config.layers).filter(|layer| config.has_window(*layer)).count();
        if held >= all || windowed == 0 || windowed == config.layers {
            let places = (0..config.layers).map(|layer| (false, layer)).collect();
            return Self { full: (shape(config, config.layers, dtype), blocks), window: None, places };
        }
        let mut counts = [0; 2];
        let mut place = |layer| {
            let in_window = config.has_window(layer);
            let count = &mut counts[usize::from(in_window)];
            *count += 1;
            (in_window, *count - 1)
        };
        Self {
            places: (0..config.layers).map(&mut place).collect(),
            full: (shape(config, config.layers - windowed, dtype), blocks),
            window: Some((shape(config, windowed, dtype), held.saturating_mul(sequences), window)),
        }
    }

    /// One layer's store in which all layers take turns: for a pass without a past.
    pub(crate) fn without_past(config: &Config, tokens: usize) -> Self {
        let places = vec![(false, 0); config.layers];
        Self { full: (shape(config, 1, KvType::F32), tokens.div_ceil(KV_BLOCK)), window: None, places }
    }

    /// Bytes of all stores; `None` when they cannot be counted.
    pub(crate) fn bytes(&self) -> Option<u64> {
        let window = self.window.map_or(Some(0), |(shape, blocks, _)| KvStore::bytes_needed(&shape, blocks));
        KvStore::bytes_needed(&self.full.0, self.full.1)?.checked_add(window?)
    }

    pub(crate) fn allocate(self) -> Result<Cache, ModelError> {
        let store =
            |shape, blocks| KvStore::new(shape, blocks).map_err(|source| ModelError::Compute { source });
        let window = match self.window {
            Some((shape, blocks, window)) => Some((store(shape, blocks)?, window)),
            None => None,
        };
        Ok(Cache { full: store(self.full.0, self.full.1)?, window, places: self.places })
    }
}

impl Cache {
    /// The store of a layer, and the layer's number in it.
    pub(crate) fn layer(&mut self, layer: usize) -> (&mut KvStore, usize) {
        match (self.places[layer], &mut self.window) {
            ((true, place), Some((store, _))) => (store, place),
            ((_, place), _) => (&mut self.full, place),
        }
    }

    /// Whether a layer is in the window's store.
    pub(crate) fn in_window(&self, layer: usize) -> bool {
        self.places[layer].0
    }
}

/// What a store holds of one token.
fn shape(config: &Config, layers: usize, dtype: KvType) -> KvShape {
    let Config { kv_heads, head_dim, value_dim, .. } = *config;
    KvShape { layers, kv_heads, head_dim_k: head_dim, head_dim_v: value_dim, dtype }
}
