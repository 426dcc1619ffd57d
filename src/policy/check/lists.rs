//! Lists in the query: in which style they stand there, and what else stands under their names.

use crate::action::QueryStyle;
use crate::policy::check::content::Known;
use crate::policy::check::parameters::Fit;
use crate::policy::check::told::Told;
use crate::policy::raw::action as raw;
use crate::problem::{Located, Problem};

/// The declared style.
pub(super) fn style(declared: Option<&Located<raw::QueryStyle>>) -> QueryStyle {
    match declared.map(|it| it.value) {
        None => QueryStyle::Repeat,
        Some(raw::QueryStyle::Comma) => QueryStyle::Comma,
        Some(raw::QueryStyle::Brackets) => QueryStyle::Brackets,
    }
}

/// Tells a style without a list, and a list whose brackets make it something else that is sent. `in_query` says where
/// parameters go that have no place.
pub(super) fn look_at(known: &Known<'_, '_>, in_query: bool, told: &mut Told<'_>) {
    let Some(declared) = &known.raw.query_style else {
        return;
    };
    if known.entries.is_partial || known.parameters.schema().is_none() {
        return;
    }
    let leftovers: &[&str] = if in_query { &known.leftovers } else { &[] };
    let is_list = |name: &str| known.parameters.fit(name) == Fit::List;
    let entries = known.entries.query.iter();
    let entries = entries.filter(|(.., it)| it.only_parameter().is_some_and(is_list));
    let entries = entries.map(|(_, name, _)| name.as_str());
    let lists = entries.chain(leftovers.iter().copied().filter(|it| is_list(it)));
    let lists: Vec<&str> = lists.collect();
    if lists.is_empty() {
        let problem = Problem::warning(&declared.place, "no list stands in the query");
        told.tell(problem.remedy("remove `query_style`"));
    }
    if declared.value != raw::QueryStyle::Brackets {
        return;
    }
    let credentials = known.credentials.iter().filter_map(|it| it.place.query());
    let entries = known.entries.query.iter().map(|(_, name, _)| name.as_str());
    let others = entries.chain(credentials).chain(leftovers.iter().copied());
    let others: Vec<&str> = others.collect();
    for name in lists.iter().filter(|it| !it.ends_with("[]")) {
        let sent = QueryStyle::Brackets.name_of_list(name);
        if others.iter().any(|it| it.eq_ignore_ascii_case(&sent)) {
            let message =
                format!("the list `{name}` would be sent as `{sent}`, beside another `{sent}`");
            told.error(&declared.place, message, "rename one of them");
        }
    }
}
