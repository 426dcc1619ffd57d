//! From bytes to text that may be parsed: UTF-8, without what cannot be seen.

use std::sync::Arc;

use crate::problem::Place;
use crate::problem::Problem;
use crate::problem::is_invisible_order;
use crate::yaml::MAX_BYTES;
use crate::yaml::too_large;

/// So many characters of one file are told at most.
const MOST_TOLD: usize = 10;

/// The text of a file: UTF-8 without a byte order mark, and not too long.
///
/// # Errors
///
/// One problem for the file as a whole.
pub(super) fn decode<'a>(file: &str, bytes: &'a [u8]) -> Result<&'a str, Box<Problem>> {
    let file: Arc<str> = Arc::from(file);
    let whole = Place::of_file(&file);
    if bytes.len() > MAX_BYTES {
        return Err(Box::new(too_large(&file)));
    }
    if bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]) {
        let problem = Problem::error(&whole, "the file is UTF-16");
        return Err(Box::new(problem.remedy("save it as UTF-8")));
    }
    if bytes.starts_with(b"\xef\xbb\xbf") {
        let problem = Problem::error(&whole, "the file starts with a byte order mark");
        return Err(Box::new(problem.remedy("save it as UTF-8 without BOM")));
    }
    std::str::from_utf8(bytes).map_err(|error| {
        let good = String::from_utf8_lossy(&bytes[..error.valid_up_to()]);
        let problem = Problem::error(&end_of(&file, &good), "this byte is not UTF-8");
        Box::new(problem.remedy("save the file as UTF-8"))
    })
}

/// What may be drawn of a file that is not text.
pub(super) fn drawable(bytes: &[u8]) -> String {
    let start = &bytes[..bytes.len().min(MAX_BYTES)];
    String::from_utf8_lossy(start).into_owned()
}

/// Characters that a reader of the file does not see, or not in their place.
pub(super) fn misleading(file: &Arc<str>, text: &str) -> Vec<Problem> {
    let mut found = Vec::new();
    // Most files have none of them, which is quickly seen.
    if text.bytes().all(|it| matches!(it, b'\n' | b' '..=b'~')) {
        return found;
    }
    let (mut line, mut column) = (1, 1);
    let mut characters = text.chars().peekable();
    while let Some(c) = characters.next() {
        let next = characters.peek().copied();
        if let Some(message) = objection(c, next) {
            let place = Place::new(file, line, column, 1);
            found.push(Problem::error(&place, message).remedy(remedy(c)));
        }
        if found.len() == MOST_TOLD {
            break;
        }
        (line, column) = if c == '\n' {
            (line + 1, 1)
        } else {
            (line, column + 1)
        };
    }
    found
}

fn objection(c: char, next: Option<char>) -> Option<String> {
    let name = c.escape_unicode();
    match c {
        '\n' | '\t' => None,
        '\r' if next == Some('\n') => None,
        '\r' => Some("a carriage return without a line feed".to_owned()),
        '\0' => Some("a NUL character".to_owned()),
        '\u{feff}' => Some("a byte order mark inside of the file".to_owned()),
        // YAML ends lines at these; editors do not, and places would be off.
        '\u{85}' | '\u{2028}' | '\u{2029}' => Some(format!("an unusual line break, {name}")),
        c if c.is_control() => Some(format!("a control character, {name}")),
        c if is_invisible_order(c) => Some(format!(
            "{name} makes text read in another order than it is stored"
        )),
        _ => None,
    }
}

fn remedy(c: char) -> &'static str {
    match c {
        '\r' => "end lines with a line feed",
        _ => "remove it; in a quoted value, write it as an escape",
    }
}

fn end_of(file: &Arc<str>, text: &str) -> Place {
    let line = text.matches('\n').count() + 1;
    let last = text.rsplit('\n').next().unwrap_or_default();
    Place::new(file, line, last.chars().count() + 1, 1)
}
