//! TLS: certificates from files, which may be replaced while the server runs.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::RwLock;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, pem};
use tokio_rustls::rustls::server::{VerifierBuilderError, WebPkiClientVerifier};
use tokio_rustls::rustls::{self, RootCertStore, ServerConfig, crypto};

use crate::config::TlsConfig;

/// Why there can be no TLS with these files.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// A file cannot be read, or is no PEM of what it should have.
    #[error("cannot read {}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: pem::Error,
    },
    /// One of the certificate and its key is configured, the other is not.
    #[error("TLS needs both server.tls.cert_file and server.tls.key_file")]
    Half,
    /// Certificate and key do not make a server.
    #[error("certificate and key cannot be used: {0}")]
    Pair(#[from] rustls::Error),
    /// The certificates of the clients' authorities cannot be used.
    #[error("client certificates cannot be checked: {0}")]
    Clients(#[from] VerifierBuilderError),
}

/// The certificates in force.
#[derive(Debug)]
pub(crate) struct Tls {
    files: TlsConfig,
    current: RwLock<Arc<ServerConfig>>,
}

impl Tls {
    /// Reads the files; `None` where none is configured.
    pub(crate) fn new(files: &TlsConfig) -> Result<Option<Self>, TlsError> {
        let is_set = |path: &Path| !path.as_os_str().is_empty();
        match (is_set(&files.cert_file), is_set(&files.key_file)) {
            (false, false) if !is_set(&files.client_ca_file) => Ok(None),
            (true, true) => {
                let current = RwLock::new(load(files)?);
                Ok(Some(Self { files: files.clone(), current }))
            }
            _ => Err(TlsError::Half),
        }
    }

    /// Reads the files again, for connections that come from now on. On an error all is as before.
    pub(crate) fn reload(&self) -> Result<(), TlsError> {
        let config = load(&self.files)?;
        *self.current.write() = config;
        Ok(())
    }

    /// What makes TLS of the next connection.
    pub(crate) fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(Arc::clone(&self.current.read()))
    }
}

fn load(files: &TlsConfig) -> Result<Arc<ServerConfig>, TlsError> {
    let provider = Arc::new(crypto::ring::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider));
    let builder = builder.with_safe_default_protocol_versions()?;
    let builder = if files.client_ca_file.as_os_str().is_empty() {
        builder.with_no_client_auth()
    } else {
        let mut roots = RootCertStore::empty();
        for certificate in certificates(&files.client_ca_file)? {
            roots.add(certificate)?;
        }
        let verifier =
            WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build()?;
        builder.with_client_cert_verifier(verifier)
    };
    let key = PrivateKeyDer::from_pem_file(&files.key_file)
        .map_err(|source| TlsError::File { path: files.key_file.clone(), source })?;
    let mut config = builder.with_single_cert(certificates(&files.cert_file)?, key)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

/// The certificates of a file, at least one.
pub(crate) fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let wrong = |source| TlsError::File { path: path.to_owned(), source };
    let found = CertificateDer::pem_file_iter(path).map_err(wrong)?;
    let found = found.collect::<Result<Vec<_>, _>>().map_err(wrong)?;
    if found.is_empty() {
        return Err(wrong(pem::Error::NoItemsFound));
    }
    Ok(found)
}
