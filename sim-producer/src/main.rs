//! A producer of the simulation.

use clap::Parser;
use soak_sim::args::{Common, count, positive};
use soak_sim::weights::Weights;
use soak_sim::{Leaks, logging, producer, signals};

/// Publishes numbered messages to the partitions that fall to its id.
#[derive(Debug, Parser)]
#[command(version, about)]
struct Args {
    #[command(flatten)]
    common: Common,
    /// How many producers are planned.
    #[arg(long, env = "PRODUCERS", value_parser = count())]
    producers: u32,
    /// Messages per second to a partition of weight 1.
    #[arg(long, env = "MESSAGE_RATE", default_value = "1", value_parser = positive)]
    message_rate: f64,
    /// The least size of a message in bytes; the message itself takes some 50.
    #[arg(long, env = "PAYLOAD_BYTES", default_value = "0")]
    payload_bytes: usize,
    #[command(flatten)]
    weights: Weights,
    #[command(flatten)]
    leaks: Leaks,
}

fn main() -> anyhow::Result<()> {
    let Args {
        common,
        producers,
        message_rate,
        payload_bytes,
        weights,
        leaks,
    } = Args::parse();
    logging::start(common.log_format);
    let config = producer::Config {
        weights: weights.of(common.partitions),
        common,
        producers,
        message_rate,
        payload_bytes,
        leak: leaks,
    };
    let runtime = signals::runtime()?;
    runtime.block_on(signals::run_until_signalled(|stop| {
        producer::run(config, stop)
    }))?;
    runtime.shutdown_background();
    Ok(())
}
