//! The servers: how each is started, and when it listens.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tokio::net::TcpSocket;

use crate::clients::installed;

/// How long a server may live, as timeout(1) reads it: longer than any test, should one end without its destructors.
const LIFE: &str = "300";

/// Where Debian puts Apache's modules.
const MODULES: &str = "/usr/lib/apache2/modules";

/// One kind of server.
pub(super) struct Kind {
    /// The first label of its host, and the beginning of its actions' names.
    pub(super) name: &'static str,
    /// What it says on standard error once it listens.
    ready: &'static str,
    /// Its program and arguments.
    command: fn(&Place) -> Command,
    /// What its readers cannot say.
    pub(super) limits: Limits,
}

/// What a server's readers leave out, whoever sends them what.
#[derive(Clone, Copy, Default)]
pub(super) struct Limits {
    /// Of a name that stands in the query more than once it knows the last value only.
    pub(super) last_of_a_name: bool,
    /// Of a body in chunks it knows the framing only.
    pub(super) blind_to_chunks: bool,
    /// All its numbers are doubles.
    pub(super) doubles: bool,
    /// Its numbers are written with 14 digits, and its empty lists as empty objects.
    pub(super) lua: bool,
}

/// Nothing.
pub(super) const FAITHFUL: Limits = Limits {
    last_of_a_name: false,
    blind_to_chunks: false,
    doubles: false,
    lua: false,
};

/// Every server, nginx over HTTP/1.1 and over HTTP/2.
pub(super) const KINDS: [Kind; 6] = [
    Kind {
        name: "nginx",
        ready: "start worker process",
        command: |place| nginx(place, ""),
        limits: Limits {
            doubles: true,
            lua: true,
            ..FAITHFUL
        },
    },
    Kind {
        name: "nginx-http2",
        ready: "start worker process",
        command: |place| nginx(place, "http2"),
        limits: Limits {
            doubles: true,
            lua: true,
            ..FAITHFUL
        },
    },
    Kind {
        name: "apache",
        ready: "resuming normal operations",
        command: apache,
        limits: Limits {
            last_of_a_name: true,
            blind_to_chunks: true,
            ..FAITHFUL
        },
    },
    Kind {
        name: "node",
        ready: "listening",
        command: node,
        limits: Limits {
            doubles: true,
            ..FAITHFUL
        },
    },
    Kind {
        name: "gunicorn",
        ready: "Booting worker",
        command: gunicorn,
        limits: FAITHFUL,
    },
    Kind {
        name: "uvicorn",
        ready: "Uvicorn running",
        command: uvicorn,
        limits: FAITHFUL,
    },
];

/// A server that runs until it is dropped.
pub(super) struct Program {
    process: Child,
    address: SocketAddr,
    _folder: TempDir,
}

/// What a server is told.
struct Place<'a> {
    folder: &'a Path,
    host: &'a str,
    port: u16,
}

impl Program {
    /// Starts a server with this certificate and its key, and waits until it listens.
    pub(super) fn start(kind: &Kind, host: &str, (certificate, key): &(String, String)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        // Apache and nginx read as another user what root made.
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let (reserved, address) = reserve();
        let place = Place {
            folder: folder.path(),
            host,
            port: address.port(),
        };
        fs::write(place.certificate(), certificate).unwrap();
        fs::write(place.key(), key).unwrap();
        let mut command = (kind.command)(&place);
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        let mut process = command.spawn().unwrap();
        let mut said = BufReader::new(process.stderr.take().unwrap());
        let mut words = String::new();
        while !words.contains(kind.ready) {
            let read = said.read_line(&mut words).unwrap();
            assert!(read > 0, "{} ended: {words}", kind.name);
        }
        drop(reserved);
        // What nobody reads would stop it in the end.
        std::thread::spawn(move || said.lines().for_each(drop));
        Self {
            process,
            address,
            _folder: folder,
        }
    }

    /// Where it listens.
    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // timeout(1) passes it on, and servers end their workers for it.
        let _ = kill_process(Pid::from_child(&self.process), Signal::TERM);
        let _ = self.process.wait();
    }
}

/// A port that nobody else is given: bound, but not listened on, so that a server may bind it as well.
fn reserve() -> (TcpSocket, SocketAddr) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .build()
        .unwrap();
    let _entered = runtime.enter();
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_reuseaddr(true).unwrap();
    socket.bind((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
    let address = socket.local_addr().unwrap();
    (socket, address)
}

fn nginx(place: &Place<'_>, http2: &str) -> Command {
    let file = place.fill("nginx.conf", &[("HTTP2", http2)]);
    place.fill("nginx.lua", &[]);
    let mut command = place.command("nginx");
    command.arg("-c").arg(file);
    command
}

fn apache(place: &Place<'_>) -> Command {
    let file = place.fill("apache.conf", &[("MODULES", MODULES), ("HOST", place.host)]);
    place.fill("apache.lua", &[]);
    let mut command = place.command("apache2");
    command.arg("-DFOREGROUND").arg("-f").arg(file);
    command
}

fn node(place: &Place<'_>) -> Command {
    let mut command = place.command("node");
    command.arg(script("node.cjs")).arg(place.port.to_string());
    command.arg(place.certificate()).arg(place.key());
    command
}

fn gunicorn(place: &Place<'_>) -> Command {
    let mut command = place.python("gunicorn");
    command.args([
        "--worker-class",
        "gthread",
        "--threads",
        "8",
        "--keep-alive",
        "60",
    ]);
    command.arg("--no-control-socket");
    command
        .arg("--bind")
        .arg(format!("127.0.0.1:{}", place.port));
    command.arg("--certfile").arg(place.certificate());
    command.arg("--keyfile").arg(place.key());
    command.arg("gunicorn_origin:application");
    command
}

fn uvicorn(place: &Place<'_>) -> Command {
    let mut command = place.python("uvicorn");
    command.args([
        "--http",
        "h11",
        "--timeout-keep-alive",
        "60",
        "--no-access-log",
    ]);
    command.arg("--port").arg(place.port.to_string());
    command.arg("--ssl-certfile").arg(place.certificate());
    command.arg("--ssl-keyfile").arg(place.key());
    command.arg("uvicorn_origin:application");
    command
}

impl Place<'_> {
    fn certificate(&self) -> PathBuf {
        self.folder.join("certificate.pem")
    }

    fn key(&self) -> PathBuf {
        self.folder.join("key.pem")
    }

    /// Puts one of our files into the folder, with what only a test knows.
    fn fill(&self, name: &str, more: &[(&str, &str)]) -> PathBuf {
        let (port, folder) = (self.port.to_string(), self.folder.to_str().unwrap());
        let mut text = fs::read_to_string(script(name)).unwrap();
        for (name, value) in [("PORT", port.as_str()), ("FOLDER", folder)]
            .iter()
            .chain(more)
        {
            text = text.replace(&format!("@{name}@"), value);
        }
        let file = self.folder.join(name);
        fs::write(&file, text).unwrap();
        file
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(installed::program("timeout"));
        command
            .args(["--kill-after=5", LIFE])
            .arg(installed::program(program));
        command.current_dir(self.folder);
        command
    }

    fn python(&self, module: &str) -> Command {
        let mut command = Command::new(installed::program("timeout"));
        command
            .args(["--kill-after=5", LIFE])
            .arg(installed::python());
        command.args(["-m", module]).current_dir(script(""));
        command
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .env("PYTHONUNBUFFERED", "1");
        command
    }
}

fn script(name: &str) -> PathBuf {
    installed::script("origins").join(name)
}
