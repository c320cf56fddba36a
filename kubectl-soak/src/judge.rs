//! `kubectl soak judge`: a verdict on a soak that is over, without a cluster.

use std::io::{ErrorKind, Write};
use std::path::PathBuf;

use anyhow::Context;
use clap::ValueEnum;
use soak_verdict::{Outcome, Recording, Report};

use crate::fetch::{self, fetch};
use crate::{file, table};

/// Judges a recording, or what Prometheus has recorded.
#[derive(Debug, clap::Args)]
#[command(
    override_usage = "kubectl soak judge [OPTIONS] FILE\n       kubectl soak judge [OPTIONS] --prometheus URL --query EXPR --start TIME"
)]
pub(crate) struct Args {
    /// A recording in JSON, or - for standard input
    #[arg(required_unless_present = "prometheus", conflicts_with = "prometheus")]
    file: Option<PathBuf>,

    #[command(flatten)]
    source: fetch::Args,

    /// What the soak is held to, instead of what the recording says: a list in YAML or JSON, as in a SoakTest
    #[arg(long, value_name = "FILE")]
    criteria: Option<PathBuf>,

    /// How the report is written
    #[arg(
        short,
        long,
        value_enum,
        value_name = "FORMAT",
        default_value = "table"
    )]
    output: Format,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Format {
    /// The whole report, for programs
    Json,
    /// For people
    Table,
}

/// Judges, and writes the report to standard output.
pub(crate) async fn run(args: Args) -> anyhow::Result<Outcome> {
    let criteria = args.criteria.as_deref().map(file::criteria).transpose()?;
    let mut recording = match &args.file {
        Some(path) => file::recording(path)?,
        None => fetch(&args.source, criteria.is_some()).await?,
    };
    if let Some(criteria) = criteria {
        recording.criteria = criteria;
    }
    let report = recording.judge();
    print(&written(&report, &recording, args.output)?)?;
    Ok(report.outcome)
}

fn written(report: &Report, recording: &Recording, format: Format) -> anyhow::Result<String> {
    match format {
        Format::Table => Ok(table::of(report, recording)),
        Format::Json => serde_json::to_string_pretty(report)
            .map(|json| json + "\n")
            .context("failed to write the report as JSON"),
    }
}

/// A reader that has seen enough, such as `head`, is no error: the exit code still tells the outcome.
fn print(text: &str) -> anyhow::Result<()> {
    match std::io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(error).context("failed to write the report")
        }
        _ => Ok(()),
    }
}
