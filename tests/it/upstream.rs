//! Servers that cheat, break off, or are somebody else: what of it reaches the client, and what the record says.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use rcgen::{CertificateParams, DnType, ExtendedKeyUsagePurpose, date_time_ymd};

use crate::world::{POLICY, Plan, Reply, Then, World, json_reply, read_answer, read_head, rest};

const URL: &str = "http://api.good.test/v1/items/1";
const GET: &str = "GET http://api.good.test/v1/items/1 HTTP/1.1\r\nHost: api.good.test\r\n\r\n";

/// The usual policy with one more field of its first action.
fn with(field: &str) -> World {
    let place = "    url: https://api.good.test/v1/items/{{id}}\n";
    Plan::of(&POLICY.replace(place, &format!("{place}    {field}\n"))).start()
}

#[test]
fn a_reply_with_two_readings_is_not_passed_on_and_its_connection_not_used_again() {
    for head in [
        "200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n",
        "200 OK\r\nContent-Length: 3\r\nContent-Length: 2\r\n\r\nabc",
        "200 OK\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\nabc",
        "200 OK\r\nContent-Length: 3, 3\r\n\r\nabc",
        "200 OK\r\nContent-Length: 3, 2\r\n\r\nabc",
        "200 OK\r\nContent-Length: +3\r\n\r\nabc",
        "200 OK\r\nContent-Length: -3\r\n\r\nabc",
        "200 OK\r\nContent-Length: 003\r\n\r\nabc",
        "200 OK\r\nContent-Length: 0x3\r\n\r\nabc",
        "200 OK\r\nContent-Length: 18446744073709551619\r\n\r\nabc",
        "200 OK\r\nContent-Length: \r\n\r\nabc",
        "200 OK\r\nTransfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
        "200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        "200 OK\r\nTransfer-Encoding: identity\r\n\r\nabc",
        "200 OK\r\nTransfer-Encoding: xchunked\r\n\r\nabc",
        "200 OK\r\nContent-Length : 3\r\n\r\nabc",
        "200 OK\r\nX: a\r\n Content-Length: 3\r\n\r\nabc",
        "200 OK\r\nX: a\0b\r\nContent-Length: 3\r\n\r\nabc",
        "200 OK\r\nX: a\x1bb\r\nContent-Length: 3\r\n\r\nabc",
        "200 OK\r\nX: a\rContent-Length: 3\r\n\r\nabc",
        "204 No Content\r\nContent-Length: 3\r\n\r\nabc",
        "101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
        "099 x\r\nContent-Length: 0\r\n\r\n",
        "999 x\r\nContent-Length: 0\r\n\r\n",
        "600 x\r\nContent-Length: 0\r\n\r\n",
        "1000 x\r\nContent-Length: 0\r\n\r\n",
        "2x0 x\r\nContent-Length: 0\r\n\r\n",
        "407 Proxy Authentication Required\r\nProxy-Authenticate: Basic\r\nContent-Length: 0\r\n\r\n",
    ] {
        let mut world = World::usual();
        let reply = format!("HTTP/1.1 {head}");
        let origin = world.origin("api.good.test", move |_| Vec::from(reply.as_str()));
        for _ in 0..2 {
            let answer = world.client().get(URL);
            let got = (answer.status, answer.refusal());
            assert_eq!(got, (502, "upstream_malformed"), "{head:?}: {answer:?}");
            assert_eq!(answer.header("proxy-authenticate"), None);
        }
        let expected = if head.starts_with("407") {
            1..=2
        } else {
            2..=2
        };
        assert!(expected.contains(&origin.connections()), "{head:?}");
        let records = world.last_records();
        assert_eq!(records.len(), 2, "{head:?}");
        assert!(
            records
                .iter()
                .all(|it| it["decision"] == "failed" && it["upstream_addr"] == "203.0.114.10:443")
        );
    }
}

