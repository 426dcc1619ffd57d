//! The lines of an audit file as they come, also when the file is put aside or moved meanwhile.

use std::fs;
use std::fs::File;
use std::io::{BufReader, ErrorKind, Read as _, Seek as _, SeekFrom};
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use anyhow::Context as _;

use crate::audit;
use crate::audit::chain_place;
use crate::audit::read::{Files, LONGEST_LINE, Lines};

/// A place in an audit file that moves on.
pub(super) struct Follow {
    path: PathBuf,
    file: Option<File>,
    rest: Vec<u8>,
    /// What is read belongs to a line that is too long to be one.
    skips: bool,
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
            skips: false,
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
        if follow.seq == 0 {
            // Nothing was read in the newest file: it is empty, or nothing was asked for.
            let newest = all.files.iter().rev();
            let mut heads = newest.filter_map(|it| audit::head(it).ok().flatten());
            follow.seq = heads.next().map_or(0, |head| head.seq);
        }
        Ok((follow, found))
    }

    fn anew(&self) -> Self {
        Self {
            path: self.path.clone(),
            file: None,
            rest: Vec::new(),
            skips: false,
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
            let is_new = is_the_file && (1..seen).contains(&later.seq);
            lines.retain(|line| is_new || chain_place(line).is_some_and(|seq| seq > seen));
            found.extend(lines);
            if is_the_file {
                if later.seq == 0 {
                    later.seq = seen;
                }
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
            self.skips = false;
        }
        let mut lines = Vec::new();
        let mut room = vec![0; WINDOW];
        loop {
            let count = match file.read(&mut room) {
                Ok(0) => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                read => read?,
            };
            for piece in room[..count].split_inclusive(|byte| *byte == b'\n') {
                self.rest.extend_from_slice(piece);
                if self.rest.len() > LONGEST_LINE {
                    self.rest.clear();
                    self.skips = true;
                }
                if piece.ends_with(b"\n") {
                    lines.extend(ended(&mut self.rest, &mut self.skips));
                }
            }
        }
        let seq = lines.iter().rev().find_map(|line| chain_place(line));
        self.seq = seq.unwrap_or(self.seq);
        Ok(lines)
    }
}

/// The line that has come to its end, if it is one that a record can have.
fn ended(rest: &mut Vec<u8>, skips: &mut bool) -> Option<Vec<u8>> {
    let mut line = std::mem::take(rest);
    line.pop();
    if !std::mem::take(skips) {
        return Some(line);
    }
    eprintln!("exeat: a line that is too long for a record is left out");
    None
}

/// Where the last so many lines of a file begin.
fn beginning_of_last(count: usize, file: &File) -> anyhow::Result<u64> {
    let mut end = file.metadata()?.len();
    let mut room = vec![0; WINDOW];
    let mut missing = count;
    while end > 0 {
        let start = end.saturating_sub(WINDOW as u64);
        let bytes = &mut room[..usize::try_from(end - start)?];
        file.read_exact_at(bytes, start)?;
        for feed in memchr::memrchr_iter(b'\n', bytes) {
            if missing == 0 {
                return Ok(start + feed as u64 + 1);
            }
            missing -= 1;
        }
        end = start;
    }
    Ok(0)
}

/// So much is read at once.
const WINDOW: usize = 64 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    /// Lines of a chain, as far as their numbers go.
    fn lines(numbers: std::ops::RangeInclusive<u64>) -> String {
        let zeros = "0".repeat(64);
        let line = |seq| {
            let body = format!(
                "{{\"time\":\"2026-11-20T00:00:00Z\",\"seq\":{seq},\"prev_hash\":\"{zeros}\""
            );
            let hash = audit::Hash::of(body.as_bytes());
            format!("{body},\"hash\":\"{}\"}}\n", hash.as_str())
        };
        numbers.map(line).collect()
    }

    fn seqs(lines: &[Vec<u8>]) -> Vec<u64> {
        lines.iter().filter_map(|it| chain_place(it)).collect()
    }

    #[test]
    fn a_file_that_is_moved_twice_without_a_line_brings_no_history_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.jsonl");
        for count in [0, 2] {
            fs::write(&path, lines(1..=5)).unwrap();
            let (mut follow, found) = Follow::the_last(count, &path).unwrap();
            assert_eq!(found.len(), count);
            for ending in ["a.jsonl.1", "a.jsonl.2"] {
                fs::rename(&path, path.with_file_name(ending)).unwrap();
                fs::write(&path, "").unwrap();
                assert_eq!(seqs(&follow.more().unwrap()), [0; 0], "{ending}");
            }
            fs::write(&path, lines(6..=6)).unwrap();
            assert_eq!(seqs(&follow.more().unwrap()), [6]);
            fs::remove_file(path.with_file_name("a.jsonl.1")).unwrap();
            fs::remove_file(path.with_file_name("a.jsonl.2")).unwrap();
        }
    }

    #[test]
    fn a_line_that_is_too_long_takes_no_memory_and_is_left_out() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.jsonl");
        let long = "x".repeat(LONGEST_LINE + 1);
        let text = format!("{}{long}\n{}{long}", lines(1..=2), lines(3..=3));
        fs::write(&path, text).unwrap();
        let (follow, found) = Follow::the_last(10, &path).unwrap();
        assert_eq!((seqs(&found), found.len()), (vec![1, 2, 3], 3));
        assert!(follow.skips && follow.rest.len() <= LONGEST_LINE);
    }
}
