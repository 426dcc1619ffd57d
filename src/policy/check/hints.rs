//! What a policy says of an action's effects, where it knows better than the method.

use crate::action::Hints;
use crate::policy::check::told::Told;
use crate::policy::raw::action::Hints as Raw;
use crate::problem::{Located, Problem};

/// The declared hints; the others follow from them, and from the method.
pub(super) fn read(raw: Option<&Raw>, method: &http::Method, told: &mut Told<'_>) -> Hints {
    let promised = Hints::of(method);
    let Some(raw) = raw else { return promised };
    if raw.read_only.is_none() && raw.destructive.is_none() && raw.idempotent.is_none() {
        let remedy = "write `read_only`, `destructive` or `idempotent`, or remove it";
        told.error(&raw.place, "`hints` says nothing", remedy);
    }
    let said = |it: &Option<Located<bool>>| it.as_ref().map(|it| it.value);
    let read_only = said(&raw.read_only).unwrap_or(promised.read_only);
    if read_only {
        tell_contradiction(raw, told);
    }
    Hints {
        read_only,
        destructive: said(&raw.destructive).unwrap_or(!read_only),
        // What changes nothing may be done twice.
        idempotent: said(&raw.idempotent).unwrap_or(promised.idempotent || read_only),
    }
}

/// What an action that changes nothing cannot do as well.
fn tell_contradiction(raw: &Raw, told: &mut Told<'_>) {
    let destructive = raw.destructive.as_ref().filter(|it| it.value);
    let wrong = destructive.map(|it| (it, "what changes nothing is not destructive"));
    let again = raw.idempotent.as_ref().filter(|it| !it.value);
    // A GET that must not be sent twice is one that changes something, and says so.
    let again = again.filter(|_| raw.read_only.is_some());
    let wrong = wrong.or(again.map(|it| (it, "what changes nothing is idempotent")));
    let Some((place, message)) = wrong else {
        return;
    };
    let problem = Problem::error(&place.place, message);
    told.tell(match &raw.read_only {
        Some(read_only) => problem
            .second("declared here", &read_only.place)
            .remedy("remove one of them"),
        None => problem.remedy("write `read_only: false` beside it: this method is read-only"),
    });
}
