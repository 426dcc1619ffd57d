//! `exeat secret`, as a person or a script runs it.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

fn start(state: &Path, arguments: &[&str], input: &str) -> std::process::Child {
    let mut child = Command::new(env!("CARGO_BIN_EXE_exeat"))
        .args(["secret"])
        .args(arguments)
        .env("EXEAT_STATE_DIR", state)
        .current_dir(state)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A command that refuses its arguments does not wait for its input.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    child
}

/// Its exit status, and all that it printed.
fn run(state: &Path, arguments: &[&str], input: &str) -> (i32, String) {
    let Output {
        status,
        stdout,
        stderr,
    } = start(state, arguments, input).wait_with_output().unwrap();
    let printed = [stdout, stderr].map(|it| String::from_utf8(it).unwrap());
    (status.code().unwrap(), printed.concat())
}

#[test]
fn a_secret_goes_in_by_a_pipe_and_is_never_shown() {
    let state = TempDir::new().unwrap();
    let long = "SECRET-".repeat(10_000);
    for (arguments, input, status, words) in [
        (&["list"][..], "", 0, "there is no secret"),
        (
            &["set", "jira"],
            "SECRET-AAAA\n",
            0,
            "jira is set; use it in a policy as {store: jira}",
        ),
        (&["set", "jira"], "SECRET-BBBB", 0, "jira has a new value"),
        (&["list"], "", 0, "jira"),
        (&["list", "--json"], "", 0, r#"[{"name":"jira","set":"20"#),
        (
            &["set", "crm", "SECRET-AAAA"],
            "",
            2,
            "a value is never an argument",
        ),
        (
            &["set", "SECRET AAAA"],
            "x",
            2,
            "a name has 1 to 64 letters",
        ),
        (&["set", "crm"], "", 2, "the secret is empty"),
        (&["set", "crm"], "SECRET-AAAA\n\n", 2, "holds CR, LF or NUL"),
        (&["set", "crm"], &long, 2, "more than 65536 bytes"),
        (&["remove", "crm"], "", 1, "there is no secret crm"),
        (&["remove", "jira"], "", 0, "jira is removed"),
        (&["list", "--json"], "", 0, "[]"),
    ] {
        let (code, printed) = run(state.path(), arguments, input);
        assert_eq!(code, status, "{arguments:?}: {printed}");
        assert!(printed.contains(words), "{arguments:?}: {printed}");
        assert!(!printed.contains("SECRET"), "{arguments:?}: {printed}");
    }
}

#[test]
fn processes_that_set_at_once_lose_nothing() {
    let state = TempDir::new().unwrap();
    let names = ["a", "b", "c", "d", "e", "f"];
    let running = names.map(|name| start(state.path(), &["set", name], "SECRET-AAAA"));
    for child in running {
        assert!(child.wait_with_output().unwrap().status.success());
    }
    let (_, printed) = run(state.path(), &["list", "--json"], "");
    let list: Vec<serde_json::Value> = serde_json::from_str(&printed).unwrap();
    let found: Vec<_> = list.iter().map(|it| it["name"].as_str().unwrap()).collect();
    assert_eq!(found, names);
}
