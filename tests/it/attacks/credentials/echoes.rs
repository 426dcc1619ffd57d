//! On the way back: what a server repeats, wherever it does and however it writes it.

use std::fs;
use std::io::Write as _;

use async_compression::tokio::bufread::GzipEncoder;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE, URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use tokio::io::AsyncReadExt as _;

use super::{asked, reply, saying};
use crate::attacks::stage::{Door, POLICY, Stage};
use crate::attacks::texts;
use crate::world::{Desk, Plan, Revision, Started, json_reply, origin_apart, rest};

const SECRET: &str = "SECRET-AAAA";

#[test]
fn j11_a_redirect_is_the_agents_to_follow_and_takes_no_secret_along() {
    let targets = [
        "https://evil.test/",
        "http://api.good.test/v1/items/1",
        "http://api.good.test:443/",
        "//evil.test/x",
        "https://api.good.test@evil.test/",
        "/v1/items/2",
        "https://api.good.test:8443/",
        "https://api.good.test.evil.test/",
        "",
    ];
    for status in [300, 301, 302, 303, 307, 308] {
        for target in targets {
            let moved = reply(
                &format!("{status} Moved\r\nLocation: {target}\r\n"),
                "there",
            );
            let stage = saying(Plan::of(POLICY), move |_| moved.clone());
            for door in Door::ALL {
                let answer = asked(&stage, door, &door.get("/v1/items/1")).unwrap();
                assert_eq!((answer.status, answer.text()), (status, "there"));
                assert_eq!(answer.header("location").unwrap_or_default(), target);
            }
            let called = stage
                .world
                .call("get_item", "", &json!({"parameters": {"id": "1"}}));
            stage.keep(&called.body);
            assert_eq!(called.json()["status"], status, "{called:?}");
            let mut pipe = stage.world.pipe(Revision::ALL[1], None, None);
            let said = pipe.call("get_item", json!({"id": "1"}));
            assert_eq!(
                said["result"]["structuredContent"]["status"], status,
                "{said}"
            );
            let seen = stage.good.seen();
            assert_eq!(seen.len(), 4);
            assert!(
                seen.iter()
                    .all(|it| it.line() == "GET /v1/items/1 HTTP/1.1")
            );
            let addresses = stage.world.dials();
            assert!(
                addresses
                    .iter()
                    .all(|it| it.to_string() == "203.0.114.10:443"),
                "{addresses:?}"
            );
            assert!(stage.world.lookups().iter().all(|it| it == "api.good.test"));
        }
    }
}

/// A reply with the secret in one place; what the agent must find there, in small letters.
fn echoes() -> Vec<(&'static str, Vec<u8>, &'static str)> {
    let plain = |lines: &str| reply(&format!("200 OK\r\n{lines}"), "fine");
    vec![
        ("the body", reply("200 OK\r\n", format!("a {SECRET} b")), "a *********** b"),
        ("a failure", reply("500 No\r\n", format!("no {SECRET}")), "no ***********"),
        ("a header", plain(&format!("X-Echo: {SECRET}\r\n")), "x-echo: ***********\r\n"),
        ("part of a header", plain(&format!("X-Echo: Bearer {SECRET}, x\r\n")), "x-echo: bearer ***********, x\r\n"),
        ("a cookie", plain(&format!("Set-Cookie: t={SECRET}; Path=/\r\n")), "set-cookie: t=***********; path=/\r\n"),
        ("two cookies", plain(&format!("Set-Cookie: a=b\r\nSet-Cookie: t={SECRET}\r\n")), "set-cookie: t=***********\r\n"),
        ("a location", reply(&format!("302 Found\r\nLocation: /a?t={SECRET}#x\r\n"), "fine"), "location: /a?t=***********#x\r\n"),
        ("a link", plain(&format!("Link: </{SECRET}>; rel=next\r\n")), "link: </***********>; rel=next\r\n"),
        ("an etag", plain(&format!("ETag: \"{SECRET}\"\r\n")), "etag: \"***********\"\r\n"),
        ("a disposition", plain(&format!("Content-Disposition: attachment; filename={SECRET}\r\n")), "filename=***********\r\n"),
        ("the name of a header", plain(&format!("X-{SECRET}: 1\r\n")), "fine"),
        ("the reason phrase", reply(&format!("200 {SECRET}\r\n"), "fine"), "http/1.1 200 ok\r\n"),
        (
            "an interim answer",
            [format!("HTTP/1.1 103 Early\r\nLink: <{SECRET}>\r\n\r\n").into_bytes(), plain("")].concat(),
            "http/1.1 200 ok\r\n",
        ),
        (
            "a body in pieces",
            Vec::from("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\na SEC\r\n9\r\nRET-AAAA \r\n1\r\nb\r\n0\r\n\r\n"),
            "a *********** b",
        ),
        (
            "a dropped trailer",
            format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nfine\r\n0\r\nX-Echo: {SECRET}\r\n\r\n").into_bytes(),
            "fine",
        ),
    ]
}

