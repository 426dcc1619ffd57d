//! Whether a proxied request asks for the protocol that its action speaks: HTTP alone, or WebSocket after a handshake.

use http::HeaderMap;

use crate::action::Action;
use crate::refusal::{Code, Refusal};
use crate::wire::{Upgrade, read_opening};

/// Judges the `Upgrade` of a request, and the rest of a handshake.
///
/// # Errors
/// [`Code::UpgradeRefused`] where the action speaks another protocol, [`Code::RequestMalformed`] for a handshake that
/// is none.
pub(super) fn judge(action: &Action, headers: &HeaderMap) -> Result<(), Refusal> {
    let refused = |message: &str| Refusal::new(Code::UpgradeRefused, message);
    match (action.passes.websocket, Upgrade::of(headers)) {
        (false, Upgrade::Nothing) => Ok(()),
        (false, _) => Err(refused(
            "the action speaks HTTP alone; send the request without `Upgrade`",
        )),
        (true, Upgrade::WebSocket) => {
            read_opening(headers).map_err(|message| Refusal::new(Code::RequestMalformed, message))
        }
        (true, _) => Err(refused(
            "the action is a WebSocket; open it over HTTP/1.1 with `Upgrade: websocket` and nothing beside it",
        )),
    }
}
