//! Tables that grow with what clients make up: names of hosts, paths, agents, sessions, members of bodies.

use std::fmt::Write as _;
use std::io::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::{Apart, Busy, MIB, until};
use crate::attacks::stage::{Door, POLICY, Stage};
use crate::world::{Plan, json_reply, read_head};

/// All that is shown at a time, by name and labels.
fn series(page: &str) -> usize {
    page.lines().filter(|it| !it.starts_with('#')).count()
}

#[test]
fn l7_what_clients_make_up_is_not_kept() {
    let apart = Apart::with(json_reply("{}"), &["--workers", "2"]);
    let ask = |numbers: std::ops::Range<usize>| {
        let mut busy = Busy::on(apart.started.connect());
        let request = |number: usize| {
            let word = format!("w{}", number * 7919);
            let login = STANDARD.encode(format!("{word}~{number:032x}:x"));
            let (host, path) = match number % 3 {
                0 => (format!("{word}.evil.test"), String::new()),
                1 => (
                    "api.good.test".into(),
                    format!("{word}/{word}?{word}={word}"),
                ),
                _ => (format!("{word}.{word}.good.test"), word.clone()),
            };
            format!(
                "GET http://{host}/{path} HTTP/1.1\r\nHost: {host}\r\nProxy-Authorization: Basic {login}\r\n\
                 X-{word}: {word}\r\nUser-Agent: {word}\r\nCookie: {word}={word}\r\n\r\n"
            )
        };
        let requests: Vec<String> = numbers.map(request).collect();
        for some in requests.chunks(100) {
            assert_eq!(busy.ask(some), vec![403; some.len()]);
        }
    };
    ask(0..600);
    until("all are counted", || {
        apart.started.figure("exeat_requests_in_flight", "") == 0.0
    });
    let (before, known) = (
        apart.started.memory(),
        series(apart.started.page("/metrics").text()),
    );
    ask(600..12_000);
    apart.is_well_after(before, MIB);
    // The one that was good is new.
    until("all are counted", || {
        apart.started.figure("exeat_requests_in_flight", "") == 0.0
    });
    let text = apart.started.page("/metrics").text().to_owned();
    let of_good = text.lines().filter(|it| it.contains("get_item")).count();
    assert!(series(&text) - of_good <= known, "{text}");
}

/// Names of undeclared hosts get a certificate each, so that the refusal can be read; not as many as are asked for.
#[test]
fn l7_certificates_for_names_that_are_made_up_are_few() {
    let stage = Stage::usual();
    let started = std::time::Instant::now();
    for number in 0..1500 {
        let mut stream = stage.world.client().connect();
        let host = format!("h{number}.evil.test:443");
        write!(stream, "CONNECT {host} HTTP/1.1\r\nHost: {host}\r\n\r\n").unwrap();
        let answer = read_head(&mut stream).unwrap();
        assert!([200, 403].contains(&answer.status), "{answer:?}");
    }
    let most = 50 + 50 * (1 + started.elapsed().as_secs());
    let written = stage.world.everything_written();
    let name = "exeat_leaf_certificates_minted_total ";
    let minted = written.lines().find_map(|it| it.strip_prefix(name));
    let minted: f64 = minted.unwrap().parse().unwrap();
    assert!(minted <= most as f64, "{minted} where {most} may be");
    stage.world.assert_nothing_left();
}

/// Sessions that are made up count as none, so no limit has a count for each.
#[test]
fn l7_sessions_that_are_made_up_get_nothing_of_their_own() {
    let policy = POLICY.replace(
        "    auth: two\n",
        "    auth: two\n    rate_limit: {limit: 5, per: day, key: session}\n",
    );
    let stage = Stage::of(Plan::of(&policy));
    let mut passed = 0;
    for number in 0..2_000_u32 {
        let session = format!("{:032x}", u128::from(number) * 0x9e37_79b9_7f4a_7c15);
        let login = STANDARD.encode(format!("~{session}:x"));
        let header = format!("Proxy-Authorization: Basic {login}");
        let answer = stage
            .world
            .client()
            .send("GET", "http://api.two.test/me", &[&header], "");
        passed += usize::from(answer.status == 200);
    }
    assert_eq!(passed, 5);
}

/// As many names as a body, a query and a head may hold, like each other at their beginnings and at their ends.
#[test]
fn l10_as_many_names_as_may_be_are_read_and_refused() {
    let stage = Stage::usual();
    for of in [
        |number: usize| format!("k{number:06}"),
        |number: usize| format!("{number:06}{}", "k".repeat(20)),
        |number: usize| {
            // Pairs that sum up alike in a hash that multiplies by 31.
            (0..14)
                .map(|bit| if number >> bit & 1 == 0 { "Aa" } else { "BB" })
                .collect()
        },
    ] {
        let mut body = String::from("{");
        for number in 0..16_000 {
            let _ = write!(body, "\"{}\":1,", of(number));
        }
        body += "\"name\":\"pen\",\"qty\":1}";
        for door in Door::ALL {
            // Alike in small letters is a refusal of its own: `AaAa` and `aaaa` would be one name to some.
            let answer = ask(&stage, door, &door.post(&body));
            assert!(
                ["parameter_undeclared", "parameter_duplicate"].contains(&answer.as_str()),
                "{answer}"
            );
        }
        let mut query = String::from("/v1/items/1?");
        for number in 0..500 {
            let _ = write!(query, "{}=&", of(number));
        }
        let lines: String = (0..98)
            .map(|number| format!("{}: 1\r\n", of(number)))
            .collect();
        for door in Door::ALL {
            let answer = ask(&stage, door, &door.get(query.trim_end_matches('&')));
            assert_eq!(answer, "parameter_undeclared");
            let request = door.request("GET", "api.good.test", "/v1/items/1", &lines, "");
            stage.serves(door, &request);
        }
        let members: Value = serde_json::from_str(&body).unwrap();
        let before = stage.world.records(0).len();
        let call = json!({"parameters": members});
        let told = stage.world.call("create_item", "", &call);
        stage.world.records(before + 1);
        assert!(["parameter_undeclared", "parameter_duplicate"].contains(&told.refusal()));
    }
}

fn ask(stage: &Stage, door: Door, bytes: &[u8]) -> String {
    let before = stage.world.records(0).len();
    let mut stream = stage.open(door);
    let _ = stream.write_all(bytes);
    let answer = stage.answer(&mut stream, "POST").unwrap();
    stage.world.records(before + 1);
    answer.refusal().to_owned()
}
