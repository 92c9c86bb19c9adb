//! The same terms in tantivy, as the store bundles them with its segments.

use anyhow::Result;
use std::sync::Arc;
use tantivy::directory::RamDirectory;
use tantivy::postings::TermInfo;
use tantivy::schema::{BytesOptions, IndexRecordOption, Schema};
use tantivy::{
    Directory, HasLen, Index, IndexSettings, InvertedIndexReader, SegmentReader,
    SingleSegmentIndexWriter, TantivyDocument,
};
use tantivy_fst::Regex;

/// An open index.
pub(super) struct Inverted {
    terms: Arc<InvertedIndexReader>,
}

/// An index that was made but not opened.
pub(super) struct Built {
    index: Index,
    bytes: u64,
}

impl Built {
    /// Indexes documents with these terms each.
    pub(super) fn new(documents: &[Vec<Vec<u8>>]) -> Result<Self> {
        let mut schema = Schema::builder();
        let field = schema.add_bytes_field("term", BytesOptions::default().set_indexed());
        let directory = RamDirectory::create();
        let settings =
            IndexSettings { docstore_compress_dedicated_thread: false, ..IndexSettings::default() };
        let mut writer: SingleSegmentIndexWriter = Index::builder()
            .schema(schema.build())
            .settings(settings)
            .single_segment_index_writer(directory.clone(), 15_000_000)?;
        for terms in documents {
            let mut document = TantivyDocument::new();
            terms.iter().for_each(|term| document.add_bytes(field, term));
            writer.add_document(document)?;
        }
        let index = writer.finalize()?;
        let mut bytes = 0;
        for path in index.directory().list_managed_files() {
            if directory.exists(&path)? {
                bytes += directory.open_read(&path)?.len() as u64;
            }
        }
        Ok(Self { index, bytes })
    }

    pub(super) const fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(super) fn open(&self) -> Result<Inverted> {
        let segments = self.index.searchable_segments()?;
        let [segment] = &segments[..] else { anyhow::bail!("{} segments", segments.len()) };
        let field = self.index.schema().get_field("term")?;
        let terms = SegmentReader::open(segment)?.inverted_index(field)?;
        Ok(Inverted { terms })
    }
}

impl Inverted {
    /// Calls back with the documents of a term.
    pub(super) fn exact(&self, term: &[u8], each: impl FnMut(u32)) -> Result<()> {
        match self.terms.terms().get(term)? {
            Some(info) => self.documents(&info, each),
            None => Ok(()),
        }
    }

    fn documents(&self, info: &TermInfo, mut each: impl FnMut(u32)) -> Result<()> {
        let mut block =
            self.terms.read_block_postings_from_terminfo(info, IndexRecordOption::Basic)?;
        while !block.docs().is_empty() {
            block.docs().iter().for_each(|document| each(*document));
            block.advance();
        }
        Ok(())
    }

    /// Walks the terms that begin so and calls back with the documents of those that `is_wanted`.
    pub(super) fn walk(
        &self,
        prefix: &[u8],
        is_wanted: impl Fn(&[u8]) -> bool,
        mut each: impl FnMut(u32),
    ) -> Result<()> {
        let mut terms = self.terms.terms().range().ge(prefix).into_stream()?;
        while terms.advance() && terms.key().starts_with(prefix) {
            if is_wanted(terms.key()) {
                self.documents(terms.value(), &mut each)?;
            }
        }
        Ok(())
    }

    /// Calls back with the documents of the terms that an automaton accepts. It runs over the dictionary's
    /// own automaton, so that what it refuses by the first bytes is not walked.
    pub(super) fn automaton(&self, pattern: &str, mut each: impl FnMut(u32)) -> Result<()> {
        let regex = Regex::new(pattern).map_err(|error| anyhow::anyhow!("{pattern}: {error}"))?;
        let mut terms = self.terms.terms().search(&regex).into_stream()?;
        while terms.advance() {
            self.documents(terms.value(), &mut each)?;
        }
        Ok(())
    }
}
