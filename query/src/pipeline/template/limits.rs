//! What an execution may use. A template comes with a query, so it must not be able to exhaust the
//! server.

/// The most bytes a template may print, and any value it computes may have.
pub(super) const OUTPUT_BYTES_MAX: usize = 8 << 20;

/// The most bytes all values computed by one execution may have together.
pub(super) const WORK_BYTES_MAX: usize = 64 << 20;

/// The most nodes and function calls one execution may visit; bounds `range` over large numbers.
pub(super) const STEPS_MAX: usize = 1_000_000;

/// How deep actions and invoked templates may be nested at run time, for the sake of the stack.
pub(super) const DEPTH_MAX: usize = 250;

/// Why a value is refused.
pub(super) const TOO_LARGE: &str = "result is larger than 8MiB";
