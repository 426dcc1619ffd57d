//! What a policy is read from, and what is none.

use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::symlink;

use tempfile::TempDir;

use crate::attacks::stage::{Door, POLICY, Stage};
use crate::attacks::texts;
use crate::check::{GOOD, check, check_text, with_parameters};
use crate::world::{Desk, Plan};

#[test]
fn n3_a_hostile_file_is_told_and_not_suffered() {
    let head = "version: 1\nactions:\n";
    let laughs = (1..12).fold("a0: &a0 [x, x, x, x]\n".to_owned(), |mut text, level| {
        let again = format!("*a{}, ", level - 1).repeat(9);
        writeln!(text, "a{level}: &a{level} [{again}]").unwrap();
        text
    });
    let steep = (0..900).fold(String::new(), |text, depth| {
        text + &" ".repeat(depth) + "a:\n"
    });
    for (content, says) in [
        (
            format!("{head}  a: {}", "[".repeat(100_000)),
            "nested deeper",
        ),
        (
            format!("{head}  a: {}1{}", "{a: ".repeat(3_000), "}".repeat(3_000)),
            "nested deeper",
        ),
        (steep, "nested deeper"),
        (format!("version: 1\n{laughs}"), "alias"),
        (format!("# {}", "x".repeat(2 << 20)), "larger than"),
        (format!("{head}\0"), "NUL"),
        (format!("\u{feff}{GOOD}"), "byte order mark"),
        (format!("{GOOD}---\n{GOOD}"), "second document"),
        ("version: 1\nactions:\n\ta: 1\n".into(), "a tab"),
        (String::new(), "empty"),
        ("version: 1\nactions: []\n".into(), "expected a mapping"),
        ("version: 1\nactions: {}\n".into(), "no action"),
        ("version: 2\n".into(), "version"),
        ("- version: 1\n".into(), "mapping"),
        (
            with_parameters("      properties: {p: {$ref: 'http://169.254.169.254/x'}}\n"),
            "only references into the same schema",
        ),
        (
            with_parameters("      properties: {p: {$ref: 'file:///etc/passwd'}}\n"),
            "only references into the same schema",
        ),
        (
            with_parameters(
                "      properties: {p: {$ref: '#/$defs/a'}}\n      $defs: {a: {$ref: '#/$defs/b'}, b: {$ref: '#/$defs/a'}}\n",
            ),
            "back to itself",
        ),
        (
            with_parameters(
                "      properties: {p: {type: string, pattern: '(((a{1,100}){1,100}){1,100}){1,100}'}}\n",
            ),
            "cannot be compiled",
        ),
        (
            with_parameters("      properties: {p: {type: string, pattern: '(?=a)b'}}\n"),
            "cannot be compiled",
        ),
        (
            with_parameters(&format!(
                "      properties: {{p: {{type: string, pattern: '{}{}'}}}}\n",
                "(".repeat(5_000),
                ")".repeat(5_000)
            )),
            "cannot be compiled",
        ),
    ] {
        let (code, told) = check_text(content.as_bytes());
        let start: String = content.chars().take(200).collect();
        assert_eq!(code, Some(1), "{start}: {told}");
        assert!(told.contains(says), "{says}: {told}");
        assert!(told.len() < 100_000, "{} bytes are told", told.len());
    }
}

#[test]
fn n11_a_file_that_anybody_may_write_is_not_read() {
    use std::os::unix::fs::PermissionsExt;
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("a.yaml");
    std::fs::write(&file, GOOD).unwrap();
    std::fs::set_permissions(&file, PermissionsExt::from_mode(0o666)).unwrap();
    let output = check(&[folder.path().to_str().unwrap()]);
    let told = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(
        told.contains("everyone on this machine may write"),
        "{told}"
    );
    assert!(told.contains("chmod o-w"), "{told}");
}

