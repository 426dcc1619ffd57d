//! Reading what was written: the files of one chain in their order, and their lines, however long somebody made them.

use std::collections::BTreeMap;
use std::fs;
use std::fs::File;
use std::io;
use std::io::{BufRead, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use time::OffsetDateTime;

use crate::audit::past::{BEGINNING, NEW, earlier, first_line, is_aside, is_compressed};

/// A longer line is none of ours: one of a target of 16 KiB in which everything is escaped has a fortieth of this. Of
/// what is longer only the length is kept.
pub const LONGEST_LINE: usize = 4 * 1024 * 1024;

/// The files that were one audit file, one after the other.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Files {
    /// Those that hold lines, in the order in which they were written.
    pub files: Vec<PathBuf>,
    /// Those that have a name of the family and are compressed.
    pub compressed: Vec<PathBuf>,
    /// Those that have a name of the family, are not compressed, and hold no lines that can be read: of a chain that
    /// they belong to, nobody can say that it is whole.
    pub unread: Vec<PathBuf>,
    /// Those in a folder that are of other programs, by their names and by what is in them.
    pub other: Vec<PathBuf>,
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
        let read = families.into_values().map(|all| {
            let mut family = Self::sorted(all, &[]);
            if family.files.is_empty() {
                let of_others = |it: &mut PathBuf| !is_like_records(it);
                family.other = family.unread.extract_if(.., of_others).collect();
            }
            family
        });
        Ok(read.filter(|it| *it != Self::default()).collect())
    }

    /// Whether there is anything that has to do with records.
    pub fn has_records(&self) -> bool {
        [&self.files, &self.compressed, &self.unread]
            .iter()
            .any(|it| !it.is_empty())
    }

    /// By the number of the first line. Where several chains begin, as in what was written by processes that did not
    /// know of each other, by the time of it.
    fn sorted(all: Vec<PathBuf>, named: &[PathBuf]) -> Self {
        let (mut found, mut whole, mut family) = (Vec::new(), Vec::new(), Self::default());
        for path in all {
            match Content::of(&path).unwrap_or(Content::Other) {
                Content::Lines(seq, time) => found.push(((seq, time), path)),
                _ if named.contains(&path) => whole.push(path),
                Content::Nothing => {}
                Content::Compressed => family.compressed.push(path),
                Content::Other => family.unread.push(path),
            }
        }
        found.sort();
        if found.iter().filter(|((seq, _), _)| *seq == 1).count() > 1 {
            found.sort_by_key(|((_, time), _)| *time);
        }
        let files = found.into_iter().map(|(_, path)| path).chain(whole);
        family.files = files.collect();
        family
    }
}

/// What a file holds, by its beginning.
enum Content {
    /// Lines, and the number and time of the first.
    Lines(u64, OffsetDateTime),
    Nothing,
    Compressed,
    Other,
}

impl Content {
    fn of(path: &Path) -> io::Result<Self> {
        let metadata = fs::metadata(path)?;
        if !metadata.is_file() {
            return Ok(Self::Other);
        }
        if metadata.len() == 0 {
            return Ok(Self::Nothing);
        }
        let file = File::open(path)?;
        Ok(match first_line(&file)? {
            Some((seq, time)) => Self::Lines(seq, time),
            None if is_compressed(&file)? => Self::Compressed,
            None => Self::Other,
        })
    }
}

/// Whether a file without a line that can be read held records once: by its name, or by its first bytes.
fn is_like_records(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().as_bytes();
    let mut first = [0; BEGINNING.len()];
    let read = File::open(path).and_then(|mut it| it.read_exact(&mut first));
    memchr::memmem::find(name, b".jsonl").is_some() || (read.is_ok() && first == *BEGINNING)
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
