//! `kubectl soak completion`: what a shell reads to complete the commands.

use clap::CommandFactory;
use clap_complete::Shell;

use crate::Cli;

/// Write the completion script of a shell
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

/// The script, for the program called by its own name: kubectl completes its plugins by other means.
pub(crate) fn run(args: &Args) -> anyhow::Result<String> {
    let mut script = Vec::new();
    let mut command = Cli::command().bin_name("kubectl-soak");
    clap_complete::generate(args.shell, &mut command, "kubectl-soak", &mut script);
    Ok(String::from_utf8(script)?)
}
