//! `exeat audit verify`: whether a chain of records is whole.

use std::io::BufRead;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use clap::Args;
use serde_json::{Value, json};

use crate::audit::Head;
use crate::audit::harmless;
use crate::audit::read::Files;
use crate::audit::verify::{Report, Verifier};
use crate::cli::audit::{a_file, configured, files, is_stdin, open};
use crate::cli::{Verdict, say};

#[derive(Args)]
pub(super) struct Verify {
    /// Settings file, whose audit file is read where none is named [default: exeat.yaml, if there is one]
    #[arg(long, env = "EXEAT_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// An audit file, read with those that were it before; a folder of such; several files, read as one chain; or `-`,
    /// standard input
    #[arg(env = "EXEAT_AUDIT", value_name = "FILE")]
    files: Vec<PathBuf>,
    /// A head that was kept, which the chain must contain; may be repeated
    #[arg(long, value_name = "SEQ:HASH")]
    expect: Vec<Head>,
    /// File with heads that were kept, one on each line
    #[arg(long, value_name = "FILE")]
    head: Vec<PathBuf>,
    /// It is a finding as well where the first line that is there is not the first of the chain, or where the chain of
    /// one file begins again
    #[arg(long)]
    from_start: bool,
    /// One JSON object for programs
    #[arg(long)]
    json: bool,
}

impl Verify {
    pub(super) fn run(self) -> anyhow::Result<Verdict> {
        let mut expected = self.expect.clone();
        for file in &self.head {
            expected.extend(heads(file)?);
        }
        let chains = self.chains()?;
        let count = chains.iter().filter(|it| it.files.has_records()).count();
        if count != 1 && !expected.is_empty() {
            bail!("a head belongs to one chain, and there are {count}; name the file");
        }
        let (mut good, mut told) = (true, Vec::new());
        for chain in chains {
            let expected = if chain.files.has_records() {
                &*expected
            } else {
                &[]
            };
            let (files, report) = chain.read(expected)?;
            let at_start = self.at_start(&report);
            good &= report.is_good() && at_start.is_ok();
            match self.json {
                true => told.push(in_json(&files, &report, at_start.is_ok())),
                false => tell(&files, &report, at_start)?,
            }
        }
        if self.json {
            say(json!({"good": good, "chains": told}))?;
        }
        Ok(if good {
            Verdict::Good
        } else {
            Verdict::Findings
        })
    }

    /// What is wrong with the beginning of a chain, if that is asked.
    fn at_start(&self, report: &Report) -> Result<(), &'static str> {
        if !self.from_start {
            return Ok(());
        }
        if report.first.is_some_and(|seq| seq != 1) {
            return Err("missing: its beginning is not there (--from-start)");
        }
        let is_one_file = match &*self.files {
            [] => true,
            [one] => !is_stdin(one) && !one.is_dir(),
            _ => false,
        };
        match is_one_file && report.chains > 1 {
            true => Err("begins_again: in a file it goes on over restarts (--from-start)"),
            false => Ok(()),
        }
    }

    /// Where a file is written and put aside meanwhile, its name leads to another one before it is read.
    fn chains(&self) -> anyhow::Result<Vec<Chain>> {
        let mut tries = 10;
        loop {
            let before = self.listed()?;
            let opened = before.iter().map(Chain::open);
            let opened: Vec<Chain> = opened.collect::<anyhow::Result<_>>()?;
            tries -= 1;
            if tries == 0 || self.listed()? == before {
                return Ok(opened);
            }
        }
    }

    fn listed(&self) -> anyhow::Result<Vec<Files>> {
        Ok(match &*self.files {
            [] => vec![files(&configured(self.config.clone())?)?],
            [one] if is_stdin(one) => vec![Files::exactly(vec![one.clone()])],
            [one] if one.is_dir() => {
                let found = Files::in_folder(one);
                let found = found.with_context(|| format!("{}", one.display()))?;
                if !found.iter().any(Files::has_records) {
                    bail!("{} holds no file of audit records", one.display());
                }
                found
            }
            [one] => vec![files(&a_file(one.clone())?)?],
            several => vec![Files::exactly(several.to_vec())],
        })
    }
}

/// The files of one chain. The newest is held open, since it is the one that changes its name.
struct Chain {
    files: Files,
    newest: Option<Box<dyn BufRead>>,
}

impl Chain {
    fn open(files: &Files) -> anyhow::Result<Self> {
        let newest = files.files.last().map(|it| open(it)).transpose()?;
        Ok(Self {
            files: files.clone(),
            newest,
        })
    }

