//! Line plots as SVG: axes, a few ticks, a legend; linear or logarithmic.
//!
//! Written by hand because it is a hundred lines; output is a pure function of the input, so it can be compared.

use std::fmt::Write as _;

const WIDTH: f64 = 760.0;
const HEIGHT: f64 = 340.0;
/// Room for the labels: left, right, top, bottom.
const MARGIN: [f64; 4] = [70.0, 20.0, 36.0, 46.0];
const COLORS: [&str; 4] = ["#1f6feb", "#d1242f", "#1a7f37", "#8250df"];
/// No line needs more points than this to look right.
const MOST_POINTS: usize = 2000;

/// How an axis is divided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scale {
    /// Evenly.
    Linear,
    /// By powers of ten; values that are not positive are left out.
    Logarithmic,
}

/// A line.
#[derive(Clone, Debug, PartialEq)]
pub struct Series {
    /// Its name in the legend.
    pub name: String,
    /// Its points, from left to right.
    pub points: Vec<(f64, f64)>,
    /// Whether it goes in steps.
    pub steps: bool,
}

/// A diagram.
#[derive(Clone, Debug, PartialEq)]
pub struct Plot {
    /// What it shows.
    pub title: String,
    /// Name of the horizontal axis, with its unit.
    pub x: String,
    /// Name of the vertical axis, with its unit.
    pub y: String,
    /// Division of the horizontal and of the vertical axis.
    pub scale: (Scale, Scale),
    /// The lines.
    pub series: Vec<Series>,
}

/// Diagrams one below the other as one SVG.
#[must_use]
pub fn page(plots: &[Plot]) -> String {
    let height = HEIGHT * f64::from(u32::try_from(plots.len()).unwrap_or(u32::MAX));
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{height}\" viewBox=\"0 0 {WIDTH} {height}\" \
         font-family=\"sans-serif\" font-size=\"11\">\n<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n"
    );
    for (n, plot) in (0_u32..).zip(plots) {
        let _ = writeln!(out, "<g transform=\"translate(0 {})\">", HEIGHT * f64::from(n));
        plot.draw(&mut out);
        out.push_str("</g>\n");
    }
    out.push_str("</svg>\n");
    out
}

/// One axis: which values it spans and where they are drawn.
struct Axis {
    scale: Scale,
    values: (f64, f64),
    pixels: (f64, f64),
}

impl Axis {
    fn new(scale: Scale, values: impl Iterator<Item = f64>, pixels: (f64, f64)) -> Self {
        let fits = |v: &f64| v.is_finite() && (scale == Scale::Linear || *v > 0.0);
        let (low, high) =
            values.filter(fits).fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), v| (l.min(v), h.max(v)));
        let values = match scale {
            _ if low > high => (0.0, 1.0),
            Scale::Linear => (low.min(0.0), if high > low.min(0.0) { high } else { low + 1.0 }),
            Scale::Logarithmic => (low.log10().floor(), high.log10().ceil().max(low.log10().floor() + 1.0)),
        };
        Self { scale, values, pixels }
    }

    fn place(&self, value: f64) -> Option<f64> {
        let value = match self.scale {
            Scale::Linear => value,
            Scale::Logarithmic if value > 0.0 => value.log10(),
            Scale::Logarithmic => return None,
        };
        let share = (value - self.values.0) / (self.values.1 - self.values.0);
        value.is_finite().then_some(self.pixels.0 + share * (self.pixels.1 - self.pixels.0))
    }

    /// Values worth a label.
    fn ticks(&self) -> Vec<f64> {
        let (low, high) = self.values;
        let step = match self.scale {
            Scale::Logarithmic => 1.0_f64.max(((high - low) / 8.0).ceil()),
            Scale::Linear => {
                let rough = (high - low) / 6.0;
                let power = 10_f64.powf(rough.log10().floor());
                [1.0, 2.0, 5.0, 10.0].map(|n| n * power).into_iter().find(|s| *s >= rough).unwrap_or(rough)
            }
        };
        let first = (low / step).ceil();
        let all = (0..20).map(|n| (first + f64::from(n)) * step).take_while(|v| *v <= high + step * 1e-6);
        match self.scale {
            Scale::Linear => all.collect(),
            Scale::Logarithmic => all.map(|v| 10_f64.powf(v)).collect(),
        }
    }
}

