//! The audit file: its chain goes on where the last process left it, one process writes it, and it is put aside when it
//! is full or old.

use std::fs;
use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::io::Write as _;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;
use time::OffsetDateTime;
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;

use crate::audit::chain::{Head, Torn};
use crate::audit::past;
use crate::audit::past::{
    MOST_LINES, NEW, earlier, first_line, folder, is_aside, sort_aside, with_ending,
};
use crate::audit::sink::Sink;

/// When an audit file is put aside, and how many of those are kept. By default it never is: how long records are kept
/// is for those to say who must answer for it, and many have a logrotate that they trust.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rotation {
    /// Before it has more bytes than these.
    pub max_bytes: Option<u64>,
    /// With the first line that comes when its own first one is so old.
    pub max_age: Option<Duration>,
    /// How many are kept beside the one that is written; the oldest are removed. All of them by default.
    pub keep: Option<usize>,
}

/// The end of a file.
#[derive(Debug)]
pub(super) struct FileSink {
    path: PathBuf,
    file: File,
    size: u64,
    /// The number and the time of the first line.
    first: (u64, OffsetDateTime),
    rotation: Rotation,
    failed: Option<Instant>,
}

/// Where the chain of a file has come to, and what stands behind that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Beginning {
    pub(super) head: Head,
    /// What stands behind it that is not whole lines.
    pub(super) torn: Option<Torn>,
}

impl Beginning {
    /// Of a chain of its own.
    pub(super) const NEW: Self = Self {
        head: Head::NONE,
        torn: None,
    };
}

/// After a file could not be put aside: what stands in the way is mended by people.
const AGAIN: Duration = Duration::from_secs(60);

