//! From pieces to a tree: blocks and their variables. Expressions are read by [`crate::template::reader`].

use std::ops::Range;

use crate::template::lexer::{Piece, Token, TokenKind, pieces};
use crate::template::problem::TemplateProblem;
use crate::template::reader::Reader;
use crate::template::scope::Scope;
use crate::template::sight::{Mentions, Operand, Sight};
use crate::template::tree::{Arm, Expression, Node, Path, Place, Print, Source};

/// Bytes of a template. Policies are small; this bounds the work of every step below.
const MAX_BYTES: usize = 64 << 10;

/// Blocks in blocks. Reading and rendering recurse this deep, each with a few hundred bytes of stack.
const MAX_DEPTH: usize = 32;

/// A template that has been read.
#[derive(Debug)]
pub(super) struct Parsed {
    pub(super) nodes: Vec<Node>,
    pub(super) mentions: Mentions,
}

/// Reads a template and resolves every name in it.
///
/// # Errors
/// Every mistake that can be told without guessing.
pub(super) fn parse(text: &str, scope: &Scope<'_>) -> Result<Parsed, Vec<TemplateProblem>> {
    if text.len() > MAX_BYTES {
        let message = format!(
            "the template has {} bytes; {MAX_BYTES} are allowed",
            text.len()
        );
        let problem = TemplateProblem::new(&(0..text.len()), message, "make it shorter");
        return Err(vec![problem]);
    }
    let mut parser = Parser {
        pieces: pieces(text)?.into_iter(),
        scope,
        sight: Sight::default(),
        mentions: Mentions::default(),
        problems: Vec::new(),
        depth: 0,
        gave_up: false,
    };
    let (nodes, stop) = parser.block();
    match stop {
        Stop::Eof => {}
        Stop::End(at) => parser.tell(&at, "`end` without a block", "remove it"),
        Stop::Else(_, at) => parser.tell(&at, "`else` without a block", "remove it"),
    }
    if parser.problems.is_empty() {
        let mentions = parser.mentions;
        Ok(Parsed { nodes, mentions })
    } else {
        Err(parser.problems)
    }
}

struct Parser<'a, 's> {
    pieces: std::vec::IntoIter<Piece<'a>>,
    scope: &'s Scope<'s>,
    sight: Sight,
    mentions: Mentions,
    problems: Vec<TemplateProblem>,
    depth: usize,
    gave_up: bool,
}

/// What ends a block.
enum Stop {
    Eof,
    End(Range<usize>),
    /// With what follows the word.
    Else(Vec<Token>, Range<usize>),
}

impl Parser<'_, '_> {
    fn block(&mut self) -> (Vec<Node>, Stop) {
        let mut nodes = Vec::new();
        while let Some(piece) = self.pieces.next() {
            let (tokens, at) = match piece {
                Piece::Text { text, start } => {
                    let text = text.to_owned();
                    nodes.push(Node::Text { text, start });
                    continue;
                }
                Piece::Action { tokens, at } => (tokens, at),
            };
            match keyword(&tokens) {
                Some("end") => {
                    self.tell_rest(&tokens[1..], "end");
                    return (nodes, Stop::End(at));
                }
                Some("else") => return (nodes, Stop::Else(tokens[1..].to_vec(), at)),
                Some("if") => nodes.extend(self.choice(&tokens[1..], at, false)),
                Some("with") => nodes.extend(self.choice(&tokens[1..], at, true)),
                Some(word) => self.refused(word, &tokens, &at),
                None => nodes.extend(self.statement(&tokens, &at)),
            }
        }
        (nodes, Stop::Eof)
    }

