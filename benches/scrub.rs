//! What scrubbing costs: JSON without hits, with ten secrets in all their forms.
//!
//! `cargo bench --bench scrub`. A reply of 1 KB in one chunk, and 64 KB and 1 MB in chunks of 16 KB as they come out of
//! TLS. `tokens` are of 40 characters, as most are; `passwords` have one of eight among them: the shortest that is
//! looked for, which makes the search look three times as often.

#[path = "parts/replies.rs"]
mod replies;

use std::hint::black_box;
use std::sync::Arc;

use bytes::Bytes;
use criterion::BenchmarkId;
use criterion::Criterion;
use criterion::Throughput;
use criterion::criterion_group;
use criterion::criterion_main;
use exeat::scrub::Forms;

use crate::replies::json;
use crate::replies::secrets;
use crate::replies::through;

criterion_group!(benches, scrub);
criterion_main!(benches);

fn scrub(criterion: &mut Criterion) {
    for (kind, shortest) in [("tokens", 40), ("passwords", 8)] {
        let secrets = secrets(shortest);
        let forms = Arc::new(Forms::of(&secrets));
        let mut group = criterion.benchmark_group(format!("scrub {kind}"));
        for bytes in [1024, 64 * 1024, 1024 * 1024] {
            let text = Bytes::from(json(bytes));
            group.throughput(Throughput::Bytes(bytes as u64));
            let id = BenchmarkId::from_parameter(bytes);
            group.bench_with_input(id, &text, |bencher, text| {
                bencher.iter(|| through(&forms, text));
            });
        }
        group.finish();
        criterion.bench_function(&format!("build {kind}"), |bencher| {
            bencher.iter(|| Forms::of(black_box(&secrets)));
        });
    }
}
