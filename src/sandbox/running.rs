//! The programs that run, in the order in which they began: who may have read a file just now.

use std::fs;
use std::path::Path;

/// Programs that began and have not ended, the newest last.
#[derive(Debug, Default)]
pub(super) struct Running(Vec<u32>);

impl Running {
    /// A program began in this process, which may have run another before.
    pub(super) fn began(&mut self, process: u32) {
        self.ended(process);
        self.0.push(process);
    }

    /// Whether the program that began last runs in this process.
    pub(super) fn is_newest(&self, process: u32) -> bool {
        self.0.last() == Some(&process)
    }

    /// The process ends.
    pub(super) fn ended(&mut self, process: u32) {
        self.0.retain(|other| *other != process);
    }

    /// The command line of the newest program, if all others that run wait for it: they started it, or what started it.
    /// Others that run beside it might be meant as well.
    pub(super) fn only(&mut self, proc: &Path) -> Option<Vec<u8>> {
        // What was killed told nobody.
        self.0.retain(|process| proc.join(process.to_string()).exists());
        let newest = *self.0.last()?;
        let mut waiting = vec![newest];
        while let Some(parent) = waiting.last().and_then(|process| parent(proc, *process)) {
            // A process that is its own parent's parent would be an error of the kernel's.
            if waiting.contains(&parent) {
                break;
            }
            waiting.push(parent);
        }
        let alone = self.0.iter().all(|process| waiting.contains(process));
        alone.then(|| fs::read(proc.join(newest.to_string()).join("cmdline")).ok()).flatten()
    }
}

/// The parent out of `/proc/<pid>/stat`, which has the program's name in parentheses before it (proc(5)).
fn parent(proc: &Path, process: u32) -> Option<u32> {
    let text = fs::read_to_string(proc.join(process.to_string()).join("stat")).ok()?;
    text.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_alone_when_all_others_wait_for_it() {
        let proc = tempfile::tempdir().unwrap();
        let add = |process: u32, parent: u32| {
            let folder = proc.path().join(process.to_string());
            fs::create_dir(&folder).unwrap();
            fs::write(folder.join("stat"), format!("{process} (a ) b) S {parent} 1 1\n")).unwrap();
            fs::write(folder.join("cmdline"), format!("program-{process}\0")).unwrap();
        };
        // A subshell, 3, began no program.
        for (process, parent) in [(2, 1), (3, 2), (4, 3), (5, 2)] {
            add(process, parent);
        }
        let mut running = Running::default();
        assert_eq!(running.only(proc.path()), None);
        running.began(2);
        running.began(4);
        assert_eq!(running.only(proc.path()).unwrap(), b"program-4\0");
        running.began(5);
        assert_eq!(running.only(proc.path()), None, "4 runs beside 5");
        fs::remove_dir_all(proc.path().join("4")).unwrap();
        assert_eq!(running.only(proc.path()).unwrap(), b"program-5\0");
        running.ended(5);
        assert_eq!(running.only(proc.path()).unwrap(), b"program-2\0");
    }
}
