//! What is kept of the columns that were read.
//!
//! How columns are stored is known apart from that, so that it can be kept for longer. Of a thousand columns few
//! are read: cells are made by pages.

use std::sync::OnceLock;

use super::super::codec::{Damage, Decoded};
use super::lazy::Lazy;
use super::raw::RawInts;
use super::values::Values;

/// Cells for each column and table of a description.
#[derive(Debug)]
pub(in crate::segment) struct Cells {
    pub(super) values: Pages<Values>,
    /// Of columns of which a few values were looked at: integers that are decoded one by one.
    pub(super) raw: Pages<RawInts>,
}

impl Cells {
    /// As many of each as a description counted.
    pub(in crate::segment) fn new(count: u32) -> Self {
        Self { values: Pages::new(count), raw: Pages::new(count) }
    }

    /// Bytes of memory of what is kept.
    pub(in crate::segment) fn memory_bytes(&self) -> usize {
        self.values.sum(Values::memory_bytes) + self.raw.sum(RawInts::memory_bytes)
    }
}

/// A cell for each column and table.
#[derive(Debug)]
pub(super) struct Pages<T>(Box<[OnceLock<Page<T>>]>);

type Page<T> = Box<[Lazy<T>; PAGE_CELLS]>;

const PAGE_CELLS: usize = 16;

impl<T> Pages<T> {
    fn new(count: u32) -> Self {
        Self((0..count as usize).step_by(PAGE_CELLS).map(|_| OnceLock::new()).collect())
    }

    /// What is in a cell, read by `read` if nothing is.
    pub(super) fn get(&self, cell: u32, read: impl FnOnce() -> Decoded<T>) -> Decoded<&T> {
        let cell = cell as usize;
        let page = self.0.get(cell / PAGE_CELLS);
        let page = page.ok_or_else(|| Damage::new("a column without a cell"))?;
        let page = page.get_or_init(|| Box::new(std::array::from_fn(|_| Lazy::default())));
        page[cell % PAGE_CELLS].get_or_try(read)
    }

    /// Of all pages and what is in their cells, the latter by `bytes`.
    fn sum(&self, bytes: impl Fn(&T) -> usize) -> usize {
        let pages = self.0.iter().filter_map(OnceLock::get);
        let of_page = |page: &Page<T>| {
            size_of_val(&**page) + page.iter().filter_map(Lazy::loaded).map(&bytes).sum::<usize>()
        };
        pages.map(of_page).sum()
    }

    /// Whether something is in a cell.
    pub(super) fn has(&self, cell: u32) -> bool {
        let page = self.0.get(cell as usize / PAGE_CELLS).and_then(OnceLock::get);
        page.is_some_and(|page| page[cell as usize % PAGE_CELLS].loaded().is_some())
    }
}
