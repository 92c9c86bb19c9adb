//! What commands ask: a server over HTTP, or the same server code over a data directory, without a port.
//!
//! Both are asked with the same requests and give the same answers, so that no command knows which it
//! has. Calls block; a runtime of one thread is behind them.

mod local;
mod remote;
mod tls;

use std::time::Duration;

use ::http::header::{
    ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER,
};
use ::http::{HeaderMap, Method, Request, StatusCode};
use bytes::Bytes;
use tokio::runtime::Runtime;

use self::local::Local;
pub(super) use self::remote::Endpoint;
use self::remote::Remote;
pub(super) use self::tls::connector;
use super::{Failure, Target};
use crate::tenant::TENANT_HEADER;

/// The first pause before a request is tried again; each further one is twice as long.
const PAUSE_MIN: Duration = Duration::from_millis(500);

/// The longest pause before a request is tried again, whatever the server wishes.
const PAUSE_MAX: Duration = Duration::from_secs(60);

/// Longer queries go into the body: proxies bound the length of URLs.
const URL_BYTES_MAX: usize = 4000;

/// Asks a server, or a data directory.
#[derive(Debug)]
pub(super) struct Client {
    runtime: Runtime,
    route: Route,
    headers: HeaderMap,
    retries: u32,
    timeout: Duration,
}

#[derive(Debug)]
enum Route {
    Remote(Box<Remote>),
    Local(Local),
}

/// What a command does with the logs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Intent {
    /// It only asks: a data directory must be there, and is left as it is.
    Read,
    /// It adds to them: a data directory is made if it is not there.
    Write,
}

/// An answer of any status.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

impl Answer {
    /// The body as text, without the end of its line.
    pub(super) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).trim_end().to_owned()
    }

    /// Whether the same request may get a better answer later.
    pub(super) fn is_passing(&self) -> bool {
        self.status == StatusCode::TOO_MANY_REQUESTS || self.status.is_server_error()
    }

    /// How long the server wants to be left alone.
    fn retry_after(&self) -> Option<Duration> {
        let seconds = self.headers.get(RETRY_AFTER)?.to_str().ok()?.parse().ok()?;
        Some(Duration::from_secs(seconds))
    }

    /// What a refusal means: the request is wrong, or the server cannot do it.
    pub(super) fn refusal(&self) -> Failure {
        let text = match self.text() {
            text if text.is_empty() => format!("the server answers {}", self.status),
            text => text,
        };
        match self.status {
            StatusCode::BAD_REQUEST => Failure::Usage(text),
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                Failure::Failed(format!("the server does not let this through: {text}"))
            }
            status => Failure::Failed(format!("the server answers {status}: {text}")),
        }
    }
}

/// Pauses that grow, between the tries of one request.
#[derive(Debug)]
pub(super) struct Pauses {
    left: u32,
    next: Duration,
}

impl Pauses {
    pub(super) const fn new(tries: u32) -> Self {
        Self { left: tries, next: PAUSE_MIN }
    }

    /// How long to wait before the next try; `None` when there is to be none.
    pub(super) fn next(&mut self, answer: Option<&Answer>) -> Option<Duration> {
        self.left = self.left.checked_sub(1)?;
        let pause = answer.and_then(Answer::retry_after).unwrap_or(self.next);
        self.next = (self.next * 2).min(PAUSE_MAX);
        Some(pause.min(PAUSE_MAX))
    }
}

