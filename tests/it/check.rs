//! `exeat check`: every mistake at its place, for people and for programs, and an end for every file.

use std::fmt::Write as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;

pub(crate) const GOOD: &str = "\
version: 1
actions:
  get_item:
    description: Returns one item of the catalogue.
    method: GET
    url: https://api.good.test/items/{{id}}
    parameters: {properties: {id: {type: string}}, required: [id]}
";

fn exeat() -> Command {
    Command::new(env!("CARGO_BIN_EXE_exeat"))
}

pub(crate) fn check(arguments: &[&str]) -> Output {
    exeat().arg("check").args(arguments).output().unwrap()
}

/// Checks one file with this content.
pub(crate) fn check_text(content: &[u8]) -> (Option<i32>, String) {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("policy.yaml");
    std::fs::write(&file, content).unwrap();
    let output = check(&[file.to_str().unwrap()]);
    let told = String::from_utf8(output.stdout).unwrap();
    assert_eq!(String::from_utf8(output.stderr).unwrap(), "");
    (output.status.code(), told)
}

/// The action of [`GOOD`] with something else for its parameters.
pub(crate) fn with_parameters(parameters: &str) -> String {
    let (before, _) = GOOD.split_once("    parameters").unwrap();
    let before = before.replace("/{{id}}", "").replace("GET", "POST");
    format!("{before}    parameters:\n{parameters}")
}

#[test]
fn ten_mistakes_are_ten_problems_at_their_places() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/policies/ten_mistakes.yaml");
    let file = file.to_str().unwrap();
    let expected = [
        (10, 33, "a user name contains no `:`", "password"),
        (11, 59, "secret_in_policy", "{secret: NAME}"),
        (15, 15, "no value for `staging`", "every environment"),
        (22, 5, "unknown field `metod`", "`method`"),
        (28, 17, "no connection `jirra`", "`jira`"),
        (34, 25, "must be one of", "JSON Schema"),
        (38, 18, "public suffix", "name a host"),
        (44, 58, "`city` may be missing", "`required`"),
        (50, 21, "no secret `bot_token`", "declare the secret"),
        (51, 22, "`delete_*` fits no action", "remove it"),
    ];
    let output = check(&[file]);
    let told = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1));
    let headlines: Vec<&str> = told.lines().filter(|it| it.starts_with(file)).collect();
    assert_eq!(headlines.len(), expected.len(), "{told}");
    for (headline, (line, column, says, _)) in headlines.iter().zip(expected) {
        let place = format!("{file}:{line}:{column}: error: ");
        assert!(
            headline.starts_with(&place) && headline.contains(says),
            "{headline}"
        );
    }
    assert!(told.ends_with("10 errors, 0 warnings: not loaded\n"));
    assert!(
        !told.contains("0123456789abcdef"),
        "the key itself is shown"
    );

    let output = check(&["--json", file]);
    assert_eq!(output.status.code(), Some(1));
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(
        (&told["good"], &told["policy_hash"]),
        (&false.into(), &Value::Null)
    );
    let problems = told["problems"].as_array().unwrap();
    assert_eq!(problems.len(), expected.len());
    for (problem, (line, column, says, mends)) in problems.iter().zip(expected) {
        assert_eq!(
            (&problem["line"], &problem["column"]),
            (&line.into(), &column.into())
        );
        assert!(
            problem["message"].as_str().unwrap().contains(says),
            "{problem}"
        );
        assert!(
            problem["remedy"].as_str().unwrap().contains(mends),
            "{problem}"
        );
    }
}

#[test]
fn a_good_policy_says_so_in_one_line() {
    assert_eq!(
        check_text(GOOD.as_bytes()),
        (Some(0), "good: 1 action, 0 warnings\n".into())
    );
    let folder = TempDir::new().unwrap();
    std::fs::write(folder.path().join("a.yaml"), GOOD).unwrap();
    std::fs::write(folder.path().join("a.test.yaml"), "not: [a, policy").unwrap();
    let output = check(&["--json", folder.path().to_str().unwrap()]);
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(told["good"], true);
    assert_eq!(told["policy_hash"].as_str().unwrap().len(), 64);
}

#[test]
fn a_path_without_a_policy_is_a_finding_with_a_remedy() {
    let folder = TempDir::new().unwrap();
    for path in [folder.path().to_owned(), folder.path().join("missing.yaml")] {
        let output = check(&["--json", path.to_str().unwrap()]);
        let told: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(output.status.code(), Some(1));
        let problem = &told["problems"][0];
        assert_eq!(problem["file"], path.to_str().unwrap());
        assert!(problem["remedy"].is_string(), "{problem}");
    }
    assert_eq!(check(&["--unknown"]).status.code(), Some(2));
}

