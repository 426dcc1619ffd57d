//! The table of attacks: its groups, their rows, and those that have no test with the reason.

use std::collections::{BTreeMap, BTreeSet};
use std::env;
use std::process::Command;

/// A group: its letter, what it is about, and the numbers of its rows.
type Group = (char, &'static str, &'static [u8]);

/// Numbers are not without gaps: rows that said the same were joined.
const GROUPS: [Group; 17] = [
    (
        'A',
        "who a request is for",
        &[
            1, 2, 3, 5, 6, 7, 8, 9, 10, 12, 13, 14, 15, 16, 17, 18, 20, 21, 23, 25, 27,
        ],
    ),
    (
        'B',
        "forms of requests and tunnels",
        &[
            1, 3, 6, 7, 8, 10, 11, 12, 13, 14, 15, 16, 18, 19, 20, 21, 22, 23, 25, 26, 27, 28, 29,
            30, 31, 33, 34,
        ],
    ),
    (
        'C',
        "TLS and interception",
        &[
            1, 2, 3, 4, 5, 6, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 21, 22, 26, 27, 28, 29,
        ],
    ),
    (
        'D',
        "names and addresses",
        &[
            2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 14, 15, 16, 19, 20, 22, 23, 24, 25, 26, 27, 28,
        ],
    ),
    (
        'E',
        "paths, queries, headers and bodies",
        &[
            1, 2, 3, 5, 8, 9, 12, 13, 14, 15, 16, 17, 18, 19, 20, 22, 23, 24, 25, 27, 31, 32, 34,
            35, 36, 37, 40, 41, 44, 46, 47,
        ],
    ),
    (
        'F',
        "framing of HTTP/1",
        &[
            1, 2, 5, 6, 7, 8, 9, 10, 11, 12, 13, 15, 16, 19, 20, 21, 23, 25, 26, 27, 29, 30, 31, 32,
        ],
    ),
    (
        'G',
        "hostile origins",
        &[1, 2, 5, 6, 7, 9, 10, 11, 12, 13, 14, 17],
    ),
    (
        'H',
        "HTTP/2",
        &[1, 2, 3, 5, 7, 8, 10, 11, 12, 14, 15, 17, 18, 19],
    ),
    (
        'I',
        "WebSockets, upgrades, events",
        &[2, 4, 6, 7, 8, 9, 10, 11, 12],
    ),
    (
        'J',
        "injected credentials",
        &[1, 3, 4, 8, 10, 11, 12, 13, 14, 15, 18, 20, 21, 23, 24],
    ),
    ('K', "tokens", &[1, 2, 3, 4, 5, 7, 9, 10, 11, 12, 13]),
    (
        'L',
        "what can be used up",
        &[1, 4, 5, 6, 7, 9, 10, 11, 15, 16, 17],
    ),
    (
        'M',
        "our own listeners",
        &[1, 4, 6, 8, 9, 10, 11, 12, 13, 15, 16],
    ),
    ('N', "policies and reload", &[2, 3, 5, 6, 7, 8, 9, 11, 14]),
    ('O', "records", &[1, 3, 5, 6, 9, 10, 11, 13]),
    ('P', "who a client is", &[1, 2, 4, 6, 8, 9, 10]),
    ('Q', "dependencies and build", &[1, 2, 3, 4, 5, 6, 7, 8]),
];

/// Rows without a test, and why.
const NOT_APPLICABLE: [(&str, &str); 0] = [];

#[test]
#[ignore = "not all rows have one yet"]
fn every_row_has_a_test_or_a_reason_why_not() {
    let tests = tests_of_rows();
    let mut wrong = Vec::new();
    for row in rows() {
        let tested = tests.contains_key(&row);
        let excused = NOT_APPLICABLE.iter().any(|(it, _)| *it == row);
        if tested == excused {
            wrong.push(format!("{row}: tested {tested}, excused {excused}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn every_test_is_of_a_row_and_a_file_holds_one_group() {
    let rows: BTreeSet<String> = rows().collect();
    let mut groups: BTreeMap<String, BTreeSet<char>> = BTreeMap::new();
    for (row, names) in tests_of_rows() {
        assert!(rows.contains(&row), "{row}: {names:?}");
        for name in names {
            let letters = groups.entry(file(&name).to_owned()).or_default();
            letters.extend(row.chars().next());
        }
    }
    groups.retain(|_, letters| letters.len() > 1);
    assert!(groups.is_empty(), "{groups:?}");
}

/// Prints the table for `tests/attacks`, which counts the tests: a line for each group, and one for each excused row.
#[test]
#[ignore = "prints"]
fn table() {
    for (letter, about, numbers) in GROUPS {
        let excused = NOT_APPLICABLE
            .iter()
            .filter(|(row, _)| row.starts_with(letter))
            .count();
        println!("group\t{letter}\t{}\t{excused}\t{about}", numbers.len());
    }
    for (row, reason) in NOT_APPLICABLE {
        println!("excused\t{row}\t{reason}");
    }
}

/// All ids of rows, as `A1`.
fn rows() -> impl Iterator<Item = String> {
    GROUPS
        .iter()
        .flat_map(|(letter, _, numbers)| numbers.iter().map(move |it| format!("{letter}{it}")))
}

/// The names of the tests of each row, out of the list that this program prints of itself.
fn tests_of_rows() -> BTreeMap<String, Vec<String>> {
    let listed = Command::new(env::current_exe().unwrap())
        .args(["attacks::", "--list", "--format", "terse"])
        .output()
        .unwrap();
    let mut tests: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for line in String::from_utf8(listed.stdout).unwrap().lines() {
        let Some(name) = line.strip_suffix(": test") else {
            continue;
        };
        let own = name.rsplit("::").next().unwrap();
        let id = own.split('_').next().unwrap().to_uppercase();
        if id.len() > 1 && id[1..].bytes().all(|it| it.is_ascii_digit()) {
            tests.entry(id).or_default().push(name.to_owned());
        }
    }
    tests
}

/// The file behind `attacks::` in a test's name.
fn file(name: &str) -> &str {
    name.split("::")
        .skip_while(|it| *it != "attacks")
        .nth(1)
        .unwrap()
}
