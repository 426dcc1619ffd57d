//! The way from a request to what is sent, and from parameters to the same bytes.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderName, HeaderValue};
use proptest::prelude::*;
use serde_json::{Map, Value, json};
use time::macros::datetime;

use crate::action::{Action, Arguments, Content, Facts, Planned, given, plan, recognise};
use crate::body::Body;
use crate::name::{ActionName, AgentName};
use crate::policy::{Permit, Policy, choose, decide, from_texts, select, usable};
use crate::problem::Style;
use crate::refusal::{Code, Refusal};
use crate::request::{Caller, Destination, Door, HostPattern, Intent, Path, Query, method};

const POLICY: &str = r#"version: 1
secrets: {a: {env: A}, b: {env: B}, bot: {env: C}}
auth:
  good: {type: bearer, token: {secret: a}, placeholder: none-here}
  two: {type: api_key, in: query, name: key, value: {secret: b}}
  us: {type: basic, username: bot, password: {secret: b}}
  member: {type: api_key, in: body, name: key, value: {secret: b}}
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
  get_me:
    description: Gets the item of whoever asks.
    url: https://api.good.test/v1/items/me
    method: GET
    auth: good
  create_item:
    description: Creates one item.
    url: https://api.good.test/v1/items
    method: POST
    auth: good
    parameters:
      type: object
      properties:
        name: {type: string, maxLength: 100}
        qty: {type: integer, minimum: 0, maximum: 1000, default: 1}
      required: [name]
  two:
    description: Shows who is asking.
    url: https://api.two.test/me
    method: GET
    auth: two
  off:
    description: Is switched off for now.
    url: https://api.two.test/off
    method: GET
    enabled: false
  tool:
    description: Is there for tools only.
    url: https://api.two.test/tool
    method: GET
    doors: [http, mcp]
  wild:
    description: Gets one public file.
    url: https://*.wild.test/pub/{{f}}
    method: GET
    parameters: {type: object, properties: {f: {type: string}}, required: [f]}
  upload:
    description: Passes bytes on as they are.
    url: https://api.two.test/upload
    method: PUT
    accept_body: any
    content_types: [image/png]
  search:
    description: Searches in a way that parameters cannot say.
    url: https://api.two.test/search
    method: POST
    accept_body: {type: object, properties: {query: {type: object, properties: {a: {type: integer}}}, z: {type: string}}}
  jot:
    description: Jots down a note; programs send a body of their own.
    url: https://api.two.test/jot/{{id}}
    method: POST
    query: {dry: "{{dry}}"}
    parameters:
      properties: {id: {type: integer}, text: {type: string}, dry: {type: boolean, default: false}}
      required: [id, text]
    body: '{"note": "{{if .parameters.text}}{{.parameters.text}}{{else}}nothing{{end}}"}'
    accept_body: {properties: {note: {type: string, maxLength: 5}, by: {type: string}}, required: [note]}
  attach:
    description: Attaches what a program sends, or a note.
    url: https://api.two.test/attach/{{id}}
    method: PUT
    parameters: {properties: {id: {type: integer}, text: {type: string}}, required: [id, text]}
    body: '{"note": "{{text}}"}'
    accept_body: any
    content_types: [application/json, image/png]
  find:
    description: Finds somebody by what is known of them.
    url: https://api.two.test/find
    method: GET
    query: {q: "{{.parameters.who.name}}", city: "{{.parameters.who.city}}"}
    headers: {X-Team: "team {{.parameters.who.team.id}}"}
    parameters:
      properties:
        who:
          properties:
            name: {type: string}
            city: {type: integer}
            team: {properties: {id: {type: integer, default: 1}}, default: {}}
          required: [name]
          type: object
      required: [who]
  sift:
    description: Sifts in an order that only a tool call can ask for.
    url: https://api.two.test/sift
    method: GET
    doors: [http, mcp]
    query:
      order: '{{if eq .parameters.by "age"}}created{{else}}{{.parameters.by}}{{end}}-{{.parameters.way}}'
      span: "{{from}}..{{to}}"
    headers: {X-Mode: '{{with index .parameters "mode"}}{{.}}{{else}}plain{{end}}'}
    parameters:
      properties: {by: {type: string}, way: {enum: [up, down]}, from: {type: integer}, to: {type: integer}, mode: {type: string}}
      required: [by, way, from, to]
  form:
    description: Sends a form, whatever it was given.
    url: https://api.two.test/form
    method: POST
    content_types: [application/x-www-form-urlencoded, application/json]
    parameters: &lists-closed
  comma:
    description: Takes lists with commas.
    url: https://api.two.test/comma
    method: GET
    query: {tags: "{{tags}}"}
    query_style: comma
    parameters: &lists
  brackets:
    description: Takes lists in brackets.
    url: https://api.two.test/brackets
    method: GET
    query: {tags: "{{tags}}"}
    query_style: brackets
    parameters: &lists
  plain:
    description: Goes over cleartext, without a secret.
    url: http://plain.good.test:8080/
    method: GET
    allow_http: true
  stamped:
    description: Is stamped with the time.
    url: https://api.two.test/stamped
    method: GET
    query: {at: "{{current_datetime}}", by: "{{agent_id}}"}
    headers: {X-Note: "note: {{note}}"}
    parameters: {type: object, properties: {note: {type: string, default: "-"}}}
  any_of:
    description: Takes whatever the query holds.
    url: https://api.two.test/any
    method: GET
    auth: two
    query: {v: "1"}
    parameters: {type: object, additionalProperties: true}
  file:
    description: Gets one file by its name.
    url: https://api.two.test/files/{{name}}
    method: GET
    parameters: {type: object, properties: {name: {type: string}}, required: [name]}
  short:
    description: Takes variables in their short form.
    url: https://api.two.test/short
    method: POST
    variables:
      - {name: order, type: string, required: true}
      - {name: qty, type: integer}
      - {name: price, type: float}
      - {name: gift, type: boolean}
  ours:
    description: Shows who we are in two ways.
    url: https://api.two.test/ours
    method: POST
    auth: us
    headers: {X-Key: {secret: a}}
    parameters: {type: object, properties: {order: {type: string}}}
  inside:
    description: Takes its key in the body.
    url: https://api.two.test/inside
    method: POST
    auth: member
    parameters: {type: object, properties: {order: {type: string}}}
