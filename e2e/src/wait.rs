//! Waiting for a condition, never for a time.

use std::time::{Duration, Instant};

/// How often a condition is looked at that nothing announces.
const PAUSE: Duration = Duration::from_millis(300);

/// How often waiting is reported when nothing changes.
const REPORT: Duration = Duration::from_secs(20);

/// What looking at a condition came to.
#[derive(Clone, Debug)]
pub enum Probe<T> {
    /// It holds, and this was wanted from it.
    Done(T),
    /// Not yet; how it stands.
    Waiting(String),
    /// It will never hold, and why.
    Never(String),
}

/// Looks until the condition holds. Panics with how it stood last when `limit` has passed, or when it never will.
pub async fn wait_until<T>(
    what: &str,
    limit: Duration,
    mut probe: impl AsyncFnMut() -> Probe<T>,
) -> T {
    let mut waiting = Waiting::new(what, limit);
    loop {
        match probe().await {
            Probe::Done(value) => return value,
            Probe::Waiting(state) => waiting.still(state),
            Probe::Never(why) => panic!("waited for {what}, which will never be: {why}"),
        }
        tokio::time::sleep(PAUSE.min(waiting.left())).await;
    }
}

/// Tells people what goes on, with the name of the test that it goes on in.
pub fn say(text: &str) {
    let thread = std::thread::current();
    eprintln!("{}: {text}", thread.name().unwrap_or("a test"));
}

/// A wait under way: reports how it stands and gives up in time.
pub(crate) struct Waiting {
    what: String,
    began: Instant,
    limit: Duration,
    reported: Instant,
    state: String,
}

impl Waiting {
    pub(crate) fn new(what: &str, limit: Duration) -> Self {
        let now = Instant::now();
        Self {
            what: what.to_owned(),
            began: now,
            limit,
            reported: now,
            state: "nothing seen yet".to_owned(),
        }
    }

    /// Panics if the time is over; reports the state now and then.
    pub(crate) fn still(&mut self, state: String) {
        self.state = state;
        if self.left().is_zero() {
            self.give_up();
        }
        if self.reported.elapsed() >= REPORT {
            self.reported = Instant::now();
            say(&format!(
                "{} s: waiting for {}: {}",
                self.began.elapsed().as_secs(),
                self.what,
                self.state
            ));
        }
    }

    pub(crate) fn left(&self) -> Duration {
        self.limit.saturating_sub(self.began.elapsed())
    }

    pub(crate) fn give_up(&self) -> ! {
        panic!(
            "waited {} s for {}, at last: {}",
            self.limit.as_secs(),
            self.what,
            self.state
        )
    }
}
