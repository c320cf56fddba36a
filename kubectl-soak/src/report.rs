//! `kubectl soak report`: what a soak came to, for people, pull requests and CI. It needs neither the workload nor
//! Prometheus, only the evidence that the operator kept, from the cluster or from a file.

mod chart;
mod csv;
#[cfg(test)]
#[path = "../tests/evidence/mod.rs"]
mod evidence;
mod junit;
mod markdown;
mod page;
mod scene;
mod source;
mod view;

use std::io::{ErrorKind, IsTerminal, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::ValueEnum;

use self::junit::Inconclusive;
use self::view::View;
use crate::cluster;

/// Makes a report of a soak that has ended.
#[derive(Debug, clap::Args)]
#[command(
    override_usage = "kubectl soak report [OPTIONS] NAME\n       kubectl soak report [OPTIONS] --evidence FILE"
)]
pub(crate) struct Args {
    /// The SoakTest
    #[arg(required_unless_present = "evidence", value_parser = cluster::soak_name)]
    name: Option<String>,

    #[command(flatten)]
    cluster: cluster::Args,

    /// The evidence itself, evidence.json.gz, instead of a SoakTest: no cluster is asked
    #[arg(long, value_name = "FILE", conflicts_with_all = ["name", "namespace", "context", "kubeconfig"])]
    evidence: Option<PathBuf>,

    /// What is made
    #[arg(short, long, value_enum, value_name = "FORMAT", default_value = "html")]
    output: Format,

    /// Where it is written, - for standard output; where left out to standard output, but a page that would fill the terminal goes to NAME.html
    #[arg(long, value_name = "FILE")]
    output_file: Option<PathBuf>,

    /// Show the file in the program that is meant for it, such as a browser
    #[arg(long)]
    open: bool,

    /// What JUnit is told of a criterion that could be proven neither way
    #[arg(long, value_enum, value_name = "WHAT", default_value = "failure")]
    inconclusive: Inconclusive,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// A page in one file, to read and to keep
    Html,
    /// A comment on a pull request
    Markdown,
    /// For CI: a test case for each criterion
    Junit,
    /// The evidence itself
    Json,
    /// For spreadsheets: a row for each criterion
    Csv,
}

/// Makes the report, and says where it is if it is a file.
pub(crate) async fn run(args: Args) -> anyhow::Result<()> {
    let evidence = match (&args.evidence, &args.name) {
        (Some(path), _) => source::file(path)?,
        (None, Some(name)) => source::cluster(name, &args.cluster.open().await?).await?,
        (None, None) => bail!("name a SoakTest, or give --evidence"),
    };
    let view = View::of(&evidence)?;
    let text = match args.output {
        Format::Html => page::of(&view)?,
        Format::Markdown => markdown::of(&view),
        Format::Junit => junit::of(&view, args.inconclusive)?,
        Format::Json => serde_json::to_string_pretty(&evidence)? + "\n",
        Format::Csv => csv::of(&view)?,
    };
    let Some(path) = destination(&args, &view, std::io::stdout().is_terminal()) else {
        if args.open {
            bail!("--open shows a file: give --output-file as well");
        }
        return print(&text);
    };
    std::fs::write(&path, text).with_context(|| format!("failed to write {}", path.display()))?;
    eprintln!("wrote {}", path.display());
    if args.open {
        show(&path)?;
    }
    Ok(())
}

/// Opens a file as the desktop does, by xdg-open or what else is there. The whole path is for people whose desktop is
/// elsewhere, and for names such as `a:b.html`, which would pass for a URL.
fn show(path: &Path) -> anyhow::Result<()> {
    let path = std::path::absolute(path).context("failed to find out the current directory")?;
    open::that_detached(&path).with_context(|| {
        format!(
            "no program here shows files: open {} in a browser yourself",
            path.display()
        )
    })
}

/// The file that is written, if it is one. A page for somebody to look at has one of its own: nobody reads it in a terminal.
fn destination(args: &Args, view: &View<'_>, terminal: bool) -> Option<PathBuf> {
    match &args.output_file {
        Some(path) if path == Path::new("-") => None,
        Some(path) => Some(path.clone()),
        None if args.output == Format::Html && (terminal || args.open) => {
            Some(PathBuf::from(file_name(view.name())))
        }
        None => None,
    }
}

/// A name from a file may be anything, and must not lead out of the directory.
fn file_name(name: &str) -> String {
    let safe = |c: char| {
        if c.is_ascii_alphanumeric() || c == '-' {
            c
        } else {
            '_'
        }
    };
    let name: String = name.chars().take(100).map(safe).collect();
    let name = if name.is_empty() { "soak" } else { &name };
    format!("{name}.html")
}

/// A reader that has seen enough, such as `head`, is no error.
fn print(text: &str) -> anyhow::Result<()> {
    match std::io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(error).context("failed to write the report")
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Cli {
        #[command(flatten)]
        args: Args,
    }

    #[test]
    fn a_page_has_a_file_of_its_own_only_where_it_would_fill_the_terminal() {
        let evidence = evidence::twin(true);
        let view = View::of(&evidence).expect("a view");
        let goes = |flags: &[&str], terminal| {
            let args = [&["report", "leaking"], flags].concat();
            let args = Cli::try_parse_from(args).expect("arguments").args;
            destination(&args, &view, terminal)
        };
        let page = Some(PathBuf::from("leaking.html"));
        assert_eq!(goes(&[], true), page);
        assert_eq!(goes(&["--open"], false), page);
        assert_eq!(goes(&[], false), None);
        assert_eq!(goes(&["-o", "markdown"], true), None);
        assert_eq!(goes(&["--output-file", "-"], true), None);
    }

    #[test]
    fn a_name_does_not_lead_out_of_the_directory() {
        assert_eq!(file_name("partitions-6h"), "partitions-6h.html");
        assert_eq!(file_name("../../etc/passwd"), "______etc_passwd.html");
        assert_eq!(file_name(""), "soak.html");
    }
}
