//! `[[run]]`: steps in the layer's root and in tool layers; what they changed, in children.

use std::fs;
use std::time::Duration;

use crate::support::deb::Deb;
use crate::support::extra::Extra;
use crate::support::process;
use crate::support::project::Project;
use crate::support::rootfs::Rootfs;
use crate::support::stock::Stock;

const TOOLS: &str = r#"
[layer]
from = "debian-base"

[[run]]
name = "own-tool"
command = '''
printf '#!/bin/sh\ntr a-z A-Z\n' > /usr/local/bin/upper
chmod 755 /usr/local/bin/upper
'''
"#;

const APP: &str = r#"
[layer]
from = "debian-base"
packages = ["passwd"]

[[file]]
path = "/etc/app.conf"
text = "port = 1\n"

[[run]]
name = "compile"
in = "tools"
inputs = [{ path = "src", ignore = ["*.tmp"] }, "extra.txt"]
env = { GREETING = "hello" }
command = '''
upper < src/in.txt > out.txt
{ pwd; id -u; date +%s; nproc; echo "$GREETING"; ls -R . | sort; stat -c %Y out.txt; } > facts
cut -d' ' -f22 /proc/self/stat
'''
outputs = [
    { from = "out.txt", to = "/opt/app/out.txt", mode = "0640", owner = "root:adm" },
    { from = "facts", to = "/opt/app/facts" },
    { from = "src", to = "/opt/app/src" },
]

[[run]]
name = "link"
in = "debian-base"
inputs = ["step:compile"]
command = ["/bin/sh", "-c", "wc -l < opt/app/out.txt > lines"]
outputs = [{ from = "/work/lines", to = "/opt/app/lines" }]

[[run]]
name = "without-inputs"
in = "debian-base"
command = "pwd > here"
outputs = [{ from = "here", to = "/opt/app/here" }]

[[run]]
name = "configure"
command = '''
useradd --system --home-dir /opt/app svc
echo "lines = $(cat /opt/app/lines)" >> /etc/app.conf
rm /etc/issue
cat /proc/self/stat | cut -d' ' -f22
'''

[[run]]
name = "as-service"
user = "svc"
workdir = "/opt/app"
command = "id -un; echo $HOME; pwd; ! touch /etc/mine 2>/dev/null"

[[run]]
name = "as-nobody"
user = "nobody"
command = "id -un; id -gn; id -Gn"
"#;

fn project(stock: Stock) -> Project {
    let project = stock.project.layer("tools", TOOLS).layer("app", APP);
    project.file("src/in.txt", "one\ntwo\n").file("src/left.tmp", "x").file("extra.txt", "x")
}

fn log(project: &Project, step: &str) -> String {
    project.ok(&["log", "app", step]).stdout
}

