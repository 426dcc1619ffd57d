//! What the metrics of one request cost: its beginning and its end.
//!
//! `cargo bench --bench metrics`. `one` is a request after another of the same action, `thousand` each of another one;
//! `new` is the first of its kind, which registers its series. Labels are made as the audit ticket makes them.

mod cpu_time;

use std::hint::black_box;
use std::time::Duration;

use criterion::Criterion;
use criterion::criterion_group;
use criterion::criterion_main;
use exeat::metrics::Labels;
use exeat::metrics::Measured;
use exeat::metrics::Metrics;
use exeat::name::ActionName;
use exeat::name::AgentName;
use exeat::name::OutcomeName;
use exeat::request::Door;

use crate::cpu_time::CpuTime;

criterion_group! {
    name = benches;
    config = cpu_time::criterion();
    targets = request
}
criterion_main!(benches);

fn request(criterion: &mut Criterion<CpuTime>) {
    let mut group = criterion.benchmark_group("metrics of a request");
    for (name, actions) in [("one", 1), ("thousand", 1000)] {
        let metrics = Metrics::new();
        let labels: Vec<Labels> = (0..actions).map(labels).collect();
        let mut count = 0;
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                count += 1;
                end(&metrics, &labels[count % actions]);
            });
        });
    }
    let metrics = Metrics::new();
    let mut count = 0;
    group.bench_function("new", |bencher| {
        bencher.iter(|| {
            count += 1;
            end(&metrics, &labels(count));
        });
    });
    group.finish();
}

fn end(metrics: &Metrics, labels: &Labels) {
    metrics.begun(Door::Proxy);
    let measured = Measured {
        duration: Duration::from_micros(1_234),
        upstream: Some(Duration::from_micros(1_200)),
        bytes_in: 0,
        bytes_out: 1024,
        scrubbed: 0,
    };
    metrics.ended(black_box(&labels.clone()), measured);
}

fn labels(number: usize) -> Labels {
    Labels {
        door: Door::Proxy,
        action: ActionName::parse(&format!("get_document_{number}")).ok(),
        agent: AgentName::parse("support_bot").ok(),
        code: None,
        outcome: OutcomeName::parse("succeeded").ok(),
        end: "complete",
    }
}
