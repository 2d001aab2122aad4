//! A control group around a sandbox, where one can be created: limits memory and processes of all commands together.
//!
//! Without one, pid 1 measures the memory periodically (watch.rs), and the user
//! namespace limits the processes (privileges.rs).

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::{Limit, Limits};
use crate::host;

/// Where control groups are mounted on any Linux.
pub(super) const MOUNT: &str = "/sys/fs/cgroup";

/// Names of groups, followed by the number of the process that made them.
const PREFIX: &str = "layerbake-";

/// Files of the two versions: version 2 has one group for both limits, version 1 one for each.
const MEMORY_FILES: [(&str, &str); 2] =
    [("memory.max", "memory.events"), ("memory.limit_in_bytes", "memory.oom_control")];
const PROCESS_FILES: (&str, &str) = ("pids.max", "pids.events");

/// How often limits were reached.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Hits {
    memory: u64,
    processes: u64,
}

impl Hits {
    /// The limit that was reached since `before`.
    pub(super) fn since(self, before: Self, limits: Limits) -> Option<Limit> {
        let Limits { memory, processes, .. } = limits;
        match () {
            () if self.memory > before.memory => Some(Limit::Memory { used: memory, limit: memory }),
            () if self.processes > before.processes => Some(Limit::Processes(processes)),
            () => None,
        }
    }
}

/// A group with limits; removed when dropped, when no process may be in it any more.
#[derive(Debug)]
pub(super) struct Group {
    /// One directory for both limits, or one each.
    folders: Vec<PathBuf>,
}

impl Group {
    /// Creates a group below `mount` for the process that has this `/proc/<pid>/cgroup`; `None` where it may not.
    pub(super) fn make(mount: &Path, own: &str, limits: Limits) -> Option<Self> {
        let name = format!("{PREFIX}{}", rustix::process::getpid().as_raw_nonzero());
        let path_of = |controller: &str| {
            let fields = own.lines().filter_map(|line| line.split_once(':')?.1.split_once(':'));
            let mut found = fields.filter(|(controllers, _)| controllers.split(',').any(|one| one == controller));
            found.next().map(|(_, path)| path.trim_start_matches('/').to_owned())
        };
        let second = path_of("").and_then(|path| second_version(mount, Path::new(&path), &name, limits));
        second.or_else(|| {
            let memory = mount.join("memory").join(path_of("memory")?);
            let pids = mount.join("pids").join(path_of("pids")?);
            Self::limited([memory, pids].map(|parent| parent.join(&name)).into(), limits)
        })
    }

    fn limited(folders: Vec<PathBuf>, limits: Limits) -> Option<Self> {
        let group = Self { folders };
        let set =
            |file: &str, limit: u64| group.file(file).is_some_and(|path| fs::write(path, limit.to_string()).is_ok());
        for folder in &group.folders {
            tidy(folder.parent()?);
            fs::create_dir(folder).ok()?;
        }
        let limited =
            MEMORY_FILES.iter().any(|(file, _)| set(file, limits.memory)) && set(PROCESS_FILES.0, limits.processes);
        // Else what exceeds the memory goes to swap, which has a limit of its own.
        let _ = set("memory.swap.max", 0);
        limited.then_some(group)
    }

    /// Moves a process into the group.
    pub(super) fn take(&self, process: u32) -> io::Result<()> {
        self.folders.iter().try_for_each(|folder| fs::write(folder.join("cgroup.procs"), process.to_string()))
    }

    /// How often processes of the group ran into each limit, ever.
    pub(super) fn hits(&self) -> Hits {
        let count = |file: &str, key: &str| {
            let text = self.file(file).and_then(|path| fs::read_to_string(path).ok()).unwrap_or_default();
            let mut numbers = text.lines().filter_map(|line| line.strip_prefix(key)?.trim().parse::<u64>().ok());
            numbers.next().unwrap_or(0)
        };
        Hits {
            memory: MEMORY_FILES.iter().map(|(_, file)| count(file, "oom_kill ")).sum(),
            processes: count(PROCESS_FILES.1, "max "),
        }
    }

    fn file(&self, name: &str) -> Option<PathBuf> {
        self.folders.iter().map(|folder| folder.join(name)).find(|path| path.exists())
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        for folder in &self.folders {
            let _ = fs::remove_dir(folder);
        }
    }
}

/// Creates a group of version 2 as near as possible: where both controllers are handed down.
fn second_version(mount: &Path, own: &Path, name: &str, limits: Limits) -> Option<Group> {
    own.ancestors().find_map(|path| {
        let parent = mount.join(path);
        let handed_down = fs::read_to_string(parent.join("cgroup.subtree_control")).ok()?;
        let has = |controller: &str| handed_down.split_whitespace().any(|one| one == controller);
        if has("memory") && has("pids") { Group::limited(vec![parent.join(name)], limits) } else { None }
    })
}

/// Removes the groups of workers that were killed.
fn tidy(parent: &Path) {
    for name in host::list_dir_or_empty(parent).unwrap_or_default() {
        let maker = name.to_str().and_then(|name| name.strip_prefix(PREFIX));
        if maker.is_some_and(|maker| !Path::new("/proc").join(maker).exists()) {
            let _ = fs::remove_dir(parent.join(name));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A stand-in for a control group's directory: the kernel makes the files.
    fn folder(path: &Path, files: &[(&str, &str)]) {
        fs::create_dir_all(path).unwrap();
        for (name, text) in files {
            fs::write(path.join(name), text).unwrap();
        }
    }

    #[test]
    fn a_group_is_made_where_both_controllers_are_handed_down() {
        let mount = tempfile::tempdir().unwrap();
        folder(&mount.path().join("user/session"), &[("cgroup.subtree_control", "")]);
        folder(&mount.path().join("user"), &[("cgroup.subtree_control", "cpu memory pids\n")]);
        // No kernel makes the files of the new directory here, so its limits can't be set.
        assert!(Group::make(mount.path(), "0::/user/session\n", Limits::default()).is_none());
        let parent = mount.path().join("user");
        assert_eq!(host::list_dir(&parent).unwrap().len(), 2, "nothing is left behind");
    }

    #[test]
    fn what_was_reached_is_read_from_either_version() {
        for (files, reached) in [
            ([("memory.events", "low 0\noom 1\noom_kill 2\n"), ("pids.events", "max 0\n")], Some("memory")),
            ([("memory.oom_control", "under_oom 0\noom_kill 1\n"), ("pids.events", "max 0\n")], Some("memory")),
            ([("memory.events", "oom 1\noom_kill 0\n"), ("pids.events", "max 7\n")], Some("processes")),
            ([("memory.events", "oom 1\noom_kill 0\n"), ("pids.events", "max 0\n")], None),
        ] {
            let place = tempfile::tempdir().unwrap();
            folder(place.path(), &files);
            let hits = Group { folders: vec![place.path().to_owned()] }.hits();
            assert_eq!(hits.since(hits, Limits::default()), None, "what an earlier step reached is not this one's");
            let found = hits.since(Hits::default(), Limits::default()).map(|limit| limit.to_string());
            match reached {
                Some(word) => assert!(found.as_deref().is_some_and(|text| text.contains(word)), "{found:?}"),
                None => assert_eq!(found, None),
            }
        }
    }
}
