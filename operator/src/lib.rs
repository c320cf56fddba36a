//! The soak operator: `SoakTest`s in, verdicts out.
//!
//! The story begins in `controller.rs`. Public is what other programs need: the start of the operator, the client of
//! Prometheus, and what can be told of a soak before it begins.

mod act;
mod aside;
mod chaos;
mod clock;
mod config;
mod context;
mod controller;
mod counted;
mod decide;
mod decision;
mod effects;
mod facts;
mod health;
mod journal;
mod judge;
mod leader;
mod lease;
mod metrics;
mod mutant;
mod observe;
mod observed;
mod outside;
pub mod prometheus;
mod reasons;
mod record;
pub mod rehearsal;
mod runtime;
mod server;
#[cfg(test)]
mod simulation;
mod workload;

pub use config::{Config, LogFormat};
pub use runtime::run;