#[test]
fn j12_what_repeats_a_secret_is_masked_in_every_place() {
    for (place, reply, expected) in echoes() {
        let stage = saying(Plan::of(POLICY), move |_| reply.clone());
        for door in Door::ALL {
            let answer = asked(&stage, door, &door.get("/v1/items/1")).unwrap();
            let all = answer.head.clone() + answer.text();
            assert!(
                all.to_ascii_lowercase().contains(expected),
                "{place} {door:?}: {all}"
            );
        }
        let called = stage
            .world
            .call("get_item", "", &json!({"parameters": {"id": "1"}}));
        stage.keep(called.head.as_bytes());
        stage.keep(&called.body);
        assert_eq!(called.status, 200, "{place}: {called:?}");
        let mut pipe = stage.world.pipe(Revision::ALL[1], None, None);
        stage.keep(
            pipe.call("get_item", json!({"id": "1"}))
                .to_string()
                .as_bytes(),
        );
        let is_masked = expected.contains('*') || place == "the name of a header";
        for record in &stage.world.records(4)[..2] {
            assert_eq!(
                record["redactions"].as_u64() >= Some(1),
                is_masked,
                "{place}: {record}"
            );
        }
    }
}

#[test]
fn j12_a_trailer_that_is_let_through_is_masked() {
    let policy = POLICY.replace(
        "qty]}\n      required: [id]\n",
        "qty]}\n      required: [id]\n    trailers: true\n",
    );
    let trailing = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nfine\r\n0\r\nX-Echo: a SECRET-AAAA b\r\n\r\n";
    let stage = saying(Plan::of(&policy), move |_| trailing.into());
    for door in Door::ALL {
        let mut stream = stage.open(door);
        let lines = "TE: trailers\r\nConnection: TE, close\r\n";
        stream
            .write_all(&door.request("GET", "api.good.test", "/v1/items/1", lines, ""))
            .unwrap();
        let all = rest(&mut stream);
        stage.keep(all.as_bytes());
        assert!(
            all.ends_with("0\r\nx-echo: a *********** b\r\n\r\n"),
            "{all:?}"
        );
    }
}

/// `on_echo: refuse`
#[test]
fn j12_what_repeats_a_secret_is_refused_where_that_was_chosen() {
    for (place, reply, expected) in echoes() {
        let is_held = expected.contains('*') || place == "the name of a header";
        let stage = saying(Plan::of(POLICY).refusing_echoes(), move |_| reply.clone());
        for (index, door) in Door::ALL.into_iter().enumerate() {
            let answer = asked(&stage, door, &door.get("/v1/items/1"));
            let record = stage.world.records(index + 1).pop().unwrap();
            if !is_held {
                assert_eq!(answer.unwrap().status, 200, "{place}");
                continue;
            }
            assert_eq!(record["code"], "secret_echoed", "{place}: {record}");
            match answer {
                Some(answer) => assert_eq!(
                    (answer.status, answer.refusal()),
                    (502, "secret_echoed"),
                    "{place}"
                ),
                // A body that has begun to pass.
                None => assert_eq!(record["end"], "truncated", "{place}: {record}"),
            }
        }
        let called = stage
            .world
            .call("get_item", "", &json!({"parameters": {"id": "1"}}));
        stage.keep(&called.body);
        assert_eq!(called.status == 502, is_held, "{place}: {called:?}");
    }
}

