//! Headers that some server takes for more than they are: another target, another sender, another way, this connection.

use std::io::Write as _;

use exeat::policy;

use crate::attacks::frames::{Frames, Told};
use crate::attacks::stage::{Door, Line as _, POLICY, Stage};
use crate::world::Plan;

/// With which some servers read another target, or send another file.
const TARGETS: [&str; 22] = [
    "X-Original-URL: /admin",
    "X-Original-URI: /admin",
    "X-Original-Path: /admin",
    "X-Original-Host: evil.test",
    "X-Rewrite-URL: /admin",
    "X-Rewrite-URI: /admin",
    "X-Override-URL: /admin",
    "X-Forwarded-Prefix: /admin",
    "X-Forwarded-Path: /admin",
    "X-Forwarded-Uri: /admin",
    "X-Script-Name: /admin",
    "X-Accel-Redirect: /admin",
    "X-Accel-Internal: /admin",
    "X-Sendfile: /etc/passwd",
    "X-Envoy-Original-Path: /admin",
    "X-Middleware-Subrequest: middleware",
    "X-HTTP-Method-Override: DELETE",
    "X-HTTP-Method: DELETE",
    "X-Method-Override: DELETE",
    "X-Host: evil.test",
    "X-Backend-Host: evil.test",
    "X-Host-Override: evil.test",
];

/// With which a client says that it is another one.
const SENDERS: [&str; 26] = [
    "X-Forwarded-For: 127.0.0.1",
    "X-Forwarded-Host: evil.test",
    "X-Forwarded-Proto: http",
    "X-Forwarded-Port: 80",
    "X-Forwarded-User: root",
    "X-Forwarded: for=127.0.0.1",
    "Forwarded: for=127.0.0.1;host=evil.test;proto=http",
    "X-Real-IP: 127.0.0.1",
    "X-Client-IP: 127.0.0.1",
    "X-Cluster-Client-IP: 127.0.0.1",
    "X-Originating-IP: 127.0.0.1",
    "X-Remote-IP: 127.0.0.1",
    "X-Remote-Addr: 127.0.0.1",
    "X-Remote-User: root",
    "Remote-User: root",
    "True-Client-IP: 127.0.0.1",
    "CF-Connecting-IP: 127.0.0.1",
    "Fastly-Client-IP: 127.0.0.1",
    "X-Client-Cert: x",
    "X-Forwarded-Client-Cert: x",
    "X-SSL-Client-Cert: x",
    "X-SSL-Client-Verify: SUCCESS",
    "SSL-Client-Cert: x",
    "X-Envoy-External-Address: 127.0.0.1",
    "Client-IP: 127.0.0.1",
    "Via: 1.1 exeat",
];

/// With which some proxies are told which way to take.
const WAYS: [&str; 7] = [
    "X-Upstream-Https-Proxy: http://evil.test",
    "X-Unix-Socket: /run/docker.sock",
    "X-Proxy-Url: http://evil.test",
    "Proxy: http://evil.test",
    "X-Forwarded-Server: evil.test",
    "X-Envoy-Original-Dst-Host: 127.0.0.1:9090",
    "X-Envoy-Upstream-Alt-Stat-Name: x",
];

/// Which are of this connection alone.
const HOPS: [&str; 12] = [
    "Proxy-Connection: keep-alive",
    "Keep-Alive: timeout=5",
    "TE: trailers",
    "TE: gzip;q=0.5, trailers, deflate",
    "Trailer: X",
    "Proxy-Authenticate: Basic realm=x",
    "Proxy-Authentication-Info: x",
    "Proxy-Status: x",
    "Upgrade: h2c",
    "HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA",
    "Alt-Used: evil.test",
    "Max-Forwards: 1",
];

/// A request with such a line is decided, carried and recorded as the one without it, and nobody behind us sees it.
fn all_dropped(lines: &[&str]) {
    let stage = Stage::usual();
    for door in Door::ALL {
        let canonical = door.get("/v1/items/1");
        for line in lines {
            let line = format!("{line}\r\n");
            let sent = door.request("GET", "api.good.test", "/v1/items/1", &line, "");
            stage.same(door, &sent, &canonical);
        }
        let all = lines.join("\r\n") + "\r\n";
        let once = all.replace("TE: gzip;q=0.5, trailers, deflate\r\n", "");
        let sent = door.request("GET", "api.good.test", "/v1/items/1", &once, "");
        stage.same(door, &sent, &canonical);
    }
}

/// The same on a stream of HTTP/2, where they are headers like any other.
fn all_dropped_from_a_stream(lines: &[&str]) {
    let stage = Stage::usual();
    let (expected, _) = stage.serves(Door::Tunnel, &Door::Tunnel.get("/v1/items/1"));
    let mut frames = Frames::open(&stage, &[]);
    for line in lines {
        let (name, value) = line.split_once(": ").unwrap();
        let field = (&*name.to_lowercase(), value.as_bytes());
        let told = frames.get(Some(b"api.good.test"), &[field]);
        assert_eq!(told, Told::Answer("{}".into()), "{line}");
        assert_eq!(stage.seen().last(), Some(&expected), "{line}");
    }
    frames.finish();
}

/// And no policy can let an agent send them.
fn none_acceptable(lines: &[&str]) {
    for line in lines {
        let name = line.split(':').next().unwrap();
        for name in [name.to_owned(), name.to_lowercase(), name.to_uppercase()] {
            let more = format!("method: GET\n    accept_headers: [\"{name}\"]");
            let text = POLICY.replacen("method: GET", &more, 1);
            let loaded = policy::from_texts(&[("p.yaml".into(), text.into())]);
            assert!(loaded.policy.is_none(), "{name}");
        }
    }
}

