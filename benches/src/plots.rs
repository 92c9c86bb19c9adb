//! What was measured, drawn as SVG: figures in units, so that plots of several machines can be laid side
//! by side. Axes of figures are logarithmic.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, anyhow};
use plotters::chart::MeshStyle;
use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use crate::measure::Measured;
use crate::reference::{self, Theirs};
use crate::report::{Figure, In, Kind, figures};
use crate::scale::{self, Scaled};

const WIDTH: u32 = 860;
/// Height of a bar, and of what is between the rows.
const BAR: u32 = 13;
const ROW_GAP: u32 = 11;
/// Above and below the bars: title, legend, axis.
const AROUND: u32 = 120;
const LEFT: u32 = 250;
const FONT: &str = "sans-serif";
const INK: RGBColor = RGBColor(36, 41, 47);
const GRID: RGBColor = RGBColor(216, 222, 228);
/// Loki, VictoriaLogs, Timberline.
const COLOURS: [RGBColor; 3] =
    [RGBColor(237, 157, 72), RGBColor(122, 122, 170), RGBColor(32, 128, 96)];

type Canvas<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// One bar, or why there is none; a remark is set behind it.
#[derive(Clone, Debug)]
struct Bar {
    value: Option<f64>,
    remark: &'static str,
}

/// Rows of bars, a bar for each of `series`.
#[derive(Debug)]
struct Bars {
    title: String,
    axis: &'static str,
    series: Vec<&'static str>,
    rows: Vec<(String, Vec<Bar>)>,
}

/// A line through a figure's growth, as `(times, by the first)`.
#[derive(Debug)]
struct Growth {
    name: &'static str,
    points: Vec<(f64, f64)>,
}

/// Draws runs of one corpus in several sizes, the first as it is: the answers and the costs of the first,
/// beside those of the others where it was measured on the same bytes, and how all grow.
///
/// # Errors
/// A directory that cannot be written.
pub(crate) fn runs(directory: &Path, runs: &[(u64, Measured)], with_others: bool) -> Result<()> {
    let Some((times, first)) = runs.first() else { return Ok(()) };
    let with_others = with_others && *times == 1;
    let questions = |kind| kind == Kind::Question;
    let costs = |kind| matches!(kind, Kind::Work | Kind::Disk);
    let title = "Time of an answer, in D: decompressing the raw bytes with zstd";
    let of = |title: &str, axis, wanted: &dyn Fn(Kind) -> bool| {
        compared(title, axis, &figures(first), In::of(first.units), wanted, with_others)
    };
    write(directory, "questions.svg", |path| {
        draw_bars(path, &of(title, "D, logarithmic", &questions))
    })?;
    let title =
        "Cost of the same lines: ingest in U, compressing them with zstd -3; disk in zstd -19";
    write(directory, "costs.svg", |path| {
        draw_bars(path, &of(title, "U or bytes under zstd -19, logarithmic", &costs))
    })?;
    if runs.len() > 1 {
        write(directory, "growth.svg", |path| draw_growth(path, &growth(runs)))?;
    }
    Ok(())
}

/// Draws how a fleet's figures grow from the first to the last.
///
/// # Errors
/// A directory that cannot be written.
pub(crate) fn fleets(directory: &Path, fleets: &[Scaled]) -> Result<()> {
    let (Some(first), Some(last)) = (fleets.first(), fleets.last()) else { return Ok(()) };
    let rows = scale::figures(first).into_iter().zip(scale::figures(last));
    let rows = rows.filter_map(|(first, last)| {
        let grown = last.value? / first.value?;
        let bar = Bar { value: Some(grown).filter(|grown| grown.is_finite()), remark: "" };
        Some((first.name.to_owned(), vec![bar]))
    });
    let bars = Bars {
        title: "Ten times the streams, ten times the lines: by how much figures grow".to_owned(),
        axis: "of a tenth, logarithmic",
        series: vec!["Timberline"],
        rows: rows.collect(),
    };
    write(directory, "scale.svg", |path| draw_bars(path, &bars))
}