/// For people; the number of the file's first line follows, and by that they are sorted.
const STAMP: &[BorrowedFormatItem<'_>] =
    format_description!("[year][month][day]T[hour][minute][second]Z");

impl FileSink {
    /// Opens a file to add to its end, and looks where its chain has come to. A new one gets mode 0600: records tell
    /// who does what.
    ///
    /// # Errors
    /// The file could not be opened for reading and writing, is written by another process, or holds something else.
    pub(super) fn open(path: &Path, rotation: Rotation) -> io::Result<(Self, Beginning)> {
        let mut file = options().open(path)?;
        lock(&file)?;
        // A symbolic link is followed once: what is put aside is the file and not the link.
        let path = fs::canonicalize(path)?;
        if !is_at(&file, &path) {
            return Err(io::Error::other(
                "it was moved while it was opened; start again",
            ));
        }
        remove_second_names(&path, &file)?;
        let past = past::past(&file)?;
        let before = match past.head {
            None => past::head_of_earlier(&path)?,
            found => found,
        };
        let beginning = Beginning {
            head: before.unwrap_or(Head::NONE),
            torn: past.torn,
        };
        if beginning.head.seq >= MOST_LINES {
            return Err(io::Error::other(format!(
                "its newest line says that it is number {}, which no chain comes to: somebody has changed it; \
                 move it and those before it away",
                beginning.head.seq
            )));
        }
        if !past.ended {
            file.write_all(b"\n")?;
        }
        let sink = Self {
            size: file.metadata()?.len(),
            first: first_or(&file, beginning.head.seq + 1)?,
            path,
            file,
            rotation,
            failed: None,
        };
        Ok((sink, beginning))
    }

    /// A new file in the place of this one, which stays under another name. The name of the audit file leads to one
    /// or the other at every moment, each with its lock.
    fn put_aside(&self, first: u64) -> io::Result<File> {
        let new = with_ending(&self.path, NEW);
        // What a process has left that was ended here; and never what a link of this name leads to.
        match fs::remove_file(&new) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let file = options().create_new(true).open(&new)?;
        lock(&file)?;
        let stamp = OffsetDateTime::now_utc().format(STAMP);
        let stamp = stamp.map_err(io::Error::other)?;
        let aside = with_ending(&self.path, &format!(".{stamp}-{first:012}"));
        match fs::hard_link(&self.path, &aside) {
            Ok(()) => {
                let exchanged = self.exchange(&new);
                exchanged.inspect_err(|_| self.take_name_off(&aside))?;
            }
            Err(error) if has_no_links(&error) => {
                // For a moment there is no file of this name.
                rename_to_free(&self.path, &aside)?;
                if !is_at(&self.file, &aside) {
                    rename_to_free(&aside, &self.path)?;
                    return Err(io::Error::other(MOVED));
                }
                rename_to_free(&new, &self.path)?;
            }
            Err(error) => return Err(error),
        }
        Ok(file)
    }

    /// Puts the new file in the place of this one, which has another name by now. If something else has come to that
    /// place meanwhile, it stays there.
    fn exchange(&self, new: &Path) -> io::Result<()> {
        if renameat_with(CWD, new, CWD, &self.path, RenameFlags::EXCHANGE).is_err() {
            // A file system that cannot exchange names.
            return match is_at(&self.file, &self.path) {
                true => fs::rename(new, &self.path),
                false => Err(io::Error::other(MOVED)),
            };
        }
        if !is_at(&self.file, new) {
            renameat_with(CWD, new, CWD, &self.path, RenameFlags::EXCHANGE)?;
            return Err(io::Error::other(MOVED));
        }
        fs::remove_file(new)
    }

    /// A name that was given for nothing, unless it is the last that the file of the records has.
    fn take_name_off(&self, aside: &Path) {
        let has_others = self.file.metadata().is_ok_and(|it| it.nlink() > 1);
        if has_others || !is_at(&self.file, aside) {
            // One that stays is told by `verify`, or taken off by the next start.
            let _ = fs::remove_file(aside);
        }
    }

    /// Goes to the file that has the name by now, or makes it.
    fn follow_name(&mut self, seq: u64) -> io::Result<()> {
        let mut file = options().open(&self.path)?;
        lock(&file)?;
        let past = past::past(&file)?;
        let own = past::past(&self.file)?.head;
        let goes_on = past.head.is_none_or(|head| own == Some(head));
        if past.torn.is_some() || !goes_on {
            return Err(io::Error::other(
                "what has its name by now does not end in the newest record; move it away",
            ));
        }
        if !past.ended {
            file.write_all(b"\n")?;
        }
        self.begin(file, seq)
    }

    fn keep(&self) -> io::Result<()> {
        let Some(keep) = self.rotation.keep else {
            return Ok(());
        };
        let mut aside = earlier(&self.path)?;
        aside.retain(|it| is_aside(&self.path, it));
        sort_aside(&self.path, &mut aside);
        let surplus = aside.len().saturating_sub(keep);
        aside[..surplus].iter().try_for_each(fs::remove_file)
    }

    fn begin(&mut self, file: File, seq: u64) -> io::Result<()> {
        self.size = file.metadata()?.len();
        self.first = first_or(&file, seq)?;
        self.file = file;
        File::open(folder(&self.path))?.sync_all()
    }

    fn is_old(&self) -> bool {
        let limit = self.rotation.max_age;
        limit.is_some_and(|limit| OffsetDateTime::now_utc() - self.first.1 >= limit)
    }
}

impl Sink for FileSink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.file.write(bytes)?;
        self.size += u64::try_from(count).unwrap_or(u64::MAX);
        Ok(count)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn room(&self) -> u64 {
        if self.failed.is_some_and(|at| at.elapsed() < AGAIN) {
            return u64::MAX;
        }
        if self.size > 0 && self.is_old() {
            return 0;
        }
        let limit = self.rotation.max_bytes;
        limit.map_or(u64::MAX, |limit| limit.saturating_sub(self.size))
    }

    fn turn(&mut self, seq: u64) -> io::Result<()> {
        // Another program may have copied it and cut it off.
        let length = self.file.metadata()?.len();
        if length < self.size {
            self.size = length;
            self.first = first_or(&self.file, seq)?;
        }
        if self.size == 0 {
            return Ok(());
        }
        self.failed = Some(Instant::now());
        self.file.sync_all()?;
        if is_at(&self.file, &self.path) {
            let file = self.put_aside(self.first.0)?;
            self.begin(file, seq)?;
        } else {
            self.follow_name(seq)?;
        }
        self.keep()?;
        self.failed = None;
        Ok(())
    }

    fn reopen(&mut self, seq: u64) -> io::Result<()> {
        if is_at(&self.file, &self.path) {
            return Ok(());
        }
        self.file.sync_all()?;
        self.follow_name(seq)
    }
}

