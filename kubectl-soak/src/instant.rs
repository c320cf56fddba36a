//! Instants as people give them.

use std::str::FromStr;

use anyhow::anyhow;
use jiff::{SignedDuration, Timestamp};
use soak_verdict::Span;

/// An instant, fixed or relative to when the program was started.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Instant {
    At(Timestamp),
    Ago(SignedDuration),
}

impl Instant {
    /// In whole seconds, as Prometheus is asked.
    pub(crate) fn resolve(self, now: Timestamp) -> anyhow::Result<Timestamp> {
        let at = match self {
            Self::At(at) => at,
            Self::Ago(ago) => now.checked_sub(ago)?,
        };
        Ok(Timestamp::from_second(at.as_second())?)
    }
}

impl FromStr for Instant {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "now" {
            return Ok(Self::Ago(SignedDuration::ZERO));
        }
        let ago = text.strip_prefix("now").unwrap_or(text).strip_prefix('-');
        if let Some(span) = ago.and_then(|ago| ago.parse::<Span>().ok()) {
            return Ok(Self::Ago(span.duration().try_into()?));
        }
        if let Ok(at) = text.parse::<Timestamp>() {
            return Ok(Self::At(at));
        }
        text.parse::<f64>()
            .ok()
            .and_then(|seconds| SignedDuration::try_from_secs_f64(seconds).ok())
            .and_then(|since| Timestamp::from_duration(since).ok())
            .filter(|at| *at >= Timestamp::UNIX_EPOCH)
            .map(Self::At)
            .ok_or_else(|| {
                anyhow!(
                    "use 2026-07-01T12:00:00Z, Unix seconds, now, or a time before now such as -6h"
                )
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolved(text: &str) -> String {
        let now = "2026-07-01T12:00:00.9Z".parse().expect("an instant");
        let instant: Instant = text.parse().expect("an instant");
        instant.resolve(now).expect("in range").to_string()
    }

    #[test]
    fn an_instant_is_a_date_a_number_or_some_time_before_now() {
        assert_eq!(resolved("2026-07-01T06:00:00Z"), "2026-07-01T06:00:00Z");
        assert_eq!(
            resolved("2026-07-01T06:00:00+02:00"),
            "2026-07-01T04:00:00Z"
        );
        assert_eq!(resolved("1782885600"), "2026-07-01T06:00:00Z");
        assert_eq!(resolved("1782885600.7"), "2026-07-01T06:00:00Z");
        assert_eq!(resolved("now"), "2026-07-01T12:00:00Z");
        assert_eq!(resolved("-6h"), "2026-07-01T06:00:00Z");
        assert_eq!(resolved("now-1h30m"), "2026-07-01T10:30:00Z");
    }

    #[test]
    fn what_is_no_instant_is_refused() {
        for text in [
            "",
            "yesterday",
            "-6",
            "6h",
            "-7d",
            "NaN",
            "1e300",
            "2026-07-01T06:00:00",
        ] {
            assert!(text.parse::<Instant>().is_err(), "{text}");
        }
    }
}
