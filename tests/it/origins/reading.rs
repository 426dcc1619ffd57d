//! How a server read a request: what it tells, and whether that is what exeat decided on.

use std::collections::BTreeMap;

use serde_json::Value;

use super::Finding;
use super::decided::{Content, Decided};
use super::programs::{FAITHFUL, Kind, Limits};

/// Names and values.
pub(super) type Pairs = Vec<(String, String)>;

/// What a server told of one request, by each of its readers.
#[derive(Debug, Default)]
pub(super) struct Reading {
    method: String,
    target: String,
    paths: Pairs,
    queries: BTreeMap<String, Pairs>,
    forms: BTreeMap<String, Pairs>,
    headers: Pairs,
    body: Option<Vec<u8>>,
    json: Vec<(String, String)>,
}

impl Reading {
    /// Reads the lines of a reply; none where they are not whole.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut reading = Self::default();
        for line in text.lines() {
            let mut words = line.split(' ');
            let kind = words.next()?;
            let words: Vec<Vec<u8>> = words.map(unhex).collect::<Option<_>>()?;
            if kind == "end" {
                return Some(reading);
            }
            reading.take(kind, words)?;
        }
        None
    }

    fn take(&mut self, kind: &str, words: Vec<Vec<u8>>) -> Option<()> {
        if kind == "body" {
            self.body = words.into_iter().next();
            return Some(());
        }
        let words: Result<Vec<String>, _> = words.into_iter().map(String::from_utf8).collect();
        match (kind, &words.ok()?[..]) {
            ("method", [method]) => self.method.clone_from(method),
            ("target", [target]) => self.target.clone_from(target),
            ("path", [reader, path]) => self.paths.push((reader.clone(), path.clone())),
            ("json", [reader, text]) => self.json.push((reader.clone(), text.clone())),
            ("header", [name, value]) => self.headers.push((name.to_lowercase(), value.clone())),
            ("query", [reader, pair @ ..]) => put(&mut self.queries, reader, pair),
            ("form", [reader, pair @ ..]) => put(&mut self.forms, reader, pair),
            _ => return None,
        }
        Some(())
    }

    /// Whether all readers of the server read what exeat decided on.
    pub(super) fn agrees(&self, kind: &Kind, decided: &Decided) -> Result<(), Finding> {
        same("the method", &self.method, &decided.method)?;
        if self.paths.is_empty() || self.queries.is_empty() {
            return Err("the server told of no path or no query".into());
        }
        for (reader, path) in &self.paths {
            same(&format!("{reader}'s path"), path, &decided.path)?;
        }
        let query = match kind.limits.last_of_a_name {
            true => last_of_each(&decided.query),
            false => decided.query.clone(),
        };
        for (reader, pairs) in &self.queries {
            same(
                &format!("{reader}'s query"),
                &by_name(pairs),
                &by_name(&query),
            )?;
        }
        self.agrees_on_headers(decided)?;
        self.agrees_on_content(kind.limits, &decided.content)
    }

    fn agrees_on_headers(&self, decided: &Decided) -> Result<(), Finding> {
        for (name, expected) in &decided.headers {
            same(
                name,
                &self.header(name),
                &expected.iter().map(String::as_str).collect(),
            )?;
        }
        let framings = ["content-length", "transfer-encoding"].map(|it| self.header(it).len());
        if framings.iter().sum::<usize>() > 1 {
            return Err(format!("framed twice: {:?}", self.headers));
        }
        Ok(())
    }

    fn agrees_on_content(&self, limits: Limits, content: &Content) -> Result<(), Finding> {
        match content {
            Content::Bytes(_) if limits.blind_to_chunks && self.is_chunked() => Ok(()),
            Content::Bytes(expected) => same("the body", self.body.as_ref().unwrap(), expected),
            Content::Form(expected) => {
                if self.forms.is_empty() {
                    return Err("the server told of no form".into());
                }
                for (reader, pairs) in &self.forms {
                    same(
                        &format!("{reader}'s form"),
                        &by_name(pairs),
                        &by_name(expected),
                    )?;
                }
                Ok(())
            }
            Content::Json(expected) => {
                let body = serde_json::from_slice(self.body.as_ref().unwrap()).unwrap_or_default();
                if !alike(&body, expected, FAITHFUL) {
                    return Err(format!("the body is {body}, not {expected}"));
                }
                for (reader, text) in &self.json {
                    let read: Value = serde_json::from_str(text).unwrap_or_default();
                    if !alike(&read, expected, limits) {
                        return Err(format!("{reader}'s JSON is {read}, not {expected}"));
                    }
                }
                Ok(())
            }
        }
    }

    fn is_chunked(&self) -> bool {
        !self.header("transfer-encoding").is_empty()
    }

    fn header(&self, name: &str) -> Vec<&str> {
        let fields = self.headers.iter().filter(|(it, _)| it == name);
        fields.map(|(_, value)| value.as_str()).collect()
    }
}

fn put(readers: &mut BTreeMap<String, Pairs>, reader: &str, pair: &[String]) {
    let pairs = readers.entry(reader.to_owned()).or_default();
    if let [name, value] = pair {
        pairs.push((name.clone(), value.clone()));
    }
}

fn same<T: PartialEq + std::fmt::Debug>(what: &str, read: &T, decided: &T) -> Result<(), Finding> {
    match read == decided {
        true => Ok(()),
        false => Err(format!("{what} is {read:?}, not {decided:?}")),
    }
}

/// By name, the values of each in their order: tables forget the order of names.
pub(super) fn by_name(pairs: &Pairs) -> Pairs {
    let mut sorted = pairs.clone();
    sorted.sort_by(|(one, _), (other, _)| one.cmp(other));
    sorted
}

fn last_of_each(pairs: &Pairs) -> Pairs {
    let last: BTreeMap<_, _> = pairs.iter().cloned().collect();
    last.into_iter().collect()
}

/// Whether a value is what was decided, as far as the reader can tell.
fn alike(read: &Value, decided: &Value, limits: Limits) -> bool {
    match (read, decided) {
        (Value::Array(read), Value::Array(decided)) => {
            read.len() == decided.len()
                && read
                    .iter()
                    .zip(decided)
                    .all(|(one, other)| alike(one, other, limits))
        }
        (Value::Object(read), Value::Array(decided)) if limits.lua => {
            read.is_empty() && decided.is_empty()
        }
        (Value::Object(read), Value::Object(decided)) => {
            read.len() == decided.len()
                && decided.iter().all(|(name, decided)| {
                    read.get(name)
                        .is_some_and(|read| alike(read, decided, limits))
                })
        }
        (Value::Number(one), Value::Number(other)) => {
            let whole = one.as_i128().zip(other.as_i128());
            match whole.filter(|_| !limits.doubles) {
                Some((one, other)) => one == other,
                None => are_near(one.as_f64().unwrap(), other.as_f64().unwrap(), limits),
            }
        }
        (one, other) => one == other,
    }
}

/// `1` and `1.0` are one number.
fn are_near(one: f64, other: f64, limits: Limits) -> bool {
    let precision = if limits.lua { 1e-13 } else { 0.0 };
    (one - other).abs() <= other.abs() * precision
}

fn unhex(word: &str) -> Option<Vec<u8>> {
    let digits = word.as_bytes();
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    digits.chunks(2).map(byte).collect()
}
