//! Logs: one JSON object a line for machines, or pretty ones for eyes.

use tracing_subscriber::EnvFilter;

use crate::args::LogFormat;

/// Starts logging to standard error at `info`, or as `RUST_LOG` says.
pub fn start(format: LogFormat) {
    // The client announces each of its events at `info`; we say what matters ourselves.
    let filter = EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| EnvFilter::new("info,async_nats=warn"));
    let logs = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    match format {
        LogFormat::Json => logs.json().flatten_event(true).init(),
        LogFormat::Pretty => logs.init(),
    }
}
