//! The template language of policies: a subset of Go's text/template, read once at load and rendered with values.
//!
//! [`Template`] makes the text of a path, a query entry or a header; whoever puts it there escapes the whole of it.
//! [`BodyTemplate`] makes a JSON body and escapes each value for the place where it stands. Both go back from what was
//! sent to the parameters, where that has one answer. Nothing here loops, calls out or reads a clock, and no value
//! adds to the structure of what is rendered.

mod body;
mod guard;
mod invert;
mod json_text;
mod lexer;
mod parser;
mod pattern;
mod problem;
mod reader;
mod render;
mod scope;
mod sight;
mod tree;
mod value;

use crate::template::guard::{first_structured, unguarded};
use crate::template::parser::parse;
use crate::template::sight::Mentions;
use crate::template::tree::{Expression, Node, Path, Place, Source};

pub use self::body::BodyTemplate;
pub use self::guard::Unguarded;
pub use self::invert::{Mismatch, MismatchKind};
pub use self::pattern::NotInvertible;
pub use self::problem::TemplateProblem;
pub use self::render::Values;
pub use self::scope::{Context, Declared, Kind, Known, NoParameters, Parameter, Scope};
pub use self::value::Unrendered;

/// A template of text whose every name is known to exist.
#[derive(Clone, Debug, PartialEq)]
pub struct Template {
    nodes: Vec<Node>,
    parts: Vec<Part>,
    mentions: Mentions,
    unguarded: Option<Unguarded>,
    structured: Option<TemplateProblem>,
}

/// A piece of a template, as far as it is known before there are values. Static variables have become text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// Printed as it is.
    Text(String),
    /// The value of a parameter.
    Parameter(String),
    /// The value of a property below a parameter, by its names from the root.
    Property(Vec<String>),
    /// Something that exeat knows of the request.
    Known(Known),
    /// A variable of the context.
    Context(String),
    /// Anything else that only rendering can tell: control flow, variables of the session, items of lists.
    Computed,
}

impl Template {
    /// Reads a template and resolves every name in it.
    ///
    /// # Errors
    /// The first mistake: an unclosed action, a name that does not exist, or a feature that does not belong here.
    pub fn parse(text: &str, scope: &Scope<'_>) -> Result<Self, TemplateProblem> {
        let parsed = parse(text, scope).map_err(first)?;
        Ok(Self {
            parts: parts(&parsed.nodes),
            unguarded: unguarded(&parsed.nodes, scope).into_iter().next(),
            structured: first_structured(&parsed.nodes, scope),
            mentions: parsed.mentions,
            nodes: parsed.nodes,
        })
    }

    /// Writes the text, which nobody has escaped yet.
    ///
    /// # Errors
    /// The value that is missing, or that cannot stand in text.
    pub fn render(&self, values: &Values<'_>) -> Result<String, Unrendered> {
        let mut out = String::new();
        render::render(&self.nodes, values, &mut out)?;
        Ok(out)
    }

    /// The pieces, in order; no two texts are neighbours.
    pub fn parts(&self) -> &[Part] {
        &self.parts
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

    /// The first parameter that is printed where it may be missing. An entry that is only such a parameter is left
    /// out; with anything beside it, it is a mistake.
    pub fn unguarded(&self) -> Option<&Unguarded> {
        self.unguarded.as_ref()
    }

    /// The first list or object that would be printed, by what is declared of it. A list may stand where the template
    /// is nothing else, for whoever writes lists.
    pub fn structured(&self) -> Option<&TemplateProblem> {
        self.structured.as_ref()
    }

    /// Every text in it that is written out, on every branch.
    pub fn texts(&self) -> Vec<&str> {
        let mut found = Vec::new();
        texts(&self.nodes, &mut found);
        found
    }

    /// Whether some branch prints something of a parameter.
    pub fn prints_parameter(&self) -> bool {
        prints_parameter(&self.nodes)
    }

    /// The text, where nothing in it depends on the request.
    pub fn literal(&self) -> Option<&str> {
        match self.parts.as_slice() {
            [] => Some(""),
            [Part::Text(text)] => Some(text),
            _ => None,
        }
    }

    /// The parameter, where the template is nothing else.
    pub fn only_parameter(&self) -> Option<&str> {
        match self.parts.as_slice() {
            [Part::Parameter(name)] => Some(name),
            _ => None,
        }
    }

    /// The names of the property below a parameter, where the template is nothing else.
    pub fn only_property(&self) -> Option<&[String]> {
        match self.parts.as_slice() {
            [Part::Property(names)] => Some(names),
            _ => None,
        }
    }

    /// Whether the time stands in it: what a client wrote there is overwritten, since it cannot know our clock.
    pub fn is_of_the_moment(&self) -> bool {
        self.mentions.moment
    }

    /// Why [`Self::invert`] has no answer. It has one where at most one parameter is named, and printed once, with
    /// nothing beside it that rendering alone can tell.
    pub fn obstacle(&self) -> Option<&'static str> {
        let printed = self.parts.iter().filter(|it| it.is_of_parameter()).count();
        match self.parameters().count() {
            0 => None,
            _ if self.is_of_the_moment() => Some("a parameter beside the time"),
            1 if printed == 1 && self.is_plain() => None,
            _ if self.is_plain() => Some("more than one parameter in one entry"),
            _ => Some("a value that is computed from a parameter, or stands beside one"),
        }
    }

