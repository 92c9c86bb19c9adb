//! The plain design: sorted terms that are searched by halves, each with the list of its documents.

use std::collections::BTreeMap;

/// Terms and the documents that have them.
pub(super) type Terms = BTreeMap<Vec<u8>, Vec<u32>>;

/// Sorted terms as they would lie in a file: read in place, nothing is decoded to open them.
#[derive(Debug)]
pub(super) struct SortedPostings {
    /// Per term, and once behind the last: where its bytes and its documents begin.
    places: Vec<(u32, u32)>,
    terms: Vec<u8>,
    /// Per term the differences of its documents, as LEB128.
    documents: Vec<u8>,
}

impl SortedPostings {
    pub(super) fn build(all: &Terms) -> Self {
        let mut index = Self { places: Vec::new(), terms: Vec::new(), documents: Vec::new() };
        for (term, documents) in all {
            index.place();
            index.terms.extend_from_slice(term);
            let mut last = 0;
            for document in documents {
                put_varint(&mut index.documents, document - last);
                last = *document;
            }
        }
        index.place();
        index
    }

    fn place(&mut self) {
        let [term, documents] = [self.terms.len(), self.documents.len()]
            .map(|at| u32::try_from(at).expect("an index of less than 4 GiB"));
        self.places.push((term, documents));
    }

    pub(super) fn bytes(&self) -> u64 {
        (size_of_val(&self.places[..]) + self.terms.len() + self.documents.len()) as u64
    }

    fn len(&self) -> usize {
        self.places.len() - 1
    }

    fn term(&self, number: usize) -> &[u8] {
        &self.terms[self.places[number].0 as usize..self.places[number + 1].0 as usize]
    }

    /// Calls back with the documents of the term of this number.
    fn documents(&self, number: usize, mut each: impl FnMut(u32)) {
        let span = self.places[number].1 as usize..self.places[number + 1].1 as usize;
        let (mut document, mut value, mut shift) = (0, 0, 0);
        for byte in &self.documents[span] {
            value |= u32::from(byte & 0x7f) << shift;
            shift += 7;
            if byte & 0x80 == 0 {
                document += value;
                each(document);
                (value, shift) = (0, 0);
            }
        }
    }

    /// Calls back with the documents of a term.
    pub(super) fn exact(&self, term: &[u8], each: impl FnMut(u32)) {
        if let Some(number) = self.find(term) {
            self.documents(number, each);
        }
    }

    /// Walks the terms that begin so and calls back with the documents of those that `is_wanted`.
    pub(super) fn walk(
        &self,
        prefix: &[u8],
        is_wanted: impl Fn(&[u8]) -> bool,
        mut each: impl FnMut(u32),
    ) {
        for (number, term) in self.beginning_with(prefix) {
            if is_wanted(term) {
                self.documents(number, &mut each);
            }
        }
    }

    /// The number of a term.
    fn find(&self, term: &[u8]) -> Option<usize> {
        let number = self.lower_bound(term);
        (number < self.len() && self.term(number) == term).then_some(number)
    }

    /// The terms that begin so, with their numbers.
    fn beginning_with<'a>(&'a self, prefix: &'a [u8]) -> impl Iterator<Item = (usize, &'a [u8])> {
        let first = self.lower_bound(prefix);
        let terms = (first..self.len()).map(|number| (number, self.term(number)));
        terms.take_while(move |(_, term)| term.starts_with(prefix))
    }

    /// The number of the first term that is not before this one.
    fn lower_bound(&self, term: &[u8]) -> usize {
        let (mut start, mut end) = (0, self.len());
        while start < end {
            let middle = usize::midpoint(start, end);
            match self.term(middle) < term {
                true => start = middle + 1,
                false => end = middle,
            }
        }
        start
    }
}

fn put_varint(out: &mut Vec<u8>, mut value: u32) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terms_are_found_with_their_documents() {
        let documents = vec![vec![0, 1, 300], vec![7], vec![2, 70_000]];
        let terms = [b"a=1".to_vec(), b"a=2".to_vec(), b"b=1".to_vec()];
        let index = SortedPostings::build(&terms.into_iter().zip(documents.clone()).collect());
        let of = |number| {
            let mut found = Vec::new();
            index.documents(number, |document| found.push(document));
            found
        };
        assert_eq!((0..3).map(of).collect::<Vec<_>>(), documents);
        assert_eq!(index.find(b"a=2"), Some(1));
        assert_eq!((index.find(b"a="), index.find(b"c")), (None, None));
        let numbers: Vec<usize> = index.beginning_with(b"a=").map(|(number, _)| number).collect();
        assert_eq!(numbers, [0, 1]);
    }
}
