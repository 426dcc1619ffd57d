//! Group D: names and addresses that lead inside: resolution, special ranges, ports, our own listeners.

mod judged;
mod labels;
mod literal;
mod name_server;
mod network;
mod resolved;
mod wire;

use std::io::{Read as _, Write as _};
use std::net::Shutdown;

use serde_json::json;

use super::stage::{Door, POLICY, Stage};
use crate::world::Plan;

const REFUSED: (u16, &str) = (403, "address_refused");

/// The rows' policy, with a tunnel, a host in the private network at one of two ports, and one that may be anywhere.
fn policy() -> String {
    let more = r#"
  crm: {description: Lives in the private network., method: GET, url: "https://crm.good.test:8443/x"}
  crm_shell: {description: Lives there on another port., method: GET, url: "https://crm.good.test:22/x"}
  open: {description: May live anywhere at all., method: GET, url: https://open.good.test/x}
network:
  allow_private:
    - {host: crm.good.test, addresses: [10.0.5.0/24, "fd00::/8"], port: 8443}
    - {host: open.good.test, addresses: [0.0.0.0/0, "::/0"], port: 443}
tunnels:
  packages: {hosts: [pkg.good.test, "*.pkg.test"]}
"#;
    format!("{}{more}", POLICY.trim_end())
}

fn stage() -> Stage {
    let stage = Stage::of(Plan::of(&policy()));
    for host in ["crm.good.test", "open.good.test", "pkg.good.test"] {
        stage.world.resolve(host, &["203.0.114.40"]);
    }
    stage
}

/// That a declared host which has these addresses is asked for once at each door, and never dialled; nobody is told
/// which they are.
fn leads_nowhere(stage: &Stage, host: &str, addresses: &[&str]) {
    stage.world.resolve(host, addresses);
    let dials = stage.world.dials();
    let before = stage.world.lookups().len();
    let records = stage.world.records(0).len();
    let shown = format!("{host} {addresses:?}");
    let action = match host {
        "api.good.test" => "get_item",
        _ => "open",
    };
    let path = if action == "open" {
        "/x"
    } else {
        "/v1/items/1"
    };
    let mut asked = before;
    let mut hears = |text: &str| {
        asked += 1;
        assert_eq!(stage.world.lookups().len(), asked, "{shown}");
        for address in addresses {
            assert!(!text.contains(address), "{shown}: {text}");
        }
    };
    for door in Door::ALL {
        let mut stream: Box<dyn crate::world::Stream> = match door {
            Door::Proxy => Box::new(stage.world.client().connect()),
            Door::Tunnel => Box::new(stage.world.client().tunnel(host)),
        };
        let sent = door.request("GET", host, path, "", "");
        stream.write_all(&sent).unwrap();
        let answer = stage.answer(&mut stream, "GET").unwrap();
        let got = (answer.status, answer.refusal());
        assert_eq!(got, REFUSED, "{shown} {door:?}: {answer:?}");
        hears(answer.text());
    }
    let parameters = match action {
        "open" => json!({}),
        _ => json!({"id": "1"}),
    };
    let called = json!({"parameters": parameters});
    let called = stage.world.call(action, "", &called);
    assert_eq!((called.status, called.refusal()), REFUSED, "{shown}");
    hears(called.text());
    assert_eq!(stage.world.dials(), dials, "{shown}");
    assert_refused(stage, records, 3);
}

/// That a tunnel which passes leads nowhere where its host has these addresses.
fn passes_nowhere(stage: &Stage, addresses: &[&str]) {
    let host = "pkg.good.test";
    stage.world.resolve(host, addresses);
    let (lookups, dials) = (stage.world.lookups().len(), stage.world.dials());
    let records = stage.world.records(0).len();
    let client = stage.world.client();
    let (answer, mut stream) = client.open("pkg.good.test:443", &[]);
    assert_eq!(answer.status, 200);
    client.session(host, &[]).write_tls(&mut stream).unwrap();
    let mut back = Vec::new();
    let _ = stream.read_to_end(&mut back);
    let _ = stream.shutdown(Shutdown::Both);
    assert_eq!(back, b"", "{addresses:?}");
    assert_refused(stage, records, 1);
    assert_eq!(stage.world.lookups().len(), lookups + 1, "{addresses:?}");
    assert_eq!(stage.world.dials(), dials, "{addresses:?}");
}

/// That so many were refused since there were so many records; what was served before them may be written later.
fn assert_refused(stage: &Stage, since: usize, count: usize) {
    let mut written = since + count;
    loop {
        let records = stage.world.records(written);
        let new = records[since..].iter();
        let refused = new.filter(|it| it["code"] == "address_refused").count();
        assert!(refused <= count, "{records:#?}");
        if refused == count {
            return;
        }
        written = records.len() + 1;
    }
}
