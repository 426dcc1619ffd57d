//! Files for exeat's own user alone: made 0600 in a folder of 0700, read only where nobody else can get at them,
//! written whole or not at all, by one process at a time.
//!
//! What stands in them is not known here.

use std::fmt;
use std::fs::{self, DirBuilder, File, Metadata, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use ulid::Ulid;
use zeroize::Zeroizing;

/// Why a private file cannot be used.
#[derive(Debug)]
pub enum PrivateError {
    /// The operating system's word on a file or folder.
    Io {
        /// Which.
        path: PathBuf,
        /// What was tried, such as "read".
        verb: &'static str,
        /// The word.
        error: io::Error,
    },
    /// Others than the owner can read or change the file, or put another into the folder.
    Open {
        /// The file or folder.
        path: PathBuf,
        /// The permission bits it has.
        mode: u32,
        /// Those it should have.
        wanted: u32,
    },
    /// It belongs to somebody else.
    Owner {
        /// The file or folder.
        path: PathBuf,
        /// The owner's number.
        owner: u32,
        /// The number of exeat's own user.
        user: u32,
    },
    /// It has more bytes than its kind ever has.
    TooLong(PathBuf),
}

impl PrivateError {
    fn io(verb: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |error| Self::Io { path, verb, error }
    }
}

impl fmt::Display for PrivateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io { path, verb, error } => write!(
                f,
                "cannot {verb} {}: {error}; give exeat's user the right to it",
                path.display()
            ),
            Self::Open { path, mode, wanted } => write!(
                f,
                "others than the owner have access to {path} (mode {mode:04o}); if nobody has used it, run: \
                 chmod {wanted:04o} {path}",
                path = path.display()
            ),
            Self::Owner { path, owner, user } => write!(
                f,
                "{path} belongs to user {owner}, but exeat runs as user {user}; if you trust it, run: \
                 chown {user} {path}",
                path = path.display()
            ),
            Self::TooLong(path) => {
                write!(f, "{} is too long to be what its name says", path.display())
            }
        }
    }
}

impl std::error::Error for PrivateError {}

/// Reads a file of at most `longest` bytes, if it is there. A symbolic link is followed, and its target judged.
///
/// # Errors
/// It cannot be read, is too long, or others can get at it or at its folder.
pub fn read(path: &Path, longest: usize) -> Result<Option<Zeroizing<Vec<u8>>>, PrivateError> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(PrivateError::io("read", path)(error)),
    };
    check_folder(folder_of(path))?;
    // Asked of the open file, so it is this one that is safe, not one that had its name before.
    let metadata = file.metadata().map_err(PrivateError::io("read", path))?;
    check(path, Facts::of(&metadata), Limit::File)?;
    // Room for all of it at once: growing would leave parts behind in memory.
    let length = usize::try_from(metadata.len()).unwrap_or(usize::MAX);
    let mut bytes = Zeroizing::new(Vec::with_capacity(length.min(longest) + 64));
    let read = file.take(longest as u64 + 1).read_to_end(&mut bytes);
    read.map_err(PrivateError::io("read", path))?;
    if bytes.len() > longest {
        return Err(PrivateError::TooLong(path.to_owned()));
    }
    Ok(Some(bytes))
}

/// Reads a file of at most `longest` bytes that stands beside private ones and may be read by anybody.
///
/// # Errors
/// It is missing, cannot be read, or is too long.
pub fn read_public(path: &Path, longest: usize) -> Result<Vec<u8>, PrivateError> {
    let file = File::open(path).map_err(PrivateError::io("read", path))?;
    let mut bytes = Vec::new();
    let read = file.take(longest as u64 + 1).read_to_end(&mut bytes);
    read.map_err(PrivateError::io("read", path))?;
    if bytes.len() > longest {
        return Err(PrivateError::TooLong(path.to_owned()));
    }
    Ok(bytes)
}

/// The right to change what is in a folder, which one process at a time has. It ends when this is dropped.
#[derive(Debug)]
pub struct Turn {
    folder: PathBuf,
    file: File,
}

impl Turn {
    /// Makes the folder if there is none, and waits until no other process changes it.
    ///
    /// # Errors
    /// It cannot be made or locked, or others may write in it.
    pub fn wait(folder: &Path) -> Result<Self, PrivateError> {
        let made = DirBuilder::new().recursive(true).mode(0o700).create(folder);
        made.map_err(PrivateError::io("make", folder))?;
        check_folder(folder)?;
        let file = File::open(folder).map_err(PrivateError::io("read", folder))?;
        file.lock().map_err(PrivateError::io("lock", folder))?;
        let folder = folder.to_owned();
        Ok(Self { folder, file })
    }

    /// Writes a file of the folder whole or not at all: under another name first, which nobody but us may open from
    /// the moment it exists, and onto the disk before it gets its own.
    ///
    /// # Errors
    /// The operating system's. The file is then as it was.
    pub fn write(&self, name: &str, content: &[u8]) -> Result<(), PrivateError> {
        self.write_with(0o600, name, content)
    }

    /// As [`Self::write`], a file that anybody may read.
    ///
    /// # Errors
    /// The operating system's. The file is then as it was.
    pub fn write_public(&self, name: &str, content: &[u8]) -> Result<(), PrivateError> {
        self.write_with(0o644, name, content)
    }

