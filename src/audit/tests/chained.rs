//! The chain in its files: over restarts, kills, rotations and moves, and what `verify` says when somebody has been at
//! it.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;
use time::OffsetDateTime;

use crate::audit::chain::SEAL;
use crate::audit::file::{Beginning, FileSink};
use crate::audit::line::Entry;
use crate::audit::read::Files;
use crate::audit::ticket::{Event, Record, Steps};
use crate::audit::verify::{Break, Note, Report, Verifier};
use crate::audit::writer::{Shared, Start, Writer};
use crate::audit::{Ending, Hash, Head, Opening, RequestId, Rotation, Target, head};
use crate::metrics::Metrics;
use crate::refusal::Code;
use crate::request::Door;

/// One process with its audit file.
pub(super) struct Process(pub(super) Writer<FileSink>, pub(super) Arc<Shared>);

impl Process {
    pub(super) fn start(path: &Path, rotation: Rotation) -> Self {
        let (sink, at) = FileSink::open(path, rotation).unwrap();
        Self::with(sink, at)
    }

    fn with(sink: FileSink, at: Beginning) -> Self {
        let metrics = Metrics::new();
        let shared = Arc::new(Shared::new(at.head, metrics.audit_losses()));
        let start = Start {
            at,
            announced: true,
        };
        let mut writer = Writer::of(sink, &start, metrics.audit_errors(), shared.clone());
        writer.begin();
        writer.write();
        Self(writer, shared)
    }

    pub(super) fn write(&mut self, path: &str) {
        self.0.add(&Entry::Record(&record(path)));
        self.0.write();
    }

    pub(super) fn stop(mut self) {
        self.0.add(&Entry::Stopped);
        self.0.write();
    }
}

pub(super) fn record(path: &str) -> Record {
    let opening = Opening {
        door: Door::Proxy,
        policy_hash: "abcd".into(),
        tls: None,
    };
    let mut steps = Steps::of(RequestId::new(), opening);
    steps.target = Some(Target {
        path: path.into(),
        query: vec![path.into(), String::new()],
    });
    Record {
        steps,
        event: Event::Closed(Ending::refused(Code::TooLarge)),
        time: OffsetDateTime::now_utc(),
        duration: Duration::from_micros(1001),
    }
}

pub(super) fn verify(path: &Path, expected: &[Head]) -> Report {
    let mut verifier = Verifier::expecting(expected.to_vec());
    for file in Files::of(path).unwrap().files {
        let bytes = fs::read(&file).unwrap();
        verifier.read(&file.to_string_lossy(), &*bytes).unwrap();
    }
    verifier.finish()
}

pub(super) fn verify_bytes(bytes: &[u8], expected: &[Head]) -> Report {
    let mut verifier = Verifier::expecting(expected.to_vec());
    verifier.read("f", bytes).unwrap();
    verifier.finish()
}

pub(super) fn desk() -> (TempDir, PathBuf) {
    let folder = TempDir::new().unwrap();
    let path = fs::canonicalize(folder.path()).unwrap().join("a.jsonl");
    (folder, path)
}

/// The lines of one process that wrote three records and ended.
pub(super) fn short() -> Vec<Vec<u8>> {
    let (_folder, path) = desk();
    let mut process = Process::start(&path, Rotation::default());
    ["/a", "/b", "/c"].iter().for_each(|it| process.write(it));
    process.stop();
    let bytes = fs::read(&path).unwrap();
    let lines = bytes.split_inclusive(|byte| *byte == b'\n');
    lines.map(<[u8]>::to_vec).collect()
}

#[test]
fn a_hash_is_that_of_the_bytes_before_it() {
    let lines = short();
    let mut before = Hash::ZERO;
    for line in &lines {
        let line = line.strip_suffix(b"\n").unwrap();
        let (body, seal) = line.split_at(line.len() - SEAL);
        let hash = Hash::of(body);
        assert_eq!(
            seal,
            format!(",\"hash\":\"{}\"}}", hash.as_str()).as_bytes()
        );
        let prev = format!("\"prev_hash\":\"{}\"", before.as_str());
        assert!(String::from_utf8_lossy(body).contains(&prev));
        before = hash;
    }
    assert_eq!(
        Hash::of(b"abc").as_str(),
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
        "FIPS 180-2, B.1"
    );
}

