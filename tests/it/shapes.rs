//! What leaves has the shape that was declared, whatever the parameters are; and all spellings of one request leave as
//! the same bytes. No sockets here: from parameters or a head to the message that would be written.

use std::sync::{Arc, LazyLock};
use std::time::Instant;

use bytes::Bytes;
use exeat::action::{Arguments, Content, Facts, recognise};
use exeat::body::Body;
use exeat::credential::Secrets;
use exeat::json;
use exeat::policy::{self, Permit, Policy, Selected};
use exeat::refusal::Refusal;
use exeat::request::{self, Caller, Destination, Door, Host, Intent, Path, Query, Scheme};
use exeat::secret::Secret;
use http::HeaderMap;
use proptest::prelude::*;
use serde_json::{Map, Value};
use time::macros::datetime;

const POLICY: &str = r#"
version: 1
secrets: {token: {env: TOKEN}, key: {env: KEY}}
auth:
  bearer: {type: bearer, token: {secret: token}}
connections:
  c: {base_url: "https://api.good.test/v1", auth: bearer, headers: {X-Tenant: acme}}
actions:
  json: {description: Sends members of an object., connection: c, method: POST, path: "/json/{{id}}/x-{{kind}}.y", query: $Q, headers: $H, parameters: $P}
  form: {description: Sends fields of a form., connection: c, method: PUT, path: "/form/{{id}}/x-{{kind}}.y", query: $Q, headers: $H, parameters: $P, content_types: [application/x-www-form-urlencoded]}
  query: {description: Sends all in the query., connection: c, method: GET, path: "/query/{{id}}/x-{{kind}}.y", query: $Q, headers: $H, parameters: $P}
  rest: {description: Sends the rest in the path., connection: c, method: DELETE, path: "/rest/{{kind}}/{{id...}}", query: $Q, headers: $H, parameters: $P}
"#;

