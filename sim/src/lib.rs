//! A partitioned work system on NATS `JetStream`, built to be soaked: producers publish numbered
//! messages to partitions, workers share the partitions and take over from one another, and an
//! independent auditor proves that no number was lost.
//!
//! Correct under chaos, every task accounted for, and with leaks that can be switched on, it is
//! both a demonstration and the ground truth that an operator's judgement is tested against.
//!
//! Where to look: [`worker`], [`producer`] and [`audit`] say what each process is made of.
//! [`claim`] and [`assignment`] decide who owns what, [`ledger`] keeps what was received,
//! [`tasks`] keeps every task, `leak` breaks that on purpose.

pub mod args;
pub mod assignment;
pub mod audit;
pub mod claim;
mod consume;
mod control;
pub mod intervals;
mod leak;
pub mod ledger;
pub mod logging;
pub mod message;
pub mod names;
pub mod nats;
mod process;
pub mod producer;
mod publish;
mod pull;
pub mod signals;
pub mod tasks;
pub mod telemetry;
pub mod weights;
pub mod worker;

pub use consume::Delay;
pub use leak::{LeakMode, Leaks};
