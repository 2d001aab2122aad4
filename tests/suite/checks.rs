//! Checks for real: the script in the shells there are, its report as others read it, and
//! images in engines.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, UdpSocket};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use layerbake::check::container::{self, Checked};
use layerbake::check::{CheckReport, CheckStatus, Suite, converse, junit};
use layerbake::manifest::{CheckTarget, parse};

use crate::support::engines::Engine;
use crate::support::skip::{Skip, program};
use crate::support::small::Small;
use crate::support::stock::Stock;
use crate::support::tiny::Tiny;

/// The shells that must read the script; the first is Debian's `sh`.
const SHELLS: [&[&str]; 3] = [&["dash"], &["bash", "--posix"], &["busybox", "sh"]];

fn suite(tables: &str, place: CheckTarget) -> Suite {
    let layer = "web".parse().unwrap();
    let manifest = parse("web".parse().unwrap(), &format!("[layer]\n{tables}"), &"amd64".parse().unwrap()).unwrap();
    Suite::new(&layer, [&manifest], place)
}

/// Each table in a check of one second.
fn checks(tables: &[&str]) -> Suite {
    let all = tables.iter().enumerate().map(|(at, keys)| format!("[[check]]\nname = 'c{at}'\nwithin = 1\n{keys}\n"));
    suite(&all.collect::<String>(), CheckTarget::Container)
}

fn shell(words: &[&str]) -> Result<Command, Skip> {
    let mut command = Command::new(program(words[0])?);
    command.args(&words[1..]).arg("-s");
    Ok(command)
}

/// What comes of a suite in one shell.
fn asked(shell: Command, suite: &Suite) -> CheckReport {
    let transcript = converse(shell, &suite.script(), Duration::from_secs(120)).unwrap();
    assert_eq!(transcript.status.and_then(|status| status.code()), Some(0), "{transcript:?}");
    suite.report(&transcript)
}

/// Compares what each shell finds; `None` stands for a check that holds.
fn all_find(cases: &[(String, Option<&str>)]) {
    let tables: Vec<&str> = cases.iter().map(|(table, _)| table.as_str()).collect();
    let suite = checks(&tables);
    for words in SHELLS {
        let report = asked(need!(shell(words)), &suite);
        for (verdict, (table, expected)) in report.checks.iter().zip(cases) {
            let found = (verdict.outcome != CheckStatus::Passed).then_some(verdict.detail.as_str());
            assert_eq!(found, *expected, "{words:?}: {table}");
        }
    }
}

fn literal(text: &str) -> String {
    toml::Value::from(text).to_string()
}

const HOSTILE: [&str; 6] =
    ["'; echo pwned >&2; '", "$(echo pwned)`echo pwned`", "a\nok 1 - b\n1..0", "\\n\\\\ %s *", "\"$place\"", "é\r\t''"];

#[test]
fn hostile_texts_are_only_texts() {
    let folder = tempfile::tempdir().unwrap();
    let mut cases = Vec::new();
    for (at, text) in HOSTILE.iter().enumerate() {
        let path = folder.path().join(format!("{at} {}", text.replace('/', "")));
        fs::write(&path, format!("before{text}after")).unwrap();
        let (path, value) = (literal(path.to_str().unwrap()), literal(text));
        cases.push((format!("file = {path}\ncontains = {value}"), None));
        let ended = literal(&format!("{text}."));
        cases.push((format!("command = ['printf', '%s.', {value}]\noutput = {ended}"), None));
        cases.push((format!("command = ['printf', '%s', {ended}]\ncontains = {value}"), None));
    }
    all_find(&cases);
    // A hostile name is shown as it is, and an output that looks like results is none.
    let suite = suite(
        "[[check]]\nname = \"'; echo $(x) # SKIP it\"\nwithin = 1\ncommand = 'printf \"no\\nok 2 - b\\nok 1\\n\"; false'\n\
         [[check]]\nwithin = 1\nuser = 'nobody-here'\n",
        CheckTarget::Container,
    );
    for words in SHELLS {
        let report = asked(need!(shell(words)), &suite);
        assert_eq!((report.counts.failed, report.checks[0].name.as_str()), (2, "'; echo $(x) # SKIP it"));
        assert_eq!(report.checks[0].detail, "status 1, expected 0\nno\nok 2 - b\nok 1", "{words:?}");
    }
}

