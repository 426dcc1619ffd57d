//! Where something stands in a file. It knows no text: only names, lines and columns.

use std::fmt;
use std::num::NonZeroU32;
use std::ops::RangeInclusive;
use std::sync::Arc;

use crate::problem::printable;

/// A stretch of one line in a file. Lines and columns count from 1, columns in characters.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    file: Arc<str>,
    // A file has at most a million characters, and every node of it has a place: 32 bits each.
    line: u32,
    column: u32,
    length: u32,
    /// Lines after the first that the value goes on for.
    more_lines: u32,
    /// Where each line of a scalar's text begins, if the source holds it character by character.
    text_column: Option<NonZeroU32>,
}

impl Place {
    /// `length` characters from `line` and `column`, both counted from 1.
    #[must_use]
    pub fn new(file: &Arc<str>, line: usize, column: usize, length: usize) -> Self {
        Self {
            file: Arc::clone(file),
            line: narrow(line.max(1)),
            column: narrow(column.max(1)),
            length: narrow(length),
            more_lines: 0,
            text_column: None,
        }
    }

    /// A file as a whole, for what has no better place.
    #[must_use]
    pub fn of_file(file: &Arc<str>) -> Self {
        Self::new(file, 1, 1, 0)
    }

    /// The same place, whose value stands in the source as it is: each line of it from `column` on.
    #[must_use]
    pub fn with_text_at(mut self, column: usize) -> Self {
        self.text_column = NonZeroU32::new(narrow(column));
        self
    }

    /// The same place, whose value goes on to another line.
    #[must_use]
    pub fn through(mut self, last: usize) -> Self {
        self.more_lines = narrow(last.saturating_sub(self.line()));
        self
    }

    /// A part of the value that stands here: `length` characters on its line `line`, counted from 0, after the first
    /// `skipped`.
    ///
    /// It is the whole place where the source writes the value in another way (escapes, folded lines).
    #[must_use]
    pub fn within(&self, line: usize, skipped: usize, length: usize) -> Self {
        let Some(column) = self.text_column else {
            return self.clone();
        };
        let column = (column.get() as usize).saturating_add(skipped);
        let line = self.line().saturating_add(line);
        Self::new(&self.file, line, column, length)
    }

    /// The file, as it was named by whoever asked to read it.
    #[must_use]
    pub fn file(&self) -> &Arc<str> {
        &self.file
    }

    /// The line, from 1.
    #[must_use]
    pub fn line(&self) -> usize {
        self.line as usize
    }

    /// The lines of the value: the one meant, and those on which it goes on.
    pub(super) fn lines(&self) -> RangeInclusive<usize> {
        let more = self.more_lines as usize;
        self.line()..=self.line().saturating_add(more)
    }

    /// The column, from 1, in characters.
    #[must_use]
    pub fn column(&self) -> usize {
        self.column as usize
    }

    /// How many characters are meant.
    #[must_use]
    pub fn length(&self) -> usize {
        self.length as usize
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let file = printable(&self.file);
        write!(f, "{file}:{}:{}", self.line, self.column)
    }
}

fn narrow(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

/// A value and the place where it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Located<T> {
    /// What was written.
    pub value: T,
    /// Where.
    pub place: Place,
}

impl<T> Located<T> {
    /// A value at its place.
    pub fn new(value: T, place: Place) -> Self {
        Self { value, place }
    }

    /// Another value at the same place.
    pub fn map<U>(self, convert: impl FnOnce(T) -> U) -> Located<U> {
        Located::new(convert(self.value), self.place)
    }

    /// The same place, with the value borrowed.
    pub fn as_ref(&self) -> Located<&T> {
        Located::new(&self.value, self.place.clone())
    }
}
