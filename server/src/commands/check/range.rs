//! Thresholds as the plugins' guidelines write them.

use std::fmt;
use std::str::FromStr;

/// Numbers that are alarming: those outside a range, or, with `@` in front, those inside.
///
/// `10` is 0 to 10, `10:` is 10 and more, `~:10` is 10 and less, `10:20` is 10 to 20, ends included.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Range {
    start: f64,
    end: f64,
    is_inside: bool,
    text: String,
}

/// Why a text is no threshold.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is no range: write 10, 10:, ~:10, 10:20 or @10:20")]
pub(crate) struct InvalidRange(String);

impl Range {
    /// Whether the number is alarming. What is no number always is.
    pub(crate) fn alarms(&self, value: f64) -> bool {
        if value.is_nan() {
            return true;
        }
        (self.start <= value && value <= self.end) == self.is_inside
    }
}

impl FromStr for Range {
    type Err = InvalidRange;

    fn from_str(text: &str) -> Result<Self, InvalidRange> {
        let wrong = || InvalidRange(text.to_owned());
        let number = |part: &str| -> Result<f64, InvalidRange> {
            let number: f64 = part.trim().parse().map_err(|_| wrong())?;
            if number.is_finite() { Ok(number) } else { Err(wrong()) }
        };
        let bounds = text.trim();
        let (is_inside, bounds) = match bounds.strip_prefix('@') {
            Some(bounds) => (true, bounds),
            None => (false, bounds),
        };
        let (start, end) = match bounds.split_once(':') {
            Some((start, end)) => (start, end),
            None if bounds.is_empty() => return Err(wrong()),
            None => ("0", bounds),
        };
        let start = match start {
            "~" => f64::NEG_INFINITY,
            "" => 0.0,
            start => number(start)?,
        };
        let end = if end.is_empty() { f64::INFINITY } else { number(end)? };
        if start > end {
            return Err(wrong());
        }
        Ok(Self { start, end, is_inside, text: text.trim().to_owned() })
    }
}

impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The examples of the guidelines.
    #[test]
    fn ranges_are_those_of_the_guidelines() {
        for (text, good, alarming) in [
            ("10", &[0.0, 5.5, 10.0][..], &[-0.1, 10.1][..]),
            ("10:", &[10.0, 1e9, f64::INFINITY], &[9.9, -1.0]),
            ("~:10", &[10.0, -1e9, f64::NEG_INFINITY], &[10.1]),
            ("10:20", &[10.0, 20.0], &[9.9, 20.1]),
            ("@10:20", &[9.9, 20.1], &[10.0, 20.0]),
            ("-2.5:-1", &[-2.0], &[0.0, -3.0]),
            (":5", &[0.0], &[-1.0]),
            ("@~:0", &[0.1], &[0.0, -7.0]),
            ("0:0", &[0.0], &[1.0]),
        ] {
            let range: Range = text.parse().unwrap();
            assert!(good.iter().all(|value| !range.alarms(*value)), "{text}");
            assert!(alarming.iter().all(|value| range.alarms(*value)), "{text}");
            assert!(range.alarms(f64::NAN), "{text}");
            assert_eq!(range.to_string(), text);
        }
        for text in ["", "@", "a", "1:a", "20:10", "1:2:3", "~", "nan", "10:~", "inf"] {
            assert!(text.parse::<Range>().is_err(), "{text}");
        }
    }
}
