//! From an HTTP/1 head to an [`Arrival`]: every place that names a server names the same one, and the caller is known.
//!
//! Not here: paths, queries, methods and everything else that the exchange judges.

use http::Version;
use http::header::{PROXY_AUTHORIZATION, UPGRADE};

use crate::agents;
use crate::agents::{Identified, Unidentified};
use crate::audit::Asked;
use crate::body::Body;
use crate::exchange::{Arrival, Begun, Gate, Stop};
use crate::proxy::tunnel::Tunnel;
use crate::refusal::{Code, Refusal};
use crate::request::{Caller, Destination, Door};
use crate::wire::{Form, Head};

/// Reads a request that came in the clear: its target is a whole URL, and `Host` names the same server.
///
/// # Errors
/// [`Code::NotAProxyRequest`], [`Code::RequestMalformed`], [`Code::AddressRefused`], [`Code::AgentUnknown`], or what
/// kept the agent's token from being read.
pub(super) async fn in_the_clear(
    gate: &Gate,
    begun: &mut Begun,
    head: Head,
    body: Body,
) -> Result<Arrival, Stop> {
    let target = Destination::of_absolute(head.target.as_str())?;
    let path_and_query = target.path_and_query.to_owned();
    let destination = target.destination;
    note(gate, begun, &head, &destination);
    if !names(&head, &destination) {
        return Err(two_servers(Code::RequestMalformed, &destination).into());
    }
    let caller = identify(gate, begun, &head).await?.caller;
    Ok(arrival(head, body, (caller, destination, path_and_query)))
}

/// Reads a request inside an intercepted tunnel, whose server and caller were settled by the CONNECT.
///
/// # Errors
/// [`Code::HostMismatch`] where it names another server, [`Code::MethodRefused`] for a CONNECT,
/// [`Code::RequestMalformed`] for a target that is none.
pub(super) fn in_a_tunnel(
    gate: &Gate,
    (tunnel, begun): (&Tunnel, &mut Begun),
    head: Head,
    body: Body,
) -> Result<Arrival, Stop> {
    let destination = &tunnel.destination;
    note(gate, begun, &head, destination);
    let path_and_query = match head.target.form() {
        Form::Origin | Form::Asterisk => head.target.as_str().to_owned(),
        Form::Absolute => {
            let target = Destination::of_absolute(head.target.as_str())?;
            if target.destination != *destination {
                return Err(two_servers(Code::HostMismatch, destination).into());
            }
            target.path_and_query.to_owned()
        }
        Form::Authority => {
            let message = "a tunnel has no tunnels inside; send the request itself";
            return Err(Refusal::new(Code::MethodRefused, message).into());
        }
    };
    if !names(&head, destination) {
        return Err(two_servers(Code::HostMismatch, destination).into());
    }
    let caller = tunnel.caller_under(&begun.policy);
    let to = (caller, destination.clone(), path_and_query);
    Ok(arrival(head, body, to))
}

/// Finds out who sent a head, and tells the record.
///
/// # Errors
/// As [`agents::identify`].
pub(super) async fn identify(
    gate: &Gate,
    begun: &mut Begun,
    head: &Head,
) -> Result<Identified, Stop> {
    let services = &gate.services;
    let environment = services.settings.home(&begun.policy);
    let vault = services.vault.as_ref();
    let found = agents::identify(&begun.policy, vault, &head.headers, environment).await;
    let found = found.map_err(unidentified)?;
    begun.ticket.known(&found.caller);
    Ok(found)
}

/// Why nobody was identified, as the end of an exchange.
pub(super) fn unidentified(why: Unidentified) -> Stop {
    match why {
        Unidentified::Refused(refusal) => Stop::Refused(refusal),
        Unidentified::Broke(fault) => Stop::Broke(fault),
    }
}

/// Tells the record what a head asks for.
pub(super) fn note(gate: &Gate, begun: &mut Begun, head: &Head, destination: &Destination) {
    let asked = Asked {
        method: head.method.clone(),
        destination: destination.clone(),
        version: Some(head.version),
    };
    gate.services.note_asked(asked, &mut begun.ticket);
}

/// Whether the `Host` header names the destination. Only HTTP/1.0 has none; its target is all there is then.
pub(super) fn names(head: &Head, destination: &Destination) -> bool {
    head.host().is_none_or(|host| destination.is_named_by(host))
}

/// The refusal of a request that names two servers.
pub(super) fn two_servers(code: Code, destination: &Destination) -> Refusal {
    let message = format!("every part of this request must name {destination}, Host too");
    Refusal::new(code, message)
}

fn arrival(mut head: Head, body: Body, to: (Caller, Destination, String)) -> Arrival {
    // It was for us; nobody behind us is to know it.
    head.headers.remove(PROXY_AUTHORIZATION);
    if head.version == Version::HTTP_10 {
        // RFC 9110 §7.8: it is to be ignored there.
        head.headers.remove(UPGRADE);
    }
    let (caller, destination, path_and_query) = to;
    Arrival {
        door: Door::Proxy,
        caller,
        destination,
        method: head.method,
        path_and_query,
        headers: head.headers,
        version: head.version,
        body,
    }
}
