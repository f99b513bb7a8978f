//! From the shared flags and the environment to a session of the model.

use std::str::FromStr;
use std::sync::Arc;

use realizar_engine::Loaded;
use realizar_model::{Session, SessionOptions};
use realizar_tensor::{Isa, Kernels, KvType, Pool};

use crate::args::{ComputeArgs, DeviceChoice, KvChoice};
use crate::error::CliError;

/// The longest context that is set up unasked: a model's own may need many gigabytes.
const UNASKED_CONTEXT: usize = 8192;

/// The environment variable that forces a level of vector instructions.
const ISA: &str = "REALIZAR_ISA";

/// The kernels to compute with: the best of this machine, or what `REALIZAR_ISA` says.
pub(crate) fn kernels() -> Result<&'static Kernels, CliError> {
    let Some(name) = std::env::var_os(ISA) else {
        return Ok(Kernels::detect());
    };
    let name = name.to_string_lossy();
    let unavailable = |why: String| CliError::Unavailable(format!("{ISA}: {why}"));
    let isa = Isa::from_str(&name).map_err(|error| unavailable(error.to_string()))?;
    Kernels::for_isa(isa).ok_or_else(|| {
        let here: Vec<&str> = Kernels::available().iter().map(|kernels| kernels.isa().name()).collect();
        unavailable(format!("this machine has no {name} (it has {})", here.join(", ")))
    })
}

/// The pool of threads to compute with.
pub(crate) fn pool(args: &ComputeArgs) -> Result<Arc<Pool>, CliError> {
    Ok(Pool::new(args.threads.unwrap_or_else(Pool::default_threads))?)
}

/// Sets up a session for `sequences` at a time, each of which is known to need `wanted` tokens.
pub(crate) fn open(
    loaded: &Loaded,
    args: &ComputeArgs,
    sequences: usize,
    wanted: usize,
) -> Result<Session, CliError> {
    Ok(Session::new(Arc::clone(loaded.model()), options(loaded, args, sequences, wanted)?)?)
}

/// The options of such a session.
pub(crate) fn options(
    loaded: &Loaded,
    args: &ComputeArgs,
    sequences: usize,
    wanted: usize,
) -> Result<SessionOptions, CliError> {
    if args.device == DeviceChoice::Gpu {
        return Err(CliError::Unavailable("--device gpu: this build computes on the CPU only".to_owned()));
    }
    let unasked = loaded.model().config().context.min(wanted.max(UNASKED_CONTEXT));
    Ok(SessionOptions {
        pool: pool(args)?,
        kernels: kernels()?,
        context: args.ctx.unwrap_or(unasked),
        kv: match args.kv {
            KvChoice::F32 => KvType::F32,
            KvChoice::F16 => KvType::F16,
            KvChoice::Q8 => KvType::Q8_0,
        },
        chunk: args.chunk,
        max_sequences: sequences,
        kv_blocks: None,
    })
}
