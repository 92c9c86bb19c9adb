//! The store through its public interface.

mod crash;
mod damage;
mod model;
mod util;
mod write;
