//! Texts as templates and columns.
//!
//! A text is split into its *template*, what it has in common with many others, and the values of the
//! template's *slots*, which are stored column by column, each in the form that suits it: integers,
//! hexadecimal digits, a dictionary, texts, or templates again. So equal parts are stored once, values
//! of one kind lie together, and a needle is looked for in the templates and in the few columns that
//! may have it, instead of in every text.
//!
//! Nothing here knows of files: columns go to a [`Sink`] and come from a [`Source`].

mod cells;
mod column;
mod decoding;
mod describe;
mod hits;
mod ints;
mod lazy;
mod numbers;
mod project;
mod raw;
mod runs;
mod search;
mod sink;
mod split;
mod stamp;
mod table;
#[cfg(test)]
mod tests;
mod tokens;
mod values;
mod view;
mod window;

use std::io;

use self::split::Texts;

pub(in crate::segment) use self::cells::Cells;
pub(in crate::segment) use self::column::COLUMN_BYTES;
pub(in crate::segment) use self::decoding::Decoding;
pub(in crate::segment) use self::hits::Hits;
pub(in crate::segment) use self::ints::IntColumn;
pub(in crate::segment) use self::lazy::Lazy;
pub(in crate::segment) use self::project::Projections;
pub(in crate::segment) use self::sink::{Finished, Kind, Place, Sink, Source};
pub(in crate::segment) use self::table::{TEXTS_MAX, Table};
pub(in crate::segment) use self::values::are_few;
pub(crate) use self::view::TemplateView;

/// Is told what the texts of a table are made of, in pieces. Every run of letters and digits of a text is in one of
/// them as a whole. What many texts have alike is mostly told once.
pub(in crate::segment) trait Listener {
    /// Numbers of fewer decimal digits are not told.
    fn digits_min(&self) -> usize;

    /// There is this piece.
    fn piece(&mut self, text: &[u8]);

    /// There is a piece of ASCII letters and digits alone.
    fn word(&mut self, text: &[u8]);
}

/// Templates that save less than this, as a ratio, are weighed against the texts as they are: where those are
/// compressed in haste, and where they are compressed well.
const SURE_RATIOS: (usize, usize) = (8, 16);

/// Parts of the texts that tell how much those would take, and how long each is.
const PARTS: (usize, usize) = (8, 32 * 1024);

/// Stores texts, given as places in `bytes`: split into templates, unless they take less space whole.
///
/// # Errors
/// What zstd refuses.
pub(in crate::segment) fn write(
    bytes: &[u8],
    spans: &[(u32, u32)],
    sink: &mut Sink,
    listener: &mut dyn Listener,
) -> io::Result<Table> {
    let texts = Texts { bytes, spans };
    let mark = sink.mark();
    let table = Table::write(texts, 0, sink, Some(listener))?;
    let split_bytes = bytes_of(&table, sink)?;
    let sure_ratio = if sink.is_hasty() { SURE_RATIOS.0 } else { SURE_RATIOS.1 };
    if split_bytes * sure_ratio < texts.total() || !may_be_less(texts, split_bytes, sink)? {
        return Ok(table);
    }
    let split = sink.take(&mark);
    let whole = Table::write_whole(texts, sink)?;
    if bytes_of(&whole, sink)? < split_bytes {
        return Ok(whole);
    }
    sink.take(&mark);
    sink.put_back(split);
    Ok(table)
}

/// How many bytes a table takes that is all there is in a sink.
fn bytes_of(table: &Table, sink: &mut Sink) -> io::Result<usize> {
    let mut described = Vec::new();
    table.encode(&mut described);
    Ok(sink.stored_bytes()? + sink.compress(&described)?.1.len())
}

/// Whether texts may take less than so many bytes as they are. Tells by a few parts of them: only where
/// these are near to it the whole is worth compressing.
fn may_be_less(texts: Texts<'_>, bytes: usize, sink: &mut Sink) -> io::Result<bool> {
    let (count, len) = PARTS;
    let all = texts.bytes.len();
    if all < 4 * count * len {
        return Ok(true);
    }
    let parts = (0..count).map(|part| part * (all - len) / (count - 1));
    let parts: Vec<u8> =
        parts.flat_map(|start| &texts.bytes[start..start + len]).copied().collect();
    let (_, stored) = sink.compress(&parts)?;
    // The whole has more to refer to.
    let least = stored.len() * (all / parts.len()) / 5 * 4;
    Ok(least < bytes)
}
