//! Why an execution stopped.

/// What interrupts the walk over a template.
#[derive(Debug)]
pub(super) enum Halt {
    /// The execution failed; the whole message, as Go words it.
    Error(String),
    /// `{{break}}`, on its way to the nearest `range`.
    Break,
    /// `{{continue}}`, likewise.
    Continue,
}

pub(super) type Outcome<T> = Result<T, Halt>;
