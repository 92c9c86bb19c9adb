//! Numbers over time as a picture of characters.
//!
//! Each character is a braille pattern of two by four dots, so that a line is twice as fine across and
//! four times as fine down as the characters are. Series have colours; where there are no colours, a
//! picture of several series still tells their shapes, and the legend their numbers.

use timberline_store::Timestamp;

use super::samples::title;
use crate::commands::answer::Series;
use crate::commands::out::Ink;
use crate::commands::times::Zone;

/// The colours of series, as numbers of ANSI escapes.
const COLOURS: [u8; 8] = [36, 33, 32, 35, 34, 31, 96, 93];

/// Series that are drawn; of more only those with the greatest numbers can be told apart.
const SERIES_MAX: usize = COLOURS.len();

/// Lines of a picture.
const HEIGHT: std::ops::RangeInclusive<usize> = 5..=20;

/// Columns of a picture, without its scale.
const WIDTH: std::ops::RangeInclusive<usize> = 20..=200;

/// Lines that the scale of time, the legend and the prompt take up beside the picture.
const LINES_BESIDE: usize = 5;

/// The bit of each dot of a character, by column and row.
const DOTS: [[u8; 4]; 2] = [[0x01, 0x02, 0x04, 0x40], [0x08, 0x10, 0x20, 0x80]];

/// Dots of a picture, and whose they are.
struct Canvas {
    width: usize,
    height: usize,
    cells: Vec<(u8, usize)>,
}

impl Canvas {
    fn new(width: usize, height: usize) -> Self {
        Self { width, height, cells: vec![(0, 0); width * height] }
    }

    /// Sets a dot, counted from the upper left.
    fn set(&mut self, x: usize, y: usize, series: usize) {
        let (column, row) = (x / 2, y / 4);
        if column < self.width && row < self.height {
            let cell = &mut self.cells[row * self.width + column];
            *cell = (cell.0 | DOTS[x % 2][y % 4], series);
        }
    }

    /// A line between two dots (Bresenham's).
    fn line(&mut self, (x0, y0): (i64, i64), (x1, y1): (i64, i64), series: usize) {
        let (dx, dy) = ((x1 - x0).abs(), -(y1 - y0).abs());
        let (step_x, step_y) = ((x1 - x0).signum(), (y1 - y0).signum());
        let (mut x, mut y, mut error) = (x0, y0, dx + dy);
        loop {
            if let (Ok(x), Ok(y)) = (usize::try_from(x), usize::try_from(y)) {
                self.set(x, y, series);
            }
            if (x, y) == (x1, y1) {
                return;
            }
            let twice = 2 * error;
            if twice >= dy {
                (error, x) = (error + dy, x + step_x);
            }
            if twice <= dx {
                (error, y) = (error + dx, y + step_y);
            }
        }
    }

    fn row(&self, row: usize, ink: Ink) -> String {
        let cells = &self.cells[row * self.width..(row + 1) * self.width];
        let mut text = String::new();
        for run in cells.chunk_by(|a, b| a.1 == b.1 || b.0 == 0) {
            let glyphs: String = run.iter().map(|(dots, _)| glyph(*dots)).collect();
            text.push_str(&match glyphs.trim_end() {
                "" => glyphs,
                _ => ink.paint(COLOURS[run[0].1 % COLOURS.len()], &glyphs),
            });
        }
        text.trim_end().to_owned()
    }
}

fn glyph(dots: u8) -> char {
    if dots == 0 { ' ' } else { char::from_u32(0x2800 + u32::from(dots)).unwrap_or(' ') }
}

/// What the picture shows of the plane.
struct Bounds {
    start: i64,
    end: i64,
    low: f64,
    high: f64,
}

impl Bounds {
    /// `None` where there is no number to draw. Without a range, from the first number to the last.
    fn of(series: &[&Series], range: Option<(Timestamp, Timestamp)>) -> Option<Self> {
        let points =
            || series.iter().flat_map(|series| &series.points).filter(|p| p.value.is_finite());
        let (start, end) =
            (points().map(|p| p.timestamp).min()?, points().map(|p| p.timestamp).max()?);
        let low = points().map(|p| p.value).fold(f64::INFINITY, f64::min);
        let high = points().map(|p| p.value).fold(f64::NEG_INFINITY, f64::max);
        // Numbers are compared with nothing at all, unless they are far from it.
        let low = if low > 0.0 && low < high * 0.75 { 0.0 } else { low };
        let (low, high) = match () {
            () if low < high => (low, high),
            () if low > 0.0 => (0.0, low),
            () if low < 0.0 => (low, 0.0),
            () => (0.0, 1.0),
        };
        let (start, end) = range.unwrap_or((start, end));
        Some(Self { start, end, low, high })
    }

