//! The settings file: what may stand in it, and what it gives.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use clap::{Arg, Args, Command, ValueEnum};
use serde_json::{Map, Value as Json, json};

use crate::app::flags::{AuditTarget, HostEntry, OnEchoFlag, PlainHttpFlag};
use crate::app::records;
use crate::app::settings::Given;
use crate::app::shapes::{
    address, at_least_one, network, on_echo, plain_http, span, text, texts, truth,
};
use crate::problem::{Problem, Problems, Sources};
use crate::request::Host;
use crate::yaml;
use crate::yaml::{Entry, Node, Value};

impl Given {
    /// Reads a settings file. Paths in it are relative to its folder.
    ///
    /// # Errors
    /// All mistakes, as problems with places.
    pub fn read(file: &Path, bytes: &[u8]) -> Result<Self, (Problems, Sources)> {
        let (mut sources, mut problems) = (Sources::default(), Problems::default());
        let name = file.to_string_lossy();
        let root = yaml::parse(&name, bytes, &mut sources, &mut problems);
        let mut reading = Reading {
            folder: file.parent().unwrap_or(Path::new("")).to_owned(),
            given: Self::default(),
            problems,
        };
        if let Some(root) = root {
            reading.section(&root, Reading::setting);
        }
        if reading.problems.has_errors() {
            Err((reading.problems, sources))
        } else {
            Ok(reading.given)
        }
    }
}

/// The schema of a settings file (JSON Schema 2020-12), for editors.
pub fn json_schema() -> Json {
    let command = Given::augment_args(Command::new("exeat"));
    let about = |setting: &Setting| {
        let flag = setting.name.replace('_', "-").replace("network", "host");
        let found = command
            .get_arguments()
            .find(|it| it.get_long() == Some(&flag));
        found.and_then(Arg::get_help).map(ToString::to_string)
    };
    let properties = SETTINGS.iter().map(|setting| {
        let mut schema = (setting.shape)();
        schema["description"] = json!(about(setting));
        (setting.name.to_owned(), schema)
    });
    let properties: Map<String, Json> = properties.collect();
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "the settings of exeat",
        "type": ["object", "null"],
        "properties": properties,
        "additionalProperties": false,
    })
}

/// A setting of the file. What it means stands at its flag.
struct Setting {
    name: &'static str,
    /// What an editor is told.
    shape: fn() -> Json,
    read: fn(&mut Reading, &Node),
}

impl Setting {
    const fn new(name: &'static str, shape: fn() -> Json, read: fn(&mut Reading, &Node)) -> Self {
        Self { name, shape, read }
    }
}

/// The settings of the file.
const SETTINGS: [Setting; 21] = [
    Setting::new("policies", text, |it, node| {
        it.given.policies = it.path(node)
    }),
    Setting::new("environment", text, |it, node| {
        it.given.environment = it.parsed(node)
    }),
    Setting::new("proxy_listen", address, |it, node| {
        it.given.proxy_listen = it.address(node)
    }),
    Setting::new("tools_listen", address, |it, node| {
        it.given.tools_listen = it.address(node)
    }),
    Setting::new("admin_listen", address, |it, node| {
        it.given.admin_listen = it.address(node)
    }),
    Setting::new("admin_token_file", text, |it, node| {
        it.given.admin_token_file = it.path(node)
    }),
    Setting::new("plain_http", plain_http, |it, node| {
        it.given.plain_http = it.plain_http(node)
    }),
    Setting::new("on_echo", on_echo, |it, node| {
        it.given.on_echo = it.on_echo(node)
    }),
    Setting::new("extra_ca", texts, |it, node| {
        let files = items(node);
        it.given.extra_ca = files.iter().filter_map(|file| it.path(file)).collect();
    }),
    Setting::new("network", network, |it, node| {
        it.section(node, Reading::network)
    }),
    Setting::new("audit", records::shape, Reading::audit),
    Setting::new("state_dir", text, |it, node| {
        it.given.state_dir = it.path(node)
    }),
    Setting::new("workers", at_least_one, |it, node| {
        it.given.workers = it.number(node, "threads")
    }),
    Setting::new("agent_requests", at_least_one, |it, node| {
        it.given.agent_requests = it.number(node, "requests")
    }),
    Setting::new("agent_tunnels", at_least_one, |it, node| {
        it.given.agent_tunnels = it.number(node, "tunnels")
    }),
    Setting::new("max_distinct_labels", at_least_one, |it, node| {
        it.given.max_distinct_labels = it.number(node, "names")
    }),
    Setting::new("connections", at_least_one, |it, node| {
        it.given.connections = it.number(node, "connections")
    }),
    Setting::new("watch", truth, |it, node| it.given.watch = it.truth(node)),
    Setting::new("grace", span, |it, node| it.given.grace = it.parsed(node)),
    Setting::new("drain", span, |it, node| it.given.drain = it.parsed(node)),
    Setting::new("stop_delay", span, |it, node| {
        it.given.stop_delay = it.parsed(node)
    }),
];

/// A settings file on its way to what it gives.
struct Reading {
    folder: PathBuf,
    given: Given,
    problems: Problems,
}

