//! From a name to an address: one question, all answers judged, and nothing dialled but what was judged.

use std::io::Write as _;

use serde_json::json;

use super::{leads_nowhere, passes_nowhere, policy, stage};
use crate::attacks::stage::{Door, POLICY, Stage};
use crate::world::{Plan, Revision, json_reply};

#[test]
fn d11_a_declared_host_in_a_private_network_is_asked_for_once_and_never_dialled() {
    let action = "  priv: {description: Is inside., method: GET, url: https://priv.test/x}\n";
    let stage = Stage::of(Plan::of(&format!("{}\n{action}", POLICY.trim_end())));
    // As the world has it from the beginning.
    let answer = stage.world.client().get("http://priv.test/x");
    assert_eq!((answer.status, answer.refusal()), (403, "address_refused"));
    let called = stage.world.call("priv", "", &json!({}));
    assert_eq!((called.status, called.refusal()), (403, "address_refused"));
    let mut pipe = stage.world.pipe(Revision::Stateless, None, None);
    let told = pipe.call("priv", json!({})).to_string();
    assert!(
        told.contains("address_refused") && !told.contains("10.0.0.5"),
        "{told}"
    );
    pipe.close();
    assert_eq!(stage.world.lookups(), ["priv.test"; 3]);
    assert!(stage.world.dials().is_empty());
    let record = &stage.world.records(2)[0];
    assert!(
        record["detail"]
            .as_str()
            .unwrap()
            .contains("10.0.0.5 is a private address")
    );
    leads_nowhere(&stage, "api.good.test", &["10.0.0.5"]);
}

#[test]
fn d11_one_closed_answer_spoils_all_the_others() {
    let stage = stage();
    for answers in [
        &["203.0.114.10", "10.0.0.5"][..],
        &["10.0.0.5", "203.0.114.10"],
        &["2606:4700::1", "203.0.114.10", "::1"],
        &["203.0.114.10", "fd00:ec2::254"],
        &["203.0.114.10", "203.0.114.11", "0.0.0.0"],
    ] {
        leads_nowhere(&stage, "api.good.test", answers);
        passes_nowhere(&stage, answers);
    }
    let many: Vec<String> = (1..=200).map(|it| format!("203.0.114.{it}")).collect();
    let mut many: Vec<&str> = many.iter().map(String::as_str).collect();
    many.push("192.168.0.1");
    leads_nowhere(&stage, "api.good.test", &many);
}

#[test]
fn d12_a_name_is_asked_for_once_for_each_dial_and_judged_anew() {
    let stage = stage();
    let closing = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}";
    let origin = stage
        .world
        .origin("api.good.test", move |_| closing.as_bytes().to_vec());
    for door in Door::ALL {
        let (lookups, dials) = (stage.world.lookups().len(), stage.world.dials().len());
        stage.world.resolve("api.good.test", &["203.0.114.10"]);
        let mut stream = stage.open(door);
        stream.write_all(&door.get("/v1/items/1")).unwrap();
        assert_eq!(stage.answer(&mut stream, "GET").unwrap().status, 200);
        assert_eq!(stage.world.lookups().len(), lookups + 1);
        assert_eq!(stage.world.dials().len(), dials + 1);
        for rebound in ["127.0.0.1", "10.0.0.5", "169.254.169.254", "::1"] {
            leads_nowhere(&stage, "api.good.test", &[rebound]);
        }
    }
    assert_eq!(origin.connections(), 2);
}

#[test]
fn d14_only_what_was_judged_is_fallen_back_to() {
    let stage = stage();
    leads_nowhere(&stage, "api.good.test", &["203.0.114.10", "fd00::5"]);
    leads_nowhere(&stage, "api.good.test", &["2606:4700::1", "10.0.0.5"]);
    // Nobody is at the first address, nor at the second.
    stage.world.resolve(
        "api.good.test",
        &["203.0.114.66", "2606:4700::1", "203.0.114.10"],
    );
    let answer = stage.world.client().get("http://api.good.test/v1/items/1");
    assert_eq!(answer.status, 200, "{answer:?}");
    let dialled = stage.world.dials();
    let dialled: Vec<String> = dialled.iter().map(|it| it.ip().to_string()).collect();
    assert_eq!(dialled, ["2606:4700::1", "203.0.114.66", "203.0.114.10"]);
}

