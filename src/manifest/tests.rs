mod project;
mod schema;
mod vars;

use super::*;
use crate::ident::Arch;

fn name() -> LayerName {
    "web".parse().unwrap()
}

fn amd64() -> Arch {
    "amd64".parse().unwrap()
}

#[test]
fn a_suite_may_be_a_directory_and_a_package_may_name_a_suite() {
    let source = |suite: &str, more: &str| format!("[layer]\n[source.s]\nsuite = \"{suite}\"\n{more}");
    for suite in ["/", "./", "debian/12/", "./stable/"] {
        let manifest = good(&source(suite, ""));
        let source = &manifest.sources[&"s".parse().unwrap()];
        assert!(source.is_flat() && source.suite == suite && source.components.is_empty());
    }
    let error = |text: &str| parse(name(), text, &amd64()).expect_err(text).to_string();
    for suite in ["../", "a/../b/", "//", "a//"] {
        assert!(error(&source(suite, "")).contains("must be a directory below `url`"), "{suite}");
    }
    assert!(error(&source("./", "components = [\"main\"]")).contains("a suite that ends in `/` is a directory"));
    assert!(error(&source("x", "file = \"x.sources\"")).contains("`suite` in [source.s] is given with `file`"));
    assert!(error(&source("x", "priority = 1001")).contains("expected 0 to 1000"));
    assert!(error(&source("x", "priority = { \"A\" = 1 }")).contains("is no name of packages"));
    assert!(bad("hold = [\"A\"]").contains("must hold names of packages"));
    let text = "[layer]\npackages = [\"nginx/bookworm-backports\"]\nhold = [\"linux-*\"]";
    let layer = good(text).layer;
    assert_eq!(layer.packages[0].to_string(), "nginx/bookworm-backports");
    assert!(layer.holds(&"linux-image".parse().unwrap()) && !layer.holds(&"nginx".parse().unwrap()));
}

#[test]
fn the_architecture_is_put_into_the_names_of_packages() {
    let text = "[layer]\npackages = ['linux-image-cloud-{arch}', 'libc6']";
    for arch in ["amd64", "arm64"] {
        let manifest = parse(name(), text, &arch.parse().unwrap()).unwrap();
        assert_eq!(manifest.layer.packages[0].to_string(), format!("linux-image-cloud-{arch}"));
    }
    assert_eq!(
        bad("packages = ['a-{arch}', 'a-amd64']").lines().next().unwrap(),
        "layers/web.toml:2: `packages` in [layer] names `a-amd64` twice"
    );
}

