//! One slot under a scripted clock and scripted calls; calls over sockets are in `tests/it`.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use super::*;
use crate::credential::Granted;
use crate::fault::FaultKind;

/// A slot with a clock and an endpoint of its own. The endpoint gives `t1`, `t2` and so on.
struct Desk {
    slot: Arc<Slot>,
    now: Arc<Mutex<Instant>>,
    clock: Clock,
    calls: Arc<AtomicUsize>,
    open: Arc<Notify>,
}

impl Desk {
    fn new() -> Self {
        let now = Arc::new(Mutex::new(Instant::now()));
        let hand = now.clone();
        Self {
            slot: Arc::default(),
            now,
            clock: Arc::new(move || *hand.lock().unwrap()),
            calls: Arc::default(),
            open: Arc::default(),
        }
    }

    fn pass(&self, seconds: f64) {
        *self.now.lock().unwrap() += Duration::from_secs_f64(seconds);
    }

    /// Asks, where the endpoint grants this many seconds, or fails.
    async fn ask(&self, lifetime: Option<u64>) -> Result<Token, Fault> {
        let calls = self.calls.clone();
        let fetch = || async move {
            let number = calls.fetch_add(1, Ordering::SeqCst) + 1;
            let token = Secret::new(format!("t{number}").into_bytes()).unwrap();
            let lifetime = lifetime.map(Duration::from_secs);
            let failed = || Fault::new(FaultKind::Token, format!("failure {number}"));
            let lifetime = lifetime.ok_or_else(failed)?;
            Ok(Granted { token, lifetime })
        };
        self.slot.clone().token(&self.clock, fetch).await
    }

    async fn text(&self, lifetime: Option<u64>) -> String {
        match self.ask(lifetime).await {
            Ok(token) => String::from_utf8(token.secret().expose().to_vec()).unwrap(),
            Err(fault) => fault.detail,
        }
    }

    fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }

    /// Until what was spawned has had its turn.
    async fn settle(&self) {
        for _ in 0..16 {
            tokio::task::yield_now().await;
        }
    }
}

#[tokio::test]
async fn a_thousand_who_wait_share_one_call() {
    for lifetime in [3600, 0] {
        let desk = Arc::new(Desk::new());
        let mut waiting: Vec<_> = (0..1000)
            .map(|_| tokio::spawn(wait_for_token(desk.clone(), lifetime)))
            .collect();
        desk.settle().await;
        // The one who began leaves; the call goes on for the others.
        waiting.remove(0).abort();
        desk.settle().await;
        desk.open.notify_one();
        for one in waiting {
            assert_eq!(one.await.unwrap().secret().expose(), b"shared");
        }
        assert_eq!(desk.calls(), 1, "{lifetime} s");
    }
}

/// From an endpoint that answers when it is told to.
async fn wait_for_token(desk: Arc<Desk>, lifetime: u64) -> Token {
    let (calls, open) = (desk.calls.clone(), desk.open.clone());
    let fetch = || async move {
        calls.fetch_add(1, Ordering::SeqCst);
        open.notified().await;
        let token = Secret::new(b"shared".to_vec()).unwrap();
        let lifetime = Duration::from_secs(lifetime);
        Ok(Granted { token, lifetime })
    };
    desk.slot.clone().token(&desk.clock, fetch).await.unwrap()
}

#[tokio::test]
async fn a_token_is_kept_renewed_ahead_and_never_given_out_at_its_end() {
    let desk = Desk::new();
    for (passed, expected, calls_after) in [
        (0.0, "t1", 1),
        (3539.0, "t1", 1),
        // A minute before the end the old one is given out once more, while a new one is fetched.
        (1.5, "t1", 2),
        (0.0, "t2", 2),
        // Nobody asked in time: past the margin there is only a new one.
        (3595.5, "t3", 3),
    ] {
        desk.pass(passed);
        assert_eq!(desk.text(Some(3600)).await, expected, "+{passed}");
        desk.settle().await;
        assert_eq!(desk.calls(), calls_after, "+{passed}");
    }
}

