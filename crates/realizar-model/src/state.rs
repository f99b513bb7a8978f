//! Recurrent states beside or instead of attention: one file per kind, all behind the same few calls.

mod delta_net;
mod mamba;
mod mamba2;
mod rwkv7;
mod short_convolution;

use realizar_tensor::{Compute, Rows, StateSpan, StateStore};

use self::delta_net::{DeltaConfig, DeltaNet};
use self::mamba::{Mamba, MambaConfig};
use self::mamba2::{Mamba2, Mamba2Config};
use self::rwkv7::{Rwkv7, Rwkv7Config};
use self::short_convolution::{ShortConfig, ShortConvolution};
use crate::arch::{ArchFacts, StateKind};
use crate::binder::Bound;
use crate::buffers::{Buffers, Maker};
use crate::config::Config;
use crate::error::ModelError;
use crate::facts::FactReader;
use crate::transformer::{Input, Pass, Step};
use crate::weights::Bind;

/// Widths of the recurrent states of a model.
#[derive(Debug, Clone, PartialEq)]
pub struct StateConfig(Shape);

#[derive(Debug, Clone, PartialEq)]
enum Shape {
    Delta(DeltaConfig),
    Mamba2(Mamba2Config),
    Mamba(MambaConfig),
    Short(ShortConfig),
    Rwkv7(Rwkv7Config),
}

/// The weights of one layer's recurrence.
#[derive(Debug)]
pub(crate) enum StateWeights {
    Delta(DeltaNet),
    Mamba2(Mamba2),
    Mamba(Mamba),
    Short(ShortConvolution),
    Rwkv7(Box<Rwkv7>),
}

/// Buffers of a recurrence: by number, as its file names them.
#[derive(Debug)]
pub(crate) struct StateBuffers(Vec<Rows>);

/// What a recurrence works with.
pub(crate) struct Work<'a> {
    compute: &'a mut Compute,
    store: &'a mut StateStore,
    /// The layer's first part of the store.
    part: usize,
    spans: &'a [StateSpan],
    eps: f32,
}

impl StateConfig {
    pub(crate) fn read(
        read: &FactReader<'_>,
        arch: &ArchFacts,
        hidden: usize,
    ) -> Result<Option<Self>, ModelError> {
        let Some(state) = arch.state else { return Ok(None) };
        Ok(Some(Self(match state.kind {
            StateKind::DeltaNet { grouped } => Shape::Delta(DeltaConfig::read(read, grouped)?),
            StateKind::KeyDelta => Shape::Delta(DeltaConfig::read_per_key(read)?),
            StateKind::Mamba2 { norm } => Shape::Mamba2(Mamba2Config::read(read, norm)?),
            StateKind::Mamba => Shape::Mamba(MambaConfig::read(read)?),
            StateKind::ShortConvolution => Shape::Short(ShortConfig::read(read, hidden)?),
            StateKind::Rwkv7 => Shape::Rwkv7(Rwkv7Config::read(read, hidden)?),
        })))
    }

    /// Numbers that one layer keeps, part by part.
    fn layer_parts(&self) -> Vec<usize> {
        match &self.0 {
            Shape::Delta(shape) => shape.parts().to_vec(),
            Shape::Mamba2(shape) => shape.parts().to_vec(),
            Shape::Mamba(shape) => shape.parts().to_vec(),
            Shape::Short(shape) => shape.parts().to_vec(),
            Shape::Rwkv7(shape) => shape.parts().to_vec(),
        }
    }

    /// How many parts a layer keeps.
    fn part_count(&self) -> usize {
        match &self.0 {
            Shape::Delta(shape) => shape.parts().len(),
            Shape::Mamba2(shape) => shape.parts().len(),
            Shape::Mamba(shape) => shape.parts().len(),
            Shape::Short(shape) => shape.parts().len(),
            Shape::Rwkv7(shape) => shape.parts().len(),
        }
    }