fn hex(upper: bool, each: &str) -> String {
    let digits = SECRET.bytes().map(|byte| match upper {
        true => format!("{each}{byte:02X}"),
        false => format!("{each}{byte:02x}"),
    });
    digits.collect()
}

fn references(of: impl Fn(u8) -> String) -> String {
    SECRET.bytes().map(of).collect()
}

/// As the documentation lists it.
#[test]
fn j13_every_listed_spelling_is_masked() {
    let pairs = [
        ("", ""),
        ("b", ""),
        ("bo", ""),
        ("bot", ":x"),
        ("user:", ""),
    ];
    let mut spelt: Vec<String> = pairs
        .iter()
        .map(|(before, after)| format!("{before}{SECRET}{after}"))
        .flat_map(|it| {
            [
                STANDARD.encode(&it),
                URL_SAFE.encode(&it),
                URL_SAFE_NO_PAD.encode(&it),
            ]
        })
        .collect();
    // Only what the secret alone determines is masked: the rest may stay.
    let whole = spelt.len();
    spelt.extend([
        SECRET.into(),
        hex(false, ""),
        hex(true, ""),
        hex(false, "%"),
        hex(true, "%"),
        "SECRET%2DAAAA".into(),
        "SECRET%2dAAAA".into(),
        hex(false, "\\u00"),
        hex(true, "\\u00"),
        "SECRET\\u002DAAAA".into(),
        references(|it| format!("&#{it};")),
        references(|it| format!("&#x{it:x};")),
        references(|it| format!("&#x{it:X};")),
        "SECRET&#45;AAAA".into(),
        "SECRET&#x2d;AAAA".into(),
    ]);
    let texts = spelt.clone();
    let stage = saying(Plan::of(POLICY), move |seen| {
        let number: usize = seen
            .line()
            .split(['/', ' '])
            .nth(4)
            .unwrap()
            .parse()
            .unwrap();
        let text = &texts[number];
        // The body in pieces, too.
        let chunks = text
            .as_bytes()
            .chunks(3)
            .map(|it| format!("{:x}\r\n{}\r\n", it.len(), str::from_utf8(it).unwrap()));
        let chunks: String = chunks.collect();
        format!("HTTP/1.1 200 OK\r\nX-Echo: {text}\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}0\r\n\r\n").into_bytes()
    });
    for (number, text) in spelt.iter().enumerate() {
        for door in Door::ALL {
            let answer = asked(&stage, door, &door.get(&format!("/v1/items/{number}"))).unwrap();
            for shown in [answer.text(), answer.header("x-echo").unwrap()] {
                assert_eq!(shown.len(), text.len(), "{text}");
                let stars = shown.matches('*').count();
                let expected = if number < whole {
                    SECRET.len() * 8 / 6 - 1
                } else {
                    text.len()
                };
                assert!(stars >= expected, "{text}: {shown}");
            }
        }
        let record = stage.world.records(2 * number + 2).pop().unwrap();
        assert_eq!(record["redactions"], 2, "{text}");
    }
}

/// As the documentation says, too.
#[test]
fn j13_what_is_not_listed_is_not_found() {
    let utf16 = SECRET
        .encode_utf16()
        .flat_map(u16::to_le_bytes)
        .collect::<Vec<u8>>();
    for text in [
        SECRET.chars().rev().collect::<String>().into_bytes(),
        SECRET.to_lowercase().into_bytes(),
        STANDARD.encode(STANDARD.encode(SECRET)).into_bytes(),
        hex(false, "%25").into_bytes(),
        SECRET.as_bytes()[..10].to_vec(),
        utf16,
    ] {
        let sent = reply("200 OK\r\n", &text);
        let stage = saying(Plan::of(POLICY), move |_| sent.clone());
        assert_eq!(
            asked(&stage, Door::Proxy, &Door::Proxy.get("/v1/items/1"))
                .unwrap()
                .body,
            text
        );
    }
}

