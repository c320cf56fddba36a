//! Starts the operator.

use anyhow::Context;
use clap::Parser;
use soak_operator::Config;

fn main() -> anyhow::Result<()> {
    let config = Config::parse();
    let runtime = tokio::runtime::Runtime::new().context("failed to start")?;
    let outcome = runtime.block_on(soak_operator::run(config));
    // What is being judged is judged again by whoever comes next, and holds nobody up here.
    runtime.shutdown_background();
    outcome
}
