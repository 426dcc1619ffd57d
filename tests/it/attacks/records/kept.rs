//! That every request has its record, and that the records stay as they were written.

use std::fmt::Write as _;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::Shutdown;
use std::process::Command;
use std::sync::{Mutex, PoisonError, mpsc};

use exeat::audit::Hash;

use crate::attacks::stage::POLICY;
use crate::audit::{audit, lines, load, report, until, written};
use crate::world::{Desk, Plan, Started, World, json_reply, read_answer, read_head};

const GET: &str = "GET http://api.good.test/v1/items/1 HTTP/1.1\r\nHost: api.good.test\r\n\r\n";

#[test]
fn o9_a_client_that_leaves_before_the_reply() {
    let mut world = World::usual();
    let (arrived, arrival) = mpsc::channel();
    let (release, released) = mpsc::channel::<()>();
    let (arrived, released) = (Mutex::new(arrived), Mutex::new(released));
    world.origin("api.good.test", move |_| {
        arrived.lock().unwrap().send(()).unwrap();
        let _ = released
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .recv();
        json_reply("{}")
    });
    let mut stream = world.client().connect();
    stream.write_all(GET.as_bytes()).unwrap();
    arrival.recv().unwrap();
    drop(stream);
    let record = world.record();
    assert_eq!(
        (&record["end"], &record["decision"]),
        (&"abandoned".into(), &"allowed".into())
    );
    assert_eq!(record["action"], "get_item");
    drop(release);
    assert_eq!(world.last_records().len(), 1);
}

#[test]
fn o9_a_client_that_leaves_in_the_middle_of_the_reply() {
    let mut world = World::usual();
    let half = "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhal\n";
    world.origin("api.good.test", move |_| Vec::from(half));
    let mut stream = world.client().connect();
    stream.write_all(GET.as_bytes()).unwrap();
    read_head(&mut stream).unwrap();
    let mut body = [0; 4];
    stream.read_exact(&mut body).unwrap();
    drop(stream);
    let record = world.record();
    assert_eq!(
        (&record["end"], &record["status"]),
        (&"aborted".into(), &200.into())
    );
    assert_eq!(record["bytes_out"], 4);
    assert_eq!(world.last_records().len(), 1);
}

#[test]
fn o9_a_client_that_leaves_in_the_middle_of_its_request() {
    let head = "POST http://api.good.test/v1/items HTTP/1.1\r\nHost: api.good.test\r\n\
                Content-Type: application/json\r\n";
    for bytes in [
        "GET http://api.good.test/v1/it".to_owned(),
        GET[..GET.len() - 1].to_owned(),
        format!("{head}Content-Length: 100\r\n\r\n{{"),
        format!("{head}Transfer-Encoding: chunked\r\n\r\n"),
        format!("{head}Transfer-Encoding: chunked\r\n\r\n1\r\n{{"),
        format!("{head}Transfer-Encoding: chunked\r\n\r\n1\r\n{{\r\n0\r\n"),
    ] {
        let mut world = World::usual();
        let mut stream = world.client().connect();
        stream.write_all(bytes.as_bytes()).unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        let record = world.record();
        assert_eq!(record["code"], "client_gone", "{bytes:?}: {record}");
        world.assert_nothing_left();
        drop(stream);
        assert_eq!(world.last_records().len(), 1, "{bytes:?}");
    }
}

