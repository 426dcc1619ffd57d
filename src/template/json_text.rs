//! The JSON that a body template writes, followed byte by byte through its texts and branches: where a placeholder
//! stands, and whether every branch is JSON (RFC 8259). What comes out is compact.

use std::collections::BTreeSet;
use std::ops::Range;

use serde_json::{Number, Value};

use crate::json::MAX_DEPTH;
use crate::template::problem::TemplateProblem;
use crate::template::render::{escape, write};
use crate::template::tree::{Arm, Expression, Node, Place, Print};

/// The tree with compact texts, in which every print knows its place.
///
/// # Errors
/// The first thing that is not JSON, and every placeholder before it that cannot stand where it does.
pub(super) fn compact(nodes: Vec<Node>) -> Result<Vec<Node>, Vec<TemplateProblem>> {
    let mut scan = Scan {
        state: State {
            open: Vec::new(),
            at: At::Value,
        },
        problems: Vec::new(),
    };
    let whole = nodes.iter().map(end_of).max().unwrap_or_default();
    let compacted = scan.nodes(nodes).and_then(|compacted| {
        if scan.state.at == At::After && scan.state.open.is_empty() {
            return Ok(compacted);
        }
        let (message, remedy) = match (scan.state.at, scan.state.open.last()) {
            (At::Text | At::Key, _) => ("a string is not closed", "close it with `\"`"),
            (_, Some(Open { keys: Some(_) })) => ("an object is not closed", "close it with `}`"),
            (_, Some(Open { keys: None })) => ("a list is not closed", "close it with `]`"),
            (_, None) => ("the body is empty on some branch", "write one JSON value"),
        };
        Err(TemplateProblem::new(&(whole..whole), message, remedy))
    });
    match compacted {
        Ok(nodes) if scan.problems.is_empty() => Ok(nodes),
        Ok(_) => Err(scan.problems),
        Err(problem) => {
            scan.problems.push(problem);
            Err(scan.problems)
        }
    }
}

fn end_of(node: &Node) -> usize {
    match node {
        Node::Text { text, start } => start + text.len(),
        Node::Print(Print { at, .. }) | Node::Choice { at, .. } => at.end,
        Node::Let { .. } => 0,
    }
}

/// What may come next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    Value,
    /// A value, or the end of an empty list.
    FirstItem,
    /// A key, or the end of an empty object.
    FirstKey,
    NextKey,
    Key,
    Colon,
    /// Inside a string.
    Text,
    /// A comma or an end.
    After,
    /// An end, since only some branches wrote something before it.
    OnlyEnd,
}

/// An object with the keys that some branch has written, or a list.
#[derive(Clone, Debug)]
struct Open {
    keys: Option<BTreeSet<String>>,
}

#[derive(Clone, Debug)]
struct State {
    open: Vec<Open>,
    at: At,
}

impl State {
    /// The state from which whatever follows is JSON after both.
    fn joined(mut self, other: &Self) -> Option<Self> {
        self.at = match (self.at, other.at) {
            (one, other) if one == other => one,
            (At::FirstKey, At::NextKey) | (At::NextKey, At::FirstKey) => At::NextKey,
            (At::FirstItem, At::Value) | (At::Value, At::FirstItem) if !self.open.is_empty() => {
                At::Value
            }
            (At::FirstKey | At::FirstItem | At::OnlyEnd, At::After | At::OnlyEnd)
            | (At::After | At::OnlyEnd, At::FirstKey | At::FirstItem | At::OnlyEnd) => At::OnlyEnd,
            _ => return None,
        };
        if self.open.len() != other.open.len() {
            return None;
        }
        for (one, other) in self.open.iter_mut().zip(&other.open) {
            match (&mut one.keys, &other.keys) {
                (Some(one), Some(other)) => one.extend(other.iter().cloned()),
                (None, None) => {}
                _ => return None,
            }
        }
        Some(self)
    }
}

struct Scan {
    state: State,
    problems: Vec<TemplateProblem>,
}

impl Scan {
    fn nodes(&mut self, nodes: Vec<Node>) -> Result<Vec<Node>, TemplateProblem> {
        let mut compacted = Vec::with_capacity(nodes.len());
        for node in nodes {
            let node = match node {
                Node::Text { text, start } => Node::Text {
                    text: self.text(&text, start)?,
                    start,
                },
                Node::Print(print) => self.print(print)?,
                Node::Let { slot, value } => Node::Let { slot, value },
                Node::Choice {
                    arms,
                    otherwise,
                    at,
                } => self.choice(arms, otherwise, at)?,
            };
            match (compacted.last_mut(), node) {
                (Some(Node::Text { text, .. }), Node::Text { text: more, .. }) => {
                    text.push_str(&more)
                }
                (_, node) => compacted.push(node),
            }
        }
        Ok(compacted)
    }