#[test]
fn d15_a_connection_to_an_address_that_is_closed_now_is_not_used_again() {
    let with_deny =
        |it: &str| policy().replace("network:\n", &format!("network:\n  deny: [{it}]\n"));
    let narrowed = policy().replace("0.0.0.0/0", "10.0.0.0/8");
    for (host, address, renewed, is_open) in [
        (
            "open.good.test",
            "192.168.7.7",
            policy() + "\n# said anew\n",
            true,
        ),
        ("open.good.test", "192.168.7.7", narrowed.clone(), false),
        (
            "open.good.test",
            "192.168.7.7",
            with_deny("192.168.7.7"),
            false,
        ),
        ("open.good.test", "203.0.114.40", narrowed, true),
        (
            "open.good.test",
            "203.0.114.40",
            with_deny("203.0.114.0/24"),
            false,
        ),
        (
            "open.good.test",
            "2606:4700::1",
            with_deny("2606:4700::/32"),
            false,
        ),
    ] {
        let stage = stage();
        stage.world.resolve(host, &[address]);
        let origin = stage.world.origin(host, |_| json_reply("{}"));
        // Connections are kept by each worker, and what is on one connection stays with one of them.
        let client = stage.world.client();
        let mut stream = client.connect();
        let url = format!("http://{host}/x");
        for _ in 0..2 {
            let answer = client.send_on(&mut stream, ("GET", &url, &[], ""));
            assert_eq!(answer.status, 200, "{address}");
        }
        assert_eq!((origin.connections(), stage.world.dials().len()), (1, 1));
        stage.world.reload(&renewed);
        let answer = client.send_on(&mut stream, ("GET", &url, &[], ""));
        let expected = if is_open { "none" } else { "address_refused" };
        assert_eq!(answer.refusal(), expected, "{address}: {answer:?}");
        // Whatever it was, it was not carried by a connection to what is closed, and there is no other way.
        assert_eq!((origin.connections(), stage.world.dials().len()), (1, 1));
        assert_eq!(origin.seen().len(), if is_open { 3 } else { 2 });
    }
}

#[test]
fn d22_a_redirect_is_an_answer_and_is_not_followed() {
    let statuses = [300, 301, 302, 303, 307, 308];
    for location in [
        "http://169.254.169.254/latest/",
        "https://evil.test/",
        "//evil.test/x",
        "/v1/items/2",
        "https://api.two.test/me",
        "file:///etc/passwd",
        "http://127.0.0.1:9090/metrics",
    ] {
        let stage = stage();
        // The path says which status it is to be.
        let origin = stage.world.origin("api.good.test", move |seen| {
            let status = seen.line().split(['/', ' ']).nth(4).unwrap();
            let lines = format!("Location: {location}\r\nRefresh: 0;url={location}");
            format!("HTTP/1.1 {status} x\r\n{lines}\r\nContent-Length: 0\r\n\r\n").into_bytes()
        });
        for status in statuses {
            for door in Door::ALL {
                let mut stream = stage.open(door);
                let sent = door.get(&format!("/v1/items/{status}"));
                stream.write_all(&sent).unwrap();
                let answer = stage.answer(&mut stream, "GET").unwrap();
                assert_eq!(answer.status, status, "{location}");
                assert_eq!(answer.header("location"), Some(location));
            }
            let called = json!({"parameters": {"id": status.to_string()}});
            let called = stage.world.call("get_item", "", &called);
            assert_eq!(
                (called.status, &called.json()["status"]),
                (200, &json!(status))
            );
        }
        assert_eq!(origin.seen().len(), 3 * statuses.len());
        assert!(stage.two.seen().is_empty());
        let own = |it: &String| it == "api.good.test";
        assert!(stage.world.lookups().iter().all(own), "{location}");
    }
}
