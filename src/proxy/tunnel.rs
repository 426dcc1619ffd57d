//! CONNECT: answered, opened, or passed on.
//!
//! What the policy has at the host and port settles which, before anything is looked up or dialled.

use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};

use http::{Method, Version};
use rustls::sign::CertifiedKey;

use crate::agents;
use crate::agents::Shown;
use crate::audit::{Asked, End, Ending, Opening};
use crate::exchange::{Answer, Begun, Gate, Share, Stop, unless_panicked};
use crate::fault::{Fault, FaultKind};
use crate::name::EnvironmentName;
use crate::policy::{Passage, Policy, Reach, Stake};
use crate::proxy::Place;
use crate::proxy::arrival;
use crate::proxy::connection;
use crate::proxy::connection::Connect;
use crate::proxy::intercept;
use crate::proxy::line::ClientStream;
use crate::proxy::passthrough;
use crate::proxy::rewound::Rewound;
use crate::refusal::{Code, Refusal};
use crate::request::{Caller, Destination, Door};
use crate::wire::{Head, TUNNEL_OPEN};

/// What a CONNECT settled for all requests in its tunnel.
pub(super) struct Tunnel {
    /// The only server that a request inside may name.
    pub(super) destination: Destination,
    /// Who asked; a `Proxy-Authorization` inside changes nothing.
    caller: Caller,
    /// By what that is known.
    shown: Shown,
    /// The environment that the process was given.
    given: Option<EnvironmentName>,
    /// The version of TLS inside.
    tls: Option<&'static str>,
    /// The CONNECT's own record, which becomes that of the first request inside.
    first: Mutex<Option<Begun>>,
}

/// What a permitted CONNECT leads to.
enum Way {
    /// TLS ends here, with this certificate.
    Intercept(Arc<CertifiedKey>),
    /// TLS ends at the server. The agent's share is held until then.
    PassThrough(Passage, Share),
}

/// Answers a CONNECT, and serves its tunnel if there is one.
pub(super) async fn open<S: ClientStream>(place: &Place, connect: Connect<S>) {
    let Connect {
        mut begun,
        head,
        line,
    } = connect;
    let id = begun.ticket.request_id();
    let settled = {
        let settling = pin!(settle(place, &mut begun, &head));
        unless_panicked(Some(id), settling).await
    };
    let ((caller, shown), destination, way) = match settled {
        Ok(settled) => settled,
        Err(stop) => {
            let answer = match stop {
                Stop::Refused(refusal) => begun.refuse(refusal),
                Stop::Broke(fault) => begun.fail(fault),
            };
            let place = (&*place.limits, &*place.seat);
            return connection::last_words(place, &line, answer).await;
        }
    };
    place.seat.asked();
    if let Err(error) = line.write(TUNNEL_OPEN, place.limits.write_stall).await {
        return gone(
            begun,
            &format!("the client left before its tunnel: {error}"),
        );
    }
    let Some((stream, ahead)) = line.take() else {
        return gone(begun, "the client left before its tunnel");
    };
    let stream = Rewound::new(ahead, stream);
    let given = place.gate.services.settings.environment.clone();
    match way {
        Way::Intercept(leaf) => {
            let tunnel = Tunnel {
                destination,
                caller,
                shown,
                given,
                tls: None,
                first: Mutex::new(Some(begun)),
            };
            intercept::serve(place, tunnel, leaf, stream).await;
        }
        Way::PassThrough(passage, _share) => {
            let stake = Stake::of_caller(caller, given).on_tunnel(&passage);
            passthrough::serve(place, begun, (passage, stake), stream).await;
        }
    }
}

impl Tunnel {
    /// TLS is up inside.
    pub(super) fn secured(mut self, version: &'static str) -> Self {
        self.tls = Some(version);
        self
    }

    /// Begins a request inside: with a policy of its own, for one that is decided by the policy of its CONNECT could
    /// be decided by one that was replaced long ago.
    ///
    /// # Errors
    /// As [`Gate::begin`].
    pub(super) fn begin(&self, gate: &Gate) -> Result<Begun, Box<Answer>> {
        let mut begun = match self.take_first() {
            Some(first) => self.renewed(gate, first),
            None => gate.begin(Door::Proxy, self.tls)?,
        };
        begun.ticket.known(&self.caller_under(&begun.policy));
        Ok(begun)
    }

    /// Who asked, as the policy of a request inside has them.
    pub(super) fn caller_under(&self, policy: &Policy) -> Caller {
        agents::rehomed(&self.caller, policy, self.given.as_ref())
    }