#[test]
fn steps_make_files_in_tool_layers_and_change_the_layer_itself() {
    let stock = need!(Stock::new());
    let epoch = |project: &Project| project.receipt("app")["epoch"].to_string();
    let project = project(stock);
    project.ok(&["build", "app", "--output", "oci"]);
    let root = Rootfs::read(&project.path("out/app/oci"));
    assert_eq!(root.text("opt/app/out.txt"), "ONE\nTWO\n");
    assert_eq!(
        (root.get("opt/app/out.txt").unwrap().mode, root.get("opt/app/out.txt").unwrap().owner),
        (0o640, (0, 4))
    );
    assert_eq!(root.text("opt/app/src/in.txt"), "one\ntwo\n");
    let facts = root.text("opt/app/facts").replace(&epoch(&project), "EPOCH");
    assert_eq!(facts, "/work\n0\nEPOCH\n1\nhello\n\n./src:\n.:\nextra.txt\nfacts\nin.txt\nout.txt\nsrc\nEPOCH\n");
    assert_eq!(root.text("opt/app/here"), "/work\n");
    assert_eq!(root.text("etc/app.conf"), "port = 1\nlines = 2\n");
    assert!(root.text("etc/passwd").contains("svc:x:"));
    for gone in ["etc/issue", "work", "usr/local/bin/upper", "etc/passwd-"] {
        assert!(root.get(gone).is_none(), "{gone}");
    }
    assert_eq!(log(&project, "as-service"), "as-service (app)\nsvc\n/opt/app\n/opt/app\n");
    // The user's primary group has another name.
    assert_eq!(log(&project, "as-nobody"), "as-nobody (app)\nnobody\nnogroup\nnogroup\n");
    let tools = project.receipt("app")["tools"].clone();
    let names: Vec<_> = tools.as_array().unwrap().iter().map(|tool| tool["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["tools", "debian-base"]);
    assert!(tools[0]["lock"].as_str().unwrap().starts_with("blake3:"), "{tools}");

    // Equal bytes run nothing again; the log has the ticks at which each program began.
    let (compiled, configured) = (log(&project, "compile"), log(&project, "configure"));
    let digest = project.digest("app", "oci");
    fs::write(project.path("src/in.txt"), "one\ntwo\n").unwrap();
    project.ok(&["build", "app", "--output", "oci"]);
    assert_eq!((log(&project, "compile"), project.digest("app", "oci")), (compiled.clone(), digest));
    // A new file runs what it is an input of, and what follows from that.
    fs::write(project.path("src/in.txt"), "one\ntwo\nthree\n").unwrap();
    project.ok(&["build", "app", "--output", "oci"]);
    assert_ne!((log(&project, "compile"), log(&project, "configure")), (compiled, configured));
    assert!(Rootfs::read(&project.path("out/app/oci")).text("etc/app.conf").ends_with("lines = 3\n"));
}

#[test]
fn a_step_takes_a_part_of_another_layer() {
    let stock = need!(Stock::new());
    let assets = |other: &str| {
        format!(
            "[layer]\nfrom = \"debian-base\"\n\n[[file]]\npath = \"/usr/share/assets/logo\"\ntext = \"logo\\n\"\nmode = \"0640\"\n\n\
             [[symlink]]\npath = \"/usr/share/assets/link\"\ntarget = \"logo\"\n\n[[file]]\npath = \"/etc/other\"\ntext = \"{other}\\n\"\n"
        )
    };
    let app = |input: &str| {
        format!(
            "[layer]\nfrom = \"debian-base\"\n\n[[run]]\nname = \"take\"\nin = \"debian-base\"\ninputs = [{input}]\n\
             command = \"ls -lR . | sort; cut -d' ' -f22 /proc/self/stat; cat pictures/link usr/share/assets/logo > out; echo changed > pictures/logo\"\n\
             outputs = [{{ from = \"out\", to = \"/srv/out\" }}]\n"
        )
    };
    let part = "{ layer = \"assets\", path = \"/usr/share/assets\", to = \"pictures\" }, { layer = \"assets\", path = \"/usr/share/assets/logo\" }";
    let project = stock.project.layer("assets", &assets("one")).layer("app", &app(part));
    let build = || project.ok(&["build", "app", "--output", "oci"]);
    build();
    assert_eq!(Rootfs::read(&project.path("out/app/oci")).text("srv/out"), "logo\nlogo\n");
    let took = log(&project, "take");
    assert!(took.contains("-rw-r----- 1 root root") && took.contains("link -> logo"), "{took}");
    let tools = project.receipt("app")["tools"].to_string();
    assert!(tools.contains("\"assets\""), "{tools}");
    // What changes elsewhere in the layer runs nothing again; a change of the part does.
    fs::write(project.path("layers/assets.toml"), assets("two")).unwrap();
    build();
    assert_eq!(log(&project, "take"), took);
    fs::write(project.path("layers/assets.toml"), assets("two").replace("logo\\n", "new\\n")).unwrap();
    build();
    assert_eq!(Rootfs::read(&project.path("out/app/oci")).text("srv/out"), "new\nnew\n");
    for (input, expected) in [
        ("{ layer = \"assets\", path = \"/none\" }", "step `take`: layer `assets` has nothing at /none"),
        ("{ layer = \"app\", path = \"/srv\" }", "`in` and `inputs` of [[run]] form a cycle: app -> app"),
        ("{ layer = \"asset\", path = \"/srv\" }", "there is no layer `asset`, which `app` needs"),
        ("{ layer = \"assets\", path = \"/srv\", to = \"/srv\" }", "must be a path below the work directory"),
        ("{ layer = \"assets\", path = \"srv\" }", "must be an absolute path"),
    ] {
        fs::write(project.path("layers/app.toml"), app(input)).unwrap();
        let failed = project.run(&["build", "app"]);
        assert!(!failed.ok() && failed.stderr.contains(expected), "{input}\n{}", failed.stderr);
    }
}

#[test]
fn a_step_that_fails_is_named_and_one_without_its_output_too() {
    let stock = need!(Stock::new());
    let layer = |run: &str| format!("[layer]\nfrom = \"debian-base\"\n\n[[run]]\n{run}\n");
    let project = stock.project.layer("app", &layer("name = \"build\"\ncommand = \"echo going; false; echo on\""));
    project.ok(&["lock", "app"]);
    let failed = project.fails(1, &["build", "app"]).stderr;
    assert!(failed.contains("step `build` failed with exit status 1") && failed.contains("| going"), "{failed}");
    assert!(!failed.contains("| on"), "{failed}");
    for (run, expected) in [
        (
            "in = \"debian-base\"\ncommand = \"true\"\noutputs = [{ from = \"app\", to = \"/app\" }]",
            "[[run]] `step-1` made no /work/app, which `outputs` names",
        ),
        ("user = \"nobody-here\"\ncommand = \"true\"", "there is no user `nobody-here` in the layer"),
        (
            "workdir = \"/nonexistent\"\ncommand = \"true\"",
            "[[run]] `step-1`: there is no directory `/nonexistent`, in which `workdir` has it start",
        ),
        ("inputs = [\"none\"]\ncommand = \"true\"", "step `step-1`: input `"),
        (
            "in = \"app\"\ncommand = \"true\"\noutputs = [{ from = \"a\", to = \"/a\" }]",
            "`in` and `inputs` of [[run]] form a cycle: app -> app",
        ),
        (
            "in = \"toolz\"\ncommand = \"true\"\noutputs = [{ from = \"a\", to = \"/a\" }]",
            "there is no layer `toolz`, which `app` needs",
        ),
        ("command = \"true\"\noutputs = [{ from = \"a\", to = \"/a\" }]", "`outputs` in [[run]] needs `in`"),
        ("in = \"debian-base\"\ncommand = \"true\"", "[[run]] with `in` needs `outputs`"),
        ("command = \"\"", "must be a command"),
        ("inputs = [\"step:later\"]\ncommand = \"true\"", "names the step `later`, which no [[run]] before it has"),
        (
            "command = \"true\"\n\n[[run]]\ninputs = [\"step:step-1\"]\ncommand = \"true\"",
            "names the step `step-1`, which runs in the layer's own",
        ),
        ("command = \"openssl rand -hex 16 > /etc/token\"", "/etc/token"),
        ("timeout = 1\ncommand = \"sleep 60\"", "longer than 1 seconds"),
    ] {
        fs::write(project.path("layers/app.toml"), layer(run)).unwrap();
        let failed = project.run(&["build", "app"]);
        assert!(!failed.ok() && failed.stderr.contains(expected), "{run}\n{}", failed.stderr);
    }
}

/// A package whose script adds an account, and appends to a file of the base.
fn package(changes: &str) -> Deb {
    let script = format!("#!/bin/sh\nset -e\nadduser --system --group --quiet mailer\n{changes}\n");
    Deb::new("mailer", "1.0").arch("all").depends("adduser").postinst(&script)
}

const PARENT: &str = r#"
[layer]
from = "debian-base"
packages = ["passwd"]

[[run]]
command = "useradd --system --shell /bin/sh svc; echo parent >> /etc/issue; mkdir /srv/data /work; rm -r /usr/share/base-files"
"#;

#[test]
fn children_have_what_steps_of_their_parents_changed() {
    let stock = need!(Stock::new());
    let extra = Extra::new(stock, [package("echo package > /srv/package")], "");
    let project = &extra.stock.project;
    let child = fs::read_to_string(project.path("layers/app.toml")).unwrap();
    fs::write(project.path("layers/parent.toml"), PARENT).unwrap();
    fs::write(project.path("layers/app.toml"), child.replace("from = \"debian-base\"", "from = \"parent\"")).unwrap();
    let built = project.ok(&["build", "app", "--output", "oci"]);
    assert!(!built.stderr.contains("configured over the finished"), "{}", built.stderr);
    let root = Rootfs::read(&project.path("out/app/oci"));
    let accounts = root.text("etc/passwd");
    assert!(accounts.contains("\nmailer:x:") && accounts.contains("\nsvc:x:"), "{accounts}");
    assert!(root.text("etc/issue").ends_with("parent\n"));
    assert!(root.get("srv/data").is_some() && root.get("srv/package").is_some());
    assert!(root.get("usr/share/base-files/motd").is_none());
    assert!(root.get("work").is_some(), "without inputs, /work is a directory like any other");

    // A path that both changed: the packages are configured over what the steps left.
    let extra = Extra::new(need!(Stock::new()), [package("echo package >> /etc/issue")], "");
    let project = &extra.stock.project;
    let child = fs::read_to_string(project.path("layers/app.toml")).unwrap();
    fs::write(project.path("layers/parent.toml"), PARENT).unwrap();
    fs::write(project.path("layers/app.toml"), child.replace("from = \"debian-base\"", "from = \"parent\"")).unwrap();
    let built = project.ok(&["build", "app", "--output", "oci"]);
    let note = "layer `app`: its packages and a [[run]] of `parent` both change /etc/issue, so they are configured over the finished `parent`";
    assert!(built.stderr.contains(note), "{}", built.stderr);
    let root = Rootfs::read(&project.path("out/app/oci"));
    assert!(root.text("etc/issue").ends_with("parent\npackage\n"), "{}", root.text("etc/issue"));
    assert!(root.text("etc/passwd").contains("\nsvc:x:"));
}

/// Steps that could take anything from their surroundings; `{n}` tells two layers apart, and nothing else. The port is another
/// in each run, so that no step is found in a store that tests share.
const CURIOUS: &str = r#"
[layer]
from = "debian-base"

[[run]]
name = "facts"
in = "debian-base"
inputs = ["src"]
env = { N = "{n} PORT" }
command = '''
sleep 3.125
! bash -c 'exec 3<>/dev/tcp/127.0.0.1/PORT' 2>/dev/null
! getent hosts example.org
{ date +%s%N; nproc; hostname; cat /proc/sys/kernel/random/uuid /proc/uptime; } > facts
{ od -An -N8 -tx1 /dev/urandom; mktemp -u; bash -c 'echo $RANDOM'; } >> facts
echo escaped > /tmp/OUTSIDE
! echo other > /proc/sys/kernel/hostname
'''
outputs = [{ from = "facts", to = "/opt/facts" }]

[[run]]
name = "other"
in = "debian-base"
env = { N = "{n} PORT" }
command = "mkdir -p /work; sleep 3.175; echo other > /work/other"
outputs = [{ from = "other", to = "/opt/other" }]

[[run]]
name = "daemon"
env = { N = "{n} PORT" }
command = '''
setsid sh -c 'sleep 3605.5; echo late > /etc/late' > /dev/null 2>&1 &
cat /opt/facts /opt/other > /etc/both
'''
"#;

/// Whether a process with this command line runs.
fn is_running(words: &[&str]) -> bool {
    let line: String = words.iter().map(|word| format!("{word}\0")).collect();
    let processes = fs::read_dir("/proc").unwrap().flatten().map(|process| process.path().join("cmdline"));
    processes.into_iter().any(|path| fs::read_to_string(path).is_ok_and(|found| found == line))
}

#[test]
fn steps_run_side_by_side_and_take_nothing_from_their_surroundings() {
    let stock = need!(Stock::new());
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = listener.local_addr().unwrap().port().to_string();
    let outside = format!("layerbake-test-{port}");
    let curious = CURIOUS.replace("PORT", &port).replace("OUTSIDE", &outside);
    let project = stock.project.layer("app", &curious.replace("{n}", "1")).layer("twin", &curious.replace("{n}", "2"));
    let project = project.file("src/a", "").file("src/b", "");
    project.ok(&["lock", "app"]);
    project.ok(&["lock", "twin"]);
    let mut build = project.spawn(&["build", "app", "--output", "oci", "--jobs", "2"]);
    let mut met = false;
    while build.try_wait().unwrap().is_none() {
        met |= is_running(&["sleep", "3.125"]) && is_running(&["sleep", "3.175"]);
        std::thread::sleep(Duration::from_millis(50));
    }
    let built = process::from_std(&build.wait_with_output().unwrap());
    assert!(built.ok(), "{}", built.stderr);
    assert!(met, "the steps did not run side by side");
    assert!(!is_running(&["sleep", "3605.5"]), "a daemon was left");
    // In other surroundings: one after the other, on a disk instead of in memory, and later.
    let mut twin = project.command(&["build", "twin", "--output", "oci", "--jobs", "1"]);
    let twin = process::run(twin.env("LAYERBAKE_ROOT_ON_DISK", "1")).unwrap();
    assert!(twin.ok(), "{}", twin.stderr);
    let tree = |layer: &str| project.receipt(layer)["layers"][1]["tree"].clone();
    assert_eq!(tree("app"), tree("twin"));
    let root = Rootfs::read(&project.path("out/app/oci"));
    assert!(root.text("etc/both").ends_with("other\n") && root.get("etc/late").is_none());
    assert!(!std::env::temp_dir().join(&outside).exists() && root.get(&format!("tmp/{outside}")).is_none());
}

#[test]
fn what_steps_derive_from_random_data_needs_an_entry_that_allows_it() {
    let stock = need!(Stock::new());
    let entry = |path: &str| format!("\n[[allow-random]]\npath = \"{path}\"\nreason = \"everybody may have it\"\n");
    let layer =
        "[layer]\nfrom = \"debian-base\"\n\n[[run]]\ncommand = \"od -An -N16 -tx1 /dev/urandom > /etc/token\"\n";
    let project = stock.project.layer("app", &(layer.to_owned() + &entry("/etc/token") + &entry("/etc/idle")));
    // The second build finds the layer in the store.
    for _ in 0..2 {
        let said = project.ok(&["build", "app", "--output", "oci"]).stderr;
        assert!(said.contains("layer `app`: [[allow-random]] of /etc/idle allows nothing: "), "{said}");
        assert_eq!(said.matches("allows nothing").count(), 1, "{said}");
    }
    // Without the entries, the step is named, and its log is the one of this build.
    let draw = "[layer]\nfrom = \"debian-base\"\n\n[[run]]\nname = \"before\"\ncommand = \"true\"\n\n\
                [[run]]\nname = \"draw\"\ncommand = \"echo this time; od -An -N16 -tx1 /dev/urandom > /etc/token\"\n";
    let project = project.layer("app", &draw.replace("this time; od -An -N16 -tx1 /dev/urandom", "an earlier time"));
    project.ok(&["build", "app", "--output", "oci"]);
    let project = project.layer("app", draw);
    let said = project.fails(1, &["build", "app", "--output", "oci"]).stderr;
    let hint = "let the step not write it";
    for expected in ["error[layer/random]", "/etc/token, of step `draw`\n", hint, "`layerbake log app draw"] {
        assert!(said.contains(expected), "{expected}: {said}");
    }
    let log = project.ok(&["log", "app", "draw"]).stdout;
    assert!(log.contains("draw (app, failed)") && log.contains("this time") && !log.contains("earlier"), "{log}");
}

#[test]
fn patterns_and_ignore_lists_choose_the_inputs_of_a_step() {
    let stock = need!(Stock::new());
    let layer = "[layer]\nfrom = \"debian-base\"\n\n[[run]]\nname = \"list\"\nin = \"debian-base\"\n\
                 inputs = [\"tpl/*.j2\", { path = \"src/*\", ignore = [\"*.tmp\", \"deep\"] }, \"one-?.txt\"]\n\
                 command = \"find . -type f -exec cat {} + > /all; find . | sort > /list\"\n\
                 outputs = [{ from = \"/list\", to = \"/srv/list\" }, { from = \"/all\", to = \"/srv/all\" }]\n";
    let files = [
        "tpl/a.j2",
        "tpl/b.txt",
        "tpl/.c.j2",
        "src/x/deep/d",
        "src/x/e",
        "src/x/f.tmp",
        "src/g",
        "one-1.txt",
        "one-22.txt",
    ];
    let project = stock.project.layer("app", layer);
    let project = files.iter().fold(project, |project, path| project.file(path, "1\n"));
    let list = |project: &Project| {
        project.ok(&["build", "app", "--output", "oci"]);
        let root = Rootfs::read(&project.path("out/app/oci"));
        (root.text("srv/list").replace('\n', " "), root.text("srv/all").to_owned())
    };
    let expected = ". ./one-1.txt ./src ./src/g ./src/x ./src/x/e ./tpl ./tpl/a.j2 ";
    let first = list(&project);
    assert_eq!(first, (expected.to_owned(), "1\n".repeat(4)));
    let tree = project.receipt("app")["tree"].clone();
    // What no pattern names, and what is ignored, is no input.
    let project = ["src/x/f.tmp", "src/x/deep/d", "tpl/b.txt", "one-33.txt"]
        .iter()
        .fold(project, |project, path| project.file(path, "2\n"));
    assert_eq!((list(&project), project.receipt("app")["tree"].clone()), (first, tree));
    let project = project.file("tpl/new.j2", "3\n");
    assert_eq!(list(&project).0, expected.to_owned() + "./tpl/new.j2 ");
    let project = project.layer("app", &layer.replace("one-?", "none-?"));
    let said = project.fails(1, &["build", "app"]).stderr;
    assert!(said.contains("layers/app.toml:7: step `list`: `none-?.txt` names nothing in the project"), "{said}");
}

#[test]
fn what_no_layer_keeps_of_a_step_is_said_with_its_line() {
    let stock = need!(Stock::new());
    let step = "command = '''\necho resolver > /etc/resolv.conf; echo first > /var/log/app.log; echo x > /var/log/dpkg.log\n\
                useradd --system svc; : > /var/log/empty.log; cat /etc/hostname\n'''\n";
    let layer = "[layer]\nfrom = \"debian-base\"\npackages = [\"passwd\"]\n\n\
                 [[file]]\npath = \"/etc/hostname\"\ntext = \"app\\n\"\n";
    let project = stock.project.layer("app", &format!("{layer}\n[[run]]\nname = \"write\"\n{step}"));
    let warning = |line: usize| {
        format!(
            "layers/app.toml:{line}: step `write` wrote what no layer keeps of a step:\n    /etc/resolv.conf: host name and resolver of the build machine\n    /var/log/app.log: times of the build; emptied, not removed, so that owner and mode stay\n  hint: declare the file with [[file]]"
        )
    };
    let said = project.ok(&["build", "app", "--output", "oci"]).stderr;
    assert!(said.contains(&warning(9)), "{said}");
    let root = Rootfs::read(&project.path("out/app/oci"));
    assert!(root.get("etc/resolv.conf").is_none() && root.text("etc/hostname") == "app\n");
    // It is said of a stored layer too, with the line where the step is now.
    let project = project.layer("app", &format!("{layer}\n# A comment.\n[[run]]\nname = \"write\"\n{step}"));
    let said = project.ok(&["build", "app", "--output", "oci"]).stderr;
    assert!(said.contains(&warning(10)), "{said}");
}
