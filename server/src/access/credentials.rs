//! The credentials file: who there is, what they may do, and for whom.
//!
//! ```yaml
//! credentials:
//!   - name: grafana
//!     hash: $argon2id$v=19$m=19456,t=2,p=1$…
//!     rights: [read]
//!     tenants: [team-a, team-b]
//!   - name: operator
//!     hash: $argon2id$…
//!     rights: [read, write, admin]
//!     tenants: ["*"]
//! ```

use std::collections::{BTreeSet, HashMap};
use std::path::Path;

use serde::Deserialize;
use timberline_query::Tenants;
use timberline_store::TenantId;

use super::secret::{InvalidHash, SecretHash};
use crate::config::file::{self, FileError};

/// Stands for every tenant.
const EVERY_TENANT: &str = "*";

/// What a credential allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Right {
    /// To ask.
    Read,
    /// To push.
    Write,
    /// To operate: to see the configuration and every tenant's figures, to flush, to delete.
    Admin,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    credentials: Vec<Entry>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    name: String,
    hash: String,
    rights: BTreeSet<Right>,
    #[serde(default)]
    tenants: Vec<String>,
}

/// Somebody who may do something.
#[derive(Debug)]
pub(super) struct Credential {
    pub(super) name: String,
    pub(super) hash: SecretHash,
    rights: BTreeSet<Right>,
    tenants: TenantScope,
}

/// Whose data a credential is for.
#[derive(Clone, Debug, PartialEq, Eq)]
enum TenantScope {
    /// There are no tenants, or the credential is for all of them.
    Every,
    These(BTreeSet<TenantId>),
}

impl Credential {
    /// Whether it has the right.
    pub(super) fn may(&self, right: Right) -> bool {
        self.rights.contains(&right)
    }

    /// Whether it is for all tenants.
    pub(super) fn is_for_all(&self) -> bool {
        self.tenants == TenantScope::Every
    }

    /// The tenant that a request without the header is about: the only one there is.
    pub(super) fn only_tenant(&self) -> Option<&TenantId> {
        match &self.tenants {
            TenantScope::These(tenants) if tenants.len() == 1 => tenants.first(),
            TenantScope::These(_) | TenantScope::Every => None,
        }
    }

    /// The first of the tenants that it is not for.
    pub(super) fn first_foreign<'t>(&self, tenants: &'t Tenants) -> Option<&'t TenantId> {
        match &self.tenants {
            TenantScope::Every => None,
            TenantScope::These(own) => tenants.iter().find(|tenant| !own.contains(*tenant)),
        }
    }
}

/// All credentials, by name.
#[derive(Debug)]
pub(super) struct Credentials(HashMap<String, Credential>);

impl Credentials {
    /// Reads the file. Credentials name their tenants where there are any: with `auth_enabled`.
    pub(super) fn read(path: &Path, auth_enabled: bool) -> Result<Self, FileError> {
        file::read(path, |text| Self::parse(text, auth_enabled))
    }

    fn parse(text: &str, auth_enabled: bool) -> Result<Self, String> {
        let file: File = serde_saphyr::from_str(text).map_err(|error| error.to_string())?;
        let mut all = HashMap::new();
        for entry in file.credentials {
            let name = entry.name.clone();
            let credential = entry
                .into_credential(auth_enabled)
                .map_err(|error| format!("credential '{name}': {error}"))?;
            if all.insert(name.clone(), credential).is_some() {
                return Err(format!("credential '{name}' is there twice"));
            }
        }
        Ok(Self(all))
    }

    /// The credential of this name.
    pub(super) fn get(&self, name: &str) -> Option<&Credential> {
        self.0.get(name)
    }
}

