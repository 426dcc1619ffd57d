//! Methods, and a client that waits before it sends a body.

use std::io::Write as _;

use exeat::policy;

use super::MALFORMED;
use crate::attacks::stage::{Door, POLICY, Stage};
use crate::world::read_head;

const REFUSED: (u16, &str) = (405, "method_refused");

#[test]
fn b29_methods_that_tell_of_the_way_are_no_methods() {
    let stage = Stage::usual();
    for method in [
        "TRACE", "TRACK", "DEBUG", "OPTIONS", "CONNECT2", "PROPFIND", "PURGE", "M-SEARCH", "SOURCE",
    ] {
        for door in Door::ALL {
            for lines in ["", "Max-Forwards: 0\r\n", "Max-Forwards: 5\r\n"] {
                let sent = door.request(method, "api.good.test", "/v1/items/1", lines, "");
                stage.refuses(door, &sent, REFUSED);
            }
        }
    }
    for door in Door::ALL {
        let (seen, _) = stage.serves(
            door,
            &door.request(
                "GET",
                "api.good.test",
                "/v1/items/1",
                "Max-Forwards: 0\r\n",
                "",
            ),
        );
        assert_eq!(seen.header("max-forwards"), [""; 0]);
        // A server's own page for all of it, where HTTP/1 can ask for it.
        let sent = b"OPTIONS * HTTP/1.1\r\nHost: api.good.test\r\n\r\n";
        let expected = match door {
            Door::Proxy => (400, "not_a_proxy_request"),
            Door::Tunnel => REFUSED,
        };
        stage.refuses(door, sent, expected);
    }
}

#[test]
fn b29_no_action_can_have_them() {
    for method in [
        "TRACE", "TRACK", "CONNECT", "OPTIONS", "DEBUG", "get", "Get", "*", "",
    ] {
        let text = POLICY.replacen("method: GET", &format!("method: \"{method}\""), 1);
        let loaded = policy::from_texts(&[("p.yaml".into(), text.into())]);
        assert!(loaded.policy.is_none(), "{method}");
    }
}

#[test]
fn b30_a_method_is_spelled_in_one_way() {
    let stage = Stage::usual();
    let long = "A".repeat(300);
    for door in Door::ALL {
        for (method, expected) in [
            ("get", REFUSED),
            ("Get", REFUSED),
            ("gET", REFUSED),
            ("GETT", REFUSED),
            ("GE", REFUSED),
            ("G", REFUSED),
            ("POST2", REFUSED),
            ("GET-", REFUSED),
            ("GET'", REFUSED),
            ("_GET", REFUSED),
            ("PRI", REFUSED),
            ("GET\0", MALFORMED),
            ("\0GET", MALFORMED),
            ("GET\x0b", MALFORMED),
            ("G@ET", MALFORMED),
            ("GET:", MALFORMED),
            ("\"GET\"", MALFORMED),
            ("GET,POST", MALFORMED),
            ("ＧＥＴ", MALFORMED),
            ("GET\t", MALFORMED),
            (&long, MALFORMED),
        ] {
            let sent = door.request(method, "api.good.test", "/v1/items/1", "", "");
            match expected {
                MALFORMED => stage.refuses_and_closes(door, &sent, expected),
                _ => drop(stage.refuses(door, &sent, expected)),
            }
        }
        for sent in [
            &b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"[..],
            b"PRI * HTTP/1.1\r\nHost: api.good.test\r\n\r\n",
            b"* * HTTP/1.1\r\nHost: api.good.test\r\n\r\n",
            b"connect api.good.test:443 HTTP/1.1\r\nHost: api.good.test:443\r\n\r\n",
            b"Connect api.good.test:443 HTTP/1.1\r\nHost: api.good.test:443\r\n\r\n",
        ] {
            stage.refuses_and_closes(door, sent, MALFORMED);
        }
    }
}

#[test]
fn b31_a_client_that_waits_hears_the_refusal_and_no_100() {
    let stage = Stage::usual();
    let lines = "Expect: 100-continue\r\nContent-Type: application/json\r\nContent-Length: 20\r\n";
    for door in Door::ALL {
        for (method, host, path, extra, expected) in [
            (
                "POST",
                "api.good.test",
                "/admin",
                "",
                (403, "action_undeclared"),
            ),
            (
                "POST",
                "api.good.test",
                "/v1/items/1",
                "",
                (403, "action_undeclared"),
            ),
            (
                "PUT",
                "api.good.test",
                "/v1/items",
                "",
                (403, "action_undeclared"),
            ),
            (
                "POST",
                "api.good.test",
                "/v1/../items",
                "",
                (400, "path_not_canonical"),
            ),
            ("TRACE", "api.good.test", "/v1/items", "", REFUSED),
            (
                "POST",
                "api.good.test",
                "/v1/items",
                "Expect: 100-continue\r\n",
                MALFORMED,
            ),
            (
                "POST",
                "api.good.test",
                "/v1/items",
                "Content-Length: 21\r\n",
                MALFORMED,
            ),
        ] {
            let sent = door.request(method, host, path, &format!("{lines}{extra}"), "");
            assert_eq!(stage.refuses(door, &sent, expected), "");
        }
        for expectation in [
            "200-ok",
            "100-continue, 200-ok",
            "100-continue;q=1",
            "100",
            "",
        ] {
            let lines = lines.replace("100-continue", expectation);
            let sent = door.request("POST", "api.good.test", "/v1/items", &lines, "");
            assert_eq!(stage.refuses(door, &sent, (417, "expectation_failed")), "");
        }
        // A body that comes all the same is no request.
        let behind = Door::Proxy.get("/v1/items/1");
        let lines = lines.replace("20", &behind.len().to_string());
        let head = door.request("POST", "api.good.test", "/admin", &lines, "");
        let followed = stage.refuses(door, &[head, behind].concat(), (403, "action_undeclared"));
        assert_eq!(followed, "");
    }
}

#[test]
fn b31_a_client_that_waits_is_called_once_its_head_is_good() {
    let stage = Stage::usual();
    for door in Door::ALL {
        for expectation in ["100-continue", "100-Continue"] {
            let lines = format!(
                "Expect: {expectation}\r\nContent-Type: application/json\r\nContent-Length: 20\r\n"
            );
            let before = stage.seen().len();
            let mut stream = stage.open(door);
            let head = door.request("POST", "api.good.test", "/v1/items", &lines, "");
            stream.write_all(&head).unwrap();
            let called = read_head(&mut stream).unwrap();
            assert_eq!(called.head, "HTTP/1.1 100 Continue\r\n\r\n");
            assert_eq!(stage.seen().len(), before);
            stream.write_all(br#"{"name":"a","qty":1}"#).unwrap();
            let answer = stage.answer(&mut stream, "POST").unwrap();
            assert_eq!(answer.status, 200, "{answer:?}");
            assert_eq!(stage.seen()[before].header("expect"), [""; 0]);
            stream.finish();
        }
    }
}
