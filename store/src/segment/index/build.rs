//! Builds the label index of a segment in memory.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use tantivy::directory::RamDirectory;
use tantivy::schema::{BytesOptions, Schema};
use tantivy::{Directory, Index, IndexSettings, SingleSegmentIndexWriter, TantivyDocument};

use super::{FIELD, SEPARATOR};
use crate::segment::reader::DIRECT_STREAMS_MAX;
use crate::segment::stream_table::StreamRecord;

/// The longest term; tantivy cannot hold those over 64 KiB.
const TERM_BYTES_MAX: usize = 60_000;

/// tantivy sizes its first hash table by this budget; a single-segment writer has no other use for it.
const MEMORY_BUDGET_BYTES: usize = 15_000_000;

/// Where tantivy says what its files are.
const META_FILE: &str = "meta.json";

/// The names and bytes of the index's files; none when the segment is to have no index.
///
/// # Errors
/// Those of tantivy, which in memory has no reason for one.
pub(in crate::segment) fn build(
    streams: &[StreamRecord],
) -> tantivy::Result<Vec<(String, Vec<u8>)>> {
    if streams.len() <= DIRECT_STREAMS_MAX || !streams.iter().all(fits) {
        return Ok(Vec::new());
    }
    let mut schema = Schema::builder();
    let field = schema.add_bytes_field(FIELD, BytesOptions::default().set_indexed());
    let directory = RamDirectory::create();
    // There are no stored fields, so nothing a thread could compress.
    let settings =
        IndexSettings { docstore_compress_dedicated_thread: false, ..IndexSettings::default() };
    let mut writer: SingleSegmentIndexWriter = Index::builder()
        .schema(schema.build())
        .settings(settings)
        .single_segment_index_writer(directory.clone(), MEMORY_BUDGET_BYTES)?;
    for stream in streams {
        let mut document = TantivyDocument::new();
        for (name, value) in stream.labels.iter() {
            let mut term = prefix(stream.tenant.as_str(), name);
            term.extend_from_slice(value.as_bytes());
            document.add_bytes(field, &term);
        }
        writer.add_document(document)?;
    }
    files(&writer.finalize()?, &directory)
}

/// What the terms of a tenant's label begin with.
pub(super) fn prefix(tenant: &str, name: &str) -> Vec<u8> {
    [tenant.as_bytes(), &[SEPARATOR], name.as_bytes(), &[SEPARATOR]].concat()
}

/// Whether every label makes a term that is not too long and can be told apart from all others.
fn fits(stream: &StreamRecord) -> bool {
    stream.labels.iter().all(|(name, value)| {
        let len = stream.tenant.as_str().len() + name.len() + value.len() + 2;
        len <= TERM_BYTES_MAX && !name.as_bytes().contains(&SEPARATOR)
    })
}

fn files(index: &Index, directory: &RamDirectory) -> tantivy::Result<Vec<(String, Vec<u8>)>> {
    let mut paths = index.directory().list_managed_files();
    paths.insert(PathBuf::from(META_FILE));
    let paths: BTreeSet<PathBuf> = paths.into_iter().collect();
    let mut files = Vec::new();
    for path in paths {
        if directory.exists(&path)? {
            files.push((name(&path), directory.atomic_read(&path)?));
        }
    }
    Ok(files)
}

/// A file's name; tantivy's are ASCII.
fn name(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}
