//! The end of a process: SIGTERM or SIGINT, within the grace that a killed pod has.

use std::future::Future;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing::warn;

/// A kubelet kills two seconds after SIGTERM at the shortest grace: ending later is the same as
/// being killed.
const GRACE: Duration = Duration::from_millis(2500);

/// The runtime of every process: one thread, so that memory and tasks compare between nodes of
/// different sizes. All messages pass the one task that has the connection: with a second thread,
/// threads that wake one another take half of what publishing costs.
pub fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
}

/// Runs a process until it ends by itself, or a signal has told it to and it has, or [`GRACE`]
/// is over.
pub async fn run_until_signalled<R, F>(run: R) -> std::io::Result<()>
where
    R: FnOnce(CancellationToken) -> F,
    F: Future<Output = std::io::Result<()>>,
{
    let (mut terminate, mut interrupt) = (
        signal(SignalKind::terminate())?,
        signal(SignalKind::interrupt())?,
    );
    let stop = CancellationToken::new();
    let signalled = async {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        stop.cancel();
        tokio::time::sleep(GRACE).await;
    };
    tokio::select! {
        ended = run(stop.clone()) => ended,
        () = signalled => {
            warn!("not everything has ended in time");
            Ok(())
        }
    }
}
