//! `kubectl soak judge`: a verdict on a soak that is over, without a cluster.

use std::path::PathBuf;

use anyhow::{Context, bail};
use clap::ValueEnum;
use soak_verdict::{Outcome, Recording, Report};

use crate::fetch::{self, fetch};
use crate::{file, print, table};

/// Judges a recording, or what Prometheus has recorded.
#[derive(Debug, clap::Args)]
#[command(
    override_usage = "kubectl soak judge [OPTIONS] FILE...\n       kubectl soak judge [OPTIONS] --prometheus URL --query EXPR --start TIME"
)]
pub(crate) struct Args {
    /// Recordings in JSON of one soak, such as its tasks and its memory, or - for standard input
    #[arg(
        value_name = "FILE",
        required_unless_present = "prometheus",
        conflicts_with = "prometheus"
    )]
    files: Vec<PathBuf>,

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
    let recordings = if args.files.is_empty() {
        let recording = fetch(&args.source, criteria.unwrap_or_default()).await?;
        vec![(String::new(), recording)]
    } else {
        let mut recordings = read(&args.files)?;
        if let Some(criteria) = criteria {
            for (_, recording) in &mut recordings {
                recording.criteria.clone_from(&criteria);
            }
        }
        recordings
    };
    let report = Report::of_all(&recordings);
    print(&written(&report, args.output)?)?;
    Ok(report.outcome)
}

/// The recordings under the names by which the report tells them apart.
fn read(files: &[PathBuf]) -> anyhow::Result<Vec<(String, Recording)>> {
    let mut recordings = Vec::new();
    for (place, path) in files.iter().enumerate() {
        if files[..place].contains(path) {
            bail!(
                "{} is given twice: name each recording once",
                path.display()
            );
        }
        recordings.push((path.display().to_string(), file::recording(path)?));
    }
    Ok(recordings)
}

fn written(report: &Report, format: Format) -> anyhow::Result<String> {
    match format {
        Format::Table => Ok(table::of(report)),
        Format::Json => serde_json::to_string_pretty(report)
            .map(|json| json + "\n")
            .context("failed to write the report as JSON"),
    }
}
