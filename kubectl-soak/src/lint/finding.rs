use std::fmt;

use crate::node::{Node, Place};

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Finding {
    pub(super) at: Place,
    pub(super) severity: Severity,
    /// Such as `spec.criteria[2].growth`; empty where it is the file.
    pub(super) field: String,
    /// What is wrong and how to mend it.
    pub(super) problem: String,
}

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Severity {
    /// A cluster, or its Prometheus, would refuse it.
    Error,
    /// They would take it, and the soak could not do what it says.
    Warning,
}

impl Finding {
    /// What is refused.
    pub(super) fn error(
        document: &Node,
        field: impl Into<String>,
        problem: impl Into<String>,
    ) -> Self {
        let field = field.into();
        Self {
            at: document.place_of(&field),
            severity: Severity::Error,
            field,
            problem: problem.into(),
        }
    }

    /// What is taken.
    pub(super) fn warning(
        document: &Node,
        field: impl Into<String>,
        problem: impl Into<String>,
    ) -> Self {
        Self {
            severity: Severity::Warning,
            ..Self::error(document, field, problem)
        }
    }
}

/// As compilers write it, so that editors find the place.
impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let severity = match self.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        write!(f, "{}:{}: {severity}: ", self.at.line, self.at.column)?;
        if !self.field.is_empty() {
            write!(f, "{}: ", self.field)?;
        }
        f.write_str(&self.problem)
    }
}
