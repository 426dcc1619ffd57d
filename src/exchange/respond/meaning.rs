//! What a reply means, and what of it may go on: the meeting of an action's `Reading` with a real reply.
//!
//! A reply is read whole only where the reading needs it, or for a tool, which is told of it in a message of its own.
//! It counts against the room for all bodies until its last byte has gone on.

use bytes::{Bytes, BytesMut};
use http::header::{CONTENT_RANGE, CONTENT_TYPE, ETAG};
use http::{HeaderMap, HeaderName, HeaderValue};
use http_body_util::BodyExt;
use serde_json::Value;
use tokio::time::timeout;

use crate::action::Action;
use crate::action::outcome::{Concluded, Content, Replied, Shown};
use crate::body::Body;
use crate::dial::Reply;
use crate::exchange::body::Hold;
use crate::exchange::respond::decode::{OF_THE_BYTES, weaken};
use crate::exchange::{Deadline, Sent};
use crate::fault::{Fault, FaultKind};
use crate::json;
use crate::request::Door;

/// Headers that say something of a content, and would be wrong of another, besides those of its bytes.
const OF_THE_CONTENT: [HeaderName; 3] = [CONTENT_TYPE, CONTENT_RANGE, ETAG];

/// Reads a reply as its action says. What of it may reach the agent is left to [`show`] and [`whole_value`].
///
/// # Errors
/// What broke the reply off, or [`FaultKind::ReplyTooLarge`], where all of it was needed; [`FaultKind::Echo`] where it
/// may not hold a secret.
pub(in crate::exchange) async fn conclude(
    sent: &mut Sent,
    action: &Action,
    door: Door,
    hold: &mut Hold,
) -> Result<Concluded, Fault> {
    let is_read = action.reading.needs_content();
    if action.reads_reply() || door != Door::Proxy {
        let address = sent.reply.upstream.address;
        let body = std::mem::take(&mut sent.reply.body);
        let whole = whole(body, action, sent.deadline, hold).await;
        let mut whole = whole.map_err(|fault| fault.at(address))?;
        let before = sent.scrub.masked();
        let scrubbed = sent.scrub.content(&mut whole);
        scrubbed.map_err(|fault| fault.at(address))?;
        if sent.scrub.masked() > before {
            weaken(&mut sent.reply.headers);
        }
        sent.reply.body = match whole {
            nothing if nothing.is_empty() => Body::Empty,
            whole => Body::Bytes(whole),
        };
    }
    let content = match &sent.reply.body {
        _ if !is_read => Content::Other,
        body => content(&sent.reply, in_hand(body)),
    };
    let replied = Replied {
        status: sent.reply.status,
        content,
        // What breaks off before its end has been a fault above; a reply that is passed on is judged by its head.
        complete: true,
    };
    let mut concluded = action.reading.conclude(replied, door);
    let outputs = concluded.outputs.iter_mut();
    for value in outputs.filter_map(|(_, value)| value.as_mut()) {
        sent.scrub.value(value)?;
    }
    if let Shown::Json(value) = &mut concluded.shown {
        sent.scrub.value(value)?;
    }
    Ok(concluded)
}

/// A reply that was read whole, as a tool returns it: JSON, or text where it is none; null for no content.
pub(super) fn whole_value(reply: &Reply, shown: Shown) -> Value {
    match shown {
        Shown::Withheld => Value::Null,
        Shown::Json(value) => value,
        Shown::AsCame => {
            let whole = in_hand(&reply.body);
            match content(reply, whole) {
                Content::Empty => Value::Null,
                Content::Json(value) => value,
                Content::Other => String::from_utf8_lossy(whole).into(),
            }
        }
    }
}

/// The bytes of a body that was read.
fn in_hand(body: &Body) -> &[u8] {
    match body {
        Body::Bytes(bytes) => bytes,
        Body::Empty | Body::Stream(_) => &[],
    }
}

async fn whole(
    body: Body,
    action: &Action,
    deadline: Deadline,
    hold: &mut Hold,
) -> Result<Bytes, Fault> {
    let mut stream = match body {
        Body::Empty => return Ok(Bytes::new()),
        Body::Bytes(bytes) => return make_room(action, hold, (0, bytes.len())).map(|()| bytes),
        Body::Stream(stream) => stream,
    };
    let limits = action.limits;
    let mut whole = BytesMut::new();
    loop {
        let next = async {
            let frame = timeout(limits.idle_timeout, stream.frame()).await;
            frame.map_err(|_| Fault::new(FaultKind::Timeout, "the reply stopped before its end"))
        };
        // Whoever reads a reply whole does without its trailers.
        let frame = deadline.wait(FaultKind::Timeout, next).await?.transpose()?;
        let Some(Ok(data)) = frame.map(|frame| frame.into_data()) else {
            return Ok(whole.freeze());
        };
        make_room(action, hold, (whole.len(), data.len()))?;
        whole.extend_from_slice(&data);
    }
}

/// Lets so many bytes more follow those of a reply that are in hand.
fn make_room(
    action: &Action,
    hold: &mut Hold,
    (before, more): (usize, usize),
) -> Result<(), Fault> {
    if (before + more) as u64 > action.limits.max_response_bytes {
        return Err(too_large(
            "the reply passed the action's max_response_bytes",
        ));
    }
    // The request has been carried out: not a refusal that invites to send it again.
    if !hold.take(more) {
        return Err(too_large(
            "there is no room for the reply among all bodies in hand",
        ));
    }
    Ok(())
}

fn too_large(detail: &str) -> Fault {
    Fault::new(FaultKind::ReplyTooLarge, detail)
}

fn content(reply: &Reply, whole: &[u8]) -> Content {
    Content::of(reply.status, &reply.headers, whole)
}

/// Leaves of a reply what may reach the agent.
pub(super) fn show(sent: &mut Sent, shown: &Shown) {
    let bytes = match shown {
        Shown::AsCame => return,
        Shown::Withheld => Vec::new(),
        Shown::Json(value) => {
            let mut bytes = Vec::new();
            json::write(value, &mut bytes);
            bytes
        }
    };
    relabel(&mut sent.reply.headers, bytes.is_empty());
    // The cap was held by what came; a name in the place of a value may be longer.
    let length = bytes.len() as u64;
    sent.limits.max_response_bytes = sent.limits.max_response_bytes.max(length);
    sent.reply.body = bytes.into();
}

fn relabel(headers: &mut HeaderMap, is_empty: bool) {
    for name in OF_THE_BYTES.iter().chain(&OF_THE_CONTENT) {
        headers.remove(name);
    }
    if !is_empty {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    }
}
