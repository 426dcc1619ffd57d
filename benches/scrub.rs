//! What scrubbing costs: JSON without hits, with ten secrets in all their forms.
//!
//! `cargo bench --bench scrub`. A reply of 1 KB in one chunk, and 64 KB and 1 MB in chunks of 16 KB as they come out of
//! TLS. `tokens` are of 40 characters, as most are; `passwords` have one of eight among them: the shortest that is
//! looked for, which makes the search look three times as often.

use std::fmt::Write;
use std::hint::black_box;
use std::sync::Arc;

use bytes::Bytes;
use criterion::BenchmarkId;
use criterion::Criterion;
use criterion::Throughput;
use criterion::criterion_group;
use criterion::criterion_main;
use exeat::scrub::Forms;
use exeat::scrub::Scrubber;
use exeat::secret::Secret;

criterion_group!(benches, scrub);
criterion_main!(benches);

/// One record of TLS.
const CHUNK: usize = 16 * 1024;

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

fn through(forms: &Arc<Forms>, text: &Bytes) {
    let mut scrubber = Scrubber::new(forms.clone());
    let mut rest = text.clone();
    while rest.len() > CHUNK {
        black_box(scrubber.push(rest.split_to(CHUNK)));
    }
    black_box(scrubber.last(rest));
    assert_eq!(scrubber.masked(), 0);
}

/// Ten secrets that no text holds; one of them with so many characters.
fn secrets(shortest: usize) -> Vec<Secret> {
    const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/_-";
    let mut state = 7_u32;
    let mut letter = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        LETTERS[state as usize / 65_536 % LETTERS.len()]
    };
    let mut secret = |length| {
        let bytes: Vec<u8> = (0..length).map(|_| letter()).collect();
        Secret::new(bytes).expect("letters are a secret")
    };
    let mut secrets: Vec<Secret> = (0..9).map(|_| secret(40)).collect();
    secrets.push(secret(shortest));
    secrets
}

/// A list of records on one line, as APIs send it.
fn json(bytes: usize) -> String {
    let mut text = String::from("{\"items\":[");
    for number in 0.. {
        if text.len() >= bytes {
            break;
        }
        let id = number * 7919;
        let _ = write!(
            text,
            "{{\"id\":\"item-{id:06}\",\"name\":\"A thing of some sort\",\"price\":{}.99,\"url\":\"https://api.example.com/v1/items/{id}\",\"tags\":[\"new\",\"sale\"]}},",
            number % 100
        );
    }
    text.truncate(bytes);
    text
}
