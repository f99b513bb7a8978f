//! The tiny model: one token, and greedy answers with the cache and without it.

use std::error::Error;

use criterion::{BenchmarkId, Criterion, Throughput};
use realizar_benches::{Headline, PROMPT};

fn main() -> Result<(), Box<dyn Error>> {
    let mut criterion = Criterion::default().configure_from_args();
    let mut headline = Headline::new()?;

    // A failure would be measured as great speed, so the last outcome of every row is looked at.
    let mut group = criterion.benchmark_group("headline");
    let mut next = Ok(0);
    group.bench_function("forward/1", |bencher| bencher.iter(|| next = headline.next_token(&[0])));
    next?;
    for count in [1, 5, 10, 20] {
        group.throughput(Throughput::Elements(count as u64));
        let mut answer = Ok(Vec::new());
        group.bench_function(BenchmarkId::new("cached", count), |bencher| {
            bencher.iter(|| answer = headline.greedy_cached(&PROMPT, count));
        });
        let mut again = Ok(Vec::new());
        group.bench_function(BenchmarkId::new("recomputed", count), |bencher| {
            bencher.iter(|| again = headline.greedy_recomputed(&PROMPT, count));
        });
        answer?;
        again?;
    }
    group.finish();
    criterion.final_summary();
    Ok(())
}
