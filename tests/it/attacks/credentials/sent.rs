//! On the way out: in its place, once, encoded for it, and nobody else's beside it.

use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Command, Stdio};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::attacks::stage::{Door, POLICY, Stage};
use crate::attacks::texts;
use crate::world::{Desk, Plan, Started, World, read_answer};

/// What the agent sends, in clear and as Basic.
const ATTACKER: [&str; 2] = ["ATTACKER", "QVRUQUNLRVI6eA=="];

fn assert_nothing_of_the_agents(head: &str) {
    assert!(!ATTACKER.iter().any(|it| head.contains(it)), "{head}");
}

#[test]
fn j1_a_credential_of_the_agents_is_replaced_by_ours() {
    let stage = Stage::usual();
    for door in Door::ALL {
        for (line, is_replaced) in [
            ("Authorization: Bearer ATTACKER", true),
            ("AUTHORIZATION: Bearer ATTACKER", true),
            ("authorization:ATTACKER", true),
            ("aUTHORIZATION:   Basic QVRUQUNLRVI6eA==  ", true),
            ("Authorization: ", true),
            (
                "Authorization: Digest username=\"ATTACKER\", realm=\"x\"",
                true,
            ),
            // As if it knew ours.
            ("Authorization: Bearer SECRET-AAAA", true),
            ("X-Authorization: Bearer ATTACKER", false),
            ("Authorization-: Bearer ATTACKER", false),
            ("X-Forwarded-Authorization: Bearer ATTACKER", false),
            ("X-Original-Authorization: Bearer ATTACKER", false),
            ("X-Api-Key: ATTACKER", false),
        ] {
            let sent = door.request(
                "GET",
                "api.good.test",
                "/v1/items/1",
                &format!("{line}\r\n"),
                "",
            );
            let (seen, record) = stage.serves(door, &sent);
            assert_eq!(
                seen.header("authorization"),
                ["Bearer SECRET-AAAA"],
                "{line}"
            );
            assert_nothing_of_the_agents(&seen.head);
            assert_nothing_of_the_agents(&record.to_string());
            assert_eq!(
                record["replaced"] == json!(["header authorization"]),
                is_replaced,
                "{record}"
            );
        }
        for line in [
            "Authorization: Bearer ATTACKER\r\nAuthorization: Bearer ATTACKER",
            "Authorization : Bearer ATTACKER",
            "Authorization_: Bearer ATTACKER",
            "Authorization: \tBearer ATTACKER",
            "Authorization: Bearer\r\n ATTACKER",
            "Authorization\0: Bearer ATTACKER",
        ] {
            let sent = door.request(
                "GET",
                "api.good.test",
                "/v1/items/1",
                &format!("{line}\r\n"),
                "",
            );
            stage.refuses(door, &sent, (400, "request_malformed"));
        }
    }
    for name in ["authorization", "x-authorization"] {
        let client = stage.world.client();
        let answer = client.http2(
            "api.good.test",
            "/v1/items/h2",
            &[(name, "Bearer ATTACKER")],
        );
        assert_eq!(answer.status(), 200);
        let seen = stage.good.seen().pop().unwrap();
        assert_eq!(seen.header("authorization"), ["Bearer SECRET-AAAA"]);
        assert_nothing_of_the_agents(&seen.head);
    }
}

#[test]
fn j1_a_key_of_the_agents_in_the_query_is_replaced_by_ours() {
    let stage = Stage::usual();
    let get = |query: &str| {
        let target = format!("/me?{query}");
        Door::Proxy.request("GET", "api.two.test", &target, "", "")
    };
    for query in [
        "key=ATTACKER",
        "%6Bey=ATTACKER",
        "key=ATTACKER&k%65y=ATTACKER",
        "key",
        "key=SECRET-BBBB",
    ] {
        let (seen, record) = stage.serves(Door::Proxy, &get(query));
        assert_eq!(seen.line(), "GET /me?key=SECRET-BBBB HTTP/1.1", "{query}");
        assert_eq!(record["replaced"], json!(["query key"]), "{query}");
        assert_nothing_of_the_agents(&record.to_string());
    }
    for query in [
        "KEY=ATTACKER",
        "Key=ATTACKER",
        "key%20=ATTACKER",
        "key[]=ATTACKER",
        "%E2%84%AAey=ATTACKER",
    ] {
        stage.refuses(Door::Proxy, &get(query), (403, "parameter_undeclared"));
    }
    // A tool says parameters; none of them is a place of ours.
    for name in ["key", "authorization", "Authorization", "headers"] {
        let called = stage
            .world
            .call("two", "", &json!({"parameters": {name: "ATTACKER"}}));
        assert_eq!(
            called.json()["error"]["code"],
            "parameter_undeclared",
            "{called:?}"
        );
    }
}