    /// `if` or `with`, up to its end.
    fn choice(&mut self, tokens: &[Token], at: Range<usize>, rebinds: bool) -> Option<Node> {
        let outer = self.sight.mark();
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            let message = format!("blocks nest deeper than {MAX_DEPTH}");
            self.tell(&at, message, "use `else if`, or a flatter template");
            // What follows would only be an echo of this.
            self.pieces = Vec::new().into_iter();
            self.gave_up = true;
        }
        let mut arms = Vec::new();
        let (mut head, mut otherwise) = (Some((tokens.to_vec(), at.clone())), Vec::new());
        let mut is_closed = self.gave_up;
        while let Some((tokens, place)) = head.take() {
            let (slot, condition) = self.condition(&tokens, &place, rebinds);
            let inner = self.sight.mark();
            let (body, stop) = self.block();
            self.sight.forget(inner);
            let condition = condition.unwrap_or(Expression::Constant(serde_json::Value::Null));
            arms.push(Arm {
                slot,
                condition,
                body,
            });
            match stop {
                Stop::Eof => {}
                Stop::End(_) => is_closed = true,
                Stop::Else(rest, place) => {
                    self.sight.leave_dot(outer);
                    match keyword(&rest) {
                        Some("if") if !rebinds => head = Some((rest[1..].to_vec(), place)),
                        _ => (otherwise, is_closed) = self.last_arm(&rest, &place),
                    }
                }
            }
        }
        if !is_closed {
            self.tell(&at, "a block is not closed", "close it with `{{end}}`");
        }
        self.depth -= 1;
        self.sight.forget(outer);
        Some(Node::Choice {
            arms,
            otherwise,
            at,
        })
    }

    /// What follows `else`, and whether the block ends after it.
    fn last_arm(&mut self, rest: &[Token], at: &Range<usize>) -> (Vec<Node>, bool) {
        match keyword(rest) {
            Some("with") => self.tell(
                at,
                "`else with` is not part of the template language",
                "write `{{else}}{{with …}}…{{end}}`",
            ),
            Some("if") => self.tell(
                at,
                "`else if` belongs to `if`",
                "write `{{else}}{{if …}}…{{end}}`",
            ),
            _ => self.tell_rest(rest, "else"),
        }
        let inner = self.sight.mark();
        let (nodes, stop) = self.block();
        self.sight.forget(inner);
        if let Stop::Else(_, at) = &stop {
            self.tell(at, "a second `else`", "a block has one; close it before");
        }
        (nodes, !matches!(stop, Stop::Eof))
    }

    /// The condition of an arm, which may name its value; `with` makes it the dot.
    fn condition(
        &mut self,
        tokens: &[Token],
        at: &Range<usize>,
        rebinds: bool,
    ) -> (Option<usize>, Option<Expression>) {
        let (name, tokens) = match tokens {
            [variable, declare, rest @ ..] if declare.kind == TokenKind::Declare => {
                (Some(variable), rest)
            }
            all => (None, all),
        };
        let Some(operand) = self.read(tokens, at) else {
            // The block is read all the same, where its dot and its variable must have some meaning.
            if rebinds {
                self.sight.set_dot(Operand::Unknown);
            }
            if let Some(name) = name {
                self.declare(name, Operand::Unknown);
            }
            return (None, None);
        };
        let (slot, value) = match &operand {
            Operand::Expression(call @ Expression::Call(..)) if rebinds || name.is_some() => {
                let slot = self.sight.slot();
                (
                    Some(slot),
                    (Operand::Expression(slot_path(slot)), call.clone()),
                )
            }
            Operand::Expression(other) => (None, (operand.clone(), other.clone())),
            Operand::Unknown => (
                None,
                (
                    Operand::Unknown,
                    Expression::Constant(serde_json::Value::Null),
                ),
            ),
            base => {
                let truth = Expression::Constant(serde_json::Value::Bool(true));
                if !rebinds {
                    self.tell(
                        at,
                        "a group of names has no value",
                        "name one value of it, such as `.parameters.x`",
                    );
                }
                (None, (base.clone(), truth))
            }
        };
        if let Some(name) = name {
            self.declare(name, value.0.clone());
        }
        if rebinds {
            self.sight.set_dot(value.0);
        }
        (slot, Some(value.1))
    }

    /// An action that is no block: it prints, or declares a variable.
    fn statement(&mut self, tokens: &[Token], at: &Range<usize>) -> Option<Node> {
        if let [variable, declare, rest @ ..] = tokens
            && declare.kind == TokenKind::Declare
        {
            let value = self.read(rest, at).unwrap_or(Operand::Unknown);
            let Operand::Expression(call @ Expression::Call(..)) = value else {
                self.declare(variable, value);
                return None;
            };
            let slot = self.sight.slot();
            self.declare(variable, Operand::Expression(slot_path(slot)));
            return Some(Node::Let { slot, value: call });
        }
        match self.read(tokens, at)? {
            Operand::Expression(Expression::Constant(serde_json::Value::Null)) => {
                self.tell(
                    at,
                    "`nil` cannot be printed",
                    "write `null` into the JSON, or remove it",
                );
                None
            }
            Operand::Expression(value) => Some(Node::Print(Print {
                value,
                at: at.clone(),
                place: Place::Plain,
            })),
            Operand::Unknown => None,
            _ => {
                let remedy = "name one value of it, such as `.parameters.x`";
                self.tell(at, "a group of names cannot be printed", remedy);
                None
            }
        }
    }

    fn read(&mut self, tokens: &[Token], at: &Range<usize>) -> Option<Operand> {
        let mut reader = Reader {
            tokens,
            whole: at,
            scope: self.scope,
            sight: &self.sight,
            mentions: &mut self.mentions,
        };
        match reader.read() {
            Ok(operand) => Some(operand),
            Err(problem) => {
                self.problems.push(problem);
                None
            }
        }
    }

    fn declare(&mut self, variable: &Token, value: Operand) {
        match &variable.kind {
            TokenKind::Variable(name, fields) if !name.is_empty() && fields.is_empty() => {
                self.sight.declare(name, value);
            }
            _ => self.tell(
                &variable.at,
                "only a variable can be declared",
                "write `$name := value`",
            ),
        }
    }

    fn refused(&mut self, word: &str, tokens: &[Token], at: &Range<usize>) {
        let remedy = match word {
            "range" => {
                "a list is printed as a whole, outside quotes: `\"items\": {{.parameters.items}}`"
            }
            "break" | "continue" => "remove it: there are no loops",
            _ => "write the text where it is needed",
        };
        let message = format!("`{word}` is not part of the template language");
        self.tell(at, message, remedy);
        if matches!(word, "range" | "define" | "block") && tokens.len() > 1 {
            // Its own `end` is no mistake; what is inside may name what only the loop would know.
            let known = self.problems.len();
            let _ = self.block();
            self.problems.truncate(known);
        }
    }

    fn tell_rest(&mut self, rest: &[Token], word: &str) {
        if let Some(token) = rest.first() {
            let message = format!("`{word}` stands alone");
            let at = token.at.clone();
            self.tell(&at, message, "remove what follows it");
        }
    }

    fn tell(&mut self, at: &Range<usize>, message: impl Into<String>, remedy: &str) {
        if !self.gave_up {
            let problem = TemplateProblem::new(at, message, remedy);
            self.problems.push(problem);
        }
    }
}

fn slot_path(slot: usize) -> Expression {
    Expression::Path(Path {
        source: Source::Slot(slot),
        steps: Vec::new(),
    })
}

/// The word that decides what an action is, unless it is the name of a value.
fn keyword(tokens: &[Token]) -> Option<&'static str> {
    const KEYWORDS: [&str; 10] = [
        "if", "with", "else", "end", "range", "define", "block", "template", "break", "continue",
    ];
    match &tokens.first()?.kind {
        TokenKind::Word(names) if names.len() == 1 => {
            KEYWORDS.into_iter().find(|it| *it == names[0])
        }
        _ => None,
    }
}