#[test]
fn b25_headers_that_name_another_target_stay_outside() {
    all_dropped(&TARGETS);
    all_dropped_from_a_stream(&TARGETS);
    none_acceptable(&TARGETS);
}

#[test]
fn b26_headers_that_name_another_sender_stay_outside() {
    all_dropped(&SENDERS);
    all_dropped_from_a_stream(&SENDERS);
    none_acceptable(&SENDERS);
}

/// Whoever says that they are many are one.
#[test]
fn b26_no_header_makes_another_client_of_anybody() {
    let policy = POLICY.replacen(
        "method: GET",
        "method: GET\n    rate_limit: {limit: 3, per: day, key: agent}",
        1,
    );
    let stage = Stage::of(Plan::of(&policy));
    let mut statuses = Vec::new();
    for round in 0..5 {
        let lines: String = SENDERS
            .iter()
            .map(|it| {
                format!(
                    "{}\r\n",
                    it.replace("127.0.0.1", &format!("10.0.0.{round}"))
                )
            })
            .collect();
        let mut stream = stage.open(Door::Proxy);
        let sent = Door::Proxy.request("GET", "api.good.test", "/v1/items/1", &lines, "");
        stream.write_all(&sent).unwrap();
        statuses.push(stage.answer(&mut stream, "GET").unwrap().status);
        stream.finish();
    }
    assert_eq!(statuses, [200, 200, 200, 429, 429]);
    for record in stage.world.records(5) {
        let text = record.to_string();
        assert!(
            !text.contains("10.0.0.") && !text.contains("root"),
            "{record}"
        );
    }
}

/// A call of a tool has no headers but those that its action declares.
#[test]
fn b26_no_header_of_a_call_goes_on() {
    let stage = Stage::usual();
    let host = stage.world.tools();
    let lines = [&TARGETS[..], &SENDERS, &WAYS].concat().join("\r\n");
    let body = r#"{"parameters":{"id":"1"}}"#;
    let call = |lines: &str| {
        let length = body.len();
        let answer = stage.world.tool_raw(&format!(
            "POST /v1/actions/get_item HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n\
             Content-Length: {length}\r\n{lines}\r\n{body}"
        ));
        assert_eq!(answer.status, 200, "{answer:?}");
    };
    call("");
    call(&format!("{lines}\r\n"));
    let seen = stage.seen();
    assert_eq!((seen.len(), &seen[0]), (2, &seen[1]));
}

#[test]
fn b27_headers_that_choose_a_way_stay_outside() {
    all_dropped(&WAYS);
    all_dropped_from_a_stream(&WAYS);
    none_acceptable(&WAYS);
    let stage = Stage::usual();
    for line in WAYS {
        let connect = format!(
            "CONNECT api.good.test:443 HTTP/1.1\r\nHost: api.good.test:443\r\n{line}\r\n\r\n"
        );
        let mut stream = stage.world.client().connect();
        stream.write_all(connect.as_bytes()).unwrap();
        let answer = crate::world::read_head(&mut stream).unwrap();
        assert_eq!(answer.head, "HTTP/1.1 200 Connection Established\r\n\r\n");
        stream.finish();
    }
    assert_eq!(
        (stage.world.lookups().len(), stage.world.dials().len()),
        (0, 0)
    );
}

/// `Connection` takes away what the client itself has sent, and nothing that exeat adds.
#[test]
fn b28_what_a_client_nominates_is_its_own() {
    let stage = Stage::usual();
    for door in Door::ALL {
        let canonical = door.get("/v1/items/1");
        for options in [
            "authorization",
            "authorization, x-api-key, host, content-length",
            "Authorization,AUTHORIZATION",
            "close, authorization",
            "keep-alive, host, accept-encoding, connection, traceparent",
            ", ,authorization,",
            "transfer-encoding, content-length",
        ] {
            let lines = format!(
                "Connection: {options}\r\nAuthorization: Bearer theirs\r\nX-Api-Key: theirs\r\n"
            );
            let sent = door.request("GET", "api.good.test", "/v1/items/1", &lines, "");
            stage.same(door, &sent, &canonical);
        }
        // A header that would go through is gone where its sender says that it is for the proxy alone.
        let lines = "Connection: user-agent\r\nConnection: x-a, accept\r\nUser-Agent: x\r\nAccept: text/plain\r\n";
        let sent = door.request("GET", "api.good.test", "/v1/items/1", lines, "");
        let (seen, _) = stage.serves(door, &sent);
        for name in ["user-agent", "accept"] {
            assert_eq!(seen.header(name), [""; 0], "{}", seen.head);
        }
        assert_eq!(seen.header("authorization"), ["Bearer SECRET-AAAA"]);
        assert_eq!(seen.header("host"), ["api.good.test"]);
        assert_eq!(seen.header("connection"), [""; 0]);
        // How a body is to be read is nobody's to take away.
        let body = r#"{"name":"a","qty":1}"#;
        let lines = "Connection: content-length, content-type, host\r\nContent-Type: application/json\r\nContent-Length: 20\r\n";
        let sent = door.request("POST", "api.good.test", "/v1/items", lines, body);
        let (seen, _) = stage.serves(door, &sent);
        assert_eq!(
            (seen.text(), seen.header("content-length")),
            (body, vec!["20"])
        );
    }
    // A credential in the query cannot be nominated at all.
    let sent = b"GET http://api.two.test/me HTTP/1.1\r\nHost: api.two.test\r\nConnection: key, host\r\n\r\n";
    let (seen, _) = stage.serves(Door::Proxy, sent);
    assert_eq!(seen.line(), "GET /me?key=SECRET-BBBB HTTP/1.1");
}

#[test]
fn b34_what_belongs_to_this_connection_stays_on_it() {
    all_dropped(&HOPS);
    none_acceptable(&HOPS);
}
