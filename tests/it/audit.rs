//! The audit log as real processes write and read it: killed, full, slow, rotated, moved and tampered with.

use std::collections::HashSet;
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::world::{Desk, Started, read_answer};

pub(crate) const POLICY: &str = "\
version: 1
actions:
  create_item:
    description: Adds an item to the catalogue.
    method: POST
    url: https://api.good.test/items
    parameters: {properties: {name: {type: string}}, required: [name]}
";

/// Refused at once, and so a line without anything outside.
const ASK: &str = "GET http://evil.test/ HTTP/1.1\r\nHost: evil.test\r\n\r\n";

/// Sends requests on one connection until so many were answered, or none is any more.
pub(crate) fn load(stream: &mut std::net::TcpStream, count: usize) -> Vec<u16> {
    let mut statuses = Vec::new();
    for _ in 0..count {
        if stream.write_all(ASK.as_bytes()).is_err() {
            break;
        }
        match read_answer(stream, "GET") {
            Some(answer) => statuses.push(answer.status),
            None => break,
        }
    }
    statuses
}

/// Looks again and again until it is so.
pub(crate) fn until(what: &str, is_so: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !is_so() {
        assert!(Instant::now() < deadline, "{what}");
        std::thread::yield_now();
    }
}

pub(crate) fn lines(file: &Path) -> Vec<Value> {
    let text = fs::read_to_string(file).unwrap_or_default();
    let whole = text
        .split_inclusive('\n')
        .filter(|line| line.ends_with('\n'));
    let read = |line: &str| serde_json::from_str(line).ok();
    whole.filter_map(read).collect()
}

/// `exeat audit` and how it must end.
pub(crate) fn audit(desk: &Desk, arguments: &[&str], code: i32) -> String {
    let output = desk.command(&["audit"]).args(arguments).output().unwrap();
    told(&output, code)
}

fn told(output: &Output, code: i32) -> String {
    assert_eq!(output.status.code(), Some(code), "{output:?}");
    let texts = [&output.stdout, &output.stderr].map(|it| String::from_utf8_lossy(it).into_owned());
    texts.concat()
}

pub(crate) fn report(desk: &Desk, code: i32) -> Value {
    let text = audit(desk, &["verify", "--json", "audit.jsonl"], code);
    serde_json::from_str::<Value>(&text).unwrap()["chains"][0].take()
}

#[test]
fn a_process_that_is_killed_under_load_again_and_again_leaves_one_chain() {
    let desk = Desk::with(POLICY);
    let file = desk.path("audit.jsonl");
    const ROUNDS: usize = 12;
    let mut answered = 0;
    for round in 0..ROUNDS {
        let started = Started::on(&desk, &["--audit", "audit.jsonl"]);
        let before = lines(&file).len();
        answered += std::thread::scope(|scope| {
            let loads: Vec<_> = (0..3)
                .map(|_| {
                    let mut stream = started.connect();
                    scope.spawn(move || load(&mut stream, usize::MAX).len())
                })
                .collect();
            until("lines", || lines(&file).len() >= before + 20 + 7 * round);
            started.signal("-KILL");
            loads
                .into_iter()
                .map(|it| it.join().unwrap())
                .sum::<usize>()
        });
        assert_eq!(started.end().0, None);
    }
    let report = report(&desk, 0);
    assert_eq!(report["starts"], ROUNDS);
    assert_eq!(report["stopped"], false);
    let unclean = report["notes"].as_array().unwrap();
    let unclean = unclean
        .iter()
        .filter(|it| it["kind"] == "unclean_end")
        .count();
    assert_eq!(unclean, ROUNDS - 1);
    let records = report["records"].as_u64().unwrap();
    assert!(records > 0 && answered > 0);
    let all = lines(&file);
    let last = all.last().unwrap();
    assert_eq!(report["head"]["seq"], last["seq"]);
    assert_eq!(report["head"]["hash"], last["hash"]);
    let ids: HashSet<&str> = all
        .iter()
        .filter_map(|it| it["request_id"].as_str())
        .collect();
    assert_eq!(ids.len() as u64, records, "none is written twice");
}

