//! `exeat exec` with its policies, its secrets and the origins that it reaches, and what came of a program behind it.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Output, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

use super::installed;
use super::origin::Origin;

/// How long a program may take, as timeout(1) reads it. A client that hangs is a failure, not a wait.
const PATIENCE: &str = "60";

/// What a program runs behind.
pub(super) struct Stage {
    folder: TempDir,
    settings: Vec<OsString>,
    agent: Option<String>,
    secrets: Vec<(&'static str, &'static str)>,
}

impl Stage {
    /// The policies that ship with exeat.
    pub(super) fn with_shipped_policies() -> Self {
        let stage = Self::new();
        let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("policies");
        for entry in fs::read_dir(shipped).unwrap() {
            let file = entry.unwrap().path();
            let name = file.file_name().unwrap();
            fs::copy(&file, stage.policies().join(name)).unwrap();
        }
        stage
    }

    /// A policy of the test's own.
    pub(super) fn with_policy(text: &str) -> Self {
        let stage = Self::new();
        fs::write(stage.policies().join("policy.yaml"), text).unwrap();
        stage
    }

    fn new() -> Self {
        let stage = Self {
            folder: tempfile::tempdir().unwrap(),
            settings: Vec::new(),
            agent: None,
            secrets: Vec::new(),
        };
        fs::create_dir(stage.policies()).unwrap();
        stage
    }

    /// Puts an origin on loopback under a public name.
    pub(super) fn reaching(self, host: &str, origin: &Origin) -> Self {
        self.reaching_at(host, origin.address(), origin.ca_pem())
    }

    /// The same for a server of which only the address and the CA are known.
    pub(super) fn reaching_at(mut self, host: &str, address: SocketAddr, ca_pem: &str) -> Self {
        let port = address.port();
        let ca = self.file(&format!("{host}.pem"));
        fs::write(&ca, ca_pem).unwrap();
        let exemption = format!(
            "version: 1\nnetwork:\n  allow_private: [{{host: {host}, addresses: [127.0.0.1/32], port: {port}}}]\n"
        );
        fs::write(
            self.policies().join(format!("reach-{host}.yaml")),
            exemption,
        )
        .unwrap();
        self.settings.extend(["--extra-ca".into(), ca.into()]);
        self.settings
            .extend(["--host".into(), format!("{host}={address}").into()]);
        self
    }

    /// Declares an agent that may use every action, and runs programs as it.
    pub(super) fn acting_as(mut self, name: &str, token: &'static str) -> Self {
        let agents = format!(
            "version: 1\nsecrets:\n  agent_token: {{env: AGENT_TOKEN}}\n\
             agents:\n  {name}: {{token: {{secret: agent_token}}, allow: [\"*\"]}}\n"
        );
        fs::write(self.policies().join("agents.yaml"), agents).unwrap();
        self.agent = Some(name.into());
        self.secret("AGENT_TOKEN", token)
    }

    /// Gives a secret to exeat, by an environment variable.
    pub(super) fn secret(mut self, variable: &'static str, value: &'static str) -> Self {
        self.secrets.push((variable, value));
        self
    }

    /// A file or folder that lives as long as the stage.
    pub(super) fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn policies(&self) -> PathBuf {
        self.file("policies")
    }

    /// Runs a program behind exeat to its end.
    pub(super) fn exec<A: AsRef<OsStr>>(&self, program: &Path, arguments: &[A]) -> Ran {
        let mut line = self.exeat("exec");
        line.extend(["--".into(), program.into()]);
        line.extend(arguments.iter().map(|it| it.as_ref().to_owned()));
        self.run(&line)
    }

    /// Runs a program to its end whose last arguments are the command of an MCP server: exeat.
    pub(super) fn beside_mcp<A: AsRef<OsStr>>(&self, program: &Path, arguments: &[A]) -> Ran {
        let mut line = vec![program.into()];
        line.extend(arguments.iter().map(|it| it.as_ref().to_owned()));
        line.extend(self.exeat("mcp"));
        self.run(&line)
    }

    /// Runs a program to its end whose last arguments are the command of an MCP server: this one, behind exeat.
    pub(super) fn beside_server<A: AsRef<OsStr>>(
        &self,
        program: &Path,
        arguments: &[A],
        server: &[&Path],
    ) -> Ran {
        let mut line = vec![program.into()];
        line.extend(arguments.iter().map(|it| it.as_ref().to_owned()));
        line.extend(self.exeat("exec"));
        line.push("--".into());
        line.extend(server.iter().map(|it| it.as_os_str().to_owned()));
        self.run(&line)
    }