/// The usual policy with the token of `api.good.test` in a cookie.
fn with_cookie() -> String {
    let cookie = "type: api_key, in: cookie, name: session, value: {secret: good_token}";
    POLICY.replace("type: bearer, token: {secret: good_token}", cookie)
}

#[test]
fn j3_all_cookies_of_the_agents_are_gone_where_ours_is_one() {
    let stage = Stage::of(Plan::of(&with_cookie()));
    for door in Door::ALL {
        for lines in [
            "Cookie: session=ATTACKER",
            "cookie: lang=ATTACKER; session=ATTACKER",
            "Cookie: a=ATTACKER\r\nCOOKIE: session=ATTACKER",
            "Cookie: $Version=1; session=ATTACKER",
            "Cookie: session=\"ATTACKER; session=x\"",
            "Cookie: SESSION=ATTACKER",
            "Cookie: ",
        ] {
            let sent = door.request(
                "GET",
                "api.good.test",
                "/v1/items/1",
                &format!("{lines}\r\n"),
                "",
            );
            let (seen, record) = stage.serves(door, &sent);
            assert_eq!(seen.header("cookie"), ["session=SECRET-AAAA"], "{lines}");
            assert_eq!(record["replaced"], json!(["header cookie"]), "{lines}");
            assert_nothing_of_the_agents(&seen.head);
        }
        let sent = door.request(
            "GET",
            "api.good.test",
            "/v1/items/1",
            "Cookie2: ATTACKER\r\n",
            "",
        );
        assert_nothing_of_the_agents(&stage.serves(door, &sent).0.head);
    }
    let crumbs = [("cookie", "session=ATTACKER"), ("cookie", "b=ATTACKER")];
    let client = stage.world.client();
    assert_eq!(
        client
            .http2("api.good.test", "/v1/items/1", &crumbs)
            .status(),
        200
    );
    assert_eq!(
        stage.good.seen().pop().unwrap().header("cookie"),
        ["session=SECRET-AAAA"]
    );
}

#[test]
fn j4_a_login_to_the_proxy_stays_there() {
    let login = "Proxy-Authorization: Basic Ym90OkJPVC1UT0tFTi0x";
    let agents =
        "agents: {bot: {token: {secret: bot_token}, environment: default, allow: [\"*\"]}}\n";
    let policy = POLICY.replace("auth:\n", "  bot_token: {env: BOT}\nauth:\n") + agents;
    let stage = Stage::of(Plan::of(&policy).secret("bot_token", "BOT-TOKEN-1"));
    let client = stage.world.client();
    let url = "http://api.good.test/v1/items/1";
    assert_eq!(client.send("GET", url, &[login], "").status, 200);
    let mut tunnel = client.tunnel_as("api.good.test", "api.good.test", &[login]);
    // Once more inside, where it means nothing.
    let inside = [
        format!("{login}\r\n"),
        String::new(),
        "Proxy-Connection: keep-alive\r\n".into(),
    ];
    for lines in &inside {
        tunnel
            .write_all(&Door::Tunnel.request("GET", "api.good.test", "/v1/items/2", lines, ""))
            .unwrap();
        assert_eq!(read_answer(&mut tunnel, "GET").unwrap().status, 200);
    }
    let seen = stage.good.seen();
    assert_eq!(seen.len(), 4);
    for seen in seen {
        let head = seen.head.to_ascii_lowercase();
        assert!(
            !head.contains("proxy-") && !seen.head.contains("Qk9ULVRPS0VOLTE"),
            "{head}"
        );
    }
    stage.world.records(4);
    let written = stage.world.everything_written();
    for form in ["BOT-TOKEN-1", "Ym90OkJPVC1UT0tFTi0x", "BPVC1UT0tFTi0x"] {
        assert!(!written.contains(form), "{written}");
    }
}

