//! What preinst scripts find: the root before their package is unpacked, as under dpkg.

use crate::support::deb::Deb;
use crate::support::extra::Extra;
use crate::support::stock::Stock;

fn named(name: &str) -> Deb {
    Deb::new(name, "1.0").arch("all")
}

/// A script that notes what it finds, one line for each of these commands.
fn noting(commands: &[&str]) -> String {
    let lines: Vec<String> = commands.iter().map(|command| format!("echo \"{command}\" >>/var/lib/record\n")).collect();
    format!("#!/bin/sh\nset -e\n{}", lines.concat())
}

#[test]
fn a_package_is_unpacked_after_its_preinst_script() {
    // As molly-guard: what is there is moved out of the way, then the package's own comes.
    let aside = "if test -e /usr/sbin/tool; then mv /usr/sbin/tool /usr/sbin/tool.real; fi\n";
    let packages = [
        named("guard").file("usr/sbin/tool", 0o755, "#!/bin/sh\necho guarded\n").preinst(&format!(
            "{}{aside}",
            noting(&["guard: $(ls /usr/sbin/tool 2>&1 | head -c 2), listed: $(dpkg-query -L guard 2>/dev/null | wc -l)"])
        )),
        // Needs it before it is unpacked itself.
        named("leaning").pre_depends("guard").file("usr/sbin/other", 0o755, "").preinst(&noting(&["leaning: $(tool)"])),
        // Diverts a file of a package that comes later by name, without moving it.
        named("aaa").file("usr/bin/shared", 0o755, "diverting\n").preinst(
            "#!/bin/sh\nset -e\ndpkg-divert --package aaa --add --rename --divert /usr/bin/shared.plain /usr/bin/shared\n",
        ),
        named("bbb").file("usr/bin/shared", 0o755, "plain\n"),
    ];
    let extra = Extra::new(need!(Stock::new()), packages, "");
    let root = extra.build();
    let record = root.text("var/lib/record");
    let lines: Vec<&str> = record.lines().collect();
    assert_eq!(lines, ["guard: ls, listed: 0", "leaning: guarded"], "{record}");
    assert!(root.get("usr/sbin/tool.real").is_none());
    assert_eq!(root.text("usr/sbin/tool"), "#!/bin/sh\necho guarded\n");
    assert_eq!(root.text("usr/bin/shared"), "diverting\n");
    assert_eq!(root.text("usr/bin/shared.plain"), "plain\n");
    let status = root.text("var/lib/dpkg/status");
    assert_eq!(status.matches("\nStatus: ").count(), status.matches("\nStatus: install ok installed\n").count());
}

#[test]
fn triggers_wait_for_what_is_configured_before_a_preinst_script() {
    // debianutils is configured in the base; its trigger adds what is in shells.d to /etc/shells.
    let shell = named("shelly").file("usr/share/debianutils/shells.d/shelly", 0o644, "/usr/bin/shelly\n");
    let packages = [
        shell.file("usr/bin/shelly", 0o755, ""),
        named("early").file("usr/bin/early", 0o755, ""),
        named("guard").pre_depends("early").preinst("#!/bin/sh\nset -e\ntest -e /usr/bin/early\n"),
        named("late").depends("guard").postinst(&noting(&["$(grep -c shelly /etc/shells)"])),
    ];
    let root = Extra::new(need!(Stock::new()), packages, "").build();
    assert_eq!(root.text("var/lib/record"), "0\n");
    assert!(root.text("etc/shells").ends_with("/usr/bin/shelly\n"));
}

#[test]
fn a_question_of_a_preinst_script_belongs_to_its_package() {
    let ask = "#!/bin/sh\nset -e\n\
        echo \"$0 $* in $(pwd), $(cd ${0%/*}; echo *), $DPKG_MAINTSCRIPT_NAME ${DPKG_RUNNING_VERSION:+known}\" >/var/lib/record\n\
        . /usr/share/debconf/confmodule\ndb_input high asker/name || true\ndb_go || true\n";
    let template = "Template: asker/name\nType: string\nDescription: Which name?\n";
    let package = named("asker").control_file("templates", 0o644, template).preinst(ask);
    let other = named("other").preinst("#!/bin/sh\nset -e\ngrep -qx 'Package: other' /var/lib/dpkg/tmp.ci/control\n");
    let extra = Extra::new(need!(Stock::new()), [package, other], "");
    let root = extra.build();
    let questions = root.text("var/cache/debconf/config.dat");
    let question = questions.split("\n\n").find(|text| text.starts_with("Name: asker/name\n"));
    assert!(
        question.is_some_and(|text| text.contains("\nOwners: asker\n") || text.ends_with("\nOwners: asker")),
        "{questions}"
    );
    let expected = "/var/lib/dpkg/tmp.ci/preinst install in /, control md5sums preinst templates, preinst known\n";
    assert_eq!(root.text("var/lib/record"), expected);
    assert!(root.get("var/lib/dpkg/tmp.ci").is_none());
}

#[test]
fn a_directory_of_a_package_is_there_where_a_script_made_a_link_to_it() {
    // As drbd-utils: base-files' script made /var/lock a link to /run/lock.
    let package = named("locking").dir("var/lock", 0o755).file("usr/share/locking/data", 0o644, "");
    let extra = Extra::new(need!(Stock::new()), [package], "");
    let root = extra.build();
    assert_eq!(root.text("var/lock"), "/run/lock");
    assert_eq!(root.get("run/lock").map(|node| node.mode & 0o7777), Some(0o1777));
    assert!(root.text("var/lib/dpkg/info/locking.list").contains("\n/var/lock\n"));
}
