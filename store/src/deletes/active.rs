//! A request that is in force, ready to be asked about entries.

use std::fmt;
use std::sync::Arc;

use memchr::memmem::Finder;

use super::{DeleteBody, DeleteFilter, EntryFilter, FilterCompiler, StoredDelete};
use crate::{Batch, Labels, LineColumn, Matcher, Metadata, Row, StoreError, TenantId, Timestamp};

/// A request that is in force.
pub(crate) struct ActiveDelete {
    pub(crate) id: u64,
    pub(crate) body: Arc<DeleteBody>,
    /// None when it cannot be understood: then every stream may be meant.
    selector: Vec<Matcher>,
    test: Test,
}

enum Test {
    Every,
    Contains(Box<Finder<'static>>),
    Filter(Arc<dyn EntryFilter>),
    /// It cannot be told which entries are meant.
    Unknown,
}

impl ActiveDelete {
    /// Makes a request ready.
    ///
    /// # Errors
    /// [`StoreError::Invalid`] for what cannot be understood.
    pub(crate) fn new(
        id: u64,
        body: &Arc<DeleteBody>,
        compiler: Option<&dyn FilterCompiler>,
    ) -> Result<Self, StoreError> {
        let compile = |(op, name, value): &(_, Box<str>, Box<str>)| Matcher::new(name, *op, value);
        let selector: Result<_, _> = body.matchers.iter().map(compile).collect();
        let selector = selector.map_err(|error| StoreError::Invalid(error.to_string()))?;
        let test = match &body.filter {
            DeleteFilter::Every => Test::Every,
            DeleteFilter::Contains(needle) => {
                Test::Contains(Box::new(Finder::new(needle).into_owned()))
            }
            DeleteFilter::Compiled => {
                let none = "the store was opened without a compiler of filters";
                let compiler = compiler.ok_or_else(|| StoreError::Invalid(none.to_owned()))?;
                Test::Filter(compiler.compile(&body.text).map_err(StoreError::Invalid)?)
            }
        };
        Ok(Self { id, body: Arc::clone(body), selector, test })
    }

    /// As [`new`](Self::new), for a request that is recorded already: one that cannot be understood means
    /// all that it may mean. Returns a sentence about that.
    pub(crate) fn restored(
        stored: &StoredDelete,
        compiler: Option<&dyn FilterCompiler>,
    ) -> (Self, Option<String>) {
        match Self::new(stored.id, &stored.body, compiler) {
            Ok(active) => (active, None),
            Err(error) => {
                let id = stored.id;
                tracing::error!(id, %error, "a delete request cannot be understood");
                let (body, selector) = (Arc::clone(&stored.body), Vec::new());
                let warning = format!(
                    "delete request {id} cannot be understood, so everything in its range of time is \
                     left out: {error}"
                );
                (Self { id, body, selector, test: Test::Unknown }, Some(warning))
            }
        }
    }

    /// The request under its number.
    pub(crate) fn numbered(self, id: u64) -> Self {
        Self { id, ..self }
    }

    /// Whether it can be carried out.
    pub(crate) const fn is_understood(&self) -> bool {
        !matches!(self.test, Test::Unknown)
    }

    /// Whether entries of that time in a segment of that level may be meant.
    pub(crate) fn concerns(
        &self,
        tenant: &TenantId,
        level: u64,
        first: Timestamp,
        last: Timestamp,
    ) -> bool {
        self.id > level && self.body.tenant == *tenant && self.body.range.overlaps(first, last)
    }

    /// The matchers of the streams that are meant.
    pub(crate) fn selector(&self) -> &[Matcher] {
        &self.selector
    }

    /// Whether the stream is meant.
    pub(crate) fn selects(&self, labels: &Labels) -> bool {
        let value = |matcher: &Matcher| labels.get(matcher.name()).unwrap_or_default();
        self.selector.iter().all(|matcher| matcher.matches(value(matcher)))
    }

    /// Whether all entries of the time `first..=last` of a stream that is meant are.
    pub(crate) fn takes_all(&self, first: Timestamp, last: Timestamp) -> bool {
        matches!(self.test, Test::Every | Test::Unknown) && self.body.range.covers(first, last)
    }

    /// What it has to know of a line.
    pub(crate) const fn line_column(&self) -> LineColumn {
        match self.test {
            Test::Every | Test::Unknown => LineColumn::None,
            Test::Contains(_) | Test::Filter(_) => LineColumn::Text,
        }
    }

    /// Whether it has to know the metadata.
    pub(crate) const fn reads_metadata(&self) -> bool {
        matches!(self.test, Test::Filter(_))
    }

    /// Marks the rows of a stream that is meant which are to be deleted.
    pub(crate) fn mark(&self, labels: &Labels, batch: &Batch, marks: &mut [bool]) {
        let is_in = |row: &Row| self.body.range.contains(row.timestamp);
        let rows = marks.iter_mut().zip(batch.rows());
        match &self.test {
            Test::Every | Test::Unknown => rows.for_each(|(mark, row)| *mark |= is_in(row)),
            Test::Contains(finder) => rows.for_each(|(mark, row)| {
                *mark = *mark || is_in(row) && finder.find(batch.line(row)).is_some();
            }),
            Test::Filter(filter) => {
                if batch.rows().iter().any(is_in) {
                    let passing = filter.passes(labels, batch);
                    // A filter that says too little hides too much rather than too little.
                    let mut passing = passing.into_iter().chain(std::iter::repeat(true));
                    rows.for_each(|(mark, row)| {
                        *mark |= passing.next().unwrap_or(true) && is_in(row);
                    });
                }
            }
        }
    }

    /// Whether an entry of the tenant is meant.
    pub(crate) fn takes(
        &self,
        labels: &Labels,
        timestamp: Timestamp,
        line: &[u8],
        metadata: &Metadata,
    ) -> bool {
        if !self.selects(labels) {
            return false;
        }
        let row = Row {
            timestamp,
            line_len: u32::try_from(line.len()).unwrap_or(u32::MAX),
            ..Row::default()
        };
        let batch = Batch {
            rows: vec![row],
            text: Arc::new(line.to_vec()),
            metadata: Arc::new(vec![metadata.clone()]),
            ..Batch::default()
        };
        let mut marks = [false];
        self.mark(labels, &batch, &mut marks);
        marks[0]
    }
}

impl fmt::Debug for ActiveDelete {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ActiveDelete").field("id", &self.id).field("body", &self.body).finish()
    }
}
