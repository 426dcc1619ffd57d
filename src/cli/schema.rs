//! `exeat schema`: the language for editors.

use clap::Args;

use crate::cli::{Verdict, say};
use crate::policy;

/// Print the JSON Schema of policy files, for editors
///
/// Editors complete, explain and check a policy with it. The YAML language server takes the name of the schema's file
/// from the first line: `# yaml-language-server: $schema=exeat.schema.json`.
#[derive(Args)]
pub(super) struct Schema {}

impl Schema {
    pub(super) fn run(self) -> anyhow::Result<Verdict> {
        say(format_args!("{:#}", policy::json_schema()))?;
        Ok(Verdict::Good)
    }
}