    fn write_with(&self, mode: u32, name: &str, content: &[u8]) -> Result<(), PrivateError> {
        let path = self.folder.join(name);
        let draft = self.folder.join(format!("{name}.{}.new", Ulid::new()));
        let mut options = OpenOptions::new();
        let opened = options.write(true).create_new(true).mode(mode).open(&draft);
        let written = opened.and_then(|mut file| {
            file.write_all(content)?;
            file.sync_all()?;
            fs::rename(&draft, &path)
        });
        written.map_err(|error| {
            // It may not exist; if it does and stays, it has the mode that the file was to have.
            let _ = fs::remove_file(&draft);
            PrivateError::io("write", &path)(error)
        })?;
        let synced = self.file.sync_all();
        synced.map_err(PrivateError::io("write", &self.folder))
    }
}

fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

fn check_folder(folder: &Path) -> Result<(), PrivateError> {
    let metadata = fs::metadata(folder).map_err(PrivateError::io("read", folder))?;
    check(folder, Facts::of(&metadata), Limit::Folder)
}

/// What others may not do.
#[derive(Clone, Copy)]
enum Limit {
    /// Anything.
    File,
    /// Write, that is put another file in its place.
    Folder,
}

impl Limit {
    fn forbidden(self) -> u32 {
        match self {
            Self::File => 0o077,
            Self::Folder => 0o022,
        }
    }

    /// A folder of root's is safe, since root needs no folder to get at a file.
    fn may_belong_to(self, owner: u32, user: u32) -> bool {
        owner == user || (owner == 0 && matches!(self, Self::Folder))
    }

    fn wanted(self) -> u32 {
        match self {
            Self::File => 0o600,
            Self::Folder => 0o700,
        }
    }
}

#[derive(Clone, Copy)]
struct Facts {
    mode: u32,
    owner: u32,
    user: u32,
}

impl Facts {
    fn of(metadata: &Metadata) -> Self {
        Self {
            mode: metadata.mode() & 0o7777,
            owner: metadata.uid(),
            user: rustix::process::geteuid().as_raw(),
        }
    }
}

fn check(path: &Path, facts: Facts, limit: Limit) -> Result<(), PrivateError> {
    let Facts { mode, owner, user } = facts;
    let path = path.to_owned();
    if !limit.may_belong_to(owner, user) {
        return Err(PrivateError::Owner { path, owner, user });
    }
    if mode & limit.forbidden() != 0 {
        let wanted = limit.wanted();
        return Err(PrivateError::Open { path, mode, wanted });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_file_is_for_our_user_alone_and_its_folder_written_by_nobody_else() {
        for (limit, mode, owner, user, fine) in [
            (Limit::File, 0o600, 1000, 1000, true),
            (Limit::File, 0o400, 1000, 1000, true),
            (Limit::File, 0o640, 1000, 1000, false),
            (Limit::File, 0o604, 1000, 1000, false),
            (Limit::File, 0o620, 1000, 1000, false),
            (Limit::File, 0o600, 1000, 0, false),
            (Limit::File, 0o600, 0, 1000, false),
            (Limit::Folder, 0o700, 1000, 1000, true),
            (Limit::Folder, 0o755, 1000, 1000, true),
            (Limit::Folder, 0o755, 0, 1000, true),
            (Limit::Folder, 0o770, 1000, 1000, false),
            (Limit::Folder, 0o702, 1000, 1000, false),
            (Limit::Folder, 0o1777, 1000, 1000, false),
            (Limit::Folder, 0o700, 1001, 1000, false),
        ] {
            let facts = Facts { mode, owner, user };
            let checked = check(Path::new("/x"), facts, limit);
            assert_eq!(checked.is_ok(), fine, "{mode:o} {owner} {user}");
        }
    }

    #[test]
    fn what_was_written_is_read_again_and_nothing_else_is_left() {
        let home = tempfile::TempDir::new().unwrap();
        let folder = home.path().join("a/b");
        let file = folder.join("x.key");
        for content in ["one", "two, which is longer", ""] {
            let turn = Turn::wait(&folder).unwrap();
            turn.write("x.key", content.as_bytes()).unwrap();
            let read = read(&file, 64).unwrap().unwrap();
            assert_eq!(read.as_slice(), content.as_bytes());
            assert_eq!(file.metadata().unwrap().mode() & 0o777, 0o600);
            assert_eq!(fs::read_dir(&folder).unwrap().count(), 1);
        }
        assert_eq!(folder.metadata().unwrap().mode() & 0o777, 0o700);
        assert!(read(&folder.join("none"), 64).unwrap().is_none());
    }

    #[test]
    fn what_others_can_get_at_is_not_read() {
        let home = tempfile::TempDir::new().unwrap();
        let file = home.path().join("x.key");
        Turn::wait(home.path())
            .unwrap()
            .write("x.key", b"x")
            .unwrap();
        let set = |path: &Path, mode| fs::set_permissions(path, PermissionsExt::from_mode(mode));
        for (of_folder, of_file, fine) in [
            (0o700, 0o600, true),
            (0o700, 0o644, false),
            (0o777, 0o600, false),
        ] {
            set(home.path(), of_folder).unwrap();
            set(&file, of_file).unwrap();
            assert_eq!(read(&file, 64).is_ok(), fine, "{of_folder:o} {of_file:o}");
        }
    }

    #[test]
    fn a_file_that_is_too_long_is_not_read() {
        let home = tempfile::TempDir::new().unwrap();
        Turn::wait(home.path())
            .unwrap()
            .write("x", b"12345")
            .unwrap();
        let file = home.path().join("x");
        assert!(read(&file, 5).is_ok());
        assert!(matches!(read(&file, 4), Err(PrivateError::TooLong(_))));
    }
}
