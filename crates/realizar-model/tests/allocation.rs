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
    ];
    let zoo = root.join("../../../shared/data/zoo-modern");
    let mut paths: Vec<_> = own.iter().map(|name| root.join("tests/data").join(name)).collect();
    if zoo.is_dir() {
        paths.extend(shared.map(|name| zoo.join(format!("{name}.gguf"))));
    }
    for path in &paths {
        let name = path.display();
        let mut session = session(path);
        let (a, b) = (session.open().unwrap(), session.open().unwrap());
        let prompt: Vec<u32> = (1..15).collect();
        // The first pass of each size may grow what the operations keep.
        session.forward(&[span(a, &prompt, Want::Last), span(b, &prompt[..2], Want::None)]).unwrap();
        let step = |session: &mut Session, tokens: u32| {
            for token in 0..tokens {
                session.forward(&[span(a, &[token], Want::Last), span(b, &[token + 1], Want::Last)]).unwrap();
            }
        };
        // Across the border of a cache block, which takes new blocks.
        let used = allocation_counter::measure(|| step(&mut session, 100));
        // Sequences with a state keep their tokens in a list that grows by doubling: a few times in 200 tokens.
        let most = if path.starts_with(&zoo) { 10 } else { 0 };
        assert!(used.count_total <= most, "{name}: decoding took {} pieces of memory", used.count_total);
        let used = allocation_counter::measure(|| {
            session.forward(&[span(a, &prompt, Want::Last)]).unwrap();
        });
        assert_eq!((used.count_total, used.bytes_total), (0, 0), "{name}: a part of a prompt");
    }
}