#[tokio::test]
async fn short_lives_have_short_margins() {
    for (lifetime, fresh, renewing, over) in [(10, 7.9, 8.1, 9.6), (1, 0.79, 0.81, 0.96)] {
        for (passed, expected, calls) in [(fresh, "t1", 1), (renewing, "t1", 2), (over, "t2", 2)] {
            let desk = Desk::new();
            assert_eq!(desk.text(Some(lifetime)).await, "t1");
            desk.pass(passed);
            assert_eq!(desk.text(Some(lifetime)).await, expected, "{passed}");
            desk.settle().await;
            assert_eq!(desk.calls(), calls, "{passed}");
        }
    }
    let desk = Desk::new();
    assert_eq!(desk.text(Some(0)).await, "t1");
    assert_eq!(desk.text(Some(0)).await, "t2");
}

#[tokio::test]
async fn a_failing_endpoint_is_left_alone_for_longer_and_longer() {
    let desk = Desk::new();
    let mut call = 0;
    for pause in [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0] {
        call += 1;
        let expected = format!("failure {call}");
        assert_eq!(desk.text(None).await, expected);
        desk.pass(pause - 0.01);
        assert_eq!(desk.text(None).await, expected, "before {pause} s");
        assert_eq!(desk.calls(), call);
        desk.pass(0.02);
    }
    // One success, and the next failure is the first again.
    assert_eq!(desk.text(Some(0)).await, "t9");
    assert_eq!(desk.text(None).await, "failure 10");
    desk.pass(1.01);
    assert_eq!(desk.text(None).await, "failure 11");
}

#[tokio::test]
async fn an_endpoint_that_fails_ahead_of_time_costs_nobody_the_old_token() {
    let desk = Desk::new();
    assert_eq!(desk.text(Some(3600)).await, "t1");
    desk.pass(3545.0);
    for calls in [2, 2, 2] {
        assert_eq!(desk.text(None).await, "t1");
        desk.settle().await;
        assert_eq!(desk.calls(), calls);
    }
    desk.pass(1.01);
    assert_eq!(desk.text(Some(3600)).await, "t1");
    desk.settle().await;
    assert_eq!(desk.text(Some(3600)).await, "t3");
}

#[tokio::test]
async fn a_refused_token_is_dropped_once_and_replacements_are_rationed() {
    let desk = Desk::new();
    let first = desk.ask(Some(3600)).await.unwrap();
    first.accepted();
    let refuse = |token: &Token| desk.slot.refuse(token, (desk.clock)());
    assert!(refuse(&first));
    let second = desk.ask(Some(3600)).await.unwrap();
    assert!(!second.is(&first));
    // Others who had the first one come late: they get the second.
    assert!(refuse(&first));
    assert!(desk.ask(Some(3600)).await.unwrap().is(&second));
    // The replacement is refused too, without ever having been accepted: the token is not what is wrong.
    assert!(!refuse(&second));
    assert!(desk.ask(Some(3600)).await.unwrap().is(&second));
    desk.pass(1.01);
    assert!(refuse(&second));
    let third = desk.ask(Some(3600)).await.unwrap();
    desk.pass(1.01);
    assert!(!refuse(&third), "the pause doubles");
    desk.pass(1.01);
    assert!(refuse(&third));
    // One that was accepted is replaced at once.
    let fourth = desk.ask(Some(3600)).await.unwrap();
    fourth.accepted();
    assert!(refuse(&fourth));
    assert_eq!(desk.calls(), 4);
}

#[tokio::test]
async fn a_call_that_dies_does_not_hold_up_the_next() {
    let desk = Desk::new();
    let fetch = || async { panic!("a bug") };
    let died = desk.slot.clone().token(&desk.clock, fetch).await;
    assert_eq!(died.unwrap_err().kind, FaultKind::Token);
    assert_eq!(desk.text(Some(3600)).await, "t1");
}

#[test]
fn a_token_does_not_print() {
    let token = Token::new(Secret::new(b"hunter2".to_vec()).unwrap());
    assert_eq!(format!("{token:?}"), "Token(***)");
}
