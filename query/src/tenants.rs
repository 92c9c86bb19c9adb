//! Whose entries a query reads: one tenant's, or those of several tenants side by side.
//!
//! With several, each stream gets a label that says whose it is, and matchers on that label choose among
//! the tenants instead of among their streams. With one, nothing is added and nothing is special.
//!
//! # Source
//! Loki's multi-tenant querier: the labels' names, and that a stream's own label of that name is kept
//! under another.

use std::collections::{BTreeSet, HashMap};

use timberline_store::{
    Chunk, ChunkSource, IndexStats, Labels, Matcher, Snapshot, StoreError, TenantId, TimeRange,
};

/// The label that says whose a stream is, where several tenants are read.
pub const TENANT_LABEL: &str = "__tenant_id__";

/// What a stream's own [`TENANT_LABEL`] is called then.
pub const ORIGINAL_TENANT_LABEL: &str = "original___tenant_id__";

/// One tenant or several: sorted, each once, never none. Cheap to clone.
///
/// ```
/// use timberline_query::Tenants;
/// use timberline_store::{Matcher, TenantId};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let (north, south) = (TenantId::new("north")?, TenantId::new("south")?);
/// let both = Tenants::new([north, south.clone()]).ok_or("none")?;
/// let selector = [Matcher::equal("__tenant_id__", "south"), Matcher::equal("app", "shop")];
/// let (chosen, asked_of_each) = both.select(&selector);
/// assert_eq!((chosen, asked_of_each.len()), (vec![&south], 1));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Tenants {
    first: TenantId,
    others: Vec<TenantId>,
}

impl From<TenantId> for Tenants {
    fn from(tenant: TenantId) -> Self {
        Self { first: tenant, others: Vec::new() }
    }
}

impl From<&TenantId> for Tenants {
    fn from(tenant: &TenantId) -> Self {
        tenant.clone().into()
    }
}

impl From<&Self> for Tenants {
    fn from(tenants: &Self) -> Self {
        tenants.clone()
    }
}

impl Tenants {
    /// These tenants; `None` where there are none.
    #[must_use]
    pub fn new(tenants: impl IntoIterator<Item = TenantId>) -> Option<Self> {
        let mut tenants: BTreeSet<TenantId> = tenants.into_iter().collect();
        let first = tenants.pop_first()?;
        Some(Self { first, others: tenants.into_iter().collect() })
    }

    /// The tenant, where it is one.
    #[must_use]
    pub fn only(&self) -> Option<&TenantId> {
        self.others.is_empty().then_some(&self.first)
    }

    /// The first in order.
    #[must_use]
    pub const fn first(&self) -> &TenantId {
        &self.first
    }

    /// All of them, in order.
    pub fn iter(&self) -> impl Iterator<Item = &TenantId> {
        std::iter::once(&self.first).chain(&self.others)
    }

    /// The tenants that matchers on [`TENANT_LABEL`] choose, and the other matchers as their streams are
    /// to be asked. With one tenant: that one, and the matchers as they are.
    #[must_use]
    pub fn select(&self, matchers: &[Matcher]) -> (Vec<&TenantId>, Vec<Matcher>) {
        if let Some(tenant) = self.only() {
            return (vec![tenant], matchers.to_vec());
        }
        let (choosing, others): (Vec<&Matcher>, Vec<&Matcher>) =
            matchers.iter().partition(|matcher| matcher.name() == TENANT_LABEL);
        let is_chosen =
            |tenant: &&TenantId| choosing.iter().all(|matcher| matcher.matches(tenant.as_str()));
        let stored = |matcher: &Matcher| match matcher.name() {
            ORIGINAL_TENANT_LABEL => matcher.renamed(TENANT_LABEL),
            _ => matcher.clone(),
        };
        let others = others.into_iter().map(stored).collect();
        (self.iter().filter(is_chosen).collect(), others)
    }

    /// As [`Snapshot::chunks`], with the label that says whose a stream is where there are several.
    ///
    /// # Errors
    /// As [`Snapshot::chunks`].
    pub fn chunks(
        &self,
        snapshot: &Snapshot,
        matchers: &[Matcher],
        range: TimeRange,
    ) -> Result<Vec<Chunk>, StoreError> {
        let (tenants, matchers) = self.select(matchers);
        let mut all = Vec::new();
        for tenant in tenants {
            let chunks = snapshot.chunks(tenant, &matchers, range)?;
            all.extend(self.labelled(tenant, chunks));
        }
        Ok(all)
    }

    /// As [`Snapshot::chunk_sources`], of each tenant. Its chunks are to be [labelled](Self::labelled).
    ///
    /// # Errors
    /// As [`Snapshot::chunk_sources`].
    pub(crate) fn chunk_sources(
        &self,
        snapshot: &Snapshot,
        matchers: &[Matcher],
        range: TimeRange,
    ) -> Result<Vec<(&TenantId, ChunkSource)>, StoreError> {
        let (tenants, matchers) = self.select(matchers);
        let mut all = Vec::new();
        for tenant in tenants {
            let sources = snapshot.chunk_sources(tenant, &matchers, range)?;
            all.extend(sources.into_iter().map(|source| (tenant, source)));
        }
        Ok(all)
    }

