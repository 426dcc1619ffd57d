//! What is told of a policy, and what comes of one that is good.

use proptest::prelude::*;

use super::*;
use crate::credential::ClientAuth;
use crate::name::{ConnectorName, SecretName};
use crate::policy::{Reach, SecretSource};
use crate::problem::Style;

/// What is told, as `line:column message`.
fn told(loaded: &Loaded) -> Vec<String> {
    let problems = loaded.problems.clone().sorted();
    let line = |it: &crate::problem::Problem| {
        let place = it.place();
        format!("{}:{} {}", place.line(), place.column(), it.message())
    };
    problems.iter().map(line).collect()
}

fn read(text: &str) -> Loaded {
    from_texts(&[("p.yaml".to_owned(), text.as_bytes().to_vec())])
}

/// What is told of an action with these lines beside `description` and `method`. They start at line 15.
fn of_action(lines: &str) -> Vec<String> {
    let lines = lines.replace('\n', "\n    ");
    told(&read(&format!(
        "{AROUND}  a:\n    description: Does it for you.\n    {lines}\n"
    )))
}

/// Twelve lines of what actions refer to.
const AROUND: &str = r#"version: 1
secrets: {s: {env: S}}
static_variables: {WORD: word, SLASH: a/b}
auth:
  bearer: {type: bearer, token: {secret: s}}
  header: {type: api_key, in: header, name: X-Key, value: {secret: s}}
  query: {type: api_key, in: query, name: appid, value: {secret: s}}
  cookie: {type: api_key, in: cookie, name: sid, value: {secret: s}}
