//! The operator's pages: what they show, and to whom.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use crate::world::{World, json_reply};

fn ask(world: &World, head: &str) -> String {
    let mut stream = TcpStream::connect(world.admin()).unwrap();
    write!(stream, "{head}\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

fn get(world: &World, path: &str) -> String {
    ask(
        world,
        &format!("GET {path} HTTP/1.1\r\nHost: {}", world.admin()),
    )
}

#[test]
fn health_readiness_and_the_certificate_are_there() {
    let world = World::usual();
    assert!(get(&world, "/healthz").ends_with("\r\n\r\nok\n"));
    assert!(get(&world, "/readyz").contains("\"ready\":true"));
    assert!(get(&world, "/ca.pem").contains("-----BEGIN CERTIFICATE-----"));
    assert!(!get(&world, "/ca.pem").contains("PRIVATE"));
    assert!(get(&world, "/nothing").starts_with("HTTP/1.1 404"));
}

#[test]
fn requests_and_refusals_are_counted_without_labels_from_traffic() {
    let world = World::usual();
    world.origin("api.good.test", |_| json_reply("{}"));
    world.client().get("http://api.good.test/v1/items/7");
    world.client().get("http://secret-word.evil.test/");
    world.records(2);
    let metrics = get(&world, "/metrics");
    for line in [
        "exeat_requests_total{action=\"get_item\",agent=\"none\",code=\"none\",outcome=\"succeeded\",end=\"complete\",door=\"proxy\"} 1",
        "exeat_refusals_total{code=\"host_undeclared\",door=\"proxy\"} 1",
        "exeat_upstream_duration_seconds_count{action=\"get_item\",door=\"proxy\"} 1",
        "exeat_overhead_seconds_count{action=\"get_item\",door=\"proxy\"} 1",
        "exeat_request_duration_seconds_count{action=\"get_item\",door=\"proxy\"} 1",
    ] {
        assert!(metrics.contains(line), "{line} is not in\n{metrics}");
    }
    assert!(!metrics.contains("secret-word"));
}
