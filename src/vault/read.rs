//! Reading one source, once. Nothing is kept here, and nothing that was read stands in an error.

use std::ffi::OsStr;
use std::fmt;
use std::fs::{File, Metadata};
use std::io::{ErrorKind, Read};
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::process::Command;
use zeroize::Zeroizing;

use crate::name::SecretName;
use crate::policy::SecretSource;
use crate::secret::{BadSecret, Secret};
use crate::vault::store::Store;

/// The most bytes of a secret. Keys and tokens have a few hundred, a service account's JSON a few thousand; more is
/// the wrong file.
pub const LONGEST: usize = 64 * 1024;

/// How long a command may take. Password managers answer in one or two seconds; whoever waits has a request open.
const DEADLINE: Duration = Duration::from_secs(10);

/// Why a source gave no secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum BadSource {
    /// exeat was started without the variable.
    NoVariable,
    /// The operating system's word on the file.
    Unreadable(ErrorKind),
    /// A folder, a pipe or a device.
    NoRegularFile,
    /// More than [`LONGEST`].
    TooLong,
    /// The operating system's word on the program.
    NotStarted(ErrorKind),
    /// The program did not end well.
    Exit(ExitStatus),
    /// The program was not done after [`DEADLINE`].
    Deadline,
    /// The store's own words on why it cannot be read.
    Store(String),
    /// The store has no such entry.
    NotStored(SecretName),
    /// What was read is not a secret.
    Value(BadSecret),
}

impl fmt::Display for BadSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoVariable => {
                f.write_str("the variable is not set; set it and start exeat again")
            }
            Self::Unreadable(kind) => write!(
                f,
                "it cannot be read ({kind}); check that it exists and that exeat's user may read it"
            ),
            Self::NoRegularFile => f.write_str("it is not a regular file; name one"),
            Self::TooLong => write!(
                f,
                "it has more than {LONGEST} bytes; is it the right source?"
            ),
            Self::NotStarted(kind) => write!(
                f,
                "it cannot be started ({kind}); give the program's full path, and check that it may be executed"
            ),
            Self::Exit(status) => match status.signal() {
                Some(signal) => write!(f, "it was ended by signal {signal}"),
                None => write!(f, "it failed ({status}); run it by hand to see why"),
            },
            Self::Deadline => write!(
                f,
                "it was not done after {} seconds; run it by hand to see what it waits for",
                DEADLINE.as_secs()
            ),
            Self::Store(words) => f.write_str(words),
            Self::NotStored(name) => write!(f, "it is not there; run: exeat secret set {name}"),
            Self::Value(bad) => bad.fmt(f),
        }
    }
}

/// What came out of a read.
pub(super) struct Found {
    /// The secret, or why not.
    pub(super) secret: Result<Secret, BadSource>,
    /// The file's stamp as it was before its bytes were read.
    pub(super) stamp: Option<Stamp>,
}

