//! Group P: who a client is, for how long, and whose budget it uses.

use std::io::Write as _;
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use exeat::policy;
use rustls::client::ResolvesClientCert;
use rustls::sign::CertifiedKey;
use rustls::{ClientConnection, SignatureScheme, StreamOwned};
use rustls_pki_types::ServerName;
use serde_json::json;

use super::frames::{Frames, Told};
use super::stage::{Door, Line as _, POLICY, Stage};
use crate::world::{Plan, Revision, Stream, Tap, World, json_reply, read_answer, read_head, rest};

const UNKNOWN: (u16, &str) = (407, "agent_unknown");
const MALFORMED: (u16, &str) = (400, "request_malformed");

const AGENTS: &str = r#"
agents:
  bot: {token: {secret: bot_token}, allow: ["*"]}
  tester: {token: {secret: tester_token}, allow: [two]}
"#;

/// The policy of the rows, with agents.
fn policy() -> String {
    let secrets = "  bot_token: {env: BOT}\n  tester_token: {env: TESTER}\nauth:\n";
    POLICY.replacen("auth:\n", secrets, 1) + AGENTS
}

fn plan(policy: &str) -> Plan {
    Plan::of(policy)
        .secret("bot_token", "bot-secret-0001")
        .secret("tester_token", "tester-secret-0002")
}

fn basic(login: &str) -> String {
    format!("Proxy-Authorization: Basic {}", STANDARD.encode(login))
}

fn bot() -> String {
    basic("bot:bot-secret-0001")
}

fn tester() -> String {
    basic("tester:tester-secret-0002")
}

/// Lines of somebody who does not say who they are, or says it wrongly.
fn strangers() -> Vec<String> {
    let mut lines: Vec<String> = [
        "bot:wrong",
        "bot:bot-secret-000",
        "bot:bot-secret-00011",
        "bot:BOT-SECRET-0001",
        "bot: bot-secret-0001",
        "bot:bot-secret-0001 ",
        "bot:bot-secret-0001\n",
        "bot:bot-secret-0001\0",
        "bot:tester-secret-0002",
        "tester:bot-secret-0001",
        "bot:",
        ":bot-secret-0001",
        ":",
        "bot",
        "",
        "Bot:bot-secret-0001",
        "bot :bot-secret-0001",
        "*:bot-secret-0001",
        "nobody:bot-secret-0001",
        "none:bot-secret-0001",
        "default:bot-secret-0001",
        "~:bot-secret-0001",
        "bot:${BOT}",
        "bot:bot_token",
    ]
    .map(basic)
    .into();
    let good = STANDARD.encode("bot:bot-secret-0001");
    lines.extend([
        "X: nothing".into(),
        "Proxy-Authorization:".into(),
        "Proxy-Authorization: Basic".into(),
        "Proxy-Authorization: Basic !!!".into(),
        format!("Proxy-Authorization: {good}"),
        format!("Proxy-Authorization: Bearer {good}"),
        "Proxy-Authorization: Bearer bot-secret-0001".into(),
        format!("Proxy-Authorization: Basic {}", good.trim_end_matches('=')),
        format!("Proxy-Authorization: Basic {good}{good}"),
        format!("Proxy-Authorization: Basic {good}, Basic {good}"),
        format!("Proxy-Authorization: Basic \"{good}\""),
        format!("Proxy-Authorization: Digest username=\"bot\", response=\"{good}\""),
        "Proxy-Authorization: Negotiate YII=".into(),
        format!("Authorization: Basic {good}"),
        "Authorization: Bearer bot-secret-0001".into(),
        "X-Forwarded-User: bot".into(),
        "Exeat-Agent: bot".into(),
        "Cookie: agent=bot; token=bot-secret-0001".into(),
    ]);
    lines
}

