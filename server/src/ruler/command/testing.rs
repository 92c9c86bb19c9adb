//! `timberline rules test`: rules over the lines of a test, in a store that is in memory.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use timberline_query::{Engine, Tenants, format_prometheus_duration};
use timberline_store::{Durability, Labels, MemVfs, Store, TenantId, Timestamp, WriteBatch};

use super::report::{alerts_text, complain, samples_text, say};
use super::suite::{AlertTest, ExpectedSample, ExprTest, RecordTest, Suite, Test};
use crate::ruler::alert::AlertState;
use crate::ruler::evaluate::{ALERT_NAME, Evaluation, Surroundings};
use crate::ruler::group::{Group, GroupKey};
use crate::ruler::rules::{LabelMap, METRIC_NAME, Problem, PromDuration, RuleGroup, parse_file};
use crate::tenant::DEFAULT_TENANT;

/// Evaluations that a test may take.
const EVALUATIONS_MAX: i64 = 1_000_000;

/// Runs all files; false when a test fails.
pub(super) fn run(files: &[PathBuf]) -> bool {
    let mut all_well = true;
    for file in files {
        say(&format!("Unit Testing:  {}\n", file.display()));
        let failures = run_file(file).unwrap_or_else(|error| vec![error]);
        if failures.is_empty() {
            say("  SUCCESS\n\n");
        } else {
            all_well = false;
            complain(&format!("  FAILED:\n{}\n", failures.join("\n")));
            say("\n\n");
        }
    }
    all_well
}

/// Reads bytes as a test file, and runs what is short of it with a rule of each kind.
pub(super) fn fuzz(bytes: &[u8]) {
    const RULES: &str = "groups: [{name: g, rules: [{record: r, expr: 'sum(count_over_time({a=\"b\"}[1m]))'}, \
        {alert: A, expr: 'vector(1)', for: 1m}]}]";
    const ENTRIES_MAX: usize = 100;
    const EVALUATIONS_MAX: i64 = 100;
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let Ok(suite) = Suite::parse(text) else { return };
    let Ok(groups) = parse_file(RULES) else { return };
    let groups: Vec<_> = groups.into_iter().map(|group| (String::new(), group)).collect();
    let is_short = |test: &&Test| {
        let last = test.last_time().unwrap_or_default();
        test.entries() <= ENTRIES_MAX && last / suite.evaluation_interval.0 <= EVALUATIONS_MAX
    };
    for test in suite.tests.iter().filter(is_short) {
        // What does not come out as expected is as good as what does.
        let _ = Bench::new(test).and_then(|bench| bench.run(&suite, &groups));
    }
}

/// What does not come out as expected.
fn run_file(file: &Path) -> Result<Vec<String>, String> {
    let suite = Suite::read(file)?;
    let groups = read_rules(&suite)?;
    let mut failures = Vec::new();
    for test in &suite.tests {
        let found = Bench::new(test)?.run(&suite, &groups)?;
        if !found.is_empty() && !test.name.is_empty() {
            failures.push(format!("    name: {},", test.name));
        }
        failures.extend(found);
    }
    Ok(failures)
}

/// The groups of all rule files with the names of the files, in the order in which they are evaluated.
fn read_rules(suite: &Suite) -> Result<Vec<(String, RuleGroup)>, String> {
    let mut all = Vec::new();
    for file in &suite.rule_files {
        let name = file.display().to_string();
        let text = std::fs::read_to_string(file).map_err(|error| format!("  {name}: {error}"))?;
        let groups = parse_file(&text).map_err(|problems: Vec<Problem>| {
            let texts = problems.iter().map(|problem| format!("  {name}: {}", problem.in_file()));
            texts.collect::<Vec<_>>().join("\n")
        })?;
        all.extend(groups.into_iter().map(|group| (name.clone(), group)));
    }
    let order = &suite.group_eval_order;
    let place = |name: &str| order.iter().position(|other| other == name).unwrap_or(order.len());
    all.sort_by_key(|(_, group)| place(&group.name));
    Ok(all)
}