fn compared(
    title: &str,
    axis: &'static str,
    figures: &[Figure],
    units: In,
    is_wanted: &dyn Fn(Kind) -> bool,
    with_others: bool,
) -> Bars {
    let mut series: Vec<&'static str> = Vec::new();
    if with_others {
        series.extend(reference::NAMES);
    }
    series.push("Timberline");
    let rows = figures.iter().filter(|figure| is_wanted(figure.kind)).map(|figure| {
        let theirs = reference::of(figure.name).filter(|_| with_others);
        let theirs = theirs.into_iter().flatten().map(|theirs| their_bar(figure.kind, theirs));
        let mut bars: Vec<Bar> = theirs.collect();
        // Nobody measured the others by this figure.
        bars.resize(series.len() - 1, Bar { value: None, remark: "" });
        let value = figure.value.and_then(|value| figure.kind.in_units(value, units));
        bars.push(Bar { value, remark: if figure.value.is_none() { "refused" } else { "" } });
        (figure.name.to_owned(), bars)
    });
    Bars { title: title.to_owned(), axis, rows: rows.collect(), series }
}

fn their_bar(kind: Kind, theirs: Theirs) -> Bar {
    let (value, remark) = match theirs {
        Theirs::Took(value) => (Some(value), ""),
        Theirs::WholeWords(value) => (Some(value), "whole words only"),
        Theirs::Refused => (None, "refused"),
    };
    Bar { value: value.and_then(|value| kind.in_units(value, In::THEIRS)), remark }
}

fn growth(runs: &[(u64, Measured)]) -> Vec<Growth> {
    let Some((_, first)) = runs.first() else { return Vec::new() };
    let of = |place: usize, figure: &Figure| {
        let points = runs.iter().filter_map(|(times, measured)| {
            let value = figures(measured).get(place)?.value?;
            Some((*times as f64, value / figure.value?))
        });
        Growth { name: figure.name, points: points.collect() }
    };
    let firsts = figures(first);
    let is_drawn = |figure: &Figure| {
        matches!(figure.kind, Kind::Question | Kind::Disk) || figure.name == "ingest, server CPU"
    };
    let wanted = firsts.iter().enumerate().filter(|(_, figure)| is_drawn(figure));
    wanted.map(|(place, figure)| of(place, figure)).collect()
}

fn write(directory: &Path, name: &str, draw: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
    fs::create_dir_all(directory)
        .with_context(|| format!("cannot make {}", directory.display()))?;
    let path = directory.join(name);
    draw(&path).with_context(|| format!("cannot draw {}", path.display()))?;
    // What ends without a line break looks changed to every editor.
    let text = fs::read_to_string(&path)?;
    Ok(fs::write(&path, format!("{}\n", text.trim_end()))?)
}

