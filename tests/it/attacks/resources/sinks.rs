//! Where records and the log go, when nobody takes them.

use std::io::{BufRead as _, BufReader};

use serde_json::Value;

use super::{BESIDE, Busy, MIB, until};
use crate::world::{Desk, Started};

const POLICY: &str = "
version: 1
actions:
  get_item: {description: Returns one item., method: GET, url: \"https://api.good.test/item\"}
";

/// Refused at once, and so a record without anything outside.
const ASK: &str = "GET http://evil.test/ HTTP/1.1\r\nHost: evil.test\r\n\r\n";

/// As many requests on one connection as are answered, at most so many hundreds: their statuses.
fn load(started: &Started, hundreds: usize) -> Vec<u16> {
    let mut busy = Busy::on(started.connect());
    let requests = vec![ASK.to_owned(); 100];
    let mut statuses = Vec::new();
    for _ in 0..hundreds {
        let some = busy.ask(&requests);
        let is_over = some.len() < 100;
        statuses.extend(some);
        if is_over {
            break;
        }
    }
    statuses
}

fn ask(started: &Started) -> Vec<u16> {
    Busy::on(started.connect()).ask(&[ASK.to_owned()])
}

#[test]
fn l15_records_that_nobody_reads_stop_requests_and_are_all_there_when_they_are_read() {
    let desk = Desk::with(POLICY);
    let mut started = Started::on(&desk, &["--audit", "stdout"]);
    let before = started.memory();
    let statuses = load(&started, 400);
    assert_eq!(statuses.last(), Some(&503), "{}", statuses.len());
    assert_eq!(ask(&started), [503]);
    // The operator's door is open, and tells.
    assert_eq!(started.page("/healthz").status, 200);
    let used = started.figure("exeat_audit_queue_used", "");
    assert_eq!(used, started.figure("exeat_audit_queue_capacity", ""));
    assert_eq!(started.figure("exeat_audit_lost_records_total", ""), 0.0);
    let grown = started.memory().most - before.most;
    assert!(grown < 2 * 16 * MIB + BESIDE, "{} MiB", grown / MIB);
    let recorded = statuses.iter().filter(|it| **it == 403).count();
    let lines = BufReader::new(started.output()).lines();
    let reading = std::thread::spawn(move || {
        let read = lines.map(|it| serde_json::from_str::<Value>(&it.unwrap()).unwrap());
        read.filter(|it| it["code"] == "host_undeclared").count()
    });
    until("requests are taken again", || ask(&started) == [403]);
    // A stop does not wait for long.
    until("all is written", || {
        started.figure("exeat_audit_queue_used", "") == 0.0
    });
    started.signal("-TERM");
    assert_eq!(started.end().0, Some(0));
    assert_eq!(reading.join().unwrap(), recorded + 1);
}

#[test]
fn l15_records_may_be_lost_where_that_was_chosen_and_are_counted() {
    let desk = Desk::with(POLICY);
    let chosen = ["--audit", "stdout", "--audit-when-blocked", "drop"];
    let mut started = Started::on(&desk, &chosen);
    let before = started.memory();
    let statuses = load(&started, 175);
    assert_eq!(statuses, vec![403; 17_500]);
    let lost = started.figure("exeat_audit_lost_records_total", "");
    assert!(lost > 0.0);
    let grown = started.memory().most - before.most;
    assert!(grown < 2 * 16 * MIB + BESIDE, "{} MiB", grown / MIB);
    let lines = BufReader::new(started.output()).lines();
    let reading = std::thread::spawn(move || {
        let read = lines.map(|it| serde_json::from_str::<Value>(&it.unwrap()).unwrap());
        let (records, others): (Vec<_>, Vec<_>) =
            read.partition(|it| it["code"] == "host_undeclared");
        let told = others.iter().filter_map(|it| it["lost"].as_u64());
        (records.len() as u64, told.sum::<u64>())
    });
    // A stop does not wait for long.
    until("all is written", || {
        started.figure("exeat_audit_queue_used", "") == 0.0
    });
    started.signal("-TERM");
    assert_eq!(started.end().0, Some(0));
    let (read, told) = reading.join().unwrap();
    assert_eq!((read + told, told), (17_500, lost as u64));
}

#[test]
fn l15_a_log_that_nobody_reads_holds_nothing_up_and_its_loss_is_told() {
    let desk = Desk::with(POLICY);
    let mut started = Started::on(&desk, &["--audit", "audit.jsonl"]);
    let before = started.memory();
    started.stall_log();
    // A line for each mistake, whenever the files are read.
    let mut wrong = String::from("version: 1\nactions:\n");
    for number in 0..12_000 {
        wrong += &format!("  action_{number}: {{description: Nothing else., method: GET}}\n");
    }
    std::fs::write(desk.path("policies/p.yaml"), wrong).unwrap();
    started.signal("-HUP");
    until("the log is full", || {
        started.figure("exeat_log_lost_lines_total", "") > 0.0
    });
    assert_eq!(load(&started, 2), [403; 200]);
    let grown = started.memory().most - before.most;
    assert!(grown < 2 * BESIDE, "{} MiB", grown / MIB);
    // Its reader comes back.
    started.says("lines of this log were lost");
    started.signal("-TERM");
    assert_eq!(started.end().0, Some(0));
}
