//! A chart as SVG that stretches to the width there is, with its words beside it in HTML, so that they keep their size on a
//! phone. Nothing in it has a colour of its own: the page's style sheet gives one to each layer, by day and by night.

use maud::{Markup, PreEscaped, html};
use plotters::coord::types::RangedCoordf64;
use plotters::prelude::*;
use soak_api::EventResult;

use super::scene::{Overlay, Panel};
use super::view::{View, recovery, span};
use crate::table::{measure, number, scale};

/// The size of the drawing, which is stretched: fine enough that no screen shows more.
const WIDTH: u32 = 1_200;
const HEIGHT: u32 = 400;

/// With more events than this a line through the chart for each would hide it.
const MOST_MARKS: usize = 60;

/// What is drawn, as the style sheet knows it.
#[derive(Clone, Copy)]
enum Layer {
    Aside,
    Grid,
    Mark,
    Fringe,
    Incarnation,
    Worst,
    Band,
    Fit,
    Limit,
    Dot,
}

impl Layer {
    const ALL: [Self; 10] = [
        Self::Aside,
        Self::Grid,
        Self::Mark,
        Self::Fringe,
        Self::Incarnation,
        Self::Worst,
        Self::Band,
        Self::Fit,
        Self::Limit,
        Self::Dot,
    ];

    fn class(self) -> &'static str {
        match self {
            Self::Aside => "aside",
            Self::Grid => "grid",
            Self::Mark => "mark",
            Self::Fringe => "fringe",
            Self::Incarnation => "line",
            Self::Worst => "worst",
            Self::Band => "band",
            Self::Fit => "fit",
            Self::Limit => "limit",
            Self::Dot => "dot",
        }
    }

    /// Stands for the class until the drawing is done.
    fn colour(self) -> RGBColor {
        RGBColor(1, 2, self as u8)
    }
}

/// A drawing in the making: what is drawn, in seconds and values.
struct Drawing {
    x: (f64, f64),
    y: (f64, f64),
    parts: Vec<(Layer, Vec<(f64, f64)>)>,
}

impl Drawing {
    fn new(x: (f64, f64), y: (f64, f64)) -> Self {
        let parts = Vec::new();
        Self { x, y, parts }
    }

    fn add(&mut self, layer: Layer, points: Vec<(f64, f64)>) {
        self.parts.push((layer, points));
    }

    fn upright(&mut self, layer: Layer, at: f64, share: f64) {
        let top = self.y.0 + share * (self.y.1 - self.y.0);
        self.add(layer, vec![(at, self.y.0), (at, top)]);
    }

    fn area(&mut self, layer: Layer, from: f64, to: f64) {
        let (low, high) = self.y;
        self.add(
            layer,
            vec![(from, low), (to, low), (to, high), (from, high)],
        );
    }

    /// The elements, without the `svg` around them.
    fn drawn(self) -> String {
        let mut svg = String::new();
        self.draw(&mut svg).expect("text can always be written to");
        let inside = svg.split_once('>').map_or("", |(_, rest)| rest);
        let mut inside = inside
            .trim_end()
            .trim_end_matches("</svg>")
            .replace(" \"/>", "\"/>");
        for layer in Layer::ALL {
            let RGBColor(red, green, blue) = layer.colour();
            let colour = format!("#{red:02X}{green:02X}{blue:02X}");
            let class = format!(" class=\"{}\"", layer.class());
            let stroke =
                format!(" fill=\"none\" opacity=\"1\" stroke=\"{colour}\" stroke-width=\"1\"");
            inside = inside.replace(&stroke, &class);
            inside = inside.replace(&format!(" opacity=\"1\" fill=\"{colour}\""), &class);
        }
        inside
    }

    fn draw(&self, svg: &mut String) -> Result<(), DrawingAreaErrorKind<std::io::Error>> {
        let root = SVGBackend::with_string(svg, (WIDTH, HEIGHT)).into_drawing_area();
        let mut chart =
            ChartBuilder::on(&root).build_cartesian_2d(self.x.0..self.x.1, self.y.0..self.y.1)?;
        for (layer, points) in &self.parts {
            let style = ShapeStyle::from(&layer.colour());
            let points = self.apart(points);
            match layer {
                Layer::Aside | Layer::Band => {
                    chart.draw_series([Polygon::new(points, style.filled())])?;
                }
                _ => {
                    chart.draw_series([PathElement::new(points, style)])?;
                }
            }
        }
        root.present()
    }

