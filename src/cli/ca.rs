//! `exeat ca`: the certificate that agents have to trust.

use anyhow::{Context as _, anyhow};
use clap::Args;

use crate::app;
use crate::authority::{Authority, Constraints};
use crate::cli::{Verdict, WithSettings, load, say};
use crate::request::Host;

/// Show or make the CA that agents have to trust
///
/// The CA is made at the first start of any command that needs it. `--create` makes it by hand, which is the way to
/// constrain it.
#[derive(Args)]
pub(super) struct Ca {
    #[command(flatten)]
    with: WithSettings,
    /// Print the certificate itself (PEM) instead of where it is
    #[arg(long)]
    pem: bool,
    /// Make a new CA; it is an error if there is one
    #[arg(long)]
    create: bool,
    /// Let the new CA sign only for this domain and what is below it; may be repeated
    ///
    /// It costs reach: clients refuse a certificate outside the list, so a host that a policy declares later needs a
    /// new CA in every agent's trust store, and a refusal for an undeclared host reaches the agent as a TLS error
    /// instead of as words. What it buys: whoever steals the key can impersonate these domains only. Some old TLS
    /// libraries do not check name constraints at all.
    #[arg(long, value_name = "DOMAIN", requires = "create")]
    name_constraint: Vec<String>,
}

impl Ca {
    pub(super) fn run(self) -> anyhow::Result<Verdict> {
        let settings = load::settings(self.with)?;
        let authority = if self.create {
            let folder = app::ca_folder(&settings.state_dir);
            Authority::create(&folder, &constraints(&self.name_constraint)?)?
        } else {
            app::open_authority(&settings.state_dir)?
        };
        if self.pem {
            say(authority.ca_pem().trim_end())?;
        } else {
            say(app::ca_file(&settings.state_dir).display())?;
        }
        Ok(Verdict::Good)
    }
}

fn constraints(domains: &[String]) -> anyhow::Result<Constraints> {
    let read = |domain: &String| Host::parse(domain).map_err(|bad| anyhow!("{domain}: {bad}"));
    let permitted = domains.iter().map(read).collect::<anyhow::Result<_>>();
    Ok(Constraints {
        permitted: permitted.context("--name-constraint")?,
    })
}
