//! From the shared flags and the environment to a session of the model.

use std::sync::Arc;

use realizar_model::{Model, Session, SessionOptions};
use realizar_tensor::{Kernels, KvType, Pool};

use crate::args::{ComputeArgs, DeviceChoice, KvChoice};
use crate::error::CliError;

/// The longest context that is set up unasked: a model's own may need many gigabytes.
pub(crate) const UNASKED_CONTEXT: usize = 8192;

/// The environment variable that names the kernels: a level of vector instructions, or one with Trueno's part.
const ISA: &str = "REALIZAR_ISA";

/// The kernels to compute with: the best of this machine, or those that `REALIZAR_ISA` names.
pub(crate) fn kernels() -> Result<&'static Kernels, CliError> {
    let Some(name) = std::env::var_os(ISA) else {
        return Ok(Kernels::detect());
    };
    Kernels::named(&name.to_string_lossy()).map_err(|error| CliError::Unavailable(format!("{ISA}: {error}")))
}

/// The pool of threads to compute with.
pub(crate) fn pool(args: &ComputeArgs) -> Result<Arc<Pool>, CliError> {
    Ok(Pool::new(args.threads.unwrap_or_else(Pool::default_threads))?)
}

/// Sets up a session for `sequences` at a time, each of which is known to need `wanted` tokens.
pub(crate) fn open(
    model: &Arc<Model>,
    args: &ComputeArgs,
    sequences: usize,
    wanted: usize,
) -> Result<Session, CliError> {
    Ok(Session::new(Arc::clone(model), options(model, args, sequences, wanted)?)?)
}

/// The options of such a session.
pub(crate) fn options(
    model: &Arc<Model>,
    args: &ComputeArgs,
    sequences: usize,
    wanted: usize,
) -> Result<SessionOptions, CliError> {
    if args.device == DeviceChoice::Gpu {
        return Err(CliError::Unavailable("--device gpu: this build computes on the CPU only".to_owned()));
    }
    let unasked = model.config().context.min(wanted.max(UNASKED_CONTEXT));
    Ok(SessionOptions {
        pool: pool(args)?,
        kernels: kernels()?,
        context: args.ctx.unwrap_or(unasked),
        kv: args.kv.into(),
        chunk: args.chunk,
        max_sequences: sequences,
        kv_blocks: None,
        checkpoints: args.checkpoints,
    })
}

impl From<KvChoice> for KvType {
    fn from(choice: KvChoice) -> Self {
        match choice {
            KvChoice::F32 => Self::F32,
            KvChoice::F16 => Self::F16,
            KvChoice::Q8 => Self::Q8_0,
        }
    }
}