    /// A tenant's chunks, with the label that says so where there are several tenants.
    pub(crate) fn labelled(&self, tenant: &TenantId, chunks: Vec<Chunk>) -> Vec<Chunk> {
        if self.only().is_some() {
            return chunks;
        }
        // Chunks outnumber streams by far, so the labels of each stream are made once.
        let mut known: HashMap<Labels, Labels> = HashMap::new();
        let labelled = |chunk: Chunk| {
            let labels = chunk.labels();
            let labels = known.entry(labels.clone()).or_insert_with(|| owned(tenant, labels));
            let labels = labels.clone();
            chunk.relabelled(labels)
        };
        chunks.into_iter().map(labelled).collect()
    }

    /// As [`Snapshot::series`]; where there are several tenants, a stream that does not say whose it is
    /// gets the label.
    ///
    /// # Errors
    /// As [`Snapshot::series`].
    pub fn series(
        &self,
        snapshot: &Snapshot,
        matchers: &[Matcher],
        range: TimeRange,
    ) -> Result<Vec<Labels>, StoreError> {
        if let Some(tenant) = self.only() {
            return snapshot.series(tenant, matchers, range);
        }
        let (tenants, matchers) = self.select(matchers);
        let mut all = BTreeSet::new();
        for tenant in tenants {
            let series = snapshot.series(tenant, &matchers, range)?.into_iter();
            all.extend(series.map(|labels| match labels.get(TENANT_LABEL) {
                Some(_) => labels,
                None => owned(tenant, &labels),
            }));
        }
        Ok(all.into_iter().collect())
    }

    /// As [`Snapshot::label_names`], of all the tenants; with [`TENANT_LABEL`] where there are several.
    ///
    /// # Errors
    /// As [`Snapshot::label_names`].
    pub fn label_names(
        &self,
        snapshot: &Snapshot,
        matchers: &[Matcher],
        range: TimeRange,
    ) -> Result<BTreeSet<String>, StoreError> {
        let (tenants, matchers) = self.select(matchers);
        let mut names = BTreeSet::new();
        for tenant in tenants {
            names.extend(snapshot.label_names(tenant, &matchers, range)?);
        }
        if self.only().is_none() {
            names.insert(TENANT_LABEL.to_owned());
        }
        Ok(names)
    }

    /// As [`Snapshot::label_values`], of all the tenants. Where there are several, the values of
    /// [`TENANT_LABEL`] are the tenants that the matchers choose.
    ///
    /// # Errors
    /// As [`Snapshot::label_values`].
    pub fn label_values(
        &self,
        snapshot: &Snapshot,
        name: &str,
        matchers: &[Matcher],
        range: TimeRange,
    ) -> Result<BTreeSet<String>, StoreError> {
        let (tenants, matchers) = self.select(matchers);
        let name = match (self.only(), name) {
            (Some(_), name) => name,
            (None, TENANT_LABEL) => {
                return Ok(tenants.into_iter().map(|tenant| tenant.as_str().to_owned()).collect());
            }
            (None, ORIGINAL_TENANT_LABEL) => TENANT_LABEL,
            (None, name) => name,
        };
        let mut values = BTreeSet::new();
        for tenant in tenants {
            values.extend(snapshot.label_values(tenant, name, &matchers, range)?);
        }
        Ok(values)
    }

    /// As [`Snapshot::stats`], added up over the tenants.
    ///
    /// # Errors
    /// As [`Snapshot::stats`].
    pub fn stats(
        &self,
        snapshot: &Snapshot,
        matchers: &[Matcher],
        range: TimeRange,
    ) -> Result<IndexStats, StoreError> {
        let (tenants, matchers) = self.select(matchers);
        let mut sum = IndexStats::default();
        for tenant in tenants {
            let stats = snapshot.stats(tenant, &matchers, range)?;
            sum.streams += stats.streams;
            sum.chunks += stats.chunks;
            sum.entries += stats.entries;
            sum.bytes += stats.bytes;
        }
        Ok(sum)
    }
}

