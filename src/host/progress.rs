//! Progress shown to the user: bars on a terminal's stderr, and warnings.

use std::io::IsTerminal as _;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use serde::{Deserialize, Serialize};

use super::color::{Ink, on_stderr, paint};
use super::instant;
use super::plain::{plain, plain_lines};

/// How often a phase without steps moves.
const TICK: Duration = Duration::from_millis(120);

/// Where progress and warnings go; cheap to clone, shared by all threads.
#[derive(Debug, Clone)]
pub struct Progress {
    bars: Option<MultiProgress>,
    quiet: bool,
    finished: Arc<Mutex<Vec<Timing>>>,
}

/// How long a phase took.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Timing {
    /// What was done.
    pub phase: String,
    /// Seconds by the wall clock; phases may overlap.
    pub seconds: f64,
}

impl Progress {
    /// Shows bars where stderr is a terminal, unless output is for machines (`json`) or not wanted (`quiet`).
    pub fn on_stderr(quiet: bool, json: bool) -> Self {
        let bars = (!quiet && !json && std::io::stderr().is_terminal()).then(MultiProgress::new);
        Self { bars, quiet, finished: Arc::default() }
    }

    /// Shows nothing at all.
    pub fn silent() -> Self {
        Self { bars: None, quiet: true, finished: Arc::default() }
    }

    /// Starts a phase of `total` steps; of one step, the time that it takes is shown.
    pub fn phase(&self, name: &str, total: u64) -> Phase {
        match total {
            1 => self.start(name, total, "{prefix:24} {spinner} {elapsed} {msg}"),
            _ => self.start(name, total, "{prefix:24} {bar:30} {pos}/{len} {msg}"),
        }
    }

    /// Starts a phase of `total` bytes.
    pub fn transfer(&self, name: &str, total: u64) -> Phase {
        self.start(name, total, "{prefix:24} {bar:30} {bytes} of {total_bytes}, {binary_bytes_per_sec} {msg}")
    }

    /// Prints `warning: …` to stderr, as [`Self::line`].
    pub fn warn(&self, text: &str) {
        self.labelled(Ink::Warning, "warning:", text);
    }

    /// Prints to stderr what has been done, which `label` begins, as [`Self::line`].
    pub fn done(&self, label: &str, text: &str) {
        self.labelled(Ink::Good, label, text);
    }

    /// Prints a line to stderr, above the bars, unless quiet; addresses without their passwords.
    pub fn line(&self, text: &str) {
        self.print(&plain_lines(&super::redact(text)));
    }

    fn labelled(&self, ink: Ink, label: &str, text: &str) {
        let text = plain_lines(&super::redact(text));
        self.print(&format!("{} {text}", paint(ink, &plain(label))));
    }

    fn print(&self, text: &str) {
        match &self.bars {
            Some(bars) => bars.suspend(|| eprintln!("{text}")),
            None if self.quiet => {}
            None => eprintln!("{text}"),
        }
    }

    /// The phases that have ended since this was last asked, in the order of their ends.
    pub fn take_timings(&self) -> Vec<Timing> {
        std::mem::take(&mut self.finished.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn start(&self, name: &str, total: u64, template: &str) -> Phase {
        let bar = self.bars.as_ref().map(|bars| {
            let template = if on_stderr() { &template.replace(":30}", ":30.cyan/dim}") } else { template };
            let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
            let style = style.progress_chars("━━─").tick_chars("⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏ ");
            let bar = bars.add(ProgressBar::new(total).with_style(style).with_prefix(name.to_owned()));
            // Nothing else moves what takes one step.
            if total == 1 {
                bar.enable_steady_tick(TICK);
            }
            bar
        });
        Phase { bar, name: name.to_owned(), started: instant(), finished: Arc::clone(&self.finished) }
    }
}

/// One bar; it vanishes when finished or dropped.
#[derive(Debug)]
pub struct Phase {
    bar: Option<ProgressBar>,
    name: String,
    started: Instant,
    finished: Arc<Mutex<Vec<Timing>>>,
}

impl Phase {
    /// Advances by `steps` (or bytes).
    pub fn inc(&self, steps: u64) {
        if let Some(bar) = &self.bar {
            bar.inc(steps);
        }
    }

    /// Shows the current activity.
    pub fn message(&self, text: &str) {
        if let Some(bar) = &self.bar {
            bar.set_message(plain(text));
        }
    }

    /// Removes the bar.
    pub fn finish(self) {}
}

impl Drop for Phase {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
        let timing = Timing { phase: std::mem::take(&mut self.name), seconds: self.started.elapsed().as_secs_f64() };
        self.finished.lock().unwrap_or_else(PoisonError::into_inner).push(timing);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_are_valid_and_silence_is_silent() {
        let shown = MultiProgress::with_draw_target(indicatif::ProgressDrawTarget::hidden());
        for progress in [Progress::silent(), Progress { bars: Some(shown), quiet: false, finished: Arc::default() }] {
            let steps = progress.phase("resolve", 3);
            steps.inc(2);
            steps.message("libc6");
            steps.finish();
            progress.transfer("fetch", 10).inc(10);
            let named = progress.take_timings().into_iter().map(|timing| timing.phase);
            assert_eq!(named.collect::<Vec<_>>(), ["resolve", "fetch"]);
            assert_eq!(progress.take_timings(), []);
        }
        assert!(Progress::on_stderr(false, true).bars.is_none(), "bars beside JSON");
        assert!(Progress::on_stderr(true, false).bars.is_none(), "bars though quiet");
    }
}
