//! Calls of exeat's own that a policy declares: token endpoints.
//!
//! They are no actions: no agent reaches them, and their hosts stay undeclared. Which addresses they may have is judged
//! as for any other host.

use std::fmt;
use std::sync::Arc;

use http::Uri;
use http::uri::PathAndQuery;

use crate::credential::Grant;
use crate::name::{ConnectorName, EnvironmentName, SecretName};
use crate::policy::{Network, SecretSource};
use crate::request::{Destination, Scheme};

/// Leave to call one URL of the policy in exeat's own name. Only checking a policy makes one:
///
/// ```compile_fail
/// use exeat::policy::Declared;
/// fn forge(declared: Declared, evil: exeat::request::Destination) -> Declared {
///     Declared { destination: evil, ..declared }
/// }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Declared {
    destination: Destination,
    target: PathAndQuery,
    network: Arc<Network>,
}

impl Declared {
    /// The URL of an exact host over TLS; `None` for any other scheme.
    pub(super) fn new(
        destination: Destination,
        target: PathAndQuery,
        network: Arc<Network>,
    ) -> Option<Self> {
        let declared = Self {
            destination,
            target,
            network,
        };
        Some(declared).filter(|it| it.destination.scheme == Scheme::Https)
    }

    /// Where it goes.
    pub fn destination(&self) -> &Destination {
        &self.destination
    }

    /// The path.
    pub fn target(&self) -> Uri {
        Uri::from(self.target.clone())
    }

    /// Which addresses it may go to.
    pub fn network(&self) -> &Arc<Network> {
        &self.network
    }
}

impl fmt::Display for Declared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.destination, self.target)
    }
}

/// Where the tokens of a connector come from in one environment. Two that are equal get the same tokens, and no others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenSource {
    /// The connector.
    pub connector: ConnectorName,
    /// Where it is used.
    pub environment: EnvironmentName,
    /// The token endpoint.
    pub endpoint: Declared,
    /// What is asked for there.
    pub grant: Grant,
    /// The secrets of the grant, and where they come from in this environment.
    pub secrets: Vec<(SecretName, SecretSource)>,
}
