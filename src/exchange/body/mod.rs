//! The client's body, under the caps of the selected action.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body::Body as HttpBody;
use http_body_util::BodyExt;
use tokio::time::timeout;

use crate::action::{Action, Content};
use crate::body::Body;
use crate::exchange::{Deadline, Gate, Received, Stop, outgoing};
use crate::fault::{Fault, FaultKind};
use crate::known::Known;
use crate::policy::Selected;
use crate::refusal::{Code, Refusal};

mod capped;
mod guarded;
mod room;

use capped::Capped;
use guarded::Guarded;
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
            let collecting = collect(capped, cap, hold);
            let collected = deadline.wait(FaultKind::ClientSlow, collecting).await;
            collected.map_err(|stop| stop.of_action(&selected.action().name))?
        }
    };
    Ok(Content::Read(bytes))
}

/// Has a body that passes unread break off where a known secret stands in it. What is in hand is looked at where the
/// request is whole.
pub(super) fn guarded(content: Content, known: &Arc<Known>) -> Content {
    match content {
        Content::Unread(Body::Stream(stream)) => {
            Content::Unread(Body::stream(Guarded::new(stream, known.clone())))
        }
        other => other,
    }
}

/// How long a tool's client may take for its body: they are small, and sent at once.
const TAKE_IN: Duration = Duration::from_secs(30);

impl Gate {
    /// Reads the body of a tool's request whole, within the room for all bodies.
    ///
    /// # Errors
    /// As for a proxied request's, but for a deadline of its own.
    pub async fn take_in<B>(&self, body: &mut B, cap: u64) -> Result<Bytes, Stop>
    where
        B: HttpBody<Data = Bytes, Error = Fault> + Unpin,
    {
        let exact = body.size_hint().exact();
        if exact.is_some_and(|length| length > cap) {
            return Err(Refusal::too_large(cap).into());
        }
        let mut hold = self.services.room.hold();
        let capped = Capped::new(body, cap, Received::default());
        let collected = timeout(TAKE_IN, collect(capped, cap, &mut hold)).await;
        collected.unwrap_or_else(|_| {
            let detail = format!("the body was not there after {TAKE_IN:?}");
            Err(Fault::new(FaultKind::ClientSlow, detail).into())
        })
    }
}

async fn collect<B>(mut body: Capped<B>, cap: u64, hold: &mut Hold) -> Result<Bytes, Stop>
where
    B: HttpBody<Data = Bytes, Error = Fault> + Unpin,
{
    let mut whole = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|fault| match fault.kind {
            FaultKind::ClientTooLarge => Stop::Refused(Refusal::too_large(cap)),
            _ => Stop::Broke(fault),
        })?;
        let data = frame.into_data().unwrap_or_default();
        if !hold.take(data.len()) {
            return Err(no_room().into());
        }
        whole.extend_from_slice(&data);
    }
    Ok(whole.freeze())
}

/// A body over the cap, or with a secret, is refused, whenever it shows; all else that broke is a fault.
pub(super) fn refused_if_decided(fault: Fault, action: &Action) -> Stop {
    match fault.kind {
        FaultKind::ClientTooLarge => Stop::Refused(action.too_large()),
        FaultKind::ClientSecret => Stop::Refused(outgoing::refusal("the body", action)),
        _ => Stop::Broke(fault),
    }
}

pub(super) fn no_room() -> Refusal {
    let message = "too much is in hand for another body; send the request again in a moment";
    Refusal::new(Code::Overloaded, message)
}
