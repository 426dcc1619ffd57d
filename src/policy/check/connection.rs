//! Connections: base URL, auth, headers and deadlines that several actions share.

use std::collections::HashMap;
use std::sync::Arc;

use crate::action::{Limits, PathPattern};
use crate::name::ConnectionName;
use crate::policy::check::connector::Connectors;
use crate::policy::check::ground::{Ground, name};
use crate::policy::check::site::{self, Site};
use crate::policy::check::told::{Told, part_of};
use crate::policy::check::{connector, entries, rates};
use crate::policy::raw::connection::Connection as Raw;
use crate::policy::raw::decode::Text;
use crate::rate::{Owner, Rate};
use crate::template::NoParameters;

/// A declared connection.
pub(super) struct Connection<'a> {
    /// As it is written.
    pub(super) raw: &'a Raw,
    /// By environment; `None` where it is wrong.
    pub(super) bases: Vec<Option<Base<'a>>>,
    /// By environment; `None` where there is none.
    pub(super) rates: Vec<Option<Arc<Rate>>>,
}

/// Where a connection leads in one environment.
pub(super) struct Base<'a> {
    pub(super) url: &'a Text,
    pub(super) site: Site<'a>,
}

/// The connections by name.
pub(super) type Connections<'a> = HashMap<&'a str, Connection<'a>>;

/// Reads all connections. What stands in them is looked at even if no action uses them.
pub(super) fn read<'a>(
    ground: &Ground<'a>,
    connectors: &Connectors<'a>,
    told: &mut Told<'_>,
) -> Connections<'a> {
    let mut connections = HashMap::new();
    for (text, raw) in ground.raw.connections.iter() {
        let known = name(text, ConnectionName::parse, told);
        let bases = (0..ground.environments.len())
            .map(|environment| {
                if let Some(auth) = raw.auth.as_ref() {
                    let auth = ground.of(auth, environment, told);
                    auth.and_then(|auth| connector::of(ground, connectors, auth, told));
                }
                deadlines(ground, raw, environment, told);
                entries::look_at(ground, raw, environment, told);
                let url = ground.of(raw.base_url.as_ref()?, environment, told)?;
                base(ground, url, environment, told)
            })
            .collect();
        let rates = (0..ground.environments.len())
            .map(|environment| {
                let limit = ground.of(raw.rate_limit.as_ref()?, environment, told);
                rates::read(known.clone().map(Owner::Connection), limit, told)
            })
            .collect();
        connections.insert(text.value.as_str(), Connection { raw, bases, rates });
    }
    connections
}

/// The connection of an action, if it has one that is known.
pub(super) fn of<'c, 'a>(
    ground: &Ground<'_>,
    connections: &'c Connections<'a>,
    reference: Option<&Text>,
    told: &mut Told<'_>,
) -> Option<&'c Connection<'a>> {
    let reference = reference?;
    let found = connections.get(reference.value.as_str());
    let declared = &ground.raw.connections;
    if found.is_none() && !declared.is_declared(&reference.value) && !ground.raw.is_partial {
        told.unknown("connection", reference, declared.names());
    }
    found
}

/// The deadlines that a connection sets in one environment.
pub(super) fn deadlines(
    ground: &Ground<'_>,
    connection: &Raw,
    environment: usize,
    told: &mut Told<'_>,
) -> Limits {
    let mut limits = Limits::default();
    for (declared, limit) in [
        (&connection.timeout, &mut limits.timeout),
        (&connection.connect_timeout, &mut limits.connect_timeout),
        (&connection.idle_timeout, &mut limits.idle_timeout),
    ] {
        let declared = declared
            .as_ref()
            .and_then(|it| ground.of(it, environment, told));
        *limit = declared.map_or(*limit, |it| it.value);
    }
    limits
}

fn base<'a>(
    ground: &Ground<'_>,
    url: &'a Text,
    environment: usize,
    told: &mut Told<'_>,
) -> Option<Base<'a>> {
    let site = site::read(url, told)?;
    if site.path.contains("{{") {
        told.error(
            &url.place,
            "a base URL has no placeholders",
            "put them into the `path` of the actions",
        );
        return None;
    }
    let scope = ground.scope(environment, &NoParameters);
    let start = url.value.len() - site.path.len();
    match PathPattern::parse(trimmed(site.path), &scope) {
        _ if trimmed(site.path).is_empty() => {}
        Ok(_) => {}
        Err(problem) => {
            let place = part_of(url, start + problem.at.start, start + problem.at.end);
            told.error(
                &place,
                problem.bad.to_string(),
                "correct the path of the base URL",
            );
            return None;
        }
    }
    Some(Base { url, site })
}

/// A base's path without the slash at its end.
pub(super) fn trimmed(path: &str) -> &str {
    path.strip_suffix('/').unwrap_or(path)
}
