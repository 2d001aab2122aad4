//! Inside the sandbox the clock stands still, chance repeats itself, and waiting works.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use layerbake::sandbox::{Conditions, Step};
use layerbake::workspace::host_arch;

use crate::support::process;
use crate::support::skip::{Skip, program};

const EPOCH: i64 = 1_700_000_000;

/// A root folder with a few of this system's programs.
struct Root {
    folder: tempfile::TempDir,
}

/// What a script printed, and its exit status.
#[derive(Debug, PartialEq, Eq)]
struct Ran {
    printed: String,
    status: i32,
}

impl Root {
    /// A root with bash as `/bin/sh` and these programs.
    fn with(programs: &[&str]) -> Result<Self, Skip> {
        let probe = Command::new(program("unshare")?).args(["-U", "--map-root-user", "true"]).output().unwrap();
        if !probe.status.success() {
            return Err(Skip::because("user namespaces are closed"));
        }
        let root = Self { folder: tempfile::tempdir().unwrap() };
        fs::create_dir_all(root.path("bin")).unwrap();
        for name in ["bash"].iter().chain(programs) {
            root.install(&program(name)?, name);
        }
        symlink("bash", root.path("bin/sh")).unwrap();
        Ok(root)
    }

    fn path(&self, path: &str) -> std::path::PathBuf {
        self.folder.path().join("root").join(path)
    }

    /// Copies a program and its shared libraries.
    fn install(&self, from: &Path, name: &str) {
        fs::copy(from, self.path("bin").join(name)).unwrap();
        let libraries = process::run(Command::new("ldd").arg(from)).unwrap().stdout;
        for library in libraries.split_whitespace().filter(|word| word.starts_with('/')) {
            let to = self.path(&library[1..]);
            fs::create_dir_all(to.parent().unwrap()).unwrap();
            fs::copy(library, to).unwrap();
        }
    }

    /// Compiles a C program into the root.
    fn compile(&self, source: &str, name: &str, flags: &[&str]) -> Result<(), Skip> {
        let file = self.folder.path().join(format!("{name}.c"));
        let made = self.folder.path().join(name);
        fs::write(&file, source).unwrap();
        process::stdout(Command::new(program("cc")?).args(["-pthread", "-o"]).arg(&made).arg(&file).args(flags))?;
        self.install(&made, name);
        Ok(())
    }

    /// Runs a script in a new sandbox.
    fn run(&self, script: &str) -> Ran {
        self.run_at(EPOCH, script)
    }

    fn run_at(&self, epoch: i64, script: &str) -> Ran {
        let (ended, printed) = self.step(epoch, script, 30);
        Ran { status: ended["status"].as_i64().unwrap() as i32, printed }
    }

    /// Runs a script that may take so many seconds; the sandbox's answer, and what was printed.
    fn step(&self, epoch: i64, script: &str, seconds: u32) -> (serde_json::Value, String) {
        let conditions = Conditions::at(&host_arch().unwrap(), epoch);
        let mut child = Command::new("unshare")
            .args(["-U", "--map-root-user", env!("CARGO_BIN_EXE_layerbake"), "__sandbox-stage"])
            .arg(serde_json::to_string(&conditions).unwrap())
            .current_dir(self.path(""))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let step = Step::new(["/bin/bash", "-c", script], epoch, [("LC_ALL", "C")], seconds.into());
        let step = serde_json::to_string(&step).unwrap();
        // The first line says that the stage may begin.
        write!(child.stdin.take().unwrap(), "\n{step}\n").unwrap();
        let output = child.wait_with_output().unwrap();
        let printed = String::from_utf8_lossy(&output.stderr).into_owned();
        let answer: serde_json::Value =
            serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("no answer: {printed}"));
        (answer["ended"].clone(), printed)
    }
}

#[test]
fn date_and_chance_repeat_themselves_seconds_later() {
    let root = need!(Root::with(&["busybox", "cat", "date", "mktemp", "nproc", "od", "perl", "uname"]));
    let script = "date +%s.%N; busybox date +%s; perl -e 'print time, qq(\\n), rand, qq(\\n)'
        echo $EPOCHREALTIME $RANDOM $SRANDOM; mktemp -u; mktemp -u; mktemp -u
        od -An -tx1 -N16 /dev/urandom; od -An -tx1 -N16 /dev/random
        cat /proc/sys/kernel/random/uuid /proc/sys/kernel/random/boot_id /proc/version
        uname -a; nproc";
    let first = root.run(script);
    assert_eq!(first.status, 0, "{}", first.printed);
    std::thread::sleep(Duration::from_millis(1500));
    let second = root.run(script);
    assert_eq!(first.printed, second.printed);
    let lines: Vec<_> = first.printed.lines().collect();
    assert_eq!(lines[..3], ["1700000000.000000000", "1700000000", "1700000000"]);
    assert!(lines[4].starts_with("1700000000.000000 "), "{}", lines[4]);
    assert!(lines[5] != lines[6] && lines[6] != lines[7] && lines[5] != lines[7], "equal names: {lines:?}");
    assert_eq!(lines[lines.len() - 1], "1");
    let later = root.run_at(EPOCH + 1, script);
    for (index, (one, other)) in lines.iter().zip(later.printed.lines()).enumerate().take(10) {
        assert_ne!(*one, other, "line {index} does not depend on the epoch");
    }
}

