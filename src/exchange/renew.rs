//! Another policy comes into force: everything that has grown under the one before follows.
//!
//! Requests that have begun end under the policy they began with. What is forgotten here they may fetch once more; the
//! next new policy forgets it again.

use std::collections::HashSet;
use std::sync::Arc;

use crate::exchange::Services;
use crate::known::Origin;
use crate::metrics::Reload;
use crate::policy::{Policy, SecretSource};

impl Services {
    /// Puts another policy in force, for every request that begins from now on.
    ///
    /// Sessions stay, and so does what was counted under limits and fetched from sources that are as they were. What
    /// came from sources that are gone is still scrubbed from replies for an hour.
    pub fn renew(&self, policy: &Arc<Policy>) {
        // First the figures: whoever sees the policy in force finds them right.
        self.metrics.policy_in_force();
        self.metrics.reloaded(Reload::Loaded);
        self.live.replace(policy.clone());
        let sources: HashSet<_> = policy.secret_sources().collect();
        let secrets = sources.iter().map(|it| Origin::Source((*it).clone()));
        let tokens = policy.token_sources();
        let tokens = tokens.map(|it| Origin::Token(it.connector.clone(), it.environment.clone()));
        self.known.keep(secrets.chain(tokens).collect());
        self.vault.keep(&sources);
        self.tokens.keep(policy.token_sources());
        self.meter.keep(policy.rates());
        self.shares.forget_idle();
    }

    /// Reads what the policy in force may need, so that replies are searched for all of it from the first one on. A
    /// command is run for a request alone: it may ask somebody, or cost something. What cannot be read is told to
    /// whoever needs it.
    pub async fn read_secrets(&self) {
        let policy = self.live.snapshot();
        for (name, source) in policy.secrets_at_home(self.settings.environment.as_ref()) {
            if !matches!(source, SecretSource::Command { .. }) {
                let _ = self.vault.get(name, source).await;
            }
        }
    }
}
