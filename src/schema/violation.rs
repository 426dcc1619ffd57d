//! What is wrong with an instance, in words for a language model. A message names places, limits and
//! allowed values from the schema; it never quotes a value of the instance.

use jsonschema::JsonType;
use jsonschema::ValidationError;
use jsonschema::error::TypeKind;
use jsonschema::error::ValidationErrorKind as ErrorKind;
use serde_json::Value;

use super::format;
use super::reach::Undeclared;
use super::scalar::spelling;
use crate::yaml::as_step;

/// Messages list at most this many names or values; the field `allowed` has all of them.
const LISTED: usize = 20;
/// Longer names come from the sender, not from a policy, and are cut.
const NAME_SHOWN: usize = 64;

/// The first thing that is wrong with an instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// What kind of mistake it is.
    pub kind: ViolationKind,
    /// JSON Pointer (RFC 6901) to the place, or to where a missing property belongs.
    pub pointer: String,
    /// One sentence that says how to mend it.
    pub message: String,
    /// The values that an enumeration allows, or the property names that are declared here.
    pub allowed: Vec<String>,
}

/// The kinds of mistake that a sender mends differently.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ViolationKind {
    /// A required property is absent.
    Missing {
        /// Its name.
        property: String,
    },
    /// A property that the schema does not describe.
    Undeclared {
        /// Its name.
        property: String,
    },
    /// A value that the schema does not allow.
    Invalid,
}

impl Violation {
    /// Without the values that the schema lists: of a parameter that nobody may see, they are what it may be.
    #[must_use]
    pub fn without_values(mut self) -> Self {
        if self.kind == ViolationKind::Invalid && !self.allowed.is_empty() {
            self.allowed = Vec::new();
            self.message = format!(
                "{} must be one of the declared values",
                subject(&self.pointer)
            );
        }
        self
    }

    /// The most useful of several errors: a missing property before a wrong value.
    pub(super) fn of(
        errors: &[ValidationError<'_>],
        patterns: &[(String, String)],
    ) -> Option<Self> {
        let words = Words { patterns };
        let mut found = errors.iter().map(|error| words.violation(error));
        let first = found.next()?;
        let usefulness = |it: &Self| match it.kind {
            ViolationKind::Undeclared { .. } => 0,
            ViolationKind::Missing { .. } => 1,
            ViolationKind::Invalid => 2,
        };
        Some(found.fold(first, |best, next| {
            if usefulness(&next) < usefulness(&best) {
                next
            } else {
                best
            }
        }))
    }

    pub(super) fn undeclared(mut found: Undeclared) -> Self {
        let subject = subject(&found.pointer);
        // The sender chose the name: a long one must not come back whole in a refusal or a record.
        if let Some((cut, _)) = found.name.char_indices().nth(NAME_SHOWN) {
            found.name.truncate(cut);
            let parent = found.pointer.rfind('/').unwrap_or_default();
            found.pointer.truncate(parent);
        }
        let message = if found.declared.is_empty() {
            format!("{subject} is not declared; no property is declared here")
        } else {
            format!(
                "{subject} is not declared; declared are {}",
                listed(&found.declared, ", ")
            )
        };
        Self {
            kind: ViolationKind::Undeclared {
                property: found.name,
            },
            pointer: found.pointer,
            message,
            allowed: found.declared,
        }
    }

    /// For an instance that is refused without a reason that can be told.
    pub(super) fn unexplained() -> Self {
        Self::invalid("", "must fit the schema", Vec::new())
    }

    fn missing(parent: &str, names: &[String]) -> Self {
        let places: Vec<String> = names
            .iter()
            .map(|it| subject(&format!("{parent}/{}", as_step(it))))
            .collect();
        let property = names.first().cloned().unwrap_or_default();
        Self {
            pointer: format!("{parent}/{}", as_step(&property)),
            kind: ViolationKind::Missing { property },
            message: format!("{} is required", listed(&places, " or ")),
            allowed: if names.len() > 1 {
                names.to_vec()
            } else {
                Vec::new()
            },
        }
    }

    fn invalid(pointer: &str, predicate: &str, allowed: Vec<String>) -> Self {
        Self {
            kind: ViolationKind::Invalid,
            pointer: pointer.to_owned(),
            message: format!("{} {predicate}", subject(pointer)),
            allowed,
        }
    }
}

/// The words for an error of the crate, as a whole sentence.
pub(super) fn sentence(error: &ValidationError<'_>) -> String {
    Words { patterns: &[] }.violation(error).message
}

struct Words<'a> {
    /// `(as compiled, as written)`
    patterns: &'a [(String, String)],
}

