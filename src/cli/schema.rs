//! `exeat schema`: policies, their tests and settings for editors.

use clap::Args;

use crate::app;
use crate::cli::{Verdict, say};
use crate::policy;

/// Print the JSON Schema of policy files, for editors
///
/// Editors complete, explain and check a policy with it. The YAML language server takes the name of the schema's file
/// from the first line: `# yaml-language-server: $schema=exeat.schema.json`.
#[derive(Args)]
pub(super) struct Schema {
    /// That of the settings file, `exeat.yaml`, instead
    #[arg(long)]
    settings: bool,
    /// That of files with policy tests, `NAME.test.yaml`, instead
    #[arg(long, conflicts_with = "settings")]
    tests: bool,
}

impl Schema {
    pub(super) fn run(self) -> anyhow::Result<Verdict> {
        let schema = match (self.settings, self.tests) {
            (true, _) => app::json_schema(),
            (_, true) => policy::json_schema_of_tests(),
            _ => policy::json_schema(),
        };
        say(format_args!("{schema:#}"))?;
        Ok(Verdict::Good)
    }
}
