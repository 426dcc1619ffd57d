//! The client's body, under the caps of the selected action.

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;

use crate::action::{Action, Content};
use crate::body::Body;
use crate::exchange::{Deadline, Received, Stop};
use crate::fault::{Fault, FaultKind};
use crate::policy::Selected;
use crate::refusal::{Code, Refusal};

mod capped;
mod room;

use capped::Capped;
pub(super) use room::Hold;
pub use room::Room;

/// Reads the body where the decision needs it, or leaves it as a stream that ends at the cap.
///
/// # Errors
/// [`Code::TooLarge`] before a byte is read where the length says so, else when the cap is passed;
/// [`Code::Overloaded`] where there is no room for it; whatever broke the body off.
pub(super) async fn read(
    selected: &Selected,
    body: Body,
    deadline: Deadline,
    received: &Received,
    hold: &mut Hold,
) -> Result<Content, Stop> {
    let cap = selected.action().limits.max_request_bytes;
    if body.length().is_some_and(|length| length > cap) {
        return Err(selected.action().too_large().into());
    }
    if !selected.reads_body() {
        let capped = match body {
            Body::Stream(stream) => Body::stream(Capped::new(stream, cap, received.clone())),
            in_hand => in_hand,
        };
        return Ok(Content::Unread(capped));
    }
    let bytes = match body {
        Body::Empty => Bytes::new(),
        Body::Bytes(bytes) => bytes,
        Body::Stream(stream) => {
            let capped = Capped::new(stream, cap, received.clone());
            let collecting = collect(capped, selected.action(), hold);
            deadline.wait(FaultKind::ClientSlow, collecting).await?
        }
    };
    Ok(Content::Read(bytes))
}

async fn collect(mut body: Capped, action: &Action, hold: &mut Hold) -> Result<Bytes, Stop> {
    let mut whole = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|fault| refused_if_too_large(fault, action))?;
        let data = frame.into_data().unwrap_or_default();
        if !hold.take(data.len()) {
            return Err(no_room().of_action(&action.name).into());
        }
        whole.extend_from_slice(&data);
    }
    Ok(whole.freeze())
}

/// A body over the cap is refused by the policy, whenever it shows; all else that broke is a fault.
pub(super) fn refused_if_too_large(fault: Fault, action: &Action) -> Stop {
    match fault.kind {
        FaultKind::ClientTooLarge => Stop::Refused(action.too_large()),
        _ => Stop::Broke(fault),
    }
}

pub(super) fn no_room() -> Refusal {
    let message = "too much is in hand for another body; send the request again in a moment";
    Refusal::new(Code::Overloaded, message)
}