#[test]
fn a_line_that_was_torn_by_the_end_of_its_process_is_told() {
    let desk = Desk::with(POLICY);
    // The kernel takes what fits into 4 KiB, then ends the process: SIGXFSZ, in the middle of a line.
    let limited = desk.through_shell("ulimit -c 0; ulimit -f 8");
    let started = Started::by(limited, &["--audit", "audit.jsonl"]);
    load(&mut started.connect(), 1000);
    assert_eq!(started.end().0, None);
    let text = fs::read_to_string(desk.path("audit.jsonl")).unwrap();
    assert!(!text.ends_with('\n'), "{text}");
    let torn = text.len() - text.rfind('\n').unwrap() - 1;
    let partial = report(&desk, 0);
    assert_eq!(partial["notes"][0]["kind"], "partial");
    let said = audit(&desk, &["verify", "audit.jsonl"], 0);
    assert!(said.contains(&format!("({torn} bytes)")), "{said}");
    let started = Started::on(&desk, &["--audit", "audit.jsonl"]);
    started.signal("-TERM");
    assert_eq!(started.end().0, Some(0));
    let mended = report(&desk, 0);
    assert_eq!(mended["notes"][0]["kind"], "torn", "{mended}");
    assert_eq!(mended["notes"][1]["kind"], "unclean_end", "{mended}");
    assert_eq!(mended["stopped"], true);
    let all = lines(&desk.path("audit.jsonl"));
    let start = all
        .iter()
        .rev()
        .find(|it| it["event"] == "started")
        .unwrap();
    assert_eq!(start["torn"], torn + 1);
    assert!(
        fs::read_to_string(desk.path("audit.jsonl"))
            .unwrap()
            .starts_with(&text)
    );
}

#[test]
fn a_full_disk_loses_records_where_that_was_chosen() {
    let desk = Desk::with(POLICY);
    let limited = desk.through_shell("trap '' XFSZ; ulimit -S -f 8");
    let drop = ["--audit", "audit.jsonl", "--audit-when-blocked", "drop"];
    let started = Started::by(limited, &drop);
    let statuses = load(&mut started.connect(), 17_500);
    assert_eq!(statuses, vec![403; 17_500], "requests go on");
    let pid = format!("--pid={}", started.id());
    let lifted = Command::new("prlimit")
        .args([&pid, "--fsize=unlimited"])
        .status();
    assert!(lifted.unwrap().success());
    let file = desk.path("audit.jsonl");
    until("the loss is told", || {
        fs::read_to_string(&file)
            .unwrap()
            .contains("\"event\":\"lost\"")
    });
    let metrics = started.page("/metrics").text().to_owned();
    started.signal("-TERM");
    assert_eq!(started.end().0, Some(0));
    let report = report(&desk, 0);
    let lost = report["lost"].as_u64().unwrap();
    assert!(lost > 0, "{report}");
    assert_eq!(
        report["records"].as_u64().unwrap() + lost,
        17_500,
        "{report}"
    );
    assert!(
        metrics.contains(&format!("exeat_audit_lost_records_total {lost}\n")),
        "{metrics}"
    );
    let said = audit(&desk, &["verify", "audit.jsonl"], 0);
    assert!(said.contains(&format!("{lost} more were lost")), "{said}");
}

#[test]
fn a_device_that_takes_nothing_lets_the_process_end() {
    let desk = Desk::with(POLICY);
    let started = Started::on(&desk, &["--audit", "/dev/full"]);
    assert_eq!(load(&mut started.connect(), 3), [403; 3]);
    started.signal("-TERM");
    let (code, _, said) = started.end();
    assert_eq!(code, Some(0));
    assert!(said.contains("cannot be written"), "{said}");
    assert!(said.contains("could not be written"), "{said}");
}

