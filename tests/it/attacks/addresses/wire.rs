//! Name servers that are hostile, slow, or full: asked by the resolver that exeat has, over real sockets.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use exeat::dial::System;
use hickory_resolver::proto::op::ResponseCode;
use hickory_resolver::proto::rr::rdata::TXT;
use hickory_resolver::proto::rr::{RData, Record, RecordType};

use super::name_server::{Asked, NameServer, Says, address, alias, named};
use crate::attacks::stage::{POLICY, Stage};
use crate::world::{Answer, Plan};

const GOOD: &str = "203.0.114.10";
const HOST: &str = "api.good.test";

/// The rows' world with this name server, and at most so long to connect.
fn stage(server: &NameServer, patience: &str) -> Stage {
    let at = server.address;
    let place = "    url: https://api.good.test/v1/items/{{id}}\n";
    let policy = POLICY.replace(place, &format!("{place}    connect_timeout: {patience}\n"));
    Stage::of(Plan::of(&policy).resolving(move || System::of(at, "")))
}

fn get(stage: &Stage) -> Answer {
    stage.world.client().get("http://api.good.test/v1/items/1")
}

/// The good address for the right name, and nothing else.
fn honest(asked: &Asked) -> Says {
    match (asked.name.as_str(), asked.kind) {
        (HOST, RecordType::A) => Says::Records(vec![address(HOST, GOOD, 60)]),
        (HOST, _) => Says::Records(vec![]),
        _ => Says::Code(ResponseCode::NXDomain),
    }
}

#[test]
fn d16_an_honest_server_is_asked_once_for_each_kind() {
    let server = NameServer::new(honest);
    let stage = stage(&server, "5s");
    assert_eq!(get(&stage).status, 200);
    let mut kinds: Vec<RecordType> = server.asked().iter().map(|it| it.kind).collect();
    kinds.sort();
    assert_eq!(kinds, [RecordType::A, RecordType::AAAA]);
    assert!(server.asked().iter().all(|it| it.name == HOST && !it.tcp));
    assert_eq!(stage.world.dials(), ["203.0.114.10:443".parse().unwrap()]);
}

#[test]
fn d12_a_server_that_answers_otherwise_the_second_time_gains_nothing() {
    let count = AtomicUsize::new(0);
    let server = NameServer::new(move |asked| match asked.kind {
        RecordType::A if count.fetch_add(1, Ordering::Relaxed) == 0 => {
            Says::Records(vec![address(HOST, GOOD, 0)])
        }
        RecordType::A => Says::Records(vec![address(HOST, "127.0.0.1", 0)]),
        _ => Says::Records(vec![]),
    });
    let stage = stage(&server, "5s");
    let closing = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}";
    let origin = stage
        .world
        .origin(HOST, move |_| closing.as_bytes().to_vec());
    assert_eq!(get(&stage).status, 200);
    // One question of each kind for the dial: the answer that was judged is the one that was dialled.
    assert_eq!(server.asked().len(), 2);
    let again = get(&stage);
    assert_eq!((again.status, again.refusal()), (403, "address_refused"));
    assert_eq!((origin.connections(), stage.world.dials().len()), (1, 1));
}

/// A server whose names lead from one to the next, so many times, to the good address.
fn row_of_names(count: usize, at_once: bool) -> NameServer {
    let name = |it: usize| match it {
        0 => HOST.to_owned(),
        it => format!("n{it}.good.test"),
    };
    NameServer::new(move |asked| {
        let at = (0..=count).find(|it| name(*it) == asked.name).unwrap();
        let steps = if at_once {
            count - at
        } else {
            1.min(count - at)
        };
        let mut records: Vec<Record> = (at..at + steps)
            .map(|it| alias(&name(it), &name(it + 1)))
            .collect();
        if at + steps == count && asked.kind == RecordType::A {
            records.push(address(&name(count), GOOD, 0));
        }
        Says::Records(records)
    })
}

#[test]
fn d16_names_that_lead_to_names_are_followed_a_few_times() {
    for (count, at_once, status) in [(1, false, 200), (3, false, 200), (3, true, 200)] {
        let server = row_of_names(count, at_once);
        let stage = stage(&server, "5s");
        assert_eq!(get(&stage).status, status, "{count} {at_once}");
    }
    for (count, at_once) in [(60, false), (20, false), (1_000, false)] {
        let server = row_of_names(count, at_once);
        let stage = stage(&server, "5s");
        let answer = get(&stage);
        let got = (answer.status, answer.refusal());
        assert_eq!(got, (502, "upstream_unreachable"), "{count} {at_once}");
        let asked = server.asked().len();
        assert!(asked <= 32, "{asked} questions for {count} {at_once}");
        assert!(stage.world.dials().is_empty());
    }
}

