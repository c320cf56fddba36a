//! `kubectl soak`: the soak operator for people at a terminal, and for scripts.
//!
//! Each subcommand is a module; what it came to is told by its exit code as well.

mod abort;
mod cluster;
mod complete;
mod completion;
mod describe;
mod document;
mod events;
#[cfg(test)]
mod example;
mod fetch;
mod file;
mod incarnations;
mod init;
mod input;
mod instant;
mod judge;
mod lint;
mod list;
mod node;
mod plan;
mod refused;
mod repeated;
mod report;
mod run;
mod table;
mod timeline;
mod version;
mod watch;
mod wording;

use std::io::{ErrorKind, Write};
use std::process::ExitCode;

use anyhow::Context;
use clap::{Parser, Subcommand};
use soak_api::SoakOutcome;
use soak_verdict::Outcome;

use crate::watch::End;

/// Soak tests of workloads on Kubernetes.
#[derive(Debug, Parser)]
#[command(
    name = "kubectl soak",
    bin_name = "kubectl soak",
    version,
    after_help = "Exit codes: 0 Passed or done, 1 Failed or something to mend, 2 Inconclusive, 3 Aborted or Error, \
                  4 an error that left nothing judged or done, 130 left before the end."
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Run(run::Args),
    Watch(watch::Args),
    List(list::Args),
    Describe(describe::Args),
    Abort(abort::Args),
    Init(init::Args),
    Lint(lint::Args),
    Plan(plan::Args),
    /// Judge a soak that is over, from a file or from Prometheus
    Judge(judge::Args),
    /// Make a report of a soak that has ended: a page, or what CI and pull requests show
    Report(report::Args),
    Completion(completion::Args),
    #[command(name = "__complete", hide = true)]
    Complete(complete::Args),
    /// Show what this program is
    Version,
}

/// No outcome at all: neither clap's 2 nor Rust's 1 will do, for a script would read them as one.
const ERROR: u8 = 4;

/// What shells give for Ctrl-C.
const LEFT: u8 = 130;

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
    match Box::pin(run(cli.command)).await {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(ERROR)
        }
    }
}

async fn run(command: Command) -> anyhow::Result<u8> {
    let text = match command {
        Command::Run(args) => {
            let end = Box::pin(run::run(&args)).await?;
            return Ok(end.map_or(0, ended));
        }
        Command::Watch(args) => return Box::pin(watch::run(&args)).await.map(ended),
        Command::Lint(args) => {
            let linted = lint::run(&args)?;
            print(&linted.text)?;
            return match linted.problem {
                Some(problem) => Err(problem),
                None => Ok(u8::from(!linted.clean)),
            };
        }
        Command::List(args) => list::run(&args).await?,
        Command::Describe(args) => describe::run(&args).await?,
        Command::Init(args) => init::run(&args).await?,
        Command::Abort(args) => abort::run(&args).await?,
        Command::Plan(args) => plan::run(&args)?,
        Command::Judge(args) => return judge::run(args).await.map(code),
        // It tells of an outcome, and is none.
        Command::Report(args) => return report::run(args).await.map(|()| 0),
        Command::Completion(args) => completion::run(&args)?,
        Command::Complete(args) => complete::run(&args).await,
        Command::Version => version::run(),
    };
    print(&text)?;
    Ok(0)
}

/// A reader that has seen enough, such as `head`, is no error: the exit code still tells the rest.
fn print(text: &str) -> anyhow::Result<()> {
    match std::io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(error).context("failed to write to standard output")
        }
        _ => Ok(()),
    }
}

fn code(outcome: Outcome) -> u8 {
    match outcome {
        Outcome::Passed => 0,
        Outcome::Failed => 1,
        Outcome::Inconclusive => 2,
    }
}

/// A soak that somebody ended, or that could not be run, is none of the three that were judged; nor is one that goes on.
fn ended(end: End) -> u8 {
    match end {
        End::Outcome(SoakOutcome::Passed) => 0,
        End::Outcome(SoakOutcome::Failed) => 1,
        End::Outcome(SoakOutcome::Inconclusive) => 2,
        End::Outcome(SoakOutcome::Aborted | SoakOutcome::Error) | End::Deleted => 3,
        End::Left => LEFT,
    }
}
