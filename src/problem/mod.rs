//! A problem: what is wrong in a file that a person wrote, told so that they can mend it.
//!
//! Each problem has a place, a message and, where one is known, a remedy. Whoever reads a file
//! collects all of its problems; nobody stops at the first. Refusals (for agents) and faults (for
//! operators) are other types: a problem is for the author of a file.

use serde_json::json;

mod nearest;
mod place;
mod sources;

pub use crate::problem::nearest::nearest;
pub use crate::problem::place::Located;
pub use crate::problem::place::Place;
pub use crate::problem::sources::Sources;
pub use crate::problem::sources::Style;

/// Whether a file with this problem can be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The file is not loaded.
    Error,
    /// The file is loaded; somebody should look at it.
    Warning,
}

impl Severity {
    /// The word that people and programs see.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
        }
    }
}

/// One thing that is wrong in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    severity: Severity,
    place: Place,
    message: String,
    remedy: Option<String>,
    second: Option<(String, Place)>,
    hides_source: bool,
}

impl Problem {
    /// A problem for which the file is not loaded.
    #[must_use]
    pub fn error(place: &Place, message: impl AsRef<str>) -> Self {
        Self::new(Severity::Error, place, message.as_ref())
    }

    /// A problem with which the file is loaded all the same.
    #[must_use]
    pub fn warning(place: &Place, message: impl AsRef<str>) -> Self {
        Self::new(Severity::Warning, place, message.as_ref())
    }

    fn new(severity: Severity, place: &Place, message: &str) -> Self {
        Self {
            severity,
            place: place.clone(),
            message: printable(message),
            remedy: None,
            second: None,
            hides_source: false,
        }
    }

    /// Says how to mend it.
    #[must_use]
    pub fn remedy(mut self, remedy: impl AsRef<str>) -> Self {
        self.remedy = Some(printable(remedy.as_ref()));
        self
    }

    /// Asks "did you mean …?", if one of the candidates is near to what was written.
    #[must_use]
    pub fn did_you_mean<'a>(
        self,
        word: &str,
        candidates: impl IntoIterator<Item = &'a str>,
    ) -> Self {
        match nearest(word, candidates) {
            Some(near) => self.remedy(format!("did you mean `{near}`?")),
            None => self,
        }
    }

    /// Points at a second place, such as where a name was declared first.
    #[must_use]
    pub fn second(mut self, label: &str, place: &Place) -> Self {
        self.second = Some((printable(label), place.clone()));
        self
    }

    /// Keeps the source lines of this problem off the screen, because they may hold a credential.
    #[must_use]
    pub fn hides_source(mut self) -> Self {
        self.hides_source = true;
        self
    }

    /// Error or warning.
    #[must_use]
    pub fn severity(&self) -> Severity {
        self.severity
    }

    /// Where it is.
    #[must_use]
    pub fn place(&self) -> &Place {
        &self.place
    }

    /// What is wrong.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }

    /// How to mend it, where that is known.
    #[must_use]
    pub fn remedy_text(&self) -> Option<&str> {
        self.remedy.as_deref()
    }

    /// The second place and its label.
    #[must_use]
    pub fn second_place(&self) -> Option<(&str, &Place)> {
        let (label, place) = self.second.as_ref()?;
        Some((label, place))
    }

    /// The problem for programs. It holds no source text.
    #[must_use]
    pub fn json(&self) -> serde_json::Value {
        let mut object = json!({
            "file": printable(self.place.file()),
            "line": self.place.line(),
            "column": self.place.column(),
            "length": self.place.length(),
            "severity": self.severity.as_str(),
            "message": self.message,
        });
        if let Some(remedy) = &self.remedy {
            object["remedy"] = json!(remedy);
        }
        if let Some((label, place)) = &self.second {
            object["second"] = json!({
                "label": label,
                "file": printable(place.file()),
                "line": place.line(),
                "column": place.column(),
                "length": place.length(),
            });
        }
        object
    }

    /// The problem on one line: place, severity, message.
    #[must_use]
    pub fn headline(&self) -> String {
        let severity = self.severity.as_str();
        format!("{}: {severity}: {}", self.place, self.message)
    }
}

/// All problems found so far.
#[derive(Clone, Debug, Default)]
pub struct Problems(Vec<Problem>);

impl Problems {
    /// No problem yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds one.
    pub fn push(&mut self, problem: Problem) {
        self.0.push(problem);
    }

    /// Whether one of them forbids to load the files.
    #[must_use]
    pub fn has_errors(&self) -> bool {
        self.0.iter().any(|p| p.severity == Severity::Error)
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// In the order in which they were found.
    pub fn iter(&self) -> std::slice::Iter<'_, Problem> {
        self.0.iter()
    }

    /// In the order of the files: by name, line and column.
    #[must_use]
    pub fn sorted(mut self) -> Vec<Problem> {
        self.0
            .sort_by(|a, b| (&a.place, a.severity).cmp(&(&b.place, b.severity)));
        self.0
    }
}

impl Extend<Problem> for Problems {
    fn extend<I: IntoIterator<Item = Problem>>(&mut self, problems: I) {
        self.0.extend(problems);
    }
}

impl IntoIterator for Problems {
    type Item = Problem;
    type IntoIter = std::vec::IntoIter<Problem>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

/// Text that cannot move the cursor, colour the screen or turn the reading direction: what a file
/// says reaches a terminal through messages.
fn printable(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        if is_invisible_order(c) || (c.is_control() && c != '\n' && c != '\t') {
            safe.extend(c.escape_unicode());
        } else {
            safe.push(c);
        }
    }
    safe
}

/// Characters that make text read in another order than it is stored (CVE-2021-42574).
pub(crate) fn is_invisible_order(c: char) -> bool {
    matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn a_program_reads_the_same_problem_without_source_text() {
        let file: Arc<str> = Arc::from("a.yaml");
        let first = Place::new(&file, 1, 1, 4);
        let problem = Problem::warning(&Place::new(&file, 2, 3, 4), "declared twice")
            .second("first declared here", &first)
            .remedy("remove one");
        let expected = json!({
            "file": "a.yaml", "line": 2, "column": 3, "length": 4,
            "severity": "warning", "message": "declared twice", "remedy": "remove one",
            "second": {"label": "first declared here", "file": "a.yaml", "line": 1, "column": 1, "length": 4},
        });
        assert_eq!(problem.json(), expected);
    }

    #[test]
    fn problems_are_told_in_the_order_of_the_files() {
        let (a, b): (Arc<str>, Arc<str>) = (Arc::from("a"), Arc::from("b"));
        let mut problems = Problems::new();
        for (file, line, column) in [(&b, 1, 1), (&a, 10, 1), (&a, 2, 9), (&a, 2, 1)] {
            problems.push(Problem::error(&Place::new(file, line, column, 1), "x"));
        }
        let order: Vec<String> = problems
            .sorted()
            .iter()
            .map(|p| p.place().to_string())
            .collect();
        assert_eq!(order, ["a:2:1", "a:2:9", "a:10:1", "b:1:1"]);
    }

    #[test]
    fn only_errors_forbid_to_load() {
        let place = Place::of_file(&Arc::from("a"));
        let mut problems = Problems::new();
        problems.push(Problem::warning(&place, "short"));
        assert!(!problems.has_errors());
        problems.push(Problem::error(&place, "wrong"));
        assert!(problems.has_errors());
    }
}
