//! What kubectl asks of its plugins when somebody presses Tab: the program `kubectl_complete-soak` in the PATH, with the
//! words so far, answers with a line for each that may follow, and at the end what else the shell may offer.
//!
//! See "kubectl plugin" in the documentation of Kubernetes, and ShellCompDirective in that of cobra.

use std::fmt::Debug;
use std::time::Duration;

use clap::{Arg, Command, CommandFactory};
use k8s_openapi::api::apps::v1::Deployment;
use kube::api::ListParams;
use kube::core::NamespaceResourceScope;
use kube::{Api, Resource, ResourceExt};
use serde::de::DeserializeOwned;
use soak_api::SoakTest;

use crate::{Cli, cluster};

/// Whoever presses Tab does not wait longer for a cluster.
const PATIENCE: Duration = Duration::from_secs(3);

/// Say what may follow
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The words so far, the last of them not yet finished
    #[arg(allow_hyphen_values = true, trailing_var_arg = true)]
    words: Vec<String>,
}

/// What may stand where the last word stands.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Follows {
    /// One of these.
    OneOf(Vec<String>),
    /// The name of a SoakTest.
    SoakTest,
    /// The name of a Deployment.
    Deployment,
    /// A file.
    File,
    /// Anything: nobody knows.
    Anything,
}

/// The script to put into the PATH as `kubectl_complete-soak`.
pub(crate) const SCRIPT: &str = "#!/bin/sh\nexec kubectl-soak __complete -- \"$@\"\n";

/// The answer.
pub(crate) async fn run(args: &Args) -> String {
    let (word, before) = match args.words.split_last() {
        Some((word, before)) => (word.as_str(), before),
        None => ("", &[][..]),
    };
    let follows = follows(&Cli::command(), before, word);
    // What cobra calls ShellCompDirectiveDefault lets the shell offer files.
    let directive = if follows == Follows::File { 0 } else { 4 };
    let offers = match follows {
        Follows::OneOf(offers) => offers,
        Follows::SoakTest => names::<SoakTest>(before).await,
        Follows::Deployment => names::<Deployment>(before).await,
        Follows::File | Follows::Anything => Vec::new(),
    };
    let offers = offers.into_iter().filter(|offer| offer.starts_with(word));
    let lines = offers.map(|offer| format!("{offer}\n"));
    format!("{}:{directive}\n", lines.collect::<String>())
}

fn follows(program: &Command, before: &[String], word: &str) -> Follows {
    let Some((name, rest)) = before.split_first() else {
        let commands = program.get_subcommands().filter(|one| !one.is_hide_set());
        return Follows::OneOf(commands.map(|one| one.get_name().to_owned()).collect());
    };
    let Some(command) = program.find_subcommand(name) else {
        return Follows::Anything;
    };
    let mut words = rest.iter();
    let mut named = false;
    while let Some(word) = words.next() {
        match option(command, word) {
            // Its value stands in the same word.
            Some(_) if word.contains('=') => {}
            Some(option) if option.get_action().takes_values() => {
                if words.next().is_none() {
                    return value(option);
                }
            }
            Some(_) => {}
            None => named = true,
        }
    }
    if word.starts_with('-') {
        let options = command.get_opts().filter(|one| !one.is_hide_set());
        let options = options.filter_map(|one| Some(format!("--{}", one.get_long()?)));
        return Follows::OneOf(options.collect());
    }
    match command.get_positionals().next() {
        Some(_) if named => Follows::OneOf(Vec::new()),
        Some(one) if one.get_id() == "name" => Follows::SoakTest,
        Some(one) if one.get_id() == "deployment" => Follows::Deployment,
        Some(one) => value(one),
        None => Follows::OneOf(Vec::new()),
    }
}