#[test]
fn a_reader_of_a_pipe_gets_a_chain_of_the_process() {
    let desk = Desk::with(POLICY);
    let made = Command::new("mkfifo").arg(desk.path("pipe")).status();
    assert!(made.unwrap().success());
    let path = desk.path("pipe");
    let reader = std::thread::spawn(move || {
        let mut text = String::new();
        fs::File::open(path)
            .unwrap()
            .read_to_string(&mut text)
            .unwrap();
        text
    });
    let started = Started::on(&desk, &["--audit", "pipe"]);
    load(&mut started.connect(), 50);
    started.signal("-TERM");
    assert_eq!(started.end().0, Some(0));
    fs::write(desk.path("audit.jsonl"), reader.join().unwrap()).unwrap();
    let report = report(&desk, 0);
    assert_eq!(
        (&report["first_seq"], &report["lines"]),
        (&1.into(), &52.into())
    );
}

#[test]
fn files_are_put_aside_and_the_chain_goes_through_them() {
    let desk = Desk::with(POLICY);
    let settings = "audit: {to: audit.jsonl, max_bytes: 20KB, keep: 3}\n";
    fs::write(desk.path("exeat.yaml"), settings).unwrap();
    for _ in 0..2 {
        let started = Started::on(&desk, &[]);
        assert_eq!(load(&mut started.connect(), 150), vec![403; 150]);
        started.signal("-TERM");
        assert_eq!(started.end().0, Some(0));
    }
    let report = report(&desk, 0);
    assert_eq!(report["files"].as_array().unwrap().len(), 4, "{report}");
    assert_eq!(report["head"]["seq"], 304);
    for name in fs::read_dir(desk.path("")).unwrap().map(|it| it.unwrap()) {
        let name = (
            name.file_name().into_string().unwrap(),
            name.metadata().unwrap(),
        );
        if name.0.starts_with("audit.jsonl") {
            assert!(name.1.len() <= 20_000, "{name:?}");
            assert_eq!(name.1.permissions().mode() & 0o777, 0o600);
        }
    }
    // The settings' file is the one that is read; so is the folder it stands in.
    let said = audit(&desk, &["verify"], 0);
    assert!(said.contains("whole; 4 files"), "{said}");
    audit(&desk, &["verify", "."], 0);
    audit(&desk, &["verify", "--from-start"], 1);
    let oldest = report["files"][0].as_str().unwrap();
    fs::remove_file(desk.path(report["files"][1].as_str().unwrap())).unwrap();
    let said = audit(&desk, &["verify"], 1);
    assert!(said.contains(": missing: seq "), "{said}");
    audit(&desk, &["verify", oldest], 0);
}

#[test]
fn a_file_that_logrotate_moved_is_made_anew_on_its_signal() {
    let desk = Desk::with(POLICY);
    let file = desk.path("audit.jsonl");
    let started = Started::on(&desk, &["--audit", "audit.jsonl"]);
    for (number, signal) in ["-USR1", "-HUP", "-USR1"].iter().enumerate() {
        load(&mut started.connect(), 20);
        fs::rename(&file, desk.path(&format!("audit.jsonl.{number}"))).unwrap();
        load(&mut started.connect(), 20);
        started.signal(signal);
        until("the file is made anew", || file.exists());
    }
    load(&mut started.connect(), 20);
    let head = started.page("/audit/head").json();
    started.signal("-TERM");
    assert_eq!(started.end().0, Some(0));
    let report = report(&desk, 0);
    assert_eq!(report["files"].as_array().unwrap().len(), 4, "{report}");
    assert_eq!(report["records"], 140);
    fs::write(desk.path("head"), head.to_string()).unwrap();
    audit(&desk, &["verify", "audit.jsonl", "--head", "head"], 0);
}