#[test]
fn j13_a_compressed_reply_is_unpacked_and_masked() {
    let text = format!("one {SECRET} two");
    let mut bytes = Vec::new();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    runtime
        .block_on(GzipEncoder::new(text.as_bytes()).read_to_end(&mut bytes))
        .unwrap();
    let sent = reply("200 OK\r\nContent-Encoding: gzip\r\n", bytes);
    let stage = saying(Plan::of(POLICY), move |_| sent.clone());
    for door in Door::ALL {
        let asks = door.request(
            "GET",
            "api.good.test",
            "/v1/items/1",
            "Accept-Encoding: gzip, br\r\n",
            "",
        );
        let answer = asked(&stage, door, &asks).unwrap();
        assert_eq!(
            (answer.text(), answer.header("content-encoding")),
            ("one *********** two", None)
        );
    }
    assert!(
        stage
            .good
            .seen()
            .iter()
            .all(|it| it.header("accept-encoding") == ["identity"])
    );
}

/// An action that asks a server what it was asked, at this path.
fn reflecting(path: &str, more: &str) -> String {
    format!(
        "{POLICY}  reflect:\n    description: Says what was asked.\n    method: GET\n    url: https://api.good.test{path}\n{more}"
    )
}

#[test]
fn j14_a_server_that_says_what_it_was_asked_says_it_without_the_secret() {
    let stage = saying(
        Plan::of(&reflecting("/debug/headers", "    auth: good\n")),
        |seen| {
            let lines: Vec<&str> = seen.head.lines().collect();
            json_reply(&json!({"headers": lines, "twice": seen.head}).to_string())
        },
    );
    for door in Door::ALL {
        let lines = "Authorization: Bearer mine\r\nAccept: text/plain\r\n";
        let asks = door.request("GET", "api.good.test", "/debug/headers", lines, "");
        let told = asked(&stage, door, &asks).unwrap().json();
        assert!(
            told["twice"]
                .as_str()
                .unwrap()
                .contains("Bearer ***********"),
            "{told}"
        );
    }
    let called = stage.world.call("reflect", "", &json!({"parameters": {}}));
    stage.keep(&called.body);
    assert!(called.text().contains("Bearer ***********"), "{called:?}");
}

#[test]
fn j14_a_path_that_is_known_to_repeat_requests_is_warned_of() {
    let says = "a server may repeat the request here";
    for path in [
        "/echo",
        "/headers",
        "/debug/headers",
        "/Anything",
        "/anything/{{rest...}}",
        "/v1/request-headers",
        "/trace",
        "/reflect",
        "/ECHO",
    ] {
        let parameters = match path.contains("rest") {
            true => "    parameters: {properties: {rest: {type: string}}, required: [rest]}\n",
            false => "",
        };
        let policy = reflecting(path, &format!("    auth: good\n{parameters}"));
        let (is_loaded, told) = texts::check(&policy);
        assert!(
            is_loaded && told.contains("warning: ") && told.contains(says),
            "{path}: {told}"
        );
        // Nothing of ours could come back.
        let (is_loaded, told) = texts::check(&reflecting(path, parameters));
        assert!(is_loaded && !told.contains(says), "{path}: {told}");
    }
    for path in ["/echoes", "/v1/traces", "/headers/list", "/v1/items"] {
        let (_, told) = texts::check(&reflecting(path, "    auth: good\n"));
        assert_eq!(told, "", "{path}");
    }
    // The method that was made for it is none of a policy's.
    texts::refused(
        &reflecting("/x", "").replace(
            "GET\n    url: https://api.good.test/x",
            "TRACE\n    url: https://api.good.test/x",
        ),
        "GET",
    );
    let stage = Stage::usual();
    for door in Door::ALL {
        let sent = door.request("TRACE", "api.good.test", "/v1/items/1", "", "");
        stage.refuses(door, &sent, (405, "method_refused"));
    }
}

