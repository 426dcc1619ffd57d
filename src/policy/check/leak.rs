//! Credentials that were written into a policy: by the name of the place where they stand, or by their own shape.
//!
//! A last net for honest mistakes.

use crate::credential::secrets_in;
use crate::policy::check::told::Told;
use crate::policy::raw::decode::Text;
use crate::problem::Place;

/// Tells a text with the shape of a secret. Where it stands is looked for only then. Returns whether it is one.
pub(super) fn in_text<'p>(
    text: &str,
    place: impl FnOnce() -> &'p Place,
    told: &mut Told<'_>,
) -> bool {
    let Some((_, name)) = secrets_in(text).next() else {
        return false;
    };
    told.leak(place(), &format!("something with the shape of {name}"));
    true
}

/// As [`in_text`].
pub(super) fn in_located(text: &Text, told: &mut Told<'_>) -> bool {
    in_text(&text.value, || &text.place, told)
}

/// As [`in_text`], for several.
pub(super) fn in_texts<'t>(
    texts: impl Iterator<Item = (&'t String, &'t Place)>,
    told: &mut Told<'_>,
) {
    for (text, place) in texts {
        in_text(text, || place, told);
    }
}
