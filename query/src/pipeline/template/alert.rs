//! Templates of alerts: labels and annotations of alerting rules, in the language of Prometheus.
//!
//! The same language as in pipelines with other functions and another dot: a structure with the labels
//! and the value of the sample that the alert is about.

use std::collections::BTreeMap;
use std::fmt;
use std::rc::Rc;

use super::functions::FunctionSet;
use super::value::{Record, Value};
use super::{Template, TemplateData};
use crate::Sample;

/// Names for the fields of the dot, as every template of an alert begins.
const DEFINITIONS: &str = "{{$labels := .Labels}}{{$externalLabels := .ExternalLabels}}\
                           {{$externalURL := .ExternalURL}}{{$value := .Value}}";

/// What Go calls the dot's type.
const DOT_TYPE: &str = "struct { Labels map[string]string; ExternalLabels map[string]string; \
                        ExternalURL string; Value interface {} }";

/// A compiled template of an alert's label or annotation, with Prometheus's functions.
///
/// ```
/// use std::collections::BTreeMap;
/// use timberline_query::{AlertContext, AlertTemplate};
///
/// # fn main() -> Result<(), String> {
/// let context = AlertContext {
///     labels: &BTreeMap::from([("app".to_owned(), "shop".to_owned())]),
///     value: 0.25,
///     external_labels: &BTreeMap::new(),
///     external_url: "http://logs.example",
///     timestamp: 1_700_000_000_000_000_000,
///     query: &|_| Ok(Vec::new()),
/// };
/// let template = AlertTemplate::compile("Errors", "{{ $labels.app }}: {{ $value | humanizePercentage }}")?;
/// assert_eq!(template.expand(&context)?, "shop: 25%");
/// # Ok(())
/// # }
/// ```
///
/// # Source
/// Prometheus, "Template reference". `tmpl` is not there.
#[derive(Debug)]
pub struct AlertTemplate(Template);

/// What a template of an alert is expanded over.
pub struct AlertContext<'a> {
    /// The labels of the sample.
    pub labels: &'a BTreeMap<String, String>,
    /// The value of the sample.
    pub value: f64,
    /// Labels of the whole installation.
    pub external_labels: &'a BTreeMap<String, String>,
    /// Where people reach the installation.
    pub external_url: &'a str,
    /// The time of the evaluation, in nanoseconds since the Unix epoch.
    pub timestamp: i64,
    /// Evaluates a query at that time, for the function `query`.
    pub query: &'a dyn Fn(&str) -> Result<Vec<Sample>, String>,
}

impl fmt::Debug for AlertContext<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let labels = self.labels;
        f.debug_struct("AlertContext").field("labels", labels).finish_non_exhaustive()
    }
}

impl AlertTemplate {
    /// Compiles a template of the alert `name`, which stands in error messages.
    ///
    /// # Errors
    /// Go's message, for instance `template: __alert_X:1: unclosed action`.
    pub fn compile(name: &str, source: &str) -> Result<Self, String> {
        let (name, source) = (format!("__alert_{name}"), format!("{DEFINITIONS}{source}"));
        Template::compile_with(&name, &source, FunctionSet::Alerting).map(Self)
    }

    /// The text for an alert.
    ///
    /// # Errors
    /// Go's message, and those of queries.
    pub fn expand(&self, context: &AlertContext<'_>) -> Result<String, String> {
        let data = Data(context);
        let mut text = String::new();
        self.0.execute_over(dot(context), &data, &mut text)?;
        Ok(text)
    }
}

fn dot<'a>(context: &AlertContext<'_>) -> Value<'a> {
    let external_labels = context.external_labels.iter();
    let fields = vec![
        ("Labels", strings(context.labels.iter().map(|(name, value)| (&**name, &**value)))),
        ("ExternalLabels", strings(external_labels.map(|(name, value)| (&**name, &**value)))),
        ("ExternalURL", Value::string(context.external_url.to_owned())),
        ("Value", Value::Float(context.value)),
    ];
    Value::Record(Rc::new(Record { type_name: DOT_TYPE, fields }))
}

fn strings<'a, 'l>(labels: impl Iterator<Item = (&'l str, &'l str)>) -> Value<'a> {
    let labels =
        labels.map(|(name, value)| (name.as_bytes().to_vec(), Value::string(value.to_owned())));
    Value::Strings(Rc::new(labels.collect()))
}

/// A sample as templates see it.
pub(super) fn sample<'a>(sample: &Sample) -> Value<'a> {
    let fields =
        vec![("Labels", strings(sample.labels.iter())), ("Value", Value::Float(sample.value))];
    Value::Record(Rc::new(Record { type_name: "*template.sample", fields }))
}

struct Data<'c>(&'c AlertContext<'c>);

impl TemplateData for Data<'_> {
    fn label(&self, name: &str) -> Option<&str> {
        self.0.labels.get(name).map(String::as_str)
    }

    fn labels(&self) -> Vec<(String, String)> {
        self.0.labels.clone().into_iter().collect()
    }

    fn line(&self) -> &'static str {
        ""
    }

    fn timestamp(&self) -> i64 {
        self.0.timestamp
    }

    fn alert(&self) -> Option<&AlertContext<'_>> {
        Some(self.0)
    }
}

#[cfg(test)]
mod tests {
    use timberline_store::Labels;

    use super::*;

