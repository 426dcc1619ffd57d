//! The processes of one trial, and the cores that they have.
//!
//! Where there are cores enough, the proxies have some to themselves and everything else has the rest. A trial that
//! gives the proxies all cores shares them: CPU time bears that, wall clock less so.

use std::env;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::rc::Rc;
use std::time::Duration;

use anyhow::Context;
use clap::ValueEnum;

use crate::bare;
use crate::bare::Setup;
use crate::certs;
use crate::load::Form;
use crate::origin;
use crate::process;
use crate::process::Cores;
use crate::process::Process;
use crate::rounds::Ability;
use crate::rounds::EVERYTHING;
use crate::rounds::Scenario;

/// Longest time until a process listens.
pub(crate) const READY_WITHIN: Duration = Duration::from_secs(20);

/// The origin, and where the others go.
pub(crate) struct Stage {
    /// How many cores the proxies have.
    pub(crate) proxy_cores: usize,
    /// Ports of the origin.
    pub(crate) ports: origin::Ready,
    beside: Cores,
    _origin: Process,
    folder: Folder,
}

/// A proxy under test, running; or one door of it.
pub(crate) struct Contender {
    /// As tables call it.
    pub(crate) name: String,
    /// Whose CPU time is read and summed, with that of the processes that they have started.
    pub(crate) processes: Vec<Rc<Process>>,
    /// Where it listens.
    pub(crate) address: SocketAddr,
    /// How it is asked, where the mode does not say.
    pub(crate) form: Option<Form>,
    /// What it is asked to do; for the rest its rows stay empty.
    pub(crate) abilities: Vec<Ability>,
    /// Whether a request that it fails is an error of the whole run, and not only the end of a cell.
    pub(crate) must_succeed: bool,
    /// The CA of its interception.
    pub(crate) trust: PathBuf,
    /// What its clients send as `Proxy-Authorization`, or `Authorization` to a tool door.
    pub(crate) authorization: Option<String>,
}

impl Contender {
    /// Whether it is asked at all.
    pub(crate) fn can(&self, scenario: Scenario) -> bool {
        self.abilities.contains(&(scenario.mode, scenario.http))
    }

    /// CPU time of all its processes.
    pub(crate) fn cpu_time(&self) -> anyhow::Result<Duration> {
        // Where a connection ends with each request, a thread may end with it.
        let time_of = match self.form {
            Some(Form::AbsoluteAnew) => Process::cpu_time_with_the_dead,
            _ => Process::cpu_time,
        };
        self.processes.iter().map(|it| time_of(it)).sum()
    }

    /// Resident memory of all its processes, in KiB. What they share counts for each of them.
    pub(crate) fn resident(&self) -> anyhow::Result<u64> {
        self.processes.iter().map(|it| it.resident()).sum()
    }
}

impl Stage {
    /// Starts the origin beside the cores of the proxies.
    pub(crate) fn open(proxy_cores: usize) -> anyhow::Result<Self> {
        let all = std::thread::available_parallelism()?.get();
        let beside = if proxy_cores < all {
            Cores::range(proxy_cores, all)
        } else {
            Cores::range(0, all)
        };
        let folder = Folder::create()?;
        certs::create_ca(&folder.0)?;
        let mut command = process::pinned(&beside, env::current_exe()?);
        let origin = Process::start("origin", command.arg("origin").arg("--ca").arg(&folder.0))?;
        Ok(Self {
            proxy_cores,
            ports: origin.read(READY_WITHIN)?,
            beside,
            _origin: origin,
            folder,
        })
    }

    /// Starts a bare stack on the cores of the proxies.
    pub(crate) fn bare(&self, name: &str, setup: Setup) -> anyhow::Result<Contender> {
        let mut command = self.on_proxy_cores(env::current_exe()?);
        command
            .arg("bare")
            .arg("--ca")
            .arg(&self.folder.0)
            .args(["--threads", &setup.threads.to_string()]);
        command.args([
            "--layout",
            &argument(setup.layout),
            "--body",
            &argument(setup.body),
            "--heads",
            &argument(setup.heads),
        ]);
        command
            .arg("--plain")
            .arg(format!("{}={}", origin::PLAIN_HOST, self.ports.plain));
        for port in [self.ports.tls, self.ports.http2] {
            command
                .arg("--tls")
                .arg(format!("{}={port}", origin::TLS_HOST));
        }
        command.args(["--tunnel", origin::TUNNEL_HOST]);
        let process = Process::start(name, &mut command)?;
        let ready: bare::Ready = process.read(READY_WITHIN)?;
        Ok(Contender {
            name: name.to_owned(),
            processes: vec![Rc::new(process)],
            address: ready.proxy,
            form: None,
            abilities: EVERYTHING.to_vec(),
            must_succeed: true,
            trust: self.ca_file(),
            authorization: None,
        })
    }

    /// A command whose process has the cores of the proxies.
    pub(crate) fn on_proxy_cores(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        process::pinned(&Cores::range(0, self.proxy_cores), program)
    }

    /// Starts clients beside the cores of the proxies; the caller adds what they do.
    pub(crate) fn load(&self, with: impl FnOnce(&mut Command)) -> anyhow::Result<Process> {
        self.part("load", with)
    }

    /// Starts another part of the bench beside the cores of the proxies.
    pub(crate) fn part(
        &self,
        part: &str,
        with: impl FnOnce(&mut Command),
    ) -> anyhow::Result<Process> {
        let mut command = process::pinned(&self.beside, env::current_exe()?);
        with(command.arg(part));
        Process::start(part, &mut command)
    }

    /// Certificate of the CA that signed the origin's.
    pub(crate) fn ca_file(&self) -> PathBuf {
        certs::ca_file(&self.folder.0)
    }

    /// A folder that is gone with the stage.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder.0
    }
}

/// A value as it stands on a command line.
pub(crate) fn argument(value: impl ValueEnum) -> String {
    value
        .to_possible_value()
        .map(|value| value.get_name().to_owned())
        .unwrap_or_default()
}

/// A folder under `target/`, gone when dropped.
struct Folder(PathBuf);

impl Folder {
    fn create() -> anyhow::Result<Self> {
        let path =
            Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("compare-{}", std::process::id()));
        fs::create_dir_all(&path).with_context(|| format!("cannot create {}", path.display()))?;
        Ok(Self(path))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What remains lies under target/, where `cargo clean` finds it.
        let _ = fs::remove_dir_all(&self.0);
    }
}
