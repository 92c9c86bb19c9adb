//! What follows the selector: the stages that change and drop entries.

pub(crate) mod template;
