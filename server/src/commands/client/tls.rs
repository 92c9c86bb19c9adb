//! TLS of a client: whom it trusts, and what it shows.

use std::path::Path;
use std::sync::Arc;

use tokio_rustls::rustls::client::danger::{
    HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier,
};
use tokio_rustls::rustls::crypto::{CryptoProvider, ring};
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use tokio_rustls::rustls::{
    self, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme, crypto,
};

use super::Endpoint;
use crate::commands::{Failure, Target};

/// How to speak TLS to a server, and its name; `None` for one that is spoken to without.
pub(in crate::commands) fn connector(
    endpoint: &Endpoint,
    target: &Target,
) -> Result<Option<(Arc<ClientConfig>, ServerName<'static>)>, Failure> {
    if !endpoint.is_tls {
        return Ok(None);
    }
    let name = ServerName::try_from(endpoint.host.clone());
    let name = name.map_err(|_| Failure::usage(format!("{}: no host's name", endpoint.host)))?;
    Ok(Some((Arc::new(config(target)?), name)))
}

fn config(target: &Target) -> Result<ClientConfig, Failure> {
    let unusable = |error: rustls::Error| Failure::failed(format!("TLS cannot be used: {error}"));
    let provider = Arc::new(ring::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider));
    let builder = builder.with_safe_default_protocol_versions().map_err(unusable)?;
    let builder = if target.tls_skip_verify {
        builder.dangerous().with_custom_certificate_verifier(Arc::new(AnyServer(provider)))
    } else {
        builder.with_root_certificates(roots(target.ca_cert.as_deref())?)
    };
    match (&target.cert, &target.key) {
        (None, None) => Ok(builder.with_no_client_auth()),
        (Some(cert), Some(key)) => {
            let wrong = |error| Failure::failed(format!("cannot read {}: {error}", key.display()));
            let secret = PrivateKeyDer::from_pem_file(key).map_err(wrong)?;
            builder.with_client_auth_cert(certificates(cert)?, secret).map_err(unusable)
        }
        _ => Err(Failure::usage("a client certificate needs both --cert and --key")),
    }
}

/// The authorities of a file, or the system's.
fn roots(file: Option<&Path>) -> Result<RootCertStore, Failure> {
    let mut roots = RootCertStore::empty();
    let Some(file) = file else {
        // Systems have certificates that are no longer good; the others still are.
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        return Ok(roots);
    };
    for certificate in certificates(file)? {
        let added = roots.add(certificate);
        added.map_err(|error| Failure::failed(format!("{}: {error}", file.display())))?;
    }
    Ok(roots)
}

/// Why there is no TLS with a server, in words for people.
pub(super) fn refusal(error: &std::io::Error) -> String {
    let cause = error.get_ref().and_then(|cause| cause.downcast_ref::<rustls::Error>());
    match cause {
        // Its first bytes are no TLS.
        Some(rustls::Error::InvalidMessage(_)) => {
            format!("what is there does not speak TLS ({error}); write http:// in --addr")
        }
        _ => error.to_string(),
    }
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, Failure> {
    crate::tls::certificates(path).map_err(Failure::failed)
}

/// Takes every certificate, for those who said `--tls-skip-verify`. Signatures are checked all the same.
#[derive(Debug)]
struct AnyServer(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyServer {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        crypto::verify_tls12_signature(
            message,
            cert,
            dss,
            &self.0.signature_verification_algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        crypto::verify_tls13_signature(
            message,
            cert,
            dss,
            &self.0.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
