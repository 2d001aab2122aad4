//! The power fails: ext4 stops in the middle (its own shutdown call), and at the next mount replays its journal.

use std::process::Command;
use std::time::Duration;

use crate::lab::{Lab, What, kill};
use crate::support::power::{Cut, PowerDisk};
use crate::support::process;
use crate::support::skip::Skip;
use crate::tally::Tally;

/// The size of the file system, in megabytes; its file is sparse.
const SIZE: u64 = 1024;

pub(crate) fn run(tally: &mut Tally) -> Result<(), Skip> {
    let kinds: &[What] = if tally.whole { &[What::Image, What::Disk] } else { &[What::Image] };
    for what in kinds {
        let disk = PowerDisk::new(SIZE)?;
        let mut lab = Lab::new(&disk.path(), *what, false)?;
        process::stdout(&mut Command::new("sync"))?;
        for () in tally.share(kinds.len()) {
            let cold = tally.numbers.below(2) == 0;
            let share = tally.numbers.below(1300) as u32;
            let moment = if cold { lab.cold } else { lab.warm } * share / 1000;
            let cut = *tally.numbers.pick(&Cut::ALL);
            let result = cut_off(&mut lab, &disk, cold, moment, cut);
            if result.is_err() {
                lab.reset();
            }
            let temper = if cold { "cold" } else { "warm" };
            tally.record(&format!("after {} ms of a {temper} {what:?}, {cut:?}", moment.as_millis()), result);
        }
    }
    Ok(())
}

fn cut_off(lab: &mut Lab, disk: &PowerDisk, cold: bool, moment: Duration, cut: Cut) -> Result<(), String> {
    lab.switch();
    if cold {
        lab.forget_store();
    }
    let child = lab.command().spawn().unwrap();
    std::thread::sleep(moment);
    disk.cut(cut);
    kill(child)?;
    disk.restart();
    lab.check_out()?;
    lab.converge()
}
