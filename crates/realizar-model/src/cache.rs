//! What sequences leave behind: keys and values in stores, one per shape of heads, and for layers with a window stores
//! of which a sequence holds only what can still be seen; and recurrent states.

use realizar_tensor::{KV_BLOCK, KvShape, KvStore, KvType, StateStore};

use crate::config::{BlockConfig, Config};
use crate::error::ModelError;

/// Stores that a session can have.
pub(crate) const MOST_STORES: usize = 8;

/// Keys, values and states of a session.
#[derive(Debug)]
pub(crate) struct Cache {
    /// Those of layers that see everything stand first, and there is one at least.
    pub(crate) stores: Vec<Store>,
    /// Per layer.
    pub(crate) places: Vec<Place>,
    pub(crate) states: Option<StateStore>,
    /// The store of the keys that an indexer scores: one key per layer, numbered as in the layer's own store.
    pub(crate) indexer: Option<usize>,
}

/// Keys and values of some layers.
#[derive(Debug)]
pub(crate) struct Store {
    pub(crate) kv: KvStore,
    /// Keys that a token sees at most, where older ones are given back.
    pub(crate) window: Option<usize>,
}

/// Where a layer's keys and values are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Place {
    /// Number of the store.
    pub(crate) store: usize,
    /// The layer's number in it.
    pub(crate) layer: usize,
}

/// Shapes and blocks of the stores, before anything is allocated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CachePlan {
    stores: Vec<(KvShape, usize, Option<usize>)>,
    places: Vec<Place>,
    /// Numbers per state of each part, and how many states.
    states: Option<(Vec<usize>, usize)>,
    /// Which of the stores is the indexer's.
    indexer: Option<usize>,
}

impl CachePlan {
    /// Stores for up to `sequences` of `context` tokens that grow by up to `chunk` at once, with `states` for each.
    pub(crate) fn new(
        config: &Config,
        dtype: KvType,
        blocks: usize,
        (sequences, context, chunk): (usize, usize, usize),
        states: usize,
    ) -> Self {
        let all = context.div_ceil(KV_BLOCK);
        let window = config.window.map_or(usize::MAX, |window| window as usize);
        // What a chunk sees and adds, from anywhere inside a block.
        let held = window.saturating_add(chunk).div_ceil(KV_BLOCK).saturating_add(1);
        let sees_all = |block: &BlockConfig| block.heads > 0 && !block.windowed;
        let split = held < all && config.blocks.iter().any(sees_all);
        let mut plan = Self::by_shape(config, |block| split && block.windowed, dtype);
        for (_, count, in_window) in &mut plan.stores {
            *count = match in_window {
                Some(_) => held.saturating_mul(sequences),
                None => blocks,
            };
        }
        plan.states = plan.states.map(|(sizes, _)| (sizes, sequences.saturating_mul(states)));
        plan
    }

    /// Stores for a pass without a past.
    pub(crate) fn without_past(config: &Config, tokens: usize) -> Self {
        let mut plan = Self::by_shape(config, |_| false, KvType::F32);
        let shared = config.blocks.iter().enumerate().any(|(layer, block)| block.kv_of != layer);
        for (shape, count, _) in &mut plan.stores {
            *count = tokens.div_ceil(KV_BLOCK);
            // Layers take turns in one layer's room.
            if !shared {
                shape.layers = 1;
            }
        }
        if !shared {
            plan.places.iter_mut().for_each(|place| place.layer = 0);
        }
        plan.states = plan.states.map(|(sizes, _)| (sizes, 1));
        plan
    }

    /// One store per shape of heads, and per answer of `windowed`.
    fn by_shape(config: &Config, windowed: impl Fn(&BlockConfig) -> bool, dtype: KvType) -> Self {
        let window = config.window.map(|window| window as usize);
        let mut stores: Vec<(KvShape, usize, Option<usize>)> = Vec::new();
        let mut places = vec![Place::default(); config.layers];
        let own = |(layer, block): &(usize, &BlockConfig)| block.heads > 0 && block.kv_of == *layer;
        for in_window in [false, true] {
            let blocks = config.blocks.iter().enumerate();
            for (layer, block) in blocks.filter(own).filter(|(_, block)| windowed(block) == in_window) {
                let one = KvShape {
                    layers: 1,
                    kv_heads: block.kv_heads,
                    head_dim_k: block.head_dim,
                    head_dim_v: block.value_dim,
                    dtype,
                };
                let window = window.filter(|_| in_window);
                let alike = |(shape, _, other): &(KvShape, usize, Option<usize>)| {
                    KvShape { layers: 1, ..*shape } == one && *other == window
                };
                let store = stores.iter().position(alike).unwrap_or(stores.len());
                match stores.get_mut(store) {
                    Some((shape, ..)) => shape.layers += 1,
                    None => stores.push((one, 0, window)),
                }
                places[layer] = Place { store, layer: stores[store].0.layers - 1 };
            }
        }
        if stores.is_empty() {
            // Positions are counted in blocks even where nothing is kept of them.
            let shape = KvShape { layers: 1, kv_heads: 1, head_dim_k: 1, head_dim_v: 1, dtype: KvType::F32 };
            stores.push((shape, 0, None));
        }
        for (layer, block) in config.blocks.iter().enumerate() {
            places[layer] = places[block.kv_of];
        }
        let indexer = config.indexer.as_ref().map(|indexer| {
            // Its values are one zero each, for which 8 bits have no scale.
            let dtype = if dtype == KvType::F32 { KvType::F32 } else { KvType::F16 };
            let (dim, layers) = (indexer.head_dim, stores[0].0.layers);
            let shape = KvShape { layers, kv_heads: 1, head_dim_k: dim, head_dim_v: 1, dtype };
            stores.push((shape, 0, None));
            stores.len() - 1
        });
        let states = config.state.as_ref().map(|state| (state.parts(config), 0));
        Self { stores, places, states, indexer }
    }

    /// Stores that are needed.
    pub(crate) fn stores(&self) -> usize {
        self.stores.len()
    }

    /// Whether there are recurrent states.
    pub(crate) fn has_states(&self) -> bool {
        self.states.is_some()
    }

    /// Bytes of keys and values; `None` when they cannot be counted.
    pub(crate) fn kv_bytes(&self) -> Option<u64> {
        let bytes =
            |(shape, blocks, _): &(KvShape, usize, Option<usize>)| KvStore::bytes_needed(shape, *blocks);
        self.stores.iter().try_fold(0u64, |sum, store| sum.checked_add(bytes(store)?))
    }

    /// Bytes of recurrent states; `None` when they cannot be counted.
    pub(crate) fn state_bytes(&self) -> Option<u64> {
        match &self.states {
            Some((sizes, count)) => StateStore::bytes_needed(sizes, *count),
            None => Some(0),
        }
    }

    pub(crate) fn allocate(self) -> Result<Cache, ModelError> {
        let failed = |source| ModelError::Compute { source };
        let mut stores = Vec::with_capacity(self.stores.len());
        for (shape, blocks, window) in self.stores {
            stores.push(Store { kv: KvStore::new(shape, blocks).map_err(failed)?, window });
        }
        let states = match self.states {
            Some((sizes, count)) => Some(StateStore::new(&sizes, count).map_err(failed)?),
            None => None,
        };
        Ok(Cache { stores, places: self.places, states, indexer: self.indexer })
    }
}

impl Cache {
    /// Blocks of layers that see everything: all such stores have as many, and as many are free.
    pub(crate) fn full(&self) -> &KvStore {
        &self.stores[0].kv
    }
}