#[test]
fn p1_everybody_who_is_nobody_hears_the_same() {
    let stage = Stage::of(plan(&policy()));
    let mut told = Vec::new();
    for line in strangers() {
        let heads = [
            format!(
                "GET http://api.good.test/v1/items/1 HTTP/1.1\r\nHost: api.good.test\r\n{line}\r\n\r\n"
            ),
            format!("GET http://nowhere.test/ HTTP/1.1\r\nHost: nowhere.test\r\n{line}\r\n\r\n"),
            format!(
                "CONNECT api.good.test:443 HTTP/1.1\r\nHost: api.good.test:443\r\n{line}\r\n\r\n"
            ),
            format!(
                "CONNECT nowhere.test:443 HTTP/1.1\r\nHost: nowhere.test:443\r\n{line}\r\n\r\n"
            ),
        ];
        for head in heads {
            let before = stage.world.recorded();
            let mut stream = stage.world.client().connect();
            stream.write_all(head.as_bytes()).unwrap();
            let answer = stage.answer(&mut stream, "GET").unwrap();
            assert_eq!(
                (answer.status, answer.refusal()),
                UNKNOWN,
                "{head}: {answer:?}"
            );
            let asks = answer.header("proxy-authenticate");
            assert_eq!(asks, Some("Basic realm=\"exeat\""), "{head}");
            told.push(answer.json()["error"]["message"].clone());
            drop(stream);
            let record = stage.world.records_behind(before, 1).remove(0);
            assert_eq!(record["code"], UNKNOWN.1, "{head}: {record}");
            assert!(record.get("agent").is_none(), "{head}: {record}");
        }
    }
    assert!(told.iter().all(|it| *it == told[0]), "{told:#?}");
    let world = &stage.world;
    assert_eq!((world.lookups().len(), world.dials().len()), (0, 0));
    // Whether somebody is who they say takes their own token and nobody's credential.
    let fetched = world.fetched();
    assert!(
        fetched.iter().all(|it| it.ends_with("_token")),
        "{fetched:?}"
    );
    assert!(!fetched.contains(&"good_token".to_owned()));
    let written = world.everything_written();
    assert!(!written.contains("bot-secret") && !written.contains("wrong"));
}

/// At the tool doors the same holds of bearer tokens.
#[test]
fn p1_no_tool_is_for_somebody_without_a_good_token() {
    let stage = Stage::of(plan(&policy()));
    let call = json!({"parameters": {"id": "1"}});
    let mut told = Vec::new();
    for token in [
        "",
        "wrong",
        "bot",
        "bot-secret-000",
        "bot-secret-00011",
        "bot:bot-secret-0001",
        "Bot-secret-0001",
    ] {
        let answers = [
            stage.world.call("get_item", token, &call),
            stage.world.call("nothing", token, &call),
            stage.world.tool("GET", "/v1/actions", token, None),
            stage
                .world
                .tool("POST", "/v1/sessions", token, Some(&json!({}))),
            stage.world.tool(
                "POST",
                "/mcp",
                token,
                Some(&json!({"jsonrpc": "2.0", "id": 1, "method": "tools/list"})),
            ),
        ];
        for answer in answers {
            assert_eq!(
                (answer.status, answer.refusal()),
                (401, UNKNOWN.1),
                "{token}: {answer:?}"
            );
            told.push(answer.json()["error"]["message"].clone());
        }
    }
    assert!(told.iter().all(|it| *it == told[0]), "{told:#?}");
    assert!(stage.world.lookups().is_empty());
}

/// A token is good for as long as its source has it, also one of a known agent.
#[test]
fn p1_a_token_that_was_replaced_is_as_wrong_as_any() {
    let stage = Stage::of(plan(&policy()));
    let ask = |line: &str| {
        let sent = Door::Proxy.request(
            "GET",
            "api.good.test",
            "/v1/items/1",
            &format!("{line}\r\n"),
            "",
        );
        let mut stream = stage.open(Door::Proxy);
        stream.write_all(&sent).unwrap();
        stage.answer(&mut stream, "GET").unwrap().status
    };
    assert_eq!(ask(&bot()), 200);
    stage.world.change_secret("bot_token", "bot-secret-0009");
    assert_eq!(ask(&bot()), 407);
    assert_eq!(ask(&basic("bot:bot-secret-0009")), 200);
    stage.world.lose_secret("bot_token");
    assert_eq!(ask(&basic("bot:bot-secret-0009")), 503);
    stage.world.reload(&policy().replace("  bot:", "  robot:"));
    assert_eq!(ask(&basic("bot:bot-secret-0009")), 407);
}