/// The number and the time of a file's first line, which is the next one where there is none.
fn first_or(file: &File, next: u64) -> io::Result<(u64, OffsetDateTime)> {
    let first = first_line(file)?;
    Ok(first.unwrap_or_else(|| (next, OffsetDateTime::now_utc())))
}

const MOVED: &str = "another file has come to its place; records go on to the one that was there";

/// What file systems without hard links say.
fn has_no_links(error: &io::Error) -> bool {
    let errno = error.raw_os_error().map(Errno::from_raw_os_error);
    matches!(
        errno,
        Some(Errno::PERM | Errno::OPNOTSUPP | Errno::NOSYS | Errno::MLINK)
    )
}

/// Renames where nothing has the other name.
fn rename_to_free(from: &Path, to: &Path) -> io::Result<()> {
    match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        // A file system that does not know the flag.
        Err(Errno::INVAL | Errno::NOSYS) if !to.try_exists()? => fs::rename(from, to),
        done => Ok(done?),
    }
}

fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).append(true).create(true).mode(0o600);
    options
}

/// flock(2): it goes with the file under whatever name, and ends with the process.
fn lock(file: &File) -> io::Result<()> {
    match file.try_lock() {
        Ok(()) => Ok(()),
        Err(TryLockError::WouldBlock) => Err(io::Error::other(
            "another exeat is writing it; give each process an audit file of its own with --audit",
        )),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

fn is_at(file: &File, path: &Path) -> bool {
    let there = fs::metadata(path);
    let own = file.metadata();
    let identity = |it: &fs::Metadata| (it.dev(), it.ino());
    there.is_ok_and(|there| own.is_ok_and(|own| identity(&there) == identity(&own)))
}

/// A process that was ended while it put its file aside left the file with both names.
fn remove_second_names(path: &Path, file: &File) -> io::Result<()> {
    if file.metadata()?.nlink() < 2 {
        return Ok(());
    }
    for entry in fs::read_dir(folder(path))? {
        let other = entry?.path();
        if is_aside(path, &other) && is_at(file, &other) {
            fs::remove_file(other)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_to_the_place_in_the_last_moment_stays_there() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.jsonl");
        let (sink, _) = FileSink::open(&path, Rotation::default()).unwrap();
        let (new, aside) = (with_ending(&path, NEW), with_ending(&path, ".aside"));
        fs::write(&new, "new").unwrap();
        fs::rename(&path, path.with_file_name("moved")).unwrap();
        fs::write(&path, "other").unwrap();
        fs::hard_link(&path, &aside).unwrap();
        let error = sink.exchange(&new).unwrap_err();
        assert_eq!(error.to_string(), MOVED);
        let read = |path: &Path| fs::read_to_string(path).unwrap();
        assert_eq!((read(&path), read(&new)), ("other".into(), "new".into()));
        sink.take_name_off(&aside);
        assert!(!aside.exists());
        assert!(rename_to_free(&new, &path).is_err());
        assert_eq!((read(&path), read(&new)), ("other".into(), "new".into()));
        rename_to_free(&new, &aside).unwrap();
        assert_eq!(read(&aside), "new");
    }

    #[test]
    fn the_last_name_of_a_file_is_not_taken_off() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.jsonl");
        let (sink, _) = FileSink::open(&path, Rotation::default()).unwrap();
        let aside = with_ending(&path, ".aside");
        fs::hard_link(&path, &aside).unwrap();
        fs::remove_file(&path).unwrap();
        sink.take_name_off(&aside);
        assert!(aside.exists());
        fs::hard_link(&aside, &path).unwrap();
        sink.take_name_off(&aside);
        assert!(!aside.exists() && path.exists());
    }
}
