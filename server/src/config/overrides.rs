//! The section `overrides`: limits of single tenants that differ from `limits_config`.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{DeserializeSeed, Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};
use timberline_store::TenantId;

use super::limits::CheckedLimits;

/// Limits that are the process's as a whole.
const OF_THE_PROCESS: [&str; 2] = ["max_concurrent_queries", "push_memory_bytes_max"];

/// Limits of single tenants, by tenant and by the limit's name in `limits_config`. What a tenant has no
/// entry for is as it is there.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(transparent)]
pub struct Overrides(BTreeMap<String, Map<String, Value>>);

impl Overrides {
    /// The tenants with their limits.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &Map<String, Value>)> {
        self.0.iter().map(|(tenant, limits)| (tenant.as_str(), limits))
    }
}

impl<'de> Deserialize<'de> for Overrides {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        input.deserialize_any(Tenants)
    }
}

struct Tenants;

impl<'de> Visitor<'de> for Tenants {
    type Value = Overrides;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("limits by tenant")
    }

    /// A section without entries.
    fn visit_unit<E: Error>(self) -> Result<Overrides, E> {
        Ok(Overrides::default())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut pairs: A) -> Result<Overrides, A::Error> {
        let mut all = BTreeMap::new();
        while let Some(Id(tenant)) = pairs.next_key()? {
            let limits = pairs.next_value_seed(OfTenant)?;
            if all.insert(tenant.clone(), limits).is_some() {
                return Err(A::Error::custom(format!("tenant {tenant} is there twice")));
            }
        }
        Ok(Overrides(all))
    }
}

/// The id of a tenant. YAML takes `17` for a number; as an id it is a text.
struct Id(String);

impl<'de> Deserialize<'de> for Id {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        let id = String::deserialize(input)?;
        TenantId::new(&id).map_err(D::Error::custom)?;
        Ok(Self(id))
    }
}

struct OfTenant;

impl<'de> DeserializeSeed<'de> for OfTenant {
    type Value = Map<String, Value>;

    fn deserialize<D: Deserializer<'de>>(self, input: D) -> Result<Self::Value, D::Error> {
        let CheckedLimits(limits) = CheckedLimits::deserialize(input)?;
        match OF_THE_PROCESS.into_iter().find(|name| limits.contains_key(*name)) {
            Some(name) => Err(D::Error::custom(format!(
                "{name} is one for all tenants together: set it in limits_config"
            ))),
            None => Ok(limits),
        }
    }
}
