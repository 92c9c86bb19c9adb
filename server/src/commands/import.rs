//! `import`: entries from files that `export` wrote, or from a running Loki or Timberline.

use std::path::{Path, PathBuf};

use clap::Args;

use super::answer::label_text;
use super::client::{Client, Intent};
use super::export::{What, whole};
use super::out::note;
use super::record::{Record, read};
use super::sending::{Batch, Sender, Sending};
use super::{Failure, Target};

/// `timberline import`
#[derive(Args, Debug)]
pub(crate) struct Import {
    /// Files that export wrote; `-` is standard input. `.zst` is unpacked
    #[arg(value_name = "FILE", required_unless_present = "from_addr")]
    files: Vec<PathBuf>,
    /// Unpacks zstd whatever the files are called
    #[arg(long)]
    zstd: bool,
    /// Takes entries from this Loki or Timberline instead of from files
    #[arg(long, value_name = "URL", conflicts_with = "files")]
    from_addr: Option<String>,
    /// Whose entries are taken from there
    #[arg(long, visible_alias = "from-org-id", value_name = "ID", requires = "from_addr")]
    from_tenant: Option<String>,
    /// For basic authentication there, if not as here
    #[arg(long, value_name = "NAME", requires = "from_addr")]
    from_username: Option<String>,
    /// For basic authentication there, if not as here
    #[arg(
        long,
        value_name = "SECRET",
        requires = "from_addr",
        env = "FROM_LOKI_PASSWORD",
        hide_env_values = true
    )]
    from_password: Option<String>,
    /// A bearer token for there, if not as here
    #[arg(
        long,
        value_name = "TOKEN",
        requires = "from_addr",
        env = "FROM_LOKI_BEARER_TOKEN",
        hide_env_values = true
    )]
    from_bearer_token: Option<String>,
    #[command(flatten)]
    sending: Sending,
    #[command(flatten)]
    what: What,
    #[command(flatten)]
    target: Target,
}

impl Import {
    pub(super) fn run(&self) -> Result<(), Failure> {
        if self.from_addr.is_none() && self.what.is_said() {
            return Err(Failure::usage(
                "files are imported whole: --query and times choose among entries of --from-addr",
            ));
        }
        let mut client = Client::open(&self.target, Intent::Write)?;
        let mut sender = Sender::new(&mut client, &self.sending, "imported");
        let imported = match &self.from_addr {
            Some(addr) => self.take_over(addr, &mut sender),
            None => self.take_files(&mut sender).map(|()| Vec::new()),
        };
        sender.progress.clear();
        let (summary, is_begun) = (sender.progress.summary(), sender.progress.is_begun());
        let outcome = imported.and_then(|warnings| sender.finish().and_then(|_| whole(&warnings)));
        client.close()?;
        match outcome {
            Ok(()) => {
                if !self.sending.quiet {
                    note(&format!("imported {summary}"));
                }
                Ok(())
            }
            // Importing the same once more does no harm, and goes on where this ended.
            Err(Failure::Failed(text)) if is_begun => Err(Failure::Failed(format!(
                "{text}; {summary} were imported before, and are kept once when they are imported again"
            ))),
            Err(failure) => Err(failure),
        }
    }

    fn take_files(&self, sender: &mut Sender<'_>) -> Result<(), Failure> {
        let mut batch = Batch::default();
        for file in &self.files {
            let outcome = add_file(file, self.zstd, &mut batch, sender);
            // What is before a line that is no entry is imported all the same.
            sender.send(&mut batch)?;
            outcome?;
        }
        Ok(())
    }

    fn take_over(&self, addr: &str, sender: &mut Sender<'_>) -> Result<Vec<String>, Failure> {
        let mut source = Client::open(&self.source(addr), Intent::Read)?;
        let mut batch = Batch::default();
        let warnings = self.what.each_page(&mut source, |page| {
            for entry in page.entries {
                batch.add(&label_text(&entry.labels), entry.timestamp, entry.line, &entry.metadata);
                if batch.is_full() {
                    sender.send(&mut batch)?;
                }
            }
            Ok(())
        })?;
        sender.send(&mut batch)?;
        Ok(warnings)
    }

    fn source(&self, addr: &str) -> Target {
        let mut source = self.target.with_addr(addr.to_owned(), self.from_tenant.clone());
        if self.from_username.is_some() {
            (source.username, source.password) =
                (self.from_username.clone(), self.from_password.clone());
            (source.bearer_token, source.bearer_token_file) = (None, None);
        }
        if self.from_bearer_token.is_some() {
            (source.bearer_token, source.bearer_token_file) =
                (self.from_bearer_token.clone(), None);
        }
        source
    }
}

fn add_file(
    path: &Path,
    is_zstd: bool,
    batch: &mut Batch,
    sender: &mut Sender<'_>,
) -> Result<(), Failure> {
    for record in read(path, is_zstd)? {
        let Record { timestamp, labels, line, metadata } = record?;
        batch.add(&label_text(&labels), timestamp, line, &metadata);
        if batch.is_full() {
            sender.send(batch)?;
        }
    }
    Ok(())
}
