//! A record of a usual request.

use std::sync::Arc;
use std::time::Duration;

use exeat::audit::{Asked, Audit, End, Ending, Opening, Prepared, Target, Upstream};
use exeat::name::{ActionName, AgentName, EnvironmentName, OutcomeName};
use exeat::request::{Caller, Destination, Door};
use http::{Method, StatusCode, Version};

/// What the steps of a usual request know.
pub(crate) struct Told {
    hash: Arc<str>,
    path: Arc<str>,
    caller: Caller,
    destination: Destination,
    action: ActionName,
    outcome: OutcomeName,
}

impl Told {
    pub(crate) fn new() -> Self {
        Self {
            hash: "3b1f0e7c9a5d2846".into(),
            path: "/data/2.5/weather".into(),
            caller: Caller {
                agent: AgentName::parse("support-bot").ok(),
                environment: EnvironmentName::parse("production").expect("a name"),
                session: None,
            },
            destination: Destination::of_connect("api.openweathermap.org:443").expect("a target"),
            action: ActionName::parse("get_weather").expect("a name"),
            outcome: OutcomeName::parse("succeeded").expect("a name"),
        }
    }

    /// Opens a ticket, tells it everything and closes it.
    pub(crate) fn record(&self, audit: &Audit) {
        let opening = Opening {
            door: Door::Proxy,
            policy_hash: self.hash.clone(),
            tls: Some("1.3"),
        };
        // Where the queue is full, the writer has to come first: no time passes on the CPU meanwhile.
        let mut ticket = loop {
            match audit.open(opening.clone()) {
                Ok(ticket) => break ticket,
                Err(_) => std::thread::sleep(Duration::from_millis(1)),
            }
        };
        ticket.known(&self.caller);
        ticket.asked(Asked {
            method: Method::GET,
            destination: self.destination.clone(),
            version: Some(Version::HTTP_11),
        });
        ticket.targeted(Target {
            path: self.path.clone(),
            query: vec!["q".into()],
        });
        ticket.selected(&self.action);
        ticket.prepared(Prepared {
            replaced: vec!["authorization".into()],
            ..Prepared::default()
        });
        ticket.reached(Upstream {
            address: ([203, 0, 113, 7], 443).into(),
            took: Duration::from_micros(12_345),
            retries: 0,
        });
        ticket.concluded(&self.outcome);
        ticket.close(Ending {
            end: End::Complete,
            status: Some(StatusCode::OK),
            bytes_in: 0,
            bytes_out: 1024,
        });
    }
}
