//! The distinct sets of metadata that the entries of a run have.

use std::sync::{Arc, LazyLock};

use foldhash::{HashMap, HashMapExt};

use super::run::to_u32;
use crate::{Metadata, StoreError, codec};

/// So many distinct sets are compared one by one; a run of more takes no new one.
pub(super) const GROWING_SETS_MAX: usize = 16;

/// So many sets of a run are told from others by a look at each.
const FEW_SETS: usize = 8;

/// The sets of a run without metadata: most have none, and small ones are many.
pub(super) static NO_METADATA: LazyLock<Arc<Vec<Metadata>>> =
    LazyLock::new(|| Arc::new(vec![Metadata::default()]));

/// The sets of the entries that a run is made of.
pub(super) struct Sets<'a> {
    /// The distinct ones, the empty one in front.
    pub(super) distinct: Arc<Vec<Metadata>>,
    /// Those behind the first few.
    numbers: HashMap<&'a [u8], Told<'a>>,
    /// The bytes of all entries' sets.
    pub(super) total_bytes: u64,
    /// Those met last: entries of one sender share a few, and neighbours most of all.
    recent: [Told<'a>; 2],
}

/// A set: its bytes in the batch, its number, and how many bytes its texts have.
type Told<'a> = (&'a [u8], u32, u64);

impl<'a> Sets<'a> {
    /// Begins with those of the run before, if there is one and they are few: most entries have one of them.
    pub(super) fn new(before: Option<&Arc<Vec<Metadata>>>) -> Self {
        let known = before.filter(|sets| sets.len() <= FEW_SETS);
        let distinct = known.unwrap_or(&*NO_METADATA);
        Self {
            distinct: Arc::clone(distinct),
            numbers: HashMap::new(),
            total_bytes: 0,
            recent: [(&[], 0, 0); 2],
        }
    }

    /// The number of the next entry's set.
    pub(super) fn number(&mut self, metadata: &'a [u8]) -> Result<u32, StoreError> {
        if metadata != self.recent[0].0 {
            self.recent.swap(0, 1);
        }
        if metadata != self.recent[0].0 {
            self.recent[0] = self.find(metadata)?;
        }
        let (_, number, bytes) = self.recent[0];
        self.total_bytes += bytes;
        Ok(number)
    }

    fn find(&mut self, metadata: &'a [u8]) -> Result<Told<'a>, StoreError> {
        if let Some(told) = self.numbers.get(metadata) {
            return Ok(*told);
        }
        let mut few = self.distinct.iter().take(FEW_SETS);
        let place = few.position(|set| is_set(set, metadata)).unwrap_or(self.distinct.len());
        if place == self.distinct.len() {
            Arc::make_mut(&mut self.distinct).push(codec::metadata(metadata)?);
        }
        let told = (metadata, to_u32(place)?, self.distinct[place].text_bytes() as u64);
        if place >= FEW_SETS {
            self.numbers.insert(metadata, told);
        }
        Ok(told)
    }
}

/// Whether the bytes of an entry's metadata stand for this set.
pub(super) fn is_set(set: &Metadata, metadata: &[u8]) -> bool {
    set.iter().map(Some).eq(codec::pairs(metadata))
}

/// The sets of several runs: those of the first with their numbers, then what others have beside them.
pub(super) struct United<'a> {
    pub(super) sets: Arc<Vec<Metadata>>,
    /// The same, where they came from.
    distinct: Vec<&'a Metadata>,
    /// Their numbers, once they are many.
    numbers: HashMap<&'a Metadata, usize>,
}

impl<'a> United<'a> {
    pub(super) fn new(sets: &'a Arc<Vec<Metadata>>) -> Self {
        Self { sets: Arc::clone(sets), distinct: sets.iter().collect(), numbers: HashMap::new() }
    }

    /// Takes in the sets of one more run. Gives their numbers here.
    pub(super) fn add(&mut self, sets: &'a Arc<Vec<Metadata>>) -> Result<Vec<u32>, StoreError> {
        if Arc::ptr_eq(&self.sets, sets) {
            return Ok((0..).take(sets.len()).collect());
        }
        sets.iter().map(|set| self.number(set)).collect()
    }

    fn number(&mut self, set: &'a Metadata) -> Result<u32, StoreError> {
        let known = if self.distinct.len() <= GROWING_SETS_MAX {
            self.distinct.iter().position(|known| *known == set)
        } else {
            let others = self.distinct.iter().enumerate().skip(self.numbers.len());
            self.numbers.extend(others.map(|(number, set)| (*set, number)));
            self.numbers.get(set).copied()
        };
        if let Some(number) = known {
            return to_u32(number);
        }
        Arc::make_mut(&mut self.sets).push(set.clone());
        self.distinct.push(set);
        to_u32(self.distinct.len() - 1)
    }
}