/// A stream's labels with the one that says whose it is; its own label of that name is renamed.
fn owned(tenant: &TenantId, labels: &Labels) -> Labels {
    let has_own = labels.get(TENANT_LABEL).is_some();
    let rest = labels.iter().filter(|(name, _)| !has_own || *name != ORIGINAL_TENANT_LABEL);
    let rest = rest.map(|(name, value)| match name {
        TENANT_LABEL => (ORIGINAL_TENANT_LABEL, value),
        name => (name, value),
    });
    let pairs = rest.chain([(TENANT_LABEL, tenant.as_str())]);
    // The names differ, so this cannot fail.
    Labels::from_pairs(pairs).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use timberline_store::{MatchOp, Store, WriteBatch};

    use super::*;

    fn id(tenant: &str) -> TenantId {
        TenantId::new(tenant).unwrap()
    }

    fn tenants(ids: &[&str]) -> Tenants {
        Tenants::new(ids.iter().map(|name| id(name))).unwrap()
    }

    fn matcher(name: &str, op: MatchOp, value: &str) -> Matcher {
        Matcher::new(name, op, value).unwrap()
    }

    /// Tenants `a` and `b` have `{app="x"}`, `b` also a stream with a tenant label of its own.
    fn store(directory: &tempfile::TempDir) -> Store {
        let store = Store::open(directory.path()).unwrap();
        for (tenant, labels) in [
            ("a", &[("app", "x")][..]),
            ("b", &[("app", "x")]),
            ("b", &[("app", "y"), (TENANT_LABEL, "own"), (ORIGINAL_TENANT_LABEL, "lost")]),
        ] {
            let mut batch = WriteBatch::new();
            batch.stream(&Labels::from_pairs(labels.iter().copied()).unwrap());
            batch.push(1, tenant.as_bytes(), &[]).unwrap();
            store.append(&id(tenant), &batch).unwrap();
        }
        store
    }

    #[test]
    fn tenants_are_sorted_and_each_is_there_once() {
        let names: Vec<_> = tenants(&["b", "a", "b"]).iter().map(TenantId::to_string).collect();
        assert_eq!(names, ["a", "b"]);
        assert_eq!(tenants(&["a", "a"]).only(), Some(&id("a")));
        assert!(tenants(&["a", "b"]).only().is_none() && Tenants::new([]).is_none());
    }

    #[test]
    fn several_tenants_are_told_apart_by_a_label() {
        let directory = tempfile::tempdir().unwrap();
        let snapshot = store(&directory).snapshot();
        let told = |tenants: &Tenants, matchers: &[Matcher]| {
            let chunks = tenants.chunks(&snapshot, matchers, TimeRange::ALL).unwrap();
            chunks.iter().map(|chunk| chunk.labels().to_string()).collect::<Vec<_>>()
        };
        let (both, alone) = (tenants(&["a", "b"]), tenants(&["a"]));
        let y = r#"{__tenant_id__="b", app="y", original___tenant_id__="own"}"#;
        let (a, b) = (r#"{__tenant_id__="a", app="x"}"#, r#"{__tenant_id__="b", app="x"}"#);
        assert_eq!(told(&both, &[]), [a, b, y]);
        assert_eq!(told(&both, &[matcher("app", MatchOp::Equal, "x")]), [a, b]);
        assert_eq!(told(&both, &[matcher(TENANT_LABEL, MatchOp::NotEqual, "b")]), [a]);
        assert_eq!(told(&both, &[matcher(TENANT_LABEL, MatchOp::Matches, "b|c")]), [b, y]);
        assert_eq!(told(&both, &[matcher(ORIGINAL_TENANT_LABEL, MatchOp::Equal, "own")]), [y]);
        assert_eq!(told(&alone, &[]), [r#"{app="x"}"#]);
        assert_eq!(told(&alone, &[matcher(TENANT_LABEL, MatchOp::Equal, "a")]), [""; 0]);
        assert_eq!(told(&tenants(&["a", "c"]), &[]), [a]);
    }

    #[test]
    fn lists_and_figures_are_of_all_the_tenants() {
        let directory = tempfile::tempdir().unwrap();
        let snapshot = store(&directory).snapshot();
        let (both, alone) = (tenants(&["a", "b"]), tenants(&["a"]));
        let names = |tenants: &Tenants| {
            let names = tenants.label_names(&snapshot, &[], TimeRange::ALL).unwrap();
            names.into_iter().collect::<Vec<_>>().join(" ")
        };
        assert_eq!(names(&both), "__tenant_id__ app original___tenant_id__");
        assert_eq!(names(&alone), "app");
        let values = |tenants: &Tenants, name: &str, matchers: &[Matcher]| {
            let values = tenants.label_values(&snapshot, name, matchers, TimeRange::ALL).unwrap();
            values.into_iter().collect::<Vec<_>>().join(" ")
        };
        assert_eq!(values(&both, "app", &[]), "x y");
        assert_eq!(values(&both, TENANT_LABEL, &[]), "a b");
        assert_eq!(values(&both, TENANT_LABEL, &[matcher(TENANT_LABEL, MatchOp::Equal, "b")]), "b");
        assert_eq!(values(&both, ORIGINAL_TENANT_LABEL, &[]), "own");
        assert_eq!(values(&alone, TENANT_LABEL, &[]), "");
        let series = both.series(&snapshot, &[], TimeRange::ALL).unwrap();
        assert_eq!(series.len(), 3);
        assert!(series.iter().any(|labels| labels.get(TENANT_LABEL) == Some("own")));
        let stats = both.stats(&snapshot, &[], TimeRange::ALL).unwrap();
        assert_eq!((stats.streams, stats.entries), (3, 3));
        assert_eq!(alone.stats(&snapshot, &[], TimeRange::ALL).unwrap().entries, 1);
    }
}
