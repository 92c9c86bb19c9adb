//! The engine over a real store: what queries answer, and that they answer what the reference does.

mod logs;
mod memory;
mod metric;
mod projection;
mod property;
mod random;
mod shapes;
mod support;
mod tail;