#[test]
fn j15_an_error_that_quotes_the_request_is_masked_and_asks_for_no_other_try() {
    let quoting = [
        format!("401 Unauthorized\r\nWWW-Authenticate: Basic realm=\"{SECRET}\"\r\n"),
        format!(
            "401 Unauthorized\r\nWWW-Authenticate: Bearer error=\"invalid_token\", error_description=\"{SECRET} is no token\"\r\n"
        ),
        format!("403 Forbidden\r\nAuthentication-Info: {SECRET}\r\nX-Debug: {SECRET}\r\n"),
        "400 Bad\r\n".into(),
        "500 No\r\n".into(),
        "407 Proxy\r\nProxy-Authenticate: Basic realm=x\r\n".into(),
    ];
    for head in quoting {
        let start = head.clone();
        let stage = saying(Plan::of(POLICY), move |seen| reply(&start, &seen.head));
        for (index, door) in Door::ALL.into_iter().enumerate() {
            let answer = asked(&stage, door, &door.get("/v1/items/1")).unwrap();
            assert_eq!(stage.good.seen().len(), index + 1, "{head}");
            if head.starts_with("407") {
                // An origin that plays the proxy could ask for the login to it.
                assert_eq!(
                    (answer.status, answer.refusal()),
                    (502, "upstream_malformed")
                );
                assert_eq!(answer.header("proxy-authenticate"), None);
                continue;
            }
            assert_eq!(answer.status.to_string(), head[..3]);
            assert!(answer.text().contains("Bearer ***********"), "{answer:?}");
        }
        let records = stage.world.records(2);
        assert!(
            records
                .iter()
                .all(|it| it["retries"].as_u64().unwrap_or(0) == 0),
            "{records:#?}"
        );
    }
}

#[test]
fn j23_a_secret_of_another_server_is_masked_as_well() {
    let sent = reply(
        "200 OK\r\nX-Echo: SECRET-BBBB\r\n",
        "k=SECRET-BBBB&t=SECRET-AAAA",
    );
    let stage = saying(Plan::of(POLICY), move |_| sent.clone());
    stage.serves(
        Door::Proxy,
        &Door::Proxy.request("GET", "api.two.test", "/me", "", ""),
    );
    for door in Door::ALL {
        let answer = asked(&stage, door, &door.get("/v1/items/1")).unwrap();
        assert_eq!(answer.text(), "k=***********&t=***********");
        assert_eq!(answer.header("x-echo"), Some("***********"));
    }
}

