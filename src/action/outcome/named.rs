//! Outcomes: which name a reply has, and what to say to the agent beside it.

use std::fmt;

use http::StatusCode;

use crate::action::outcome::{Condition, Replied, StatusPattern};
use crate::name::OutcomeName;

/// The most characters of what an outcome says. It is a sentence or two for a model, beside the reply.
pub const MAX_SAY: usize = 2000;

/// `outcomes`: the first case that fits names the reply.
#[derive(Clone, Debug)]
pub struct Outcomes {
    cases: Vec<Case>,
    succeeded: Named,
    failed: Named,
}

/// One case.
#[derive(Clone, Debug, PartialEq)]
pub struct Case {
    /// For these statuses; for all if there is none.
    pub statuses: Vec<StatusPattern>,
    /// And only if this holds.
    pub condition: Option<Condition>,
    /// What it is then called.
    pub named: Named,
}

/// An outcome.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    /// Its name, also in the audit record and as a label in metrics.
    pub name: OutcomeName,
    /// What to say to the agent.
    pub say: Option<Say>,
}

/// Two cases for one status, of which the second would never be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TwoCases {
    /// The index of the second.
    pub second: usize,
}

impl Outcomes {
    /// Cases in the order in which they are tried.
    pub fn in_order(cases: Vec<Case>) -> Self {
        Self {
            cases,
            ..Self::default()
        }
    }

    /// Cases by status, whatever their order: exact before classes before `others`, which is no status.
    ///
    /// # Errors
    /// One status for two cases.
    pub fn by_status(cases: Vec<(Option<StatusPattern>, Named)>) -> Result<Self, TwoCases> {
        for (second, (status, _)) in cases.iter().enumerate() {
            if cases[..second].iter().any(|(earlier, _)| earlier == status) {
                return Err(TwoCases { second });
            }
        }
        let mut cases = cases;
        cases.sort_by_key(|(status, _)| match status {
            Some(StatusPattern::Exact(_)) => 0,
            Some(StatusPattern::Class(_)) => 1,
            None => 2,
        });
        let case = |(status, named): (Option<StatusPattern>, Named)| Case {
            statuses: status.into_iter().collect(),
            condition: None,
            named,
        };
        Ok(Self::in_order(cases.into_iter().map(case).collect()))
    }

    /// Every name that a reply can get: the values of a label.
    pub fn names(&self) -> impl Iterator<Item = &OutcomeName> {
        let declared = self.cases.iter().map(|case| &case.named);
        declared
            .chain([&self.succeeded, &self.failed])
            .map(|named| &named.name)
    }

    pub(super) fn find(&self, replied: &Replied, success: bool) -> &Named {
        let found = self.cases.iter().find(|case| case.fits(replied, success));
        match found {
            Some(case) => &case.named,
            None if success => &self.succeeded,
            None => &self.failed,
        }
    }

    pub(super) fn read_content(&self) -> bool {
        self.cases.iter().any(|case| case.condition.is_some())
    }
}

impl Default for Outcomes {
    fn default() -> Self {
        Self {
            cases: Vec::new(),
            succeeded: Named::plain("succeeded"),
            failed: Named::plain("failed"),
        }
    }
}

impl Case {
    /// A call that has failed is not called by what its author expected of a 2xx; a case that looks into the content
    /// was written for that content.
    fn fits(&self, replied: &Replied, success: bool) -> bool {
        let status = replied.status;
        let by_status = self.statuses.iter().any(|it| it.fits(status));
        match &self.condition {
            Some(condition) => {
                (by_status || self.statuses.is_empty()) && condition.holds(&replied.content)
            }
            None if self.statuses.is_empty() => true,
            None => by_status && (success || !status.is_success()),
        }
    }
}

impl Named {
    fn plain(name: &str) -> Self {
        Self {
            name: OutcomeName::parse(name).expect("a word of small letters is a name"),
            say: None,
        }
    }
}

/// What an outcome says: text, in which `{{status}}` is the reply's status.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Say {
    // The status stands between each two pieces.
    pieces: Vec<String>,
}

/// Why a text is not what an outcome can say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadSay {
    /// More than [`MAX_SAY`] characters.
    TooLong,
    /// A placeholder that is not `{{status}}`, at this byte.
    Placeholder(usize),
    /// A placeholder that does not end, from this byte on.
    Open(usize),
}

impl fmt::Display for BadSay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong => write!(f, "`say` has at most {MAX_SAY} characters"),
            Self::Placeholder(_) => {
                f.write_str("`{{status}}` is the only placeholder that `say` may contain")
            }
            Self::Open(_) => f.write_str("this `{{` has no `}}`; write `{{status}}`"),
        }
    }
}

impl std::error::Error for BadSay {}

impl Say {
    /// Reads the text of a `say`.
    ///
    /// # Errors
    /// Too long, or with another placeholder than `{{status}}`.
    pub fn parse(text: &str) -> Result<Self, BadSay> {
        if text.chars().count() > MAX_SAY {
            return Err(BadSay::TooLong);
        }
        let (mut pieces, mut rest) = (Vec::new(), text);
        while let Some((piece, after)) = rest.split_once("{{") {
            let offset = text.len() - after.len() - 2;
            let (inside, after) = after.split_once("}}").ok_or(BadSay::Open(offset))?;
            if inside.trim_matches([' ', '\t']) != "status" {
                return Err(BadSay::Placeholder(offset));
            }
            pieces.push(piece.to_owned());
            rest = after;
        }
        pieces.push(rest.to_owned());
        Ok(Self { pieces })
    }

    /// The words for a reply.
    pub fn words(&self, status: StatusCode) -> String {
        self.pieces.join(status.as_str())
    }
}