impl Plot {
    fn draw(&self, out: &mut String) {
        let [left, right, top, bottom] = MARGIN;
        let points = || self.series.iter().flat_map(|s| &s.points);
        let x = Axis::new(self.scale.0, points().map(|p| p.0), (left, WIDTH - right));
        let y = Axis::new(self.scale.1, points().map(|p| p.1), (HEIGHT - bottom, top));
        let middle = left + (WIDTH - left - right) / 2.0;
        text(out, (middle, 20.0), "middle", &self.title, " font-size=\"14\"");
        text(out, (middle, HEIGHT - 8.0), "middle", &self.x, "");
        let turn = format!(" transform=\"rotate(-90 14 {0})\"", HEIGHT / 2.0);
        text(out, (14.0, HEIGHT / 2.0), "middle", &self.y, &turn);
        for (value, at) in x.ticks().into_iter().filter_map(|v| Some((v, x.place(v)?))) {
            line(out, (at, top), (at, HEIGHT - bottom));
            text(out, (at, HEIGHT - bottom + 15.0), "middle", &label(value), "");
        }
        for (value, at) in y.ticks().into_iter().filter_map(|v| Some((v, y.place(v)?))) {
            line(out, (left, at), (WIDTH - right, at));
            text(out, (left - 6.0, at + 4.0), "end", &label(value), "");
        }
        for ((n, series), color) in (0_u32..).zip(&self.series).zip(COLORS.iter().cycle()) {
            let path = path(series, &x, &y);
            let _ = writeln!(out, "<path d=\"{path}\" fill=\"none\" stroke=\"{color}\" stroke-width=\"1.5\"/>");
            let at = top + 14.0 + 15.0 * f64::from(n);
            let _ = writeln!(
                out,
                "<rect x=\"{}\" y=\"{}\" width=\"10\" height=\"3\" fill=\"{color}\"/>",
                left + 10.0,
                at - 5.0
            );
            text(out, (left + 26.0, at), "start", &series.name, "");
        }
    }
}

fn path(series: &Series, x: &Axis, y: &Axis) -> String {
    let every = series.points.len().div_ceil(MOST_POINTS).max(1);
    let last = series.points.len().saturating_sub(1);
    let mut out = String::new();
    let mut before: Option<f64> = None;
    for (n, point) in series.points.iter().enumerate() {
        if n % every != 0 && n != last {
            continue;
        }
        let (Some(px), Some(py)) = (x.place(point.0), y.place(point.1)) else { continue };
        let _ = match before {
            None => write!(out, "M{px:.1} {py:.1}"),
            Some(level) if series.steps => write!(out, "L{px:.1} {level:.1}L{px:.1} {py:.1}"),
            Some(_) => write!(out, "L{px:.1} {py:.1}"),
        };
        before = Some(py);
    }
    out
}

fn line(out: &mut String, from: (f64, f64), to: (f64, f64)) {
    let ((x1, y1), (x2, y2)) = (from, to);
    let _ = writeln!(out, "<line x1=\"{x1:.1}\" y1=\"{y1:.1}\" x2=\"{x2:.1}\" y2=\"{y2:.1}\" stroke=\"#ddd\"/>");
}

fn text(out: &mut String, (x, y): (f64, f64), anchor: &str, words: &str, more: &str) {
    let words = words.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    let _ = writeln!(out, "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\"{more}>{words}</text>");
}

/// As few digits as tell ticks apart.
fn label(value: f64) -> String {
    if value == 0.0 || (1e-4..1e6).contains(&value.abs()) {
        let rounded = format!("{value:.4}");
        let short = rounded.trim_end_matches('0').trim_end_matches('.');
        return short.to_owned();
    }
    format!("{value:.0e}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plot(points: Vec<(f64, f64)>, scale: Scale) -> String {
        let series = vec![Series { name: "a < b".into(), points, steps: true }];
        page(&[Plot { title: "T".into(), x: "x".into(), y: "y".into(), scale: (scale, scale), series }])
    }

    #[test]
    fn a_step_line_goes_right_before_it_goes_up() {
        let svg = plot(vec![(0.0, 0.0), (1.0, 10.0)], Scale::Linear);
        assert!(svg.contains("M70.0 294.0L740.0 294.0L740.0 36.0"), "{svg}");
        assert!(svg.contains("a &lt; b"));
        assert_eq!(svg.matches("<g ").count(), svg.matches("</g>").count());
    }

    #[test]
    fn nothing_to_draw_is_drawn_as_nothing() {
        for scale in [Scale::Linear, Scale::Logarithmic] {
            for points in [vec![], vec![(0.0, 0.0)], vec![(f64::NAN, 1.0)], vec![(5.0, 5.0)]] {
                let svg = plot(points, scale);
                assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
            }
        }
    }

    #[test]
    fn long_lines_are_thinned_and_keep_their_end() {
        let svg = plot((0..50_000).map(|n| (f64::from(n), f64::from(n))).collect(), Scale::Linear);
        assert!(svg.len() < 100_000);
        assert!(svg.contains("740.0 36.0\""));
    }

    #[test]
    fn labels_are_short() {
        assert_eq!([0.0, 0.2, 5.0, 0.001, 1e7].map(label), ["0", "0.2", "5", "0.001", "1e7"]);
    }
}
