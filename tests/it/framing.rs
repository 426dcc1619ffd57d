//! Bodies that are waited for, and room for them. Where a request ends is in `attacks::framing`.

use std::io::Write as _;

use crate::world::{POLICY, Plan, World, json_reply, read_answer};

#[test]
fn a_client_that_waits_hears_a_refusal_first() {
    for (head, expected) in [
        (
            "POST http://api.good.test/admin HTTP/1.1\r\nExpect: 100-continue\r\n",
            (403, "action_undeclared"),
        ),
        (
            "POST http://evil.test/ HTTP/1.1\r\nExpect: 100-continue\r\n",
            (403, "host_undeclared"),
        ),
        (
            "POST http://api.good.test/v1/items HTTP/1.1\r\nExpect: 200-ok\r\n",
            (417, "expectation_failed"),
        ),
    ] {
        let mut world = World::usual();
        let host = if head.contains("evil") {
            "evil.test"
        } else {
            "api.good.test"
        };
        let head = format!("{head}Host: {host}\r\nContent-Length: 20\r\n\r\n");
        world.refuses(head.as_bytes(), expected);
        assert_eq!(world.last_records().len(), 1);
    }
}

#[test]
fn a_client_that_waits_may_send_once_its_head_is_good() {
    let world = World::usual();
    let origin = world.origin("api.good.test", |_| json_reply("{}"));
    let mut stream = world.client().connect();
    write!(
        stream,
        "POST http://api.good.test/v1/items HTTP/1.1\r\nHost: api.good.test\r\nExpect: 100-continue\r\n\
         Content-Type: application/json\r\nContent-Length: 20\r\n\r\n"
    )
    .unwrap();
    let interim = crate::world::read_head(&mut stream).unwrap();
    assert_eq!(interim.head, "HTTP/1.1 100 Continue\r\n\r\n");
    assert_eq!(origin.connections(), 0);
    stream.write_all(br#"{"name":"a","qty":1}"#).unwrap();
    assert_eq!(read_answer(&mut stream, "POST").unwrap().status, 200);
    assert_eq!(origin.only().header("expect"), [""; 0]);
}

#[test]
fn a_body_for_which_there_is_no_room_is_refused_and_the_room_of_others_comes_back() {
    let mut world = Plan::of(POLICY).room(60).start();
    let origin = world.origin("api.good.test", |_| json_reply("{}"));
    let json = ["Content-Type: application/json"];
    let send = |name: &str| {
        let body = format!("{{\"name\":\"{name}\",\"qty\":1}}");
        let url = "http://api.good.test/v1/items";
        world.client().send("POST", url, &json, &body)
    };
    for _ in 0..3 {
        let answer = send(&"a".repeat(50));
        assert_eq!((answer.status, answer.refusal()), (503, "overloaded"));
    }
    world.assert_nothing_left();
    // Together these have more than there is room for at a time.
    for _ in 0..5 {
        assert_eq!(send(&"a".repeat(30)).status, 200);
    }
    assert_eq!((origin.seen().len(), world.last_records().len()), (5, 8));
}
