//! One host, its spellings, and names that only look like it.

use std::io::Write as _;

use exeat::policy;
use serde_json::json;

use super::hellos;
use super::{UNDECLARED, refused_everywhere, undeclared_everywhere, url};
use crate::attacks::frames;
use crate::attacks::frames::Told;
use crate::attacks::stage::{Door, Line as _, POLICY, Stage};
use crate::world::{Plan, read_answer};

/// Spellings of `api.good.test`: what comes to its origin, and the record, are as with the usual one.
fn same_everywhere(stage: &Stage, hosts: &[&str]) {
    let canonical = Door::Proxy.get("/v1/items/1");
    let inner = Door::Tunnel.get("/v1/items/1");
    let (expected, _) = stage.serves(Door::Proxy, &canonical);
    assert_eq!(expected.header("host"), ["api.good.test"]);
    for host in hosts {
        for (scheme, port) in [("http", ":80"), ("https", ":443")] {
            for port in ["", port] {
                let authority = format!("{host}{port}");
                stage.same(Door::Proxy, &url(scheme, authority.as_bytes()), &canonical);
            }
        }
        for target in ["/v1/items/1", &format!("https://{host}/v1/items/1")] {
            for port in ["", ":443"] {
                let sent = format!("GET {target} HTTP/1.1\r\nHost: {host}{port}\r\n\r\n");
                stage.same(Door::Tunnel, sent.as_bytes(), &inner);
            }
        }
        let client = stage.world.client();
        stage.recorded(|| {
            let mut tunnel = client.tunnel_as(host, "api.good.test", &[]);
            tunnel.write_all(&inner).unwrap();
            let answer = read_answer(&mut tunnel, "GET").unwrap();
            assert_eq!(answer.status, 200, "{host}");
            tunnel.finish();
        });
        for fields in [&[][..], &[("host", host.as_bytes())]] {
            stage.recorded(|| {
                let told = frames::get(stage, Some(host.as_bytes()), fields);
                assert_eq!(told, Told::Answer("{}".into()), "{host}");
            });
        }
        stage.recorded(|| {
            let hello = hellos::naming(&client, "api.good.test", host.as_bytes());
            let back = hellos::answer_to(&client, "api.good.test:443", &hello);
            assert!(hellos::is_welcome(&back), "{host}: {back:x?}");
        });
    }
    let seen = stage.seen();
    assert!(seen.iter().all(|it| *it == expected), "{seen:#?}");
    let records = stage.world.records(0);
    let hosts = records.iter().map(|it| it["host"].as_str());
    assert!(
        hosts.into_iter().all(|it| it == Some("api.good.test")),
        "{records:#?}"
    );
}

#[test]
fn a1_the_roots_dot_makes_no_other_host() {
    let stage = Stage::usual();
    same_everywhere(&stage, &["api.good.test."]);
    let (seen, record) = stage.serves(
        Door::Proxy,
        b"GET http://a.wild.test./pub/f HTTP/1.1\r\nHost: a.wild.test.\r\n\r\n",
    );
    assert_eq!(seen.header("host"), ["a.wild.test"]);
    assert_eq!(
        (&record["action"], &record["host"]),
        (&json!("wild"), &json!("a.wild.test"))
    );
    for host in [
        "api.good.test..",
        ".",
        "..",
        ".api.good.test",
        ".api.good.test.",
    ] {
        refused_everywhere(&stage, host.as_bytes(), super::MALFORMED);
    }
}

/// The server of a passed tunnel would read a name with the dot itself, and perhaps as another host.
#[test]
fn a1_a_server_name_with_the_dot_is_not_passed_on() {
    let tunnels = "tunnels:\n  passed: {hosts: [api.passed.test], ports: [443]}\n";
    let stage = Stage::of(Plan::of(&format!("{POLICY}{tunnels}")));
    stage.world.resolve("api.passed.test", &["203.0.114.40"]);
    let origin = stage
        .world
        .origin("api.passed.test", |_| crate::world::json_reply("{}"));
    let client = stage.world.client();
    for name in [
        "api.passed.test.",
        "API.passed.test.",
        "api.passed.test..",
        "api.passed.tes.",
    ] {
        let hello = hellos::naming(&client, "api.passed.test", name.as_bytes());
        let mut back = Vec::new();
        let record = stage.records_alone(name, || {
            back = hellos::answer_to(&client, "api.passed.test:443", &hello);
        });
        assert_eq!(back, [21, 3, 3, 0, 2, 2, 112], "{name}");
        assert_eq!(record["code"], "server_name_mismatch", "{name}: {record}");
    }
    for target in ["api.passed.test.:443", "API.PASSED.TEST:443"] {
        let hello = hellos::naming(&client, "api.passed.test", b"api.passed.test");
        let back = hellos::answer_to(&client, target, &hello);
        assert!(hellos::is_welcome(&back), "{target}: {back:x?}");
    }
    assert_eq!(origin.connections(), 2);
}

