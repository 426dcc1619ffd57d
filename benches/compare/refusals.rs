//! What a refusal costs beside a request that is allowed, and whether hundreds of thousands of them leave anything.
//!
//! Each asks for another host, as whoever wants to fill a cache would. In a report: `rounds[]` with `allowed_cpu_us`
//! and `refused_cpu_us` per request, the spread of their `cpu_ratio` (refused to allowed), and `memory[]`, with
//! `resident_kib` after so many `refusals`.

use serde_json::Value;
use serde_json::json;

use crate::clients;
use crate::clients::Errand;
use crate::clients::Times;
use crate::origin::Size;
use crate::rounds::Effort;
use crate::rounds::Http;
use crate::rounds::Mode;
use crate::rounds::Scenario;
use crate::stage::Contender;
use crate::stage::Stage;
use crate::table::Spread;

/// The request that is allowed.
const ALLOWED: Scenario = Scenario {
    mode: Mode::Forward,
    http: Http::One,
    size: Size::Small,
};

/// Measurements of memory after the first refusals, which fill what is filled once.
const STEPS: usize = 4;

/// Measures, prints, and returns what a report keeps.
pub(crate) fn trial(
    stage: &Stage,
    contender: &Contender,
    effort: &Effort,
    refusals: usize,
) -> anyhow::Result<Value> {
    let times = |requests| Times {
        connections: effort.connections,
        warm_up: effort.connections,
        requests,
    };
    let cpu_us = |errand: &Errand| -> anyhow::Result<f64> {
        let ran = clients::run(stage, contender, errand, &times(effort.requests))?;
        Ok(ran.busy.as_secs_f64() * 1e6 / effort.requests as f64)
    };
    let allowed = Errand::of(ALLOWED, &stage.ports);
    let refused = Errand::undeclared(&stage.ports);
    let mut rounds = Vec::new();
    for _ in 0..effort.rounds {
        rounds.push((cpu_us(&allowed)?, cpu_us(&refused)?));
    }
    let mut resident = vec![(0, contender.resident()?)];
    for step in 1..=STEPS {
        clients::run(stage, contender, &refused, &times(refusals / STEPS))?;
        resident.push((step * refusals / STEPS, contender.resident()?));
    }
    print(&rounds, &resident);
    Ok(json!({
        "contender": contender.name,
        "connections": effort.connections,
        "requests_per_round": effort.requests,
        "rounds": rounds.iter().map(|(allowed, refused)| json!({
            "allowed_cpu_us": allowed, "refused_cpu_us": refused,
        })).collect::<Vec<_>>(),
        "cpu_ratio": Spread::over(rounds.iter().map(|(allowed, refused)| refused / allowed)),
        "memory": resident.iter().map(|(refusals, kib)| json!({
            "refusals": refusals, "resident_kib": kib,
        })).collect::<Vec<_>>(),
    }))
}

fn print(rounds: &[(f64, f64)], resident: &[(usize, u64)]) {
    let spread = |figure: fn(&(f64, f64)) -> f64| Spread::over(rounds.iter().map(figure));
    println!();
    println!("Refusals of undeclared hosts in absolute form, cores: 1; median (quartiles)");
    println!();
    let rows = [
        ("CPU us, allowed", spread(|it| it.0).text(1)),
        ("CPU us, refused", spread(|it| it.1).text(1)),
        ("refused / allowed", spread(|it| it.1 / it.0).text(3)),
    ];
    for (name, text) in rows {
        println!("  {name:<26}{text:>26}");
    }
    for (refusals, kib) in resident {
        println!(
            "  {:<26}{:>22.1} MiB",
            format!("resident after {refusals}"),
            *kib as f64 / 1024.0
        );
    }
    println!();
}
