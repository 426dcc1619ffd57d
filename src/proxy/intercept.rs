//! A tunnel whose TLS ends here: the handshake, and then HTTP as the client chose it.
//!
//! The host of the CONNECT, the server name and the certificate are one and the same. What is not TLS is not served.

use std::io;
use std::sync::Arc;

use bytes::BytesMut;
use rustls::AlertDescription;
use rustls::Error;
use rustls::PeerMisbehaved;
use rustls::ProtocolVersion;
use rustls::server::Acceptor;
use rustls::sign::CertifiedKey;
use tokio::io::AsyncWriteExt;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_rustls::LazyConfigAcceptor;
use tokio_rustls::StartHandshake;
use tokio_rustls::server::TlsStream;

use crate::audit::End;
use crate::fault::{Fault, FaultKind};
use crate::metrics::TunnelKind;
use crate::proxy::connection::{Connection, Scope};
use crate::proxy::hello::{Alert, HANDSHAKE};
use crate::proxy::http2;
use crate::proxy::line::{ClientStream, Line, drain};
use crate::proxy::rewound::Rewound;
use crate::proxy::tunnel;
use crate::proxy::tunnel::Tunnel;
use crate::proxy::{ClientLimits, Place};
use crate::refusal::Code;
use crate::request::Host;

/// Serves the requests inside an intercepted tunnel.
pub(super) async fn serve<S: ClientStream>(
    place: &Place,
    tunnel: Tunnel,
    leaf: Arc<CertifiedKey>,
    stream: Rewound<S>,
) {
    let host = &tunnel.destination.host;
    place.seat.waits();
    let shaken = {
        let mut shaking = Box::pin(handshake(place, host, leaf, stream));
        tokio::select! {
            biased;
            shaken = shaking.as_mut() => shaken,
            () = place.seat.wanted() => Err(End::Refused(Code::Overloaded).into()),
        }
    };
    place.seat.works();
    let stream = match shaken {
        Ok(stream) => stream,
        Err(failed) => {
            if failed.distrusts {
                tunnel.distrusted(&place.gate);
            }
            tunnel.close(failed.end);
            if let Some((mut stream, alert)) = failed.farewell {
                Box::pin(turn_away(&mut stream, alert, &place.limits)).await;
            }
            return;
        }
    };
    let session = stream.get_ref().1;
    let version = match session.protocol_version() {
        Some(ProtocolVersion::TLSv1_2) => "1.2",
        _ => "1.3",
    };
    let _open = place.gate.services.metrics.tunnel(TunnelKind::Intercepted);
    let is_http2 = session.alpn_protocol() == Some(b"h2");
    let tunnel = Arc::new(tunnel.secured(version));
    if is_http2 {
        // On the heap: what speaks HTTP/1 needs no room for it.
        match Box::pin(http2::serve(place, &tunnel, stream)).await {
            0 => {}
            lost => tunnel.close_for_lost(place, lost),
        }
    } else {
        let line = Line::new(stream, BytesMut::new());
        let scope = Scope::Within(Arc::clone(&tunnel));
        let inner = Connection::new(place.clone(), line, scope);
        // A CONNECT inside is answered, so no tunnel comes back.
        inner.run().await;
    }
    tunnel.close(tunnel::client_failed(
        "the client sent no request in its tunnel",
    ));
}

/// Boxed, since it is moved from hand to hand, and every hand that is a future keeps room for it.
type Secured<S> = Box<TlsStream<Rewound<S>>>;

/// How a handshake failed, and what is left to do after it is recorded.
struct Failed<S> {
    end: End,
    /// Whether the client did not accept our certificate.
    distrusts: bool,
    farewell: Option<(Rewound<S>, Option<Alert>)>,
}

impl<S> From<End> for Failed<S> {
    fn from(end: End) -> Self {
        Self {
            end,
            distrusts: false,
            farewell: None,
        }
    }
}

