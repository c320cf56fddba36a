//! Work that keeps nobody waiting.

/// Works something out where it keeps nobody waiting: all soaks share the threads that answer the cluster.
pub(crate) async fn aside<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, String> {
    // Which thread comes first hangs on the machine, and a simulated history on nothing but its seed.
    if cfg!(test) {
        return Ok(work());
    }
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| format!("the work did not come to an end: {error}"))
}
