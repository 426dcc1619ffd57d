//! Memory: so and so many calls under way at once, again and again, and what is left of them.
//!
//! The origin holds its replies back until all calls have come. Each door has an exeat of its own, since an allocator
//! keeps what it once had.

use std::path::Path;

use crate::clients;
use crate::clients::Errand;
use crate::clients::Times;
use crate::exeat;
use crate::stage::Contender;
use crate::stage::Stage;

/// Resident memory, in KiB.
struct Memory {
    /// Before the first call.
    before: u64,
    /// The most in each round, and what was left of it.
    rounds: Vec<(u64, u64)>,
}

/// Measures each door and prints a table.
pub(crate) fn trial(program: &Path, calls: usize, rounds: usize) -> anyhow::Result<()> {
    println!();
    println!("Resident memory of exeat, MiB, {calls} calls under way at once, {rounds} rounds");
    println!();
    println!(
        "{:<18}{:>9}{:>14}{:>14}{:>14}{:>14}{:>14}",
        "", "before", "peak, first", "peak, last", "after first", "after last", "KiB per call"
    );
    for (name, form) in exeat::DOORS {
        let stage = Stage::open(1)?;
        let door = exeat::door(&stage, (name, form), program)?;
        print_row(name, calls, &measure(&stage, &door, calls, rounds)?);
    }
    println!();
    Ok(())
}

fn measure(stage: &Stage, door: &Contender, calls: usize, rounds: usize) -> anyhow::Result<Memory> {
    let errand = Errand::together(calls, &stage.ports);
    let times = Times {
        connections: calls,
        warm_up: 0,
        requests: calls,
    };
    let before = door.resident()?;
    let mut measured = Vec::new();
    for _ in 0..rounds {
        // Exeat is one process.
        let process = &door.processes[0];
        process.forget_peak()?;
        clients::run(stage, door, &errand, &times)?;
        measured.push((process.peak()?, process.resident()?));
    }
    Ok(Memory {
        before,
        rounds: measured,
    })
}

fn print_row(name: &str, calls: usize, memory: &Memory) {
    let (Some(first), Some(last)) = (memory.rounds.first(), memory.rounds.last()) else {
        return;
    };
    let mib = |kib: u64| kib as f64 / 1024.0;
    println!(
        "{name:<18}{:>9.1}{:>14.1}{:>14.1}{:>14.1}{:>14.1}{:>14.1}",
        mib(memory.before),
        mib(first.0),
        mib(last.0),
        mib(first.1),
        mib(last.1),
        last.0.saturating_sub(memory.before) as f64 / calls as f64,
    );
}