    /// Numbers that a sequence keeps, part by part, layer by layer.
    pub(crate) fn parts(&self, config: &Config) -> Vec<usize> {
        let layers = config.blocks.iter().filter(|block| block.has_state).count();
        self.layer_parts().repeat(layers)
    }

    fn widths(&self, hidden: usize) -> Vec<usize> {
        match &self.0 {
            Shape::Delta(shape) => shape.widths(),
            Shape::Mamba2(shape) => shape.widths(),
            Shape::Mamba(shape) => shape.widths(),
            Shape::Short(_) => vec![hidden; ShortConvolution::BUFFERS],
            Shape::Rwkv7(shape) => shape.widths(hidden),
        }
    }

    /// The widest input of a product.
    pub(crate) fn widest(&self, config: &Config) -> usize {
        self.widths(config.hidden).into_iter().max().unwrap_or(0)
    }
}

impl StateBuffers {
    pub(crate) fn make(state: &StateConfig, config: &Config, maker: &mut Maker) -> Self {
        Self(state.widths(config.hidden).into_iter().map(|width| maker.chunk(width)).collect())
    }
}

impl Bind<'_> {
    /// The recurrence of a layer.
    pub(crate) fn state(&mut self, layer: usize) -> Bound<StateWeights> {
        let config = self.config;
        let Some(StateConfig(shape)) = &config.state else { return Ok(None) };
        Ok(match shape {
            Shape::Delta(shape) => self.delta_net(layer, shape)?.map(StateWeights::Delta),
            Shape::Mamba2(shape) => self.mamba2(layer, shape)?.map(StateWeights::Mamba2),
            Shape::Mamba(shape) => self.mamba(layer, shape)?.map(StateWeights::Mamba),
            Shape::Short(shape) => self.short_convolution(layer, shape)?.map(StateWeights::Short),
            Shape::Rwkv7(shape) => {
                self.rwkv7(layer, shape)?.map(|weights| StateWeights::Rwkv7(Box::new(weights)))
            }
        })
    }
}

impl Pass {
    /// The recurrence over `input`; the result is left in `buffers.branch`, or added to it when it stands beside attention.
    pub(crate) fn recurrence(
        &mut self,
        config: &Config,
        layer: usize,
        weights: &StateWeights,
        input: Input,
        step: Step<'_>,
        beside: bool,
    ) {
        let Self { compute, cache, buffers, .. } = self;
        let Buffers { x, normed, input: own, branch, held, state, .. } = buffers;
        let (Some(StateConfig(shape)), Some(store), Some(StateBuffers(state))) =
            (&config.state, &mut cache.states, state)
        else {
            return;
        };
        let before = config.blocks[..layer].iter().filter(|block| block.has_state).count();
        let parts = config.state.as_ref().map_or(0, |state| state.part_count());
        let mut work =
            Work { compute, store, part: before * parts, spans: step.states, eps: config.norm_eps };
        let out = if beside { &mut *held } else { &mut *branch };
        match (weights, shape) {
            (StateWeights::Delta(weights), Shape::Delta(shape)) => {
                weights.run(shape, &mut work, input.of(x, normed, own), state, out);
            }
            (StateWeights::Mamba2(weights), Shape::Mamba2(shape)) => {
                weights.run(shape, &mut work, input.of(x, normed, own), state, out);
            }
            (StateWeights::Mamba(weights), Shape::Mamba(shape)) => {
                weights.run(shape, &mut work, input.of(x, normed, own), state, out);
            }
            (StateWeights::Short(weights), _) => weights.run(&mut work, input.of(x, normed, own), state, out),
            (StateWeights::Rwkv7(weights), Shape::Rwkv7(shape)) => {
                weights.run(shape, &mut work, layer == 0, (x, normed), state, out);
            }
            _ => {}
        }
        if beside {
            work.compute.add(held, 1.0, branch);
        }
    }
}
