//! What people use instead, as contenders: each proxy has a starter in `peers.d`, which says what it is and becomes it.
//!
//! A proxy that is not here is left out, and what it lacks is said: `benches/compare/run` installs it. Nothing in this
//! file knows any of them by name.

use std::fs;
use std::io;
use std::io::Read;
use std::io::Write;
use std::net::Ipv4Addr;
use std::net::SocketAddr;
use std::net::TcpListener;
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::rc::Rc;
use std::thread;
use std::time::Duration;
use std::time::Instant;

use anyhow::Context;
use anyhow::bail;
use anyhow::ensure;
use clap::ValueEnum;
use serde::Deserialize;
use tempfile::TempDir;

use crate::clients;
use crate::clients::Errand;
use crate::clients::Times;
use crate::load::Form;
use crate::origin;
use crate::origin::Size;
use crate::process::Process;
use crate::rounds::Ability;
use crate::rounds::Http;
use crate::rounds::Mode;
use crate::rounds::Scenario;
use crate::stage::Contender;
use crate::stage::READY_WITHIN;
use crate::stage::Stage;

/// Peers that run, and the folders that they run in.
pub(crate) struct Peers {
    pub(crate) contenders: Vec<Contender>,
    _folders: Vec<TempDir>,
}

/// What a starter says of its proxy; `peers.sh` tells how modes are written.
#[derive(Deserialize)]
struct Description {
    version: String,
    modes: Vec<String>,
}

/// Starts all peers that are here, or those that are `asked` for by the names of their starters.
pub(crate) fn start(stage: &Stage, asked: &[String]) -> anyhow::Result<Peers> {
    let (mut contenders, mut folders, mut missing) = (Vec::new(), Vec::new(), Vec::new());
    for starter in starters(asked)? {
        match describe(&starter)? {
            Ok(description) => {
                let folder = folder(stage)?;
                match launch(stage, &starter, &description, folder.path()) {
                    Ok(launched) => contenders.extend(launched),
                    Err(error) => missing.push(format!("{}: {error:#}\n", description.version)),
                }
                folders.push(folder);
            }
            Err(reason) => missing.push(reason),
        }
    }
    if !missing.is_empty() {
        eprintln!("Left out:\n{}", missing.concat());
    }
    Ok(Peers {
        contenders,
        _folders: folders,
    })
}

/// Sorted by name.
fn starters(asked: &[String]) -> anyhow::Result<Vec<PathBuf>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/compare/peers.d");
    if !asked.is_empty() {
        let known = asked.iter().map(|name| folder.join(name));
        let known: Vec<_> = known.filter(|it| it.exists()).collect();
        ensure!(known.len() == asked.len(), "unknown among {asked:?}");
        return Ok(known);
    }
    let entries = fs::read_dir(&folder).with_context(|| format!("no {}", folder.display()))?;
    let paths: io::Result<Vec<_>> = entries.map(|entry| Ok(entry?.path())).collect();
    let mut paths = paths?;
    paths.sort();
    Ok(paths)
}

/// Where `run` has put what does not come from the system.
fn installed() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("peers")
}

/// `Err` with what is missing.
fn describe(starter: &Path) -> anyhow::Result<Result<Description, String>> {
    let output = Command::new(starter)
        .arg("describe")
        .env("PEER_TARGET", installed())
        .output()
        .with_context(|| format!("cannot run {}", starter.display()))?;
    if !output.status.success() {
        return Ok(Err(String::from_utf8_lossy(&output.stderr).into_owned()));
    }
    Ok(Ok(serde_json::from_slice(&output.stdout)?))
}