#[test]
fn p2_a_login_that_has_two_readings_is_refused() {
    let stage = Stage::of(plan(&policy()));
    let (good, other) = (bot(), tester());
    let large = basic(&format!("bot:{}", "x".repeat(1 << 20)));
    for (lines, expected) in [
        (format!("{good}\r\n{good}"), MALFORMED),
        (format!("{good}\r\n{other}"), MALFORMED),
        (format!("{other}\r\n{good}"), MALFORMED),
        (format!("{good}\r\n{}", good.to_lowercase()), MALFORMED),
        (format!("{good}\r\nProxy-Authorization:"), MALFORMED),
        (good.replace(": ", " : "), MALFORMED),
        (good.replace('-', "_"), MALFORMED),
        (format!("{good}\r\n more"), MALFORMED),
        (good.replace(": ", ":\t"), MALFORMED),
        (large, (431, "head_too_large")),
    ] {
        for start in [
            "GET http://api.good.test/v1/items/1 HTTP/1.1\r\nHost: api.good.test",
            "CONNECT api.good.test:443 HTTP/1.1\r\nHost: api.good.test:443",
        ] {
            let sent = format!("{start}\r\n{lines}\r\n\r\n");
            stage.refuses_and_closes(Door::Proxy, sent.as_bytes(), expected);
        }
    }
}

#[test]
fn p4_whoever_opened_a_tunnel_asks_in_it() {
    let stage = Stage::of(plan(&policy()));
    // The bot may use everything, the tester nothing of this host.
    for (outer, inner, expected) in [
        (tester(), bot(), (403, "action_not_allowed")),
        (tester(), String::from("X: y"), (403, "action_not_allowed")),
        (bot(), tester(), (200, "none")),
        (bot(), basic("nobody:x"), (200, "none")),
        (
            bot(),
            "Proxy-Authorization: Basic !!!".into(),
            (200, "none"),
        ),
    ] {
        let before = stage.world.recorded();
        let client = stage.world.client();
        let mut tunnel = client.tunnel_as("api.good.test", "api.good.test", &[&outer]);
        let sent = Door::Tunnel.request(
            "GET",
            "api.good.test",
            "/v1/items/1",
            &format!("{inner}\r\n"),
            "",
        );
        tunnel.write_all(&sent).unwrap();
        let answer = stage.answer(&mut tunnel, "GET").unwrap();
        assert_eq!(
            (answer.status, answer.refusal()),
            expected,
            "{outer} {inner}"
        );
        tunnel.finish();
        let record = stage.world.records_behind(before, 1).remove(0);
        let agent = if outer == bot() { "bot" } else { "tester" };
        assert_eq!(record["agent"], agent, "{record}");
    }
    for seen in stage.seen() {
        assert_eq!(seen.header("proxy-authorization"), [""; 0]);
    }
    for record in stage.world.records(0) {
        assert!(!record.to_string().contains("nobody"), "{record}");
    }
}

/// Says that it has a certificate, and remembers that somebody wanted one.
#[derive(Debug, Default)]
struct Asked(AtomicBool);

impl ResolvesClientCert for Asked {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        self.0.store(true, Ordering::SeqCst);
        None
    }

    fn has_certs(&self) -> bool {
        true
    }
}

