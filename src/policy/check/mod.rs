//! From the policy as it is written to the policy in force, or all that is wrong with it.
//!
//! Reading the YAML is `raw`'s; here names are resolved, every environment gets its own actions, and what is ambiguous
//! or would give a credential away is told. A mistake never hides another: what cannot be built is left out, and the
//! rest is looked at all the same. A policy with one error is not returned at all.

mod action;
mod agents;
mod body;
mod clash;
mod connection;
mod connector;
mod content;
mod doors;
mod entries;
mod example;
mod giveaway;
mod ground;
mod header;
mod hidden;
mod hints;
mod leak;
mod lists;
mod network;
mod oauth;
mod parameters;
mod passes;
mod rates;
mod reading;
mod requires;
mod secrets;
mod sensitive;
mod site;
mod target;
mod told;
mod trial;
mod variables;

#[cfg(test)]
mod tests;

pub use trial::{trials, trials_from_texts};

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use aws_lc_rs::digest;

use crate::action::outcome::OutputName;
use crate::policy::check::action::{Actions, Built};
use crate::policy::check::clash::Clashes;
use crate::policy::check::ground::Ground;
use crate::policy::check::told::Told;
use crate::policy::{Environment, Policy, raw};
use crate::problem::{Problems, Sources};

/// What came of reading a policy.
#[derive(Debug)]
pub struct Loaded {
    /// The policy; `None` where one of the problems is an error.
    pub policy: Option<Policy>,
    /// Everything that is wrong, and everything that somebody should look at.
    pub problems: Problems,
    /// The texts of the files, for drawing the problems.
    pub sources: Sources,
}

/// Loads the policy of a folder, or of one file.
pub fn load(path: &Path) -> Loaded {
    let mut problems = Problems::new();
    let files = raw::read(path, &mut problems);
    let hash = hash(&files, path);
    read(files, hash, problems)
}

/// The files that [`load`] would read, as far as can be seen: to notice that they have changed.
pub fn files(path: &Path) -> Vec<PathBuf> {
    raw::paths(path)
}

/// The hash of the policy that the files would make now, whether or not it is a good one.
pub fn hash_of(path: &Path) -> Arc<str> {
    hash(&raw::read(path, &mut Problems::new()), path)
}

/// Loads the policy of files that are already in memory: names with contents.
pub fn from_texts(files: &[(String, Vec<u8>)]) -> Loaded {
    let hash = hash(files, Path::new(""));
    read(files.iter().cloned(), hash, Problems::new())
}

fn read(
    files: impl IntoIterator<Item = (String, Vec<u8>)>,
    hash: Arc<str>,
    mut problems: Problems,
) -> Loaded {
    let mut sources = Sources::new();
    let raw = raw::parse(files, &mut sources, &mut problems);
    let policy = check(&raw, hash, &mut Told::new(&mut problems, &mut sources));
    Loaded {
        policy: Some(policy).filter(|_| !problems.has_errors()),
        problems,
        sources,
    }
}

/// SHA-256 over the names and contents of the files, each with its length before it, so that no text can move from one
/// to the other. Names count from the policies folder: the same files have the same hash wherever they are mounted.
fn hash(files: &[(String, Vec<u8>)], folder: &Path) -> Arc<str> {
    let mut context = digest::Context::new(&digest::SHA256);
    for (name, bytes) in files {
        let path = Path::new(name);
        let name = path.strip_prefix(folder).unwrap_or(path).to_string_lossy();
        for part in [name.as_bytes(), bytes] {
            context.update(&(part.len() as u64).to_be_bytes());
            context.update(part);
        }
    }
    let digest = context.finish();
    let hex = digest.as_ref().iter().map(|byte| format!("{byte:02x}"));
    hex.collect::<String>().into()
}

fn check(raw: &raw::Policy, hash: Arc<str>, told: &mut Told<'_>) -> Policy {
    let ground = Ground::read(raw, told);
    let connectors = connector::read(&ground, told);
    let connections = connection::read(&ground, &connectors, told);
    let actions = Actions::read(&ground, &connectors, &connections, told);
    let tunnels = network::tunnels(&ground, told);
    let mut environments = Vec::with_capacity(ground.environments.len());
    for (index, name) in ground.environments.iter().enumerate() {
        let built = actions.of_environment(index);
        let mut clashes = Clashes::new(&tunnels);
        for action in built {
            clashes.insert(action, told);
        }
        let named = built
            .iter()
            .map(|it| (it.action.name.clone(), it.action.clone()));
        environments.push(Environment {
            name: name.clone(),
            index: clashes.into_index(),
            actions: named.collect(),
            placeholders: connector::placeholders(&connectors, index),
            exposed: exposed(built),
        });
    }
    let declared = network::Declared {
        ground: &ground,
        environments: &environments,
        tunnels: &tunnels,
        connectors: &connectors,
    };
    let network = Arc::new(network::exemptions(&declared, told));
    let agents = agents::read(&ground, told);
    if let Some(agents) = &agents {
        requires::tell_out_of_reach(&ground, agents, told);
    }
    let secrets = secrets::sources(&ground, told);
    Policy {
        hash,
        tokens: oauth::sources(&ground, &connectors, (&network, &secrets)),
        largest_request: largest_request(&environments),
        environments,
        agents,
        secrets,
        tunnels: tunnels.into_iter().map(|tunnel| tunnel.tunnel).collect(),
        network,
        context: variables::said(&raw.context, told),
    }
}

/// By several actions, one name is one variable: exposed by one of them, it is exposed.
fn exposed(built: &[Built<'_>]) -> Vec<OutputName> {
    let outputs = built.iter().flat_map(|it| it.action.reading.outputs.iter());
    let exposed = outputs.filter(|it| it.expose).map(|it| it.name.clone());
    let once: BTreeSet<OutputName> = exposed.collect();
    once.into_iter().collect()
}

fn largest_request(environments: &[Environment]) -> u64 {
    let actions = environments.iter().flat_map(|it| it.actions.values());
    let largest = actions.map(|it| it.limits.max_request_bytes).max();
    largest.unwrap_or(0)
}