#[test]
fn bytes_that_are_no_reply_are_not_passed_on() {
    for bytes in [
        "",
        "junk\r\n\r\n",
        "HTTP/1.1 200 OK",
        "HTTP/0.9 200 OK\r\n\r\n",
        "HTTP/2.0 200 OK\r\n\r\n",
        "SSH-2.0-x\r\n",
        "\0\0\0\u{4}\0\0\0\0\0",
        "HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
    ] {
        let mut world = World::usual();
        let reply = bytes.to_owned();
        world.origin("api.good.test", move |_| Reply::and(&reply, Then::Close));
        let answer = world.client().get(URL);
        assert_eq!(
            (answer.status, answer.refusal()),
            (502, "upstream_malformed"),
            "{bytes:?}"
        );
        assert_eq!(world.last_records().len(), 1);
    }
}

#[test]
fn a_reply_whose_head_has_no_end_is_cut_off() {
    for fields in [300, 5_000] {
        let mut world = World::usual();
        let reply = format!(
            "HTTP/1.1 200 OK\r\n{}Content-Length: 0\r\n\r\n",
            "X: yyyyyyyyyyyy\r\n".repeat(fields)
        );
        world.origin("api.good.test", move |_| Vec::from(reply.as_str()));
        let answer = world.client().get(URL);
        assert_eq!(
            (answer.status, answer.refusal()),
            (502, "upstream_malformed"),
            "{fields}"
        );
        assert_eq!(world.last_records().len(), 1);
    }
}

#[test]
fn a_reply_that_breaks_off_never_ends_as_if_it_were_whole() {
    for (reply, then) in [
        ("Content-Length: 10\r\n\r\nabc", Then::Close),
        ("Content-Length: 10\r\n\r\nabc", Then::Cut),
        ("Content-Length: 10\r\n\r\n", Then::Cut),
        ("Transfer-Encoding: chunked\r\n\r\n5\r\nabc", Then::Close),
        (
            "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
            Then::Close,
        ),
        (
            "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n",
            Then::Close,
        ),
        (
            "Transfer-Encoding: chunked\r\n\r\n3\r\nabcX\r\n0\r\n\r\n",
            Then::Stay,
        ),
        (
            "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nzz\r\n",
            Then::Stay,
        ),
        // Without a length the end has to be one that nobody on the way can make.
        ("\r\nabc", Then::Cut),
    ] {
        for inside in [false, true] {
            let mut world = World::usual();
            let bytes = format!("HTTP/1.1 200 OK\r\n{reply}");
            let closing = then;
            world.origin("api.good.test", move |_| Reply::and(&bytes, closing));
            let text = if inside {
                let mut tunnel = world.client().tunnel("api.good.test");
                write!(
                    tunnel,
                    "GET /v1/items/1 HTTP/1.1\r\nHost: api.good.test\r\n\r\n"
                )
                .unwrap();
                rest(&mut tunnel)
            } else {
                let mut stream = world.client().connect();
                stream.write_all(GET.as_bytes()).unwrap();
                rest(&mut stream)
            };
            let (head, body) = text.split_once("\r\n\r\n").unwrap();
            let shown = format!("{reply:?} {then:?} {inside}: {text:?}");
            assert!(head.starts_with("HTTP/1.1 200"), "{shown}");
            let whole = if head.contains("content-length: 10") {
                body.len() == 10
            } else {
                body.ends_with("0\r\n\r\n")
            };
            assert!(!whole && !head.contains("connection: close"), "{shown}");
            let record = world.record();
            assert_eq!(record["end"], "truncated", "{shown}");
            assert_eq!(
                (&record["status"], &record["code"]),
                (&200.into(), &"upstream_malformed".into())
            );
            assert_eq!(world.last_records().len(), 1);
        }
    }
}

#[test]
fn an_old_client_sees_a_reset_where_a_reply_breaks_off() {
    let world = World::usual();
    let reply = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n";
    world.origin("api.good.test", move |_| Reply::and(reply, Then::Close));
    let mut stream = world.client().connect();
    let head = "GET http://api.good.test/v1/items/1 HTTP/1.0\r\n\r\n";
    stream.write_all(head.as_bytes()).unwrap();
    let ended = stream.read_to_end(&mut Vec::new());
    assert!(
        ended.is_err(),
        "its end would be taken for that of the reply"
    );
    assert_eq!(world.record()["end"], "truncated");
}

