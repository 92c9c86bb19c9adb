//! The ruler: alerting and recording rules over the logs.
//!
//! Rules stand in files (`rules`, `book`), in groups whose rules are evaluated one after the other whenever the
//! group is due (`schedule`, `evaluate`, `group`). Alerts have a life (`alert`), which a restart does not end
//! (`saved`); Alertmanagers are told of them (`notify`). Samples go to receivers of remote write
//! (`remote_write`), and into the store where that is asked for.
//!
//! Behaviour, names and texts are those of Prometheus and of Loki's ruler, since Grafana, Alertmanager and
//! people's dashboards look at them.

mod alert;
mod backoff;
mod book;
mod client;
pub(crate) mod command;
mod evaluate;
mod files;
mod group;
mod metrics;
mod notify;
mod remote_write;
mod rules;
mod saved;
mod schedule;
mod view;

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock, Weak};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use prometheus::Registry;
use timberline_store::TenantId;
use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio::task::{AbortHandle, JoinHandle};

use self::book::Book;
use self::evaluate::Surroundings;
use self::group::{Group, GroupKey, WrittenSample};
use self::metrics::RulerMetrics;
use self::notify::Notifier;
use self::remote_write::RemoteWriter;
use self::saved::SavedAlerts;
use crate::config::{Config, RulerConfig};
use crate::state::AppState;

pub use self::client::ClientError;
pub use self::command::fuzz_tests;
pub use self::rules::fuzz;

pub(crate) use self::book::{BookError, check_name};
pub(crate) use self::rules::{LabelMap, RuleGroup, parse_group, to_yaml, validate};
pub(crate) use self::view::{AlertView, Filter, GroupView};

/// How long what is on its way may take when the server stops.
const STOP_PAUSE: Duration = Duration::from_secs(3);

/// How long between two writes of the file of alerts.
const SAVE_PAUSE: Duration = Duration::from_secs(1);