#[test]
fn a_name_declared_in_two_files_is_shown_at_both_places() {
    let folder = TempDir::new().unwrap();
    std::fs::write(folder.path().join("a.yaml"), GOOD).unwrap();
    std::fs::write(folder.path().join("b.yml"), GOOD).unwrap();
    let output = check(&["--json", folder.path().to_str().unwrap()]);
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    let problem = &told["problems"][0];
    let files = [&problem["file"], &problem["second"]["file"]];
    let ends = files.map(|it| it.as_str().unwrap().rsplit('/').next().unwrap());
    assert_eq!(ends, ["b.yml", "a.yaml"], "{told}");
    assert_eq!(
        (&problem["line"], &problem["second"]["line"]),
        (&3.into(), &3.into())
    );
}

#[test]
fn schemas_that_double_at_every_step_are_read_in_one() {
    for (each, code, says) in [
        (
            "allOf: [$N, $N]",
            1,
            "this schema can take exponential time",
        ),
        ("properties: {a: $N, b: $N}", 0, ""),
        (
            "anyOf: [$N, $N]",
            1,
            "this schema can take exponential time",
        ),
    ] {
        let mut text = "      properties: {p: {$ref: '#/$defs/d0'}}\n      $defs:\n".to_owned();
        for level in 0..60 {
            let next = format!("{{$ref: '#/$defs/d{}}}", level + 1).replace('}', "'}");
            writeln!(text, "        d{level}: {{{}}}", each.replace("$N", &next)).unwrap();
        }
        text += "        d60: {type: string}\n";
        let (found, told) = check_text(with_parameters(&text).as_bytes());
        assert_eq!(found, Some(code), "{each}: {told}");
        assert!(told.contains(says), "{each}: {told}");
    }
}

#[test]
fn what_a_file_says_cannot_speak_to_the_terminal() {
    let policy =
        GOOD.replace("get_item", "\"a\\e]0;owned\\a\\u202e\"") + "    x\u{1b}[31m\u{9b}: 1\n";
    let (code, told) = check_text(policy.as_bytes());
    assert_eq!(code, Some(1));
    let is_harmless = |c: char| c == '\n' || !(c.is_control() || c == '\u{202e}');
    assert!(told.chars().all(is_harmless), "{told:?}");
}

#[test]
fn thousands_of_actions_and_of_mistakes_are_told_in_a_moment() {
    let mut good = "version: 1\nactions:\n".to_owned();
    let mut bad = good.clone();
    for number in 0..2_000 {
        let rest = format!(
            "description: A fine description., method: GET, url: https://api.good.test/x{number}"
        );
        writeln!(good, "  a{number}: {{{rest}}}").unwrap();
        writeln!(bad, "  a{number}: {{{rest}, metod: GET, conection: x}}").unwrap();
    }
    assert_eq!(check_text(good.as_bytes()).0, Some(0));
    let (code, told) = check_text(bad.as_bytes());
    assert_eq!(code, Some(1));
    assert!(told.ends_with("4000 errors, 0 warnings: not loaded\n"));
}

#[test]
fn a_reader_that_has_seen_enough_is_no_failure() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/policies/ten_mistakes.yaml");
    let mut child = exeat()
        .args(["check", file.to_str().unwrap()])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(String::from_utf8(output.stderr).unwrap(), "");
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn what_would_mean_something_else_than_it_says_is_told() {
    let secrets = "secrets: {t: {env: T}, u: {env: U}}\n";
    let header = |name: &str| GOOD.to_owned() + &format!("    headers: {{{name}: hunter2}}\n");
    for (policy, severity, says) in [
        (
            GOOD.to_owned() + "static_variables: {A: \"{{.static_variables.B}}\", B: x}\n",
            "error",
            "plain text",
        ),
        (
            GOOD.to_owned() + "agents: {}\n",
            "warning",
            "every request is refused",
        ),
        (
            GOOD.to_owned()
                + secrets
                + "agents: {a: {token: {secret: t}, allow: ['*']}, b: {token: {secret: t}, allow: ['*']}}\n",
            "warning",
            "each can pose as the other",
        ),
        (
            with_parameters("      properties: {p: {type: string}, P: {type: string}}\n"),
            "error",
            "differ in case alone",
        ),
        (
            GOOD.to_owned() + "secrets: {t: {env: \"TOKEN=hunter2\"}}\n",
            "error",
            "secret_in_policy",
        ),
        (header("X-Api-Token"), "error", "secret_in_policy"),
        (header("X-Vault-Token"), "error", "secret_in_policy"),
        (
            GOOD.replace("/{{id}}", "/{{/* the id }}{{id}}"),
            "error",
            "a comment is not closed",
        ),
    ] {
        let (code, told) = check_text(policy.as_bytes());
        let expected = if severity == "error" { 1 } else { 0 };
        assert_eq!(code, Some(expected), "{told}");
        let is_it = |line: &str| line.contains(&format!(": {severity}: ")) && line.contains(says);
        assert!(told.lines().any(is_it), "{policy}: {told}");
        assert!(!told.contains("hunter2"), "{told}");
    }
}
