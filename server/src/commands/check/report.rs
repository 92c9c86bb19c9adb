//! The line that a check prints.

use std::fmt::Write as _;

use super::{Range, State};

/// Series that the text names; performance data has all.
const SERIES_NAMED_MAX: usize = 5;

/// Which numbers are alarming.
#[derive(Clone, Debug, Default)]
pub(crate) struct Thresholds {
    pub(crate) warning: Option<Range>,
    pub(crate) critical: Option<Range>,
}

impl Thresholds {
    fn state_of(&self, value: f64) -> State {
        let alarms =
            |range: &Option<Range>| range.as_ref().is_some_and(|range| range.alarms(value));
        if alarms(&self.critical) {
            State::Critical
        } else if alarms(&self.warning) {
            State::Warning
        } else {
            State::Ok
        }
    }
}

/// What a check found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Report {
    pub(crate) state: State,
    text: String,
    performance: String,
}

impl Report {
    /// Of series, each with its labels as text and its number: the worst of them decides. Without
    /// thresholds every number is fine.
    pub(crate) fn of_series(series: &[(String, f64)], thresholds: &Thresholds) -> Self {
        let states = series.iter().map(|(_, value)| thresholds.state_of(*value));
        let state = states.max_by_key(|state| state.code()).unwrap_or(State::Ok);
        let worst = series.iter().filter(|(_, value)| thresholds.state_of(*value) == state);
        let named: Vec<String> = worst
            .clone()
            .take(SERIES_NAMED_MAX)
            .map(|(name, value)| described(name, *value))
            .collect();
        let more = worst.count().saturating_sub(SERIES_NAMED_MAX);
        let mut text = named.join(", ");
        if more > 0 {
            let _ = write!(text, " and {more} more");
        }
        let performance = series.iter().map(|(name, value)| performance(name, *value, thresholds));
        Self { state, text, performance: performance.collect::<Vec<_>>().join(" ") }
    }

    /// Of an answer without series.
    pub(crate) fn of_nothing(state: State) -> Self {
        Self { state, text: "the query gives no series".to_owned(), performance: String::new() }
    }

    /// Of a query that could not be asked.
    pub(crate) fn unknown(text: &str) -> Self {
        Self { state: State::Unknown, text: text.to_owned(), performance: String::new() }
    }

    /// The line, with its line feed.
    pub(crate) fn line(&self, name: &str) -> String {
        // A bar would begin the performance data, a line feed what monitors show on demand.
        let clean = |text: &str| text.replace('|', "/").replace(['\n', '\r'], " ");
        let mut line = format!("{} {} - {}", clean(name), self.state.word(), clean(&self.text));
        if !self.performance.is_empty() {
            let _ = write!(line, " | {}", self.performance);
        }
        line.push('\n');
        line
    }
}

fn described(name: &str, value: f64) -> String {
    match name {
        "{}" | "" => number(value),
        name => format!("{name} is {}", number(value)),
    }
}

/// `'label'=value;warning;critical`
fn performance(name: &str, value: f64, thresholds: &Thresholds) -> String {
    let label = if matches!(name, "{}" | "") { "value" } else { name };
    // A quote in a label is doubled; an equals sign may not be in one, and a bar begins the data.
    let label = label.replace('\'', "''").replace('=', ":").replace(['|', '\n', '\r'], " ");
    let bound = |range: &Option<Range>| range.as_ref().map(ToString::to_string).unwrap_or_default();
    let value = if value.is_finite() { number(value) } else { "U".to_owned() };
    format!("'{label}'={value};{};{}", bound(&thresholds.warning), bound(&thresholds.critical))
}

fn number(value: f64) -> String {
    format!("{value}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn thresholds(warning: &str, critical: &str) -> Thresholds {
        let range = |text: &str| (!text.is_empty()).then(|| text.parse().unwrap());
        Thresholds { warning: range(warning), critical: range(critical) }
    }

    fn line(series: &[(&str, f64)], thresholds: &Thresholds) -> (u8, String) {
        let series: Vec<_> =
            series.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect();
        let report = Report::of_series(&series, thresholds);
        (report.state.code(), report.line("LOGQL"))
    }

    #[test]
    fn the_worst_series_decides() {
        let bounds = thresholds("10", "20");
        let one = line(&[("{}", 7.5)], &bounds);
        assert_eq!(one, (0, "LOGQL OK - 7.5 | 'value'=7.5;10;20\n".to_owned()));
        let several =
            line(&[("{app=\"a\"}", 3.0), ("{app=\"b\"}", 15.0), ("{app=\"c\"}", 25.0)], &bounds);
        let text = "LOGQL CRITICAL - {app=\"c\"} is 25 | '{app:\"a\"}'=3;10;20 '{app:\"b\"}'=15;10;20 '{app:\"c\"}'=25;10;20\n";
        assert_eq!(several, (2, text.to_owned()));
        assert_eq!(line(&[("{}", 11.0)], &bounds).0, 1);
        assert_eq!(line(&[("{}", 11.0)], &Thresholds::default()).0, 0);
        let nan = line(&[("{}", f64::NAN)], &thresholds("", "5:"));
        assert_eq!(nan, (2, "LOGQL CRITICAL - NaN | 'value'=U;;5:\n".to_owned()));
    }

    #[test]
    fn a_line_is_one_line_with_one_bar() {
        let many: Vec<(String, f64)> =
            (0..8).map(|index| (format!("{{a=\"it's {index}|\n\"}}"), 1.0)).collect();
        let line = Report::of_series(&many, &Thresholds::default()).line("a|b\nc");
        assert_eq!((line.matches('\n').count(), line.matches('|').count()), (1, 1), "{line}");
        assert!(line.contains("and 3 more") && line.contains("it''s"), "{line}");
        assert_eq!(
            Report::of_nothing(State::Warning).line("Q"),
            "Q WARNING - the query gives no series\n"
        );
        assert_eq!(Report::unknown("no\nanswer").line("Q"), "Q UNKNOWN - no answer\n");
        assert_eq!(Report::unknown("x").state.code(), 3);
    }
}
