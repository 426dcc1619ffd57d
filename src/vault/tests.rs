//! Behaviours of the sources, with files and programs that are really there.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use tempfile::TempDir;

use super::*;

/// Sources under a clock that stands until it is moved, and a folder for their files.
struct World {
    sources: Arc<Sources>,
    passed: Arc<Mutex<Duration>>,
    folder: TempDir,
}

impl World {
    fn new() -> Self {
        let passed = Arc::new(Mutex::new(Duration::ZERO));
        let start = Instant::now();
        let clock = Arc::clone(&passed);
        let clock: Clock = Box::new(move || start + *clock.lock().unwrap());
        let folder = TempDir::new().unwrap();
        Self {
            sources: Arc::new(Sources::with_clock(Store::at(folder.path()), clock)),
            passed,
            folder,
        }
    }

    fn pass(&self, seconds: u64) {
        *self.passed.lock().unwrap() += Duration::from_secs(seconds);
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A command that leaves a mark in a file at each run, then does as the script says.
    fn command(&self, script: &str) -> SecretSource {
        let runs = self.path("runs");
        shell(&format!("echo >> {}; {script}", runs.display()))
    }

    fn runs(&self) -> usize {
        fs::read(self.path("runs")).map_or(0, |marks| marks.len())
    }

    async fn get(&self, source: &SecretSource) -> Result<String, String> {
        let name = SecretName::parse("jira_token").unwrap();
        match self.sources.get(&name, source).await {
            Ok(secret) => Ok(String::from_utf8(secret.expose().to_vec()).unwrap()),
            Err(fault) => {
                assert_eq!(fault.kind, FaultKind::Secret);
                Err(fault.detail)
            }
        }
    }
}

fn shell(script: &str) -> SecretSource {
    SecretSource::Command {
        argv: ["/bin/sh", "-c", script].map(String::from).to_vec(),
        ttl: Duration::from_secs(60),
    }
}

#[tokio::test]
async fn a_secret_is_what_the_source_holds_without_one_line_ending() {
    let world = World::new();
    for (content, expected) in [
        ("hunter2", Ok("hunter2")),
        ("hunter2\n", Ok("hunter2")),
        ("hunter2\r\n", Ok("hunter2")),
        ("hunter2\n\n", Err("CR, LF or NUL")),
        ("hunter2\r", Err("CR, LF or NUL")),
        ("hun\0ter2", Err("CR, LF or NUL")),
        ("", Err("is empty")),
        ("\n", Err("is empty")),
    ] {
        let path = world.path("secret");
        fs::write(&path, content).unwrap();
        for source in [
            SecretSource::File(path.clone()),
            shell(&format!("cat {}; : {content:?}", path.display())),
        ] {
            let got = world.get(&source).await;
            match expected {
                Ok(value) => assert_eq!(got.as_deref(), Ok(value), "{content:?}"),
                Err(why) => assert!(got.unwrap_err().contains(why), "{content:?}"),
            }
        }
    }
}

#[tokio::test]
async fn a_source_that_fails_is_named_with_the_remedy_and_without_the_value() {
    let world = World::new();
    let path = world.path("secret");
    fs::write(&path, "SECRET-AAAA\nSECRET-BBBB").unwrap();
    let long = world.path("long");
    fs::write(&long, "S".repeat(64 * 1024 + 1)).unwrap();
    for (source, words) in [
        (
            SecretSource::Env("EXEAT_NO_SUCH".into()),
            "EXEAT_NO_SUCH: the variable is not set",
        ),
        (
            SecretSource::File(world.path("none")),
            "none: it cannot be read (entity not found)",
        ),
        (
            SecretSource::File(world.folder.path().into()),
            "not a regular file",
        ),
        (SecretSource::File("/dev/zero".into()), "not a regular file"),
        (SecretSource::File(path), "holds CR, LF or NUL"),
        (SecretSource::File(long), "more than 65536 bytes"),
        (
            shell("echo SECRET-AAAA; echo SECRET-AAAA >&2; exit 3"),
            "exit status: 3",
        ),
        (shell("kill -9 $$"), "signal 9"),
        (shell("cat /dev/zero"), "more than 65536 bytes"),
        (
            SecretSource::Command {
                argv: vec!["/no/such".into()],
                ttl: Duration::ZERO,
            },
            "/no/such: it cannot be started",
        ),
        (
            SecretSource::Command {
                argv: vec![],
                ttl: Duration::ZERO,
            },
            "cannot be started",
        ),
    ] {
        let detail = world.get(&source).await.unwrap_err();
        assert!(detail.starts_with("secret jira_token, from "), "{detail}");
        assert!(detail.contains(words), "{detail}");
        assert!(!detail.contains("SECRET-"), "{detail}");
    }
}

#[tokio::test]
async fn a_variable_is_read_from_our_environment() {
    let world = World::new();
    let path = std::env::var("PATH").unwrap();
    let source = SecretSource::Env("PATH".into());
    assert_eq!(world.get(&source).await, Ok(path));
}

#[tokio::test]
async fn a_changed_file_is_read_again_at_once() {
    let world = World::new();
    let path = world.path("secret");
    let source = SecretSource::File(path.clone());
    fs::write(&path, "one").unwrap();
    assert_eq!(world.get(&source).await.as_deref(), Ok("one"));
    fs::write(&path, "two").unwrap();
    assert_eq!(world.get(&source).await.as_deref(), Ok("two"));
    fs::write(world.path("next"), "six").unwrap();
    fs::rename(world.path("next"), &path).unwrap();
    assert_eq!(world.get(&source).await.as_deref(), Ok("six"));
    fs::remove_file(&path).unwrap();
    assert!(world.get(&source).await.is_err());
    fs::write(&path, "ten").unwrap();
    assert_eq!(world.get(&source).await.as_deref(), Ok("ten"), "mended");
}

#[tokio::test]
async fn a_file_that_has_settled_is_not_read_again() {
    let world = World::new();
    let path = world.path("secret");
    fs::write(&path, "one").unwrap();
    let source = SecretSource::File(path);
    for (seconds, read_again) in [(0, true), (1, true), (1, false), (3600, false)] {
        world.pass(seconds);
        assert_eq!(world.get(&source).await.as_deref(), Ok("one"));
        let known = world.sources.slot(&source);
        let known = known.known(world.sources.stamp(&source), (world.sources.clock)());
        assert_eq!(known.is_none(), read_again, "after {seconds} s more");
    }
}

#[tokio::test]
async fn a_command_runs_once_for_many_waiters_and_again_after_its_ttl() {
    let world = Arc::new(World::new());
    let source = world.command("echo hunter2");
    let asking = (0..50).map(|_| {
        let (world, source) = (Arc::clone(&world), source.clone());
        tokio::spawn(async move { world.get(&source).await })
    });
    for asked in asking.collect::<Vec<_>>() {
        assert_eq!(asked.await.unwrap().as_deref(), Ok("hunter2"));
    }
    assert_eq!(world.runs(), 1);
    for (seconds, runs) in [(59, 1), (1, 2), (59, 2), (2, 3)] {
        world.pass(seconds);
        assert_eq!(world.get(&source).await.as_deref(), Ok("hunter2"));
        assert_eq!(world.runs(), runs);
    }
}

#[tokio::test]
async fn a_failing_command_is_left_alone_longer_each_time() {
    let world = World::new();
    let mended = world.path("mended");
    let source = world.command(&format!("cat {}", mended.display()));
    let mut runs = 0;
    for pause in [1, 2, 4, 8, 16, 30, 30] {
        assert!(world.get(&source).await.is_err());
        runs += 1;
        world.pass(pause - 1);
        assert!(world.get(&source).await.is_err());
        assert_eq!(world.runs(), runs, "before {pause} s have passed");
        world.pass(1);
    }
    fs::write(mended, "hunter2").unwrap();
    assert_eq!(world.get(&source).await.as_deref(), Ok("hunter2"));
    assert_eq!(world.runs(), runs + 1);
}

#[tokio::test]
async fn no_shell_reads_the_arguments() {
    let world = World::new();
    let source = SecretSource::Command {
        argv: ["/bin/echo", "$HOME; `id`"].map(String::from).to_vec(),
        ttl: Duration::ZERO,
    };
    assert_eq!(world.get(&source).await.as_deref(), Ok("$HOME; `id`"));
}

#[tokio::test]
async fn who_gives_up_waiting_ends_the_command_and_leaves_the_source_to_the_next() {
    let world = World::new();
    let (gate, process) = (world.path("gate"), world.path("process"));
    let source = shell(&format!(
        "test -e {} || {{ echo $$ > {process}.new; mv {process}.new {process}; exec sleep 600; }}; echo hunter2",
        gate.display(),
        process = process.display(),
    ));
    tokio::select! {
        _ = world.get(&source) => panic!("the command waits"),
        () = until(|| process.exists()) => {}
    }
    let number = fs::read_to_string(process).unwrap();
    let command = PathBuf::from(format!("/proc/{}/cmdline", number.trim()));
    // What is killed but not yet waited for has no command line any more.
    until(|| fs::read(&command).is_ok_and(|it| it.is_empty()) || !command.exists()).await;
    fs::write(gate, "").unwrap();
    assert_eq!(world.get(&source).await.as_deref(), Ok("hunter2"));
}

/// Comes back when it is so; a test whose world never becomes so fails.
async fn until(so: impl Fn() -> bool) {
    let begun = Instant::now();
    while !so() {
        assert!(begun.elapsed() < Duration::from_secs(20));
        tokio::task::yield_now().await;
    }
}

fn stored(name: &str) -> SecretSource {
    SecretSource::Store(SecretName::parse(name).unwrap())
}

#[tokio::test]
async fn the_store_is_read_again_when_it_has_changed() {
    let world = World::new();
    let store = Store::at(world.folder.path());
    let set = |name: &str, value: &str| {
        let secret = Secret::new(value.as_bytes().to_vec()).unwrap();
        let now = time::OffsetDateTime::UNIX_EPOCH;
        let name = SecretName::parse(name).unwrap();
        store.set(&name, secret, now).unwrap();
    };
    let missing = world.get(&stored("jira")).await.unwrap_err();
    assert!(missing.contains("exeat secret set jira"), "{missing}");
    set("crm", "SECRET-BBBB");
    set("jira", "SECRET-AAAA");
    assert_eq!(world.get(&stored("jira")).await.unwrap(), "SECRET-AAAA");
    assert_eq!(world.get(&stored("crm")).await.unwrap(), "SECRET-BBBB");
    world.pass(3);
    assert_eq!(world.get(&stored("jira")).await.unwrap(), "SECRET-AAAA");
    set("jira", "SECRET-CCCC");
    assert_eq!(world.get(&stored("jira")).await.unwrap(), "SECRET-CCCC");
    store.remove(&SecretName::parse("jira").unwrap()).unwrap();
    assert!(world.get(&stored("jira")).await.is_err());
    assert_eq!(world.get(&stored("crm")).await.unwrap(), "SECRET-BBBB");
}

#[tokio::test]
async fn a_store_without_its_key_is_told_with_the_remedy() {
    let world = World::new();
    let store = Store::at(world.folder.path());
    let name = SecretName::parse("jira").unwrap();
    let secret = Secret::new(b"SECRET-AAAA".to_vec()).unwrap();
    let now = time::OffsetDateTime::UNIX_EPOCH;
    store.set(&name, secret, now).unwrap();
    fs::remove_file(world.path("store.key")).unwrap();
    let words = world.get(&stored("jira")).await.unwrap_err();
    assert!(words.contains("is missing; bring it back"), "{words}");
}
