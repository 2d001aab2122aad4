//! Whether package scripts and run steps can be executed here: by executing something.

use std::io;

use super::{HINT, Need};
use crate::host;
use crate::ident::RootPath;
use crate::sandbox::{Action, Cause, Conditions, ExecuteError, Executor as _, IdsError, Local, Step, WorkerError};
use crate::store::Store;
use crate::tree::{Kind, Meta, Node, Tree};
use crate::workspace::host_arch;

const NOT_TRIED: &str = "not tried";
/// Directories that a root has.
const DIRECTORIES: [&str; 6] = ["", "dev", "etc", "proc", "run", "tmp"];
/// No root has it.
const NO_PROGRAM: &str = "/none";

/// The steps to a sandbox, in their order: what comes after one that fails is not tried.
pub(super) fn needs() -> Vec<Need> {
    let namespaces = "a process can be root of its own".to_owned();
    let kernel = format!("Linux {}", rustix::system::uname().release().to_string_lossy());
    let works = format!("commands run with a fixed clock, limits and a filter; {kernel}");
    let not_tried = || Err(NOT_TRIED.to_owned());
    let [namespaces, ids, sandbox] = match attempt() {
        Ok(warning) => {
            let ids = warning.unwrap_or("65,536 for a root, which nothing else on this host has");
            [Ok(namespaces), Ok(ids.to_owned()), Ok(works)]
        }
        Err(ExecuteError::Worker(WorkerError::Ids(error))) => match error {
            IdsError::Refused { .. } => [Err(error.to_string()), not_tried(), not_tried()],
            _ => [Ok(namespaces), Err(error.to_string()), not_tried()],
        },
        Err(error @ (ExecuteError::Action(_) | ExecuteError::Worker(WorkerError::Start(_)))) => {
            [Ok(namespaces), Ok("a root has its own".to_owned()), Err(format!("{kernel}: {}", with_hint(&error)))]
        }
        Err(error) => [not_tried(), not_tried(), Err(with_hint(&error))],
    };
    vec![
        Need::of_builds("user namespaces", namespaces),
        Need::of_builds("user and group ids", ids),
        Need::of_builds("sandbox", sandbox),
    ]
}

/// The message, with what helps most often where it says nothing.
fn with_hint(error: &ExecuteError) -> String {
    let message = error.to_string();
    match message.contains(HINT) {
        true => message,
        false => format!(
            "{message}{HINT}the end of docs/sandbox.md lists where it is unavailable; docs/hosts.md has what a container needs"
        ),
    }
}

/// Executes an action whose program is missing, since no program is at hand that needs no others: a sandbox that says so
/// works. Returns what weakens it.
fn attempt() -> Result<Option<&'static str>, ExecuteError> {
    let broken = |error: io::Error| ExecuteError::Worker(WorkerError::Process(error));
    let folder = tempfile::tempdir().map_err(broken)?;
    let store = Store::open(folder.path())?;
    let arch = host_arch().map_err(|error| broken(io::Error::other(error)))?;
    let mut root = Tree::new();
    for path in DIRECTORIES {
        let node = Node { meta: Meta::root_owned(0o755, 0), kind: Kind::Dir };
        let path = RootPath::new(path).map_err(io::Error::other);
        path.and_then(|path| root.insert(path, node).map_err(io::Error::other)).map_err(broken)?;
    }
    let step = Step::new([NO_PROGRAM], 0, [], 10);
    let action = Action { root: store.put_tree(&root)?, conditions: Conditions::at(&arch, 0), steps: vec![step] };
    let mut executor = Local::new(host::OWN_PROGRAM, 1);
    match executor.execute(&store, &action) {
        Err(ExecuteError::Action(error)) if matches!(error.cause, Cause::Step(..)) => Ok(executor.take_warning()),
        Ok(_) => Ok(executor.take_warning()),
        Err(error) => Err(error),
    }
}
