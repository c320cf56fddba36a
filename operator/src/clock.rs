//! The time of day.

use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;

/// Tells the time: the machine's, or one that a simulation moves.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Clock {
    /// What it was at an instant of the runtime's own clock, which a simulation moves; the machine's time without one.
    set: Option<(Timestamp, Instant)>,
}

impl Clock {
    /// A clock that shows `time` now and goes as the runtime's own clock does.
    #[cfg(test)]
    pub(crate) fn set_to(time: Timestamp) -> Self {
        Self {
            set: Some((time, Instant::now())),
        }
    }

    /// The instant, in whole milliseconds, as it is written everywhere.
    pub(crate) fn now(self) -> Timestamp {
        let now = self.set.map_or_else(Timestamp::now, |(time, since)| {
            SignedDuration::try_from(since.elapsed()).map_or(time, |gone| time + gone)
        });
        Timestamp::from_millisecond(now.as_millisecond()).unwrap_or_default()
    }
}
