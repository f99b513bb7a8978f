//! Opening a model file: header, metadata and tensor table of the built-in model, read and checked from end to end.

use std::error::Error;
use std::path::Path;

use bytes::Bytes;
use criterion::Criterion;
use realizar_benches::DEMO;
use realizar_model::Model;

fn main() -> Result<(), Box<dyn Error>> {
    let mut criterion = Criterion::default().configure_from_args();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates/realizar-cli/assets/demo-q8_0.gguf");

    let mut group = criterion.benchmark_group("open");
    let mut parsed = realizar_format::parse(Bytes::from_static(DEMO));
    group.bench_function("parse", |bencher| {
        bencher.iter(|| parsed = realizar_format::parse(Bytes::from_static(DEMO)));
    });
    let source = parsed?;
    let mut opened = realizar_format::open(&path);
    group.bench_function("open", |bencher| bencher.iter(|| opened = realizar_format::open(&path)));
    opened?;
    let mut loaded = Model::load(&*source);
    group.bench_function("load", |bencher| bencher.iter(|| loaded = Model::load(&*source)));
    loaded?;
    group.finish();
    criterion.final_summary();
    Ok(())
}
