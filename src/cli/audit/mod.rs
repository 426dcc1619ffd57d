//! `exeat audit`: reads what was recorded, and tells whether it is whole.

mod follow;
mod show;
mod tail;
mod verify;

use std::fs::File;
use std::io::{BufRead, BufReader, stdin};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use clap::{Args, Subcommand};
use serde_json::json;

use crate::app::AuditTarget;
use crate::audit;
use crate::audit::Head;
use crate::audit::read::Files;
use crate::cli::{Verdict, load, say};

/// Read audit records, and tell whether they are whole
#[derive(Args)]
pub(super) struct Command {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Tell whether the chain of records is whole: nothing changed, removed, added or moved
    ///
    /// Exit code 1 where it is not. A line that a process was ended in the middle of is told, and is no finding.
    /// Whoever can write the file can write all of it anew: keep a head elsewhere (`exeat audit head`) and name it
    /// with `--expect`.
    Verify(verify::Verify),
    /// Print the number and the hash of the newest line, to be kept elsewhere
    Head(HeadOf),
    /// Print the newest lines, and with `--follow` those that come
    Tail(tail::Tail),
    /// Show records as a table, or some of them
    Show(show::Show),
}

#[derive(Args)]
struct HeadOf {
    #[command(flatten)]
    which: Which,
    /// One JSON object for programs
    #[arg(long)]
    json: bool,
}

/// The audit file of a command.
#[derive(Args)]
struct Which {
    /// Settings file, whose audit file is read where none is named [default: exeat.yaml, if there is one]
    #[arg(long, env = "EXEAT_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// The audit file; `-` is standard input
    #[arg(env = "EXEAT_AUDIT", value_name = "FILE")]
    file: Option<PathBuf>,
}

impl Command {
    pub(super) fn run(self) -> anyhow::Result<Verdict> {
        match self.verb {
            Verb::Verify(verify) => verify.run(),
            Verb::Head(head) => head.run(),
            Verb::Tail(tail) => tail.run(),
            Verb::Show(show) => show.run(),
        }
    }
}

impl HeadOf {
    fn run(self) -> anyhow::Result<Verdict> {
        let path = self.which.path()?;
        match newest(&path)? {
            None => {
                eprintln!("exeat: {} has no record yet", path.display());
                Ok(Verdict::Findings)
            }
            Some(head) => {
                match self.json {
                    true => say(json!({"seq": head.seq, "hash": head.hash.as_str()}))?,
                    false => say(head)?,
                }
                Ok(Verdict::Good)
            }
        }
    }
}

/// The newest line of the newest file that has one.
fn newest(path: &Path) -> anyhow::Result<Option<Head>> {
    for file in files(path)?.files.iter().rev() {
        let head = audit::head(file).with_context(|| format!("{}", file.display()))?;
        if head.is_some() {
            return Ok(head);
        }
    }
    Ok(None)
}

impl Which {
    fn path(self) -> anyhow::Result<PathBuf> {
        match self.file {
            Some(file) => a_file(file),
            None => configured(self.config),
        }
    }
}

/// A name that is a target of records and no file, as `EXEAT_AUDIT` may have it.
fn a_file(path: PathBuf) -> anyhow::Result<PathBuf> {
    match path.to_str().map(str::parse) {
        Some(Ok(AuditTarget::Stdout | AuditTarget::Stderr)) => bail!(A_STREAM),
        _ => Ok(path),
    }
}

const A_STREAM: &str =
    "name the audit file: by the settings, records go to a stream and not to a file";

/// The audit file of the settings.
fn configured(config: Option<PathBuf>) -> anyhow::Result<PathBuf> {
    match load::audit(config)? {
        AuditTarget::File(file) => Ok(file),
        AuditTarget::Stdout | AuditTarget::Stderr => bail!(A_STREAM),
    }
}

/// The files that were the audit file, oldest first.
fn files(path: &Path) -> anyhow::Result<Files> {
    Files::of(path).with_context(|| format!("{}", path.display()))
}

/// Whether it is standard input.
fn is_stdin(path: &Path) -> bool {
    path.as_os_str() == "-"
}

fn open(path: &Path) -> anyhow::Result<Box<dyn BufRead>> {
    if is_stdin(path) {
        return Ok(Box::new(stdin().lock()));
    }
    let file = File::open(path).with_context(|| format!("{}", path.display()))?;
    Ok(Box::new(BufReader::with_capacity(256 * 1024, file)))
}
