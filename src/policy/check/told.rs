//! Where checking tells what is wrong. An action is looked at once for each environment, but its author reads each
//! problem once.

use std::collections::HashSet;

use crate::policy::raw::decode::Text;
use crate::problem::{Place, Problem, Problems, Sources};
use crate::template::TemplateProblem;

/// Looking for the nearest of thousands of names takes a millisecond: this many typos get the answer.
const NEAREST_LOOKED_FOR: usize = 50;

/// The problems told so far.
pub(super) struct Told<'a> {
    problems: &'a mut Problems,
    sources: &'a mut Sources,
    seen: HashSet<(Place, String)>,
    looked_for: usize,
    is_read_whole: bool,
}

impl<'a> Told<'a> {
    pub(super) fn new(problems: &'a mut Problems, sources: &'a mut Sources) -> Self {
        Self {
            is_read_whole: !problems.has_errors(),
            problems,
            sources,
            seen: HashSet::new(),
            looked_for: 0,
        }
    }

    /// Whether the files were read without an error: otherwise something may be missing from what they say.
    pub(super) fn is_read_whole(&self) -> bool {
        self.is_read_whole
    }

    /// Tells a problem, unless it has been told.
    pub(super) fn tell(&mut self, problem: Problem) {
        let key = (problem.place().clone(), problem.message().to_owned());
        if self.seen.insert(key) {
            self.problems.push(problem);
        }
    }

    /// Tells an error with its remedy.
    pub(super) fn error(&mut self, place: &Place, message: impl AsRef<str>, remedy: &str) {
        self.tell(Problem::error(place, message).remedy(remedy));
    }

    /// Tells a name that is not declared, with the declared one that it resembles.
    pub(super) fn unknown<'n>(
        &mut self,
        what: &str,
        name: &Text,
        declared: impl Iterator<Item = &'n str>,
    ) {
        let message = format!("no {what} `{}` is declared", name.value);
        let mut problem = Problem::error(&name.place, message);
        if self.looked_for < NEAREST_LOOKED_FOR {
            self.looked_for += 1;
            problem = problem.did_you_mean(&name.value, declared);
        }
        if problem.remedy_text().is_none() {
            problem = problem.remedy(format!("declare the {what}, or correct the name"));
        }
        self.tell(problem);
    }

    /// Tells a credential that stands in the policy, and keeps its line off every drawing.
    pub(super) fn leak(&mut self, place: &Place, what: &str) {
        self.sources.hide(place);
        let message = format!("{what} stands in the policy (secret_in_policy)");
        let problem = Problem::error(place, message).hides_source();
        self.tell(problem.remedy(
            "declare it under `secrets:` and write `{secret: NAME}`; if it is real, replace it at its issuer",
        ));
    }

    /// Tells a mistake inside a template.
    pub(super) fn template(&mut self, text: &Text, mistake: &TemplateProblem) {
        let place = part_of(text, mistake.at.start, mistake.at.end);
        let problem = Problem::error(&place, &mistake.message);
        self.tell(match &mistake.remedy {
            Some(remedy) => problem.remedy(remedy),
            None => problem,
        });
    }
}

/// The place of some bytes of a text, counted from its start; of those on its first line, where there are several.
pub(super) fn part_of(text: &Text, start: usize, end: usize) -> Place {
    let text_of = |from: usize, to: usize| text.value.get(from..to).unwrap_or_default();
    let before = text_of(0, start);
    let line = before.rsplit('\n').next().unwrap_or_default();
    let meant = text_of(start, end).lines().next().unwrap_or_default();
    text.place.within(
        before.matches('\n').count(),
        line.chars().count(),
        meant.chars().count(),
    )
}
