//! A real Prometheus beside a running exeat: what it scrapes, what its rules say, what the dashboard shows.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use exeat::metrics::METRICS;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::metrics::{login, page};
use crate::world::{Plan, World, json_reply, read_answer, rest};

const TOKEN: &str = "token-of-the-operator";

/// How long something may take that others do. Far more than it takes.
const PATIENCE: Duration = Duration::from_secs(60);

/// `DIR` is where the secrets are; `lost` is nowhere.
const POLICY: &str = r#"
version: 1
secrets:
  key: {file: DIR/key}
  lost: {file: DIR/lost}
  client: {file: DIR/client}
  bot_token: {file: DIR/bot}
auth:
  good: {type: bearer, token: {secret: key}}
  gone: {type: bearer, token: {secret: lost}}
  oauth:
    type: oauth2_client_credentials
    token_url: https://auth.good.test/token
    client_id: exeat
    client_secret: {secret: client}
actions:
  get_item:
    description: Returns one item.
    method: GET
    url: https://api.good.test/v1/items/{{id}}
    auth: good
    parameters: {properties: {id: {type: string}}, required: [id]}
  create_item:
    description: Adds an item.
    method: POST
    url: https://api.good.test/v1/items
    auth: good
    parameters: {properties: {name: {type: string}}, required: [name]}
  limited:
    description: May be done once a day.
    method: GET
    url: https://api.good.test/v1/limited
    auth: good
    rate_limit: 1/day
  broken:
    description: Has a secret that is not there.
    method: GET
    url: https://api.good.test/v1/broken
    auth: gone
  by_token:
    description: Has a token that is fetched.
    method: GET
    url: https://api.good.test/v1/me
    auth: oauth
tunnels:
  packages: {hosts: [api.two.test], ports: [443]}
agents:
  bot: {token: {secret: bot_token}, allow: ["*"]}
"#;

/// An exeat with everything that it may have to tell of.
struct Scene {
    world: World,
    _secrets: TempDir,
}

impl Scene {
    fn set() -> Self {
        let folder = TempDir::new().unwrap();
        for (name, value) in [
            ("key", "SECRET-AAAA"),
            ("client", "SECRET-CCCC"),
            ("bot", "bot-secret"),
        ] {
            fs::write(folder.path().join(name), value).unwrap();
        }
        let policy = POLICY.replace("DIR", &folder.path().display().to_string());
        let world = Plan::of(&policy)
            .reading_sources()
            .admin_token(TOKEN)
            .start();
        world.resolve("auth.good.test", &["203.0.114.40"]);
        world.origin("api.good.test", |seen| {
            json_reply(&json!({"echo": seen.header("authorization")}).to_string())
        });
        world.origin("api.two.test", |_| json_reply("{}"));
        world.origin("auth.good.test", |_| {
            json_reply(r#"{"access_token":"TOKEN-EEEE","token_type":"Bearer","expires_in":3600}"#)
        });
        Self {
            world,
            _secrets: folder,
        }
    }

    /// Traffic of every kind; afterwards there are so many requests of each action.
    fn play(&self) -> BTreeMap<&'static str, f64> {
        let (world, bot) = (&self.world, login("bot", "bot-secret"));
        let client = world.client();
        let get = |url: &str| client.send("GET", url, &[&bot], "").status;
        assert_eq!(get("http://api.good.test/v1/items/1"), 200);
        let mut inside = client.tunnel_as("api.good.test", "api.good.test", &[&bot]);
        write!(
            inside,
            "GET /v1/items/2 HTTP/1.1\r\nHost: api.good.test\r\n\r\n"
        )
        .unwrap();
        assert_eq!(read_answer(&mut inside, "GET").unwrap().status, 200);
        let parameters = json!({"parameters": {"name": "x"}});
        assert_eq!(
            world.call("create_item", "bot-secret", &parameters).status,
            200
        );
        get("http://api.good.test/v1/limited");
        assert_eq!(get("http://api.good.test/v1/limited"), 429);
        assert_eq!(get("http://api.good.test/v1/broken"), 503);
        assert_eq!(get("http://api.good.test/v1/me"), 200);
        assert_eq!(get("http://somewhere.evil.test/"), 403);
        let mut tunnel = client.trusting(&world.origin_roots()).tunnel_as(
            "api.two.test",
            "api.two.test",
            &[&bot],
        );
        write!(tunnel, "GET / HTTP/1.1\r\nHost: api.two.test\r\n\r\n").unwrap();
        read_answer(&mut tunnel, "GET").unwrap();
        world.open_session(Some("bot"));
        let counts = [
            ("get_item", 2.0),
            ("create_item", 1.0),
            ("limited", 2.0),
            ("broken", 1.0),
            ("by_token", 1.0),
            ("none", 2.0),
        ];
        counts.into()
    }

    /// A client comes that trusts others than our CA.
    fn distrust(&self) {
        let client = self.world.client().trusting(&self.world.origin_roots());
        let bot = login("bot", "bot-secret");
        let mut tunnel = client.tunnel_as("api.good.test", "api.good.test", &[&bot]);
        assert!(tunnel.conn.complete_io(&mut tunnel.sock).is_err());
        assert_eq!(rest(&mut tunnel.sock), "");
    }
}