    /// Runs a program to its end that starts `exeat` itself, by that name.
    pub(super) fn beside(&self, program: &Path, arguments: &[&Path]) -> Ran {
        let [binary, _, settings @ ..] = &self.exeat("")[..] else {
            unreachable!("a command has a program and a name");
        };
        let quoted = |it: &OsString| format!("'{}'", it.to_str().unwrap());
        let settings: Vec<String> = settings.iter().map(quoted).collect();
        let script = format!(
            "#!/bin/sh\ncommand=$1; shift\nexec {} \"$command\" {} \"$@\"\n",
            quoted(binary),
            settings.join(" ")
        );
        let folder = self.file("bin");
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("exeat"), script).unwrap();
        let executable = fs::Permissions::from_mode(0o755);
        fs::set_permissions(folder.join("exeat"), executable).unwrap();
        let mut line = vec![program.into()];
        line.extend(arguments.iter().map(|it| it.as_os_str().to_owned()));
        self.run(&line)
    }

    /// A command of exeat with everything that stands on this stage.
    fn exeat(&self, command: &str) -> Vec<OsString> {
        let mut line = vec![env!("CARGO_BIN_EXE_exeat").into(), command.into()];
        line.extend(["--policies".into(), self.policies().into()]);
        line.extend(["--state-dir".into(), self.file("state").into()]);
        line.extend(["--audit".into(), self.audit().into()]);
        line.extend_from_slice(&self.settings);
        match &self.agent {
            Some(name) if command != "run" => line.extend(["--agent".into(), name.into()]),
            _ => {}
        }
        line
    }

    /// Where programs are looked for: first among the stage's own.
    fn path(&self) -> OsString {
        let of_the_system = std::env::var_os("PATH").unwrap();
        let folders = std::env::split_paths(&of_the_system);
        std::env::join_paths(std::iter::once(self.file("bin")).chain(folders)).unwrap()
    }

    fn audit(&self) -> PathBuf {
        self.file("audit.jsonl")
    }

    /// Runs a program to its end whose last argument is the URL of a running exeat's MCP.
    pub(super) fn beside_run<A: AsRef<OsStr>>(&self, program: &Path, arguments: &[A]) -> Ran {
        let mut exeat = self.exeat("run");
        for listener in ["--proxy-listen", "--tools-listen", "--admin-listen"] {
            exeat.extend([listener.into(), "127.0.0.1:0".into()]);
        }
        exeat.push("--json".into());
        let mut running = self.command(&exeat).stderr(Stdio::piped()).spawn().unwrap();
        let mut ready = String::new();
        let told = running.stderr.take().unwrap();
        BufReader::new(told).read_line(&mut ready).unwrap();
        let ready: Value = serde_json::from_str(&ready).unwrap_or_else(|_| panic!("{ready}"));
        let url = format!("http://{}/mcp", ready["tools"].as_str().unwrap());
        let mut line = vec![program.into()];
        line.extend(arguments.iter().map(|it| it.as_ref().to_owned()));
        line.push(url.into());
        let output = self.command(&line).output().unwrap();
        // A stop writes the last records.
        kill_process(Pid::from_child(&running), Signal::TERM).unwrap();
        running.wait().unwrap();
        self.ran(output)
    }

    fn run(&self, line: &[OsString]) -> Ran {
        let output = self.command(line).output().unwrap();
        self.ran(output)
    }

    fn command(&self, line: &[OsString]) -> Command {
        let mut command = Command::new(installed::program("timeout"));
        command
            .args(["--kill-after=5", PATIENCE])
            .args(line)
            .current_dir(self.folder.path());
        // Nothing of the developer's own: no proxy, no .curlrc, no .gitconfig.
        command
            .env_clear()
            .env("PATH", self.path())
            .env("HOME", self.folder.path())
            .envs(self.secrets.iter().copied());
        command
            .env("NODE_PATH", installed::node_modules())
            .env("PYTHONDONTWRITEBYTECODE", "1");
        command
    }

    fn ran(&self, output: Output) -> Ran {
        Ran {
            status: output.status,
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
            audit: fs::read_to_string(self.audit()).unwrap_or_default(),
        }
    }
}

/// What came of a program.
#[derive(Debug)]
pub(super) struct Ran {
    pub(super) status: ExitStatus,
    pub(super) stdout: String,
    pub(super) stderr: String,
    audit: String,
}

impl Ran {
    /// The output of a program that ended well.
    pub(super) fn output(&self) -> &str {
        assert!(self.status.success(), "{self:#?}");
        &self.stdout
    }

    /// The audit records, in their order.
    pub(super) fn records(&self) -> Vec<Value> {
        let lines = self.audit.lines();
        lines
            .map(|line| serde_json::from_str(line).unwrap())
            .filter(|it: &Value| it["event"] != "started" && it["event"] != "stopped")
            .collect()
    }

    /// The one audit record.
    pub(super) fn record(&self) -> Value {
        let mut records = self.records();
        assert_eq!(records.len(), 1, "{self:#?}");
        records.remove(0)
    }

    /// Whether a text was printed or recorded anywhere.
    pub(super) fn mentions(&self, text: &str) -> bool {
        [&self.stdout, &self.stderr, &self.audit]
            .iter()
            .any(|it| it.contains(text))
    }
}
