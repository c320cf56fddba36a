//! What can be told of a query without knowing its language: whether it is a plain selector, and of which metric.

/// A metric's name, matchers, or both, and nothing more: `up`, `up{job="a"}`, `{__name__="up"}`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Selector<'q> {
    name: &'q str,
    /// What stands between the braces, if they are there.
    matchers: &'q str,
}

impl<'q> Selector<'q> {
    /// `None` for every other expression. In doubt, such as with a comment among the matchers, it is one.
    pub fn of(query: &'q str) -> Option<Self> {
        let query = query.trim();
        let name_end = query
            .find(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == ':'))
            .unwrap_or(query.len());
        let (name, rest) = query.split_at(name_end);
        if name.starts_with(|c: char| c.is_ascii_digit()) {
            return None;
        }
        let rest = rest.trim_start();
        if rest.is_empty() {
            return (!name.is_empty()).then_some(Self { name, matchers: "" });
        }
        let matchers = rest.strip_prefix('{')?;
        // Braces in quotes are text.
        let mut open = matchers;
        loop {
            let at = open.find(['}', '"', '\'', '`', '#'])?;
            let (found, after) = (open.as_bytes()[at], &open[at + 1..]);
            open = match found {
                b'}' => {
                    let matchers = matchers.strip_suffix('}')?;
                    return after.is_empty().then_some(Self { name, matchers });
                }
                b'#' => return None,
                quote => after_quoted(after, char::from(quote))?,
            };
        }
    }

    /// The metric's name, where it stands before the braces.
    pub fn name(&self) -> Option<&'q str> {
        Some(self.name).filter(|name| !name.is_empty())
    }

    /// The selector with more matchers, such as `namespace="soak"`.
    pub fn narrowed(&self, matchers: &str) -> String {
        let own = self.matchers.trim().trim_end_matches(',');
        let comma = if own.is_empty() { "" } else { "," };
        format!("{}{{{own}{comma}{matchers}}}", self.name)
    }
}

/// What comes after a quoted text; a backslash hides what follows it, but between backticks.
fn after_quoted(text: &str, quote: char) -> Option<&str> {
    let mut hidden = false;
    for (at, c) in text.char_indices() {
        if hidden {
            hidden = false;
        } else if c == '\\' && quote != '`' {
            hidden = true;
        } else if c == quote {
            return Some(&text[at + 1..]);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_selector_is_told_from_an_expression() {
        for selector in [
            "go_goroutines",
            "job:tasks:sum",
            " go_goroutines { pod=~\"w-.*\" } ",
            "{__name__=\"x\"}",
            "{\"with.dots\", pod='}'}",
            "up{a=\"\\\"}\", b=`\\`}",
            "up{a=\"#\"}",
        ] {
            assert!(Selector::of(selector).is_some(), "{selector}");
        }
        for expression in [
            "",
            "1",
            "sum(go_goroutines)",
            "go_goroutines[5m]",
            "go_goroutines offset 5m",
            "go_goroutines{pod=\"a\"} offset 5m",
            "a{} + b{}",
            "a + b",
            "a{pod=\"b}",
            "a{",
            "a{pod=\"b\" # }\n}",
        ] {
            assert_eq!(Selector::of(expression), None, "{expression}");
        }
    }

    #[test]
    fn a_selector_is_narrowed_with_and_without_matchers_of_its_own() {
        let narrowed = |query| Selector::of(query).map(|one| one.narrowed("pod=\"a\""));
        let wanted = |query: &str| Some(query.to_owned());
        assert_eq!(narrowed("lost_total"), wanted("lost_total{pod=\"a\"}"));
        assert_eq!(narrowed("lost_total{}"), wanted("lost_total{pod=\"a\"}"));
        assert_eq!(
            narrowed(" lost_total{ x=\"}\", } "),
            wanted("lost_total{x=\"}\",pod=\"a\"}")
        );
        assert_eq!(
            narrowed("{__name__=~\"a|b\"}"),
            wanted("{__name__=~\"a|b\",pod=\"a\"}")
        );
    }

    #[test]
    fn the_name_is_that_before_the_braces() {
        let name = |query| Selector::of(query).and_then(|one| one.name());
        assert_eq!(name(" go_goroutines {a=\"b\"}"), Some("go_goroutines"));
        assert_eq!(name("{__name__=\"x\"}"), None);
    }
}
