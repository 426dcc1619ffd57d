//! The commands as an operator calls them: what starts, what refuses to, and how it ends.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Output, Stdio};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use exeat::request::SessionId;
use serde_json::Value;

use crate::world::{Desk, Started};

const OPEN: &str = "\
version: 1
actions:
  create_item:
    description: Adds an item to the catalogue.
    method: POST
    url: https://api.good.test/items
    parameters: {properties: {name: {type: string}}, required: [name]}
";

const WITH_AGENTS: &str = "\
version: 1
environments: [production, staging]
secrets:
  bot_token: {env: BOT_TOKEN}
  key: {production: {env: PRODUCTION_KEY}, staging: {env: STAGING_KEY}}
auth: {api: {type: bearer, token: {secret: key}}}
actions:
  get_item: {description: Returns one item., method: GET, url: https://api.good.test/items, auth: api}
agents:
  bot: {token: {secret: bot_token}, environment: staging, allow: [get_item]}
";

fn refused(output: &Output) -> String {
    refused_with(2, output)
}

fn refused_with(code: i32, output: &Output) -> String {
    assert_eq!(output.status.code(), Some(code), "{output:?}");
    assert!(output.stdout.is_empty(), "{output:?}");
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[test]
fn what_is_not_safe_to_start_is_not_started_and_says_what_to_do() {
    let desk = Desk::with(OPEN);
    std::fs::write(
        desk.path("bad.yaml"),
        "proxy_listn: 127.0.0.1:0\nworkers: many\n",
    )
    .unwrap();
    std::fs::write(desk.path("empty"), "\n").unwrap();
    for (arguments, says) in [
        (
            &["--proxy-listen", "0.0.0.0:0"][..],
            &["no `agents:`", "127.0.0.1"][..],
        ),
        (
            &["--proxy-listen", "[::]:0"],
            &["no `agents:`", "127.0.0.1"],
        ),
        (
            &["--admin-listen", "0.0.0.0:0"],
            &["without a token", "--admin-token-file"],
        ),
        (
            &["--admin-token-file", "empty"],
            &["the admin token in empty"],
        ),
        (
            &["--admin-token-file", "missing"],
            &["the admin token in missing"],
        ),
        (
            &["--config", "bad.yaml"],
            &["bad.yaml:1:1", "`proxy_listen`", "bad.yaml:2:10"],
        ),
        (&["--config", "missing.yaml"], &["missing.yaml"]),
        (
            &["--policies", "missing"],
            &["name a policy file", "nothing was started"],
        ),
        (
            &["--environment", "nowhere"],
            &["no environment nowhere", "default"],
        ),
        (&["--extra-ca", "empty"], &["no certificate"]),
        (
            &["--audit", "missing/audit.jsonl"],
            &["missing/audit.jsonl"],
        ),
        (&["--workers", "0"], &["at least 1"]),
        (&["--agent-requests", "0"], &["agent_requests: at least 1"]),
        (&["--proxy-listen", "localhost"], &["--proxy-listen"]),
        (&["--host", "api.good.test"], &["NAME=ADDRESS"]),
    ] {
        let mut all = vec!["run"];
        all.extend(arguments);
        let free = [
            ("--proxy-listen", "127.0.0.1:0"),
            ("--admin-listen", "127.0.0.1:0"),
        ];
        for (name, value) in free {
            if !arguments.contains(&name) {
                all.extend([name, value]);
            }
        }
        // A policy that is not there is a finding about policies.
        let code = if arguments[0] == "--policies" { 1 } else { 2 };
        let said = refused_with(code, &desk.run(&all));
        for part in says {
            assert!(said.contains(part), "{arguments:?}: {part}: {said}");
        }
    }
}

#[test]
fn a_policy_with_a_mistake_starts_nothing_and_is_told() {
    let desk = Desk::with(&OPEN.replace("method:", "metod:"));
    let said = refused_with(1, &desk.run(&["run"]));
    assert!(
        said.contains("p.yaml:5:5") && said.contains("`method`"),
        "{said}"
    );
    assert!(!desk.path("state").exists());
}

#[test]
fn it_runs_until_it_is_told_to_end_and_the_record_is_whole() {
    for signal in ["-TERM", "-INT"] {
        let desk = Desk::with(OPEN);
        let started = Started::on(&desk, &["--audit", "audit.jsonl"]);
        let answer = started
            .ask("GET http://evil.test/ HTTP/1.1\r\nHost: evil.test\r\nConnection: close\r\n\r\n");
        assert!(answer.contains("host_undeclared"), "{answer}");
        // One is in hand when the end comes: its head is accepted, its body never comes.
        let mut waiting = started.connect();
        waiting
            .write_all(
                b"POST http://api.good.test/items HTTP/1.1\r\nHost: api.good.test\r\nExpect: 100-continue\r\n\
                  Content-Type: application/json\r\nContent-Length: 12\r\n\r\n",
            )
            .unwrap();
        let mut go_on = [0; 25];
        waiting.read_exact(&mut go_on).unwrap();
        assert_eq!(&go_on, b"HTTP/1.1 100 Continue\r\n\r\n");
        started.signal(signal);
        drop(waiting);
        let (code, out, said) = started.end();
        assert_eq!((code, out.as_str(), said.as_str()), (Some(0), "", ""));
        let text = std::fs::read_to_string(desk.path("audit.jsonl")).unwrap();
        assert!(text.ends_with('\n'));
        let records: Vec<Value> = text
            .lines()
            .map(|it| serde_json::from_str(it).unwrap())
            .collect();
        assert_eq!(records.len(), 4, "{text}");
        assert_eq!(records[0]["event"], "started");
        assert_eq!(records[1]["code"], "host_undeclared");
        assert_eq!(records[2]["action"], "create_item");
        assert_eq!(records[3]["event"], "stopped");
        let mode = std::fs::metadata(desk.path("audit.jsonl"))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o077, 0, "{mode:o}");
    }
}

#[test]
fn the_settings_file_is_under_the_environment_and_flags_over_both() {
    let desk = Desk::with(OPEN);
    std::fs::create_dir(desk.path("conf")).unwrap();
    let text = "policies: ../policies\naudit: ../from_file.jsonl\nplain_http: refuse\n";
    std::fs::write(desk.path("conf/exeat.yaml"), text).unwrap();
    let started = Started::on(&desk, &["--config", "conf/exeat.yaml"]);
    let answer = started.ask(
        "POST http://api.good.test/items HTTP/1.1\r\nHost: api.good.test\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
    );
    assert!(answer.contains("https_required"), "{answer}");
    started.signal("-TERM");
    assert_eq!(started.end().0, Some(0));
    assert!(desk.path("from_file.jsonl").exists());
}

#[test]
fn an_admin_page_off_loopback_asks_for_its_token() {
    let desk = Desk::with(WITH_AGENTS);
    std::fs::write(desk.path("token"), "let-me-in\n").unwrap();
    let started = Started::on(
        &desk,
        &[
            "--admin-token-file",
            "token",
            "--audit",
            "audit.jsonl",
            "--environment",
            "staging",
        ],
    );
    let ask = |header: &str| {
        let mut stream = TcpStream::connect(started.admin).unwrap();
        let host = started.admin;
        write!(
            stream,
            "GET /metrics HTTP/1.1\r\nHost: {host}\r\n{header}Connection: close\r\n\r\n"
        )
        .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    };
    assert!(ask("").starts_with("HTTP/1.1 401"));
    assert!(ask("Authorization: Bearer wrong\r\n").starts_with("HTTP/1.1 401"));
    assert!(ask("Authorization: Bearer let-me-in\r\n").starts_with("HTTP/1.1 200"));
    started.signal("-TERM");
    let (code, out, said) = started.end();
    assert_eq!(code, Some(0));
    assert!(!format!("{out}{said}").contains("let-me-in"));
}

#[test]
fn the_ca_is_made_once_with_a_key_for_its_owner_alone() {
    let desk = Desk::with(OPEN);
    let output = desk.run(&["ca"]);
    assert_eq!(output.status.code(), Some(0));
    let named = String::from_utf8(output.stdout).unwrap();
    let key = desk.path("state/ca/ca.key");
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&key), 0o600);
    assert_eq!(mode(&desk.path("state/ca")) & 0o022, 0);
    let pem = std::fs::read_to_string(named.trim_end()).unwrap();
    assert_eq!(
        String::from_utf8(desk.run(&["ca", "--pem"]).stdout).unwrap(),
        pem
    );
    assert!(!pem.contains("PRIVATE"));
    assert!(refused(&desk.run(&["ca", "--create"])).contains("there already"));
    for open in [0o644, 0o640, 0o604] {
        std::fs::set_permissions(&key, PermissionsExt::from_mode(open)).unwrap();
        for command in [&["ca"][..], &["run"], &["exec", "--", "true"]] {
            let said = refused(&desk.run(command));
            assert!(said.contains("chmod 0600"), "{command:?}: {said}");
        }
    }
}

