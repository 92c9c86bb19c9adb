//! The rules of every tenant, as files of a directory.
//!
//! `TENANT/NAMESPACE.yaml` holds the groups of a namespace. Where requests name no tenant, files directly in
//! the directory are that one tenant's, too. A file that cannot be used changes nothing: what was read from
//! it before stays in force, and it is not written to until it is mended.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use timberline_store::TenantId;

use super::files;
use super::rules::{FILE_BYTES_MAX, Problem, RuleGroup, file_text, parse_file};
use crate::reload::Look;
use crate::tenant::DEFAULT_TENANT;

/// What of a namespace's name is not in its file's name as it is.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b' ');

/// The longest name of a namespace, in bytes of its file's name: file systems have 255, and we add to it.
const NAME_BYTES_MAX: usize = 200;

/// Why rules are not changed.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BookError {
    /// There is no such group.
    #[error("group does not exist")]
    NoGroup,
    /// There is no such namespace.
    #[error("group namespace does not exist")]
    NoNamespace,
    /// The tenant has as many groups as it may.
    #[error("per-user rule groups limit (limit: {max} actual: {count}) exceeded")]
    TooMany {
        /// How many there may be.
        max: usize,
        /// How many there would be.
        count: usize,
    },
    /// The name cannot be a file's.
    #[error("{0}")]
    Name(String),
    /// The file has to be mended first.
    #[error("{0}; mend the file, or delete it")]
    Broken(String),
    /// The file system refused.
    #[error("{0}")]
    Io(String),
}

/// The rules of every tenant.
#[derive(Debug)]
pub(super) struct Book {
    directory: PathBuf,
    auth_enabled: bool,
    tenants: BTreeMap<TenantId, BTreeMap<String, Namespace>>,
    /// What was complained about already.
    complaints: BTreeSet<String>,
}

/// A file of groups.
#[derive(Debug)]
struct Namespace {
    path: PathBuf,
    look: Option<Look>,
    groups: Vec<RuleGroup>,
    /// Why the file as it is now is not in force.
    error: Option<String>,
}

impl Book {
    /// Makes the directory if it is not there, and reads what is in it.
    ///
    /// # Errors
    /// A directory that cannot be made.
    pub(super) fn open(directory: PathBuf, auth_enabled: bool) -> io::Result<Self> {
        files::make_directory(&directory)?;
        let (tenants, complaints) = (BTreeMap::new(), BTreeSet::new());
        let mut book = Self { directory, auth_enabled, tenants, complaints };
        // What is wrong is in the log, and does not keep the rest from its work.
        let _ = book.reload();
        Ok(book)
    }

    /// Reads what has changed.
    ///
    /// # Errors
    /// The first thing that is wrong; everything else is read all the same.
    pub(super) fn reload(&mut self) -> Result<(), String> {
        let mut complaints = BTreeSet::new();
        let found = match self.scan(&mut complaints) {
            Ok(found) => found,
            Err(error) => {
                let text = format!("cannot read {}: {error}", self.directory.display());
                if self.complaints.insert(text.clone()) {
                    tracing::warn!("rules stay as they were: {text}");
                }
                return Err(text);
            }
        };
        for (tenant, namespaces) in &mut self.tenants {
            namespaces.retain(|name, _| found.contains_key(&(tenant.clone(), name.clone())));
        }
        for ((tenant, name), path) in found {
            let namespaces = self.tenants.entry(tenant).or_default();
            let namespace = namespaces.entry(name).or_insert_with(|| Namespace::at(path.clone()));
            if namespace.path != path {
                *namespace = Namespace {
                    groups: std::mem::take(&mut namespace.groups),
                    ..Namespace::at(path)
                };
            }
            namespace.refresh();
            complaints.extend(namespace.error.clone());
        }
        self.tenants.retain(|_, namespaces| !namespaces.is_empty());
        for complaint in complaints.difference(&self.complaints) {
            tracing::warn!("rules stay as they were: {complaint}");
        }
        let first = complaints.first().cloned();
        self.complaints = complaints;
        first.map_or(Ok(()), Err)
    }

