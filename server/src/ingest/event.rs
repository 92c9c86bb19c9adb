//! An entry on its way from a listener to the store.

use timberline_store::Timestamp;

use super::fields::Gathered;
use super::push::DecodeError;

/// One entry with texts of its own, so that it can wait.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Event {
    /// Its stream's labels, `{a="b"}`.
    pub(crate) labels: String,
    pub(crate) timestamp: Timestamp,
    pub(crate) line: String,
    /// Names are those that metadata may have.
    pub(crate) metadata: Vec<(String, String)>,
}

impl Event {
    /// Adds it to others.
    ///
    /// # Errors
    /// As [`Gathered::add`].
    pub(crate) fn add_to<'a>(&'a self, out: &mut Gathered<'a, '_, '_>) -> Result<(), DecodeError> {
        let pairs = self.metadata.iter();
        let metadata = pairs.map(|(name, value)| (name.as_str().into(), value.as_str().into()));
        out.add(self.labels.clone(), self.timestamp, self.line.as_str().into(), metadata.collect())
    }
}