impl Words<'_> {
    fn violation(&self, error: &ValidationError<'_>) -> Violation {
        let pointer = error.instance_path().as_str();
        match error.kind() {
            ErrorKind::Required { property } => Violation::missing(pointer, &[shown(property)]),
            ErrorKind::AdditionalProperties { unexpected }
            | ErrorKind::UnevaluatedProperties { unexpected } => {
                let name = unexpected.first().cloned().unwrap_or_default();
                let pointer = format!("{pointer}/{}", as_step(&name));
                let message = format!("{} is not declared", subject(&pointer));
                let kind = ViolationKind::Undeclared { property: name };
                Violation {
                    kind,
                    pointer,
                    message,
                    allowed: Vec::new(),
                }
            }
            ErrorKind::AnyOf { context } | ErrorKind::OneOfNotValid { context } => {
                self.no_branch(pointer, context)
            }
            ErrorKind::Enum { options } => {
                let allowed = options.as_array().map(Vec::as_slice).unwrap_or_default();
                one_of(pointer, allowed.iter().map(shown).collect())
            }
            ErrorKind::Constant { expected_value } => one_of(pointer, vec![shown(expected_value)]),
            kind => Violation::invalid(pointer, &self.predicate(kind), Vec::new()),
        }
    }

    /// No branch fits. Says what the only plausible one wants, or what all of them want.
    fn no_branch(&self, pointer: &str, branches: &[Vec<ValidationError<'static>>]) -> Violation {
        let other_type = |error: &ValidationError<'_>| {
            let here = error.instance_path().as_str() == pointer;
            here && matches!(error.kind(), ErrorKind::Type { .. })
        };
        // A branch with another fixed value is most likely another variant.
        let other_value = |error: &ValidationError<'_>| {
            matches!(
                error.kind(),
                ErrorKind::Constant { .. } | ErrorKind::Enum { .. }
            )
        };
        let want = |errors: &'_ Vec<ValidationError<'static>>| {
            errors
                .iter()
                .position(other_value)
                .or(errors.first().map(|_| 0))
        };
        let wants: Vec<_> = branches.iter().filter_map(|it| it.get(want(it)?)).collect();
        only(branches, |error| other_type(error) || other_value(error))
            .and_then(|errors| Violation::of(errors, self.patterns))
            .or_else(|| agreed(pointer, &wants))
            .or_else(|| Violation::of(only(branches, other_type)?, self.patterns))
            .unwrap_or_else(|| {
                let predicate = format!("must fit one of the {} declared forms", branches.len());
                Violation::invalid(pointer, &predicate, Vec::new())
            })
    }

    fn predicate(&self, kind: &ErrorKind) -> String {
        match kind {
            ErrorKind::Type { kind } => format!("must be {}", types(kind)),
            ErrorKind::Maximum { limit } => format!("must be at most {}", shown(limit)),
            ErrorKind::Minimum { limit } => format!("must be at least {}", shown(limit)),
            ErrorKind::ExclusiveMaximum { limit } => format!("must be less than {}", shown(limit)),
            ErrorKind::ExclusiveMinimum { limit } => format!("must be more than {}", shown(limit)),
            ErrorKind::MultipleOf { multiple_of } => {
                format!(
                    "must be a multiple of {}",
                    shown(&Value::from(*multiple_of))
                )
            }
            ErrorKind::MinLength { limit: 1 } => "must not be empty".to_owned(),
            ErrorKind::MinLength { limit } => at_least(*limit, "character"),
            ErrorKind::MaxLength { limit } => at_most(*limit, "character"),
            ErrorKind::MinItems { limit } => at_least(*limit, "item"),
            ErrorKind::MaxItems { limit } => at_most(*limit, "item"),
            ErrorKind::MinProperties { limit } => at_least(*limit, "property"),
            ErrorKind::MaxProperties { limit } => at_most(*limit, "property"),
            ErrorKind::AdditionalItems { limit } => at_most(*limit as u64, "item"),
            ErrorKind::UnevaluatedItems { .. } => "has more items than are declared".to_owned(),
            ErrorKind::UniqueItems => "must not hold the same item twice".to_owned(),
            ErrorKind::Contains => "must hold the declared number of matching items".to_owned(),
            ErrorKind::Pattern { pattern } => {
                let written = self
                    .patterns
                    .iter()
                    .find(|(compiled, _)| compiled == pattern);
                let written = written.map_or(pattern, |(_, written)| written);
                format!("must match the pattern {written}")
            }
            ErrorKind::Format { format } => match format::wording(format) {
                Some(words) => format!("must be {words}"),
                None => format!("must have the format {format}"),
            },
            ErrorKind::ContentEncoding { content_encoding } => {
                format!("must be text in {content_encoding}")
            }
            ErrorKind::ContentMediaType { content_media_type } => {
                format!("must be text of type {content_media_type}")
            }
            ErrorKind::PropertyNames { error } => {
                format!("has a property whose name {}", self.predicate(error.kind()))
            }
            ErrorKind::FalseSchema => "is not allowed here".to_owned(),
            ErrorKind::Not { .. } => "has a form that is excluded".to_owned(),
            ErrorKind::OneOfMultipleValid { .. } => {
                "fits several of the declared forms, and must fit exactly one".to_owned()
            }
            ErrorKind::Enum { .. } | ErrorKind::Constant { .. } => {
                "must be one of the declared values".to_owned()
            }
            _ => "must fit the schema".to_owned(),
        }
    }
}

