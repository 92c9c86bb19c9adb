//! Who may do what: credentials of requests against those of a file.
//!
//! A request shows a name and a secret, as `Authorization: Basic` or as `Authorization: Bearer
//! NAME.SECRET`. What it asks for needs a right; whose data it asks for is bound to the credential. The
//! tenant header of a request that is let through names only tenants that the credential is for, so that
//! whatever is behind may rely on it.

mod backoff;
mod credentials;
mod secret;

use std::collections::HashMap;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use ::http::header::{AUTHORIZATION, WWW_AUTHENTICATE};
use ::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use parking_lot::{Mutex, RwLock};
use timberline_query::Tenants;
use tokio::sync::Semaphore;
use tonic::{Code, Status};

pub use self::credentials::Right;
pub use self::secret::{InvalidHash, generate_secret, hash_secret};

use self::backoff::Backoff;
use self::credentials::{Credential, Credentials};
use self::secret::{Fingerprint, Fingerprinter, SecretHash};
use crate::config::{Config, FileError};
use crate::error::text_response;
use crate::tenant::{TENANT_HEADER, TenantError, tenants_of};

/// Secrets that may be checked at the same time, each of which takes a core and some memory.
const CHECKS_MAX: usize = 2;

/// Secrets that may wait for their check. Those that were right before do not.
const CHECKS_WAITING_MAX: usize = 64;

/// What a request needs to be let through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Need {
    /// Nothing: load balancers ask.
    Nothing,
    /// Any credential: the answer is the same for everyone.
    Anyone,
    /// This right, for the tenants of the request.
    Right(Right),
    /// To see figures of all tenants: admin, or read for every tenant.
    Figures,
    /// To operate the server as a whole: admin for every tenant.
    Operator,
}

/// Why a request is not let through.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Denied {
    /// No credential is shown.
    #[error("no credentials")]
    NoCredentials,
    /// What is shown is not right. Which part is not said.
    #[error("wrong credentials")]
    Wrong,
    /// Too many secrets wait for their check.
    #[error("too many sign-ins at once: try again later")]
    Busy,
    /// Too many wrong secrets came from the client's address.
    #[error("too many wrong secrets from this address: try again in a second")]
    TooManyWrong,
    /// The credential has not the right.
    #[error("credential '{name}' lacks the right to {what}")]
    Lacks { name: String, what: &'static str },
    /// The credential is not for the tenant.
    #[error("credential '{name}' is not for tenant '{tenant}'")]
    Foreign { name: String, tenant: String },
    /// The tenant header is no good.
    #[error(transparent)]
    Tenant(#[from] TenantError),
}

impl Denied {
    const fn status(&self) -> StatusCode {
        match self {
            Self::NoCredentials | Self::Wrong | Self::Tenant(TenantError::Missing) => {
                StatusCode::UNAUTHORIZED
            }
            Self::Busy | Self::TooManyWrong => StatusCode::TOO_MANY_REQUESTS,
            Self::Lacks { .. } | Self::Foreign { .. } => StatusCode::FORBIDDEN,
            Self::Tenant(_) => StatusCode::BAD_REQUEST,
        }
    }

    /// The refusal as the label of a metric.
    pub(crate) const fn reason(&self) -> &'static str {
        match self {
            Self::NoCredentials => "no_credentials",
            Self::Wrong => "wrong_credentials",
            Self::Busy => "busy",
            Self::TooManyWrong => "too_many_wrong",
            Self::Lacks { .. } => "lacks_right",
            Self::Foreign { .. } => "foreign_tenant",
            Self::Tenant(_) => "bad_tenant",
        }
    }

    /// The refusal as a line of text; as a status where the request came over gRPC.
    pub(crate) fn into_response(self, is_grpc: bool) -> Response {
        let status = self.status();
        if is_grpc {
            let code = match status {
                StatusCode::FORBIDDEN => Code::PermissionDenied,
                StatusCode::TOO_MANY_REQUESTS => Code::ResourceExhausted,
                StatusCode::BAD_REQUEST => Code::InvalidArgument,
                _ => Code::Unauthenticated,
            };
            return Status::new(code, self.to_string()).into_http();
        }
        let mut response = text_response(status, format!("{self}\n")).into_response();
        if matches!(self, Self::NoCredentials | Self::Wrong) {
            let scheme = HeaderValue::from_static("Basic realm=\"timberline\", charset=\"UTF-8\"");
            response.headers_mut().insert(WWW_AUTHENTICATE, scheme);
        }
        response
    }
}

