//! What strictness costs: a head of eight headers read by the strict reader, and tokenised by httparse with the same
//! map of headers built behind it, which is what hyper does with it.
//!
//! `cargo bench --bench head`. Compare within one run: the ratio is the figure.

#[path = "parts/client_head.rs"]
mod client_head;

use std::hint::black_box;

use bytes::{Bytes, BytesMut};
use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use exeat::wire::{HeadLimits, HeadReader};
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::client_head::HEAD;

fn head(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("head");
    group.bench_function("strict", |bencher| {
        let mut reader = HeadReader::new(HeadLimits::default());
        let fresh = || BytesMut::from(HEAD);
        let read = |mut buffer: BytesMut| black_box(reader.read(&mut buffer)).is_ok();
        bencher.iter_batched(fresh, read, BatchSize::SmallInput);
    });
    group.bench_function("httparse", |bencher| {
        let fresh = || BytesMut::from(HEAD);
        let read = |buffer: BytesMut| black_box(tokenise(buffer.freeze())).is_some();
        bencher.iter_batched(fresh, read, BatchSize::SmallInput);
    });
    group.finish();
}

/// The headers as slices of the buffer.
fn tokenise(buffer: Bytes) -> Option<HeaderMap> {
    let mut fields = [httparse::EMPTY_HEADER; 100];
    let mut request = httparse::Request::new(&mut fields);
    request.parse(&buffer).ok()?;
    let mut headers = HeaderMap::with_capacity(request.headers.len());
    for field in request.headers.iter() {
        let name = HeaderName::from_bytes(field.name.as_bytes()).ok()?;
        let value = HeaderValue::from_maybe_shared(buffer.slice_ref(field.value)).ok()?;
        headers.append(name, value);
    }
    Some(headers)
}

criterion_group!(benches, head);
criterion_main!(benches);
