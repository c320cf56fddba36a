//! `OrphanedPullLoop`: whenever an assignment takes a partition away from a worker, the pull loop
//! of that partition is let go instead of stopped and awaited, and stays blocked for good.
//!
//! One event is one partition taken away. It costs one task of component `consume` and
//! [`BYTES_PER_ORPHAN`] of resident memory, until the process ends. A worker killed and replaced
//! takes its share from the survivors and hands it back: with 60 partitions and 6 workers that is
//! about two events in each survivor. The orphan takes no messages: it has given up its pull
//! request, but not itself.

use std::hint::black_box;

/// What an orphan keeps besides its task: the buffer it would have fetched into.
pub(crate) const BYTES_PER_ORPHAN: usize = 64 * 1024;

/// Blocks forever, as a loop does that waits for a message which is now another's.
pub(crate) async fn block_forever() {
    // Written to, so that it is resident and not only reserved.
    let buffer = black_box(vec![0xA5_u8; BYTES_PER_ORPHAN]);
    std::future::pending::<()>().await;
    drop(buffer);
}
