//! One process of the bench: started on its cores, listened to by lines, its CPU time and its memory read from /proc,
//! ended on drop.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::io::BufRead;
use std::io::BufReader;
use std::io::Read;
use std::io::Write;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use anyhow::Context;
use anyhow::bail;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Cores that a process may use, in the form of `taskset --cpu-list`.
#[derive(Clone)]
pub(crate) struct Cores(String);

impl Cores {
    /// The cores from `first` up to and without `end`.
    pub(crate) fn range(first: usize, end: usize) -> Self {
        let names: Vec<_> = (first..end).map(|core| core.to_string()).collect();
        Self(names.join(","))
    }
}

/// A command whose process runs on `cores` only, or anywhere where there is no `taskset`: the package forbids `unsafe`,
/// and with it the system call.
pub(crate) fn pinned(cores: &Cores, program: impl AsRef<OsStr>) -> Command {
    if !taskset_is_there() {
        return Command::new(program);
    }
    let mut command = Command::new("taskset");
    command.args(["--cpu-list", &cores.0]).arg(program);
    command
}

/// Whether processes can be pinned to cores.
pub(crate) fn taskset_is_there() -> bool {
    let status = Command::new("taskset")
        .arg("--version")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    status.is_ok_and(|status| status.success())
}

/// A running process.
pub(crate) struct Process {
    name: String,
    child: Child,
    lines: mpsc::Receiver<io::Result<String>>,
}

impl Process {
    /// Starts `command`, which speaks on standard output; `name` is for messages.
    pub(crate) fn start(name: &str, command: &mut Command) -> anyhow::Result<Self> {
        let mut child = spawn(name, command.stdout(Stdio::piped()))?;
        let output = child.stdout.take().context(NOT_THERE)?;
        Ok(Self {
            name: name.to_owned(),
            child,
            lines: lines_of(output, |_| true),
        })
    }

