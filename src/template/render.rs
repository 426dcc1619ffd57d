//! From a tree and values to text. What could not be told at load is an error here, never an empty place.

use std::borrow::Cow;

use serde_json::{Map, Value};

use crate::schema::spelling;
use crate::template::scope::Known;
use crate::template::tree::{Arm, Expression, Function, Node, Path, Place, Print, Source, Step};
use crate::template::value::{Found, Incomparable, Unrendered, equal, inside, order};

/// The values for one rendering.
#[derive(Clone, Copy)]
pub struct Values<'a> {
    /// Parameters, with defaults filled in.
    pub parameters: &'a Map<String, Value>,
    /// The variables of the session: a tree, in which the output `ticket.key` is `key` inside `ticket`.
    pub session: &'a Map<String, Value>,
    /// What the runtime has set, by whole name: `contact.first_name`.
    pub context: &'a Map<String, Value>,
    /// Built-in names; `None` where there is no session.
    pub known: &'a dyn Fn(Known) -> Option<String>,
}

/// Renders a tree.
pub(super) fn render<'v>(
    nodes: &'v [Node],
    values: &'v Values<'v>,
    out: &mut String,
) -> Result<(), Unrendered> {
    let mut rendering = Rendering {
        values,
        slots: Vec::new(),
    };
    rendering.nodes(nodes, out)
}

/// The value of an expression in which no variables stand.
pub(super) fn value<'v>(
    expression: &'v Expression,
    values: &'v Values<'v>,
) -> Result<Found<'v>, Unrendered> {
    let slots = Vec::new();
    Rendering { values, slots }.value(expression)
}

struct Rendering<'v> {
    values: &'v Values<'v>,
    slots: Vec<(usize, Found<'v>)>,
}

impl<'v> Rendering<'v> {
    fn nodes(&mut self, nodes: &'v [Node], out: &mut String) -> Result<(), Unrendered> {
        for node in nodes {
            match node {
                Node::Text { text, .. } => out.push_str(text),
                Node::Print(print) => self.print(print, out)?,
                Node::Let { slot, value } => {
                    let value = self.value(value)?;
                    self.slots.push((*slot, value));
                }
                Node::Choice {
                    arms, otherwise, ..
                } => {
                    let chosen = self.chosen(arms)?;
                    self.nodes(chosen.unwrap_or(otherwise), out)?;
                }
            }
        }
        Ok(())
    }

    fn chosen(&mut self, arms: &'v [Arm]) -> Result<Option<&'v [Node]>, Unrendered> {
        for arm in arms {
            let condition = self.value(&arm.condition)?;
            let is_true = condition.is_true();
            if let Some(slot) = arm.slot {
                self.slots.push((slot, condition));
            }
            if is_true {
                return Ok(Some(&arm.body));
            }
        }
        Ok(None)
    }

    fn print(&mut self, print: &'v Print, out: &mut String) -> Result<(), Unrendered> {
        match self.value(&print.value)? {
            Found::Missing(missing) => Err(missing),
            Found::Value(value) => {
                write(&value, print.place, out).map_err(|expected| Unrendered::Unfit {
                    name: print.value.name(),
                    expected,
                })
            }
        }
    }

    fn value(&self, expression: &'v Expression) -> Result<Found<'v>, Unrendered> {
        match expression {
            Expression::Constant(value) => Ok(Found::Value(Cow::Borrowed(value))),
            Expression::Path(path) => Ok(self.path(path)),
            Expression::Call(Function::And, operands) => self.operand(operands, false),
            Expression::Call(Function::Or, operands) => self.operand(operands, true),
            Expression::Call(function, operands) => {
                let mut found = Vec::with_capacity(operands.len());
                for operand in operands {
                    found.push(self.value(operand)?);
                }
                if *function == Function::Index {
                    return Ok(index(found, expression));
                }
                apply(*function, &found).map_err(|refused| match refused {
                    Refused::Missing(missing) => missing,
                    Refused::Incomparable(Incomparable(expected)) => Unrendered::Unfit {
                        name: expression.name(),
                        expected,
                    },
                })
            }
        }
    }

    /// The first operand with this truth, else the last. Those after it are not looked at.
    fn operand(&self, operands: &'v [Expression], decisive: bool) -> Result<Found<'v>, Unrendered> {
        let mut last = Found::Value(Cow::Owned(Value::Null));
        for operand in operands {
            last = self.value(operand)?;
            if last.is_true() == decisive {
                break;
            }
        }
        Ok(last)
    }

    fn path(&self, path: &'v Path) -> Found<'v> {
        let steps = path.steps.as_slice();
        match &path.source {
            Source::Parameter(name) => walk(self.values.parameters.get(name), steps)
                .ok_or_else(|| Unrendered::ParameterMissing(path.name())),
            Source::Context(name) => walk(self.values.context.get(name), steps)
                .ok_or_else(|| Unrendered::VariableMissing(path.name())),
            Source::Session => self
                .session(steps)
                .ok_or_else(|| Unrendered::VariableMissing(path.name())),
            Source::Known(known) => {
                let text = (self.values.known)(*known).filter(|_| steps.is_empty());
                let text = text.map(|text| Cow::Owned(Value::String(text)));
                text.ok_or_else(|| Unrendered::VariableMissing(path.name()))
            }
            Source::Slot(slot) => return self.slot(*slot, steps),
        }
        .map_or_else(Found::Missing, Found::Value)
    }

    fn session(&self, steps: &[Step]) -> Option<Cow<'v, Value>> {
        let (first, rest) = steps.split_first()?;
        let Step::Key(key) = first else { return None };
        walk(self.values.session.get(key), rest)
    }

    fn slot(&self, slot: usize, steps: &[Step]) -> Found<'v> {
        let mut kept = self.slots.iter().rev();
        let found = kept.find(|(it, _)| *it == slot).map(|(_, found)| found);
        match found {
            Some(Found::Value(value)) => {
                let mut inner = Some(value.as_ref());
                for step in steps {
                    inner = inner.and_then(|it| inside(it, step));
                }
                match inner {
                    Some(_) if steps.is_empty() => Found::Value(value.clone()),
                    Some(inner) => Found::Value(Cow::Owned(inner.clone())),
                    None => Found::Missing(Unrendered::VariableMissing(named(steps))),
                }
            }
            Some(missing) => missing.clone(),
            None => Found::Missing(Unrendered::VariableMissing(named(steps))),
        }
    }
}

fn named(steps: &[Step]) -> String {
    let (source, steps) = (Source::Session, steps.to_vec());
    Path { source, steps }.name()
}

fn walk<'v>(root: Option<&'v Value>, steps: &[Step]) -> Option<Cow<'v, Value>> {
    let mut value = root?;
    for step in steps {
        value = inside(value, step)?;
    }
    Some(Cow::Borrowed(value))
}

