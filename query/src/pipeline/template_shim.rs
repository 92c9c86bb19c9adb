//! Stands in for `template` until that is merged.

/// What a template may look at.
pub(crate) trait TemplateData {
    fn label(&self, name: &str) -> Option<&str>;
    fn labels(&self) -> Vec<(String, String)>;
    fn line(&self) -> &str;
    fn timestamp(&self) -> i64;
}

#[derive(Debug)]
pub(crate) struct Template {
    field: Option<String>,
}

impl Template {
    pub(crate) fn compile(name: &str, source: &str) -> Result<Self, String> {
        let inner = source.strip_prefix("{{").and_then(|rest| rest.strip_suffix("}}"));
        match inner.and_then(|inner| inner.trim().strip_prefix('.')) {
            Some(field) => Ok(Self { field: Some(field.to_owned()) }),
            None if inner.is_none() => Ok(Self { field: None }),
            None => Err(format!("template: {name}:1: not merged")),
        }
    }

    pub(crate) fn execute(&self, data: &dyn TemplateData, out: &mut String) -> Result<(), String> {
        if let Some(field) = &self.field {
            out.push_str(data.label(field).unwrap_or_default());
        }
        let _ = (data.labels(), data.line(), data.timestamp());
        Ok(())
    }

    pub(crate) fn field(&self) -> Option<&str> {
        self.field.as_deref()
    }

    pub(crate) fn labels(&self) -> Option<Vec<String>> {
        self.field.clone().map(|field| vec![field])
    }
}
