//! A soak in lines, one for each change: for files, pipes and the logs of CI.

use std::io::{ErrorKind, Write};

use anyhow::Context;
use jiff::Timestamp;
use soak_api::SoakTest;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::{Display, Seen, changes};
use crate::wording::instant;

/// Lines to somewhere.
pub(super) struct Lines<W> {
    to: W,
    shown: Option<SoakTest>,
    problem: Option<String>,
    interrupted: Signal,
    terminated: Signal,
}

impl<W: Write> Lines<W> {
    pub(super) fn to(to: W) -> anyhow::Result<Self> {
        let listen = |kind| signal(kind).context("failed to listen for signals");
        Ok(Self {
            to,
            shown: None,
            problem: None,
            interrupted: listen(SignalKind::interrupt())?,
            terminated: listen(SignalKind::terminate())?,
        })
    }

    /// A reader that has seen enough is no error: the exit code still tells the outcome.
    fn write(&mut self, now: Timestamp, change: &str) -> anyhow::Result<()> {
        let change = change.replace('\n', " ");
        let written = writeln!(self.to, "{} {change}", instant(now)).and_then(|()| self.to.flush());
        match written {
            Err(error) if error.kind() != ErrorKind::BrokenPipe => {
                Err(error).context("failed to write to standard output")
            }
            _ => Ok(()),
        }
    }
}

impl<W: Write> Display for Lines<W> {
    fn show(&mut self, seen: &Seen, now: Timestamp) -> anyhow::Result<()> {
        for change in changes::between(self.shown.as_ref(), &seen.test) {
            // What was told before it had a status is told again by its first.
            if self.shown.as_ref() != Some(&seen.test) {
                self.write(change.at.unwrap_or(now), &change.text)?;
            }
        }
        if self.problem != seen.problem {
            self.problem.clone_from(&seen.problem);
            if let Some(problem) = &seen.problem {
                self.write(
                    now,
                    &format!("the API server cannot be watched, trying again: {problem}"),
                )?;
            }
        }
        self.shown = Some(seen.test.clone());
        Ok(())
    }

    async fn left(&mut self) -> anyhow::Result<()> {
        tokio::select! {
            _ = self.interrupted.recv() => {}
            _ = self.terminated.recv() => {}
        }
        Ok(())
    }

    fn close(mut self, seen: Option<&Seen>, now: Timestamp) -> anyhow::Result<()> {
        match seen {
            Some(seen) => self.show(seen, now),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::history::History;
    use super::*;
    use crate::example::{at, failed, leaking, soaking};

    fn seen(test: SoakTest, problem: Option<&str>) -> Seen {
        Seen {
            test,
            history: History::default(),
            problem: problem.map(str::to_owned),
        }
    }

    #[tokio::test]
    async fn each_change_is_a_line_with_its_time() {
        let mut text = Vec::new();
        let mut lines = Lines::to(&mut text).expect("signals");
        for (time, seen) in [
            ("06:00:01", seen(leaking(), None)),
            ("06:00:02", seen(leaking(), None)),
            ("06:04:00", seen(soaking(), None)),
            ("06:04:01", seen(soaking(), Some("connection refused"))),
            ("06:04:02", seen(soaking(), Some("connection refused"))),
            ("06:04:03", seen(soaking(), None)),
        ] {
            lines.show(&seen, at(time)).expect("written");
        }
        lines
            .close(Some(&seen(failed(), None)), at("06:08:10"))
            .expect("written");
        insta::assert_snapshot!(String::from_utf8(text).expect("text"));
    }
}
