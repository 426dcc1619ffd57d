//! What Prometheus is told: what is counted where, and that nothing an agent sends adds a series.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::Mutex;
use std::sync::mpsc::channel;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;
use tempfile::TempDir;

use crate::world::{Client, Plan, World, json_reply, read_answer};

const POLICY: &str = r#"
version: 1
secrets: {good_token: {env: A}, bot_token: {env: B}}
auth: {good: {type: bearer, token: {secret: good_token}}}
actions:
  get_item:
    description: Returns one item.
    method: GET
    url: https://api.good.test/v1/items/{{id}}
    auth: good
    parameters: {properties: {id: {type: string, pattern: "^[a-z0-9]{1,16}$"}}, required: [id]}
  create_item:
    description: Adds an item.
    method: POST
    url: https://api.good.test/v1/items
    auth: good
    parameters: {properties: {name: {type: string}}, required: [name]}
tunnels:
  packages: {hosts: [api.two.test], ports: [443]}
agents:
  bot: {token: {secret: bot_token}, allow: ["*"]}
"#;

/// The same without one action.
fn smaller() -> String {
    let start = POLICY.find("  create_item:").unwrap();
    let end = POLICY.find("tunnels:").unwrap();
    POLICY[..start].to_owned() + &POLICY[end..]
}

fn world() -> World {
    Plan::of(POLICY).secret("bot_token", "bot-secret").start()
}

/// What an agent shows at the proxy.
pub fn login(name: &str, token: &str) -> String {
    let pair = STANDARD.encode(format!("{name}:{token}"));
    format!("Proxy-Authorization: Basic {pair}")
}

fn get(client: &Client, url: &str) -> u16 {
    let login = login("bot", "bot-secret");
    client.send("GET", url, &[&login], "").status
}

/// The page as it is.
pub fn page(world: &World, token: Option<&str>) -> String {
    let mut stream = TcpStream::connect(world.admin()).unwrap();
    let token = token.map(|it| format!("Authorization: Bearer {it}\r\n"));
    write!(
        stream,
        "GET /metrics HTTP/1.1\r\nHost: {}\r\n{}Connection: close\r\n\r\n",
        world.admin(),
        token.unwrap_or_default()
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, page) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    page.to_owned()
}

/// Every series with its value.
fn series(world: &World) -> BTreeMap<String, f64> {
    let page = page(world, None);
    let lines = page
        .lines()
        .filter(|it| !it.is_empty() && !it.starts_with('#'));
    let series = lines.map(|line| {
        let (name, value) = line.rsplit_once(' ').unwrap();
        (name.to_owned(), value.parse().unwrap())
    });
    series.collect()
}

fn shown(world: &World, name: &str) -> f64 {
    let series = series(world);
    *series
        .get(name)
        .unwrap_or_else(|| panic!("{name}: {series:#?}"))
}

/// Waits for what comes about on another thread, a moment after its cause.
fn until(world: &World, name: &str, expected: f64) {
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
    loop {
        let value = shown(world, name);
        if value == expected {
            return;
        }
        assert!(std::time::Instant::now() < deadline, "{name}: {value}");
    }
}

#[test]
fn nothing_that_agents_send_adds_a_series() {
    let world = world();
    world.origin("api.good.test", |_| json_reply("{}"));
    let client = world.client();
    let mut stream = client.connect();
    let mut send = |number: usize| {
        let word = format!("w{number}x{}", number * 7919 % 10_007);
        let bot = login("bot", "bot-secret");
        let request = match number % 7 {
            0 => format!(
                "GET http://{word}.evil.test/ HTTP/1.1\r\nHost: {word}.evil.test\r\n{bot}\r\n"
            ),
            1 => format!(
                "GET http://api.good.test/{word}/{word} HTTP/1.1\r\nHost: api.good.test\r\n{bot}\r\n"
            ),
            2 => format!(
                "GET http://api.good.test/v1/items/{word}?{word}=1 HTTP/1.1\r\nHost: api.good.test\r\n{bot}\r\n"
            ),
            3 => format!(
                "{word} http://api.good.test/v1/items/1 HTTP/1.1\r\nHost: api.good.test\r\n{bot}\r\n"
            ),
            4 => format!(
                "GET http://api.good.test/v1/items/1 HTTP/1.1\r\nHost: api.good.test\r\n{}\r\n",
                login(&word, "wrong")
            ),
            5 => format!(
                "GET http://api.good.test/v1/items/1 HTTP/1.1\r\nHost: api.good.test\r\n{}\r\n",
                login(&format!("bot~{word}"), "bot-secret")
            ),
            _ => format!(
                "GET http://api.good.test:{}/ HTTP/1.1\r\nHost: api.good.test:{}\r\n{bot}\r\n",
                1000 + number,
                1000 + number
            ),
        };
        let request = format!("{request}X-{word}: {word}\r\nUser-Agent: {word}\"\r\n\r\n");
        let sent = stream.write_all(request.as_bytes());
        if sent.is_err()
            || read_answer(&mut stream, "GET")
                .is_none_or(|it| it.header("connection") == Some("close"))
        {
            stream = client.connect();
        }
    };
    let names = |world: &World| -> BTreeSet<String> { series(world).into_keys().collect() };
    (0..70).for_each(&mut send);
    world.records(70);
    let before = names(&world);
    (70..10_070).for_each(&mut send);
    world.records(10_000);
    let after = names(&world);
    let added: Vec<_> = after.difference(&before).collect();
    assert!(added.is_empty(), "{added:#?}");
    assert!(after.len() < 1000, "{}", after.len());
    let total: f64 = series(&world)
        .iter()
        .filter(|(name, _)| name.starts_with("exeat_requests_total{"))
        .map(|(_, value)| value)
        .sum();
    assert!(total >= 10_000.0, "{total}");
}