    /// The files of every namespace.
    fn scan(
        &self,
        complaints: &mut BTreeSet<String>,
    ) -> io::Result<BTreeMap<(TenantId, String), PathBuf>> {
        let mut found = BTreeMap::new();
        let default = TenantId::new(DEFAULT_TENANT).ok();
        let mut files = Vec::new();
        for path in entries(&self.directory)? {
            let is_directory = path.is_dir();
            let tenant = match path.file_name().and_then(OsStr::to_str).map(TenantId::new) {
                // Without tenants in requests there is one.
                Some(Ok(tenant)) if is_directory => {
                    Some(tenant).filter(|id| self.auth_enabled || Some(id) == default.as_ref())
                }
                _ if is_directory || self.auth_enabled => None,
                _ => default.clone(),
            };
            let Some(tenant) = tenant else {
                complaints.insert(format!("{}: is no tenant's", path.display()));
                continue;
            };
            if is_directory {
                let of_tenant = entries(&path)?.into_iter().filter(|path| path.is_file());
                // Before those of the directory itself.
                files.splice(0..0, of_tenant.map(|path| (tenant.clone(), path)));
            } else {
                files.push((tenant, path));
            }
        }
        for (tenant, path) in files {
            let Some(name) = namespace_of(&path) else { continue };
            if let Some(other) = found.get(&(tenant.clone(), name.clone())) {
                let other: &PathBuf = other;
                let (path, other) = (path.display(), other.display());
                complaints.insert(format!("{path}: its namespace is that of {other}"));
                continue;
            }
            found.insert((tenant, name), path);
        }
        Ok(found)
    }

    /// The tenants that have rules.
    pub(super) fn tenants(&self) -> impl Iterator<Item = &TenantId> {
        self.tenants.keys()
    }

    /// Whether all files of a tenant are in force as they are.
    pub(super) fn is_well(&self, tenant: &TenantId) -> bool {
        let namespaces = self.tenants.get(tenant).into_iter().flatten();
        namespaces.into_iter().all(|(_, namespace)| namespace.error.is_none())
    }

    /// The groups of a tenant by namespace.
    pub(super) fn groups(&self, tenant: &TenantId) -> impl Iterator<Item = (&str, &[RuleGroup])> {
        let namespaces = self.tenants.get(tenant).into_iter().flatten();
        namespaces.map(|(name, namespace)| (name.as_str(), namespace.groups.as_slice()))
    }

    /// Adds a group to a namespace, in the place of the one of its name. A tenant may have `groups_max` of
    /// them in all its namespaces; 0 is any number.
    pub(super) fn set_group(
        &mut self,
        tenant: &TenantId,
        name: &str,
        group: RuleGroup,
        groups_max: usize,
    ) -> Result<(), BookError> {
        check_name(&group.name)?;
        let mut groups = self.writable(tenant, name)?.map_or(Vec::new(), <[RuleGroup]>::to_vec);
        let path = self.path_of(tenant, name)?;
        let count = 1 + self.groups(tenant).map(|(_, groups)| groups.len()).sum::<usize>();
        match groups.iter_mut().find(|known| known.name == group.name) {
            Some(known) => *known = group,
            None if groups_max > 0 && count > groups_max => {
                return Err(BookError::TooMany { max: groups_max, count });
            }
            None => groups.push(group),
        }
        self.write(tenant, name, path, groups)
    }

    /// Removes a group, and its namespace when it was the last one there.
    pub(super) fn delete_group(
        &mut self,
        tenant: &TenantId,
        name: &str,
        group: &str,
    ) -> Result<(), BookError> {
        let known = self.writable(tenant, name)?.ok_or(BookError::NoGroup)?;
        let groups: Vec<RuleGroup> =
            known.iter().filter(|known| known.name != group).cloned().collect();
        if groups.len() == known.len() {
            return Err(BookError::NoGroup);
        }
        if groups.is_empty() {
            return self.delete_namespace(tenant, name);
        }
        let path = self.path_of(tenant, name)?;
        self.write(tenant, name, path, groups)
    }

