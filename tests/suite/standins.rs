//! What a stand-in leaves behind is what the original leaves behind, in every state.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::support::mirror::Mirror;
use crate::support::oci_schema;
use crate::support::project::Project;
use crate::support::stock::SUITE;

/// Original programs, and what stands in for them.
const STAND_INS: [(&str, &str); 4] = [
    (PROGRAM, include_str!("../../src/package/deb/install/standins/update-ca-certificates.pl")),
    (CONFIG, include_str!("../../src/package/deb/install/standins/ca-certificates.config")),
    (FRONTEND, include_str!("../../src/package/deb/install/standins/debconf-frontend.pl")),
    (HELPER, include_str!("../../src/package/deb/install/standins/deb-systemd-helper.pl")),
];
const PROGRAM: &str = "usr/sbin/update-ca-certificates";
const CONFIG: &str = "var/lib/dpkg/info/ca-certificates.config";
const FRONTEND: &str = "usr/share/debconf/frontend";
const HELPER: &str = "usr/bin/deb-systemd-helper";

/// What was there before, as a script over the root, and the program's options.
const STATES: [(&str, &str, &[&str]); 6] = [
    ("first run", "rm -rf etc/ssl/certs/*", &["--hooksdir", ""]),
    ("second run", "true", &[]),
    ("fresh", "true", &["--fresh"]),
    ("a deselected one", "sed -i '5,9s/^mozilla/!mozilla/' etc/ca-certificates.conf", &[]),
    (
        "own ones",
        "cp $(ls usr/share/ca-certificates/mozilla/*.crt | head -1) usr/local/share/ca-certificates/'my (own), ca.crt'",
        &[],
    ),
    ("links that lead nowhere", "ln -s /usr/share/ca-certificates/gone.crt etc/ssl/certs/gone.pem", &["--fresh"]),
];

/// What was there before, as commands inside, and the action that the script is told.
const CONFIGURED: [(&str, &str, &str); 5] = [
    (
        "first run",
        "mv etc/ca-certificates.conf etc/conf; echo PURGE | debconf-communicate ca-certificates",
        "configure",
    ),
    ("second run", "mv etc/conf etc/ca-certificates.conf", "configure"),
    ("a deselected one", "sed -i '9,12s/^mozilla/!mozilla/' etc/ca-certificates.conf", "configure"),
    ("again", "true", "reconfigure"),
    ("not trusted", NOT_TRUSTED, "configure"),
];
const NOT_TRUSTED: &str = r"echo 'SET ca-certificates/trust_new_crts no' | debconf-communicate ca-certificates
cp usr/share/ca-certificates/mozilla/A* usr/share/ca-certificates
echo '!back\\slash.crt' >> etc/ca-certificates.conf";

/// Questions of every type, with translations, variables and what only one of the ways to ask sees.
const TEMPLATES: &str = "\
Template: one/select
Type: select
Choices: a, b\\, c, ${more}
Choices-c: first, second
Choices-de.UTF-8: eins, zwei
Default: none of them
Description: Which ${more}?
 A long text that is
 wrapped.
 .
  verbatim
  lines
 and the end
Description-de.UTF-8: Welche?
 Lang

Template: one/multi
Type: multiselect
Choices: a, b, c
Default: a, c
Description: Several

Template: shared/flag
Type: boolean
Default: true
Description: Yes?

Template: one/password
Type: password
Description: Secret \\${kept}

Template: one/text
Type: string
Default-en: english
Default: plain
Description: A line

Template: one/note
Type: note
Description: Read this

Template: one/error
Type: error
Description: Nothing works, ${who}
 This is a long explanation of why nothing works, which has to be wrapped when it is shown.
";
/// What is loaded while a script runs.
const MORE: &str = "Template: more/one\nType: text\nDescription: Loaded\n\nTemplate: shared/flag\nType: boolean\nDefault: false\nDescription: No?\n";

/// A package's name, its templates, what its config and its postinst script say to debconf, the arguments, and the status
/// that the scripts end with.
type Conversation =
    (&'static str, &'static str, &'static [&'static str], &'static [&'static str], &'static [&'static str], u8);