#[test]
fn j4_a_login_to_the_proxy_is_not_in_the_log() {
    let policy = "version: 1\nactions: {a: {description: Does something., method: GET, url: \"https://api.good.test/\"}}\n";
    let desk = Desk::with(policy);
    let started = Started::with(&desk, &["--audit", "stderr"], &[("EXEAT_LOG", "trace")]);
    for head in [
        "GET http://evil.test/ HTTP/1.1\r\nHost: evil.test",
        "CONNECT 10.0.0.1:443 HTTP/1.1\r\nHost: 10.0.0.1:443",
        "GET / HTTP/0.9\r\nHost: x",
        "BAD",
    ] {
        started.ask(&format!(
            "{head}\r\nProxy-Authorization: Basic Ym90OkJPVC1UT0tFTi0x\r\nConnection: close\r\n\r\n"
        ));
    }
    started.signal("-TERM");
    let (_, _, said) = started.end();
    assert!(said.contains("host_undeclared"), "{said}");
    assert!(
        !said.contains("Ym90Ok") && !said.contains("BOT-TOKEN-1"),
        "{said}"
    );
}

/// A place of each kind for one secret.
const PLACES: &str = r#"
version: 1
secrets: {it: {env: IT}}
auth:
  bearer: {type: bearer, token: {secret: it}}
  basic: {type: basic, username: bot, password: {secret: it}}
  user: {type: basic, username: {secret: it}, password: ""}
  header: {type: api_key, in: header, name: X-Key, value: {secret: it}}
  query: {type: api_key, in: query, name: key, value: {secret: it}}
  cookie: {type: api_key, in: cookie, name: sid, value: {secret: it}}
  body: {type: api_key, in: body, name: key, value: {secret: it}}
actions:
  bearer: {description: Takes a token., method: GET, url: "https://api.good.test/bearer", auth: bearer}
  basic: {description: Takes a password., method: GET, url: "https://api.good.test/basic", auth: basic}
  user: {description: Takes a user name., method: GET, url: "https://api.good.test/user", auth: user}
  header: {description: Takes a header., method: GET, url: "https://api.good.test/header", auth: header}
  query: {description: Takes a query., method: GET, url: "https://api.good.test/query", auth: query}
  cookie: {description: Takes a cookie., method: GET, url: "https://api.good.test/cookie", auth: cookie}
  json: {description: Takes JSON., method: POST, url: "https://api.good.test/json", auth: body}
  form: {description: Takes a form., method: POST, url: "https://api.good.test/form", auth: body, content_types: [application/x-www-form-urlencoded]}
"#;

/// As a server of some other make reads a query or a form.
fn form_decoded(text: &str) -> String {
    let (mut bytes, mut out) = (text.bytes(), Vec::new());
    while let Some(byte) = bytes.next() {
        out.push(match byte {
            b'+' => b' ',
            b'%' => {
                let digits = [bytes.next().unwrap(), bytes.next().unwrap()];
                u8::from_str_radix(str::from_utf8(&digits).unwrap(), 16).unwrap()
            }
            byte => byte,
        });
    }
    String::from_utf8(out).unwrap()
}

/// What a server reads in the place of this name; `None` where nothing was sent.
fn read_at(world: &World, place: &str) -> Result<String, String> {
    let origin = world.origin("api.good.test", |_| crate::world::json_reply("{}"));
    let called = world.call(place, "", &json!({"parameters": {}}));
    if called.status != 200 {
        assert!(origin.seen().is_empty());
        return Err(called.json()["error"]["code"].as_str().unwrap().to_owned());
    }
    let seen = origin.only();
    let header = |name: &str| match seen.header(name)[..] {
        [value] => value.to_owned(),
        ref other => panic!("{other:?}"),
    };
    let credentials = || {
        let encoded = header("authorization");
        let decoded = STANDARD
            .decode(encoded.strip_prefix("Basic ").unwrap())
            .unwrap();
        String::from_utf8(decoded).unwrap()
    };
    Ok(match place {
        "bearer" => header("authorization")
            .strip_prefix("Bearer ")
            .unwrap()
            .to_owned(),
        "basic" => credentials().strip_prefix("bot:").unwrap().to_owned(),
        "user" => credentials().strip_suffix(':').unwrap().to_owned(),
        "header" => header("x-key"),
        "cookie" => header("cookie").strip_prefix("sid=").unwrap().to_owned(),
        "query" => form_decoded(seen.line().split(['=', ' ']).nth(2).unwrap()),
        "json" => {
            let body: Value = serde_json::from_str(seen.text()).unwrap();
            assert_eq!(body.as_object().unwrap().len(), 1, "{body}");
            body["key"].as_str().unwrap().to_owned()
        }
        _ => form_decoded(seen.text().strip_prefix("key=").unwrap()),
    })
}

