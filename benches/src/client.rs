//! Requests to a server.

use anyhow::{Result, bail};

/// The largest answer that is read.
const ANSWER_BYTES_MAX: u64 = 1 << 30;

/// The body of the answer to a GET of `path`, such as `labels`, below Loki's prefix.
///
/// # Errors
/// Refusals, with what the server says.
pub(crate) fn get(addr: &str, path: &str, params: &[(&str, &str)]) -> Result<String> {
    let mut answer = ureq::get(&format!("http://{addr}/loki/api/v1/{path}"))
        .query_pairs(params.iter().copied())
        .config()
        .http_status_as_error(false)
        .build()
        .call()?;
    let status = answer.status();
    let body = answer.body_mut().with_config().limit(ANSWER_BYTES_MAX).read_to_string()?;
    if !status.is_success() {
        bail!("{status}: {}", body.trim_end());
    }
    Ok(body)
}
