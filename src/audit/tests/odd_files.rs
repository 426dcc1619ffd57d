//! What may have happened to an audit file and those beside it by clocks, other programs and people.

use std::fs;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use time::OffsetDateTime;
use time::macros::format_description;

use crate::audit::chain;
use crate::audit::file::FileSink;
use crate::audit::line::Entry;
use crate::audit::read::{Files, LONGEST_LINE};
use crate::audit::tests::chained::{Process, desk, record, short, verify, verify_bytes};
use crate::audit::ticket::Record;
use crate::audit::verify::{Break, Note};
use crate::audit::{Given, Hash, Rotation, head};

/// A first line with something long in it.
fn line(seq: u64, length: usize) -> Vec<u8> {
    let text = format!(
        "{{\"time\":\"2026-11-20T00:00:00Z\",\"seq\":{seq},\"prev_hash\":\"{}\",\"event\":\"started\",\"x\":\"{}\"",
        Hash::ZERO.as_str(),
        "x".repeat(length)
    );
    let mut bytes = text.into_bytes();
    chain::seal(&mut bytes, 0);
    bytes
}

fn words(bytes: &[u8]) -> Vec<&'static str> {
    let report = verify_bytes(bytes, &[]);
    report.findings.iter().map(|it| it.what.word()).collect()
}

fn small() -> Rotation {
    Rotation {
        max_bytes: Some(2000),
        ..Rotation::default()
    }
}

#[test]
fn a_first_line_of_any_length_is_one() {
    for length in [10, 70_000, 3_000_000] {
        let (_folder, path) = desk();
        fs::write(path.with_file_name("a.jsonl.1"), line(1, length)).unwrap();
        Process::start(&path, Rotation::default()).stop();
        let all = Files::of(&path).unwrap();
        assert_eq!((all.files.len(), all.unread.len()), (2, 0), "{length}");
        let report = verify(&path, &[]);
        assert!(report.is_good(), "{report:#?}");
        assert_eq!(report.head.unwrap().seq, 3);
    }
    let (_folder, path) = desk();
    fs::write(&path, line(1, 70_000)).unwrap();
    let mut process = Process::start(&path, small());
    process.write("/a");
    process.stop();
    let aside = &Files::of(&path).unwrap().files[0];
    assert!(aside.to_string_lossy().ends_with("-000000000001"));
}

#[test]
fn files_without_lines_are_told_apart() {
    let (_folder, path) = desk();
    Process::start(&path, Rotation::default()).stop();
    let beside = |ending: &str, bytes: &[u8]| {
        let path = path.with_file_name(ending);
        fs::write(&path, bytes).unwrap();
        path
    };
    let spoilt = beside("a.jsonl.1", b"nothing of ours\n");
    let gzip = beside("a.jsonl.2.gz", b"\x1f\x8b\x08\0");
    let zstd = beside("a.jsonl.3.zst", b"\x28\xb5\x2f\xfd\0");
    let xz = beside("a.jsonl.4.xz", b"\xfd7zXZ\0\0");
    let bzip = beside("a.jsonl.5.bz2", b"BZh9");
    let pretended = beside("a.jsonl.6.gz", b"no gzip");
    beside("a.jsonl.7", b"");
    let mut all = Files::of(&path).unwrap();
    all.unread.sort();
    all.compressed.sort();
    assert_eq!(all.files, std::slice::from_ref(&path));
    assert_eq!(all.unread, [spoilt, pretended]);
    assert_eq!(all.compressed, [gzip, zstd, xz, bzip]);
}

#[test]
fn a_family_of_a_folder_without_a_line_is_told() {
    let (_folder, path) = desk();
    let folder = path.parent().unwrap();
    let at = |name: &str| -> Vec<PathBuf> { vec![folder.join(name)] };
    for (name, text) in [
        ("b.jsonl", "nothing of ours"),
        ("c", "{\"time\":\"spoilt"),
        ("d.yaml", "version: 1"),
        ("e", "\u{1}"),
    ] {
        fs::write(folder.join(name), text).unwrap();
    }
    fs::write(folder.join("f.gz"), b"\x1f\x8b\x08\0").unwrap();
    let all = Files::in_folder(folder).unwrap();
    let unread: Vec<_> = all.iter().map(|it| it.unread.clone()).collect();
    assert_eq!(unread.concat(), [at("b.jsonl"), at("c")].concat());
    let other: Vec<_> = all.iter().map(|it| it.other.clone()).collect();
    assert_eq!(other.concat(), [at("d.yaml"), at("e")].concat());
    let compressed: Vec<_> = all.iter().map(|it| it.compressed.clone()).collect();
    assert_eq!(compressed.concat(), at("f.gz"));
}

