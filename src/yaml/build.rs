//! From the events of the parser to nodes.

use std::collections::HashMap;
use std::sync::Arc;

use serde_yaml::granit_parser::ErrorKind;
use serde_yaml::granit_parser::Event;
use serde_yaml::granit_parser::Options;
use serde_yaml::granit_parser::Parser;
use serde_yaml::granit_parser::ScalarStyle;
use serde_yaml::granit_parser::ScanError;
use serde_yaml::granit_parser::Span;
use serde_yaml::granit_parser::StrInput;
use serde_yaml::granit_parser::StructureStyle;

use crate::problem::Located;
use crate::problem::Place;
use crate::problem::Problem;
use crate::problem::Problems;
use crate::yaml::Entry;
use crate::yaml::MAX_DEPTH;
use crate::yaml::Mapping;
use crate::yaml::Node;
use crate::yaml::Resolved;
use crate::yaml::Scalar;
use crate::yaml::Style;
use crate::yaml::Value;

/// So many mistakes of one file are told; what comes after them is mostly their echo.
const MOST_TOLD: usize = 100;

/// The tree of a text. `None`: there is no document, or it cannot be parsed to its end.
pub(super) fn tree(file: &Arc<str>, text: &str, problems: &mut Problems) -> Option<Node> {
    let parser = Parser::new_from_str_with_options(text, options());
    let most = problems.len() + MOST_TOLD;
    let misread = None;
    let mut build = Build {
        file,
        text,
        parser,
        problems,
        most,
        misread,
    };
    build.document().ok().flatten()
}

fn options() -> Options {
    serde_yaml::granit_parser::options! {
        disallow_directives: true,
        // Told by us, each at its place, instead of ending the parse.
        emit_unresolved_aliases: true,
        emit_anchor_events: true,
        emit_comments: false,
        flow_nesting_limit: MAX_DEPTH,
        block_nesting_limit: MAX_DEPTH,
    }
}

/// The parse is at its end; the reason has been told.
struct Stop;

struct Build<'a> {
    file: &'a Arc<str>,
    text: &'a str,
    parser: Parser<'a, StrInput<'a>>,
    problems: &'a mut Problems,
    most: usize,
    /// The last line on which `{{` was read as a mapping.
    misread: Option<usize>,
}

impl<'a> Build<'a> {
    fn document(&mut self) -> Result<Option<Node>, Stop> {
        let mut root = None;
        loop {
            let (event, span) = self.next()?;
            match event {
                Event::StreamEnd => return Ok(root),
                Event::DocumentStart(..) if root.is_some() => {
                    let problem = Problem::error(&self.place(&span), "a second document");
                    self.tell(problem.remedy("put it into a file of its own"))?;
                    return Ok(root);
                }
                Event::StreamStart | Event::DocumentStart(..) | Event::DocumentEnd => {}
                event => root = Some(self.node(event, span, 0)?),
            }
        }
    }

    fn node(&mut self, event: Event<'a>, span: Span, depth: usize) -> Result<Node, Stop> {
        if depth > MAX_DEPTH {
            self.tell(Problem::error(&self.place(&span), too_deep()).remedy(FLATTER))?;
            return Err(Stop);
        }
        if let Some(tag) = span.tag_span() {
            let problem = Problem::error(&self.place(&tag), "tags (`!…`) are not supported");
            self.tell(problem.remedy("remove it; quotes make a value text"))?;
        }
        match event {
            Event::Scalar(text, style, ..) => Ok(self.scalar(&text, style, &span)),
            Event::SequenceStart(style, ..) => self.sequence(style, span, depth),
            Event::MappingStart(style, ..) => self.mapping(style, span, depth),
            _ => {
                let place = self.place(&span);
                let problem = Problem::error(&place, "aliases (`*name`) are not supported");
                self.tell(problem.remedy("repeat the value"))?;
                Ok(Node {
                    value: Value::Broken,
                    place,
                })
            }
        }
    }