fn draw_bars(path: &Path, bars: &Bars) -> Result<()> {
    let row_height = BAR * bars.series.len() as u32 + ROW_GAP;
    let height = row_height * bars.rows.len() as u32 + AROUND;
    let root = SVGBackend::new(path, (WIDTH, height)).into_drawing_area();
    root.fill(&WHITE).map_err(drawing)?;
    text(&root, &bars.title, (16, 12), 15, HPos::Left)?;
    if bars.series.len() > 1 {
        legend(&root, &bars.series, (16, 40))?;
    }
    let values = bars.rows.iter().flat_map(|(_, bars)| bars).filter_map(|bar| bar.value);
    let (low, high) = decades(values);
    let rows = bars.rows.len() as f64;
    let mut chart = ChartBuilder::on(&root)
        .margin_top(64)
        .margin_right(110)
        .set_label_area_size(LabelAreaPosition::Left, LEFT)
        .set_label_area_size(LabelAreaPosition::Bottom, 44)
        .build_cartesian_2d((low..high).log_scale(), rows..0.0)
        .map_err(drawing)?;
    let mut mesh = chart.configure_mesh();
    style(&mut mesh);
    mesh.disable_y_mesh()
        .disable_y_axis()
        .x_desc(bars.axis)
        .x_label_formatter(&|value| short(*value))
        .draw()
        .map_err(drawing)?;
    let each = f64::from(BAR) / f64::from(row_height);
    let gap = f64::from(ROW_GAP) / f64::from(row_height) / 2.0;
    let colours = &COLOURS[COLOURS.len() - bars.series.len()..];
    for (row, (name, bars)) in bars.rows.iter().enumerate() {
        let (_, middle) = chart.backend_coord(&(low, row as f64 + 0.5));
        text(&root, name, (LEFT as i32 - 8, middle), 12, HPos::Right)?;
        for (place, (bar, colour)) in bars.iter().zip(colours).enumerate() {
            let top = row as f64 + gap + each * place as f64;
            let end = bar.value.unwrap_or(low);
            let area = [(low, top), (end, top + each)];
            chart.draw_series([Rectangle::new(area, colour.filled())]).map_err(drawing)?;
            let (right, middle) = chart.backend_coord(&(end, top + each / 2.0));
            let value = bar.value.map(short).unwrap_or_default();
            let behind = format!("{value} {}", bar.remark);
            text(&root, behind.trim(), (right + 5, middle), 11, HPos::Left)?;
        }
    }
    root.present().map_err(drawing)
}

fn draw_growth(path: &Path, lines: &[Growth]) -> Result<()> {
    let root = SVGBackend::new(path, (WIDTH, 480)).into_drawing_area();
    root.fill(&WHITE).map_err(drawing)?;
    let title = "More of the same lines: by how much figures grow";
    text(&root, title, (16, 12), 15, HPos::Left)?;
    let times = || lines.iter().flat_map(|line| &line.points).map(|point| point.0);
    let most = times().fold(1.0, f64::max);
    let (low, high) = decades(lines.iter().flat_map(|line| &line.points).map(|point| point.1));
    let mut chart = ChartBuilder::on(&root)
        .margin_top(48)
        .margin_right(240)
        .set_label_area_size(LabelAreaPosition::Left, 60)
        .set_label_area_size(LabelAreaPosition::Bottom, 44)
        .build_cartesian_2d((1.0..most).log_scale().base(2.0), (low..high).log_scale())
        .map_err(drawing)?;
    let mut mesh = chart.configure_mesh();
    style(&mut mesh);
    mesh.x_desc("times the lines, logarithmic")
        .y_desc("of the figure at 1×, logarithmic")
        .x_label_formatter(&|value| short(*value))
        .y_label_formatter(&|value| short(*value))
        .draw()
        .map_err(drawing)?;
    let as_lines = LineSeries::new([(1.0, 1.0), (most, most)], INK.mix(0.4).stroke_width(6));
    chart.draw_series(as_lines).map_err(drawing)?;
    let beside = WIDTH as i32 - 225;
    key(&root, INK.mix(0.4).filled(), "as the lines do", (beside, 60))?;
    for (place, line) in lines.iter().enumerate() {
        let colour = Palette99::pick(place);
        let points = line.points.iter().copied();
        let drawn = LineSeries::new(points, colour.stroke_width(2)).point_size(3);
        chart.draw_series(drawn).map_err(drawing)?;
        let last = line.points.last().map_or(f64::NAN, |point| point.1);
        let told = format!("{}: {}", line.name, short(last));
        key(&root, colour.filled(), &told, (beside, 60 + 20 * (place as i32 + 1)))?;
    }
    root.present().map_err(drawing)
}

/// How the lines and labels around a chart look.
fn style<X: Ranged, Y: Ranged, DB: DrawingBackend>(mesh: &mut MeshStyle<'_, '_, X, Y, DB>) {
    mesh.light_line_style(WHITE)
        .bold_line_style(GRID)
        .axis_style(GRID)
        .label_style((FONT, 12).into_font().color(&INK));
}

