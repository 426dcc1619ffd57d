//! Whatever happens to a file of records, its chain is whole; whatever somebody does to it is found.

use std::fs;
use std::io::Write as _;

use proptest::prelude::*;

use crate::audit::Rotation;
use crate::audit::read::Files;
use crate::audit::tests::chained::{Process, desk, short, verify, verify_bytes};
use crate::audit::verify::Note;

/// What may happen to an audit file.
#[derive(Clone, Debug)]
enum Step {
    Write(String),
    Restart,
    Kill(usize),
    Move,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let odd =
        "[a\\x00-\\x1f\"\\\\{}:,\u{7f}-\u{9f}\u{2028}\u{2029}\u{202e}\u{feff}\u{e0041}é]{0,12}";
    let step = prop_oneof![
        6 => odd.prop_map(Step::Write),
        1 => Just(Step::Restart),
        1 => (1usize..120).prop_map(Step::Kill),
        1 => Just(Step::Move),
    ];
    prop::collection::vec(step, 1..24)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_the_chain_is_whole(steps in steps(), small in any::<bool>()) {
        let (_folder, path) = desk();
        let rotation = Rotation {
            max_bytes: small.then_some(1500),
            ..Rotation::default()
        };
        let mut process = Process::start(&path, rotation);
        let (mut written, mut torn, mut unclean) = (0, 0, 0);
        for (number, step) in steps.iter().enumerate() {
            match step {
                Step::Write(text) => {
                    process.write(text);
                    written += 1;
                }
                Step::Restart => {
                    process.stop();
                    process = Process::start(&path, rotation);
                }
                Step::Kill(length) => {
                    drop(process);
                    let line = short()[1].clone();
                    let mut file = fs::OpenOptions::new().append(true).open(&path).unwrap();
                    file.write_all(&line[..*length]).unwrap();
                    drop(file);
                    (torn, unclean) = (torn + 1, unclean + 1);
                    process = Process::start(&path, rotation);
                }
                Step::Move => {
                    let name = format!("a.jsonl.{}", number + 1);
                    fs::rename(&path, path.with_file_name(name)).unwrap();
                    process.1.reopen();
                    process.0.reopen();
                }
            }
        }
        process.stop();
        let report = verify(&path, &[]);
        prop_assert!(report.is_good(), "{report:#?}");
        prop_assert_eq!(report.first, Some(1));
        prop_assert_eq!(report.records, written);
        let count = |is: fn(&Note) -> bool| report.notes.iter().filter(|it| is(&it.1)).count();
        prop_assert_eq!(count(|it| matches!(it, Note::Torn { .. })), torn);
        prop_assert_eq!(count(|it| matches!(it, Note::Unclean { .. })), unclean);
        for file in Files::of(&path).unwrap().files {
            for line in fs::read_to_string(file).unwrap().lines() {
                let odd = line.chars().find(|c| c.is_control() || (!c.is_ascii() && *c != 'é'));
                prop_assert_eq!(odd, None);
            }
        }
    }

    #[test]
    fn whatever_is_changed_is_found(at in any::<prop::sample::Index>(), to in any::<u8>()) {
        let bytes = short().concat();
        let at = at.index(bytes.len());
        prop_assume!(bytes[at] != to);
        let mut other = bytes.clone();
        other[at] = to;
        let report = verify_bytes(&other, &[]);
        // Without its last line feed, the last line is one that is being written.
        let is_partial = matches!(report.notes[..], [(_, Note::Partial { .. })]);
        prop_assert!(!report.is_good() || (is_partial && at == bytes.len() - 1), "{report:#?}");
    }

    #[test]
    fn whatever_line_is_gone_doubled_or_moved_is_found(
        one in 0usize..5, other in 0usize..5, deed in 0u8..3,
    ) {
        let mut lines = short();
        let head = verify_bytes(&lines.concat(), &[]).head.unwrap();
        match deed {
            0 => drop(lines.remove(one)),
            1 => lines.insert(other, lines[one].clone()),
            _ => {
                prop_assume!(one != other);
                lines.swap(one, other);
            }
        }
        let report = verify_bytes(&lines.concat(), &[head]);
        let cut_at_front = deed == 0 && one == 0;
        prop_assert!(!report.is_good() || (cut_at_front && report.first == Some(2)), "{report:#?}");
    }
}