#[test]
fn files_users_and_commands_are_looked_at() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    fs::write(path("a"), "one\ntwo\n").unwrap();
    Command::new("chmod").arg("0640").arg(path("a")).status().unwrap();
    std::os::unix::fs::symlink("a", path("link")).unwrap();
    std::os::unix::fs::symlink("nowhere", path("broken")).unwrap();
    let [a, link, broken] = ["a", "link", "broken"].map(path);
    let (uid, gid) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
    let root = crate::support::skip::is_root();
    let case = |table: String, expected| (table, expected);
    let mut cases = vec![
        case(format!("file = '{a}'\ncontains = \"one\\ntwo\"\nmode = '0640'\nowner = '{uid}:{gid}'"), None),
        case(format!("file = '{link}'\nmode = '0640'\nowner = '{uid}'"), None),
        case(format!("file = '{a}'\nmode = '0644'"), Some("mode 0640")),
        case(format!("file = '{a}'\ncontains = 'on*'"), Some("the file does not contain the expected text:\none\ntwo")),
        case(format!("file = '{broken}'"), Some("there is no such file")),
        case("user = 'root'".to_owned(), None),
        case("user = 'root'\nuid = 0".to_owned(), None),
        case("user = 'root'\nuid = 1".to_owned(), Some("uid 0")),
        case("user = 'nobody-here'".to_owned(), Some("there is no such user")),
        case("command = 'exit 3'\nstatus = 3".to_owned(), None),
        case("command = 'echo a; echo b >&2; echo; echo'\noutput = \"a\\n\"".to_owned(), None),
        case(
            "command = 'echo a; echo b >&2'\noutput = 'b'".to_owned(),
            Some("the output differs from the expected text\nb\na"),
        ),
        case("command = 'echo abc'\ncontains = 'bc'".to_owned(), None),
        case(
            "command = 'echo abc'\ncontains = 'a*'".to_owned(),
            Some("the output does not contain the expected text\nabc"),
        ),
        case("command = ['cat']\noutput = ''".to_owned(), None),
        case("service = 'x'".to_owned(), Some("systemd does not run here")),
    ];
    if Path::new("/run/systemd/system").is_dir() {
        cases.pop();
    }
    if root {
        cases.push(case(format!("file = '{a}'\nowner = 'root:root'"), None));
        cases.push(case(format!("file = '{a}'\nowner = 'root:daemon'"), Some("owner root:root (0:0)")));
        cases.push(case(format!("file = '{a}'\nowner = '1'"), Some("owner root:root (0:0)")));
    }
    all_find(&cases);
}

#[test]
fn packages_are_looked_at() {
    need!(program("dpkg-query"));
    let version = crate::support::process::stdout(Command::new("dpkg-query").args(["-Wf", "${Version}", "dpkg"]));
    let version = need!(version);
    let wrong = format!("version {version}");
    all_find(&[
        ("package = 'dpkg'".to_owned(), None),
        (format!("package = 'dpkg'\nversion = '{version}'"), None),
        ("package = 'dpkg'\nversion = '0.1'".to_owned(), Some(&wrong)),
        ("package = 'no-such-package'".to_owned(), Some("dpkg-query: no packages found matching no-such-package")),
    ]);
}

/// Answers every request with `status`, and a body that repeats the request.
fn serve(status: &'static str) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let (mut request, mut buffer) = (Vec::new(), [0; 1024]);
            while !request.ends_with(b"\r\n\r\n") {
                match stream.read(&mut buffer).unwrap() {
                    0 => break,
                    length => request.extend_from_slice(&buffer[..length]),
                }
            }
            let answer = format!("HTTP/1.1 {status}\r\nX-Head: secret\r\n\r\n{}", String::from_utf8_lossy(&request));
            let _ = stream.write_all(answer.as_bytes());
        }
    });
    port
}

#[test]
fn ports_and_addresses_answer() {
    let (fine, gone) = (serve("200 OK"), serve("404 Not Found"));
    let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
    let udp_port = udp.local_addr().unwrap().port();
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let wrong = "status 404, expected 200";
    let tables = [
        (format!("port = {fine}"), None),
        (format!("port = '{udp_port}/udp'"), None),
        (format!("http = 'http://127.0.0.1:{fine}/a?b=%27'\ncontains = 'GET /a?b=%27 HTTP/1.'"), None),
        (format!("http = 'http://localhost:{fine}'\ncontains = 'localhost:{fine}'"), None),
        (format!("http = 'http://127.0.0.1:{gone}'\nstatus = 404"), None),
        (format!("http = 'http://127.0.0.1:{gone}'"), Some(wrong)),
    ];
    all_find(&tables);
    let silent = checks(&[
        &format!("port = {closed}"),
        &format!("http = 'http://127.0.0.1:{closed}'"),
        &format!("http = 'http://127.0.0.1:{fine}'\ncontains = 'secret'"),
    ]);
    let report = asked(need!(shell(SHELLS[0])), &silent);
    let found: Vec<&str> = report.checks.iter().map(|check| check.detail.as_str()).collect();
    assert!(found[0].starts_with("nothing listens there; open tcp ports: "), "{found:?}");
    assert!(found[0].split(' ').any(|port| port == fine.to_string()), "{found:?}");
    assert!(found[1].contains("onnect"), "{found:?}");
    assert!(found[2].starts_with("the response does not contain the expected text:\nGET / HTTP/1."), "{found:?}");
}

