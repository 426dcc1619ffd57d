//! Another policy while exeat runs: how it comes into force, what does not, and what follows it.

use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};

use crate::world::{
    Desk, Line, Plan, Revision, Started, Tap, World, json_reply, read_answer, read_head, rest,
};

/// One action, in a file of its own.
pub(crate) fn one(name: &str) -> String {
    format!(
        "version: 1\nactions:\n  {name}: {{description: Does what its name says., method: GET, url: \"https://{name}.good.test/\"}}\n"
    )
}

/// Every way in which files change, with the number of actions after it.
#[test]
fn whatever_changes_the_files_changes_the_policy_in_force() {
    let desk = Desk::with(&one("a"));
    let at = |name: &str| desk.path("policies").join(name);
    let started = Started::on(&desk, &["--audit", "stderr"]);
    let has = |actions: u64| move |it: &Value| it["actions"] == actions;
    type Step<'a> = (&'a str, u64, Box<dyn Fn() + 'a>);
    let steps: [Step<'_>; 8] = [
        ("as it was", 1, Box::new(|| ())),
        (
            "another file",
            2,
            Box::new(|| fs::write(at("b.yaml"), one("b")).unwrap()),
        ),
        (
            "in a folder that is new",
            3,
            Box::new(|| {
                fs::create_dir(at("below")).unwrap();
                fs::write(at("below/c.yaml"), one("c")).unwrap();
            }),
        ),
        (
            "an editor that renames",
            4,
            Box::new(|| {
                fs::write(
                    at(".b.yaml.tmp"),
                    one("b") + one("b2").split("actions:\n").nth(1).unwrap(),
                )
                .unwrap();
                fs::rename(at(".b.yaml.tmp"), at("b.yaml")).unwrap();
            }),
        ),
        (
            "an editor that keeps the old one",
            3,
            Box::new(|| {
                fs::rename(at("b.yaml"), at("b.yaml~")).unwrap();
                fs::write(at("b.yaml"), one("b")).unwrap();
            }),
        ),
        (
            "a file is gone",
            2,
            Box::new(|| fs::remove_file(at("b.yaml")).unwrap()),
        ),
        (
            "a folder is moved away",
            1,
            Box::new(|| fs::rename(at("below"), desk.path("aside")).unwrap()),
        ),
        (
            "the whole folder is another",
            2,
            Box::new(|| {
                let next = desk.path("next");
                fs::create_dir(&next).unwrap();
                fs::write(next.join("x.yaml"), one("x")).unwrap();
                fs::write(next.join("y.yaml"), one("y")).unwrap();
                fs::rename(desk.path("policies"), desk.path("before")).unwrap();
                fs::rename(next, desk.path("policies")).unwrap();
            }),
        ),
    ];
    for (what, actions, change) in steps {
        change();
        let ready = started.ready(what, has(actions));
        assert_eq!(ready["reload"], Value::Null, "{what}: {ready}");
    }
    // The folder that has the name now is the one that is watched.
    fs::write(at("z.yaml"), one("z")).unwrap();
    started.ready("after the folder was swapped", has(3));
}

/// A mounted ConfigMap: the files are links through `..data`, which is swapped by a rename.
#[test]
fn a_config_map_is_swapped_as_kubernetes_does_it() {
    let desk = Desk::with(&one("a"));
    let folder = desk.path("policies");
    fs::remove_file(folder.join("p.yaml")).unwrap();
    let swap = |version: &str, files: &[(&str, String)]| {
        let inside = folder.join(format!("..{version}"));
        fs::create_dir(&inside).unwrap();
        for (name, text) in files {
            fs::write(inside.join(name), text).unwrap();
        }
        symlink(format!("..{version}"), folder.join("..data_tmp")).unwrap();
        fs::rename(folder.join("..data_tmp"), folder.join("..data")).unwrap();
    };
    swap("2026_1", &[("p.yaml", one("a")), ("q.yaml", one("b"))]);
    for name in ["p.yaml", "q.yaml"] {
        symlink(format!("..data/{name}"), folder.join(name)).unwrap();
    }
    let started = Started::on(&desk, &["--audit", "stderr"]);
    let first = started.ready("two files", |it| it["actions"] == 2);
    let more = one("c").replace("actions:", "actions:\n  d: {description: Does something more., method: GET, url: \"https://d.good.test/\"}");
    swap("2026_2", &[("p.yaml", one("a")), ("q.yaml", more)]);
    fs::remove_dir_all(folder.join("..2026_1")).unwrap();
    let second = started.ready("swapped", |it| it["actions"] == 3);
    assert_ne!(first["policy_hash"], second["policy_hash"]);
    // The one file of a mount, named by itself.
    let single = folder.join("p.yaml");
    let alone = Started::on(
        &desk,
        &["--audit", "stderr", "--policies", single.to_str().unwrap()],
    );
    alone.ready("one file", |it| it["actions"] == 1);
    swap(
        "2026_3",
        &[
            (
                "p.yaml",
                one("a")
                    + "  a2: {description: Does it again., method: GET, url: \"https://a2.good.test/\"}\n",
            ),
            ("q.yaml", one("c")),
        ],
    );
    alone.ready("swapped around one file", |it| it["actions"] == 2);
}