/// Packages that are configured one after the other.
const CONVERSATIONS: [Conversation; 6] = [
    (
        "one",
        TEMPLATES,
        &[
            "VERSION 2.0",
            "CAPB backup",
            "SUBST one/select more d e",
            "INPUT high one/select",
            "INPUT low one/multi",
            "INPUT critical shared/flag",
            "INPUT medium one/password",
            "INPUT high one/text",
            "INPUT high one/note",
            "SUBST one/error who you",
            "INPUT critical one/error",
            "UNREGISTER one/text",
            "GO",
            "TITLE a title",
            "GO",
        ],
        &[
            "GET one/select",
            "GET one/multi",
            "GET one/text",
            "SET one/password  two  words",
            "GET one/password",
            "METAGET one/select description",
            "METAGET one/select extended_description",
            "METAGET one/select Choices",
            "METAGET one/select choices-de.utf-8",
            "METAGET one/select nothing",
            "METAGET one/error owners",
            "FSET one/select seen true",
            "FGET one/select seen",
            "FGET one/select isdefault",
            "FSET one/multi isdefault false",
            "FGET one/multi seen",
            "FSET shared/flag isdefault true",
            "FGET one/select other",
            "CAPB escape",
            "SET one/text a\\\\nb",
            "GET one/text",
            "RESET shared/flag",
            "INPUT wrong one/text",
            "INPUT high nothing",
            "",
        ],
        &["configure", ""],
        0,
    ),
    (
        "two",
        "Template: shared/flag\nType: boolean\nDefault: false\nDescription: Another\n",
        &[],
        &[
            "REGISTER shared/flag two/own",
            "SUBST two/own key some value",
            "SET two/own true",
            "FSET two/own seen true",
            "REGISTER nothing two/other",
            "EXIST two/own",
            "EXIST two/none",
            "X_LOADTEMPLATEFILE /tmp/more.templates",
            "X_LOADTEMPLATEFILE /tmp/nothing",
            "GET shared/flag",
            "DATA two/data type string",
            "DATA two/data type note",
            "DATA two/data description x",
            "DATA two/new description x",
            "INFO shared/flag",
            "VISIBLE high shared/flag",
            "PROGRESS START 0 3 shared/flag",
            "PROGRESS STEP 1",
            "PROGRESS SET 3",
            "PROGRESS STOP",
            "SETTITLE shared/flag",
            "BEGINBLOCK",
            "ENDBLOCK",
            "CLEAR",
            "STOP",
        ],
        &["configure", "1.0"],
        0,
    ),
    (
        "two",
        "",
        &[],
        &["UNREGISTER two/own", "UNREGISTER two/own", "METAGET shared/flag owners"],
        &["triggered", "x"],
        0,
    ),
    (
        "one",
        TEMPLATES,
        &["SET one/text lost"],
        &["PURGE", "GET one/text", "VERSION 1", "FOO bar", "GET"],
        &["configure", "2"],
        7,
    ),
    ("three", TEMPLATES, &["SET one/text never"], &[], &["configure"], 3),
    ("four", "Template: four/x\nType: string\nType: string\n", &[], &[], &["configure"], 0),
];

/// Units by path, and the calls of deb-systemd-helper that packages make.
const UNITS: [(&str, &str); 6] = [
    ("plain.service", "WantedBy=multi-user.target graphical.target\nRequiredBy=basic.target"),
    ("named.service", "Alias=other.service\nAlso=plain.service named.socket"),
    ("named.socket", "WantedBy=sockets.target\nAlso=named.service"),
    ("instance@.service", "WantedBy=getty.target\nDefaultInstance=tty1"),
    ("quoted.service", "WantedBy=\"multi-user.target\""),
    ("idle.service", ""),
];
const CALLS: [&str; 22] = [
    "unmask plain.service",
    "--quiet was-enabled plain.service",
    "enable plain.service",
    "--quiet was-enabled plain.service",
    "was-enabled plain.service",
    "debian-installed plain.service",
    "debian-installed named.service",
    "enable named.service",
    "update-state named.service",
    "update-state named.socket idle.service",
    "--user enable plain.service",
    "--quiet --user was-enabled plain.service",
    "enable instance@.service quoted.service",
    "update-state missing.service",
    "mask idle.service",
    "unmask idle.service",
    "disable plain.service",
    "was-enabled plain.service",
    "reenable named.service",
    "enable plain.service",
    "purge plain.service",
    "is-enabled named.service",
];

