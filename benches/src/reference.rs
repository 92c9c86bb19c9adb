//! What others took for the same bytes and questions, on a machine of the same kind.

/// Whose figures they are.
pub(crate) const NAMES: [&str; 2] = ["Loki 3.7.6 (no fsync)", "VictoriaLogs 1.26 (no WAL)"];

/// The units of the run that the figures are from: seconds, and bytes under `zstd -19`.
pub(crate) const U: f64 = 0.80;
/// See [`U`].
pub(crate) const D: f64 = 0.20;
/// See [`U`].
pub(crate) const ZSTD19_BYTES: u64 = 21_800_000;

/// What one of the others took.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Theirs {
    /// In the figure's unit.
    Took(f64),
    /// The same, for an answer by whole words only: a substring in the midst of a word is not found.
    WholeWords(f64),
    /// No answer, within the limits that it comes with.
    Refused,
}

/// A figure's name and what the others took, in the order of [`NAMES`].
pub(crate) const FIGURES: [(&str, [Theirs; 2]); 16] = {
    use Theirs::{Refused, Took, WholeWords};
    [
        ("ingest, server CPU", [Took(15.8), Took(9.4)]),
        ("ingest, wall", [Took(10.1), Took(7.8)]),
        ("bytes on disk", [Took(47.7e6), Took(38.6e6)]),
        ("memory, resident", [Took(407e6), Took(341e6)]),
        ("absent id", [Took(1058.0), WholeWords(2.2)]),
        ("present id", [Took(1049.0), WholeWords(5.0)]),
        ("absent substring", [Took(982.0), Took(111.0)]),
        ("rare phrase count", [Took(1016.0), Took(19.0)]),
        ("common word count", [Took(1734.0), Took(138.0)]),
        ("regex count", [Took(1804.0), Took(2028.0)]),
        ("count by label", [Took(2608.0), Took(18.7)]),
        ("bytes rate by label", [Took(2331.0), Took(157.0)]),
        ("parse and group", [Refused, Took(118.0)]),
        ("regexp and quantile", [Took(518.0), Took(220.0)]),
        ("last 100 lines", [Took(15.0), Took(60.0)]),
        ("last 1000, filtered", [Took(517.0), Took(204.0)]),
    ]
};

/// What the others took, where they were measured.
pub(crate) fn of(name: &str) -> Option<[Theirs; 2]> {
    FIGURES.iter().find(|(of, _)| *of == name).map(|(_, theirs)| *theirs)
}
