//! A panic in one request, which is a mistake of ours, ends that request alone: it has its answer and its record, and
//! whatever else goes on beside it on the same connection or thread goes on.

use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::Poll;

use crate::audit::RequestId;
use crate::exchange::Stop;
use crate::fault::{Fault, FaultKind};

/// What a step of an exchange came to, or that it panicked. Nothing of the step is used afterwards: what it has written
/// down elsewhere, behind locks, is each whole or not there.
///
/// # Errors
/// Those of the step, and [`FaultKind::Internal`].
pub async fn unless_panicked<T>(
    request_id: Option<RequestId>,
    mut step: impl Future<Output = Result<T, Stop>> + Unpin,
) -> Result<T, Stop> {
    poll_fn(|context| {
        let polled = catch_unwind(AssertUnwindSafe(|| Pin::new(&mut step).poll(context)));
        polled.unwrap_or_else(|_| {
            // What and where, the panic has told itself.
            let request_id = request_id.as_ref().map(RequestId::as_str);
            tracing::error!(request_id, "a request panicked");
            let detail = "it panicked; the log has the place, please report it";
            Poll::Ready(Err(Fault::new(FaultKind::Internal, detail).into()))
        })
    })
    .await
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use super::*;

    #[tokio::test]
    async fn a_panic_is_a_fault_and_anything_else_is_as_it_was() {
        let good = pin!(async { Ok::<_, Stop>(1) });
        assert_eq!(unless_panicked(None, good).await.unwrap(), 1);
        let bad = pin!(async { Ok::<u8, Stop>(Option::<u8>::None.expect("nothing is there")) });
        let stop = unless_panicked(None, bad).await.unwrap_err();
        assert_eq!(stop.code().as_str(), "internal");
    }
}