/// Nobody is known by a certificate: none is ever asked for, so there is none to be read wrongly.
#[test]
fn p6_no_client_is_asked_for_a_certificate() {
    let stage = Stage::of(plan(&policy()));
    let client = stage.world.client();
    for protocols in [&["http/1.1"][..], &["h2"]] {
        let before = stage.world.recorded();
        let asked = Arc::new(Asked::default());
        let mut config = client.tls();
        config.alpn_protocols = protocols.iter().map(|it| it.as_bytes().to_vec()).collect();
        config.client_auth_cert_resolver = asked.clone();
        let name = ServerName::try_from("api.good.test").unwrap();
        let session = ClientConnection::new(Arc::new(config), name).unwrap();
        let (answer, stream) = client.open("api.good.test:443", &[&bot()]);
        assert_eq!(answer.status, 200);
        let mut tunnel = StreamOwned::new(session, stream);
        tunnel.flush().unwrap();
        while tunnel.conn.is_handshaking() {
            tunnel.conn.complete_io(&mut tunnel.sock).unwrap();
        }
        assert!(!asked.0.load(Ordering::SeqCst));
        tunnel.finish();
        stage.world.records_behind(before, 1);
    }
    // And none that a header speaks of makes anybody known.
    for line in [
        "X-Client-Cert: bot",
        "X-SSL-Client-S-DN: CN=bot",
        "Client-Cert: :Ym90:",
    ] {
        let lines = format!("{line}\r\n");
        let sent = Door::Proxy.request("GET", "api.good.test", "/v1/items/1", &lines, "");
        stage.refuses(Door::Proxy, &sent, UNKNOWN);
    }
}

/// In a tunnel that it has opened, a token is asked for again with each request.
#[test]
fn p8_a_token_that_was_replaced_opens_nothing_in_an_open_tunnel() {
    let stage = Stage::of(plan(&policy()));
    let client = stage.world.client();
    let mut tunnel = client.tunnel_as("api.good.test", "api.good.test", &[&bot()]);
    let ask = |tunnel: &mut dyn Stream| {
        tunnel.write_all(&Door::Tunnel.get("/v1/items/1")).unwrap();
        let answer = stage.answer(tunnel, "GET").unwrap();
        (answer.status, answer.refusal().to_owned())
    };
    assert_eq!(ask(&mut tunnel).0, 200);
    stage.world.change_secret("bot_token", "bot-secret-0009");
    let unknown = (UNKNOWN.0, UNKNOWN.1.to_owned());
    assert_eq!(ask(&mut tunnel), unknown);
    assert_eq!(ask(&mut tunnel), unknown);
    stage.world.lose_secret("bot_token");
    assert_eq!(ask(&mut tunnel), (503, "secret_unavailable".into()));
    // What is good again is good: it is the token that counts.
    stage.world.change_secret("bot_token", "bot-secret-0001");
    assert_eq!(ask(&mut tunnel).0, 200);
    stage.world.reload(&policy().replace("  bot:", "  robot:"));
    assert_ne!(ask(&mut tunnel).0, 200);
    assert_eq!(stage.seen().len(), 2);
}

#[test]
fn p8_a_token_that_was_replaced_opens_no_further_stream_of_http_2() {
    let stage = Stage::of(plan(&policy()));
    let mut tunnel = Frames::open(&stage, &[&bot()]);
    let mut ask = || match tunnel.get(Some(b"api.good.test"), &[]) {
        Told::Answer(text) => text,
        Told::Reset => String::new(),
    };
    assert_eq!(ask(), "{}");
    stage.world.change_secret("bot_token", "bot-secret-0009");
    for _ in 0..2 {
        let told = ask();
        assert!(told.contains(UNKNOWN.1), "{told}");
    }
    stage.world.change_secret("bot_token", "bot-secret-0001");
    assert_eq!(ask(), "{}");
    tunnel.finish();
    assert_eq!(stage.seen().len(), 2);
}

