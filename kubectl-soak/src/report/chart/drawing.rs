//! Lines and areas as SVG, with classes for the style sheet in place of colours.

use plotters::prelude::*;

/// The size of the drawing, which is stretched: fine enough that no screen shows more.
pub(super) const WIDTH: u32 = 1_200;
pub(super) const HEIGHT: u32 = 400;

/// What is drawn, as the style sheet knows it.
#[derive(Clone, Copy)]
pub(super) enum Layer {
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
pub(super) struct Drawing {
    x: (f64, f64),
    y: (f64, f64),
    parts: Vec<(Layer, Vec<(f64, f64)>)>,
}

impl Drawing {
    pub(super) fn new(x: (f64, f64), y: (f64, f64)) -> Self {
        let parts = Vec::new();
        Self { x, y, parts }
    }

    pub(super) fn add(&mut self, layer: Layer, points: Vec<(f64, f64)>) {
        self.parts.push((layer, points));
    }

    pub(super) fn upright(&mut self, layer: Layer, at: f64, share: f64) {
        let top = self.y.0 + share * (self.y.1 - self.y.0);
        self.add(layer, vec![(at, self.y.0), (at, top)]);
    }

    pub(super) fn area(&mut self, layer: Layer, from: f64, to: f64) {
        let (low, high) = self.y;
        self.add(
            layer,
            vec![(from, low), (to, low), (to, high), (from, high)],
        );
    }

    /// The elements, without the `svg` around them.
    pub(super) fn drawn(self) -> String {
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
}
