//! Another policy while exeat runs.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::symlink;
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::attacks::stage::{Door, POLICY, Stage};
use crate::reload::{metric, one};
use crate::world::{
    Desk, Plan, Revision, Started, Stream, Tap, World, json_reply, read_answer, read_head, rest,
};

/// Each try has a line of its own kind, which names the policy that stays and the first mistake, and no value.
fn assert_told_in_the_audit_log(desk: &Desk, in_force: &Value) {
    let text = fs::read_to_string(desk.path("audit.jsonl")).unwrap();
    let all = text
        .lines()
        .map(|it| serde_json::from_str::<Value>(it).unwrap());
    let refused: Vec<Value> = all.filter(|it| it["event"] == "policy_refused").collect();
    assert!(refused.len() >= 2, "{text}");
    for line in &refused {
        assert_eq!(line["policy_hash"], *in_force, "{line}");
        assert!(line["problems"].as_u64() >= Some(1), "{line}");
        assert!(
            line["detail"].as_str().unwrap().contains("p.yaml:"),
            "{line}"
        );
        assert_eq!(line.get("request_id"), None, "{line}");
    }
    assert!(!text.contains("sk-live"), "{text}");
    let verified = desk.run(&["audit", "verify", "audit.jsonl"]);
    assert_eq!(verified.status.code(), Some(0), "{verified:?}");
    let shown = desk.run(&["audit", "show", "audit.jsonl"]);
    let shown = String::from_utf8(shown.stdout).unwrap();
    let row = shown
        .lines()
        .find(|it| it.contains("policy_refused"))
        .unwrap();
    assert!(row.contains("p.yaml:"), "{row}");
    let told = desk.run(&["audit", "tail", "-n", "1000", "audit.jsonl"]);
    assert!(
        String::from_utf8(told.stdout)
            .unwrap()
            .contains("\"event\":\"policy_refused\"")
    );
    // As good as any other line of the chain.
    fs::write(
        desk.path("audit.jsonl"),
        text.replacen("\"problems\":", "\"problems\":9", 1),
    )
    .unwrap();
    assert_eq!(
        desk.run(&["audit", "verify", "audit.jsonl"]).status.code(),
        Some(1)
    );
}