#[test]
fn a_reply_that_ends_with_its_connection_is_whole_where_tls_says_so() {
    let world = World::usual();
    world.origin("api.good.test", |_| {
        Reply::and("HTTP/1.1 200 OK\r\n\r\nabc", Then::Close)
    });
    let answer = world.client().get(URL);
    assert_eq!((answer.status, answer.text()), (200, "abc"));
    assert_eq!(world.record()["end"], "complete");
}

#[test]
fn a_reply_over_the_cap_is_cut() {
    for (reply, status) in [
        ("Content-Length: 1000\r\n\r\n", 502),
        ("Transfer-Encoding: chunked\r\n\r\n40\r\n", 200),
        ("\r\n", 200),
    ] {
        let mut world = with("max_response_bytes: 100");
        let chunk = format!("{}\r\n40\r\n", "a".repeat(64));
        let bytes = format!("HTTP/1.1 200 OK\r\n{reply}{}", chunk.repeat(20));
        world.origin("api.good.test", move |_| Vec::from(bytes.as_str()));
        let mut stream = world.client().connect();
        stream.write_all(GET.as_bytes()).unwrap();
        assert_eq!(read_head(&mut stream).unwrap().status, status);
        if status == 200 {
            let body = rest(&mut stream);
            assert!(body.len() < 150 && !body.ends_with("0\r\n\r\n"), "{body:?}");
        }
        let record = world.record();
        assert_eq!(record["code"], "upstream_too_large", "{record}");
        assert_eq!(
            record["end"],
            if status == 200 { "truncated" } else { "failed" }
        );
        assert_eq!(world.last_records().len(), 1);
    }
}

#[test]
fn a_server_that_stops_is_not_waited_for() {
    for (field, reply, status) in [
        ("timeout: 250ms", "", 504),
        ("timeout: 250ms", "HTTP/1.1 200 OK\r\nX: y", 504),
        ("timeout: 250ms", "HTTP/1.1 100 Continue\r\n\r\n", 504),
        (
            "timeout: 250ms",
            "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc",
            200,
        ),
        (
            "timeout: 250ms",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
            200,
        ),
        (
            "idle_timeout: 250ms",
            "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc",
            200,
        ),
    ] {
        let mut world = with(field);
        world.origin("api.good.test", move |_| Vec::from(reply));
        let began = Instant::now();
        let mut stream = world.client().connect();
        stream.write_all(GET.as_bytes()).unwrap();
        assert_eq!(
            read_head(&mut stream).unwrap().status,
            status,
            "{field} {reply:?}"
        );
        let body = rest_of(&mut stream, status);
        assert!(!body.ends_with("0\r\n\r\n"), "{body:?}");
        assert!(
            began.elapsed() < Duration::from_secs(5),
            "{field} {reply:?}"
        );
        let record = world.record();
        assert_eq!(
            record["code"], "upstream_timeout",
            "{field} {reply:?}: {record}"
        );
        assert_eq!(world.last_records().len(), 1);
    }
}

/// A refusal leaves the connection open, so its end is not waited for.
fn rest_of(stream: &mut std::net::TcpStream, status: u16) -> String {
    if status == 200 {
        rest(stream)
    } else {
        String::new()
    }
}

#[test]
fn a_server_that_never_shakes_hands_is_not_waited_for() {
    let mut world = with("connect_timeout: 250ms");
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    world.lead("api.good.test", 443, silent.local_addr().unwrap());
    let answer = world.client().get(URL);
    assert_eq!((answer.status, answer.refusal()), (504, "upstream_timeout"));
    assert_eq!(world.last_records().len(), 1);
}

