//! A template that has been read: every name in it is known to exist. No values here.

use std::ops::Range;

use serde_json::Value;

use crate::template::scope::Known;

/// A piece of a template.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Node {
    Text {
        text: String,
        /// Where it stands in the source.
        start: usize,
    },
    Print(Print),
    /// `if` and `with`: the first arm whose condition is true.
    Choice {
        arms: Vec<Arm>,
        otherwise: Vec<Self>,
        at: Range<usize>,
    },
    /// A variable whose value has to be computed.
    Let {
        slot: usize,
        value: Expression,
    },
}

/// A value that is printed.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Print {
    pub(super) value: Expression,
    pub(super) at: Range<usize>,
    pub(super) place: Place,
}

/// What a printed value is escaped for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// Whoever renders escapes the whole.
    Plain,
    /// The inside of a JSON string.
    Quoted,
    /// A JSON value of its own.
    Json,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Arm {
    /// Where the value of the condition is kept, if it has to be computed and has a name.
    pub(super) slot: Option<usize>,
    pub(super) condition: Expression,
    pub(super) body: Vec<Node>,
}

/// What has a value.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Expression {
    Constant(Value),
    Path(Path),
    Call(Function, Vec<Self>),
}

/// A value, or something inside it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Path {
    pub(super) source: Source,
    pub(super) steps: Vec<Step>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Source {
    Parameter(String),
    Context(String),
    Known(Known),
    /// The variables of the session: a tree, of which a path names a leaf or a branch.
    Session,
    /// What was computed earlier in the template.
    Slot(usize),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Key(String),
    At(u64),
}

/// The functions of the subset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Function {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    And,
    Or,
    Not,
    Index,
}

impl Function {
    /// The function of this name, and how many arguments it takes.
    pub(super) fn named(name: &str) -> Option<(Self, std::ops::RangeInclusive<usize>)> {
        Some(match name {
            "eq" => (Self::Equal, 2..=usize::MAX),
            "ne" => (Self::NotEqual, 2..=2),
            "lt" => (Self::Less, 2..=2),
            "le" => (Self::LessOrEqual, 2..=2),
            "gt" => (Self::Greater, 2..=2),
            "ge" => (Self::GreaterOrEqual, 2..=2),
            "and" => (Self::And, 1..=usize::MAX),
            "or" => (Self::Or, 1..=usize::MAX),
            "not" => (Self::Not, 1..=1),
            "index" => (Self::Index, 1..=usize::MAX),
            _ => return None,
        })
    }
}

impl Path {
    /// A parameter, or a property below one, as its names from the root; `None` for anything else.
    pub(super) fn property(&self) -> Option<Vec<&str>> {
        let Source::Parameter(name) = &self.source else {
            return None;
        };
        let mut names = vec![name.as_str()];
        for step in &self.steps {
            match step {
                Step::Key(key) => names.push(key),
                Step::At(_) => return None,
            }
        }
        Some(names)
    }

    /// How a person would name it.
    pub(super) fn name(&self) -> String {
        let mut name = match &self.source {
            Source::Parameter(name) | Source::Context(name) => name.clone(),
            Source::Known(known) => known.name().to_owned(),
            Source::Session | Source::Slot(_) => String::new(),
        };
        for step in &self.steps {
            if !name.is_empty() {
                name.push('.');
            }
            match step {
                Step::Key(key) => name.push_str(key),
                Step::At(index) => name.push_str(&index.to_string()),
            }
        }
        name
    }
}

impl Expression {
    /// The paths in it, in order.
    pub(super) fn paths(&self) -> Vec<&Path> {
        match self {
            Self::Constant(_) => Vec::new(),
            Self::Path(path) => vec![path],
            Self::Call(_, operands) => operands.iter().flat_map(Self::paths).collect(),
        }
    }

    /// What it can be named in a message.
    pub(super) fn name(&self) -> String {
        let named = self
            .paths()
            .into_iter()
            .map(Path::name)
            .find(|it| !it.is_empty());
        named.unwrap_or_else(|| "a value of the template".to_owned())
    }
}
