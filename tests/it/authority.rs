//! Spellings of targets and of `Host`: one reading, or a refusal; and two identities in one request are none.

use std::io::Write as _;

use crate::world::{World, json_reply, read_answer, rest};

const MALFORMED: (u16, &str) = (400, "request_malformed");
const ADDRESS: (u16, &str) = (403, "address_refused");

fn connect(target: &str) -> Vec<u8> {
    format!("CONNECT {target} HTTP/1.1\r\nHost: api.good.test:443\r\n\r\n").into()
}

fn get(target: &str) -> Vec<u8> {
    format!("GET {target} HTTP/1.1\r\nHost: api.good.test\r\n\r\n").into()
}

#[test]
fn a_connect_target_that_is_not_plainly_host_and_port_is_refused() {
    let mut world = World::usual();
    let long_label = format!("{}.test:443", "a".repeat(64));
    let long_name = format!("{}test:443", "abcdefg.".repeat(32));
    let targets = [
        "[api.good.test]:443",
        "[[api.good.test]]:443",
        "[[::1]]:443",
        "evil.test%00.wild.test:443",
        "api%2egood.test:443",
        "api.good.test@evil.test:443",
        "api.good.test:443@evil.test:443",
        "api.good.test\\.evil.test:443",
        "api.good.test:443:80",
        "api.good.test",
        "api.good.test:",
        "api.good.test:0",
        "api.good.test:65536",
        "api.good.test:99999",
        "api.good.test:4294967739",
        "api.good.test:0443",
        "api.good.test:+443",
        "api.good.test:443x",
        "api.good.test:0x1bb",
        "api.good.test:-443",
        "api.good.test:４４３",
        "ａpi.good.test:443",
        "api。good.test:443",
        "ap\u{ad}i.good.test:443",
        "apı.good.test:443",
        "\u{202e}api.good.test:443",
        "a_b.good.test:443",
        "a,b.test:443",
        "a;b.test:443",
        "a'b.test:443",
        "a!b.test:443",
        "*.wild.test:443",
        "api.good.test,evil.test:443",
        &long_label,
        &long_name,
        "api..good.test:443",
        ".api.good.test:443",
        "api.good.test..:443",
        ".:443",
        ":443",
        "-a.test:443",
        "a-.test:443",
        "foo.1:443",
        "1.2.3:443",
        "1.2.3.4.5:443",
        "0x7f.1:443",
        "a.0x1:443",
        "a.0x:443",
        "2130706433:443",
        "0x7f000001:443",
        "0177.0.0.1:443",
        "127.1:443",
        "0:443",
        "010.8.8.8:443",
        "08.8.8.8:443",
        "127.0.0.1.:443",
        "256.1.1.1:443",
        "[fe80::1%25eth0]:443",
        "[fe80::1%eth0]:443",
        "[::1%lo]:443",
        "[v1.fe80::a]:443",
        "[]:443",
        "[::1:443",
        "::1:443",
        "[::1]x:443",
        "[::1]:0443",
        "http://api.good.test:443/",
        "/path",
        "*",
        "api.good.test:443/",
        "api.good.test:443?x",
        "api.good.test:443#x",
        "//api.good.test:443",
    ];
    for target in targets {
        let behind = world.refuses(&connect(target), MALFORMED);
        assert_eq!(behind, "", "{target}: nothing follows a refused CONNECT");
    }
    assert_eq!(world.last_records().len(), targets.len());
}

#[test]
fn an_address_is_no_destination_in_any_spelling_that_is_one() {
    let mut world = World::usual();
    let hosts = [
        "127.0.0.1",
        "8.8.8.8",
        "169.254.169.254",
        "168.63.129.16",
        "192.0.0.192",
        "203.0.114.10",
        "[::1]",
        "[::]",
        "[fd00:ec2::254]",
        "[::ffff:127.0.0.1]",
        "[::ffff:a9fe:a9fe]",
        "[64:ff9b::a9fe:a9fe]",
        "[2002:7f00:1::1]",
    ];
    for host in hosts {
        world.refuses(&connect(&format!("{host}:443")), ADDRESS);
        world.refuses(&get(&format!("http://{host}/latest/meta-data")), ADDRESS);
        world.refuses(&get(&format!("https://{host}:9090/metrics")), ADDRESS);
    }
    assert_eq!(world.last_records().len(), 3 * hosts.len());
}