#[test]
fn two_processes_do_not_write_one_file() {
    let desk = Desk::with(POLICY);
    let first = Started::on(&desk, &["--audit", "audit.jsonl"]);
    let listen = [
        "--proxy-listen",
        "127.0.0.1:0",
        "--tools-listen",
        "127.0.0.1:0",
    ];
    let mut second = desk.command(&[
        "run",
        "--audit",
        "audit.jsonl",
        "--admin-listen",
        "127.0.0.1:0",
    ]);
    let said = told(&second.args(listen).output().unwrap(), 2);
    assert!(said.contains("another exeat is writing it"), "{said}");
    first.signal("-KILL");
    first.end();
    let third = Started::on(&desk, &["--audit", "audit.jsonl"]);
    third.signal("-TERM");
    assert_eq!(third.end().0, Some(0));
}

/// A desk on which a process has written, and its head.
pub(crate) fn written() -> (Desk, String) {
    let desk = Desk::with(POLICY);
    let started = Started::on(&desk, &["--audit", "audit.jsonl"]);
    load(&mut started.connect(), 5);
    started.ask(
        "POST http://api.good.test/items HTTP/1.1\r\nHost: api.good.test\r\nContent-Length: 0\r\n\
         Connection: close\r\n\r\n",
    );
    started.signal("-TERM");
    assert_eq!(started.end().0, Some(0));
    let head = audit(&desk, &["head", "audit.jsonl"], 0).trim().to_owned();
    (desk, head)
}

#[test]
fn a_file_that_cannot_be_read_is_never_whole() {
    let (desk, head) = written();
    fs::write(desk.path("audit.jsonl.2.gz"), b"\x1f\x8b\x08\0").unwrap();
    let said = audit(&desk, &["verify", "audit.jsonl"], 0);
    assert!(said.contains("audit.jsonl.2.gz: note: not read"), "{said}");
    fs::write(desk.path("audit.jsonl.1"), "spoilt\n").unwrap();
    for which in ["audit.jsonl", "."] {
        let said = audit(&desk, &["verify", which], 1);
        assert!(said.contains("audit.jsonl.1: unread: "), "{said}");
        assert!(said.contains("1 finding;"), "{said}");
    }
    assert_eq!(report(&desk, 1)["findings"][0]["kind"], "unread");
    fs::remove_file(desk.path("audit.jsonl.1")).unwrap();
    audit(&desk, &["verify", ".", "--expect", &head], 0);
    fs::write(desk.path("other.jsonl"), "spoilt\n").unwrap();
    let said = audit(&desk, &["verify", "."], 1);
    assert!(said.contains("other.jsonl: unread: "), "{said}");
    fs::rename(desk.path("other.jsonl"), desk.path("other.txt")).unwrap();
    let said = audit(&desk, &["verify", "."], 0);
    assert!(said.contains("other.txt: note: not read"), "{said}");
}

#[test]
fn a_chain_that_begins_again_is_told() {
    let (desk, _) = written();
    let file = desk.path("audit.jsonl");
    let text = fs::read_to_string(&file).unwrap();
    audit(&desk, &["verify", "audit.jsonl", "--from-start"], 0);
    fs::rename(&file, desk.path("before")).unwrap();
    let started = Started::on(&desk, &["--audit", "audit.jsonl"]);
    started.signal("-TERM");
    assert_eq!(started.end().0, Some(0));
    let again = fs::read_to_string(&file).unwrap();
    fs::write(&file, text + &again).unwrap();
    let said = audit(&desk, &["verify", "audit.jsonl"], 0);
    assert!(said.contains("audit.jsonl:9: note: new chain"), "{said}");
    assert!(said.contains("seq 1 to 2 of 2 chains"), "{said}");
    let said = audit(&desk, &["verify", "audit.jsonl", "--from-start"], 1);
    assert!(said.contains("the chain: begins_again"), "{said}");
}

#[test]
fn the_hash_can_be_made_without_exeat() {
    let (desk, head) = written();
    // As the documentation says.
    let script = "tail -n 1 audit.jsonl | head -c -76 | sha256sum | cut -d ' ' -f 1";
    let output = Command::new("sh")
        .args(["-c", script])
        .current_dir(desk.path(""))
        .output()
        .unwrap();
    let hash = String::from_utf8(output.stdout).unwrap();
    assert_eq!(head.split_once(':').unwrap().1, hash.trim());
}

