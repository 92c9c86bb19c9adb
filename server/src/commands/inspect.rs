//! `inspect`: what is in a segment's file.

use std::path::PathBuf;

use clap::Args;
use timberline_store::inspect::{GroupReport, SegmentReport, TemplateReport};

use super::Failure;
use super::out::{Ink, Look, Out, harmless};
use super::show::{Table, bytes, thousands};

/// Templates of a group that are shown unless all are asked for.
const TEMPLATES_SHOWN: usize = 5;

/// `timberline inspect`
#[derive(Args, Debug)]
pub(crate) struct Inspect {
    /// A segment's file, as they lie in DATA/segments
    #[arg(value_name = "SEGMENT", required = true)]
    segments: Vec<PathBuf>,
    /// Shows the streams one by one
    #[arg(long)]
    streams: bool,
    /// Shows the groups of rows, and how their columns are coded
    #[arg(long)]
    groups: bool,
    /// Shows every template of a group, not only the most frequent
    #[arg(long, requires = "groups")]
    all_templates: bool,
    #[command(flatten)]
    look: Look,
}

impl Inspect {
    pub(super) fn run(&self) -> Result<(), Failure> {
        let mut out = self.look.open();
        for path in &self.segments {
            let report = SegmentReport::of_file(path).map_err(Failure::failed)?;
            self.print(&report, &mut out)?;
        }
        out.close()
    }

    fn print(&self, report: &SegmentReport, out: &mut Out) -> Result<(), Failure> {
        out.write(&self.summary(report, out.ink))?;
        if self.streams {
            out.write(&format!("\n{}", self.streams(report, out.ink)))?;
        }
        if self.groups {
            for (number, group) in report.groups.iter().enumerate() {
                out.write(&format!("\n{}", self.group(number, group, out.ink)))?;
            }
        }
        Ok(())
    }

    fn summary(&self, report: &SegmentReport, ink: Ink) -> String {
        let time = |timestamp| self.look.timezone.full(timestamp);
        let ratio = report.line_bytes as f64 / report.file_bytes.max(1) as f64;
        let mut text = format!(
            "{}\nversion {}, zstd level {}\n{} entries of {} streams, {} groups\n{} to {}\n\
             {} of lines in {}: {ratio:.1} to 1\n\n",
            ink.paint(1, &report.path.display().to_string()),
            report.version,
            report.zstd_level,
            thousands(report.entries),
            thousands(report.streams.len() as u64),
            thousands(report.groups.len() as u64),
            time(report.range.0),
            time(report.range.1),
            bytes(report.line_bytes),
            bytes(report.file_bytes),
        );
        let mut table = Table::new(["PART", "BYTES", "SHARE"]).right([1, 2]);
        for part in &report.parts {
            let share = part.bytes as f64 * 100.0 / report.file_bytes.max(1) as f64;
            table.row([part.name.to_owned(), thousands(part.bytes), format!("{share:.1}%")]);
        }
        text.push_str(&table.text(ink));
        text
    }

    fn streams(&self, report: &SegmentReport, ink: Ink) -> String {
        let header = ["TENANT", "STREAM", "ENTRIES", "CHUNKS", "LINES", "METADATA", "FROM", "TO"];
        let mut table = Table::new(header).right(2..6);
        for stream in &report.streams {
            table.row([
                stream.tenant.to_string(),
                stream.labels.to_string(),
                thousands(stream.entries),
                thousands(stream.chunks),
                bytes(stream.line_bytes),
                bytes(stream.metadata_bytes),
                self.look.timezone.full(stream.range.0),
                self.look.timezone.full(stream.range.1),
            ]);
        }
        table.text(ink)
    }

    fn group(&self, number: usize, group: &GroupReport, ink: Ink) -> String {
        let title = format!(
            "group {number} at byte {}: {} rows in {}, {} templates",
            thousands(group.offset),
            thousands(group.rows),
            bytes(group.bytes),
            thousands(group.templates.len() as u64),
        );
        let mut text = format!("{}\n", ink.paint(1, &title));
        for (number, template) in self.shown(group) {
            let (lines, pattern) = (thousands(template.lines), template.pattern.trim_end());
            text.push_str(&format!("template {number}, {lines} lines: {}\n", harmless(pattern)));
        }
        let hidden = group.templates.len() - self.shown(group).count();
        if hidden > 0 {
            text.push_str(&format!("… and {} more (--all-templates)\n", thousands(hidden as u64)));
        }
        text.push_str(&self.columns(group).text(ink));
        text
    }

    fn shown<'g>(
        &self,
        group: &'g GroupReport,
    ) -> impl Iterator<Item = (usize, &'g TemplateReport)> + use<'g> {
        let shown = if self.all_templates { usize::MAX } else { TEMPLATES_SHOWN };
        group.templates.iter().enumerate().take(shown)
    }

    fn columns(&self, group: &GroupReport) -> Table {
        let mut table = Table::new(["COLUMN", "ENCODED", "CODING"]).right([1]);
        let mut row = |name: String, bytes: u64, coding: &str| {
            table.row([name, thousands(bytes), coding.to_owned()]);
        };
        row("time".to_owned(), group.time.encoded_bytes, &group.time.coding);
        for (number, template) in self.shown(group) {
            for (slot, column) in template.columns.iter().enumerate() {
                let name = format!("template {number}, slot {slot}");
                row(name, column.encoded_bytes, &column.coding);
            }
        }
        for (name, bytes, coding) in [
            ("metadata", group.metadata_bytes, "distinct sets, and which of them each row has"),
            ("filter of ids", group.filter_bytes, "which long ids may be there"),
        ] {
            if bytes > 0 {
                row(name.to_owned(), bytes, coding);
            }
        }
        table
    }
}
