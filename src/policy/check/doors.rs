//! The doors of an action, as its declaration leaves them open. Which ones its templates close is [`body`]'s matter.
//!
//! [`body`]: crate::policy::check::body

use crate::action::{ContentRule, Doors};
use crate::policy::check::told::Told;
use crate::policy::raw::action::{Action as Raw, Door};
use crate::problem::Problem;

/// The declared doors. A wildcard host is chosen by the request, and a body that is passed on comes with it: tools
/// have neither.
pub(super) fn declared(
    raw: &Raw,
    is_wild: bool,
    content: &ContentRule,
    told: &mut Told<'_>,
) -> Doors {
    let passes_body = matches!(content, ContentRule::Wire(..) | ContentRule::Unread(_));
    let is_open = raw.upgrade.is_some();
    let tools = !is_wild && !passes_body && !is_open;
    let Some(list) = &raw.doors else {
        return Doors {
            proxy: true,
            http: tools,
            mcp: tools,
        };
    };
    if list.items.is_empty() {
        told.error(
            &list.place,
            "this action has no door",
            "write `enabled: false` instead",
        );
    }
    for (index, door) in list.items.iter().enumerate() {
        if list.items[..index].iter().any(|it| it.value == door.value) {
            let message = format!("`{}` stands here twice", door.value.as_str());
            told.error(&door.place, message, "remove it");
        }
    }
    let has = |door| list.items.iter().any(|it| it.value == door);
    let accepted = raw.accept_body.as_ref().filter(|_| tools);
    if let Some(accepted) = accepted.filter(|_| !has(Door::Proxy)) {
        let message = "`accept_body` is for the proxy door, which is not among the `doors`";
        let problem = Problem::warning(accepted.place(), message).second("these", &list.place);
        told.tell(problem.remedy("add `proxy` to `doors`, or remove `accept_body`"));
    }
    for door in list
        .items
        .iter()
        .filter(|it| it.value != Door::Proxy && !tools)
    {
        let message = match (is_open, is_wild) {
            (true, _) => "a tool call has one answer, and cannot hold a WebSocket open",
            (false, true) => "a tool call cannot choose the host for `*`",
            (false, false) => "a tool call has no body to pass on",
        };
        told.error(
            &door.place,
            message,
            "write `doors: [proxy]`, or leave it out",
        );
    }
    Doors {
        proxy: has(Door::Proxy),
        http: has(Door::Http),
        mcp: has(Door::Mcp),
    }
}
