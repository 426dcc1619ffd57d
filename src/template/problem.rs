//! Mistakes in templates, for whoever writes the policy.

use std::ops::Range;

/// A mistake in a template, with the bytes of the text where it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TemplateProblem {
    /// Byte offsets into the template.
    pub at: Range<usize>,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub remedy: Option<String>,
}

impl TemplateProblem {
    pub(super) fn new(at: &Range<usize>, message: impl Into<String>, remedy: &str) -> Self {
        Self {
            at: at.clone(),
            message: message.into(),
            remedy: Some(remedy.to_owned()),
        }
    }
}
