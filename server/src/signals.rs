//! Signals to the process. One that is taken over does not end the process from then on, even where
//! nobody has waited for it yet.

/// What asks the process to stop: SIGTERM and Ctrl-C.
///
/// Where a signal cannot be listened for, that one never comes; the other still works.
#[derive(Debug)]
pub(crate) struct Stop {
    interrupt: Taken,
    terminate: Taken,
}

impl Stop {
    /// Takes both over.
    pub(crate) fn take() -> Self {
        Self { interrupt: Taken::interrupt(), terminate: Taken::terminate() }
    }

    /// Returns when either has come since it was taken over.
    pub(crate) async fn requested(mut self) {
        tokio::select! {
            () = self.interrupt.next() => tracing::info!("interrupted, stopping"),
            () = self.terminate.next() => tracing::info!("terminated, stopping"),
        }
    }
}

/// One signal, or one that never comes.
#[cfg(unix)]
#[derive(Debug)]
pub(crate) struct Taken(Option<tokio::signal::unix::Signal>);

#[cfg(unix)]
impl Taken {
    fn interrupt() -> Self {
        Self::new(tokio::signal::unix::SignalKind::interrupt(), "SIGINT")
    }

    fn terminate() -> Self {
        Self::new(tokio::signal::unix::SignalKind::terminate(), "SIGTERM")
    }

    /// SIGHUP.
    pub(crate) fn hangup() -> Self {
        Self::new(tokio::signal::unix::SignalKind::hangup(), "SIGHUP")
    }

    fn new(kind: tokio::signal::unix::SignalKind, name: &str) -> Self {
        let signal = tokio::signal::unix::signal(kind);
        let failed = |error: &std::io::Error| tracing::warn!(%error, "cannot listen for {name}");
        Self(signal.inspect_err(failed).ok())
    }

    /// A signal that was left to somebody else.
    pub(crate) const fn never() -> Self {
        Self(None)
    }

    /// Returns when the signal has come since it was taken over, or since this last returned.
    pub(crate) async fn next(&mut self) {
        if let Some(signal) = &mut self.0
            && signal.recv().await.is_some()
        {
            return;
        }
        std::future::pending().await
    }
}

/// Ctrl-C, listened for once it is waited for, or a signal that does not exist here.
#[cfg(not(unix))]
#[derive(Debug)]
pub(crate) struct Taken {
    is_interrupt: bool,
}

#[cfg(not(unix))]
impl Taken {
    const fn interrupt() -> Self {
        Self { is_interrupt: true }
    }

    const fn terminate() -> Self {
        Self::never()
    }

    pub(crate) const fn hangup() -> Self {
        Self::never()
    }

    pub(crate) const fn never() -> Self {
        Self { is_interrupt: false }
    }

    pub(crate) async fn next(&mut self) {
        if self.is_interrupt {
            match tokio::signal::ctrl_c().await {
                Ok(()) => return,
                Err(error) => tracing::warn!(%error, "cannot listen for Ctrl-C"),
            }
        }
        std::future::pending().await
    }
}

#[cfg(all(test, unix))]
mod tests {
    use rustix::process::{Signal, getpid, kill_process};

    use super::Taken;

    /// Of one signal only: the tests themselves are to end at Ctrl-C.
    #[tokio::test]
    async fn a_signal_before_anyone_waits_is_not_lost() {
        let mut terminate = Taken::terminate();
        kill_process(getpid(), Signal::TERM).unwrap();
        terminate.next().await;
    }
}
