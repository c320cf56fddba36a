//! `kubectl soak`: the soak operator for people at a terminal, and for scripts.
//!
//! Each subcommand is a module; what it came to is told by its exit code as well.

mod fetch;
mod file;
mod incarnations;
mod instant;
mod judge;
mod report;
mod table;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use soak_verdict::Outcome;

/// Soak tests of workloads on Kubernetes.
#[derive(Debug, Parser)]
#[command(
    name = "kubectl soak",
    bin_name = "kubectl soak",
    version,
    after_help = "Exit codes: 0 Passed, 1 Failed, 2 Inconclusive, 4 an error that left nothing judged."
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Judge a soak that is over, from a file or from Prometheus
    Judge(judge::Args),
    /// Make a report of a soak that has ended: a page, or what CI and pull requests show
    Report(report::Args),
}

/// No outcome at all: neither clap's 2 nor Rust's 1 will do, for a script would read them as one.
const ERROR: u8 = 4;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    // Two providers in one process would panic at the first handshake.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(told) => {
            let _ = told.print();
            return if told.use_stderr() {
                ExitCode::from(ERROR)
            } else {
                ExitCode::SUCCESS
            };
        }
    };
    let result = match cli.command {
        Command::Judge(args) => judge::run(args).await.map(code),
        // It tells of an outcome, and is none.
        Command::Report(args) => report::run(args).await.map(|()| 0),
    };
    match result {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(ERROR)
        }
    }
}

fn code(outcome: Outcome) -> u8 {
    match outcome {
        Outcome::Passed => 0,
        Outcome::Failed => 1,
        Outcome::Inconclusive => 2,
    }
}