enum Refused {
    Missing(Unrendered),
    Incomparable(Incomparable),
}

fn apply<'v>(function: Function, operands: &[Found<'v>]) -> Result<Found<'v>, Refused> {
    let flag = match function {
        Function::Equal => any_equal(operands)?,
        Function::NotEqual => !any_equal(operands)?,
        Function::Less => ordering(operands)?.is_lt(),
        Function::LessOrEqual => ordering(operands)?.is_le(),
        Function::Greater => ordering(operands)?.is_gt(),
        Function::GreaterOrEqual => ordering(operands)?.is_ge(),
        Function::And | Function::Or | Function::Not | Function::Index => {
            !operands.iter().all(Found::is_true)
        }
    };
    Ok(Found::Value(Cow::Owned(Value::Bool(flag))))
}

/// Whether the first is equal to one of the others.
fn any_equal(operands: &[Found<'_>]) -> Result<bool, Refused> {
    let Some((Found::Value(first), others)) = operands.split_first() else {
        return Ok(false);
    };
    for other in others {
        if let Found::Value(other) = other
            && equal(first, other).map_err(Refused::Incomparable)?
        {
            return Ok(true);
        }
    }
    Ok(false)
}

fn ordering(operands: &[Found<'_>]) -> Result<std::cmp::Ordering, Refused> {
    match operands {
        [Found::Value(one), Found::Value(other)] => {
            order(one, other).map_err(Refused::Incomparable)
        }
        operands => {
            let missing = operands.iter().find_map(|it| match it {
                Found::Missing(missing) => Some(missing.clone()),
                Found::Value(_) => None,
            });
            Err(missing.map_or(
                Refused::Incomparable(Incomparable("compared with something")),
                Refused::Missing,
            ))
        }
    }
}

/// What is not there is missing, as in a path: a condition can ask for it, and nothing prints it.
fn index<'v>(operands: Vec<Found<'v>>, expression: &Expression) -> Found<'v> {
    let mut operands = operands.into_iter();
    let Some(mut value) = operands.next() else {
        return Found::Value(Cow::Owned(Value::Null));
    };
    for key in operands {
        let (Found::Value(outer), Found::Value(key)) = (&value, &key) else {
            return match &value {
                Found::Missing(_) => value,
                Found::Value(_) => key,
            };
        };
        let step = match &**key {
            Value::String(key) => Some(Step::Key(key.clone())),
            Value::Number(number) => number.as_u64().map(Step::At),
            _ => None,
        };
        let found = step.as_ref().and_then(|step| inside(outer, step)).cloned();
        value = match found {
            Some(found) => Found::Value(Cow::Owned(found)),
            None => Found::Missing(missing_in(expression, step)),
        };
    }
    value
}

fn missing_in(expression: &Expression, step: Option<Step>) -> Unrendered {
    let Some(outer) = expression.paths().into_iter().next() else {
        return Unrendered::VariableMissing(expression.name());
    };
    let mut path = outer.clone();
    path.steps.extend(step);
    match path.source {
        Source::Parameter(_) => Unrendered::ParameterMissing(path.name()),
        _ => Unrendered::VariableMissing(path.name()),
    }
}

/// Writes a value for its place; else what it must be.
pub(super) fn write(value: &Value, place: Place, out: &mut String) -> Result<(), &'static str> {
    match (place, value) {
        (Place::Json, Value::Number(number)) => out.push_str(&spelling(number)),
        (Place::Json, value) => out.push_str(&value.to_string()),
        (_, Value::Number(number)) => out.push_str(&spelling(number)),
        (_, Value::Bool(flag)) => out.push_str(if *flag { "true" } else { "false" }),
        (Place::Plain, Value::String(text)) => out.push_str(text),
        (Place::Quoted, Value::String(text)) => escape(text, out),
        (_, Value::Null | Value::Array(_) | Value::Object(_)) => {
            return Err("a string, a number or a boolean, since it stands in text");
        }
    }
    Ok(())
}

/// Writes the inside of a JSON string, with no more escapes than RFC 8259 section 7 demands.
pub(super) fn escape(text: &str, out: &mut String) {
    let quoted = Value::from(text).to_string();
    out.push_str(&quoted[1..quoted.len() - 1]);
}
