//! What every process is told, by flag or by environment.

use std::net::SocketAddr;
use std::time::Duration;

use clap::{Args, ValueEnum};

/// Arguments that worker, producer and auditor share.
#[derive(Clone, Debug, Args)]
pub struct Common {
    /// Where NATS is.
    #[arg(
        long,
        global = true,
        env = "NATS_URL",
        default_value = "nats://127.0.0.1:4222"
    )]
    pub nats_url: String,
    /// How many partitions there are.
    #[arg(long, env = "PARTITIONS", value_parser = count())]
    pub partitions: u32,
    /// The name of this pod: for logs and holders' names, never for ownership.
    #[arg(long, global = true, env = "POD_NAME", default_value = "local")]
    pub pod_name: String,
    /// Where to serve /metrics, /healthz and /readyz.
    #[arg(long, global = true, env = "HTTP_ADDR", default_value = "0.0.0.0:8080")]
    pub http_addr: SocketAddr,
    /// How to log.
    #[arg(long, global = true, env = "LOG_FORMAT", default_value = "json")]
    pub log_format: LogFormat,
}

/// How to log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// One JSON object a line.
    #[default]
    Json,
    /// For eyes.
    Pretty,
}

/// A count of at least one.
pub fn count() -> impl clap::builder::TypedValueParser<Value = u32> {
    clap::value_parser!(u32).range(1..)
}

/// A duration such as `10ms`, `1s`, `2m` or `1h30m`.
pub fn duration(text: &str) -> Result<Duration, String> {
    const HELP: &str = "use h, m, s and ms, such as 10ms or 1m30s";
    let mut total = Duration::ZERO;
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).ok_or(HELP)?;
        let count: u32 = rest[..digits].parse().map_err(|_| HELP)?;
        rest = &rest[digits..];
        let unit = rest
            .find(|c: char| c.is_ascii_digit())
            .unwrap_or(rest.len());
        let one = match &rest[..unit] {
            "h" => Duration::from_secs(3600),
            "m" => Duration::from_secs(60),
            "s" => Duration::from_secs(1),
            "ms" => Duration::from_millis(1),
            _ => return Err(HELP.into()),
        };
        total += one.checked_mul(count).ok_or("too long")?;
        rest = &rest[unit..];
    }
    if text.is_empty() {
        Err(HELP.into())
    } else {
        Ok(total)
    }
}

/// A finite number above zero.
pub fn positive(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(value) if value.is_finite() && value > 0.0 => Ok(value),
        _ => Err("must be a number above 0".into()),
    }
}

/// A number from 0 to 100.
pub fn percent(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(value) if (0.0..=100.0).contains(&value) => Ok(value),
        _ => Err("must be a number from 0 to 100".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_as_the_api_writes_them() {
        assert_eq!(duration("10ms"), Ok(Duration::from_millis(10)));
        assert_eq!(duration("1m30s"), Ok(Duration::from_secs(90)));
        assert_eq!(duration("0s"), Ok(Duration::ZERO));
        for wrong in ["", "10", "ms", "1d", "-1s", "1 s"] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn rates_are_positive() {
        assert_eq!(positive("0.5"), Ok(0.5));
        for wrong in ["0", "-1", "NaN", "inf", "x"] {
            assert!(positive(wrong).is_err(), "{wrong}");
        }
        assert_eq!((percent("0"), percent("100")), (Ok(0.0), Ok(100.0)));
        for wrong in ["-1", "100.1", "NaN", "5%"] {
            assert!(percent(wrong).is_err(), "{wrong}");
        }
    }
}
