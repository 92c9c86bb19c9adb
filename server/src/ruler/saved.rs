//! Since when alerts are there, across restarts.
//!
//! What Prometheus keeps in the series `ALERTS_FOR_STATE` is here a file in the data directory, which is
//! replaced as a whole. The time that the server was down counts for no alert: one that was pending has
//! as much left as it had. One that was due stays due, and one that is kept firing is kept for what is left.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use timberline_store::{TenantId, Timestamp};

use super::alert::{Fired, Remembered};
use super::files;
use super::group::{Group, GroupKey, GroupState};
use super::rules::LabelMap;

/// Of the file's format.
const VERSION: u32 = 1;

/// The file.
#[derive(Debug)]
pub(super) struct SavedAlerts {
    path: PathBuf,
    /// What was written last; nobody else writes meanwhile.
    written: Mutex<Vec<u8>>,
    /// What was there at the start, until its group takes it.
    restored: Mutex<BTreeMap<GroupKey, Vec<SavedAlert>>>,
}

#[derive(Default, Deserialize, Serialize)]
struct File {
    version: u32,
    alerts: Vec<SavedAlert>,
}

/// An alert that is there.
#[derive(Clone, Debug, Deserialize, Serialize)]
struct SavedAlert {
    tenant: String,
    namespace: String,
    group: String,
    alert: String,
    /// The labels of the rule, which may have others of its name beside it.
    rule_labels: LabelMap,
    labels: LabelMap,
    /// Nanoseconds since the Unix epoch.
    active_at: Timestamp,
    /// When it was last seen to be there.
    seen_at: Timestamp,
    /// How it fired, if it did and its rule keeps alerts firing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    fired: Option<Fired>,
}

impl SavedAlerts {
    /// Reads the file in the data directory. One that cannot be understood is reported and passed over:
    /// alerts then begin anew.
    ///
    /// # Errors
    /// A directory that cannot be made.
    pub(super) fn open(data_dir: &Path, tolerance: Duration) -> io::Result<Self> {
        let directory = data_dir.join("ruler");
        files::make_directory(&directory)?;
        let path = directory.join("alerts.json");
        let restored = read(&path).unwrap_or_else(|error| {
            tracing::error!(path = %path.display(), error, "alerts begin anew");
            Vec::new()
        });
        let mut by_group: BTreeMap<GroupKey, Vec<SavedAlert>> = BTreeMap::new();
        let now = crate::http::now();
        for alert in restored {
            if active_since(&alert, 0, now, tolerance).is_none() {
                continue;
            }
            let Ok(tenant) = TenantId::new(&alert.tenant) else { continue };
            let (namespace, name) = (alert.namespace.clone(), alert.group.clone());
            by_group.entry(GroupKey { tenant, namespace, name }).or_default().push(alert);
        }
        Ok(Self { path, written: Mutex::default(), restored: Mutex::new(by_group) })
    }

    /// Gives a new group what its alerts were before, as of `now`.
    pub(super) fn restore(&self, group: &Group, now: Timestamp, tolerance: Duration) {
        let Some(saved) = self.restored.lock().remove(&group.key) else { return };
        group.with_state(|state| {
            for (compiled, rule) in group.rules.iter().zip(&mut state.rules) {
                let of_rule = saved.iter().filter(|alert| {
                    alert.alert == compiled.rule.alert && alert.rule_labels == compiled.labels
                });
                let hold = compiled.rule.hold.0;
                rule.restored = of_rule
                    .filter_map(|alert| {
                        let active_at = active_since(alert, hold, now, tolerance)?;
                        let down = now.saturating_sub(alert.seen_at);
                        let fired = alert.fired.clone().map(|fired| fired.after(down));
                        Some((alert.labels.clone(), Remembered { active_at, fired }))
                    })
                    .collect();
            }
        });
    }

    /// Writes what is there now, unless it is written already.
    ///
    /// # Errors
    /// Those of the file system: the file is then as it was.
    pub(super) fn save<'g>(&self, groups: impl Iterator<Item = &'g Group>) -> io::Result<()> {
        let mut written = self.written.lock();
        let mut alerts = Vec::new();
        for group in groups {
            group.with_state(|state| collect(group, state, &mut alerts));
        }
        // Those whose rules have not been read yet, or not been evaluated.
        alerts.extend(self.restored.lock().values().flatten().cloned());
        let content = serde_json::to_vec(&File { version: VERSION, alerts })?;
        if *written != content {
            files::replace(&self.path, &content)?;
            *written = content;
        }
        Ok(())
    }
}

