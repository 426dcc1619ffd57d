//! Of no single row: all that hyper's server takes for a request by default, or mends without a word, and http's `Uri`
//! beside it. exeat reads HTTP/1 with neither; each of these is refused, or leaves as what it was decided to be.

use super::super::stage::{Door, Stage};
use super::{MALFORMED, Raw, refused};

/// How bodies end, and how lines do.
#[test]
fn framing_that_hyper_mends_is_refused() {
    let json = "Content-Type: application/json\r\n";
    let chunked = "Transfer-Encoding: chunked\r\n";
    let posts = [
        format!("Content-Length: 6\r\n{chunked}\r\n0\r\n\r\nX"),
        "Content-Length: 2\r\nContent-Length: 2\r\n\r\nab".into(),
        "Content-Length: 002\r\n\r\nab".into(),
        "Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n".into(),
        "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n".into(),
        "X: a\nY: b\r\n\r\n".into(),
        format!("{json}{chunked}\r\n2 \r\nab\r\n0\r\n\r\n"),
        format!("{json}{chunked}\r\n2;x=y\r\nab\r\n0\r\n\r\n"),
        "X_Api_Key: a\r\n\r\n".into(),
        "Host: api.good.test\r\n\r\n".into(),
    ];
    let heads = [
        "\r\nGET {target} HTTP/1.1\r\nHost: api.good.test\r\n\r\n",
        "GET {target} HTTP/1.1\r\n\r\n",
        "GET {target}#x HTTP/1.1\r\nHost: api.good.test\r\n\r\n",
        "GET {target}/\u{e9} HTTP/1.1\r\nHost: api.good.test\r\n\r\n",
    ];
    let posts = posts.iter().map(Raw::post);
    refused(MALFORMED, posts.chain(heads.map(Raw::of)));
}

/// Targets and names of servers.
#[test]
fn targets_that_hyper_takes_are_refused() {
    let stage = Stage::usual();
    let get = |target: &str| format!("GET {target} HTTP/1.1\r\nHost: api.good.test\r\n\r\n");
    for (head, expected) in [
        (
            get("http://evil.test/v1/items/1"),
            (400, "request_malformed"),
        ),
        (
            get("http://api.good.test:443/v1/items/1"),
            (400, "request_malformed"),
        ),
        (
            get("http://a@api.good.test/v1/items/1"),
            (400, "request_malformed"),
        ),
        (
            get("http://a:b@api.good.test/v1/items/1"),
            (400, "request_malformed"),
        ),
        (
            get("ftp://api.good.test/v1/items/1"),
            (400, "request_malformed"),
        ),
        (get("//evil.test/x"), (400, "request_malformed")),
        (
            get("//api.good.test/v1/items/1"),
            (400, "request_malformed"),
        ),
        (get("api.good.test:80"), (400, "request_malformed")),
        (get("api.good.test"), (400, "request_malformed")),
        (get("*"), (400, "request_malformed")),
        (get("/v1/items/1"), (400, "not_a_proxy_request")),
        (
            get("*").replace("GET", "OPTIONS"),
            (400, "not_a_proxy_request"),
        ),
    ] {
        stage.refuses(Door::Proxy, head.as_bytes(), expected);
    }
    for (head, expected) in [
        (get("http://evil.test/v1/items/1"), (421, "host_mismatch")),
        (get("https://evil.test/v1/items/1"), (421, "host_mismatch")),
        (
            get("ftp://api.good.test/v1/items/1"),
            (400, "request_malformed"),
        ),
        (get("//evil.test/x"), (400, "request_malformed")),
        (get("api.good.test:443"), (400, "request_malformed")),
        (get("*"), (400, "request_malformed")),
        (get("*").replace("GET", "OPTIONS"), (405, "method_refused")),
    ] {
        stage.refuses(Door::Tunnel, head.as_bytes(), expected);
    }
    for door in Door::ALL {
        let lower = door.request("get", "api.good.test", "/v1/items/1", "", "");
        stage.refuses(door, &lower, (405, "method_refused"));
        let body = door.request(
            "GET",
            "api.good.test",
            "/v1/items/1",
            "Content-Length: 2\r\n",
            "ab",
        );
        stage.refuses(door, &body, (400, "body_unexpected"));
    }
}

/// What `Connection` names is gone before ours is put in, which stays; trailers go nowhere.
#[test]
fn what_hyper_leaves_to_us_does_not_leave() {
    let stage = Stage::usual();
    for door in Door::ALL {
        for lines in [
            "Connection: x, authorization\r\nAuthorization: Bearer mine\r\nX: y\r\n",
            "Connection: authorization, host, content-length\r\n",
            "Connection: close, accept\r\nAccept: text/x\r\n",
            "Connection: accept-encoding\r\nAccept-Encoding: gzip\r\n",
        ] {
            let sent = door.request("GET", "api.good.test", "/v1/items/1", lines, "");
            stage.same(door, &sent, &door.get("/v1/items/1"));
        }
        let json = r#"{"name":"a","qty":1}"#;
        let lines = "Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n";
        let body = format!("14\r\n{json}\r\n0\r\nAuthorization: x\r\nContent-Length: 5\r\n\r\n");
        let sent = door.request("POST", "api.good.test", "/v1/items", lines, &body);
        stage.same(door, &sent, &door.post(json));
    }
}

/// Where a tunnel leads.
#[test]
fn connects_that_hyper_takes_are_refused() {
    let stage = Stage::usual();
    let malformed = [
        "api.good.test",
        "api.good.test:",
        "api.good.test:99999",
        "api.good.test:0443",
        "api.good.test:+443",
        "api.good.test:0",
        "[api.good.test]:443",
        "[fe80::1%25eth0]:443",
        "http://api.good.test:443/",
        "https://api.good.test",
        "/path",
        "*",
        "api.good.test:443/",
        "a@api.good.test:443",
        "api.good.test:443:443",
        "api.good.test:443#x",
        "2130706433:443",
        "0x7f000001:443",
        "127.1:443",
    ];
    for target in malformed {
        let head = format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n");
        stage.refuses(Door::Proxy, head.as_bytes(), MALFORMED);
    }
    for target in ["10.0.0.5:443", "203.0.114.10:443", "[::1]:443"] {
        let head = format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n");
        stage.refuses(Door::Proxy, head.as_bytes(), (403, "address_refused"));
    }
    let target = "api.good.test:443";
    for body in [
        "Content-Length: 2\r\n\r\nab",
        "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ] {
        let head = format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n{body}");
        stage.refuses(Door::Proxy, head.as_bytes(), MALFORMED);
    }
    // The one spelling beside the plain one that names the same server.
    let mut stream = stage.open(Door::Proxy);
    let head = "CONNECT api.good.test.:443 HTTP/1.1\r\nHost: api.good.test.:443\r\n\r\n";
    std::io::Write::write_all(&mut stream, head.as_bytes()).unwrap();
    assert_eq!(crate::world::read_head(&mut stream).unwrap().status, 200);
}