/// A policy whose requests say which one they were rebuilt by.
fn stamped(stamp: &str) -> String {
    format!(
        "version: 1
actions:
  get_item: {{description: Returns one item., method: GET, url: \"https://api.good.test/item\", headers: {{X-Stamp: \"{stamp}\"}}}}
"
    )
}

/// Cleartext, so that the test plays the server.
const LONG: &str = "
version: 1
actions:
  upload: {description: Takes a body., method: POST, url: \"http://events.good.test/upload\", allow_http: true, accept_body: any}
  read: {description: Takes a body that is read., method: POST, url: \"http://events.good.test/read\", allow_http: true, parameters: {properties: {a: {type: string}}}}
  watch: {description: Tells what happens., method: GET, url: \"http://events.good.test/events\", allow_http: true, stream: true}
  other: {description: Does something else., method: GET, url: \"https://api.good.test/other\"}
tunnels:
  packages: {hosts: [api.two.test], ports: [443]}
";

fn long(grace: Duration) -> (World, Tap) {
    let world = Plan::of(LONG).grace(grace).start();
    let tap = Tap::new();
    world.resolve("events.good.test", &["203.0.114.41"]);
    world.lead("events.good.test", 80, tap.address());
    (world, tap)
}

/// Everything but `other`.
fn withdraw(world: &World) {
    let other = LONG.lines().filter(|it| {
        ["upload:", "read:", "watch:", "tunnels:", "packages:"]
            .iter()
            .all(|word| !it.contains(word))
    });
    world.reload(&other.map(|it| format!("{it}\n")).collect::<String>());
}

#[test]
fn n6_a_policy_with_mistakes_changes_nothing_and_is_told_everywhere() {
    let desk = Desk::with(&one("a"));
    let started = Started::on(&desk, &["--audit", "audit.jsonl"]);
    let good = started.ready("at first", |it| it["reload"].is_null());
    assert!(good["loaded_at"].as_str().unwrap().ends_with('Z'), "{good}");
    let loaded = metric(&started, "exeat_policy_loaded_timestamp_seconds").unwrap();
    assert!(loaded > 1e9);
    assert_eq!(metric(&started, "exeat_policy_reload_failed"), Some(0.0));
    // As it is when it is half written: what ends in the middle of a line, and two mistakes and a secret more.
    let whole = one("b")
        + "  c: {description: Does something., metod: GET, url: \"https://c.good.test/\"}\nauth: {x: {type: bearer, token: sk-live-0123456789abcdefABCDEF}}\n";
    for (text, count) in [(&whole[..whole.len() / 3], 1), (whole.as_str(), 2)] {
        fs::write(desk.path("policies/p.yaml"), text).unwrap();
        let ready = started.ready("refused", |it| {
            it["reload"]["count"].as_u64() >= Some(count)
        });
        assert_eq!(ready["ready"], true);
        assert_eq!(ready["policy_hash"], good["policy_hash"]);
        assert_eq!(ready["loaded_at"], good["loaded_at"]);
        assert!(ready["reload"]["failed_at"].as_str() >= good["loaded_at"].as_str());
        let first = &ready["reload"]["problems"][0];
        assert!(
            first["file"].as_str().unwrap().ends_with("p.yaml"),
            "{first}"
        );
        assert!(
            first["line"].as_u64() >= Some(3) && first["column"].is_u64(),
            "{first}"
        );
        assert!(!ready.to_string().contains("sk-live"), "{ready}");
        assert_eq!(metric(&started, "exeat_policy_reload_failed"), Some(1.0));
        // What was in force is.
        assert_eq!(
            started.get("http://b.good.test/").refusal(),
            "host_undeclared"
        );
        assert_ne!(
            started.get("http://a.good.test/").refusal(),
            "host_undeclared"
        );
    }
    assert_eq!(
        metric(&started, "exeat_policy_loaded_timestamp_seconds"),
        Some(loaded)
    );
    fs::write(desk.path("policies/p.yaml"), one("b")).unwrap();
    let mended = started.ready("mended", |it| it["reload"].is_null());
    assert_ne!(mended["policy_hash"], good["policy_hash"]);
    assert_eq!(metric(&started, "exeat_policy_reload_failed"), Some(0.0));
    assert_eq!(
        metric(&started, "exeat_policy_reloads_total{outcome=\"loaded\"}"),
        Some(1.0)
    );
    assert!(metric(&started, "exeat_policy_reloads_total{outcome=\"refused\"}") >= Some(2.0));
    let info = format!("exeat_policy_info{{hash={}}}", mended["policy_hash"]);
    assert_eq!(metric(&started, &info), Some(1.0));
    started.signal("-TERM");
    let (code, _, said) = started.end();
    assert_eq!(code, Some(0));
    for part in [
        "p.yaml:4:",
        "did you mean `method`?",
        "is not put in force",
        "p.yaml:5:",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    assert!(!said.contains("sk-live"), "{said}");
    let hashes = [&good["policy_hash"], &mended["policy_hash"]];
    for record in desk.records("audit.jsonl") {
        assert!(hashes.contains(&&record["policy_hash"]), "{record}");
    }
    assert_told_in_the_audit_log(&desk, &good["policy_hash"]);
}

#[test]
fn n8_every_request_is_of_one_policy_while_a_hundred_come_into_force() {
    let mut world = Plan::of(&stamped("s0")).start();
    world.origin("api.good.test", |seen| {
        json_reply(&format!("\"{}\"", seen.header("x-stamp")[0]))
    });
    let (over, asked) = (AtomicBool::new(false), AtomicUsize::new(0));
    let stamps = Mutex::new(HashMap::new());
    let mut hashes = BTreeMap::from([("s0".to_owned(), world.policy_hash())]);
    std::thread::scope(|scope| {
        for number in 0..4 {
            let (world, over, asked, stamps) = (&world, &over, &asked, &stamps);
            scope.spawn(move || {
                let client = world.client();
                let host = "api.good.test";
                let (mut stream, target): (Box<dyn Stream>, _) = match number % 2 {
                    0 => (Box::new(client.connect()), format!("http://{host}/item")),
                    _ => (Box::new(client.tunnel(host)), "/item".to_owned()),
                };
                while !over.load(Ordering::Relaxed) {
                    write!(stream, "GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n").unwrap();
                    let answer = read_answer(&mut *stream, "GET").unwrap();
                    assert_eq!(answer.status, 200, "{answer:?}");
                    let id = answer.header("exeat-request-id").unwrap().to_owned();
                    stamps
                        .lock()
                        .unwrap()
                        .insert(id, answer.json().as_str().unwrap().to_owned());
                    asked.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        for number in 1..=100 {
            let enough = asked.load(Ordering::Relaxed) + 4;
            while asked.load(Ordering::Relaxed) < enough {
                std::thread::yield_now();
            }
            let stamp = format!("s{number}");
            world.reload(&stamped(&stamp));
            hashes.insert(stamp, world.policy_hash());
        }
        over.store(true, Ordering::Relaxed);
    });
    let stamps = stamps.into_inner().unwrap();
    let records = world.last_records();
    assert_eq!(records.len(), stamps.len());
    let mut seen = BTreeMap::new();
    for record in records {
        let stamp = &stamps[record["request_id"].as_str().unwrap()];
        assert_eq!(record["policy_hash"], hashes[stamp], "{record}");
        *seen.entry(stamp.clone()).or_insert(0) += 1;
    }
    assert!(seen.len() > 50, "{seen:?}");
}

/// A file that is written in place, in two halves, and with the time that it had before.
#[test]
fn n7_whole_content_comes_into_force_however_it_comes() {
    let desk = Desk::with(&one("a"));
    let file = desk.path("policies/p.yaml");
    let started = Started::on(&desk, &["--audit", "audit.jsonl"]);
    let first = started.ready("at first", |it| it["actions"] == 1)["policy_hash"].clone();
    let ask = |name: &str| {
        started
            .get(&format!("http://{name}.good.test/"))
            .refusal()
            .to_owned()
    };
    assert_eq!(ask("b"), "host_undeclared");
    // Truncated, then written, in one go of somebody who does not know of renaming.
    let text = one("b");
    let mut open = fs::File::create(&file).unwrap();
    open.write_all(&text.as_bytes()[..text.len() / 2]).unwrap();
    open.write_all(&text.as_bytes()[text.len() / 2..]).unwrap();
    drop(open);
    let second = started.ready("truncated and written", |it| it["policy_hash"] != first);
    assert_eq!(second["reload"], Value::Null, "{second}");
    assert_eq!(ask("a"), "host_undeclared");
    // As many bytes, and the time of before.
    let modified = fs::metadata(&file).unwrap().modified().unwrap();
    fs::write(&file, one("c")).unwrap();
    let times = fs::FileTimes::new().set_modified(modified);
    fs::File::options()
        .write(true)
        .open(&file)
        .unwrap()
        .set_times(times)
        .unwrap();
    let third = started.ready("with its old time", |it| {
        it["policy_hash"] != second["policy_hash"]
    });
    assert_eq!(ask("b"), "host_undeclared");
    // A link that is swapped for another.
    fs::create_dir(desk.path("d")).unwrap();
    fs::write(desk.path("d/p.yaml"), one("d")).unwrap();
    symlink("../d/p.yaml", desk.path("policies/.next")).unwrap();
    fs::rename(desk.path("policies/.next"), &file).unwrap();
    let fourth = started.ready("swapped", |it| it["policy_hash"] != third["policy_hash"]);
    assert_eq!(ask("c"), "host_undeclared");
    started.signal("-TERM");
    assert_eq!(started.end().0, Some(0));
    let hashes: Vec<Value> = desk
        .records("audit.jsonl")
        .iter()
        .map(|it| it["policy_hash"].clone())
        .collect();
    let before = [
        &first,
        &second["policy_hash"],
        &third["policy_hash"],
        &fourth["policy_hash"],
    ];
    assert_eq!(hashes.iter().collect::<Vec<_>>(), before);
}

/// Memory is that of the policy in force: whoever has carried out a request under one before lets go of it.
#[test]
fn n8_reloads_leave_nothing_behind() {
    let world = Plan::of(&stamped("s")).start();
    world.origin("api.good.test", |_| json_reply("{}"));
    let client = world.client();
    let mut kept = client.connect();
    let url = "http://api.good.test/item";
    let mut before = Vec::new();
    for number in 0..100 {
        before.push(world.policy());
        world.reload(&stamped(&format!("s{number}")));
        let ask = ("GET", url, &[][..], "");
        assert_eq!(client.send_on(&mut kept, ask).status, 200);
        let mut pipe = world.pipe(Revision::ALL[1], None, None);
        pipe.call("get_item", json!({}));
        pipe.close();
    }
    let deadline = Instant::now() + Duration::from_secs(20);
    while before.iter().any(|it| it.strong_count() > 0) {
        let held = before.iter().filter(|it| it.strong_count() > 0).count();
        assert!(
            Instant::now() < deadline,
            "{held} policies of before are held"
        );
        std::thread::yield_now();
    }
}

#[test]
fn n9_an_upload_under_way_is_of_the_policy_that_took_it() {
    for (path, head) in [
        ("upload", "Content-Type: text/plain"),
        ("read", "Content-Type: application/json"),
    ] {
        let (world, tap) = long(Duration::from_secs(3600));
        let before = world.policy_hash();
        let body = "{\"a\":\"b\"}";
        let mut stream = world.client().connect();
        let lines = format!(
            "Host: events.good.test\r\n{head}\r\nContent-Length: {}\r\nExpect: 100-continue\r\n",
            body.len()
        );
        write!(
            stream,
            "POST http://events.good.test/{path} HTTP/1.1\r\n{lines}\r\n"
        )
        .unwrap();
        // It has been selected then, and its body is asked for.
        let mut line = match path {
            "upload" => {
                let mut line = tap.accept();
                line.head();
                Some(line)
            }
            _ => None,
        };
        assert_eq!(read_head(&mut stream).unwrap().status, 100);
        withdraw(&world);
        stream.write_all(body.as_bytes()).unwrap();
        let line = line.get_or_insert_with(|| {
            let mut line = tap.accept();
            line.head();
            line
        });
        let mut got = String::new();
        while got.len() < body.len() {
            got += &line.hear();
        }
        assert!(got.contains(body), "{got}");
        line.say("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}");
        let answer = read_answer(&mut stream, "POST").unwrap();
        assert_eq!((answer.status, answer.text()), (200, "{}"), "{path}");
        let record = world.record();
        assert_eq!(record["policy_hash"], before, "{record}");
        assert_eq!(
            (&record["decision"], &record["end"]),
            (&"allowed".into(), &"complete".into())
        );
        // The next one on the same connection is of the next.
        write!(
            stream,
            "POST http://events.good.test/{path} HTTP/1.1\r\n{lines}\r\n"
        )
        .unwrap();
        assert_eq!(
            read_answer(&mut stream, "POST").unwrap().refusal(),
            "host_undeclared"
        );
        assert_ne!(world.records(2)[1]["policy_hash"], before);
    }
}

#[test]
fn n9_what_lasts_long_is_looked_at_again_and_ends_after_the_grace() {
    let (world, tap) = long(Duration::from_millis(50));
    let mut events = world.client().connect();
    events
        .write_all(b"GET http://events.good.test/events HTTP/1.1\r\nHost: events.good.test\r\n\r\n")
        .unwrap();
    let mut line = tap.accept();
    line.head();
    line.say("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\ndata: 1\n\n");
    assert_eq!(read_head(&mut events).unwrap().status, 200);
    events.read_exact(&mut [0; 14]).unwrap();
    world.origin("api.two.test", |_| json_reply("{}"));
    let client = world.client().trusting(&world.origin_roots());
    let mut tunnel = client.tunnel("api.two.test");
    tunnel
        .write_all(b"GET / HTTP/1.1\r\nHost: api.two.test\r\n\r\n")
        .unwrap();
    assert_eq!(read_answer(&mut tunnel, "GET").unwrap().status, 200);
    withdraw(&world);
    assert_eq!(rest(&mut events), "");
    assert_eq!(rest(&mut tunnel), "");
    let records = world.records(4);
    let ends: Vec<&Value> = records
        .iter()
        .filter(|it| it.get("event").is_none())
        .map(|it| &it["end"])
        .collect();
    assert_eq!(ends, ["withdrawn", "withdrawn"], "{records:#?}");
    assert_eq!(client.get("http://api.good.test/other").status, 502);
}

/// A request that waits for a secret when its action goes.
#[test]
fn n9_a_request_that_waits_is_carried_out_under_the_policy_that_decided_it() {
    let folder = TempDir::new().unwrap();
    let pipe = folder.path().join("pipe");
    assert!(
        Command::new("mkfifo")
            .arg(&pipe)
            .status()
            .unwrap()
            .success()
    );
    let source = format!("{{command: [cat, {}]}}", pipe.display());
    let policy = POLICY
        .replace(
            "good_token: {env: GOOD_TOKEN}",
            &format!("good_token: {source}"),
        )
        .replace(
            "two_key: {env: TWO_KEY}",
            "two_key: {command: [echo, SECRET-BBBB]}",
        );
    let stage = Stage::of(Plan::of(&policy).reading_sources());
    let before = stage.world.policy_hash();
    let mut stream = stage.open(Door::Proxy);
    stream.write_all(&Door::Proxy.get("/v1/items/1")).unwrap();
    // Opening it waits for the command that reads it, so the request has been decided.
    let mut writer = fs::File::options().write(true).open(&pipe).unwrap();
    stage.world.reload(&one("z"));
    writer.write_all(b"SECRET-AAAA\n").unwrap();
    drop(writer);
    assert_eq!(stage.answer(&mut stream, "GET").unwrap().status, 200);
    assert_eq!(
        stage.good.only().header("authorization"),
        ["Bearer SECRET-AAAA"]
    );
    assert_eq!(stage.world.record()["policy_hash"], before);
}
