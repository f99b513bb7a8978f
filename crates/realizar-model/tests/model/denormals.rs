//! Row 62: weights that are all but zero cost no more time than others.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use realizar_model::{Model, SeqId, Session, SessionOptions, Span, Want};
use realizar_tensor::{Kernels, KvType, Pool};

use crate::file::ModelFile;

fn session(file: &ModelFile) -> (Session, SeqId) {
    let options = SessionOptions {
        pool: Pool::new(1).unwrap(),
        kernels: Kernels::detect(),
        context: 256,
        kv: KvType::F32,
        chunk: 64,
        max_sequences: 1,
        kv_blocks: None,
        checkpoints: 0,
    };
    let mut session = Session::new(Arc::new(Model::load(&*file.source()).unwrap()), options).unwrap();
    let seq = session.open().unwrap();
    (session, seq)
}

/// Which matrices, by their names.
type Which = fn(&str) -> bool;

/// The shortest time of 64 tokens.
fn time((session, seq): &mut (Session, SeqId)) -> Duration {
    let once = |session: &mut Session| {
        let began = Instant::now();
        session.forward(&[Span { seq: *seq, tokens: &[7; 64], logits: Want::All }]).unwrap();
        let took = began.elapsed();
        session.truncate(*seq, 0).unwrap();
        took
    };
    (0..20).map(|_| once(session)).min().unwrap()
}

#[test]
fn denormal_weights_take_no_longer() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/llama-gqa.gguf");
    let plain = ModelFile::open(&path);
    let tiny = |matrices: Which| {
        let mut file = plain.clone();
        for tensor in
            file.tensors.iter_mut().filter(|tensor| tensor.dims.len() == 2 && matrices(&tensor.name))
        {
            for four in tensor.data.as_chunks_mut::<4>().0 {
                *four = (f32::from_le_bytes(*four) * 1e-39).to_le_bytes();
            }
        }
        file
    };
    // All matrices; those inside the blocks, so that they meet full-sized numbers; half of them.
    let files: [(&str, Which); 3] = [
        ("all", |_| true),
        ("blocks", |name| name.starts_with("blk.")),
        ("projections into a branch", |name| name.contains("ffn_up") || name.contains("attn_q")),
    ];
    for (what, matrices) in files {
        // The machine may be busy: the best of a few rounds counts.
        let mut best = f64::INFINITY;
        let (mut normal, mut denormal) = (session(&plain), session(&tiny(matrices)));
        for _ in 0..5 {
            let (normal, denormal) = (time(&mut normal), time(&mut denormal));
            best = best.min(denormal.as_secs_f64() / normal.as_secs_f64());
        }
        eprintln!("{what}: {best:.2} times the time of other weights");
        assert!(best <= 2.0, "{what}: {best:.2} times the time of other weights");
    }
}