    /// Counts that the client does not trust us where it should: its own roots, or a pinned certificate.
    pub(super) fn distrusted(&self, gate: &Gate) {
        let policy = gate.services.live.snapshot();
        let environment = policy.environment(&self.caller.environment);
        let host = environment.and_then(|it| it.index.written(&self.destination.host));
        gate.services.metrics.distrusted(host.as_ref());
    }

    /// Asks again, for a request inside, by what its caller is known.
    ///
    /// # Errors
    /// As [`agents::identify`].
    pub(super) async fn vouch(
        &self,
        gate: &Gate,
        policy: &Policy,
        caller: &Caller,
    ) -> Result<(), Stop> {
        let vault = gate.services.vault.as_ref();
        let good = self.shown.is_still_good(policy, vault, caller).await;
        good.map_err(arrival::unidentified)
    }

    /// Records a tunnel that ends before there was a request inside; does nothing if there was one.
    pub(super) fn close(&self, end: End) {
        if let Some(first) = self.take_first() {
            close(first, end);
        }
    }

    /// One record for all streams of this tunnel that never became requests: a client that probes is seen.
    pub(super) fn close_for_lost(&self, place: &Place, streams: u64) {
        // One that can't begin has a record of its own.
        if let Ok(mut begun) = self.begin(&place.gate) {
            begun.ticket.asked(Asked {
                method: Method::CONNECT,
                destination: self.destination.clone(),
                version: Some(Version::HTTP_2),
            });
            let detail = format!("HTTP/2 streams that were no requests: {streams}");
            close(begun, client_failed(detail));
        }
    }

    fn renewed(&self, gate: &Gate, mut begun: Begun) -> Begun {
        begun.policy = gate.services.live.snapshot();
        begun.ticket.renew(Opening {
            door: Door::Proxy,
            policy_hash: begun.policy.hash().clone(),
            tls: self.tls,
        });
        begun
    }

    fn take_first(&self) -> Option<Begun> {
        let mut first = self.first.lock().unwrap_or_else(PoisonError::into_inner);
        first.take()
    }
}

async fn settle(
    place: &Place,
    begun: &mut Begun,
    head: &Head,
) -> Result<((Caller, Shown), Destination, Way), Stop> {
    let destination = Destination::of_connect(head.target.as_str())?;
    arrival::note(&place.gate, begun, head, &destination);
    if !arrival::names(head, &destination) {
        return Err(arrival::two_servers(Code::RequestMalformed, &destination).into());
    }
    let who = arrival::identify(&place.gate, begun, head).await?;
    let (caller, shown) = who.into_parts();
    let (host, port) = (&destination.host, destination.port);
    let authority = &place.gate.services.authority;
    let shares = &place.gate.services.shares;
    let reach = begun.policy.reach(&caller.environment, host, port);
    if let Reach::Actions | Reach::Tunnel(_) = reach
        && begun.policy.leaves_open(&caller.environment, host)
    {
        shares.name(caller.agent.as_ref(), host)?;
    }
    let way = match reach {
        Reach::Actions => Way::Intercept(authority.leaf(host).await?),
        Reach::Tunnel(passage) => Way::PassThrough(passage, shares.tunnel(caller.agent.as_ref())?),
        Reach::PortUndeclared => return Err(port_undeclared(&destination).into()),
        // Most clients show nothing of an answer to CONNECT but its status. On the port of HTTPS the refusal is given
        // inside, where agents can read it; the exchange gives it, as for any request to such a host.
        Reach::HostUndeclared if port == destination.scheme.default_port() => {
            let leaf = authority.leaf_for_refusal(host).await;
            Way::Intercept(leaf.ok_or_else(|| host_undeclared(&destination))?)
        }
        Reach::HostUndeclared => return Err(host_undeclared(&destination).into()),
    };
    Ok(((caller, shown), destination, way))
}

/// Records the end of a CONNECT that did not come to a request. None of what the client got was an answer of ours.
pub(super) fn close(begun: Begun, end: End) {
    begun.ticket.close(Ending {
        end,
        status: None,
        bytes_in: 0,
        bytes_out: 0,
    });
}

/// The end where the client left, or made no sense, on its own account.
pub(super) fn client_failed(detail: impl Into<String>) -> End {
    End::Failed(Fault::new(FaultKind::ClientGone, detail))
}

fn gone(begun: Begun, why: &str) {
    close(begun, client_failed(why));
}

fn port_undeclared(destination: &Destination) -> Refusal {
    let Destination { host, port, .. } = destination;
    let message = format!("no declared action or tunnel uses port {port} of {host}");
    Refusal::new(Code::PortUndeclared, message)
}

fn host_undeclared(destination: &Destination) -> Refusal {
    let host = &destination.host;
    let message = format!("no declared action reaches {host}; ask the operator to declare one");
    Refusal::new(Code::HostUndeclared, message)
}
