//! `kubectl soak completion`: what a shell, or kubectl, reads to complete the commands.

use clap::{CommandFactory, ValueEnum};
use clap_complete::Shell;

use crate::Cli;
use crate::complete::SCRIPT;

/// Write the completion script of a shell, or of kubectl for its own completion
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Who reads it: a shell completes kubectl-soak, kubectl completes kubectl soak
    #[arg(value_enum)]
    reader: Reader,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Reader {
    Bash,
    Elvish,
    Fish,
    Powershell,
    Zsh,
    Kubectl,
}

/// The script.
pub(crate) fn run(args: &Args) -> anyhow::Result<String> {
    let shell = match args.reader {
        Reader::Bash => Shell::Bash,
        Reader::Elvish => Shell::Elvish,
        Reader::Fish => Shell::Fish,
        Reader::Powershell => Shell::PowerShell,
        Reader::Zsh => Shell::Zsh,
        Reader::Kubectl => return Ok(SCRIPT.to_owned()),
    };
    let mut script = Vec::new();
    let mut command = Cli::command().bin_name("kubectl-soak");
    clap_complete::generate(shell, &mut command, "kubectl-soak", &mut script);
    Ok(String::from_utf8(script)?)
}