    fn x(&self, timestamp: i64, dots: usize) -> i64 {
        let length = (self.end - self.start).max(1) as f64;
        ((timestamp - self.start) as f64 / length * (dots - 1) as f64).round() as i64
    }

    fn y(&self, value: f64, dots: usize) -> i64 {
        ((self.high - value) / (self.high - self.low) * (dots - 1) as f64).round() as i64
    }
}

/// The picture, its scales and its legend, in so many columns and lines.
pub(super) fn draw(
    series: &[Series],
    range: Option<(Timestamp, Timestamp)>,
    zone: &Zone,
    (columns, rows): (usize, usize),
    ink: Ink,
) -> String {
    let mut drawn: Vec<&Series> = series.iter().collect();
    let peak =
        |series: &Series| series.points.iter().map(|p| p.value).fold(f64::NEG_INFINITY, f64::max);
    // Stable, so that equals stay in the order of their labels.
    drawn.sort_by(|a, b| peak(b).total_cmp(&peak(a)));
    drawn.truncate(SERIES_MAX);
    let Some(bounds) = Bounds::of(&drawn, range) else { return "no data\n".to_owned() };
    let height =
        rows.saturating_sub(LINES_BESIDE + drawn.len()).clamp(*HEIGHT.start(), *HEIGHT.end());
    let scale: Vec<String> = (0..height).map(|row| mark(&bounds, row, height)).collect();
    let margin = scale.iter().map(|mark| mark.chars().count()).max().unwrap_or(0);
    let width = columns.saturating_sub(margin + 3).clamp(*WIDTH.start(), *WIDTH.end());

    let canvas = painted(&drawn, &bounds, width, height);
    let mut text = String::new();
    for (row, mark) in scale.iter().enumerate() {
        let axis = if mark.is_empty() { '│' } else { '┤' };
        text.push_str(&format!("{mark:>margin$} {axis}{}\n", canvas.row(row, ink)));
    }
    text.push_str(&format!("{:margin$} └{}\n", "", "─".repeat(width)));
    text.push_str(&format!("{:margin$}  {}\n", "", time_scale(&bounds, zone, width)));
    text.push_str(&legend(&drawn, series.len(), ink));
    text
}

fn painted(series: &[&Series], bounds: &Bounds, width: usize, height: usize) -> Canvas {
    let mut canvas = Canvas::new(width, height);
    // The first are the greatest: they are drawn last, over the others.
    for (number, series) in series.iter().enumerate().rev() {
        let mut before = None;
        let step = shortest_step(series);
        for point in &series.points {
            if !point.value.is_finite() {
                before = None;
                continue;
            }
            let at = (bounds.x(point.timestamp, width * 2), bounds.y(point.value, height * 4));
            // Where points are missing, so is the line.
            let from = before.filter(|(time, _)| point.timestamp - time <= step + step / 2);
            canvas.line(from.map_or(at, |(_, from)| from), at, number);
            before = Some((point.timestamp, at));
        }
    }
    canvas
}

fn shortest_step(series: &Series) -> i64 {
    let steps = series.points.windows(2).map(|pair| pair[1].timestamp - pair[0].timestamp);
    steps.min().unwrap_or(0)
}

/// The number beside a line of the picture; four or so have one.
fn mark(bounds: &Bounds, row: usize, height: usize) -> String {
    let every = (height / 4).max(1);
    let is_last = row + 1 == height;
    // The last has one in any case, and needs room.
    let has_mark = row.is_multiple_of(every) && row + 1 + every / 2 < height;
    if !is_last && !has_mark {
        return String::new();
    }
    let share = row as f64 / (height - 1).max(1) as f64;
    short(bounds.high - share * (bounds.high - bounds.low))
}