#[test]
fn a_program_behind_the_proxy_gets_its_login_and_no_secret_of_the_policy() {
    let desk = Desk::with(WITH_AGENTS);
    let mut command = desk.command(&["exec", "--agent", "bot", "--", "env"]);
    for (name, value) in [
        ("BOT_TOKEN", "bot/to:ken"),
        ("PRODUCTION_KEY", "SECRET-AAAA"),
        ("STAGING_KEY", "SECRET-BBBB"),
        ("NO_PROXY", "*"),
        ("ALL_PROXY", "socks5://elsewhere:1"),
        ("HTTPS_PROXY", "http://elsewhere:1"),
    ] {
        command.env(name, value);
    }
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    let seen = String::from_utf8(output.stdout).unwrap();
    let value = |name: &str| {
        let line = seen
            .lines()
            .find_map(|line| line.strip_prefix(&format!("{name}=")));
        line.unwrap_or_else(|| panic!("{name} is not in\n{seen}"))
    };
    for name in [
        "HTTP_PROXY",
        "HTTPS_PROXY",
        "ALL_PROXY",
        "http_proxy",
        "https_proxy",
        "all_proxy",
    ] {
        // A session of its own.
        let (user, rest) = value(name)
            .split_once(':')
            .and_then(|(_, it)| it.split_once(':'))
            .unwrap();
        let id = user
            .strip_prefix("//bot~")
            .unwrap_or_else(|| panic!("{name}: {user}"));
        assert!(SessionId::parse(id).is_ok(), "{name}");
        assert_eq!(id, value("EXEAT_SESSION"), "one session at every door");
        assert!(rest.starts_with("bot%2Fto%3Aken@127.0.0.1:"), "{name}");
    }
    assert_eq!(value("EXEAT_TOKEN"), "bot/to:ken");
    assert!(value("EXEAT_TOOLS_URL").starts_with("http://127.0.0.1:"));
    for name in ["NO_PROXY", "no_proxy"] {
        assert_eq!(value(name), "", "{name}");
    }
    for name in [
        "SSL_CERT_FILE",
        "REQUESTS_CA_BUNDLE",
        "CURL_CA_BUNDLE",
        "GIT_SSL_CAINFO",
        "NODE_EXTRA_CA_CERTS",
    ] {
        assert!(Path::new(value(name)).exists(), "{name}");
    }
    for secret in ["SECRET-AAAA", "SECRET-BBBB", "BOT_TOKEN", "elsewhere"] {
        assert!(!seen.contains(secret), "{secret}");
    }
}

