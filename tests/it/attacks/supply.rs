//! Group Q: dependencies and how exeat is built, as `Cargo.lock`, `Cargo.toml` and cargo itself tell it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use crate::world::Desk;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_owned()
}

fn text(file: &str) -> String {
    fs::read_to_string(root().join(file)).unwrap()
}

/// A package of `Cargo.lock`.
struct Locked {
    name: String,
    version: String,
    source: Option<String>,
    checksum: Option<String>,
}

fn locked() -> Vec<Locked> {
    let lock = text("Cargo.lock");
    let packages = lock.split("[[package]]").skip(1);
    let read = |package: &str| {
        let field = |name: &str| {
            let line = package.lines().find_map(|it| it.strip_prefix(name));
            Some(line?.strip_prefix(" = ")?.trim_matches('"').to_owned())
        };
        Locked {
            name: field("name").unwrap(),
            version: field("version").unwrap(),
            source: field("source"),
            checksum: field("checksum"),
        }
    };
    packages.map(read).collect()
}

/// Three numbers, whatever follows them.
fn numbers(version: &str) -> [u64; 3] {
    let plain = version.split(['-', '+']).next().unwrap();
    let mut parts = plain.split('.').map(|it| it.parse().unwrap());
    [(); 3].map(|()| parts.next().unwrap_or(0))
}

/// Every version of a package that is in the tree is at least this one.
fn is_at_least(name: &str, floor: &str) {
    let all = locked();
    let versions: Vec<&str> = all
        .iter()
        .filter(|it| it.name == name)
        .map(|it| &*it.version)
        .collect();
    assert!(!versions.is_empty(), "{name} is not in the tree");
    for version in versions {
        assert!(
            numbers(version) >= numbers(floor),
            "{name} {version} < {floor}"
        );
    }
}

/// What cargo says of this package, without the network.
fn cargo(arguments: &[&str]) -> String {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(arguments)
        .args(["--offline", "--locked", "--manifest-path"])
        .arg(root().join("Cargo.toml"))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {said}");
    String::from_utf8(output.stdout).unwrap()
}

/// Rust files below a folder, with their text.
fn sources(folder: &str) -> Vec<(PathBuf, String)> {
    let (mut found, mut folders) = (Vec::new(), vec![root().join(folder)]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|it| it == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                found.push((path, text));
            }
        }
    }
    found
}

/// Places in the program where one of these words stands outside of comments and unit tests.
fn said(words: &[&str]) -> Vec<String> {
    let mut places = Vec::new();
    for (path, text) in sources("src") {
        let is_tests =
            path.ends_with("tests.rs") || path.components().any(|it| it.as_os_str() == "tests");
        let own = text.split("#[cfg(test)]\nmod tests").next().unwrap();
        for (number, line) in own.lines().enumerate() {
            let is_comment = line.trim_start().starts_with("//");
            if !is_tests && !is_comment && words.iter().any(|it| line.contains(it)) {
                places.push(format!(
                    "{}:{}: {}",
                    path.display(),
                    number + 1,
                    line.trim()
                ));
            }
        }
    }
    places
}

#[test]
fn q1_http2_is_none_with_a_known_hole() {
    is_at_least("h2", "0.4.16");
}

#[test]
fn q2_tls_and_certificates_are_none_with_a_known_hole() {
    is_at_least("rustls", "0.23.45");
    is_at_least("rustls-webpki", "0.103.12");
}

#[test]
fn q3_http1_towards_servers_is_none_with_a_known_hole() {
    is_at_least("hyper", "1.11.0");
}

#[test]
fn q1_q2_q3_floors_stand_in_the_manifest_as_far_as_it_names_them() {
    let manifest = text("Cargo.toml");
    for (name, floor) in [("hyper", "1.11"), ("rustls", "0.23.45")] {
        let line = manifest
            .lines()
            .find(|it| it.starts_with(&format!("{name} = {{")));
        let version = line.unwrap().split('"').nth(1).unwrap();
        assert!(numbers(version) >= numbers(floor), "{name} {version}");
    }
}

#[test]
fn q4_every_dependency_is_locked_from_a_registry_with_its_checksum() {
    let all = locked();
    let own: Vec<&str> = all
        .iter()
        .filter(|it| it.source.is_none())
        .map(|it| &*it.name)
        .collect();
    assert_eq!(own, ["exeat"], "nothing else comes from a path");
    for package in all.iter().filter(|it| it.source.is_some()) {
        let source = package.source.as_deref().unwrap();
        assert!(
            source.starts_with("registry+"),
            "{}: {source}",
            package.name
        );
        let digits = package.checksum.as_deref().unwrap_or_default();
        assert_eq!(digits.len(), 64, "{} has no checksum", package.name);
    }
    assert!(!text("Cargo.toml").contains("[patch"));
    let ignored = fs::read_to_string(root().join(".gitignore")).unwrap_or_default();
    assert!(
        !ignored.contains("Cargo.lock"),
        "the lock file is committed"
    );
    // A lock file that does not fit would be written anew by a build.
    cargo(&["metadata", "--format-version", "1", "--no-deps"]);
}