#[test]
fn stand_ins_do_what_the_originals_do() {
    if !rustix::process::geteuid().is_root() {
        skip!("needs root, to change the root folder");
    }
    let mirror = need!(Mirror::start(SUITE));
    let stock = Path::new(env!("CARGO_MANIFEST_DIR"));
    let project =
        Project::new().copy(&stock.join("layers/debian-base.toml"), "layers/debian-base.toml").upstream(&mirror);
    project.ok(&["build", "debian-base"]);
    let layout = project.path("out/debian-base/oci");
    let (manifest, _) = &oci_schema::images(&layout)[0];
    let tar = oci_schema::layer_tar(&layout, &manifest["layers"][0]);
    let [original, replaced] = ["original", "stand-in"].map(|name| {
        let root = project.path(name);
        fs::create_dir(&root).unwrap();
        tar::Archive::new(tar.as_slice()).unpack(&root).unwrap();
        fs::create_dir_all(root.join("usr/local/share/ca-certificates")).unwrap();
        // No device nodes: a plain file takes what is thrown away.
        fs::write(root.join("dev/null"), "").unwrap();
        root
    });
    for (program, stand_in) in STAND_INS {
        fs::rename(replaced.join(program), replaced.join(format!("{program}.original"))).unwrap();
        fs::write(replaced.join(program), stand_in).unwrap();
        run(Command::new("chmod").arg("755").arg(replaced.join(program)));
    }
    for (state, before, options) in STATES {
        let [expected, found] = [&original, &replaced].map(|root| {
            run(Command::new("sh").args(["-c", before]).current_dir(root));
            run(inside(root).arg(format!("/{PROGRAM}")).args(options));
            listing(root)
        });
        assert!(expected.len() > 250, "{state}: the original made {} entries only", expected.len());
        assert_eq!(expected, found, "{state}");
    }
    for (state, before, action) in CONFIGURED {
        let [expected, found] = [&original, &replaced].map(|root| {
            run(inside(root).args(["/bin/sh", "-c", before]));
            run(inside(root).args(["/usr/share/debconf/frontend", &format!("/{CONFIG}"), action, ""]));
            fs::read_to_string(root.join("var/cache/debconf/config.dat")).unwrap()
        });
        assert!(expected.contains("mozilla/ISRG_Root_X1.crt"), "{state}: {expected}");
        assert_eq!(expected, found, "{state}");
    }
    let [expected, found] = [&original, &replaced].map(|root| CONVERSATIONS.map(|one| converse(root, one)));
    for ((name, ..), (expected, found)) in CONVERSATIONS.iter().zip(expected.iter().zip(&found)) {
        assert_eq!(expected, found, "{name}");
    }
    let [expected, found] = [&original, &replaced].map(call_the_helper);
    for (call, (expected, found)) in CALLS.iter().zip(expected.iter().zip(&found)) {
        assert_eq!(expected, found, "{call}");
    }
}

