//! What a template prints, looked at before there are values: optional parameters that nothing guards, and lists and
//! objects in text.

use std::ops::Range;

use crate::template::problem::TemplateProblem;
use crate::template::scope::{Kind, Scope};
use crate::template::tree::{Expression, Function, Node, Path, Place, Print, Source};

/// A parameter that is printed where it may be missing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unguarded {
    /// Its name from the root, with dots.
    pub name: String,
    /// Where it is printed.
    pub at: Range<usize>,
}

impl Unguarded {
    /// The mistake, where a missing value would leave a hole.
    pub fn problem(&self) -> TemplateProblem {
        let name = &self.name;
        let message = format!("`{name}` may be missing here");
        let remedy = format!(
            "print it inside `{{{{if .parameters.{name}}}}}`, list it under `required`, or give it a default"
        );
        TemplateProblem::new(&self.at, message, &remedy)
    }
}

/// Every parameter that is printed where it may be missing.
pub(super) fn unguarded(nodes: &[Node], scope: &Scope<'_>) -> Vec<Unguarded> {
    let mut found = Vec::new();
    look_at(nodes, scope, &mut Vec::new(), &mut found);
    found
}

/// What is known to be there inside a block: parameters by their names from the root.
type Present<'n> = Vec<Vec<&'n str>>;

fn look_at<'n>(
    nodes: &'n [Node],
    scope: &Scope<'_>,
    present: &mut Present<'n>,
    found: &mut Vec<Unguarded>,
) {
    for node in nodes {
        match node {
            Node::Text { .. } | Node::Let { .. } => {}
            Node::Print(print) => {
                if let Some(path) = lacking(&print.value, scope, present) {
                    let name = path.name();
                    let at = print.at.clone();
                    found.push(Unguarded { name, at });
                }
            }
            Node::Choice {
                arms, otherwise, ..
            } => {
                let outer = present.len();
                for arm in arms {
                    let failed = present.len();
                    present.extend(implied(&arm.condition, true));
                    look_at(&arm.body, scope, present, found);
                    present.truncate(failed);
                    present.extend(implied(&arm.condition, false));
                }
                look_at(otherwise, scope, present, found);
                present.truncate(outer);
            }
        }
    }
}

/// The parameter for want of which an expression may have no value.
fn lacking<'n>(
    value: &'n Expression,
    scope: &Scope<'_>,
    present: &Present<'n>,
) -> Option<&'n Path> {
    match value {
        Expression::Path(path) => {
            let names = path.property()?;
            let is_sure = |end: usize| {
                let prefix = &names[..end];
                let declared = scope.parameters.declared(prefix);
                declared.is_none_or(|it| it.certain)
                    || present.iter().any(|it| it.starts_with(prefix))
            };
            let is_lacking = !(1..=names.len()).all(is_sure);
            is_lacking.then_some(path)
        }
        Expression::Call(Function::And, operands) => {
            operands.iter().find_map(|it| lacking(it, scope, present))
        }
        // An operand before the last one is returned only where it is true.
        Expression::Call(Function::Or, operands) => lacking(operands.last()?, scope, present),
        Expression::Constant(_) | Expression::Call(..) => None,
    }
}

/// The parameters that are there if a condition is true, or false.
fn implied(condition: &Expression, truth: bool) -> Present<'_> {
    match condition {
        Expression::Path(path) if truth => path.property().into_iter().collect(),
        Expression::Call(Function::And, operands) if truth => each(operands, true),
        Expression::Call(Function::Or, operands) if !truth => each(operands, false),
        Expression::Call(Function::Not, operands) => each(operands, !truth),
        // Nothing is equal to what is missing.
        Expression::Call(Function::Equal, operands) if truth => {
            let sure = if operands.len() == 2 { 2 } else { 1 };
            compared(&operands[..sure])
        }
        Expression::Call(Function::NotEqual, operands) if !truth => compared(operands),
        _ => Vec::new(),
    }
}

fn each(operands: &[Expression], truth: bool) -> Present<'_> {
    let implied = operands.iter().flat_map(|it| implied(it, truth));
    implied.collect()
}

fn compared(operands: &[Expression]) -> Present<'_> {
    let paths = operands.iter().filter_map(|it| match it {
        Expression::Path(path) => path.property(),
        _ => None,
    });
    paths.collect()
}

/// The first list or object that a template would print inside text.
pub(super) fn first_structured(nodes: &[Node], scope: &Scope<'_>) -> Option<TemplateProblem> {
    let mut problems = Vec::new();
    all_structured(nodes, scope, &mut problems);
    problems.into_iter().next()
}

/// Every list or object that a template would print inside text.
pub(super) fn all_structured(
    nodes: &[Node],
    scope: &Scope<'_>,
    problems: &mut Vec<TemplateProblem>,
) {
    for node in nodes {
        match node {
            Node::Print(print) => problems.extend(structured(print, scope)),
            Node::Choice {
                arms, otherwise, ..
            } => {
                for arm in arms {
                    all_structured(&arm.body, scope, problems);
                }
                all_structured(otherwise, scope, problems);
            }
            Node::Text { .. } | Node::Let { .. } => {}
        }
    }
}

/// The list or object that a template would print inside text, by what is declared of it.
fn structured(print: &Print, scope: &Scope<'_>) -> Option<TemplateProblem> {
    if print.place == Place::Json {
        return None;
    }
    let is_structured = |path: &&Path| {
        let kind = match &path.source {
            Source::Parameter(_) => {
                let names = path.property();
                names
                    .and_then(|it| scope.parameters.declared(&it))
                    .map(|it| it.kind)
            }
            Source::Context(name) if path.steps.is_empty() => {
                scope.context.get(name).map(|it| it.kind)
            }
            _ => None,
        };
        kind == Some(Kind::Structured)
    };
    let path = printed(&print.value).into_iter().find(is_structured)?;
    let message = format!(
        "`{}` may be a list or an object, and stands inside a {}",
        path.name(),
        match print.place {
            Place::Quoted => "string",
            Place::Plain | Place::Json => "text",
        }
    );
    let remedy = match print.place {
        Place::Quoted => "remove the quotes around it, or print one value of it",
        Place::Plain | Place::Json => "print one value of it",
    };
    Some(TemplateProblem::new(&print.at, message, remedy))
}

/// What an expression may print.
fn printed(value: &Expression) -> Vec<&Path> {
    match value {
        Expression::Path(path) => vec![path],
        Expression::Call(Function::And | Function::Or, operands) => {
            operands.iter().flat_map(printed).collect()
        }
        Expression::Constant(_) | Expression::Call(..) => Vec::new(),
    }
}