#[test]
fn q4_what_may_be_in_the_tree_is_checked_wherever_the_checker_is() {
    let rules = text("deny.toml");
    for rule in [
        "unknown-registry = \"deny\"",
        "unknown-git = \"deny\"",
        "wildcards = \"deny\"",
        "crate = \"openssl\"",
        "crate = \"native-tls\"",
        "crate = \"ring\"",
        "crate = \"reqwest\"",
        "[advisories]",
        "yanked = \"deny\"",
    ] {
        assert!(rules.contains(rule), "{rule}");
    }
    let all = text("tests/all");
    assert!(all.contains("cargo deny --all-features check bans licenses sources"));
    assert!(all.contains("cargo deny --all-features check advisories"));
    // Of these none is built for where exeat runs, whatever the lock file holds for other systems.
    let tree = cargo(&[
        "tree",
        "--edges",
        "normal,build",
        "--prefix",
        "none",
        "--target",
        "x86_64-unknown-linux-gnu",
    ]);
    for denied in [
        "ring",
        "openssl",
        "openssl-sys",
        "native-tls",
        "serde_yml",
        "reqwest",
    ] {
        let line = tree.lines().find(|it| it.split(' ').next() == Some(denied));
        assert_eq!(line, None);
    }
}

#[test]
fn q5_what_json_means_is_chosen_and_not_changed_by_a_dependency() {
    let features = cargo(&[
        "tree",
        "--edges",
        "normal,build,features",
        "--invert",
        "serde_json",
        "--depth",
        "1",
        "--prefix",
        "none",
    ]);
    for (feature, is_on) in [
        ("preserve_order", true),
        ("arbitrary_precision", false),
        ("raw_value", false),
        ("float_roundtrip", true),
        ("unbounded_depth", false),
    ] {
        let found = features.contains(&format!("serde_json feature \"{feature}\""));
        assert_eq!(found, is_on, "{feature}: {features}");
    }
    let manifest = text("Cargo.toml");
    assert!(manifest.contains(
        "serde_json = { version = \"1\", features = [\"float_roundtrip\", \"preserve_order\"] }"
    ));
    // And it shows: the order of keys stays, numbers are those of IEEE 754 or of 64 bits, depth has an end.
    let value: Value = serde_json::from_str(r#"{"z":1,"a":2,"m":3}"#).unwrap();
    assert_eq!(value.to_string(), r#"{"z":1,"a":2,"m":3}"#);
    assert!(serde_json::from_str::<Value>("1e400").is_err());
    assert_eq!(serde_json::from_str::<Value>("1.0").unwrap(), json!(1.0));
    assert_ne!(json!(1.0), json!(1));
    let large: Value = serde_json::from_str("18446744073709551616").unwrap();
    assert!(large.is_f64());
    assert!(serde_json::from_str::<Value>(&"[".repeat(1000)).is_err());
}

#[test]
fn q6_there_is_one_parser_of_authorities_paths_and_queries() {
    let manifest = text("Cargo.toml");
    // Tests may read what was sent with another's eyes.
    let manifest = manifest.split("[dev-dependencies]").next().unwrap();
    for parser in [
        "url",
        "idna",
        "iri-string",
        "fluent-uri",
        "uriparse",
        "form_urlencoded",
        "serde_urlencoded",
    ] {
        let named = manifest
            .lines()
            .find(|it| it.starts_with(&format!("{parser} =")));
        assert_eq!(named, None);
    }
    // hickory has one in its tree, for resolvers over HTTPS; exeat asks none of those, and gives it no text to read.
    let users = cargo(&[
        "tree", "--edges", "normal", "--invert", "url", "--depth", "1", "--prefix", "none",
    ]);
    let users: Vec<&str> = users
        .lines()
        .skip(1)
        .filter(|it| !it.starts_with("hickory-"))
        .collect();
    assert!(users.is_empty(), "{users:#?}");
    let elsewhere = said(&["url::", "Url::", "form_urlencoded", "idna::"]);
    assert!(elsewhere.is_empty(), "{elsewhere:#?}");
    // The parser of the http crate reads targets of exeat's own pages, and of the stand-in server of `exeat demo`;
    // those that a client of HTTP/2 sends, which are read again; and takes those that were decided on to where they
    // are sent.
    let mut of_http: Vec<String> = said(&["Uri", ".uri()"])
        .into_iter()
        .map(|it| {
            let file = it.split(':').next().unwrap().to_owned();
            let own = file.strip_prefix(&format!("{}/", root().join("src").display()));
            own.unwrap().to_owned()
        })
        .collect();
    of_http.sort_unstable();
    of_http.dedup();
    assert_eq!(
        of_http,
        [
            "admin.rs",
            "cli/demo/api.rs",
            "dial/message.rs",
            "policy/declared.rs",
            "policy/permit.rs",
            "proxy/http2/head.rs",
            "proxy/pages.rs",
            "tools/route.rs"
        ]
    );
}

#[test]
fn q7_no_code_of_ours_is_unsafe_and_numbers_do_not_wrap() {
    let manifest = text("Cargo.toml");
    assert!(manifest.contains("[lints.rust]\nunsafe_code = \"forbid\""));
    let places = said(&["unsafe ", "unsafe_code"]);
    assert!(places.is_empty(), "{places:#?}");
    let profile = |name: &str| {
        let of = manifest.split(&format!("[profile.{name}]")).nth(1).unwrap();
        of.split("\n[").next().unwrap().to_owned()
    };
    assert!(profile("release").contains("overflow-checks = true"));
    let dist = profile("dist");
    assert!(dist.contains("inherits = \"release\"") && !dist.contains("overflow-checks"));
    // A panic ends one request, not the process.
    assert!(!manifest.contains("panic = "));
}

/// What the test world does (names, addresses, secrets) it does through constructors of the library, which no setting
/// of the program reaches.
#[test]
fn q8_nothing_that_a_test_needs_is_in_the_program() {
    let manifest = text("Cargo.toml");
    assert!(!manifest.contains("[features]"), "one program for all");
    let conditional = said(&[
        "feature =",
        "cfg!(",
        "debug_assertions",
        "cfg(not(test))",
        "option_env!",
    ]);
    assert!(conditional.is_empty(), "{conditional:#?}");
    let laxer = said(&[
        "danger",
        "insecure",
        "skip_verify",
        "no_verif",
        "accept_invalid",
        "NoVerifier",
        "ServerCertVerif",
    ]);
    // The CA looks at a leaf of its own as a client would, with the usual verifier: its trait has that name.
    let own = "use rustls::client::danger::ServerCertVerifier;";
    let laxer: Vec<_> = laxer.iter().filter(|it| !it.ends_with(own)).collect();
    assert!(laxer.is_empty(), "{laxer:#?}");
    let desk = Desk::with(
        "version: 1\nactions: {a: {description: Does something., method: GET, url: \"https://a.test/\"}}\n",
    );
    let help = String::from_utf8(desk.run(&["run", "--help"]).stdout).unwrap();
    let settings = text("docs/settings.md");
    let flags = help.split_whitespace().filter(|it| it.starts_with("--"));
    for flag in flags.map(|it| it.trim_end_matches([',', '.'])) {
        let is_of_run = ["--help", "--json", "--config", "--version"].contains(&flag);
        assert!(
            is_of_run || settings.contains(&format!("`{flag}`")),
            "{flag} is not documented"
        );
    }
    for flag in [
        "--insecure",
        "--insecure-skip-verify",
        "--fake-dns",
        "--test",
        "--resolve",
        "--no-tls-verify",
    ] {
        let output = desk.run(&["run", flag]);
        assert_eq!(output.status.code(), Some(2), "{flag}");
    }
    for key in ["insecure_skip_verify", "fake_dns", "verify_tls", "test"] {
        fs::write(desk.path("exeat.yaml"), format!("{key}: true\n")).unwrap();
        let output = desk.run(&["run"]);
        assert_eq!(
            output.status.code(),
            Some(2),
            "{key}: an unknown key is an error"
        );
    }
}

/// Every variable that changes what exeat does is in its documentation.
#[test]
fn q8_every_variable_of_the_environment_is_documented() {
    let documented =
        ["settings.md", "agents.md", "tools.md", "policy.md"].map(|it| text(&format!("docs/{it}")));
    let mut unknown = Vec::new();
    for (path, text) in sources("src") {
        // In quotes, as programs ask for variables: constants of that name are headers.
        for name in text.split('"').filter(|it| it.starts_with("EXEAT_")) {
            let name: String = name
                .chars()
                .take_while(|it| it.is_ascii_uppercase() || *it == '_')
                .collect();
            let is_of_tests = path.ends_with("tests.rs");
            if !is_of_tests && !documented.iter().any(|it| it.contains(&name)) {
                unknown.push(format!("{}: {name}", path.display()));
            }
        }
    }
    assert!(unknown.is_empty(), "{unknown:#?}");
}