    /// Removes a namespace with its file, whatever is in it.
    pub(super) fn delete_namespace(
        &mut self,
        tenant: &TenantId,
        name: &str,
    ) -> Result<(), BookError> {
        let namespaces = self.tenants.get_mut(tenant).ok_or(BookError::NoNamespace)?;
        let namespace = namespaces.get(name).ok_or(BookError::NoNamespace)?;
        match files::remove(&namespace.path) {
            Ok(()) => {}
            // Somebody else was faster.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(failed("remove", &namespace.path, &error)),
        }
        namespaces.remove(name);
        Ok(())
    }

    /// The groups of a namespace whose file may be written to; none where there is no such namespace.
    fn writable(
        &mut self,
        tenant: &TenantId,
        name: &str,
    ) -> Result<Option<&[RuleGroup]>, BookError> {
        // Somebody may have written files since the last look. What is wrong elsewhere does not matter here.
        let _ = self.reload();
        let namespaces = self.tenants.get(tenant);
        let Some(namespace) = namespaces.and_then(|namespaces| namespaces.get(name)) else {
            return Ok(None);
        };
        match &namespace.error {
            Some(error) => Err(BookError::Broken(error.clone())),
            None => Ok(Some(&namespace.groups)),
        }
    }

    fn path_of(&self, tenant: &TenantId, name: &str) -> Result<PathBuf, BookError> {
        let known = self.tenants.get(tenant).and_then(|namespaces| namespaces.get(name));
        if let Some(namespace) = known {
            return Ok(namespace.path.clone());
        }
        let file = file_name_of(name)?;
        Ok(self.directory.join(tenant.as_str()).join(file))
    }

    fn write(
        &mut self,
        tenant: &TenantId,
        name: &str,
        path: PathBuf,
        groups: Vec<RuleGroup>,
    ) -> Result<(), BookError> {
        let text = file_text(&groups).map_err(BookError::Io)?;
        let parent = path.parent().unwrap_or(&self.directory);
        files::make_directory(parent).map_err(|error| failed("make", parent, &error))?;
        files::replace(&path, text.as_bytes()).map_err(|error| failed("write", &path, &error))?;
        let look = Look::at(&path);
        let namespace = Namespace { path, look, groups, error: None };
        self.tenants.entry(tenant.clone()).or_default().insert(name.to_owned(), namespace);
        Ok(())
    }
}

fn failed(action: &str, path: &Path, error: &io::Error) -> BookError {
    BookError::Io(format!("cannot {action} {}: {error}", path.display()))
}

impl Namespace {
    const fn at(path: PathBuf) -> Self {
        Self { path, look: None, groups: Vec::new(), error: None }
    }

    /// Reads the file if it is another than it was.
    fn refresh(&mut self) {
        let look = Look::at(&self.path);
        if look.is_some() && look == self.look {
            return;
        }
        self.look = look;
        match read(&self.path) {
            Ok(groups) => {
                self.groups = groups;
                self.error = None;
            }
            Err(error) => self.error = Some(error),
        }
    }
}

fn read(path: &Path) -> Result<Vec<RuleGroup>, String> {
    let named = |error: String| format!("{}: {error}", path.display());
    let metadata = fs::metadata(path).map_err(|error| named(error.to_string()))?;
    if metadata.len() > FILE_BYTES_MAX {
        return Err(named(format!("is larger than {FILE_BYTES_MAX} bytes")));
    }
    let text = fs::read_to_string(path).map_err(|error| named(error.to_string()))?;
    parse_file(&text).map_err(|problems| {
        let texts: Vec<_> = problems.iter().map(Problem::in_file).collect();
        named(texts.join("; "))
    })
}

