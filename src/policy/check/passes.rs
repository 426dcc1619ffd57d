//! What an action lets through besides a request and its reply: a WebSocket, or trailers.

use crate::action::Passes;
use crate::policy::check::reading::readers;
use crate::policy::check::told::Told;
use crate::policy::raw::action::{Action as Raw, Method};
use crate::problem::{Place, Problem};

/// Reads `upgrade` and `trailers`, and tells what cannot stand beside them.
pub(super) fn read(raw: &Raw, told: &mut Told<'_>) -> Passes {
    let trailers = raw.trailers.as_ref().filter(|it| it.value);
    if let Some(upgrade) = &raw.upgrade {
        tell_beside_upgrade(raw, &upgrade.place, told);
        if let Some(trailers) = trailers {
            let message = "a WebSocket has no trailers";
            told.error(&trailers.place, message, "remove `trailers`");
        }
    } else if let Some(trailers) = trailers
        && let Some(reader) = readers(raw).next()
    {
        let message = "a reply that is read whole goes on without trailers";
        let problem = Problem::error(&trailers.place, message).second("this reads it", reader);
        told.tell(problem.remedy("remove `trailers`, or what reads the reply"));
    }
    Passes {
        websocket: raw.upgrade.is_some(),
        trailers: trailers.is_some(),
    }
}

/// Tells that an action whose success others wait for cannot let these through.
pub(super) fn tell_required(raw: &Raw, by: &Place, told: &mut Told<'_>) {
    let trailers = raw.trailers.as_ref().filter(|it| it.value);
    let refused = [
        (
            raw.upgrade.as_ref().map(|it| &it.place),
            "a WebSocket has no end that could be a success",
            "upgrade",
        ),
        (
            trailers.map(|it| &it.place),
            "a reply whose end is waited for goes on without trailers",
            "trailers",
        ),
    ];
    for (place, message, field) in refused {
        if let Some(place) = place {
            let problem = Problem::error(place, message).second("this requires its success", by);
            told.tell(problem.remedy(format!("remove `{field}`, or the requirement")));
        }
    }
}

/// RFC 6455 §4.1: a handshake is a GET without a body, and what follows it is no reply to be read.
fn tell_beside_upgrade(raw: &Raw, upgrade: &Place, told: &mut Told<'_>) {
    if let Some(method) = raw.method.as_ref().filter(|it| it.value != Method::Get) {
        let message = "a WebSocket is opened with GET";
        told.error(
            &method.place,
            message,
            "write `method: GET`, or remove `upgrade`",
        );
    }
    let content_types = raw.content_types.as_ref().map(|it| &it.place);
    let bodies = [
        raw.body.as_ref().map(|it| &it.place),
        raw.accept_body.as_ref().map(|it| it.place()),
        content_types,
    ];
    for place in bodies.into_iter().flatten() {
        let message = "the handshake of a WebSocket has no body";
        told.error(
            place,
            message,
            "remove it: what is sent later passes as it is",
        );
    }
    for reader in readers(raw) {
        let message = "a WebSocket has no reply in which anything could be read";
        let problem = Problem::error(reader, message).second("the WebSocket", upgrade);
        told.tell(problem.remedy("remove it, or `upgrade`"));
    }
}
