//! A comment on a pull request: the verdict and two tables, all else folded.

use std::fmt::Write;

use soak_api::{CriterionResult, GrowthRow};

use super::view::{Injections, View, interval, outcome, span, telling, told};

/// The report as GitHub's Markdown.
pub(crate) fn of(view: &View<'_>) -> String {
    let mut text = format!(
        "### Soak {}: {}\n\n{}\n",
        safe(view.name()),
        view.outcome(),
        safe(&view.reason())
    );
    let status = view.status;
    if !status.criteria.is_empty() {
        text += "\n| Criterion | Outcome | Component | Measured | 95 % interval | Limit |\n|---|---|---|--:|--:|--:|\n";
        text.extend(status.criteria.iter().map(criterion));
    }
    let chaos = view.chaos();
    if !chaos.is_empty() {
        text += "\n| Chaos | Injected | Median recovery | Slowest | Not injected |\n|---|--:|--:|--:|---|\n";
        text.extend(chaos.iter().map(injections));
    }
    let sentences = status.criteria.iter().map(|result| {
        format!(
            "- **{}** ({}): {}\n",
            safe(&result.name),
            outcome(result.outcome),
            safe(&result.sentence)
        )
    });
    folded(
        &mut text,
        "Each criterion in a sentence",
        &sentences.collect::<String>(),
    );
    folded(&mut text, "What grew", &grew(view));
    let excluded = status.criteria.iter().flat_map(|result| {
        let name = safe(&result.name);
        result
            .excluded
            .iter()
            .map(move |left_out| format!("- {name}: {}\n", safe(left_out)))
    });
    folded(
        &mut text,
        "What was left out",
        &excluded.collect::<String>(),
    );
    let seed = view
        .seed()
        .map(|seed| format!("seed {seed}, "))
        .unwrap_or_default();
    let _ = writeln!(
        text,
        "\n<sub>{seed}duration {}, soak-operator {}</sub>",
        view.spec.duration,
        safe(&view.evidence.operator)
    );
    text
}

fn criterion(result: &CriterionResult) -> String {
    let outcome = match outcome(result.outcome) {
        "Passed" => "Passed".to_owned(),
        other => format!("**{other}**"),
    };
    let unit = safe(&result.unit);
    cells(&[
        safe(&result.name),
        outcome,
        safe(result.component.as_deref().unwrap_or("–")),
        told(result.estimate, &unit),
        interval(result.interval, &unit),
        told(result.limit, &unit),
    ])
}

fn injections(one: &Injections<'_>) -> String {
    let time = |seconds: Option<f64>| seconds.map_or_else(|| "–".to_owned(), span);
    let slowest = match one.never_recovered {
        0 => time(one.slowest()),
        never => format!("{never} never recovered"),
    };
    cells(&[
        format!("{} of {}", safe(one.kind), safe(one.component)),
        format!("{} of {}", one.injected, one.events),
        time(one.median()),
        slowest,
        safe(&one.others()),
    ])
}

/// Of each criterion what grew, by part, by pod, and by what chaos left behind.
fn grew(view: &View<'_>) -> String {
    let mut text = String::new();
    for result in &view.status.criteria {
        let lists = [
            ("by part", &result.contributions),
            ("left in each survivor", &result.per_event),
            ("the pods that grew most", &result.worst_pods),
        ];
        let unit = safe(view.unit_of_rows(result));
        for (title, rows) in lists.into_iter().filter(|(_, rows)| !rows.is_empty()) {
            let _ = write!(
                text,
                "\n**{}**, {title}:\n\n| | Growth | 95 % interval |\n|---|--:|--:|\n",
                safe(&result.name)
            );
            text.extend(telling(rows).iter().map(|row| growth(row, &unit)));
        }
    }
    text
}

fn growth(row: &GrowthRow, unit: &str) -> String {
    cells(&[
        safe(&row.name),
        told(Some(row.growth), unit),
        interval(row.interval, unit),
    ])
}

fn cells(cells: &[String]) -> String {
    format!("| {} |\n", cells.join(" | "))
}

fn folded(text: &mut String, title: &str, body: &str) {
    if !body.is_empty() {
        let _ = write!(
            text,
            "\n<details><summary>{title}</summary>\n\n{}\n\n</details>\n",
            body.trim()
        );
    }
}

/// On one line, with nothing in it that Markdown or HTML would take for theirs, or that would call people by their name.
fn safe(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    let mut before = ' ';
    let mut letters = text.chars().peekable();
    while let Some(letter) = letters.next() {
        let inside_a_word =
            before.is_alphanumeric() && letters.peek().is_some_and(|next| next.is_alphanumeric());
        match letter {
            letter if letter.is_control() => safe.push(' '),
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '@' => safe.push_str("&#64;"),
            '_' if inside_a_word => safe.push('_'),
            '\\' | '`' | '*' | '_' | '[' | ']' | '|' | '~' | '#' | '!' | '$' => {
                safe.extend(['\\', letter]);
            }
            letter => safe.push(letter),
        }
        before = letter;
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_users_write_stays_text() {
        assert_eq!(safe("soak_sim_lost_total"), "soak_sim_lost_total");
        assert_eq!(
            safe("_a_ *b* <i>@all</i>\n|`c`"),
            "\\_a\\_ \\*b\\* &lt;i&gt;&#64;all&lt;/i&gt; \\|\\`c\\`"
        );
    }
}