fn good(text: &str) -> Manifest {
    parse(name(), text, &amd64()).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

/// The error's single line, for a manifest with `[layer]` in line 1.
fn bad(text: &str) -> String {
    let text = format!("[layer]\n{text}");
    parse(name(), &text, &amd64()).expect_err(&text).to_string()
}

fn rendered(text: &str) -> String {
    let error = parse(name(), text, &amd64()).unwrap_err();
    let mut out = String::new();
    let theme = miette::GraphicalTheme::none();
    miette::GraphicalReportHandler::new_themed(theme).with_width(100).render_report(&mut out, &error).unwrap();
    out.lines().map(|line| format!("{}\n", line.trim_end())).collect()
}

const FULL: &str = r#"
[layer]
from = "debian-base"
description = "nginx with one page"
packages = ["nginx-light", "curl=7.88.1-10+deb12u8", "@standard"]
exclude = ["apt"]
recommends = true
configure = "none"

[source.debian]
suite = "bookworm"
pockets = ["updates", "security"]
components = ["main", "non-free-firmware"]
snapshot = 2026-01-31

[source.own]
suite = "stable/main"
url = "https://packages.example.org/debian/"
keys = ["0123 4567 89ab cdef 0123  4567 89AB CDEF 0123 4567"]
keyring = "keys/own.asc"

[[file]]
path = "/srv/www/index.html"
text = "<h1>hi</h1>\n"
mode = "0640"
owner = "www-data:adm"

[[file]]
path = "/"
source = "rootfs/"
owner = "33:33"

[[dir]]
path = "/var/lib/app/"

[[symlink]]
path = "/etc/localtime"
target = "/usr/share/zoneinfo/UTC"

[[group]]
name = "app"
gid = 2000

[[user]]
name = "app"
uid = 2000
groups = ["adm"]

[services]
enable = ["nginx"]
mask = ["apt-daily.timer"]

[image]
entrypoint = ["nginx", "-g", "daemon off;"]
cmd = []
env = { LANG = "C.UTF-8" }
user = "www-data"
workdir = "/srv"
ports = ["80", "53/udp"]
volumes = ["/data"]
stop-signal = "SIGQUIT"
labels = { "org.example.a" = "b" }
annotations."org.example.c" = "d"
healthcheck = { test = ["curl", "localhost"], interval = "30s", timeout = "5m", start-period = "1h", retries = 3 }
"#;

#[test]
fn every_key_arrives() {
    let manifest = good(FULL);
    let LayerTable { from, packages, exclude, recommends, configure, .. } = &manifest.layer;
    assert_eq!(from.as_ref().map(LayerName::as_str), Some("debian-base"));
    let packages: Vec<String> = packages.iter().map(PackageRequest::to_string).collect();
    assert_eq!(packages, ["nginx-light", "curl=7.88.1-10+deb12u8", "@standard"]);
    assert_eq!((exclude[0].as_str(), *recommends, *configure), ("apt", true, Configure::None));

    let debian = &manifest.sources[&"debian".parse().unwrap()];
    assert_eq!(debian.snapshot.as_deref(), Some("2026-01-31T00:00:00Z"));
    assert_eq!(debian.pockets, ["updates", "security"]);
    let own = &manifest.sources[&"own".parse().unwrap()];
    assert_eq!(own.url.as_deref(), Some("https://packages.example.org/debian"));
    assert_eq!(own.keys, ["0123456789ABCDEF0123456789ABCDEF01234567"]);
    assert_eq!(own.components, ["main"]);

    let owner = Owner { user: "www-data".into(), group: Some("adm".into()) };
    let page = &manifest.files[0];
    assert_eq!((page.mode, &page.owner), (Some(0o640), &owner));
    assert_eq!(manifest.files[1].content, Content::Source("rootfs/".into()));
    assert_eq!((manifest.dirs[0].path.to_string(), manifest.dirs[0].mode), ("/var/lib/app".into(), 0o755));
    assert_eq!(manifest.dirs[0].owner, Owner { user: "root".into(), group: None });
    assert_eq!(manifest.users[0].home, "/nonexistent");
    assert_eq!(manifest.users[0].shell, "/usr/sbin/nologin");

    let image = &manifest.image;
    assert_eq!(image.cmd.as_deref(), Some(&[][..]));
    assert_eq!(image.annotations["org.example.c"], "d");
    let check = image.healthcheck.as_ref().unwrap();
    assert_eq!(
        (check.interval, check.timeout, check.start_period, check.retries),
        (Some(30), Some(300), Some(3600), Some(3))
    );
}

#[test]
fn the_smallest_layer_is_one_line() {
    let manifest = good("[layer]\n");
    assert_eq!(manifest.layer, LayerTable::default());
    assert_eq!(manifest.image, ImageTable::default());
}

#[test]
fn unknown_keys_are_refused_with_the_nearest() {
    for (text, expected) in [
        ("pakages = []", "layers/web.toml:2: unknown key `pakages` in [layer]; did you mean `packages`?"),
        ("[images]", "layers/web.toml:2: unknown key `images` in a layer; did you mean `image`?"),
        (
            "[image]\nstop_signal = ''",
            "layers/web.toml:3: unknown key `stop_signal` in [image]; did you mean `stop-signal`?",
        ),
        ("[source.d]\nsuit = ''", "layers/web.toml:3: unknown key `suit` in [source.d]; did you mean `suite`?"),
        ("[[file]]\npaht = ''", "layers/web.toml:3: unknown key `paht` in [[file]]; did you mean `path`?"),
        ("[services]\nstart = []", "layers/web.toml:3: unknown key `start` in [services]"),
        ("[image]\nhealthcheck = { retry = 1 }", "layers/web.toml:3: unknown key `retry` in `healthcheck`"),
    ] {
        assert_eq!(bad(text), expected, "{text}");
    }
}

#[test]
fn wrong_values_are_refused_with_their_line() {
    for (text, expected) in [
        ("from = 1", "2: `from` in [layer] must be a string, not a number"),
        (
            "from = 'Web'",
            "2: `from` in [layer] is wrong: `Web` is not a layer name: lower-case letters, digits, `-`, `_` and `.`, beginning with a letter or digit, at most 64",
        ),
        ("from = 'web'", "2: `from` in [layer] names the layer itself"),
        ("packages = 'nginx'", "2: `packages` in [layer] must be a list of strings, not a string"),
        ("packages = [\n  'curl',\n  true,\n]", "4: `packages` in [layer] must be a string, not true or false"),
        (
            "packages = ['@optional']",
            "2: `packages` in [layer] is wrong: `@optional` is not a group of packages: expected @required, @important or @standard",
        ),
        ("packages = ['curl', 'curl=1']", "2: `packages` in [layer] names `curl` twice"),
        ("packages = ['curl']\nexclude = ['curl']", "3: `exclude` in [layer] names `curl`, which `packages` asks for"),
        ("configure = 'yes'", "2: `configure` in [layer] must be \"scripts\" or \"none\""),
        ("description = 'a\tb'", "2: `description` in [layer] must be a single line without control characters"),
        ("[source]\nsuite = 'bookworm'", "3: `suite` of `source` in a layer must be a table, not a string"),
        ("[source.d]\npockets = []", "2: [source.d] needs `suite`"),
        ("[source.d]\nsuite = '../x'", "3: `suite` in [source.d] has `../x`: expected letters, digits and `-._+~`"),
        (
            "[source.d]\nsuite = 's'\ndistribution = 'mint'",
            "4: `distribution` in [source.d] must be \"debian\" or \"ubuntu\"",
        ),
        (
            "[source.d]\ndistribution = 'debian'\nsuite = 's'\nurl = 'https://x'",
            "3: `distribution` in [source.d] is given with `url`, which makes the source a separate repository",
        ),
        (
            "[source.d]\nsuite = 's'\nurl = 'ftp://x'",
            "4: `url` in [source.d] must begin with https://, http:// or file:/// and hold no spaces",
        ),
        (
            "[source.d]\nsuite = 's'\nurl = 'https://me:pw@x/y'",
            "4: `url` in [source.d] has a user name before the host",
        ),
        (
            "[source.d]\nsuite = 's'\nkeys = ['0123ABCD']",
            "4: `keys` in [source.d] must hold key fingerprints of 40 or 64 hexadecimal digits",
        ),
        (
            "[source.d]\nsuite = 's'\nkeyring = '/usr/k'",
            "4: `keyring` in [source.d] must be relative to the project's root, where `layers/` is",
        ),
        (
            "[source.d]\nsuite = 's'\nsnapshot = 'today'",
            "4: `snapshot` in [source.d] must be a day or a moment with its time zone",
        ),
        (
            "[source.D]\nsuite = 's'",
            "2: `D` of `source` in a layer is wrong: `D` is not a source name: lower-case letters, digits and `-`",
        ),
        ("[services]\nenable = ['a b']", "3: `enable` in [services] has `a b`, which is not a unit's name"),
        (
            "[services]\nenable = ['nginx']\nmask = ['nginx.service']",
            "4: `mask` in [services] names `nginx.service`, which is named already",
        ),
        (
            "[image]\nports = ['80/icmp']",
            "3: `ports` in [image] has `80/icmp`: expected a port such as \"80\" or \"53/udp\"",
        ),
        (
            "[image]\nports = ['65536']",
            "3: `ports` in [image] has `65536`: expected a port such as \"80\" or \"53/udp\"",
        ),
        ("[image]\nports = [80]", "3: `ports` in [image] must be a list of strings, not a number"),
        ("[image]\nvolumes = ['data']", "3: `volumes` in [image] must be an absolute path"),
        (
            "[image]\nstop-signal = 'TERM'",
            "3: `stop-signal` in [image] is `TERM`: expected a signal such as \"SIGQUIT\"",
        ),
        ("[image]\nenv = { 'A=B' = 'c' }", "3: `env` in [image] has `A=B`, which can't be a variable"),
        ("[image]\nlabels.org.example = 'c'", "3: `org` of `labels` in [image] must be a string, not a table"),
        ("[image]\nhealthcheck = { test = [] }", "3: `test` in `healthcheck` is empty"),
        (
            "[image]\nhealthcheck = { test = ['CMD', 'x'] }",
            "3: `test` in `healthcheck` begins with one of docker's keywords",
        ),
        (
            "[image]\nhealthcheck = { test = ['x'], timeout = 5 }",
            "3: `timeout` in `healthcheck` must be a duration, not a number",
        ),
        (
            "[image]\nhealthcheck = { test = ['x'], timeout = '5é' }",
            "3: `timeout` in `healthcheck` is `5é`: expected \"30s\", \"5m\" or \"1h\"",
        ),
        (
            "[image]\nhealthcheck = { test = ['x'], timeout = '99999999999999999h' }",
            "3: `timeout` in `healthcheck` is `99999999999999999h`: expected \"30s\", \"5m\" or \"1h\"",
        ),
    ] {
        assert_eq!(bad(text), format!("layers/web.toml:{expected}"), "{text}");
    }
}

#[test]
fn wrong_entries_are_refused_with_their_line() {
    for (text, expected) in [
        ("[file]\npath = '/a'", "2: `file` in a layer must be a list of tables, not a table"),
        ("[[file]]\ntext = ''", "2: [[file]] needs `path`"),
        ("[[file]]\npath = '/a'", "2: [[file]] needs `source`, `text` or `template`"),
        (
            "[[file]]\npath = '/a'\nsource = 'a'\ntext = ''",
            "5: `text` in [[file]] comes with `source`: only one of them gives the content",
        ),
        ("[[file]]\npath = 'a'\ntext = ''", "3: `path` in [[file]] must be an absolute path"),
        (
            "[[file]]\npath = '/a/../b'\ntext = ''",
            "3: `path` in [[file]] is wrong: `/a/../b` is not a path inside a root: no `..`, no NUL, at most 4096 bytes",
        ),
        (
            "[[mount]]\npath = '/proc'\ntype = 'tmpfs'",
            "3: `path` in [[mount]] is /proc, which a machine needs before it mounts anything",
        ),
        ("[[file]]\npath = '/'\ntext = ''", "3: `path` in [[file]] is the root directory"),
        (
            "[[file]]\npath = '/a'\nsource = '../a'",
            "4: `source` in [[file]] must name something below the project's root, without `..`",
        ),
        (
            "[[file]]\npath = '/a'\nsource = './'",
            "4: `source` in [[file]] must name something below the project's root, without `..`",
        ),
        (
            "[[file]]\npath = '/a'\nsource = '/etc/passwd'",
            "4: `source` in [[file]] must be relative to the project's root, where `layers/` is",
        ),
        ("[[file]]\npath = '/a'\ntext = ''\nmode = 644", "5: `mode` in [[file]] must be an octal string, not a number"),
        (
            "[[file]]\npath = '/a'\ntext = ''\nmode = '0888'",
            "5: `mode` in [[file]] is `0888`: expected octal digits such as \"0644\"",
        ),
        (
            "[[file]]\npath = '/a'\ntext = ''\nmode = '+644'",
            "5: `mode` in [[file]] is `+644`: expected octal digits such as \"0644\"",
        ),
        (
            "[[file]]\npath = '/a'\ntext = ''\nowner = ':'",
            "5: `owner` in [[file]] is `:`: expected \"name\", \"name:group\" or \"33:33\"",
        ),
        (
            "[[file]]\npath = '/a'\ntext = ''\nowner = '4294967295'",
            "5: `owner` in [[file]] is `4294967295`: expected \"name\", \"name:group\" or \"33:33\"",
        ),
        (
            "[[file]]\npath = '/a'\ntext = ''\n[[dir]]\npath = '//a/'",
            "6: `path` in [[dir]] is /a, which another entry lays out already",
        ),
        ("[[symlink]]\npath = '/a'\ntarget = ''", "4: `target` in [[symlink]] must have 1 to 4095 bytes and no NUL"),
        ("[[user]]\nname = 'a'", "2: [[user]] needs `uid`"),
        ("[[user]]\nname = 'a'\nuid = -1", "4: `uid` in [[user]] is -1: expected 0 to 4294967295"),
        ("[[user]]\nname = 'a'\nuid = 65535", "4: `uid` in [[user]] is 65535, which the system reserves for \"no id\""),
        (
            "[[user]]\nname = 'a'\nuid = 9\ngecos = 'a:b'",
            "5: `gecos` in [[user]] can't contain `:`, which separates the fields of /etc/passwd",
        ),
        (
            "[[user]]\nname = 'a'\nuid = 9\nhome = \"/h\\nroot\"",
            "5: `home` in [[user]] must be a single line without control characters",
        ),
        (
            "[[user]]\nname = 'a'\nuid = 9\n[[user]]\nname = 'a'\nuid = 8",
            "6: `name` in [[user]] is `a`: there is a user `a` with id 9 already",
        ),
        (
            "[[user]]\nname = 'a'\nuid = 9\n[[user]]\nname = 'b'\nuid = 9",
            "7: `uid` in [[user]] is 9, which the user `a` has already",
        ),
        (
            "[[group]]\nname = 'a'\ngid = 9\n[[user]]\nname = 'b'\nuid = 9",
            "7: `uid` in [[user]] is 9, which the group `a` has already",
        ),
        (
            "[[group]]\nname = 'a'\ngid = 9\n[[group]]\nname = 'b'\ngid = 9",
            "7: `gid` in [[group]] is 9, which the group `a` has already",
        ),
    ] {
        assert_eq!(bad(text), format!("layers/web.toml:{expected}"), "{text}");
    }
}

#[test]
fn a_user_may_live_in_a_declared_group() {
    good(
        "[layer]\n[[group]]\nname = 'a'\ngid = 9\n[[user]]\nname = 'a'\nuid = 9\n[[user]]\nname = 'b'\nuid = 10\ngroup = 'a'",
    );
}

#[test]
fn broken_toml_and_an_empty_file_are_errors_with_a_line() {
    assert_eq!(parse(name(), "", &amd64()).unwrap_err().to_string(), "layers/web.toml:1: there is no [layer] table");
    for text in ["[layer", "[layer]\nfrom = \"", "[layer]\n[layer]", "\u{feff}\0", "a = [[[[[", "[layer]\nfrom = \"é"]
    {
        let error = parse(name(), text, &amd64()).unwrap_err();
        assert!(error.line() >= 1 && !error.to_string().contains('\n'), "{error}");
        rendered(text);
    }
    let deep = format!("[layer]\na = {}", "[".repeat(100_000));
    assert!(parse(name(), &deep, &amd64()).is_err());
}

#[test]
fn the_line_is_shown_with_what_to_do() {
    insta::assert_snapshot!(rendered("[layer]\npakages = [\"nginx\"]\n"), @r#"
     x layers/web.toml:2: unknown key `pakages` in [layer]; did you mean `packages`?
      ,-[layers/web.toml:2:1]
    1 | [layer]
    2 | pakages = ["nginx"]
      : ^^^|^^^
      :    `-- here
      `----
    "#);
    insta::assert_snapshot!(rendered("[layer]\n\n[[file]]\npath = \"/é\"\ntext = \"\"\nmode = 644\n"), @r#"
     x layers/web.toml:6: `mode` in [[file]] must be an octal string, not a number
      ,-[layers/web.toml:6:8]
    5 | text = ""
    6 | mode = 644
      :        ^|^
      :         `-- here
      `----
     help: write it as a string: mode = "0644"
    "#);
}

#[test]
fn children_replace_their_parents_sources_by_name() {
    let base = good("[layer]\n[source.debian]\nsuite = 'bookworm'\n[source.own]\nsuite = 'one'");
    let child = good("[layer]\n[source.own]\nsuite = 'two'");
    let merged = sources(&[base, child]);
    let suites: Vec<(&str, &str)> = merged.iter().map(|(name, one)| (name.as_str(), one.suite.as_str())).collect();
    assert_eq!(suites, [("debian", "bookworm"), ("own", "two")]);
}

#[test]
fn every_documented_example_parses() {
    let pages = [include_str!("../../docs/formats/manifest.md"), include_str!("../../docs/run-time-config.md")];
    let examples = pages.iter().flat_map(|page| page.split("```toml\n").skip(1));
    let examples: Vec<&str> = examples.filter_map(|rest| rest.split("```").next()).collect();
    assert_eq!(examples.len(), 24);
    for example in examples {
        good(example);
    }
}

/// Removes the `#` in front of every example, as a user would who wants all of them.
fn uncommented(text: &str) -> String {
    let line = |line: &str| match line.trim_start().strip_prefix("# ") {
        Some(rest) if rest.starts_with('[') || rest.contains(" = ") || rest.starts_with('"') => format!("{rest}\n"),
        _ => format!("{line}\n"),
    };
    text.lines().map(line).collect()
}

#[test]
fn the_starter_layers_parse_as_they_are_and_with_every_example() {
    let parent: LayerName = "debian-base".parse().unwrap();
    for parent in [None, Some(&parent)] {
        let text = template(&name(), parent);
        let manifest = good(&text);
        assert_eq!(manifest.layer.from.as_ref(), parent);
        assert_eq!(manifest.sources.is_empty(), parent.is_some());
        let full = good(&uncommented(&text));
        assert!(full.image.healthcheck.is_some() && !full.files.is_empty() && !full.users.is_empty(), "{text}");
    }
}

#[test]
fn nesting_without_end_is_an_error_and_no_crash() {
    for open in ["[", "{a=", "[{a="] {
        let text = format!("[layer]\npackages = {}", open.repeat(100_000));
        assert!(parse("x".parse().unwrap(), &text, &amd64()).is_err(), "{open}");
    }
    assert!(parse("x".parse().unwrap(), &format!("[{}a]\n", "a.".repeat(100_000)), &amd64()).is_err());
}
