//! One run of the clients: what they ask of whom, how often, and the CPU time that it took the other side.

use std::process::Command;
use std::time::Duration;

use anyhow::ensure;

use crate::load::Form;
use crate::load::Tally;
use crate::origin;
use crate::rounds::Http;
use crate::rounds::Mode;
use crate::rounds::Scenario;
use crate::stage::Contender;
use crate::stage::Stage;
use crate::stage::argument;

/// What is asked for: as a request, and as a call of the same action.
pub(crate) struct Errand {
    /// At the proxy.
    form: Form,
    host: &'static str,
    port: u16,
    path: String,
    action: &'static str,
    parameters: String,
    /// Of the origin's reply.
    bytes: usize,
    status: u16,
    /// Whether every request asks for another host.
    numbered: bool,
    /// So many clients share a connection over HTTP/2; 0: they speak HTTP/1.1.
    streams: usize,
}

/// Requests at a time on a connection of HTTP/2: its point is that there are several.
const STREAMS: usize = 8;

/// How often.
pub(crate) struct Times {
    pub(crate) connections: usize,
    pub(crate) warm_up: usize,
    pub(crate) requests: usize,
}

/// What came of a run.
pub(crate) struct Ran {
    pub(crate) tally: Tally,
    /// CPU time of the measured requests.
    pub(crate) busy: Duration,
}

impl Errand {
    /// A document, as the scenario has it.
    pub(crate) fn of(scenario: Scenario, ports: &origin::Ready) -> Self {
        let (form, plain_or_tls) = match scenario.mode {
            Mode::Forward => (Form::Absolute, None),
            Mode::Carried => (Form::Absolute, Some(origin::TLS_HOST)),
            Mode::Tunnel => (Form::Connect, Some(origin::TUNNEL_HOST)),
            Mode::Intercepted => (Form::Connect, Some(origin::TLS_HOST)),
        };
        let (host, port, action) = match (plain_or_tls, scenario.http) {
            (None, _) => (origin::PLAIN_HOST, ports.plain, "get_plain"),
            (Some(host), Http::One) => (host, ports.tls, "get_tls"),
            (Some(host), Http::Two) => (host, ports.http2, "get_http2"),
        };
        Self {
            form,
            host,
            port,
            path: scenario.size.path(),
            action,
            parameters: scenario.size.parameters(),
            bytes: scenario.size.bytes(),
            status: 200,
            numbered: false,
            streams: match (form, scenario.http) {
                (Form::Connect, Http::Two) => STREAMS,
                _ => 0,
            },
        }
    }

    /// A small document of a host that nobody has declared, of another one each time.
    pub(crate) fn undeclared(ports: &origin::Ready) -> Self {
        Self {
            form: Form::Absolute,
            host: "u00000000.undeclared.test",
            port: ports.plain,
            path: origin::Size::Small.path(),
            action: "none",
            parameters: "{}".to_owned(),
            bytes: 0,
            status: 403,
            numbered: true,
            streams: 0,
        }
    }

    /// A small document over TLS, for which the origin waits until `count` have come.
    pub(crate) fn together(count: usize, ports: &origin::Ready) -> Self {
        Self {
            form: Form::Absolute,
            host: origin::TLS_HOST,
            port: ports.tls,
            path: origin::together(count),
            action: origin::TOGETHER,
            parameters: format!(r#"{{"count": {count}}}"#),
            bytes: origin::Size::Small.bytes(),
            status: 200,
            numbered: false,
            streams: 0,
        }
    }
}

/// A whole run takes at most a minute, after which the load ends itself.
const WITHIN: Duration = Duration::from_secs(70);

/// Runs the clients to their end, each asking again at once. A request that fails is an error.
pub(crate) fn run(
    stage: &Stage,
    contender: &Contender,
    errand: &Errand,
    times: &Times,
) -> anyhow::Result<Ran> {
    run_at(stage, contender, errand, times, None)
}

/// As [`run`], but for the measured requests, of which so many are due per second where there is a rate.
pub(crate) fn run_at(
    stage: &Stage,
    contender: &Contender,
    errand: &Errand,
    times: &Times,
    rate: Option<u32>,
) -> anyhow::Result<Ran> {
    let mut load = stage.load(|command| {
        order(command, contender, errand, times);
        // In a tunnel that nobody opens, it is the origin that shows a certificate.
        command.arg("--trust").arg(match errand.host {
            origin::TUNNEL_HOST => stage.ca_file(),
            _ => contender.trust.clone(),
        });
        if let Some(rate) = rate {
            command.args(["--rate", &rate.to_string()]);
        }
    })?;
    let _warm: String = load.read(WITHIN)?;
    let before = contender.cpu_time()?;
    load.release()?;
    let tally: Tally = load.read(WITHIN)?;
    let busy = contender.cpu_time()?.saturating_sub(before);
    let requests = times.requests;
    ensure!(
        tally.errors == 0 && tally.replies == requests,
        "{}: {} of {requests} requests failed, the first by: {}",
        contender.name,
        requests - tally.replies,
        tally.first_error.unwrap_or_default(),
    );
    load.release()?;
    let _gone: String = load.read(WITHIN)?;
    Ok(Ran { tally, busy })
}

fn order(command: &mut Command, contender: &Contender, errand: &Errand, times: &Times) {
    command
        .args(["--address", &contender.address.to_string()])
        .args(["--form", &argument(contender.form.unwrap_or(errand.form))])
        .args(["--host", errand.host])
        .args(["--port", &errand.port.to_string()])
        .args(["--path", &errand.path])
        .args(["--action", errand.action])
        .args(["--parameters", &errand.parameters])
        .args(["--expect-bytes", &errand.bytes.to_string()])
        .args(["--expect-status", &errand.status.to_string()])
        .args(["--streams", &errand.streams.to_string()])
        .args(["--connections", &times.connections.to_string()])
        .args(["--warm-up", &times.warm_up.to_string()])
        .args(["--requests", &times.requests.to_string()]);
    if errand.numbered {
        command.arg("--numbered");
    }
    if let Some(value) = &contender.authorization {
        command.args(["--authorization", value]);
    }
}