    /// Starts `command`, which says on standard error when it is ready. Its log is there too, and is passed on.
    pub(crate) fn start_on_stderr(name: &str, command: &mut Command) -> anyhow::Result<Self> {
        let mut child = spawn(name, command.stdout(Stdio::null()).stderr(Stdio::piped()))?;
        let errors = child.stderr.take().context(NOT_THERE)?;
        Ok(Self {
            name: name.to_owned(),
            child,
            lines: lines_of(errors, |line| line.starts_with(r#"{"ready""#)),
        })
    }

    /// The next line that the process prints, as JSON.
    pub(crate) fn read<T: DeserializeOwned>(&self, within: Duration) -> anyhow::Result<T> {
        let line = match self.lines.recv_timeout(within) {
            Ok(line) => line?,
            Err(mpsc::RecvTimeoutError::Timeout) => {
                bail!("{} said nothing for {within:?}", self.name)
            }
            Err(mpsc::RecvTimeoutError::Disconnected) => {
                bail!("{} ended; its errors stand above", self.name)
            }
        };
        serde_json::from_str(&line)
            .with_context(|| format!("{} printed something else than expected: {line}", self.name))
    }

    /// Sends an empty line: the process may go on.
    pub(crate) fn release(&mut self) -> io::Result<()> {
        self.child
            .stdin
            .as_mut()
            .map_or(Ok(()), |input| input.write_all(b"\n"))
    }

    /// User and system time of all threads, to the nanosecond, of this process and of all that it has started: `stat`
    /// of a process counts in hundredths of a second. A thread that ends takes its share with it, which no proxy's does
    /// while it serves.
    pub(crate) fn cpu_time(&self) -> anyhow::Result<Duration> {
        let family = family(self.child.id())?;
        family.into_iter().map(cpu_time_alone).sum()
    }

    /// As [`Process::cpu_time`], with the threads that have ended, but in hundredths of a second only (proc(5),
    /// `stat`).
    pub(crate) fn cpu_time_with_the_dead(&self) -> anyhow::Result<Duration> {
        let family = family(self.child.id())?;
        family.into_iter().map(cpu_ticks).sum()
    }

    /// Resident memory of this process and of all that it has started, in KiB.
    pub(crate) fn resident(&self) -> anyhow::Result<u64> {
        let family = family(self.child.id())?;
        family.into_iter().map(|it| status(it, "VmRSS:")).sum()
    }

    /// The most that it was since [`Process::forget_peak`], in KiB.
    pub(crate) fn peak(&self) -> anyhow::Result<u64> {
        status(self.child.id(), "VmHWM:")
    }

    /// Starts a new peak (proc(5), `clear_refs`).
    pub(crate) fn forget_peak(&self) -> io::Result<()> {
        fs::write(format!("/proc/{}/clear_refs", self.child.id()), "5")
    }
}

/// A process and all that descend from it (proc(5), `children`, which not every kernel has: then it alone).
fn family(ancestor: u32) -> anyhow::Result<Vec<u32>> {
    let mut known = vec![ancestor];
    let mut next = 0;
    while let Some(&process) = known.get(next) {
        for thread in fs::read_dir(format!("/proc/{process}/task"))? {
            let children = fs::read_to_string(thread?.path().join("children")).unwrap_or_default();
            known.extend(
                children
                    .split_whitespace()
                    .filter_map(|it| it.parse::<u32>().ok()),
            );
        }
        next += 1;
    }
    Ok(known)
}

fn cpu_time_alone(process: u32) -> anyhow::Result<Duration> {
    let mut busy = Duration::ZERO;
    for thread in fs::read_dir(format!("/proc/{process}/task"))? {
        let file = thread?.path().join("schedstat");
        let text =
            fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
        let nanos = text
            .split_whitespace()
            .next()
            .context("schedstat is empty")?;
        busy += Duration::from_nanos(nanos.parse()?);
    }
    Ok(busy)
}

fn cpu_ticks(process: u32) -> anyhow::Result<Duration> {
    let text = fs::read_to_string(format!("/proc/{process}/stat"))?;
    // The name stands in parentheses and may have any of them in it. After it: the 3rd field and those that follow.
    let (_, fields) = text.rsplit_once(')').context("stat without a name")?;
    let ticks: u64 = fields
        .split_whitespace()
        .skip(UTIME - 3)
        .take(2)
        .map(str::parse::<u64>)
        .sum::<Result<_, _>>()?;
    let per_second = rustix::param::clock_ticks_per_second();
    Ok(Duration::from_secs_f64(ticks as f64 / per_second as f64))
}

/// Place of `utime` in `stat`, counted from 1; `stime` is the next.
const UTIME: usize = 14;

fn status(process: u32, field: &str) -> anyhow::Result<u64> {
    let text = fs::read_to_string(format!("/proc/{process}/status"))?;
    let line = text.lines().find_map(|line| line.strip_prefix(field));
    let number = line.and_then(|line| line.split_whitespace().next());
    Ok(number.with_context(|| format!("no {field}"))?.parse()?)
}

const NOT_THERE: &str = "a stream was asked for, and is not there";

fn spawn(name: &str, command: &mut Command) -> anyhow::Result<Child> {
    command
        .stdin(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot start {name}"))
}

/// The lines that `matter`, as they come; others go to our own standard error.
fn lines_of(
    stream: impl Read + Send + 'static,
    matter: fn(&str) -> bool,
) -> mpsc::Receiver<io::Result<String>> {
    let (sender, lines) = mpsc::channel();
    thread::spawn(move || {
        for line in BufReader::new(stream).lines() {
            match line {
                Ok(line) if !matter(&line) => eprintln!("{line}"),
                // Nobody may be listening any more, but the stream has to be read to its end.
                line => drop(sender.send(line)),
            }
        }
    });
    lines
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Ends this process as soon as the one that started it is gone, however that went.
pub(crate) fn end_with_parent() {
    thread::spawn(|| {
        let _ = io::stdin().read_to_end(&mut Vec::new());
        std::process::exit(0);
    });
}

/// Prints the line for which the starting process waits.
pub(crate) fn print_ready(line: &impl Serialize) -> anyhow::Result<()> {
    println!("{}", serde_json::to_string(line)?);
    Ok(())
}
