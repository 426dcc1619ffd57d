//! exeat as a process: a folder in which its commands run, and a started `exeat run`.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, ChildStdout, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

use super::client::{Answer, read_answer};

/// A folder with a policy, in which commands run without anything of the caller's environment.
pub struct Desk(TempDir);

impl Desk {
    /// Under `policies/`.
    pub fn with(policy: &str) -> Self {
        let folder = TempDir::new().unwrap();
        std::fs::create_dir(folder.path().join("policies")).unwrap();
        std::fs::write(folder.path().join("policies/p.yaml"), policy).unwrap();
        Self(folder)
    }

    /// A place in the folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// A command that was not started.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_exeat"));
        command
            .args(arguments)
            .current_dir(self.0.path())
            .env_clear();
        command.env("PATH", std::env::var_os("PATH").unwrap());
        command.env("EXEAT_STATE_DIR", self.path("state"));
        command
    }

    /// exeat behind a shell that first does something.
    pub fn through_shell(&self, script: &str) -> Command {
        let plain = self.command(&[]);
        let mut command = Command::new("sh");
        command.args(["-c", &format!("{script}; exec \"$0\" \"$@\"")]);
        command.arg(plain.get_program()).env_clear();
        for (name, value) in plain.get_envs() {
            command.env(name, value.unwrap());
        }
        command.current_dir(self.path(""));
        command
    }

    /// What a command said and how it ended.
    pub fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// The records of requests in a file.
    pub fn records(&self, file: &str) -> Vec<Value> {
        let text = std::fs::read_to_string(self.path(file)).unwrap();
        assert!(text.is_empty() || text.ends_with('\n'), "{text}");
        let lines = text.lines().map(|it| serde_json::from_str(it).unwrap());
        // Others are about the process.
        let of_requests = |it: &Value| it.get("request_id").is_some();
        lines.filter(of_requests).collect()
    }
}

/// What a process has in memory, in bytes.
#[derive(Clone, Copy, Debug)]
pub struct Memory {
    /// Resident at the moment.
    pub now: usize,
    /// Resident at its worst so far.
    pub most: usize,
}

/// A started `exeat run` on free ports.
pub struct Started {
    child: Option<Child>,
    /// What it said before it was ready.
    before: String,
    stderr: BufReader<ChildStderr>,
    pub proxy: SocketAddr,
    pub admin: SocketAddr,
    pub tools: SocketAddr,
}

impl Started {
    /// With more arguments.
    pub fn on(desk: &Desk, arguments: &[&str]) -> Self {
        Self::with(desk, arguments, &[])
    }

    /// With more arguments and variables.
    pub fn with(desk: &Desk, arguments: &[&str], variables: &[(&str, &str)]) -> Self {
        let mut command = desk.command(&[]);
        command.envs(variables.iter().copied());
        Self::by(command, arguments)
    }

