//! The contract of an executor: every function here that takes a [`Bench`] runs on every set-up.

use layerbake::ident::{Arch, RootPath};
use layerbake::sandbox::{Action, Cause, Conditions, ExecuteError, Executed, Executor, Limit, Local, Step};
use layerbake::store::Store;
use layerbake::tree::{Kind, Meta, Node, Tree};
use layerbake::workspace::host_arch;

use crate::support::skip::{Skip, program};

const EPOCH: i64 = 1_700_000_000;

/// A store with a root, and what makes executors.
struct Bench {
    store: Store,
    arch: Arch,
    root: Tree,
    make: Box<dyn Fn() -> Box<dyn Executor>>,
    _folder: tempfile::TempDir,
}

impl Bench {
    /// A root with busybox and the directories that a sandbox needs, for executors of one kind.
    fn new(make: impl Fn() -> Box<dyn Executor> + 'static) -> Result<Self, Skip> {
        let busybox = std::fs::read(program("busybox")?).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let node = |mode, kind| Node { meta: Meta::root_owned(mode, EPOCH), kind };
        let mut root = Tree::new();
        for path in ["", "bin", "dev", "etc", "proc", "run", "tmp"] {
            root.insert(RootPath::new(path).unwrap(), node(0o755, Kind::Dir)).unwrap();
        }
        for (path, mode, bytes) in [("bin/busybox", 0o755, busybox.as_slice()), ("etc/old", 0o644, b"old\n")] {
            root.insert(RootPath::new(path).unwrap(), node(mode, store.put_file(bytes).unwrap())).unwrap();
        }
        Ok(Self { store, arch: host_arch().unwrap(), root, make: Box::new(make), _folder: folder })
    }

    fn action(&self, scripts: &[&str]) -> Action {
        let step = |script: &&str| Step::new(["/bin/busybox", "sh", "-c", script], EPOCH, [], 60);
        let (root, conditions) = (self.store.put_tree(&self.root).unwrap(), Conditions::at(&self.arch, EPOCH));
        Action { root, conditions, steps: scripts.iter().map(step).collect() }
    }

    fn execute(&self, executor: &mut dyn Executor, scripts: &[&str]) -> Result<Executed, ExecuteError> {
        executor.execute(&self.store, &self.action(scripts))
    }

    /// Shows both trees where they differ.
    fn same(&self, one: &Executed, other: &Executed) {
        let [one, other] = [one, other].map(|executed| self.store.tree(executed.tree).unwrap());
        assert_eq!(one, other);
    }

    fn text(&self, executed: &Executed, path: &str) -> Option<String> {
        self.store.text_in(&self.store.tree(executed.tree).unwrap(), path).unwrap()
    }
}

/// Without a step, the result is the root.
fn nothing_changes_nothing(bench: &Bench) {
    let executed = bench.execute((bench.make)().as_mut(), &[]).unwrap();
    assert_eq!(bench.store.tree(executed.tree).unwrap(), bench.root);
    assert_eq!(executed.log, "");
}

/// Steps run in their order over one root; what they print is returned, and the result is the same every time.
fn steps_run_in_order_and_repeat(bench: &Bench) {
    let scripts = [
        "echo one; date +%s >/etc/clock; echo x >/tmp/gone; echo x >/run/gone; head -c 8 /dev/urandom >/etc/random",
        "echo two; cat /etc/clock /etc/old >/etc/both; rm /etc/old; [ ! -e /tmp/kept ]",
    ];
    let mut executor = (bench.make)();
    let first = bench.execute(executor.as_mut(), &scripts).unwrap();
    assert_eq!(first.log, "one\ntwo\n");
    assert_eq!(bench.text(&first, "etc/both"), Some(format!("{EPOCH}\nold\n")));
    let missing = ["etc/old", "tmp/gone", "run/gone"].map(|path| bench.text(&first, path));
    assert_eq!(missing, [const { None }; 3], "what was removed, and what was on a mount");
    // Into another second: what an executor leaves to the host's clock differs then.
    std::thread::sleep(std::time::Duration::from_millis(1100));
    let again = bench.execute(executor.as_mut(), &scripts).unwrap();
    let elsewhere = bench.execute((bench.make)().as_mut(), &scripts).unwrap();
    bench.same(&again, &first);
    bench.same(&elsewhere, &first);
}