fn large_record() -> Record {
    let mut record = record(&"/\u{1}é".repeat(6000));
    let names = vec!["\u{7f}".repeat(300); 64];
    record.steps.target.as_mut().unwrap().query = names.clone();
    let values = json!({"text": "v".repeat(40_000)});
    record.steps.given = Some(Box::new(Given {
        names,
        values: values.as_object().cloned(),
    }));
    record
}

#[test]
fn no_line_is_longer_than_its_bound_and_what_it_lacks_is_told() {
    let mut only_values = large_record();
    only_values.steps.target = None;
    only_values.steps.given.as_mut().unwrap().names = vec!["text".to_owned()];
    let mut long_names = record("/a");
    long_names.steps.target.as_mut().unwrap().query = vec!["n".repeat(600); 64];
    for (record, lacks) in [
        (record("/a"), json!(null)),
        (only_values, json!(["values"])),
        (long_names, json!(["query"])),
        (
            large_record(),
            json!(["values", "parameters", "query", "path"]),
        ),
    ] {
        let (_folder, path) = desk();
        let mut process = Process::start(&path, Rotation::default());
        process.0.add(&Entry::Record(&record));
        process.0.write();
        process.stop();
        assert!(verify(&path, &[]).is_good());
        let text = fs::read_to_string(&path).unwrap();
        let line = text.lines().nth(1).unwrap();
        assert!(line.len() < 33 * 1024, "{}", line.len());
        let line: Value = serde_json::from_str(line).unwrap();
        assert_eq!(line["left_out"], lacks);
        assert_eq!(line["decision"], "refused");
        assert_eq!(line.get("values"), None);
    }
}

/// A place in the queue may hold one, beside the texts in it: see `PLACES`.
#[test]
fn a_record_is_small() {
    assert!(size_of::<Record>() <= 640, "{}", size_of::<Record>());
}

/// Files that were put aside, the oldest with the newest time.
fn with_clock_set_back(path: &Path, keep: Option<usize>) -> PathBuf {
    let mut process = Process::start(path, Rotation { keep, ..small() });
    for number in 0..12 {
        process.write(&format!("/{number}"));
    }
    process.stop();
    let oldest = Files::of(path).unwrap().files.remove(0);
    let name = oldest.to_string_lossy().into_owned();
    let later = format!(
        "{}.20991231T000000Z-{}",
        path.display(),
        &name[name.len() - 12..]
    );
    fs::rename(oldest, &later).unwrap();
    later.into()
}

#[test]
fn a_clock_that_is_set_back_costs_neither_the_newest_files_nor_the_chain() {
    let (_folder, path) = desk();
    let oldest = with_clock_set_back(&path, None);
    let newest = Files::of(&path).unwrap().files.len();
    fs::rename(
        &path,
        path.with_file_name("a.jsonl.20200101T000000Z-000000000099"),
    )
    .unwrap();
    let before = head(&path.with_file_name("a.jsonl.20200101T000000Z-000000000099")).unwrap();
    let process = Process::start(&path, Rotation::default());
    drop(process);
    assert_eq!(head(&path).unwrap().unwrap().seq, before.unwrap().seq + 1);
    let rotation = Rotation {
        keep: Some(newest),
        ..small()
    };
    let mut process = Process::start(&path, rotation);
    for number in 0..4 {
        process.write(&format!("/{number}"));
    }
    process.stop();
    assert!(!oldest.exists(), "it has the smallest numbers");
    let report = verify(&path, &[]);
    assert!(report.is_good(), "{report:#?}");
}

#[test]
fn what_has_come_to_the_place_of_a_file_is_left_alone() {
    for by_signal in [false, true] {
        for (other, stays) in [
            (b"my shopping list".to_vec(), true),
            (b"root:x:0:0\n".to_vec(), true),
            (b"{\"time\":\"20".to_vec(), true),
            (short().concat(), true),
            (Vec::new(), false),
        ] {
            let (_folder, path) = desk();
            let mut process = Process::start(&path, small());
            process.write("/a");
            let moved = path.with_file_name("a.jsonl.1");
            fs::rename(&path, &moved).unwrap();
            fs::write(&path, &other).unwrap();
            if by_signal {
                process.1.reopen();
                process.0.reopen();
            }
            for number in 0..9 {
                process.write(&format!("/{number}"));
            }
            process.stop();
            assert_eq!(fs::read(&path).unwrap() == other, stays);
            let last = if stays { &moved } else { &path };
            assert_eq!(head(last).unwrap().unwrap().seq, 12);
        }
    }
}

#[test]
fn a_line_without_its_end_is_ended_by_whoever_goes_on_behind_it() {
    let (_folder, path) = desk();
    let mut process = Process::start(&path, Rotation::default());
    process.write("/a");
    let bytes = fs::read(&path).unwrap();
    fs::rename(&path, path.with_file_name("b")).unwrap();
    fs::write(&path, &bytes[..bytes.len() - 1]).unwrap();
    process.1.reopen();
    process.0.reopen();
    process.write("/b");
    process.stop();
    let report = verify(&path, &[]);
    assert!(report.is_good() && report.records == 2, "{report:#?}");
    assert!(!report.is_running);
}

