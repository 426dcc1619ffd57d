//! While a secret changes: every request has one value of it, whole, and the old one stays unspoken.

use std::collections::HashSet;
use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};

use super::reply;
use crate::attacks::stage::{Door, POLICY, Stage};
use crate::world::{Plan, read_answer};

/// Of one length, so that a mixture of two would show in nothing else.
fn value(number: usize) -> String {
    format!(
        "SECRET-{number:04}-{}",
        char::from(b'a' + (number % 26) as u8)
            .to_string()
            .repeat(40)
    )
}

/// Whether the load is to stop.
#[derive(Default)]
struct Over(AtomicBool);

/// Stops it, also where the test fails.
struct Ending<'a>(&'a Over);

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        self.0.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn j18_a_secret_that_is_rotated_under_load_is_one_value_in_each_request() {
    const TIMES: usize = 20;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    fs::write(&file, value(0)).unwrap();
    let policy = POLICY.replace(
        "good_token: {env: GOOD_TOKEN}",
        &format!("good_token: {{file: {}}}", file.display()),
    );
    let mut stage = Stage::of(Plan::of(&policy).reading_sources());
    // It repeats whatever was ever sent.
    stage.good = stage.world.origin("api.good.test", |_| {
        reply(
            "200 OK\r\n",
            (0..=TIMES).map(|it| value(it) + "\n").collect::<String>(),
        )
    });
    let over = Over::default();
    let client = stage.world.client();
    let bearer = |at: usize| format!("Bearer {}", value(at));
    let ask = |connection: &mut std::net::TcpStream, path: &str| {
        use std::io::Write as _;
        connection.write_all(&Door::Proxy.get(path)).unwrap();
        let answer = read_answer(connection, "GET").unwrap();
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.text().to_owned()
    };
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                let mut connection = client.connect();
                while !over.0.load(Ordering::Relaxed) {
                    ask(&mut connection, "/v1/items/load");
                }
            });
        }
        let _end = Ending(&over);
        let mut connection = client.connect();
        ask(&mut connection, "/v1/items/own0");
        for at in 1..=TIMES {
            let aside = folder.path().join("aside");
            fs::write(&aside, value(at)).unwrap();
            fs::rename(&aside, &file).unwrap();
            let text = ask(&mut connection, &format!("/v1/items/own{at}"));
            let lines: Vec<&str> = text.lines().collect();
            // The one in use, and those of the last eight.
            for line in &lines[at.saturating_sub(7)..=at] {
                assert!(line.chars().all(|it| it == '*'), "{at}: {line}");
            }
        }
    });
    let all: HashSet<String> = (0..=TIMES).map(bearer).collect();
    for seen in stage.good.seen() {
        let [sent] = seen.header("authorization")[..] else {
            panic!("{seen:#?}")
        };
        assert!(all.contains(sent), "{sent}");
        if let Some((_, number)) = seen.line().split_once("/own") {
            let number = number.split(' ').next().unwrap().parse().unwrap();
            assert_eq!(
                sent,
                bearer(number),
                "the new value from the next request on"
            );
        }
    }
}

/// A variable of a process does not change: another value takes a restart, and until then the one that was read holds.
#[test]
fn j18_a_file_that_is_half_written_is_never_half_a_secret() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    let policy = POLICY.replace(
        "good_token: {env: GOOD_TOKEN}",
        &format!("good_token: {{file: {}}}", file.display()),
    );
    let stage = Stage::of(Plan::of(&policy).reading_sources());
    for (content, sent) in [
        ("SECRET-WHOLE-1\n", Some("Bearer SECRET-WHOLE-1")),
        ("", None),
        ("SECRET-WHOLE-2\nSECRET", None),
        ("SECRET-WHOLE-2", Some("Bearer SECRET-WHOLE-2")),
    ] {
        let aside = folder.path().join("aside");
        fs::write(&aside, content).unwrap();
        fs::rename(&aside, &file).unwrap();
        let before = stage.good.seen().len();
        let answer = stage.world.client().get("http://api.good.test/v1/items/1");
        assert_eq!(
            answer.status == 200,
            sent.is_some(),
            "{content:?}: {answer:?}"
        );
        let seen = stage.good.seen().split_off(before);
        let values = seen.iter().flat_map(|it| it.header("authorization"));
        assert_eq!(
            values.collect::<Vec<_>>(),
            Vec::from_iter(sent),
            "{content:?}"
        );
    }
}