#[test]
fn a_url_that_another_reader_would_send_elsewhere_is_refused() {
    let mut world = World::usual();
    let not_for_a_proxy = (400, "not_a_proxy_request");
    let cases = [
        ("http://evil.test/p", MALFORMED),
        ("http://api.good.test@evil.test/", MALFORMED),
        ("http://u:p@api.good.test/", MALFORMED),
        ("http://@api.good.test/", MALFORMED),
        ("http://evil.test\\@api.good.test/", MALFORMED),
        ("http://api.good.test\\evil.test/", MALFORMED),
        ("http:\\\\api.good.test/", MALFORMED),
        ("http:/api.good.test/", MALFORMED),
        ("http:///api.good.test/", MALFORMED),
        ("http:api.good.test/", MALFORMED),
        ("http://api.good.test:/", MALFORMED),
        ("http://api.good.test:080/", MALFORMED),
        ("http://api.good.test:99999/", MALFORMED),
        ("http://[api.good.test]/", MALFORMED),
        ("http://api.good.test%2f.evil.test/", MALFORMED),
        ("http://api.good.test#@evil.test/", MALFORMED),
        (
            "http://api.good.test?@evil.test/",
            (403, "action_undeclared"),
        ),
        ("//evil.test/v1", MALFORMED),
        ("evil.test:80", MALFORMED),
        ("evil.test", MALFORMED),
        ("ftp://api.good.test/", MALFORMED),
        ("gopher://api.good.test/", MALFORMED),
        ("urn:x", MALFORMED),
        ("cache_object://api.good.test/", MALFORMED),
        ("file:///etc/passwd", MALFORMED),
        ("ws://api.good.test/", MALFORMED),
        ("wss://api.good.test/", MALFORMED),
        ("http+unix://%2Frun%2Fdocker.sock/", MALFORMED),
        ("javascript://api.good.test/", MALFORMED),
        ("*", MALFORMED),
        ("/", not_for_a_proxy),
        ("/v1/items/1", not_for_a_proxy),
        ("/metrics", not_for_a_proxy),
        ("/healthz", not_for_a_proxy),
        ("/ca.pem", not_for_a_proxy),
        ("/http://api.good.test/v1/items/1", not_for_a_proxy),
        ("http://api.good.test:443/v1/items/1", MALFORMED),
    ];
    for (target, expected) in cases {
        world.refuses(&get(target), expected);
    }
    assert_eq!(world.last_records().len(), cases.len());
}

#[test]
fn bytes_in_an_authority_are_never_decoded_or_dropped() {
    let mut world = World::usual();
    let odd: &[&[u8]] = &[
        b"\0", b"\t", b"\x0b", b"\x7f", b"\x80", b"\xff", b"%", b"<", b"\"", b"\\", b"^", b"`",
        b"|", b"{", b"}", b"~", b"(", b"&", b"$", b"=", b"+",
    ];
    for byte in odd {
        let host = [&b"api.good"[..], byte, b".test"].concat();
        let connect = [
            &b"CONNECT "[..],
            &host,
            b":443 HTTP/1.1\r\nHost: api.good.test:443\r\n\r\n",
        ];
        world.refuses(&connect.concat(), MALFORMED);
        let get = [
            &b"GET http://"[..],
            &host,
            b"/v1/items/1 HTTP/1.1\r\nHost: api.good.test\r\n\r\n",
        ];
        world.refuses(&get.concat(), MALFORMED);
    }
    assert_eq!(world.last_records().len(), 2 * odd.len());
}