    /// Inside the drawing, and without points that nobody could tell from those before them.
    fn apart(&self, points: &[(f64, f64)]) -> Vec<(f64, f64)> {
        let pixel = |value: f64, (from, to): (f64, f64), size: u32| {
            ((value - from) / (to - from) * f64::from(size)).round()
        };
        let mut last = None;
        let mut kept: Vec<(f64, f64)> = Vec::new();
        for (x, y) in points
            .iter()
            .filter(|(x, y)| x.is_finite() && y.is_finite())
        {
            let (x, y) = (x.clamp(self.x.0, self.x.1), y.clamp(self.y.0, self.y.1));
            let place = (pixel(x, self.x, WIDTH), pixel(y, self.y, HEIGHT));
            if last != Some(place) {
                kept.push((x, y));
                last = Some(place);
            }
        }
        // A point by itself is a dot, which a path of two points is.
        if let [only] = kept.as_slice() {
            kept.push(*only);
        }
        kept
    }
}

/// The lines of a panel, drawn once and shown in each of its charts.
pub(crate) fn lines(panel: &Panel<'_>, id: &str) -> Markup {
    let mut drawing = Drawing::new(panel.x, panel.y);
    for line in &panel.lines {
        let points = line
            .seconds
            .iter()
            .copied()
            .zip(line.values.iter().copied());
        drawing.add(Layer::Incarnation, points.collect());
    }
    let density = match panel.lines.len() {
        0..30 => "few",
        30..300 => "many",
        _ => "crowd",
    };
    html! {
        svg.store viewBox=(format!("0 0 {WIDTH} {HEIGHT}")) aria-hidden="true" {
            g id=(id) class=(density) { (PreEscaped(drawing.drawn())) }
        }
    }
}

/// A panel's lines, with what one criterion adds to them.
pub(crate) fn panel(
    view: &View<'_>,
    panel: &Panel<'_>,
    overlay: Option<&Overlay<'_>>,
    id: &str,
) -> Markup {
    let nothing = Overlay::default();
    let overlay = overlay.unwrap_or(&nothing);
    let axes = Axes::of(view, panel.x, panel.y, &panel.chart.unit);
    let mut behind = axes.drawing(view);
    marks(view, &mut behind);
    let mut before = Drawing::new(panel.x, panel.y);
    for line in &overlay.worst {
        let points = line
            .seconds
            .iter()
            .copied()
            .zip(line.values.iter().copied());
        before.add(Layer::Worst, points.collect());
    }
    let mut tags = Vec::new();
    for limit in &overlay.limits {
        let height = limit.to.1;
        if height <= panel.y.1 && height >= panel.y.0 {
            before.add(Layer::Limit, vec![limit.from, limit.to]);
            tags.push(Tag::new("limit", &limit.label, limit.to));
        } else {
            let above = height > panel.y.1;
            let edge = if above { panel.y.1 } else { panel.y.0 };
            let label = format!("{} {}", limit.label, if above { "↑" } else { "↓" });
            tags.push(Tag::new("limit", &label, (limit.to.0, edge)));
        }
    }
    if let Some(fit) = &overlay.fit {
        let ((from, start), (to, end)) = (fit.from, fit.to);
        before.add(
            Layer::Band,
            vec![
                (from, start.low),
                (to, end.low),
                (to, end.high),
                (from, start.high),
            ],
        );
        before.add(Layer::Fit, vec![(from, start.estimate), (to, end.estimate)]);
        tags.push(Tag::new("fit", &fit.label, (to, end.estimate)));
    }
    let title = format!("{} over time, and what was fitted to it", panel.chart.of);
    let shown = html! {
        (PreEscaped(behind.drawn()))
        use href=(format!("#{id}")) {}
        (PreEscaped(before.drawn()))
    };
    axes.around(&title, &shown, &tags)
}

