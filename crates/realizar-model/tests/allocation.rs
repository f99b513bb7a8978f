//! A step that fits into a chunk takes no memory.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on ends")]

use std::path::Path;
use std::sync::Arc;

use realizar_model::{Model, SeqId, Session, SessionOptions, Span, Want};
use realizar_tensor::{Kernels, KvType, Pool};

fn session(path: &Path) -> Session {
    let model = Arc::new(Model::load(&*realizar_format::open(path).unwrap()).unwrap());
    let options = SessionOptions {
        // One thread: the counter counts its own thread.
        pool: Pool::new(1).unwrap(),
        kernels: Kernels::detect(),
        context: 256,
        kv: KvType::F16,
        chunk: 16,
        max_sequences: 2,
        kv_blocks: None,
        checkpoints: 1,
    };
    Session::new(model, options).unwrap()
}

fn span(seq: SeqId, tokens: &[u32], logits: Want) -> Span<'_> {
    Span { seq, tokens, logits }
}

#[test]
fn a_step_allocates_nothing() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let own = ["llama-gqa.gguf", "llama-gqa256-Q4_K.gguf", "gemma2.gguf"];
    // Each kind of state.
    let shared = [
        "qwen35",
        "qwen35moe",
        "mamba",
        "mamba2",
        "lfm2",
        "rwkv7",
        "jamba",
        "falcon-h1",
        "granitehybrid-moe",
        "nemotron_h_moe",
        "kimi-linear",
        "llama4",
        "deepseek32",
        "gemma3n",
        "gemma4-ple",
        "gemma4-moe",
        "gemma4-dense",
        "step35",
        "mimo2",
        "mistral4",
        "minicpm3",
        "bailingmoe2",
        "granitehybrid",
        "nemotron_h",
        "apertus",
        "grok2",
        "mpt",
        "bloom",
    ];
    let zoo = root.join("../../../shared/data/zoo-modern");
    let mut paths: Vec<_> = own.iter().map(|name| root.join("tests/data").join(name)).collect();
    if zoo.is_dir() {
        paths.extend(shared.map(|name| zoo.join(format!("{name}.gguf"))));
    }
    let mut findings = Vec::new();
    for path in &paths {
        let name = path.display();
        let mut session = session(path);
        let (a, b) = (session.open().unwrap(), session.open().unwrap());
        let prompt: Vec<u32> = (1..15).collect();
        // The first pass of each size may grow what the operations keep.
        session.forward(&[span(a, &prompt, Want::Last), span(b, &prompt[..2], Want::None)]).unwrap();
        let step = |session: &mut Session, tokens: u32| {
            for token in 0..tokens {
                session
                    .forward(&[span(a, &[token % 40], Want::Last), span(b, &[token % 39], Want::Last)])
                    .unwrap();
            }
        };
        step(&mut session, 1);
        // Across the border of a cache block, which takes new blocks.
        let used = allocation_counter::measure(|| step(&mut session, 100));
        findings.extend(told(&used, &format!("{name}: 100 steps of decoding")));
        let used = allocation_counter::measure(|| {
            session.forward(&[span(a, &prompt, Want::Last)]).unwrap();
        });
        findings.extend(told(&used, &format!("{name}: a part of a prompt")));
    }
    assert!(findings.is_empty(), "\n{}", findings.join("\n"));
}

/// What was taken, if anything.
fn told(used: &allocation_counter::AllocationInfo, what: &str) -> Option<String> {
    let (count, bytes) = (used.count_total, used.bytes_total);
    (count > 0).then(|| format!("{what} took {count} pieces of memory, {bytes} bytes"))
}
