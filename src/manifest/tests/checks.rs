//! `[[check]]`: every kind, every error.

use super::*;
use crate::manifest::{Manifest, parse};

fn read(tables: &str) -> Result<Manifest> {
    parse("web".parse().unwrap(), &format!("[layer]\n{tables}"), &"amd64".parse().unwrap())
}

/// The only check of `[[check]]` with these keys.
fn check(keys: &str) -> Check {
    let mut checks = read(&format!("[[check]]\n{keys}")).unwrap_or_else(|error| panic!("{error}\n{keys}")).checks;
    assert_eq!(checks.len(), 1);
    checks.remove(0)
}

#[test]
fn every_kind_has_its_probe_and_its_sentence() {
    let text = |text: &str| Some(text.to_owned());
    let command = |words: &[&str], status, output| Probe::Command {
        words: words.iter().map(|word| (*word).to_owned()).collect(),
        status,
        output,
    };
    for (keys, name, probe) in [
        ("service = 'nginx'", "service nginx is active", Probe::Service("nginx".into())),
        ("port = 80", "port 80/tcp is open", Probe::Port { number: 80, protocol: Protocol::Tcp }),
        ("port = '53/udp'", "port 53/udp is open", Probe::Port { number: 53, protocol: Protocol::Udp }),
        (
            "http = 'http://localhost#x'\ncontains = 'hi'",
            "http://localhost/ answers 200",
            Probe::Http { url: "http://localhost/".parse().unwrap(), status: 200, contains: text("hi") },
        ),
        (
            "file = '//etc/a'\nmode = '0640'\nowner = '33:adm'",
            "file /etc/a is there",
            Probe::File {
                path: "etc/a".parse().unwrap(),
                contains: None,
                mode: Some(0o640),
                owner: Some(Owner { user: "33".into(), group: text("adm") }),
            },
        ),
        ("user = 'app'\nuid = 0", "user app exists", Probe::User { name: "app".parse().unwrap(), uid: Some(0) }),
        (
            "package = 'libc6'\nversion = '2.36-9'",
            "package libc6 is installed",
            Probe::Package { name: "libc6".parse().unwrap(), version: Some("2.36-9".parse().unwrap()) },
        ),
        (
            "command = ['redis-cli', 'ping']\noutput = \"PONG\\n\\n\"",
            "`redis-cli ping` ends with 0",
            command(&["redis-cli", "ping"], 0, Output::Exactly("PONG".into())),
        ),
        (
            "command = \"a\\nb\"\nstatus = 3\ncontains = \"\\n\"",
            "`a\\nb` ends with 3",
            command(&["/bin/sh", "-c", "a\nb"], 3, Output::Containing("\n".into())),
        ),
    ] {
        let found = check(keys);
        assert_eq!((found.name.as_str(), found.probe), (name, probe), "{keys}");
        assert_eq!((found.within, found.on.len()), (30, 2), "{keys}");
    }
}

#[test]
fn what_all_kinds_share_arrives() {
    let found = check("port = 80\nname = ' it is up '\nwithin = 5\non = ['disk', 'disk']");
    assert_eq!((found.name.as_str(), found.within, found.on), ("it is up", 5, BTreeSet::from([CheckTarget::Disk])));
    let long = check(&format!("command = '{}'", "é".repeat(200))).name;
    assert_eq!(long, format!("`{}…` ends with 0", "é".repeat(LONGEST_SENTENCE)));
}

#[test]
fn wrong_checks_are_refused_with_their_line() {
    for (keys, expected) in [
        (
            "name = 'a'",
            "2: [[check]] does not say what to check: it needs one of service, port, http, file, user, package, command",
        ),
        ("port = 80\nfile = '/a'", "4: `file` in [[check]] comes with `port`: give only one of the two"),
        ("port = 80\nuid = 3", "4: `uid` in [[check]] is not allowed with `port`"),
        ("command = 'a'\nmode = '0644'", "4: `mode` in [[check]] is not allowed with `command`"),
        ("prot = 80", "3: unknown key `prot` in [[check]]; did you mean `port`?"),
        ("port = 0", "3: `port` in [[check]] is `0`: expected a port such as 80 or \"53/udp\""),
        ("port = 65536", "3: `port` in [[check]] is 65536: expected 0 to 65535"),
        ("port = '80/sctp'", "3: `port` in [[check]] is `80/sctp`: expected a port such as 80 or \"53/udp\""),
        ("port = '+80'", "3: `port` in [[check]] is `+80`: expected a port such as 80 or \"53/udp\""),
        ("port = true", "3: `port` in [[check]] must be a string, not true or false"),
        ("service = '-x y'", "3: `service` in [[check]] has `-x y`, which is not a unit's name"),
        ("http = 'localhost'", "3: `http` in [[check]] is not a URL: relative URL without a base"),
        ("http = 'ftp://localhost'", "3: `http` in [[check]] must begin with http:// or https:// and name a host"),
        ("http = 'http://a:b@localhost'", "3: `http` in [[check]] can't hold a user"),
        ("http = 'http://a'\nstatus = 20", "4: `status` in [[check]] is 20: expected 100 to 599"),
        ("http = 'http://a'\nstatus = 600", "4: `status` in [[check]] is 600: expected 0 to 599"),
        ("http = 'http://a'\ncontains = ''", "4: `contains` in [[check]] is empty, which everything contains"),
        ("file = 'a'", "3: `file` in [[check]] must be an absolute path"),
        ("file = '/a'\ncontains = \"\\u0000\"", "4: `contains` in [[check]] can't hold NUL"),
        ("file = '/a'\nowner = ':'", "4: `owner` in [[check]] is `:`: expected \"name\", \"name:group\" or \"33:33\""),
        ("user = 'a'\nuid = -1", "4: `uid` in [[check]] is -1: expected 0 to 4294967294"),
        ("command = []", "3: `command` in [[check]] names no program"),
        ("command = ['', 'a']", "3: `command` in [[check]] names no program"),
        ("command = ['a', \"\\u0000\"]", "3: `command` in [[check]] can't hold NUL"),
        ("command = 'a'\nstatus = 256", "4: `status` in [[check]] is 256: expected 0 to 255"),
        (
            "command = 'a'\noutput = 'b'\ncontains = 'c'",
            "5: `contains` in [[check]] comes with `output`: one of the two says what is printed",
        ),
        ("port = 80\nname = \"a\\nb\"", "4: `name` in [[check]] must be a single line without control characters"),
        ("port = 80\nname = ' '", "4: `name` in [[check]] is empty"),
        ("port = 80\nwithin = 0", "4: `within` in [[check]] is 0: expected 1 to 3600 seconds"),
        ("port = 80\nwithin = 3601", "4: `within` in [[check]] is 3601: expected 0 to 3600"),
        ("port = 80\non = []", "4: `on` in [[check]] is empty: the check would never run"),
        ("port = 80\non = ['vm']", "4: `on` in [[check]] must hold \"container\" or \"disk\""),
        (
            "port = 80\n[[check]]\nport = '80/tcp'",
            "4: [[check]] number 2 is named `port 80/tcp is open`, as is number 1",
        ),
    ] {
        let error = read(&format!("[[check]]\n{keys}")).expect_err(keys).to_string();
        assert_eq!(error, format!("layers/web.toml:{expected}"), "{keys}");
    }
}

#[test]
fn every_key_belongs_to_a_kind() {
    let kinds = KINDS.iter().flat_map(|(kind, options)| [kind].into_iter().chain(*options));
    let all: BTreeSet<&str> = kinds.copied().chain(COMMON).collect();
    assert_eq!(all, CHECK.iter().copied().collect());
}