#[test]
fn headers_that_belong_to_the_way_or_to_us_stay_behind() {
    let world = World::usual();
    let reply = "HTTP/1.1 200 OK\r\nConnection: keep-alive, Set-Cookie, X-Hop\r\nX-Hop: 1\r\nSet-Cookie: a=b\r\n\
                 Keep-Alive: timeout=5\r\nProxy-Authenticate: Basic\r\nProxy-Connection: keep-alive\r\n\
                 Proxy-Status: x\r\nTrailer: X\r\nTE: trailers\r\nUpgrade: h2c\r\nAlt-Svc: h3=\":443\"\r\n\
                 Exeat-Refusal: none\r\nEXEAT-Outcome: created\r\nExeat-Request-Id: forged\r\nExeat-Anything: 1\r\n\
                 Location: http://evil.test/\r\nX-Kept: 1\r\nContent-Length: 0\r\n\r\n";
    world.origin("api.good.test", move |_| Vec::from(reply));
    let answer = world.client().get(URL);
    for name in [
        "x-hop",
        "set-cookie",
        "keep-alive",
        "proxy-authenticate",
        "proxy-connection",
        "proxy-status",
        "trailer",
        "te",
        "upgrade",
        "alt-svc",
        "connection",
        "exeat-refusal",
        "exeat-anything",
    ] {
        assert_eq!(answer.header(name), None, "{name}: {answer:?}");
    }
    assert_eq!(
        (answer.header("x-kept"), answer.header("location")),
        (Some("1"), Some("http://evil.test/"))
    );
    for (ours, theirs) in [("exeat-request-id", "forged"), ("exeat-outcome", "created")] {
        let times = answer.head.matches(ours).count();
        assert_eq!((times, answer.head.contains(theirs)), (1, false), "{ours}");
    }
}

#[test]
fn trailers_do_not_pass() {
    let world = World::usual();
    let reply = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nSet-Cookie: a=b\r\nExeat-Refusal: x\r\n\r\n";
    world.origin("api.good.test", move |_| Vec::from(reply));
    let mut stream = world.client().connect();
    stream
        .write_all(
            GET.replace("HTTP/1.1\r\n", "HTTP/1.1\r\nConnection: close\r\n")
                .as_bytes(),
        )
        .unwrap();
    let text = rest(&mut stream);
    assert!(text.ends_with("3\r\nabc\r\n0\r\n\r\n"), "{text:?}");
}

#[test]
fn redirects_are_answers() {
    for location in [
        "http://169.254.169.254/latest",
        "https://evil.test/",
        "http://api.good.test/v1/items/2",
    ] {
        let world = World::usual();
        let reply =
            format!("HTTP/1.1 302 Found\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n");
        let origin = world.origin("api.good.test", move |_| Vec::from(reply.as_str()));
        let answer = world.client().get(URL);
        assert_eq!(
            (answer.status, answer.header("location")),
            (302, Some(location))
        );
        assert_eq!(
            (
                origin.seen().len(),
                world.dials().len(),
                world.lookups().len()
            ),
            (1, 1, 1)
        );
    }
}

#[test]
fn an_answer_that_nobody_asked_for_is_given_to_nobody() {
    let forged = || String::from_utf8(json_reply("forged")).unwrap();
    for (first, status) in [
        ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", 200),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
            200,
        ),
        ("HTTP/1.1 204 No Content\r\n\r\n", 204),
        (
            "HTTP/1.1 304 Not Modified\r\nContent-Length: 99\r\n\r\n",
            304,
        ),
    ] {
        let world = World::usual();
        let both = format!("{first}{}", forged());
        let origin = world.origin("api.good.test", move |_| Vec::from(both.as_str()));
        let mut stream = world.client().connect();
        for _ in 0..10 {
            stream.write_all(GET.as_bytes()).unwrap();
            let answer = read_answer(&mut stream, "GET").unwrap();
            assert_eq!(answer.status, status, "{first:?}: {answer:?}");
            assert!(!answer.text().contains("forged"), "{first:?}: {answer:?}");
        }
        assert_eq!(origin.connections(), 10, "{first:?}");
    }
}