/// Why there can be no ruler.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RulerError {
    /// A directory cannot be made or read.
    #[error("ruler: cannot use {}: {source}", path.display())]
    Directory {
        /// The directory.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// Alertmanagers or receivers cannot be spoken to as configured.
    #[error("ruler: {0}")]
    Client(#[from] ClientError),
}

/// Evaluates rules and tells of what they find.
#[derive(Debug)]
pub(crate) struct Ruler {
    config: RulerConfig,
    surroundings: Arc<Surroundings>,
    book: Mutex<Book>,
    running: Mutex<BTreeMap<GroupKey, Running>>,
    saved: SavedAlerts,
    /// Asks for the file of alerts to be written.
    to_save: Notify,
    metrics: Arc<RulerMetrics>,
    notifier: Notifier,
    writer: RemoteWriter,
    /// What groups are evaluated with, once it has been started.
    started: OnceLock<Started>,
}

/// A group that is evaluated.
#[derive(Debug)]
struct Running {
    group: Arc<Group>,
    task: AbortHandle,
}

#[derive(Debug)]
struct Started {
    ruler: Weak<Ruler>,
    state: Weak<AppState>,
    runtime: Handle,
    tasks: Vec<JoinHandle<()>>,
}

impl Ruler {
    /// The ruler, where it is enabled. Evaluates nothing until it is started.
    ///
    /// # Errors
    /// Directories and files that cannot be used.
    pub(crate) fn open(
        config: &Config,
        registry: &Registry,
    ) -> Result<Option<Arc<Self>>, RulerError> {
        if !config.ruler.enabled {
            return Ok(None);
        }
        let failed = |path: PathBuf| move |source| RulerError::Directory { path, source };
        let directory = config.rule_directory();
        let book = Book::open(directory.clone(), config.auth_enabled).map_err(failed(directory))?;
        let saved = SavedAlerts::open(&config.data_dir, config.ruler.for_outage_tolerance);
        let saved = saved.map_err(failed(config.data_dir.clone()))?;
        let metrics = Arc::new(RulerMetrics::new(registry));
        Ok(Some(Arc::new(Self {
            surroundings: Arc::new(Surroundings {
                external_labels: config.ruler.external_labels.clone(),
                external_url: config.ruler.external_url.trim_end_matches('/').to_owned(),
            }),
            book: Mutex::new(book),
            running: Mutex::default(),
            saved,
            to_save: Notify::new(),
            notifier: Notifier::new(&config.ruler, &metrics)?,
            writer: RemoteWriter::new(&config.ruler, &metrics)?,
            metrics,
            started: OnceLock::new(),
            config: config.ruler.clone(),
        })))
    }

    /// Begins to evaluate. Call once, on the runtime.
    pub(crate) fn start(self: &Arc<Self>, state: &Arc<AppState>) {
        let mut tasks = self.notifier.start();
        tasks.extend(self.writer.start());
        tasks.push(tokio::spawn(Arc::clone(self).follow_files()));
        tasks.push(tokio::spawn(Arc::clone(self).follow_alerts()));
        let (ruler, state) = (Arc::downgrade(self), Arc::downgrade(state));
        // Nobody else starts it.
        let _ = self.started.set(Started { ruler, state, runtime: Handle::current(), tasks });
    }

    async fn follow_files(self: Arc<Self>) {
        loop {
            let ruler = Arc::clone(&self);
            let read = tokio::task::spawn_blocking(move || ruler.reload());
            if let Err(error) = read.await {
                tracing::error!(%error, "reading rules died");
            }
            tokio::time::sleep(self.config.poll_interval).await;
        }
    }

    async fn follow_alerts(self: Arc<Self>) {
        loop {
            self.to_save.notified().await;
            let ruler = Arc::clone(&self);
            // What fails is told of where it does.
            let _ = tokio::task::spawn_blocking(move || ruler.save()).await;
            tokio::time::sleep(SAVE_PAUSE).await;
        }
    }

    fn save(&self) {
        let groups: Vec<Arc<Group>> = self.groups(|_| true);
        let saved = self.saved.save(groups.iter().map(|group| &**group));
        if let Err(error) = &saved {
            tracing::error!(%error, "cannot write since when alerts are there");
        }
        self.metrics.set_saved(saved.is_ok());
    }

    /// Stops evaluating, and waits a moment for what is on its way.
    pub(crate) async fn stop(self: &Arc<Self>) {
        for running in self.running.lock().values() {
            running.task.abort();
            running.group.retire();
        }
        let deadline = Instant::now() + STOP_PAUSE;
        while !(self.notifier.is_idle() && self.writer.is_idle()) && Instant::now() < deadline {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        if let Some(started) = self.started.get() {
            started.tasks.iter().for_each(JoinHandle::abort);
        }
        let ruler = Arc::clone(self);
        let _ = tokio::task::spawn_blocking(move || ruler.save()).await;
    }

    /// Reads the rule files that have changed. Blocks.
    ///
    /// # Errors
    /// The first file that cannot be used; its rules are as before, the others are read.
    pub(crate) fn reload(&self) -> Result<(), String> {
        let mut book = self.book.lock();
        let read = book.reload();
        self.apply(&book);
        read
    }

    /// Makes what is evaluated what is in the book.
    fn apply(&self, book: &Book) {
        let Some(started) = self.started.get() else { return };
        let now = crate::http::now();
        let mut running = self.running.lock();
        let mut wanted = BTreeMap::new();
        for tenant in book.tenants() {
            self.metrics.set_loaded(tenant, book.is_well(tenant));
            for (namespace, groups) in book.groups(tenant) {
                for group in groups {
                    let (tenant, namespace) = (tenant.clone(), namespace.to_owned());
                    let key = GroupKey { tenant, namespace, name: group.name.clone() };
                    wanted.insert(key, group);
                }
            }
        }
        running.retain(|key, old| {
            let stays = wanted.contains_key(key);
            if !stays {
                old.task.abort();
                self.write(&key.tenant, &old.group.end(now));
                self.metrics.remove_group(key);
            }
            stays
        });
        for (key, said) in wanted {
            let old = running.get(&key);
            if old.is_some_and(|old| old.group.said == *said) {
                continue;
            }
            let interval = self.config.evaluation_interval;
            let group = Arc::new(Group::new(key.clone(), said.clone(), interval));
            match old {
                Some(old) => {
                    old.task.abort();
                    let ended = group.take_over(&old.group, now);
                    self.write(&key.tenant, &ended);
                }
                None => {
                    let tolerance = self.config.for_outage_tolerance;
                    self.saved.restore(&group, now, tolerance);
                }
            }
            self.metrics.add_group(&group);
            if let Some(new) = started.evaluate(group) {
                running.insert(key, new);
            }
        }
    }

    fn write(&self, tenant: &TenantId, samples: &[WrittenSample]) {
        self.writer.write(tenant, samples, &self.surroundings.external_labels);
    }

    fn groups(&self, is_wanted: impl Fn(&GroupKey) -> bool) -> Vec<Arc<Group>> {
        let running = self.running.lock();
        let wanted = running.iter().filter(|(key, _)| is_wanted(key));
        wanted.map(|(_, running)| Arc::clone(&running.group)).collect()
    }

    /// A tenant's groups as Prometheus shows them, by namespace and name.
    pub(crate) fn group_views(&self, tenant: &TenantId, filter: &Filter) -> Vec<GroupView> {
        let groups = self.groups(|key| key.tenant == *tenant);
        groups.iter().filter_map(|group| GroupView::new(group, filter)).collect()
    }

    /// A tenant's alerts, as Prometheus shows them.
    pub(crate) fn alert_views(&self, tenant: &TenantId) -> Vec<AlertView> {
        let groups = self.groups(|key| key.tenant == *tenant);
        groups.iter().flat_map(|group| view::alerts_of(group)).collect()
    }

    /// A tenant's groups by namespace, as they are written.
    pub(crate) fn rule_groups(&self, tenant: &TenantId) -> BTreeMap<String, Vec<RuleGroup>> {
        let book = self.book.lock();
        let groups = book.groups(tenant).filter(|(_, groups)| !groups.is_empty());
        groups.map(|(name, groups)| (name.to_owned(), groups.to_vec())).collect()
    }

    /// Puts a group that was validated into a namespace, for good when it returns. The tenant may have
    /// `groups_max` of them; 0 is any number. Blocks.
    ///
    /// # Errors
    /// [`BookError`]: nothing has changed then.
    pub(crate) fn set_group(
        &self,
        tenant: &TenantId,
        namespace: &str,
        group: RuleGroup,
        groups_max: usize,
    ) -> Result<(), BookError> {
        self.change(|book| book.set_group(tenant, namespace, group, groups_max))
    }

    /// Removes a group. Blocks.
    ///
    /// # Errors
    /// [`BookError`]: nothing has changed then.
    pub(crate) fn delete_group(
        &self,
        tenant: &TenantId,
        namespace: &str,
        group: &str,
    ) -> Result<(), BookError> {
        self.change(|book| book.delete_group(tenant, namespace, group))
    }

    /// Removes all groups of a namespace. Blocks.
    ///
    /// # Errors
    /// [`BookError`]: nothing has changed then.
    pub(crate) fn delete_namespace(
        &self,
        tenant: &TenantId,
        namespace: &str,
    ) -> Result<(), BookError> {
        self.change(|book| book.delete_namespace(tenant, namespace))
    }

    fn change(
        &self,
        change: impl FnOnce(&mut Book) -> Result<(), BookError>,
    ) -> Result<(), BookError> {
        let mut book = self.book.lock();
        change(&mut book)?;
        self.apply(&book);
        Ok(())
    }
}

impl Started {
    /// Evaluates a group from now on; none when the server is gone.
    fn evaluate(&self, group: Arc<Group>) -> Option<Running> {
        let (ruler, state) = (self.ruler.upgrade()?, self.state.upgrade()?);
        let task = schedule::follow(ruler, state, Arc::clone(&group));
        Some(Running { group, task: self.runtime.spawn(task).abort_handle() })
    }
}
