//! The recursive descent behind [`super::parse`]. Not a general reader: it builds
//! `serde_json::Value` only, and stops at the first problem.

use std::collections::HashSet;
use std::num::IntErrorKind;

use serde_json::Map;
use serde_json::Number;
use serde_json::Value;

use super::JsonProblem;
use super::JsonProblemKind;
use super::MAX_DEPTH;
use super::fold_case;

/// A cursor over one JSON text.
pub(super) struct Reader<'a> {
    text: &'a str,
    at: usize,
    path: Vec<Step>,
}

/// One step of the way to the place being read.
enum Step {
    /// The offset of the key's quote: only a problem asks what the key is.
    Key(usize),
    Index(usize),
}

impl<'a> Reader<'a> {
    /// Starts at the first byte of a text that must be UTF-8 without a byte order mark.
    pub(super) fn open(bytes: &'a [u8]) -> Result<Self, JsonProblem> {
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
    pub(super) fn document(mut self) -> Result<Value, JsonProblem> {
        let value = self.value()?;
        self.space();
        if self.at < self.text.len() {
            return self.fail(JsonProblemKind::TrailingBytes);
        }
        Ok(value)
    }

    fn value(&mut self) -> Result<Value, JsonProblem> {
        self.space();
        match self.peek() {
            Some(b'{') => self.object().map(Value::Object),
            Some(b'[') => self.array().map(Value::Array),
            Some(b'"') => self.string().map(Value::String),
            Some(b'-' | b'0'..=b'9') => self.number().map(Value::Number),
            Some(b't') => self.literal("true", Value::Bool(true)),
            Some(b'f') => self.literal("false", Value::Bool(false)),
            Some(b'n') => self.literal("null", Value::Null),
            _ => self.fail(JsonProblemKind::Malformed),
        }
    }

    fn object(&mut self) -> Result<Map<String, Value>, JsonProblem> {
        self.enter()?;
        let (mut members, mut many) = (Map::new(), HashSet::new());
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
            members.insert(name, value);
            if self.ends(b'}')? {
                return Ok(members);
            }
        }
    }

    fn array(&mut self) -> Result<Vec<Value>, JsonProblem> {
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
    fn enter(&mut self) -> Result<(), JsonProblem> {
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
    fn ends(&mut self, bracket: u8) -> Result<bool, JsonProblem> {
        if self.closes(bracket) {
            return Ok(true);
        }
        self.expect(b',')?;
        Ok(false)
    }

    fn string(&mut self) -> Result<String, JsonProblem> {
        self.expect(b'"')?;
        let mut read = self.plain()?.to_owned();
        loop {
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(read);
                }
                Some(b'\\') => read.push(self.escape()?),
                Some(0) => return self.fail(JsonProblemKind::NullCharacter),
                _ => return self.fail(JsonProblemKind::Malformed),
            }
            read.push_str(self.plain()?);
        }
    }

    /// The text up to the next byte that ends a string, begins an escape or may not stand there. All three kinds are
    /// ASCII, so the cut is on a boundary.
    fn plain(&mut self) -> Result<&'a str, JsonProblem> {
        let rest = &self.text[self.at..];
        let ends = |byte| matches!(byte, b'"' | b'\\' | 0..=0x1f);
        let Some(length) = rest.bytes().position(ends) else {
            self.at = self.text.len();
            return self.fail(JsonProblemKind::Malformed);
        };
        self.at += length;
        Ok(&rest[..length])
    }

    fn escape(&mut self) -> Result<char, JsonProblem> {
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
    fn unicode_escape(&mut self) -> Result<char, JsonProblem> {
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
    fn code_unit(&self, at: usize) -> Result<u16, JsonProblem> {
        let digits = self.text.get(at + 2..at + 6);
        // `from_str_radix` alone would take a sign.
        let digits = digits.filter(|it| it.bytes().all(|byte| byte.is_ascii_hexdigit()));
        match digits.map(|it| u16::from_str_radix(it, 16)) {
            Some(Ok(unit)) => Ok(unit),
            _ => self.fail(JsonProblemKind::Malformed),
        }
    }

    fn number(&mut self) -> Result<Number, JsonProblem> {
        let start = self.at;
        self.at += usize::from(self.peek() == Some(b'-'));
        match self.digits()? {
            "0" => {}
            digits if digits.starts_with('0') => return self.fail_at(start),
            _ => {}
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
        number.ok_or_else(|| self.problem(JsonProblemKind::NumberRange, start))
    }

    fn digits(&mut self) -> Result<&'a str, JsonProblem> {
        let rest = &self.text[self.at..];
        let length = rest.bytes().take_while(u8::is_ascii_digit).count();
        if length == 0 {
            return self.fail(JsonProblemKind::Malformed);
        }
        self.at += length;
        Ok(&rest[..length])
    }

    fn literal(&mut self, word: &str, value: Value) -> Result<Value, JsonProblem> {
        if !self.text[self.at..].starts_with(word) {
            return self.fail(JsonProblemKind::Malformed);
        }
        self.at += word.len();
        Ok(value)
    }

    fn expect(&mut self, byte: u8) -> Result<(), JsonProblem> {
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

    fn fail<T>(&self, kind: JsonProblemKind) -> Result<T, JsonProblem> {
        Err(self.problem(kind, self.at))
    }

    fn fail_at<T>(&self, offset: usize) -> Result<T, JsonProblem> {
        Err(self.problem(JsonProblemKind::Malformed, offset))
    }

    fn problem(&self, kind: JsonProblemKind, offset: usize) -> JsonProblem {
        let mut pointer = String::new();
        for step in &self.path {
            pointer.push('/');
            match step {
                Step::Key(at) => pointer.push_str(&self.key(*at)),
                Step::Index(index) => pointer.push_str(&index.to_string()),
            }
        }
        JsonProblem {
            kind,
            pointer,
            offset,
        }
    }

    /// The key at an offset where one has been read, as it stands in a pointer (RFC 6901 section 3).
    fn key(&self, at: usize) -> String {
        let path = Vec::new();
        let mut again = Reader { at, path, ..*self };
        let name = again.string().unwrap_or_default();
        name.replace('~', "~0").replace('/', "~1")
    }
}

/// Up to this many keys are compared one by one, which is faster than a set and needs no memory.
const FEW: usize = 8;

/// Whether an object has `name` already, in any case. `many` holds the folded keys of objects that
/// outgrow [`FEW`].
fn is_repeated(name: &str, members: &Map<String, Value>, many: &mut HashSet<String>) -> bool {
    if members.len() < FEW {
        let is_ascii = name.is_ascii();
        let alike = |key: &String| {
            if is_ascii && key.is_ascii() {
                key.eq_ignore_ascii_case(name)
            } else {
                fold_case(key) == fold_case(name)
            }
        };
        return members.keys().any(alike);
    }
    if many.is_empty() {
        many.extend(members.keys().map(|key| fold_case(key)));
    }
    !many.insert(fold_case(name))
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