static DECLARED: LazyLock<Arc<Policy>> = LazyLock::new(|| {
    let text = POLICY
        .replace("$Q", r#"{fixed: "a&b", q: "{{q}}", key: {secret: key}}"#)
        .replace("$H", r#"{X-H: "h-{{h}}"}"#)
        .replace(
            "$P",
            "{properties: {id: {type: string}, kind: {type: string}, q: {type: string}, h: {type: string, default: none}, \
             a: {type: string}, b: {type: array, items: {type: string}}}, required: [id, kind]}",
        );
    let loaded = policy::from_texts(&[("p.yaml".into(), text.into_bytes())]);
    let problems: Vec<String> = loaded.problems.iter().map(|it| it.headline()).collect();
    Arc::new(loaded.policy.unwrap_or_else(|| panic!("{problems:#?}")))
});

const ACTIONS: [(&str, &str); 4] = [
    ("POST", "/v1/json/i/x-k.y"),
    ("PUT", "/v1/form/i/x-k.y"),
    ("GET", "/v1/query/i/x-k.y"),
    ("DELETE", "/v1/rest/k/i"),
];

fn host() -> Host {
    Host::parse("api.good.test").unwrap()
}

fn intent(method: &str, path: &str, query: &str, headers: HeaderMap) -> Result<Intent, Refusal> {
    Ok(Intent {
        door: Door::Proxy,
        caller: Caller {
            agent: None,
            environment: DECLARED.environments()[0].name.clone(),
            session: None,
        },
        method: request::method(method)?,
        destination: Destination {
            scheme: Scheme::Https,
            host: host(),
            port: 443,
        },
        path: Path::parse(path)?,
        query: Query::parse(query)?,
        headers,
    })
}

fn facts() -> Facts {
    let environment = DECLARED.environments()[0].name.clone();
    Facts::bare(
        environment,
        datetime!(2026-01-02 03:04:05 UTC),
        Instant::now(),
    )
}

fn selected(method: &str, path: &str) -> Selected {
    let intent = intent(method, path, "", HeaderMap::new()).unwrap();
    policy::select(&DECLARED, &intent).unwrap()
}

/// Decides about parameters as a tool would give them.
fn called((method, path): (&str, &str), parameters: Map<String, Value>) -> Result<Sent, Refusal> {
    let bytes = serde_json::to_vec(&parameters).unwrap();
    let read = json::parse(&bytes).map_err(Refusal::from)?;
    let arguments = Arguments {
        parameters: read.as_object().unwrap().clone(),
        ..Arguments::default()
    };
    policy::decide(selected(method, path), &host(), arguments, &facts()).map(sent)
}

/// Decides about a request as the proxy reads it.
fn proxied(method: &str, target: &str, headers: HeaderMap, body: &str) -> Result<Sent, Refusal> {
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let intent = intent(method, path, query, headers)?;
    let selected = policy::select(&DECLARED, &intent)?;
    let content = Content::Read(Bytes::copy_from_slice(body.as_bytes()));
    let found = recognise(selected.action(), &intent, content, &facts())?;
    policy::decide(selected, &host(), found.arguments, &facts()).map(sent)
}

/// A message as it would be written.
#[derive(Debug, PartialEq)]
struct Sent {
    method: String,
    path: String,
    query: String,
    headers: Vec<(String, String)>,
    body: String,
}

fn sent(permit: Permit) -> Sent {
    let mut secrets = Secrets::default();
    for name in permit.secrets() {
        secrets.insert(name.clone(), Secret::new(b"SECRET".to_vec()).unwrap());
    }
    let request = permit.equip(&secrets).unwrap().into_request().unwrap();
    let text = |value: &http::HeaderValue| value.to_str().unwrap().to_owned();
    let headers = request.headers().iter();
    let mut headers: Vec<(String, String)> = headers
        .map(|(name, it)| (name.to_string(), text(it)))
        .collect();
    headers.sort();
    Sent {
        method: request.method().to_string(),
        path: request.uri().path().to_owned(),
        query: request.uri().query().unwrap_or_default().to_owned(),
        headers,
        body: match request.into_body() {
            Body::Bytes(bytes) => String::from_utf8(bytes.to_vec()).unwrap(),
            Body::Empty => String::new(),
            Body::Stream(_) => panic!("nothing here is passed on"),
        },
    }
}

/// Text that has ended strings, lines, segments and parameters elsewhere.
fn hostile() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("/"),
        Just("\\"),
        Just(".."),
        Just("."),
        Just("%2e"),
        Just("%2F"),
        Just("?"),
        Just("#"),
        Just("&"),
        Just("="),
        Just("+"),
        Just(" "),
        Just(";"),
        Just(":"),
        Just("@"),
        Just("\r\n"),
        Just("\n"),
        Just("\t"),
        Just("\0"),
        Just("\x1b"),
        Just("\""),
        Just("'"),
        Just("}"),
        Just("{{id}}"),
        Just("{"),
        Just(","),
        Just("\u{e9}"),
        Just("\u{2028}"),
        Just("\u{202e}"),
        Just("\u{ff0f}"),
        Just("key=x"),
        Just("a"),
        Just("B"),
        Just("0"),
        Just("SECRET"),
        Just("\u{7f}"),
        Just("X: y"),
    ];
    prop::collection::vec(piece, 0..6).prop_map(|pieces| pieces.concat())
}

/// Parameters, most of them of declared names.
fn parameters() -> impl Strategy<Value = Map<String, Value>> {
    let name = prop_oneof![
        8 => prop::sample::select(vec!["id", "kind", "q", "h", "a", "b"]).prop_map(str::to_owned),
        1 => prop::sample::select(vec!["key", "fixed", "KEY", "A", "", "x-h"]).prop_map(str::to_owned),
        1 => hostile(),
    ];
    let text = || hostile().prop_map(Value::from);
    let value = prop_oneof![
        8 => text(),
        2 => prop::collection::vec(hostile(), 0..4).prop_map(Value::from),
        1 => Just(Value::Null),
        1 => any::<i64>().prop_map(Value::from),
        1 => hostile().prop_map(|it| serde_json::json!({it: 1})),
    ];
    let required = ("[a-z.~-]{1,8}", hostile());
    (required, prop::collection::vec((name, value), 0..5)).prop_map(|((id, kind), others)| {
        let mut all = Map::new();
        all.insert("id".into(), id.into());
        all.insert("kind".into(), kind.into());
        all.extend(others);
        all
    })
}

/// The names of a query or a form in their order, each decoded.
fn names(text: &str) -> Vec<String> {
    let pairs = text.split('&').filter(|pair| !pair.is_empty());
    let pairs = pairs.map(|pair| Query::parse(pair).unwrap().pairs()[0].name.clone());
    pairs.collect()
}