/// The names of the series and their colours, in one line.
fn legend(root: &Canvas<'_>, series: &[&str], (mut x, y): (i32, i32)) -> Result<()> {
    for (name, colour) in series.iter().zip(&COLOURS[COLOURS.len() - series.len()..]) {
        key(root, colour.filled(), name, (x, y))?;
        x += 40 + 7 * name.len() as i32;
    }
    Ok(())
}

fn key(root: &Canvas<'_>, style: ShapeStyle, name: &str, (x, y): (i32, i32)) -> Result<()> {
    root.draw(&Rectangle::new([(x, y - 5), (x + 12, y + 5)], style)).map_err(drawing)?;
    text(root, name, (x + 18, y), 12, HPos::Left)
}

fn text(root: &Canvas<'_>, text: &str, at: (i32, i32), size: u32, side: HPos) -> Result<()> {
    let anchor = match size {
        15 => VPos::Top,
        _ => VPos::Center,
    };
    let style = (FONT, size).into_font().color(&INK).pos(Pos::new(side, anchor));
    root.draw(&Text::new(text, at, style)).map_err(drawing)
}

/// The powers of ten around all values.
fn decades(values: impl Iterator<Item = f64>) -> (f64, f64) {
    let (low, high) = values
        .filter(|value| *value > 0.0)
        .fold((f64::MAX, f64::MIN), |(low, high), value| (low.min(value), high.max(value)));
    if low > high {
        return (0.1, 10.0);
    }
    (
        10_f64.powf(low.log10().floor()),
        10_f64.powf(high.log10().ceil().max(low.log10().floor() + 1.0)),
    )
}

/// Three digits, as few decimals as they need.
fn short(value: f64) -> String {
    let decimals = (2 - value.abs().max(1e-4).log10().floor() as i32).clamp(0, 4) as usize;
    let text = format!("{value:.decimals$}");
    match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text,
    }
}

/// What plotters says of a canvas that cannot be drawn on.
fn drawing(error: impl std::fmt::Display) -> anyhow::Error {
    anyhow!("{error}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        let told = [0.0045, 0.01, 0.1234, 1.0, 3.2109, 12.0, 117.2, 2028.4].map(short);
        assert_eq!(told, ["0.0045", "0.01", "0.123", "1", "3.21", "12", "117", "2028"]);
    }

    #[test]
    fn axes_end_at_powers_of_ten() {
        let near = |(low, high): (f64, f64), to: (f64, f64)| {
            assert!(
                (low / to.0 - 1.0).abs() < 1e-9 && (high / to.1 - 1.0).abs() < 1e-9,
                "{low} {high}"
            );
        };
        near(decades([0.004, 13.0].into_iter()), (0.001, 100.0));
        near(decades([1.0].into_iter()), (1.0, 10.0));
        near(decades(std::iter::empty()), (0.1, 10.0));
    }

    #[test]
    fn bars_and_lines_are_drawn_with_their_names() {
        let directory = tempfile::tempdir().unwrap();
        let rows = vec![
            ("absent id".to_owned(), vec![bar(5.29), bar(0.044)]),
            ("parse and group".to_owned(), vec![Bar { value: None, remark: "refused" }, bar(0.26)]),
        ];
        let series = vec!["theirs", "ours"];
        let bars = Bars { title: "answers".to_owned(), axis: "D", series, rows };
        let lines = [Growth { name: "regex count", points: vec![(1.0, 1.0), (16.0, 13.0)] }];
        write(directory.path(), "bars.svg", |path| draw_bars(path, &bars)).unwrap();
        write(directory.path(), "growth.svg", |path| draw_growth(path, &lines)).unwrap();
        let read = |name| fs::read_to_string(directory.path().join(name)).unwrap();
        let drawn = read("bars.svg");
        for text in ["absent id", "parse and group", "refused", "5.29", "theirs", "answers"] {
            assert!(drawn.contains(text), "{text} in {drawn}");
        }
        assert!(read("growth.svg").contains("regex count: 13"));
    }

    fn bar(value: f64) -> Bar {
        Bar { value: Some(value), remark: "" }
    }
}