#[test]
fn a_request_that_a_server_swallows_is_sent_again_only_if_that_does_no_harm() {
    let json = ["Content-Type: application/json"];
    let item = r#"{"name":"a","qty":1}"#;
    for (method, path, body, hints, sent, status) in [
        ("GET", "/v1/items/1", "", "", 3, 200),
        ("POST", "/v1/items", item, "", 2, 502),
        ("GET", "/v1/items/1", "", "idempotent: false", 2, 502),
        ("POST", "/v1/items", item, "idempotent: true", 3, 200),
    ] {
        let declared = format!("auth: good\n    hints: {{{hints}}}");
        let mut world = match hints {
            "" => World::usual(),
            _ => Plan::of(&POLICY.replace("auth: good", &declared)).start(),
        };
        let count = AtomicUsize::new(0);
        let origin = world.origin("api.good.test", move |_| {
            match count.fetch_add(1, Ordering::Relaxed) {
                1 => Reply::and("", Then::Close),
                _ => json_reply("{}").into(),
            }
        });
        let url = format!("http://api.good.test{path}");
        let client = world.client();
        let headers = if body.is_empty() { &[][..] } else { &json };
        // Connections to servers are kept by each worker, and new clients go to the one that has fewer.
        let mut stream = client.connect();
        let answers = [(); 2].map(|()| client.send_on(&mut stream, (method, &url, headers, body)));
        assert_eq!(answers[0].status, 200);
        assert_eq!(
            (answers[1].status, origin.seen().len()),
            (status, sent),
            "{method} {hints}"
        );
        drop(stream);
        let records = world.last_records();
        assert_eq!(records.len(), 2);
        if sent == 3 {
            assert_eq!(records[1]["retries"], 1);
        }
    }
}

#[test]
fn interim_answers_without_an_end_are_given_up() {
    let mut world = World::usual();
    let flood = "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n".repeat(10_000);
    world.origin("api.good.test", move |_| {
        let mut reply = Vec::from(flood.as_str());
        reply.extend(json_reply("{}"));
        reply
    });
    let answer = world.client().get(URL);
    assert_eq!(
        (answer.status, answer.refusal()),
        (502, "upstream_malformed")
    );
    assert_eq!(world.last_records().len(), 1);
}

#[test]
fn a_few_interim_answers_are_passed_over() {
    let world = World::usual();
    world.origin("api.good.test", |_| {
        let mut reply =
            b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n".to_vec();
        reply.extend(json_reply("{}"));
        reply
    });
    let answer = world.client().get(URL);
    assert_eq!((answer.status, answer.header("link")), (200, None));
}

#[test]
fn a_server_that_is_not_who_it_should_be_gets_no_request() {
    let named = |name: &str| CertificateParams::new(vec![name.to_owned()]).unwrap();
    let good = || named("api.good.test");
    let mut expired = good();
    (expired.not_before, expired.not_after) =
        (date_time_ymd(2020, 1, 1), date_time_ymd(2021, 1, 1));
    let mut early = good();
    (early.not_before, early.not_after) = (date_time_ymd(2090, 1, 1), date_time_ymd(2091, 1, 1));
    let mut for_clients = good();
    for_clients.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    let mut common_name = CertificateParams::default();
    common_name
        .distinguished_name
        .push(DnType::CommonName, "api.good.test");
    for (what, params, trusted) in [
        ("unknown issuer", good(), false),
        ("expired", expired, true),
        ("not valid yet", early, true),
        ("for clients", for_clients, true),
        ("common name only", common_name, true),
        ("another name", named("evil.test"), true),
        ("a name below", named("x.api.good.test"), true),
        ("a wildcard above", named("*.test"), true),
        ("a wildcard below", named("*.api.good.test"), true),
        ("an address", named("203.0.114.10"), true),
    ] {
        let mut world = World::usual();
        let origin = world.certified_origin("api.good.test", params, trusted);
        for inside in [false, true] {
            let client = world.client();
            let answer = if inside {
                client.send_inside("GET", "https://api.good.test/v1/items/1", &[], "")
            } else {
                client.get(URL)
            };
            assert_eq!(
                (answer.status, answer.refusal()),
                (502, "upstream_tls"),
                "{what}"
            );
        }
        assert_eq!((origin.connections(), origin.seen()), (2, vec![]), "{what}");
        let records = world.last_records();
        assert_eq!(records.len(), 2, "{what}");
        assert!(
            records[0]["detail"]
                .as_str()
                .unwrap()
                .contains("certificate"),
            "{}",
            records[0]
        );
    }
    for name in ["api.good.test", "*.good.test"] {
        let world = World::usual();
        world.certified_origin("api.good.test", named(name), true);
        assert_eq!(world.client().get(URL).status, 200, "{name}");
    }
}