#[test]
fn other_spellings_of_one_host_are_that_host() {
    let world = World::usual();
    let origin = world.origin("api.good.test", |_| json_reply("{}"));
    for (target, host) in [
        ("http://api.good.test./v1/items/1", "api.good.test"),
        ("HTTP://API.Good.TEST/v1/items/1", "api.good.test"),
        ("http://api.good.test:80/v1/items/1", "API.GOOD.TEST."),
        ("https://api.good.test:443/v1/items/1", "api.good.test:443"),
        ("https://api.good.test/v1/items/1", "api.good.test."),
    ] {
        let request = format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n");
        let answer = world.client().raw(&request);
        assert_eq!(answer.status, 200, "{target}: {answer:?}");
    }
    let seen = origin.seen();
    assert!(seen.iter().all(|it| it.header("host") == ["api.good.test"]));
    for target in ["api.good.test.:443", "API.Good.TEST:443"] {
        let (answer, stream) = world.client().open(target, &[]);
        assert_eq!(answer.status, 200, "{target}");
        drop(stream);
    }
    let records = world.records(seen.len() + 2);
    assert!(records.iter().all(|it| it["host"] == "api.good.test"));
}

#[test]
fn a_name_that_only_looks_declared_is_undeclared() {
    let mut world = World::usual();
    let hosts = [
        "xn--pi-6kc.good.test",
        "xn--a.test",
        "good.test",
        "x.api.good.test",
        "api.good.test.evil.test",
        "apigood.test",
        "localhost",
        "x.localhost",
        "printer.local",
        "metadata.google.internal",
        "metadata.google.internal.",
        "instance-data",
        "kubernetes.default.svc",
        "host.docker.internal",
    ];
    for host in hosts {
        let request = format!("GET http://{host}/v1/items/1 HTTP/1.1\r\nHost: {host}\r\n\r\n");
        world.refuses(request.as_bytes(), (403, "host_undeclared"));
    }
    assert_eq!(world.last_records().len(), hosts.len());
}

#[test]
fn a_request_in_the_clear_names_one_server() {
    let mut world = World::usual();
    let hosts = [
        "Host: evil.test",
        "Host: api.good.test\r\nHost: api.good.test",
        "Host: api.good.test\r\nHost: evil.test",
        "Host: evil.test\r\nhost: api.good.test",
        "Host: api.good.test, evil.test",
        "Host: api.good.test:8443",
        "Host: api.good.test:443",
        "Host: api.good.test:080",
        "Host: api.good.test:",
        "Host: u@api.good.test",
        "Host: http://api.good.test",
        "Host: api.good.test/",
        "Host: [api.good.test]",
        "Host: ",
        "Host:",
        "X-Host: api.good.test",
        "Host : api.good.test",
        "Host\t: api.good.test",
        " Host: api.good.test",
        "Host: api.good.test\r\n evil.test",
        "Host:\tapi.good.test",
        "Host: api.good.test\t",
        "Host: api.good.test\0",
        "Host: api.good.test\rX: y",
    ];
    for host in hosts {
        let request = format!("GET http://api.good.test/v1/items/1 HTTP/1.1\r\n{host}\r\n\r\n");
        world.refuses(request.as_bytes(), MALFORMED);
    }
    assert_eq!(world.last_records().len(), hosts.len());
}

#[test]
fn a_connect_names_one_server_and_has_no_body() {
    let mut world = World::usual();
    let lines = [
        "Host: evil.test:443",
        "Host: api.good.test:8443",
        "Host: api.good.test:443\r\nHost: api.good.test:443",
        "X: no host",
        "Host: api.good.test:443\r\nContent-Length: 3",
        "Host: api.good.test:443\r\nTransfer-Encoding: chunked",
    ];
    for lines in lines {
        let connect = format!("CONNECT api.good.test:443 HTTP/1.1\r\n{lines}\r\n\r\nabc");
        assert_eq!(world.refuses(connect.as_bytes(), MALFORMED), "");
    }
    assert_eq!(world.last_records().len(), lines.len());
}

