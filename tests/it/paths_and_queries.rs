//! What a path and a query may say: one spelling leaves, whatever came in, and nothing that reads in two ways. More of
//! the latter is in `attacks::content`.

use crate::world::{Plan, World, json_reply};

/// Every way in which a parameter can stand outside a body.
const POLICY: &str = r#"
version: 1
actions:
  get_item:
    description: Returns one item of the catalogue.
    method: GET
    url: https://api.good.test/v1/items/{{id}}
    parameters:
      properties:
        id: {type: string, pattern: "^[a-z0-9-]{1,64}$"}
        fields: {type: string, enum: [name, qty]}
      required: [id]
  get_featured:
    description: Returns the item of the week.
    enabled: false
    method: GET
    url: https://api.good.test/v1/items/featured
  get_file:
    description: Returns a file of the tree.
    method: GET
    url: https://api.good.test/files/v-{{version}}/{{path...}}
    parameters:
      properties: {version: {type: integer}, path: {type: string}}
      required: [version, path]
  search:
    description: Finds items by words and numbers.
    method: GET
    url: https://api.good.test/search
    query: {mode: json, q: "{{words}}", sort: "by-{{order}}"}
    headers: {X-Tenant: acme, X-Lang: "{{lang}}"}
    parameters:
      properties:
        words: {type: string}
        order: {type: string, default: name}
        lang: {type: string}
        tags: {type: array, items: {type: string}}
        limit: {type: integer}
        exact: {type: boolean}
  open_search:
    description: Finds items by anything at all.
    method: GET
    url: https://api.good.test/open
    query: {mode: json}
    parameters: {properties: {q: {type: string}}, additionalProperties: {type: string}}
"#;

fn world() -> World {
    Plan::of(POLICY).start()
}

/// Asks on the raw socket, since no client library would send most of this.
fn ask(world: &World, target: &str, headers: &str) -> crate::world::Answer {
    world.client().raw(&format!(
        "GET http://api.good.test{target} HTTP/1.1\r\nHost: api.good.test\r\n{headers}\r\n"
    ))
}

#[test]
fn every_spelling_of_a_request_leaves_as_the_same_bytes() {
    for (canonical, spellings) in [
        (
            "/v1/items/a-1?fields=name",
            &[
                "/v1/items/a-1?fields=name",
                "/v1/%69tems/%61-1?fields=name",
                "/v1/items/a%2D1?%66ields=n%61me",
                "/v1/items/a-1?fields=name&",
                "/v1/items/a-1?&fields=name",
            ][..],
        ),
        (
            "/v1/items/a-1",
            &["/v1/items/a-1", "/v1/items/a-1?", "/v1/items/a-1?&&"],
        ),
        (
            "/files/v-7/a%20b/~c/d",
            &["/files/v-7/a%20b/%7Ec/d", "/files/%76-7/a%20b/~c/%64"],
        ),
        (
            "/search?mode=json&q=a%20b%2Bc&sort=by-name",
            &[
                "/search?q=a+b%2Bc",
                "/search?q=a%20b%2bc&mode=json",
                "/search?sort=by-name&mode=json&q=a+b%2Bc",
            ],
        ),
        (
            "/search?mode=json&q=&sort=by-name",
            &["/search?q=", "/search?q"],
        ),
        (
            "/search?mode=json&sort=by-name&tags=a&tags=b&limit=10&exact=true",
            &[
                "/search?tags=a&exact=true&tags=b&limit=10",
                "/search?limit=10&tags=a&tags=b&exact=true",
            ],
        ),
    ] {
        for target in spellings {
            let world = world();
            let origin = world.origin("api.good.test", |_| json_reply("{}"));
            let answer = ask(&world, target, "");
            assert_eq!(answer.status, 200, "{target}: {answer:?}");
            let line = format!("GET {canonical} HTTP/1.1");
            assert_eq!(origin.only().line(), line, "{target}");
        }
    }
}

#[test]
fn what_reads_in_two_ways_leaves_in_none() {
    for (target, expected) in [
        ("/search?=a", "path_not_canonical"),
        ("/files/v-7/a//b", "path_not_canonical"),
        ("/files/v-7/a/../b", "path_not_canonical"),
        ("/files/v-7/a%2f..%2fb", "path_not_canonical"),
    ] {
        let world = world();
        let answer = ask(&world, target, "");
        assert_eq!(answer.refusal(), expected, "{target}: {answer:?}");
        assert_eq!(world.record()["code"], expected, "{target}");
        world.assert_nothing_left();
    }
}

