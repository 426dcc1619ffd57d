//! The start: from the exec of a proxy to its first served request.

use std::io::Read;
use std::io::Write;
use std::net::TcpStream;
use std::path::Path;
use std::time::Duration;
use std::time::Instant;

use anyhow::ensure;
use serde::Serialize;
use serde_json::json;

use crate::bare::Setup;
use crate::exeat;
use crate::exeat::Variant;
use crate::origin;
use crate::origin::Size;
use crate::report::Report;
use crate::rounds::Effort;
use crate::stage::Contender;
use crate::stage::Stage;
use crate::table::Spread;

/// One start, in milliseconds since the exec.
#[derive(Serialize)]
struct Sample {
    /// It said that it listens.
    listens_ms: f64,
    /// A reply was there.
    served_ms: f64,
    /// CPU time until then: on a machine that does other work too, it says more.
    cpu_ms: f64,
}

/// Starts each proxy once per round, and prints a table. An exeat that starts for the first time makes its CA.
pub(crate) fn trial(
    bare: Setup,
    program: &Path,
    effort: &Effort,
    report: &mut Report,
) -> anyhow::Result<()> {
    let stage = Stage::open(1)?;
    let (mut theirs, mut first, mut again) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..effort.rounds {
        theirs.push(sample(&stage, || stage.bare("bare", bare))?);
        let name = format!("exeat-{round}");
        for samples in [&mut first, &mut again] {
            let prepared = exeat::prepare(&stage, &name, program, &Variant::default())?;
            samples.push(sample(&stage, || prepared.start())?);
        }
    }
    println!();
    println!(
        "Start of a process with {} actions, cores: 1, {} rounds; milliseconds, median (quartiles)",
        exeat::ACTIONS,
        effort.rounds
    );
    println!();
    println!(
        "{:<28}{:>26}{:>26}{:>26}",
        "", "it listens", "first request served", "CPU time until then"
    );
    print_row("bare", &theirs);
    print_row("exeat, the first time", &first);
    print_row("exeat", &again);
    println!();
    let facts = json!({"actions": exeat::ACTIONS, "contenders": [
        {"name": "bare", "rounds": theirs},
        {"name": "exeat, the first time", "rounds": first},
        {"name": "exeat", "rounds": again},
    ]});
    report.add("start", "From exec to the first served request", facts);
    Ok(())
}

fn sample(
    stage: &Stage,
    start: impl FnOnce() -> anyhow::Result<Contender>,
) -> anyhow::Result<Sample> {
    let executed = Instant::now();
    let contender = start()?;
    let ready = executed.elapsed();
    ask(stage, &contender)?;
    Ok(Sample {
        listens_ms: milliseconds(ready),
        served_ms: milliseconds(executed.elapsed()),
        cpu_ms: milliseconds(contender.cpu_time()?),
    })
}

pub(crate) fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// One request in the clear, on a connection that is closed behind it.
#[expect(
    clippy::disallowed_methods,
    reason = "a client of the proxy, which has no `dial`"
)]
fn ask(stage: &Stage, contender: &Contender) -> anyhow::Result<()> {
    let mut socket = TcpStream::connect(contender.address)?;
    let authority = format!("{}:{}", origin::PLAIN_HOST, stage.ports.plain);
    let path = Size::Small.path();
    let credential = contender.authorization.as_ref();
    let credential = credential.map(|it| format!("Proxy-Authorization: {it}\r\n"));
    let credential = credential.unwrap_or_default();
    let head = format!(
        "GET http://{authority}{path} HTTP/1.1\r\nHost: {authority}\r\n{credential}Connection: close\r\n\r\n"
    );
    socket.write_all(head.as_bytes())?;
    let mut reply = Vec::new();
    socket.read_to_end(&mut reply)?;
    let good = reply.starts_with(b"HTTP/1.1 200") && reply.len() > Size::Small.bytes();
    ensure!(good, "{}", String::from_utf8_lossy(&reply));
    Ok(())
}

fn print_row(name: &str, samples: &[Sample]) {
    let text = |value: fn(&Sample) -> f64| Spread::over(samples.iter().map(value)).text(1);
    println!(
        "  {name:<26}{:>26}{:>26}{:>26}",
        text(|it| it.listens_ms),
        text(|it| it.served_ms),
        text(|it| it.cpu_ms)
    );
}