agents:
  bot: {token: {secret: bot}, allow: ["*"]}
  reader: {token: {secret: bot}, allow: ["get_*"]}
"#;

/// Parameters of which two are lists.
const LISTS: &str = "{properties: {tags: {type: array, items: {type: string}}, \
     n: {type: array, items: {type: integer}}, s: {type: string}}, additionalProperties: true}";

fn policy(text: &str) -> Arc<Policy> {
    let closed = LISTS.replace(", additionalProperties: true", "");
    let text = text
        .replace("&lists-closed", &closed)
        .replace("&lists", LISTS);
    let loaded = from_texts(&[("p.yaml".to_owned(), text.as_bytes().to_vec())]);
    let drawn = |it| loaded.sources.render(it, Style::Plain);
    let problems: String = loaded.problems.iter().map(drawn).collect();
    Arc::new(loaded.policy.expect(&problems))
}

fn facts(policy: &Policy) -> Facts {
    let environment = policy.environments()[0].name.clone();
    let now = datetime!(2026-01-02 03:04:05 UTC);
    Facts {
        agent_id: "bot".into(),
        agent_name: "Bot".into(),
        ..Facts::bare(environment, now, Instant::now())
    }
}

fn intent(policy: &Policy, agent: &str, verb: &str, url: &str) -> Intent {
    let target = Destination::of_absolute(url).unwrap();
    let (path, query) = target
        .path_and_query
        .split_once('?')
        .unwrap_or((target.path_and_query, ""));
    Intent {
        door: Door::Proxy,
        caller: Caller {
            agent: AgentName::parse(agent).ok(),
            environment: policy.environments()[0].name.clone(),
            session: None,
        },
        method: method(verb).unwrap(),
        destination: target.destination,
        path: Path::parse(path).unwrap(),
        query: Query::parse(query).unwrap(),
        headers: HeaderMap::new(),
    }
}

/// What leaves for a proxied request, but for the credentials.
fn proxied(policy: &Arc<Policy>, intent: &Intent, body: &[u8]) -> Result<Planned, Refusal> {
    let facts = facts(policy);
    let selected = select(policy, intent)?;
    let content = if selected.reads_body() {
        Content::Read(Bytes::copy_from_slice(body))
    } else {
        Content::Unread(Body::Bytes(Bytes::copy_from_slice(body)))
    };
    let found = recognise(selected.action(), intent, content, &facts)?;
    let host = intent.destination.host.clone();
    let permit = decide(selected, &host, found.arguments, &facts)?;
    let planned = permit.planned();
    Ok(Planned {
        method: planned.method.clone(),
        path: planned.path.clone(),
        query: planned.query.clone(),
        headers: planned.headers.clone(),
        body: Body::Bytes(bytes(&planned.body)),
    })
}

fn bytes(body: &Body) -> Bytes {
    match body {
        Body::Empty => Bytes::new(),
        Body::Bytes(bytes) => bytes.clone(),
        Body::Stream(_) => panic!("nothing streams here"),
    }
}

/// `METHOD /path?query body`, or the code of the refusal.
fn shown(planned: Result<Planned, Refusal>) -> String {
    let planned = match planned {
        Ok(planned) => planned,
        Err(refusal) => return refusal.code.as_str().to_owned(),
    };
    let mut text = format!("{} {}", planned.method, planned.path);
    if !planned.query.is_empty() {
        text.push('?');
        text.push_str(&planned.query);
    }
    let body = bytes(&planned.body);
    if !body.is_empty() {
        text.push(' ');
        text.push_str(&String::from_utf8_lossy(&body));
    }
    text
}

/// Agent, method, URL; then the action, or the code of the refusal.
const HEADS: &str = "
bot    GET  https://api.good.test/v1/items/7  get_item
bot    GET  https://api.good.test/v1/items/me  get_me
bot    GET  https://api.good.test/v1/items/%6De  get_me
bot    POST https://api.good.test/v1/items  create_item
bot    GET  https://a.wild.test/pub/x  wild
bot    GET  http://plain.good.test:8080  plain
reader GET  https://api.good.test/v1/items/7  get_item
reader GET  https://api.two.test/me  action_not_allowed
reader GET  https://api.two.test/off  action_not_allowed
nobody GET  https://api.two.test/me  action_not_allowed
bot    GET  https://api.two.test/off  action_disabled
bot    GET  https://api.two.test/tool  door_closed
bot    HEAD https://api.good.test/v1/items/7  action_undeclared
bot    GET  https://api.good.test/V1/items/7  action_undeclared
bot    GET  https://api.good.test/v1/items/7/  action_undeclared
bot    GET  https://a.b.wild.test/pub/x  host_undeclared
bot    GET  https://wild.test/pub/x  host_undeclared
bot    GET  https://evil.test/  host_undeclared
bot    GET  https://api.good.test:8443/v1/items/7  port_undeclared
bot    GET  http://api.good.test:443/v1/items/7  https_required
bot    GET  https://plain.good.test:8080/  action_undeclared
";