#[test]
fn o9_a_tunnel_that_comes_to_nothing() {
    for (bytes, decision) in [
        (&b""[..], "failed"),
        (b"\x16", "failed"),
        (b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03", "failed"),
        (b"junk", "refused"),
    ] {
        let mut world = World::usual();
        let (answer, mut stream) = world.client().open("api.good.test:443", &[]);
        assert_eq!(answer.status, 200);
        stream.write_all(bytes).unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        let record = world.record();
        assert_eq!(
            (&record["decision"], &record["method"]),
            (&decision.into(), &"CONNECT".into())
        );
        drop(stream);
        assert_eq!(world.last_records().len(), 1, "{bytes:x?}");
    }
}

#[test]
fn o9_a_tunnel_whose_client_does_not_trust_us_says_so() {
    let mut world = World::usual();
    let stranger = world.client().trusting(&rustls::RootCertStore::empty());
    let (_, mut stream) = stranger.open("api.good.test:443", &[]);
    let mut session = stranger.session("api.good.test", &[]);
    assert!(session.complete_io(&mut stream).is_err());
    drop(stream);
    assert_eq!(world.record()["detail"], "client_alert=unknown_ca");
    assert_eq!(world.last_records().len(), 1);
}

#[test]
fn o10_a_full_disk_refuses_requests_until_there_is_room_again() {
    let desk = Desk::with(POLICY);
    let limited = desk.through_shell("trap '' XFSZ; ulimit -S -f 8");
    let started = Started::by(limited, &["--audit", "audit.jsonl"]);
    // One that is refused for that ends its connection.
    let statuses = load(&mut started.connect(), 20_000);
    assert_eq!(statuses.last(), Some(&503));
    assert_eq!(load(&mut started.connect(), 9), [503]);
    let recorded = statuses.iter().filter(|it| **it == 403).count();
    assert!(recorded >= exeat::audit::PLACES, "{recorded}");
    let metrics = started.page("/metrics").text().to_owned();
    assert!(
        !metrics.contains("exeat_audit_write_errors_total 0"),
        "{metrics}"
    );
    assert!(
        metrics.contains("exeat_audit_lost_records_total 0"),
        "{metrics}"
    );
    let pid = format!("--pid={}", started.id());
    let lifted = Command::new("prlimit")
        .args([&pid, "--fsize=unlimited"])
        .status();
    assert!(lifted.unwrap().success());
    until("requests are taken again", || {
        load(&mut started.connect(), 1) == [403]
    });
    started.signal("-TERM");
    assert_eq!(started.end().0, Some(0));
    let report = report(&desk, 0);
    assert_eq!(report["note_count"], 0, "{report}");
    assert_eq!(report["records"], recorded + 1, "{report}");
    assert_eq!(report["lost"], 0);
}

#[test]
fn o11_what_was_done_to_a_file_is_told_with_its_place() {
    let (desk, head) = written();
    let file = desk.path("audit.jsonl");
    let text = fs::read_to_string(&file).unwrap();
    let all: Vec<&str> = text.split_inclusive('\n').collect();
    let changed = text.replacen("evil.test", "good.test", 1);
    for (other, says) in [
        (changed, "audit.jsonl:2: changed"),
        (
            text.replacen(all[3], "", 1),
            "audit.jsonl:4: missing: seq 4 is not there",
        ),
        (
            text.replacen(all[3], &all[3].repeat(2), 1),
            "audit.jsonl:5: duplicate",
        ),
        (format!("{text}junk\n"), "audit.jsonl:9: malformed"),
    ] {
        fs::write(&file, &other).unwrap();
        let said = audit(&desk, &["verify", "audit.jsonl"], 1);
        assert!(said.contains(says), "{says}: {said}");
        assert!(said.contains("1 finding;"), "{said}");
    }
    fs::write(&file, all[..6].concat()).unwrap();
    audit(&desk, &["verify", "audit.jsonl"], 0);
    let said = audit(&desk, &["verify", "audit.jsonl", "--expect", &head], 1);
    assert!(said.contains("the chain: cut_off"), "{said}");
    fs::write(&file, &text).unwrap();
    audit(&desk, &["verify", "audit.jsonl", "--expect", &head], 0);
    for arguments in [
        &["verify", "missing.jsonl"][..],
        &["verify", "audit.jsonl", "--expect", "1:2"],
        &["verify"],
        &["verify", "stdout"],
        &["head", "missing.jsonl"],
        &["show", "audit.jsonl", "--since", "yesterday"],
        &["tail", "-"],
    ] {
        audit(&desk, arguments, 2);
    }
}

#[test]
fn o9_a_head_that_is_none_and_a_timeout_have_one_record_with_their_time() {
    let policy = POLICY.replace("pattern: \"^[a-z0-9-]{1,64}$\"}\n        fields: {type: string, enum: [name, qty]}\n      required: [id]\n", "pattern: \"^[a-z0-9-]{1,64}$\"}\n        fields: {type: string, enum: [name, qty]}\n      required: [id]\n    timeout: 100ms\n");
    for (sent, code, bytes_in) in [
        ("GET\r\n\r\n", "request_malformed", 0),
        ("\0\r\n\r\n", "request_malformed", 0),
        (
            "GET http://api.good.test/v1/items/1 HTTP/1.1\r\nHost: api.good.test\r\nX\r\n\r\n",
            "request_malformed",
            0,
        ),
        (
            "CONNECT api.good.test HTTP/1.1\r\nHost: api.good.test\r\n\r\n",
            "request_malformed",
            0,
        ),
        (
            "CONNECT 10.0.0.1:443 HTTP/1.1\r\nHost: 10.0.0.1:443\r\n\r\n",
            "",
            0,
        ),
        (
            "POST http://api.good.test/v1/items HTTP/1.1\r\nHost: api.good.test\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{",
            "client_gone",
            1,
        ),
        (GET, "upstream_timeout", 0),
    ] {
        let mut world = Plan::of(&policy).start();
        let (end, waiting) = mpsc::channel::<()>();
        let waiting = Mutex::new(waiting);
        world.scripted("api.good.test", 443, move |stream| {
            crate::world::read_request(stream);
            let _ = waiting
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .recv();
        });
        let mut stream = world.client().connect();
        stream.write_all(sent.as_bytes()).unwrap();
        if sent != GET {
            stream.shutdown(Shutdown::Write).unwrap();
        }
        let _ = read_answer(&mut stream, "GET");
        let record = world.record();
        if !code.is_empty() {
            assert_eq!(record["code"], code, "{sent:?}: {record}");
        }
        assert!(record["duration_ms"].is_number(), "{record}");
        assert_eq!(
            (&record["bytes_in"], record["event"].is_null()),
            (&bytes_in.into(), true),
            "{record}"
        );
        drop((end, stream));
        assert_eq!(world.last_records().len(), 1, "{sent:?}");
    }
}

#[test]
fn o9_a_tunnel_has_a_line_when_it_opens_and_one_record_when_it_ends() {
    let policy =
        format!("{POLICY}tunnels:\n  packages: {{hosts: [packages.test], ports: [443]}}\n");
    let mut world = Plan::of(&policy).start();
    world.resolve("packages.test", &["203.0.114.41"]);
    world.origin("packages.test", |_| json_reply("{}"));
    let client = world.client().trusting(&world.origin_roots());
    let mut tunnel = client.tunnel("packages.test");
    tunnel
        .write_all(b"GET / HTTP/1.1\r\nHost: packages.test\r\n\r\n")
        .unwrap();
    assert_eq!(read_answer(&mut tunnel, "GET").unwrap().status, 200);
    let opened = world.record();
    assert_eq!(
        (&opened["event"], &opened["method"]),
        (&"opened".into(), &"CONNECT".into())
    );
    drop(tunnel);
    let ended = world.records(2).remove(1);
    assert_eq!(ended["request_id"], opened["request_id"]);
    assert_eq!(
        (&ended["decision"], ended["event"].is_null()),
        (&"allowed".into(), true)
    );
    assert!(
        ended["bytes_in"].as_u64() > Some(0) && ended["bytes_out"].as_u64() > Some(0),
        "{ended}"
    );
    assert!(ended["duration_ms"].is_number(), "{ended}");
    assert_eq!(world.last_records().len(), 2);
}

/// A server whose certificate nobody trusts.
#[test]
fn o9_a_handshake_that_fails_has_one_record() {
    let mut world = Plan::of(POLICY).start();
    let params = rcgen::CertificateParams::new(vec!["api.good.test".to_owned()]).unwrap();
    world.certified_origin("api.good.test", params, false);
    let mut stream = world.client().connect();
    stream.write_all(GET.as_bytes()).unwrap();
    let answer = read_answer(&mut stream, "GET").unwrap();
    assert_eq!(answer.status, 502, "{answer:?}");
    let record = world.record();
    assert_eq!(
        (&record["decision"], &record["code"]),
        (&"failed".into(), &answer.refusal().into())
    );
    assert_eq!(record["bytes_out"], answer.body.len(), "{record}");
    drop(stream);
    assert_eq!(world.last_records().len(), 1);
}

/// As logrotate's `copytruncate` does it: the process is not told.
#[test]
fn o10_a_file_that_is_copied_and_truncated_keeps_its_chain() {
    let desk = Desk::with(crate::audit::POLICY);
    let file = desk.path("audit.jsonl");
    let started = Started::on(&desk, &["--audit", "audit.jsonl"]);
    for number in 0..3 {
        load(&mut started.connect(), 20);
        until("twenty lines", || lines(&file).len() >= 20);
        // Nobody writes meanwhile: what is written between the copy and the cut is what copytruncate loses.
        fs::copy(&file, desk.path(&format!("audit.jsonl.{number}"))).unwrap();
        fs::File::options()
            .write(true)
            .open(&file)
            .unwrap()
            .set_len(0)
            .unwrap();
    }
    load(&mut started.connect(), 20);
    started.signal("-TERM");
    assert_eq!(started.end().0, Some(0));
    let report = report(&desk, 0);
    assert_eq!(
        (&report["records"], &report["head"]["seq"]),
        (&80.into(), &82.into()),
        "{report}"
    );
    // Without one of the copies it is told.
    fs::remove_file(desk.path("audit.jsonl.1")).unwrap();
    assert!(audit(&desk, &["verify", "audit.jsonl"], 1).contains("missing"));
}

/// The order of lines is that of their numbers, whatever a clock says.
#[test]
fn o10_a_clock_that_goes_back_breaks_nothing() {
    let desk = Desk::with(crate::audit::POLICY);
    let (mut text, mut before) = (String::new(), "0".repeat(64));
    for (seq, time) in [
        "2026-11-20T10:00:00.000000Z",
        "2026-11-20T09:00:00.000000Z",
        "1970-01-01T00:00:00.000000Z",
        "2038-01-19T03:14:08.000000Z",
    ]
    .iter()
    .enumerate()
    {
        let line = format!(
            "{{\"time\":\"{time}\",\"request_id\":\"{seq}\",\"seq\":{},\"prev_hash\":\"{before}\",\"decision\":\"refused\"",
            seq + 1
        );
        before = Hash::of(line.as_bytes()).as_str().to_owned();
        writeln!(text, "{line},\"hash\":\"{before}\"}}").unwrap();
    }
    fs::write(desk.path("audit.jsonl"), &text).unwrap();
    assert_eq!(report(&desk, 0)["head"]["seq"], 4);
    // A process goes on behind it.
    let started = Started::on(&desk, &["--audit", "audit.jsonl"]);
    load(&mut started.connect(), 3);
    started.signal("-TERM");
    assert_eq!(started.end().0, Some(0));
    let report = report(&desk, 0);
    assert_eq!(
        (&report["records"], &report["head"]["seq"]),
        (&7.into(), &9.into()),
        "{report}"
    );
}

#[test]
fn o11_lines_that_changed_their_places_are_found() {
    let (desk, _) = written();
    let file = desk.path("audit.jsonl");
    let text = fs::read_to_string(&file).unwrap();
    let all: Vec<&str> = text.split_inclusive('\n').collect();
    let order = |numbers: &[usize]| numbers.iter().map(|it| all[*it]).collect::<String>();
    for (other, says) in [
        (order(&[0, 1, 3, 2, 4, 5, 6, 7]), "audit.jsonl:3: reordered"),
        (order(&[0, 5, 2, 3, 4, 1, 6, 7]), "audit.jsonl:2:"),
        (order(&[1, 2, 3, 4, 5, 6, 7]), "audit.jsonl:1: missing"),
        (
            order(&[0, 1, 5, 6, 7]),
            "audit.jsonl:3: missing: seq 3 to 5",
        ),
        (
            order(&[0, 1, 2, 3, 2, 4, 5, 6, 7]),
            "audit.jsonl:5: duplicate",
        ),
        (
            text.replacen("\"decision\":\"refused\"", "\"decision\":\"allowed\"", 1),
            "audit.jsonl:2: changed",
        ),
        (
            text.replacen("\"seq\":3", "\"seq\":4", 1),
            "audit.jsonl:3: changed",
        ),
        (
            text.replacen("evil.test", "Evil.test", 1),
            "audit.jsonl:2: changed",
        ),
        (
            text.replacen(",\"port\"", ", \"port\"", 1),
            "audit.jsonl:2: changed",
        ),
    ] {
        fs::write(&file, &other).unwrap();
        let from_start = says.ends_with(":1: missing");
        let arguments: &[&str] = match from_start {
            true => &["verify", "audit.jsonl", "--from-start"],
            false => &["verify", "audit.jsonl"],
        };
        let said = audit(&desk, arguments, 1);
        assert!(from_start || said.contains(says), "{says}: {said}");
    }
}
