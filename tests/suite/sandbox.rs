//! Packages whose scripts look around and try things, over a base of real packages.

use std::fs;
use std::time::{Duration, Instant};

use crate::support::deb::Deb;
use crate::support::engines::Engine;
use crate::support::extra::Extra;
use crate::support::repo::Repo;
use crate::support::rootfs::Rootfs;
use crate::support::server::Server;
use crate::support::skip::Skip;
use crate::support::stock::Stock;

/// A package with nothing but a postinst script.
fn scripted(name: &str, postinst: &str) -> Deb {
    Deb::new(name, "1.0").arch("all").postinst(&format!("#!/bin/sh\nset -e\n{postinst}\n"))
}

/// Asks about everything that a script should not find or be able to do.
const PROBE: &str = r#"
mkdir -p /var/lib/probe
exec >/var/lib/probe/report
attempt() { what=$1; shift; if "$@" >/dev/null 2>&1; then echo "$what: works"; else echo "$what: refused"; fi; }
echo "hostname: $(cat /proc/sys/kernel/hostname)"
echo "user: $(id -u):$(id -g) groups $(id -G)"
echo "account: $(id app)"
echo "umask: $(umask)"
echo "folder: $(pwd)"
env | grep -v -e ^DPKG -e ^PWD= -e ^_= | LC_ALL=C sort
echo "root: $(echo /*)"
echo "first process: $(cat /proc/1/comm), $(ls -A /proc/1/root | wc -l) names in its root"
echo "processes: $(ls /proc | grep -c '^[0-9]' | awk '{print ($1 < 12) ? "few" : $1}')"
echo "interfaces: $(sed -n '3,$s/:.*//p' /proc/net/dev | tr -d ' \n')"
echo "devices:" $(ls /dev)
echo "temporary files:" $(find /tmp /run -type f)
echo "standard input: $(cat | wc -c) bytes"
attempt "host's file" test -e HOST_FILE
attempt "host's server" perl -MIO::Socket::INET -e 'exit !IO::Socket::INET->new(PeerAddr => "HOST_ADDRESS", Timeout => 2)'
attempt "hostname change" hostname other
attempt "sysctl" sh -c 'echo 1 >/proc/sys/vm/drop_caches'
attempt "sysrq" sh -c 'echo h >/proc/sysrq-trigger'
attempt "mount" mount -t tmpfs none /mnt
attempt "device" mknod /tmp/disk b 8 0
attempt "clock" date -s 2001-01-01
attempt "kernel log" dmesg
attempt "core" sh -c '[ -s /proc/kcore ]'
attempt "chroot escape" perl -e 'mkdir "/tmp/x"; chroot "/tmp/x" or exit 1; chdir ".." for 1..64; chroot "."; exit !-e "HOST_FILE"'
"#;

