//! The store on a real disk.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};

use tempfile::TempDir;

use super::*;

struct World {
    home: TempDir,
    store: Store,
}

impl World {
    fn new() -> Self {
        let home = TempDir::new().unwrap();
        let store = Store::at(&home.path().join("secrets"));
        Self { home, store }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.home.path().join("secrets").join(name)
    }

    fn set(&self, name: &str, value: &str) -> bool {
        let secret = Secret::new(value.as_bytes().to_vec()).unwrap();
        self.store
            .set(&named(name), secret, at(1_700_000_000))
            .unwrap()
    }

    fn get(&self, name: &str) -> Option<String> {
        let secret = self.store.get(&named(name)).unwrap()?;
        Some(String::from_utf8(secret.expose().to_vec()).unwrap())
    }

    fn names(&self) -> Vec<String> {
        let stored = self.store.list().unwrap();
        stored.iter().map(|it| it.name.to_string()).collect()
    }
}

fn named(name: &str) -> SecretName {
    SecretName::parse(name).unwrap()
}

fn at(seconds: i64) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(seconds).unwrap()
}

#[test]
fn a_secret_is_kept_replaced_and_removed() {
    let world = World::new();
    assert_eq!(world.get("jira"), None);
    assert!(world.names().is_empty());
    assert!(
        !world.home.path().join("secrets").exists(),
        "asking makes no store"
    );
    assert!(!world.set("jira", "SECRET-AAAA"));
    assert!(!world.set("crm", "SECRET-BBBB"));
    assert!(world.set("jira", "SECRET-CCCC"));
    assert_eq!(world.get("jira").as_deref(), Some("SECRET-CCCC"));
    assert_eq!(world.names(), ["crm", "jira"]);
    assert_eq!(world.store.list().unwrap()[0].set, at(1_700_000_000));
    assert!(world.store.remove(&named("jira")).unwrap());
    assert!(!world.store.remove(&named("jira")).unwrap());
    assert_eq!(world.get("jira"), None);
    assert_eq!(world.get("crm").as_deref(), Some("SECRET-BBBB"));
}

#[test]
fn neither_values_nor_names_stand_on_the_disk_and_nobody_else_may_read() {
    let world = World::new();
    world.set("jira-staging", "SECRET-AAAA");
    let mut files: Vec<_> = fs::read_dir(world.path(""))
        .unwrap()
        .map(|it| it.unwrap())
        .collect();
    files.sort_by_key(|it| it.file_name());
    let names: Vec<_> = files.iter().map(|it| it.file_name()).collect();
    assert_eq!(names, [STORE, KEY]);
    for file in files {
        assert_eq!(file.metadata().unwrap().mode() & 0o777, 0o600);
        let bytes = fs::read(file.path()).unwrap();
        for clear in ["SECRET-AAAA", "jira-staging", "U0VDUkVUL"] {
            assert!(
                !bytes.windows(clear.len()).any(|it| it == clear.as_bytes()),
                "{clear}"
            );
        }
    }
    assert!(!format!("{:?}", lines::read(b"exeat secrets 1\na 0 eA==\n")).contains("eA=="));
}

#[test]
fn a_store_that_cannot_be_opened_is_told_with_the_remedy_and_left_alone() {
    type Harm = fn(&World);
    let cases: [(Harm, &str); 7] = [
        (
            |it| fs::remove_file(it.path(KEY)).unwrap(),
            "is missing; bring it back",
        ),
        (
            |it| fs::write(it.path(KEY), "x").unwrap(),
            "does not hold the key",
        ),
        (
            |it| {
                let other = World::new();
                other.set("a", "b");
                fs::copy(other.path(KEY), it.path(KEY)).unwrap();
            },
            "cannot be opened with store.key",
        ),
        (
            |it| {
                let mut bytes = fs::read(it.path(STORE)).unwrap();
                *bytes.last_mut().unwrap() ^= 1;
                fs::write(it.path(STORE), bytes).unwrap();
            },
            "cannot be opened with store.key",
        ),
        (
            |it| fs::write(it.path(STORE), "").unwrap(),
            "cannot be opened with store.key",
        ),
        (|it| chmod(&it.path(KEY), 0o644), "run: chmod 0600"),
        (|it| chmod(&it.path(""), 0o777), "run: chmod 0700"),
    ];
    for (harm, words) in cases {
        let world = World::new();
        world.set("jira", "SECRET-AAAA");
        harm(&world);
        let before = fs::read(world.path(STORE)).unwrap();
        let secret = || Secret::new(b"x".to_vec()).unwrap();
        for error in [
            world.store.get(&named("jira")).unwrap_err(),
            world.store.list().unwrap_err(),
            world.store.set(&named("new"), secret(), at(0)).unwrap_err(),
            world.store.remove(&named("jira")).unwrap_err(),
        ] {
            let error = error.to_string();
            assert!(error.contains(words), "{error}");
        }
        assert_eq!(fs::read(world.path(STORE)).unwrap(), before);
    }
}

fn chmod(path: &Path, mode: u32) {
    fs::set_permissions(path, PermissionsExt::from_mode(mode)).unwrap();
}

#[test]
fn a_key_that_is_kept_elsewhere_and_has_comments_opens_the_store() {
    let world = World::new();
    world.set("jira", "SECRET-AAAA");
    let elsewhere = world.home.path().join("key");
    let key = fs::read_to_string(world.path(KEY)).unwrap();
    fs::write(&elsewhere, format!("# created by hand\n\n{key}")).unwrap();
    chmod(&elsewhere, 0o600);
    fs::remove_file(world.path(KEY)).unwrap();
    std::os::unix::fs::symlink(&elsewhere, world.path(KEY)).unwrap();
    world.set("crm", "SECRET-BBBB");
    assert_eq!(world.get("jira").as_deref(), Some("SECRET-AAAA"));
    assert!(world.path(KEY).is_symlink());
}

#[test]
fn many_who_set_at_once_lose_nothing() {
    let world = World::new();
    std::thread::scope(|scope| {
        for index in 0..8 {
            let world = &world;
            scope.spawn(move || world.set(&format!("s{index}"), "SECRET-AAAA"));
        }
        for _ in 0..4 {
            // Whoever reads meanwhile finds a whole store.
            scope.spawn(|| assert!(world.store.list().is_ok()));
        }
    });
    let expected: Vec<String> = (0..8).map(|index| format!("s{index}")).collect();
    assert_eq!(world.names(), expected);
}
