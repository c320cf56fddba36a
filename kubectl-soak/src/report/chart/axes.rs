//! What is around a drawing: its ticks and words, as HTML.

use maud::{Markup, html};
use plotters::coord::types::RangedCoordf64;
use plotters::prelude::*;

use super::drawing::{Drawing, HEIGHT, Layer, WIDTH};
use crate::report::view::{View, span};
use crate::wording::{measure, number, scale};

/// A word at a point of the drawing.
pub(super) struct Tag {
    class: &'static str,
    label: String,
    at: (f64, f64),
}

impl Tag {
    pub(super) fn new(class: &'static str, label: &str, at: (f64, f64)) -> Self {
        let label = label.to_owned();
        Self { class, label, at }
    }
}

/// What is around a drawing: where its ticks are and what they say.
pub(super) struct Axes {
    x: (f64, f64),
    y: (f64, f64),
    /// Where the judged window begins, from which time is told.
    origin: f64,
    times: Vec<(f64, String)>,
    values: Vec<(f64, String)>,
}

impl Axes {
    pub(super) fn of(view: &View<'_>, x: (f64, f64), y: (f64, f64), unit: &str) -> Self {
        let origin = view.window().map_or(0.0, |(from, _)| from);
        let (size, name) = match unit {
            "bytes" => scale(y.1),
            "s" => (1.0, "s"),
            _ => (1.0, ""),
        };
        let scaled = RangedCoordf64::from(y.0 / size..y.1 / size);
        let values = scaled.key_points(5).into_iter().map(|value| {
            let label = if unit == "bytes" {
                format!("{} {name}", number(value))
            } else {
                measure(value, name)
            };
            (value * size, label)
        });
        Self {
            x,
            y,
            origin,
            times: times(x, origin),
            values: values.collect(),
        }
    }

    /// What is not judged shaded, and the ticks.
    pub(super) fn drawing(&self, view: &View<'_>) -> Drawing {
        let mut drawing = Drawing::new(self.x, self.y);
        if let Some((from, to)) = view.window() {
            drawing.area(Layer::Aside, self.x.0, from);
            if to < self.x.1 {
                drawing.area(Layer::Aside, to, self.x.1);
            }
        }
        for (value, _) in &self.values {
            drawing.add(Layer::Grid, vec![(self.x.0, *value), (self.x.1, *value)]);
        }
        drawing
    }

    pub(super) fn around(&self, title: &str, shown: &Markup, tags: &[Tag]) -> Markup {
        let left = |at: f64| 100.0 * (at - self.x.0) / (self.x.1 - self.x.0);
        let top = |value: f64| 100.0 * (1.0 - (value - self.y.0) / (self.y.1 - self.y.0));
        let named: Vec<&Tag> = tags.iter().filter(|tag| !tag.label.is_empty()).collect();
        let heights: Vec<f64> = named.iter().map(|tag| top(tag.at.1)).collect();
        html! {
            div.plot {
                svg viewBox=(format!("0 0 {WIDTH} {HEIGHT}")) preserveAspectRatio="none" role="img" aria-label=(title) {
                    (shown)
                }
                @for (value, label) in &self.values {
                    span.y style=(format!("top:{:.1}%", top(*value))) { (label) }
                }
                @for (at, label) in &self.times {
                    span.x.odd[odd(*at, self.origin, &self.times)] style=(format!("left:{:.1}%", left(*at))) { (label) }
                }
                @for (tag, (height, below)) in named.iter().zip(beside(&heights)) {
                    span.tag.(tag.class).below[below] style=(format!("top:{height:.1}%;right:{:.1}%", 100.0 - left(tag.at.0))) { (tag.label) }
                }
            }
        }
    }
}

/// Every other tick, which a narrow screen leaves out: never that of the window's beginning.
fn odd(at: f64, origin: f64, all: &[(f64, String)]) -> bool {
    let step = all.windows(2).map(|pair| pair[1].0 - pair[0].0).next();
    step.is_some_and(|step| ((at - origin) / step).round().rem_euclid(2.0) > 0.5)
}

/// How much of the height a word takes, in percent.
const WORD: f64 = 8.0;

/// Where words about these heights are, from the top in percent, and whether below what they are about: above it, unless
/// another is there.
fn beside(tops: &[f64]) -> Vec<(f64, bool)> {
    let mut order: Vec<usize> = (0..tops.len()).collect();
    order.sort_by(|a, b| tops[*a].total_cmp(&tops[*b]));
    let mut placed: Vec<(f64, bool)> = tops.iter().map(|top| (*top, false)).collect();
    let mut taken = -WORD;
    for place in order {
        let top = tops[place];
        if top - WORD >= taken {
            taken = top;
        } else {
            placed[place] = (top.max(taken), true);
            taken = top.max(taken) + WORD;
        }
    }
    placed
}

/// Round times, told from the window's beginning.
fn times((from, to): (f64, f64), origin: f64) -> Vec<(f64, String)> {
    const STEPS: [f64; 18] = [
        1.0,
        5.0,
        10.0,
        30.0,
        60.0,
        120.0,
        300.0,
        600.0,
        1_800.0,
        3_600.0,
        7_200.0,
        10_800.0,
        21_600.0,
        43_200.0,
        86_400.0,
        172_800.0,
        604_800.0,
        2_592_000.0,
    ];
    let step = STEPS
        .into_iter()
        .find(|step| (to - from) / step <= 9.0)
        .unwrap_or(1e7);
    let first = ((from - origin) / step).ceil();
    (0..12)
        .map(|i| (first + f64::from(i)) * step)
        .filter(|after| origin + after <= to)
        .map(|after| {
            let label = match after {
                after if after.abs() < step / 2.0 => "0".to_owned(),
                after if after < 0.0 => format!("−{}", compact(-after)),
                after => compact(after),
            };
            (origin + after, label)
        })
        .collect()
}

/// As [`span`], without a space where there is room for none.
fn compact(seconds: f64) -> String {
    span(seconds).replace(" s", "s")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_round_and_told_from_the_beginning_of_the_window() {
        let told = |x, origin| -> Vec<String> {
            times(x, origin)
                .into_iter()
                .map(|(_, label)| label)
                .collect()
        };
        assert_eq!(
            told((0.0, 435.0), 90.0),
            ["−1m", "0", "1m", "2m", "3m", "4m", "5m"]
        );
        assert_eq!(
            told((0.0, 259_920.0), 600.0),
            ["0", "12h", "1d", "1d 12h", "2d", "2d 12h", "3d"]
        );
    }

    #[test]
    fn words_do_not_lie_on_each_other_or_on_what_they_are_about() {
        assert_eq!(
            beside(&[50.0, 48.0, 90.0]),
            [(50.0, true), (48.0, false), (90.0, false)]
        );
        assert_eq!(
            beside(&[4.0, 5.0, 6.0]),
            [(4.0, false), (5.0, true), (13.0, true)]
        );
    }
}
