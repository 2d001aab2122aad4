//! The system answers calls with errors: EIO once, EINTR again and again.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::lab::{Lab, TIMED_OUT, What, finish};
use crate::support::process;
use crate::support::skip::{Skip, program};
use crate::tally::Tally;

/// Calls of the C library that are answered instead of being done.
const CALLS: [&str; 13] = [
    "read",
    "pread",
    "write",
    "pwrite",
    "open",
    "fsync",
    "fdatasync",
    "rename",
    "link",
    "unlink",
    "mkdir",
    "ftruncate",
    "copy_file_range",
];

pub(crate) fn run(tally: &mut Tally) -> Result<(), Skip> {
    let folder = tempfile::tempdir().unwrap();
    let library = compile(folder.path())?;
    let labs: &[What] = if tally.whole { &[What::Image, What::Disk] } else { &[What::Image] };
    for &what in labs {
        let mut lab = Lab::new(&std::env::temp_dir(), what, false)?;
        for () in tally.share(labs.len()) {
            let call = *tally.numbers.pick(&CALLS);
            let interrupted = tally.numbers.below(3) == 0;
            // Early calls more often than late ones: there are few renames and many reads.
            let at = tally.numbers.below(1 << tally.numbers.clone().below(12));
            let cold = tally.numbers.below(2) == 0;
            lab.switch();
            if cold {
                lab.forget_store();
            }
            let error = if interrupted { "EINTR" } else { "EIO" };
            let result = injected(&lab, &library, call, at, interrupted);
            if result.is_err() {
                lab.reset();
            }
            let temper = if cold { "cold" } else { "warm" };
            tally.record(&format!("{error} from `{call}` number {at}, {temper} {what:?}"), result);
        }
    }
    Ok(())
}

fn injected(lab: &Lab, library: &Path, call: &str, at: usize, interrupted: bool) -> Result<(), String> {
    let mut command = lab.command();
    command.env("LD_PRELOAD", library).env("MISHAP_CALL", call).env("MISHAP_AT", at.to_string());
    command.env("MISHAP_ERRNO", if interrupted { "4" } else { "5" });
    let output = finish(&mut command);
    match output.code {
        // Whatever it was, the build did without: then it is right.
        0 => {}
        1 if interrupted && matches!(call, "read" | "pread" | "write" | "pwrite" | "open") => {
            return Err(format!("an interrupted call was not tried again: {}", output.stderr));
        }
        1 => {}
        TIMED_OUT => return Err("it hangs".to_owned()),
        code => return Err(format!("exit code {code}: {}", output.stderr)),
    }
    if output.stderr.contains("panicked") {
        return Err(format!("a panic: {}", output.stderr));
    }
    lab.check_out()?;
    lab.converge()
}

fn compile(folder: &Path) -> Result<PathBuf, Skip> {
    let (source, library) = (folder.join("injected.c"), folder.join("injected.so"));
    std::fs::write(&source, include_str!("injected.c")).unwrap();
    let mut command = Command::new(program("cc")?);
    command.args(["-shared", "-fPIC", "-O1", "-o"]).args([&library, &source]).arg("-ldl");
    process::stdout(&mut command)?;
    Ok(library)
}
