//! Group C: TLS on both sides, server names, interception.

mod chains;
mod first;
mod hello;
mod keys;
mod leaves;
mod origins;
mod sessions;

use std::io::{Read as _, Write as _};
use std::net::Shutdown;

use serde_json::Value;

use super::stage::{POLICY, Stage};
use crate::world::Plan;

/// A host whose TLS passes unopened in [`stage`].
const PASSED: &str = "pkg.good.test";

/// A host whose TLS ends at exeat.
const OPENED: &str = "api.good.test";

/// What comes back for the first bytes in a tunnel.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Heard {
    /// A fatal alert and no more, by its number (RFC 8446 §6).
    Alert(u8),
    /// The beginning of a handshake.
    ServerHello,
    /// The end of the connection.
    Nothing,
    /// What should not be.
    Other(Vec<u8>),
}

fn plan() -> Plan {
    let tunnels = format!("{POLICY}tunnels:\n  packages: {{hosts: [{PASSED}]}}\n");
    Plan::of(&tunnels)
}

/// The rows' world, with a tunnel that passes.
fn stage(plan: Plan) -> Stage {
    let stage = Stage::of(plan);
    stage.world.resolve(PASSED, &["203.0.114.40"]);
    stage
}

/// Sends the first bytes in a tunnel and no more: what comes back until the end, and the last record.
fn hear(stage: &Stage, host: &str, bytes: &[u8]) -> (Heard, Value) {
    let before = stage.world.records(0).len();
    let (answer, mut stream) = stage.world.client().open(&format!("{host}:443"), &[]);
    assert_eq!(answer.status, 200, "{host}");
    // The tunnel may end before the last byte could be written.
    let _ = stream.write_all(bytes);
    let _ = stream.shutdown(Shutdown::Write);
    let mut back = Vec::new();
    let _ = stream.read_to_end(&mut back);
    let records = stage.world.records(before + 1);
    (Heard::of(back), records.last().unwrap().clone())
}

/// Bytes that get nobody anywhere: an alert or silence, one record with one of these codes, and nothing outside.
fn refuses(stage: &Stage, host: &str, bytes: &[u8], (alerts, code): (&[u8], &str)) {
    let shown = format!("{host} {:x?}", &bytes[..bytes.len().min(80)]);
    let before = stage.world.records(0).len();
    let (heard, record) = hear(stage, host, bytes);
    let fine = match heard {
        Heard::Alert(alert) => alerts.contains(&alert),
        Heard::Nothing => alerts.is_empty(),
        _ => false,
    };
    assert!(fine, "{shown}: {heard:?}, expected {alerts:?}");
    assert_eq!(record["code"], code, "{shown}: {record}");
    assert_eq!(stage.world.records(0).len(), before + 1, "{shown}");
    stage.world.assert_nothing_left();
    assert!(stage.seen().is_empty(), "{shown}");
}

impl Heard {
    fn of(bytes: Vec<u8>) -> Self {
        match bytes[..] {
            [] => Self::Nothing,
            [21, 3, _, 0, 2, 2, alert] => Self::Alert(alert),
            [22, 3, _, _, _, 2, ..] => Self::ServerHello,
            _ => Self::Other(bytes),
        }
    }
}