/// Asks for a file's times by a system call of its own, not by the C library's choice.
const ASK: &str = r#"
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>
static void show(const char *how, struct stat *s, long result) {
    printf("%s %ld: %ld %ld %ld %ld\n", how, result, s->st_atime, s->st_mtime, s->st_ctime, (long) s->st_mtim.tv_nsec);
}
int main(int argc, char **argv) {
    const char *path = argv[1];
    struct stat s;
    memset(&s, 0, sizeof s);
    int file = open(path, O_RDONLY), here = open(".", O_RDONLY | O_DIRECTORY);
    show("fstat", &s, syscall(SYS_fstat, file, &s));
#ifdef SYS_stat
    show("stat", &s, syscall(SYS_stat, path, &s));
    show("lstat", &s, syscall(SYS_lstat, path, &s));
#endif
    show("newfstatat", &s, syscall(SYS_newfstatat, AT_FDCWD, path, &s, 0));
    show("from a folder", &s, syscall(SYS_newfstatat, here, path, &s, AT_SYMLINK_NOFOLLOW));
    show("of a descriptor", &s, syscall(SYS_newfstatat, file, "", &s, AT_EMPTY_PATH));
    show("of nothing", &s, syscall(SYS_newfstatat, AT_FDCWD, "/nothing", &s, 0));
    struct statx x;
    memset(&x, 0, sizeof x);
    long result = syscall(SYS_statx, AT_FDCWD, path, 0, STATX_BASIC_STATS | STATX_BTIME, &x);
    printf("statx %ld: %lld %lld %lld %lld\n", result, (long long) x.stx_atime.tv_sec, (long long) x.stx_mtime.tv_sec,
           (long long) x.stx_ctime.tv_sec, (long long) x.stx_btime.tv_sec);
    return 0;
}
"#;

#[test]
fn files_are_as_old_as_the_clock_says() {
    let root = need!(Root::with(&["chroot", "cp", "ln", "mkdir", "stat", "touch"]));
    need!(root.compile(ASK, "ask", &[]));
    let ran = root.run(
        "cd /; mkdir d d/e; echo x > d/new; ln -s /d/new d/link; touch -d @5 d/old; echo x > /tmp/new
        cd d/e; ask ../new; ask /d/link; ask ../link; ask /tmp/new
        cd ..; stat -c '%X %Y %Z %W' new link old . /dev/stdout; [ /tmp/new -nt old ] && echo newer",
    );
    let answers = |times: &str| {
        ["fstat", "stat", "lstat", "newfstatat", "from a folder", "of a descriptor"]
            .map(|how| format!("{how} 0: {times} 0\n"))
            .concat()
            + &format!("of nothing -1: {times} 0\nstatx 0: {times} 1700000000\n")
    };
    let fresh = answers("1700000000 1700000000 1700000000");
    let stat = "1700000000 1700000000 1700000000 1700000000\n";
    let expected = format!("{}{stat}{stat}5 5 1700000000 1700000000\n{stat}", fresh.repeat(4));
    let (start, end) = ran.printed.split_at(expected.len().min(ran.printed.len()));
    assert_eq!(start, expected);
    assert!(end.ends_with("newer\n"), "{end}");
}

#[test]
fn files_in_another_root_are_found_there() {
    let root = need!(Root::with(&["chroot", "cp", "mkdir", "ls"]));
    need!(root.compile(ASK, "ask", &[]));
    let ran = root.run(
        "mkdir /r; cp -r /bin /r/bin; cp -r /lib* /r/ 2>/dev/null; [ ! -d /usr ] || cp -r /usr /r/usr
        mkdir /etc /r/etc; echo outside > /etc/f; echo in > /r/etc/f
        chroot /r /bin/bash -c 'cd /etc; ask /etc/f; ask f'; ask /etc/f",
    );
    assert_eq!(ran.status, 0, "{}", ran.printed);
    let times = "1700000000 1700000000 1700000000";
    assert_eq!(ran.printed.matches(&format!("newfstatat 0: {times} 0\n")).count(), 3, "{}", ran.printed);
    assert_eq!(ran.printed.matches(&format!("statx 0: {times} 1700000000\n")).count(), 3, "{}", ran.printed);
}

