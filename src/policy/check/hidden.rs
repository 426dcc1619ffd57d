//! Characters that people who read a policy do not see, in text that goes on as it is: to models, to the terminals of
//! those who list tools, into the prompts that ask people before a call.

use crate::policy::check::told::Told;
use crate::policy::raw::decode::Text;
use crate::problem::{Place, is_invisible_order};

/// Tells the first character that drives a terminal, turns the direction of reading, or is read by models alone.
/// Where it stands is looked for only then.
pub(super) fn in_text<'p>(text: &str, place: impl FnOnce() -> &'p Place, told: &mut Told<'_>) {
    let Some(found) = text.chars().find(|it| is_hidden(*it)) else {
        return;
    };
    let code = u32::from(found);
    let message = format!("the text has a character that is not seen, U+{code:04X}");
    let remedy = "remove it; line breaks and tabs are the only control characters of a text";
    told.error(place(), message, remedy);
}

/// As [`in_text`].
pub(super) fn in_located(text: &Text, told: &mut Told<'_>) {
    in_text(&text.value, || &text.place, told);
}

fn is_hidden(c: char) -> bool {
    let drives = c.is_control() && !matches!(c, '\n' | '\t');
    // A copy of ASCII that no font shows.
    let is_tag = matches!(c, '\u{e0000}'..='\u{e007f}');
    drives || is_tag || is_invisible_order(c)
}
