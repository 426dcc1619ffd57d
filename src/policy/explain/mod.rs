//! Why something is decided as it is: the rules in the order in which they are looked at, and what each of them says.
//!
//! Nothing is decided here. The verdict is that of `select`, `choose` and `decide`, and whoever explains puts it beside
//! the trail; what a rule says is asked of the same functions that decide, wherever there is one. The trail ends with
//! the first rule that says no.

mod candidates;
mod head;
mod parameters;

use crate::refusal::Refusal;

pub use head::{explain_call, explain_head};
pub use parameters::{explain_given, explain_parameters, explain_recognised};

/// A rule that was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Looked {
    /// Which.
    pub rule: Rule,
    /// What came of it.
    pub finding: Finding,
    /// What it says, for people.
    pub says: String,
}

/// What a rule says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Finding {
    /// It lets the request go on.
    Good,
    /// It refuses the request, and no rule after it is looked at.
    Against,
    /// It neither lets through nor refuses.
    Note,
}

macro_rules! rules {
    ($($(#[$doc:meta])* $rule:ident $text:literal;)*) => {
        /// The rules, in the order of a request's life.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Rule {
            $($(#[$doc])* $rule,)*
        }

        impl Rule {
            /// The rule in a word.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$rule => $text,)* }
            }
        }
    };
}

rules! {
    /// Who asks, where the policy has agents.
    Agent "agent";
    /// Scheme, host and port can be read in one way.
    Target "target";
    /// Method, path and query can be read in one way.
    Canonical "canonical form";
    /// Where it is decided.
    Environment "environment";
    /// Whether anything is declared at the host.
    Host "host";
    /// Whether anything is declared at its port.
    Port "port";
    /// An action at this host and port that is another one.
    Candidate "candidate";
    /// The one that fits method and path, or is named.
    Action "action";
    /// With which scheme its host is declared.
    Scheme "scheme";
    /// Whether the agent may use it.
    Allow "allow";
    /// Whether it is switched on.
    Enabled "enabled";
    /// Whether it is open at this door.
    Door "door";
    /// How large its content may be.
    Size "size";
    /// The request taken apart.
    Parameters "parameters";
    /// What the parameters may be.
    Schema "schema";
    /// Where a credential's placeholder may stand.
    Placeholders "placeholders";
    /// What has to have been done before.
    Requires "requires";
    /// The request put together again.
    Request "request";
    /// How often it may be called, and how long it may take.
    Limits "limits";
    /// To which addresses it may go.
    Network "network";
}

impl Finding {
    /// For programs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Against => "against",
            Self::Note => "note",
        }
    }
}

impl Looked {
    /// A rule that lets the request go on.
    pub fn good(rule: Rule, says: impl Into<String>) -> Self {
        Self::new(rule, Finding::Good, says)
    }

    /// A rule that refuses it.
    pub fn against(rule: Rule, says: impl Into<String>) -> Self {
        Self::new(rule, Finding::Against, says)
    }

    /// Something that neither lets through nor refuses.
    pub fn note(rule: Rule, says: impl Into<String>) -> Self {
        Self::new(rule, Finding::Note, says)
    }

    /// A rule that says what it refuses with, or what is so where it does not.
    pub fn of(
        rule: Rule,
        judged: &Result<(), Refusal>,
        otherwise: impl FnOnce() -> String,
    ) -> Self {
        match judged {
            Ok(()) => Self::good(rule, otherwise()),
            Err(refusal) => Self::against(rule, &refusal.message),
        }
    }

    fn new(rule: Rule, finding: Finding, says: impl Into<String>) -> Self {
        Self {
            rule,
            finding,
            says: says.into(),
        }
    }
}

/// Whether the last rule that was looked at refuses.
pub fn ends_against(trail: &[Looked]) -> bool {
    trail
        .last()
        .is_some_and(|it| it.finding == Finding::Against)
}