/// What has begun ends when its agent loses the right to it: after the grace.
#[test]
fn p8_what_an_agent_has_open_ends_with_the_agent() {
    let plan = plan(&policy()).grace(Duration::from_millis(50));
    let world = plan.start();
    let tap = Tap::new();
    let events = "  events: {description: Tells what happens., method: GET, url: \"http://evil.test/events\", allow_http: true, stream: true}\n  two:";
    let with_events = policy().replacen(
        "  two:\n    description",
        &format!("{events}\n    description"),
        1,
    );
    world.reload(&with_events);
    world.lead("evil.test", 80, tap.address());
    let mut stream = world.client().connect();
    let head = format!(
        "GET http://evil.test/events HTTP/1.1\r\nHost: evil.test\r\n{}\r\n\r\n",
        bot()
    );
    stream.write_all(head.as_bytes()).unwrap();
    let mut line = tap.accept();
    line.head();
    line.say("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: 1\n\n");
    assert_eq!(read_head(&mut stream).unwrap().status, 200);
    world.reload(&with_events.replace("  bot:", "  robot:"));
    assert!(
        !rest(&mut stream).ends_with("0\r\n\r\n"),
        "it does not look whole"
    );
    assert_eq!(world.records(2)[1]["end"], "withdrawn");
    assert_eq!(line.hear(), "");
}

/// Of what it cannot see into, too.
#[test]
fn p8_a_tunnel_that_an_agent_has_open_ends_with_the_agent() {
    let policy = policy() + "tunnels:\n  passed: {hosts: [evil.test], ports: [443]}\n";
    let world = plan(&policy).grace(Duration::from_millis(50)).start();
    world.origin("evil.test", |_| json_reply("{}"));
    let client = world.client().trusting(&world.origin_roots());
    let mut tunnel = client.tunnel_as("evil.test", "evil.test", &[&bot()]);
    let mut ask = || {
        let sent = b"GET / HTTP/1.1\r\nHost: evil.test\r\n\r\n";
        tunnel.write_all(sent).unwrap();
        read_answer(&mut tunnel, "GET").map(|it| it.status)
    };
    assert_eq!(ask(), Some(200));
    world.change_secret("bot_token", "bot-secret-0009");
    world.reload(&policy.replace("Says who", "Tells who"));
    assert_eq!(ask(), Some(200));
    world.reload(&policy.replace("  bot:", "  robot:"));
    assert_eq!(rest(&mut tunnel), "");
    assert_eq!(world.records(2)[1]["end"], "withdrawn");
}

/// A connection to the proxy from one of this machine's addresses.
fn from(local: &str, to: SocketAddr) -> TcpStream {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .build();
    let connected = runtime.unwrap().block_on(async {
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.bind(format!("{local}:0").parse().unwrap()).unwrap();
        socket.connect(to).await.unwrap().into_std().unwrap()
    });
    connected.set_nonblocking(false).unwrap();
    connected
        .set_read_timeout(Some(Duration::from_secs(20)))
        .unwrap();
    connected
}

#[test]
fn p9_an_agent_has_one_budget_from_wherever_it_comes() {
    let policy = policy().replace("allow: [\"*\"]}", "allow: [\"*\"], rate_limit: 10/day}");
    let stage = Stage::of(plan(&policy));
    let head = |line: &str| {
        Door::Proxy.request(
            "GET",
            "api.good.test",
            "/v1/items/1",
            &format!("{line}\r\n"),
            "",
        )
    };
    let mut statuses = Vec::new();
    for connection in 0..100 {
        let mut stream = from(
            &format!("127.0.0.{}", 1 + connection % 50),
            stage.world.proxy(),
        );
        let line = format!("{}\r\nX-Forwarded-For: 10.0.0.{connection}", bot());
        stream.write_all(&head(&line)).unwrap();
        statuses.push(stage.answer(&mut stream, "GET").unwrap().status);
    }
    assert_eq!(
        statuses.iter().filter(|it| **it == 200).count(),
        10,
        "{statuses:?}"
    );
    assert_eq!(
        statuses.iter().filter(|it| **it == 429).count(),
        90,
        "{statuses:?}"
    );
    // Inside tunnels, and as a tool, it is the same one.
    let mut tunnel = stage
        .world
        .client()
        .tunnel_as("api.good.test", "api.good.test", &[&bot()]);
    tunnel.write_all(&Door::Tunnel.get("/v1/items/1")).unwrap();
    assert_eq!(read_answer(&mut tunnel, "GET").unwrap().status, 429);
    let called = stage.world.call(
        "get_item",
        "bot-secret-0001",
        &json!({"parameters": {"id": "1"}}),
    );
    assert_eq!((called.status, called.refusal()), (429, "rate_limited"));
    // Names of sessions that were never opened make no others of it.
    for id in [
        "00000000000000000000000000000001",
        "00000000000000000000000000000002",
    ] {
        let mut stream = stage.world.client().connect();
        stream
            .write_all(&head(&basic(&format!("bot~{id}:bot-secret-0001"))))
            .unwrap();
        assert_eq!(stage.answer(&mut stream, "GET").unwrap().status, 429);
    }
    assert_eq!(stage.seen().len(), 10);
}