    /// By a command that ends in the call of exeat, to which arguments are added.
    pub fn by(mut command: Command, arguments: &[&str]) -> Self {
        let listeners = ["--proxy-listen", "--tools-listen", "--admin-listen"];
        let free = listeners.map(|it| [it, "127.0.0.1:0"]).concat();
        let mut child = command
            .args(["run", "--json"])
            .args(free)
            .args(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stderr = BufReader::new(child.stderr.take().unwrap());
        let mut before = String::new();
        let ready = loop {
            let mut line = String::new();
            assert!(stderr.read_line(&mut line).unwrap() > 0, "{before}");
            let said: Value = serde_json::from_str(&line).unwrap_or_else(|_| panic!("{line}"));
            if said["ready"] == true {
                break said;
            }
            before += &line;
        };
        let address = |name: &str| ready[name].as_str().unwrap().parse().unwrap();
        assert!(Path::new(ready["ca"].as_str().unwrap()).exists());
        Self {
            child: Some(child),
            before,
            stderr,
            proxy: address("proxy"),
            admin: address("admin"),
            tools: address("tools"),
        }
    }

    /// A connection to the proxy.
    pub fn connect(&self) -> TcpStream {
        Self::connect_to(self.proxy)
    }

    fn connect_to(address: SocketAddr) -> TcpStream {
        let stream = TcpStream::connect(address).unwrap();
        let patience = Some(Duration::from_secs(20));
        stream.set_read_timeout(patience).unwrap();
        stream
    }

    /// Sends bytes and reads until the connection ends.
    pub fn ask(&self, bytes: &str) -> String {
        let mut stream = self.connect();
        stream.write_all(bytes.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    /// GET through the proxy, on a connection of its own.
    pub fn get(&self, url: &str) -> Answer {
        let host = url.split('/').nth(2).unwrap();
        let mut stream = self.connect();
        let head = format!("GET {url} HTTP/1.1\r\nHost: {host}\r\n\r\n");
        stream.write_all(head.as_bytes()).unwrap();
        read_answer(&mut stream, "GET").unwrap()
    }

    /// An operator's page.
    pub fn page(&self, path: &str) -> Answer {
        let mut stream = Self::connect_to(self.admin);
        let host = self.admin;
        let head = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        stream.write_all(head.as_bytes()).unwrap();
        read_answer(&mut stream, "GET").unwrap()
    }

    /// What readiness says, once it is as expected.
    pub fn ready(&self, what: &str, is_expected: impl Fn(&Value) -> bool) -> Value {
        let deadline = Instant::now() + Duration::from_secs(30);
        loop {
            let ready = self.page("/readyz").json();
            if is_expected(&ready) {
                return ready;
            }
            assert!(Instant::now() < deadline, "{what}: {ready:#}");
            std::thread::yield_now();
        }
    }

    /// Of the process.
    pub fn id(&self) -> u32 {
        self.child.as_ref().unwrap().id()
    }

    /// What it has in memory.
    pub fn memory(&self) -> Memory {
        let status = format!("/proc/{}/status", self.id());
        let status = std::fs::read_to_string(status).unwrap();
        let bytes = |name: &str| {
            let line = status.lines().find_map(|it| it.strip_prefix(name));
            let number = line.unwrap().trim().trim_end_matches(" kB");
            number.parse::<usize>().unwrap() * 1024
        };
        Memory {
            now: bytes("VmRSS:"),
            most: bytes("VmHWM:"),
        }
    }

    /// The sum of a metric's series whose labels hold this.
    pub fn figure(&self, name: &str, label: &str) -> f64 {
        let page = self.page("/metrics");
        let lines = page.text().lines().filter_map(|it| it.strip_prefix(name));
        let lines = lines.filter(|it| it.starts_with(['{', ' ']) && it.contains(label));
        let values = lines.map(|it| it.rsplit(' ').next().unwrap().parse::<f64>().unwrap());
        values.sum()
    }

    /// Waits until it has said this on standard error.
    pub fn says(&mut self, what: &str) {
        let mut line = String::new();
        while !line.contains(what) {
            line.clear();
            assert!(
                self.stderr.read_line(&mut line).unwrap() > 0,
                "{what}: {}",
                self.before
            );
            self.before += &line;
        }
    }

    /// Its standard output, which nobody reads otherwise until its end.
    pub fn output(&mut self) -> ChildStdout {
        self.child.as_mut().unwrap().stdout.take().unwrap()
    }

    /// Fills standard error, as where its reader has stalled.
    pub fn stall_log(&self) {
        let path = format!("/proc/self/fd/{}", self.stderr.get_ref().as_raw_fd());
        let nonblocking = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();
        let mut pipe = std::fs::OpenOptions::new()
            .write(true)
            .custom_flags(nonblocking)
            .open(path)
            .unwrap();
        for size in [4096, 1] {
            while pipe.write(&vec![b'\n'; size]).is_ok() {}
        }
    }

    /// Sends a signal.
    pub fn signal(&self, signal: &str) {
        let pid = self.id().to_string();
        let status = Command::new("kill").args([signal, &pid]).status().unwrap();
        assert!(status.success());
    }

    /// Waits for the end: exit code, output, and what was said on standard error.
    pub fn end(mut self) -> (Option<i32>, String, String) {
        let mut child = self.child.take().unwrap();
        let (mut out, mut said) = (String::new(), std::mem::take(&mut self.before));
        if let Some(mut stdout) = child.stdout.take() {
            stdout.read_to_string(&mut out).unwrap();
        }
        self.stderr.read_to_string(&mut said).unwrap();
        (child.wait().unwrap().code(), out, said)
    }
}

/// A test that fails leaves nothing behind.
impl Drop for Started {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