#[test]
fn n2_a_field_that_there_is_not_is_told_with_its_line_and_the_nearest() {
    for (wrong, line, nearest) in [
        (GOOD.replace("method:", "metod:"), 5, "`method`"),
        (GOOD.replace("method:", "Method:"), 5, "`method`"),
        (GOOD.replace("parameters:", "paramters:"), 7, "`parameters`"),
        (
            GOOD.replace("description:", "descripton:"),
            4,
            "`description`",
        ),
        (GOOD.replace("actions:", "action:"), 2, "`actions`"),
        (GOOD.to_owned() + "agent: {}\n", 8, "`agents`"),
        (
            GOOD.to_owned() + "    rate_limits: 1/minute\n",
            8,
            "`rate_limit`",
        ),
        (
            GOOD.to_owned() + "    allow_https: true\n",
            8,
            "`allow_http`",
        ),
        (
            GOOD.to_owned() + "network: {allow_privat: []}\n",
            8,
            "`allow_private`",
        ),
    ] {
        let (code, told) = check_text(wrong.as_bytes());
        assert_eq!(code, Some(1), "{wrong}: {told}");
        let at = format!("policy.yaml:{line}:");
        assert!(
            told.contains(&at) && told.contains("unknown field") && told.contains(nearest),
            "{wrong}: {told}"
        );
    }
    // Also where it looks like nothing that there is, or means something elsewhere.
    for extra in [
        "    zzzzzz: 1\n",
        "    include: other.yaml\n",
        "    tests: []\n",
        "    \"\": 1\n",
        "    insecure: true\n",
        "    skip_verify: true\n",
    ] {
        let (code, told) = check_text((GOOD.to_owned() + extra).as_bytes());
        assert_eq!(code, Some(1), "{extra}: {told}");
        assert!(told.contains("policy.yaml:8:"), "{extra}: {told}");
    }
}

/// Larger than memory is read of any file: only its beginning, and only one file.
#[test]
fn n3_a_huge_file_costs_what_a_file_may_have() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("policy.yaml");
    fs::File::create(&file).unwrap().set_len(100 << 20).unwrap();
    let output = check(&[file.to_str().unwrap()]);
    let told = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(told.contains("larger than"), "{told}");
    fs::File::create(&file).unwrap().set_len(4 << 30).unwrap();
    assert_eq!(check(&[file.to_str().unwrap()]).status.code(), Some(1));
}

#[test]
fn n5_a_start_without_a_policy_that_says_something_is_none() {
    let run = |desk: &Desk| {
        let free =
            ["--proxy-listen", "--tools-listen", "--admin-listen"].map(|it| [it, "127.0.0.1:0"]);
        let mut command = desk.command(&["run", "--audit", "audit.jsonl"]);
        let output = command.args(free.as_flattened()).output().unwrap();
        assert!(matches!(output.status.code(), Some(1 | 2)), "{output:?}");
        assert!(!desk.path("audit.jsonl").exists());
        String::from_utf8(output.stderr).unwrap() + &String::from_utf8(output.stdout).unwrap()
    };
    for (text, says) in [
        ("", "empty"),
        ("# nothing\n", "empty"),
        ("---\n", ""),
        ("version: 1\n", "no action"),
        ("version: 1\nactions: []\n", "expected a mapping"),
        ("version: 1\nactions: {}\n", "no action"),
        ("version: 1\nactions:\n", "actions"),
        ("version: 1\nactions: {}\ntunnels: {}\n", "no action"),
        ("null\n", ""),
        ("{}\n", ""),
        ("\"*\"\n", ""),
    ] {
        let said = run(&Desk::with(text));
        assert!(said.contains(says), "{text:?}: {said}");
    }
    let desk = Desk::with(GOOD);
    fs::remove_file(desk.path("policies/p.yaml")).unwrap();
    assert!(run(&desk).contains("no policy"), "{}", run(&desk));
    fs::remove_dir(desk.path("policies")).unwrap();
    assert!(run(&desk).contains("policies"));
    // A name that is skipped is no policy.
    fs::create_dir(desk.path("policies")).unwrap();
    for name in [".p.yaml", "p.test.yaml", "p.yaml~", "p.json"] {
        fs::write(desk.path("policies").join(name), GOOD).unwrap();
        run(&desk);
    }
    // With agents that may use nothing, everybody is refused, and that is told.
    let (is_loaded, told) = texts::check(&(GOOD.to_owned() + "agents: {}\n"));
    assert!(
        is_loaded && told.contains("every request is refused"),
        "{told}"
    );
}

