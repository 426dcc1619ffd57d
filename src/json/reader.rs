//! The recursive descent behind [`super::read`] and [`super::parse`]. Not a general reader: it builds a [`Tree`] only,
//! and stops at the first problem.

use std::borrow::Cow;
use std::collections::HashSet;
use std::num::IntErrorKind;

use serde_json::Number;

use super::JsonProblem;
use super::JsonProblemKind;
use super::MAX_DEPTH;
use super::Member;
use super::Tree;
use super::are_alike;
use super::fold_case;
use super::text::plain_length;
use crate::yaml::as_step;

/// A cursor over one JSON text.
pub(super) struct Reader<'t> {
    text: &'t str,
    at: usize,
    path: Vec<Step>,
}

/// One step of the way to the place being read.
enum Step {
    /// The offset of the key's quote: only a problem asks what the key is.
    Key(usize),
    Index(usize),
}

/// What is wrong at an offset. The reader stops there, so its path still leads to the place.
struct Stop {
    kind: JsonProblemKind,
    offset: usize,
}

impl<'t> Reader<'t> {
    /// Starts at the first byte of a text that must be UTF-8 without a byte order mark.
    pub(super) fn open(bytes: &'t [u8]) -> Result<Self, JsonProblem> {
        let not_utf8 = |offset| JsonProblem {
            kind: JsonProblemKind::NotUtf8,
            pointer: String::new(),
            offset,
        };
        let text = std::str::from_utf8(bytes).map_err(|error| not_utf8(error.valid_up_to()))?;
        if text.starts_with('\u{feff}') {
            return Err(not_utf8(0));
        }
        Ok(Self {
            text,
            at: 0,
            path: Vec::new(),
        })
    }

