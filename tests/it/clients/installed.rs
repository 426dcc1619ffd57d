//! Where the clients are. One that is missing fails its test: a test that skips itself proves nothing.

use std::path::{Path, PathBuf};

/// The interpreter with the pinned packages of `tests/clients/requirements.txt`.
pub(crate) fn python() -> PathBuf {
    existing(clients().join("python/bin/python"))
}

/// The folder with the pinned packages of `tests/clients/package.json`.
pub(crate) fn node_modules() -> PathBuf {
    existing(clients().join("node/node_modules"))
}

/// A program of the system.
pub(crate) fn program(name: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    // Where servers are, which is not on everybody's path.
    let found = std::env::split_paths(&path)
        .chain(["/usr/sbin".into()])
        .map(|folder| folder.join(name))
        .find(|file| file.is_file());
    found.unwrap_or_else(|| missing(name))
}

/// One of our own scripts that drive a client.
pub(crate) fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/clients")
        .join(name)
}

fn clients() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("clients")
}

fn existing(path: PathBuf) -> PathBuf {
    if path.exists() {
        path
    } else {
        missing(&path.display().to_string())
    }
}

fn missing(what: &str) -> ! {
    panic!("{what} is not there: run `tests/all`, which installs the clients that these tests need")
}
