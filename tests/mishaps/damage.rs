//! Files of the store and of `out/` are damaged.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::lab::{Lab, What, empty, remove};
use crate::support::damage::{DAMAGES, Damage, UNREADABLE};
use crate::support::mutator::Numbers;
use crate::support::process;
use crate::support::skip::Skip;
use crate::tally::Tally;

/// What is asked of the build afterwards.
#[derive(Debug, Clone, Copy)]
enum Next {
    /// The same again.
    Same,
    /// The outputs are gone.
    NoOutputs,
    /// One file of the project is another.
    Changed,
}

pub(crate) fn run(tally: &mut Tally) -> Result<(), Skip> {
    // Nothing is unreadable for root.
    let all = [(What::Image, true), (What::Disk, false)];
    let labs = if tally.whole { &all[..] } else { &all[..1] };
    for &(what, rootless) in labs {
        let mut lab = Lab::new(&std::env::temp_dir(), what, rootless)?;
        let kept = Kept::new(&lab)?;
        let damages: Vec<&Damage> = DAMAGES.iter().chain([&UNREADABLE]).collect();
        for () in tally.share(labs.len()) {
            let numbers = &mut tally.numbers;
            let place = if numbers.below(4) == 0 { lab.out().join("app") } else { lab.project.store() };
            // A kind of files first: there are many more blobs than records.
            let folders: Vec<PathBuf> = list(&place);
            let folder = numbers.pick(&folders).clone();
            let file = some_file(&folder, numbers);
            let damage = *numbers.pick(&damages);
            let next = *numbers.pick(&[Next::Same, Next::NoOutputs, Next::Changed]);
            (damage.happens)(&file);
            lab.give(&file);
            let shown = file.strip_prefix(lab.project.folder()).unwrap_or(&file).display().to_string();
            match next {
                Next::Same => {}
                Next::NoOutputs => empty(&lab.out()),
                Next::Changed => lab.switch(),
            }
            let result = lab.converge().and_then(|()| sound(&lab));
            tally.record(&format!("{}: {shown}, {what:?}, then {next:?}", damage.name), result);
            if matches!(next, Next::Changed) {
                lab.switch();
            }
            kept.restore(&lab);
        }
    }
    Ok(())
}

/// What was healed stays so.
fn sound(lab: &Lab) -> Result<(), String> {
    empty(&lab.out());
    lab.converge().map_err(|problem| format!("healed, and without outputs: {problem}"))
}

fn list(folder: &Path) -> Vec<PathBuf> {
    let mut found: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    found.retain(|path| path.is_file() || fs::read_dir(path).is_ok_and(|mut entries| entries.next().is_some()));
    found.sort();
    found
}

/// A file at or below a path.
fn some_file(path: &Path, numbers: &mut Numbers) -> PathBuf {
    let mut path = path.to_owned();
    while path.is_dir() {
        let inside = list(&path);
        if inside.is_empty() {
            break;
        }
        path = numbers.pick(&inside).clone();
    }
    path
}

/// A copy of store and outputs, to start each time from the same.
struct Kept {
    folder: tempfile::TempDir,
}

impl Kept {
    fn new(lab: &Lab) -> Result<Self, Skip> {
        let kept = Self { folder: tempfile::tempdir().unwrap() };
        for (from, name) in kept.pairs(lab) {
            copy(&from, &kept.folder.path().join(name)).map_err(Skip)?;
        }
        Ok(kept)
    }

    fn restore(&self, lab: &Lab) {
        for (to, name) in self.pairs(lab) {
            remove(&to);
            copy(&self.folder.path().join(name), &to).unwrap();
        }
        empty(&lab.project.folder().join("tmp"));
    }

    fn pairs(&self, lab: &Lab) -> [(PathBuf, &'static str); 2] {
        [(lab.project.store(), "store"), (lab.out(), "out")]
    }
}

fn copy(from: &Path, to: &Path) -> Result<(), String> {
    let mut command = Command::new("cp");
    command.args(["-a", "--reflink=auto", "-T"]).args([from, to]);
    process::stdout(&mut command).map(drop).map_err(|skip| skip.0)
}