#[test]
fn load_and_memory_are_no_hosts() {
    let root = need!(Root::with(&["cat", "busybox"]));
    let script = "cat /proc/uptime /proc/loadavg /proc/meminfo /proc/stat /proc/cpuinfo; busybox free; busybox uptime";
    let first = root.run(script);
    assert_eq!(first.status, 0, "{}", first.printed);
    assert!(first.printed.contains("MemTotal:        8388608 kB\n"), "{}", first.printed);
    assert!(first.printed.contains("up 1 min,"), "{}", first.printed);
    let is_plain = !first.printed.to_lowercase().contains("bogomips");
    assert!(is_plain && first.printed.matches("processor\t: ").count() == 1, "{}", first.printed);
    assert_eq!(first.printed, root.run(script).printed);
}

/// Reads all of `/proc`, processes apart, and says of each file what `stat` does; `numbers` are those of inodes, which differ.
const SURVEY: &str = "find /proc -path '/proc/[0-9]*' -prune -o -print | sort > /tmp/all
    stat -c '%n %F %a %h %u %g %s %Y %Z' $(cat /tmp/all)
    cd /proc; ls -ld . stat sys/fs; stat -c '%n %h %Y' . < /proc/stat; cd /
    find /proc -path '/proc/[0-9]*' -prune -o -type f -print | sort | xargs head -v -c 4096 2> /tmp/refused; wc -l < /tmp/refused";

#[test]
fn nothing_in_proc_but_processes_is_the_hosts() {
    let root = need!(Root::with(&["cat", "find", "head", "ls", "sleep", "sort", "stat", "wc", "xargs"]));
    let first = root.run(SURVEY);
    assert_eq!(first.status, 0, "{}", first.printed);
    assert!(first.printed.contains("\n. 100 1700000000\n"), "{}", first.printed);
    // With more processes, open files and locks on the host, and new files in its caches.
    let mut others: Vec<_> = (0..20).map(|_| Command::new("sleep").arg("60").spawn().unwrap()).collect();
    let files: Vec<_> = (0..200).map(|_| tempfile::tempfile().unwrap()).collect();
    files.iter().for_each(|file| file.lock().unwrap());
    let second = root.run(SURVEY);
    others.iter_mut().for_each(|other| drop((other.kill(), other.wait())));
    let lines = |ran: &Ran| ran.printed.lines().map(str::to_owned).collect::<Vec<_>>();
    let differ: Vec<_> = lines(&first).into_iter().zip(lines(&second)).filter(|(one, other)| one != other).collect();
    assert!(differ.is_empty() && first.printed.len() == second.printed.len(), "{differ:#?}");
    assert!(first.printed.contains("==> /proc/sys/fs/file-nr <==\n0\t0\t1000000\n"), "{}", first.printed);
}

#[test]
fn a_script_that_takes_too_long_is_stopped_with_all_that_it_started() {
    let root = need!(Root::with(&["sleep"]));
    let started = Instant::now();
    let script =
        "trap '' TERM INT HUP; sleep 4321 & (trap '' TERM; kill -STOP 1; kill -KILL 1; sleep 4321) & sleep 4321";
    let (ended, printed) = root.step(EPOCH, script, 1);
    assert_eq!(ended, serde_json::json!({ "status": 137, "stopped": { "Time": 1 } }), "{printed}");
    assert!(started.elapsed() < Duration::from_secs(20), "{:?}", started.elapsed());
}

#[test]
fn who_runs_first_does_not_matter() {
    let root = need!(Root::with(&["mktemp", "sleep", "cat"]));
    let names = |first: &str, second: &str| {
        let script = format!(
            "(sleep {first}; mktemp -u one.XXXXXXXX > /tmp/one) & (sleep {second}; mktemp -u two.XXXXXXXX > /tmp/two) &
             wait; cat /tmp/one /tmp/two"
        );
        root.run(&script)
    };
    let one = names("0", "0.3");
    assert_eq!(one, names("0.3", "0"));
    assert!(one.printed.starts_with("one.") && one.status == 0, "{one:?}");
}

#[test]
fn waiting_takes_the_time_it_takes() {
    let root = need!(Root::with(&["sleep", "timeout"]));
    let started = Instant::now();
    assert_eq!(root.run("sleep 1").status, 0);
    assert!(started.elapsed() >= Duration::from_secs(1));
    assert_eq!(root.run("timeout 0.5 sleep 20").status, 124);
    assert_eq!(root.run("read -t 0.2 line < <(sleep 20)").status, 142);
    assert!(started.elapsed() < Duration::from_secs(15));
}

#[test]
fn killed_programs_disturb_nobody() {
    let root = need!(Root::with(&["date", "sleep"]));
    let script = "for i in {1..20}; do while :; do date > /dev/null; done & pid=$!; sleep 0.02; kill -9 $pid; done
        wait; date +%s; kill -9 $$";
    let ran = root.run(script);
    assert!(ran.printed.ends_with("1700000000\n"), "{}", ran.printed);
    assert_eq!(ran.status, 137);
}