/// One contender, or two for a proxy that is asked in two ways.
fn launch(
    stage: &Stage,
    starter: &Path,
    description: &Description,
    place: &Path,
) -> anyhow::Result<Vec<Contender>> {
    // Free a moment ago: most of them cannot be told to take any port and say which.
    let address = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?;
    let mut command = stage.on_proxy_cores(starter);
    command
        .arg("run")
        .current_dir(place)
        // Its descendants are of its group, and end with it.
        .process_group(0)
        .env("PEER_TARGET", installed())
        .env("PEER_FOLDER", place)
        .env("PEER_PORT", address.port().to_string())
        .env("PEER_CA", place.join("ca.pem"))
        .env("PEER_CA_KEY", place.join("ca.key"))
        .env("PEER_PLAIN_HOST", origin::PLAIN_HOST)
        .env("PEER_PLAIN_PORT", stage.ports.plain.to_string())
        .env("PEER_TLS_HOST", origin::TLS_HOST)
        .env("PEER_TLS_PORT", stage.ports.tls.to_string())
        .env("PEER_HTTP2_PORT", stage.ports.http2.to_string())
        .env("PEER_TUNNEL_HOST", origin::TUNNEL_HOST);
    let process = Process::start(&description.version, &mut command)?;
    wait_until_it_serves(address, stage.ports.plain, place)?;
    let own = place.join("trust.pem");
    let trust = if own.exists() { own } else { stage.ca_file() };
    let process = Rc::new(process);
    let asked = |form, abilities| Contender {
        name: description.version.clone(),
        processes: vec![process.clone()],
        address,
        form,
        abilities,
        must_succeed: false,
        trust: trust.clone(),
        authorization: None,
    };
    let mut contenders = Vec::new();
    for (suffix, form) in [(ANEW, Some(Form::AbsoluteAnew)), ("", None)] {
        let names = description.modes.iter();
        let names = names.filter(|it| it.ends_with(ANEW) == form.is_some());
        let mut contender = asked(
            form,
            abilities(names.map(|it| it.trim_end_matches(suffix)))?,
        );
        prove(stage, &mut contender);
        contenders.push(contender);
    }
    contenders.retain(|it| !it.abilities.is_empty());
    Ok(contenders)
}

/// Ends a mode in which each request has a connection of its own.
const ANEW: &str = "-anew";

/// Ends a mode over HTTP/2.
const OVER_HTTP2: &str = "-2";

/// Takes away what the contender cannot do after all, and says so: one cell must not end a run of an hour.
fn prove(stage: &Stage, contender: &mut Contender) {
    let times = Times {
        connections: 8,
        warm_up: 8,
        requests: 16,
    };
    let abilities = std::mem::take(&mut contender.abilities);
    for (mode, http) in abilities {
        let can = [Size::Small, Size::Large].map(|size| {
            let scenario = Scenario { mode, http, size };
            let ran = clients::run(
                stage,
                contender,
                &Errand::of(scenario, &stage.ports),
                &times,
            );
            ran.map_err(|error| eprintln!("no cell: {}: {error:#}", scenario.name()))
        });
        if can.iter().all(Result::is_ok) {
            contender.abilities.push((mode, http));
        }
    }
}

/// With the CA, whose key signs for the length of a run. In a place where those get to that shed root.
fn folder(stage: &Stage) -> anyhow::Result<TempDir> {
    let folder = tempfile::Builder::new().prefix("compare-").tempdir()?;
    let readable = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode));
    readable(folder.path(), 0o755)?;
    for name in ["ca.pem", "ca.key"] {
        let copy = folder.path().join(name);
        fs::copy(stage.ca_file().with_file_name(name), &copy)?;
        readable(&copy, 0o644)?;
    }
    Ok(folder)
}

/// Whoever passes bytes on does not care for the version of HTTP inside.
fn abilities<'n>(modes: impl Iterator<Item = &'n str>) -> anyhow::Result<Vec<Ability>> {
    let mut abilities = Vec::new();
    for name in modes {
        let (name, http) = match name.strip_suffix(OVER_HTTP2) {
            Some(name) => (name, Http::Two),
            None => (name, Http::One),
        };
        let Ok(mode) = Mode::from_str(name, false) else {
            bail!("{name} is no mode");
        };
        abilities.push((mode, http));
        if mode == Mode::Tunnel {
            abilities.push((mode, Http::Two));
        }
    }
    Ok(abilities)
}

/// Between two tries.
const PAUSE: Duration = Duration::from_millis(50);

/// Until it answers as it ought to: some listen before they know their hosts.
fn wait_until_it_serves(address: SocketAddr, port: u16, folder: &Path) -> anyhow::Result<()> {
    let end = Instant::now() + READY_WITHIN;
    while !serves(address, port).unwrap_or(false) {
        if Instant::now() > end {
            let log = fs::read_to_string(folder.join("log")).unwrap_or_default();
            bail!("it does not serve; it said:\n{log}");
        }
        thread::sleep(PAUSE);
    }
    Ok(())
}

#[expect(
    clippy::disallowed_methods,
    reason = "a client of the proxy, which has no `dial`"
)]
fn serves(address: SocketAddr, port: u16) -> io::Result<bool> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(READY_WITHIN))?;
    let (host, path) = (origin::PLAIN_HOST, Size::Small.path());
    write!(
        stream,
        "GET http://{host}:{port}{path} HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n"
    )?;
    let mut line = [0; "HTTP/1.1 200".len()];
    stream.read_exact(&mut line)?;
    Ok(line.ends_with(b" 200"))
}