fn read(path: &Path) -> Result<Vec<SavedAlert>, String> {
    let content = match std::fs::read(path) {
        Ok(content) => content,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error.to_string()),
    };
    let file: File = serde_json::from_slice(&content).map_err(|error| error.to_string())?;
    if file.version != VERSION {
        return Err(format!("version {} is not {VERSION}", file.version));
    }
    Ok(file.alerts)
}

/// Since when the alert is taken to be there, so that as much of its `for` is left as when it was seen.
fn active_since(
    alert: &SavedAlert,
    hold: i64,
    now: Timestamp,
    tolerance: Duration,
) -> Option<Timestamp> {
    let down = now.saturating_sub(alert.seen_at);
    if down < 0 || i128::from(down) > i128::try_from(tolerance.as_nanos()).unwrap_or(i128::MAX) {
        return None;
    }
    let was_due = alert.seen_at.saturating_sub(alert.active_at) >= hold;
    Some(if was_due { alert.active_at } else { alert.active_at.saturating_add(down) })
}

fn collect(group: &Group, state: &GroupState, alerts: &mut Vec<SavedAlert>) {
    for (compiled, rule) in group.rules.iter().zip(&state.rules) {
        let mut save = |labels: &LabelMap, known: Remembered, seen_at: Timestamp| {
            alerts.push(SavedAlert {
                tenant: group.key.tenant.to_string(),
                namespace: group.key.namespace.clone(),
                group: group.key.name.clone(),
                alert: compiled.rule.alert.clone(),
                rule_labels: compiled.labels.clone(),
                labels: labels.clone(),
                active_at: known.active_at,
                seen_at,
                fired: known.fired,
            });
        };
        // Restored as of a moment ago, and no evaluation has come to anything since.
        let now = crate::http::now();
        rule.restored.iter().for_each(|(labels, known)| save(labels, known.clone(), now));
        let Some(seen_at) = rule.evaluated_at else { continue };
        let keeps = compiled.rule.keep_firing_for.0 > 0;
        for (labels, alert) in rule.alerts.active() {
            let fired = Fired::of(alert).filter(|_| keeps);
            save(labels, Remembered { active_at: alert.active_at, fired }, seen_at);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::alert::{AlertState, Found};
    use super::super::evaluate::Outcome;
    use super::super::rules::parse_file;
    use super::*;

    const SECOND: i64 = 1_000_000_000;
    const HOUR: Duration = Duration::from_secs(3600);
    const CENTURY: Duration = Duration::from_secs(100 * 365 * 86_400);

    fn group() -> Group {
        let text = "groups: [{name: g, rules: [{alert: X, expr: vector(1), for: 1m, keep_firing_for: 5m}]}]";
        let key = GroupKey {
            tenant: TenantId::new("t").unwrap(),
            namespace: "n".to_owned(),
            name: "g".to_owned(),
        };
        Group::new(key, parse_file(text).unwrap().remove(0), HOUR)
    }

    fn evaluate(group: &Group, now: Timestamp) -> Timestamp {
        let labels = LabelMap::from([("alertname".to_owned(), "X".to_owned())]);
        let found = Found { labels, annotations: LabelMap::new(), value: 1.0 };
        let outcome = Ok(Outcome::Alerts(vec![found]));
        group.finish_rule(0, outcome, now, Duration::ZERO, HOUR);
        group.with_state(|state| state.rules[0].alerts.active().next().unwrap().1.active_at)
    }

    #[test]
    fn alerts_keep_what_is_left_of_their_time() {
        let directory = tempfile::tempdir().unwrap();
        let before = group();
        evaluate(&before, 1000 * SECOND);
        evaluate(&before, 1020 * SECOND);
        SavedAlerts::open(directory.path(), CENTURY).unwrap().save([&before].into_iter()).unwrap();

        for (now, active_at) in [
            // Twenty seconds had passed; so they have when the server is up again.
            (1500, 1480),
            // Down for longer than is put up with.
            (1020 + 3601, 1020 + 3601),
        ] {
            let saved = SavedAlerts::open(directory.path(), CENTURY).unwrap();
            let after = group();
            saved.restore(&after, now * SECOND, HOUR);
            assert_eq!(evaluate(&after, now * SECOND), active_at * SECOND, "{now}");
        }

        std::fs::remove_dir_all(directory.path().join("ruler")).unwrap();
        evaluate(&before, 1060 * SECOND);
        SavedAlerts::open(directory.path(), CENTURY).unwrap().save([&before].into_iter()).unwrap();
        let (saved, after) = (SavedAlerts::open(directory.path(), CENTURY).unwrap(), group());
        saved.restore(&after, 1500 * SECOND, HOUR);
        assert_eq!(evaluate(&after, 1500 * SECOND), 1000 * SECOND, "it was due, and is");
    }

    /// What `group` saves, and a group after the restart that has it.
    fn restarted(group: &Group, now: Timestamp) -> Group {
        let directory = tempfile::tempdir().unwrap();
        let open = || SavedAlerts::open(directory.path(), CENTURY).unwrap();
        open().save([group].into_iter()).unwrap();
        let (saved, after) = (open(), self::group());
        saved.restore(&after, now, CENTURY);
        after
    }

    #[test]
    fn a_failed_evaluation_does_not_end_them() {
        let before = group();
        evaluate(&before, 1000 * SECOND);
        let now = crate::http::now();
        let after = restarted(&before, now);
        after.finish_rule(0, Err("no store".to_owned()), now, Duration::ZERO, HOUR);
        let again = restarted(&after, crate::http::now() + SECOND);
        let later = now + 3600 * SECOND;
        assert!(evaluate(&again, later) < later, "it did not begin anew");
    }

    #[test]
    fn what_is_kept_firing_is_kept_and_its_end_told() {
        let none = |group: &Group, now: Timestamp| {
            let nothing = Ok(Outcome::Alerts(Vec::new()));
            let told = group.finish_rule(0, nothing, now, Duration::ZERO, Duration::ZERO);
            told.notifications.into_iter().map(|(_, alert)| alert.state).collect::<Vec<_>>()
        };
        let (firing, over) = ([AlertState::Firing], [AlertState::Inactive]);
        for (is_kept, ends_after) in [(true, 280), (false, 300)] {
            let before = group();
            evaluate(&before, 1000 * SECOND);
            evaluate(&before, 1060 * SECOND);
            if is_kept {
                assert_eq!(none(&before, 1070 * SECOND), firing);
                assert_eq!(none(&before, 1090 * SECOND), firing);
            }
            let after = restarted(&before, 5000 * SECOND);
            assert_eq!(none(&after, 5000 * SECOND), firing);
            let again = restarted(&after, 5000 * SECOND);
            assert_eq!(none(&again, (5000 + ends_after - 1) * SECOND), firing);
            assert_eq!(none(&again, (5000 + ends_after) * SECOND), over);
        }
    }

    #[test]
    fn what_no_group_has_taken_is_kept() {
        let directory = tempfile::tempdir().unwrap();
        let before = group();
        evaluate(&before, 1000 * SECOND);
        SavedAlerts::open(directory.path(), CENTURY).unwrap().save([&before].into_iter()).unwrap();
        SavedAlerts::open(directory.path(), CENTURY).unwrap().save(std::iter::empty()).unwrap();
        let (saved, after) = (SavedAlerts::open(directory.path(), CENTURY).unwrap(), group());
        saved.restore(&after, 1001 * SECOND, HOUR);
        assert_eq!(evaluate(&after, 1001 * SECOND), 1001 * SECOND);
    }

    #[test]
    fn a_file_that_is_none_is_passed_over() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::create_dir(directory.path().join("ruler")).unwrap();
        for content in ["", "{", "{\"version\": 2, \"alerts\": []}"] {
            std::fs::write(directory.path().join("ruler/alerts.json"), content).unwrap();
            let saved = SavedAlerts::open(directory.path(), CENTURY).unwrap();
            assert!(saved.restored.lock().is_empty(), "{content}");
        }
    }
}