#[test]
fn a_program_ends_as_it_ended() {
    let desk = Desk::with(OPEN);
    for (program, code) in [("exit 7", 7), ("kill -TERM $$", 143), ("true", 0)] {
        let output = desk.run(&["exec", "--", "sh", "-c", program]);
        assert_eq!(output.status.code(), Some(code), "{program}");
    }
    let desk = Desk::with(WITH_AGENTS);
    for (arguments, says) in [
        (&["exec", "--", "true"][..], "say which agent it is: bot"),
        (
            &["exec", "--agent", "nobody", "--", "true"],
            "there is no agent nobody",
        ),
        (&["exec", "--agent", "bot", "--", "true"], "bot_token"),
        (&["exec"], "<CMD>"),
    ] {
        let said = refused(&desk.run(arguments));
        assert!(said.contains(says), "{arguments:?}: {said}");
    }
}

const GREETING: &str = "\
version: 1
context:
  contact.visits: {type: integer}
actions:
  greet:
    description: Greets the customer who is there.
    method: GET
    url: https://api.good.test/hello
    headers: {X-Visits: \"{{contact.visits}}\"}
";

/// The refusal of a request by the program: behind the context comes the address, which is not public.
fn refused_inside(desk: &Desk, context: &[&str]) -> String {
    let host = ["exec", "--host", "api.good.test=127.0.0.1:9"];
    let program = ["--", "sh", "-c", "echo $http_proxy; cat"];
    let arguments = [&host[..], context, &program].concat();
    let mut child = desk
        .command(&arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut line = String::new();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    stdout.read_line(&mut line).unwrap();
    let (login, address) = line
        .trim_start_matches("http://")
        .trim()
        .split_once('@')
        .unwrap();
    let mut stream = TcpStream::connect(address).unwrap();
    let login = STANDARD.encode(login);
    write!(
        stream,
        "GET http://api.good.test/hello HTTP/1.1\r\nHost: api.good.test\r\n\
         Proxy-Authorization: Basic {login}\r\nConnection: close\r\n\r\n"
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    // The program ends with its input.
    drop(child.stdin.take());
    assert!(child.wait().unwrap().success());
    let refusal = answer
        .lines()
        .find_map(|it| it.strip_prefix("exeat-refusal: "));
    refusal.unwrap_or_else(|| panic!("{answer}")).to_owned()
}

#[test]
fn whoever_starts_a_program_says_the_context_of_its_session() {
    let desk = Desk::with(GREETING);
    assert_eq!(refused_inside(&desk, &[]), "variable_missing");
    let visits = ["--context", "contact.visits=3"];
    assert_eq!(refused_inside(&desk, &visits), "address_refused");
    for (given, says) in [
        ("contact.visits=three", "contact.visits must be an integer"),
        ("contact.visit=3", "contact.visit is not declared"),
        ("contact.visits", "write NAME=VALUE"),
    ] {
        let said = refused(&desk.run(&["exec", "--context", given, "--", "true"]));
        assert!(said.contains(says), "{given}: {said}");
    }
}

#[test]
fn the_demonstration_tells_its_story() {
    let desk = Desk::with(OPEN);
    let output = desk.run(&["demo"]);
    let told = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0), "{told}");
    let mut rest = told.as_str();
    for step in [
        "type: api_key",
        "1. A declared action",
        "clear sky",
        "2. A parameter that nobody declared",
        "parameter_undeclared",
        "3. A host that nobody declared",
        "host_undeclared",
    ] {
        let at = rest
            .find(step)
            .unwrap_or_else(|| panic!("{step} is not told in order:\n{told}"));
        rest = &rest[at + step.len()..];
    }
    // The API saw the key once; neither the agent nor the record did.
    assert_eq!(told.matches("demo-key").count(), 1, "{told}");
    assert!(!desk.path("state").exists(), "it leaves nothing behind");
}
