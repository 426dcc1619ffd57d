//! The records, read again: how many requests they tell of, and that none is there twice or missing.

use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

use anyhow::{Context, ensure};
use serde_json::Value;

/// What there is.
pub(crate) struct Ledger {
    /// Lines that end a request.
    pub(crate) terminal: u64,
    /// Of them, by how it ended.
    ends: BTreeMap<String, u64>,
    /// Lines that begin a stream.
    opened: u64,
}

/// Reads a file of records.
pub(crate) fn read(file: &Path) -> anyhow::Result<Ledger> {
    let mut ledger = Ledger {
        terminal: 0,
        ends: BTreeMap::new(),
        opened: 0,
    };
    let (mut ids, mut last) = (HashSet::new(), 0);
    for line in BufReader::new(File::open(file)?).lines() {
        let line = line?;
        let record: Value = serde_json::from_str(&line).with_context(|| line.clone())?;
        let seq = record["seq"].as_u64().context("no seq")?;
        ensure!(seq == last + 1, "{seq} follows {last}");
        last = seq;
        match (record["event"].as_str(), record["end"].as_str()) {
            (Some("opened"), _) => ledger.opened += 1,
            (None, Some(end)) => {
                let id = record["request_id"].as_str().context("no id")?;
                ensure!(ids.insert(id.to_owned()), "two ends of {id}");
                ledger.terminal += 1;
                *ledger.ends.entry(end.to_owned()).or_default() += 1;
            }
            // What is neither tells of exeat itself: that it began to write, or ends.
            _ => {}
        }
    }
    Ok(ledger)
}

impl fmt::Display for Ledger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} terminal, {} of beginnings",
            self.terminal, self.opened
        )?;
        for (end, count) in &self.ends {
            write!(f, "; {count} {end}")?;
        }
        Ok(())
    }
}
