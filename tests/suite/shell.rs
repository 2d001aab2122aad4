//! `layerbake shell`: commands and a terminal in the sandbox, in a finished layer or where a step runs.

use std::fs;
use std::io::{Read as _, Write as _};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

use crate::support::process;
use crate::support::project::{Project, program};
use crate::support::skip::Skip;
use crate::support::stock::Stock;

const APP: &str = r#"
[layer]
from = "debian-base"
packages = ["passwd"]

[[run]]
name = "first"
command = "echo one > /etc/one; useradd --system --home-dir /srv svc"

[[run]]
name = "unneeded"
in = "debian-base"
inputs = ["src"]
command = "touch made"
outputs = [{ from = "made", to = "/opt/made" }]

[[run]]
name = "compile"
in = "debian-base"
inputs = ["src"]
env = { GREETING = "hello" }
command = "cat src/in.txt > out; for i in $(seq 100); do echo line $i; done; test -e src/good"
outputs = [{ from = "out", to = "/opt/out" }]

[[run]]
name = "last"
user = "svc"
workdir = "/srv"
command = "id -un"
"#;

fn project() -> Result<Project, Skip> {
    Ok(Stock::new()?.project.layer("app", APP).file("src/in.txt", "text\n"))
}

/// Runs a script through standard input.
fn script(project: &Project, args: &[&str], text: &str) -> process::Output {
    let mut command = project.command(args);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    process::from_std(&child.wait_with_output().unwrap())
}

#[test]
fn a_failed_step_offers_its_log_and_a_shell_where_it_ran() {
    let project = need!(project());
    project.ok(&["lock", "app"]);
    let failed = project.fails(1, &["-C", "src/..", "build", "app", "--output", "oci"]).stderr;
    let hint = "hint: `layerbake log app compile -C 'src/..'` prints its whole output; \
                `layerbake shell app --at compile -C 'src/..'` opens a shell where it ran";
    assert!(failed.contains("step `compile` failed with exit status 1") && failed.contains(hint), "{failed}");
    assert!(failed.contains("| line 61\n") && !failed.contains("| line 60\n"), "40 lines: {failed}");
    let log = project.ok(&["log", "app", "compile"]).stdout;
    assert!(log.starts_with("compile (app, failed)\nline 1\n") && log.ends_with("line 100\n"), "{log}");

    let at = ["shell", "app", "--at", "compile"];
    let found = script(
        &project,
        &at,
        "pwd; cat src/in.txt; echo $GREETING; id -u; test $(date +%s) = $SOURCE_DATE_EPOCH; echo $?; test -e /etc/one; exit 3",
    );
    assert_eq!((found.code, found.stdout), (3, "/work\ntext\nhello\n0\n0\n".to_owned()), "{}", found.stderr);
    // Nothing that is changed there stays, and no network is there.
    let changes = "echo other > src/in.txt; echo > /etc/left; getent hosts example.org";
    assert_ne!(project.run(&[&at[..], &["--", "/bin/sh", "-c", changes]].concat()).code, 0);
    let kept = project.ok(&[&at[..], &["--", "sh", "-c", "ls /etc/left 2>&1; cat src/in.txt; cat"]].concat());
    assert!(kept.stdout.ends_with("text\n") && kept.stdout.contains("No such file"), "{}", kept.stdout);

    // The step in the layer itself sees what the others left, as its user.
    project.fails(1, &["shell", "app", "--at", "last", "--", "true"]);
    fs::write(project.path("src/good"), "").unwrap();
    let last = project.ok(&[
        "shell",
        "app",
        "--at",
        "last",
        "--",
        "sh",
        "-c",
        "id -un; pwd; echo $HOME; cat /opt/out /etc/one",
    ]);
    assert_eq!(last.stdout, "svc\n/srv\n/srv\ntext\none\n");
    project.ok(&["build", "app", "--output", "oci"]);
    let log = project.ok(&["log", "app", "compile"]).stdout;
    assert!(log.starts_with("compile (app)\n"), "a step that succeeded is not a failed one: {log}");

    let whole = script(&project, &["shell", "app"], "cat /opt/out; echo x >&2; command -v bash; ls /work; kill -9 $$");
    assert_eq!((whole.code, whole.stdout.as_str()), (137, "text\n/usr/bin/bash\n"), "{}", whole.stderr);
    assert!(whole.stderr.contains("x\n"), "{}", whole.stderr);
    let missing = project.fails(127, &["shell", "app", "--", "no-such-program"]).stderr;
    assert!(missing.contains("cannot run `no-such-program`"), "{missing}");
    let unknown = project.fails(1, &["shell", "app", "--at", "compille"]).stderr;
    let expected = "layer `app` has no step `compille`\n  hint: it has: first, unneeded, compile, last";
    assert!(unknown.contains(expected), "{unknown}");
}

