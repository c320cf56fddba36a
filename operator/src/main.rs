//! Starts the operator.

use clap::Parser;
use soak_operator::Config;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    soak_operator::run(Config::parse()).await
}
