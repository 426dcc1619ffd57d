//! What a permitted request needs before it can leave: secrets from the vault, and a token if its connector has one.

use std::sync::Arc;

use crate::credential::Secrets;
use crate::exchange::{Deadline, Gate};
use crate::fault::{Fault, FaultKind};
use crate::name::{EnvironmentName, SecretName};
use crate::policy::{Permit, SecretSource, TokenSource};
use crate::tokens::Token;

/// All of it, fetched.
pub(super) struct Keys {
    pub(super) secrets: Secrets,
    pub(super) token: Option<Bearer>,
}

/// A token, and where it came from.
pub(super) struct Bearer {
    source: Arc<TokenSource>,
    token: Token,
}

impl Keys {
    /// The server took them.
    pub(super) fn accepted(&self) {
        if let Some(bearer) = &self.token {
            bearer.token.accepted();
        }
    }
}

/// What is to be fetched, from the environment of the caller and no other. Owned, since a permit may hold a body that
/// can't be shared between threads, and a request must be able to wait on any.
pub(super) struct Wanted {
    at_hand: Secrets,
    missing: Vec<(SecretName, SecretSource)>,
    token: Option<Arc<TokenSource>>,
}

impl Gate {
    /// What a permit names. Mostly all of it is at hand.
    pub(super) fn wanted(
        &self,
        permit: &Permit,
        environment: &EnvironmentName,
    ) -> Result<Wanted, Fault> {
        let lacking = |what: String| {
            let detail = format!("{what} has no source in {environment}");
            Fault::new(FaultKind::Secret, detail)
        };
        let (mut at_hand, mut missing) = (Secrets::default(), Vec::new());
        for name in permit.secrets() {
            let source = permit.policy().secret_source(name, environment);
            let source = source.ok_or_else(|| lacking(format!("the secret {name}")))?;
            match self.services.vault.at_hand(source) {
                Some(secret) => at_hand.insert(name.clone(), secret),
                None => missing.push((name.clone(), source.clone())),
            }
        }
        let token = permit.token().map(|connector| {
            let source = permit.policy().token_source(connector, environment);
            let source = source.ok_or_else(|| lacking(format!("the connector {connector}")))?;
            Ok(source.clone())
        });
        Ok(Wanted {
            at_hand,
            missing,
            token: token.transpose()?,
        })
    }

    /// Fetches what is wanted, no longer than until the deadline.
    pub(super) async fn keys(&self, wanted: Wanted, deadline: Deadline) -> Result<Keys, Fault> {
        let mut secrets = wanted.at_hand;
        for (name, source) in wanted.missing {
            let reading = self.services.vault.get(&name, &source);
            let secret = deadline.wait(FaultKind::Secret, reading).await?;
            secrets.insert(name, secret);
        }
        let mut keys = Keys {
            secrets,
            token: None,
        };
        if let Some(source) = wanted.token {
            Box::pin(self.get_token(source, &mut keys, deadline)).await?;
        }
        Ok(keys)
    }

    /// After a 401: a token is given out no more, and the request may be sent again with another. `None` where it may
    /// not, or where another would fare no better: the server's answer stands.
    pub(super) async fn renewed(
        &self,
        again: Option<Permit>,
        mut keys: Keys,
        deadline: Deadline,
    ) -> Result<Option<(Permit, Keys)>, Fault> {
        let Some(Bearer { source, token }) = keys.token.take() else {
            return Ok(None);
        };
        let is_worth_it = self.services.tokens.refused(&source, &token);
        let Some(permit) = again.filter(|_| is_worth_it) else {
            return Ok(None);
        };
        self.get_token(source, &mut keys, deadline).await?;
        Ok(Some((permit, keys)))
    }

    async fn get_token(
        &self,
        source: Arc<TokenSource>,
        keys: &mut Keys,
        deadline: Deadline,
    ) -> Result<(), Fault> {
        let getting = self.services.tokens.get(&source, &self.dialer);
        let token = deadline.wait(FaultKind::Token, getting).await?;
        let name = source.connector.clone();
        keys.secrets.set_token(name, token.secret().clone());
        keys.token = Some(Bearer { source, token });
        Ok(())
    }
}