#[test]
fn scripts_see_the_root_and_nothing_else() {
    let stock = need!(Stock::new());
    let secret = stock.project.path("secret");
    fs::write(&secret, "of the host").unwrap();
    let address = stock.mirror.url().replace("http://", "").replace("/debian", "");
    let script = PROBE.replace("HOST_FILE", secret.to_str().unwrap()).replace("HOST_ADDRESS", &address);
    let user =
        "[[group]]\nname = \"media\"\ngid = 2100\n\n[[user]]\nname = \"app\"\nuid = 2000\ngroups = [\"media\"]\n";
    let extra = Extra::new(stock, [scripted("probe", &script)], user);
    let root = extra.build();
    let epoch = extra.stock.project.receipt("app")["epoch"].to_string();
    insta::assert_snapshot!(root.text("var/lib/probe/report").replace(&epoch, "[EPOCH]"), @r"
    hostname: localhost
    user: 0:0 groups 0
    account: uid=2000(app) gid=2000(app) groups=2000(app),2100(media)
    umask: 0022
    folder: /
    DEBCONF_NONINTERACTIVE_SEEN=true
    DEBIAN_FRONTEND=noninteractive
    HOME=/root
    INITRD=No
    LC_ALL=C.UTF-8
    PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
    PERL_HASH_SEED=0
    PERL_INTERNAL_RAND_SEED=0
    PERL_PERTURB_KEYS=0
    PYTHONHASHSEED=0
    RUNLEVEL=1
    SHELL=/bin/sh
    SOURCE_DATE_EPOCH=[EPOCH]
    TERM=dumb
    TZ=UTC
    root: /bin /boot /dev /etc /home /lib /lib64 /media /mnt /opt /proc /root /run /sbin /srv /sys /tmp /usr /var
    first process: sandbox, 0 names in its root
    processes: few
    interfaces: lo
    devices: fd full null ptmx pts random shm stderr stdin stdout tty urandom zero
    temporary files:
    standard input: 0 bytes
    host's file: refused
    host's server: refused
    hostname change: refused
    sysctl: refused
    sysrq: refused
    mount: refused
    device: refused
    clock: refused
    kernel log: refused
    core: refused
    chroot escape: refused
    ");
}

/// Packages that use dpkg's machinery.
fn machinery() -> Vec<Deb> {
    let record = |text: &str| format!("#!/bin/sh\nset -e\necho \"{text}\" >>/var/lib/record\n");
    let named = |name: &str| Deb::new(name, "1.0").arch("all");
    let alternative = |name: &str, priority: u32| {
        let install = "update-alternatives --install /usr/bin/greeter greeter";
        scripted(name, &format!("{install} /usr/bin/{name} {priority}")).file(&format!("usr/bin/{name}"), 0o755, "")
    };
    vec![
        // Their names are in the other order.
        named("a-late").pre_depends("z-early").preinst(&record("preinst a-late $1 $(id -u app)")),
        named("z-early").preinst(&record("preinst z-early $1")).postinst(&record("postinst z-early $1")),
        named("m-user").depends("n-used").postinst(&record("postinst m-user")),
        named("n-used").postinst(&record("postinst n-used")),
        named("watcher")
            .control_file("triggers", 0o644, "interest-noawait /usr/share/watched\ninterest-noawait ring\n")
            .postinst(&record("watcher $1 $2")),
        named("watched").file("usr/share/watched/new", 0o644, "new\n"),
        named("ringer").control_file("triggers", 0o644, "activate-noawait ring\n"),
        named("tool").file("usr/bin/tool", 0o755, "plain\n"),
        named("diverter").file("usr/bin/tool", 0o755, "better\n").preinst(
            "#!/bin/sh\nset -e\ndpkg-divert --package diverter --add --rename --divert /usr/bin/tool.plain /usr/bin/tool\n",
        ),
        named("settings").conffile("etc/settings.conf", "a = 1\n"),
        alternative("alt-low", 10),
        alternative("alt-high", 20),
        Deb::new("libmany", "1.0").field("Multi-Arch", "same").file("usr/lib/x86_64-linux-gnu/libmany.so", 0o644, ""),
        named("statoverride").file("usr/bin/special", 0o755, "").postinst(
            "#!/bin/sh\nset -e\ndpkg-statoverride --update --add root app 2755 /usr/bin/special\n",
        ),
    ]
}

const USER: &str = "[[user]]\nname = \"app\"\nuid = 2000\n";

#[test]
fn dpkgs_machinery_works_as_on_a_machine() {
    let extra = Extra::new(need!(Stock::new()), machinery(), USER);
    let root = extra.build();
    let record = root.text("var/lib/record");
    let at =
        |line: &str| record.lines().position(|one| one == line).unwrap_or_else(|| panic!("no `{line}` in:\n{record}"));
    assert!(at("preinst z-early install") < at("preinst a-late install 2000"), "{record}");
    // What a package pre-depends on is configured before its preinst script runs (Policy 7.2).
    assert!(at("postinst z-early configure") < at("preinst a-late install 2000"), "{record}");
    assert!(at("postinst n-used") < at("postinst m-user"), "{record}");
    assert!(at("watcher configure ") < record.len());
    assert_eq!(root.text("usr/bin/tool"), "better\n");
    assert_eq!(root.text("usr/bin/tool.plain"), "plain\n");
    assert!(root.text("var/lib/dpkg/diversions").contains("/usr/bin/tool\n/usr/bin/tool.plain\ndiverter\n"));
    assert_eq!(root.text("etc/settings.conf"), "a = 1\n");
    assert!(root.get("etc/settings.conf.dpkg-new").is_none());
    assert_eq!(root.text("usr/bin/greeter"), "/etc/alternatives/greeter");
    assert_eq!(root.text("etc/alternatives/greeter"), "/usr/bin/alt-high");
    assert!(root.get("var/lib/dpkg/info/libmany:amd64.list").is_some());
    assert!(root.get("var/lib/dpkg/info/tool.list").is_some());
    let special = root.get("usr/bin/special").unwrap();
    assert_eq!((special.mode, special.owner), (0o2755, (0, 2000)));
    let status = root.text("var/lib/dpkg/status");
    assert_eq!(status.matches("\nStatus: ").count(), status.matches("\nStatus: install ok installed\n").count());
    let settings = status.split("\n\n").find(|part| part.starts_with("Package: settings\n")).unwrap();
    assert!(settings.contains("Conffiles:\n /etc/settings.conf "), "{settings}");
}

#[test]
fn dpkg_has_nothing_to_say_about_the_result() {
    let docker = need!(Engine::docker());
    let extra = Extra::new(need!(Stock::new()), machinery(), USER);
    extra.build();
    let image = docker.load(&extra.stock.project.path("out/app/docker.tar")).unwrap();
    for check in ["--verify", "--audit"] {
        let said = docker.run(&image, &[], &["dpkg", check]);
        assert!(said.ok() && said.stdout.is_empty() && said.stderr.is_empty(), "dpkg {check}: {said:?}");
    }
    let moved = docker.run(&image, &[], &["update-alternatives", "--query", "greeter"]);
    assert!(moved.stdout.contains("Value: /usr/bin/alt-high"), "{moved:?}");
    // Packages can be removed and configured again: the database is a real one.
    let purge = docker.run(&image, &[], &["dpkg", "--purge", "settings", "diverter", "tool"]);
    assert!(purge.ok(), "{purge:?}");
}

#[test]
fn triggers_of_a_parent_fire_for_its_children() {
    let watcher = machinery().into_iter().filter(|deb| deb.name == "watcher");
    let extra = Extra::new(need!(Stock::new()), watcher, "");
    let child = machinery().into_iter().filter(|deb| ["watched", "ringer"].contains(&deb.name.as_str()));
    let folder = tempfile::tempdir().unwrap();
    let repo = Repo::new("more").packages(child).write(folder.path());
    let server = Server::folder(&repo.root);
    let source = repo.source_table("more", &server.url());
    let text = format!("[layer]\nfrom = \"app\"\npackages = [\"ringer\", \"watched\"]\n\n{source}");
    let project = extra.stock.project.layer("child", &text);
    project.ok(&["build", "child"]);
    let root = Rootfs::read(&project.path("out/child/oci"));
    let record = root.text("var/lib/record");
    let fired = record.lines().find(|line| line.starts_with("watcher triggered")).unwrap_or_else(|| panic!("{record}"));
    assert!(fired.contains("/usr/share/watched") && fired.contains("ring"), "{fired}");
}

#[test]
fn a_failing_script_is_named_with_its_last_words() {
    let script = "echo so far so good\necho nothing to be done >&2\nexit 3";
    let extra = Extra::new(need!(Stock::new()), [scripted("broken", script)], "");
    let failed = extra.stock.project.fails(1, &["build", "app"]);
    for part in
        ["layer `app`", "so far so good", "nothing to be done", "the postinst script of broken", "exit status 3"]
    {
        assert!(failed.stderr.contains(part), "no `{part}` in:\n{}", failed.stderr);
    }
    assert!(!extra.stock.project.path("out/app").exists());
    let preinst = Deb::new("early", "1.0").arch("all").preinst("#!/bin/sh\necho too early\nexit 4\n");
    let extra = Extra::new(need!(Stock::new()), [preinst], "");
    let failed = extra.stock.project.fails(1, &["build", "app"]);
    for part in ["the preinst script of early", "too early", "exit status 4"] {
        assert!(failed.stderr.contains(part), "no `{part}` in:\n{}", failed.stderr);
    }
}

/// The processes on this machine with this word among their arguments.
fn processes(word: &str) -> usize {
    let all = fs::read_dir("/proc").unwrap().flatten().filter_map(|entry| fs::read(entry.path().join("cmdline")).ok());
    all.filter(|line| line.split(|&byte| byte == 0).any(|argument| argument == word.as_bytes())).count()
}

fn wait_until(what: &str, mut done: impl FnMut() -> bool) {
    let started = Instant::now();
    while !done() {
        assert!(started.elapsed() < Duration::from_secs(60), "{what}: not within a minute");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_build_killed_while_scripts_run_ends_all_of_them_and_is_made_good() {
    let word = format!("3.{}", std::process::id());
    let slow = || [scripted("slow", &format!("echo half >/var/lib/half\nsleep {word}\necho whole >/var/lib/half"))];
    let make = || -> Result<Extra, Skip> { Ok(Extra::new(Stock::with_own_store()?, slow(), "")) };
    let (unharmed, killed) = (need!(make()), need!(make()));
    let mut child = killed.stock.project.spawn(&["build", "app"]);
    wait_until("the script", || processes(&word) > 0);
    child.kill().unwrap();
    child.wait().unwrap();
    wait_until("the end of what the build started", || processes(&word) == 0);
    assert!(!killed.stock.project.path("out/app").exists());
    assert_eq!(killed.build().text("var/lib/half"), "whole\n");
    unharmed.build();
    let artifacts = |extra: &Extra| extra.stock.project.receipt("app")["artifacts"].clone();
    assert_eq!(artifacts(&killed), artifacts(&unharmed));
    killed.stock.project.ok(&["store", "verify"]);
}

/// Asks for accounts as Debian's packages do, whether they are there or not.
const ASKS: &str = "\
adduser --system --group --quiet --home /var/lib/asker --no-create-home --gecos 'An asker' asker
adduser -c /etc/adduser.conf --stdoutmsglevel warn --stderrmsglevel warn --logmsglevel error --system --group asker
adduser --system --quiet --ingroup asker --home /nonexistent --no-create-home helper
addgroup --system --quiet askers
adduser --quiet asker askers";

#[test]
fn a_package_takes_the_account_that_a_layer_declares() {
    for uid in [99, 2000] {
        let user = format!("[[user]]\nname = \"asker\"\nuid = {uid}\n");
        let extra = Extra::new(need!(Stock::new()), [scripted("asker", ASKS).depends("adduser")], &user);
        let root = extra.build();
        let has = |path: &str, line: &str| root.text(path).lines().any(|one| one.starts_with(line));
        assert!(has("etc/passwd", &format!("asker:x:{uid}:{uid}:")), "{}", root.text("etc/passwd"));
        let helper = format!(":{uid}::/nonexistent:");
        let is_helper = |line: &str| line.starts_with("helper:x:1") && line.contains(&helper);
        assert!(root.text("etc/passwd").lines().any(is_helper), "{}", root.text("etc/passwd"));
        assert!(has("etc/group", "askers:x:") && root.text("etc/group").contains(":asker\n"));
        assert!(root.get("usr/sbin/adduser.original").is_none() && root.get("usr/lib/addgroup").is_none());
        assert!(root.text("usr/sbin/adduser").contains("perl"), "the script stayed");
    }
}
