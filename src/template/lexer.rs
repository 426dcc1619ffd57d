//! A template as pieces: text, and actions as tokens. Trim markers and comments end here; no name has a meaning yet.

use std::ops::Range;

use serde_json::Number;

use crate::template::problem::TemplateProblem;

/// Text or an action, in order.
#[derive(Debug, PartialEq)]
pub(super) enum Piece<'a> {
    /// What stands outside `{{` and `}}`, trimmed as the markers beside it say.
    Text { text: &'a str, start: usize },
    /// What stands inside them.
    Action {
        tokens: Vec<Token>,
        at: Range<usize>,
    },
}

/// A token, and where it is.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Token {
    pub(super) kind: TokenKind,
    pub(super) at: Range<usize>,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum TokenKind {
    /// A keyword, a function or a bare name, split at its dots.
    Word(Vec<String>),
    /// `.` has no names, `.a.b` has two.
    Fields(Vec<String>),
    /// `$` has no name but the empty one; `$v.a` has fields.
    Variable(String, Vec<String>),
    Text(String),
    Number(Number),
    Open,
    Close,
    /// `:=`
    Declare,
    /// What the subset leaves out: `|`, `=` and `,`.
    Refused(char),
}

/// Splits a template.
///
/// # Errors
/// The mistakes of every action that cannot be read.
pub(super) fn pieces(source: &str) -> Result<Vec<Piece<'_>>, Vec<TemplateProblem>> {
    let mut pieces = Vec::new();
    let mut problems = Vec::new();
    let (mut at, mut trims) = (0, false);
    while let Some(open) = source[at..].find("{{").map(|offset| at + offset) {
        let mut action = Action::open(source, open);
        push_text(&mut pieces, source, at..open, (trims, action.trims_before));
        match action.read() {
            Ok(tokens) if action.is_comment => drop(tokens),
            Ok(tokens) => pieces.push(Piece::Action {
                tokens,
                at: open..action.next,
            }),
            Err(problem) => {
                problems.push(problem);
                let close = source[action.next..].find("}}");
                action.next = close.map_or(source.len(), |offset| action.next + offset + 2);
            }
        }
        (at, trims) = (action.next, action.trims_after);
    }
    push_text(&mut pieces, source, at..source.len(), (trims, false));
    if problems.is_empty() {
        Ok(pieces)
    } else {
        Err(problems)
    }
}

const BLANKS: [char; 4] = [' ', '\t', '\r', '\n'];

fn push_text<'a>(
    pieces: &mut Vec<Piece<'a>>,
    source: &'a str,
    at: Range<usize>,
    (trims_start, trims_end): (bool, bool),
) {
    let mut text = &source[at.clone()];
    if trims_end {
        text = text.trim_end_matches(BLANKS);
    }
    let whole = text.len();
    if trims_start {
        text = text.trim_start_matches(BLANKS);
    }
    if !text.is_empty() {
        let start = at.start + (whole - text.len());
        pieces.push(Piece::Text { text, start });
    }
}

/// An action while it is read.
struct Action<'a> {
    source: &'a str,
    open: usize,
    next: usize,
    trims_before: bool,
    trims_after: bool,
    is_comment: bool,
}

impl<'a> Action<'a> {
    fn open(source: &'a str, open: usize) -> Self {
        let inside = &source[open + 2..];
        let trims_before = inside.starts_with('-') && inside[1..].starts_with(BLANKS);
        let next = open + if trims_before { 3 } else { 2 };
        let rest = match trims_before {
            true => source[next..].trim_start_matches(BLANKS),
            false => &source[next..],
        };
        Self {
            source,
            open,
            next,
            trims_before,
            trims_after: false,
            is_comment: rest.starts_with("/*"),
        }
    }

    fn read(&mut self) -> Result<Vec<Token>, TemplateProblem> {
        if self.is_comment {
            return self.comment();
        }
        let mut tokens = Vec::new();
        while !self.closes() {
            let blanks = self.rest().len() - self.rest().trim_start_matches(BLANKS).len();
            if blanks > 0 {
                self.next += blanks;
                continue;
            }
            tokens.push(self.token()?);
        }
        Ok(tokens)
    }

    fn comment(&mut self) -> Result<Vec<Token>, TemplateProblem> {
        let Some(end) = self.rest().find("*/") else {
            return Err(self.unclosed("a comment is not closed", "close it with `*/}}`"));
        };
        self.next += end + 2;
        if self.closes() {
            return Ok(Vec::new());
        }
        Err(self.unclosed(
            "a comment is the whole of its action",
            "write `}}` right after `*/`",
        ))
    }