#[test]
fn d16_names_that_lead_in_a_circle_are_given_up() {
    type Circle = fn(&Asked) -> Vec<Record>;
    let circles: [Circle; 4] = [
        |_| vec![alias(HOST, HOST)],
        |it| match it.name.as_str() {
            HOST => vec![alias(HOST, "b.good.test")],
            _ => vec![alias("b.good.test", HOST)],
        },
        |_| vec![alias(HOST, "b.good.test"), alias("b.good.test", HOST)],
        |it| vec![alias(&it.name, &format!("a.{}", it.name))],
    ];
    for (number, circle) in circles.into_iter().enumerate() {
        let server = NameServer::new(move |asked| Says::Records(circle(asked)));
        let stage = stage(&server, "5s");
        let answer = get(&stage);
        let got = (answer.status, answer.refusal());
        assert_eq!(got, (502, "upstream_unreachable"), "{number}");
        assert!(server.asked().len() <= 32, "{number}");
        assert!(stage.world.dials().is_empty());
    }
}

#[test]
fn d16_a_name_that_leads_inside_is_as_closed_as_an_address() {
    for (inside, address_of_it) in [
        ("localhost", None),
        ("x.localhost", None),
        ("metadata.google.internal", Some("169.254.169.254")),
        ("db.internal", Some("10.0.0.5")),
        ("six.internal", Some("fd00::5")),
    ] {
        for at_once in [false, true] {
            let server = NameServer::new(move |asked| {
                let found = address_of_it.map(|it| address(inside, it, 0));
                let found = found.filter(|it| it.record_type() == asked.kind);
                Says::Records(match asked.name.as_str() {
                    HOST if at_once => [alias(HOST, inside)].into_iter().chain(found).collect(),
                    HOST => vec![alias(HOST, inside)],
                    _ => found.into_iter().collect(),
                })
            });
            let stage = stage(&server, "5s");
            let answer = get(&stage);
            let nowhere = ["address_refused", "upstream_unreachable"];
            assert!(
                nowhere.contains(&answer.refusal()),
                "{inside} {at_once}: {answer:?}"
            );
            if address_of_it.is_some() {
                assert_eq!(answer.refusal(), "address_refused", "{inside} {at_once}");
            }
            assert!(stage.world.dials().is_empty(), "{inside}");
        }
    }
}

#[test]
fn d16_thousands_of_addresses_are_judged_and_a_few_are_tried() {
    for (last, refusal) in [
        (None, "upstream_unreachable"),
        (Some([10, 0, 0, 5]), "address_refused"),
    ] {
        let server = NameServer::new(move |asked| match (asked.kind, asked.tcp) {
            (RecordType::A, false) => Says::Truncated,
            (RecordType::A, true) => {
                // As many as a message may have.
                let all = (0..4_000).map(|it: u16| [203, 1, (it / 250) as u8, (it % 250) as u8]);
                Says::Addresses(all.chain(last).collect())
            }
            _ => Says::Records(vec![]),
        });
        let stage = stage(&server, "5s");
        let answer = get(&stage);
        assert_eq!(answer.refusal(), refusal, "{answer:?}");
        assert!(server.asked().iter().any(|it| it.tcp));
        let expected = if last.is_none() { 32 } else { 0 };
        assert_eq!(stage.world.dials().len(), expected);
    }
}

#[test]
fn d16_what_comes_beside_an_answer_is_not_looked_at() {
    let server = NameServer::new(|asked| match (asked.kind, asked.tcp) {
        _ if asked.name != HOST => Says::Code(ResponseCode::NXDomain),
        (RecordType::A, false) => Says::Truncated,
        (RecordType::A, true) => Says::Message(Box::new(|mut message| {
            let text = vec!["x".repeat(250); 10];
            let text = || RData::TXT(TXT::new(text.clone()));
            message.add_answer(address(HOST, GOOD, 60));
            message.add_additional(address(HOST, "10.0.0.5", 60));
            message.add_authority(address("good.test", "10.0.0.5", 60));
            message.add_additional(address("api.two.test", "127.0.0.1", 60));
            let beside = (0..24).map(|_| Record::from_rdata(named(HOST), 60, text()));
            message.add_additionals(beside);
            message
        })),
        _ => Says::Records(vec![]),
    });
    let stage = stage(&server, "5s");
    assert_eq!(get(&stage).status, 200);
    assert_eq!(stage.world.dials(), ["203.0.114.10:443".parse().unwrap()]);
    // Nothing was remembered for the other name.
    let answer = stage.world.client().get("http://api.two.test/me");
    assert_eq!(answer.refusal(), "upstream_unreachable", "{answer:?}");
    assert_eq!(stage.world.dials().len(), 1);
    assert!(server.asked().iter().any(|it| it.name == "api.two.test"));
}

