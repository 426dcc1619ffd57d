//! Clients that send one GET and tell what they see, all in the same form.

use std::ffi::OsString;
use std::path::PathBuf;

use serde::Deserialize;
use serde_json::Value;

use super::installed;
use super::stage::{Ran, Stage};

/// A client, and the version of HTTP that it speaks inside the tunnel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Client {
    CurlHttp1,
    CurlHttp2,
    Requests,
    HttpxHttp1,
    HttpxHttp2,
    Undici,
    Axios,
}

/// What a client saw of an answer.
#[derive(Debug, Deserialize)]
pub(super) struct Seen {
    pub(super) status: u16,
    /// `1.1` or `2`.
    pub(super) version: String,
    /// The `Exeat-Refusal` header, or empty.
    pub(super) refusal: String,
    #[serde(default)]
    pub(super) body: Value,
}

/// What curl tells after the body, in the form of [`Seen`].
const CURL_TELLS: &str = "\n{\"status\": %{http_code}, \"version\": \"%{http_version}\", \"refusal\": \"%header{exeat-refusal}\"}";

impl Client {
    pub(super) const ALL: [Self; 7] = [
        Self::CurlHttp1,
        Self::CurlHttp2,
        Self::Requests,
        Self::HttpxHttp1,
        Self::HttpxHttp2,
        Self::Undici,
        Self::Axios,
    ];

    /// The version of HTTP that it speaks.
    pub(super) fn version(self) -> &'static str {
        match self {
            Self::CurlHttp2 | Self::HttpxHttp2 => "2",
            _ => "1.1",
        }
    }

    /// Sends a GET from behind exeat.
    pub(super) fn get(self, stage: &Stage, url: &str) -> (Seen, Ran) {
        let (program, mut arguments) = self.command();
        arguments.push(url.into());
        let ran = stage.exec(&program, &arguments);
        let seen = match self {
            Self::CurlHttp1 | Self::CurlHttp2 => curl_saw(ran.output()),
            _ => serde_json::from_str(ran.output()).unwrap(),
        };
        (seen, ran)
    }

    fn command(self) -> (PathBuf, Vec<OsString>) {
        let python = |script, arguments: &[&str]| command(installed::python(), script, arguments);
        let node = |script| command(installed::program("node"), script, &[]);
        match self {
            Self::CurlHttp1 => curl("--http1.1"),
            Self::CurlHttp2 => curl("--http2"),
            Self::Requests => python("get_requests.py", &[]),
            Self::HttpxHttp1 => python("get_httpx.py", &["1.1"]),
            Self::HttpxHttp2 => python("get_httpx.py", &["2"]),
            Self::Undici => node("get_undici.cjs"),
            Self::Axios => node("get_axios.cjs"),
        }
    }
}

fn command(program: PathBuf, script: &str, arguments: &[&str]) -> (PathBuf, Vec<OsString>) {
    let script = installed::script(script).into_os_string();
    let arguments = arguments.iter().map(OsString::from);
    (program, std::iter::once(script).chain(arguments).collect())
}

fn curl(version: &str) -> (PathBuf, Vec<OsString>) {
    let arguments = [
        "--silent",
        "--show-error",
        version,
        "--write-out",
        CURL_TELLS,
    ];
    (
        installed::program("curl"),
        arguments.map(OsString::from).to_vec(),
    )
}

fn curl_saw(output: &str) -> Seen {
    let (body, told) = output.rsplit_once('\n').unwrap();
    let seen: Seen = serde_json::from_str(told).unwrap();
    Seen {
        body: serde_json::from_str(body).unwrap(),
        ..seen
    }
}
