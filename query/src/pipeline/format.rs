//! `| line_format "…"` and `| label_format a=b, c="…"`: templates over labels.

use std::borrow::Cow;

use super::labels::LabelBuilder;
use super::names::{NameId, Names};
use super::template::{Template, TemplateData};
use crate::syntax::{LabelFormat as Item, LabelFormatValue};

/// The error code of a template that fails on a line.
const TEMPLATE_ERROR: &str = "TemplateFormatErr";

/// What a template sees of an entry.
struct Entry<'a, 'p> {
    labels: &'a LabelBuilder<'p>,
    line: Cow<'a, str>,
    timestamp: i64,
}

impl TemplateData for Entry<'_, '_> {
    fn label(&self, name: &str) -> Option<&str> {
        self.labels.get_named(name)
    }

    fn labels(&self) -> Vec<(String, String)> {
        let error = self.labels.error().map(|code| ("__error__", code));
        let details = self.labels.error_details().map(|details| ("__error_details__", details));
        let names = self.labels.names();
        let labels = self.labels.labels().map(|(name, value)| (names.text(name), value));
        let all = labels.chain(error).chain(details);
        all.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
    }

    fn line(&self) -> &str {
        &self.line
    }

    fn timestamp(&self) -> i64 {
        self.timestamp
    }
}

/// The labels that a template may read, added to `needed`; `false` where that cannot be known.
fn add_needed(template: &Template, names: &mut Names, needed: &mut Vec<NameId>) -> bool {
    let Some(labels) = template.labels() else { return false };
    needed.extend(labels.iter().map(|label| names.intern(label)));
    true
}

/// `| line_format "…"`, compiled.
#[derive(Debug)]
pub(crate) struct LineFormat {
    /// The label, of a template that is nothing but one.
    field: Option<NameId>,
    template: Template,
}

impl LineFormat {
    /// # Errors
    /// `invalid line template: …`
    pub(crate) fn compile(source: &str, names: &mut Names) -> Result<Self, String> {
        let template = Template::compile("line", source)
            .map_err(|cause| format!("invalid line template: {cause}"))?;
        Ok(Self { field: template.field().map(|field| names.intern(field)), template })
    }

    /// Adds the labels that the template may read; `false` where that cannot be known.
    pub(crate) fn add_needed(&self, names: &mut Names, needed: &mut Vec<NameId>) -> bool {
        add_needed(&self.template, names, needed)
    }

    /// Whether the template may look at the line.
    pub(crate) const fn needs_line(&self) -> bool {
        self.field.is_none()
    }

    /// Appends the new line; `false` where the template fails, which leaves the line as it is.
    pub(crate) fn format(
        &self,
        line: &[u8],
        timestamp: i64,
        labels: &mut LabelBuilder<'_>,
        scratch: &mut String,
        out: &mut Vec<u8>,
    ) -> bool {
        if let Some(field) = self.field {
            out.extend_from_slice(labels.get(field).unwrap_or_default().as_bytes());
            return true;
        }
        scratch.clear();
        let entry = Entry { labels, line: String::from_utf8_lossy(line), timestamp };
        match self.template.execute(&entry, scratch) {
            Ok(()) => {
                out.extend_from_slice(scratch.as_bytes());
                true
            }
            Err(details) => {
                labels.set_error(TEMPLATE_ERROR, &details);
                false
            }
        }
    }
}

/// `| label_format …`, compiled.
#[derive(Debug)]
pub(crate) struct LabelFormat {
    items: Vec<(NameId, Source)>,
    /// The first item that is a template.
    first_template: usize,
}

/// Where a label's new value comes from.
#[derive(Debug)]
enum Source {
    Rename(NameId),
    Template(Template),
}

impl LabelFormat {
    /// # Errors
    /// `invalid template for label 'x': …`, a label set twice, or `__error__` set.
    pub(crate) fn compile(items: &[Item], names: &mut Names) -> Result<Self, String> {
        let mut compiled: Vec<(NameId, Source)> = Vec::with_capacity(items.len());
        for Item { name, value } in items {
            let id = names.intern(name);
            if id == NameId::ERROR {
                return Err(format!("{name} cannot be formatted"));
            }
            if compiled.iter().any(|(other, _)| *other == id) {
                return Err(format!(
                    "multiple label name '{name}' not allowed in a single format operation"
                ));
            }
            compiled.push((
                id,
                match value {
                    LabelFormatValue::Rename(from) => Source::Rename(names.intern(from)),
                    LabelFormatValue::Template(source) => {
                        Source::Template(Template::compile("label", source).map_err(|cause| {
                            format!("invalid template for label '{name}': {cause}")
                        })?)
                    }
                },
            ));
        }
        let is_template = |(_, source): &(NameId, Source)| matches!(source, Source::Template(_));
        let first_template = compiled.iter().position(is_template).unwrap_or(compiled.len());
        Ok(Self { items: compiled, first_template })
    }

    /// Adds the labels that are read; `false` where that cannot be known.
    pub(crate) fn add_needed(&self, names: &mut Names, needed: &mut Vec<NameId>) -> bool {
        self.items.iter().all(|(_, source)| match source {
            Source::Rename(from) => {
                needed.push(*from);
                true
            }
            Source::Template(template) => add_needed(template, names, needed),
        })
    }

    /// Whether a template may look at the line.
    pub(crate) fn needs_line(&self) -> bool {
        let reads = |source: &Source| match source {
            Source::Rename(_) => false,
            Source::Template(template) => template.field().is_none(),
        };
        self.items.iter().any(|(_, source)| reads(source))
    }

    /// Sets the labels from left to right. All templates see the labels as they were when the first of
    /// them ran; one that fails sets the error and no label.
    pub(crate) fn format(
        &self,
        line: &[u8],
        timestamp: i64,
        labels: &mut LabelBuilder<'_>,
        outputs: &mut Outputs,
    ) {
        let (renames, rest) = self.items.split_at(self.first_template);
        for (to, source) in renames {
            if let Source::Rename(from) = source {
                labels.rename(*from, *to);
            }
        }
        if rest.is_empty() {
            return;
        }
        outputs.clear();
        let entry = Entry { labels, line: String::from_utf8_lossy(line), timestamp };
        for (_, source) in rest {
            if let Source::Template(template) = source {
                outputs.push(template, &entry);
            }
        }
        let mut results = outputs.results.iter();
        for (to, source) in rest {
            match source {
                Source::Rename(from) => labels.rename(*from, *to),
                Source::Template(_) => match results.next() {
                    Some(Ok((start, end))) => labels.set(*to, &outputs.text[*start..*end]),
                    Some(Err(details)) => labels.set_error(TEMPLATE_ERROR, details),
                    None => {}
                },
            }
        }
    }
}

/// What the templates of one stage made.
#[derive(Debug, Default)]
pub(crate) struct Outputs {
    text: String,
    results: Vec<Result<(usize, usize), String>>,
}

impl Outputs {
    fn clear(&mut self) {
        self.text.clear();
        self.results.clear();
    }

    fn push(&mut self, template: &Template, entry: &Entry<'_, '_>) {
        let start = self.text.len();
        let result = template.execute(entry, &mut self.text);
        self.results.push(result.map(|()| (start, self.text.len())));
    }
}
