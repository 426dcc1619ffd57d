//! Reading what was written: the files of one chain in their order, and their lines, however long somebody made them.

use std::collections::BTreeMap;
use std::fs;
use std::fs::File;
use std::io;
use std::io::BufRead;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::audit::past::{NEW, earlier, first_line, is_aside};

/// A longer line is none of ours: one of a target of 16 KiB in which everything is escaped has a fortieth of this. Of
/// what is longer only the length is kept.
pub const LONGEST_LINE: usize = 4 * 1024 * 1024;

/// The files that were one audit file, one after the other.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Files {
    /// Those that hold lines, in the order in which they were written.
    pub files: Vec<PathBuf>,
    /// Those that have a name of the family and no lines that can be read, such as compressed ones.
    pub unread: Vec<PathBuf>,
}

impl Files {
    /// The file of this name and those that were it before.
    ///
    /// # Errors
    /// There is no such file, or the folder cannot be read.
    pub fn of(path: &Path) -> io::Result<Self> {
        let mut all = earlier(path)?;
        match fs::metadata(path) {
            Ok(_) => all.push(path.to_owned()),
            // Between a move and the signal that follows it there is none of this name.
            Err(error) if all.is_empty() => return Err(error),
            Err(_) => {}
        }
        Ok(Self::sorted(all, &[path.to_owned()]))
    }

    /// These files and no others.
    pub fn exactly(all: Vec<PathBuf>) -> Self {
        let named = all.clone();
        Self::sorted(all, &named)
    }

    /// The families of files in a folder.
    ///
    /// # Errors
    /// The folder cannot be read.
    pub fn in_folder(folder: &Path) -> io::Result<Vec<Self>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            let is_new = path.as_os_str().as_bytes().ends_with(NEW.as_bytes());
            if fs::metadata(&path).is_ok_and(|it| it.is_file()) && !is_new {
                names.push(path);
            }
        }
        names.sort();
        let mut families: BTreeMap<PathBuf, Vec<PathBuf>> = BTreeMap::new();
        for path in names {
            families
                .entry(base(&path, &families))
                .or_default()
                .push(path);
        }
        let read = families.into_values().map(|all| Self::sorted(all, &[]));
        Ok(read.filter(|it| !it.files.is_empty()).collect())
    }

    /// By the number of the first line. Where several chains begin, as in what was written by processes that did not
    /// know of each other, by the time of it.
    fn sorted(all: Vec<PathBuf>, named: &[PathBuf]) -> Self {
        let (mut found, mut unread, mut whole) = (Vec::new(), Vec::new(), Vec::new());
        for path in all {
            let metadata = fs::metadata(&path).ok().filter(fs::Metadata::is_file);
            let is_empty = metadata.as_ref().is_some_and(|it| it.len() == 0);
            let file = metadata.and_then(|_| File::open(&path).ok());
            let first = file.and_then(|it| first_line(&it));
            match first {
                Some(first) => found.push((first, path)),
                None if named.contains(&path) => whole.push(path),
                None if is_empty => {}
                None => unread.push(path),
            }
        }
        found.sort();
        if found.iter().filter(|((seq, _), _)| *seq == 1).count() > 1 {
            found.sort_by_key(|((_, time), _)| *time);
        }
        let files = found.into_iter().map(|(_, path)| path).chain(whole);
        Self {
            files: files.collect(),
            unread,
        }
    }
}

/// The name of the file that this one was or is: a shorter one that it continues, or its own without what exeat adds.
fn base(path: &Path, families: &BTreeMap<PathBuf, Vec<PathBuf>>) -> PathBuf {
    let name = path.as_os_str().as_bytes();
    let continues = |it: &&PathBuf| {
        let rest = name.strip_prefix(it.as_os_str().as_bytes());
        rest.is_some_and(|rest| matches!(rest, [b'.' | b'-', ..]))
    };
    if let Some(shorter) = families.keys().find(continues) {
        return shorter.clone();
    }
    let text = path.to_string_lossy();
    let cut = text.rsplit_once('.').map(|(front, _)| PathBuf::from(front));
    cut.filter(|front| is_aside(front, path))
        .unwrap_or_else(|| path.to_owned())
}

/// One line of a file, whatever it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece<'a> {
    /// Its bytes without the line feed; none of a line that is too long.
    pub bytes: &'a [u8],
    /// How many there are with the line feed.
    pub length: u64,
    /// Whether it has a line feed.
    pub ended: bool,
}

/// The lines of a file.
#[derive(Debug)]
pub struct Lines<R> {
    source: R,
    line: Vec<u8>,
}

impl<R: BufRead> Lines<R> {
    /// Of this file.
    pub fn of(source: R) -> Self {
        Self {
            source,
            line: Vec::new(),
        }
    }

    /// The next one, or none at the end.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn read(&mut self) -> io::Result<Option<Piece<'_>>> {
        self.line.clear();
        let (mut length, mut ended) = (0, false);
        while !ended {
            let bytes = self.source.fill_buf()?;
            if bytes.is_empty() {
                break;
            }
            let feed = memchr::memchr(b'\n', bytes);
            let taken = feed.map_or(bytes.len(), |at| at + 1);
            ended = feed.is_some();
            length += taken as u64;
            if length <= LONGEST_LINE as u64 {
                self.line.extend_from_slice(&bytes[..taken]);
            }
            self.source.consume(taken);
        }
        if length > LONGEST_LINE as u64 {
            self.line.clear();
        }
        let bytes = self.line.strip_suffix(b"\n").unwrap_or(&self.line);
        Ok((length > 0).then_some(Piece {
            bytes,
            length,
            ended,
        }))
    }
}