    fn choice(
        &mut self,
        arms: Vec<Arm>,
        otherwise: Vec<Node>,
        at: Range<usize>,
    ) -> Result<Node, TemplateProblem> {
        let start = self.state.clone();
        if matches!(start.at, At::Key | At::Colon) {
            let remedy = "choose between whole members: put the block around key and value";
            return Err(TemplateProblem::new(
                &at,
                "a block inside a key or after it",
                remedy,
            ));
        }
        let otherwise = self.nodes(otherwise)?;
        let mut end = self.state.clone();
        let mut compacted = Vec::with_capacity(arms.len());
        for mut arm in arms {
            self.state = start.clone();
            arm.body = self.nodes(arm.body)?;
            end = end.joined(&self.state).ok_or_else(|| {
                let remedy = "let each branch write whole members or items, with their commas, or stay inside one string";
                TemplateProblem::new(&at, "the branches do not end at the same place of the JSON", remedy)
            })?;
            compacted.push(arm);
        }
        self.state = end;
        let arms = compacted;
        Ok(Node::Choice {
            arms,
            otherwise,
            at,
        })
    }

    fn print(&mut self, mut print: Print) -> Result<Node, TemplateProblem> {
        print.place = match self.state.at {
            At::Text => Place::Quoted,
            At::Value | At::FirstItem => {
                self.state.at = At::After;
                Place::Json
            }
            At::FirstKey | At::NextKey | At::Key => {
                let remedy = "write keys out; a value belongs after `:`";
                return Err(TemplateProblem::new(
                    &print.at,
                    "a placeholder in the place of a key",
                    remedy,
                ));
            }
            At::Colon | At::After | At::OnlyEnd => {
                let remedy = "a placeholder is the whole of a value, or stands inside quotes";
                return Err(TemplateProblem::new(
                    &print.at,
                    "a placeholder beside a number, a word or another value",
                    remedy,
                ));
            }
        };
        let Expression::Constant(value) = &print.value else {
            return Ok(Node::Print(print));
        };
        let mut text = String::new();
        if let Err(expected) = write(value, print.place, &mut text) {
            let message = format!("what stands here must be {expected}");
            self.problems.push(TemplateProblem::new(
                &print.at,
                message,
                "print something else",
            ));
        }
        let start = print.at.start;
        Ok(Node::Text { text, start })
    }

    fn text(&mut self, text: &str, start: usize) -> Result<String, TemplateProblem> {
        let mut out = String::with_capacity(text.len());
        let mut next = 0;
        while next < text.len() {
            let rest = &text[next..];
            let at = start + next;
            next += match self.state.at {
                At::Text | At::Key => self.string(rest, at, &mut out)?,
                _ => match rest.as_bytes()[0] {
                    b' ' | b'\t' | b'\r' | b'\n' => 1,
                    b'-' | b'0'..=b'9' | b'a'..=b'z' => self.word(rest, at, &mut out)?,
                    _ => self.punctuation(rest, at, &mut out)?,
                },
            };
        }
        if self.state.at == At::Key {
            let at = start + text.len()..start + text.len();
            let remedy = "write keys out; a value belongs after `:`";
            return Err(TemplateProblem::new(
                &at,
                "a placeholder in the place of a key, or a key that is not closed",
                remedy,
            ));
        }
        Ok(out)
    }

    /// The rest of a string, or of what stands of it before a placeholder.
    fn string(
        &mut self,
        rest: &str,
        at: usize,
        out: &mut String,
    ) -> Result<usize, TemplateProblem> {
        let mut escaped = false;
        let end = rest.find(|c| {
            let ends = c == '"' && !escaped;
            escaped = c == '\\' && !escaped;
            ends
        });
        let raw = &rest[..end.unwrap_or(rest.len())];
        let decoded = serde_json::from_str::<String>(&format!("\"{raw}\""));
        let Some(text) = decoded.ok().filter(|it| !it.contains('\0')) else {
            let remedy = "escape line breaks as \\n, quotes as \\\" and backslashes as \\\\; leave U+0000 out";
            return Err(TemplateProblem::new(
                &(at..at + raw.len()),
                "not the inside of a JSON string",
                remedy,
            ));
        };
        escape(&text, out);
        if end.is_none() {
            return Ok(rest.len());
        }
        out.push('"');
        if self.state.at == At::Text {
            self.state.at = At::After;
            return Ok(raw.len() + 1);
        }
        self.state.at = At::Colon;
        let keys = self.state.open.last_mut().and_then(|it| it.keys.as_mut());
        if keys.is_some_and(|keys| !keys.insert(text.clone())) {
            let message = format!("the key {text:?} stands twice in one object on some branch");
            return Err(TemplateProblem::new(
                &(at..at + raw.len()),
                message,
                "keep one of them",
            ));
        }
        Ok(raw.len() + 1)
    }

