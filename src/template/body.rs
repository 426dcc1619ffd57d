//! Templates of JSON bodies. Escaping follows from where a placeholder stands; the way back is
//! [`crate::template::invert`].

use crate::json::Tree;
use crate::json::fold_case;
use crate::template::guard::{all_structured, unguarded};
use crate::template::invert::{Inversion, Mismatch};
use crate::template::json_text::compact;
use crate::template::parser::parse;
use crate::template::pattern::{NotInvertible, Pattern};
use crate::template::problem::TemplateProblem;
use crate::template::render::{Values, render};
use crate::template::scope::Scope;
use crate::template::sight::Mentions;
use crate::template::tree::Node;
use crate::template::value::Unrendered;

/// A template that renders to one JSON value, whatever the values are: they stand in their places and nowhere else.
#[derive(Clone, Debug)]
pub struct BodyTemplate {
    nodes: Vec<Node>,
    mentions: Mentions,
    pattern: Result<Pattern, NotInvertible>,
    /// Bytes that do not depend on values.
    fixed: usize,
}

impl BodyTemplate {
    /// Reads a template and resolves every name in it.
    ///
    /// # Errors
    /// What is wrong with its actions; if nothing is, what is wrong with its JSON, or printed where it cannot stand or
    /// may be missing.
    pub fn parse(text: &str, scope: &Scope<'_>) -> Result<Self, Vec<TemplateProblem>> {
        let parsed = parse(text, scope)?;
        let mut problems: Vec<TemplateProblem> = unguarded(&parsed.nodes, scope)
            .iter()
            .map(|it| it.problem())
            .collect();
        let nodes = match compact(parsed.nodes) {
            Ok(nodes) => nodes,
            Err(found) => {
                problems.extend(found);
                problems.sort_by_key(|problem| problem.at.start);
                return Err(problems);
            }
        };
        all_structured(&nodes, scope, &mut problems);
        if !problems.is_empty() {
            problems.sort_by_key(|problem| problem.at.start);
            return Err(problems);
        }
        Ok(Self {
            pattern: Pattern::of(&nodes, scope),
            fixed: length(&nodes),
            mentions: parsed.mentions,
            nodes,
        })
    }

    /// Writes the body: compact, members in the template's order, UTF-8 unescaped.
    ///
    /// # Errors
    /// The value that is missing, or that cannot stand in its place.
    pub fn render(&self, values: &Values<'_>) -> Result<String, Unrendered> {
        let mut out = String::with_capacity(self.fixed + 128);
        render(&self.nodes, values, &mut out)?;
        Ok(out)
    }

    /// Whether a body can be taken apart again.
    ///
    /// # Errors
    /// What stands in the way, and where.
    pub fn is_invertible(&self) -> Result<(), NotInvertible> {
        self.pattern.as_ref().map(|_| ()).map_err(Clone::clone)
    }

    /// Takes a body apart into the parameters that render it. What is absent from the body stays absent: literals are
    /// filled in by rendering, parameters by their defaults. `values` gives what is not a parameter.
    ///
    /// # Errors
    /// The first place at which no parameters render this body, or that the template cannot be inverted.
    pub fn invert(&self, body: &Tree<'_>, values: &Values<'_>) -> Result<Inversion<'_>, Mismatch> {
        match &self.pattern {
            Ok(pattern) => pattern.invert(body, values),
            Err(_) => Err(Mismatch::closed()),
        }
    }

    /// The parameters that are named, in order, as often as they stand in it; in conditions too.
    pub fn parameters(&self) -> impl Iterator<Item = &str> {
        self.mentions.parameters.iter().map(String::as_str)
    }

    /// The session's variables that are named, with dots.
    pub fn session_variables(&self) -> impl Iterator<Item = &str> {
        self.mentions.session.iter().map(String::as_str)
    }

    /// Whether a sensitive variable of the context is named.
    pub fn is_sensitive(&self) -> bool {
        self.mentions.sensitive
    }

    /// Whether every rendering is a JSON object, as a credential in the body needs.
    pub fn is_object(&self) -> bool {
        starts_object(&self.nodes) == Some(true)
    }

    /// Whether some rendering has a member of this name at its top, in any case of letters.
    pub fn has_member(&self, name: &str) -> bool {
        let mut scan = Scan {
            name: fold_case(name),
            ..Scan::default()
        };
        scan.nodes(&self.nodes);
        scan.is_found
    }
}

fn length(nodes: &[Node]) -> usize {
    let lengths = nodes.iter().map(|node| match node {
        Node::Text { text, .. } => text.len(),
        Node::Choice {
            arms, otherwise, ..
        } => {
            let longest = arms.iter().map(|arm| length(&arm.body)).max();
            longest.unwrap_or(0).max(length(otherwise))
        }
        Node::Print(_) | Node::Let { .. } => 0,
    });
    lengths.sum()
}

/// Looks for a key of the outermost object. Strings that hold placeholders are no keys.
#[derive(Default)]
struct Scan {
    name: String,
    depth: usize,
    /// What has been read of a string.
    string: Option<String>,
    /// The string that was read last.
    last: String,
    is_found: bool,
}

impl Scan {
    fn nodes(&mut self, nodes: &[Node]) {
        for node in nodes {
            match node {
                Node::Text { text, .. } => self.text(text),
                // Every branch begins and ends in the same place of the JSON.
                Node::Choice {
                    arms, otherwise, ..
                } => {
                    arms.iter().for_each(|arm| self.nodes(&arm.body));
                    self.nodes(otherwise);
                }
                Node::Print(_) | Node::Let { .. } => {}
            }
        }
    }

    fn text(&mut self, text: &str) {
        let mut chars = text.chars();
        while let Some(c) = chars.next() {
            match (&mut self.string, c) {
                (Some(string), '\\') => {
                    string.push(c);
                    string.extend(chars.next());
                }
                (Some(string), '"') => {
                    self.last = std::mem::take(string);
                    self.string = None;
                }
                (Some(string), c) => string.push(c),
                (None, '"') => self.string = Some(String::new()),
                (None, '{' | '[') => self.depth += 1,
                (None, '}' | ']') => self.depth = self.depth.saturating_sub(1),
                (None, ':') => {
                    let key = serde_json::from_str::<String>(&format!("\"{}\"", self.last));
                    let is_same = key.is_ok_and(|it| fold_case(&it) == self.name);
                    self.is_found |= self.depth == 1 && is_same;
                }
                (None, _) => {}
            }
        }
    }
}

/// Whether the first byte that is written opens an object; `None` where nothing is written.
fn starts_object(nodes: &[Node]) -> Option<bool> {
    nodes.iter().find_map(|node| match node {
        Node::Text { text, .. } => text.bytes().next().map(|first| first == b'{'),
        Node::Print(_) => Some(false),
        Node::Let { .. } => None,
        Node::Choice {
            arms, otherwise, ..
        } => {
            let mut all = arms
                .iter()
                .map(|arm| arm.body.as_slice())
                .chain([otherwise.as_slice()]);
            let first = starts_object(all.next()?)?;
            Some(first && all.all(|it| starts_object(it) == Some(true)))
        }
    })
}