/// How long each recovery took, against a limit.
pub(crate) fn recoveries(view: &View<'_>, limit: Option<f64>) -> Option<Markup> {
    let took = view
        .evidence
        .events
        .iter()
        .filter_map(|event| Some((view.seconds(event.injected_at?)?, recovery(event)?)));
    let took: Vec<(f64, f64)> = took.collect();
    let slowest = took.iter().map(|(_, took)| *took).fold(0.0, f64::max);
    let (_, end) = view.window().filter(|_| !took.is_empty())?;
    let shown = limit.filter(|limit| *limit <= 4.0 * slowest);
    let high = 1.15 * shown.unwrap_or(0.0).max(slowest);
    let last = took.iter().map(|(at, _)| *at).fold(end, f64::max);
    let axes = Axes::of(
        view,
        (0.0, last),
        (0.0, if high > 0.0 { high } else { 1.0 }),
        "s",
    );
    let mut drawing = axes.drawing(view);
    for point in took {
        drawing.add(Layer::Dot, vec![point]);
    }
    let mut tags = Vec::new();
    if let Some(limit) = limit {
        let label = format!("limit {}", span(limit));
        if shown.is_some() {
            drawing.add(Layer::Limit, vec![(0.0, limit), (last, limit)]);
            tags.push(Tag::new("limit", &label, (last, limit)));
        } else {
            tags.push(Tag::new("limit", &format!("{label} ↑"), (last, high)));
        }
    }
    let never = view
        .evidence
        .events
        .iter()
        .filter(|event| event.result == EventResult::Injected && event.recovered_at.is_none());
    let never: Vec<f64> = never
        .filter_map(|event| view.seconds(event.injected_at?))
        .collect();
    for at in &never {
        drawing.upright(Layer::Mark, *at, 1.0);
    }
    let title = "how long each recovery took, by when it began";
    Some(html! {
        figure.low {
            figcaption {
                "Each dot is a chaos event: when it was injected, and how long until all pods were ready again"
                @if !never.is_empty() { "; a dotted line is one after which they were not seen ready again" }
                "."
            }
            (axes.around(title, &html! { (PreEscaped(drawing.drawn())) }, &tags))
        }
    })
}

/// Where chaos struck: lines through the chart, or a fringe below it where they are too many.
fn marks(view: &View<'_>, drawing: &mut Drawing) {
    let struck = view
        .evidence
        .events
        .iter()
        .filter_map(|event| view.seconds(event.injected_at?));
    let struck: Vec<f64> = struck
        .filter(|at| *at >= drawing.x.0 && *at <= drawing.x.1)
        .collect();
    let (layer, share) = if struck.len() <= MOST_MARKS {
        (Layer::Mark, 1.0)
    } else {
        (Layer::Fringe, 0.04)
    };
    for at in struck {
        drawing.upright(layer, at, share);
    }
}

/// A word at a point of the drawing.
struct Tag {
    class: &'static str,
    label: String,
    at: (f64, f64),
}

impl Tag {
    fn new(class: &'static str, label: &str, at: (f64, f64)) -> Self {
        let label = label.to_owned();
        Self { class, label, at }
    }
}

/// What is around a drawing: where its ticks are and what they say.
struct Axes {
    x: (f64, f64),
    y: (f64, f64),
    /// Where the judged window begins, from which time is told.
    origin: f64,
    times: Vec<(f64, String)>,
    values: Vec<(f64, String)>,
}

impl Axes {
    fn of(view: &View<'_>, x: (f64, f64), y: (f64, f64), unit: &str) -> Self {
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
    fn drawing(&self, view: &View<'_>) -> Drawing {
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

    fn around(&self, title: &str, shown: &Markup, tags: &[Tag]) -> Markup {
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
    fn a_drawing_has_classes_instead_of_colours() {
        let mut drawing = Drawing::new((0.0, 100.0), (0.0, 10.0));
        drawing.area(Layer::Aside, 0.0, 10.0);
        drawing.add(
            Layer::Incarnation,
            vec![(0.0, 0.0), (0.001, 0.0), (50.0, 5.0), (100.0, f64::NAN)],
        );
        drawing.add(Layer::Dot, vec![(100.0, 20.0)]);
        let svg = drawing.drawn();
        assert!(!svg.contains('#') && !svg.contains("<svg"), "{svg}");
        assert!(
            svg.contains("<polygon class=\"aside\" points=\"0,399 "),
            "{svg}"
        );
        assert!(
            svg.contains("<polyline class=\"line\" points=\"0,399 599,200\"/>"),
            "{svg}"
        );
        assert!(
            svg.contains("<polyline class=\"dot\" points=\"1199,0 1199,0\"/>"),
            "{svg}"
        );
    }

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