#[test]
fn what_is_under_way_is_shown_while_it_is() {
    let world = world();
    let (arrived, arrivals) = channel();
    let (go, gone) = channel();
    let (arrived, gone) = (Mutex::new(arrived), Mutex::new(gone));
    world.origin("api.good.test", move |_| {
        arrived.lock().unwrap().send(()).unwrap();
        gone.lock().unwrap().recv().unwrap();
        json_reply("{}")
    });
    let during = [
        ("exeat_requests_in_flight{door=\"proxy\"}", 1.0, 0.0),
        ("exeat_agent_requests_in_flight{agent=\"bot\"}", 1.0, 0.0),
        ("exeat_connections_open{listener=\"proxy\"}", 1.0, 0.0),
        ("exeat_audit_queue_used", 1.0, 0.0),
        ("exeat_upstream_connections_open", 1.0, 1.0),
        ("exeat_upstream_connections_idle", 0.0, 1.0),
        ("exeat_upstream_connections_opened_total", 1.0, 1.0),
        ("exeat_upstream_connections_reused_total", 0.0, 0.0),
        ("exeat_tunnels_open{kind=\"intercepted\"}", 1.0, 0.0),
        ("exeat_tunnels_opened_total{kind=\"intercepted\"}", 1.0, 1.0),
        ("exeat_tunnels_opened_total{kind=\"passed\"}", 0.0, 0.0),
    ];
    std::thread::scope(|scope| {
        let login = login("bot", "bot-secret");
        let client = world.client();
        scope.spawn(move || {
            let mut tunnel = client.tunnel_as("api.good.test", "api.good.test", &[&login]);
            let path = "/v1/items/1";
            write!(tunnel, "GET {path} HTTP/1.1\r\nHost: api.good.test\r\n\r\n").unwrap();
            assert_eq!(read_answer(&mut tunnel, "GET").unwrap().status, 200);
        });
        arrivals.recv().unwrap();
        for (name, expected, _) in during {
            assert_eq!(shown(&world, name), expected, "{name}");
        }
        go.send(()).unwrap();
    });
    for (name, _, expected) in during {
        until(&world, name, expected);
    }
}