#[test]
fn records_are_shown_to_people_and_to_programs() {
    let (desk, _) = written();
    let ids: Vec<Value> = lines(&desk.path("audit.jsonl"));
    let id = ids[2]["request_id"].as_str().unwrap();
    let table = audit(&desk, &["show", "audit.jsonl"], 0);
    assert_eq!(table.lines().count(), 1 + 8, "{table}");
    assert!(
        table.contains("GET evil.test:80") && table.contains("started"),
        "{table}"
    );
    let table = audit(&desk, &["show", "audit.jsonl", "-n", "2"], 0);
    assert!(table.contains("6 earlier ones are left out"), "{table}");
    for (arguments, count) in [
        (&["--code", "host_undeclared"][..], 5),
        (&["--action", "create_item"], 1),
        (&["--decision", "refused", "--to-host", "api.good.test"], 1),
        (&["--request-id", id], 1),
        (&["--agent", "nobody"], 0),
        (&["--since", "1h", "--decision", "refused"], 6),
        (&["--until", "2020-01-01"], 0),
        (&["--since", "2020-01-01T00:00:00Z", "-n", "3"], 3),
    ] {
        let mut all = vec!["show", "audit.jsonl", "--json"];
        all.extend(arguments);
        let shown = audit(&desk, &all, 0);
        assert_eq!(shown.lines().count(), count, "{arguments:?}: {shown}");
        assert!(
            shown
                .lines()
                .all(|it| ids.contains(&serde_json::from_str(it).unwrap()))
        );
    }
}

#[test]
fn nothing_in_a_file_drives_a_terminal() {
    let desk = Desk::with(POLICY);
    let odd = "{\"time\":\"\u{1b}[2J\u{9b}\u{202e}\",\"agent\":\"\\u001b[31m\\u202e\"}\n";
    fs::write(desk.path("odd.jsonl"), odd.repeat(2) + "\u{1b}]0;x\u{7}\n").unwrap();
    for arguments in [
        &["tail", "odd.jsonl"][..],
        &["show", "odd.jsonl"],
        &["show", "odd.jsonl", "--json"],
    ] {
        let said = audit(&desk, arguments, 0);
        let is_odd = |c: char| (c.is_control() && c != '\n') || c == '\u{202e}';
        assert!(!said.contains(is_odd), "{arguments:?}: {said:?}");
    }
    let said = audit(&desk, &["verify", "odd.jsonl"], 1);
    assert!(said.contains("malformed"), "{said}");
}

#[test]
fn a_tail_follows_the_file_to_its_next_name() {
    let desk = Desk::with(POLICY);
    let started = Started::on(
        &desk,
        &["--audit", "audit.jsonl", "--audit-max-bytes", "5KB"],
    );
    load(&mut started.connect(), 5);
    let file = desk.path("audit.jsonl");
    until("five lines", || lines(&file).len() >= 5);
    let mut tail = desk.command(&["audit", "tail", "-f", "-n", "2", "audit.jsonl"]);
    let mut tail = tail.stdout(Stdio::piped()).spawn().unwrap();
    let mut shown = BufReader::new(tail.stdout.take().unwrap()).lines();
    let mut next = || -> u64 {
        let line: Value = serde_json::from_str(&shown.next().unwrap().unwrap()).unwrap();
        line["seq"].as_u64().unwrap()
    };
    let first = next();
    assert!((3..=5).contains(&first), "{first}");
    load(&mut started.connect(), 60);
    for seq in first + 1..=66 {
        assert_eq!(next(), seq);
    }
    tail.kill().unwrap();
    tail.wait().unwrap();
    started.signal("-TERM");
    started.end();
    let aside = |path: &PathBuf| path.to_string_lossy().contains("audit.jsonl.2");
    let names = fs::read_dir(desk.path(""))
        .unwrap()
        .map(|it| it.unwrap().path());
    assert!(names.filter(aside).count() > 3);
}
