//! Two declarations between which a request could not choose: actions that overlap, one host with both schemes, an
//! action where a tunnel passes unopened.

use std::collections::HashMap;

use crate::action::Segment;
use crate::policy::Index;
use crate::policy::check::action::Built;
use crate::policy::check::network::CheckedTunnel;
use crate::policy::check::told::Told;
use crate::problem::{Place, Problem};
use crate::request::{Host, HostPattern, Scheme, encode};

/// The actions of one environment as they are added to its index.
pub(super) struct Clashes<'a> {
    index: Index,
    /// The first action of each host, for its scheme.
    hosts: HashMap<HostPattern, (Scheme, &'a Place)>,
    /// The names of actions, where an overlap names another.
    names: HashMap<&'a str, &'a Place>,
    tunnels: HashMap<(HostPattern, u16), &'a Place>,
    /// Exact tunnels by what follows their first label.
    tunnels_below: HashMap<(Host, u16), &'a Place>,
}

impl<'a> Clashes<'a> {
    pub(super) fn new(tunnels: &'a [CheckedTunnel]) -> Self {
        let mut clashes = Self {
            index: Index::default(),
            hosts: HashMap::new(),
            names: HashMap::new(),
            tunnels: HashMap::new(),
            tunnels_below: HashMap::new(),
        };
        for tunnel in tunnels {
            for (host, place) in tunnel.tunnel.hosts.iter().zip(&tunnel.places) {
                clashes.add_tunnel(host, &tunnel.tunnel.ports, place);
            }
        }
        clashes
    }

    fn add_tunnel(&mut self, host: &HostPattern, ports: &[u16], place: &'a Place) {
        for port in ports {
            self.tunnels.insert((host.clone(), *port), place);
            if let Some(parent) = parent(host) {
                self.tunnels_below.insert((parent, *port), place);
            }
        }
    }

    /// Adds an action, or tells with which declaration it clashes.
    pub(super) fn insert(&mut self, built: &'a Built<'a>, told: &mut Told<'_>) {
        self.tell_other_scheme(built, told);
        self.tell_tunnel(built, told);
        let action = &built.action;
        self.names.insert(&built.name.value, &built.name.place);
        let Err(overlap) = self.index.insert(action.clone()) else {
            return;
        };
        let first = overlap.first.name.as_str();
        let path = common(overlap.first.path.segments(), action.path.segments());
        let message = format!(
            "`{first}` and `{}` both fit {} {}://{}{path}, and neither is narrower",
            action.name,
            action.method,
            action.scheme.as_str(),
            action.host,
        );
        let problem = Problem::error(&built.name.place, message);
        let problem = problem.remedy("change the path or the method of one of them");
        told.tell(match self.names.get(first) {
            Some(place) => problem.second("the other", place),
            None => problem,
        });
    }

    /// The index of all actions that did not clash.
    pub(super) fn into_index(self) -> Index {
        self.index
    }

    fn tell_other_scheme(&mut self, built: &'a Built<'a>, told: &mut Told<'_>) {
        let action = &built.action;
        let first = self.hosts.entry(action.host.clone());
        let (scheme, place) = *first.or_insert((action.scheme, &built.url));
        if scheme != action.scheme {
            let message = format!(
                "`{}` is declared with http:// and with https://",
                action.host
            );
            let problem = Problem::error(&built.url, message).second("the other", place);
            told.tell(problem.remedy("use one scheme for all actions of a host"));
        }
    }

    fn tell_tunnel(&self, built: &Built<'_>, told: &mut Told<'_>) {
        let action = &built.action;
        let same = self.tunnels.get(&(action.host.clone(), action.port));
        let around = || match &action.host {
            HostPattern::Exact(_) => {
                let wild = HostPattern::OneLabel(parent(&action.host)?);
                self.tunnels.get(&(wild, action.port))
            }
            HostPattern::OneLabel(below) => self.tunnels_below.get(&(below.clone(), action.port)),
        };
        let Some(place) = same.or_else(around) else {
            return;
        };
        let message = format!(
            "`{}:{}` is also a tunnel's, which would pass requests unopened",
            action.host, action.port
        );
        let problem = Problem::error(&built.url, message).second("the tunnel", place);
        told.tell(problem.remedy("keep the action or the tunnel"));
    }
}

/// A path that two overlapping patterns fit.
fn common(one: &[Segment], other: &[Segment]) -> String {
    match (one, other) {
        ([], []) => String::new(),
        ([Segment::Rest { .. }], rest) | (rest, [Segment::Rest { .. }]) => match rest {
            [] | [Segment::Rest { .. }] => "/x".to_owned(),
            [first, rest @ ..] => example(first, first) + &common(rest, rest),
        },
        ([first, ones @ ..], [second, others @ ..]) => {
            example(first, second) + &common(ones, others)
        }
        _ => String::new(),
    }
}

fn example(one: &Segment, other: &Segment) -> String {
    match (one, other) {
        (Segment::Literal { written, .. }, _) | (_, Segment::Literal { written, .. }) => {
            format!("/{written}")
        }
        (
            Segment::Placeholder { prefix, suffix, .. },
            Segment::Placeholder {
                prefix: other_prefix,
                suffix: other_suffix,
                ..
            },
        ) => {
            let longer = |a: &str, b: &str| {
                if a.len() > b.len() {
                    a.to_owned()
                } else {
                    b.to_owned()
                }
            };
            let (prefix, suffix) = (longer(prefix, other_prefix), longer(suffix, other_suffix));
            format!("/{}x{}", encode(&prefix), encode(&suffix))
        }
        _ => "/x".to_owned(),
    }
}

fn parent(host: &HostPattern) -> Option<Host> {
    match host {
        HostPattern::Exact(host) => Host::parse(host.parent()?).ok(),
        HostPattern::OneLabel(_) => None,
    }
}
