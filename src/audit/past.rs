//! What files hold already: the newest line of a file, found from its end, and which files were one before.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::fs::File;
use std::io;
use std::io::{BufReader, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::audit::chain::{Head, Sealed, Torn};
use crate::audit::read::{LONGEST_LINE, Lines};

/// The most that is read from the end of a file to find its newest line.
const MOST: u64 = LONGEST_LINE as u64;

/// What is read first: the end of nearly every file shows a whole line in it.
const FIRST: u64 = 64 * 1024;

/// What stands in a file before this process writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Past {
    /// The newest whole line, if there is one.
    pub(super) head: Option<Head>,
    /// What is behind it, or all where there is none, with the line feed that it will have.
    pub(super) torn: Option<Torn>,
    /// Whether the last byte is a line feed, or there is none.
    pub(super) ended: bool,
}

/// Looks for the newest whole line.
///
/// # Errors
/// The file cannot be read, or what stands at its end is not what exeat has written.
pub(super) fn past(file: &File) -> io::Result<Past> {
    let length = file.metadata()?.len();
    let mut window = FIRST;
    loop {
        let start = length.saturating_sub(window);
        let mut bytes = vec![0; usize::try_from(length - start).map_err(io::Error::other)?];
        file.read_exact_at(&mut bytes, start)?;
        if let Some(found) = in_window(&bytes, start == 0) {
            return Ok(found);
        }
        if start == 0 {
            return without_line(&bytes);
        }
        if window >= MOST {
            return Err(foreign());
        }
        window = (window * 8).min(MOST);
    }
}

/// What the end of a file shows.
fn in_window(bytes: &[u8], is_whole_file: bool) -> Option<Past> {
    let ended = bytes.last().is_none_or(|byte| *byte == b'\n');
    let mut end = bytes.len() - usize::from(ended && !bytes.is_empty());
    loop {
        let start = memchr::memrchr(b'\n', &bytes[..end]).map(|at| at + 1);
        let is_line = start.is_some() || is_whole_file;
        let sealed = Sealed::read(&bytes[start.unwrap_or(0)..end]).filter(|it| it.intact);
        if let Some(sealed) = sealed.filter(|_| is_line) {
            return Some(Past {
                head: Some(sealed.head),
                torn: torn(bytes.get(end + 1..).unwrap_or_default(), ended),
                ended,
            });
        }
        end = start?.checked_sub(1)?;
    }
}

/// What every line begins with.
pub(super) const BEGINNING: &[u8; 9] = b"{\"time\":\"";

/// A process may have been ended in the middle of its first line; what else there is was written by another program.
fn without_line(bytes: &[u8]) -> io::Result<Past> {
    let common = BEGINNING.len().min(bytes.len());
    if bytes[..common] != BEGINNING[..common] || bytes.contains(&b'\n') {
        return Err(foreign());
    }
    Ok(Past {
        head: None,
        torn: torn(bytes, false),
        ended: bytes.is_empty(),
    })
}

fn torn(bytes: &[u8], ended: bool) -> Option<Torn> {
    let feed: &[u8] = if ended || bytes.is_empty() {
        b""
    } else {
        b"\n"
    };
    Torn::of(&[bytes, feed].concat())
}

fn foreign() -> io::Error {
    io::Error::other(
        "it does not end in records of exeat with their hashes; move it away, or name another file",
    )
}

/// More lines than any chain can have come to. A number above it was forged, and there may be none behind it.
pub(super) const MOST_LINES: u64 = u64::MAX / 2;

/// The newest line of a file, for whoever wants to remember how far the chain has come.
///
/// # Errors
/// The file cannot be read, or holds no records at its end.
pub fn head(path: &Path) -> io::Result<Option<Head>> {
    past(&File::open(path)?).map(|past| past.head)
}

/// The number and the time of the first line, as far as there is one near the beginning.
///
/// # Errors
/// The file cannot be read.
pub(super) fn first_line(file: &File) -> io::Result<Option<(u64, OffsetDateTime)>> {
    let from_start = Bytes { file, at: 0 };
    // What was torn off may stand before it, and is no longer than a line.
    let mut lines = Lines::of(BufReader::new(from_start.take(2 * MOST)));
    while let Some(piece) = lines.read()? {
        let Some(sealed) = Sealed::read(piece.bytes) else {
            continue;
        };
        if let Ok(time) = OffsetDateTime::parse(&sealed.time, &Rfc3339) {
            return Ok(Some((sealed.head.seq, time)));
        }
    }
    Ok(None)
}

/// A file from some place on, whatever place its handle is at.
struct Bytes<'a> {
    file: &'a File,
    at: u64,
}

impl Read for Bytes<'_> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read_at(bytes, self.at)?;
        self.at += count as u64;
        Ok(count)
    }
}