    /// Whether a text could be a rendering of this template, and what its one parameter was. The parameters in
    /// `values` are not looked at.
    pub fn invert<'a>(&'a self, text: &'a str, values: &Values<'_>) -> Inverted<'a> {
        if self.obstacle().is_some() {
            return Inverted::Different;
        }
        let Some(at) = self.parts.iter().position(Part::is_of_parameter) else {
            return match self.render(values) {
                Ok(rendered) if rendered == text => Inverted::Equal,
                _ => Inverted::Different,
            };
        };
        let fixed = |parts: &[Part]| parts.iter().map(|part| part.fixed(values)).collect();
        let (before, after): (Option<String>, Option<String>) =
            (fixed(&self.parts[..at]), fixed(&self.parts[at + 1..]));
        let (Some(before), Some(after)) = (before, after) else {
            return Inverted::Different;
        };
        let inner = text
            .strip_prefix(before.as_str())
            .and_then(|it| it.strip_suffix(after.as_str()));
        match (&self.parts[at], inner) {
            (Part::Parameter(name), Some(text)) => Inverted::Parameter(name, text),
            (Part::Property(names), Some(text)) => Inverted::Property(names, text),
            _ => Inverted::Different,
        }
    }

    fn is_plain(&self) -> bool {
        !self.parts.contains(&Part::Computed)
    }
}

impl Part {
    fn is_of_parameter(&self) -> bool {
        matches!(self, Self::Parameter(_) | Self::Property(_))
    }

    fn fixed(&self, values: &Values<'_>) -> Option<String> {
        match self {
            Self::Text(text) => Some(text.clone()),
            Self::Known(known) => (values.known)(*known),
            Self::Context(name) => {
                let mut text = String::new();
                let value = values.context.get(name)?;
                render::write(value, Place::Plain, &mut text).ok()?;
                Some(text)
            }
            Self::Parameter(_) | Self::Property(_) | Self::Computed => None,
        }
    }
}

/// What [`Template::invert`] found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Inverted<'a> {
    /// A template without parameters, and the text is its rendering.
    Equal,
    /// No values render to this text.
    Different,
    /// This parameter was printed as this text.
    Parameter(&'a str, &'a str),
    /// The property of these names was printed as this text.
    Property(&'a [String], &'a str),
}

fn first(mut problems: Vec<TemplateProblem>) -> TemplateProblem {
    problems.sort_by_key(|problem| problem.at.start);
    problems.swap_remove(0)
}

fn parts(nodes: &[Node]) -> Vec<Part> {
    let mut parts = Vec::new();
    for node in nodes {
        let part = match node {
            Node::Text { text, .. } => Part::Text(text.clone()),
            Node::Print(print) => part(&print.value),
            Node::Let { .. } | Node::Choice { .. } => Part::Computed,
        };
        match (parts.last_mut(), part) {
            (_, Part::Text(text)) if text.is_empty() => {}
            (Some(Part::Text(before)), Part::Text(text)) => before.push_str(&text),
            (_, part) => parts.push(part),
        }
    }
    parts
}

fn part(value: &Expression) -> Part {
    match value {
        Expression::Constant(value) => {
            let mut text = String::new();
            match render::write(value, Place::Plain, &mut text) {
                Ok(()) => Part::Text(text),
                Err(_) => Part::Computed,
            }
        }
        Expression::Path(Path { source, steps }) if steps.is_empty() => match source {
            Source::Parameter(name) => Part::Parameter(name.clone()),
            Source::Known(known) => Part::Known(*known),
            Source::Context(name) => Part::Context(name.clone()),
            Source::Session | Source::Slot(_) => Part::Computed,
        },
        Expression::Path(path) => match path.property() {
            Some(names) => Part::Property(names.into_iter().map(str::to_owned).collect()),
            None => Part::Computed,
        },
        Expression::Call(..) => Part::Computed,
    }
}

fn texts<'n>(nodes: &'n [Node], found: &mut Vec<&'n str>) {
    for node in nodes {
        match node {
            Node::Text { text, .. } => found.push(text),
            Node::Choice {
                arms, otherwise, ..
            } => {
                arms.iter().for_each(|arm| texts(&arm.body, found));
                texts(otherwise, found);
            }
            Node::Print(_) | Node::Let { .. } => {}
        }
    }
}

fn prints_parameter(nodes: &[Node]) -> bool {
    let of_parameter = |path: &&Path| matches!(path.source, Source::Parameter(_) | Source::Slot(_));
    nodes.iter().any(|node| match node {
        Node::Text { .. } | Node::Let { .. } => false,
        Node::Print(print) => print.value.paths().iter().any(of_parameter),
        Node::Choice {
            arms, otherwise, ..
        } => arms.iter().any(|arm| prints_parameter(&arm.body)) || prints_parameter(otherwise),
    })
}

#[cfg(test)]
mod tests;