#[test]
fn d16_an_answer_to_another_question_is_none() {
    type Made = fn(&Asked) -> Says;
    let cases: [(&str, Made); 7] = [
        ("an address of another name", |_| {
            Says::Records(vec![address("evil.test", GOOD, 60)])
        }),
        ("a text", |_| {
            let text = RData::TXT(TXT::new(vec![GOOD.to_owned()]));
            Says::Records(vec![Record::from_rdata(named(HOST), 60, text)])
        }),
        ("no such name", |_| Says::Code(ResponseCode::NXDomain)),
        ("a failure", |_| Says::Code(ResponseCode::ServFail)),
        ("a refusal", |_| Says::Code(ResponseCode::Refused)),
        ("no records", |_| Says::Records(vec![])),
        ("an empty name", |_| Says::Records(vec![alias(HOST, ".")])),
    ];
    for (what, made) in cases {
        let server = NameServer::new(made);
        let stage = stage(&server, "5s");
        let answer = get(&stage);
        let got = (answer.status, answer.refusal());
        assert_eq!(got, (502, "upstream_unreachable"), "{what}: {answer:?}");
        assert!(server.asked().len() <= 16, "{what}: {:?}", server.asked());
        assert!(stage.world.dials().is_empty(), "{what}");
    }
}

#[test]
fn d16_a_server_that_says_nothing_sensible_is_not_waited_for() {
    type Made = fn(&Asked) -> Says;
    let cases: [(&str, Made); 5] = [
        ("nothing", |_| Says::Nothing),
        ("an empty datagram", |_| Says::Bytes(vec![])),
        ("junk", |_| Says::Bytes(vec![0xff; 300])),
        ("another id", |_| {
            Says::Message(Box::new(|mut message| {
                message.metadata.id ^= 1;
                message.add_answer(address(HOST, GOOD, 60));
                message
            }))
        }),
        ("another question", |_| {
            Says::Message(Box::new(|mut message| {
                message.queries[0].set_name(named("evil.test"));
                message.add_answer(address(HOST, GOOD, 60));
                message
            }))
        }),
    ];
    for (what, made) in cases {
        let server = NameServer::new(made);
        let stage = stage(&server, "200ms");
        let answer = get(&stage);
        let codes = ["upstream_timeout", "upstream_unreachable"];
        assert!(codes.contains(&answer.refusal()), "{what}: {answer:?}");
        assert!(stage.world.dials().is_empty(), "{what}");
        // Others are served meanwhile and after it.
        assert_eq!(stage.world.records(1).len(), 1, "{what}");
    }
}

#[test]
fn d28_a_hosts_file_is_judged_as_dns_is() {
    let server = Arc::new(NameServer::new(honest));
    for (hosts, expected) in [
        ("10.1.1.1 api.good.test\n", "address_refused"),
        ("127.0.0.1 localhost api.good.test\n", "address_refused"),
        ("169.254.169.254\tAPI.Good.Test\n", "address_refused"),
        ("::1 api.good.test\n", "address_refused"),
        (
            "203.0.114.10 api.good.test\n10.1.1.1 api.good.test\n",
            "address_refused",
        ),
        ("# 10.1.1.1 api.good.test\n", "none"),
        ("10.1.1.1 good.test x.api.good.test\n", "none"),
        ("203.0.114.10 api.good.test\n", "none"),
    ] {
        let at = server.address;
        let stage = Stage::of(Plan::of(POLICY).resolving(move || System::of(at, hosts)));
        let answer = get(&stage);
        assert_eq!(answer.refusal(), expected, "{hosts:?}: {answer:?}");
        assert_eq!(stage.world.dials().len(), usize::from(expected == "none"));
    }
}