/// A pattern is for hosts that are not declared themselves, however these are spelled.
#[test]
fn a2_no_spelling_of_a_declared_host_leads_to_a_wider_pattern() {
    let shut = "  shut:\n    description: Tells whether it is up.\n    method: GET\n    url: https://shut.wild.test/health\n";
    let stage = Stage::of(Plan::of(&format!("{POLICY}{shut}")));
    let undeclared = (403, "action_undeclared");
    for host in [
        "shut.wild.test",
        "shut.wild.test.",
        "SHUT.wild.test",
        "sHuT.WILD.test.",
    ] {
        for authority in [host.to_owned(), format!("{host}:80")] {
            let sent =
                format!("GET http://{authority}/pub/f HTTP/1.1\r\nHost: {authority}\r\n\r\n");
            stage.refuses(Door::Proxy, sent.as_bytes(), undeclared);
        }
        let record = stage.records_alone(host, || {
            let mut tunnel = stage.world.client().tunnel_as(host, "shut.wild.test", &[]);
            let sent = format!("GET /pub/f HTTP/1.1\r\nHost: {host}\r\n\r\n");
            tunnel.write_all(sent.as_bytes()).unwrap();
            let answer = stage.answer(&mut tunnel, "GET").unwrap();
            assert_eq!((answer.status, answer.refusal()), undeclared, "{host}");
            tunnel.finish();
        });
        assert_eq!(record["code"], undeclared.1, "{record}");
    }
    for host in [
        "evil.test.",
        "EVIL.test.",
        "a.b.wild.test.",
        "wild.test.",
        "x.shut.wild.test.",
    ] {
        let sent = url("http", host.as_bytes());
        stage.refuses(Door::Proxy, &sent, UNDECLARED);
        let record = stage.records_alone(host, || {
            let name = host.trim_end_matches('.');
            let mut tunnel = stage.world.client().tunnel_as(host, name, &[]);
            let sent = format!("GET /pub/f HTTP/1.1\r\nHost: {host}\r\n\r\n");
            tunnel.write_all(sent.as_bytes()).unwrap();
            let answer = stage.answer(&mut tunnel, "GET").unwrap();
            assert_eq!((answer.status, answer.refusal()), UNDECLARED, "{host}");
            tunnel.finish();
        });
        assert_eq!(record["code"], UNDECLARED.1, "{record}");
    }
}

#[test]
fn a3_letters_in_another_case_make_no_other_host() {
    let stage = Stage::usual();
    same_everywhere(
        &stage,
        &["API.Good.TEST", "aPI.gOOD.tEST", "API.GOOD.TEST."],
    );
    for scheme in ["HTTP", "HttpS"] {
        let sent = url(scheme, b"Api.Good.Test");
        stage.same(Door::Proxy, &sent, &Door::Proxy.get("/v1/items/1"));
    }
}

#[test]
fn a17_an_encoded_name_is_the_name_that_it_is_written_as() {
    let stage = Stage::usual();
    for host in [
        "xn--pi-6kc.good.test",
        "xn--a.good.test",
        "xn--a",
        "xn--api-1.good.test",
        "xn--99999999.good.test",
        "XN--PI-6KC.good.test",
        "api.xn--good-1.test",
        "apl.good.test",
        "api.g00d.test",
        "api-good.test",
        "apigood.test",
        "x.api.good.test",
        "api.good.test.evil.test",
        "good.test",
        "localhost",
        "metadata.google.internal",
    ] {
        undeclared_everywhere(&stage, host);
    }
    for host in [
        "xn--",
        "xn--.good.test",
        "xn---.wild.test",
        "xn--api-.good.test",
    ] {
        refused_everywhere(&stage, host.as_bytes(), super::MALFORMED);
    }
}

