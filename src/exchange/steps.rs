//! How far an exchange has come, for a door whose client wants to know.

use http::StatusCode;
use tokio::sync::watch;

/// What has happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// It is decided and equipped, and goes on its way.
    Sent,
    /// The head of the reply is here.
    Answered(StatusCode),
}

/// Where an exchange tells its steps; to nobody, unless somebody asked.
#[derive(Clone, Debug, Default)]
pub struct Steps(Option<watch::Sender<Option<Step>>>);

/// The steps of one exchange. Who is slow misses some, and sees the last.
#[derive(Debug)]
pub struct Seen(watch::Receiver<Option<Step>>);

impl Steps {
    /// Steps that somebody watches.
    pub fn watched() -> (Self, Seen) {
        let (sender, receiver) = watch::channel(None);
        (Self(Some(sender)), Seen(receiver))
    }

    pub(super) fn tell(&self, step: Step) {
        if let Some(sender) = &self.0 {
            sender.send_replace(Some(step));
        }
    }
}

impl Seen {
    /// Waits for the next step. `None`: there will be none.
    pub async fn next(&mut self) -> Option<Step> {
        self.0.changed().await.ok()?;
        *self.0.borrow_and_update()
    }
}