/// Where there are agents, whoever is none of them may do nothing, at any door.
#[test]
fn p10_nobody_is_somebody_by_default() {
    for agents in ["agents: {}\n", AGENTS] {
        let policy = policy().replace(AGENTS, agents);
        let policy = if agents == AGENTS {
            policy
        } else {
            policy + "\n"
        };
        let stage = Stage::of(plan(&policy));
        for login in [
            String::from("X: y"),
            basic("default:x"),
            basic("anonymous:"),
            basic("*:x"),
            basic("stranger:x"),
        ] {
            let lines = format!("{login}\r\n");
            let sent = Door::Proxy.request("GET", "a.wild.test", "/pub/f", &lines, "");
            stage.refuses(Door::Proxy, &sent, UNKNOWN);
            stage.recorded(|| {
                let (answer, _) = stage.world.client().open("api.good.test:443", &[&login]);
                assert_eq!(answer.status, 407, "{login}");
            });
        }
        for token in ["", "x"] {
            stage.recorded(|| {
                let asked = json!({"parameters": {"id": "1"}});
                let answer = stage.world.call("get_item", token, &asked);
                assert_eq!((answer.status, answer.refusal()), (401, UNKNOWN.1));
            });
        }
        assert!(stage.world.lookups().is_empty());
    }
}

/// Nor is there a way to write that everybody else may do something.
#[test]
fn p10_no_policy_lets_in_whom_it_does_not_name() {
    for more in [
        "default: allow\n",
        "allow: [\"*\"]\n",
        "anonymous: true\n",
        "agents: allow\n",
        "agents: \"*\"\n",
        "agents: [bot]\n",
        "agents: {default: allow}\n",
        "agents: {default: {allow: [\"*\"]}}\n",
        "agents: {\"*\": {token: {secret: good_token}, allow: [\"*\"]}}\n",
        "agents: {bot: {token: \"\", allow: [\"*\"]}}\n",
        "agents: {bot: {token: {secret: good_token}}}\n",
        "agents: {none: {token: {secret: good_token}, allow: [\"*\"]}}\n",
        "agents: {bot: {token: {secret: good_token}, allow: all}}\n",
        "agents: {bot: {token: {secret: nothing}, allow: [\"*\"]}}\n",
    ] {
        let loaded = policy::from_texts(&[("p.yaml".into(), format!("{POLICY}{more}").into())]);
        assert!(loaded.policy.is_none(), "{more}");
    }
    // An agent that may use nothing is one, and reaches nothing.
    let world: World = plan(&policy().replace("allow: [two]", "allow: []")).start();
    let line = tester();
    let answer = world
        .client()
        .send("GET", "http://api.good.test/v1/items/1", &[&line], "");
    assert_eq!(
        (answer.status, answer.refusal()),
        (403, "action_not_allowed")
    );
    let mut pipe = world.pipe(Revision::Stateless, Some("tester"), None);
    assert_eq!(pipe.tools(), Vec::<serde_json::Value>::new());
    pipe.close();
    assert!(world.lookups().is_empty() && world.dials().is_empty());
}
