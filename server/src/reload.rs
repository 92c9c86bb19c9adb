//! What changes while the server runs: limits, credentials and certificates, on SIGHUP and when one of
//! their files is another. Rules follow their own files; they are read with the others on SIGHUP.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::task::JoinHandle;

use crate::config::{Layers, TenantLimits};
use crate::signals::Taken;
use crate::state::AppState;
use crate::tls::Tls;

/// How often the files are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// What is read again, and from where.
#[derive(Debug)]
pub(crate) struct Reloader {
    state: Arc<AppState>,
    certificates: Vec<Arc<Tls>>,
    /// Where the configuration came from; without it the limits stay as they are.
    layers: Option<Layers>,
    seen: Vec<Option<Look>>,
}

/// What tells one content of a file from another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Look {
    modified: Option<SystemTime>,
    len: u64,
    /// Another where a file, or a link on the way to it, was replaced.
    inode: u64,
}

impl Look {
    pub(crate) fn at(path: &PathBuf) -> Option<Self> {
        let metadata = fs::metadata(path).ok()?;
        #[cfg(unix)]
        let inode = std::os::unix::fs::MetadataExt::ino(&metadata);
        #[cfg(not(unix))]
        let inode = 0;
        Some(Self { modified: metadata.modified().ok(), len: metadata.len(), inode })
    }
}

impl Reloader {
    /// Takes what the files look like now for what is in force.
    pub(crate) fn new(
        state: Arc<AppState>,
        certificates: Vec<Arc<Tls>>,
        layers: Option<Layers>,
    ) -> Self {
        let mut reloader = Self { state, certificates, layers, seen: Vec::new() };
        reloader.seen = reloader.look();
        reloader
    }

    fn look(&self) -> Vec<Option<Look>> {
        let config = self.layers.iter().filter_map(|layers| layers.file.as_ref());
        let server = &self.state.config.server;
        let tls = self.certificates.iter().flat_map(|tls| tls.paths());
        let files = config.chain([&server.credentials_file]).chain(tls);
        files.map(Look::at).collect()
    }

    /// Follows the files for ever; and the signal, which is taken over before this returns, where there is
    /// a configuration to load: a server in somebody else's process leaves signals alone.
    pub(crate) fn start(self) -> JoinHandle<()> {
        let hangup = if self.layers.is_some() { Taken::hangup() } else { Taken::never() };
        tokio::spawn(self.follow(hangup))
    }

    async fn follow(mut self, mut hangup: Taken) {
        loop {
            let asked = tokio::select! {
                () = hangup.next() => true,
                () = tokio::time::sleep(LOOK_EVERY) => false,
            };
            // Files may be anywhere, and slow.
            let round = tokio::task::spawn_blocking(move || {
                self.round(asked);
                self
            });
            match round.await {
                Ok(reloader) => self = reloader,
                Err(error) => {
                    tracing::error!(%error, "reloading died");
                    return;
                }
            }
        }
    }

    fn round(&mut self, asked: bool) {
        let look = self.look();
        if !asked && look == self.seen {
            return;
        }
        self.seen = look;
        let results = [
            ("limits", self.reload_limits()),
            ("credentials", self.state.access.reload().map_err(|error| error.to_string())),
            ("certificates", self.reload_tls()),
            ("rules", self.state.ruler.as_ref().map_or(Ok(()), |ruler| ruler.reload())),
        ];
        let mut all_well = true;
        for (what, result) in results {
            if let Err(error) = result {
                all_well = false;
                tracing::warn!(%error, "{what} stay as they were");
            }
        }
        self.state.metrics.set_reloaded(all_well);
        if all_well {
            tracing::info!("limits, credentials, certificates and rules were read again");
        }
    }

    fn reload_limits(&self) -> Result<(), String> {
        let Some(layers) = self.layers.clone() else { return Ok(()) };
        let config = layers.load().map_err(|error| error.to_string())?;
        let limits = TenantLimits::new(config.limits_config.clone(), config.overrides.clone());
        if limits.in_config(&self.state.config) != config {
            tracing::warn!("sections but limits_config and overrides change with a restart only");
        }
        if self.state.config.compactor.retention_enabled {
            self.state.store.set_retention(limits.retention());
        }
        self.state.limits.replace(limits);
        Ok(())
    }

    fn reload_tls(&self) -> Result<(), String> {
        let reloaded = self.certificates.iter().try_for_each(|tls| tls.reload());
        reloaded.map_err(|error| error.to_string())
    }
}
