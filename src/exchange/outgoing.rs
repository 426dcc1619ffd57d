//! What an agent may not send: a secret that exeat knows. Its own credentials are exeat's to add, and those of others
//! are none of its business.

use crate::action::{Action, Planned};
use crate::body::Body;
use crate::policy::Permit;
use crate::refusal::{Code, Refusal};
use crate::scrub::Forms;

/// Looks for secrets in a request before its credentials are put in. A body that streams is looked at on its way.
///
/// # Errors
/// [`Code::SecretOutgoing`].
pub(super) fn refuse_secrets(permit: &Permit, forms: &Forms) -> Result<(), Refusal> {
    match place(permit.planned(), forms) {
        Some(place) => Err(refusal(place, permit.action())),
        None => Ok(()),
    }
}

fn place(planned: &Planned, forms: &Forms) -> Option<&'static str> {
    let mut headers = planned.headers.values();
    if forms.is_empty() {
        None
    } else if forms.stand_in(planned.path.as_bytes()) {
        Some("the path")
    } else if forms.stand_in(planned.query.as_bytes()) {
        Some("the query")
    } else if headers.any(|value| forms.stand_in(value.as_bytes())) {
        Some("a header")
    } else if matches!(&planned.body, Body::Bytes(bytes) if forms.stand_in(bytes)) {
        Some("the body")
    } else {
        None
    }
}

/// Names the place, and nothing of what stands there.
pub(super) fn refusal(place: &str, action: &Action) -> Refusal {
    let message = format!(
        "{place} holds a secret that exeat keeps; send the request without it, since exeat adds credentials itself"
    );
    Refusal::new(Code::SecretOutgoing, message).of_action(&action.name)
}
