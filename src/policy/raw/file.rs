//! The sections of a file, and the policy that all files make together.

use std::sync::Arc;

use crate::policy::raw::action::Action;
use crate::policy::raw::agent::Agent;
use crate::policy::raw::connection::Connection;
use crate::policy::raw::connector::Connector;
use crate::policy::raw::decode::Decode;
use crate::policy::raw::decode::Decoder;
use crate::policy::raw::decode::List;
use crate::policy::raw::decode::Text;
use crate::policy::raw::names::Names;
use crate::policy::raw::network::AllowPrivate;
use crate::policy::raw::network::Network;
use crate::policy::raw::network::Tunnel;
use crate::policy::raw::per_environment::PerEnvironment;
use crate::policy::raw::scalars::Version;
use crate::policy::raw::secret::Source;
use crate::policy::raw::variable::ContextVariable;
use crate::problem::Located;
use crate::problem::Place;
use crate::problem::Problem;
use crate::problem::Problems;
use crate::yaml::Node;
use crate::yaml::Scalar;

section! {
    /// One file.
    File, "a policy" {
        version: Located<Version>, Required, "the version of the language: `1`";
        environments: List<Text>, Optional, "the environments; the first is the default";
        secrets: Names<PerEnvironment<Source>>, Optional, "where secrets come from";
        static_variables: Names<PerEnvironment<Located<Scalar>>>, Optional,
            "values that templates use";
        context: Names<ContextVariable>, Optional, "what the runtime may set";
        auth: Names<Connector>, Optional, "auth connectors";
        connections: Names<Connection>, Optional, "what actions share";
        actions: Names<Action>, Optional, "what agents may ask for";
        agents: Names<Agent>, Optional, "who may ask";
        network: Network, Optional, "exceptions of the network rules";
        tunnels: Names<Tunnel>, Optional, "hosts that are reached without an action";
    }
}

/// All files together.
#[derive(Clone, Debug, Default)]
pub(in crate::policy) struct Policy {
    /// The environments, where they are declared: the first is the default.
    pub(in crate::policy) environments: Option<List<Text>>,
    /// Where secrets come from.
    pub(in crate::policy) secrets: Names<PerEnvironment<Source>>,
    /// Values that templates use.
    pub(in crate::policy) static_variables: Names<PerEnvironment<Located<Scalar>>>,
    /// What the runtime may set.
    pub(in crate::policy) context: Names<ContextVariable>,
    /// Auth connectors.
    pub(in crate::policy) auth: Names<Connector>,
    /// What actions share.
    pub(in crate::policy) connections: Names<Connection>,
    /// What agents may ask for.
    pub(in crate::policy) actions: Names<Action>,
    /// Who may ask. Its `place` is `None` where no file has the section: then anyone may.
    pub(in crate::policy) agents: Names<Agent>,
    /// Hosts with addresses that are not public.
    pub(in crate::policy) allow_private: Vec<AllowPrivate>,
    /// Addresses that nothing may reach.
    pub(in crate::policy) deny: Vec<Text>,
    /// Prefixes of NAT64.
    pub(in crate::policy) nat64: Vec<Text>,
    /// Hosts that are reached without an action.
    pub(in crate::policy) tunnels: Names<Tunnel>,
    /// Whether a file, or a section of one, could not be read: a name that is not declared may
    /// stand there, and telling it would only be an echo.
    pub(in crate::policy) is_partial: bool,
}

impl Policy {
    /// Takes in a further file.
    pub(in crate::policy) fn add(&mut self, root: &Node, decoder: &mut Decoder<'_>) {
        let Some(file) = File::decode(root, decoder) else {
            self.is_partial = true;
            return;
        };
        self.is_partial |= is_partial(root, &file);
        self.add_environments(file.environments, decoder);
        self.secrets.merge(file.secrets, decoder);
        self.static_variables.merge(file.static_variables, decoder);
        self.context.merge(file.context, decoder);
        self.auth.merge(file.auth, decoder);
        self.connections.merge(file.connections, decoder);
        self.actions.merge(file.actions, decoder);
        self.agents.merge(file.agents, decoder);
        self.tunnels.merge(file.tunnels, decoder);
        if let Some(network) = file.network {
            self.add_network(network);
        }
    }

    fn add_network(&mut self, network: Network) {
        let allow_private = network.allow_private.into_iter();
        self.allow_private
            .extend(allow_private.flat_map(|list| list.items));
        let deny = network.deny.into_iter();
        self.deny.extend(deny.flat_map(|list| list.items));
        let nat64 = network.nat64.into_iter();
        self.nat64.extend(nat64.flat_map(|list| list.items));
    }

    fn add_environments(&mut self, more: Option<List<Text>>, decoder: &mut Decoder<'_>) {
        match (&self.environments, more) {
            (Some(first), Some(more)) => {
                let message = "`environments` stands in two files";
                let problem = Problem::error(&more.place, message).remedy("keep one list");
                decoder.tell(problem.second("first declared here", &first.place));
            }
            (None, more) => self.environments = more,
            (Some(_), None) => {}
        }
    }

    /// Tells where a policy allows nothing at all: nobody means that.
    pub(in crate::policy) fn has_something_to_do(
        &self,
        first: Option<&str>,
        problems: &mut Problems,
    ) {
        let is_idle = self.actions.is_empty() && self.tunnels.is_empty();
        let Some(first) = first.filter(|_| is_idle && !self.is_partial) else {
            return;
        };
        let place = Place::of_file(&Arc::from(first));
        let problem = Problem::error(&place, "no action and no tunnel is declared");
        problems.push(problem.remedy("declare what agents may do under `actions:`"));
    }
}

/// Whether a section stands in the file but not in what was decoded.
fn is_partial(root: &Node, file: &File) -> bool {
    let stands = |name: &str| {
        root.mapping()
            .is_some_and(|mapping| mapping.get(name).is_some())
    };
    let sections = [
        ("environments", file.environments.is_some()),
        ("secrets", file.secrets.is_some()),
        ("static_variables", file.static_variables.is_some()),
        ("context", file.context.is_some()),
        ("auth", file.auth.is_some()),
        ("connections", file.connections.is_some()),
        ("actions", file.actions.is_some()),
        ("agents", file.agents.is_some()),
        ("tunnels", file.tunnels.is_some()),
    ];
    sections
        .iter()
        .any(|(name, is_decoded)| stands(name) && !is_decoded)
}

/// Tells that a file has nothing in it.
pub(in crate::policy) fn told_as_empty(name: &str, decoder: &mut Decoder<'_>) {
    let problem = Problem::error(&Place::of_file(&Arc::from(name)), "the file is empty");
    decoder.tell(problem.remedy("start it with `version: 1`, or remove it"));
}