    /// A number, `true`, `false` or `null`.
    fn word(&mut self, rest: &str, at: usize, out: &mut String) -> Result<usize, TemplateProblem> {
        let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '+' | '.');
        let length = rest.find(|c| !is_part(c)).unwrap_or(rest.len());
        let (word, at) = (&rest[..length], at..at + length);
        if !matches!(self.state.at, At::Value | At::FirstItem) {
            return Err(self.unexpected(word, &at));
        }
        self.state.at = At::After;
        match serde_json::from_str::<Value>(word) {
            Ok(Value::Number(number)) if !is_exact(&number, word) => {
                let remedy = "write a smaller one, or a string";
                Err(TemplateProblem::new(
                    &at,
                    "a number that 64 bits cannot hold",
                    remedy,
                ))
            }
            Ok(_) => {
                out.push_str(word);
                Ok(length)
            }
            Err(_) => {
                let message = format!("`{word}` is no JSON value");
                let remedy = "put text in quotes; a number is written as 10 or 0.5";
                Err(TemplateProblem::new(&at, message, remedy))
            }
        }
    }

    fn punctuation(
        &mut self,
        rest: &str,
        at: usize,
        out: &mut String,
    ) -> Result<usize, TemplateProblem> {
        let first = rest.as_bytes()[0];
        let state = &mut self.state;
        let in_object = state.open.last().map(|it| it.keys.is_some());
        state.at = match (first, state.at, in_object) {
            (b'{', At::Value | At::FirstItem, _) => {
                let keys = Some(BTreeSet::new());
                state.open.push(Open { keys });
                At::FirstKey
            }
            (b'[', At::Value | At::FirstItem, _) => {
                state.open.push(Open { keys: None });
                At::FirstItem
            }
            (b'}', At::FirstKey | At::After | At::OnlyEnd, Some(true))
            | (b']', At::FirstItem | At::After | At::OnlyEnd, Some(false)) => {
                state.open.pop();
                At::After
            }
            (b',', At::After, Some(true)) => At::NextKey,
            (b',', At::After, Some(false)) => At::Value,
            (b':', At::Colon, _) => At::Value,
            (b'"', At::FirstKey | At::NextKey, _) => At::Key,
            (b'"', At::Value | At::FirstItem, _) => At::Text,
            _ => {
                let found: String = rest.chars().take(1).collect();
                return Err(self.unexpected(&found, &(at..at + found.len())));
            }
        };
        if state.open.len() > MAX_DEPTH {
            let message = format!("the body nests deeper than {MAX_DEPTH} levels");
            return Err(TemplateProblem::new(
                &(at..at + 1),
                message,
                "make it flatter",
            ));
        }
        out.push(char::from(first));
        Ok(1)
    }

    fn unexpected(&self, found: &str, at: &Range<usize>) -> TemplateProblem {
        let expected = match self.state.at {
            At::Value => "a value stands here",
            At::FirstItem => "a value or `]` stands here",
            At::FirstKey => "a key in quotes or `}` stands here",
            At::NextKey => "a key in quotes stands here, after a comma",
            At::Colon => "`:` stands after a key",
            At::After if self.state.open.is_empty() => "nothing stands after the whole value",
            At::After => "`,` or the end of the object or list stands after a value",
            At::OnlyEnd => {
                "only the end stands here: on some branch nothing is before it, and no comma can follow"
            }
            At::Key | At::Text => "a string goes on here",
        };
        let message = format!("{found:?} is not JSON here: {expected}");
        let remedy = "put commas inside the blocks that write members, and write the rest as JSON";
        TemplateProblem::new(at, message, remedy)
    }
}

/// Whether reading a number again, as the proxy does, gives the same.
fn is_exact(number: &Number, word: &str) -> bool {
    let is_integer = word.bytes().all(|it| it.is_ascii_digit() || it == b'-');
    !is_integer || !number.is_f64()
}
