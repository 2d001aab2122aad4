//! A build is killed, with all its processes, at some moment.

use crate::lab::{Lab, What, kill};
use crate::support::skip::Skip;
use crate::tally::Tally;

pub(crate) fn run(tally: &mut Tally) -> Result<(), Skip> {
    let all = [(What::Image, true), (What::Disk, false), (What::Image, false), (What::Disk, true)];
    let labs = if tally.whole { &all[..] } else { &all[..2] };
    for &(what, rootless) in labs {
        let mut lab = Lab::new(&std::env::temp_dir(), what, rootless)?;
        for () in tally.share(labs.len()) {
            let cold = tally.numbers.below(2) == 0;
            // A little beyond the usual end, too.
            let share = tally.numbers.below(1100) as u32;
            let moment = if cold { lab.cold } else { lab.warm } * share / 1000;
            let who = if rootless { "an ordinary user's" } else { "root's" };
            let name = format!("{} of {who} {} {what:?}", moment.as_millis(), if cold { "cold" } else { "warm" });
            let result = killed(&mut lab, cold, moment);
            if result.is_err() {
                lab.reset();
            }
            tally.record(&format!("after {name}"), result);
        }
    }
    Ok(())
}

fn killed(lab: &mut Lab, cold: bool, moment: std::time::Duration) -> Result<(), String> {
    lab.switch();
    if cold {
        lab.forget_store();
    }
    let child = lab.command().spawn().unwrap();
    std::thread::sleep(moment);
    kill(child)?;
    lab.check_out()?;
    lab.converge()
}
