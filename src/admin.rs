//! The operator's listener: health, readiness, metrics and the CA's certificate. Nothing on it changes anything.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ALLOW, AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tokio::io::{AsyncRead, AsyncWrite};

use crate::browser;
use crate::browser::Browser;
use crate::drain::Phase;
use crate::exchange::Services;
use crate::live::Refused;
use crate::metrics::Gauged;
use crate::patience::Impatient;
use crate::problem::Problem;
use crate::seats::Seats;
use crate::secret::Secret;

/// A scraper sends its head at once; one that does not is not served.
const HEADER_DEADLINE: Duration = Duration::from_secs(10);

/// A few scrapers, probes and people with browsers. For one past these, the one that is there longest is closed: answers
/// are there at once, so it waits for its client.
const CONNECTIONS: usize = 256;

/// The operator's pages.
pub struct Admin {
    services: Arc<Services>,
    listener: SocketAddr,
    token: Option<Secret>,
    stall: Duration,
    seats: Arc<Seats>,
}

/// A page.
enum Page {
    /// With its media type.
    Text(&'static str, String),
    Readiness,
}

impl Admin {
    /// The pages of one listener. With a token, all but health and readiness ask for it. Who takes nothing of an answer
    /// for the time of `stall` loses its connection.
    pub fn new(
        services: Arc<Services>,
        listener: SocketAddr,
        token: Option<Secret>,
        stall: Duration,
    ) -> Self {
        Self {
            services,
            listener,
            token,
            stall,
            seats: Arc::default(),
        }
    }

    /// What all exchanges share.
    pub fn services(&self) -> &Arc<Services> {
        &self.services
    }

    /// Serves one connection to its end, for which it is counted, or until its place is wanted.
    pub async fn serve(
        self: Arc<Self>,
        stream: impl AsyncRead + AsyncWrite + Unpin,
        _gauged: Gauged,
    ) {
        if self.seats.taken() >= CONNECTIONS {
            self.seats.make_room();
        }
        let seat = self.seats.sit();
        let stream = Impatient::new(stream, self.stall);
        let service = service_fn(move |request| {
            let admin = self.clone();
            async move { Ok::<_, std::convert::Infallible>(admin.answer(&request)) }
        });
        let serving = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEADER_DEADLINE)
            .serve_connection(TokioIo::new(stream), service);
        tokio::select! {
            () = seat.wanted() => {}
            ended = serving => if let Err(error) = ended {
                tracing::debug!(%error, "an admin connection broke off");
            },
        }
    }

    fn answer(&self, request: &Request<Incoming>) -> Response<Full<Bytes>> {
        let has_token = self.expect_token(request.headers()).is_ok();
        match self.page(request.method(), request.uri().path(), request.headers()) {
            Ok(Page::Text(kind, text)) => response(StatusCode::OK, kind, text),
            Ok(Page::Readiness) => self.readiness(has_token),
            Err(no) => no.response(),
        }
    }

    fn page(&self, method: &Method, path: &str, headers: &HeaderMap) -> Result<Page, No> {
        browser::refuse(self.listener, headers).map_err(No::Browser)?;
        if ![Method::GET, Method::HEAD].contains(method) {
            return Err(No::Method);
        }
        match path {
            "/healthz" => Ok(Page::Text(TEXT, "ok\n".into())),
            "/readyz" => Ok(Page::Readiness),
            "/metrics" => {
                self.expect_token(headers)?;
                Ok(Page::Text(METRICS, self.services.scrape()))
            }
            "/audit/head" => {
                self.expect_token(headers)?;
                Ok(self.audit_head())
            }
            "/ca.pem" => {
                self.expect_token(headers)?;
                Ok(Page::Text(PEM, self.services.authority.ca_pem().into()))
            }
            _ => Err(No::Page),
        }
    }

    /// A policy that was refused makes it no less ready: it serves, under the one before. What is wrong in the files is
    /// for those who may see the metrics.
    fn readiness(&self, has_token: bool) -> Response<Full<Bytes>> {
        let Services { live, drain, .. } = &*self.services;
        let (policy, status) = (live.snapshot(), live.status());
        let is_stopping = drain.has_reached(Phase::Announced);
        let first = policy.environments().first();
        let refused = status.refused.as_ref();
        let ready = json!({
            "ready": !is_stopping,
            "stopping": is_stopping,
            "policy_hash": &**policy.hash(),
            "actions": first.map_or(0, |it| it.actions.len()),
            "loaded_at": time(status.loaded_at),
            "reload": refused.map(|it| told(it, has_token)),
        });
        let code = match is_stopping {
            true => StatusCode::SERVICE_UNAVAILABLE,
            false => StatusCode::OK,
        };
        response(code, JSON, format!("{ready}\n"))
    }

    /// How far the chain of audit records has come, for whoever keeps it elsewhere.
    fn audit_head(&self) -> Page {
        let head = self.services.audit.head();
        let text = json!({"seq": head.seq, "hash": head.hash.as_str()});
        Page::Text(JSON, format!("{text}\n"))
    }

    fn expect_token(&self, headers: &HeaderMap) -> Result<(), No> {
        let Some(token) = &self.token else {
            return Ok(());
        };
        let presented = headers.get(AUTHORIZATION);
        let presented = presented.and_then(|value| value.as_bytes().strip_prefix(b"Bearer "));
        match presented {
            Some(presented) if token.matches(presented) => Ok(()),
            _ => Err(No::Token),
        }
    }
}

/// Why there is no page.
enum No {
    Browser(Browser),
    Method,
    Page,
    Token,
}

impl No {
    fn response(&self) -> Response<Full<Bytes>> {
        let (status, text) = match self {
            Self::Browser(browser) => (StatusCode::FORBIDDEN, browser.message()),
            Self::Method => (StatusCode::METHOD_NOT_ALLOWED, "use GET or HEAD"),
            Self::Page => (
                StatusCode::NOT_FOUND,
                "here are /healthz, /readyz, /metrics, /audit/head and /ca.pem",
            ),
            Self::Token => (
                StatusCode::UNAUTHORIZED,
                "send the admin token: Authorization: Bearer TOKEN",
            ),
        };
        let mut response = response(status, TEXT, format!("{text}\n"));
        let headers = response.headers_mut();
        // RFC 9110 §15.5.6 and §15.5.2 require them.
        match self {
            Self::Method => headers.insert(ALLOW, HeaderValue::from_static("GET, HEAD")),
            Self::Token => headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer")),
            Self::Browser(_) | Self::Page => None,
        };
        response
    }
}

/// Problems that are shown. A file of another kind can have as many as it has lines.
const SHOWN: usize = 100;

/// A reload that failed: no line of a file is in it.
fn told(refused: &Refused, has_token: bool) -> Value {
    let shown = if has_token { SHOWN } else { 0 };
    let problems = refused.problems.iter().take(shown).map(Problem::json);
    json!({
        "failed_at": time(refused.at),
        "count": refused.problems.len(),
        "problems": problems.collect::<Vec<_>>(),
    })
}

fn time(at: OffsetDateTime) -> String {
    let at = at.replace_nanosecond(0).unwrap_or(at);
    at.format(&Rfc3339).unwrap_or_default()
}

const TEXT: &str = "text/plain; charset=utf-8";
const JSON: &str = "application/json";
const METRICS: &str = "text/plain; version=0.0.4; charset=utf-8";
const PEM: &str = "application/x-pem-file";

fn response(status: StatusCode, kind: &'static str, text: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(text)));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