    fn scalar(&self, text: &str, style: ScalarStyle, span: &Span) -> Node {
        let place = self.place(span);
        let source = span.slice(self.text).unwrap_or_default();
        let (style, opening) = match style {
            ScalarStyle::Plain => (Style::Plain, 0),
            ScalarStyle::SingleQuoted | ScalarStyle::DoubleQuoted => (Style::Quoted, 1),
            ScalarStyle::Literal | ScalarStyle::Folded => (Style::Block, 0),
        };
        let is_verbatim = match style {
            Style::Block => stands_as_it_is(text, source, place.column() - 1),
            Style::Plain | Style::Quoted => {
                let inside = source.get(opening..source.len().saturating_sub(opening));
                inside == Some(text) && !text.contains('\n')
            }
        };
        let place = if is_verbatim {
            let column = place.column() + opening;
            place.with_text_at(column)
        } else {
            place
        };
        // The parser writes a value that is absent as `~`.
        let text = if style == Style::Plain {
            text_of_plain(text, source)
        } else {
            text
        };
        let scalar = Scalar {
            text: text.to_owned(),
            style,
        };
        match scalar.resolve() {
            Resolved::Null => Node {
                value: Value::Null,
                place,
            },
            _ => Node {
                value: Value::Scalar(scalar),
                place,
            },
        }
    }

    fn sequence(&mut self, style: StructureStyle, start: Span, depth: usize) -> Result<Node, Stop> {
        let mut items = Vec::new();
        loop {
            let (event, span) = self.next()?;
            if event == Event::SequenceEnd {
                let place = self.collection(style, &start, &span, 1);
                return Ok(Node {
                    value: Value::Sequence(items),
                    place,
                });
            }
            items.push(self.node(event, span, depth + 1)?);
        }
    }

    fn mapping(&mut self, style: StructureStyle, start: Span, depth: usize) -> Result<Node, Stop> {
        let mut keys = Keys::default();
        loop {
            let (event, span) = self.next()?;
            if event == Event::MappingEnd {
                let first = keys
                    .entries
                    .first()
                    .map_or(1, |entry| entry.key.place.length());
                let place = self.collection(style, &start, &span, first);
                return Ok(keys.into_node(place));
            }
            let is_template = style == StructureStyle::Flow
                && matches!(event, Event::MappingStart(StructureStyle::Flow, ..))
                && span.start.index() == start.start.index() + 1;
            keys.is_template |= is_template;
            let key = self.key(event, span, depth, is_template)?;
            let (event, span) = self.next()?;
            let value = self.node(event, span, depth + 1)?;
            if let Some(key) = key {
                self.entry(&mut keys, Entry { key, value })?;
            }
        }
    }

    /// The key, or `None` if it is none, which has been told or will be told as a misread template.
    fn key(
        &mut self,
        event: Event<'a>,
        span: Span,
        depth: usize,
        is_template: bool,
    ) -> Result<Option<Located<Scalar>>, Stop> {
        if is_template {
            self.template(&span)?;
        }
        let plain = matches!(event, Event::Scalar(_, ScalarStyle::Plain, ..));
        let source = span.slice(self.text).unwrap_or_default();
        let node = self.node(event, span, depth + 1)?;
        let problem = match node.value {
            Value::Broken => return Ok(None),
            Value::Scalar(scalar) if plain && scalar.text == "<<" => {
                Problem::error(&node.place, "merge keys (`<<`) are not supported")
                    .remedy("repeat the entries")
            }
            Value::Scalar(scalar) => return Ok(Some(Located::new(scalar, node.place))),
            // `null:` and `~:` keep their text; nothing at all is not a key.
            Value::Null if !source.is_empty() => {
                let scalar = Scalar {
                    text: source.to_owned(),
                    style: Style::Plain,
                };
                return Ok(Some(Located::new(scalar, node.place)));
            }
            Value::Null => Problem::error(&node.place, "a key is missing before `:`"),
            Value::Sequence(_) | Value::Mapping(_) if is_template => return Ok(None),
            Value::Sequence(_) | Value::Mapping(_) => {
                Problem::error(&node.place, "a key must be text")
                    .remedy("quote it if it is meant as text")
            }
        };
        self.tell(problem)?;
        Ok(None)
    }