/// Which file it was, and in which state. The time of change is in it because the time of modification can be set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    place: (u64, u64),
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Stamp {
    /// The state of a file, if it is there.
    ///
    /// One `stat`, about a microsecond: handing it to a thread that may block costs twenty times that and a task
    /// switch. The same goes for reading the file, which is rare and small. A file system that hangs stalls the
    /// runtime of its caller; secrets belong on a local one.
    pub(super) fn of(path: &Path) -> Option<Self> {
        std::fs::metadata(path).ok().map(|it| Self::new(&it))
    }

    fn new(metadata: &Metadata) -> Self {
        Self {
            place: (metadata.dev(), metadata.ino()),
            size: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }
}

/// Reads a source.
pub(super) async fn read(source: &SecretSource, store: &Store) -> Found {
    match source {
        SecretSource::Env(variable) => Found {
            secret: variable_value(variable),
            stamp: None,
        },
        SecretSource::File(path) => file_content(path),
        SecretSource::Command { argv, .. } => Found {
            secret: command_output(argv).await,
            stamp: None,
        },
        SecretSource::Store(name) => store_entry(store, name),
    }
}

fn variable_value(variable: &str) -> Result<Secret, BadSource> {
    let value = std::env::var_os(OsStr::new(variable)).ok_or(BadSource::NoVariable)?;
    Secret::new(value.into_vec()).map_err(BadSource::Value)
}

fn file_content(path: &Path) -> Found {
    // Asked before opening: to open a pipe waits for its other end.
    let stamp = std::fs::metadata(path).map(|it| (it.is_file(), Stamp::new(&it)));
    match stamp {
        Err(error) => Found {
            secret: Err(BadSource::Unreadable(error.kind())),
            stamp: None,
        },
        Ok((false, stamp)) => Found {
            secret: Err(BadSource::NoRegularFile),
            stamp: Some(stamp),
        },
        Ok((true, _)) => opened_content(path),
    }
}

fn opened_content(path: &Path) -> Found {
    let unreadable = |error: std::io::Error| BadSource::Unreadable(error.kind());
    // The stamp is that of the very file which is read, even if its name means another by now.
    let opened = File::open(path).and_then(|file| Ok((Stamp::new(&file.metadata()?), file)));
    let (stamp, file) = match opened {
        Ok(opened) => opened,
        Err(error) => {
            return Found {
                secret: Err(unreadable(error)),
                stamp: Stamp::of(path),
            };
        }
    };
    let mut bytes = buffer();
    let read = file.take(LONGEST as u64 + 1).read_to_end(&mut bytes);
    Found {
        secret: read.map_err(unreadable).and_then(|_| secret_of(&bytes)),
        stamp: Some(stamp),
    }
}

/// The file's stamp is taken first: should the store be replaced while it is read, the next request reads it again.
fn store_entry(store: &Store, name: &SecretName) -> Found {
    let stamp = Stamp::of(store.file());
    let secret = match store.get(name) {
        Ok(Some(secret)) => Ok(secret),
        Ok(None) => Err(BadSource::NotStored(name.clone())),
        Err(error) => Err(BadSource::Store(error.to_string())),
    };
    Found { secret, stamp }
}

async fn command_output(argv: &[String]) -> Result<Secret, BadSource> {
    let output = tokio::time::timeout(DEADLINE, run(argv)).await;
    output.unwrap_or(Err(BadSource::Deadline))
}

async fn run(argv: &[String]) -> Result<Secret, BadSource> {
    let not_started = |error: std::io::Error| BadSource::NotStarted(error.kind());
    let (program, arguments) = argv
        .split_first()
        .ok_or(BadSource::NotStarted(ErrorKind::InvalidInput))?;
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        // What a failing program says may hold the secret, and would end in exeat's own log.
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .map_err(not_started)?;
    let stdout = child.stdout.take().expect("its standard output is piped");
    let mut bytes = buffer();
    let mut limited = stdout.take(LONGEST as u64 + 1);
    let read = limited.read_to_end(&mut bytes).await;
    read.map_err(|error| BadSource::Unreadable(error.kind()))?;
    if bytes.len() > LONGEST {
        return Err(BadSource::TooLong);
    }
    let status = child.wait().await.map_err(not_started)?;
    if !status.success() {
        return Err(BadSource::Exit(status));
    }
    secret_of(&bytes)
}

/// Room for all that may be read, so that no part is left behind in memory by growing.
fn buffer() -> Zeroizing<Vec<u8>> {
    Zeroizing::new(Vec::with_capacity(LONGEST + 64))
}

/// Drops one line ending, which editors and `echo` leave behind.
fn secret_of(bytes: &[u8]) -> Result<Secret, BadSource> {
    if bytes.len() > LONGEST {
        return Err(BadSource::TooLong);
    }
    let line = bytes.strip_suffix(b"\n").unwrap_or(bytes);
    let line = match line.len() < bytes.len() {
        true => line.strip_suffix(b"\r").unwrap_or(line),
        false => line,
    };
    Secret::new(line.to_vec()).map_err(BadSource::Value)
}
