//! How a table and its columns are stored, in words.

use super::column::{Coding, Column};
use super::ints::IntColumn;
use super::sink::Place;
use super::table::{Table, Template};
use crate::inspect::{ColumnReport, TemplateReport};

/// What stands for a slot in the text of a template, as in LogQL's pattern filters.
const SLOT: &str = "<_>";

impl Table {
    /// The templates, those that most texts have first.
    pub(in crate::segment) fn describe(&self) -> Vec<TemplateReport> {
        let mut templates: Vec<_> = self.templates.iter().map(Template::describe).collect();
        templates.sort_by_key(|template| std::cmp::Reverse(template.lines));
        templates
    }

    /// Bytes of all columns.
    fn encoded_bytes(&self) -> u64 {
        let numbers = self.numbers.as_ref().map_or(0, IntColumn::encoded_bytes);
        let slots = self.templates.iter().flat_map(|template| &template.slots);
        numbers + slots.map(Column::encoded_bytes).sum::<u64>()
    }
}

impl Template {
    fn describe(&self) -> TemplateReport {
        let texts: Vec<_> = self.statics.iter().map(String::from_utf8_lossy).collect();
        TemplateReport {
            pattern: texts.join(SLOT),
            lines: u64::from(self.count),
            columns: self.slots.iter().map(Column::describe).collect(),
        }
    }
}

impl Column {
    fn describe(&self) -> ColumnReport {
        ColumnReport { coding: self.coding.describe(), encoded_bytes: self.encoded_bytes() }
    }

    fn encoded_bytes(&self) -> u64 {
        match &self.coding {
            Coding::Numbers { values, .. } => values.encoded_bytes(),
            Coding::Hexadecimal { place, .. } => u64::from(place.len),
            Coding::Dictionary { values, codes, .. } => {
                values.encoded_bytes() + codes.encoded_bytes()
            }
            Coding::Texts { lengths, places, .. } => lengths.encoded_bytes() + sum(places),
            Coding::Templates(table) => table.encoded_bytes(),
            Coding::Same { .. } => 0,
        }
    }
}

impl Coding {
    fn describe(&self) -> String {
        match self {
            Self::Numbers { width: 0, values } => format!("numbers, {}", values.describe()),
            Self::Numbers { width, values } => {
                format!("numbers of {width} digits, {}", values.describe())
            }
            Self::Hexadecimal { digits, .. } => format!("hexadecimal of {digits} digits"),
            Self::Dictionary { count, values, codes } => format!(
                "dictionary of {count} ({}), {}",
                values.coding.describe(),
                codes.describe()
            ),
            Self::Texts { lengths, .. } => format!("texts, lengths {}", lengths.describe()),
            Self::Templates(table) => format!("templates, {}", table.templates.len()),
            Self::Same { slot } => format!("same as column {slot}"),
        }
    }
}

impl IntColumn {
    /// How the numbers are stored.
    pub(in crate::segment) fn describe(&self) -> String {
        match self {
            Self::Constant(value) => format!("constant {value}"),
            Self::Packed { bits, .. } => format!("packed in {bits} bits"),
            Self::Planes { planes, .. } => format!("byte planes, {}", planes.places.len()),
            Self::Deltas { planes } => format!("deltas in byte planes, {}", planes.places.len()),
            Self::Dictionary { count, codes, .. } => {
                format!("dictionary of {count}, {}", codes.describe())
            }
        }
    }

    /// Bytes before they are compressed with zstd.
    pub(in crate::segment) fn encoded_bytes(&self) -> u64 {
        match self {
            Self::Constant(_) => 0,
            Self::Packed { place, .. } => u64::from(place.len),
            Self::Planes { planes, .. } | Self::Deltas { planes } => sum(&planes.places),
            Self::Dictionary { values, codes, .. } => {
                values.encoded_bytes() + codes.encoded_bytes()
            }
        }
    }
}

fn sum(places: &[Place]) -> u64 {
    places.iter().map(|place| u64::from(place.len)).sum()
}
