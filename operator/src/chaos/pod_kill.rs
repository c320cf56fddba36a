//! podKill: the shortest grace period at which the pod's object outlives its container.

/// At 1 the kubelet sends SIGTERM and, about two seconds later, SIGKILL.
pub(super) const GRACE_PERIOD_SECONDS: u32 = 1;