    fn rest(&self) -> &'a str {
        &self.source[self.next..]
    }

    /// Steps over `}}` or ` -}}`.
    fn closes(&mut self) -> bool {
        let blank = self.rest().trim_start_matches(BLANKS);
        self.trims_after = blank.len() < self.rest().len() && blank.starts_with("-}}");
        if self.trims_after {
            self.next = self.source.len() - blank.len() + 3;
            return true;
        }
        let closes = self.rest().starts_with("}}");
        if closes {
            self.next += 2;
        }
        closes
    }

    fn token(&mut self) -> Result<Token, TemplateProblem> {
        let start = self.next;
        let rest = self.rest();
        let Some(first) = rest.chars().next() else {
            return Err(self.unclosed("`{{` is not closed", "close it with `}}`"));
        };
        let kind = match first {
            '(' | ')' | '|' | '=' | ',' => {
                self.next += 1;
                match first {
                    '(' => TokenKind::Open,
                    ')' => TokenKind::Close,
                    other => TokenKind::Refused(other),
                }
            }
            ':' if rest.starts_with(":=") => {
                self.next += 2;
                TokenKind::Declare
            }
            '.' => TokenKind::Fields(self.fields()?),
            '$' => {
                self.next += 1;
                let name = self.name().to_owned();
                TokenKind::Variable(name, self.fields_if_any()?)
            }
            '"' | '`' => TokenKind::Text(self.text(first)?),
            '0'..='9' | '-' | '+' => TokenKind::Number(self.number()?),
            _ => self.word(first)?,
        };
        Ok(Token {
            kind,
            at: start..self.next,
        })
    }

    fn word(&mut self, first: char) -> Result<TokenKind, TemplateProblem> {
        let name = self.name();
        if name.is_empty() {
            let at = self.next..self.next + first.len_utf8();
            let message = format!("`{first}` has no meaning in a template");
            return Err(TemplateProblem::new(&at, message, "remove it"));
        }
        let mut names = vec![name.to_owned()];
        names.extend(self.fields_if_any()?);
        Ok(TokenKind::Word(names))
    }

    /// Letters, digits and `_`; hyphens between them, which names of parameters have and Go's templates do not know.
    fn name(&mut self) -> &'a str {
        let rest = self.rest();
        let is_inner = |c: char| c.is_alphanumeric() || c == '_';
        let ends = |&(index, c): &(usize, char)| {
            let hyphen = c == '-' && index > 0 && rest[index + 1..].starts_with(is_inner);
            !is_inner(c) && !hyphen
        };
        let length = rest.char_indices().find(ends);
        let length = length.map_or(rest.len(), |(index, _)| index);
        self.next += length;
        &rest[..length]
    }

    fn fields_if_any(&mut self) -> Result<Vec<String>, TemplateProblem> {
        match self.rest().starts_with('.') {
            true => self.fields(),
            false => Ok(Vec::new()),
        }
    }

    fn fields(&mut self) -> Result<Vec<String>, TemplateProblem> {
        let start = self.next;
        let mut fields = Vec::new();
        while self.rest().starts_with('.') {
            self.next += 1;
            let name = self.name();
            match name.is_empty() {
                false => fields.push(name.to_owned()),
                true if fields.is_empty() && !self.rest().starts_with('.') => break,
                true => {
                    let at = start..self.next;
                    let remedy = "write a name of letters, digits and `_`, or `index X \"name\"` for any other";
                    return Err(TemplateProblem::new(&at, "`.` without a name", remedy));
                }
            }
        }
        Ok(fields)
    }

    fn text(&mut self, quote: char) -> Result<String, TemplateProblem> {
        let start = self.next;
        let mut text = String::new();
        let mut chars = self.rest()[1..].char_indices();
        while let Some((index, c)) = chars.next() {
            let character = match c {
                c if c == quote => {
                    self.next = start + 1 + index + 1;
                    return Ok(text);
                }
                '\\' if quote == '"' => chars.next().and_then(|(_, escaped)| unescape(escaped)),
                '\n' if quote == '"' => None,
                other => Some(other),
            };
            let Some(character) = character else {
                let at = start..start + 1 + index + c.len_utf8();
                let remedy =
                    "a string has only the escapes \\\\ \\\" \\n \\r \\t, and no line break";
                return Err(TemplateProblem::new(
                    &at,
                    "a string that cannot be read",
                    remedy,
                ));
            };
            text.push(character);
        }
        Err(self.unclosed("a string is not closed", "close it with its quote"))
    }

    fn number(&mut self) -> Result<Number, TemplateProblem> {
        let rest = self.rest();
        let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '+' | '_');
        let length = rest.find(|c| !is_part(c)).unwrap_or(rest.len());
        let spelled = &rest[..length];
        let at = self.next..self.next + length;
        self.next = at.end;
        let number = serde_json::from_str(spelled.strip_prefix('+').unwrap_or(spelled));
        number.map_err(|_| {
            let message = format!("`{spelled}` is not a number");
            TemplateProblem::new(&at, message, "write it as JSON does, such as 10 or 0.5")
        })
    }

    fn unclosed(&self, message: &str, remedy: &str) -> TemplateProblem {
        TemplateProblem::new(&(self.open..self.source.len()), message, remedy)
    }
}

fn unescape(escaped: char) -> Option<char> {
    match escaped {
        'n' => Some('\n'),
        'r' => Some('\r'),
        't' => Some('\t'),
        '\\' | '"' => Some(escaped),
        _ => None,
    }
}