    fn expand_with(value: f64, source: &str) -> Result<String, String> {
        let map = |pairs: &[(&str, &str)]| -> BTreeMap<String, String> {
            pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
        };
        let labels = map(&[("app", "shop"), ("instance", "db1.example.org:9100")]);
        let external = map(&[("cluster", "eu")]);
        let query = |text: &str| {
            let labels = |host: &str| Labels::from_pairs([("host", host)]).unwrap();
            match text {
                "up" => Ok(vec![
                    Sample { labels: labels("b"), timestamp_ms: 0, value: 2.0 },
                    Sample { labels: labels("a"), timestamp_ms: 0, value: 1.0 },
                ]),
                "nothing" => Ok(Vec::new()),
                text => Err(format!("no such query: {text}")),
            }
        };
        let context = AlertContext {
            labels: &labels,
            value,
            external_labels: &external,
            external_url: "http://logs.example.org/x",
            timestamp: 1_500_000_000_000_000_000,
            query: &query,
        };
        AlertTemplate::compile("Test", source)?.expand(&context)
    }

    fn expand(source: &str) -> String {
        expand_with(0.123_456, source).unwrap_or_else(|error| format!("error: {error}"))
    }

    #[test]
    fn templates_see_the_alert() {
        for (source, text) in [
            ("{{ $labels.app }} {{ .Labels.app }} {{ $labels.nothing }}.", "shop shop ."),
            ("{{ $value }} {{ .Value }}", "0.123456 0.123456"),
            ("{{ $externalLabels.cluster }}{{ .ExternalLabels.no }}", "eu"),
            (
                "{{ $externalURL }} {{ externalURL }}",
                "http://logs.example.org/x http://logs.example.org/x",
            ),
            ("{{ pathPrefix }}", "/x"),
            ("{{ printf \"%.2f\" $value }}", "0.12"),
            (
                "{{ range $k, $v := $labels }}{{ $k }}={{ $v }};{{ end }}",
                "app=shop;instance=db1.example.org:9100;",
            ),
            ("{{ if eq $labels.app \"shop\" }}y{{ end }}", "y"),
            (
                "{{ index $labels \"app\" | toUpper }} {{ title \"a b\" }} {{ toLower \"AB\" }}",
                "SHOP A B ab",
            ),
            ("{{ reReplaceAll \"(.*):.*\" \"$1\" $labels.instance }}", "db1.example.org"),
            ("{{ match \"s.*p\" $labels.app }} {{ match \"^x\" \"y\" }}", "true false"),
            (
                "{{ $labels.instance | stripPort }} {{ stripDomain $labels.instance }}",
                "db1.example.org db1:9100",
            ),
            (
                "{{ stripPort \"[::1]:80\" }} {{ stripDomain \"10.0.0.1:80\" }} {{ stripPort \"a\" }}",
                "::1 10.0.0.1:80 a",
            ),
            (
                "{{ define \"t\" }}{{ .arg0 }}-{{ .arg1 }}{{ end }}{{ template \"t\" args 1 \"x\" }}",
                "1-x",
            ),
            ("{{ with query \"up\" }}{{ . | first | value }}{{ end }}", "2"),
            ("{{ query \"up\" | sortByLabel \"host\" | first | label \"host\" }}", "a"),
            ("{{ range query \"up\" }}{{ .Labels.host }}:{{ .Value }} {{ end }}", "b:2 a:1 "),
            ("{{ urlQueryEscape \"a b&c\" }} {{ safeHtml \"<\" }}", "a+b%26c <"),
            ("{{ parseDuration \"1h30m\" }} {{ now }}", "5400 1.5e+09"),
            ("{{ toTime 1.5 }} {{ toDuration 90 }}", "1970-01-01 00:00:01.5 +0000 UTC 1m30s"),
        ] {
            assert_eq!(expand(source), text, "{source}");
        }
    }

    #[test]
    fn errors_are_gos() {
        for (source, text) in [
            ("{{ $x }}", "undefined variable \"$x\""),
            ("{{ line_format }}", "function \"line_format\" not defined"),
            ("{{ .Nothing }}", "can't evaluate field Nothing in type struct { Labels"),
            ("{{ query \"nothing\" | first }}", "first() called on vector with no elements"),
            ("{{ query \"bad\" }}", "error calling query: no such query: bad"),
            (
                "{{ humanize \"x\" }}",
                "error calling humanize: strconv.ParseFloat: parsing \"x\": invalid syntax",
            ),
            (
                "{{ humanize $labels }}",
                "error calling humanize: can't convert map[string]string to float",
            ),
            ("{{ match \"(\" \"x\" }}", "error calling match"),
        ] {
            let error = expand_with(1.0, source).unwrap_err();
            assert!(error.contains(text), "{source}: {error}");
        }
    }

    #[test]
    fn numbers_are_for_people() {
        for (function, value, text) in [
            ("humanize", 0.0, "0"),
            ("humanize", 1_234_567.0, "1.235M"),
            ("humanize", 0.001_5, "1.5m"),
            ("humanize", -1000.0, "-1k"),
            ("humanize", f64::INFINITY, "+Inf"),
            ("humanize", 999.0, "999"),
            ("humanize1024", 1_048_576.0, "1Mi"),
            ("humanize1024", 0.5, "0.5"),
            ("humanizeDuration", 0.0, "0s"),
            ("humanizeDuration", 59.25, "59.25s"),
            ("humanizeDuration", 3_661.0, "1h 1m 1s"),
            ("humanizeDuration", -90_061.0, "-1d 1h 1m 1s"),
            ("humanizeDuration", 0.001_5, "1.5ms"),
            ("humanizePercentage", 0.123_456, "12.35%"),
            ("humanizeTimestamp", 1_435_065_584.128, "2015-06-23 13:19:44.128 +0000 UTC"),
            ("humanizeTimestamp", f64::NAN, "NaN"),
        ] {
            let source = format!("{{{{ {function} $value }}}}");
            assert_eq!(expand_with(value, &source).as_deref(), Ok(text), "{function} {value}");
        }
        assert_eq!(expand("{{ humanize \"1500\" }}"), "1.5k");
    }
}