/// What a policy with this host of an action, a tunnel and an exemption says is wrong.
fn problems(host: &str) -> Vec<String> {
    let texts = [
        format!(
            "version: 1\nactions:\n  a: {{description: Does something., method: GET, url: \"https://{host}/x\"}}\n"
        ),
        format!("version: 1\ntunnels:\n  t: {{hosts: [\"{host}\"]}}\n"),
        format!(
            "version: 1\nactions:\n  a: {{description: Does something., method: GET, connection: c, path: /x}}\n\
             connections:\n  c: {{base_url: \"https://{host}\"}}\n"
        ),
    ];
    let wrong = texts.iter().filter_map(|text| {
        let loaded = policy::from_texts(&[("p.yaml".into(), text.clone().into())]);
        let problems = loaded.problems.sorted();
        let headlines: Vec<String> = problems.iter().map(|it| it.headline()).collect();
        loaded.policy.is_none().then(|| headlines.join("; "))
    });
    wrong.collect()
}

#[test]
fn a27_a_policy_writes_hosts_as_strictly_as_requests_do() {
    for host in [
        "*",
        "*.test",
        "*.com",
        "*.co.uk",
        "*.github.io",
        "**.wild.test",
        "*.*.wild.test",
        "a.*.test",
        "a*.wild.test",
        "*a.wild.test",
        "*wild.test",
        ".wild.test",
        "*.",
        "*.*",
        "bücher.test",
        "apı.good.test",
        "api。good.test",
        "a_b.good.test",
        "-a.good.test",
        "a-.good.test",
        "a..good.test",
        "api.good.test..",
        "api%2egood.test",
        "u:p@api.good.test",
        "api.good.test:443:80",
        "1.2.3.4",
        "[::1]",
        "127.1",
        "0x7f.1",
        "2130706433",
        "localhost",
        "{{x}}.good.test",
        "api.{{.static_variables.X}}.test",
        "~^.*$",
        "/.*/",
        "",
    ] {
        let wrong = problems(host);
        assert_eq!(wrong.len(), 3, "{host}: {wrong:?}");
    }
}

#[test]
fn a27_the_spelling_of_a_policy_is_read_once() {
    let policy = POLICY
        .replace("https://api.good.test/", "https://API.Good.Test./")
        .replace("https://*.wild.test/", "https://*.Wild.TEST./");
    let stage = Stage::of(Plan::of(&policy));
    same_everywhere(&stage, &["api.good.test", "Api.Good.Test."]);
    stage.serves(
        Door::Proxy,
        b"GET http://a.wild.test/pub/f HTTP/1.1\r\nHost: a.wild.test\r\n\r\n",
    );
    for host in ["b.a.wild.test", "wild.test"] {
        undeclared_everywhere(&stage, host);
    }
}

/// A tool names an action and never a server; what could be anywhere has no tool.
#[test]
fn a27_no_parameter_of_a_tool_says_where_a_call_goes() {
    let stage = Stage::usual();
    for (action, parameters, expected) in [
        ("wild", json!({"f": "a"}), (403, "door_closed")),
        (
            "wild",
            json!({"f": "a", "host": "a.wild.test"}),
            (403, "door_closed"),
        ),
        (
            "get_item",
            json!({"id": "1", "host": "evil.test"}),
            (403, "parameter_undeclared"),
        ),
        (
            "get_item",
            json!({"id": "1", ":authority": "evil.test"}),
            (403, "parameter_undeclared"),
        ),
        (
            "get_item",
            json!({"id": "1", "Host": "evil.test"}),
            (403, "parameter_undeclared"),
        ),
        (
            "get_item",
            json!({"id": "@evil.test"}),
            (403, "parameter_invalid"),
        ),
        (
            "get_item",
            json!({"id": "//evil.test"}),
            (403, "parameter_invalid"),
        ),
        ("https://evil.test/", json!({}), (404, "page_unknown")),
        (
            "get_item@evil.test",
            json!({"id": "1"}),
            (404, "action_undeclared"),
        ),
    ] {
        let case = format!("{action} {parameters}");
        let record = stage.records_alone(&case, || {
            let answer = stage
                .world
                .call(action, "", &json!({"parameters": parameters}));
            assert_eq!(
                (answer.status, answer.refusal()),
                expected,
                "{case}: {answer:?}"
            );
        });
        assert_eq!(record["code"], expected.1, "{case}: {record}");
    }
}