connections:
  c: {base_url: https://api.example.com/v1/, auth: bearer, headers: {X-From: "{{agent_id}}"}}
  clear: {base_url: "http://api.example.org"}
actions:
"#;

const PARAMETERS: &str = "parameters: {type: object, properties: {id: {type: string}, n: {type: integer}, \
     list: {type: array, items: {type: string}}, object: {type: object, properties: {x: {type: string}}}}, required: [id]}";

#[test]
fn the_policy_of_the_attack_world_loads() {
    let loaded = read(ATTACK);
    assert_eq!(told(&loaded), [""; 0]);
    let policy = loaded.policy.unwrap();
    assert_eq!(policy.environments()[0].actions.len(), 5);
}

const ATTACK: &str = r#"version: 1
secrets:
  a: {env: A}
  b: {env: B}
auth:
  good: {type: bearer, token: {secret: a}}
  two: {type: api_key, in: query, name: key, value: {secret: b}, placeholder: none-here}
actions:
  get_item:
    description: Gets one item by its identifier.
    url: https://api.good.test/v1/items/{{id}}
    method: GET
    auth: good
    parameters:
      type: object
      properties:
        id: {type: string, pattern: "^[a-z0-9-]{1,64}$"}
        fields: {enum: [name, qty]}
      required: [id]
  create_item:
    description: Creates one item.
    url: https://api.good.test/v1/items
    method: POST
    auth: good
    parameters:
      type: object
      properties:
        name: {type: string, maxLength: 100}
        qty: {type: integer, minimum: 0, maximum: 1000}
      required: [name, qty]
  stream:
    description: Streams events of the API.
    url: https://api.good.test/v1/stream
    method: GET
    auth: good
    stream: true
  two:
    description: Shows who is asking.
    url: https://api.two.test/me
    method: GET
    auth: two
  wild:
    description: Gets one public file.
    url: https://*.wild.test/pub/{{f}}
    method: GET
    parameters: {type: object, properties: {f: {type: string}}, required: [f]}
"#;

#[test]
fn mistakes_of_an_action_are_told_at_their_places() {
    for (lines, expected) in OF_ACTION {
        let lines = lines.replace("$P", PARAMETERS);
        assert_eq!(of_action(&lines), *expected, "{lines}");
    }
}

#[test]
fn mistakes_of_other_sections_are_told_at_their_places() {
    for (lines, expected) in OF_SECTIONS {
        let text = format!("version: 1\n{lines}\n{TWO_ACTIONS}");
        assert_eq!(told(&read(&text)), *expected, "{lines}");
    }
}

#[test]
fn actions_that_clash_are_told_at_the_second() {
    for (actions, expected) in OF_ACTIONS {
        let loaded = read(&format!("version: 1\nactions:\n{actions}\n"));
        assert_eq!(told(&loaded), *expected, "{actions}");
    }
}

/// Fields of an action from line 15 on, and what is told of them. `$P` are [`PARAMETERS`].
const OF_ACTION: &[(&str, &[&str])] = &[
    (
        r#"method: GET
url: https://h.example.com/a"#,
        &[],
    ),
    (
        r#"method: GET"#,
        &["13:3 an action needs `url`, or `connection` and `path`"],
    ),
    (
        r#"method: GET
url: https://h.example.com/a
connection: c"#,
        &["17:17 an action has `url` or `connection`, not both"],
    ),
    (
        r#"method: GET
url: https://h.example.com/a
path: /b"#,
        &["17:11 `path` belongs to `connection`"],
    ),
    (
        r#"method: GET
connection: d
path: /b"#,
        &["16:17 no connection `d` is declared"],
    ),
    (
        r#"method: GET
connection: c
path: b"#,
        &[],
    ),
    (
        r#"method: GET
connection: c"#,
        &[],
    ),
    (
        r#"method: GET
connection: c
path: /b?x=1"#,
        &["17:13 `?` and `#` do not belong in a path; query parameters go under `query`"],
    ),
    (
        r#"method: GET
connection: c
path: /b//c"#,
        &["17:14 a path has no empty segment (`//`)"],
    ),
    (
        r#"method: GET
connection: c
path: //c"#,
        &["17:12 a path has no empty segment (`//`)"],
    ),
    (
        r#"method: GET
connection: c
path: /b/{{nope}}/c"#,
        &[
            "17:16 `nope` is neither a declared parameter nor a built-in name or variable of the context",
        ],
    ),
    (
        r#"method: GET
connection: c
path: /b/{{.static_variables.SLASH}}/c"#,
        &["17:14 a path has no encoded `/` or `\\`"],
    ),
    (
        r#"method: GET
connection: c
path: /b/{{.static_variables.WORD}}/c"#,
        &[],
    ),
    (
        r#"method: GET
connection: c
path: /b
auth: bearr"#,
        &["18:11 no auth connector `bearr` is declared"],
    ),
    (
        r#"method: GET
connection: c
path: /b
auth: none"#,
        &[],
    ),
    (
        r#"method: GET
url: http://h.example.com/"#,
        &["16:10 with `http://` everybody on the way can read and change the requests"],
    ),
    (
        r#"method: GET
url: http://h.example.com/
allow_http: true"#,
        &[],
    ),
    (
        r#"method: GET
url: http://h.example.com/
allow_http: true
auth: bearer"#,
        &["16:10 a secret would go out over `http://`, readable on the way"],
    ),
    (
        r#"method: GET
connection: clear
allow_http: true
headers: {X-Key: {secret: s}}"#,
        &["16:17 a secret would go out over `http://`, readable on the way"],
    ),
    (
        r#"method: GET
connection: clear
allow_http: true"#,
        &[],
    ),
    (
        r#"method: GET
connection: clear"#,
        &["16:17 with `http://` everybody on the way can read and change the requests"],
    ),
    (
        r#"method: GET
url: https://*.example.com/
auth: bearer"#,
        &["16:10 a secret would go to every host that `*` stands for"],
    ),
    (
        r#"method: GET
url: https://*.example.com/
doors: [proxy, mcp]"#,
        &["17:20 a tool call cannot choose the host for `*`"],
    ),
    (
        r#"method: GET
url: https://*.com/"#,
        &["16:18 `*.com` takes in the hosts of many owners: `com` is a public suffix"],
    ),
    (
        r#"method: GET
url: https://*.test/"#,
        &["16:18 `*.test` takes in the hosts of many owners: `test` is a public suffix"],
    ),
    (
        r#"method: GET
url: https://*.co.uk/"#,
        &["16:18 `*.co.uk` takes in the hosts of many owners: `co.uk` is a public suffix"],
    ),
    (
        r#"method: GET
url: https://*.github.io/"#,
        &["16:18 `*.github.io` takes in the hosts of many owners: `github.io` is a public suffix"],
    ),
    (
        r#"method: GET
url: https://co.uk/"#,
        &["16:18 `co.uk` is a public suffix, not a host"],
    ),
    (
        r#"method: GET
url: https://s3.amazonaws.com/"#,
        &[],
    ),
    (
        r#"method: GET
url: https://localhost/"#,
        &["16:18 `localhost` is not a full name: it means another host in another network"],
    ),
    (
        r#"method: GET
url: https://crm.internal/"#,
        &[],
    ),
    (
        r#"method: GET
url: https://*/"#,
        &["16:18 `*` would open the whole internet"],
    ),
    (
        r#"method: GET
url: https://{{id}}.example.com/"#,
        &["16:18 a host has no placeholders: it decides who gets the credentials"],
    ),
    (
        r#"method: GET
url: https://10.0.0.1/"#,
        &["16:18 an IP address is not a host"],
    ),
    (
        r#"method: GET
url: "https://[::1]/""#,
        &["16:19 an IP address is not a host"],
    ),
    (
        r#"method: GET
url: https://bücher.test/"#,
        &["16:18 a host is written in ASCII; an international name in its `xn--` form"],
    ),
    (
        r#"method: GET
url: API.Example.Com./x"#,
        &[],
    ),
    (
        r#"method: GET
url: ftp://h.example.com/x"#,
        &["16:10 `ftp` is not a scheme that exeat speaks"],
    ),
    (
        r#"method: GET
url: https:/h.example.com/x"#,
        &["16:10 a URL has `//` after its scheme"],
    ),
    (
        r#"method: GET
url: http:h.example.com/x"#,
        &["16:10 a URL has `//` after its scheme"],
    ),
    (
        r#"method: GET
url: https://u:p@h.example.com/x"#,
        &["16:10 user information before a host stands in the policy (secret_in_policy)"],
    ),
    (
        r#"method: GET
url: https://h.example.com:0443/x"#,
        &["16:18 a port is a number from 1 to 65535, without leading zero"],
    ),
    (
        r#"method: GET
url: https://h.example.com?x=1"#,
        &["16:31 a URL here has neither query nor fragment"],
    ),
    (
        r#"method: GET
url: https://h.example.com/a?x=1"#,
        &["16:33 `?` and `#` do not belong in a path; query parameters go under `query`"],
    ),
    (
        r#"method: GET
url: /a"#,
        &["16:10 a URL names its host"],
    ),
    (
        r#"method: GET
url: """#,
        &["16:10 a URL names its host"],
    ),
    (
        r#"method: GET
url: https://h.example.com/{{n}}
$P"#,
        &["16:32 `n` may be missing, and the path cannot do without it"],
    ),
    (
        r#"method: GET
url: https://h.example.com/{{id}}/{{id}}
$P"#,
        &["16:39 `id` stands in two segments"],
    ),
    (
        r#"method: GET
url: https://h.example.com/{{list}}
$P"#,
        &["16:32 `list` is not a single value, and cannot stand in a path"],
    ),
    (
        r#"method: POST
url: https://h.example.com/a
query: {q: "{{list}}", r: "x{{n}}", t: "{{object}}", u: "{{id}}{{n}}"}
$P"#,
        &[
            "17:31 `n` may be missing, and there is text beside it",
            "17:44 `object` is not a single value, and cannot stand here",
            "17:61 `n` may be missing, and there is text beside it",
        ],
    ),
    (
        r#"method: POST
url: https://h.example.com/a
query: {q: "{{if .parameters.n}}{{n}}{{end}}", r: "{{id}}-{{if eq id \"x\"}}{{n}}{{end}}", s: "{{if .parameters.list}}{{list}}{{end}}", t: "{{.parameters.object.x}} "}
$P"#,
        &[
            "17:13 this action has no proxy door: a value that is computed from a parameter, or stands beside one cannot be taken apart again",
            "17:55 `n` may be missing here",
            "17:123 `list` may be a list or an object, and stands inside a text",
            "17:145 `object.x` may be missing here",
        ],
    ),
    (
        r#"method: POST
url: https://h.example.com/a
query: {q: "{{id}} {{.parameters.id}}"}
$P"#,
        &[
            "17:13 this action has no proxy door: more than one parameter in one entry cannot be taken apart again",
        ],
    ),
    (
        r#"method: POST
url: https://h.example.com/a
query: {q: "{{id}} {{current_datetime}}"}
doors: [proxy, http]
$P"#,
        &[
            "18:13 the proxy door is closed: a parameter beside the time cannot be taken apart again",
        ],
    ),
    (
        r#"method: POST
url: https://h.example.com/a
headers: {X-A: "{{.parameters.object.x}}", X-B: "{{if id}}ü{{end}}", X-C: "{{range id}}{{end}}"}
$P"#,
        &[
            "17:53 a header's value is printable ASCII, without spaces at its ends",
            "17:80 `range` is not part of the template language",
        ],
    ),
    (
        r#"method: POST
url: https://h.example.com/a
headers: {X-Api-Key: '{{if eq environment "default"}}abc{{else}}def{{end}}'}"#,
        &["17:26 the value of `x-api-key` stands in the policy (secret_in_policy)"],
    ),
    (
        r#"method: GET
url: https://h.example.com/{{.parameters.object.x}}
$P"#,
        &[
            "16:32 a segment prints a whole parameter; give what stands in the path a name of its own",
        ],
    ),
    (
        r#"method: POST
url: https://h.example.com/a
headers: {X-A: "{{list}}", X-B: "x{{n}}", X-C: " x", X-D: "ü", X-E: "{{n}}"}
$P"#,
        &[
            "17:20 `list` is not a single value, and cannot stand here",
            "17:37 `n` may be missing, and there is text beside it",
            "17:52 a header's value is printable ASCII, without spaces at its ends",
            "17:63 a header's value is printable ASCII, without spaces at its ends",
        ],
    ),
    (
        r#"method: GET
url: https://h.example.com/a
$P"#,
        &["17:129 `object` would stand in the query, and is not a scalar"],
    ),
    (
        r#"method: POST
url: https://h.example.com/a
$P"#,
        &[],
    ),
    (
        r#"method: POST
url: https://h.example.com/a
accept_body: any
$P"#,
        &[
            "18:45 `id` is used nowhere: the body is not made from parameters",
            "18:65 `n` is used nowhere: the body is not made from parameters",
            "18:85 `list` is used nowhere: the body is not made from parameters",
            "18:129 `object` is used nowhere: the body is not made from parameters",
        ],
    ),
    (
        r#"method: POST
url: https://h.example.com/a
accept_body: any
doors: [proxy, http]"#,
        &["18:20 a tool call has no body to pass on"],
    ),
    (
        r#"method: GET
url: https://h.example.com/a
accept_body: any"#,
        &["17:18 GET has no body"],
    ),
    (
        r#"method: POST
url: https://h.example.com/a
accept_body: {type: object, propertys: {}}"#,
        &["17:33 propertys is not a keyword of JSON Schema"],
    ),
    (
        r#"method: POST
url: https://h.example.com/a
accept_body: {type: object}
content_types: [text/plain]"#,
        &["18:21 a body with a schema is JSON"],
    ),
    (
        r#"method: GET
url: https://h.example.com/a
content_types: [application/json]"#,
        &["17:20 GET sends no body"],
    ),
    (
        r#"method: POST
url: https://h.example.com/a
content_types: [text/xml, application/x-www-form-urlencoded, application/merge-patch+json, json, application/json, application/json]
$P"#,
        &[
            "17:21 parameters are sent as JSON or as a form",
            "17:31 a form has scalars and lists of scalars only, all of them declared",
            "17:96 `json` is not a media type",
            "17:120 `application/json` stands here twice",
        ],
    ),
    (
        r#"method: POST
url: https://h.example.com/a
headers: {Host: x, Content-Length: 1, Proxy-X: 1, exeat-x: 1, X_Y: 1, "a b": 1, accept: x, Accept: x}"#,
        &[
            "17:15 the header `host` cannot be declared",
            "17:24 the header `content-length` cannot be declared",
            "17:43 the header `proxy-x` cannot be declared",
            "17:55 the header `exeat-x` cannot be declared",
            "17:75 `a b` is not the name of a header",
            "17:96 `Accept` is declared twice, in another case",
        ],
    ),
    (
        r#"method: POST
url: https://h.example.com/a
headers: {Authorization: Bearer abc, X-Api-Key: x}
query: {api_key: x, token: ""}"#,
        &[
            "17:30 the value of `authorization` stands in the policy (secret_in_policy)",
            "17:53 the value of `x-api-key` stands in the policy (secret_in_policy)",
            "18:22 the value of `api_key` stands in the policy (secret_in_policy)",
            "18:32 the value of `token` stands in the policy (secret_in_policy)",
        ],
    ),
    (
        r#"method: POST
url: https://h.example.com/a
headers: {Authorization: "Bearer abc-{{environment}}", X-Api-Key: "{{environment}}"}
query: {api_key: "abc{{environment}}"}"#,
        &[
            "17:30 the value of `authorization` stands in the policy (secret_in_policy)",
            "18:22 the value of `api_key` stands in the policy (secret_in_policy)",
        ],
    ),
    (
        r#"method: GET
connection: c
headers: {authorization: {secret: s}}"#,
        &["17:15 the header `authorization` belongs to the auth connector"],
    ),
    (
        r#"method: GET
url: https://h.example.com/a
auth: query
query: {AppId: x}"#,
        &["18:13 the query parameter `AppId` belongs to the auth connector"],
    ),
    (
        r#"method: GET
url: https://h.example.com/a
auth: cookie
headers: {Cookie: {secret: s}}"#,
        &["18:15 the header `Cookie` belongs to the auth connector"],
    ),
    (
        r#"method: GET
url: https://h.example.com/a
auth: query
parameters: {type: object, properties: {appid: {type: string}}}"#,
        &["18:45 `appid` would stand in the query beside another `appid`"],
    ),
    (
        r#"method: GET
url: https://h.example.com/a
query: {q: "{{x}}"}
parameters: {type: object, properties: {x: {type: string}, q: {type: string}}}"#,
        &["18:64 `q` would stand in the query beside another `q`"],
    ),
    (
        r#"method: GET
url: https://h.example.com/a
accept_headers: [X-Trace, Cookie, Authorization, X-Forwarded-For, Range, Connection, "X-*", X_Trace]"#,
        &[
            "17:31 the header `cookie` cannot be let through",
            "17:39 the header `authorization` cannot be let through",
            "17:54 the header `x-forwarded-for` cannot be let through",
            "17:71 the header `range` cannot be let through",
            "17:78 the header `connection` cannot be let through",
            "17:90 `X-*` is not the name of a header",
            "17:97 the header `x_trace` cannot be let through",
        ],
    ),
    (
        r#"method: GET
url: https://h.example.com/a
auth: header
accept_headers: [x-key]"#,
        &["18:22 the header `x-key` is where a credential stands"],
    ),
    (
        r#"method: POST
url: https://h.example.com/a
upgrade: websocket
body: "{}"
content_types: [application/json]
trailers: true
outputs: {a.b: {path: $.b}}
doors: [proxy, http, mcp]"#,
        &[
            "15:13 a WebSocket is opened with GET",
            "18:11 the handshake of a WebSocket has no body",
            "19:20 the handshake of a WebSocket has no body",
            "20:15 a WebSocket has no trailers",
            "21:14 a WebSocket has no reply in which anything could be read",
            "22:20 a tool call has one answer, and cannot hold a WebSocket open",
            "22:26 a tool call has one answer, and cannot hold a WebSocket open",
        ],
    ),
    (
        r#"method: GET
url: https://h.example.com/a
upgrade: websocket
success: {path: $.ok, equals: true}
headers: {Sec-WebSocket-Key: x}
accept_headers: [Sec-WebSocket-Extensions]"#,
        &[
            "18:21 a WebSocket has no reply in which anything could be read",
            "19:15 the header `sec-websocket-key` cannot be declared",
            "20:22 the header `sec-websocket-extensions` cannot be let through",
        ],
    ),
    (
        r#"method: GET
url: https://h.example.com/a
trailers: true
response: {fields: [$.a]}"#,
        &["17:15 a reply that is read whole goes on without trailers"],
    ),
    (
        r#"method: GET
url: https://h.example.com/a
parameters: {type: array}"#,
        &["17:24 parameters are the properties of an object"],
    ),
    (
        r#"method: GET
url: https://h.example.com/a
parameters: {type: object, properties: {x: {type: strin}, y: {$ref: "http://a/b"}, z: {maxlength: 1}}}"#,
        &[
            "17:55 properties.x.type must be one of array, boolean, integer, null, number, object, string",
            "17:73 only references into the same schema are followed",
            "17:92 maxlength is not a keyword of JSON Schema",
        ],
    ),
    (
        r#"method: POST
url: https://h.example.com/a
headers: {Content-Type: application/json}
parameters: {type: object, properties: {x: {type: string}}}"#,
        &[],
    ),
    (
        r#"method: POST
url: https://h.example.com/a
headers: {Content-Type: text/plain}
parameters: {type: object, properties: {x: {type: string}}}"#,
        &["17:15 the media type of a body follows from the body"],
    ),
    (
        r#"method: GET
url: https://h.example.com/a
headers: {X-A: {secret: nope}, X-B: {secret: s, prefix: "Tü"}}"#,
        &[
            "17:29 no secret `nope` is declared",
            "17:61 a prefix has only printable ASCII characters",
        ],
    ),
    (
        r#"method: GET
url: https://h.example.com/a
doors: [http, proxy, http]"#,
        &["17:26 `http` stands here twice"],
    ),
    (
        r#"method: GET
url: https://h.example.com/a
hints: {}"#,
        &["17:12 `hints` says nothing"],
    ),
    (
        r#"method: POST
url: https://h.example.com/a
hints: {read_only: true, destructive: true}"#,
        &["17:43 what changes nothing is not destructive"],
    ),
    (
        r#"method: GET
url: https://h.example.com/a
hints: {destructive: true}"#,
        &["17:26 what changes nothing is not destructive"],
    ),
    (
        r#"method: POST
url: https://h.example.com/a
hints: {read_only: true, idempotent: false}"#,
        &["17:42 what changes nothing is idempotent"],
    ),
    (
        r#"method: GET
url: https://h.example.com/a
hints: {idempotent: false}"#,
        &[],
    ),
    (
        r#"method: POST
url: https://h.example.com/a
sensitive: [idd, nothing, "$", "$.object.y", "$.object.x", "$.list[0]", "$.list[1:]", "$.no"]
$P"#,
        &[
            "17:17 no parameter `idd` is declared",
            "17:22 no parameter `nothing` is declared",
            "17:31 this is no parameter",
            "17:36 no property `object.y` is declared",
            "17:77 only names, indexes and `[*]` can stand here",
            "17:91 no parameter `no` is declared",
        ],
    ),
    (
        r#"method: POST
url: https://h.example.com/a
query_style: comma
$P"#,
        &["17:18 no list stands in the query"],
    ),
    (
        r#"method: GET
url: https://h.example.com/a
query: {"Tags[]": x}
query_style: brackets
parameters: {properties: {tags: {type: array, items: {type: string}}}}"#,
        &["18:18 the list `tags` would be sent as `tags[]`, beside another `tags[]`"],
    ),
    (
        r#"method: GET
url: https://h.example.com/a
query_style: pipes"#,
        &["17:18 expected `comma` or `brackets`, found `pipes`"],
    ),
    (
        r#"method: GET
url: https://h.example.com/a
success: {path: $.ok, equals: true}
outputs: {order.id: {path: $.order.di}, order.at: {path: $.order.at}, first: {path: "$.items[0]"}}
response: {fields: [$.order], shape: {x: $.order.id, y: $.order.none}}
outcomes: [{name: gone, path: $.error, exists: true}, {name: old, path: $.odrer.id, equals: 1}]
response_example: {status: 201, headers: {X-A: b}, body: {ok: true, order: {id: 7, at: x}, items: []}}"#,
        &[
            "18:32 `$.order.di` selects nothing in `response_example`",
            "18:89 `$.items[0]` selects nothing in `response_example`",
            "19:61 `$.order.none` selects nothing in `response_example`",
            "20:77 `$.odrer.id` selects nothing in `response_example`",
        ],
    ),
    (
        r#"method: GET
url: https://h.example.com/a
success: {path: $.verified, equals: true}
response_example: {body: {verifed: true}}"#,
        &["17:21 `$.verified` selects nothing in `response_example`"],
    ),
    (
        r#"method: GET
url: https://h.example.com/a
outputs: {x: {path: $.x}}
response_example: {status: 404, body: {}}"#,
        &["18:23 this reply is no success: the paths of `outputs` and `response` are not run"],
    ),
    (
        r#"method: GET
url: https://h.example.com/a
response_example: {status: 2xx, body: {key: sk_live_0123456789abcdef}, x: 1}"#,
        &[
            "17:32 `2xx` is not the status of a reply",
            "17:43 something with the shape of a Stripe key stands in the policy (secret_in_policy)",
            "17:76 unknown field `x` in an example of a reply",
        ],
    ),
    (
        r#"method: GET
url: https://h.example.com/a
doors: []"#,
        &["17:12 this action has no door"],
    ),
];

/// Sections before [`TWO_ACTIONS`], and what is told of them.
const OF_SECTIONS: &[(&str, &[&str])] = &[
    (r#"environments: []"#, &["2:15 `environments` names none"]),
    (
        r#"environments: [p, q, p, a b]"#,
        &[
            "2:22 `p` is declared twice",
            "2:25 a name has only letters, digits, `_` and `-`, not ' '",
        ],
    ),
    (
        r#"environments: [p, q]
static_variables: {X: {p: 1}, Y: {p: 1, r: 2}, a-b: 1}"#,
        &[
            "3:23 no value for `q`",
            "3:41 no environment `r` is declared",
            "3:48 a static variable has only letters, digits and `_` in its name",
        ],
    ),
    (
        r#"static_variables: {X: {p: 1}}"#,
        &["2:24 no environment `p` is declared"],
    ),
    (
        r#"secrets: {s: {env: S}, "t u": {env: ""}, v: {default: {env: X}, other: {file: ""}}}"#,
        &[
            "2:11 the secret `s` is not used",
            "2:24 a name has only letters, digits, `_` and `-`, not ' '",
            "2:24 the secret `t u` is not used",
            "2:37 this cannot be the name of an environment variable",
            "2:42 the secret `v` is not used",
            "2:65 no environment `other` is declared",
        ],
    ),
    (
        r#"secrets: {s: {env: S}}"#,
        &["2:11 the secret `s` is not used"],
    ),
    (
        r#"environments: [p, q]
secrets: {s: {p: {env: S}}}
auth: {x: {type: bearer, token: {secret: s}}}"#,
        &["4:42 the secret `s` has no source in `q`"],
    ),
    (
        r#"environments: [p, q]
secrets: {s: {env: S}}
auth: {x: {type: bearer, token: {p: {secret: s}}}}"#,
        &["4:33 no value for `q`"],
    ),
    (
        r#"environments: [p, q]
secrets: {s: {env: S}}
auth: {x: {type: bearer, token: {p: {secret: s}, qq: {secret: t}}}}"#,
        &["4:50 no environment `qq` is declared"],
    ),
    (
        r#"auth: {x: {type: bearer, token: abc}}"#,
        &["2:33 the token stands in the policy (secret_in_policy)"],
    ),
    (
        r#"secrets: {s: {env: S}}
auth: {x: {type: basic, username: "a:b", password: {secret: s}}}"#,
        &["3:35 a user name contains no `:`, which ends it (RFC 7617)"],
    ),
    (
        r#"secrets: {s: {env: S}}
auth: {x: {type: basic, username: {secret: s}, password: ""}}"#,
        &[],
    ),
    (
        r#"secrets: {s: {env: S}}
auth: {x: {type: basic, username: me, password: ""}, y: {type: basic, username: "{{environment}}", password: {secret: s, prefix: x}}}"#,
        &[
            "3:49 the password stands in the policy (secret_in_policy)",
            "3:81 only plain text and static variables can stand here",
            "3:130 the password has no prefix in a `basic` connector",
        ],
    ),
    (
        r#"secrets: {s: {env: S}}
auth: {x: {type: api_key, in: header, name: Host, value: {secret: s}}, y: {type: api_key, in: header, name: cookie, value: {secret: s}}, z: {type: api_key, in: cookie, name: "a=b", value: {secret: s}}, q: {type: api_key, in: query, name: "", value: abc}}"#,
        &[
            "3:45 the header `host` cannot be declared",
            "3:109 a cookie has a name of its own",
            "3:175 `a=b` is not the name of a cookie",
            "3:239 a query parameter has a name, without control characters",
            "3:250 the key stands in the policy (secret_in_policy)",
        ],
    ),
    (
        r#"secrets: {s: {env: S}}
auth: {x: {type: bearer, token: {secret: s}, placeholder: short}}"#,
        &[
            "3:59 a placeholder has at least 8 characters: letters, digits and signs, but no `\"` or `\\`",
        ],
    ),
    (
        r#"secrets: {sx: {env: S}}
auth: {x: {type: bearer, token: {secret: xs}}}"#,
        &[
            "2:11 the secret `sx` is not used",
            "3:42 no secret `xs` is declared",
        ],
    ),
    (
        r#"connections: {c: {base_url: "https://h.example.com/{{x}}"}, d: {base_url: "https://h.example.com/a//b"}, e: {base_url: "https://h.example.com/a?x"}, f: {base_url: https://h.example.com, auth: nope, headers: {Host: x, X-A: "{{range}}", Cookie: a=b}}}"#,
        &[
            "2:29 a base URL has no placeholders",
            "2:100 a path has no empty segment (`//`)",
            "2:144 `?` and `#` do not belong in a path; query parameters go under `query`",
            "2:193 no auth connector `nope` is declared",
            "2:209 the header `host` cannot be declared",
            "2:224 `range` is not part of the template language",
            "2:244 the value of `cookie` stands in the policy (secret_in_policy)",
        ],
    ),
    (
        r#"environments: [p, q]
connections: {c: {base_url: {p: https://h.example.com}, timeout: {p: 1s}}}"#,
        &["3:29 no value for `q`", "3:66 no value for `q`"],
    ),
    (
        r#"secrets: {s: {env: S}}
agents: {x: {token: {secret: s}, allow: [a, "b*", aa, "c*"]}, y: {token: {secret: t}, environment: prod, allow: []}}"#,
        &[
            "3:51 no action `aa` is declared",
            "3:55 the pattern `c*` fits no action",
            "3:83 no secret `t` is declared",
            "3:100 no environment `prod` is declared",
            "3:113 this agent may use no action",
        ],
    ),
    (
        r#"tunnels: {t: {hosts: [pypi.org, "*.pypi.org", "*", localhost]}, u: {hosts: [pypi.org], ports: [443, 80]}, v: {hosts: [], ports: []}}"#,
        &[
            "2:47 `*` would open the whole internet",
            "2:52 `localhost` is not a full name: it means another host in another network",
            "2:77 `pypi.org:443` is declared twice",
            "2:118 this tunnel has no host",
            "2:129 this tunnel has no port",
        ],
    ),
    (
        r#"tunnels: {t: {hosts: [h.example.com]}, u: {hosts: ["*.example.com"]}}"#,
        &["4:56 `h.example.com:443` is also a tunnel's, which would pass requests unopened"],
    ),
    (
        r#"tunnels: {t: {hosts: [h.example.com], ports: [22]}}"#,
        &[],
    ),
    (
        r#"network: {allow_private: [{host: h.example.com, addresses: [10.0.0.0/24, 10.0.0.1/24, x, 169.254.169.254, 10.0.0.7], port: 443}, {host: "*.example.com", addresses: [10.0.0.0/8], port: 443}]}"#,
        &[
            "2:74 `10.0.0.1/24` has bits behind its prefix",
            "2:87 `x` is not a network",
            "2:90 a cloud's metadata address is never opened",
            "2:137 an exemption is for one host, without `*`",
        ],
    ),
    (
        r#"network: {deny: [10.0.0.53, 10.0.0.0/8, "::/0", 10.0.0.1/24, x], nat64: ["2001:67c:64::/96", "2001:67c::/33", "2001:67c::1/96", 10.0.0.0/8, x]}"#,
        &[
            "2:49 `10.0.0.1/24` has bits behind its prefix",
            "2:62 `x` is not a network",
            "2:94 `2001:67c::/33` is not a prefix of NAT64",
            "2:111 `2001:67c::1/96` is not a prefix of NAT64",
            "2:129 `10.0.0.0/8` is not a prefix of NAT64",
            "2:141 `x` is not a prefix of NAT64",
        ],
    ),
    (
        r#"network: {allow_private: [{host: hh.example.com, addresses: [10.0.0.0/24], port: 443}, {host: i.example.com, addresses: [10.0.0.0/24], port: 443}]}"#,
        &["2:34 no host `hh.example.com` is declared"],
    ),
    (
        r#"secrets: {s: {env: S}}
auth: {x: {type: oauth2_client_credentials, token_url: "https://login.example.com:8443/t", client_id: a, client_secret: {secret: s}, scopes: [a.b, "c:d"], audience: "https://x/", client_auth: body, placeholder: none-here}}
network: {allow_private: [{host: login.example.com, addresses: [10.0.0.0/24], port: 8443}]}"#,
        &[],
    ),
    (
        r#"secrets: {s: {env: S}}
auth: {x: {type: oauth2_client_credentials, token_url: "http://login.example.com/t", client_id: "", client_secret: hunter2, scopes: ["a b", "", "{{x}}"], audience: "é"}}"#,
        &[
            "2:11 the secret `s` is not used",
            "3:56 the client's secret would go out over `http://`, readable on the way",
            "3:97 a client's id has only printable ASCII characters, and at least one",
            "3:116 the client's secret stands in the policy (secret_in_policy)",
            "3:134 a scope is one word of printable ASCII without `\"` and `\\`, and no template",
            "3:141 a scope is one word of printable ASCII without `\"` and `\\`, and no template",
            "3:145 a scope is one word of printable ASCII without `\"` and `\\`, and no template",
            "3:165 an audience has only printable ASCII characters, and at least one",
        ],
    ),
    (
        r#"secrets: {s: {env: S}}
auth:
  a: {type: oauth2_client_credentials, token_url: "https://{{x}}/t", client_id: a, client_secret: {secret: s, prefix: x}}
  b: {type: oauth2_client_credentials, token_url: "https://10.0.0.5/t", client_id: "{{environment}}", client_secret: {secret: s}}
  c: {type: oauth2_client_credentials, token_url: "https://*.example.com/t", client_id: a, client_secret: {secret: s}}
  d: {type: oauth2_client_credentials, token_url: "https://h.example.com/t?x=y", client_id: a, client_secret: {secret: s}}
  e: {type: oauth2_client_credentials, token_url: "https://h.example.com/a/../t", client_id: a, client_secret: {secret: nope}}"#,
        &[
            "4:51 a token endpoint has no placeholders: it gets the client's secret",
            "4:119 the client's secret has no prefix in an `oauth2_client_credentials` connector",
            "5:60 an IP address is not a host",
            "5:84 only plain text and static variables can stand here",
            "6:51 a token endpoint is one host, without `*`",
            "7:51 a token endpoint has neither query nor fragment here",
            "8:73 a path has no `.` or `..` segment",
            "8:121 no secret `nope` is declared",
        ],
    ),
    (
        r#"environments: [p, q]
secrets: {s: {p: {env: S}}}
auth: {x: {type: oauth2_client_credentials, token_url: {p: https://h.example.com/t}, client_id: a, client_secret: {secret: s}}}"#,
        &[
            "4:56 no value for `q`",
            "4:124 the secret `s` has no source in `q`",
        ],
    ),
];

#[test]
fn tokens_have_a_source_in_each_environment() {
    let text = r#"version: 1
environments: [p, q]
secrets: {s: {p: {env: P}, q: {env: Q}}}
auth:
  x: {type: oauth2_client_credentials, token_url: {p: https://P.example.com, q: login.example.com:8443/t%7Ex}, client_id: a,
      client_secret: {secret: s}, scopes: [b, a], client_auth: {p: basic, q: body}}
actions: {a: {description: Does it for you., method: GET, url: https://h.example.com, auth: x}}
"#;
    let policy = read(text).policy.unwrap();
    let connector = ConnectorName::parse("x").unwrap();
    for (environment, endpoint, client_auth, from) in [
        (0, "https://p.example.com/", ClientAuth::Basic, "P"),
        (
            1,
            "https://login.example.com:8443/t~x",
            ClientAuth::Body,
            "Q",
        ),
    ] {
        let name = &policy.environments()[environment].name;
        let source = policy.token_source(&connector, name).unwrap();
        assert_eq!(source.endpoint.to_string(), endpoint);
        assert_eq!(source.grant.client_auth, client_auth);
        assert_eq!(&*source.grant.scope, "b a");
        let [(_, secret)] = &source.secrets[..] else {
            panic!("one secret: {:?}", source.secrets);
        };
        assert_eq!(*secret, SecretSource::Env(from.into()));
        let reach = policy.reach(name, &source.endpoint.destination().host, 443);
        assert!(matches!(reach, Reach::HostUndeclared), "{reach:?}");
    }
}

const TWO_ACTIONS: &str = "\
actions:
  a: {description: Does it for you., method: GET, url: https://h.example.com/a}
  b: {description: Does it for you., method: GET, url: https://i.example.com:8443/b}
";

const OF_ACTIONS: &[(&str, &[&str])] = &[
    (
        r#"  a: {description: short, method: GET, url: https://h.example.com/a}"#,
        &["3:20 the description has 5 characters"],
    ),
    (
        r#"  a: {method: GET, url: https://h.example.com/a}"#,
        &["3:3 an action needs `description`"],
    ),
    (
        r#"  a: {description: Does it for you., method: GET, url: https://h.example.com/a}
  b: {description: Does it for you., method: GET, url: https://h.example.com/a}"#,
        &["4:3 `a` and `b` both fit GET https://h.example.com/a, and neither is narrower"],
    ),
    (
        r#"  a: {description: Does it for you., method: GET, url: "https://h.example.com/{{x}}/b", parameters: {properties: {x: {type: string}}, required: [x]}}
  b: {description: Does it for you., method: GET, url: "https://h.example.com/a/{{x}}", parameters: {properties: {x: {type: string}}, required: [x]}}"#,
        &["4:3 `a` and `b` both fit GET https://h.example.com/a/b, and neither is narrower"],
    ),
    (
        r#"  a: {description: Does it for you., method: GET, url: https://h.example.com/a}
  b: {description: Does it for you., method: GET, url: http://h.example.com/b, allow_http: true}"#,
        &["4:56 `h.example.com` is declared with http:// and with https://"],
    ),
    (
        r#"  a: {description: Does it for you., method: GET, url: https://h.example.com/a}
  b: {description: Does it for you., method: GET, url: https://h.example.com/b}
  "c d": {description: Does it for you., method: GET, url: https://h.example.com/b}"#,
        &["5:3 a name has only letters, digits, `_` and `-`, not ' '"],
    ),
];

#[test]
fn ten_mistakes_are_ten_problems_at_their_places() {
    let loaded = read(include_str!("../../../tests/policies/ten_mistakes.yaml"));
    let expected = [
        "10:33 a user name contains no `:`, which ends it (RFC 7617)",
        "11:59 the key stands in the policy (secret_in_policy)",
        "15:15 no value for `staging`",
        "22:5 unknown field `metod` in an action",
        "28:17 no connection `jirra` is declared",
        "34:25 properties.summary.type must be one of array, boolean, integer, null, number, object, string",
        "38:18 `*.com` takes in the hosts of many owners: `com` is a public suffix",
        "44:58 `city` may be missing, and the path cannot do without it",
        "50:21 no secret `bot_token` is declared",
        "51:22 the pattern `delete_*` fits no action",
    ];
    assert_eq!(told(&loaded), expected);
    assert!(loaded.policy.is_none());
    let problems = loaded.problems.clone().sorted();
    assert!(problems.iter().all(|it| it.remedy_text().is_some()));
    let drawn = |it| loaded.sources.render(it, Style::Plain);
    let drawn: String = problems.iter().map(drawn).collect();
    assert!(!drawn.contains("0123456789abcdef"), "{drawn}");
}

#[test]
fn environments_differ_in_hosts_values_and_secrets() {
    let loaded = read(
        r#"version: 1
environments: [production, staging]
secrets: {s: {production: {env: LIVE}, staging: {store: crm-staging}}}
static_variables: {PROJECT: {production: EX, staging: EXS}}
auth:
  jira: {type: bearer, token: {secret: s}, placeholder: {production: none-here, staging: none-there}}
connections:
  jira:
    base_url: {production: https://jira.example.com, staging: https://staging.example.com/v2/}
    auth: {production: jira, staging: none}
    timeout: {production: 5s, staging: 9s}
actions:
  list:
    description: Lists the issues.
    connection: jira
    method: GET
    path: /project/{{.static_variables.PROJECT}}
    accept_headers: [X-Trace]
agents:
  bot: {token: {secret: s}, environment: staging, allow: ["li*"]}
"#,
    );
    assert_eq!(told(&loaded), [""; 0]);
    let policy = loaded.policy.unwrap();
    let seen = policy.environments().iter().map(|environment| {
        let action = &environment.actions["list"];
        let source = policy.secret_source(&SecretName::parse("s").unwrap(), &environment.name);
        format!(
            "{} {}{} {} {:?} {} {}",
            environment.name,
            action.host,
            action.path,
            action.credentials.len(),
            action.limits.timeout,
            environment.placeholders[0],
            source.unwrap(),
        )
    });
    let expected = [
        "production jira.example.com/project/EX 1 5s none-here environment variable LIVE",
        "staging staging.example.com/v2/project/EXS 0 9s none-there entry crm-staging of the secret store",
    ];
    assert_eq!(seen.collect::<Vec<_>>(), expected);
    let [production, staging] = policy.environments() else {
        unreachable!("two are declared")
    };
    assert!(Arc::ptr_eq(
        &production.actions["list"].parameters,
        &staging.actions["list"].parameters
    ));
    let action = &production.actions["list"];
    assert!(action.accept_headers.iter().any(|it| it == "x-trace"));
    assert!(action.accept_headers.iter().any(|it| it == "accept"));
    let agent = &policy.agents().unwrap()["bot"];
    assert_eq!(agent.environment.as_ref(), Some(&staging.name));
    assert!(agent.allow.contains("list"));
}

#[test]
fn hints_follow_from_the_method_and_from_each_other() {
    for (method, hints, expected) in [
        ("GET", "{read_only: false}", (false, true, true)),
        ("POST", "{read_only: true}", (true, false, true)),
        ("POST", "{destructive: false}", (false, false, false)),
        ("PATCH", "{idempotent: true}", (false, true, true)),
        ("DELETE", "{idempotent: false}", (false, true, false)),
    ] {
        let loaded = read(&format!(
            "version: 1\nactions:\n  a:\n    description: Does it for you.\n    method: {method}\n    \
             url: https://h.example.com\n    hints: {hints}\n"
        ));
        assert_eq!(told(&loaded), [""; 0], "{method} {hints}");
        let action = loaded.policy.unwrap().environments()[0].actions["a"].clone();
        let it = action.hints;
        assert_eq!(
            (it.read_only, it.destructive, it.idempotent),
            expected,
            "{method} {hints}"
        );
        assert_eq!(action.idempotent(), expected.2);
    }
}

#[test]
fn what_a_request_carries_follows_from_its_parameters() {
    let flat = "parameters: {properties: {x: {type: string}}, required: [x]}";
    let nested = "parameters: {properties: {x: {type: object}}, required: [x]}";
    let placed =
        "query: {x: \"{{x}}\"}\n    parameters: {properties: {x: {type: string}}, required: [x]}";
    let open = "parameters: {type: object, additionalProperties: true}";
    for (method, fields, expected, tools) in [
        ("GET", flat, "Query", true),
        ("POST", flat, "Object([Json, Form])", true),
        ("PUT", nested, "Object([Json])", true),
        ("POST", placed, "Query", true),
        ("PATCH", open, "Object([Json])", true),
        ("POST", "enabled: false", "Query", true),
        ("POST", "accept_body: any", "Unread([])", false),
        (
            "POST",
            "accept_body: {type: object}",
            "Wire([Json], Schema { properties: [], .. })",
            false,
        ),
    ] {
        let text = format!(
            "version: 1\nactions:\n  a:\n    description: Does it for you.\n    method: {method}\n    \
             url: https://h.example.com\n    {fields}\n"
        );
        let loaded = read(&text);
        assert_eq!(told(&loaded), [""; 0], "{fields}");
        let policy = loaded.policy.unwrap();
        let action = &policy.environments()[0].actions["a"];
        assert_eq!(
            format!("{:?}", action.content),
            expected,
            "{method} {fields}"
        );
        assert_eq!(
            (action.doors.http, action.doors.mcp),
            (tools, tools),
            "{fields}"
        );
    }
}

/// Fields of an action with a body from line 8 on, and what is told of them. `a` is required, `b` is any string, and
/// `t` is never false.
const OF_BODIES: &[(&str, &[&str])] = &[
    (
        r#"body: '{"a": "{{a}}"}'"#,
        &[
            "9:50 `b` is used nowhere: the body is not made from parameters",
            "9:69 `t` is used nowhere: the body is not made from parameters",
        ],
    ),
    (
        r#"body: '{"a": "{{a}}", "b": "{{b}}"{{if .parameters.t}}, "t": "{{t}}"{{end}}}'"#,
        &["8:33 `b` may be missing here"],
    ),
    (
        r#"body: '{"a": "{{a}}" "x": {{.parameters.nope}}}'"#,
        &["8:33 no parameter `nope` is declared"],
    ),
    (
        r#"body: '{"a": "{{a}}"'"#,
        &["8:25 an object is not closed"],
    ),
    (
        "body: |\n      {\n        \"a\": \"{{nope}}\"\n      }",
        &[
            "10:21 `nope` is neither a declared parameter nor a built-in name or variable of the context",
        ],
    ),
    (
        r#"body: '{"a": "{{range .parameters.a}}x{{end}}"}'"#,
        &["8:19 `range` is not part of the template language"],
    ),
    (
        r#"body: '{"a": {{a}}{{if $B}}, "b": "{{b}}"{{end}}{{if $T}}, "t": "{{t}}"{{end}}}'"#,
        &[
            "8:23 this action has no proxy door: a condition on a parameter that has a default, or may be false, 0 or empty cannot be taken apart again",
        ],
    ),
    (
        r#"body: '{"a": {{a}}{{if $T}}, "b": {{if $B}}1{{else}}2{{end}}, "t": "{{t}}"{{end}}}'
doors: [http]"#,
        &[],
    ),
    (
        r#"body: '{"a": {{a}}{{if $B}}, "b": "{{b}}"{{end}}{{if $T}}, "t": "{{t}}"{{end}}}'
doors: [http, proxy]"#,
        &[
            "9:19 the proxy door is closed: a condition on a parameter that has a default, or may be false, 0 or empty cannot be taken apart again",
        ],
    ),
    (
        r#"body: '{"a": "{{a}}"{{if $T}}, "t": "{{t}}"{{end}}{{if $B}}{{end}}}'
auth: k"#,
        &[
            "8:66 this action has no proxy door: a condition on a parameter that has a default, or may be false, 0 or empty cannot be taken apart again",
        ],
    ),
    (
        r#"body: '{"a": {"key": "{{a}}{{.parameters.a}}"}{{if $T}}, "t": "{{t}}"{{end}}{{if $B}}, "kEy": 1{{end}}}'
auth: k
doors: [mcp]"#,
        &["8:11 the body has a member `Key`, where the credential stands"],
    ),
    (
        r#"body: '["{{a}}", {{if $B}}"b"{{else}}{{if $T}}"t"{{else}}1{{end}}{{end}}]'
auth: k
doors: [mcp]"#,
        &["9:11 the credential is a member of the body, and this body is not always an object"],
    ),
    (
        r#"body: '{{.parameters}}'"#,
        &["8:12 a group of names cannot be printed"],
    ),
    (
        r#"body: '{"a": "{{a}}{{with $B}}{{.}}{{end}}{{with $T}}{{.}}{{end}}"}'
accept_body: any
doors: [http]"#,
        &["9:18 `accept_body` is for the proxy door, which is not among the `doors`"],
    ),
    (
        r#"body: '{"a": "{{a}}{{with $B}}{{.}}{{end}}{{with $T}}{{.}}{{end}}"}'
accept_body: any"#,
        &[],
    ),
    (
        r#"body: '{"a": "{{a}}{{with $B}}{{.}}{{end}}{{with $T}}{{.}}{{end}}"}'
accept_body: any
content_types: [image/png, application/json]"#,
        &[
            "10:20 the first media type is that of the template, and parameters are sent as JSON or as a form",
        ],
    ),
    (
        r#"body: '{"a": "{{a}}{{with $B}}{{.}}{{end}}{{with $T}}{{.}}{{end}}"}'
accept_body: {type: object}
auth: k"#,
        &[
            "10:11 the credential is a member of the body, and that of a proxied request is passed on as it comes",
        ],
    ),
    (
        r#"body: '{"a": "{{with $B}}{{.}}{{end}}{{with $T}}{{.}}{{end}}"}'
accept_body: any"#,
        &["10:31 `a` is used nowhere: the body is not made from parameters"],
    ),
    (
        r#"body: '{"a": "{{a}}{{with $B}}{{.}}{{end}}{{with $T}}{{.}}{{end}}"}'
accept_body: {type: objekt}"#,
        &["9:25 type must be one of array, boolean, integer, null, number, object, string"],
    ),
    (
        r#"body: '{"a": "{{a}}{{with $B}}{{.}}{{end}}{{with $T}}{{.}}{{end}}"}'
content_types: [application/x-www-form-urlencoded]
doors: [http]"#,
        &["9:21 a form has scalars and lists of scalars only, all of them declared"],
    ),
];

#[test]
fn mistakes_of_body_templates_are_told_at_their_places() {
    for (line, expected) in OF_BODIES {
        assert_eq!(of_body(line), *expected, "{line}");
    }
}

#[test]
fn rules_across_parameters_do_not_stand_beside_a_body_of_its_own() {
    let action = |parameters: &str| {
        format!(
            "method: POST\nurl: https://h.example.com/{{{{a}}}}\nbody: '{{\"b\": \"{{{{b}}}}\"}}'\naccept_body: any\n{parameters}"
        )
    };
    let properties = "properties: {a: {type: string}, b: {type: string}}, required: [a, b]";
    let sound = format!("parameters: {{{properties}}}");
    assert_eq!(of_action(&action(&sound)), [""; 0]);
    let ruled = format!("parameters: {{{properties}, dependentRequired: {{a: [b]}}}}");
    let expected = "19:88 `dependentRequired` may be about `b`, which a request with a body of its own does not have";
    assert_eq!(of_action(&action(&ruled)), [expected]);
    let bound = format!("{sound}\nrequires: [{{action: a, bind: {{b: b}}}}]");
    let bound = of_action(&action(&bound));
    let expected = "20:35 `b` is bound, and a request with a body of its own does not have it";
    assert!(bound.iter().any(|it| it == expected), "{bound:?}");
    let listed = "variables: [{name: a, type: string, required: true}, {name: b, type: date, required: true}]";
    assert_eq!(of_action(&action(listed)), [""; 0]);
}

fn of_body(lines: &str) -> Vec<String> {
    let lines = lines
        .replace("$B", ".parameters.b")
        .replace("$T", ".parameters.t");
    let lines = lines.replace('\n', "\n    ");
    told(&read(&format!(
        "version: 1\nsecrets: {{s: {{env: S}}}}\nauth: {{k: {{type: api_key, in: body, name: Key, value: {{secret: s}}}}}}\nactions:\n  \
         a:\n    description: Does it for you.\n    url: https://h.example.com\n    {lines}\n    \
         parameters: {{properties: {{a: {{type: string}}, b: {{type: string}}, t: {{enum: [x, y]}}}}, required: [a]}}\n    method: POST\n"
    )))
}

/// Fields of an action from line 15 on.
const OF_VARIABLES: &[(&str, &[&str])] = &[
    (
        r#"method: POST
url: https://h.example.com
variables: [{name: a, type: date, required: true}, {name: n, type: float, default: 1.5, example: 2}]"#,
        &[],
    ),
    (
        r#"method: POST
url: https://h.example.com
variables: [{name: a, type: date, default: yesterday}, {name: n, type: integer, default: "010"}, {name: n, type: string}]"#,
        &[
            "17:94 `010` must be written as 10",
            "17:109 `n` is declared twice",
        ],
    ),
    (
        r#"method: POST
url: https://h.example.com
variables: [{name: a, type: date, default: yesterday}]"#,
        &["17:48 the default does not fit its schema: the value must be a date such as 2026-01-31"],
    ),
    (
        r#"method: POST
url: https://h.example.com
variables: [{name: a, type: text}, {type: string}]"#,
        &[
            "17:33 expected `string`, `integer`, `float`, `boolean`, `date`, `email` or `phone`, found `text`",
            "17:40 a variable needs `name`",
        ],
    ),
    (
        r#"method: POST
url: https://h.example.com
variables: [{name: a, type: string}]
parameters: {properties: {a: {type: string}}}"#,
        &["17:16 an action has `parameters` or `variables`, not both"],
    ),
    (
        r#"method: GET
url: https://h.example.com/{{a}}
variables: [{name: a, type: string}]"#,
        &["16:32 `a` may be missing, and the path cannot do without it"],
    ),
];

/// Sections from line 2 on.
const OF_CONTEXT: &[(&str, &[&str])] = &[
    (
        r#"context: {contact.email: {type: email, sensitive: true}, contact.name: {type: string}}
actions: {a: {description: Does it for you., method: GET, url: https://h.example.com}}"#,
        &[],
    ),
    (
        r#"context: {contact: {type: string}, contact.name: {type: string}, agent_id: {type: string}, a..b: {type: string}}
actions: {a: {description: Does it for you., method: GET, url: https://h.example.com}}"#,
        &[
            "2:36 `contact.name` begins with `contact`, which is a value of its own",
            "2:66 `agent_id` is a built-in name",
            "2:92 a name of the context is words of letters, digits and `_`, with dots between",
        ],
    ),
    (
        r#"context: {b.c: {type: string}}
actions: {a: {description: Does it for you., method: POST, url: https://h.example.com, parameters: {properties: {b: {type: string}}}}}"#,
        &["3:114 `b` is both a parameter and a variable of the context"],
    ),
    (
        r#"context: {b.c: {type: string, sensitive: true}}
actions: {a: {description: Does it for you., method: GET, url: https://h.example.com, headers: {X-B: "{{b.c}}"}}}"#,
        &[
            "3:97 this action has no proxy door: a sensitive variable of the context stands in this template",
        ],
    ),
];

#[test]
fn mistakes_of_variables_are_told_at_their_places() {
    for (lines, expected) in OF_VARIABLES {
        assert_eq!(of_action(lines), *expected, "{lines}");
    }
}

#[test]
fn mistakes_of_the_context_are_told_at_their_places() {
    for (lines, expected) in OF_CONTEXT {
        let told = told(&read(&format!("version: 1\n{lines}\n")));
        assert_eq!(told, *expected, "{lines}");
    }
}

#[test]
fn a_credential_in_the_body_needs_a_body_of_fields() {
    const X: &str = "parameters: {properties: {x: {type: string}}}";
    for (method, fields, expected) in [
        ("POST", X, "Object([Json, Form])"),
        ("PUT", "enabled: true", "Object([Json, Form])"),
        (
            "POST",
            "content_types: [application/x-www-form-urlencoded]",
            "Object([Form])",
        ),
        (
            "GET",
            X,
            "8:11 the credential is a member of the body, and GET sends no body",
        ),
        (
            "DELETE",
            "enabled: true",
            "8:11 the credential is a member of the body, and DELETE sends no body",
        ),
        (
            "POST",
            "accept_body: any",
            "8:11 the credential is a member of the body, and this body is passed on as it comes",
        ),
        (
            "POST",
            "parameters: {properties: {API_KEY: {type: string}}}",
            "9:31 `API_KEY` would stand in the body beside the credential `api_key`",
        ),
    ] {
        let text = format!(
            "version: 1\nsecrets: {{s: {{env: S}}}}\n\
             auth: {{k: {{type: api_key, in: body, name: api_key, value: {{secret: s}}}}}}\nactions:\n  a:\n    \
             description: Does it for you.\n    url: https://h.example.com\n    auth: k\n    {fields}\n    \
             method: {method}\n"
        );
        let loaded = read(&text);
        let found = match &loaded.policy {
            None => told(&loaded).join("; "),
            Some(policy) => format!("{:?}", policy.environments()[0].actions["a"].content),
        };
        assert_eq!(found, expected, "{method} {fields}");
    }
}

/// What [`ATTACK`] leaves out.
const MORE: &str = r#"agents: {x: {token: {secret: a}, allow: ["*"]}}
tunnels: {t: {hosts: [pypi.org]}}
"#;

proptest! {
    #[test]
    fn a_damaged_policy_is_told_or_still_good_and_never_a_panic(
        start in 0..2000_usize,
        length in 0..40_usize,
        put in "[ -~\\n]{0,8}",
    ) {
        let whole: Vec<char> = ATTACK.chars().chain(MORE.chars()).collect();
        let start = start % whole.len();
        let end = whole.len().min(start + length);
        let damaged = whole[..start].iter().copied().chain(put.chars());
        let text: String = damaged.chain(whole[end..].iter().copied()).collect();
        let loaded = read(&text);
        prop_assert_eq!(loaded.policy.is_none(), loaded.problems.has_errors());
        for problem in loaded.problems.iter() {
            let drawn = loaded.sources.render(problem, Style::Plain);
            prop_assert!(drawn.starts_with(&problem.headline()));
        }
    }
}

#[test]
fn rate_limits_are_those_of_the_action_then_of_its_connection_there() {
    let text = r#"version: 1
environments: [production, staging]
connections:
  c:
    base_url: https://api.example.com
    rate_limit: {production: 5/minute, staging: {limit: 2, per: hour, burst: 48, key: agent}}
actions:
  a: {description: Does it for you., method: GET, connection: c, path: /a, rate_limit: {limit: 1, per: day, key: action}}
  b: {description: Does it for all., method: GET, connection: c, path: /b}
"#;
    let loaded = read(text);
    assert_eq!(told(&loaded), [""; 0]);
    let policy = loaded.policy.unwrap();
    let rates = |environment: usize, action: &str| -> Vec<String> {
        let rates = policy.environments()[environment].actions[action]
            .rates
            .iter();
        rates
            .map(|it| format!("{it}, {} at once, {:?}", it.burst, it.key))
            .collect()
    };
    let (own, connection) = (
        "1 call a day, 1 at once, All",
        "5 calls a minute, 5 at once, All",
    );
    let staging = "2 calls an hour, 48 at once, Agent";
    assert_eq!(rates(0, "a"), [own, connection]);
    assert_eq!(rates(1, "a"), [own, staging]);
    assert_eq!(rates(0, "b"), [connection]);
    assert_eq!(rates(1, "b"), [staging]);
}

#[test]
fn mistakes_of_rate_limits_are_told_at_their_places() {
    let day = "after a burst it would take more than a day until all of it is back";
    for (limit, expected) in [
        ("{limit: 1, per: day, burst: 2}", format!("17:45 {day}")),
        ("{limit: 2, per: hour, burst: 49}", format!("17:46 {day}")),
    ] {
        let lines = format!("url: https://api.example.com/a\nmethod: GET\nrate_limit: {limit}");
        assert_eq!(of_action(&lines), [expected], "{limit}");
    }
}

#[test]
fn the_hash_changes_with_every_byte_and_name() {
    let file = |name: &str, text: &str| (name.to_owned(), text.as_bytes().to_vec());
    let hash = |files: &[(String, Vec<u8>)], folder| super::hash(files, Path::new(folder));
    let one = hash(&[file("a.yaml", "x")], "");
    assert_eq!(one.len(), 64);
    assert_eq!(one, hash(&[file("/mnt/a.yaml", "x")], "/mnt"));
    for other in [
        vec![file("a.yaml", "y")],
        vec![file("b.yaml", "x")],
        vec![file("a.yam", "lx")],
        vec![file("a.yaml", "x"), file("b.yaml", "")],
    ] {
        assert_ne!(one, hash(&other, ""), "{other:?}");
    }
}
