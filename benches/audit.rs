//! What a record costs: a ticket opened, told everything and closed, its metrics counted, its line written, chained by
//! its hash and handed to the operating system. CPU time of the whole process, so that the writer's thread is in it.
//!
//! `cargo bench --bench audit`. The goal: 1 µs for each request.

#[path = "parts/told.rs"]
mod told;

use std::io;
use std::path::Path;
use std::sync::Arc;

use exeat::audit::{Audit, Hash, Queue, Rotation, Sink};
use exeat::metrics::Metrics;
use rustix::time::{ClockId, clock_gettime};

use crate::told::Told;

/// The allocator of the exeat binary.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Rounds, and requests in each of them. Without `--bench` it is only looked whether it runs.
const MEASURED: (usize, usize) = (15, 100_000);
const TRIED: (usize, usize) = (1, 1000);

/// As many as busy workers close before the writer wakes again.
const AT_A_TIME: usize = 1000;

fn main() {
    let is_measured = std::env::args().any(|it| it == "--bench");
    let extent = if is_measured { MEASURED } else { TRIED };
    let (rounds, requests) = extent;
    let folder = tempfile::tempdir().expect("a folder for files");
    let file = folder.path().join("audit.jsonl");
    println!("CPU time for each record: median of {rounds} rounds of {requests}, with quartiles");
    println!("ticket, metrics, line and hash: {}", records(None, extent));
    println!("and a write to a file: {}", records(Some(&file), extent));
    let text = std::fs::read(&file).expect("the file was written");
    let lines: Vec<&[u8]> = text.split(|byte| *byte == b'\n').take(AT_A_TIME).collect();
    let hashes = median(extent, || {
        for line in lines.iter().cycle().take(requests) {
            std::hint::black_box(Hash::of(line));
        }
    });
    println!("the hash alone, of {} bytes: {hashes}", lines[1].len());
}

fn records(file: Option<&Path>, extent: (usize, usize)) -> String {
    let metrics = Arc::new(Metrics::new());
    let queue = Queue::default();
    let audit = match file {
        None => Audit::to(Nowhere, queue, &metrics),
        Some(file) => Audit::to_file(file, Rotation::default(), queue, &metrics),
    };
    let audit = audit.expect("the writer starts");
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .expect("a runtime");
    let told = Told::new();
    median(extent, || {
        for _ in 0..extent.1 / AT_A_TIME {
            (0..AT_A_TIME).for_each(|_| told.record(&audit));
        }
        runtime.block_on(audit.flush());
    })
}

/// Nanoseconds for each of the requests.
fn median((rounds, requests): (usize, usize), mut round: impl FnMut()) -> String {
    round();
    let mut found: Vec<f64> = (0..rounds)
        .map(|_| {
            let start = cpu_time();
            round();
            (cpu_time() - start) / requests as f64
        })
        .collect();
    found.sort_by(f64::total_cmp);
    let at = |part: usize| found[rounds * part / 4];
    format!("{:.0} ns ({:.0}–{:.0})", at(2), at(1), at(3))
}

fn cpu_time() -> f64 {
    let now = clock_gettime(ClockId::ProcessCPUTime);
    now.tv_sec as f64 * 1e9 + now.tv_nsec as f64
}

/// Takes everything and keeps nothing.
struct Nowhere;

impl Sink for Nowhere {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(bytes.len())
    }

    fn sync(&mut self) -> io::Result<()> {
        Ok(())
    }
}