/// A test with its store.
struct Bench<'t> {
    test: &'t Test,
    engine: Engine,
    tenants: Tenants,
    surroundings: Surroundings,
}

impl<'t> Bench<'t> {
    fn new(test: &'t Test) -> Result<Self, String> {
        let store = Store::builder().vfs(Arc::new(MemVfs::new())).durability(Durability::None);
        let store = store.open("/test").map_err(|error| error.to_string())?;
        let tenant = TenantId::new(DEFAULT_TENANT).map_err(|error| error.to_string())?;
        fill(&store, &tenant, test)?;
        Ok(Self {
            test,
            engine: Engine::new(store),
            tenants: tenant.into(),
            surroundings: Surroundings {
                external_labels: test.external_labels.clone(),
                external_url: test.external_url.clone(),
            },
        })
    }

    fn run(&self, suite: &Suite, groups: &[(String, RuleGroup)]) -> Result<Vec<String>, String> {
        let Test { alert_rule_test: alerts, recording_rule_test: records, .. } = self.test;
        let step = suite.evaluation_interval.0;
        let mut failures = Vec::new();
        if let Some(last) = self.test.last_time() {
            if last / step > EVALUATIONS_MAX {
                return Err(format!(
                    "more than {EVALUATIONS_MAX} evaluations up to the last eval_time"
                ));
            }
            let mut rules = Rules::new(self, groups, step);
            for time in (0..=last).step_by(usize::try_from(step).unwrap_or(usize::MAX)) {
                failures.extend(rules.evaluate(time));
                // What was found holds until the next evaluation.
                let is_now = |eval_time: PromDuration| {
                    (time..time.saturating_add(step)).contains(&eval_time.0)
                };
                let now = alerts.iter().filter(|test| is_now(test.eval_time));
                failures.extend(now.filter_map(|test| rules.check_alert(test)));
                let now = records.iter().filter(|test| is_now(test.eval_time));
                failures.extend(now.filter_map(|test| rules.check_record(test)));
            }
        }
        failures.extend(self.test.logql_expr_test.iter().filter_map(|test| self.check_expr(test)));
        Ok(failures)
    }

    fn evaluation(&self) -> Evaluation<'_> {
        Evaluation::new(&self.engine, &self.tenants, &self.surroundings, Arc::default())
    }

    fn check_expr(&self, test: &ExprTest) -> Option<String> {
        let head = format!("    expr: {:?}, time: {},", test.expr, text(test.eval_time));
        let samples = match self.evaluation().query(&test.expr, test.eval_time.0) {
            Ok(samples) => samples,
            Err(error) => return Some(format!("{head} err: {error}")),
        };
        let got = samples.iter().map(|sample| {
            let labels = sample.labels.iter();
            let labels = labels.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
            (labels, sample.value)
        });
        compare(&head, &test.exp_samples, got.collect())
    }
}

fn fill(store: &Store, tenant: &TenantId, test: &Test) -> Result<(), String> {
    let mut batch = WriteBatch::new();
    for stream in &test.input_streams {
        let labels = stream.labels.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let labels = Labels::from_pairs(labels).map_err(|error| error.to_string())?;
        batch.stream(&labels);
        for entry in &stream.entries {
            let metadata: Vec<(&str, &str)> = entry
                .structured_metadata
                .iter()
                .map(|(name, value)| (name.as_str(), value.as_str()))
                .collect();
            for time in entry.times() {
                let pushed = batch.push(time, entry.line.as_bytes(), &metadata);
                pushed.map_err(|error| error.to_string())?;
            }
        }
    }
    store.append(tenant, &batch).map(drop).map_err(|error| error.to_string())
}

/// The rules of a test with what they have found so far.
struct Rules<'b> {
    bench: &'b Bench<'b>,
    groups: Vec<Group>,
    /// What recording rules gave at the last evaluation, by name.
    recorded: BTreeMap<String, Vec<(LabelMap, f64)>>,
}

