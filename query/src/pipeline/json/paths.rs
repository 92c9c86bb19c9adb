//! Where in an object labels come from.

use crate::pipeline::names::NameId;

/// Is told of a walk through an object. Of the unit type, nothing is kept.
pub(crate) trait Listener {
    /// The walk goes into the object under a key.
    fn enter(&mut self, key: &[u8]);
    /// The walk comes out of the object entered last.
    fn leave(&mut self);
    /// The value under a key of the current object becomes a label.
    fn label(&mut self, key: &[u8], name: NameId);
}

impl Listener for () {
    fn enter(&mut self, _key: &[u8]) {}

    fn leave(&mut self) {}

    fn label(&mut self, _key: &[u8], _name: NameId) {}
}

/// Keeps the keys that lead to each label of a line.
#[derive(Clone, Debug, Default)]
pub(crate) struct JsonPaths {
    current: Vec<String>,
    labels: Vec<(NameId, Vec<String>)>,
}

impl JsonPaths {
    /// Forgets the line.
    pub(crate) fn clear(&mut self) {
        self.current.clear();
        self.labels.clear();
    }

    /// The keys that lead to the label that was set as the `index`-th; none where it has another name.
    pub(crate) fn of(&self, index: usize, name: NameId) -> &[String] {
        let label = self.labels.get(index).filter(|(label, _)| *label == name);
        label.map_or(&[], |(_, path)| path)
    }
}

impl Listener for JsonPaths {
    fn enter(&mut self, key: &[u8]) {
        self.current.push(String::from_utf8_lossy(key).into_owned());
    }

    fn leave(&mut self) {
        self.current.pop();
    }

    fn label(&mut self, key: &[u8], name: NameId) {
        let mut path = self.current.clone();
        path.push(String::from_utf8_lossy(key).into_owned());
        self.labels.push((name, path));
    }
}
