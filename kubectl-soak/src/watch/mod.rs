//! `kubectl soak watch`: a soak as it runs, until it has ended.
//!
//! What is shown is worked out of the SoakTest, what was seen of it before, and the instant: on a terminal as a screen
//! that is drawn anew every second, elsewhere as a line for each change.

mod changes;
mod history;
mod lines;
mod screen;
mod view;

use std::io::IsTerminal;
use std::pin::pin;

use anyhow::{anyhow, bail};
use futures::{Stream, StreamExt};
use jiff::Timestamp;
use kube::ResourceExt;
use kube::runtime::{WatchStreamExt, watcher};
use soak_api::{Phase, SoakOutcome, SoakTest};

use self::history::History;
use self::lines::Lines;
use self::screen::Screen;
use crate::cluster::{self, Cluster};

/// Watch a soak as it runs, until it has ended
///
/// A live view on a terminal, a line for each change elsewhere. Leaving it, with q or Ctrl-C, leaves the soak running.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The SoakTest's name
    #[arg(value_parser = cluster::soak_name)]
    name: String,

    #[command(flatten)]
    cluster: cluster::Args,
}

/// What watching came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// The soak is over.
    Outcome(SoakOutcome),
    /// Somebody deleted it before it was.
    Deleted,
    /// Nobody wanted to see more of it.
    Left,
}

/// What has been seen of a soak.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) test: SoakTest,
    pub(crate) history: History,
    /// Why nothing new may have been seen for a while.
    pub(crate) problem: Option<String>,
}

/// Where a soak is shown.
trait Display {
    /// Shows what has changed; called once a second as well, for clocks go on.
    fn show(&mut self, seen: &Seen, now: Timestamp) -> anyhow::Result<()>;

    /// Waits until nobody wants to see more of it.
    async fn left(&mut self) -> anyhow::Result<()>;

    /// Shows how it ended, and leaves the terminal as it was.
    fn close(self, seen: Option<&Seen>, now: Timestamp) -> anyhow::Result<()>;
}

pub(crate) async fn run(args: &Args) -> anyhow::Result<End> {
    let cluster = args.cluster.open().await?;
    // One that is not there is told before a screen is opened.
    cluster.soak_test(&args.name).await?;
    watch(&cluster, &args.name).await
}

/// Shows the soak of that name, which exists, until it has ended.
pub(crate) async fn watch(cluster: &Cluster, name: &str) -> anyhow::Result<End> {
    let versions = watcher::watch_object(cluster.soak_tests(), name).default_backoff();
    let versions = pin!(versions);
    let end = if std::io::stdout().is_terminal() {
        follow(versions, Screen::open()?).await?
    } else {
        follow(versions, Lines::to(std::io::stdout())?).await?
    };
    match end {
        End::Deleted => eprintln!("soaktest {name} was deleted before it had ended"),
        End::Left => eprintln!("{}", goes_on(cluster, name)),
        End::Outcome(_) => {}
    }
    Ok(end)
}

/// How to come back to a soak that was left, or to end it.
pub(crate) fn goes_on(cluster: &Cluster, name: &str) -> String {
    let flags = &cluster.flags;
    format!(
        "soaktest {name} goes on in the cluster\n  \
         see it again:  kubectl soak watch {name}{flags}\n  \
         end it:        kubectl soak abort {name}{flags}"
    )
}

/// Shows each version until one has ended.
async fn follow(
    mut versions: impl Stream<Item = watcher::Result<Option<SoakTest>>> + Unpin,
    mut display: impl Display,
) -> anyhow::Result<End> {
    let mut seen: Option<Seen> = None;
    let mut clock = tokio::time::interval(std::time::Duration::from_secs(1));
    let end = loop {
        tokio::select! {
            version = versions.next() => match version {
                Some(Ok(Some(test))) => {
                    let end = end_of(&test)?;
                    let mut history = seen.take().map(|seen| seen.history).unwrap_or_default();
                    history.note(&test);
                    seen = Some(Seen { test, history, problem: None });
                    if let Some(end) = end {
                        break Ok(end);
                    }
                }
                Some(Ok(None)) => break Ok(End::Deleted),
                // Watching begins anew by itself.
                Some(Err(problem)) => if let Some(seen) = &mut seen {
                    seen.problem = Some(cause(&problem));
                },
                None => break Err(anyhow!("the API server sends nothing more")),
            },
            left = display.left() => break left.map(|()| End::Left),
            _ = clock.tick() => {}
        }
        if let Some(seen) = &seen
            && let Err(problem) = display.show(seen, Timestamp::now())
        {
            break Err(problem);
        }
    };
    // Whatever has happened, the terminal is not to stay as it is.
    display.close(seen.as_ref(), Timestamp::now())?;
    end
}