#[test]
fn j8_a_secret_is_read_as_it_is_in_every_place_or_is_not_sent() {
    let unavailable = || Err("secret_unavailable".to_owned());
    for (secret, not_in) in [
        ("a&b=c&admin=true", &[][..]),
        ("1+1=2%2B%00%zz&#x26;", &["cookie"]),
        ("semi;colon; Path=/", &["cookie"]),
        ("quote\"back\\slash\\u0041\",\"x\":\"", &["cookie", "user"]),
        ("user:password:more", &["user"]),
        ("/../?#[]@!$'()*,", &["cookie"]),
        ("{{id}} ${HOME} $(id) <script>", &["cookie"]),
        ("plain-1234_~.", &[]),
        // What a server reads of a header ends before the blank, so that another text would be looked for.
        ("blank-behind ", &["bearer", "header", "cookie"]),
        ("p\u{e4}\u{df}\u{20ac}\u{1f511}", &["cookie"]),
    ] {
        for place in [
            "bearer", "basic", "user", "header", "query", "cookie", "json", "form",
        ] {
            let world = Plan::of(PLACES).secret("it", secret).start();
            let expected = match not_in.contains(&place) {
                true => unavailable(),
                false => Ok(secret.to_owned()),
            };
            assert_eq!(read_at(&world, place), expected, "{secret} in {place}");
            world.records(1);
            assert!(
                !world.everything_written().contains(secret),
                "{secret} in {place}"
            );
        }
    }
}

#[test]
fn j8_a_colon_in_a_user_name_is_an_error_of_the_policy() {
    for name in ["\"a:b\"", "\":\"", "\"{{.static_variables.N}}\""] {
        let policy = PLACES.replace("username: bot", &format!("username: {name}"));
        let policy = policy.replace("secrets:", "static_variables: {N: \"x:y\"}\nsecrets:");
        texts::refused(&policy, "a user name contains no `:`");
    }
}

#[test]
fn j10_no_secret_goes_out_in_cleartext_whatever_the_policy_says() {
    let beginning =
        "version: 1\nsecrets: {it: {env: IT}}\nauth: {it: {type: bearer, token: {secret: it}}}\n";
    let action = |fields: &str| {
        format!(
            "{beginning}actions:\n  a: {{description: Does something., method: GET, {fields}}}\n"
        )
    };
    let oauth = |url: &str| {
        let grant = format!(
            "type: oauth2_client_credentials, token_url: \"{url}\", client_id: x, client_secret: {{secret: it}}"
        );
        action("url: \"https://api.good.test/\", auth: it")
            .replace("type: bearer, token: {secret: it}", &grant)
    };
    let base = |base: &str| format!("connections: {{c: {{base_url: \"{base}\", auth: it}}}}\n");
    for policy in [
        action("url: \"http://api.good.test/\", auth: it"),
        action("url: \"http://api.good.test/\", auth: it, allow_http: true"),
        action("url: \"HTTP://api.good.test/\", auth: it, allow_http: true"),
        action("url: \"http://api.good.test:443/\", auth: it, allow_http: true"),
        action("url: \"http://api.good.test/\", allow_http: true, headers: {X-Key: {secret: it}}"),
        action("url: \"http://api.good.test/\", allow_http: true, query: {key: {secret: it}}"),
        action("connection: c, path: /a, allow_http: true") + &base("http://api.good.test"),
        action("url: \"https://*.good.test/\", auth: it"),
        oauth("http://auth.good.test/token"),
    ] {
        let (is_loaded, told) = texts::check(&policy);
        assert!(!is_loaded, "{policy}");
        assert!(told.contains("error: "), "{told}");
    }
    // No setting and no flag opens it either.
    let (is_loaded, told) = texts::check(&action("url: \"https://api.good.test/\", auth: it"));
    assert!(is_loaded, "{told}");
}