#[test]
fn a_file_that_has_the_name_to_be_put_aside_under_is_left_alone() {
    let (_folder, path) = desk();
    let mut process = Process::start(&path, small());
    let stamp = format_description!("[year][month][day]T[hour][minute][second]Z");
    let names = (0..30).map(|later| {
        let time = OffsetDateTime::now_utc() + time::Duration::seconds(later);
        let name = format!(
            "{}.{}-000000000001",
            path.display(),
            time.format(stamp).unwrap()
        );
        fs::write(&name, "x").unwrap();
        name
    });
    let names: Vec<String> = names.collect();
    for number in 0..9 {
        process.write(&format!("/{number}"));
    }
    process.stop();
    for name in names {
        assert_eq!(fs::read_to_string(name).unwrap(), "x");
    }
    assert_eq!(head(&path).unwrap().unwrap().seq, 11);
    assert_eq!(fs::read_to_string(&path).unwrap().lines().count(), 11);
}

#[test]
fn numbers_that_somebody_has_made_up_overflow_nothing() {
    let (_folder, path) = desk();
    let mut process = Process::start(&path, Rotation::default());
    for _ in 0..2 {
        process.0.add(&Entry::Lost(u64::MAX));
    }
    process.stop();
    assert_eq!(verify(&path, &[]).lost, u64::MAX);
    for beside in [false, true] {
        let (_folder, path) = desk();
        let name = if beside { "a.jsonl.1" } else { "a.jsonl" };
        fs::write(path.with_file_name(name), line(u64::MAX, 1)).unwrap();
        let error = FileSink::open(&path, Rotation::default()).unwrap_err();
        assert!(error.to_string().contains("no chain comes to"), "{error}");
    }
}

#[test]
fn a_newest_file_that_cannot_be_read_forks_no_chain() {
    let (_folder, path) = desk();
    with_clock_set_back(&path, None);
    let files = Files::of(&path).unwrap().files;
    fs::remove_file(&path).unwrap();
    fs::write(&files[files.len() - 2], "spoilt\n").unwrap();
    let error = FileSink::open(&path, Rotation::default()).unwrap_err();
    assert!(
        error.to_string().contains("the chain goes on from"),
        "{error}"
    );
}

#[test]
fn an_end_that_nobody_can_have_been_ended_in_is_a_finding() {
    let lines = short();
    let whole = lines.concat();
    let last = lines[4].strip_suffix(b"\n").unwrap();
    let cut = lines[..4].concat();
    for tail in [
        [last, b"xyz"].concat(),
        [b"xyz", last, b"xyz"].concat(),
        [&last[..40], last, b" "].concat(),
        vec![b'x'; LONGEST_LINE + 1],
    ] {
        let bytes = [&*cut, &tail].concat();
        assert_eq!(words(&bytes), ["malformed"]);
    }
    let length = 100_000;
    let report = verify_bytes(&[&*whole, &vec![b'x'; length]].concat(), &[]);
    let bytes = length as u64;
    assert_eq!(report.notes[0].1, Note::Partial { bytes });
}

#[test]
fn lines_that_were_spoilt_before_a_start_are_a_finding() {
    for (count, is_good) in [(1, true), (2, true), (3, false), (4, false)] {
        let (_folder, path) = desk();
        let mut process = Process::start(&path, Rotation::default());
        process.write("/a");
        drop(process);
        let mut file = OpenOptions::new().append(true).open(&path).unwrap();
        file.write_all("spoilt\n".repeat(count).as_bytes()).unwrap();
        Process::start(&path, Rotation::default()).stop();
        let report = verify(&path, &[]);
        assert_eq!(report.is_good(), is_good, "{report:#?}");
        let lines = count as u64;
        if !is_good {
            assert_eq!(report.findings[0].what, Break::Malformed { lines });
        }
    }
}

#[test]
fn a_file_that_was_copied_and_cut_off_is_put_aside_by_what_is_in_it() {
    let (_folder, path) = desk();
    let mut process = Process::start(&path, small());
    process.write("/a");
    process.write("/b");
    let file = OpenOptions::new().write(true).open(&path).unwrap();
    file.set_len(0).unwrap();
    process.write("/c");
    process.write("/d");
    assert_eq!(Files::of(&path).unwrap().files, std::slice::from_ref(&path));
    for _ in 0..2 {
        process.write("/e");
    }
    process.stop();
    let files = Files::of(&path).unwrap().files;
    assert!(
        files[0].to_string_lossy().ends_with("-000000000004"),
        "{files:?}"
    );
}