#[test]
fn what_is_not_tls_gets_no_request() {
    let mut world = World::usual();
    let plain = TcpListener::bind("127.0.0.1:0").unwrap();
    world.lead("api.good.test", 443, plain.local_addr().unwrap());
    let server = std::thread::spawn(move || {
        let (mut stream, _) = plain.accept().unwrap();
        stream
            .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
            .unwrap();
        let mut bytes = Vec::new();
        let _ = stream.read_to_end(&mut bytes);
        bytes
    });
    let answer = world.client().get(URL);
    assert_eq!((answer.status, answer.refusal()), (502, "upstream_tls"));
    let bytes = String::from_utf8_lossy(&server.join().unwrap()).into_owned();
    assert!(
        !bytes.contains("GET") && !bytes.contains("SECRET"),
        "{bytes:?}"
    );
    assert_eq!(world.last_records().len(), 1);
}

#[test]
fn a_client_that_reads_slowly_has_no_more_time_than_its_action() {
    let mut world = with("timeout: 250ms");
    world.origin("api.good.test", |seen| {
        if seen.line().contains("silence") {
            return Vec::new();
        }
        let length = 10_000_000;
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n");
        [head.into_bytes(), vec![b'a'; length]].concat()
    });
    let mut stream = world.client().connect();
    stream.write_all(GET.as_bytes()).unwrap();
    assert_eq!(read_head(&mut stream).unwrap().status, 200);
    // Another request's timeout shows that this one's has passed too.
    let other = world.client().get("http://api.good.test/v1/items/silence");
    assert_eq!(other.refusal(), "upstream_timeout");
    assert!(rest(&mut stream).len() < 10_000_000);
    let records = world.last_records();
    let mut ends: Vec<_> = records
        .iter()
        .map(|it| (it["end"].as_str(), it["code"].as_str()))
        .collect();
    ends.sort_unstable();
    let late = Some("upstream_timeout");
    assert_eq!(ends, [(Some("failed"), late), (Some("truncated"), late)]);
}

#[test]
fn a_server_in_cleartext_is_believed_no_more_than_another() {
    let policy = "
version: 1
actions:
  open:
    description: Returns what anybody may read.
    method: GET
    url: http://api.two.test/open
    allow_http: true
";
    for (reply, then, status, outcome) in [
        ("Content-Length: 3\r\n\r\nabc", Then::Stay, 200, "complete"),
        (
            "Content-Length: 5\r\n\r\nabc",
            Then::Close,
            200,
            "truncated",
        ),
        (
            "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n",
            Then::Stay,
            502,
            "failed",
        ),
    ] {
        let mut world = Plan::of(policy).start();
        let bytes = format!("HTTP/1.1 200 OK\r\n{reply}");
        let origin = world.plain_origin("api.two.test", 80, move |_| Reply::and(&bytes, then));
        let mut stream = world.client().connect();
        let head = "GET http://api.two.test/open HTTP/1.1\r\nHost: api.two.test\r\n\r\n";
        stream.write_all(head.as_bytes()).unwrap();
        assert_eq!(read_head(&mut stream).unwrap().status, status, "{reply:?}");
        assert_eq!(world.record()["end"], outcome, "{reply:?}");
        assert_eq!(origin.only().header("host"), ["api.two.test"]);
        assert_eq!(world.last_records().len(), 1);
    }
    // Its other scheme is another server.
    let world = Plan::of(policy).start();
    for url in [
        "https://api.two.test/open",
        "https://api.two.test:80/open",
        "http://api.two.test:443/open",
    ] {
        let answer = world.client().get(url);
        assert_eq!(answer.status, 403, "{url}: {answer:?}");
    }
    world.assert_nothing_left();
}