#[test]
fn j20_a_process_that_is_killed_leaves_no_memory_behind_and_shows_none() {
    let desk = Desk::with(POLICY);
    let free = ["--proxy-listen", "--tools-listen", "--admin-listen"].map(|it| [it, "127.0.0.1:0"]);
    let plain = desk.command(&["run", "--json", "--audit", "audit.jsonl"]);
    let mut command = Command::new("sh");
    command
        .args(["-c", "ulimit -c unlimited; exec \"$0\" \"$@\""])
        .arg(plain.get_program())
        .args(plain.get_args())
        .args(free.as_flattened())
        .current_dir(desk.path(""))
        .env_clear()
        .envs([("GOOD_TOKEN", "SECRET-AAAA"), ("TWO_KEY", "SECRET-BBBB")])
        .env("EXEAT_STATE_DIR", desk.path("state"))
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let ready = lines.find_map(|it| {
        let line: Value = serde_json::from_str(&it.unwrap()).ok()?;
        (line["ready"] == true).then_some(line)
    });
    let admin = ready.unwrap()["admin"].as_str().unwrap().to_owned();
    for path in [
        "/debug",
        "/debug/pprof/heap",
        "/debug/vars",
        "/env",
        "/config",
        "/proc/self/environ",
        "/metrics",
        "/readyz",
    ] {
        let mut stream = std::net::TcpStream::connect(&admin).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nHost: {admin}\r\n\r\n").unwrap();
        let answer = read_answer(&mut stream, "GET").unwrap();
        assert_eq!(
            answer.status == 200,
            ["/metrics", "/readyz"].contains(&path),
            "{answer:?}"
        );
        assert!(!answer.text().contains("SECRET"), "{answer:?}");
    }
    let pid = child.id().to_string();
    assert!(
        Command::new("kill")
            .args(["-ABRT", &pid])
            .status()
            .unwrap()
            .success()
    );
    let status = child.wait().unwrap();
    assert_eq!((status.signal(), status.core_dumped()), (Some(6), false));
    let said: Vec<String> = lines.map_while(Result::ok).collect();
    assert!(!said.concat().contains("SECRET"), "{said:#?}");
}

const AGENTS: &str = r#"
version: 1
secrets: {bot_token: {env: BOT}, run_token: {env: RUN}}
actions:
  get_item: {description: Returns one item., method: GET, url: "https://api.good.test/item"}
agents:
  bot: {token: {secret: bot_token}, runtime_token: {secret: run_token}, environment: default, allow: ["*"]}
"#;

/// The comparison itself is `subtle`'s, which takes as long wherever the first difference is.
#[test]
fn j21_who_is_wrong_is_not_told_how_wrong() {
    let plan = Plan::of(AGENTS)
        .secret("bot_token", "BOT-TOKEN-1")
        .secret("run_token", "RUN-TOKEN-1");
    let world = plan.admin_token("ADMIN-TOKEN-1").start();
    let without_id = |text: &str| {
        let lines = text
            .lines()
            .filter(|it| !it.to_ascii_lowercase().starts_with("exeat-request-id"));
        let text: String = lines.map(|it| format!("{it}\n")).collect();
        match text.find("\"request_id\":\"") {
            Some(at) => text[..at].to_owned() + &text[at + 41..],
            None => text,
        }
    };
    let tokens = [
        "BOT-TOKEN-",
        "BOT-TOKEN-2",
        "BOT-TOKEN-11",
        "bot-token-1",
        "OT-TOKEN-1",
        "RUN-TOKEN-",
        "x",
        "BOT-TOKEN-1x",
    ];
    let mut answers = Vec::new();
    for (name, token) in tokens.iter().map(|it| ("bot", *it)).chain([
        ("nobody", "BOT-TOKEN-1"),
        ("", "BOT-TOKEN-1"),
        ("BOT", "BOT-TOKEN-1"),
    ]) {
        let login = STANDARD.encode(format!("{name}:{token}"));
        let login = format!("Proxy-Authorization: Basic {login}");
        let got = world
            .client()
            .send("GET", "http://api.good.test/item", &[&login], "");
        assert_eq!(
            (got.status, got.refusal()),
            (407, "agent_unknown"),
            "{name} {token}"
        );
        answers.push(without_id(&got.head) + &without_id(got.text()));
    }
    answers.dedup();
    assert_eq!(answers.len(), 1, "{answers:#?}");
    let mut answers = Vec::new();
    for token in tokens {
        let got = world.tool("GET", "/v1/actions", token, None);
        assert_eq!(got.status, 401, "{token}");
        answers.push(without_id(&got.head) + &without_id(got.text()));
    }
    answers.dedup();
    assert_eq!(answers.len(), 1, "{answers:#?}");
    let mut answers = Vec::new();
    for token in ["ADMIN-TOKEN-", "ADMIN-TOKEN-2", "ADMIN-TOKEN-11", "x", ""] {
        let mut stream = std::net::TcpStream::connect(world.admin()).unwrap();
        let host = world.admin();
        write!(
            stream,
            "GET /metrics HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {token}\r\n\r\n"
        )
        .unwrap();
        let got = read_answer(&mut stream, "GET").unwrap();
        assert_eq!(got.status, 401, "{token}");
        answers.push(got.head + &String::from_utf8(got.body).unwrap());
    }
    answers.dedup();
    assert_eq!(answers.len(), 1, "{answers:#?}");
}