impl Client {
    /// Opens the data directory; a server is only connected to by the first request.
    pub(super) fn open(target: &Target, intent: Intent) -> Result<Self, Failure> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| Failure::failed(format!("cannot start: {error}")))?;
        let (route, headers) = match &target.data {
            Some(directory) => {
                let local = {
                    let _entered = runtime.enter();
                    Local::open(directory, intent)?
                };
                (Route::Local(local), tenant_header(Some(target.tenant()))?)
            }
            None => (Route::Remote(Box::new(Remote::new(target)?)), headers(target)?),
        };
        Ok(Self { runtime, route, headers, retries: target.retries, timeout: target.timeout })
    }

    /// Asks for `path`, which begins with a slash, and gives the answer where it is a success.
    pub(super) fn get(&mut self, path: &str, params: &[(&str, &str)]) -> Result<Answer, Failure> {
        self.get_with(path, params, &[])
    }

    /// The same with headers of its own.
    pub(super) fn get_with(
        &mut self,
        path: &str,
        params: &[(&str, &str)],
        headers: &[(HeaderName, &'static str)],
    ) -> Result<Answer, Failure> {
        let form = form_urlencoded::Serializer::new(String::new()).extend_pairs(params).finish();
        let request = if form.is_empty() {
            (Method::GET, path.to_owned(), Bytes::new())
        } else if form.len() <= URL_BYTES_MAX {
            (Method::GET, format!("{path}?{form}"), Bytes::new())
        } else {
            (Method::POST, path.to_owned(), Bytes::from(form))
        };
        let mut all = self.headers.clone();
        all.insert(ACCEPT_ENCODING, HeaderValue::from_static("gzip"));
        let form_type = HeaderValue::from_static("application/x-www-form-urlencoded");
        all.insert(CONTENT_TYPE, form_type);
        all.extend(headers.iter().map(|(name, v)| (name.clone(), HeaderValue::from_static(v))));
        let mut pauses = Pauses::new(self.retries);
        loop {
            let answer = self.send(request.clone(), &all);
            if answer.as_ref().is_ok_and(|answer| answer.status.is_success()) {
                return answer;
            }
            let may_pass = answer.as_ref().map_or(true, Answer::is_passing);
            match may_pass.then(|| pauses.next(answer.as_ref().ok())).flatten() {
                Some(pause) => std::thread::sleep(pause),
                None => return Err(answer.map_or_else(|failure| failure, |it| it.refusal())),
            }
        }
    }

    /// Sends a body once and gives the answer, whatever its status.
    pub(super) fn post(
        &mut self,
        path: &str,
        content_type: &'static str,
        body: Bytes,
    ) -> Result<Answer, Failure> {
        let mut headers = self.headers.clone();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        self.send((Method::POST, path.to_owned(), body), &headers)
    }

    fn send(
        &mut self,
        (method, target, body): (Method, String, Bytes),
        headers: &HeaderMap,
    ) -> Result<Answer, Failure> {
        let mut request = Request::new(body);
        *request.method_mut() = method;
        *request.headers_mut() = headers.clone();
        let Self { runtime, route, timeout, .. } = self;
        let answer = runtime.block_on(async {
            let answer = async {
                match route {
                    Route::Remote(remote) => remote.send(request, &target).await,
                    Route::Local(local) => local.send(request, &target).await,
                }
            };
            tokio::time::timeout(*timeout, answer).await
        });
        let took_long = || Failure::failed(format!("no answer within {timeout:?} (see --timeout)"));
        unpacked(answer.map_err(|_| took_long())??)
    }

    /// Lets a data directory go; what was pushed to it is flushed.
    pub(super) fn close(self) -> Result<(), Failure> {
        match self.route {
            Route::Remote(_) => Ok(()),
            Route::Local(local) => local.close(),
        }
    }
}

/// Undoes the encoding of a body.
fn unpacked(mut answer: Answer) -> Result<Answer, Failure> {
    use std::io::Read as _;
    if answer.headers.get(CONTENT_ENCODING).is_some_and(|encoding| encoding == "gzip") {
        let mut body = Vec::new();
        let read = flate2::read::MultiGzDecoder::new(&answer.body[..]).read_to_end(&mut body);
        read.map_err(|error| Failure::failed(format!("the answer is cut or damaged: {error}")))?;
        answer.body = body.into();
    }
    Ok(answer)
}

/// The headers that every request of this target has.
pub(super) fn headers(target: &Target) -> Result<HeaderMap, Failure> {
    let mut headers = tenant_header(target.tenant.as_deref())?;
    if let Some((name, value)) = target.authorization()? {
        let mut value = value_of("the credential", &value)?;
        value.set_sensitive(true);
        let name = HeaderName::try_from(&name);
        let name = name.map_err(|_| Failure::usage("--auth-header is no header's name"))?;
        headers.insert(name, value);
    }
    if let Some(tags) = &target.query_tags {
        headers.insert(HeaderName::from_static("x-query-tags"), value_of("--query-tags", tags)?);
    }
    Ok(headers)
}

fn tenant_header(tenant: Option<&str>) -> Result<HeaderMap, Failure> {
    let mut headers = HeaderMap::new();
    if let Some(tenant) = tenant {
        headers.insert(HeaderName::from_static(TENANT_HEADER), value_of("--tenant", tenant)?);
    }
    Ok(headers)
}

fn value_of(what: &str, text: &str) -> Result<HeaderValue, Failure> {
    let wrong = |_| Failure::usage(format!("{what} has characters that no header may have"));
    HeaderValue::from_str(text).map_err(wrong)
}