/// Whether names are these at most, in this order, and only a list stands there more than once.
fn are_declared(found: &[String], declared: &[&str]) -> bool {
    let mut rest = declared.iter();
    let mut last = "";
    found.iter().all(|name| {
        let again = name == last && name == "b";
        last = name;
        again || rest.any(|it| it == name)
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn no_value_adds_a_segment_a_name_a_header_or_a_member(parameters in parameters()) {
        for (number, door) in ACTIONS.into_iter().enumerate() {
            let Ok(sent) = called(door, parameters.clone()) else { continue };
            prop_assert_eq!(&sent.method, door.0);

            let segments: Vec<&str> = sent.path.split('/').collect();
            let whole: Vec<&str> = door.1.split('/').collect();
            prop_assert_eq!(&segments[..3], &whole[..3]);
            if number < 3 {
                prop_assert_eq!(segments.len(), 5, "{}", sent.path);
                prop_assert!(segments[4].starts_with("x-") && segments[4].ends_with(".y"));
            }
            let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._~%".contains(&b);
            for segment in &segments[1..] {
                prop_assert!(!segment.is_empty() && !matches!(*segment, "." | ".."), "{}", sent.path);
                prop_assert!(segment.bytes().all(plain), "{}", sent.path);
            }

            let declared: &[&str] = match number {
                0 | 1 => &["fixed", "q", "key"],
                _ => &["fixed", "q", "a", "b", "key"],
            };
            prop_assert!(are_declared(&names(&sent.query), declared), "{}", sent.query);
            prop_assert!(sent.query.starts_with("fixed=a%26b") && sent.query.ends_with("&key=SECRET"));

            let headers: Vec<&str> = sent.headers.iter().map(|(name, _)| name.as_str()).collect();
            let with_body: &[&str] = &["accept-encoding", "authorization", "content-type", "x-h", "x-tenant"];
            let without: &[&str] = &["accept-encoding", "authorization", "x-h", "x-tenant"];
            prop_assert_eq!(headers, if number < 2 { with_body } else { without });
            for (name, value) in &sent.headers {
                prop_assert!(value.bytes().all(|b| matches!(b, b' '..=b'~')), "{}", value);
                let fixed = [("authorization", "Bearer SECRET"), ("x-tenant", "acme"), ("accept-encoding", "identity")];
                if let Some((_, fixed)) = fixed.iter().find(|(it, _)| it == name) {
                    prop_assert_eq!(value, fixed);
                }
            }

            match number {
                0 => {
                    let read = json::parse(sent.body.as_bytes()).unwrap();
                    let keys: Vec<String> = read.as_object().unwrap().keys().cloned().collect();
                    prop_assert!(are_declared(&keys, &["a", "b"]), "{}", sent.body);
                }
                1 => prop_assert!(are_declared(&names(&sent.body), &["a", "b"]), "{}", sent.body),
                _ => prop_assert_eq!(&sent.body, ""),
            }
        }
    }

    #[test]
    fn every_spelling_leaves_as_the_same_bytes(parameters in tame(), choices in prop::collection::vec(any::<u8>(), 64)) {
        for (number, door) in ACTIONS.into_iter().enumerate() {
            let canonical = called(door, parameters.clone()).unwrap();
            let mut dice = Dice(&choices, 0);
            let query = match number {
                2 | 3 => &["q", "a", "b"][..],
                _ => &["q"],
            };
            let target = format!("{}?{}", respelled_path(&canonical.path, &mut dice), pairs(&parameters, query, &mut dice));
            let mut headers = HeaderMap::new();
            if let Some(Value::String(text)) = parameters.get("h") {
                headers.insert("x-h", format!("h-{text}").parse().unwrap());
            }
            let body = match number {
                0 => object(&parameters, &mut dice),
                1 => pairs(&parameters, &["a", "b"], &mut dice),
                _ => String::new(),
            };
            let kind = ["application/json", "application/x-www-form-urlencoded"].get(number);
            if let Some(kind) = kind {
                headers.insert("content-type", kind.parse().unwrap());
            }
            let told = proxied(door.0, &target, headers, &body);
            let again = told.map_err(|refusal| TestCaseError::fail(format!("{target} {body}: {refusal:?}")))?;
            prop_assert_eq!(again, canonical, "{} {}", target, body);
        }
    }
}

/// Parameters that may stand in their places.
fn tame() -> impl Strategy<Value = Map<String, Value>> {
    let segment = "[a-zA-Z0-9 ~!&=+:@é-]{1,8}";
    let text = || "[a-zA-Z0-9 /\\\\&=+;?#\"é😀-]{0,8}";
    let optional = (
        prop::option::of(text()),
        prop::option::of("[!-~]{1,8}"),
        prop::option::of(text()),
        prop::option::of(prop::collection::vec(text(), 1..3)),
    );
    (segment, segment, optional).prop_map(|(id, kind, (q, h, a, b))| {
        let all = serde_json::json!({"id": id, "kind": kind, "q": q, "h": h, "a": a, "b": b});
        let all = all.as_object().unwrap().clone();
        all.into_iter()
            .filter(|(_, value)| !value.is_null())
            .collect()
    })
}

/// Choices of a test case, over and over.
struct Dice<'a>(&'a [u8], usize);

impl Dice<'_> {
    fn says(&mut self, one_in: u8) -> bool {
        self.1 += 1;
        self.0[self.1 % self.0.len()].is_multiple_of(one_in)
    }
}