    /// The one value of the text.
    pub(super) fn document(mut self) -> Result<Tree<'t>, JsonProblem> {
        self.whole().map_err(|Stop { kind, offset }| JsonProblem {
            kind,
            pointer: self.pointer(),
            offset,
        })
    }

    fn whole(&mut self) -> Result<Tree<'t>, Stop> {
        let value = self.value()?;
        self.space();
        if self.at < self.text.len() {
            return self.fail(JsonProblemKind::TrailingBytes);
        }
        Ok(value)
    }

    fn value(&mut self) -> Result<Tree<'t>, Stop> {
        self.space();
        match self.peek() {
            Some(b'{') => self.object().map(Tree::Object),
            Some(b'[') => self.array().map(Tree::Array),
            Some(b'"') => self.string().map(Tree::String),
            Some(b'-' | b'0'..=b'9') => self.number().map(Tree::Number),
            Some(b't') => self.literal("true", Tree::Bool(true)),
            Some(b'f') => self.literal("false", Tree::Bool(false)),
            Some(b'n') => self.literal("null", Tree::Null),
            _ => self.fail(JsonProblemKind::Malformed),
        }
    }

    fn object(&mut self) -> Result<Vec<Member<'t>>, Stop> {
        self.enter()?;
        let (mut members, mut many) = (Vec::new(), None);
        if self.closes(b'}') {
            return Ok(members);
        }
        loop {
            self.space();
            let start = self.at;
            let name = self.string()?;
            if is_repeated(&name, &members, &mut many) {
                self.at = start;
                return self.fail(JsonProblemKind::DuplicateKey);
            }
            self.space();
            self.expect(b':')?;
            self.path.push(Step::Key(start));
            let value = self.value()?;
            self.path.pop();
            members.push(Member { name, value });
            if self.ends(b'}')? {
                return Ok(members);
            }
        }
    }

    fn array(&mut self) -> Result<Vec<Tree<'t>>, Stop> {
        self.enter()?;
        let mut items = Vec::new();
        if self.closes(b']') {
            return Ok(items);
        }
        loop {
            self.path.push(Step::Index(items.len()));
            items.push(self.value()?);
            self.path.pop();
            if self.ends(b']')? {
                return Ok(items);
            }
        }
    }

    /// Steps over the opening bracket; the path has one step for each container that is open.
    fn enter(&mut self) -> Result<(), Stop> {
        if self.path.len() >= MAX_DEPTH {
            return self.fail(JsonProblemKind::TooDeep);
        }
        self.at += 1;
        Ok(())
    }

    fn closes(&mut self, bracket: u8) -> bool {
        self.space();
        let closed = self.peek() == Some(bracket);
        self.at += usize::from(closed);
        closed
    }

    /// After a member or an item: `true` at the closing bracket, `false` at a comma.
    fn ends(&mut self, bracket: u8) -> Result<bool, Stop> {
        if self.closes(bracket) {
            return Ok(true);
        }
        self.expect(b',')?;
        Ok(false)
    }

    /// Copied only where an escape stands in it.
    fn string(&mut self) -> Result<Cow<'t, str>, Stop> {
        self.expect(b'"')?;
        let plain = self.plain();
        if self.peek() == Some(b'"') {
            self.at += 1;
            return Ok(Cow::Borrowed(plain));
        }
        let mut read = plain.to_owned();
        loop {
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(Cow::Owned(read));
                }
                Some(b'\\') => read.push(self.escape()?),
                Some(0) => return self.fail(JsonProblemKind::NullCharacter),
                _ => return self.fail(JsonProblemKind::Malformed),
            }
            read.push_str(self.plain());
        }
    }

    /// The text up to the next byte that ends a string, begins an escape or may not stand there. All three kinds are
    /// ASCII, so the cut is on a boundary.
    fn plain(&mut self) -> &'t str {
        let rest = &self.text[self.at..];
        let length = plain_length(rest.as_bytes());
        self.at += length;
        &rest[..length]
    }

    fn escape(&mut self) -> Result<char, Stop> {
        let plain = match self.text.as_bytes().get(self.at + 1) {
            Some(b'"') => '"',
            Some(b'\\') => '\\',
            Some(b'/') => '/',
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => return self.unicode_escape(),
            _ => return self.fail(JsonProblemKind::Malformed),
        };
        self.at += 2;
        Ok(plain)
    }

    /// `\u0000`, or two of them that are a surrogate pair (RFC 8259 section 7).
    fn unicode_escape(&mut self) -> Result<char, Stop> {
        let first = self.code_unit(self.at)?;
        let (units, length) = match first {
            0xd800..=0xdbff if self.text[self.at + 6..].starts_with("\\u") => {
                ([first, self.code_unit(self.at + 6)?], 12)
            }
            _ => ([first, 0], 6),
        };
        match char::decode_utf16(units).next() {
            Some(Ok('\0')) => self.fail(JsonProblemKind::NullCharacter),
            Some(Ok(character)) => {
                self.at += length;
                Ok(character)
            }
            _ => self.fail(JsonProblemKind::LoneSurrogate),
        }
    }

    /// The four hexadecimal digits of the escape that starts at `at`.
    fn code_unit(&self, at: usize) -> Result<u16, Stop> {
        let digits = self.text.get(at + 2..at + 6);
        // `from_str_radix` alone would take a sign.
        let digits = digits.filter(|it| it.bytes().all(|byte| byte.is_ascii_hexdigit()));
        match digits.map(|it| u16::from_str_radix(it, 16)) {
            Some(Ok(unit)) => Ok(unit),
            _ => self.fail(JsonProblemKind::Malformed),
        }
    }

    fn number(&mut self) -> Result<Number, Stop> {
        let start = self.at;
        self.at += usize::from(self.peek() == Some(b'-'));
        let digits = self.digits()?;
        if digits.len() > 1 && digits.starts_with('0') {
            self.at = start;
            return self.fail(JsonProblemKind::Malformed);
        }
        let mut whole = true;
        if self.peek() == Some(b'.') {
            whole = false;
            self.at += 1;
            self.digits()?;
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            whole = false;
            self.at += 1;
            self.at += usize::from(matches!(self.peek(), Some(b'+' | b'-')));
            self.digits()?;
        }
        let spelling = &self.text[start..self.at];
        let number = if whole {
            integer(spelling)
        } else {
            fraction(spelling)
        };
        number.ok_or(Stop {
            kind: JsonProblemKind::NumberRange,
            offset: start,
        })
    }

    fn digits(&mut self) -> Result<&'t str, Stop> {
        let rest = &self.text[self.at..];
        let length = rest.bytes().take_while(u8::is_ascii_digit).count();
        if length == 0 {
            return self.fail(JsonProblemKind::Malformed);
        }
        self.at += length;
        Ok(&rest[..length])
    }

    fn literal(&mut self, word: &str, value: Tree<'t>) -> Result<Tree<'t>, Stop> {
        if !self.text[self.at..].starts_with(word) {
            return self.fail(JsonProblemKind::Malformed);
        }
        self.at += word.len();
        Ok(value)
    }

    fn expect(&mut self, byte: u8) -> Result<(), Stop> {
        if self.peek() != Some(byte) {
            return self.fail(JsonProblemKind::Malformed);
        }
        self.at += 1;
        Ok(())
    }

    fn space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn fail<T>(&self, kind: JsonProblemKind) -> Result<T, Stop> {
        let offset = self.at;
        Err(Stop { kind, offset })
    }

    /// The place at which the reader has stopped.
    fn pointer(&self) -> String {
        let mut pointer = String::new();
        for step in &self.path {
            pointer.push('/');
            match step {
                Step::Key(at) => pointer.push_str(&self.key(*at)),
                Step::Index(index) => pointer.push_str(&index.to_string()),
            }
        }
        pointer
    }

    /// The key at an offset where one has been read, as it stands in a pointer (RFC 6901 section 3).
    fn key(&self, at: usize) -> String {
        let path = Vec::new();
        let mut again = Reader { at, path, ..*self };
        let name = again.string().unwrap_or_default();
        as_step(&name).into_owned()
    }
}

/// Up to this many names are compared one by one, which is faster than a set and needs no memory.
const FEW: usize = 16;

/// Whether an object has `name` already, in any case. `many` holds the folded names of objects that outgrow [`FEW`].
fn is_repeated(name: &str, members: &[Member<'_>], many: &mut Option<HashSet<String>>) -> bool {
    if members.len() < FEW {
        return members.iter().any(|it| are_alike(&it.name, name));
    }
    let folded = || members.iter().map(|it| fold_case(&it.name)).collect();
    !many.get_or_insert_with(folded).insert(fold_case(name))
}

/// An integer that 64 bits hold. `-0` is kept as the float it is: no integer has that sign.
fn integer(spelling: &str) -> Option<Number> {
    if spelling == "-0" {
        return Number::from_f64(-0.0);
    }
    match spelling.parse::<i64>() {
        Ok(number) => Some(number.into()),
        Err(error) if *error.kind() == IntErrorKind::PosOverflow => {
            spelling.parse::<u64>().ok().map(Number::from)
        }
        Err(_) => None,
    }
}

/// The nearest float, unless the number leaves the range: neither infinity nor a zero that was not
/// written as one.
fn fraction(spelling: &str) -> Option<Number> {
    let number: f64 = spelling.parse().ok()?;
    let mantissa = spelling.split(['e', 'E']).next().unwrap_or_default();
    let written_as_zero = !mantissa.bytes().any(|byte| matches!(byte, b'1'..=b'9'));
    if number == 0.0 && !written_as_zero {
        return None;
    }
    Number::from_f64(number)
}
