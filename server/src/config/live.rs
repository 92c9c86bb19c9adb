//! The limits of each tenant while the server runs: they may change without a restart.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::RwLock;
use timberline_query::Tenants;
use timberline_store::{Retention, TenantId};

use super::{Config, LimitsConfig, Overrides};

/// The limits of every tenant, as one configuration has them.
#[derive(Clone, Debug, Default)]
pub struct TenantLimits {
    section: Arc<LimitsConfig>,
    overrides: Overrides,
    by_tenant: HashMap<TenantId, Arc<LimitsConfig>>,
}

impl TenantLimits {
    /// The limits that a configuration has.
    #[must_use]
    pub fn new(section: LimitsConfig, overrides: Overrides) -> Self {
        let of_tenant = |(tenant, limits)| {
            // Both were checked when they were read.
            let limits = section.with(limits).ok()?;
            Some((TenantId::new(tenant).ok()?, Arc::new(limits)))
        };
        let by_tenant = overrides.iter().filter_map(of_tenant).collect();
        Self { by_tenant, overrides, section: Arc::new(section) }
    }

    /// What a tenant is held to.
    #[must_use]
    pub fn of(&self, tenant: &TenantId) -> Arc<LimitsConfig> {
        Arc::clone(self.by_tenant.get(tenant).unwrap_or(&self.section))
    }

    /// What a read of these tenants is held to: the smallest limits of its queries, for the rest those
    /// of the first tenant.
    #[must_use]
    pub fn of_all(&self, tenants: &Tenants) -> Arc<LimitsConfig> {
        let mut all = tenants.iter().map(|tenant| self.of(tenant));
        let Some(mut limits) = all.next() else { return Arc::clone(&self.section) };
        for other in all {
            let query = limits.query.smaller(&other.query);
            Arc::make_mut(&mut limits).query = query;
        }
        limits
    }

    /// The limits of tenants that have none of their own.
    #[must_use]
    pub const fn section(&self) -> &Arc<LimitsConfig> {
        &self.section
    }

    /// How long the entries of every tenant are kept.
    #[must_use]
    pub fn retention(&self) -> Retention {
        let others = Retention::new(self.section.retention.of_tenant());
        self.by_tenant.iter().fold(others, |retention, (tenant, limits)| {
            retention.tenant(tenant.clone(), limits.retention.of_tenant())
        })
    }

    /// Every set of limits that is some tenant's.
    pub(crate) fn sets(&self) -> impl Iterator<Item = &Arc<LimitsConfig>> {
        std::iter::once(&self.section).chain(self.by_tenant.values())
    }

    /// `config` with these limits in place of its own.
    #[must_use]
    pub fn in_config(&self, config: &Config) -> Config {
        Config {
            limits_config: LimitsConfig::clone(&self.section),
            overrides: self.overrides.clone(),
            ..config.clone()
        }
    }
}

impl From<LimitsConfig> for TenantLimits {
    fn from(section: LimitsConfig) -> Self {
        Self::new(section, Overrides::default())
    }
}

/// The limits in force. Whoever asks holds to what was in force then.
#[derive(Debug, Default)]
pub struct LiveLimits(RwLock<Arc<TenantLimits>>);

impl LiveLimits {
    /// Starts with these.
    #[must_use]
    pub fn new(limits: TenantLimits) -> Self {
        Self(RwLock::new(Arc::new(limits)))
    }

    /// The limits in force now.
    #[must_use]
    pub fn current(&self) -> Arc<TenantLimits> {
        Arc::clone(&self.0.read())
    }

    /// What a tenant is held to now.
    #[must_use]
    pub fn of(&self, tenant: &TenantId) -> Arc<LimitsConfig> {
        self.0.read().of(tenant)
    }

    /// Puts others in force.
    pub fn replace(&self, limits: TenantLimits) {
        *self.0.write() = Arc::new(limits);
    }
}

#[cfg(test)]
mod tests {
    use super::super::layers::parse_yaml;
    use super::*;

    fn limits(yaml: &str) -> TenantLimits {
        let config: Config = serde_json::from_value(parse_yaml(yaml).unwrap()).unwrap();
        TenantLimits::new(config.limits_config, config.overrides)
    }

    const YAML: &str = "limits_config: {max_query_series: 7, max_line_size: 1KB}\n\
        overrides:\n  a: {max_query_series: 9, query_timeout: 5s}\n  17: {max_query_series: 0}\n";

    #[test]
    fn tenants_have_the_section_but_for_their_own() {
        let limits = limits(YAML);
        let of = |tenant: &str| limits.of(&TenantId::new(tenant).unwrap());
        assert_eq!(of("a").query.max_query_series, 9);
        assert_eq!(of("a").ingest.max_line_size, 1024);
        assert_eq!(of("17").query.max_query_series, 0);
        assert_eq!(of("b").query.max_query_series, 7);
        assert_eq!(of("b"), *limits.section());
    }

    #[test]
    fn reads_of_several_tenants_have_the_smallest_limits() {
        let limits = limits(YAML);
        let of = |names: &[&str]| {
            let ids = names.iter().map(|name| TenantId::new(name).unwrap());
            limits.of_all(&Tenants::new(ids).unwrap()).query.clone()
        };
        assert_eq!(of(&["a", "b"]).max_query_series, 7);
        assert_eq!(of(&["a", "b"]).query_timeout.as_secs(), 5);
        assert_eq!(of(&["17", "a"]).max_query_series, 9, "0 is no limit");
        assert_eq!(of(&["17"]).max_query_series, 0);
    }

    #[test]
    fn what_is_no_override_is_refused_where_it_stands() {
        for (yaml, line, text) in [
            ("overrides:\n  a:\n    max_query_serie: 1\n", "line 3", "max_query_serie"),
            ("overrides:\n  a:\n    query_timeout: 5\n", "line 3", "query_timeout"),
            ("overrides:\n  a/b: {}\n", "line 2", "unsupported character '/'"),
            (
                "overrides:\n  a: {max_concurrent_queries: 1}\n",
                "line 2",
                "for all tenants together",
            ),
        ] {
            let error = parse_yaml(yaml).unwrap_err();
            assert!(error.contains(line) && error.contains(text), "{error}");
        }
        assert!(parse_yaml("overrides:\n").is_ok());
    }
}
