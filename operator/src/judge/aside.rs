//! Work that keeps nobody waiting.

/// Works something out where it keeps nobody waiting: all soaks share the threads that answer the cluster.
pub(super) async fn aside<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, String> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| format!("the judge did not come to an end: {error}"))
}