#[test]
fn what_the_declaration_does_not_say_is_refused() {
    for (target, expected) in [
        ("/files/v-7/", "action_undeclared"),
        ("/files/7/a", "action_undeclared"),
        ("/files/v-/a", "action_undeclared"),
        ("/files/v-07/a", "parameter_invalid"),
        ("/files/v-1e1/a", "parameter_invalid"),
        ("/files/v-+1/a", "parameter_invalid"),
        ("/search?limit=010", "parameter_invalid"),
        ("/search?limit=10.0", "parameter_invalid"),
        ("/search?limit=-0", "parameter_invalid"),
        ("/search?limit=", "parameter_invalid"),
        ("/search?exact=True", "parameter_invalid"),
        ("/search?exact=1", "parameter_invalid"),
        ("/search?mode=xml", "parameter_invalid"),
        ("/search?sort=name", "parameter_invalid"),
        ("/search?mode=json&mode=json", "parameter_duplicate"),
        ("/search?q=a&q=a", "parameter_duplicate"),
        ("/search?limit=1&limit=1", "parameter_duplicate"),
        ("/search?words=a", "parameter_undeclared"),
        ("/search?order=name", "parameter_undeclared"),
        ("/search?lang=en", "parameter_undeclared"),
        ("/search?MODE=json", "parameter_undeclared"),
        ("/search?tags[]=a", "parameter_undeclared"),
        ("/search?tags%5B%5D=a", "parameter_undeclared"),
    ] {
        let world = world();
        let answer = ask(&world, target, "");
        assert_eq!(answer.refusal(), expected, "{target}: {answer:?}");
        world.assert_nothing_left();
    }
}

#[test]
fn a_literal_in_the_query_is_never_joined_by_another_reading_of_its_name() {
    for target in [
        "/open?mode=xml",
        "/open?MODE=xml",
        "/open?mod%45=xml",
        "/open?Q=a",
        "/open?q=a&Q=b",
        "/open?x=1&X=2",
    ] {
        let world = world();
        let answer = ask(&world, target, "");
        assert!([400, 403].contains(&answer.status), "{target}: {answer:?}");
        world.assert_nothing_left();
    }
    let world = world();
    let origin = world.origin("api.good.test", |_| json_reply("{}"));
    assert_eq!(ask(&world, "/open?z=1&q=a&b=2", "").status, 200);
    assert_eq!(
        origin.only().line(),
        "GET /open?mode=json&q=a&b=2&z=1 HTTP/1.1"
    );
}

#[test]
fn a_literal_path_beats_a_placeholder_even_when_it_is_switched_off() {
    for target in ["/v1/items/featured", "/v1/items/f%65atured"] {
        let world = world();
        let answer = ask(&world, target, "");
        assert_eq!(answer.refusal(), "action_disabled", "{target}: {answer:?}");
        world.assert_nothing_left();
    }
}

#[test]
fn a_declared_header_is_ours_or_its_parameter() {
    let world = world();
    let origin = world.origin("api.good.test", |_| json_reply("{}"));
    let headers = "X-Tenant: evil\r\nX-Tenant: worse\r\nX-Lang: en\r\n";
    assert_eq!(ask(&world, "/search", headers).status, 200);
    let seen = origin.only();
    assert_eq!(seen.header("x-tenant"), ["acme"]);
    assert_eq!(seen.header("x-lang"), ["en"]);
    for (headers, expected) in [
        ("X-Lang: en\r\nX-Lang: de\r\n", "parameter_duplicate"),
        ("X-Lang: a\tb\r\n", "request_malformed"),
        ("X-Lang: \u{e9}\r\n", "request_malformed"),
    ] {
        let world = self::world();
        let answer = ask(&world, "/search", headers);
        assert_eq!(answer.refusal(), expected, "{headers:?}: {answer:?}");
        world.assert_nothing_left();
    }
}

#[test]
fn only_accepted_headers_go_through_and_the_rest_is_named_in_the_record() {
    let world = world();
    let origin = world.origin("api.good.test", |_| json_reply("{}"));
    let headers = "Accept: text/x\r\nAccept-Language: de\r\nUser-Agent: me\r\nIf-None-Match: \"e\"\r\n\
        Cookie: a=b\r\nX-Forwarded-Host: evil.test\r\nX-HTTP-Method-Override: DELETE\r\n\
        X-Original-URL: /admin\r\nRange: bytes=0-1\r\nbaggage: k=v\r\nAccept-Encoding: gzip\r\n";
    let answer = ask(&world, "/search", headers);
    assert_eq!(answer.status, 200, "{}", answer.text());
    let seen = origin.only();
    assert_eq!(seen.header("accept"), ["text/x"]);
    assert_eq!(seen.header("accept-language"), ["de"]);
    assert_eq!(seen.header("user-agent"), ["me"]);
    assert_eq!(seen.header("if-none-match"), ["\"e\""]);
    assert_eq!(seen.header("accept-encoding"), ["identity"]);
    let record = world.record();
    let dropped: Vec<&str> = record["dropped"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| it.as_str().unwrap())
        .collect();
    for name in [
        "cookie",
        "x-forwarded-host",
        "x-http-method-override",
        "x-original-url",
        "range",
        "baggage",
    ] {
        assert_eq!(seen.header(name), [""; 0], "{name}");
        assert!(dropped.contains(&name), "{name}: {dropped:?}");
    }
}
