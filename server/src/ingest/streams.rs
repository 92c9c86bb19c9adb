//! What is known of a stream from its label text alone, worked out once per text.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher as _;
use std::mem;
use std::sync::Arc;

use parking_lot::{Mutex, RwLock};
use timberline_store::Labels;

use super::go_text::label_string;
use super::label_text::{self, LabelTextError, Pair};
use super::level;
use super::limits::IngestLimits;
use super::reason::{Fault, Reason};

/// The label that names a stream's service.
const SERVICE_NAME: &str = "service_name";

/// The service of a stream that does not say one.
const UNKNOWN_SERVICE: &str = "unknown_service";

/// Streams that the system makes of other streams; they get no service name.
const INTERNAL_STREAMS: [&str; 2] = ["__aggregated_metric__", "__pattern__"];

/// How many label texts a generation of the cache may hold.
const GENERATION_TEXTS_MAX: usize = 32_768;

/// How many bytes the label texts of a generation may have.
const GENERATION_BYTES_MAX: usize = 16 << 20;

/// Longer texts are not kept: no sane stream has one, and a few would take the place of thousands.
const TEXT_BYTES_MAX: usize = 64 << 10;

/// A stream as the write path sees it.
#[derive(Debug)]
pub(crate) struct KnownStream {
    /// The labels it is stored under.
    pub(crate) labels: Labels,
    /// The labels as messages show them.
    pub(crate) name: String,
    /// The level that its labels say.
    pub(crate) level: Option<Box<str>>,
    /// Why none of its entries is accepted.
    pub(crate) fault: Option<Fault>,
}

impl KnownStream {
    /// Reads a label text, drops empty values, finds the service's name and checks the limits.
    pub(crate) fn new(text: &str, limits: &IngestLimits) -> Result<Self, LabelTextError> {
        let mut pairs = label_text::parse(text)?;
        pairs.retain(|(_, value)| !value.is_empty());
        pairs.sort_by(|a, b| a.0.cmp(b.0));
        discover_service_name(&mut pairs, &limits.discover_service_name);
        let duplicate = pairs.windows(2).find(|two| two[0].0 == two[1].0).map(|two| two[0].0);
        let mut fault = None;
        if let Some(label) = duplicate {
            fault = Some((Reason::DuplicateLabelNames, label.to_owned()));
            pairs.dedup_by(|later, first| later.0 == first.0);
        }
        // The names differ by now, so this cannot fail.
        let labels = Labels::from_pairs(pairs.iter().map(|(name, value)| (*name, &**value)))
            .unwrap_or_default();
        let name = label_string(&labels);
        let fault = check(&labels, &name, limits).or_else(|| {
            let (reason, label) = fault?;
            let text = format!("stream '{name}' has duplicate label name: '{label}'");
            Some(Fault::new(reason, text))
        });
        Ok(Self { level: level::of_labels(&labels), labels, name, fault })
    }
}

/// Adds `service_name` where it is missing: the first of the sources that the stream has.
fn discover_service_name(pairs: &mut Vec<Pair<'_>>, sources: &[String]) {
    let has = |name: &str| pairs.iter().any(|(label, _)| *label == name);
    if sources.is_empty() || has(SERVICE_NAME) || INTERNAL_STREAMS.into_iter().any(has) {
        return;
    }
    let value_of = |source: &String| pairs.iter().find(|(name, _)| name == source);
    let found = sources.iter().find_map(value_of).map(|(_, value)| value.clone());
    let value = found.unwrap_or_else(|| UNKNOWN_SERVICE.into());
    let at = pairs.partition_point(|(name, _)| *name < SERVICE_NAME);
    pairs.insert(at, (SERVICE_NAME, value));
}

/// The first rule that the labels break, in Loki's order.
fn check(labels: &Labels, stream: &str, limits: &IngestLimits) -> Option<Fault> {
    if labels.is_empty() {
        let text = "error at least one label pair is required per stream";
        return Some(Fault::new(Reason::MissingLabels, text.to_owned()));
    }
    let count = labels.iter().filter(|(name, _)| *name != SERVICE_NAME).count();
    let limit = limits.max_label_names_per_series;
    if count > limit {
        let text = format!("entry for stream '{stream}' has {count} label names; limit {limit}");
        return Some(Fault::new(Reason::MaxLabelNamesPerSeries, text));
    }
    labels.iter().find_map(|(name, value)| {
        if name.len() > limits.max_label_name_length {
            let text = format!("stream '{stream}' has label name too long: '{name}'");
            return Some(Fault::new(Reason::LabelNameTooLong, text));
        }
        if value.len() > limits.max_label_value_length {
            let text = format!("stream '{stream}' has label value too long: '{value}'");
            return Some(Fault::new(Reason::LabelValueTooLong, text));
        }
        None
    })
}