    /// `{{x}}` without quotes: a mapping whose key is a mapping. `inner` is the second brace.
    fn template(&mut self, inner: &Span) -> Result<(), Stop> {
        let (line, column) = (inner.start.line(), inner.start.col());
        self.misread = Some(line);
        let rest = inner.start.byte_offset().and_then(|at| self.text.get(at..));
        let rest = rest
            .and_then(|rest| rest.lines().next())
            .unwrap_or_default();
        let length = rest
            .find("}}")
            .map_or(2, |end| rest[..end].chars().count() + 3);
        let place = Place::new(self.file, line, column, length);
        let problem = Problem::error(&place, "YAML reads `{{` as a mapping, not as a template");
        self.tell(problem.remedy("quote it: put the whole value into quotes"))
    }

    fn entry(&mut self, keys: &mut Keys, entry: Entry) -> Result<(), Stop> {
        if let Some(&first) = keys.seen.get(entry.name()) {
            let message = format!("`{}` is declared twice", entry.name());
            let first = &keys.entries[first].key.place;
            let mut problem = Problem::error(&entry.key.place, message);
            problem = problem.second("first declared here", first);
            // The second value is never decoded: nobody else can tell that it is a credential.
            let places = [first, &entry.key.place];
            if places.iter().any(|p| self.may_show_a_credential(p)) {
                problem = problem.hides_source();
            }
            return self.tell(problem);
        }
        keys.seen
            .insert(entry.name().to_owned(), keys.entries.len());
        keys.entries.push(entry);
        Ok(())
    }

    /// The next event that is not an anchor.
    fn next(&mut self) -> Result<(Event<'a>, Span), Stop> {
        loop {
            match self.parser.next_event() {
                Some(Ok((Event::Anchor(..), span))) => {
                    let place = self.place(&span);
                    let problem = Problem::error(&place, "anchors (`&name`) are not supported");
                    self.tell(problem.remedy("repeat the value where it is needed"))?;
                }
                Some(Ok(next)) => return Ok(next),
                Some(Err(error)) => {
                    self.unreadable(&error)?;
                    return Err(Stop);
                }
                None => return Err(Stop),
            }
        }
    }

    fn unreadable(&mut self, error: &ScanError) -> Result<(), Stop> {
        let mark = error.marker();
        if self.misread == Some(mark.line()) {
            // The echo of a mistake that has been told.
            return Ok(());
        }
        let opening = opening_quote(error.kind(), self.text, mark.line());
        let (line, column) = opening.unwrap_or((mark.line(), mark.col() + 1));
        let place = Place::new(self.file, line, column, 1);
        let (message, remedy) = in_words(error.kind());
        let mut problem = Problem::error(&place, message.unwrap_or_else(|| error.info()));
        if self.line(&place).contains("{{") {
            problem = problem.remedy("put the whole value into quotes if it contains `{{`");
        } else if let Some(remedy) = remedy {
            problem = problem.remedy(remedy);
        }
        if self.may_show_a_credential(&place) {
            problem = problem.hides_source();
        }
        self.tell(problem)
    }

    fn tell(&mut self, problem: Problem) -> Result<(), Stop> {
        let place = problem.place().clone();
        self.problems.push(problem);
        if self.problems.len() < self.most {
            return Ok(());
        }
        let rest = "too many mistakes: the rest of this file was not read";
        self.problems.push(Problem::error(&place, rest));
        Err(Stop)
    }

    fn collection(&self, style: StructureStyle, start: &Span, end: &Span, first: usize) -> Place {
        match style {
            StructureStyle::Flow => self.place(&Span::new(start.start, end.end)),
            StructureStyle::Block => {
                let mark = start.start;
                Place::new(self.file, mark.line(), mark.col() + 1, first)
            }
        }
    }

    /// Whether the line of a place may show a credential when it is drawn, where nobody knows
    /// which of its words are values.
    fn may_show_a_credential(&self, place: &Place) -> bool {
        const WORDS: [&str; 8] = [
            "token", "password", "secret", "key", "auth", "bearer", "cookie", "value",
        ];
        let line = self.line(place).to_ascii_lowercase();
        WORDS.iter().any(|word| line.contains(word))
    }

