//! Ports of their own for protocols that are not HTTP: syslog and Fluentd's forward protocol.
//!
//! What comes in goes the way of every push. An acknowledgement is sent when the entries are durable;
//! where a protocol has none, a sender is made to wait while they are not, and what cannot wait
//! (datagrams) is counted when it is dropped.

mod connections;
mod forward;
mod metrics;
mod queue;
mod syslog;

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ::http::StatusCode;
use timberline_store::TenantId;
use tokio::sync::watch;
use tokio::task::JoinSet;

use self::forward::ForwardPort;
use self::metrics::{ListenerMetrics, PortMetrics};
use self::syslog::SyslogPort;
use crate::ingest::PushError;
use crate::state::AppState;
use crate::tls::{Tls, TlsError};

/// The first pause before entries that were not taken are sent to the store again; each further one is
/// twice as long.
const PAUSE_MIN: Duration = Duration::from_millis(100);

/// The longest pause.
const PAUSE_MAX: Duration = Duration::from_secs(5);

/// How often what a limit refuses, or what fails for another reason than the disk's or the memory's state, is
/// tried again before it is dropped and counted: a minute in all.
const TRIES_MAX: u32 = 16;

/// How long to wait after a failed receive: some errors come again at once.
const RECEIVE_PAUSE: Duration = Duration::from_millis(10);

/// Why a port cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ListenError {
    /// The port is taken, or the address is not one.
    #[error("{key}: cannot listen on {listen}: {source}")]
    Listen {
        /// Where it is configured.
        key: String,
        /// What was to be listened on.
        listen: String,
        /// What the operating system said.
        source: io::Error,
    },
    /// The tenant is not said, or said although there is only one.
    #[error("{key}: {text}")]
    Tenant {
        /// Where it is configured.
        key: String,
        /// What is wrong.
        text: &'static str,
    },
    /// The shared key cannot be read.
    #[error("{key}: cannot read {}: {source}", path.display())]
    SharedKey {
        /// Where it is configured.
        key: String,
        /// The file.
        path: PathBuf,
        /// What the operating system said, or that it is empty.
        source: io::Error,
    },
    /// The certificates cannot be used.
    #[error("{key}: {source}")]
    Tls {
        /// Where it is configured.
        key: String,
        /// What is wrong.
        source: TlsError,
    },
    /// `protocol` is `tls` without certificates.
    #[error("{key}: protocol tls needs tls.cert_file and tls.key_file")]
    NoTls {
        /// Where it is configured.
        key: String,
    },
}

/// Ports that are taken.
#[derive(Debug)]
pub(crate) struct Listeners {
    syslog: Vec<SyslogPort>,
    forward: Vec<ForwardPort>,
}

impl Listeners {
    /// Takes every port of the configuration.
    pub(crate) async fn bind(state: &Arc<AppState>) -> Result<Self, ListenError> {
        let config = &state.config.ingest;
        let mut listeners = Self { syslog: Vec::new(), forward: Vec::new() };
        if config.syslog.is_empty() && config.fluent_forward.is_empty() {
            return Ok(listeners);
        }
        let metrics = ListenerMetrics::new(&state.registry);
        for (index, config) in config.syslog.iter().enumerate() {
            let key = format!("ingest.syslog[{index}]");
            let tenant = tenant(state, &config.tenant, &key)?;
            listeners.syslog.push(SyslogPort::bind(config, key, tenant, &metrics).await?);
        }
        for (index, config) in config.fluent_forward.iter().enumerate() {
            let key = format!("ingest.fluent_forward[{index}]");
            let tenant = tenant(state, &config.tenant, &key)?;
            listeners.forward.push(ForwardPort::bind(config, key, tenant, &metrics).await?);
        }
        Ok(listeners)
    }

    /// Where they are, in the order of the configuration.
    pub(crate) fn addresses(&self) -> Vec<SocketAddr> {
        let syslog = self.syslog.iter().map(|port| port.address);
        syslog.chain(self.forward.iter().map(|port| port.address)).collect()
    }

    /// Certificates that may be replaced.
    pub(crate) fn certificates(&self) -> impl Iterator<Item = Arc<Tls>> {
        self.syslog.iter().filter_map(|port| port.tls.clone())
    }