/// The one branch in which no error is `foreign`.
fn only<'a>(
    branches: &'a [Vec<ValidationError<'static>>],
    foreign: impl Fn(&ValidationError<'_>) -> bool,
) -> Option<&'a [ValidationError<'static>]> {
    let mut plausible = branches
        .iter()
        .filter(|errors| !errors.iter().any(&foreign));
    match (plausible.next(), plausible.next()) {
        (Some(errors), None) => Some(errors),
        _ => None,
    }
}

/// What all branches want, where it is the same thing: a type, a listed value, a property.
fn agreed(pointer: &str, wants: &[&ValidationError<'_>]) -> Option<Violation> {
    let place = wants.first()?.instance_path().as_str();
    if wants.iter().any(|it| it.instance_path().as_str() != place) {
        return None;
    }
    let mut found: Vec<String> = Vec::new();
    let mut add = |it: String| {
        if !found.contains(&it) {
            found.push(it)
        }
    };
    let kinds = wants.iter().map(|it| it.kind());
    if kinds
        .clone()
        .all(|kind| matches!(kind, ErrorKind::Type { .. }))
    {
        kinds.for_each(|kind| {
            if let ErrorKind::Type { kind } = kind {
                add(types(kind))
            }
        });
        return Some(Violation::invalid(
            place,
            &format!("must be {}", found.join(" or ")),
            Vec::new(),
        ));
    }
    if kinds
        .clone()
        .all(|kind| matches!(kind, ErrorKind::Required { .. }))
    {
        kinds.for_each(|kind| {
            if let ErrorKind::Required { property } = kind {
                add(shown(property))
            }
        });
        return Some(Violation::missing(pointer, &found));
    }
    if kinds
        .clone()
        .all(|kind| matches!(kind, ErrorKind::Constant { .. } | ErrorKind::Enum { .. }))
    {
        kinds.for_each(|kind| match kind {
            ErrorKind::Constant { expected_value } => add(shown(expected_value)),
            ErrorKind::Enum { options } => options
                .as_array()
                .into_iter()
                .flatten()
                .map(shown)
                .for_each(&mut add),
            _ => {}
        });
        return Some(one_of(place, found));
    }
    None
}

fn one_of(pointer: &str, allowed: Vec<String>) -> Violation {
    let predicate = match allowed.as_slice() {
        [only] => format!("must be {only}"),
        several => format!("must be one of {}", listed(several, ", ")),
    };
    Violation::invalid(pointer, &predicate, allowed)
}

fn types(kind: &TypeKind) -> String {
    let named = |kind: JsonType| match kind {
        JsonType::Null => "null",
        JsonType::Boolean => "true or false",
        JsonType::Integer => "an integer",
        JsonType::Number => "a number",
        JsonType::String => "a string",
        JsonType::Array => "an array",
        JsonType::Object => "an object",
    };
    match kind {
        TypeKind::Single(one) => named(*one).to_owned(),
        TypeKind::Multiple(set) => set.iter().map(named).collect::<Vec<_>>().join(" or "),
    }
}

fn at_least(limit: u64, unit: &str) -> String {
    format!("must have at least {limit} {}", counted(limit, unit))
}

fn at_most(limit: u64, unit: &str) -> String {
    format!("must have at most {limit} {}", counted(limit, unit))
}

fn counted(limit: u64, unit: &str) -> String {
    match (limit, unit.strip_suffix('y')) {
        (1, _) => unit.to_owned(),
        (_, Some(stem)) => format!("{stem}ies"),
        (_, None) => format!("{unit}s"),
    }
}

fn listed(names: &[String], separator: &str) -> String {
    let mut text = names
        .iter()
        .take(LISTED)
        .cloned()
        .collect::<Vec<_>>()
        .join(separator);
    if names.len() > LISTED {
        text.push_str(&format!(" and {} more", names.len() - LISTED));
    }
    text
}

/// A value of the schema: strings bare, as a person would write them in a sentence.
fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => spelling(number),
        other => other.to_string(),
    }
}

/// A pointer as people write it: `customer.email`, `items[0].sku`.
fn subject(pointer: &str) -> String {
    let mut text = String::new();
    for step in pointer.split('/').skip(1) {
        let name = step.replace("~1", "/").replace("~0", "~");
        if !name.is_empty() && name.bytes().all(|it| it.is_ascii_digit()) && !text.is_empty() {
            text.push_str(&format!("[{name}]"));
            continue;
        }
        if !text.is_empty() {
            text.push('.');
        }
        let cut = name.chars().take(NAME_SHOWN);
        text.extend(cut.map(|it| if it.is_control() { '\u{fffd}' } else { it }));
        if name.chars().count() > NAME_SHOWN {
            text.push('…');
        }
    }
    if text.is_empty() {
        "the value".to_owned()
    } else {
        text
    }
}
