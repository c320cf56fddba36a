//! The live view, worked out of what was seen, the instant, and the width.

use std::fmt::Write;

use jiff::Timestamp;
use kube::ResourceExt;
use ratatui::style::{Color, Modifier, Style};
use ratatui::symbols::{bar, shade};
use ratatui::text::{Line, Span};
use soak_api::verdict::Outcome;
use soak_api::{CriterionResult, Estimate, Phase, Plan, SoakOutcome, SoakTest, SoakTestStatus};

use super::Seen;
use crate::events::{self, Told};
use crate::timeline::Timeline;
use crate::wording::{between, instant, interval, length, measure, time_of_day, wrapped};

/// From this width on, an event is shown with its target.
const WIDE: usize = 100;

/// A name that is longer is cut short at its beginning: pods differ at their end.
const TARGET: usize = 30;

/// What a line with a criterion takes beside the criterion's name.
const ESTIMATE: usize = 96;

/// How far what is left of a line that is too wide is indented.
const CONTINUED: usize = 4;

/// So many of the last events are shown.
const EVENTS: usize = 5;

/// So many of the last estimates are shown.
const PAST: usize = 24;

/// How the view is coloured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Palette {
    Colours,
    /// See no-color.org.
    None,
}

/// All of the view, as many lines as it takes.
pub(super) fn view(
    seen: &Seen,
    now: Timestamp,
    width: usize,
    palette: Palette,
) -> Vec<Line<'static>> {
    let View { sections } = View::of(seen, now, width, palette);
    let sections = sections.into_iter().filter(|lines| !lines.is_empty());
    let mut all = Vec::new();
    for lines in sections {
        if !all.is_empty() {
            all.push(Line::default());
        }
        all.extend(lines.into_iter().flat_map(|line| fitted(line, width)));
    }
    all
}

/// The line, broken between words where it is too wide, or within a word that is wider than all of it.
fn fitted(line: Line<'static>, width: usize) -> Vec<Line<'static>> {
    if line.width() <= width {
        return vec![line];
    }
    let styled = |span: &Span<'static>| {
        // A percent sign stays with its number.
        let text = span.content.replace(" %", "\u{a0}%");
        let style = span.style;
        text.chars().map(|c| (c, style)).collect::<Vec<_>>()
    };
    let letters: Vec<(char, Style)> = line.spans.iter().flat_map(styled).collect();
    let is_space = |(letter, _): &(char, Style)| *letter == ' ';
    let (mut rest, mut indent, mut lines) = (&letters[..], 0, Vec::new());
    while !rest.is_empty() {
        let mut room = width.saturating_sub(indent);
        let fit = rest.iter().take_while(|(letter, _)| {
            let columns = Span::raw(letter.to_string()).width();
            let fits = columns <= room;
            room = room.saturating_sub(columns);
            fits
        });
        // At least one, or it would never end.
        let fit = fit.count().max(1);
        let end = if fit == rest.len() {
            fit
        } else {
            let space = rest[..=fit].iter().rposition(is_space);
            let words = space.filter(|at| !rest[..*at].iter().all(is_space));
            words.unwrap_or(fit)
        };
        let (shown, after) = rest.split_at(end);
        let mut fits = Line::raw(" ".repeat(indent)).style(line.style);
        for alike in shown.chunk_by(|(_, a), (_, b)| a == b) {
            let text: String = alike.iter().map(|(letter, _)| *letter).collect();
            fits.push_span(Span::styled(text.replace('\u{a0}', " "), alike[0].1));
        }
        lines.push(fits);
        let word = after.iter().position(|letter| !is_space(letter));
        rest = &after[word.unwrap_or(after.len())..];
        indent = CONTINUED.min(width / 2);
    }
    lines
}

struct View {
    sections: Vec<Vec<Line<'static>>>,
}

/// What every section is made of.
struct Context<'a> {
    seen: &'a Seen,
    status: SoakTestStatus,
    now: Timestamp,
    width: usize,
    palette: Palette,
}