/// How many sets of rules have a cache of their own at a time. They come from the configuration, where
/// few tenants have label rules that differ.
const CACHES_MAX: usize = 16;

/// A cache for each set of rules that streams are read by.
#[derive(Debug, Default)]
pub(crate) struct StreamCaches(RwLock<Vec<(StreamRules, Arc<StreamCache>)>>);

/// What of the limits [`KnownStream::new`] looks at.
#[derive(Debug)]
struct StreamRules {
    label_names_max: usize,
    name_length_max: usize,
    value_length_max: usize,
    discover_service_name: Vec<String>,
}

impl StreamRules {
    fn of(limits: &IngestLimits) -> Self {
        Self {
            label_names_max: limits.max_label_names_per_series,
            name_length_max: limits.max_label_name_length,
            value_length_max: limits.max_label_value_length,
            discover_service_name: limits.discover_service_name.clone(),
        }
    }

    fn are_those_of(&self, limits: &IngestLimits) -> bool {
        self.label_names_max == limits.max_label_names_per_series
            && self.name_length_max == limits.max_label_name_length
            && self.value_length_max == limits.max_label_value_length
            && self.discover_service_name == limits.discover_service_name
    }
}

impl StreamCaches {
    /// The cache of streams that are read by these limits.
    pub(crate) fn of(&self, limits: &IngestLimits) -> Arc<StreamCache> {
        let find = |caches: &[(StreamRules, Arc<StreamCache>)]| {
            let found = caches.iter().find(|(rules, _)| rules.are_those_of(limits));
            found.map(|(_, cache)| Arc::clone(cache))
        };
        if let Some(cache) = find(&self.0.read()) {
            return cache;
        }
        let mut caches = self.0.write();
        if let Some(cache) = find(&caches) {
            return cache;
        }
        // The oldest may belong to a configuration that is gone; if not, it is filled anew.
        if caches.len() >= CACHES_MAX {
            caches.remove(0);
        }
        let cache = Arc::<StreamCache>::default();
        caches.push((StreamRules::of(limits), Arc::clone(&cache)));
        cache
    }
}

/// Streams by label text, so that steady pushes parse nothing.
///
/// Two generations: a full one becomes the old one and the old one is forgotten; what is asked for in
/// the old one moves to the young one. So the cache is bounded, and what is in use stays.
#[derive(Debug, Default)]
pub(crate) struct StreamCache {
    shards: [Mutex<Generations>; 8],
    hasher: RandomState,
}

#[derive(Debug, Default)]
struct Generations {
    young: HashMap<Box<str>, Arc<KnownStream>>,
    young_bytes: usize,
    old: HashMap<Box<str>, Arc<KnownStream>>,
}

impl StreamCache {
    /// The stream of a label text. Texts that do not parse or are very long are not kept.
    pub(crate) fn get(
        &self,
        text: &str,
        limits: &IngestLimits,
    ) -> Result<Arc<KnownStream>, LabelTextError> {
        let hash = self.hasher.hash_one(text);
        let shard = &self.shards[usize::try_from(hash % 8).unwrap_or_default()];
        if let Some(stream) = shard.lock().get(text) {
            return Ok(stream);
        }
        let stream = Arc::new(KnownStream::new(text, limits)?);
        if text.len() > TEXT_BYTES_MAX {
            return Ok(stream);
        }
        shard.lock().insert(text.into(), Arc::clone(&stream));
        Ok(stream)
    }
}

impl Generations {
    fn get(&mut self, text: &str) -> Option<Arc<KnownStream>> {
        if let Some(stream) = self.young.get(text) {
            return Some(Arc::clone(stream));
        }
        let (text, stream) = self.old.remove_entry(text)?;
        self.insert(text, Arc::clone(&stream));
        Some(stream)
    }