    /// Takes in what comes, until it is told to stop.
    pub(crate) fn start(self, state: &Arc<AppState>) -> Listening {
        let (stop, stopping) = watch::channel(false);
        let mut tasks = JoinSet::new();
        for port in self.syslog {
            port.start(&state.ingester, &stopping, &mut tasks);
        }
        for port in self.forward {
            port.start(&state.ingester, &stopping, &mut tasks);
        }
        Listening { stop, tasks }
    }
}

/// Ports that are served. Dropped, everything ends at once.
#[derive(Debug)]
pub(crate) struct Listening {
    stop: watch::Sender<bool>,
    tasks: JoinSet<()>,
}

impl Listening {
    /// Takes nothing more, and returns when what was taken is stored.
    pub(crate) async fn stop(mut self) {
        // Whoever listened may be gone already.
        let _ = self.stop.send(true);
        while self.tasks.join_next().await.is_some() {}
    }
}

fn tenant(state: &AppState, named: &str, key: &str) -> Result<TenantId, ListenError> {
    let wrong = |text| ListenError::Tenant { key: key.to_owned(), text };
    let several = state.config.auth_enabled;
    match TenantId::new(named) {
        Ok(tenant) if several => Ok(tenant),
        Ok(_) => Err(wrong("there is a tenant, but auth_enabled is off and nobody could read it")),
        Err(_) if several => Err(wrong("a tenant is needed, since auth_enabled is on")),
        Err(_) => Ok(TenantId::default()),
    }
}

/// Returns once it is time to stop.
async fn stopped(stopping: &mut watch::Receiver<bool>) {
    // The sender goes only after it has said so.
    let _ = stopping.wait_for(|stop| *stop).await;
}

/// Calls `push` until the store takes it. A store that cannot take it at present is waited for, and holds up
/// whoever sends. What a limit refuses for long is an error, as is what fails each time, and at once what can
/// never be stored: it would hold up all that comes behind it for ever.
async fn until_stored<T, F>(mut push: impl FnMut() -> F) -> Result<T, PushError>
where
    F: Future<Output = Result<T, PushError>>,
{
    let mut pause = PAUSE_MIN;
    let mut tries = 0;
    loop {
        let error = match push().await {
            Ok(done) => return Ok(done),
            Err(error) => error,
        };
        let passes = error.status == StatusCode::SERVICE_UNAVAILABLE;
        let is_final =
            error.status.is_client_error() && error.status != StatusCode::TOO_MANY_REQUESTS;
        tries += u32::from(!passes);
        if is_final || tries >= TRIES_MAX {
            return Err(error);
        }
        tracing::warn!(status = %error.status, text = %error.text, ?pause, "entries not stored yet");
        tokio::time::sleep(error.retry_after.unwrap_or(pause).min(PAUSE_MAX)).await;
        pause = (2 * pause).min(PAUSE_MAX);
    }
}

/// Why entries were dropped that [`until_stored`] gave up: the label of a metric.
fn reason(error: &PushError) -> &'static str {
    match error.status {
        StatusCode::PAYLOAD_TOO_LARGE => "too_large",
        status if status.is_server_error() => "failed",
        _ => "refused",
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    /// How often a push is tried that ends with `status` the first `failures` times, and whether it is stored.
    fn tries(status: u16, failures: u32) -> (u32, bool) {
        let tries = Cell::new(0);
        let push = || {
            tries.set(tries.get() + 1);
            let outcome = if tries.get() > failures {
                Ok(())
            } else {
                let error = PushError::new(StatusCode::from_u16(status).unwrap(), "x");
                Err(error.retry_after(Some(Duration::ZERO)))
            };
            async { outcome }
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let stored = runtime.block_on(until_stored(push)).is_ok();
        (tries.get(), stored)
    }

    #[test]
    fn what_may_pass_is_waited_for_and_what_does_not_is_given_up() {
        assert_eq!(tries(503, 100), (101, true));
        for status in [429, 500] {
            assert_eq!(tries(status, TRIES_MAX - 1), (TRIES_MAX, true), "{status}");
            assert_eq!(tries(status, u32::MAX), (TRIES_MAX, false), "{status}");
        }
        for (status, told) in [(500, "failed"), (413, "too_large"), (429, "refused")] {
            let error = PushError::new(StatusCode::from_u16(status).unwrap(), "x");
            assert_eq!(reason(&error), told);
        }
        assert_eq!(tries(413, u32::MAX), (1, false), "it will not fit tomorrow either");
    }
}
