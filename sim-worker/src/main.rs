//! A worker of the simulation, or with `audit` its auditor.

use std::time::Duration;

use clap::{Parser, Subcommand};
use soak_sim::args::{Common, duration};
use soak_sim::{Delay, LeakMode, audit, logging, signals, worker};

/// Consumes the partitions that the assignment gives it.
#[derive(Debug, Parser)]
#[command(
    version,
    about,
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true
)]
struct Args {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    worker: Option<Worker>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Reads stream and ledger independently of all workers, and counts what was lost.
    Audit(Common),
}

#[derive(Debug, clap::Args)]
struct Worker {
    #[command(flatten)]
    common: Common,
    /// How many workers are planned.
    #[arg(long, env = "WORKERS", value_parser = clap::value_parser!(u32).range(1..))]
    workers: u32,
    /// Shortest time that processing a message takes.
    #[arg(long, env = "PROCESSING_DELAY_MIN", default_value = "10ms", value_parser = duration)]
    processing_delay_min: Duration,
    /// Longest time that processing a message takes.
    #[arg(long, env = "PROCESSING_DELAY_MAX", default_value = "50ms", value_parser = duration)]
    processing_delay_max: Duration,
    /// What to leak.
    #[arg(long, env = "LEAK_MODE", default_value = "None")]
    leak_mode: LeakMode,
}

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let runtime = signals::runtime()?;
    match (args.command, args.worker) {
        (Some(Command::Audit(common)), _) => {
            logging::start(common.log_format);
            runtime.block_on(signals::run_until_signalled(|stop| {
                audit::run(common, stop)
            }))?;
        }
        (
            None,
            Some(Worker {
                common,
                workers,
                processing_delay_min,
                processing_delay_max,
                leak_mode,
            }),
        ) => {
            anyhow::ensure!(
                processing_delay_min <= processing_delay_max,
                "PROCESSING_DELAY_MIN must not be longer than PROCESSING_DELAY_MAX"
            );
            logging::start(common.log_format);
            let delay = Delay {
                min: processing_delay_min,
                max: processing_delay_max,
            };
            let config = worker::Config {
                common,
                workers,
                delay,
                leak: leak_mode,
            };
            runtime.block_on(signals::run_until_signalled(|stop| {
                worker::run(config, stop)
            }))?;
        }
        (None, None) => anyhow::bail!("PARTITIONS and WORKERS must be given"),
    }
    // Orphans of a leak mode would be waited for otherwise.
    runtime.shutdown_background();
    Ok(())
}