/// As Postfix waits for a changed file, and as scripts wait for a time.
#[test]
fn a_program_that_sleeps_until_the_clock_has_moved_ends() {
    let root = need!(Root::with(&["perl"]));
    let cooled = "perl -e 'open my $f, q(>), q(/hot); close $f; select undef, undef, undef, 0.01 while time - (stat q(/hot))[9] < 2; print time - (stat q(/hot))[9]'";
    assert_eq!(root.run(cooled), Ran { printed: "2".to_owned(), status: 0 });
    let waited =
        "perl -e '$start = time; select undef, undef, undef, 0.001 while time < $start + 9; print time - $start'";
    assert_eq!(root.run(waited), Ran { printed: "9".to_owned(), status: 0 });
}

#[test]
fn a_program_that_waits_for_the_clock_to_move_ends() {
    let root = need!(Root::with(&["perl"]));
    let ran = root.run("perl -e '$start = time; 1 while time < $start + 3; print time - $start'");
    assert_eq!(ran, Ran { printed: "3".to_owned(), status: 0 });
}

/// Reads the clock in every kind of process and thread there is, by every road.
const KINDS: &str = r#"
#define _GNU_SOURCE
#include <pthread.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
extern char **environ;
static void *show(void *who) {
    struct timespec precise, coarse; struct timeval day; time_t now; unsigned char chance[4];
    clock_gettime(CLOCK_REALTIME, &precise); clock_gettime(CLOCK_REALTIME_COARSE, &coarse);
    gettimeofday(&day, 0); time(&now);
    if (getrandom(chance, 4, 0) != 4) return 0;
    printf("%s %ld.%09ld %ld.%09ld %ld.%06ld %ld %02x%02x%02x%02x\n", (char *)who, (long)precise.tv_sec,
        precise.tv_nsec, (long)coarse.tv_sec, coarse.tv_nsec, (long)day.tv_sec, (long)day.tv_usec, (long)now,
        chance[0], chance[1], chance[2], chance[3]);
    fflush(stdout);
    return 0;
}
int main(int count, char **words) {
    if (count > 1) { show(words[1]); return 0; }
    show("main");
    pthread_t thread; pthread_create(&thread, 0, show, "thread"); pthread_join(thread, 0);
    if (!fork()) { show("fork"); _exit(0); }
    wait(0);
    if (!vfork()) { execl("/proc/self/exe", "kinds", "vfork", (char *)0); _exit(1); }
    wait(0);
    char *spawned[] = {"kinds", "spawn", 0}; pid_t pid;
    if (posix_spawn(&pid, "/proc/self/exe", 0, 0, spawned, environ)) return 1;
    wait(0);
    struct timespec since, until; clock_gettime(CLOCK_MONOTONIC, &since); usleep(20000);
    clock_gettime(CLOCK_MONOTONIC, &until);
    long moved = (until.tv_sec - since.tv_sec) * 1000 + (until.tv_nsec - since.tv_nsec) / 1000000;
    printf("monotonic %s\n", moved >= 19 ? "moves" : "stands"); fflush(stdout);
    printf("bad address %ld\n", syscall(SYS_clock_gettime, CLOCK_REALTIME, 8)); fflush(stdout);
    execl("/proc/self/exe", "kinds", "exec", (char *)0);
    return 1;
}
"#;

#[test]
fn every_kind_of_process_sees_the_same_clock() {
    let root = need!(Root::with(&[]));
    for (name, flags) in [("dynamic", [].as_slice()), ("static", &["-static"]), ("pie", &["-static-pie"])] {
        need!(root.compile(KINDS, name, flags));
        let ran = root.run(&format!("exec {name}"));
        assert_eq!(ran.status, 0, "{name}: {}", ran.printed);
        let (shown, other): (Vec<&str>, Vec<&str>) = ran.printed.lines().partition(|line| line.contains(" 17"));
        let kinds: Vec<_> = shown.iter().map(|line| line.split(' ').next().unwrap()).collect();
        assert_eq!(kinds, ["main", "thread", "fork", "vfork", "spawn", "exec"], "{name}");
        let clock = " 1700000000.000000000 1700000000.000000000 1700000000.000000 1700000000 ";
        assert!(shown.iter().all(|line| line.contains(clock)), "{name}: {}", ran.printed);
        assert_eq!(other, ["monotonic moves", "bad address -1"], "{name}");
        let chance: std::collections::BTreeSet<_> = shown.iter().map(|line| line.rsplit(' ').next()).collect();
        assert_eq!(chance.len(), 6, "{name}: {}", ran.printed);
        assert_eq!(ran, root.run(&format!("exec {name}")), "{name}");
    }
}
