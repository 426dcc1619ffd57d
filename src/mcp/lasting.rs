//! Event streams that no request ends: they last until exeat begins to stop, or until the policy has no such agent.

use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use http_body_util::combinators::BoxBody;

use crate::drain::Phase;
use crate::exchange::Share;
use crate::lease::Lease;
use crate::mcp::face::Place;
use crate::policy::{Policy, Stake};
use crate::refusal::Refusal;
use crate::request::Caller;

/// How long such a stream lasts.
pub(super) struct Lasting {
    lease: Lease,
    // A stream is a request under way until its end.
    _share: Share,
    stopping: Pin<Box<dyn Future<Output = ()> + Send + Sync>>,
}

impl Lasting {
    /// For a caller of this policy.
    ///
    /// # Errors
    /// [`Code::Overloaded`](crate::refusal::Code::Overloaded) where its agent has as much under way as it may.
    pub(super) fn of(place: &Place, policy: &Arc<Policy>, caller: Caller) -> Result<Self, Refusal> {
        let services = &place.gate.services;
        let share = services.shares.take(caller.agent.as_ref())?;
        let stake = Stake::of_caller(caller, services.settings.environment.clone());
        let drain = services.drain.clone();
        Ok(Self {
            lease: services.leases.lease(policy, stake),
            _share: share,
            stopping: Box::pin(async move { drain.reached(Phase::Draining).await }),
        })
    }

    /// Comes back when it is over.
    pub(super) async fn over(mut self) {
        poll_fn(|context| self.poll_over(context)).await;
    }

    fn poll_over(&mut self, context: &mut Context<'_>) -> Poll<()> {
        if self.stopping.as_mut().poll(context).is_ready() {
            return Poll::Ready(());
        }
        self.lease.poll_ended(context).map(drop)
    }
}

/// A reply's body that ends with its time.
pub(super) struct Attended {
    inner: BoxBody<Bytes, Infallible>,
    lasting: Option<Lasting>,
}

impl Attended {
    /// This body, for so long.
    pub(super) fn of(inner: BoxBody<Bytes, Infallible>, lasting: Lasting) -> Self {
        Self {
            inner,
            lasting: Some(lasting),
        }
    }
}

impl HttpBody for Attended {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let Some(lasting) = &mut self.lasting else {
            return Poll::Ready(None);
        };
        if lasting.poll_over(context).is_ready() {
            self.lasting = None;
            return Poll::Ready(None);
        }
        Pin::new(&mut self.inner).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.lasting.is_none() || self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