/// Decides on requests. Without a credentials file all are let through.
#[derive(Debug)]
pub struct Access {
    auth_enabled: bool,
    file: Option<PathBuf>,
    current: RwLock<Option<Arc<Book>>>,
    checks: Arc<Semaphore>,
    /// Places in front of the checks.
    waiting: Semaphore,
    backoff: Backoff,
}

/// The credentials in force, with what is known about secrets since they are.
#[derive(Debug)]
struct Book {
    credentials: Credentials,
    prints: Fingerprinter,
    /// The secret of each name that was found right.
    known: Mutex<HashMap<String, Fingerprint>>,
    /// Checked where there is no such name, so that the time it takes does not tell.
    nobody: Option<SecretHash>,
}

impl Book {
    fn new(credentials: Credentials) -> Self {
        let nobody = hash_secret(generate_secret().as_bytes()).ok();
        Self {
            credentials,
            prints: Fingerprinter::new(),
            known: Mutex::default(),
            nobody: nobody.and_then(|hash| SecretHash::parse(&hash).ok()),
        }
    }

    fn is_known(&self, name: &str, print: &Fingerprint) -> bool {
        self.known.lock().get(name) == Some(print)
    }

    /// Whether the secret is that of the name. Blocks for as long as a hash takes.
    fn check(&self, name: &str, secret: &[u8]) -> bool {
        match (self.credentials.get(name), &self.nobody) {
            (Some(credential), _) => credential.hash.is_of(secret),
            (None, Some(nobody)) => {
                nobody.is_of(secret);
                false
            }
            (None, None) => false,
        }
    }
}

impl Access {
    /// Reads the credentials file, where one is configured.
    ///
    /// # Errors
    /// A file that cannot be used.
    pub fn new(config: &Config) -> Result<Self, FileError> {
        let file = &config.server.credentials_file;
        let access = Self {
            auth_enabled: config.auth_enabled,
            file: (!file.as_os_str().is_empty()).then(|| file.clone()),
            current: RwLock::default(),
            checks: Arc::new(Semaphore::new(CHECKS_MAX)),
            waiting: Semaphore::new(CHECKS_WAITING_MAX),
            backoff: Backoff::default(),
        };
        access.reload()?;
        Ok(access)
    }

    /// Reads the file again. Who is not in it any more is refused from now on.
    ///
    /// # Errors
    /// A file that cannot be used; the credentials are then as before.
    pub fn reload(&self) -> Result<(), FileError> {
        if let Some(file) = &self.file {
            let credentials = Credentials::read(file, self.auth_enabled)?;
            *self.current.write() = Some(Arc::new(Book::new(credentials)));
        }
        Ok(())
    }

    /// Lets a request with these headers, from that address, through, or not. The tenant header is then the
    /// one that holds.
    ///
    /// # Errors
    /// [`Denied`].
    pub(crate) async fn admit(
        &self,
        need: Need,
        headers: &mut HeaderMap,
        from: IpAddr,
    ) -> Result<(), Denied> {
        let book = self.current.read().clone();
        let Some(book) = book.filter(|_| need != Need::Nothing) else { return Ok(()) };
        let (name, secret) = shown(headers)?;
        self.check(&book, &name, secret, from).await?;
        let credential = book.credentials.get(&name).ok_or(Denied::Wrong)?;
        check_right(credential, need)?;
        if self.auth_enabled && need != Need::Anyone {
            bind_tenants(credential, headers)?;
        }
        Ok(())
    }

