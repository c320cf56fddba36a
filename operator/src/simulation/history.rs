//! What happened in a run, for people.

use std::fmt::{self, Write};

use jiff::Timestamp;

/// Lines with their instants, counted from the run's begin.
#[derive(Debug, Default)]
pub(super) struct History {
    began: Timestamp,
    lines: Vec<(Timestamp, String)>,
}

impl History {
    pub(super) fn new(began: Timestamp) -> Self {
        Self {
            began,
            lines: Vec::new(),
        }
    }

    pub(super) fn tell(&mut self, at: Timestamp, line: String) {
        self.lines.push((at, line));
    }
}

impl fmt::Display for History {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, line) in &self.lines {
            let seconds = at.duration_since(self.began).as_millis() as f64 / 1_000.0;
            writeln!(f, "{seconds:9.3}  {line}")?;
        }
        f.write_char('\n')
    }
}