/// The option that a word names.
fn option<'c>(command: &'c Command, word: &str) -> Option<&'c Arg> {
    let word = word.split('=').next().unwrap_or(word);
    command.get_opts().find(|one| {
        let long = one.get_long().map(|long| format!("--{long}"));
        let short = one.get_short().map(|short| format!("-{short}"));
        long.as_deref() == Some(word) || short.as_deref() == Some(word)
    })
}

fn value(arg: &Arg) -> Follows {
    let offers = arg.get_possible_values();
    if !offers.is_empty() {
        let offers = offers.iter().map(|one| one.get_name().to_owned());
        return Follows::OneOf(offers.collect());
    }
    let names = arg.get_value_names().unwrap_or_default();
    if names.iter().any(|name| name == "FILE") {
        Follows::File
    } else {
        Follows::Anything
    }
}

/// The objects of a kind in the namespace that the words are about; none where nobody answers.
async fn names<K>(before: &[String]) -> Vec<String>
where
    K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>
        + Clone
        + Debug
        + DeserializeOwned,
{
    let said = |long: &str, short: &str| {
        let joined = format!("{long}=");
        let mut words = before.iter();
        while let Some(word) = words.next() {
            if word == long || word == short {
                return words.next().cloned();
            }
            if let Some(value) = word.strip_prefix(&joined) {
                return Some(value.to_owned());
            }
        }
        None
    };
    let cluster = cluster::Args {
        namespace: said("--namespace", "-n"),
        context: said("--context", ""),
        kubeconfig: said("--kubeconfig", "").map(Into::into),
    };
    let listed = async {
        let cluster = cluster.open().await.ok()?;
        let all: Api<K> = Api::namespaced(cluster.client, &cluster.namespace);
        all.list(&ListParams::default()).await.ok()
    };
    let listed = tokio::time::timeout(PATIENCE, listed).await;
    let found = listed.ok().flatten().map(|list| list.items);
    let found = found.unwrap_or_default().into_iter();
    found.map(|one| one.name_any()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(words: &[&str]) -> Follows {
        let (word, before) = words.split_last().expect("a word");
        let before: Vec<String> = before.iter().map(|word| (*word).to_owned()).collect();
        follows(&Cli::command(), &before, word)
    }

    fn offers(words: &[&str]) -> Vec<String> {
        match after(words) {
            Follows::OneOf(offers) => offers,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn first_comes_a_command_and_none_that_is_hidden() {
        let commands = offers(&["w"]);
        assert!(commands.contains(&"watch".to_owned()), "{commands:?}");
        assert!(!commands.contains(&"__complete".to_owned()), "{commands:?}");
    }

    #[test]
    fn a_name_follows_where_a_soak_is_asked_for_and_only_once() {
        for command in ["watch", "describe", "abort", "report"] {
            assert_eq!(after(&[command, ""]), Follows::SoakTest, "{command}");
            assert_eq!(after(&[command, "-n", "soak", "l"]), Follows::SoakTest);
            assert_eq!(
                after(&[command, "--namespace=soak", "l"]),
                Follows::SoakTest
            );
            assert_eq!(offers(&[command, "leaking", ""]), Vec::<String>::new());
        }
    }

    #[test]
    fn what_is_there_is_begun_with_by_the_name_of_a_deployment() {
        assert_eq!(after(&["init", "-n", "shop", ""]), Follows::Deployment);
        assert_eq!(after(&["init", "cart", "--name", ""]), Follows::Anything);
    }

    #[test]
    fn options_and_their_values_are_offered() {
        assert!(offers(&["report", "--o"]).contains(&"--output".to_owned()));
        assert!(offers(&["report", "leaking", "-o", ""]).contains(&"junit".to_owned()));
        assert!(offers(&["completion", ""]).contains(&"zsh".to_owned()));
        assert_eq!(after(&["lint", "-f", ""]), Follows::File);
        assert_eq!(after(&["watch", "-n", ""]), Follows::Anything);
        assert_eq!(after(&["nonsense", ""]), Follows::Anything);
    }
}
