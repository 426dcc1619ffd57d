//! What deciding costs: a GET with one path and two query parameters, against policies of 10 to 100,000 actions.
//!
//! `cargo bench --bench decide`. The figures must not grow with the policy: hosts and paths are looked up, not scanned.
//! What a whole proxied request costs is measured by `compare`.

#[path = "parts/declared.rs"]
mod declared;

use std::hint::black_box;

use criterion::BatchSize;
use criterion::BenchmarkId;
use criterion::Criterion;
use criterion::criterion_group;
use criterion::criterion_main;
use exeat::policy;
use exeat::policy::Selected;
use exeat::request::Intent;

use crate::declared::Declared;

criterion_group!(benches, decide);
criterion_main!(benches);

/// Declared actions.
const SIZES: [usize; 3] = [10, 1_000, 100_000];

fn decide(criterion: &mut Criterion) {
    for size in SIZES {
        measure(criterion, size, &Declared::of(size));
    }
}

fn measure(criterion: &mut Criterion, size: usize, declared: &Declared) {
    let mut turns = declared.intents.iter().cycle();
    let mut next = || turns.next().expect("a cycle has no end");
    let mut group = criterion.benchmark_group("decide");
    group.bench_function(BenchmarkId::new("whole", size), |bencher| {
        bencher.iter(|| declared.whole(next()));
    });
    group.bench_function(BenchmarkId::new("part-select", size), |bencher| {
        bencher.iter(|| policy::select(&declared.policy, black_box(next())));
    });
    group.bench_function(BenchmarkId::new("part-recognise", size), |bencher| {
        bencher.iter_batched(
            || selected(declared, next()),
            |(selected, intent)| (declared.recognised(&selected, intent), selected),
            BatchSize::SmallInput,
        );
    });
    group.bench_function(BenchmarkId::new("part-decide", size), |bencher| {
        bencher.iter_batched(
            || {
                let (selected, intent) = selected(declared, next());
                let recognised = declared.recognised(&selected, intent);
                (selected, recognised.expect("the request fits"), intent)
            },
            |(selected, recognised, intent)| {
                let host = &intent.destination.host;
                policy::decide(selected, host, recognised.arguments, &declared.facts)
            },
            BatchSize::SmallInput,
        );
    });
    group.bench_function(BenchmarkId::new("refuse-host", size), |bencher| {
        bencher.iter(|| declared.whole(black_box(&declared.undeclared)));
    });
    group.finish();
}

fn selected<'a>(declared: &Declared, intent: &'a Intent) -> (Selected, &'a Intent) {
    let selected = policy::select(&declared.policy, intent);
    (selected.expect("the request is declared"), intent)
}