#[test]
fn a_chain_goes_on_over_restarts_in_the_same_file() {
    let (_folder, path) = desk();
    for round in 1..=3 {
        let mut process = Process::start(&path, Rotation::default());
        process.write("/a");
        process.stop();
        let report = verify(&path, &[]);
        assert!(report.is_good() && report.notes.is_empty(), "{report:#?}");
        assert_eq!((report.starts, report.records), (round, round));
        assert_eq!(report.head.unwrap().seq, 3 * round);
        assert!(!report.is_running);
        assert_eq!(head(&path).unwrap(), report.head);
    }
    let mode = fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn a_kill_in_the_middle_of_a_line_is_told_and_is_no_finding() {
    let whole = short()[1].clone();
    for length in [1, 5, 80, whole.len() - 2] {
        let (_folder, path) = desk();
        let mut process = Process::start(&path, Rotation::default());
        process.write("/a");
        drop(process);
        let mut file = fs::OpenOptions::new().append(true).open(&path).unwrap();
        file.write_all(&whole[..length]).unwrap();
        let report = verify(&path, &[]);
        assert!(report.is_good(), "{report:#?}");
        let bytes = length as u64;
        assert_eq!(report.notes[0].1, Note::Partial { bytes });
        Process::start(&path, Rotation::default()).stop();
        let report = verify(&path, &[]);
        assert!(report.is_good(), "{length}: {report:#?}");
        let notes: Vec<Note> = report.notes.iter().map(|it| it.1).collect();
        let torn = Note::Torn { bytes: bytes + 1 };
        assert_eq!(notes, [torn, Note::Unclean { seq: 2 }]);
    }
}

#[test]
fn a_line_that_lacks_only_its_line_feed_is_whole() {
    let (_folder, path) = desk();
    let mut process = Process::start(&path, Rotation::default());
    process.write("/a");
    drop(process);
    let length = fs::metadata(&path).unwrap().len();
    let file = fs::OpenOptions::new().write(true).open(&path).unwrap();
    file.set_len(length - 1).unwrap();
    drop(file);
    assert_eq!(verify(&path, &[]).head.unwrap().seq, 2);
    Process::start(&path, Rotation::default()).stop();
    let report = verify(&path, &[]);
    assert!(report.is_good() && report.records == 1, "{report:#?}");
    assert_eq!(report.notes.len(), 1, "{report:#?}");
}

#[test]
fn what_a_kill_has_torn_is_evidence_that_cannot_be_touched() {
    let (_folder, path) = desk();
    drop(Process::start(&path, Rotation::default()));
    let mut file = fs::OpenOptions::new().append(true).open(&path).unwrap();
    file.write_all(b"{\"time\":\"20").unwrap();
    Process::start(&path, Rotation::default()).stop();
    let bytes = fs::read(&path).unwrap();
    assert!(verify_bytes(&bytes, &[]).is_good());
    let text = String::from_utf8(bytes).unwrap();
    for (other, word) in [
        (text.replacen("\"20\n", "\"21\n", 1), "malformed"),
        (text.replacen("{\"time\":\"20\n", "", 1), "torn_gone"),
        (text.replacen("\"20\n", "\"20\n\n", 1), "malformed"),
    ] {
        assert_ne!(text, other);
        let report = verify_bytes(other.as_bytes(), &[]);
        assert_eq!(report.findings[0].what.word(), word, "{report:#?}");
    }
}

#[test]
fn a_file_is_put_aside_when_it_is_full_and_the_oldest_go() {
    let (_folder, path) = desk();
    let rotation = Rotation {
        max_bytes: Some(2000),
        max_age: None,
        keep: Some(2),
    };
    let mut process = Process::start(&path, rotation);
    for number in 0..40 {
        process.write(&format!("/{number}"));
    }
    process.stop();
    let all = Files::of(&path).unwrap();
    assert_eq!(all.files.len(), 3, "{all:?}");
    assert_eq!(all.unread, Vec::<PathBuf>::new());
    for file in &all.files {
        let metadata = fs::metadata(file).unwrap();
        assert!(metadata.len() <= 2000, "{}", metadata.len());
        assert_eq!(metadata.permissions().mode() & 0o777, 0o600);
    }
    let mut names = all.files.clone();
    names[..2].sort();
    assert_eq!(names, all.files, "names sort by time");
    let report = verify(&path, &[]);
    assert!(report.is_good(), "{report:#?}");
    assert!(report.first.unwrap() > 1);
    assert_eq!(report.head.unwrap().seq, 42);
}

#[test]
fn a_file_that_is_old_is_put_aside_with_the_next_line_and_an_empty_one_is_not() {
    let (_folder, path) = desk();
    let rotation = Rotation {
        max_bytes: None,
        max_age: Some(Duration::ZERO),
        keep: None,
    };
    let mut process = Process::start(&path, rotation);
    process.write("/a");
    process.write("/b");
    drop(process);
    assert_eq!(Files::of(&path).unwrap().files.len(), 3);
    let report = verify(&path, &[]);
    assert!(report.is_good() && report.lines == 3, "{report:#?}");
}

#[test]
fn a_line_that_is_larger_than_a_file_may_be_is_written_all_the_same() {
    let (_folder, path) = desk();
    let rotation = Rotation {
        max_bytes: Some(10),
        ..Rotation::default()
    };
    let mut process = Process::start(&path, rotation);
    process.write("/a");
    process.write("/b");
    process.stop();
    assert_eq!(Files::of(&path).unwrap().files.len(), 4);
    assert!(verify(&path, &[]).is_good());
}

#[test]
fn a_file_that_cannot_be_put_aside_is_written_on() {
    let (_folder, path) = desk();
    let rotation = Rotation {
        max_bytes: Some(700),
        ..Rotation::default()
    };
    let mut process = Process::start(&path, rotation);
    fs::create_dir(path.with_file_name("a.jsonl.new")).unwrap();
    for number in 0..5 {
        process.write(&format!("/{number}"));
    }
    assert_eq!(fs::read_to_string(&path).unwrap().lines().count(), 6);
    assert!(verify(&path, &[]).is_good());
}

#[test]
fn a_file_that_was_moved_or_removed_is_made_anew_when_told() {
    for is_removed in [false, true] {
        let (_folder, path) = desk();
        let mut process = Process::start(&path, Rotation::default());
        process.write("/a");
        let moved = path.with_file_name("a.jsonl.1");
        fs::rename(&path, &moved).unwrap();
        if is_removed {
            fs::remove_file(&moved).unwrap();
        }
        process.write("/b");
        assert!(!path.exists(), "only a signal says that it is to be made");
        process.1.reopen();
        process.0.reopen();
        process.write("/c");
        drop(process);
        // A new process goes on as well.
        Process::start(&path, Rotation::default()).stop();
        let report = verify(&path, &[]);
        assert!(report.is_good(), "{report:#?}");
        assert_eq!(report.first, Some(if is_removed { 4 } else { 1 }));
        assert_eq!(report.head.unwrap().seq, 6);
    }
}

#[test]
fn a_new_file_goes_on_with_the_chain_of_the_newest_one_before() {
    let (_folder, path) = desk();
    for (ending, seq) in [("a.jsonl.2", 3), ("a.jsonl.1", 6), ("a.jsonl-20261120", 9)] {
        let mut process = Process::start(&path, Rotation::default());
        process.write("/a");
        process.stop();
        assert_eq!(head(&path).unwrap().unwrap().seq, seq);
        fs::rename(&path, path.with_file_name(ending)).unwrap();
    }
    fs::write(path.with_file_name("a.jsonl.gz"), b"\x1f\x8b").unwrap();
    Process::start(&path, Rotation::default()).stop();
    let report = verify(&path, &[]);
    assert!(report.is_good() && report.starts == 4, "{report:#?}");
    assert_eq!(Files::of(&path).unwrap().compressed.len(), 1);
    let families = Files::in_folder(path.parent().unwrap()).unwrap();
    assert_eq!(families.len(), 1, "{families:#?}");
}

#[test]
fn one_process_writes_a_file() {
    let (_folder, path) = desk();
    let process = Process::start(&path, Rotation::default());
    let error = FileSink::open(&path, Rotation::default()).unwrap_err();
    assert!(error.to_string().contains("another exeat"), "{error}");
    drop(process);
    Process::start(&path, Rotation::default()).stop();
}

#[test]
fn a_file_of_something_else_is_left_alone() {
    for text in ["root:x:0:0\n", "{\"time\":\"2026\"}\n", "x", "{\"seq\":1}"] {
        let (_folder, path) = desk();
        fs::write(&path, text).unwrap();
        let error = FileSink::open(&path, Rotation::default()).unwrap_err();
        assert!(
            error.to_string().contains("does not end in records"),
            "{error}"
        );
        assert_eq!(fs::read_to_string(&path).unwrap(), text);
    }
}

#[test]
fn what_was_done_to_a_chain_has_its_word() {
    let lines = short();
    let of = |order: &[usize]| {
        order
            .iter()
            .map(|at| lines[*at].clone())
            .collect::<Vec<_>>()
    };
    let changed = |at: usize, from: &str, to: &str| {
        let mut lines = lines.clone();
        let text = String::from_utf8(lines[at].clone()).unwrap();
        assert!(text.contains(from), "{text}");
        lines[at] = text.replacen(from, to, 1).into_bytes();
        lines
    };
    let resealed = |at: usize| {
        let mut lines = changed(at, "/b", "/x");
        let body = &lines[at][..lines[at].len() - SEAL - 1];
        let seal = format!(",\"hash\":\"{}\"}}\n", Hash::of(body).as_str());
        lines[at] = [body, seal.as_bytes()].concat();
        lines
    };
    let mut with_text = lines.clone();
    with_text.insert(2, b"and more\n".to_vec());
    let mut forged = lines.clone();
    forged.insert(2, lines[4].clone());
    for (lines, words, place) in [
        (of(&[0, 1, 2, 3, 4]), &[][..], 0),
        (changed(2, "/b", "/x"), &["changed"], 3),
        (changed(2, "\"seq\":3", "\"seq\":4"), &["changed"], 3),
        (
            changed(2, ",\"hash\":\"", ",\"hash\":\"0"),
            &["malformed"],
            3,
        ),
        (changed(0, "started", "stopped"), &["changed"], 1),
        (resealed(2), &["unchained"], 4),
        (of(&[0, 1, 3, 4]), &["missing"], 3),
        (of(&[0, 4]), &["missing"], 2),
        (of(&[0, 1, 2, 2, 3, 4]), &["duplicate"], 4),
        (of(&[0, 1, 2, 3, 1, 4]), &["duplicate"], 5),
        (of(&[0, 1, 3, 2, 4]), &["reordered"], 3),
        (of(&[0, 2, 3, 1, 4]), &["missing", "reordered"], 2),
        (forged, &["inserted"], 3),
        (of(&[0, 0, 1, 2]), &["duplicate"], 2),
        (of(&[0, 1, 2, 0]), &["duplicate"], 4),
        (with_text, &["malformed"], 3),
    ] {
        let report = verify_bytes(&lines.concat(), &[]);
        let found: Vec<&str> = report.findings.iter().map(|it| it.what.word()).collect();
        assert_eq!(found, words, "{report:#?}");
        let first = report.findings.first().map_or(0, |it| it.place.line);
        assert_eq!(first, place, "{report:#?}");
    }
}

#[test]
fn a_head_that_was_kept_shows_a_tail_that_was_cut_off() {
    let lines = short();
    let whole = verify_bytes(&lines.concat(), &[]).head.unwrap();
    assert_eq!(whole.to_string().parse::<Head>(), Ok(whole));
    assert!(verify_bytes(&lines.concat(), &[whole]).is_good());
    let cut = lines[..4].concat();
    assert!(
        verify_bytes(&cut, &[]).is_good(),
        "by itself it looks whole"
    );
    let word = |bytes: &[u8], head| {
        let report = verify_bytes(bytes, &[head]);
        report.findings.first().map(|it| it.what)
    };
    assert_eq!(word(&cut, whole), Some(Break::CutOff(whole)));
    let other = Head {
        hash: Hash::ZERO,
        ..whole
    };
    assert_eq!(
        word(&lines.concat(), other),
        Some(Break::HeadReplaced(other))
    );
    let first = verify_bytes(&lines[0], &[]).head.unwrap();
    assert_eq!(
        word(&lines[1..].concat(), first),
        Some(Break::HeadNotHere(first))
    );
}

#[test]
fn chains_of_processes_that_did_not_know_of_each_other_are_each_whole() {
    let both = [short().concat(), short()[..3].concat(), short().concat()].concat();
    let report = verify_bytes(&both, &[]);
    assert!(report.is_good(), "{report:#?}");
    assert_eq!((report.chains, report.starts), (3, 3));
    let notes: Vec<Note> = report.notes.iter().map(|it| it.1).collect();
    let again = |seq| Note::NewChain { seq };
    let unclean = Note::Unclean { seq: 3 };
    assert_eq!(
        notes,
        [again(5), again(3), unclean],
        "one did not end by itself"
    );
}