#[test]
fn one_file_is_watched_as_well_as_a_folder() {
    let desk = Desk::with(&one("a"));
    let file = desk.path("policies/p.yaml");
    let started = Started::on(
        &desk,
        &["--audit", "stderr", "--policies", "policies/p.yaml"],
    );
    let before = started.ready("at first", |it| it["actions"] == 1);
    fs::write(&file, one("b")).unwrap();
    let changed = |it: &Value| it["policy_hash"] != before["policy_hash"];
    let second = started.ready("written in place", changed);
    fs::write(desk.path("aside"), one("c")).unwrap();
    fs::rename(desk.path("aside"), &file).unwrap();
    started.ready("renamed", |it| it["policy_hash"] != second["policy_hash"]);
}

/// As releases are switched: the folder's name is a link.
#[test]
fn a_folder_behind_a_link_is_swapped_with_the_link() {
    let desk = Desk::with(&one("a"));
    symlink("policies", desk.path("current")).unwrap();
    let started = Started::on(&desk, &["--audit", "stderr", "--policies", "current"]);
    started.ready("at first", |it| it["actions"] == 1);
    fs::create_dir(desk.path("next")).unwrap();
    fs::write(desk.path("next/a.yaml"), one("a")).unwrap();
    fs::write(desk.path("next/b.yaml"), one("b")).unwrap();
    symlink("next", desk.path("aside")).unwrap();
    fs::rename(desk.path("aside"), desk.path("current")).unwrap();
    started.ready("swapped", |it| it["actions"] == 2);
    fs::write(desk.path("next/c.yaml"), one("c")).unwrap();
    started.ready("in the new one", |it| it["actions"] == 3);
}

/// No event tells of what is behind a link that leads out of the folder.
#[test]
fn what_no_event_tells_is_seen_all_the_same() {
    let desk = Desk::with(&one("a"));
    fs::write(desk.path("elsewhere.yaml"), one("b")).unwrap();
    symlink("../elsewhere.yaml", desk.path("policies/link.yaml")).unwrap();
    let started = Started::on(&desk, &["--audit", "stderr"]);
    let before = started.ready("at first", |it| it["actions"] == 2);
    fs::write(desk.path("elsewhere.yaml"), one("c")).unwrap();
    started.ready("behind a link", |it| {
        it["policy_hash"] != before["policy_hash"]
    });
}

pub(crate) fn metric(started: &Started, line: &str) -> Option<f64> {
    let page = started.page("/metrics");
    let line = page.text().lines().find_map(|it| it.strip_prefix(line))?;
    line.trim().parse().ok()
}

#[test]
fn a_policy_is_refused_also_while_nobody_reads_the_log() {
    let desk = Desk::with(&one("a"));
    let started = Started::on(&desk, &["--audit", "audit.jsonl"]);
    started.stall_log();
    fs::write(desk.path("policies/p.yaml"), "version: 1\nactions: 7\n").unwrap();
    started.ready("refused", |it| it["reload"]["count"] == 1);
    assert_eq!(metric(&started, "exeat_policy_reload_failed"), Some(1.0));
}