impl Entry {
    fn into_credential(self, auth_enabled: bool) -> Result<Credential, String> {
        let allowed = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        if self.name.is_empty() || !self.name.chars().all(allowed) {
            return Err("a name has letters, digits, '-', '_' and '.'".to_owned());
        }
        if self.rights.is_empty() {
            return Err("it has no rights: read, write or admin".to_owned());
        }
        let hash = SecretHash::parse(&self.hash).map_err(|error: InvalidHash| error.to_string())?;
        let tenants = scope(&self.tenants, auth_enabled)?;
        Ok(Credential { name: self.name, hash, rights: self.rights, tenants })
    }
}

fn scope(tenants: &[String], auth_enabled: bool) -> Result<TenantScope, String> {
    match (auth_enabled, tenants) {
        (false, []) => Ok(TenantScope::Every),
        (false, _) => Err("there are no tenants without auth_enabled: true".to_owned()),
        (true, []) => Err(r#"it names no tenants; tenants: ["*"] is all of them"#.to_owned()),
        (true, [one]) if one == EVERY_TENANT => Ok(TenantScope::Every),
        (true, several) => {
            let ids = several.iter().map(|id| TenantId::new(id).map_err(|error| error.to_string()));
            ids.collect::<Result<_, _>>().map(TenantScope::These)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::secret::hash_secret;
    use super::*;

    fn parse(rest: &str, auth_enabled: bool) -> Result<Credentials, String> {
        let hash = hash_secret(b"s").unwrap();
        let text = format!("credentials:\n  - name: n\n    hash: {hash}\n    {rest}\n");
        Credentials::parse(&text, auth_enabled)
    }

    #[test]
    fn credentials_have_rights_and_tenants() {
        let all = parse("rights: [read, write]\n    tenants: [a, b]", true).unwrap();
        let credential = all.get("n").unwrap();
        assert!(credential.may(Right::Read) && credential.may(Right::Write));
        assert!(!credential.may(Right::Admin) && !credential.is_for_all());
        assert_eq!(credential.only_tenant(), None);
        let id = |id: &str| TenantId::new(id).unwrap();
        let tenants = |ids: &[&str]| Tenants::new(ids.iter().copied().map(id)).unwrap();
        assert_eq!(credential.first_foreign(&tenants(&["a", "b"])), None);
        assert_eq!(credential.first_foreign(&tenants(&["a", "c"])), Some(&id("c")));
        let one = parse("rights: [read]\n    tenants: [a]", true).unwrap();
        assert_eq!(one.get("n").unwrap().only_tenant(), Some(&id("a")));
        let every = parse("rights: [read]\n    tenants: [\"*\"]", true).unwrap();
        assert!(every.get("n").unwrap().is_for_all() && every.get("m").is_none());
        assert!(parse("rights: [read]", false).unwrap().get("n").unwrap().is_for_all());
    }

    #[test]
    fn files_that_mean_nothing_clear_are_refused() {
        for (rest, auth_enabled, text) in [
            ("rights: []", false, "credential 'n': it has no rights"),
            ("rights: [root]", false, "root"),
            ("rights: [read]\n    tenant: a", true, "tenant"),
            ("rights: [read]", true, r#"it names no tenants; tenants: ["*"]"#),
            ("rights: [read]\n    tenants: [a]", false, "without auth_enabled"),
            ("rights: [read]\n    tenants: [a/b]", true, "unsupported character '/'"),
            ("rights: [read]\n    tenants: [\"*\", a/b]", true, "unsupported character '/'"),
            ("rights: [read]\n  - {name: 'a b', hash: x, rights: [read]}", false, "a name has"),
            ("rights: [read]\n  - {name: m, hash: x, rights: [read]}", false, "`timberline hash`"),
        ] {
            let error = parse(rest, auth_enabled).unwrap_err();
            assert!(error.contains(text), "{rest}: {error}");
        }
        let hash = hash_secret(b"s").unwrap();
        let entry = format!("{{name: n, hash: '{hash}', rights: [read]}}");
        let twice = format!("credentials: [{entry}, {entry}]");
        let error = Credentials::parse(&twice, false).unwrap_err();
        assert_eq!(error, "credential 'n' is there twice");
    }
}
