//! Bytes of text per second into tokens of the built-in vocabulary.

use std::error::Error;

use bytes::Bytes;
use criterion::{Criterion, Throughput};
use realizar_benches::{DEMO, Seeded};
use realizar_tokenize::{Compat, EncodeOptions};

/// Length of each text.
const TEXT_BYTES: usize = 256 << 10;

/// Kinds of text, and the pieces that are strung together in a random order.
const TEXTS: &[(&str, &[&str])] = &[
    (
        "story",
        &[
            "Once upon a time there was a little girl named Lily. ",
            "She liked to play outside in the sun. ",
            "\"Can we go to the park?\" asked her brother. ",
            "They found a big, red ball under the tree.\n\n",
            "His mother smiled and said, \"You are very kind.\" ",
            "The dog ran away and did not come back until evening. ",
        ],
    ),
    (
        "code",
        &[
            "for (i, row) in rows.iter().enumerate() {\n",
            "        let sum: f32 = row.iter().map(|x| x * x).sum();\n",
            "    if sum > 1e-5 && i % 16 == 0 { return Err(Error::Range { i, sum }); }\n",
            "}\n\n",
            "/// Writes `count` bytes.\npub fn write(&mut self, count: usize) -> Result<(), Error> {\n",
        ],
    ),
    (
        "scripts",
        &[
            "Übermorgen geht Zoë schwimmen. ",
            "Привет, мир! ",
            "今天天气很好。",
            "こんにちは世界。",
            "🙂🎉 ",
            "1,234.5 ",
        ],
    ),
];

fn main() -> Result<(), Box<dyn Error>> {
    let mut criterion = Criterion::default().configure_from_args();
    let source = realizar_format::parse(Bytes::from_static(DEMO))?;
    let tokenizer = realizar_engine::tokenizer(&*source, Compat::Original)?;
    let options = EncodeOptions { add_special: false, parse_special: false };

    let mut group = criterion.benchmark_group("encode");
    for (name, pieces) in TEXTS {
        let text = text(pieces);
        group.throughput(Throughput::Bytes(text.len() as u64));
        let mut ids = Ok(Vec::new());
        group.bench_function(*name, |bencher| bencher.iter(|| ids = tokenizer.encode_str(&text, options)));
        ids?;
    }
    group.finish();
    criterion.final_summary();
    Ok(())
}

fn text(pieces: &[&str]) -> String {
    let mut seeded = Seeded::new(1);
    let mut text = String::with_capacity(TEXT_BYTES + 100);
    while text.len() < TEXT_BYTES {
        text.push_str(pieces[(seeded.bits() % pieces.len() as u64) as usize]);
    }
    text
}