/// Whoever opens a pipe waits for somebody who writes.
#[test]
fn a_pipe_among_the_files_is_told_and_not_waited_for() {
    let desk = Desk::with(&one("a"));
    let started = Started::on(&desk, &["--audit", "stderr"]);
    let pipe = desk.path("policies/pipe.yaml");
    let made = Command::new("mkfifo").arg(&pipe).status().unwrap();
    assert!(made.success());
    let ready = started.ready("refused", |it| it["reload"]["count"] == 1);
    let problem = &ready["reload"]["problems"][0];
    assert!(problem.to_string().contains("regular file"), "{problem}");
    let checked = desk.run(&["check"]);
    assert!(!checked.status.success());
    assert!(String::from_utf8_lossy(&checked.stdout).contains("regular file"));
    fs::remove_file(&pipe).unwrap();
    started.ready("as before", |it| it["reload"].is_null());
}

#[test]
fn what_is_wrong_in_the_files_is_for_those_who_have_the_token() {
    let desk = Desk::with(&one("a"));
    fs::write(desk.path("token"), "let-me-in\n").unwrap();
    let started = Started::on(&desk, &["--audit", "stderr", "--admin-token-file", "token"]);
    fs::write(
        desk.path("policies/p.yaml"),
        one("a").replace("method", "metod"),
    )
    .unwrap();
    let ready = started.ready("refused", |it| it["reload"]["count"] == 1);
    assert_eq!(ready["reload"]["problems"], json!([]));
    let mut stream = std::net::TcpStream::connect(started.admin).unwrap();
    let host = started.admin;
    write!(
        stream,
        "GET /readyz HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer let-me-in\r\n\r\n"
    )
    .unwrap();
    let told = read_answer(&mut stream, "GET").unwrap().json();
    assert_eq!(told["reload"]["problems"][0]["line"], 3, "{told}");
}

#[test]
fn a_signal_reloads_also_where_nothing_is_watched_or_nothing_has_changed() {
    let desk = Desk::with(&one("a"));
    let started = Started::on(&desk, &["--audit", "stderr", "--watch", "false"]);
    let before = started.page("/readyz").json();
    let count = |outcome: &str| {
        metric(
            &started,
            &format!("exeat_policy_reloads_total{{outcome=\"{outcome}\"}}"),
        )
        .unwrap()
    };
    started.signal("-HUP");
    started.ready("read again", |_| count("unchanged") == 1.0);
    assert_eq!(started.page("/readyz").json(), before);
    fs::write(desk.path("policies/p.yaml"), one("b")).unwrap();
    assert_eq!(started.page("/readyz").json(), before);
    started.signal("-HUP");
    started.ready("loaded", |it| it["policy_hash"] != before["policy_hash"]);
    // A mistake that is taken back has changed nothing.
    fs::write(desk.path("policies/p.yaml"), "version: 1\n").unwrap();
    started.signal("-HUP");
    started.ready("refused", |it| !it["reload"].is_null());
    fs::write(desk.path("policies/p.yaml"), one("b")).unwrap();
    started.signal("-HUP");
    started.ready("as before", |it| it["reload"].is_null());
    assert_eq!(
        (count("loaded"), count("unchanged"), count("refused")),
        (1.0, 2.0, 1.0)
    );
    started.signal("-TERM");
    assert_eq!(started.end().0, Some(0));
}

const AGENTS: &str = "secrets: {t: {env: T}}
agents: {bot: {token: {secret: t}, environment: default, allow: [a]}}
";

#[test]
fn a_reload_that_removes_the_agents_is_refused() {
    let desk = Desk::with(&(one("a") + AGENTS));
    let started = Started::with(&desk, &["--audit", "stderr"], &[("T", "SECRET-AAAA")]);
    fs::write(desk.path("policies/p.yaml"), one("a")).unwrap();
    let ready = started.ready("refused", |it| it["reload"]["count"] == 1);
    let message = ready["reload"]["problems"][0]["message"].as_str().unwrap();
    assert!(message.contains("`agents:` is gone"), "{ready}");
    assert_eq!(started.get("http://a.good.test/").status, 407);
    // Another one with agents is not.
    fs::write(
        desk.path("policies/p.yaml"),
        one("a") + AGENTS + "# as it was\n",
    )
    .unwrap();
    started.ready("loaded", |it| it["reload"].is_null());
}

