//! The key of our CA: for exeat's user alone, or there is no start.

use std::os::unix::fs::{PermissionsExt, chown};
use std::path::Path;

use crate::world::Desk;

const POLICY: &str = "
version: 1
actions:
  open: {description: Returns what anybody may read., method: GET, url: https://api.good.test/open}
";

/// That exeat does not start with its CA like that, says what to do, and never says what is in the key.
fn refuses(desk: &Desk, words: &str) {
    for command in [&["run"][..], &["ca"], &["exec", "--", "true"]] {
        let output = desk.run(command);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{command:?}: {said}");
        assert!(said.contains(words), "{command:?}: {words}: {said}");
        let all = [output.stdout, output.stderr].concat();
        assert!(!String::from_utf8_lossy(&all).contains("PRIVATE KEY"));
    }
}

fn mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).unwrap();
}

#[test]
fn c22_a_key_that_others_can_get_at_is_not_used() {
    let desk = Desk::with(POLICY);
    assert!(desk.run(&["ca"]).status.success());
    let (folder, key) = (desk.path("state/ca"), desk.path("state/ca/ca.key"));
    for open in [0o644, 0o640, 0o604, 0o660, 0o606, 0o666, 0o777, 0o602] {
        mode(&key, open);
        refuses(&desk, "chmod 0600");
    }
    mode(&key, 0o600);
    for open in [0o777, 0o722, 0o702, 0o770] {
        mode(&folder, open);
        refuses(&desk, "chmod 0700");
    }
    mode(&folder, 0o700);
    assert!(desk.run(&["ca"]).status.success());
}

#[test]
fn c22_a_key_of_somebody_else_is_not_used() {
    let desk = Desk::with(POLICY);
    assert!(desk.run(&["ca"]).status.success());
    let (folder, key) = (desk.path("state/ca"), desk.path("state/ca/ca.key"));
    // Only the superuser can give files away.
    if chown(&key, Some(1), None).is_err() {
        return;
    }
    refuses(&desk, "belongs to user 1");
    chown(&key, Some(0), None).unwrap();
    chown(&folder, Some(1), None).unwrap();
    refuses(&desk, "belongs to user 1");
    chown(&folder, Some(0), None).unwrap();
    assert!(desk.run(&["ca"]).status.success());
}