/// Whether a file is compressed, by its first bytes: gzip, zstd, xz, bzip2.
///
/// # Errors
/// The file cannot be read.
pub(super) fn is_compressed(file: &File) -> io::Result<bool> {
    const BEGINNINGS: [&[u8]; 4] = [b"\x1f\x8b", b"\x28\xb5\x2f\xfd", b"\xfd7zXZ\0", b"BZh"];
    let mut bytes = Vec::new();
    Bytes { file, at: 0 }.take(6).read_to_end(&mut bytes)?;
    Ok(BEGINNINGS.iter().any(|it| bytes.starts_with(it)))
}

/// The newest line of what an audit file was before: of those that exeat has put aside, and of what another program
/// has moved away, as far as it is not compressed.
///
/// # Errors
/// The newest that exeat has put aside, or one that was moved, cannot be read: a chain that went on without it would
/// fork.
pub(super) fn head_of_earlier(path: &Path) -> io::Result<Option<Head>> {
    let (mut ours, others): (Vec<PathBuf>, _) = earlier(path)?
        .into_iter()
        .partition(|it| is_aside(path, it));
    sort_aside(path, &mut ours);
    let mut newest = None;
    for it in ours.iter().rev() {
        newest = match head(it) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            read => read.map_err(|error| unreadable(it, &error))?,
        };
        if newest.is_some() {
            break;
        }
    }
    for it in &others {
        let file = match File::open(it) {
            // It was removed meanwhile, as by a program that compresses it.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            opened => opened.map_err(|error| unreadable(it, &error))?,
        };
        // What another program has put there beside it is no part of the chain; `verify` tells of it.
        let head = match past(&file) {
            Err(error) if error.kind() == io::ErrorKind::Other => None,
            read => read.map_err(|error| unreadable(it, &error))?.head,
        };
        newest = newest.into_iter().chain(head).max_by_key(|head| head.seq);
    }
    Ok(newest)
}

fn unreadable(path: &Path, error: &io::Error) -> io::Error {
    let name = path.display();
    let text = format!(
        "the chain goes on from {name}, which cannot be read ({error}); mend it, or move it to another folder"
    );
    io::Error::new(error.kind(), text)
}

/// Oldest first: by the number of the first line, since clocks are set back at times.
pub(super) fn sort_aside(path: &Path, all: &mut [PathBuf]) {
    all.sort_by_cached_key(|it| {
        let rest = it.as_os_str().as_bytes();
        let rest = rest.get(path.as_os_str().len() + ASIDE_TIME..);
        let number = rest.and_then(|it| std::str::from_utf8(it).ok()?.parse::<u64>().ok());
        (number, it.clone())
    });
}

/// The bytes before the number in what exeat adds to a name.
const ASIDE_TIME: usize = 18;

/// The files beside an audit file that were it before: its name with a point or hyphen and something more.
///
/// # Errors
/// The folder cannot be read.
pub(super) fn earlier(path: &Path) -> io::Result<Vec<PathBuf>> {
    let own = fs::metadata(path).ok().map(|it| (it.dev(), it.ino()));
    let mut found = Vec::new();
    for entry in fs::read_dir(folder(path))? {
        let entry = entry?;
        let metadata = fs::metadata(entry.path());
        let is_file = metadata.is_ok_and(|it| it.is_file() && own != Some((it.dev(), it.ino())));
        if is_file && is_named_after(path, &entry.file_name()) {
            found.push(entry.path());
        }
    }
    Ok(found)
}

fn is_named_after(path: &Path, name: &OsStr) -> bool {
    let base = path.file_name().unwrap_or_default();
    let rest = name.as_bytes().strip_prefix(base.as_bytes());
    rest.is_some_and(|rest| matches!(rest, [b'.' | b'-', _, ..]) && rest != NEW.as_bytes())
}

/// Behind the name of a file that will be the audit file in a moment.
pub(super) const NEW: &str = ".new";

/// The path with something behind it.
pub(super) fn with_ending(path: &Path, ending: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(ending);
    name.into()
}

/// Whether exeat itself has put this file aside, by its name: `.20261120T101500Z-000000000123`.
pub(super) fn is_aside(path: &Path, other: &Path) -> bool {
    let name = other.as_os_str().as_bytes();
    let Some(rest) = name.strip_prefix(path.as_os_str().as_bytes()) else {
        return false;
    };
    let form = |(index, byte): (usize, &u8)| match index {
        0 => *byte == b'.',
        9 => *byte == b'T',
        16 => *byte == b'Z',
        17 => *byte == b'-',
        _ => byte.is_ascii_digit(),
    };
    rest.len() > ASIDE_TIME && rest.iter().enumerate().all(form)
}

/// The folder in which a file stands.
pub(super) fn folder(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}
