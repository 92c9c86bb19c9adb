//! Stands in for `crate::golang` until that is merged.
pub(crate) fn quote(text: &str) -> String {
    format!("{text:?}")
}
pub(crate) fn compile_regex(source: &str) -> Result<regex::bytes::Regex, String> {
    regex::bytes::Regex::new(source).map_err(|error| error.to_string())
}
pub(crate) fn translate_regex(source: &str) -> Result<String, String> {
    Ok(source.to_owned())
}
