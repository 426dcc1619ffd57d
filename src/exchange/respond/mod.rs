//! The answer: the upstream's reply without what is not for the client, or a refusal; and the end of the record.

mod decode;
mod meaning;
mod metered;
mod scrubbed;

use http::header::{CONTENT_TYPE, UPGRADE};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

use crate::action::{Action, Limits};
use crate::audit::{End, Ending, Ticket};
use crate::body::Body;
use crate::dial::Reply;
use crate::exchange::answer::{EXEAT_OUTCOME, EXEAT_REQUEST_ID};
use crate::exchange::body::Hold;
use crate::exchange::{
    Answer, Called, Carried, Denied, Done, Received, Sent, Socket, Stop, upstream,
};
use crate::fault::{Fault, FaultKind};
use crate::lease::Lease;
use crate::policy::Stake;
use crate::wire::strip_hop_by_hop;

use metered::Metered;

pub(super) use meaning::conclude;
pub use scrubbed::OnEcho;
pub(super) use scrubbed::Scrub;

/// Refuses a reply whose head shows that it can't be passed on.
///
/// # Errors
/// [`FaultKind::Malformed`] for a status that only a proxy may send, [`FaultKind::ReplyTooLarge`] for a length over
/// the action's cap.
pub(super) fn check(reply: &Reply, limits: &Limits) -> Result<(), Fault> {
    let fault = |kind, detail: String| Err(Fault::new(kind, detail).at(reply.upstream.address));
    if reply.status == StatusCode::PROXY_AUTHENTICATION_REQUIRED {
        return fault(
            FaultKind::Malformed,
            "the upstream answered 407, which would make the client send it the agent's token"
                .into(),
        );
    }
    match reply.body.length() {
        Some(length) if length > limits.max_response_bytes => fault(
            FaultKind::ReplyTooLarge,
            format!("the upstream announced {length} bytes"),
        ),
        _ => Ok(()),
    }
}

/// Decodes a reply and scrubs its head; its content is scrubbed when it comes.
///
/// # Errors
/// [`FaultKind::Malformed`] for an encoding that can't be read, [`FaultKind::ReplyTooLarge`] where there is no room to
/// decode it; [`FaultKind::Echo`] where no reply may hold a secret.
pub(super) fn open(
    reply: &mut Reply,
    action: &Action,
    mut scrub: Scrub,
    hold: Hold,
) -> Result<Scrub, Fault> {
    decode::decode(reply, hold)?;
    if scrub.looks() {
        // They go before anybody knows whether the content stays as it is.
        decode::drop_digests(&mut reply.headers);
    }
    scrubbed::drop_sessions(action, &mut reply.headers);
    let address = reply.upstream.address;
    let scrubbed = scrub.headers(&mut reply.headers);
    scrubbed.map_err(|fault| fault.at(address))?;
    Ok(scrub)
}

/// Passes a reply on. The ticket goes into the body and is closed at its end; `lease` says how long that may take.
pub(super) fn reply(
    mut carried: Carried,
    (received, lease): (Received, impl FnOnce(Stake) -> Lease),
    mut ticket: Ticket,
) -> Answer {
    let switched = Socket::of(&mut carried);
    if (switched.is_some() || is_event_stream(&carried.sent.reply))
        && let Err(refusal) = ticket.opened()
    {
        return stopped(Stop::Refused(refusal), &received, ticket);
    }
    meaning::show(&mut carried.sent, &carried.concluded.shown);
    let status = carried.sent.reply.status;
    let mut headers = std::mem::take(&mut carried.sent.reply.headers);
    clean(&mut headers);
    if let Ok(name) = HeaderValue::from_str(carried.concluded.outcome.as_str()) {
        headers.insert(EXEAT_OUTCOME, name);
    }
    if let Ok(id) = HeaderValue::from_str(ticket.request_id().as_str()) {
        headers.insert(EXEAT_REQUEST_ID, id);
    }
    let (body, socket) = match switched {
        Some(switched) => {
            headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
            let lease = lease(carried.stake.clone());
            let socket = Socket::new(switched, carried, (ticket, lease));
            (Body::Empty, Some(Box::new(socket)))
        }
        None => (Metered::body(carried, (received, lease), ticket), None),
    };
    Answer {
        status,
        headers,
        body,
        socket,
    }
}

/// Whether a reply may go on for as long as both sides like, so that its record must not wait for its end.
fn is_event_stream(reply: &Reply) -> bool {
    let kind = reply.headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes);
    let essence = kind.and_then(|it| it.split(|byte| *byte == b';').next());
    let essence = essence.unwrap_or_default().trim_ascii();
    matches!(reply.body, Body::Stream(_)) && essence.eq_ignore_ascii_case(b"text/event-stream")
}

/// Tells a tool of a reply that was read whole, and closes the record.
pub(super) fn done(carried: Carried, received: &Received, mut ticket: Ticket) -> Called {
    let Sent {
        reply,
        dialled,
        mut scrub,
        ..
    } = carried.sent;
    let bytes = reply.body.length().unwrap_or_default();
    ticket.reached(upstream(&reply, dialled));
    let concluded = carried.concluded;
    let mut body = meaning::whole_value(&reply, concluded.shown);
    if let Err(fault) = scrub.value(&mut body) {
        return Err(denied(Stop::Broke(fault), received, ticket));
    }
    ticket.redacted(scrub.masked());
    let done = Done {
        status: reply.status,
        success: concluded.success,
        outcome: concluded.outcome,
        say: concluded.say,
        body,
        variables: carried.variables,
        request_id: ticket.request_id(),
    };
    ticket.close(Ending {
        end: End::Complete,
        status: Some(reply.status),
        bytes_in: received.bytes(),
        bytes_out: bytes,
    });
    Ok(done)
}

/// Refuses a tool call and closes the record.
pub(super) fn denied(stop: Stop, received: &Received, ticket: Ticket) -> Denied {
    let denied = Denied {
        refusal: stop.refusal(),
        request_id: ticket.request_id(),
    };
    ticket.close(Ending {
        end: stop.into_end(),
        status: Some(denied.refusal.code.tool_status()),
        bytes_in: received.bytes(),
        bytes_out: 0,
    });
    denied
}

/// Answers with a refusal and closes the record.
pub(super) fn stopped(stop: Stop, received: &Received, ticket: Ticket) -> Answer {
    let answer = Answer::refused(&stop.refusal(), ticket.request_id().as_str());
    ticket.close(Ending {
        end: stop.into_end(),
        status: Some(answer.status),
        bytes_in: received.bytes(),
        bytes_out: answer.body.length().unwrap_or_default(),
    });
    answer
}

/// Takes off what belongs to the connection, and what only exeat may say.
fn clean(headers: &mut HeaderMap) {
    strip_hop_by_hop(headers);
    let is_ours = |name: &&HeaderName| name.as_str().starts_with("exeat-");
    let ours: Vec<HeaderName> = headers.keys().filter(is_ours).cloned().collect();
    for name in ours {
        headers.remove(name);
    }
}
