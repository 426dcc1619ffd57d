//! One call of a token endpoint.

use std::sync::Arc;
use std::time::Duration;

use http::header::{ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue};
use http_body_util::{BodyExt as _, Limited};

use crate::body::Body;
use crate::credential::{BadAnswer, Granted, MAX_ANSWER, Secrets, TokenRequest, read_answer};
use crate::dial::{Dialer, Reply};
use crate::fault::{Fault, FaultKind};
use crate::policy::TokenSource;
use crate::vault::Vault;

/// How long everything may take, from the client's secret to the last byte of the answer. Requests wait for it.
const PATIENCE: Duration = Duration::from_secs(10);

/// Asks for a token.
///
/// # Errors
/// [`FaultKind::Token`], whatever was wrong on the way there; [`FaultKind::Secret`] where nothing could be asked.
pub(super) async fn fetch(
    dialer: Dialer,
    vault: Arc<dyn Vault>,
    source: Arc<TokenSource>,
) -> Result<Granted, Fault> {
    let asking = ask(&dialer, &*vault, &source);
    let failed = match tokio::time::timeout(PATIENCE, asking).await {
        Ok(Ok(granted)) => return Ok(granted),
        Ok(Err(fault)) if fault.kind == FaultKind::Secret => return Err(fault),
        Ok(Err(fault)) if fault.kind == FaultKind::Token => fault.detail,
        Ok(Err(fault)) => fault.to_string(),
        Err(_) => format!("it was not done after {} seconds", PATIENCE.as_secs()),
    };
    let (connector, endpoint) = (&source.connector, &source.endpoint);
    let detail = format!("the token endpoint {endpoint} of {connector}: {failed}");
    Err(Fault::new(FaultKind::Token, detail))
}

async fn ask(dialer: &Dialer, vault: &dyn Vault, source: &TokenSource) -> Result<Granted, Fault> {
    let mut secrets = Secrets::default();
    for (name, from) in &source.secrets {
        secrets.insert(name.clone(), vault.get(name, from).await?);
    }
    let (headers, form) = message(source.grant.request(&secrets)?);
    let Reply {
        status,
        headers,
        body,
        ..
    } = *dialer.call(&source.endpoint, headers, form).await?;
    if body.length().is_some_and(|it| it > MAX_ANSWER as u64) {
        return Err(wrong(BadAnswer::TooLarge));
    }
    let collected = Limited::new(body, MAX_ANSWER).collect().await;
    let bytes = collected.map_err(|error| match error.downcast::<Fault>() {
        Ok(fault) => *fault,
        Err(_) => wrong(BadAnswer::TooLarge),
    })?;
    read_answer(status, &headers, &bytes.to_bytes()).map_err(wrong)
}

fn message(request: TokenRequest) -> (HeaderMap, Body) {
    let mut headers = HeaderMap::new();
    let form = HeaderValue::from_static("application/x-www-form-urlencoded");
    headers.insert(CONTENT_TYPE, form);
    headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
    headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    if let Some(authorization) = request.authorization {
        headers.insert(AUTHORIZATION, authorization);
    }
    let form = bytes::Bytes::from_owner(request.form);
    (headers, Body::Bytes(form))
}

fn wrong(answer: BadAnswer) -> Fault {
    Fault::new(FaultKind::Token, answer.to_string())
}
