//! Any bytes as the request of a client: what is made of it and written is read as the same request, of which the same
//! is made.

use std::sync::Arc;
use std::sync::LazyLock;
use std::time::Instant;

use bytes::Bytes;
use bytes::BytesMut;
use exeat::action::Content;
use exeat::action::Facts;
use exeat::action::Planned;
use exeat::action::recognise;
use exeat::body::Body;
use exeat::json;
use exeat::name::EnvironmentName;
use exeat::policy;
use exeat::policy::Head;
use exeat::policy::PlainHttp;
use exeat::policy::Policy;
use exeat::request::Caller;
use exeat::request::Destination;
use exeat::request::Door;
use exeat::request::Host;
use exeat::request::Intent;
use exeat::wire::ChunkedReader;
use exeat::wire::Framing;
use exeat::wire::HeadLimits;
use exeat::wire::HeadReader;
use exeat::wire::Piece;
use serde_json::Value;
use time::OffsetDateTime;

use super::path_query;

/// Every way in which parameters stand in a request.
static POLICY: LazyLock<Arc<Policy>> = LazyLock::new(|| {
    let text = include_str!("canonical.yaml").as_bytes().to_vec();
    let loaded = policy::from_texts(&[("canonical.yaml".to_owned(), text)]);
    assert!(loaded.problems.is_empty(), "{:?}", loaded.problems);
    Arc::new(loaded.policy.expect("no problems"))
});

/// Reads a request, makes of it what would be sent, and does both again with what that is written as.
pub fn check(bytes: &[u8]) {
    let Some(request) = read(bytes) else {
        return;
    };
    let Some(first) = meaning(request) else {
        return;
    };
    path_query::assert_canonical(&first.planned.path);
    let written = write(&first);
    let shown = String::from_utf8_lossy(&written);
    let request = read(&written).unwrap_or_else(|| panic!("unreadable: {shown}"));
    let again = meaning(request).unwrap_or_else(|| panic!("refused: {shown}"));
    assert_eq!(again.host, first.host, "{shown}");
    let same = json::are_equal(&again.parameters, &first.parameters);
    assert!(same, "{} {} {shown}", first.parameters, again.parameters);
    let (first, again) = (first.planned, again.planned);
    assert_eq!(again.method, first.method, "{shown}");
    assert_eq!(again.path, first.path, "{shown}");
    assert_eq!(again.query, first.query, "{shown}");
    assert_eq!(again.headers, first.headers, "{shown}");
    assert_eq!(content(&again.body), content(&first.body), "{shown}");
}

/// A request that is whole, and has one destination.
fn read(bytes: &[u8]) -> Option<(Intent, Bytes)> {
    let mut rest = BytesMut::from(bytes);
    let head = HeadReader::new(HeadLimits::default()).read(&mut rest);
    let head = head.ok()??;
    let target = Destination::of_absolute(head.target.as_str()).ok()?;
    if !head
        .host()
        .is_none_or(|host| target.destination.is_named_by(host))
    {
        return None;
    }
    let body = match head.framing {
        Framing::None => Bytes::new(),
        Framing::Length(length) => {
            let length = usize::try_from(length).ok()?;
            (length <= rest.len()).then(|| rest.split_to(length).freeze())?
        }
        Framing::Chunked => unchunked(rest)?,
    };
    let head = Head {
        door: Door::Proxy,
        caller: Caller {
            agent: None,
            environment: environment(),
            session: None,
        },
        method: head.method.as_str(),
        destination: target.destination,
        path_and_query: target.path_and_query,
        headers: head.headers,
    };
    let intent = policy::understand(&POLICY, head, PlainHttp::Upgrade);
    Some((intent.ok()?, body))
}

fn unchunked(mut rest: BytesMut) -> Option<Bytes> {
    let (mut reader, mut body) = (ChunkedReader::new(), BytesMut::new());
    loop {
        match reader.read(&mut rest).ok()?? {
            Piece::Data(data) => body.extend_from_slice(&data),
            Piece::End => return Some(body.freeze()),
        }
    }
}

/// What is made of a request.
struct Meaning {
    host: Host,
    /// With defaults.
    parameters: Value,
    planned: Planned,
}

fn meaning((intent, body): (Intent, Bytes)) -> Option<Meaning> {
    let facts = Facts::bare(environment(), OffsetDateTime::UNIX_EPOCH, Instant::now());
    let selected = policy::select(&POLICY, &intent).ok()?;
    let content = match selected.reads_body() {
        true => Content::Read(body),
        false => Content::Unread(match body.is_empty() {
            true => Body::Empty,
            false => Body::Bytes(body),
        }),
    };
    let recognised = recognise(selected.action(), &intent, content, &facts).ok()?;
    let mut parameters = recognised.arguments.parameters.clone();
    let schema = selected.action().schema_of(&recognised.arguments);
    schema.fill_defaults(&mut parameters);
    let host = intent.destination.host;
    let permit = policy::decide(selected, &host, recognised.arguments, &facts).ok()?;
    let planned = permit.planned();
    Some(Meaning {
        host,
        parameters: parameters.into(),
        planned: Planned {
            method: planned.method.clone(),
            path: planned.path.clone(),
            query: planned.query.clone(),
            headers: planned.headers.clone(),
            body: match content_of(&planned.body) {
                Some(bytes) => Body::Bytes(bytes),
                None => Body::Empty,
            },
        },
    })
}

/// The request as another client would have sent it.
fn write(meaning: &Meaning) -> Vec<u8> {
    let planned = &meaning.planned;
    let (host, body) = (&meaning.host, content(&planned.body));
    let mut target = format!("https://{host}{}", planned.path);
    if !planned.query.is_empty() {
        target = format!("{target}?{}", planned.query);
    }
    let mut written = format!("{} {target} HTTP/1.1\r\nhost: {host}\r\n", planned.method);
    for (name, value) in &planned.headers {
        let value = value.to_str().expect("values are printable");
        written.push_str(&format!("{name}: {value}\r\n"));
    }
    written.push_str(&format!("content-length: {}\r\n\r\n", body.len()));
    [written.as_bytes(), &body].concat()
}

fn content(body: &Body) -> Bytes {
    content_of(body).unwrap_or_default()
}

fn content_of(body: &Body) -> Option<Bytes> {
    match body {
        Body::Empty => None,
        Body::Bytes(bytes) => Some(bytes.clone()),
        Body::Stream(_) => panic!("what was given whole does not stream"),
    }
}

fn environment() -> EnvironmentName {
    EnvironmentName::parse("default").expect("a name")
}