/// A number in few characters: `1.23M`, `0.5`, `-12`.
fn short(value: f64) -> String {
    let size = value.abs();
    let scaled =
        [(1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")].iter().find(|(unit, _)| size >= *unit);
    let (value, unit) = scaled.map_or((value, ""), |(scale, unit)| (value / scale, *unit));
    let text = match value.abs() {
        v if v >= 100.0 => format!("{value:.0}"),
        v if v >= 1.0 || v == 0.0 => format!("{value:.2}"),
        v if v >= 0.001 => format!("{value:.4}"),
        _ => return format!("{value:.1e}"),
    };
    let text =
        if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
    format!("{text}{unit}")
}

/// The first and the last time, and the one between where there is room.
fn time_scale(bounds: &Bounds, zone: &Zone, width: usize) -> String {
    let is_long = bounds.end - bounds.start >= 86_400_000_000_000;
    let text = |timestamp: i64| {
        let time = zone.clock(timestamp);
        let form = if is_long { "%m-%d %H:%M" } else { "%H:%M:%S" };
        time.strftime(form).to_string()
    };
    let (first, middle, last) = (
        text(bounds.start),
        text(bounds.start + (bounds.end - bounds.start) / 2),
        text(bounds.end),
    );
    let room = width.saturating_sub(first.len() + middle.len() + last.len());
    if room < 4 {
        return format!("{first}{last:>rest$}", rest = width.saturating_sub(first.len()));
    }
    let left = room / 2;
    format!("{first}{:left$}{middle}{:right$}{last}", "", "", right = room - left)
}

fn legend(drawn: &[&Series], all: usize, ink: Ink) -> String {
    let mut text = String::new();
    for (number, series) in drawn.iter().enumerate() {
        let last = series.points.last().map_or("", |point| &point.text);
        let bullet = ink.paint(COLOURS[number % COLOURS.len()], "●");
        text.push_str(&format!("{bullet} {}  last {last}\n", title(&series.labels)));
    }
    if all > drawn.len() {
        text.push_str(&format!(
            "… and {} more, which are smaller (see --output table)\n",
            all - drawn.len()
        ));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::answer::{LabelSet, Point};

    const MINUTE: i64 = 60_000_000_000;

    fn series(name: &str, values: &[f64]) -> Series {
        let labels = LabelSet::from([("app".to_owned(), name.to_owned())]);
        let points = values.iter().zip(0_i64..).filter(|(value, _)| !value.is_nan()).map(
            |(value, minute)| Point {
                timestamp: minute * MINUTE,
                value: *value,
                text: value.to_string(),
            },
        );
        Series { labels, points: points.collect() }
    }

    #[test]
    fn a_line_is_drawn() {
        let rising = series("x", &[0.0, 1.0, 2.0, 3.0, 4.0, 5.0]);
        let drawn = draw(&[rising], None, &Zone::UTC, (34, 11), Ink(false));
        assert_eq!(
            drawn,
            "   5 ┤                      ⣀⡠⠔⠒⠉
3.75 ┤                 ⣀⠤⠔⠊⠉
 2.5 ┤          ⣀⡠⠤⠔⠒⠊⠉
1.25 ┤     ⣀⡠⠔⠒⠉
   0 ┤⣀⠤⠔⠊⠉
     └───────────────────────────
      00:00:00           00:05:00
● app=x  last 5
"
        );
    }

    #[test]
    fn numbers_stand_where_they_are_in_the_range() {
        let late = series("x", &[f64::NAN, f64::NAN, f64::NAN, 2.0]);
        let drawn = draw(&[late], Some((0, 6 * MINUTE)), &Zone::UTC, (34, 11), Ink(false));
        assert_eq!(
            drawn,
            "  2 ┤              ⠁
1.5 ┤
  1 ┤
0.5 ┤
  0 ┤
    └────────────────────────────
     00:00:00  00:03:00  00:06:00
● app=x  last 2
"
        );
    }

    #[test]
    fn gaps_and_numbers_that_are_none_are_left_out() {
        let gap = series("x", &[1.0, 1.0, f64::NAN, f64::NAN, f64::NAN, 1.0]);
        let drawn = draw(&[gap], None, &Zone::UTC, (40, 10), Ink(false));
        assert!(drawn.lines().any(|line| line.contains("⠉ ") || line.contains("  ")), "{drawn}");
        let infinite = series("y", &[f64::INFINITY]);
        assert_eq!(draw(&[infinite], None, &Zone::UTC, (40, 10), Ink(false)), "no data\n");
        assert_eq!(draw(&[], None, &Zone::UTC, (40, 10), Ink(false)), "no data\n");
    }

    #[test]
    fn the_greatest_series_are_drawn() {
        let many: Vec<Series> =
            (0..12).map(|n| series(&format!("s{n:02}"), &[f64::from(n), 0.0])).collect();
        let drawn = draw(&many, None, &Zone::UTC, (60, 24), Ink(false));
        assert!(drawn.contains("app=s11") && !drawn.contains("app=s03"), "{drawn}");
        assert!(
            drawn.ends_with("… and 4 more, which are smaller (see --output table)\n"),
            "{drawn}"
        );
    }

    #[test]
    fn numbers_of_the_scale_are_short() {
        for (value, text) in [
            (0.0, "0"),
            (5.0, "5"),
            (0.25, "0.25"),
            (-12.0, "-12"),
            (1234.0, "1.23k"),
            (2.5e7, "25M"),
            (1e-5, "1.0e-5"),
            (100.0, "100"),
        ] {
            assert_eq!(short(value), text);
        }
    }
}