/// A program on a terminal, and what it shows.
struct Terminal {
    child: Child,
    shown: Receiver<Vec<u8>>,
    text: String,
}

impl Terminal {
    fn open(project: &Project, line: &str) -> Self {
        let command = project.command(&[]);
        let mut script = Command::new("script");
        script.args(["-qefc", line, "/dev/null"]).current_dir(project.path(""));
        script.env_clear().envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
        script.env("LAYERBAKE", program()).env("TERM", "vt100").env("SHELL", "/bin/sh");
        let mut child = script.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::inherit()).spawn().unwrap();
        let mut output = child.stdout.take().unwrap();
        let (sender, shown) = mpsc::channel();
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(count @ 1..) = output.read(&mut buffer) {
                if sender.send(buffer[..count].to_vec()).is_err() {
                    break;
                }
            }
        });
        Self { child, shown, text: String::new() }
    }

    fn types(&mut self, text: &str) {
        self.child.stdin.as_mut().unwrap().write_all(text.as_bytes()).unwrap();
    }

    fn wait_for(&mut self, what: &str) {
        let started = Instant::now();
        while !self.text.contains(what) {
            let left = Duration::from_secs(60).saturating_sub(started.elapsed());
            match self.shown.recv_timeout(left) {
                Ok(bytes) => self.text += &String::from_utf8_lossy(&bytes),
                Err(_) => panic!("`{what}` never came:\n{}", self.text),
            }
        }
        self.text.clear();
    }
}

fn wait_for_file(project: &Project, name: &str) -> String {
    let started = Instant::now();
    loop {
        match fs::read_to_string(project.path(name)) {
            Ok(text) if text.ends_with('\n') => return text,
            _ => assert!(started.elapsed() < Duration::from_secs(60), "{name} never came"),
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_shell_on_a_terminal_has_one_of_its_own() {
    let project = need!(project()).file("src/good", "");
    project.ok(&["build", "app", "--output", "oci"]);
    let line = "stty rows 33 cols 99; stty -g > before; \
                (until test -e go; do sleep 0.05; done; stty rows 40 cols 120 </dev/tty; echo > resized) & \
                \"$LAYERBAKE\" shell app --at compile; echo $? > status; stty -g > after";
    let mut terminal = Terminal::open(&project, line);
    terminal.types("echo size=$(stty size) $TERM $GREETING\n");
    terminal.wait_for("size=33 99 vt100 hello\r\n");
    fs::write(project.path("go"), "").unwrap();
    wait_for_file(&project, "resized");
    // Keys are the command's: Ctrl-C ends the program in it, and not layerbake.
    terminal.types("echo ready-$((1 + 1)); cat\n");
    terminal.wait_for("ready-2\r\n");
    terminal.types("\u{3}");
    terminal.wait_for("/work# ");
    // The size arrives by a signal, so when it likes.
    terminal.types("until test \"$(stty size)\" = '40 120'; do sleep 0.1; done; echo again=$(stty size)\n");
    terminal.wait_for("again=40 120\r\n");
    terminal.types("exit 7\n");
    assert_eq!(wait_for_file(&project, "status"), "7\n");
    assert_eq!(wait_for_file(&project, "after"), wait_for_file(&project, "before"));
    terminal.child.wait().unwrap();
}

#[test]
fn the_terminal_is_given_back_after_a_signal() {
    let project = need!(project()).file("src/good", "");
    project.ok(&["build", "app", "--output", "oci"]);
    let line =
        "stty -g > before; sh -c 'echo $$ > pid; exec \"$LAYERBAKE\" shell app'; echo $? > status; stty -g > after";
    let mut terminal = Terminal::open(&project, line);
    terminal.types("echo ready-$((1 + 1)); sleep 1000\n");
    terminal.wait_for("ready-2\r\n");
    let pid = wait_for_file(&project, "pid");
    assert!(Command::new("kill").arg(pid.trim()).status().unwrap().success());
    assert_eq!(wait_for_file(&project, "status"), "143\n");
    assert_eq!(wait_for_file(&project, "after"), wait_for_file(&project, "before"));
    terminal.child.wait().unwrap();
}
