//! The operator's own code in a simulated cluster, on a simulated clock, under every fault that we can think of.
//!
//! What runs is what runs in a cluster: the Lease's keeper, the watch's facts, observe, decide, record, act and the
//! judges, over kube's client. What is modelled is what lies beyond: an API server that conflicts, refuses, hangs and
//! loses answers after it has done what it was asked; a watch that lags and begins anew; a kubelet with slow starts;
//! a Prometheus with outages. Two operators fight over one soak; each is killed between any two of its awaits, and at
//! times stopped like a process that does not know that it was.
//!
//! Everything is drawn from one seed: a run that breaks a promise prints its history and is repeated by its seed.

mod afterwards;
mod api_server;
mod at_the_end;
mod cluster;
mod faults;
mod history;
mod operators;
mod prometheus;
mod promises;
mod runs;

pub(crate) use self::cluster::Model;