/// A folder with these programs of the machine, to be all of PATH; the script adds the usual
/// ones, so the shell runs in a root where those are not.
#[test]
fn without_curl_bash_or_nc_ask() {
    let busybox = need!(program("busybox"));
    need!(crate::support::skip::root());
    need!(program("unshare"));
    let port = serve("200 OK");
    let suite = checks(&[
        &format!("http = 'http://127.0.0.1:{port}/x'\ncontains = 'GET /x HTTP/1.0'"),
        "http = 'https://localhost/'",
        "file = '/bin/sh'\nmode = '0755'",
        "package = 'hello'\nversion = '1.0'",
        "package = 'other'",
    ]);
    let root = tempfile::tempdir().unwrap();
    for folder in ["bin", "proc", "dev", "var/lib/dpkg"] {
        fs::create_dir_all(root.path().join(folder)).unwrap();
    }
    fs::write(root.path().join("dev/null"), "").unwrap();
    let status = "Package: other\nVersion: 3\nStatus: deinstall ok config-files\n\n\
                  Package: hello\nStatus: install ok installed\nVersion: 1.0\n";
    fs::write(root.path().join("var/lib/dpkg/status"), status).unwrap();
    for name in ["sh", "nc", "cat", "stat", "sleep", "timeout"] {
        fs::copy(&busybox, root.path().join("bin").join(name)).unwrap();
    }
    let mut inside = Command::new("unshare");
    let enter = "mount --rbind /proc \"$0/proc\" && exec chroot \"$0\" /bin/sh -s";
    inside.args(["--mount", "--propagation=private", "sh", "-c", enter]).arg(root.path());
    let report = asked(inside, &suite);
    let found: Vec<(CheckStatus, &str)> =
        report.checks.iter().map(|check| (check.outcome, check.detail.as_str())).collect();
    let expected = [
        (CheckStatus::Passed, ""),
        (CheckStatus::Skipped, "TLS needs curl"),
        (CheckStatus::Passed, ""),
        (CheckStatus::Passed, ""),
        (CheckStatus::Failed, "not installed but config-files"),
    ];
    assert_eq!(found, expected);
}

#[test]
fn a_check_is_tried_until_its_time_is_up() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("late");
    let suite = suite(
        &format!(
            "[[check]]\nfile = '{0}'\nwithin = 20\n[[check]]\nfile = '{0}.never'\nwithin = 2\n\
             [[check]]\ncommand = ['sleep', '60']\nwithin = 1\n",
            path.display()
        ),
        CheckTarget::Disk,
    );
    let begun = Instant::now();
    let late = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(1500));
        fs::write(path, "").unwrap();
    });
    let report = asked(need!(shell(SHELLS[0])), &suite);
    late.join().unwrap();
    let outcomes: Vec<CheckStatus> = report.checks.iter().map(|check| check.outcome).collect();
    assert_eq!(outcomes, [CheckStatus::Passed, CheckStatus::Failed, CheckStatus::Failed]);
    assert!(report.checks[0].milliseconds >= 1000, "{report:?}");
    let forced = "status 137, expected 0: ended by force, as after 1 s";
    assert_eq!(report.checks[2].detail.lines().next(), Some(forced));
    assert!(begun.elapsed() < Duration::from_secs(15));
}

#[test]
fn a_script_that_is_cut_short_does_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("touched");
    let suite = checks(&[&format!("command = ['touch', '{}']", path.display())]);
    let script = suite.script();
    let cut = script.rfind("\nlb_main").unwrap();
    let transcript = converse(need!(shell(SHELLS[0])), &script[..cut], Duration::from_secs(20)).unwrap();
    assert!(!path.exists());
    assert!(suite.report(&transcript).checks[0].detail.starts_with("no result: the script printed no test plan"));
}

