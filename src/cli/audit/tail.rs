//! `exeat audit tail`: the newest lines, and those that come.

use std::time::Duration;

use anyhow::bail;
use clap::Args;

use crate::audit::harmless;
use crate::cli::audit::follow::Follow;
use crate::cli::audit::{Which, is_stdin};
use crate::cli::{Verdict, say_or_end};

#[derive(Args)]
pub(super) struct Tail {
    #[command(flatten)]
    which: Which,
    /// How many lines
    #[arg(short = 'n', long, value_name = "N", default_value_t = 10)]
    lines: usize,
    /// Go on with lines as they are written, also when the file is put aside
    #[arg(short, long)]
    follow: bool,
}

/// People see no difference, and it costs nothing to look five times a second.
const LOOK: Duration = Duration::from_millis(200);

impl Tail {
    pub(super) fn run(self) -> anyhow::Result<Verdict> {
        let path = self.which.path()?;
        if is_stdin(&path) {
            bail!("standard input has its own end; use tail(1)");
        }
        let (mut follow, mut lines) = Follow::the_last(self.lines, &path)?;
        loop {
            for line in &lines {
                if !say_or_end(harmless(&String::from_utf8_lossy(line)))? {
                    return Ok(Verdict::Good);
                }
            }
            if !self.follow {
                return Ok(Verdict::Good);
            }
            lines = follow.more()?;
            if lines.is_empty() {
                std::thread::sleep(LOOK);
            }
        }
    }
}