    fn line(&self, place: &Place) -> &'a str {
        let mut lines = self.text.lines();
        lines.nth(place.line() - 1).unwrap_or_default()
    }

    /// The first line of a span, which goes on to the last.
    fn place(&self, span: &Span) -> Place {
        let source = span.slice(self.text).unwrap_or_default();
        let length = source.lines().next().unwrap_or_default().chars().count();
        let last = span.start.line() + source.lines().count().saturating_sub(1);
        Place::new(self.file, span.start.line(), span.start.col() + 1, length).through(last)
    }
}

/// Whether a block of text stands in the source line by line, each behind the same indentation. The source begins
/// behind that of its first line.
fn stands_as_it_is(text: &str, source: &str, indentation: usize) -> bool {
    let mut lines = source.lines().enumerate();
    text.lines().all(|text| match lines.next() {
        Some((0, line)) => line == text,
        // Empty lines have as many spaces as their author likes.
        Some((_, line)) if text.is_empty() => line.trim_start_matches(' ').is_empty(),
        Some((_, line)) => line.get(indentation..) == Some(text),
        None => false,
    })
}

#[derive(Default)]
struct Keys {
    entries: Vec<Entry>,
    seen: HashMap<String, usize>,
    is_template: bool,
}

impl Keys {
    fn into_node(self, place: Place) -> Node {
        let entries = self.entries;
        let value = match self.is_template {
            true => Value::Broken,
            false => Value::Mapping(Mapping { entries }),
        };
        Node { value, place }
    }
}

fn text_of_plain<'a>(text: &'a str, source: &str) -> &'a str {
    if source.is_empty() { "" } else { text }
}

/// Where the quote stands that is not closed: the parser knows only where it gave up. Line and
/// column of the last quote on the nearest line above with an odd number of them.
fn opening_quote(kind: &ErrorKind, text: &str, line: usize) -> Option<(usize, usize)> {
    let (ErrorKind::UnclosedQuotedScalar
    | ErrorKind::InvalidQuotedScalarIndent
    | ErrorKind::DocumentIndicatorInQuotedScalar) = kind
    else {
        return None;
    };
    let lines: Vec<&str> = text.lines().take(line).collect();
    lines.iter().enumerate().rev().find_map(|(index, line)| {
        let quote = ['\'', '"']
            .into_iter()
            .find(|q| line.matches(*q).count() % 2 == 1)?;
        let before = &line[..line.rfind(quote)?];
        Some((index + 1, before.chars().count() + 1))
    })
}

/// The mistakes that people make, in our words, and how to mend them.
fn in_words(kind: &ErrorKind) -> (Option<String>, Option<&'static str>) {
    use ErrorKind as E;
    let (message, remedy) = match kind {
        E::TabNotAllowed | E::TabInBlockIndentation | E::TabInIndentation | E::TabInPlainScalar => {
            ("a tab stands where YAML allows only spaces", "use spaces")
        }
        E::TabAtBlockScalarStart => ("a block of text starts with a tab", "use spaces"),
        E::DirectiveDisallowed => ("directives (`%…`) are not supported", "remove the line"),
        E::MappingValueNotAllowed => (
            "a `:` that YAML does not expect",
            "quote a value that contains `: `, and see that the lines are indented alike",
        ),
        E::InvalidIndentation | E::ExpectedBlockMappingKey | E::ExpectedBlockSequenceEntry => (
            "this does not fit the lines above it",
            "indent it like its neighbours, or quote the value that ends here",
        ),
        E::SimpleKeyExpected => ("a key without `:`", "write `key: value`"),
        E::UnclosedQuotedScalar
        | E::InvalidQuotedScalarIndent
        | E::DocumentIndicatorInQuotedScalar => (
            "a quote that is not closed",
            "close it on the same line, or indent the lines of the text",
        ),
        E::RecursionLimitExceeded => return (Some(too_deep()), Some(FLATTER)),
        E::UnclosedFlowCollection { open } => {
            return (Some(format!("`{open}` is never closed")), Some("close it"));
        }
        E::UnexpectedCharacter { character } => {
            let message = format!("`{}` cannot start a value", character.escape_debug());
            return (Some(message), Some("quote the value"));
        }
        _ => return (None, None),
    };
    (Some(message.to_owned()), Some(remedy))
}

const FLATTER: &str = "write it flatter; a schema can name its parts under `$defs`";

fn too_deep() -> String {
    format!("nested deeper than {MAX_DEPTH} levels")
}