impl View {
    fn of(seen: &Seen, now: Timestamp, width: usize, palette: Palette) -> Self {
        let status = seen.test.status.clone().unwrap_or_default();
        let context = Context {
            seen,
            status,
            now,
            width,
            palette,
        };
        let judged = !context.status.criteria.is_empty();
        Self {
            sections: vec![
                context.head(),
                context.components(),
                context.chaos(),
                context.breaches(),
                if judged {
                    context.verdict()
                } else {
                    context.estimates()
                },
            ],
        }
    }
}

impl Context<'_> {
    fn test(&self) -> &SoakTest {
        &self.seen.test
    }

    fn style(&self, colour: Color) -> Style {
        match self.palette {
            Palette::Colours => Style::new().fg(colour),
            Palette::None => Style::new(),
        }
    }

    fn bold(&self, text: impl Into<String>) -> Span<'static> {
        let _ = self;
        Span::styled(text.into(), Modifier::BOLD)
    }

    /// Text in lines that fit.
    fn prose(&self, text: &str, indent: usize, style: Style) -> Vec<Line<'static>> {
        let lines = wrapped(text, indent, self.width).into_iter();
        lines.map(|line| Line::styled(line, style)).collect()
    }

    /// What it is, where it stands, and how far that is.
    fn head(&self) -> Vec<Line<'static>> {
        let timeline = Timeline::of(self.test(), self.now);
        let name = format!(
            "{}/{}",
            self.test().namespace().unwrap_or_default(),
            self.test().name_any()
        );
        let mut first = vec![self.bold(name), Span::raw("  "), self.state(timeline)];
        if let Some(foregone) = self.status.foregone() {
            let colour = match foregone.outcome {
                SoakOutcome::Failed => Color::Red,
                _ => Color::Yellow,
            };
            let style = self.style(colour).add_modifier(Modifier::BOLD);
            first.push(Span::styled(format!("  {}", foregone.in_words()), style));
        }
        if self.test().spec.suspend {
            first.push(Span::styled(
                "  chaos is suspended",
                self.style(Color::Yellow),
            ));
        }
        let mut lines = vec![Line::from(first), self.progress(timeline)];
        if let (Some(of_phase), Some(left)) = (timeline.left_of_phase, timeline.left) {
            let ends = (self.now + left).strftime("%H:%M:%SZ");
            let text = format!(
                "{} left of {:?}, {} of all: judged at {ends}",
                between(self.now, self.now + of_phase),
                timeline.phase,
                between(self.now, self.now + left),
            );
            lines.extend(self.prose(&text, 0, Style::new()));
        }
        if !self.status.message.is_empty() {
            lines.extend(self.prose(&self.status.message, 0, Style::new()));
        } else if self.test().status.is_none() {
            lines.extend(self.prose("no operator has seen it yet", 0, Style::new()));
        }
        if let Some(problem) = &self.seen.problem {
            let text = format!("The API server cannot be watched, trying again: {problem}");
            lines.extend(self.prose(&text, 0, self.style(Color::Red)));
        }
        lines
    }

    fn state(&self, timeline: Timeline) -> Span<'static> {
        match self.status.outcome {
            Some(outcome) => {
                let colour = match outcome {
                    SoakOutcome::Passed => Color::Green,
                    SoakOutcome::Failed | SoakOutcome::Error => Color::Red,
                    SoakOutcome::Inconclusive | SoakOutcome::Aborted => Color::Yellow,
                };
                let cleaning = match timeline.phase {
                    Phase::Completed => String::new(),
                    phase => format!(", {phase:?}"),
                };
                Span::styled(
                    format!("{outcome:?}{cleaning}"),
                    self.style(colour).add_modifier(Modifier::BOLD),
                )
            }
            None => Span::styled(format!("{:?}", timeline.phase), self.style(Color::Cyan)),
        }
    }

    /// A bar across the view: what has gone of warm-up, window and settling.
    fn progress(&self, timeline: Timeline) -> Line<'static> {
        let percent = format!(" {:3.0} %", (100.0 * timeline.gone).floor());
        let columns = self.width.saturating_sub(percent.len());
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a share of the columns"
        )]
        let full = ((timeline.gone * columns as f64).floor() as usize).min(columns);
        Line::from(vec![
            Span::styled(bar::FULL.repeat(full), self.style(Color::Cyan)),
            Span::raw(shade::LIGHT.repeat(columns - full)),
            Span::raw(percent),
        ])
    }

    fn components(&self) -> Vec<Line<'static>> {
        // What was ready when the workload was removed says nothing.
        if self.status.components.is_empty() || self.status.phase >= Phase::CleaningUp {
            return Vec::new();
        }
        let mut spans = vec![self.bold("Ready")];
        for one in &self.status.components {
            let style = if one.ready < one.desired {
                self.style(Color::Yellow)
            } else {
                self.style(Color::Green)
            };
            spans.push(Span::raw(format!("   {} ", one.name)));
            spans.push(Span::styled(
                format!("{}/{}", one.ready, one.desired),
                style,
            ));
        }
        vec![Line::from(spans)]
    }

    fn chaos(&self) -> Vec<Line<'static>> {
        let chaos = &self.status.chaos;
        let told = events::last(chaos);
        if chaos.planned == 0 && told.is_empty() {
            return Vec::new();
        }
        let mut total = format!("  {} of {} events injected", chaos.injected, chaos.planned);
        if let Some(next) = chaos.next_at {
            let what = self.next().unwrap_or_else(|| "event".to_owned());
            let due = between(self.now, next);
            let _ = write!(total, ", next {what} in {due}");
        }
        let mut lines = vec![Line::from(vec![self.bold("Chaos"), Span::raw(total)])];
        let times = events::recovery_times(chaos);
        if let (Some(fastest), Some(slowest)) = (times.iter().min(), times.iter().max())
            && times.len() > 1
        {
            let text = format!(
                "the last {} took {} to {} to recover from",
                times.len(),
                length(*fastest),
                length(*slowest)
            );
            lines.extend(self.prose(&text, 2, Style::new()));
        }
        lines.extend(told.iter().take(EVENTS).map(|one| self.event(one)));
        lines
    }

    /// What the plan has next.
    fn next(&self) -> Option<String> {
        let spec = &self.test().spec;
        let plan = Plan::new(
            self.status.seed?,
            self.status.plan_version?,
            spec.chaos.as_ref()?,
            spec.duration.duration(),
        )
        .ok()?;
        let event = plan.events().get(self.status.chaos.due as usize)?;
        let kind = plan.kind(event)?;
        Some(format!("{} of {}", kind.name(), kind.component()))
    }

    fn event(&self, told: &Told) -> Line<'static> {
        let Told {
            index,
            kind,
            component,
            target,
            result,
            ..
        } = told;
        let what = if self.width < WIDE {
            format!("{kind} {component}")
        } else {
            let target = end_of(target, TARGET);
            format!("{:<26} {target:<TARGET$}", format!("{kind} {component}"))
        };
        let style = if told.good {
            Style::new()
        } else {
            self.style(Color::Yellow)
        };
        Line::from(vec![
            Span::raw(format!("  {} {index:>3}  {what}  ", time_of_day(told.at))),
            Span::styled(result.clone(), style),
        ])
    }

    fn breaches(&self) -> Vec<Line<'static>> {
        if self.status.breaches.is_empty() {
            return Vec::new();
        }
        let mut lines = vec![Line::from(self.bold("Not by chaos"))];
        for breach in self.status.breaches.iter().rev().take(EVENTS) {
            let parts = [
                &breach.reason,
                &breach.component,
                &breach.pod,
                &breach.detail,
            ];
            let parts = parts.into_iter().filter(|part| !part.is_empty());
            let parts: Vec<&str> = parts.map(String::as_str).collect();
            let text = format!("{} {}", time_of_day(breach.at), parts.join(" "));
            lines.extend(self.prose(&text, 2, self.style(Color::Red)));
        }
        lines
    }

    fn estimates(&self) -> Vec<Line<'static>> {
        if self.status.estimates.is_empty() && self.status.unmeasured.is_empty() {
            return Vec::new();
        }
        let title = vec![self.bold("Criteria"), Span::raw("  so far, no verdict yet")];
        let mut lines = vec![Line::from(title)];
        let name = |one: &Estimate| one.criterion.chars().count();
        let longest = self.status.estimates.iter().map(name).max().unwrap_or(0);
        for one in &self.status.estimates {
            lines.extend(self.estimate(one, longest));
        }
        for one in &self.status.unmeasured {
            let text = format!("{}: not measured so far: {}", one.criterion, one.why);
            lines.extend(self.prose(&text, 2, self.style(Color::Yellow)));
        }
        lines
    }

    fn estimate(&self, one: &Estimate, longest: usize) -> Vec<Line<'static>> {
        let value = measure(one.estimate, &one.unit);
        let interval = interval(one.interval, &one.unit);
        let limit = measure(one.limit, &one.unit);
        let history = &self.seen.history;
        let style = match one.interval {
            Some(known) if known.high <= one.limit => self.style(Color::Green),
            Some(known) if known.low > one.limit => self.style(Color::Red),
            _ => self.style(Color::Yellow),
        };
        let line =
            |columns| Span::styled(history.sparkline(&one.criterion, one.limit, columns), style);
        if self.width >= ESTIMATE + longest {
            let left = format!("  {:<longest$}  {:<10}", one.criterion, one.component);
            let right = format!("  {interval:<24}  limit {limit:<10}  ");
            return vec![Line::from(vec![
                Span::raw(left),
                Span::styled(format!("{value:>10}"), style),
                Span::raw(right),
                line(PAST),
            ])];
        }
        let component = match one.component.as_str() {
            "" => String::new(),
            name => format!(" ({name})"),
        };
        vec![
            Line::from(vec![
                Span::raw(format!("  {}{component}  ", one.criterion)),
                Span::styled(value, style),
                Span::raw(format!(", limit {limit}")),
            ]),
            Line::from(vec![Span::raw(format!("    {interval}  ")), line(PAST / 2)]),
        ]
    }

    /// What each criterion came to, the sentence below it.
    fn verdict(&self) -> Vec<Line<'static>> {
        let ended = self
            .status
            .times
            .completed
            .or(self.status.times.cleaning_up);
        let title = ended.map_or_else(String::new, |at| format!("  judged, {}", instant(at)));
        let mut lines = vec![Line::from(vec![self.bold("Criteria"), Span::raw(title)])];
        for one in &self.status.criteria {
            lines.extend(self.judged(one));
        }
        lines
    }

    fn judged(&self, one: &CriterionResult) -> Vec<Line<'static>> {
        let colour = match one.outcome {
            Outcome::Passed => Color::Green,
            Outcome::Failed => Color::Red,
            Outcome::Inconclusive => Color::Yellow,
        };
        let outcome = Span::styled(
            format!("{:<14}", format!("{:?}", one.outcome)),
            self.style(colour),
        );
        let mut lines = vec![Line::from(vec![
            Span::raw("  "),
            outcome,
            self.bold(one.name.clone()),
        ])];
        lines.extend(self.prose(&one.sentence, 16, Style::new()));
        lines
    }
}