#[test]
fn the_head_of_a_request_chooses_its_action() {
    let policy = policy(POLICY);
    for row in HEADS.lines().skip(1) {
        let words: Vec<&str> = row.split_whitespace().collect();
        let [agent, verb, url, expected] = words[..] else {
            panic!("{row}")
        };
        let selected = select(&policy, &intent(&policy, agent, verb, url));
        let found = selected.as_ref().map(|it| it.action().name.as_str());
        assert_eq!(
            found.unwrap_or_else(|it| it.code.as_str()),
            expected,
            "{row}"
        );
    }
}

#[test]
fn the_methods_of_a_path_are_told_of_actions_that_this_agent_may_use() {
    let policy = policy(POLICY);
    for (agent, told) in [("bot", true), ("reader", false), ("nobody", false)] {
        let intent = intent(&policy, agent, "DELETE", "https://api.good.test/v1/items");
        let refusal = select(&policy, &intent).unwrap_err();
        assert_eq!(
            refusal.message.contains("POST"),
            told,
            "{agent}: {}",
            refusal.message
        );
    }
}

#[test]
fn a_path_that_is_near_is_told_with_the_actions_that_this_agent_may_use() {
    let policy = policy(POLICY);
    let refusal = |agent| {
        let intent = intent(&policy, agent, "GET", "https://api.good.test/v1/item/7");
        select(&policy, &intent).unwrap_err()
    };
    let near = |agent| {
        let names = refusal(agent).hints.nearest;
        names.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(near("reader"), ["get_me", "get_item"]);
    assert_eq!(near("bot").len(), 3);
    assert_eq!(near("nobody"), [""; 0]);
}

/// Method and URL, media type, body; then what leaves, or the code of the refusal.
const PROXIED: &str = r#"
GET https://api.good.test/v1/items/a-7 |  |  => GET /v1/items/a-7
GET https://api.good.test/v1/items/%61-7?%66ields=n%61me |  |  => GET /v1/items/a-7?fields=name
GET https://api.good.test/v1/items/A |  |  => parameter_invalid
GET https://api.good.test/v1/items/7?fields=name&fields=qty |  |  => parameter_duplicate
GET https://api.good.test/v1/items/7?fields=price |  |  => parameter_invalid
GET https://api.good.test/v1/items/7?admin=true |  |  => parameter_undeclared
GET https://api.good.test/v1/items/7?FIELDS=name |  |  => parameter_undeclared
GET https://api.good.test/v1/items/7?fields[]=name |  |  => parameter_undeclared
GET https://api.good.test/v1/items/7?id=8 |  |  => parameter_undeclared
GET https://api.good.test/v1/items/7 | application/json | {} => body_unexpected
POST https://api.good.test/v1/items | application/json | { "qty" : 2, "n\u0061me":"a" } => POST /v1/items {"name":"a","qty":2}
POST https://api.good.test/v1/items | application/x-www-form-urlencoded | name=a+b&qty=2 => POST /v1/items {"name":"a b","qty":2}
POST https://api.good.test/v1/items | application/json | {"name":"a"} => POST /v1/items {"name":"a","qty":1}
POST https://api.good.test/v1/items | application/json | {"name":"a","qty":1,"qty":9} => parameter_duplicate
POST https://api.good.test/v1/items | application/json | {"name":"a","\u0071ty":1,"qty":9} => parameter_duplicate
POST https://api.good.test/v1/items | application/json | {"name":"a","Qty":1} => parameter_undeclared
POST https://api.good.test/v1/items | application/json | {"name":"a","qty":"1"} => parameter_invalid
POST https://api.good.test/v1/items | application/x-www-form-urlencoded | name=a&qty=01 => parameter_invalid
POST https://api.good.test/v1/items | application/x-www-form-urlencoded | name=a&name=b => parameter_duplicate
POST https://api.good.test/v1/items | application/json | [] => body_unexpected
POST https://api.good.test/v1/items | application/json |  => parameter_missing
POST https://api.good.test/v1/items | text/plain | {"name":"a"} => content_type_refused
POST https://api.good.test/v1/items |  | {"name":"a"} => content_type_refused
POST https://api.good.test/v1/items?name=a | application/json |  => parameter_undeclared
GET https://api.two.test/me?key=theirs&k%65y=again |  |  => GET /me
GET https://api.two.test/me?KEY=theirs |  |  => parameter_undeclared
PUT https://api.two.test/upload | image/png | bytes => PUT /upload bytes
PUT https://api.two.test/upload | image/gif | x => content_type_refused
POST https://api.two.test/search | application/json | {"z":"", "query":{"a":1}} => POST /search {"query":{"a":1},"z":""}
POST https://api.two.test/search | application/json | {"y":1} => parameter_undeclared
POST https://api.two.test/search | application/json | {"z":"none-here"} => placeholder_misplaced
POST https://api.two.test/jot/7?dry=true | application/json | {"by":"x", "note":"a"} => POST /jot/7?dry=true {"note":"a","by":"x"}
POST https://api.two.test/jot/7 | application/json | {"note":"longer"} => parameter_invalid
POST https://api.two.test/jot/7 | application/json | {"text":"a"} => parameter_undeclared
POST https://api.two.test/jot/x | application/json | {"note":"a"} => parameter_invalid
POST https://api.two.test/jot/7?text=a | application/json | {"note":"a"} => parameter_undeclared
POST https://api.two.test/jot/7 | text/plain | {"note":"a"} => content_type_refused
POST https://api.two.test/jot/7 | application/json |  => body_unexpected
PUT https://api.two.test/attach/7 | image/png | bytes => PUT /attach/7 bytes
PUT https://api.two.test/attach/7 | image/gif | bytes => content_type_refused
GET https://api.two.test/find?city=7&q=Ada+L |  |  => GET /find?q=Ada%20L&city=7
GET https://api.two.test/find?city=07&q=Ada |  |  => parameter_invalid
GET https://api.two.test/find?city=7 |  |  => parameter_missing
GET https://api.two.test/find?who=Ada |  |  => parameter_undeclared
GET https://api.two.test/sift?span=1..2 |  |  => door_closed
POST https://api.two.test/form | application/json | {"s":"x y","n":[1,2]} => POST /form n=1&n=2&s=x%20y
POST https://api.two.test/form | application/x-www-form-urlencoded | s=x+y&n=1 => POST /form n=1&s=x%20y
POST https://api.two.test/form | application/json | {"s":null} => POST /form
POST https://api.two.test/form | application/json | {"n":null,"s":"a"} => POST /form s=a
GET https://api.two.test/comma?s |  |  => GET /comma?s=
GET https://api.two.test/comma?n=1,2&tags=a%2Cb |  |  => GET /comma?tags=a,b&n=1,2
GET https://api.two.test/comma?tags=a,,b |  |  => parameter_invalid
GET https://api.two.test/comma?tags= |  |  => parameter_invalid
GET https://api.two.test/comma?tags=a&tags=b |  |  => parameter_duplicate
GET https://api.two.test/comma?n=1,02 |  |  => parameter_invalid
GET https://api.two.test/comma?s=a,b |  |  => GET /comma?s=a%2Cb
GET https://api.two.test/brackets?n[]=1&tags%5B%5D=a&n[]=2 |  |  => GET /brackets?tags%5B%5D=a&n%5B%5D=1&n%5B%5D=2
GET https://api.two.test/brackets?tags=a |  |  => parameter_undeclared
GET https://api.two.test/brackets?n=1 |  |  => parameter_undeclared
GET https://api.two.test/brackets?s=a&s=b |  |  => parameter_duplicate
GET https://api.two.test/brackets?N[]=1 |  |  => parameter_undeclared
GET https://api.two.test/any?none-here=1 |  |  => placeholder_misplaced
GET https://api.two.test/stamped?at=yesterday |  |  => GET /stamped?at=2026-01-02T03%3A04%3A05Z&by=bot
GET https://api.two.test/stamped?by=nobody |  |  => parameter_invalid
GET https://api.two.test/any?x=a&v=1 |  |  => GET /any?v=1&x=a
GET https://api.two.test/any?v=2 |  |  => parameter_invalid
"#;

#[test]
fn what_leaves_is_rebuilt_from_what_was_checked() {
    let policy = policy(POLICY);
    for row in PROXIED.lines().skip(1) {
        let (request, expected) = row.split_once(" => ").unwrap();
        let parts: Vec<&str> = request.split(" | ").map(str::trim).collect();
        let (verb, url) = parts[0].split_once(' ').unwrap();
        let mut intent = intent(&policy, "bot", verb, url);
        if !parts[1].is_empty() {
            let kind = HeaderValue::from_static(parts[1]);
            intent.headers.insert(CONTENT_TYPE, kind);
        }
        let sent = proxied(&policy, &intent, parts[2].as_bytes());
        assert_eq!(shown(sent), expected, "{row}");
    }
}

/// A tool's caller.
fn caller(policy: &Policy, agent: &str) -> Caller {
    Caller {
        agent: AgentName::parse(agent).ok(),
        environment: policy.environments()[0].name.clone(),
        session: None,
    }
}

/// What a tool call with these parameters may send.
fn permitted(policy: &Arc<Policy>, name: &str, parameters: Value) -> Result<Permit, Refusal> {
    let name = ActionName::parse(name).unwrap();
    let selected = choose(policy, &caller(policy, "bot"), Door::Http, &name)?;
    let action = selected.action().clone();
    let (HostPattern::Exact(host), Value::Object(parameters)) = (&action.host, parameters) else {
        panic!("one host, and parameters are an object")
    };
    let arguments = given(&action, parameters)?;
    decide(selected, host, arguments, &facts(policy))
}

/// What leaves for a tool call with these parameters.
fn called(policy: &Arc<Policy>, name: &str, parameters: Value) -> Result<Planned, Refusal> {
    let permit = permitted(policy, name, parameters)?;
    let planned = permit.planned();
    Ok(Planned {
        method: planned.method.clone(),
        path: planned.path.clone(),
        query: planned.query.clone(),
        headers: planned.headers.clone(),
        body: Body::Bytes(bytes(&planned.body)),
    })
}

/// Action, parameters; then what leaves, or the code of the refusal.
const CALLED: &str = r#"
get_item | {"id": "7"} => GET /v1/items/7
get_item | {"id": "me"} => parameter_invalid
get_item | {} => parameter_missing
get_item | {"id": "7", "x": 1} => parameter_undeclared
create_item | {"name": "none-here"} => placeholder_misplaced
create_item | {"name": "a\"}\r\n", "qty": null} => POST /v1/items {"name":"a\"}\r\n","qty":1}
wild | {"f": "a/b"} => door_closed
stamped | {"note": "a "} => parameter_invalid
stamped | {"note": "a\r\nx: y"} => parameter_invalid
stamped | {"note": "é"} => parameter_invalid
any_of | {"x y": "a&b=c"} => GET /any?v=1&x%20y=a%26b%3Dc
any_of | {"key": "theirs"} => parameter_undeclared
any_of | {"Key": "theirs"} => parameter_undeclared
any_of | {"v": "2"} => parameter_undeclared
any_of | {"": "2"} => parameter_undeclared
any_of | {"x": {"y": 1}} => parameter_invalid
upload | {} => door_closed
search | {"z": "a"} => door_closed
off | {} => action_disabled
get_itm | {} => action_undeclared
tool | {} => GET /tool
get_item | {"id": "7", "fields": null} => GET /v1/items/7
get_item | {"id": 7} => parameter_invalid
short | {"qty": "10", "price": "0.5", "gift": "true", "order": 7} => POST /short {"order":"7","qty":10,"price":0.5,"gift":true}
short | {"qty": 10, "order": true} => POST /short {"order":"true","qty":10}
short | {"qty": "1e1", "order": "7"} => parameter_invalid
short | {"qty": "010", "order": "7"} => parameter_invalid
short | {"gift": "yes", "order": "7"} => parameter_invalid
short | {"gift": null, "order": "7"} => POST /short {"order":"7"}
comma | {"tags": ["a&b", "c d"], "n": []} => GET /comma?tags=a%26b,c%20d
comma | {"tags": ["a,b"]} => parameter_invalid
comma | {"tags": ["a", ""]} => parameter_invalid
comma | {"tags": ["a", "\u0001"]} => parameter_invalid
brackets | {"tags": ["a,b", ""], "n": [1]} => GET /brackets?tags%5B%5D=a%2Cb&tags%5B%5D=&n%5B%5D=1
brackets | {"n[]": "1"} => parameter_undeclared
brackets | {"Tags[]": "1"} => parameter_undeclared
find | {"who": {"name": "a&b=c"}} => GET /find?q=a%26b%3Dc
find | {"who": {"name": "a", "age": 3}} => parameter_undeclared
sift | {"by": "age", "way": "up", "from": 1, "to": 2} => GET /sift?order=created-up&span=1..2
sift | {"by": "a&b", "way": "down", "from": 1, "to": 2, "mode": "x"} => GET /sift?order=a%26b-down&span=1..2
sift | {"by": "age", "way": "up", "from": 1, "to": 2, "mode": "x\r\ny: z"} => parameter_invalid
jot | {"id": 7, "text": ""} => POST /jot/7?dry=false {"note":"nothing"}
jot | {"id": 7} => parameter_missing
attach | {"id": 7, "text": "a\"b"} => PUT /attach/7 {"note":"a\"b"}
"#;

#[test]
fn parameters_of_a_call_cannot_change_the_shape_of_the_request() {
    let policy = policy(POLICY);
    for row in CALLED.lines().skip(1) {
        let (request, expected) = row.split_once(" => ").unwrap();
        let (name, parameters) = request.split_once(" | ").unwrap();
        let parameters = serde_json::from_str(parameters).unwrap();
        let sent = called(&policy, name, parameters);
        assert_eq!(shown(sent), expected, "{row}");
    }
}

/// Segments that change a path where they are taken as they are: each stays one segment, or is refused.
#[test]
fn a_value_never_changes_the_shape_of_a_path() {
    let policy = policy(POLICY);
    for (value, expected) in [
        ("../admin", "parameter_invalid"),
        ("a/b", "parameter_invalid"),
        ("a\\b", "parameter_invalid"),
        ("..", "parameter_invalid"),
        (".", "parameter_invalid"),
        ("", "parameter_invalid"),
        ("a?x=1", "GET /files/a%3Fx%3D1"),
        ("a#b", "GET /files/a%23b"),
        ("%2e%2e", "GET /files/%252e%252e"),
        ("%2F", "GET /files/%252F"),
        ("..;", "parameter_invalid"),
        (".. ", "parameter_invalid"),
        (";x=1", "GET /files/%3Bx%3D1"),
        ("a b", "GET /files/a%20b"),
        ("a\u{0}b", "parameter_invalid"),
    ] {
        let sent = called(&policy, "file", json!({"name": value}));
        assert_eq!(shown(sent), expected, "{value:?}");
    }
}

#[test]
fn a_name_that_an_agent_may_not_call_is_refused_with_those_that_it_may() {
    let policy = policy(POLICY);
    for (agent, door, name, code, nearest) in [
        (
            "bot",
            Door::Http,
            "get_itm",
            "action_undeclared",
            "get_item",
        ),
        (
            "reader",
            Door::Http,
            "get_items",
            "action_undeclared",
            "get_item",
        ),
        ("reader", Door::Mcp, "two", "action_not_allowed", "get_me"),
        ("", Door::Http, "two", "action_not_allowed", ""),
        ("reader", Door::Call, "two", "action_not_allowed", "get_me"),
    ] {
        let name = ActionName::parse(name).unwrap();
        let refusal = choose(&policy, &caller(&policy, agent), door, &name).unwrap_err();
        let first = refusal.hints.nearest.first().map_or("", |it| it.as_str());
        assert_eq!((refusal.code.as_str(), first), (code, nearest), "{name}");
        let caller = caller(&policy, agent);
        let usable = usable(&policy, &caller, door);
        assert!(usable.into_iter().all(|it| it.name != name), "{name}");
    }
}

#[test]
fn the_operators_own_hand_reaches_what_the_policy_keeps_from_agents() {
    let policy = policy(POLICY);
    for (name, reached) in [
        ("off", true),
        ("two", true),
        ("upload", false),
        ("wild", false),
    ] {
        let name = ActionName::parse(name).unwrap();
        let chosen = choose(&policy, &caller(&policy, ""), Door::Call, &name);
        assert_eq!(chosen.is_ok(), reached, "{name}");
    }
}

#[test]
fn a_request_is_shown_with_the_names_of_its_secrets() {
    let policy = policy(POLICY);
    for (name, parameters, expected) in [
        (
            "get_item",
            json!({"id": "7"}),
            "GET https://api.good.test/v1/items/7\naccept-encoding: identity\nauthorization: Bearer <a>",
        ),
        (
            "two",
            json!({}),
            "GET https://api.two.test/me?key=<b>\naccept-encoding: identity",
        ),
        (
            "ours",
            json!({"order": "mark0x0x"}),
            "POST https://api.two.test/ours\ncontent-type: application/json\n\
             accept-encoding: identity\nx-key: <a>\nauthorization: Basic <us>\n\n{\"order\":\"mark0x0x\"}",
        ),
        (
            "inside",
            json!({"order": "7"}),
            "POST https://api.two.test/inside\ncontent-type: application/json\n\
             accept-encoding: identity\n\n{\"order\":\"7\",\"key\":\"<b>\"}",
        ),
    ] {
        let masked = permitted(&policy, name, parameters)
            .unwrap()
            .masked()
            .unwrap();
        let mut expected: Vec<_> = expected.lines().collect();
        let shown = masked.to_string();
        let mut shown: Vec<_> = shown.lines().collect();
        expected.sort_unstable();
        shown.sort_unstable();
        assert_eq!(shown, expected, "{name}");
    }
}

#[test]
fn a_default_of_the_template_is_none_of_a_body_that_is_passed_on() {
    let policy = policy(
        r#"version: 1
actions:
  verify:
    description: Verifies a customer by a PIN.
    url: https://h.example.com/verify
    method: POST
    body: '{"customer": "{{customer}}"}'
    accept_body: any
    parameters: {properties: {customer: {type: string, default: "1"}}}
  look_up:
    description: Looks up what a verified customer has.
    url: https://h.example.com/of/{{customer}}
    method: GET
    parameters: {properties: {customer: {type: string}}, required: [customer]}
    requires: [{action: verify, bind: {customer: customer}}]
"#,
    );
    let intent = intent(&policy, "", "POST", "https://h.example.com/verify");
    let selected = select(&policy, &intent).unwrap();
    let content = Content::Unread(Body::Bytes(Bytes::from_static(b"another")));
    let found = recognise(selected.action(), &intent, content, &facts(&policy)).unwrap();
    let host = intent.destination.host.clone();
    let permit = decide(selected, &host, found.arguments, &facts(&policy)).unwrap();
    let remembered = permit.remembered().map(|(_, parameters)| parameters);
    assert_eq!(remembered, Some(&Map::new()));
}

#[test]
fn a_header_is_read_back_as_the_property_that_it_prints() {
    let policy = policy(POLICY);
    let mut intent = intent(&policy, "bot", "GET", "https://api.two.test/find?q=Ada");
    for (sent, leaves) in [(None, "team 1"), (Some("team 3"), "team 3")] {
        let sent = sent.map(HeaderValue::from_static);
        intent
            .headers
            .extend(sent.map(|it| (HeaderName::from_static("x-team"), it)));
        let planned = proxied(&policy, &intent, b"").unwrap();
        assert_eq!(planned.headers["x-team"], leaves);
    }
    intent
        .headers
        .insert("x-team", HeaderValue::from_static("3"));
    let refused = proxied(&policy, &intent, b"").unwrap_err();
    assert_eq!(refused.code, Code::ParameterInvalid);
}

#[test]
fn only_declared_and_accepted_headers_leave() {
    let policy = policy(POLICY);
    let mut intent = intent(&policy, "bot", "GET", "https://api.good.test/v1/items/7");
    for (name, value) in [
        ("authorization", "Bearer theirs"),
        ("cookie", "a=b"),
        ("x-forwarded-for", "10.0.0.1"),
        ("accept", "application/json"),
        ("if-none-match", "\"x\""),
        ("accept-encoding", "gzip"),
        ("connection", "close"),
    ] {
        intent.headers.insert(
            HeaderName::from_static(name),
            HeaderValue::from_static(value),
        );
    }
    let sent = proxied(&policy, &intent, b"").unwrap().headers;
    let mut names: Vec<String> = sent
        .iter()
        .map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()))
        .collect();
    names.sort();
    let expected = [
        "accept-encoding: identity",
        "accept: application/json",
        "if-none-match: \"x\"",
    ];
    assert_eq!(names, expected);

    intent
        .headers
        .insert("accept", HeaderValue::from_static("x none-here"));
    let refused = proxied(&policy, &intent, b"").unwrap_err();
    assert_eq!(refused.code, Code::PlaceholderMisplaced);
}