impl Reading {
    fn section(&mut self, node: &Node, each: fn(&mut Self, &Entry)) {
        match &node.value {
            Value::Mapping(mapping) => mapping.iter().for_each(|entry| each(self, entry)),
            Value::Null | Value::Broken => {}
            _ => self.tell(node, "expected a mapping"),
        }
    }

    fn setting(&mut self, entry: &Entry) {
        match SETTINGS.iter().find(|it| it.name == entry.name()) {
            Some(setting) => (setting.read)(self, &entry.value),
            None => self.unknown(entry, &SETTINGS.map(|it| it.name)),
        }
    }

    fn network(&mut self, entry: &Entry) {
        match entry.key.value.text.as_str() {
            "hosts" => self.section(&entry.value, Self::host),
            _ => self.unknown(entry, &["hosts"]),
        }
    }

    fn host(&mut self, entry: &Entry) {
        let host = match Host::parse(&entry.key.value.text) {
            Ok(host) => host,
            Err(bad) => {
                let problem = Problem::error(&entry.key.place, bad.to_string());
                return self.problems.push(problem);
            }
        };
        for item in items(&entry.value) {
            if let Some(address) = self.parsed(item) {
                let host = host.clone();
                self.given.hosts.push(HostEntry { host, address });
            }
        }
    }

    fn unknown(&mut self, entry: &Entry, known: &[&'static str]) {
        let name = entry.name();
        let message = format!(
            "there is no setting `{name}`; there are {}",
            known.join(", ")
        );
        let problem = Problem::error(&entry.key.place, message);
        self.problems
            .push(problem.did_you_mean(name, known.iter().copied()));
    }

    fn address(&mut self, node: &Node) -> Option<SocketAddr> {
        let text: String = self.parsed(node)?;
        let expected = "expected an address and a port, such as `127.0.0.1:8080`";
        text.parse().map_err(|_| self.tell(node, expected)).ok()
    }

    fn number(&mut self, node: &Node, of: &str) -> Option<usize> {
        let text: String = self.parsed(node)?;
        let expected = format!("expected a number of {of}, 1 or more");
        text.parse().map_err(|_| self.tell(node, &expected)).ok()
    }

    fn truth(&mut self, node: &Node) -> Option<bool> {
        let text: String = self.parsed(node)?;
        let expected = "expected `true` or `false`";
        text.parse().map_err(|_| self.tell(node, expected)).ok()
    }

    fn plain_http(&mut self, node: &Node) -> Option<PlainHttpFlag> {
        self.choice(node, "expected `upgrade` or `refuse`")
    }

    fn on_echo(&mut self, node: &Node) -> Option<OnEchoFlag> {
        self.choice(node, "expected `redact` or `refuse`")
    }

    fn choice<T: ValueEnum>(&mut self, node: &Node, expected: &str) -> Option<T> {
        let text: String = self.parsed(node)?;
        let choice = T::from_str(&text, false);
        choice.map_err(|_| self.tell(node, expected)).ok()
    }

    fn audit(&mut self, node: &Node) {
        match node.scalar() {
            Some(_) => self.given.audit.to = self.target(node),
            None => self.section(node, Self::audit_entry),
        }
    }

    fn audit_entry(&mut self, entry: &Entry) {
        let node = &entry.value;
        match entry.name() {
            "to" => self.given.audit.to = self.target(node),
            "when_blocked" => {
                self.given.audit.when_blocked = self.choice(node, "expected `refuse` or `drop`");
            }
            "max_bytes" => self.given.audit.max_bytes = self.parsed(node),
            "max_age" => self.given.audit.max_age = self.parsed(node),
            "keep" => self.given.audit.keep = self.parsed(node),
            "parameters" => self.given.audit.parameters = self.truth(node),
            "redact" => {
                let patterns = items(node).iter();
                self.given.audit.redact = patterns.filter_map(|it| self.parsed(it)).collect();
            }
            _ => self.unknown(entry, &records::KEYS),
        }
    }

    fn target(&mut self, node: &Node) -> Option<AuditTarget> {
        let target: AuditTarget = self.parsed(node)?;
        Some(match target {
            AuditTarget::File(file) => AuditTarget::File(self.folder.join(file)),
            stream => stream,
        })
    }

    fn path(&mut self, node: &Node) -> Option<PathBuf> {
        let text: String = self.parsed(node)?;
        Some(self.folder.join(text))
    }

    fn parsed<T: FromStr<Err: ToString>>(&mut self, node: &Node) -> Option<T> {
        let Some(scalar) = node.scalar() else {
            self.tell(node, "expected one value");
            return None;
        };
        let parsed = scalar.text.parse();
        parsed
            .map_err(|bad: T::Err| self.tell(node, &bad.to_string()))
            .ok()
    }

    fn tell(&mut self, node: &Node, message: &str) {
        self.problems.push(Problem::error(&node.place, message));
    }
}

/// A list, or one value in the place of a list of one.
fn items(node: &Node) -> &[Node] {
    match &node.value {
        Value::Sequence(items) => items,
        _ => std::slice::from_ref(node),
    }
}
