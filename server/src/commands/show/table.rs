//! Columns for people, and numbers in them.

use crate::commands::out::{Ink, harmless};

/// Rows with a header, padded to columns. The last column is not padded.
#[derive(Debug)]
pub(in crate::commands) struct Table {
    rows: Vec<Vec<String>>,
    /// Columns of numbers, which stand at the right.
    right: Vec<usize>,
}

impl Table {
    pub(in crate::commands) fn new<T: Into<String>>(header: impl IntoIterator<Item = T>) -> Self {
        Self { rows: vec![header.into_iter().map(Into::into).collect()], right: Vec::new() }
    }

    /// These columns have numbers.
    pub(in crate::commands) fn right(mut self, columns: impl IntoIterator<Item = usize>) -> Self {
        self.right.extend(columns);
        self
    }

    pub(in crate::commands) fn row<T: Into<String>>(&mut self, cells: impl IntoIterator<Item = T>) {
        // A cell is one line whatever is in it.
        let cell = |text: T| harmless(text.into().trim_end()).replace('\n', "⏎").replace('\t', " ");
        self.rows.push(cells.into_iter().map(cell).collect());
    }

    pub(in crate::commands) fn text(&self, ink: Ink) -> String {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let width = |column: usize| {
            let cells = self.rows.iter().filter_map(|row| row.get(column));
            cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..columns).map(width).collect();
        let mut text = String::new();
        for (number, row) in self.rows.iter().enumerate() {
            let cells = row.iter().enumerate().map(|(column, cell)| {
                let width = widths[column];
                if self.right.contains(&column) {
                    format!("{cell:>width$}")
                } else {
                    format!("{cell:<width$}")
                }
            });
            let line = cells.collect::<Vec<_>>().join("  ");
            let line = line.trim_end();
            text.push_str(&if number == 0 { ink.paint(1, line) } else { line.to_owned() });
            text.push('\n');
        }
        text
    }
}

/// `12,345`
pub(in crate::commands) fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `12.3 MB`: powers of 1000, three digits that count.
pub(in crate::commands) fn bytes(number: u64) -> String {
    const UNITS: [&str; 6] = ["kB", "MB", "GB", "TB", "PB", "EB"];
    if number < 1000 {
        return format!("{number} B");
    }
    let mut value = number as f64 / 1e3;
    let mut unit = 0;
    while value >= 999.5 && unit + 1 < UNITS.len() {
        (value, unit) = (value / 1e3, unit + 1);
    }
    let decimals = if value < 9.995 { 2 } else { usize::from(value < 99.95) };
    format!("{value:.decimals$} {}", UNITS[unit])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned() {
        let mut table = Table::new(["NAME", "N", "LAST"]).right([1]);
        table.row(["a", "10", "x\ny"]);
        table.row(["longer", "5", ""]);
        assert_eq!(table.text(Ink(false)), "NAME     N  LAST\na       10  x⏎y\nlonger   5\n");
    }

    #[test]
    fn numbers_are_read_at_a_glance() {
        for (number, text) in [(0, "0"), (999, "999"), (1000, "1,000"), (1_234_567, "1,234,567")] {
            assert_eq!(thousands(number), text);
        }
        for (number, text) in [
            (999, "999 B"),
            (1000, "1.00 kB"),
            (12_345, "12.3 kB"),
            (999_499, "999 kB"),
            (999_600, "1.00 MB"),
            (u64::MAX, "18.4 EB"),
        ] {
            assert_eq!(bytes(number), text);
        }
    }
}