    fn read(self, expected: &[Head]) -> anyhow::Result<(Files, Report)> {
        let mut verifier = Verifier::expecting(expected.to_vec());
        let mut newest = self.newest;
        for (index, file) in self.files.files.iter().enumerate() {
            let is_newest = index + 1 == self.files.files.len();
            let source = match newest.take_if(|_| is_newest) {
                Some(opened) => opened,
                None => open(file)?,
            };
            let read = verifier.read(&harmless(&file.to_string_lossy()), source);
            read.with_context(|| format!("{}", file.display()))?;
        }
        for file in &self.files.unread {
            verifier.unread(&harmless(&file.to_string_lossy()));
        }
        Ok((self.files, verifier.finish()))
    }
}

/// The heads in a file, as `exeat audit head` prints them or as JSON.
fn heads(file: &Path) -> anyhow::Result<Vec<Head>> {
    let named = || format!("{}", file.display());
    let text = std::fs::read_to_string(file).with_context(named)?;
    let lines = text.lines().filter(|line| !line.trim().is_empty());
    let heads = lines.map(|line| {
        let in_json = serde_json::from_str::<Value>(line).ok().and_then(|it| {
            let (seq, hash) = (it.get("seq")?.as_u64()?, it.get("hash")?.as_str()?);
            format!("{seq}:{hash}").parse().ok()
        });
        in_json.map_or_else(|| line.parse(), Ok)
    });
    let heads: Result<Vec<Head>, _> = heads.collect();
    match heads.map_err(anyhow::Error::msg).with_context(named)? {
        none if none.is_empty() => bail!("{} holds no head", file.display()),
        heads => Ok(heads),
    }
}

fn tell(chain: &Files, report: &Report, at_start: Result<(), &'static str>) -> anyhow::Result<()> {
    let compressed = chain.compressed.iter().map(|it| (it, "it is compressed"));
    let other = chain.other.iter().map(|it| (it, "it holds no records"));
    for (file, why) in compressed.chain(other) {
        let name = file.to_string_lossy();
        say(format_args!("{}: note: not read; {why}", harmless(&name)))?;
    }
    for (place, note) in &report.notes {
        say(format_args!("{place}: note: {note}"))?;
    }
    more(report.note_count, report.notes.len(), "notes")?;
    for finding in &report.findings {
        say(finding)?;
    }
    more(report.finding_count, report.findings.len(), "findings")?;
    if let Err(why) = at_start {
        say(format_args!("the chain: {why}"))?;
    }
    match chain.files.is_empty() {
        true => Ok(()),
        false => say(summary(chain, report)),
    }
}

fn more(count: u64, told: usize, what: &str) -> anyhow::Result<()> {
    match count - told as u64 {
        0 => Ok(()),
        more => say(format_args!("and {more} {what} more")),
    }
}

fn summary(chain: &Files, report: &Report) -> String {
    let last = chain.files.last().map(|it| it.to_string_lossy());
    let name = last.unwrap_or_default();
    let name = harmless(&name);
    let (Some(first), Some(head)) = (report.first, report.head) else {
        return format!("{name}: no record");
    };
    let verdict = match report.finding_count {
        0 => "whole".to_owned(),
        1 => "1 finding".to_owned(),
        count => format!("{count} findings"),
    };
    let end = match report.is_running {
        true => "the last process runs, or did not end by itself",
        false => "the last process ended by itself",
    };
    let lost = match report.lost {
        0 => String::new(),
        lost => format!(", {lost} more were lost"),
    };
    let chains = match report.chains {
        0 | 1 => String::new(),
        several => format!(" of {several} chains"),
    };
    format!(
        "{name}: {verdict}; {} files, {} lines, {} records{lost}, {} starts, seq {first} to {}{chains}; {end}\nhead {head}",
        chain.files.len(),
        report.lines,
        report.records,
        report.starts,
        head.seq,
    )
}

fn in_json(chain: &Files, report: &Report, is_from_start: bool) -> Value {
    let names = |paths: &[PathBuf]| -> Vec<String> {
        let names = paths.iter().map(|it| it.to_string_lossy());
        names.map(|it| it.into_owned()).collect()
    };
    let mut told = report.to_json();
    told["files"] = json!(names(&chain.files));
    told["compressed"] = json!(names(&chain.compressed));
    told["unread"] = json!(names(&chain.unread));
    told["other"] = json!(names(&chain.other));
    told["from_start"] = json!(report.first.is_none_or(|seq| seq == 1));
    told["good"] = json!(report.is_good() && is_from_start);
    told
}