impl<'b> Rules<'b> {
    fn new(bench: &'b Bench<'b>, groups: &[(String, RuleGroup)], step: i64) -> Self {
        let interval = Duration::from_nanos(step.unsigned_abs());
        let groups = groups.iter().map(|(file, said)| {
            let (tenant, namespace) = (bench.tenants.first().clone(), file.clone());
            let key = GroupKey { tenant, namespace, name: said.name.clone() };
            Group::new(key, said.clone(), interval)
        });
        Self { bench, groups: groups.collect(), recorded: BTreeMap::new() }
    }

    /// Evaluates all rules; says which could not be.
    fn evaluate(&mut self, time: Timestamp) -> Vec<String> {
        self.recorded.clear();
        let mut failures = Vec::new();
        for group in &self.groups {
            for (index, rule) in group.rules.iter().enumerate() {
                let at = time.saturating_sub(group.said.query_offset.0);
                let outcome = self.bench.evaluation().rule(rule, group.said.limit, at);
                let finished =
                    group.finish_rule(index, outcome, time, Duration::ZERO, Duration::ZERO);
                for sample in finished.samples.iter().filter(|sample| !sample.is_stale()) {
                    let mut labels = sample.labels.clone();
                    let name = labels.remove(METRIC_NAME).unwrap_or_default();
                    self.recorded.entry(name).or_default().push((labels, sample.value));
                }
                failures.extend(finished.error.map(|error| {
                    let (rule, time) = (rule.rule.name(), text(PromDuration(time)));
                    format!("    rule: {rule}, time: {time}, err: {error}")
                }));
            }
        }
        failures
    }

    fn check_alert(&self, test: &AlertTest) -> Option<String> {
        let mut got = Vec::new();
        for group in &self.groups {
            let state = group.state();
            let rules = group.rules.iter().zip(&state.rules);
            for (_, rule) in rules.filter(|(compiled, _)| compiled.rule.alert == test.alertname) {
                let firing = rule.alerts.active();
                let firing = firing.filter(|(_, alert)| alert.state == AlertState::Firing);
                got.extend(
                    firing.map(|(labels, alert)| (labels.clone(), alert.annotations.clone())),
                );
            }
        }
        let mut expected: Vec<_> = test
            .exp_alerts
            .iter()
            .map(|alert| {
                let mut labels = alert.exp_labels.clone();
                labels.insert(ALERT_NAME.to_owned(), test.alertname.clone());
                (labels, alert.exp_annotations.clone())
            })
            .collect();
        got.sort();
        expected.sort();
        (got != expected).then(|| {
            let (name, time) = (&test.alertname, text(test.eval_time));
            let (expected, got) = (alerts_text(&expected), alerts_text(&got));
            format!(
                "    alertname: {name}, time: {time}, \n        exp:{expected}, \n        got:{got}"
            )
        })
    }

    fn check_record(&self, test: &RecordTest) -> Option<String> {
        let head = format!("    record: {}, time: {},", test.record, text(test.eval_time));
        let got = self.recorded.get(&test.record).cloned().unwrap_or_default();
        compare(&head, &test.exp_samples, got)
    }
}

fn text(duration: PromDuration) -> String {
    format_prometheus_duration(duration.0)
}

fn compare(
    head: &str,
    expected: &[ExpectedSample],
    mut got: Vec<(LabelMap, f64)>,
) -> Option<String> {
    let mut expected: Vec<_> =
        expected.iter().map(|sample| (sample.labels.clone(), sample.value)).collect();
    let order = |a: &(LabelMap, f64), b: &(LabelMap, f64)| a.0.cmp(&b.0).then(a.1.total_cmp(&b.1));
    got.sort_by(order);
    expected.sort_by(order);
    #[expect(clippy::float_cmp, reason = "what is expected stands there to the digit")]
    let same = |(a, b): (&(LabelMap, f64), &(LabelMap, f64))| {
        a.0 == b.0 && (a.1 == b.1 || (a.1.is_nan() && b.1.is_nan()))
    };
    let is_equal = got.len() == expected.len() && got.iter().zip(&expected).all(same);
    (!is_equal).then(|| {
        let (expected, got) = (samples_text(&expected), samples_text(&got));
        format!("{head}\n        exp: {expected}\n        got: {got}")
    })
}
