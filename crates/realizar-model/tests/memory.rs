//! A load that fails leaves nothing behind, and a session takes what its plan says.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on ends")]

#[path = "../tests/model/file.rs"]
#[expect(dead_code, reason = "made for the other tests")]
mod file;

use std::sync::Arc;

use realizar_model::{Model, ModelError, Session, SessionOptions, Span, Want};
use realizar_quant::DType;
use realizar_tensor::{Kernels, KvType, Pool};

use crate::file::{Fact, ModelFile, Tensor};

/// A llama model of two layers, some tens of MiB wide.
fn large() -> ModelFile {
    const HIDDEN: usize = 512;
    const FFN: usize = 4096;
    const VOCAB: usize = 4096;
    let mut file = ModelFile::default();
    file.set("general.architecture", Fact::Text("llama".into()));
    for (key, number) in [
        ("block_count", 2),
        ("context_length", 512),
        ("embedding_length", HIDDEN as u32),
        ("feed_forward_length", FFN as u32),
        ("attention.head_count", 8),
        ("attention.head_count_kv", 8),
    ] {
        file.set(&format!("llama.{key}"), Fact::U32(number));
    }
    file.set("llama.attention.layer_norm_rms_epsilon", Fact::F32(1e-5));
    let mut add = |name: String, dims: &[usize]| {
        let count: usize = dims.iter().product();
        let value = |at: usize| ((at * 37 % 255) as f32 / 255.0 - 0.5) * 0.05;
        let data = (0..count).flat_map(|at| value(at).to_le_bytes()).collect();
        file.tensors.push(Tensor { name, dims: dims.to_vec(), dtype: DType::F32, data });
    };
    add("token_embd.weight".into(), &[VOCAB, HIDDEN]);
    for layer in 0..2 {
        let parts: &[(&str, &[usize])] = &[
            ("attn_norm", &[HIDDEN]),
            ("attn_q", &[HIDDEN, HIDDEN]),
            ("attn_k", &[HIDDEN, HIDDEN]),
            ("attn_v", &[HIDDEN, HIDDEN]),
            ("attn_output", &[HIDDEN, HIDDEN]),
            ("ffn_norm", &[HIDDEN]),
            ("ffn_gate", &[FFN, HIDDEN]),
            ("ffn_up", &[FFN, HIDDEN]),
            ("ffn_down", &[HIDDEN, FFN]),
        ];
        for (part, dims) in parts {
            add(format!("blk.{layer}.{part}.weight"), dims);
        }
    }
    add("output_norm.weight".into(), &[HIDDEN]);
    file
}

/// Bytes of this process in memory, where the system tells.
fn resident() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok().map(|kib| kib * 1024)
}

fn options(chunk: usize) -> SessionOptions {
    SessionOptions {
        // One thread: the counter counts its own thread.
        pool: Pool::new(1).unwrap(),
        kernels: Kernels::detect(),
        context: 512,
        kv: KvType::F16,
        chunk,
        max_sequences: 1,
        kv_blocks: None,
        checkpoints: 1,
    }
}

/// Row 64: what a failed load took is free again, in the heap and in the system's eyes.
#[test]
fn a_failed_load_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.gguf");
    {
        let mut file = large();
        // The last tensor that is looked at is not there.
        file.tensor("output_norm.weight").name = "surplus".into();
        std::fs::write(&path, file.to_bytes()).unwrap();
    }
    let fail = || {
        let source = realizar_format::open(&path).unwrap();
        let error = Model::load(&*source).unwrap_err();
        assert!(matches!(error, ModelError::MissingTensors { .. }), "{error}");
    };
    // Once, so that what lives as long as the process is there.
    fail();
    let (heap, before) = (allocation_counter::measure(fail), resident());
    assert_eq!((heap.count_current, heap.bytes_current), (0, 0), "{heap:?}");
    (0..20).for_each(|_| fail());
    let Some((before, after)) = before.zip(resident()) else {
        return eprintln!("SKIPPED (no /proc): resident memory after a failed load");
    };
    assert!(after <= before + before / 20, "{before} bytes before, {after} after");
}

/// Weights stay where they lie in the mapped file: a model takes a few pages of its own.
#[test]
fn a_load_copies_no_weights() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.gguf");
    let bytes = large().to_bytes();
    std::fs::write(&path, &bytes).unwrap();
    let (mut model, size) = (None, bytes.len() as u64);
    let used = allocation_counter::measure(|| {
        model = Some(Model::load(&*realizar_format::open(&path).unwrap()).unwrap());
    });
    let weights = model.unwrap().weights_bytes();
    assert!(weights > size / 2, "{weights} bytes of weights in a file of {size}");
    assert!(used.bytes_max < size / 100, "{} bytes taken for a file of {size}", used.bytes_max);
}

/// A session that the memory is not there for is refused, and one that is made takes what its plan says.
#[test]
fn a_session_takes_what_its_plan_says() {
    let file = large();
    let model = Arc::new(Model::load(&*file.source()).unwrap());
    let plan = Session::memory_plan(&model, &options(64)).unwrap();
    let mut session = None;
    let used = allocation_counter::measure(|| {
        let mut made = Session::new(model.clone(), options(64)).unwrap();
        let seq = made.open().unwrap();
        made.forward(&[Span { seq, tokens: &[1; 64], logits: Want::Last }]).unwrap();
        session = Some(made);
    });
    let planned = plan.kv_bytes + plan.scratch_bytes;
    let kept = u64::try_from(used.bytes_current).unwrap();
    // Names, lists and the threads' working memory are not counted one by one.
    assert!(kept <= planned + (1 << 20) && kept >= planned / 2, "{kept} bytes, {planned} planned");
    drop(session);

    let vast = SessionOptions { context: 512, kv_blocks: Some(1 << 40), ..options(64) };
    let error = Session::new(model, vast).unwrap_err();
    assert!(matches!(error, ModelError::Memory { .. }), "{error}");
}