#[test]
fn a_reload_without_the_environment_that_was_named_is_refused() {
    let desk = Desk::with(&(one("a") + "environments: [production, staging]\n"));
    let started = Started::on(&desk, &["--audit", "stderr", "--environment", "staging"]);
    fs::write(desk.path("policies/p.yaml"), one("a")).unwrap();
    let ready = started.ready("refused", |it| it["reload"]["count"] == 1);
    let message = ready["reload"]["problems"][0]["message"].as_str().unwrap();
    assert!(message.contains("no environment staging"), "{ready}");
}

/// Cleartext, so that a test can play the server itself.
const EVENTS: &str = "
version: 1
actions:
  watch: {description: Tells what happens., method: GET, url: \"http://events.good.test/events\", allow_http: true, stream: true}
  other: {description: Does something else., method: GET, url: \"https://api.good.test/other\"}
";

const WATCH: &[u8] =
    b"GET http://events.good.test/events HTTP/1.1\r\nHost: events.good.test\r\n\r\n";
const HEAD: &str =
    "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n";

fn without_watch() -> String {
    EVENTS
        .lines()
        .filter(|it| !it.contains("watch:"))
        .map(|it| format!("{it}\n"))
        .collect()
}

fn events(plan: Plan) -> (World, Tap) {
    let world = plan.start();
    let tap = Tap::new();
    world.resolve("events.good.test", &["203.0.114.41"]);
    world.lead("events.good.test", 80, tap.address());
    (world, tap)
}

fn event(stream: &mut std::net::TcpStream, text: &str) {
    let expected = format!("{:x}\r\n{text}\r\n", text.len());
    let mut got = vec![0; expected.len()];
    stream.read_exact(&mut got).unwrap();
    assert_eq!(String::from_utf8(got).unwrap(), expected);
}

#[test]
fn a_request_that_has_begun_ends_under_its_policy() {
    let (world, tap) = events(Plan::of(EVENTS));
    let before = world.policy_hash();
    let mut stream = world.client().connect();
    stream.write_all(WATCH).unwrap();
    let mut line = tap.accept();
    line.head();
    world.reload(&without_watch());
    assert_eq!(
        world
            .client()
            .get("http://events.good.test/events")
            .refusal(),
        "host_undeclared"
    );
    line.say("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nwhole");
    let answer = read_answer(&mut stream, "GET").unwrap();
    assert_eq!((answer.status, answer.text()), (200, "whole"));
    let records = world.records(2);
    assert_eq!(records[1]["policy_hash"], before);
    assert_eq!(records[1]["end"], "complete");
    assert_ne!(records[0]["policy_hash"], before);
}

#[test]
fn a_stream_ends_when_its_action_is_gone_and_the_grace_is_over() {
    let (world, tap) = events(Plan::of(EVENTS).grace(Duration::from_millis(50)));
    let mut stream = world.client().connect();
    stream.write_all(WATCH).unwrap();
    let mut line = tap.accept();
    line.head();
    line.say(&format!("{HEAD}data: 1\n\n"));
    assert_eq!(read_head(&mut stream).unwrap().status, 200);
    event(&mut stream, "data: 1\n\n");
    // What does not concern it does not touch it.
    world.reload(&EVENTS.replace("something else", "another thing"));
    line.say("data: 2\n\n");
    event(&mut stream, "data: 2\n\n");
    world.reload(&without_watch());
    // No last chunk: it does not look whole.
    assert_eq!(rest(&mut stream), "");
    let record = &world.records(2)[1];
    assert_eq!(
        (&record["end"], &record["decision"]),
        (&json!("withdrawn"), &json!("allowed"))
    );
    assert_eq!(record["bytes_out"], 18);
    assert_eq!(line.hear(), "", "the server's side is closed as well");
}

#[test]
fn a_stream_goes_on_within_the_grace_and_wherever_it_is_permitted_again() {
    let (world, tap) = events(Plan::of(EVENTS).grace(Duration::from_secs(3600)));
    let mut stream = world.client().connect();
    stream.write_all(WATCH).unwrap();
    let mut line = tap.accept();
    line.head();
    line.say(HEAD);
    assert_eq!(read_head(&mut stream).unwrap().status, 200);
    world.reload(&without_watch());
    line.say("data: 1\n\n");
    event(&mut stream, "data: 1\n\n");
    world.reload(EVENTS);
    line.say("data: 2\n\n");
    event(&mut stream, "data: 2\n\n");
    drop(line);
    let mut last = [0; 5];
    stream.read_exact(&mut last).unwrap();
    assert_eq!(&last, b"0\r\n\r\n");
    assert_eq!(world.records(2)[1]["end"], "complete");
}

/// As fast as the client reads: nobody ever waits for it.
#[test]
fn a_stream_that_never_pauses_ends_too() {
    let (world, tap) = events(
        Plan::of(&EVENTS.replace("stream: true", "stream: true, max_response_bytes: 1GiB"))
            .grace(Duration::ZERO),
    );
    let mut stream = world.client().connect();
    stream.write_all(WATCH).unwrap();
    let mut line = tap.accept();
    line.head();
    line.say(HEAD);
    assert_eq!(read_head(&mut stream).unwrap().status, 200);
    let flooding = std::thread::spawn(move || {
        let much = "x".repeat(64 * 1024);
        while line.try_say(&much) {}
    });
    stream.read_exact(&mut [0; 1_000_000]).unwrap();
    world.reload(&without_watch());
    let mut sink = [0; 64 * 1024];
    while stream.read(&mut sink).is_ok_and(|it| it > 0) {}
    flooding.join().unwrap();
    assert_eq!(world.records(2)[1]["end"], "withdrawn");
}

const TUNNELS: &str = "
version: 1
actions:
  other: {description: Does something else., method: GET, url: \"https://api.two.test/other\"}
tunnels:
  packages: {hosts: [api.good.test], ports: [443]}
";

#[test]
fn a_tunnel_ends_when_it_is_not_declared_any_more() {
    let world = Plan::of(TUNNELS).grace(Duration::from_millis(50)).start();
    world.origin("api.good.test", |_| json_reply("{}"));
    let client = world.client().trusting(&world.origin_roots());
    let mut tunnel = client.tunnel("api.good.test");
    let mut ask = || {
        tunnel
            .write_all(b"GET / HTTP/1.1\r\nHost: api.good.test\r\n\r\n")
            .unwrap();
        read_answer(&mut tunnel, "GET").map(|it| it.status)
    };
    assert_eq!(ask(), Some(200));
    world.reload(&TUNNELS.replace("packages:", "parcels:"));
    assert_eq!(ask(), Some(200), "by whatever name");
    world.reload(TUNNELS.split("tunnels:").next().unwrap());
    assert_eq!(rest(&mut tunnel), "");
    let records = world.records(2);
    assert_eq!(records[1]["end"], "withdrawn", "{records:#?}");
    assert_eq!(records[0]["event"], "opened");
}

const LIVES: &str = "
version: 1
environments: [production, staging]
secrets: {t: {env: T}, key: {production: {env: P}, staging: {env: S}}}
static_variables: {PLACE: {production: one, staging: two}}
actions:
  get_item: {description: Returns one item., method: GET, url: \"https://api.good.test/item\", headers: {X-Place: \"{{.static_variables.PLACE}}\"}}
agents:
  bot: {token: {secret: t}, environment: production, allow: [get_item]}
";

#[test]
fn an_agent_that_moves_takes_its_open_tunnel_along_and_one_that_is_gone_can_do_nothing_in_it() {
    let world = Plan::of(LIVES).secret("t", "bot-secret").start();
    world.origin("api.good.test", |seen| {
        json_reply(&format!("\"{}\"", seen.header("x-place")[0]))
    });
    let login = "Proxy-Authorization: Basic Ym90OmJvdC1zZWNyZXQ=";
    let mut tunnel = world
        .client()
        .tunnel_as("api.good.test", "api.good.test", &[login]);
    let mut ask = || {
        tunnel
            .write_all(b"GET /item HTTP/1.1\r\nHost: api.good.test\r\n\r\n")
            .unwrap();
        read_answer(&mut tunnel, "GET").unwrap()
    };
    assert_eq!(ask().text(), "\"one\"");
    world.reload(&LIVES.replace("environment: production", "environment: staging"));
    assert_eq!(ask().text(), "\"two\"");
    world.reload(&LIVES.replace("  bot:", "  robot:"));
    assert_eq!(ask().refusal(), "action_not_allowed");
    let environments: Vec<_> = world
        .records(3)
        .iter()
        .map(|it| it["environment"].clone())
        .collect();
    assert_eq!(environments[..2], [json!("production"), json!("staging")]);
}

#[test]
fn without_agents_everybody_lives_in_the_first_environment_of_the_policy_that_decides() {
    let policy = LIVES.split("agents:").next().unwrap();
    let world = Plan::of(policy).start();
    world.origin("api.good.test", |seen| {
        json_reply(&format!("\"{}\"", seen.header("x-place")[0]))
    });
    let ask = || {
        world
            .client()
            .get("http://api.good.test/item")
            .text()
            .to_owned()
    };
    assert_eq!(ask(), "\"one\"");
    world.reload(&policy.replace("[production, staging]", "[staging, production]"));
    assert_eq!(ask(), "\"two\"");
}

#[test]
fn an_agents_event_stream_ends_with_the_agent() {
    let policy = one("a") + AGENTS;
    let world = Plan::of(&policy)
        .secret("t", "bot-secret")
        .grace(Duration::ZERO)
        .start();
    for revision in Revision::ALL {
        world.reload(&policy);
        let mut web = world.web(revision, "bot-secret");
        let mut events = web.listen();
        if revision == Revision::Stateless {
            events.next();
        }
        world.reload(&policy.replace("Does what", "Tells what"));
        assert_eq!(
            events.next()["method"],
            "notifications/tools/list_changed",
            "{revision:?}"
        );
        world.reload(&policy.replace("{bot:", "{robot:"));
        events.end();
    }
}

#[test]
fn a_kept_connection_to_an_address_that_is_closed_now_is_closed() {
    let policy = "
version: 1
actions:
  get_item: {description: Returns one item., method: GET, url: \"http://priv.test/item\", allow_http: true}
network:
  allow_private: [{host: priv.test, addresses: [10.0.0.0/24], port: 80}]
";
    let world = Plan::of(policy).start();
    let tap = Tap::new();
    world.lead("priv.test", 80, tap.address());
    let mut stream = world.client().connect();
    let ask = |stream: &mut std::net::TcpStream| {
        let get = b"GET http://priv.test/item HTTP/1.1\r\nHost: priv.test\r\n\r\n";
        stream.write_all(get).unwrap();
    };
    let answered = |line: &mut Line| {
        line.head();
        line.say("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}");
    };
    ask(&mut stream);
    let mut line = tap.accept();
    answered(&mut line);
    assert_eq!(read_answer(&mut stream, "GET").unwrap().status, 200);
    world.reload(&policy.replace("10.0.0.0/24", "10.0.0.0/28"));
    ask(&mut stream);
    // On the same connection.
    answered(&mut line);
    assert_eq!(read_answer(&mut stream, "GET").unwrap().status, 200);
    world.reload(&policy.replace("10.0.0.0/24", "10.0.0.0/30"));
    assert_eq!(line.hear(), "");
    assert_eq!(
        world.client().get("http://priv.test/item").refusal(),
        "address_refused"
    );
}

const LIMITED: &str = "
version: 1
actions:
  get_item: {description: Returns one item., method: GET, url: \"https://api.good.test/item\", rate_limit: 1/day}
";

#[test]
fn what_was_counted_is_forgotten_with_its_limit_and_not_before() {
    let world = Plan::of(LIMITED).start();
    world.origin("api.good.test", |_| json_reply("{}"));
    let ask = || world.client().get("http://api.good.test/item").status;
    assert_eq!((ask(), ask()), (200, 429));
    world.reload(&LIMITED.replace("one item", "an item"));
    assert_eq!(ask(), 429);
    world.reload(&LIMITED.replace(", rate_limit: 1/day", ""));
    assert_eq!(ask(), 200);
    world.reload(LIMITED);
    assert_eq!((ask(), ask()), (200, 429));
}

const KEYED: &str = "
version: 1
secrets: {old: {env: OLD}, new: {env: NEW}}
actions:
  with_old: {description: Uses the old key., method: GET, url: \"https://api.good.test/old\", headers: {X-Key: {secret: old}}}
  with_new: {description: Uses the new key., method: GET, url: \"https://api.good.test/new\", headers: {X-Key: {secret: new}}}
";

#[test]
fn a_secret_that_left_the_policy_is_not_fetched_and_still_scrubbed() {
    let plan = Plan::of(KEYED)
        .secret("old", "SECRET-OLD-1")
        .secret("new", "SECRET-NEW-1");
    let world = plan.start();
    world.origin("api.good.test", |_| json_reply("\"SECRET-OLD-1\""));
    assert_eq!(
        world.client().get("http://api.good.test/old").text(),
        "\"************\""
    );
    let left: String = KEYED
        .lines()
        .filter(|it| !it.contains("with_old"))
        .map(|it| format!("{it}\n"))
        .collect();
    world.reload(&left.replace("old: {env: OLD}, ", ""));
    assert_eq!(
        world.client().get("http://api.good.test/new").text(),
        "\"************\""
    );
    assert_eq!(world.fetched(), ["old", "new"]);
}

const GRANTED: &str = "
version: 1
secrets: {s: {env: S}}
auth:
  api: {type: oauth2_client_credentials, token_url: \"https://auth.good.test/token\", client_id: agents, client_secret: {secret: s}}
actions:
  get_item: {description: Returns one item., method: GET, url: \"https://api.good.test/item\", auth: api}
";

#[test]
fn tokens_go_with_what_their_connector_was_and_stay_with_what_it_is() {
    let world = Plan::of(GRANTED).secret("s", "SECRET-CCCC").start();
    world.resolve("auth.good.test", &["203.0.114.40"]);
    let issuer = world.origin("auth.good.test", |_| {
        json_reply(r#"{"access_token":"token-0123456789","token_type":"Bearer","expires_in":3600}"#)
    });
    world.origin("api.good.test", |_| json_reply("{}"));
    let fetched = |policy: &str| {
        world.reload(policy);
        assert_eq!(world.client().get("http://api.good.test/item").status, 200);
        issuer.seen().len()
    };
    assert_eq!(fetched(GRANTED), 1);
    assert_eq!(fetched(&GRANTED.replace("one item", "an item")), 1);
    assert_eq!(
        fetched(&GRANTED.replace("client_id: agents", "client_id: others")),
        2
    );
    assert_eq!(fetched(GRANTED), 3);
}

#[test]
fn sessions_outlive_their_policy() {
    let policy = "
version: 1
actions:
  find: {description: Finds the order., method: GET, url: \"https://api.good.test/find\", outputs: {order.id: {path: $.id}}}
  show: {description: Shows the order that was found., method: GET, url: \"https://api.good.test/show\", headers: {X-Order: \"{{.variables.order.id}}\"}}
";
    let world = Plan::of(policy).start();
    world.origin("api.good.test", |seen| {
        let order = seen.header("x-order").first().map(|it| (*it).to_owned());
        json_reply(&format!(
            "{{\"id\":\"o7\",\"seen\":\"{}\"}}",
            order.unwrap_or_default()
        ))
    });
    let session = world.open_session(None);
    let call = |name: &str| world.call(name, "", &json!({"session": session})).json();
    assert_eq!(call("find")["body"]["id"], "o7");
    world.reload(&policy.replace("Finds the order.", "Finds an order."));
    assert_eq!(call("show")["body"]["seen"], "o7");
}

/// As the watcher of one folder sees it, whatever else lies beside it.
#[test]
fn a_folder_that_is_not_there_for_a_moment_changes_nothing() {
    let desk = Desk::with(&one("a"));
    let started = Started::on(&desk, &["--audit", "stderr"]);
    let before = started.page("/readyz").json();
    let away = |from: &str, to: &str| fs::rename(desk.path(from), desk.path(to)).unwrap();
    away("policies", "away");
    let ready = started.ready("gone", |it| !it["reload"].is_null());
    assert_eq!(ready["policy_hash"], before["policy_hash"]);
    assert!(!Path::new(&desk.path("policies")).exists());
    away("away", "policies");
    started.ready("back", |it| it["reload"].is_null());
}
