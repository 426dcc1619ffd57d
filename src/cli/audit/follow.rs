//! The lines of an audit file as they come, also when the file is put aside or moved meanwhile.

use std::fs;
use std::fs::File;
use std::io::{BufReader, Read as _, Seek as _, SeekFrom};
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use anyhow::Context as _;

use crate::audit::chain_place;
use crate::audit::read::{Files, LONGEST_LINE, Lines};

/// A place in an audit file that moves on.
pub(super) struct Follow {
    path: PathBuf,
    file: Option<File>,
    rest: Vec<u8>,
    /// The number of the newest line that was handed out.
    seq: u64,
}

impl Follow {
    /// The newest lines of a file and those that were it before, and from there on.
    pub(super) fn the_last(count: usize, path: &Path) -> anyhow::Result<(Self, Vec<Vec<u8>>)> {
        let all = Files::of(path).with_context(|| format!("{}", path.display()))?;
        let mut follow = Self {
            path: path.to_owned(),
            file: None,
            rest: Vec::new(),
            seq: 0,
        };
        let mut found: Vec<Vec<u8>> = Vec::new();
        for (index, file) in all.files.iter().rev().enumerate() {
            let mut file = File::open(file).with_context(|| format!("{}", file.display()))?;
            let missing = count - found.len();
            file.seek(SeekFrom::Start(beginning_of_last(missing, &file)?))?;
            let mut before = Self {
                file: Some(file),
                path: path.to_owned(),
                ..follow.anew()
            };
            let mut lines = before.new_lines()?;
            lines.drain(..lines.len().saturating_sub(missing));
            found.splice(..0, lines);
            if index == 0 {
                follow = before;
            }
            if found.len() >= count {
                break;
            }
        }
        Ok((follow, found))
    }

    fn anew(&self) -> Self {
        Self {
            path: self.path.clone(),
            file: None,
            rest: Vec::new(),
            seq: 0,
        }
    }

    /// Whole lines that have come since, in all files since.
    pub(super) fn more(&mut self) -> anyhow::Result<Vec<Vec<u8>>> {
        let mut lines = self.new_lines()?;
        if lines.is_empty() && self.has_moved() {
            // What came between the last look and the move.
            lines = self.new_lines()?;
            lines.extend(self.lines_of_later_files()?);
        }
        Ok(lines)
    }

    fn has_moved(&self) -> bool {
        let there = fs::metadata(&self.path).ok();
        let own = self.file.as_ref().and_then(|file| file.metadata().ok());
        let identity = |it: fs::Metadata| (it.dev(), it.ino());
        there.is_some() && there.map(identity) != own.map(identity)
    }

    fn lines_of_later_files(&mut self) -> anyhow::Result<Vec<Vec<u8>>> {
        let mut found = Vec::new();
        let seen = self.seq;
        for path in self.later_files()? {
            let mut later = self.anew();
            later.file = Some(File::open(&path)?);
            let mut lines = later.new_lines()?;
            let is_the_file = path == self.path;
            // A chain that begins again is not one that was seen.
            let is_new = is_the_file && later.seq < seen;
            lines.retain(|line| is_new || chain_place(line).is_some_and(|seq| seq > seen));
            found.extend(lines);
            if is_the_file {
                *self = later;
            }
        }
        Ok(found)
    }

    /// Those that may hold lines that were not seen, oldest first.
    fn later_files(&self) -> anyhow::Result<Vec<PathBuf>> {
        let mut found = Vec::new();
        for path in Files::of(&self.path)?.files.into_iter().rev() {
            let mut lines = Lines::of(BufReader::new(File::open(&path)?));
            let first = lines.read()?.and_then(|line| chain_place(line.bytes));
            found.push(path);
            if first.is_some_and(|seq| seq <= self.seq.saturating_add(1)) {
                break;
            }
        }
        found.reverse();
        Ok(found)
    }

    /// Whole lines that have come since in this file.
    fn new_lines(&mut self) -> anyhow::Result<Vec<Vec<u8>>> {
        let Some(file) = &mut self.file else {
            return Ok(Vec::new());
        };
        if file.metadata()?.len() < file.stream_position()? {
            // It was cut off and is written from its beginning again.
            file.seek(SeekFrom::Start(0))?;
            self.rest.clear();
        }
        file.read_to_end(&mut self.rest)?;
        let mut lines = Vec::new();
        let mut start = 0;
        for end in memchr::memchr_iter(b'\n', &self.rest) {
            lines.push(self.rest[start..end].to_vec());
            start = end + 1;
        }
        self.rest.drain(..start);
        if self.rest.len() > LONGEST_LINE {
            self.rest.clear();
        }
        let seq = lines.iter().rev().find_map(|line| chain_place(line));
        self.seq = seq.unwrap_or(self.seq);
        Ok(lines)
    }
}

/// Where the last so many lines of a file begin.
fn beginning_of_last(count: usize, file: &File) -> anyhow::Result<u64> {
    let length = file.metadata()?.len();
    let mut window = 64 * 1024;
    loop {
        let start = length.saturating_sub(window);
        let mut bytes = vec![0; usize::try_from(length - start)?];
        file.read_exact_at(&mut bytes, start)?;
        let mut feeds = memchr::memrchr_iter(b'\n', &bytes);
        if let Some(feed) = feeds.nth(count) {
            return Ok(start + feed as u64 + 1);
        }
        if start == 0 {
            return Ok(0);
        }
        window *= 4;
    }
}