/// One action for each way in which parameters can be carried; all have the same parameters.
const CARRIERS: &str = r#"version: 1
actions:
  in_json: {description: Carries the rest as JSON., connection: c, method: POST, path: "/j/{{id}}/x-{{kind}}.json", query: $Q, headers: $H, parameters: $P, content_types: [application/json]}
  in_form: {description: Carries the rest as a form., connection: c, method: POST, path: "/f/{{id}}/x-{{kind}}.json", query: $Q, headers: $H, parameters: $P, content_types: [application/x-www-form-urlencoded]}
  in_query: {description: Carries the rest in the query., connection: c, method: GET, path: "/q/{{id}}/x-{{kind}}.json", query: $Q, headers: $H, parameters: $P}
connections:
  c: {base_url: https://h.example.com}
"#;

fn carriers() -> Arc<Policy> {
    let text = CARRIERS
        .replace("$Q", r#"{q: "{{q}}", fixed: "1", list: "{{list}}", part: "<{{part}}>"}"#)
        .replace("$H", r#"{X-N: "{{n}}", X-T: "v/{{t}}"}"#)
        .replace(
            "$P",
            "{type: object, properties: {id: {type: string}, kind: {type: integer}, q: {type: string}, \
             list: {type: array, items: {type: string}}, part: {type: boolean}, n: {type: integer}, t: {type: string}, \
             a: {type: string}, b: {type: integer}, c: {type: number}, d: {type: boolean}, \
             e: {type: array, items: {type: integer}}}, required: [id, kind, part, t]}",
        );
    policy(&text)
}

/// Values that may stand in their places; a list of none is no list.
fn values() -> impl Strategy<Value = Map<String, Value>> {
    let path = "\\PC{1,12}".prop_filter("a segment", |it: &String| {
        let name = it.split(';').next().unwrap().trim();
        !it.contains(['/', '\\']) && name != "." && name != ".."
    });
    let ascii = "[!-~]([ -~]{0,8}[!-~])?";
    let required = (path, any::<i64>(), any::<bool>(), ascii);
    let optional = (
        prop::option::of("\\PC{0,12}"),
        prop::option::of(prop::collection::vec("\\PC{0,6}", 1..4)),
        prop::option::of(any::<i64>()),
        prop::option::of("\\PC{0,12}"),
        prop::option::of(any::<u64>()),
        prop::option::of(any::<i32>()),
        prop::option::of(any::<bool>()),
        prop::option::of(prop::collection::vec(any::<i64>(), 1..4)),
    );
    (required, optional).prop_map(|((id, kind, part, t), (q, list, n, a, b, c, d, e))| {
        let all = json!({
            "id": id, "kind": kind, "q": q, "list": list, "part": part, "n": n, "t": t,
            "a": a, "b": b, "c": c.map(|it| f64::from(it) + 0.5), "d": d, "e": e,
        });
        let Value::Object(all) = all else {
            return Map::new();
        };
        all.into_iter()
            .filter(|(_, value)| !value.is_null())
            .collect()
    })
}

/// The planned request as a client of the proxy would have sent it.
fn as_intent(policy: &Policy, planned: &Planned) -> Intent {
    let url = format!("https://h.example.com{}?{}", planned.path, planned.query);
    let mut intent = intent(policy, "bot", planned.method.as_str(), &url);
    intent.headers = planned.headers.clone();
    intent
}

fn planned(policy: &Policy, action: &Action, parameters: &Map<String, Value>) -> Planned {
    let arguments = Arguments {
        parameters: parameters.clone(),
        ..Arguments::default()
    };
    plan(action, arguments, &facts(policy)).unwrap()
}

/// What may not be told of values that are hidden.
const HIDING: &str = r#"version: 1
actions:
  pay:
    description: Pays with a card, of which nobody may read a thing.
    url: https://h.example.com/pay/{{account}}
    method: POST
    query: {code: "{{code}}", open: "{{open}}"}
    body: '{"pin": {{pin}}, "cvc": {{.parameters.card.cvc}}, "limit": "{{.parameters.card.limit}}"}'
    sensitive: [code, account, pin, "$.card.limit"]
    parameters:
      properties:
        account: {type: integer}
        code: {type: integer, default: 1}
        open: {type: integer, default: 1}
        pin: {enum: [1234, 4321]}
        card:
          type: object
          properties:
            cvc: {const: 567, writeOnly: true}
            limit: {type: integer}
          required: [cvc, limit]
      required: [account, pin, card]
"#;

#[test]
fn a_refusal_quotes_no_value_that_is_hidden() {
    let policy = policy(HIDING);
    let good = r#"{"pin": 1234, "cvc": 567, "limit": "9"}"#;
    for (path, body, says) in [
        ("/pay/007", good, "account must be of its declared type"),
        ("/pay/7?code=08", good, "code must be of its declared type"),
        ("/pay/7?open=08", good, "open must be written as 8"),
        (
            "/pay/7",
            r#"{"pin": 1, "cvc": 567, "limit": "9"}"#,
            "pin must be one of the declared values",
        ),
        (
            "/pay/7",
            r#"{"pin": 1234, "cvc": 5, "limit": "9"}"#,
            "card.cvc must be one of the declared values",
        ),
        (
            "/pay/7",
            r#"{"pin": 1234, "cvc": 567, "limit": "09"}"#,
            "/limit in the body must be of its declared type",
        ),
    ] {
        let mut intent = intent(&policy, "", "POST", &format!("https://h.example.com{path}"));
        intent
            .headers
            .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let refusal = proxied(&policy, &intent, body.as_bytes()).unwrap_err();
        assert_eq!(refusal.code, Code::ParameterInvalid, "{path} {body}");
        assert!(
            refusal.message.starts_with(says),
            "{path} {body}: {}",
            refusal.message
        );
        assert_eq!(refusal.hints.allowed, [""; 0], "{path} {body}");
    }
}

/// Every path of up to three of some segments.
fn few_paths() -> Vec<String> {
    let segments = ["a", "b", "ab", "xy"];
    let longer = |paths: &[String]| -> Vec<String> {
        let below = |path: &String| segments.map(|it| format!("{path}/{it}"));
        paths.iter().flat_map(below).collect()
    };
    let one = longer(&[String::new()]);
    let two = longer(&one);
    let three = longer(&two);
    [one, two, three].concat()
}

proptest! {
    #[test]
    fn every_path_of_an_unrivalled_action_is_its_own(patterns in prop::collection::btree_set(
        prop::collection::vec(prop::sample::select(vec!["a", "b", "ab", "{{$}}", "a{{$}}", "{{$}}b", "{{$...}}"]), 1..4),
        1..5,
    )) {
        let mut text = "version: 1\nactions:\n".to_owned();
        for (number, segments) in patterns.iter().enumerate() {
            let segment = |(at, it): (usize, &&str)| format!("/{}", it.replace('$', &format!("p{at}")));
            let path: String = segments.iter().enumerate().map(segment).collect();
            let names = (0..segments.len()).filter(|at| segments[*at].contains('$'));
            let names: Vec<String> = names.map(|at| format!("p{at}: {{type: string}}")).collect();
            let required: Vec<&str> = names.iter().map(|it| &it[..2]).collect();
            text += &format!(
                "  one_{number}: {{description: Reads., method: GET, url: \"https://h.example.com{path}\", \
                 parameters: {{type: object, properties: {{{}}}, required: [{}]}}}}\n",
                names.join(", "),
                required.join(", "),
            );
        }
        let loaded = from_texts(&[("p.yaml".to_owned(), text.into_bytes())]);
        // Patterns between which a request could not choose, or that are none.
        prop_assume!(loaded.policy.is_some());
        let policy = Arc::new(loaded.policy.unwrap());
        let found: Vec<_> = few_paths()
            .iter()
            .filter_map(|path| {
                let intent = intent(&policy, "bot", "GET", &format!("https://h.example.com{path}"));
                let selected = select(&policy, &intent).ok()?;
                Some((intent, selected))
            })
            .collect();
        for (intent, selected) in &found {
            let action = selected.action();
            if !selected.is_unrivalled_at(&intent.destination.host) {
                prop_assert!(patterns.len() > 1);
                continue;
            }
            for (other, winner) in &found {
                if action.path.captures(&other.path).is_some() {
                    prop_assert_eq!(&winner.action().name, &action.name, "{}", other.path);
                }
            }
        }
    }

    #[test]
    fn lists_of_every_style_are_read_back(
        tags in prop::collection::vec("[^,\\p{Cc}]{1,6}", 1..4),
        n in prop::collection::vec(any::<i64>(), 1..4),
        s in "\\PC{0,12}",
    ) {
        let policy = policy(POLICY);
        let Value::Object(parameters) = json!({"tags": tags, "n": n, "s": s}) else {
            unreachable!("an object was written")
        };
        for name in ["comma", "brackets"] {
            let action = &policy.environments()[0].actions[name];
            let first = planned(&policy, action, &parameters);
            let url = format!("https://api.two.test{}?{}", first.path, first.query);
            let intent = intent(&policy, "bot", "GET", &url);
            let content = Content::Read(Bytes::new());
            let found = recognise(action, &intent, content, &facts(&policy)).unwrap();
            prop_assert_eq!(&found.arguments.parameters, &parameters);
            let second = proxied(&policy, &intent, b"").unwrap();
            prop_assert_eq!(&first.query, &second.query);
        }
    }

    #[test]
    fn what_is_planned_is_recognised_and_sent_again_as_the_same_bytes(parameters in values()) {
        let policy = carriers();
        for action in policy.environments()[0].actions.values() {
            let first = planned(&policy, action, &parameters);
            let intent = as_intent(&policy, &first);
            let content = Content::Read(bytes(&first.body));
            let found = recognise(action, &intent, content, &facts(&policy)).unwrap();
            prop_assert_eq!(&found.arguments.parameters, &parameters);
            let second = proxied(&policy, &intent, &bytes(&first.body)).unwrap();
            prop_assert_eq!(&first.path, &second.path);
            prop_assert_eq!(&first.query, &second.query);
            prop_assert_eq!(&first.headers, &second.headers);
            prop_assert_eq!(bytes(&first.body), bytes(&second.body));
        }
    }
}
