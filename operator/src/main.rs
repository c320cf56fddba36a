//! The soak operator: `SoakTest`s in, verdicts out.
//!
//! The story begins in `controller.rs`.

mod act;
mod chaos;
mod config;
mod context;
mod controller;
mod decide;
mod facts;
mod journal;
mod judge;
mod lease;
mod metrics;
mod observe;
mod plan;
mod reasons;
mod record;
mod runtime;
mod server;
mod workload;

use clap::Parser;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    runtime::run(config::Config::parse()).await
}
