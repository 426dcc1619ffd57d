//! What JSON, schemas and templates find wrong, as refusals: one mapping for every door.

use crate::action::plan::pointer;
use crate::json::{JsonProblem, JsonProblemKind};
use crate::refusal::{Code, Refusal};
use crate::schema::{Violation, ViolationKind};
use crate::template::{Mismatch, MismatchKind, Unrendered};

impl From<Violation> for Refusal {
    fn from(violation: Violation) -> Self {
        let code = match violation.kind {
            ViolationKind::Missing { .. } => Code::ParameterMissing,
            ViolationKind::Undeclared { .. } => Code::ParameterUndeclared,
            ViolationKind::Invalid => Code::ParameterInvalid,
        };
        Self::new(code, violation.message)
            .at(violation.pointer)
            .allowing(violation.allowed)
    }
}

impl From<Unrendered> for Refusal {
    fn from(unrendered: Unrendered) -> Self {
        match unrendered {
            Unrendered::ParameterMissing(name) => {
                let refusal = Self::new(Code::ParameterMissing, format!("{name} is required"));
                refusal.at(pointer(&name))
            }
            Unrendered::VariableMissing(name) => {
                let message = format!("the variable {name} is not set in this session");
                Self::new(Code::VariableMissing, message)
            }
            Unrendered::Unfit { name, expected } => {
                let refusal =
                    Self::new(Code::ParameterInvalid, format!("{name} must be {expected}"));
                refusal.at(pointer(&name))
            }
        }
    }
}

impl From<Mismatch> for Refusal {
    fn from(mismatch: Mismatch) -> Self {
        let place = match mismatch.pointer.as_str() {
            "" => "the body".to_owned(),
            pointer => format!("{pointer} in the body"),
        };
        let expected = mismatch.expected;
        let (code, message) = match mismatch.kind {
            MismatchKind::Undeclared => (
                Code::ParameterUndeclared,
                format!("{place} is not declared; it must be {expected}"),
            ),
            MismatchKind::Different => (
                Code::ParameterInvalid,
                format!("{place} must be {expected}"),
            ),
        };
        Self::new(code, message).at(mismatch.pointer)
    }
}

impl From<JsonProblem> for Refusal {
    fn from(problem: JsonProblem) -> Self {
        let code = match problem.kind {
            JsonProblemKind::DuplicateKey => Code::ParameterDuplicate,
            JsonProblemKind::NotUtf8 => Code::ContentTypeRefused,
            JsonProblemKind::LoneSurrogate
            | JsonProblemKind::NullCharacter
            | JsonProblemKind::NumberRange => Code::ParameterInvalid,
            JsonProblemKind::Malformed
            | JsonProblemKind::TooDeep
            | JsonProblemKind::TrailingBytes => Code::BodyUnexpected,
        };
        Self::new(code, problem.to_string()).at(problem.pointer)
    }
}