    fn insert(&mut self, text: Box<str>, stream: Arc<KnownStream>) {
        let full = self.young.len() >= GENERATION_TEXTS_MAX / 8
            || self.young_bytes + text.len() > GENERATION_BYTES_MAX / 8;
        if full {
            self.old = mem::take(&mut self.young);
            self.young_bytes = 0;
        }
        self.young_bytes += text.len();
        self.young.insert(text, stream);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(text: &str) -> KnownStream {
        KnownStream::new(text, &IngestLimits::default()).unwrap()
    }

    fn fault(text: &str, limits: &IngestLimits) -> String {
        KnownStream::new(text, limits).unwrap().fault.map_or_else(String::new, |fault| fault.text)
    }

    #[test]
    fn a_service_name_is_found() {
        for (text, service) in [
            ("{}", "unknown_service"),
            (r#"{job="j", app="a", service=""}"#, "a"),
            (r#"{service_name="s", app="a"}"#, "s"),
            (r#"{service_name="", app="a"}"#, "a"),
            (r#"{z="1"}"#, "unknown_service"),
        ] {
            assert_eq!(known(text).labels.get("service_name"), Some(service), "{text}");
        }
        assert_eq!(known(r#"{__pattern__="x"}"#).name, r#"{__pattern__="x"}"#);
        assert_eq!(
            known(r#"{z="1", a="2"}"#).name,
            r#"{a="2", service_name="unknown_service", z="1"}"#
        );
    }

    #[test]
    fn label_rules_have_lokis_texts() {
        let limits = IngestLimits {
            discover_service_name: Vec::new(),
            max_label_names_per_series: 2,
            max_label_name_length: 3,
            max_label_value_length: 4,
            ..IngestLimits::default()
        };
        for (text, message) in [
            ("{}", "error at least one label pair is required per stream"),
            (
                r#"{a="1",b="2",c="3"}"#,
                r#"entry for stream '{a="1", b="2", c="3"}' has 3 label names; limit 2"#,
            ),
            (r#"{long="1"}"#, r#"stream '{long="1"}' has label name too long: 'long'"#),
            (r#"{a="12345"}"#, r#"stream '{a="12345"}' has label value too long: '12345'"#),
            (r#"{a="1",a="2"}"#, r#"stream '{a="1"}' has duplicate label name: 'a'"#),
            (r#"{a="1",b="2"}"#, ""),
        ] {
            assert_eq!(fault(text, &limits), message, "{text}");
        }
        let named = IngestLimits { max_label_names_per_series: 1, ..IngestLimits::default() };
        assert_eq!(fault(r#"{a="1"}"#, &named), "", "service_name does not count");
    }

    #[test]
    fn the_cache_keeps_what_is_used_and_is_bounded() {
        let (cache, limits) = (StreamCache::default(), IngestLimits::default());
        let first = cache.get(r#"{a="kept"}"#, &limits).unwrap();
        for index in 0..3 * GENERATION_TEXTS_MAX {
            cache.get(&format!("{{a=\"{index}\"}}"), &limits).unwrap();
            if index % 64 == 0 {
                let again = cache.get(r#"{a="kept"}"#, &limits).unwrap();
                assert!(Arc::ptr_eq(&first, &again));
            }
        }
        let count = |shard: &Mutex<Generations>| {
            let generations = shard.lock();
            generations.young.len() + generations.old.len()
        };
        assert!(cache.shards.iter().map(count).sum::<usize>() <= 2 * GENERATION_TEXTS_MAX);
        assert!(cache.get("{a}", &limits).is_err());
    }

    #[test]
    fn limits_with_other_label_rules_have_another_cache() {
        let caches = StreamCaches::default();
        let limits = IngestLimits::default();
        let same = IngestLimits { max_line_size: 1, ..limits.clone() };
        let first = caches.of(&limits);
        assert!(Arc::ptr_eq(&first, &caches.of(&same)));
        for length in 1..2 * CACHES_MAX {
            let other = IngestLimits { max_label_name_length: length, ..limits.clone() };
            assert!(!Arc::ptr_eq(&first, &caches.of(&other)));
            assert!(Arc::ptr_eq(&caches.of(&other), &caches.of(&other)));
        }
        assert_eq!(caches.0.read().len(), CACHES_MAX);
    }

    #[test]
    fn very_long_texts_are_not_kept() {
        let (cache, limits) = (StreamCache::default(), IngestLimits::default());
        let kept = |value_len| {
            let text = format!("{{a=\"{}\"}}", "x".repeat(value_len));
            let first = cache.get(&text, &limits).unwrap();
            Arc::ptr_eq(&first, &cache.get(&text, &limits).unwrap())
        };
        assert!(kept(1000));
        assert!(!kept(TEXT_BYTES_MAX));
    }
}