#[test]
fn bytes_connections_and_sessions_are_counted() {
    let world = world();
    world.origin("api.good.test", |_| json_reply(r#"{"id":7}"#));
    let login = login("bot", "bot-secret");
    let client = world.client();
    let mut stream = client.connect();
    for _ in 0..3 {
        let headers = [&*login, "Content-Type: application/json"];
        let (url, body) = ("http://api.good.test/v1/items", r#"{"name":"x"}"#);
        client.send_on(&mut stream, ("POST", url, &headers, body));
    }
    world.call(
        "create_item",
        "bot-secret",
        &json!({"parameters": {"name": "y"}}),
    );
    world.open_session(Some("bot"));
    world.records(4);
    for (name, expected) in [
        (
            "exeat_request_body_bytes_total{action=\"create_item\",door=\"proxy\"}",
            36.0,
        ),
        (
            "exeat_response_body_bytes_total{action=\"create_item\",door=\"proxy\"}",
            24.0,
        ),
        (
            "exeat_request_body_bytes_total{action=\"create_item\",door=\"http\"}",
            12.0,
        ),
        ("exeat_connections_accepted_total{listener=\"proxy\"}", 1.0),
        ("exeat_connections_open{listener=\"proxy\"}", 1.0),
        ("exeat_connections_open{listener=\"admin\"}", 1.0),
        ("exeat_connections_accepted_total{listener=\"tools\"}", 1.0),
        // One in the pool of the worker, one in that of the tools.
        ("exeat_upstream_connections_opened_total", 2.0),
        ("exeat_upstream_connections_reused_total", 2.0),
        ("exeat_sessions", 1.0),
        ("exeat_agent_requests_limit", 1024.0),
        ("exeat_audit_queue_capacity", 16384.0),
        ("exeat_body_room_limit_bytes", 268435456.0),
        ("exeat_body_room_used_bytes", 0.0),
    ] {
        until(&world, name, expected);
    }
    drop(stream);
    until(&world, "exeat_connections_open{listener=\"proxy\"}", 0.0);
    let in_ten_years = shown(&world, "exeat_ca_expiry_timestamp_seconds");
    let started = shown(&world, "process_start_time_seconds");
    assert!(in_ten_years - started > 3600.0 * 24.0 * 3650.0);
}

#[test]
fn a_tunnel_is_counted_while_it_is_open() {
    let world = world();
    world.origin("api.two.test", |_| json_reply("{}"));
    let login = login("bot", "bot-secret");
    let client = world.client().trusting(&world.origin_roots());
    let mut tunnel = client.tunnel_as("api.two.test", "api.two.test", &[&login]);
    write!(tunnel, "GET / HTTP/1.1\r\nHost: api.two.test\r\n\r\n").unwrap();
    read_answer(&mut tunnel, "GET").unwrap();
    assert_eq!(shown(&world, "exeat_tunnels_open{kind=\"passed\"}"), 1.0);
    drop(tunnel);
    until(&world, "exeat_tunnels_open{kind=\"passed\"}", 0.0);
    assert_eq!(
        shown(&world, "exeat_tunnels_opened_total{kind=\"passed\"}"),
        1.0
    );
    world.records(2);
    let bytes = "exeat_request_body_bytes_total{action=\"none\",door=\"proxy\"}";
    assert!(shown(&world, bytes) > 100.0);
}

/// Counters stay; what is looked up is that of the policy in force.
#[test]
fn after_a_reload_what_is_gone_counts_no_more_and_what_it_counted_stays() {
    let folder = TempDir::new().unwrap();
    let at = |name: &str| folder.path().join(name).display().to_string();
    fs::write(at("key"), "SECRET-AAAA").unwrap();
    fs::write(at("bot"), "bot-secret").unwrap();
    let of_files = |policy: &str| {
        let secrets = format!(
            "{{good_token: {{file: {}}}, bot_token: {{file: {}}}}}",
            at("key"),
            at("bot")
        );
        policy.replace("{good_token: {env: A}, bot_token: {env: B}}", &secrets)
    };
    let world = Plan::of(&of_files(POLICY)).reading_sources().start();
    world.origin("api.good.test", |_| json_reply("{}"));
    let client = world.client();
    assert_eq!(get(&client, "http://api.good.test/v1/items/1"), 200);
    let login_line = login("bot", "bot-secret");
    let headers = [&*login_line, "Content-Type: application/json"];
    client.send(
        "POST",
        "http://api.good.test/v1/items",
        &headers,
        r#"{"name":"x"}"#,
    );
    world.records(2);
    let created = "exeat_response_body_bytes_total{action=\"create_item\",door=\"proxy\"}";
    let before = series(&world);
    assert!(before.contains_key(created));
    assert!(before["exeat_secret_fetches_total{secret=\"good_token\",outcome=\"read\"}"] >= 1.0);
    assert_eq!(
        before["exeat_secret_fetches_total{secret=\"good_token\",outcome=\"failed\"}"],
        0.0
    );
    let age = "exeat_secret_age_seconds{secret=\"good_token\"}";
    assert!((0.0..60.0).contains(&before[age]));
    let without = smaller()
        .replace(
            "auth: {good: {type: bearer, token: {secret: good_token}}}\n",
            "",
        )
        .replace("    auth: good\n", "")
        .replace("good_token: {env: A}, ", "");
    world.reload(&of_files(&without).replace(
        "{bot_token: {env: B}}",
        &format!("{{bot_token: {{file: {}}}}}", at("bot")),
    ));
    let after = series(&world);
    assert_eq!(after[created], before[created]);
    assert!(!after.contains_key(age));
    assert!(after.contains_key("exeat_secret_age_seconds{secret=\"bot_token\"}"));
    let agents = "agents:\n  bot:";
    world.reload(&of_files(POLICY).replace(agents, "agents:\n  other:"));
    assert!(!series(&world).contains_key("exeat_agent_requests_in_flight{agent=\"bot\"}"));
}

#[test]
fn a_secret_that_cant_be_read_is_counted_by_its_name() {
    let policy = POLICY
        .replace("{env: A}", "{file: /nowhere/at/all}")
        .replace("{env: B}", "{command: [\"echo\", \"bot-secret\"]}");
    let world = Plan::of(&policy).reading_sources().start();
    assert_eq!(get(&world.client(), "http://api.good.test/v1/items/1"), 503);
    let failed = "exeat_secret_fetches_total{secret=\"good_token\",outcome=\"failed\"}";
    assert_eq!(shown(&world, failed), 1.0);
    assert!(!series(&world).contains_key("exeat_secret_age_seconds{secret=\"good_token\"}"));
    assert_eq!(
        shown(
            &world,
            "exeat_secret_fetches_total{secret=\"bot_token\",outcome=\"read\"}"
        ),
        1.0
    );
}