/// How the soak ended; `None` while it goes on.
fn end_of(test: &SoakTest) -> anyhow::Result<Option<End>> {
    let status = test.status.clone().unwrap_or_default();
    match (status.phase, status.outcome) {
        (Phase::Completed, Some(outcome)) => Ok(Some(End::Outcome(outcome))),
        (Phase::Completed, None) => bail!(
            "soaktest {} is Completed without an outcome",
            test.name_any()
        ),
        _ => Ok(None),
    }
}

/// The innermost cause: what wraps it says no more than that it failed.
fn cause(problem: &watcher::Error) -> String {
    let mut cause: &dyn std::error::Error = problem;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::rc::Rc;

    use futures::stream;

    use super::*;
    use crate::example::{failed, leaking, soaking};

    /// Remembers which phases were shown, and whether it was closed.
    #[derive(Clone, Default)]
    struct Recorder(Rc<RefCell<Vec<String>>>);

    impl Display for Recorder {
        fn show(&mut self, seen: &Seen, _: Timestamp) -> anyhow::Result<()> {
            let status = seen.test.status.clone().unwrap_or_default();
            let problem = seen.problem.clone().unwrap_or_default();
            let shown = format!("{:?}{problem}", status.phase);
            let mut all = self.0.borrow_mut();
            if all.last() != Some(&shown) {
                all.push(shown);
            }
            Ok(())
        }

        async fn left(&mut self) -> anyhow::Result<()> {
            std::future::pending().await
        }

        fn close(self, seen: Option<&Seen>, _: Timestamp) -> anyhow::Result<()> {
            let outcome = seen.and_then(|seen| seen.test.status.as_ref()?.outcome);
            self.0.borrow_mut().push(format!("closed {outcome:?}"));
            Ok(())
        }
    }

    async fn followed(
        versions: Vec<watcher::Result<Option<SoakTest>>>,
    ) -> (anyhow::Result<End>, Vec<String>) {
        let recorder = Recorder::default();
        let versions = stream::iter(versions).chain(stream::pending());
        let end = follow(Box::pin(versions), recorder.clone()).await;
        let shown = recorder.0.borrow().clone();
        (end, shown)
    }

    #[tokio::test]
    async fn a_soak_is_shown_until_it_has_ended() {
        let versions = vec![
            Ok(Some(leaking())),
            Ok(Some(soaking())),
            Ok(Some(failed())),
            Ok(None),
        ];
        let (end, shown) = followed(versions).await;
        assert_eq!(end.expect("an end"), End::Outcome(SoakOutcome::Failed));
        assert_eq!(shown, ["Pending", "Soaking", "closed Some(Failed)"]);
    }

    #[tokio::test]
    async fn a_soak_that_is_deleted_has_ended_and_the_display_is_closed() {
        let (end, shown) = followed(vec![Ok(Some(soaking())), Ok(None)]).await;
        assert_eq!(end.expect("an end"), End::Deleted);
        assert_eq!(shown, ["Soaking", "closed None"]);
    }

    #[tokio::test]
    async fn a_watch_that_breaks_off_is_told_and_goes_on() {
        let broken = Err(watcher::Error::NoResourceVersion);
        let (end, shown) = followed(vec![Ok(Some(soaking())), broken, Ok(Some(failed()))]).await;
        assert_eq!(end.expect("an end"), End::Outcome(SoakOutcome::Failed));
        assert_eq!(shown.len(), 3, "{shown:?}");
        assert!(
            shown[1].starts_with("Soaking") && shown[1].len() > "Soaking".len(),
            "{shown:?}"
        );
    }

    #[test]
    fn the_end_without_an_outcome_is_an_error() {
        let mut test = failed();
        test.status.as_mut().expect("a status").outcome = None;
        assert!(end_of(&test).is_err());
        assert_eq!(end_of(&soaking()).expect("fine"), None);
    }
}