#[test]
fn a_request_in_a_tunnel_names_the_server_of_the_tunnel() {
    let mismatch = (421, "host_mismatch");
    let mut count = 0;
    let mut world = World::usual();
    for (target, host, expected) in [
        ("/v1/items/1", "evil.test", mismatch),
        ("/v1/items/1", "api.two.test", mismatch),
        ("/v1/items/1", "api.good.test:8443", mismatch),
        ("/v1/items/1", "api.good.test:80", mismatch),
        ("/v1/items/1", "api.good.test@evil.test", mismatch),
        ("/v1/items/1", "203.0.114.10", mismatch),
        ("/v1/items/1", "", mismatch),
        ("https://api.two.test/me", "api.two.test", mismatch),
        ("https://api.two.test/me", "api.good.test", mismatch),
        (
            "https://api.good.test:8443/v1/items/1",
            "api.good.test",
            mismatch,
        ),
        ("http://api.good.test/v1/items/1", "api.good.test", mismatch),
        ("https://api.good.test/v1/items/1", "evil.test", mismatch),
        ("//evil.test/v1/items/1", "api.good.test", MALFORMED),
        ("ftp://api.good.test/v1/items/1", "api.good.test", MALFORMED),
        (
            "https://u@api.good.test/v1/items/1",
            "api.good.test",
            MALFORMED,
        ),
        ("/v1/items/1", "api.good.test\r\nHost: evil.test", MALFORMED),
    ] {
        let mut tunnel = world.client().tunnel("api.good.test");
        write!(tunnel, "GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n").unwrap();
        let answer = read_answer(&mut tunnel, "GET").unwrap();
        let shown = format!("{target} {host}: {answer:?}");
        assert_eq!((answer.status, answer.refusal()), expected, "{shown}");
        count += 1;
    }
    let mut tunnel = world.client().tunnel("api.good.test");
    write!(
        tunnel,
        "CONNECT evil.test:443 HTTP/1.1\r\nHost: api.good.test\r\n\r\n"
    )
    .unwrap();
    let answer = read_answer(&mut tunnel, "GET").unwrap();
    assert_eq!((answer.status, answer.refusal()), (405, "method_refused"));
    world.assert_nothing_left();
    assert_eq!(world.last_records().len(), count + 1);
}

#[test]
fn a_tunnel_lets_absolute_targets_and_ports_name_its_own_server() {
    let world = World::usual();
    let origin = world.origin("api.good.test", |_| json_reply("{}"));
    let mut tunnel = world.client().tunnel("api.good.test");
    for (target, host) in [
        ("/v1/items/1", "api.good.test"),
        ("/v1/items/1", "API.GOOD.TEST:443"),
        ("https://api.good.test/v1/items/1", "api.good.test"),
        ("https://api.good.test:443/v1/items/1", "api.good.test."),
    ] {
        write!(tunnel, "GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n").unwrap();
        let answer = read_answer(&mut tunnel, "GET").unwrap();
        assert_eq!(answer.status, 200, "{target} {host}: {answer:?}");
    }
    let seen = origin.seen();
    assert!(seen.iter().all(|it| *it == seen[0]), "{seen:#?}");
}

#[test]
fn nothing_behind_a_refused_connect_is_served() {
    for behind in [
        "GET http://api.good.test/v1/items/1 HTTP/1.1\r\nHost: api.good.test\r\n\r\n",
        "\u{16}\u{3}\u{1}\u{2}\0\u{1}\0\u{1}\u{fc}\u{3}\u{3}",
        "CONNECT api.good.test:443 HTTP/1.1\r\nHost: api.good.test:443\r\n\r\n",
    ] {
        let mut world = World::usual();
        let origin = world.origin("api.good.test", |_| json_reply("{}"));
        let bytes = format!("CONNECT evil.test:22 HTTP/1.1\r\nHost: evil.test:22\r\n\r\n{behind}");
        let rest = world.refuses(bytes.as_bytes(), (403, "host_undeclared"));
        assert_eq!((rest.as_str(), origin.connections()), ("", 0));
        assert_eq!(world.last_records().len(), 1);
    }
}

