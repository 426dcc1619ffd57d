//! The actions at a host that a request is not, and why each of them is not the one.

use crate::action::{Action, PathPattern, Segment};
use crate::policy::Environment;
use crate::policy::explain::{Looked, Rule};
use crate::request::{Intent, Path};

/// A host may have thousands of actions: the nearest are told, and how many are left.
const TOLD: usize = 12;

/// The other actions at host and port, the nearest first.
pub(super) fn candidates(
    environment: &Environment,
    intent: &Intent,
    winner: Option<&Action>,
) -> Vec<Looked> {
    let (host, port) = (&intent.destination.host, intent.destination.port);
    let others = environment.index.at(host, port);
    let mut others: Vec<&Action> = others
        .filter(|it| winner.is_none_or(|winner| winner.name != it.name))
        .map(|it| &**it)
        .collect();
    let is_elsewhere = |it: &Action| it.path.captures(&intent.path).is_none();
    others.sort_by_cached_key(|it| {
        let is_other_method = it.method != intent.method;
        (is_elsewhere(it), is_other_method, it.name.clone())
    });
    let left = others.len().saturating_sub(TOLD);
    let told = others.into_iter().take(TOLD);
    let mut told: Vec<Looked> = told
        .map(|it| Looked::note(Rule::Candidate, why_not(it, intent, winner)))
        .collect();
    if left > 0 {
        let says = format!("{left} more at this host are another path or method as well");
        told.push(Looked::note(Rule::Candidate, says));
    }
    told
}

fn why_not(action: &Action, intent: &Intent, winner: Option<&Action>) -> String {
    let mut reasons = Vec::new();
    if action.method != intent.method {
        reasons.push(format!("the method is {}", action.method));
    }
    reasons.extend(misfit(&action.path, &intent.path));
    if reasons.is_empty() {
        let narrower = winner.map(|it| format!("{} is narrower", it.name));
        reasons.push(format!(
            "fits as well, but {}",
            narrower.unwrap_or_default()
        ));
    }
    format!("not {}: {}", action.name, reasons.join(", and "))
}

/// The first segment that does not fit.
fn misfit(pattern: &PathPattern, path: &Path) -> Option<String> {
    if pattern.captures(path).is_some() {
        return None;
    }
    for (index, segment) in pattern.segments().iter().enumerate() {
        if matches!(segment, Segment::Rest { .. }) && path.rest(index).is_some() {
            return None;
        }
        if index >= path.len() {
            return Some(format!("its path goes on with `{segment}`"));
        }
        let asked = path.segment(index);
        if segment.captures(asked).is_none() {
            return Some(format!(
                "its path has `{segment}` where this one has `/{asked}`"
            ));
        }
    }
    Some("this path goes on where its path ends".to_owned())
}