/// Nothing has used them yet: they were read at start, and anew for another policy.
#[test]
fn j23_secrets_of_a_policy_are_known_before_anybody_uses_them() {
    let text = "ENV SECRET-BBBB, FILE SECRET-CCCC, LATER SECRET-DDDD, AGENT SECRET-EEEE, STAGING SECRET-FFFF";
    let (origin, ca) = origin_apart("api.good.test", &reply("200 OK\r\n", text));
    let port = origin.address().port();
    let policy = format!(
        "version: 1
environments: [production, staging]
secrets: {{two: {{env: TWO}}, kept: {{file: ../kept}}, missing: {{env: MISSING}}, bot: {{env: BOT}}, only: {{staging: {{env: ONLY}}}}}}
auth: {{two: {{type: bearer, token: {{production: {{secret: two}}, staging: {{secret: only}}}}}}}}
actions:
  open: {{description: Needs no secret., method: GET, url: \"https://api.good.test:{port}/\"}}
  two: {{description: Needs a secret., method: GET, url: \"https://two.test/\", auth: two}}
  kept: {{description: Needs another., method: GET, url: \"https://two.test/kept\", headers: {{X-Key: {{secret: kept}}}}}}
  missing: {{description: Needs one that is not there., method: GET, url: \"https://two.test/missing\", headers: {{X-Key: {{secret: missing}}}}}}
network:
  allow_private: [{{host: api.good.test, addresses: [127.0.0.1/32], port: {port}}}]
agents: {{bot: {{token: {{secret: bot}}, environment: production, allow: [\"*\"]}}}}
"
    );
    let desk = Desk::with(&policy);
    fs::write(desk.path("kept"), "SECRET-CCCC\n").unwrap();
    fs::write(desk.path("ca.pem"), ca).unwrap();
    let variables = [
        ("TWO", "SECRET-BBBB"),
        ("LATER", "SECRET-DDDD"),
        ("BOT", "SECRET-EEEE"),
        ("ONLY", "SECRET-FFFF"),
    ];
    let arguments = [
        "--audit",
        "stderr",
        "--host",
        "api.good.test=127.0.0.1",
        "--extra-ca",
        "ca.pem",
    ];
    let started = Started::with(&desk, &arguments, &variables);
    let login = STANDARD.encode("bot:SECRET-EEEE");
    let ask = || {
        let host = format!("api.good.test:{port}");
        let said = started.ask(&format!(
            "GET https://{host}/ HTTP/1.1\r\nHost: {host}\r\nProxy-Authorization: Basic {login}\r\nConnection: close\r\n\r\n"
        ));
        said.split_once("\r\n\r\n").unwrap().1.to_owned()
    };
    let stars = "*".repeat(11);
    // Nobody lives in staging.
    assert_eq!(
        ask(),
        format!("ENV {stars}, FILE {stars}, LATER SECRET-DDDD, AGENT {stars}, STAGING SECRET-FFFF")
    );
    let before = started.ready("at first", |_| true)["policy_hash"].clone();
    let with_later = policy.replace("missing: {env: MISSING}", "missing: {env: LATER}");
    fs::write(desk.path("aside"), with_later).unwrap();
    fs::rename(desk.path("aside"), desk.path("policies/p.yaml")).unwrap();
    started.ready("reloaded", |it| it["policy_hash"] != before);
    // They are read right behind the change.
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
    while ask().contains("DDDD") {
        assert!(std::time::Instant::now() < deadline);
    }
}

const MAKING: &str = "  create_token:
    description: Makes a token.
    method: POST
    url: https://api.good.test/v1/tokens
    auth: good
";

#[test]
fn j24_an_action_that_may_make_a_credential_is_warned_of() {
    let says = "may return a new credential";
    let policy = format!("{POLICY}{MAKING}");
    for path in [
        "/v1/tokens",
        "/v1/token",
        "/v1/api-keys",
        "/v1/api_keys",
        "/user/{{id}}/credentials",
        "/app/access_tokens",
        "/Secrets",
    ] {
        let parameters = match path.contains("id") {
            true => "    parameters: {properties: {id: {type: string}}, required: [id]}\n",
            false => "",
        };
        for method in ["POST", "PUT"] {
            let policy = policy.replace("/v1/tokens", path).replace(
                "POST\n    url: https://api.good.test/",
                &format!("{method}\n    url: https://api.good.test/"),
            );
            let (is_loaded, told) = texts::check(&(policy + parameters));
            assert!(is_loaded && told.contains(says), "{method} {path}: {told}");
            assert!(told.contains("response.fields"), "{told}");
        }
    }
    for quiet in [
        policy.replace("/v1/tokens", "/v1/messages/count_tokens"),
        policy.replace("/v1/tokens", "/v1/items/new"),
        policy.replace("/v1/tokens", "/v1/tokens/revoke"),
        policy.replace(
            "POST\n    url: https://api.good.test/v1/tokens",
            "GET\n    url: https://api.good.test/v1/tokens",
        ),
        policy.clone() + "    response: {fields: [$.id]}\n",
        policy + "    hints: {read_only: true, idempotent: true}\n",
    ] {
        let (is_loaded, told) = texts::check(&quiet);
        assert!(is_loaded && !told.contains(says), "{quiet}: {told}");
    }
}

#[test]
fn j24_what_the_agent_may_not_see_of_a_new_credential_stays_here() {
    let policy = format!("{POLICY}{MAKING}    response: {{fields: [$.id, $.expires]}}\n");
    let stage = saying(Plan::of(&policy), |_| {
        json_reply(
            r#"{"id":7,"token":"NEW-TOKEN-1","expires":"2027","nested":{"token":"NEW-TOKEN-1"}}"#,
        )
    });
    let expected: Value = json!({"id": 7, "expires": "2027"});
    for door in Door::ALL {
        let answer = asked(
            &stage,
            door,
            &door.request(
                "POST",
                "api.good.test",
                "/v1/tokens",
                "Content-Length: 0\r\n",
                "",
            ),
        )
        .unwrap();
        assert_eq!(answer.json(), expected);
    }
    let called = stage
        .world
        .call("create_token", "", &json!({"parameters": {}}));
    assert_eq!(called.json()["body"], expected);
    let mut pipe = stage.world.pipe(Revision::ALL[1], None, None);
    assert!(
        !pipe
            .call("create_token", json!({}))
            .to_string()
            .contains("NEW-TOKEN-1")
    );
}
