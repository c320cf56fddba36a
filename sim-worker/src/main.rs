//! A worker of the simulation, or with `audit` its auditor.

use std::time::Duration;

use anyhow::{Context, ensure};
use clap::{Parser, Subcommand};
use soak_sim::args::{Common, count, duration};
use soak_sim::assignment::{Shares, Strategy};
use soak_sim::weights::Weights;
use soak_sim::{Delay, Leaks, audit, logging, signals, worker};

/// Consumes the partitions that the assignment gives it.
#[derive(Debug, Parser)]
#[command(version, about, subcommand_negates_reqs = true)]
struct Args {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    common: Common,
    /// How many workers are planned.
    #[arg(long, env = "WORKERS", required = true, value_parser = count())]
    workers: Option<u32>,
    /// Shortest time that processing a message takes.
    #[arg(long, env = "PROCESSING_DELAY_MIN", default_value = "10ms", value_parser = duration)]
    processing_delay_min: Duration,
    /// Longest time that processing a message takes.
    #[arg(long, env = "PROCESSING_DELAY_MAX", default_value = "50ms", value_parser = duration)]
    processing_delay_max: Duration,
    /// How partitions are shared out among workers.
    #[arg(long, env = "ASSIGNMENT", default_value = "ConsistentHash")]
    assignment: Strategy,
    #[command(flatten)]
    weights: Weights,
    #[command(flatten)]
    leaks: Leaks,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Reads streams and ledger independently of all workers, and counts what was lost.
    Audit,
}

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    logging::start(args.common.log_format);
    let runtime = signals::runtime()?;
    if let Some(Command::Audit) = args.command {
        runtime.block_on(signals::run_until_signalled(|stop| {
            audit::run(args.common, stop)
        }))?;
    } else {
        let config = worker_config(args)?;
        runtime.block_on(signals::run_until_signalled(|stop| {
            worker::run(config, stop)
        }))?;
    }
    // Orphans of a leak mode would be waited for otherwise.
    runtime.shutdown_background();
    Ok(())
}

fn worker_config(args: Args) -> anyhow::Result<worker::Config> {
    let delay = Delay {
        min: args.processing_delay_min,
        max: args.processing_delay_max,
    };
    ensure!(
        delay.min <= delay.max,
        "PROCESSING_DELAY_MIN must not be longer than PROCESSING_DELAY_MAX"
    );
    let shares = Shares {
        strategy: args.assignment,
        weights: args.weights.of(args.common.partitions),
    };
    Ok(worker::Config {
        common: args.common,
        shares,
        workers: args.workers.context("WORKERS must be given")?,
        delay,
        leak: args.leaks,
    })
}
