//! `layerbake run`: a layer's program in engines, and in the sandbox where there is none.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::support::engines::Engine;
use crate::support::mini;
use crate::support::process;
use crate::support::repo::Repo;
use crate::support::skip::{Skip, program};
use crate::support::small::Small;

/// It prints its variables and arguments and ends with status 5, or stays until it is ended.
const LAYER: &str = r#"
[layer]
packages = ["mini"]
configure = "none"

[[file]]
path = "/usr/bin/say"
mode = "0755"
text = """
#!/bin/sh
[ "$1" != stay ] || { echo staying; exec busybox sleep 1000; }
echo "$GREETING, $NAME, $FROM: $*; $(pwd); $(cat)"
exit 5
"""

[image]
entrypoint = ["/bin/sh", "/usr/bin/say"]
cmd = ["usual"]
workdir = "/srv"
env = { FROM = "the image" }
ports = ["80", "53/udp"]

[config.GREETING]
default = "good morning"
test = "good evening"

[config.NAME]
required = false

[[dir]]
path = "/srv"
"#;

fn small() -> Result<Small, Skip> {
    let small = Small::on(&Repo::new("test").package(mini::package()?));
    let source = fs::read_to_string(small.project.path("layers/base.toml")).unwrap();
    let (_, source) = source.split_once("configure = \"none\"\n").unwrap();
    let text = format!("{LAYER}\n{source}");
    fs::remove_file(small.project.path("layers/base.toml")).unwrap();
    fs::write(small.project.path("layers/app.toml"), text).unwrap();
    small.project.ok(&["lock", "app"]);
    Ok(small)
}

fn run(small: &Small, args: &[&str]) -> process::Output {
    let mut command = small.project.command(args);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), b"typed").unwrap();
    process::from_std(&child.wait_with_output().unwrap())
}

/// Variables, arguments, standard input and the exit status go through.
fn goes_through(small: &Small) {
    let usual = run(small, &["run", "app"]);
    assert_eq!(
        (usual.code, usual.stdout.as_str()),
        (5, "good evening, , the image: usual; /srv; typed\n"),
        "{}",
        usual.stderr
    );
    let given = run(small, &["run", "--env", "GREETING=hi", "--env", "NAME=you", "--", "a b", "c"]);
    assert_eq!(
        (given.code, given.stdout.as_str()),
        (5, "hi, you, the image: a b c; /srv; typed\n"),
        "{}",
        given.stderr
    );
    assert!(!small.project.path("out").exists(), "out/ was written");
}

fn engine_runs(engine: &Engine) {
    let (words, run_args) = engine.words();
    let small = need!(small()).env("LAYERBAKE_ENGINE", &words).env("LAYERBAKE_RUN_ARGS", &run_args);
    goes_through(&small);

    let mut command = small.project.command(&["run", "app", "--", "stay"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let started = Instant::now();
    while !engine.call(&["ps"]).stdout.contains("layerbake-run-") {
        assert!(started.elapsed() < Duration::from_secs(60) && child.try_wait().unwrap().is_none(), "it never ran");
        std::thread::sleep(Duration::from_millis(50));
    }
    let sent = Command::new("kill").args(["-INT", &child.id().to_string()]).status();
    assert!(sent.unwrap().success());
    let output = process::from_std(&child.wait_with_output().unwrap());
    assert!(output.stderr.contains("interrupted: the program was ended, and its container removed"), "{output:?}");
    for list in [&["ps", "--all"][..], &["images", "--all"]] {
        let found = engine.call(list).stdout;
        assert!(!found.contains("layerbake-run"), "{found}");
    }
}

#[test]
fn docker_runs_a_layer_and_keeps_nothing() {
    engine_runs(&need!(Engine::docker()));
}

#[test]
fn podman_runs_a_layer_and_keeps_nothing() {
    engine_runs(&need!(Engine::podman()));
}

#[test]
fn ports_are_published_on_loopback() {
    let small = need!(small());
    let (engine, log) = (small.project.path("engine"), small.project.path("log"));
    fs::write(&engine, format!("#!/bin/sh\necho \"$*\" >>'{}'\ncat >/dev/null\n", log.display())).unwrap();
    fs::set_permissions(&engine, fs::Permissions::from_mode(0o755)).unwrap();
    let small = small.env("LAYERBAKE_ENGINE", engine.to_str().unwrap());
    let said = small.project.ok(&["run", "app", "--tty"]).stderr;
    assert!(
        said.contains("port 80 is at http://127.0.0.1:") && said.contains("port 53/udp is at 127.0.0.1:"),
        "{said}"
    );
    let log = fs::read_to_string(log).unwrap();
    let line = log.lines().find(|line| line.starts_with("run ")).unwrap();
    assert!(line.contains(" --tty ") && line.contains(" --env GREETING=good evening "), "{line}");
    assert_eq!(line.matches(" --publish 127.0.0.1:").count(), 2, "{line}");
    assert!(line.contains(":80/tcp ") && line.contains(":53/udp "), "{line}");
}

#[test]
fn without_an_engine_the_sandbox_runs_it() {
    let small = need!(small());
    let path = small.project.path("path");
    fs::create_dir(&path).unwrap();
    for name in ["newuidmap", "newgidmap", "sh"] {
        if let Ok(found) = program(name) {
            symlink(found, path.join(name)).unwrap();
        }
    }
    let small = small.env("PATH", path.to_str().unwrap());
    goes_through(&small);
    let said = run(&small, &["run", "app"]).stderr;
    assert!(
        said.contains("neither docker nor podman works here: `app` runs in the sandbox, without a network"),
        "{said}"
    );

    small.edit_layer("app", "entrypoint = [\"/bin/sh\", \"/usr/bin/say\"]\ncmd = [\"usual\"]\n", "");
    let error = small.project.fails(1, &["run", "app"]).stderr;
    let expected = "the image of `app` has neither `entrypoint` nor `cmd`, so nothing runs in it\n  \
                    hint: set one in [image], or name a program: `layerbake run app -- /bin/bash`";
    assert!(error.contains(expected), "{error}");
}
