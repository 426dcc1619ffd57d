//! git over HTTPS: a clone is a few declared requests with bodies that nobody reads; a push is not declared.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::Response;
use http_body_util::Full;

use super::installed;
use super::origin::{Asked, Origin, Reply};
use super::stage::{Ran, Stage};

const HOST: &str = "git.example.com";
const TOKEN: &str = "the-real-git-token";
const URL: &str = "https://git.example.com/agents/tools.git";
/// Enough for git to compress what it asks for, which it does from 1 KiB on.
const BRANCHES: usize = 40;

const POLICY: &str = r#"
version: 1
secrets:
  git_token: {env: GIT_TOKEN}
auth:
  git: {type: basic, username: agent, password: {secret: git_token}}
connections:
  git:
    base_url: https://git.example.com
    auth: git
actions:
  discover_repository:
    description: Tells what a git repository has, before a fetch or a clone.
    connection: git
    method: GET
    path: /{{owner}}/{{repository}}.git/info/refs
    parameters:
      properties:
        owner: {const: agents}
        repository: {type: string, pattern: "^[a-z0-9-]{1,64}$"}
      required: [owner, repository]
    query: {service: git-upload-pack}
    accept_headers: [Accept, User-Agent, Git-Protocol]
  fetch_repository:
    description: Fetches objects of a git repository, for a fetch or a clone.
    connection: git
    method: POST
    path: /{{owner}}/{{repository}}.git/git-upload-pack
    parameters:
      properties:
        owner: {const: agents}
        repository: {type: string, pattern: "^[a-z0-9-]{1,64}$"}
      required: [owner, repository]
    accept_body: any
    content_types: [application/x-git-upload-pack-request]
    accept_headers: [Accept, Content-Type, User-Agent, Git-Protocol]
"#;

#[test]
fn a_clone_gets_every_branch() {
    let (stage, origin) = repository();
    let clone = stage.file("clone");
    let ran = git(&stage, &["clone", "--quiet", URL, clone.to_str().unwrap()]);
    ran.output();
    let branches = run_git(
        &clone,
        &["branch", "--remotes", "--list", "origin/b*"],
        None,
    );
    assert_eq!(branches.lines().count(), BRANCHES, "{branches}");
    let asked = origin.asked();
    assert!(
        asked
            .iter()
            .all(|it| it.header("authorization") == [login()])
    );
    let is_compressed =
        |it: &Asked| it.method == "POST" && it.header("content-encoding") == ["gzip"];
    assert!(asked.iter().any(is_compressed), "{asked:#?}");
    let records = ran.records();
    assert_eq!(records.len(), asked.len(), "{records:#?}");
    assert!(!ran.mentions(TOKEN));
}

#[test]
fn a_push_is_refused() {
    let (stage, origin) = repository();
    let clone = stage.file("clone");
    git(&stage, &["clone", "--quiet", URL, clone.to_str().unwrap()]).output();
    let before = origin.asked().len();
    let ran = git(
        &stage,
        &[
            "-C",
            "clone",
            "push",
            "--quiet",
            "origin",
            "HEAD:refs/heads/new",
        ],
    );
    assert!(!ran.status.success(), "{ran:#?}");
    let last = ran.records().pop().unwrap();
    assert_eq!(last["decision"], "refused", "{last:#}");
    assert_eq!(last["code"], "parameter_invalid", "{last:#}");
    assert_eq!(origin.asked().len(), before);
}

/// Without a terminal to ask for a password on.
fn git(stage: &Stage, arguments: &[&str]) -> Ran {
    let mut all = vec!["GIT_TERMINAL_PROMPT=0", "git"];
    all.extend(arguments);
    stage.exec(&installed::program("env"), &all)
}

fn repository() -> (Stage, Origin) {
    let stage = Stage::with_policy(POLICY).secret("GIT_TOKEN", TOKEN);
    let root = stage.file("repositories");
    fill(&root.join("agents/tools.git"));
    let origin = Origin::start(HOST, move |asked| answer(&root, asked));
    (stage.reaching(HOST, &origin), origin)
}

/// Makes a repository with commits that have nothing in common, so that a clone has to name each.
fn fill(repository: &Path) {
    std::fs::create_dir_all(repository).unwrap();
    run_git(repository, &["init", "--quiet", "--bare", "."], None);
    let mut stream = String::new();
    for number in 0..BRANCHES {
        let reference = format!("refs/heads/b{number}");
        writeln!(
            stream,
            "commit {reference}\ncommitter A <a@example.com> {number} +0000\ndata 1\nx"
        )
        .unwrap();
    }
    run_git(repository, &["fast-import", "--quiet"], Some(&stream));
    run_git(repository, &["symbolic-ref", "HEAD", "refs/heads/b0"], None);
}

/// git's own server, as a web server runs it: a program in the manner of CGI (RFC 3875).
fn answer(root: &Path, asked: &Asked) -> Reply {
    if asked.header("authorization") != [login()] {
        let refused = Response::builder().status(401);
        let refused = refused.header("www-authenticate", "Basic realm=\"git\"");
        return refused.body(Full::default()).unwrap();
    }
    let (path, query) = asked.target.split_once('?').unwrap_or((&asked.target, ""));
    let mut backend = Command::new(backend());
    backend
        .env("GIT_PROJECT_ROOT", root)
        .env("GIT_HTTP_EXPORT_ALL", "1")
        .env("REQUEST_METHOD", asked.method.as_str())
        .env("PATH_INFO", path)
        .env("QUERY_STRING", query)
        .env("REMOTE_USER", "agent")
        .env("CONTENT_LENGTH", asked.body.len().to_string());
    for (header, variable) in [
        ("content-type", "CONTENT_TYPE"),
        ("content-encoding", "HTTP_CONTENT_ENCODING"),
        ("git-protocol", "GIT_PROTOCOL"),
    ] {
        backend.envs(asked.header(header).first().map(|value| (variable, *value)));
    }
    from_cgi(&output(&mut backend, &asked.body))
}

fn backend() -> PathBuf {
    let folder = run_git(Path::new("/"), &["--exec-path"], None);
    Path::new(folder.trim_end()).join("git-http-backend")
}

fn from_cgi(output: &[u8]) -> Reply {
    let end = memchr::memmem::find(output, b"\r\n\r\n").unwrap();
    let head = std::str::from_utf8(&output[..end]).unwrap();
    let mut reply = Response::builder();
    for line in head.lines() {
        let (name, value) = line.split_once(": ").unwrap();
        reply = match name {
            "Status" => reply.status(&value[..3]),
            _ => reply.header(name, value),
        };
    }
    reply
        .body(Full::from(Bytes::copy_from_slice(&output[end + 4..])))
        .unwrap()
}

fn login() -> String {
    format!("Basic {}", STANDARD.encode(format!("agent:{TOKEN}")))
}

/// Runs git beside exeat, not behind it.
fn run_git(folder: &Path, arguments: &[&str], input: Option<&str>) -> String {
    let mut command = Command::new(installed::program("git"));
    command.arg("-C").arg(folder).args(arguments);
    let printed = output(&mut command, input.unwrap_or_default().as_bytes());
    String::from_utf8(printed).unwrap()
}

fn output(command: &mut Command, input: &[u8]) -> Vec<u8> {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{command:?}");
    output.stdout
}