async fn handshake<S: ClientStream>(
    place: &Place,
    host: &Host,
    leaf: Arc<CertifiedKey>,
    mut stream: Rewound<S>,
) -> Result<Secured<S>, Failed<S>> {
    let deadline = Instant::now() + place.limits.handshake;
    let first = timeout_at(deadline, stream.first_byte()).await;
    match first.map_err(|_| slow())?.map_err(|error| broke(&error))? {
        Some(HANDSHAKE) => {}
        Some(_) => {
            return Err(Failed {
                end: End::Refused(Code::TlsExpected),
                distrusts: false,
                farewell: Some((stream, None)),
            });
        }
        None => return Err(tunnel::client_failed("the client closed its tunnel unused").into()),
    }
    let acceptor = LazyConfigAcceptor::new(Acceptor::default(), stream);
    let accepted = timeout_at(deadline, acceptor).await;
    let start = accepted.map_err(|_| slow())?;
    let start = start.map_err(|error| broke(&error))?;
    if let Err(alert) = check_name(&start, host) {
        return Err(Failed {
            end: End::Refused(Code::ServerNameMismatch),
            distrusts: false,
            farewell: Some((start.io, Some(alert))),
        });
    }
    let config = place.gate.services.authority.config_for(leaf);
    let secured = timeout_at(deadline, start.into_stream(config)).await;
    let secured = secured.map_err(|_| slow())?;
    secured.map(Box::new).map_err(|error| Failed {
        end: broke(&error),
        distrusts: distrusts(&error),
        farewell: None,
    })
}

/// Whether a handshake ended since the client did not accept our certificate (RFC 8446 §6.2).
fn distrusts(error: &io::Error) -> bool {
    use AlertDescription::{
        AccessDenied, BadCertificate, CertificateExpired, CertificateRevoked, CertificateUnknown,
        UnknownCA, UnsupportedCertificate,
    };
    matches!(
        cause(error),
        Some(Error::AlertReceived(
            AccessDenied
                | BadCertificate
                | UnsupportedCertificate
                | CertificateRevoked
                | CertificateExpired
                | CertificateUnknown
                | UnknownCA
        ))
    )
}

fn cause(error: &io::Error) -> Option<&Error> {
    error.get_ref().and_then(|it| it.downcast_ref())
}

/// The server name must be there and be the host of the CONNECT.
fn check_name<S>(start: &StartHandshake<Rewound<S>>, host: &Host) -> Result<(), Alert>
where
    S: ClientStream,
{
    let hello = start.client_hello();
    let name = hello.server_name().ok_or(Alert::MissingExtension)?;
    match Host::parse(name) {
        Ok(name) if name == *host => Ok(()),
        _ => Err(Alert::UnrecognizedName),
    }
}

/// Closes a tunnel whose bytes are not served, in a way that lets the client read why.
pub(super) async fn turn_away<S: ClientStream>(
    stream: &mut S,
    alert: Option<Alert>,
    limits: &ClientLimits,
) {
    let closing = async {
        if let Some(alert) = alert {
            stream.write_all(&alert.record()).await?;
        }
        stream.shutdown().await?;
        drain(stream, limits.linger_bytes).await
    };
    // However this ends, the connection is over.
    let _ = timeout(limits.linger, closing).await;
}

pub(super) fn slow() -> End {
    let detail = "the TLS handshake in the tunnel took too long";
    End::Failed(Fault::new(FaultKind::ClientSlow, detail))
}

/// Why a handshake ended: an alert of the client says what it thinks of us, above all of our CA.
fn broke(error: &io::Error) -> End {
    match cause(error) {
        Some(Error::AlertReceived(alert)) => {
            tunnel::client_failed(format!("client_alert={}", snake_case(*alert)))
        }
        Some(Error::PeerMisbehaved(PeerMisbehaved::ServerNameMustContainOneHostName)) => {
            End::Refused(Code::ServerNameMismatch)
        }
        Some(
            Error::InvalidMessage(_)
            | Error::InappropriateMessage { .. }
            | Error::InappropriateHandshakeMessage { .. }
            | Error::PeerMisbehaved(_)
            | Error::PeerSentOversizedRecord
            | Error::DecryptError,
        ) => End::Refused(Code::TlsExpected),
        _ => tunnel::client_failed(format!("the TLS handshake in the tunnel failed: {error}")),
    }
}

/// The name of an alert as RFC 8446 §6 writes it: `UnknownCA` is `unknown_ca`.
fn snake_case(alert: AlertDescription) -> String {
    let mut name = String::new();
    let mut after_lower = false;
    for letter in format!("{alert:?}").chars() {
        if after_lower && letter.is_ascii_uppercase() {
            name.push('_');
        }
        after_lower = letter.is_ascii_lowercase();
        name.push(letter.to_ascii_lowercase());
    }
    name
}