/// A Prometheus that scrapes it, five times a second.
struct Prometheus {
    child: Child,
    address: SocketAddr,
    _folder: TempDir,
}

impl Prometheus {
    fn beside(world: &World) -> Self {
        let folder = TempDir::new().unwrap();
        let config = format!(
            "global: {{scrape_interval: 200ms}}\nscrape_configs:\n  - job_name: exeat\n    \
             authorization: {{credentials: {TOKEN}}}\n    static_configs: [{{targets: [\"{}\"]}}]\n",
            world.admin()
        );
        let file = folder.path().join("prometheus.yml");
        fs::write(&file, config).unwrap();
        let mut child = Command::new(program("prometheus"))
            .arg(format!("--config.file={}", file.display()))
            .arg(format!(
                "--storage.tsdb.path={}",
                folder.path().join("data").display()
            ))
            .arg("--web.listen-address=127.0.0.1:0")
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut log = BufReader::new(child.stderr.take().unwrap()).lines();
        let mut said = Vec::new();
        let address = loop {
            let line = log.next().unwrap_or_else(|| panic!("{said:#?}")).unwrap();
            if let Some((_, after)) = line.split_once("\"Listening on\" address=") {
                break after.trim().parse().unwrap();
            }
            said.push(line);
        };
        // Read on, or it would stand still once the pipe is full.
        std::thread::spawn(move || log.map_while(Result::ok).for_each(drop));
        Self {
            child,
            address,
            _folder: folder,
        }
    }

    /// The result of a query now; none where Prometheus is not ready yet.
    fn query(&self, expression: &str) -> Option<Vec<Value>> {
        let body = format!("query={}", percent_encoded(expression));
        let mut stream = TcpStream::connect(self.address).unwrap();
        write!(
            stream,
            "POST /api/v1/query HTTP/1.0\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )
        .unwrap();
        let mut answer = String::new();
        // While it starts, it also closes connections without an answer.
        stream.read_to_string(&mut answer).ok()?;
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        if head.split(' ').nth(1) == Some("503") {
            return None;
        }
        let answer: Value = serde_json::from_str(body).unwrap();
        assert_eq!(answer["status"], "success", "{expression}: {answer}");
        Some(answer["data"]["result"].as_array().unwrap().clone())
    }

    /// The one number that a query gives, if it gives one.
    fn number(&self, expression: &str) -> Option<f64> {
        value(self.query(expression)?.first()?)
    }

    /// Waits until a query gives this number.
    fn until(&self, expression: &str, expected: f64) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let number = self.number(expression);
            if number == Some(expected) {
                return;
            }
            assert!(
                Instant::now() < deadline,
                "{expression}: {number:?}, not {expected}"
            );
        }
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn value(series: &Value) -> Option<f64> {
    series["value"][1].as_str()?.parse().ok()
}

fn percent_encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

/// A program of the Debian package `prometheus`. One that is missing fails its test.
fn program(name: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path)
        .map(|it| it.join(name))
        .find(|it| it.is_file());
    found.unwrap_or_else(|| panic!("{name} is not there: run `tests/all`, which installs it"))
}

