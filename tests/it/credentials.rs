//! Credentials: ours in their places and nobody else's, encoded for each place, and in no other output.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::world::{Answer, Plan, World, json_reply};

const POLICY: &str = r#"
version: 1
secrets:
  token: {env: TOKEN}
  user: {env: USER_NAME}
  key: {env: KEY}
auth:
  bearer: {type: bearer, token: {secret: token}, placeholder: none-here-1}
  basic: {type: basic, username: bot@example.com, password: {secret: token}}
  key_as_user: {type: basic, username: {secret: user}, password: ""}
  header: {type: api_key, in: header, name: X-Api-Key, value: {secret: key, prefix: "Key "}}
  query: {type: api_key, in: query, name: "api key", value: {secret: key}, placeholder: none-here-2}
  cookie: {type: api_key, in: cookie, name: sid, value: {secret: key}}
connections:
  two:
    base_url: https://api.good.test
    auth: bearer
    headers: {X-Second: {secret: key}}
actions:
  bearer: {description: Takes a bearer token., method: GET, url: https://api.good.test/bearer, auth: bearer}
  basic: {description: Takes a password., method: GET, url: https://api.good.test/basic, auth: basic}
  key_as_user: {description: Takes a key as user., method: GET, url: https://api.good.test/key_as_user, auth: key_as_user}
  header: {description: Takes a key in a header., method: GET, url: https://api.good.test/header, auth: header}
  query:
    description: Takes a key in the query.
    method: GET
    url: https://api.good.test/query
    auth: query
    parameters: {properties: {q: {type: string}}}
  cookie: {description: Takes a session cookie., method: GET, url: https://api.good.test/cookie, auth: cookie}
  two: {description: Takes two credentials., method: GET, connection: two, path: /two}
  bare: {description: Takes none of its own connection., method: GET, connection: two, path: /bare, auth: none}
  note:
    description: Takes a note in JSON.
    method: POST
    url: https://api.good.test/notes/{{id}}
    auth: bearer
    accept_headers: [X-Trace]
    parameters:
      properties:
        id: {type: string}
        text: {type: string}
        tags: {type: array, items: {type: object, additionalProperties: true}}
      required: [id]
"#;

/// All that a header can hold and all that other places have to encode.
const ODD: &str = r#"p&s=+%;"\ 'x"#;

fn world(token: &str, key: &str) -> World {
    Plan::of(POLICY)
        .secret("token", token)
        .secret("user", "USER-SECRET")
        .secret("key", key)
        .start()
}

fn get(world: &World, target: &str, headers: &[&str]) -> Answer {
    let url = format!("http://api.good.test{target}");
    world.client().send("GET", &url, headers, "")
}

#[test]
fn each_credential_stands_in_its_place_encoded_for_it() {
    let basic = format!(
        "Basic {}",
        STANDARD.encode(format!("bot@example.com:{ODD}"))
    );
    let user = format!("Basic {}", STANDARD.encode("USER-SECRET:"));
    let bearer = format!("Bearer {ODD}");
    let prefixed = format!("Key {ODD}");
    for (path, key, name, expected, line) in [
        (
            "/bearer",
            ODD,
            "authorization",
            vec![bearer.as_str()],
            "/bearer",
        ),
        ("/basic", ODD, "authorization", vec![&basic], "/basic"),
        (
            "/key_as_user",
            ODD,
            "authorization",
            vec![&user],
            "/key_as_user",
        ),
        ("/header", ODD, "x-api-key", vec![&prefixed], "/header"),
        (
            "/query",
            ODD,
            "authorization",
            vec![],
            "/query?api%20key=p%26s%3D%2B%25%3B%22%5C%20%27x",
        ),
        ("/cookie", "a=b/c", "cookie", vec!["sid=a=b/c"], "/cookie"),
        ("/two", "k", "authorization", vec![&bearer], "/two"),
        ("/two", "k", "x-second", vec!["k"], "/two"),
        ("/bare", "k", "authorization", vec![], "/bare"),
        ("/bare", "k", "x-second", vec!["k"], "/bare"),
    ] {
        let world = world(ODD, key);
        let origin = world.origin("api.good.test", |_| json_reply("{}"));
        let answer = get(&world, path, &[]);
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        let seen = origin.only();
        assert_eq!(seen.header(name), expected, "{path}");
        assert_eq!(seen.line(), format!("GET {line} HTTP/1.1"));
        world.record();
        let written = world.everything_written();
        for secret in [ODD, &basic, "USER-SECRET", &user] {
            assert!(!written.contains(secret), "{path}: {secret}");
        }
    }
}

#[test]
fn what_the_agent_had_in_a_place_of_ours_is_gone() {
    for (path, headers, name, ours) in [
        (
            "/bearer",
            &["Authorization: Bearer mine"][..],
            "authorization",
            "Bearer T",
        ),
        (
            "/bearer",
            &["AUTHORIZATION: Basic bWluZTptaW5l"],
            "authorization",
            "Bearer T",
        ),
        (
            "/bearer",
            &["authorization: Bearer none-here-1"],
            "authorization",
            "Bearer T",
        ),
        (
            "/bearer",
            &["Authorization: Bearer mine", "authorization: Bearer mine"],
            "authorization",
            "Bearer T",
        ),
        ("/header", &["x-API-key: mine"], "x-api-key", "Key K"),
        (
            "/header",
            &["X-Api-Key: mine", "X-Api-Key: mine"],
            "x-api-key",
            "Key K",
        ),
        (
            "/two",
            &["X-SECOND: mine", "Authorization: mine"],
            "x-second",
            "K",
        ),
        (
            "/cookie",
            &["Cookie: sid=mine; other=mine"],
            "cookie",
            "sid=K",
        ),
        (
            "/cookie",
            &["cookie: a=mine", "Cookie: sid=mine"],
            "cookie",
            "sid=K",
        ),
    ] {
        let world = world("T", "K");
        let origin = world.origin("api.good.test", |_| json_reply("{}"));
        let answer = get(&world, path, headers);
        if answer.status == 400 {
            // A header that has one value by definition is malformed when it is there twice.
            assert_eq!(answer.refusal(), "request_malformed", "{headers:?}");
            assert!(headers.len() > 1, "{headers:?}: {}", answer.text());
            world.assert_nothing_left();
            continue;
        }
        assert_eq!(answer.status, 200, "{headers:?}: {}", answer.text());
        let seen = origin.only();
        assert_eq!(seen.header(name), [ours], "{headers:?}");
        assert!(!seen.head.contains("mine"), "{}", seen.head);
        let replaced = world.record()["replaced"].to_string();
        assert!(replaced.contains(name), "{headers:?}: {replaced}");
        assert!(!world.everything_written().contains("mine"));
    }
}

#[test]
fn a_query_key_of_the_agent_is_removed_in_every_encoding_and_refused_in_every_case() {
    for query in [
        "api%20key=mine",
        "api+key=mine",
        "%61pi%20ke%79=mine",
        "api+key",
        "api+key=mine&api%20key=mine",
        "api+key=none-here-2",
    ] {
        let world = world("T", "K");
        let origin = world.origin("api.good.test", |_| json_reply("{}"));
        let answer = get(&world, &format!("/query?{query}&q=1"), &[]);
        assert_eq!(answer.status, 200, "{query}: {}", answer.text());
        assert_eq!(origin.only().line(), "GET /query?q=1&api%20key=K HTTP/1.1");
        assert_eq!(
            world.record()["replaced"],
            serde_json::json!(["query api key"])
        );
        assert!(!world.everything_written().contains("mine"));
    }
    for (query, expected) in [
        ("API+key=mine", "parameter_undeclared"),
        ("api+%E2%84%AAey=mine", "parameter_undeclared"),
        ("apikey=mine", "parameter_undeclared"),
        ("api_key=mine", "parameter_undeclared"),
        ("api+key%00=mine", "path_not_canonical"),
    ] {
        let world = world("T", "K");
        let answer = get(&world, &format!("/query?{query}"), &[]);
        assert_eq!(answer.refusal(), expected, "{query}");
        world.assert_nothing_left();
    }
}

#[test]
fn a_placeholder_is_good_in_its_own_place_only() {
    let post = |world: &World, path: &str, headers: &[&str], body: &str| {
        let url = format!("http://api.good.test{path}");
        world.client().send("POST", &url, headers, body)
    };
    let json = "Content-Type: application/json";
    for (path, headers, body) in [
        ("/notes/none-here-1", &[json][..], "{}"),
        ("/notes/xn%6Fne-here-1x", &[json], "{}"),
        ("/notes/1", &[json], r#"{"text":"my key is none-here-1"}"#),
        ("/notes/1", &[json], r#"{"text":"\u006eone-here-1"}"#),
        ("/notes/1", &[json], r#"{"text":"none-here-2"}"#),
        ("/notes/1", &[json], r#"{"tags":[{"none-here-1":1}]}"#),
        ("/notes/1", &[json, "X-Trace: none-here-1"], "{}"),
        ("/notes/1", &[json, "User-Agent: none-here-2"], "{}"),
    ] {
        let world = world("T", "K");
        let answer = post(&world, path, headers, body);
        let shown = format!("{path} {headers:?} {body}: {}", answer.text());
        assert_eq!(answer.refusal(), "placeholder_misplaced", "{shown}");
        world.assert_nothing_left();
    }
    // A header that goes nowhere harms nobody.
    let world = world("T", "K");
    let origin = world.origin("api.good.test", |_| json_reply("{}"));
    assert_eq!(get(&world, "/bearer", &["X-Lost: none-here-1"]).status, 200);
    assert!(!origin.only().head.contains("none-here-1"));
}

#[test]
fn a_secret_that_does_not_fit_its_place_is_never_sent() {
    for (path, key) in [
        ("/cookie", "a;b"),
        ("/cookie", "a b"),
        ("/cookie", "a\"b"),
        ("/header", "a\u{7f}b"),
        ("/header", "a\u{1}b"),
    ] {
        let world = world("T", key);
        let answer = get(&world, path, &[]);
        assert_eq!(
            (answer.status, answer.refusal()),
            (503, "secret_unavailable"),
            "{path} {key:?}"
        );
        assert!(!answer.text().contains(key));
        assert!(!world.everything_written().contains(key), "{key}");
        assert!(world.dials().is_empty());
    }
}

#[test]
fn one_of_two_credentials_is_not_enough() {
    for lost in ["token", "key"] {
        let world = world("T", "K");
        world.lose_secret(lost);
        let answer = get(&world, "/two", &[]);
        assert_eq!(
            (answer.status, answer.refusal()),
            (503, "secret_unavailable")
        );
        assert!(!answer.text().contains(lost), "{}", answer.text());
        assert!(world.dials().is_empty());
    }
}

#[test]
fn a_login_to_the_proxy_never_goes_upstream() {
    let login = "Proxy-Authorization: Basic bWU6bXktbG9naW4=";
    let world = world("T", "K");
    let origin = world.origin("api.good.test", |_| json_reply("{}"));
    assert_eq!(get(&world, "/bearer", &[login]).status, 200);
    let url = "https://api.good.test/bearer";
    assert_eq!(
        world.client().send_inside("GET", url, &[login], "").status,
        200
    );
    for seen in origin.seen() {
        assert_eq!(seen.header("proxy-authorization"), [""; 0]);
    }
    world.records(2);
    assert!(!world.everything_written().contains("bWU6bXktbG9naW4="));
}

/// A world whose one secret has this source.
fn world_with_source(source: &str) -> World {
    Plan::of(&format!(
        "version: 1\nsecrets: {{token: {source}}}\nauth: {{api: {{type: bearer, token: {{secret: token}}}}}}\n\
         actions:\n  a: {{description: Takes a token., method: GET, url: https://api.good.test/a, auth: api}}\n"
    ))
    .reading_sources()
    .start()
}

#[test]
fn a_file_is_read_again_when_it_has_changed_and_never_guessed_when_it_is_gone() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    let world = world_with_source(&format!("{{file: {}}}", file.display()));
    let origin = world.origin("api.good.test", |_| json_reply("{}"));
    let mut expected = Vec::new();
    for (content, sent) in [
        (None, None),
        (Some("SECRET-1\n"), Some("Bearer SECRET-1")),
        (Some("SECRET-2"), Some("Bearer SECRET-2")),
        (Some("SECRET-3\r\n"), Some("Bearer SECRET-3")),
        (Some("SECRET-4\n\n"), None),
        (Some("SECRET-5\nX: y"), None),
        (Some(""), None),
        (Some("\n"), None),
        (Some("SECRET-6\0"), None),
        (None, None),
        (Some("SECRET-7"), Some("Bearer SECRET-7")),
    ] {
        match content {
            // By renaming, as Kubernetes and careful people do.
            Some(content) => {
                let aside = folder.path().join("aside");
                std::fs::write(&aside, content).unwrap();
                std::fs::rename(&aside, &file).unwrap();
            }
            None => {
                let _ = std::fs::remove_file(&file);
            }
        }
        let answer = get(&world, "/a", &[]);
        let code = if sent.is_some() {
            "none"
        } else {
            "secret_unavailable"
        };
        assert_eq!(answer.refusal(), code, "{content:?}: {}", answer.text());
        assert!(!answer.text().contains("SECRET") && !answer.text().contains("aside"));
        expected.extend(sent);
    }
    let seen = origin.seen();
    let sent: Vec<&str> = seen
        .iter()
        .flat_map(|it| it.header("authorization"))
        .collect();
    assert_eq!(sent, expected);
    world.records(11);
    assert!(!world.everything_written().contains("SECRET"));
}

#[test]
fn a_command_is_run_without_a_shell_and_what_it_says_besides_is_nobodys() {
    for (argv, sent) in [
        (
            r#"[printf, "%s", "SECRET;$HOME"]"#,
            Some("Bearer SECRET;$HOME"),
        ),
        (
            r#"[sh, -c, "echo SECRET; echo SECRET-NOISE >&2"]"#,
            Some("Bearer SECRET"),
        ),
        (r#"[sh, -c, "echo SECRET; exit 3"]"#, None),
        (r#"[sh, -c, "echo SECRET-NOISE >&2"]"#, None),
        (r#"[sh, -c, "printf 'SECRET\\nX: y'"]"#, None),
        (r#"[there-is-no-such-program, SECRET]"#, None),
    ] {
        let world = world_with_source(&format!("{{command: {argv}, ttl: 5m}}"));
        let origin = world.origin("api.good.test", |_| json_reply("{}"));
        let answer = get(&world, "/a", &[]);
        let code = if sent.is_some() {
            "none"
        } else {
            "secret_unavailable"
        };
        assert_eq!(answer.refusal(), code, "{argv}: {}", answer.text());
        let seen = origin.seen();
        let found = seen.iter().flat_map(|it| it.header("authorization"));
        assert_eq!(found.collect::<Vec<_>>(), Vec::from_iter(sent), "{argv}");
        world.record();
        let written = world.everything_written() + answer.text();
        assert!(!written.contains("SECRET"), "{argv}: {written}");
    }
}

#[test]
fn a_secret_of_one_environment_is_out_of_reach_in_another() {
    let policy = r#"
version: 1
environments: [production, staging]
secrets:
  key: {production: {env: EXEAT_TEST_NO_SUCH_VARIABLE}, staging: {command: [echo, SECRET-STAGING]}}
  production_token: {command: [echo, p]}
  staging_token: {command: [echo, s]}
auth: {api: {type: bearer, token: {secret: key}}}
actions:
  a: {description: Takes a token., method: GET, url: https://api.good.test/a, auth: api}
agents:
  p: {token: {secret: production_token}, environment: production, allow: [a]}
  s: {token: {secret: staging_token}, environment: staging, allow: [a]}
"#;
    let world = Plan::of(policy).reading_sources().start();
    let origin = world.origin("api.good.test", |_| json_reply("{}"));
    let login = |name: &str| {
        format!(
            "Proxy-Authorization: Basic {}",
            STANDARD.encode(format!("{name}:{name}"))
        )
    };
    assert_eq!(
        get(&world, "/a", &[&login("p")]).refusal(),
        "secret_unavailable"
    );
    assert_eq!(get(&world, "/a", &[&login("s")]).status, 200);
    assert_eq!(
        get(&world, "/a", &[&login("p")]).refusal(),
        "secret_unavailable"
    );
    assert_eq!(
        origin.only().header("authorization"),
        ["Bearer SECRET-STAGING"]
    );
}