    /// Checks a secret; at once where it was right before.
    async fn check(
        &self,
        book: &Arc<Book>,
        name: &str,
        secret: Vec<u8>,
        from: IpAddr,
    ) -> Result<(), Denied> {
        let print = book.prints.of(&secret);
        if book.is_known(name, &print) {
            return Ok(());
        }
        if self.backoff.has_to_wait(from, Instant::now()) {
            return Err(Denied::TooManyWrong);
        }
        let _place = self.waiting.try_acquire().map_err(|_| Denied::Busy)?;
        let permit = Arc::clone(&self.checks).acquire_owned().await.map_err(|_| Denied::Busy)?;
        // Somebody else with the same secret may have been first.
        if book.is_known(name, &print) {
            return Ok(());
        }
        let (checked, of) = (Arc::clone(book), name.to_owned());
        let right = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            checked.check(&of, &secret)
        });
        if !right.await.unwrap_or(false) {
            self.backoff.add(from, Instant::now());
            return Err(Denied::Wrong);
        }
        book.known.lock().insert(name.to_owned(), print);
        Ok(())
    }
}

fn check_right(credential: &Credential, need: Need) -> Result<(), Denied> {
    let may = |right| credential.may(right);
    let (allowed, what) = match need {
        Need::Nothing | Need::Anyone => (true, ""),
        Need::Right(Right::Read) => (may(Right::Read), "read"),
        Need::Right(Right::Write) => (may(Right::Write), "write"),
        Need::Right(Right::Admin) => (may(Right::Admin), "administer"),
        Need::Figures => (
            credential.is_for_all() && (may(Right::Admin) || may(Right::Read)),
            "see figures of all tenants",
        ),
        Need::Operator => {
            (credential.is_for_all() && may(Right::Admin), "operate the server as a whole")
        }
    };
    if allowed {
        return Ok(());
    }
    Err(Denied::Lacks { name: credential.name.clone(), what })
}

/// Makes the tenant header name what the credential is for, or nothing.
fn bind_tenants(credential: &Credential, headers: &mut HeaderMap) -> Result<(), Denied> {
    let is_named = headers.get_all(TENANT_HEADER).iter().any(|value| !value.is_empty());
    let tenants = match credential.only_tenant() {
        Some(tenant) if !is_named => Tenants::from(tenant),
        // Handlers that need one say so.
        None if !is_named => return Ok(()),
        _ => tenants_of(true, headers)?,
    };
    if let Some(tenant) = credential.first_foreign(&tenants) {
        let (name, tenant) = (credential.name.clone(), tenant.to_string());
        return Err(Denied::Foreign { name, tenant });
    }
    let ids: Vec<&str> = tenants.iter().map(timberline_store::TenantId::as_str).collect();
    // Ids have no character that a header cannot have.
    let value = HeaderValue::from_str(&ids.join("|")).map_err(|_| Denied::Wrong)?;
    headers.insert(TENANT_HEADER, value);
    Ok(())
}

/// The name and secret that a request shows.
fn shown(headers: &HeaderMap) -> Result<(String, Vec<u8>), Denied> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let value = values.next().ok_or(Denied::NoCredentials)?;
    if values.next().is_some() {
        return Err(Denied::Wrong);
    }
    let text = value.to_str().map_err(|_| Denied::Wrong)?;
    let (scheme, rest) = text.split_once(' ').ok_or(Denied::Wrong)?;
    let shown = if scheme.eq_ignore_ascii_case("basic") {
        of_basic(rest.trim())
    } else if scheme.eq_ignore_ascii_case("bearer") {
        rest.trim().rsplit_once('.').map(|(name, secret)| (name.to_owned(), secret.into()))
    } else {
        None
    };
    shown.ok_or(Denied::Wrong)
}

fn of_basic(encoded: &str) -> Option<(String, Vec<u8>)> {
    let decoded = STANDARD.decode(encoded).ok()?;
    let colon = decoded.iter().position(|byte| *byte == b':')?;
    let name = String::from_utf8(decoded[..colon].to_vec()).ok()?;
    Some((name, decoded[colon + 1..].to_vec()))
}

#[cfg(test)]
mod tests;