fn promtool(folder: &Path, arguments: &[&str], input: &str) -> String {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _turn = ONE_AT_A_TIME.lock();
    let mut child = Command::new(program("promtool"))
        .args(arguments)
        .current_dir(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(input.as_bytes())
        .unwrap();
    let Output {
        status,
        stdout,
        stderr,
    } = child.wait_with_output().unwrap();
    let said = String::from_utf8(stdout).unwrap() + &String::from_utf8(stderr).unwrap();
    assert!(status.success(), "{arguments:?}: {said}");
    said
}

fn deploy(what: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("deploy")
        .join(what)
}

#[test]
fn prometheus_counts_what_was_sent() {
    let scene = Scene::set();
    let expected = scene.play();
    let prometheus = Prometheus::beside(&scene.world);
    prometheus.until("sum(exeat_requests_total)", expected.values().sum());
    assert_eq!(prometheus.number("up{job=\"exeat\"}"), Some(1.0));
    for (action, count) in &expected {
        let requests = format!("sum(exeat_requests_total{{action=\"{action}\"}})");
        assert_eq!(prometheus.number(&requests), Some(*count), "{action}");
    }
    for (expression, count) in [
        ("sum(exeat_requests_total{door=\"http\"})", 1.0),
        ("sum(exeat_requests_total{agent=\"bot\"})", 9.0),
        ("exeat_refusals_total{code=\"host_undeclared\"}", 1.0),
        ("exeat_refusals_total{code=\"secret_unavailable\"}", 1.0),
        ("exeat_rate_limited_total", 1.0),
        ("exeat_token_fetches_total{outcome=\"granted\"}", 1.0),
        (
            "exeat_secret_fetches_total{secret=\"lost\",outcome=\"failed\"}",
            1.0,
        ),
        ("sum(exeat_scrubbed_secrets_total)", 5.0),
        ("exeat_tunnels_opened_total{kind=\"passed\"}", 1.0),
        ("exeat_tunnels_opened_total{kind=\"intercepted\"}", 1.0),
        ("exeat_sessions", 1.0),
        ("sum(exeat_request_duration_seconds_count)", 9.0),
        ("sum(exeat_overhead_seconds_count)", 9.0),
        ("sum(exeat_upstream_duration_seconds_count)", 6.0),
    ] {
        assert_eq!(prometheus.number(expression), Some(count), "{expression}");
    }
}

#[test]
fn the_page_of_metrics_has_no_lint_and_every_metric() {
    let scene = Scene::set();
    scene.play();
    scene.distrust();
    let page = page(&scene.world, Some(TOKEN));
    let said = promtool(Path::new("/"), &["check", "metrics"], &page);
    assert_eq!(said, "", "{page}");
    for metric in METRICS {
        let shown = page.contains(&format!("# TYPE {} ", metric.name));
        assert!(shown, "{} is not in\n{page}", metric.name);
    }
    for secret in ["SECRET", "TOKEN-EEEE", "bot-secret", TOKEN, "somewhere"] {
        assert!(!page.contains(secret), "{secret} is in\n{page}");
    }
}

#[test]
fn the_rules_are_good_and_alert_when_they_should() {
    let folder = deploy("prometheus");
    promtool(&folder, &["check", "rules", "exeat.rules.yml"], "");
    promtool(&folder, &["test", "rules", "exeat.rules.test.yml"], "");
    let rules = fs::read_to_string(folder.join("exeat.rules.yml")).unwrap();
    let tests = fs::read_to_string(folder.join("exeat.rules.test.yml")).unwrap();
    let alerts: Vec<&str> = rules
        .lines()
        .filter_map(|line| line.trim().strip_prefix("- alert: "))
        .collect();
    assert!(alerts.len() > 10, "{alerts:?}");
    for alert in alerts {
        let fires = format!("        alertname: {alert}\n        exp_alerts:\n");
        assert!(
            tests.contains(&fires),
            "{alert} has no test in which it fires"
        );
    }
    assert_only_known_metrics(&rules);
}

#[test]
fn the_shipped_configuration_is_good() {
    let folder = TempDir::new().unwrap();
    for file in ["prometheus.yml", "exeat.rules.yml"] {
        fs::copy(deploy("prometheus").join(file), folder.path().join(file)).unwrap();
    }
    fs::write(folder.path().join("admin-token"), TOKEN).unwrap();
    promtool(folder.path(), &["check", "config", "prometheus.yml"], "");
}

#[test]
fn every_query_of_the_dashboard_returns_data() {
    let scene = Scene::set();
    let prometheus = Prometheus::beside(&scene.world);
    // Twice, with a scrape between: a rate needs a rise.
    let once: f64 = scene.play().values().sum();
    prometheus.until("sum(exeat_requests_total)", once);
    scene.play();
    prometheus.until("sum(exeat_requests_total)", once * 2.0);
    let text = fs::read_to_string(deploy("grafana/exeat.json")).unwrap();
    assert_only_known_metrics(&text);
    let dashboard: Value = serde_json::from_str(&text).unwrap();
    let mut count = 0;
    for panel in dashboard["panels"].as_array().unwrap() {
        for target in panel["targets"].as_array().into_iter().flatten() {
            let expression = target["expr"].as_str().unwrap();
            let asked = expression
                .replace("$__rate_interval", "1m")
                .replace("$instance", ".*")
                .replace("$action", ".*");
            assert!(!asked.contains('$'), "{asked}");
            let found = prometheus.query(&asked).unwrap();
            let numbers: Vec<_> = found.iter().filter_map(value).collect();
            let is_number = numbers.iter().any(|it| it.is_finite());
            assert!(is_number, "{}: {asked} gives {found:?}", panel["title"]);
            count += 1;
        }
    }
    assert!(count > 40, "{count} queries");
    for variable in dashboard["templating"]["list"].as_array().unwrap() {
        let Some(query) = variable["query"]["query"].as_str() else {
            continue;
        };
        let inner = query
            .strip_prefix("label_values(")
            .and_then(|it| it.strip_suffix(')'));
        let (metric, label) = inner.unwrap().split_once(", ").unwrap();
        let found = prometheus
            .query(&format!("count by ({label}) ({metric})"))
            .unwrap();
        assert!(!found.is_empty(), "{query}");
    }
}

/// A name with a slip would alert never, and show nothing.
fn assert_only_known_metrics(text: &str) {
    let words = text.split(|it: char| !(it.is_ascii_alphanumeric() || it == '_'));
    for word in words.filter(|it| it.starts_with("exeat_") || it.starts_with("process_")) {
        let base = ["_bucket", "_sum", "_count"]
            .iter()
            .find_map(|it| word.strip_suffix(it));
        let known = |name: &str| METRICS.iter().any(|it| it.name == name);
        assert!(known(word) || base.is_some_and(known), "{word}");
    }
}