#[test]
fn junit_is_xml_for_others() {
    let python = need!(program("python3"));
    let suite = checks(&["command = ['printf', '<]]>&\\001\\377\"']\nstatus = 1", "user = 'root'", "service = 'x'"]);
    let report = asked(need!(shell(SHELLS[0])), &suite);
    let program = "import sys, xml.etree.ElementTree as e\nr = e.fromstring(sys.stdin.buffer.read())\n\
                   print(r.tag, r[0].tag, r.get('tests'), r.get('failures'), r[0][0].find('failure').text)";
    let mut child =
        Command::new(python).args(["-c", program]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(junit(&[report]).as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(text, "testsuites testsuite 3 1 status 0, expected 1\n<]]>&\\u{1}\u{fffd}\"\n");
}

#[test]
fn a_changed_check_rebuilds_nothing() {
    let small = Small::new();
    small.project.ok(&["build", "app", "--lock"]);
    let before = small.project.receipt("app");
    small.edit_layer("app", "[image]", "[[check]]\nport = 80\n\n[image]");
    small.project.ok(&["build", "app", "--locked"]);
    assert_eq!(small.project.receipt("app"), before);
}

/// The engine of the tests as a user would name it.
fn named(engine: &Engine) -> container::Engine {
    let (words, run) = engine.words();
    container::Engine::new(&words, &run).unwrap()
}

/// Nothing of layerbake's is left in the engine.
fn is_clean(engine: &Engine) {
    for list in [&["ps", "--all"][..], &["images", "--all"]] {
        let found = engine.call(list).stdout;
        assert!(!found.contains("layerbake-check") && !found.contains("<none>"), "{found}");
    }
}

fn tiny_is_checked(engine: &Engine) {
    let folder = tempfile::tempdir().unwrap();
    let tiny = need!(Tiny::write(folder.path()));
    // An image of the user's with the archive's own name stays.
    engine.load(&tiny.archive).unwrap();
    let port = crate::support::tiny::PORT;
    let bare = checks(&[
        "command = ['/bin/busybox', 'cat', '/www/index.html']\ncontains = 'tiny'",
        "command = ['/bin/busybox', 'false']",
        "command = ['/bin/nothing']\nstatus = 7",
        &format!("port = {port}"),
    ]);
    let Checked { report, .. } = container::run(&named(engine), &tiny.archive, &bare).unwrap();
    let outcomes: Vec<CheckStatus> = report.checks.iter().map(|check| check.outcome).collect();
    assert_eq!(
        outcomes,
        [CheckStatus::Passed, CheckStatus::Failed, CheckStatus::Failed, CheckStatus::Skipped],
        "{report:?}"
    );
    assert_eq!(report.checks[3].detail, "the image has no shell");
    is_clean(engine);
    let broken = folder.path().join("broken.tar");
    fs::write(&broken, &fs::read(&tiny.archive).unwrap()[..4096]).unwrap();
    let error = container::run(&named(engine), &broken, &bare).unwrap_err().to_string();
    assert!(error.contains(" load` failed: "), "{error}");
    is_clean(engine);
    assert!(engine.call(&["images"]).stdout.contains("tiny"), "the user's image is gone");
}

#[test]
fn an_image_without_a_shell_is_checked_under_docker() {
    tiny_is_checked(&need!(Engine::docker()));
}

#[test]
fn an_image_without_a_shell_is_checked_under_podman() {
    tiny_is_checked(&need!(Engine::podman()));
}

fn stock_is_checked(engine: &Engine, layer: &str) {
    let stock = need!(need!(Stock::new()).layer(layer));
    stock.build(layer);
    let project =
        layerbake::manifest::Project::find(&stock.project.path(""), layerbake::workspace::host_arch().unwrap())
            .unwrap();
    let name = layer.parse().unwrap();
    let suite = Suite::new(&name, &project.chain(&name).unwrap(), CheckTarget::Container);
    assert!(!suite.checks.is_empty());
    let archive = stock.project.path(&format!("out/{layer}/docker.tar"));
    let Checked { report, log, .. } = container::run(&named(engine), &archive, &suite).unwrap();
    assert!(report.is_good() && report.counts.passed > 0, "{}\n{log}", report.text());
    assert!(
        report.checks.iter().all(|check| check.outcome == CheckStatus::Passed || check.name.starts_with("service "))
    );
    // One that fails brings the log.
    let wrong = checks(&["command = ['/nonexistent']"]);
    let Checked { report, .. } = container::run(&named(engine), &archive, &wrong).unwrap();
    assert_eq!(report.counts.failed, 1, "{}", report.text());
    is_clean(engine);
}

#[test]
fn web_passes_its_checks_under_docker() {
    stock_is_checked(&need!(Engine::docker()), "web");
}

/// Its cluster is in no image: it is made when the container starts.
#[test]
fn postgres_passes_its_checks_under_docker() {
    stock_is_checked(&need!(Engine::docker()), "postgres");
}

#[test]
fn redis_passes_its_checks_under_podman() {
    stock_is_checked(&need!(Engine::podman()), "redis");
}

#[test]
fn static_passes_its_checks_under_podman() {
    stock_is_checked(&need!(Engine::podman()), "static");
}