/// There are no includes: a folder is read, and what is in it may not lead a policy astray. Who owns a file is not
/// looked at, since in a container that is seldom exeat's own user; who else may write it is.
#[test]
fn n11_a_policy_includes_nothing_and_quotes_nothing_from_elsewhere() {
    for extra in [
        "include: ../../etc/passwd\n",
        "include: [other.yaml]\n",
        "!include /etc/passwd\n",
        "imports: [../../etc/passwd]\n",
        "x: !!python/object/apply:os.system [id]\n",
        "<<: *a\n",
    ] {
        let (code, told) = check_text((GOOD.to_owned() + extra).as_bytes());
        assert_eq!(code, Some(1), "{extra}: {told}");
        assert!(!told.contains("root:"), "{told}");
    }
    // What a link leads to is read as a policy or not at all.
    let folder = TempDir::new().unwrap();
    symlink("/etc/passwd", folder.path().join("p.yaml")).unwrap();
    let output = check(&[folder.path().to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    symlink("/dev/zero", folder.path().join("q.yaml")).unwrap();
    symlink("loop.yaml", folder.path().join("loop.yaml")).unwrap();
    symlink(folder.path(), folder.path().join("again")).unwrap();
    let output = check(&[folder.path().to_str().unwrap()]);
    let told = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(told.contains("regular file"), "{told}");
}

#[test]
fn n14_a_pattern_is_read_in_linear_time_or_not_at_all() {
    let of = |pattern: &str| {
        with_parameters(&format!(
            "      properties: {{p: {{type: string, pattern: '{pattern}'}}}}\n"
        ))
    };
    for (pattern, says) in [
        ("(a", "cannot be compiled"),
        ("[z-a]", "cannot be compiled"),
        ("*", "cannot be compiled"),
        ("(?<=a)b", "cannot be compiled"),
        ("(a)\\1", "cannot be compiled"),
        ("a{1000000}", "cannot be compiled"),
        (
            "(?:(?:[\\p{L}\\p{N}]{1,500}){1,500}){1,500}",
            "cannot be compiled",
        ),
        ("\\p{Nonsense}", "cannot be compiled"),
    ] {
        let (code, told) = check_text(of(pattern).as_bytes());
        assert_eq!(code, Some(1), "{pattern}: {told}");
        assert!(
            told.contains(says) && told.contains("policy.yaml:"),
            "{pattern}: {told}"
        );
    }
    // Those that take others exponential time are decided as fast as any.
    for pattern in [
        "^(a+)+$",
        "^(a|a)*$",
        "^(a|aa)+$",
        "^([a-z]+)*!$",
        "^(.*a){20}$",
    ] {
        let policy = POLICY.replace("^[a-z0-9-]{1,64}$", pattern);
        let stage = Stage::of(Plan::of(&policy));
        let id = "a".repeat(2000) + "-";
        stage.refuses(
            Door::Proxy,
            &Door::Proxy.get(&format!("/v1/items/{id}")),
            (403, "parameter_invalid"),
        );
    }
    // The operator's own patterns, of what records may not show.
    let desk = Desk::with(GOOD);
    for pattern in ["(", "a*", "(?:(?:a{1,1000}){1,1000}){1,1000}", "(?=x)"] {
        let output = desk.run(&[
            "run",
            "--audit-redact",
            pattern,
            "--proxy-listen",
            "127.0.0.1:0",
            "--tools-listen",
            "127.0.0.1:0",
            "--admin-listen",
            "127.0.0.1:0",
        ]);
        assert_eq!(output.status.code(), Some(2), "{pattern}: {output:?}");
    }
}
