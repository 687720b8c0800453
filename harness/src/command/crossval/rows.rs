//! What is printed while cases run: which one is asked, and lines as they are complete.

use indicatif::ProgressBar;

use crate::case::Case;
use crate::io::{look, output, progress};
use crate::oracle::crossval::campaign::{Campaign, Step};
use crate::receipt::Receipt;
use crate::receipt::table::pairs::Stream;

/// Lines on standard output, where text has a place there. Below them on standard error, if that
/// is a terminal, the lines that are not complete yet, and a bar.
pub struct Rows {
    bar: ProgressBar,
    stream: Option<Stream>,
}

impl Rows {
    /// Before the first case; `text` tells whether standard output is for text.
    pub fn new(cases: &[&Case], campaign: &Campaign, text: bool) -> Self {
        let (brought, with) = (campaign.brought(), campaign.computing());
        let stream = || Stream::new(cases, &brought, &with, output::width());
        let bar = progress::bar(cases.len() as u64, "cases");
        Rows {
            bar,
            stream: (text && !look::is_quiet()).then(stream),
        }
    }

    /// The run goes on.
    pub fn step(&mut self, step: Step<'_>) {
        match step {
            Step::Begins(case) => self.bar.set_message(case.name.clone()),
            Step::Ended(case, receipt) => {
                self.bar.inc(1);
                let lines = self.stream.as_mut().map(|s| s.ended(&case.name, receipt));
                let running = self.stream.as_ref().map(|s| s.running(receipt));
                self.bar.set_prefix(running.unwrap_or_default());
                self.print(&lines.unwrap_or_default());
            }
        }
    }

    /// The run is over: the remaining lines. Whether all of them are there now; if not, they
    /// belong to the text at the end.
    pub fn end(mut self, receipt: &Receipt) -> bool {
        self.bar.finish_and_clear();
        let lines = self.stream.as_mut().map(|s| s.rest(receipt));
        self.print(&lines.unwrap_or_default());
        self.stream.is_some()
    }

    /// What cannot be printed now is printed at the end, where a failure is told.
    fn print(&mut self, lines: &str) {
        if lines.is_empty() {
            return;
        }
        let put = || output::print(lines);
        if self.bar.suspend(put).is_err() {
            self.stream = None;
        }
    }
}