/// The last so many characters.
fn end_of(text: &str, characters: usize) -> String {
    let count = text.chars().count();
    if count <= characters {
        return text.to_owned();
    }
    let end: String = text.chars().skip(count + 1 - characters).collect();
    format!("…{end}")
}

#[cfg(test)]
mod tests {
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;

    use super::super::history::History;
    use super::super::screen::draw;
    use super::*;
    use crate::example::{at, failed, leaking, soaking};

    fn seen(test: SoakTest, past: &[f64]) -> Seen {
        let mut history = History::default();
        for estimate in past {
            let mut earlier = test.clone();
            if let Some(one) = earlier
                .status
                .as_mut()
                .and_then(|s| s.estimates.first_mut())
            {
                one.estimate = *estimate;
            }
            history.note(&earlier);
        }
        history.note(&test);
        Seen {
            test,
            history,
            problem: None,
        }
    }

    fn shown(seen: &Seen, now: &str, width: u16, height: u16) -> String {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).expect("a terminal");
        let drawn = terminal.draw(|frame| draw(frame, Some(seen), at(now), Palette::Colours));
        drawn.expect("drawn");
        terminal.backend().to_string()
    }

    fn running() -> Seen {
        seen(soaking(), &[0.2, 1.1, 2.4, 3.9, 12.0, 24.8])
    }

    #[test]
    fn a_running_soak_at_120_columns() {
        insta::assert_snapshot!(shown(&running(), "06:04:00", 120, 24));
    }

    #[test]
    fn a_running_soak_at_60_columns() {
        insta::assert_snapshot!(shown(&running(), "06:04:00", 60, 32));
    }

    #[test]
    fn a_running_soak_at_40_columns() {
        insta::assert_snapshot!(shown(&running(), "06:04:00", 40, 40));
    }

    #[test]
    fn a_soak_that_is_over_at_120_columns() {
        insta::assert_snapshot!(shown(&seen(failed(), &[]), "06:08:10", 120, 24));
    }

    #[test]
    fn a_soak_that_is_over_at_60_columns() {
        insta::assert_snapshot!(shown(&seen(failed(), &[]), "06:08:10", 60, 32));
    }

    #[test]
    fn a_soak_that_nobody_has_seen_yet() {
        insta::assert_snapshot!(shown(&seen(leaking(), &[]), "06:00:01", 60, 6));
    }

    #[test]
    fn several_recoveries_are_told_together_and_long_names_by_their_end() {
        let mut test = soaking();
        let chaos = &mut test.status.as_mut().expect("a status").chaos;
        let mut event = chaos.recent[0].clone();
        event.recovered_at = Some(at("06:03:14"));
        event.pod = format!("{}-c7f9d-x2k4p", "partitions-at-production-size-worker");
        chaos.recent.push(event);
        let said = shown(&seen(test, &[]), "06:04:00", 120, 24);
        assert!(
            said.contains("the last 2 took 3.9s to 6.8s to recover from"),
            "{said}"
        );
        assert!(said.contains(" …ction-size-worker-c7f9d-x2k4p "), "{said}");
    }

    #[test]
    fn what_goes_wrong_with_watching_is_shown_and_the_last_state_stays() {
        let mut seen = running();
        seen.problem = Some("connection refused".to_owned());
        let text = shown(&seen, "06:04:00", 120, 24);
        assert!(text.contains("trying again: connection refused"), "{text}");
        assert!(text.contains("5/6"), "{text}");
    }

    #[test]
    fn no_line_is_wider_than_the_terminal_and_nothing_is_left_out() {
        let mut long = soaking();
        long.metadata.name = Some("a-name-that-says-much-of-what-this-soak-is-about".to_owned());
        let letters = |lines: &[Line<'static>]| -> String {
            let lines = lines.iter().map(ToString::to_string);
            lines
                .flat_map(|line| {
                    line.chars()
                        .filter(char::is_ascii_alphanumeric)
                        .collect::<Vec<_>>()
                })
                .collect()
        };
        for test in [soaking(), failed(), long] {
            let at_width = |width| {
                view(
                    &seen(test.clone(), &[1.0, 2.0]),
                    at("06:04:00"),
                    width,
                    Palette::None,
                )
            };
            let all = letters(&at_width(WIDE - 1));
            for width in [1, 2, 10, 20, 40, 60, 80, 99, 100, 108, 120, 200] {
                let lines = at_width(width);
                for line in &lines {
                    assert!(line.width() <= width, "{width}: {line}");
                }
                if width < WIDE {
                    assert_eq!(letters(&lines), all, "{width}");
                }
            }
        }
    }

    #[test]
    fn letters_that_take_two_columns_are_counted_as_two() {
        let line = Line::raw("查询被拒绝: 上游超时");
        let lines = fitted(line, 10);
        let told: Vec<_> = lines.iter().map(ToString::to_string).collect();
        assert_eq!(told, ["查询被拒绝", "    :", "    上游超", "    时"]);
    }

    #[test]
    fn without_colours_there_are_none() {
        let lines = view(&running(), at("06:04:00"), 120, Palette::None);
        let spans = || {
            lines
                .iter()
                .flat_map(|line| line.spans.iter().map(|span| span.style).chain([line.style]))
        };
        assert!(spans().all(|style| style.fg.is_none() && style.bg.is_none()));
        let lines = view(&running(), at("06:04:00"), 120, Palette::Colours);
        assert!(
            lines
                .iter()
                .any(|line| line.spans.iter().any(|span| span.style.fg.is_some()))
        );
    }
}
