//! One rule at one time: its query, and what becomes of the samples.
//!
//! Blocks, as the engine does.

use std::cell::RefCell;
use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use timberline_query::{
    AlertContext, AlertTemplate, Engine, InstantQuery, QueryStats, QueryValue, Sample, Tenants,
};
use timberline_store::{Labels, Timestamp};

use super::alert::Found;
use super::rules::{LabelMap, METRIC_NAME, Rule, RuleGroup};

/// The label that an alert's name is in.
pub(super) const ALERT_NAME: &str = "alertname";

/// What rules of all tenants have in common.
#[derive(Clone, Debug, Default)]
pub(super) struct Surroundings {
    pub(super) external_labels: LabelMap,
    pub(super) external_url: String,
}

/// A rule with its templates compiled.
#[derive(Debug)]
pub(super) struct CompiledRule {
    pub(super) rule: Rule,
    /// The rule's labels with those of its group.
    pub(super) labels: LabelMap,
    label_templates: Vec<(String, Result<AlertTemplate, String>)>,
    annotation_templates: Vec<(String, Result<AlertTemplate, String>)>,
}

impl CompiledRule {
    /// The rules of a group, in order.
    pub(super) fn of_group(group: &RuleGroup) -> Vec<Arc<Self>> {
        group.rules.iter().map(|rule| Arc::new(Self::new(rule, &group.labels))).collect()
    }

    fn new(rule: &Rule, of_group: &LabelMap) -> Self {
        let mut labels = of_group.clone();
        labels.extend(rule.labels.clone());
        let compile = |texts: &LabelMap| {
            let compiled = texts
                .iter()
                .map(|(name, text)| (name.clone(), AlertTemplate::compile(rule.name(), text)));
            compiled.collect()
        };
        let is_alerting = rule.is_alerting();
        Self {
            label_templates: if is_alerting { compile(&labels) } else { Vec::new() },
            annotation_templates: compile(&rule.annotations),
            rule: rule.clone(),
            labels,
        }
    }
}

/// What a rule found.
#[derive(Debug)]
pub(super) enum Outcome {
    /// Alerts, each with labels of its own.
    Alerts(Vec<Found>),
    /// Series with their values.
    Series(Vec<(LabelMap, f64)>),
}

/// Where and for whom rules are evaluated.
pub(super) struct Evaluation<'a> {
    pub(super) engine: &'a Engine,
    pub(super) tenants: &'a Tenants,
    pub(super) surroundings: &'a Surroundings,
    pub(super) cancel: Arc<AtomicBool>,
    /// What the queries took.
    pub(super) stats: RefCell<Vec<QueryStats>>,
}

impl<'a> Evaluation<'a> {
    pub(super) fn new(
        engine: &'a Engine,
        tenants: &'a Tenants,
        surroundings: &'a Surroundings,
        cancel: Arc<AtomicBool>,
    ) -> Self {
        Self { engine, tenants, surroundings, cancel, stats: RefCell::default() }
    }

    /// The samples of a metric query.
    ///
    /// # Errors
    /// The engine's words.
    pub(super) fn query(&self, expr: &str, time: Timestamp) -> Result<Vec<Sample>, String> {
        let query = InstantQuery { query: expr.to_owned(), time, cancel: Arc::clone(&self.cancel) };
        let answer = self.engine.instant(self.tenants.clone(), &query);
        let answer = answer.map_err(|error| error.to_string())?;
        self.stats.borrow_mut().push(answer.stats);
        match answer.value {
            QueryValue::Vector(samples) => Ok(samples),
            QueryValue::Scalar { timestamp_ms, value } => {
                Ok(vec![Sample { labels: Labels::default(), timestamp_ms, value }])
            }
            _ => Err("rule result is not a vector or scalar".to_owned()),
        }
    }

    /// Evaluates a rule; `limit` is that of its group.
    ///
    /// # Errors
    /// What kept it from being evaluated.
    pub(super) fn rule(
        &self,
        rule: &CompiledRule,
        limit: usize,
        time: Timestamp,
    ) -> Result<Outcome, String> {
        let samples = self.query(&rule.rule.expr, time)?;
        if rule.rule.is_alerting() {
            return self.alerts(rule, &samples, time).map(Outcome::Alerts);
        }
        let series = series(rule, samples)?;
        if limit > 0 && series.len() > limit {
            return Err(format!("exceeded limit of {limit} with {} series", series.len()));
        }
        Ok(Outcome::Series(series))
    }

    fn alerts(
        &self,
        rule: &CompiledRule,
        samples: &[Sample],
        time: Timestamp,
    ) -> Result<Vec<Found>, String> {
        let query = |expr: &str| self.query(expr, time);
        let mut all = Vec::with_capacity(samples.len());
        let mut seen = HashSet::new();
        for sample in samples {
            let labels = to_map(&sample.labels);
            let context = AlertContext {
                labels: &labels,
                value: sample.value,
                external_labels: &self.surroundings.external_labels,
                external_url: &self.surroundings.external_url,
                timestamp: time,
                query: &query,
            };
            let found = found(rule, &context);
            if !seen.insert(found.labels.clone()) {
                let text =
                    "vector contains metrics with the same labelset after applying alert labels";
                return Err(text.to_owned());
            }
            all.push(found);
        }
        Ok(all)
    }
}

fn to_map(labels: &Labels) -> LabelMap {
    labels.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

fn found(rule: &CompiledRule, context: &AlertContext<'_>) -> Found {
    let mut labels = context.labels.clone();
    labels.remove(METRIC_NAME);
    labels.extend(expand(&rule.label_templates, rule, context));
    labels.insert(ALERT_NAME.to_owned(), rule.rule.alert.clone());
    labels.retain(|_, value| !value.is_empty());
    let annotations = expand(&rule.annotation_templates, rule, context).collect();
    Found { labels, annotations, value: context.value }
}

/// The texts by name. One that cannot be made says why: the alert itself must not get lost.
fn expand<'r>(
    templates: &'r [(String, Result<AlertTemplate, String>)],
    rule: &'r CompiledRule,
    context: &'r AlertContext<'r>,
) -> impl Iterator<Item = (String, String)> {
    templates.iter().map(move |(name, template)| {
        let text = template.as_ref().map_err(String::clone);
        let text = text.and_then(|template| template.expand(context));
        let text = text.unwrap_or_else(|error| {
            tracing::warn!(alert = rule.rule.alert, name, error, "cannot expand a template");
            format!("<error expanding template: {error}>")
        });
        (name.clone(), text)
    })
}

fn series(rule: &CompiledRule, samples: Vec<Sample>) -> Result<Vec<(LabelMap, f64)>, String> {
    let mut seen = HashSet::new();
    let mut all = Vec::with_capacity(samples.len());
    for sample in samples {
        let mut labels = to_map(&sample.labels);
        labels.extend(rule.labels.clone());
        labels.insert(METRIC_NAME.to_owned(), rule.rule.record.clone());
        labels.retain(|_, value| !value.is_empty());
        if !seen.insert(labels.clone()) {
            let text = "vector contains metrics with the same labelset after applying rule labels";
            return Err(text.to_owned());
        }
        all.push((labels, sample.value));
    }
    Ok(all)
}