/// What is in a directory, sorted, but for hidden files.
fn entries(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let mut paths = Vec::new();
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        if !entry.file_name().to_string_lossy().starts_with('.') {
            paths.push(entry.path());
        }
    }
    paths.sort();
    Ok(paths)
}

/// The namespace that a file holds, if it is a rule file.
fn namespace_of(path: &Path) -> Option<String> {
    let extension = path.extension()?.to_str()?;
    if !matches!(extension, "yaml" | "yml") {
        return None;
    }
    let stem = path.file_stem()?.to_str()?;
    Some(percent_decode_str(stem).decode_utf8_lossy().into_owned())
}

/// The file for a namespace.
fn file_name_of(name: &str) -> Result<String, BookError> {
    check_name(name)?;
    let mut file = utf8_percent_encode(name, ENCODED).to_string();
    if file.starts_with('.') {
        file.replace_range(..1, "%2E");
    }
    if file.len() > NAME_BYTES_MAX {
        let text = format!("the namespace's name is longer than {NAME_BYTES_MAX} bytes");
        return Err(BookError::Name(text));
    }
    Ok(file + ".yaml")
}

/// Refuses names that lead somewhere else.
///
/// # Errors
/// [`BookError::Name`].
pub(crate) fn check_name(name: &str) -> Result<(), BookError> {
    let leads_away = name.split(['/', '\\']).any(|part| matches!(part, "" | "." | ".."));
    if leads_away || name.contains('\0') {
        return Err(BookError::Name(format!(
            "'{name}' cannot be the name of a namespace or group"
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::super::rules::parse_group;
    use super::*;

    fn tenant(name: &str) -> TenantId {
        TenantId::new(name).unwrap()
    }

    fn group(name: &str) -> RuleGroup {
        parse_group(&format!("name: {name}\nrules: [{{record: a, expr: vector(1)}}]")).unwrap()
    }

    fn book(auth_enabled: bool) -> (Book, TempDir) {
        let directory = TempDir::new().unwrap();
        (Book::open(directory.path().join("rules"), auth_enabled).unwrap(), directory)
    }

    /// `namespace:group,group …` of a tenant.
    fn shown(book: &Book, of: &str) -> String {
        let of = tenant(of);
        let namespaces = book.groups(&of).map(|(name, groups)| {
            let groups: Vec<_> = groups.iter().map(|group| group.name.as_str()).collect();
            format!("{name}:{}", groups.join(","))
        });
        namespaces.collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn what_is_set_is_there_after_a_restart() {
        let (mut book, directory) = book(true);
        let (a, b) = (tenant("a"), tenant("b"));
        for (tenant, namespace, name) in
            [(&a, "n s/ü", "g"), (&a, "n s/ü", "h"), (&a, ".hidden", "g"), (&b, "n", "g")]
        {
            book.set_group(tenant, namespace, group(name), 0).unwrap();
        }
        book.set_group(&a, "n s/ü", RuleGroup { limit: 7, ..group("g") }, 0).unwrap();
        let mut again = Book::open(directory.path().join("rules"), true).unwrap();
        again.reload().unwrap();
        for book in [&book, &again] {
            assert_eq!(shown(book, "a"), ".hidden:g n s/ü:g,h");
            assert_eq!(shown(book, "b"), "n:g");
            assert_eq!(book.groups(&a).nth(1).unwrap().1[0].limit, 7);
        }
        assert_eq!(again.delete_group(&a, "n s/ü", "x"), Err(BookError::NoGroup));
        assert_eq!(again.delete_group(&a, "x", "x"), Err(BookError::NoGroup));
        assert_eq!(again.delete_namespace(&b, "x"), Err(BookError::NoNamespace));
        again.delete_group(&a, "n s/ü", "g").unwrap();
        again.delete_group(&a, ".hidden", "g").unwrap();
        again.delete_namespace(&b, "n").unwrap();
        book.reload().unwrap();
        assert_eq!((shown(&book, "a"), shown(&book, "b")), ("n s/ü:h".to_owned(), String::new()));
    }

    #[test]
    fn a_bad_file_changes_nothing() {
        let (mut book, directory) = book(true);
        let a = tenant("a");
        book.set_group(&a, "n", group("g"), 0).unwrap();
        let path = directory.path().join("rules/a/n.yaml");
        fs::write(&path, "groups: [{name: x, rules: [{alert: A, expr: nope(}]}]").unwrap();
        let error = book.reload().unwrap_err();
        assert!(
            error.contains("n.yaml: 1:") && error.contains("group \"x\", rule 1, \"A\""),
            "{error}"
        );
        assert_eq!(shown(&book, "a"), "n:g");
        assert!(!book.is_well(&a));
        let refused = book.set_group(&a, "n", group("h"), 0);
        assert!(matches!(refused, Err(BookError::Broken(_))), "{refused:?}");
        fs::write(&path, "groups: [{name: x, rules: []}]").unwrap();
        book.reload().unwrap();
        assert_eq!(shown(&book, "a"), "n:x");
        assert!(book.is_well(&a));
        fs::remove_file(&path).unwrap();
        book.reload().unwrap();
        assert_eq!(shown(&book, "a"), "");
    }

    #[test]
    fn without_tenants_files_may_be_directly_there() {
        let (mut book, directory) = book(false);
        let rules = directory.path().join("rules");
        let text = |name: &str| format!("groups: [{{name: {name}, rules: []}}]");
        fs::create_dir_all(rules.join("fake")).unwrap();
        fs::create_dir_all(rules.join("other")).unwrap();
        for (file, name) in [
            ("top.yaml", "t"),
            ("top.yml", "no"),
            ("fake/one.yml", "o"),
            ("one.yaml", "no"),
            ("readme.md", "no"),
            (".x.yaml", "no"),
            ("other/x.yaml", "no"),
        ] {
            fs::write(rules.join(file), text(name)).unwrap();
        }
        book.reload().unwrap_err();
        assert_eq!(shown(&book, "fake"), "one:o top:t");
        assert_eq!(book.complaints.len(), 3, "{:?}", book.complaints);
        book.set_group(&tenant("fake"), "top", group("g"), 0).unwrap();
        assert!(!rules.join("fake/top.yaml").exists());
        assert_eq!(shown(&book, "fake"), "one:o top:t,g");
    }

    #[test]
    fn names_do_not_lead_away() {
        let (mut book, _directory) = book(true);
        for name in ["..", ".", "", "a/../b", "/etc", "a\\..", "a\0b", "a/"] {
            let result = book.set_group(&tenant("a"), name, group("g"), 0);
            assert!(matches!(result, Err(BookError::Name(_))), "{name}");
        }
        for name in ["a/..", "a//b", "/"] {
            let named = RuleGroup { name: name.to_owned(), ..group("g") };
            let result = book.set_group(&tenant("a"), "n", named, 0);
            assert!(matches!(result, Err(BookError::Name(_))), "{name}");
        }
        assert!(matches!(file_name_of(&"ü".repeat(40)), Err(BookError::Name(_))));
    }

    #[test]
    fn groups_are_counted_over_all_namespaces() {
        let (mut book, _directory) = book(true);
        let a = tenant("a");
        book.set_group(&a, "n", group("g"), 2).unwrap();
        book.set_group(&a, "m", group("g"), 2).unwrap();
        book.set_group(&a, "m", group("g"), 2).unwrap();
        let refused = book.set_group(&a, "n", group("h"), 2).unwrap_err();
        let text = "per-user rule groups limit (limit: 2 actual: 3) exceeded";
        assert_eq!(refused.to_string(), text);
        book.set_group(&tenant("b"), "n", group("h"), 2).unwrap();
        assert_eq!(shown(&book, "a"), "m:g n:g");
    }
}
