//! Settings of the audit log: where records go, what happens when they cannot, and when a file is put aside.

use std::sync::Arc;

use clap::Args;
use serde_json::{Value as Json, json};

use crate::app::flags::{Age, AuditTarget, Size, WhenBlockedFlag};
use crate::app::shapes::{text, texts, truth};
use crate::audit::{Rotation, WhenBlocked};
use crate::redact::{BadPattern, Redaction};

/// What was given for the audit log, in one of the three places.
#[derive(Args, Clone, Debug, Default, PartialEq, Eq)]
pub struct GivenAudit {
    /// Where audit records go: stdout, stderr, or a file [default: stdout]
    #[arg(
        id = "audit_to",
        long = "audit",
        env = "EXEAT_AUDIT",
        value_name = "TARGET"
    )]
    pub to: Option<AuditTarget>,
    /// What becomes of requests while records cannot be written [default: refuse]
    #[arg(
        id = "audit_when_blocked",
        long = "audit-when-blocked",
        env = "EXEAT_AUDIT_WHEN_BLOCKED",
        value_enum
    )]
    pub when_blocked: Option<WhenBlockedFlag>,
    /// Put the audit file aside before it is larger, such as 100MiB [default: never]
    #[arg(
        id = "audit_max_bytes",
        long = "audit-max-bytes",
        env = "EXEAT_AUDIT_MAX_BYTES",
        value_name = "SIZE"
    )]
    pub max_bytes: Option<Size>,
    /// Put the audit file aside when its first line is older, such as 24h [default: never]
    #[arg(
        id = "audit_max_age",
        long = "audit-max-age",
        env = "EXEAT_AUDIT_MAX_AGE",
        value_name = "AGE"
    )]
    pub max_age: Option<Age>,
    /// Audit files put aside that are kept; older ones are removed [default: all]
    #[arg(
        id = "audit_keep",
        long = "audit-keep",
        env = "EXEAT_AUDIT_KEEP",
        value_name = "N"
    )]
    pub keep: Option<usize>,
    /// Whether records have the values of parameters that may be shown [default: false]
    #[arg(
        id = "audit_parameters",
        long = "audit-parameters",
        env = "EXEAT_AUDIT_PARAMETERS",
        value_name = "BOOL"
    )]
    pub parameters: Option<bool>,
    /// Patterns of what records may not show; repeat the flag
    #[arg(
        id = "audit_redact",
        long = "audit-redact",
        env = "EXEAT_AUDIT_REDACT",
        value_name = "REGEX"
    )]
    pub redact: Vec<String>,
}

/// The keys of the section.
pub(super) const KEYS: [&str; 7] = [
    "to",
    "when_blocked",
    "max_bytes",
    "max_age",
    "keep",
    "parameters",
    "redact",
];

/// Settings of the audit log, whole.
#[derive(Clone, Debug)]
pub struct AuditSettings {
    /// Where records go.
    pub to: AuditTarget,
    /// What becomes of requests while they cannot.
    pub when_blocked: WhenBlocked,
    /// When a file is put aside.
    pub rotation: Rotation,
    /// Whether records have values of parameters.
    pub parameters: bool,
    /// What they may not show.
    pub redaction: Arc<Redaction>,
}

impl AuditSettings {
    /// The defaults, for records that go there.
    pub fn to(to: AuditTarget) -> Self {
        Self {
            to,
            when_blocked: WhenBlocked::Refuse,
            rotation: Rotation::default(),
            parameters: false,
            redaction: Arc::default(),
        }
    }

    /// For a command whose output is for something else than records.
    pub fn or_stderr(self) -> Self {
        match self.to {
            AuditTarget::Stdout => Self {
                to: AuditTarget::Stderr,
                ..self
            },
            _ => self,
        }
    }
}

/// What an editor is told: where records go, or a section with `to`.
pub(super) fn shape() -> Json {
    let text = text();
    let properties = json!({
        "to": text, "when_blocked": {"enum": ["refuse", "drop"]}, "max_bytes": text, "max_age": text,
        "keep": {"type": "integer", "minimum": 0}, "parameters": truth(), "redact": texts(),
    });
    let section = json!({"type": ["object", "null"], "properties": properties, "additionalProperties": false});
    json!({"anyOf": [text, section]})
}

impl GivenAudit {
    pub(super) fn or(self, other: Self) -> Self {
        Self {
            to: self.to.or(other.to),
            when_blocked: self.when_blocked.or(other.when_blocked),
            max_bytes: self.max_bytes.or(other.max_bytes),
            max_age: self.max_age.or(other.max_age),
            keep: self.keep.or(other.keep),
            parameters: self.parameters.or(other.parameters),
            redact: match self.redact.is_empty() {
                true => other.redact,
                false => self.redact,
            },
        }
    }

    pub(super) fn complete(self) -> Result<AuditSettings, String> {
        let to = self.to.unwrap_or(AuditTarget::Stdout);
        let rotates = self.max_bytes.is_some() || self.max_age.is_some();
        if rotates && !matches!(to, AuditTarget::File(_)) {
            return Err(
                "audit: only a file can be put aside; name one, or leave max_bytes and max_age out"
                    .into(),
            );
        }
        if self.keep.is_some() && !rotates {
            return Err("audit: keep says how many files are kept beside the one that is written; say when it is put \
                        aside with max_bytes or max_age"
                .into());
        }
        let redaction = Redaction::with(&self.redact);
        let redaction = redaction.map_err(|bad| {
            let BadPattern { pattern, reason } = bad;
            format!("audit.redact: `{pattern}` is no pattern that can be used: {reason}")
        })?;
        Ok(AuditSettings {
            parameters: self.parameters.unwrap_or(false),
            redaction: Arc::new(redaction),
            to,
            when_blocked: match self.when_blocked {
                Some(WhenBlockedFlag::Drop) => WhenBlocked::Drop,
                Some(WhenBlockedFlag::Refuse) | None => WhenBlocked::Refuse,
            },
            rotation: Rotation {
                max_bytes: self.max_bytes.map(|Size(bytes)| bytes),
                max_age: self.max_age.map(|Age(age)| age),
                keep: self.keep,
            },
        })
    }
}
