//! `push`: files, line by line.

mod lines;
mod stamp;
mod state;
mod when;

use std::path::{Path, PathBuf};

use clap::Args;

use self::lines::{Lines, Next};
use self::stamp::Stamper;
use self::state::{FileState, State};
use self::when::Finder;
use super::answer::{LabelSet, label_text};
use super::client::{Client, Intent};
use super::out::note;
use super::sending::{Batch, Sender, Sending};
use super::times::Zone;
use super::{Failure, Target};
use crate::http::now;

/// `timberline push`
#[derive(Args, Debug)]
pub(crate) struct Push {
    /// What to push; `-` is standard input. `.gz` and `.zst` are unpacked
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    /// The labels of the stream; may be given several times, or with commas
    #[arg(short, long, value_name = "NAME=VALUE", value_delimiter = ',', value_parser = label)]
    labels: Vec<(String, String)>,
    /// Leaves out the label `filename`. Lines of several files that are alike then are one
    #[arg(long)]
    no_filename: bool,
    /// Takes the order of lines for their time, and does not look for times in them
    #[arg(long)]
    ignore_timestamps: bool,
    /// In which zone times are that name none: Local, UTC or a name such as Europe/Vienna
    #[arg(short = 'z', long, value_name = "ZONE", default_value = "Local")]
    timezone: Zone,
    /// Keeps in this file how far it has come, and goes on there
    #[arg(long, value_name = "FILE")]
    state: Option<PathBuf>,
    #[command(flatten)]
    sending: Sending,
    #[command(flatten)]
    target: Target,
}

/// Reads `NAME=VALUE`.
fn label(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("write NAME=VALUE")?;
    let is_name = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    if name.is_empty() || name.as_bytes()[0].is_ascii_digit() || !name.bytes().all(is_name) {
        return Err(format!("'{name}' is no label's name: letters, digits and underscores"));
    }
    let value = value.strip_prefix('"').and_then(|it| it.strip_suffix('"')).unwrap_or(value);
    Ok((name.to_owned(), value.to_owned()))
}

/// Whether a file is compressed, by its name.
fn is_packed(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "gz" || extension == "zst")
}

impl Push {
    pub(super) fn run(&self) -> Result<(), Failure> {
        if self.files.iter().any(|file| file.as_os_str() == "-") {
            let is_alone = self.files.len() == 1 && self.state.is_none();
            if !is_alone {
                return Err(Failure::usage(
                    "standard input is pushed by itself, and without --state",
                ));
            }
            if self.labels.is_empty() {
                return Err(Failure::usage("standard input needs --labels NAME=VALUE"));
            }
        }
        let mut state = State::open(self.state.as_deref())?;
        let mut client = Client::open(&self.target, Intent::Write)?;
        let mut sender = Sender::new(&mut client, &self.sending, "");
        let mut changed = 0;
        let pushed = self.files.iter().try_for_each(|file| {
            changed += self.push_file(file, &mut state, &mut sender)?;
            Ok(())
        });
        let finished = pushed.and_then(|()| sender.finish());
        // What was pushed into a data directory is flushed, whatever happened behind it.
        client.close()?;
        let progress = finished?;
        if changed > 0 {
            note(&format!(
                "warning: {changed} lines were no UTF-8; what was not has been replaced by U+FFFD"
            ));
        }
        if !self.sending.quiet {
            note(&format!("pushed {}", progress.summary()));
        }
        Ok(())
    }

    /// Pushes what is left of a file, and tells how many lines had to be changed.
    fn push_file(
        &self,
        path: &Path,
        state: &mut State,
        sender: &mut Sender<'_>,
    ) -> Result<u64, Failure> {
        if path.as_os_str() == "-" {
            sender.progress.begin("-", None, 0);
            let stamper = Stamper::new(now());
            return self.push_lines(
                Lines::of_input(),
                stamper,
                &self.label_text(None),
                sender,
                |_, _| Ok(()),
            );
        }
        let failed = |error| Failure::file("read", path, &error);
        let whole = path.canonicalize().map_err(failed)?;
        let labels = self.label_text(Some(&whole));
        let key = self.key(&whole, &labels);
        let mut known = match state.get(&key) {
            Some(known) if known.is_of(&whole)? => known.clone(),
            Some(_) => {
                note(&format!(
                    "{}: another file than before, pushed from its beginning",
                    path.display()
                ));
                FileState::new(&whole, Stamper::new(now()))?
            }
            None => FileState::new(&whole, Stamper::new(now()))?,
        };
        // Known before the first line goes: that gets the same timestamp then if it has to go again.
        state.put(&key, known.clone())?;
        let total = std::fs::metadata(&whole).map_err(failed)?.len();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        sender.progress.begin(&name, (!is_packed(path)).then_some(total), known.offset);
        let lines = Lines::of_file(&whole, known.offset).map_err(failed)?;
        self.push_lines(lines, known.stamper.clone(), &labels, sender, |offset, stamper| {
            (known.offset, known.stamper) = (offset, stamper.clone());
            state.put(&key, known.clone())
        })
    }

    /// Pushes lines to their end. `acknowledged` is told where the next line begins, whenever all before it
    /// are acknowledged.
    fn push_lines(
        &self,
        mut lines: Lines,
        mut stamper: Stamper,
        labels: &str,
        sender: &mut Sender<'_>,
        mut acknowledged: impl FnMut(u64, &Stamper) -> Result<(), Failure>,
    ) -> Result<u64, Failure> {
        let mut finder = Finder::new(self.timezone.clone(), now());
        let (mut batch, mut changed, mut position) = (Batch::default(), 0, 0);
        loop {
            let next = lines.next()?;
            let is_end = matches!(next, Next::End);
            if let Next::Line(line, offset) = next {
                let line = String::from_utf8(line).unwrap_or_else(|error| {
                    changed += 1;
                    String::from_utf8_lossy(error.as_bytes()).into_owned()
                });
                let told = if self.ignore_timestamps { None } else { finder.find(&line) };
                batch.add(labels, stamper.stamp(told), line, []);
                position = offset;
                if !batch.is_full() {
                    continue;
                }
            }
            if !batch.is_empty() {
                sender.progress.position = position;
                sender.send(&mut batch)?;
                acknowledged(position, &stamper)?;
            }
            if is_end {
                return Ok(changed);
            }
        }
    }

    fn label_text(&self, path: Option<&Path>) -> String {
        let mut labels: LabelSet = self.labels.iter().cloned().collect();
        if let Some(path) = path.filter(|_| !self.no_filename) {
            labels.entry("filename".to_owned()).or_insert_with(|| path.display().to_string());
        }
        label_text(&labels)
    }

    /// What was pushed elsewhere, or as another stream, says nothing about here.
    fn key(&self, path: &Path, labels: &str) -> String {
        let place = match &self.target.data {
            Some(directory) => directory.display().to_string(),
            None => self.target.addr().to_owned(),
        };
        format!("{} {labels} -> {place} {}", path.display(), self.target.tenant())
    }
}
