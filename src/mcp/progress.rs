//! How far a call has come, for a client that gave a token for that.

use std::convert::Infallible;
use std::future::pending;

use rmcp::model::{ProgressNotificationParam, ProgressToken};
use rmcp::{Peer, RoleServer};

use crate::exchange::{Seen, Step};

/// A call is sent, answered, and there.
const STEPS: f64 = 3.0;

/// Tells the client each step, for as long as this is polled.
pub(super) async fn tell(
    peer: &Peer<RoleServer>,
    token: Option<ProgressToken>,
    mut seen: Seen,
) -> Infallible {
    if let Some(token) = token {
        while let Some(step) = seen.next().await {
            // A client that cannot be told any more is gone, which others notice.
            let _ = peer.notify_progress(in_words(step, token.clone())).await;
        }
    }
    pending().await
}

/// Of what the server has said, the number of its status alone.
fn in_words(step: Step, token: ProgressToken) -> ProgressNotificationParam {
    let (number, words) = match step {
        Step::Sent => (1.0, "the request is on its way".to_owned()),
        Step::Answered(status) => (
            2.0,
            format!("the server has answered with {}", status.as_u16()),
        ),
    };
    ProgressNotificationParam::new(token, number)
        .with_total(STEPS)
        .with_message(words)
}