#[test]
fn a_reply_to_connect_has_no_framing() {
    let world = World::usual();
    let (answer, stream) = world.client().open("api.good.test:443", &[]);
    assert_eq!(answer.head, "HTTP/1.1 200 Connection Established\r\n\r\n");
    drop(stream);
}

#[test]
fn headers_that_claim_another_origin_or_route_stay_outside() {
    let world = World::usual();
    let origin = world.origin("api.good.test", |_| json_reply("{}"));
    let lines = [
        "X-Original-URL: /admin",
        "X-Rewrite-URL: /admin",
        "X-Forwarded-Prefix: /admin",
        "X-Accel-Redirect: /admin",
        "X-HTTP-Method-Override: DELETE",
        "X-Forwarded-For: 127.0.0.1",
        "X-Forwarded-Host: evil.test",
        "X-Forwarded-Proto: http",
        "Forwarded: for=127.0.0.1;host=evil.test",
        "X-Real-IP: 127.0.0.1",
        "True-Client-IP: 127.0.0.1",
        "X-Client-Cert: x",
        "Via: 1.1 x",
        "X-Upstream-Https-Proxy: http://evil.test",
        "X-Unix-Socket: /run/docker.sock",
        "Proxy-Connection: keep-alive",
        "Keep-Alive: timeout=5",
        "TE: trailers",
        "Trailer: X",
        "Proxy-Authenticate: Basic",
        "Upgrade: h2c",
        "HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA",
        "Connection: Upgrade, HTTP2-Settings, authorization, host, content-length, x-api-key",
        "Max-Forwards: 0",
        "Exeat-Session: x",
    ];
    let url = "http://api.good.test/v1/items/1";
    let answer = world.client().send("GET", url, &lines, "");
    assert_eq!(answer.status, 200, "{answer:?}");
    let seen = origin.only();
    for line in lines {
        let name = line.split_once(':').unwrap().0;
        assert_eq!(seen.header(name), [""; 0], "{}", seen.head);
    }
    assert_eq!(seen.header("authorization"), ["Bearer SECRET-AAAA"]);
    assert_eq!(seen.header("host"), ["api.good.test"]);
}

#[test]
fn a_method_is_spelled_in_one_way() {
    let mut world = World::usual();
    let refused = (405, "method_refused");
    let long = "A".repeat(300);
    let methods = [
        ("get", refused),
        ("Get", refused),
        ("GETT", refused),
        ("TRACE", refused),
        ("TRACK", refused),
        ("DEBUG", refused),
        ("OPTIONS", refused),
        ("PROPFIND", refused),
        ("connect", MALFORMED),
        ("GET\0", MALFORMED),
        ("G@ET", MALFORMED),
        (&long, MALFORMED),
    ];
    for (method, expected) in methods {
        let target = if method == "connect" {
            "api.good.test:443"
        } else {
            "http://api.good.test/v1/items/1"
        };
        let request = format!("{method} {target} HTTP/1.1\r\nHost: api.good.test\r\n\r\n");
        world.refuses(request.as_bytes(), expected);
    }
    assert_eq!(world.last_records().len(), methods.len());
}

#[test]
fn an_old_client_is_served_once() {
    let world = World::usual();
    world.origin("api.good.test", |_| json_reply("{}"));
    let mut stream = world.client().connect();
    let head = "GET http://api.good.test/v1/items/1 HTTP/1.0\r\nConnection: keep-alive\r\n\r\n";
    stream.write_all(head.repeat(2).as_bytes()).unwrap();
    let answer = read_answer(&mut stream, "GET").unwrap();
    assert_eq!(
        (answer.status, answer.header("connection")),
        (200, Some("close"))
    );
    assert_eq!(rest(&mut stream), "");
    assert_eq!(world.record()["http_version"], "HTTP/1.0");
}