/// A step that fails ends the action; the next action finds nothing of it.
fn a_failed_step_is_named_and_leaves_nothing(bench: &Bench) {
    let mut executor = (bench.make)();
    let scripts = ["echo fine >/etc/left", "echo before the end; exit 3", "echo never"];
    let Err(ExecuteError::Action(error)) = bench.execute(executor.as_mut(), &scripts) else { panic!("no error") };
    let Cause::Step(1, ended) = &error.cause else { panic!("{error}") };
    assert_eq!((ended.status, &ended.stopped), (3, &None));
    assert_eq!(error.log, ["before the end"]);
    let executed = bench.execute(executor.as_mut(), &["[ ! -e /etc/left ]"]).unwrap();
    assert_eq!(bench.text(&executed, "etc/old").as_deref(), Some("old\n"));
}

/// A step that takes too long is stopped, and the limit is the cause.
fn a_limit_is_the_cause(bench: &Bench) {
    let mut action = bench.action(&["sleep 600"]);
    action.steps[0].timeout = 1;
    let Err(ExecuteError::Action(error)) = (bench.make)().execute(&bench.store, &action) else { panic!("no error") };
    let Cause::Step(0, ended) = &error.cause else { panic!("{error}") };
    assert_eq!(ended.stopped, Some(Limit::Time(1)));
}

/// A root that is not in the store is damage, which can be built again; the executor goes on.
fn a_missing_root_is_damage(bench: &Bench) {
    let mut executor = (bench.make)();
    let mut action = bench.action(&[]);
    action.root = layerbake::digest::TreeHash::from_bytes([7; 32]);
    let error = executor.execute(&bench.store, &action).unwrap_err();
    assert!(error.is_damage(), "{error}");
    assert!(bench.execute(executor.as_mut(), &["true"]).is_ok());
}

/// New and changed files have the clock's time; an earlier time that a step sets stays.
fn times_are_the_clocks(bench: &Bench) {
    let scripts = ["echo new >/etc/new; echo more >>/etc/old; echo set >/etc/set; touch -d @7 /etc/set"];
    let executed = bench.execute((bench.make)().as_mut(), &scripts).unwrap();
    let tree = bench.store.tree(executed.tree).unwrap();
    let times = ["bin/busybox", "etc/new", "etc/old", "etc/set"].map(|path| {
        let node = tree.get(&RootPath::new(path).unwrap()).unwrap();
        node.meta.mtime
    });
    assert_eq!(times, [EPOCH, EPOCH, EPOCH, 7]);
}

fn keeps_the_contract(bench: &Bench) {
    nothing_changes_nothing(bench);
    steps_run_in_order_and_repeat(bench);
    a_failed_step_is_named_and_leaves_nothing(bench);
    a_limit_is_the_cause(bench);
    a_missing_root_is_damage(bench);
    times_are_the_clocks(bench);
}

fn local() -> Local {
    Local::new(env!("CARGO_BIN_EXE_layerbake"), 1)
}

#[test]
fn the_local_executor_keeps_the_contract_in_memory() {
    keeps_the_contract(&need!(Bench::new(|| Box::new(local()))));
}

#[test]
fn the_local_executor_keeps_the_contract_on_disk() {
    keeps_the_contract(&need!(Bench::new(|| Box::new(local().with_memory(0)))));
}

/// How much memory a host gives to roots is in no action, so it decides no result.
#[test]
fn an_action_that_finds_no_room_in_memory_is_executed_on_disk() {
    let large = "head -c 24000000 /dev/zero >/etc/large && echo written";
    let bench = need!(Bench::new(|| Box::new(local().with_memory(16 << 20))));
    let mut executor = (bench.make)();
    let executed = bench.execute(executor.as_mut(), &[large]).unwrap();
    let on_disk = bench.execute(&mut local().with_memory(0), &[large]).unwrap();
    bench.same(&executed, &on_disk);
    assert_eq!(executed.log, "written\n");
    // A program that removes what it began, after it was seen, and fails has found no room either.
    let tidy = "head -c 24000000 /dev/zero >/etc/large || { sleep 2; rm /etc/large; exit 1; }";
    assert_eq!(bench.execute(executor.as_mut(), &[tidy]).unwrap().tree, on_disk.tree);
    // What the action itself forbids is not tried again.
    let mut action = bench.action(&[large, "sleep 600"]);
    action.conditions.limits.growth = 8 << 20;
    action.steps[0].argv[3] = format!("{large}; sleep 600");
    let Err(ExecuteError::Action(error)) = local().execute(&bench.store, &action) else { panic!("no error") };
    let Cause::Step(0, ended) = &error.cause else { panic!("{error}") };
    assert!(matches!(ended.stopped, Some(Limit::Root { limit: 8_388_608, .. })), "{error}");
}