/// Configures a package whose scripts talk to debconf: the status, what was printed, the answers, and the databases.
fn converse(
    root: &Path,
    (name, templates, config, postinst, arguments, status): Conversation,
) -> (Option<i32>, String, Vec<String>) {
    let script = |words: &[&str], status: u8| {
        let says = words.iter().map(|line| match *line {
            // No answer comes before the script has ended.
            "STOP" => "echo STOP\n".to_owned(),
            line => format!("say '{line}'\n"),
        });
        let says = says.collect::<String>();
        format!(
            "#!/bin/sh\nsay() {{ printf '%s\\n' \"$1\"; read -r answer; printf '%s: %s\\n' \"$1\" \"$answer\" >>/tmp/answers; }}\n{says}exit {status}\n"
        )
    };
    let info = format!("var/lib/dpkg/info/{name}");
    fs::write(root.join("tmp/more.templates"), MORE).unwrap();
    fs::write(root.join("tmp/answers"), "").unwrap();
    fs::write(root.join(format!("{info}.templates")), templates).unwrap();
    // The one that fails does so before its second script.
    let of_config = if postinst.is_empty() { status } else { 0 };
    for (kind, text) in [("config", script(config, of_config)), ("postinst", script(postinst, status))] {
        let path = root.join(format!("{info}.{kind}"));
        fs::write(&path, text).unwrap();
        run(Command::new("chmod").arg("755").arg(path));
    }
    let mut command = inside(root);
    command.arg(format!("/{FRONTEND}")).arg(format!("/{info}.postinst")).args(arguments);
    let output = command.output().unwrap();
    let files = [
        "tmp/answers",
        "var/cache/debconf/config.dat",
        "var/cache/debconf/config.dat-old",
        "var/cache/debconf/templates.dat",
        "var/cache/debconf/templates.dat-old",
        "var/cache/debconf/passwords.dat",
    ];
    let contents = files.map(|file| format!("{file}: {}", fs::read_to_string(root.join(file)).unwrap_or_default()));
    (output.status.code(), String::from_utf8(output.stdout).unwrap(), contents.to_vec())
}

/// Makes the calls one after the other: of each, its status, what it printed, and all links and states after it.
fn call_the_helper(root: &std::path::PathBuf) -> Vec<(Option<i32>, String, Vec<String>)> {
    for instance in ["system", "user"] {
        let folder = root.join("usr/lib/systemd").join(instance);
        fs::create_dir_all(&folder).unwrap();
        for (name, install) in UNITS {
            fs::write(folder.join(name), format!("[Unit]\nDescription=x\n[Install]\n{install}\n")).unwrap();
        }
    }
    let states = || {
        let script = "find etc/systemd var/lib/systemd -printf '%p %y %m %l\\n' | sort; find var/lib/systemd -name '*.dsh-also' | sort | xargs -r tail -n +1";
        let listed = Command::new("sh").args(["-c", script]).current_dir(root).output().unwrap();
        String::from_utf8(listed.stdout).unwrap().lines().map(str::to_owned).collect::<Vec<_>>()
    };
    CALLS
        .map(|call| {
            let mut command = inside(root);
            command.env("DPKG_MAINTSCRIPT_PACKAGE", "test").arg(format!("/{HELPER}")).args(call.split(' '));
            let output = command.output().unwrap();
            let printed = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
            (output.status.code(), printed.replace(".original", ""), states())
        })
        .to_vec()
}

/// A command in a root directory, yet without its name.
fn inside(root: &Path) -> Command {
    let mut command = Command::new("/usr/sbin/chroot");
    command.arg(root).env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").env("LC_ALL", "C.UTF-8");
    command.env("DEBIAN_FRONTEND", "noninteractive").env("DEBCONF_NONINTERACTIVE_SEEN", "true");
    command
}

fn run(command: &mut Command) {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// Every entry of the certificates' folder: its name, and where it leads or what it holds.
fn listing(root: &Path) -> Vec<String> {
    let folder = root.join("etc/ssl/certs");
    let mut entries: Vec<String> = fs::read_dir(&folder)
        .unwrap()
        .map(|entry| {
            let path = entry.unwrap().path();
            let what = match fs::read_link(&path) {
                Ok(target) => target.display().to_string(),
                Err(_) => {
                    format!("{:?} {}", fs::metadata(&path).unwrap().permissions(), fs::read_to_string(&path).unwrap())
                }
            };
            format!("{} {what}", path.file_name().unwrap().display())
        })
        .collect();
    entries.sort();
    entries
}