/// The same path with other characters encoded, in digits of either case.
fn respelled_path(path: &str, dice: &mut Dice<'_>) -> String {
    let (mut out, mut rest) = (String::new(), path);
    while let Some(first) = rest.chars().next() {
        let is_code = first == '%';
        let piece = &rest[..if is_code { 3 } else { 1 }];
        rest = &rest[piece.len()..];
        match is_code {
            true if dice.says(2) => out += &piece.to_ascii_lowercase(),
            false if first != '/' && dice.says(3) => out += &format!("%{:02x}", first as u32),
            _ => out += piece,
        }
    }
    out
}

/// Parameters as a query or a form, in any order and any encoding.
fn pairs(parameters: &Map<String, Value>, names: &[&str], dice: &mut Dice<'_>) -> String {
    let mut all = Vec::new();
    for name in names {
        let values = match parameters.get(*name) {
            Some(Value::Array(items)) => items.clone(),
            Some(value) => vec![value.clone()],
            None => Vec::new(),
        };
        let values: Vec<String> = values
            .iter()
            .map(|value| {
                format!(
                    "{}={}",
                    encoded(name, dice),
                    encoded(value.as_str().unwrap(), dice)
                )
            })
            .collect();
        let group = values.join("&");
        match dice.says(2) {
            _ if group.is_empty() => {}
            true => all.insert(0, group),
            false => all.push(group),
        }
    }
    all.join("&")
}

fn encoded(text: &str, dice: &mut Dice<'_>) -> String {
    let byte = |b: u8| match b {
        b' ' if dice.says(2) => "+".to_owned(),
        b if (b.is_ascii_alphanumeric() || b"-._~".contains(&b)) && !dice.says(3) => {
            char::from(b).to_string()
        }
        b if dice.says(2) => format!("%{b:02X}"),
        b => format!("%{b:02x}"),
    };
    text.bytes().map(byte).collect()
}

/// Parameters as a JSON object, in any order, with spaces and escapes.
fn object(parameters: &Map<String, Value>, dice: &mut Dice<'_>) -> String {
    let mut members = Vec::new();
    for name in ["a", "b"] {
        let value = match parameters.get(name) {
            None => continue,
            Some(Value::Array(items)) => {
                let items: Vec<String> = items
                    .iter()
                    .map(|it| quoted(it.as_str().unwrap(), dice))
                    .collect();
                format!("[{}]", items.join(" ,"))
            }
            Some(value) => quoted(value.as_str().unwrap(), dice),
        };
        let member = format!("{} :\n{value}", quoted(name, dice));
        match dice.says(2) {
            true => members.insert(0, member),
            false => members.push(member),
        }
    }
    format!(" {{{}}}\t", members.join(","))
}

fn quoted(text: &str, dice: &mut Dice<'_>) -> String {
    let mut units = String::new();
    for c in text.chars() {
        let plain = !matches!(c, '"' | '\\');
        if plain && !dice.says(3) {
            units.push(c);
        } else {
            let mut buffer = [0; 2];
            c.encode_utf16(&mut buffer)
                .iter()
                .for_each(|unit| units += &format!("\\u{unit:04x}"));
        }
    }
    format!("\"{units}\"")
}
