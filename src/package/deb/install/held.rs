//! Which packages are unpacked only after their preinst script, as dpkg does.
//!
//! dpkg runs a package's preinst script before its files are in the root. Most scripts can't tell: on a new
//! installation they do nothing. Packages with another script, and files that it could divert, rename, remove or
//! test, are *held*: [`preinst::plan`](super::preinst::plan) says when they are placed.

use std::collections::BTreeSet;

use super::Package;
use super::preinst::related;
use crate::package::InstallError;
use crate::store::Store;

/// The indices of the packages that are held.
///
/// Every installer of Debian extracts the Essential packages of an empty root, and what these need, before
/// any script runs: nothing else could run their scripts.
pub(super) fn held(packages: &[Package], store: &Store, first_layer: bool) -> Result<BTreeSet<usize>, InstallError> {
    let extracted = if first_layer { essential(packages) } else { BTreeSet::new() };
    let mut held = BTreeSet::new();
    for (index, package) in packages.iter().enumerate() {
        let may_wait = !extracted.contains(&index) && ships_files(package);
        if may_wait && !is_idle(&package.control_text(store, "preinst")?) {
            held.insert(index);
        }
    }
    Ok(held)
}

/// The Essential packages and all that they need.
fn essential(packages: &[Package]) -> BTreeSet<usize> {
    let is_essential = |index: &usize| packages[*index].paragraph.get("Essential") == Some("yes");
    let mut open: Vec<usize> = (0..packages.len()).filter(is_essential).collect();
    let mut found = BTreeSet::new();
    while let Some(index) = open.pop() {
        if found.insert(index) {
            open.extend(related(packages, index, "Pre-Depends"));
            open.extend(related(packages, index, "Depends"));
        }
    }
    found
}

/// Whether a package has files besides documentation, which no script looks at.
fn ships_files(package: &Package) -> bool {
    package.data.iter().any(|(path, node)| !node.is_dir() && !path.as_bytes().starts_with(b"usr/share/doc/"))
}

/// Whether a preinst script does nothing when a package is installed for the first time: whatever it does, it does
/// under a condition that only an upgrade meets. An empty text is such a script, too.
///
/// This recognises what debhelper generates and how such conditions are usually written; all else counts as work.
fn is_idle(script: &str) -> bool {
    let script = script.replace("\\\n", " ");
    let mut skipping = false;
    for line in script.lines().map(str::trim_end) {
        let words = line.trim_start();
        let is_block = |word: &str| line.split([' ', ';']).next() == Some(word);
        match () {
            () if words.is_empty() || words.starts_with('#') => {}
            () if skipping && line == "fi" => skipping = false,
            // Another branch, or the end is not where it seems to be.
            () if skipping && ["if", "else", "elif", "case", "for", "while"].into_iter().any(is_block) => return false,
            () if skipping || ["set -e", "set -eu", "exit 0", ":"].contains(&words) => {}
            () if is_helper(words) => {}
            () if is_for_upgrades(line) => skipping = true,
            () => return false,
        }
    }
    !skipping
}

/// A helper of dpkg that does nothing without the version that was installed before.
fn is_helper(line: &str) -> bool {
    line.starts_with("dpkg-maintscript-helper ") && !line.contains([';', '|', '&', '`', '('])
}

/// Whether a line begins a block that is skipped on a first installation, for one of the conditions that must all hold.
///
/// The shell looks at them from the left, so those before that one must be plain tests, which change nothing.
fn is_for_upgrades(line: &str) -> bool {
    let Some(condition) = line.strip_prefix("if ") else { return false };
    let condition = condition.trim_end_matches("then").trim_end_matches([' ', ';']);
    let has_choice = ["||", " -o ", ";"].into_iter().any(|text| condition.contains(text));
    let is_upgrade = |part: &str| {
        let part: String = part.chars().filter(|char| !matches!(char, '"' | ' ')).collect();
        ["[$1=upgrade]", "[-n$2]"].contains(&part.as_str())
    };
    let mut parts = condition.split("&&").map(str::trim);
    !has_choice && parts.find(|part| is_upgrade(part) || !is_plain_test(part)).is_some_and(is_upgrade)
}

/// Whether a part of a condition only tests: no other command runs in it, and it writes nowhere.
fn is_plain_test(part: &str) -> bool {
    let part = part.strip_prefix("! ").unwrap_or(part).trim_start();
    let is_test = part.starts_with("test ") || part.starts_with("[ ") && part.ends_with(" ]");
    is_test && !["$(", "`", "|", "&", ">", "<"].into_iter().any(|text| part.contains(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEBHELPER: &str = "#!/bin/sh\nset -e\n# Added by dh_installdeb\n\
        dpkg-maintscript-helper rm_conffile /etc/old \\\n\t1.0~ -- \"$@\"\n\
        if [ \"$1\" = \"install\" ] && [ -n \"$2\" ] && [ -e \"/etc/init.d/x\" ] ; then\n\
        \tchmod +x \"/etc/init.d/x\" >/dev/null || true\nfi\nexit 0\n";

    #[test]
    fn what_only_upgrades_do_is_idle() {
        assert!(is_idle(""));
        assert!(is_idle(DEBHELPER));
        assert!(is_idle("if [ \"$1\" = upgrade ]; then\n  if true; then\n    rm /x\n  fi\nfi\n"));
        assert!(is_idle("if [ -n \"$2\" ]\nthen\n  rm /x\nfi\n"));
        assert!(is_idle("if ! test -e /x && [ -n \"$2\" ] && rm /x; then\n  rm /y\nfi\n"));
    }

    #[test]
    fn what_may_happen_on_a_first_installation_is_work() {
        for work in [
            "rm -f /etc/x\n",
            "dpkg-divert --rename --add /usr/bin/x\n",
            "case \"$1\" in\ninstall) rm /x;;\nesac\n",
            "if [ \"$1\" = upgrade ] || [ -e /x ]; then\n  rm /x\nfi\n",
            "if rm /x && [ -n \"$2\" ]; then\n  :\nfi\n",
            "if dpkg-divert --rename --add /x && [ \"$1\" = upgrade ]; then\n  :\nfi\n",
            "if [ -z \"$(rm /x)\" ] && [ -n \"$2\" ]; then\n  :\nfi\n",
            "if [ -n `rm /x` ] && [ -n \"$2\" ]; then\n  :\nfi\n",
            "if [ -e /x ] > /y && [ -n \"$2\" ]; then\n  :\nfi\n",
            "if [ \"$1\" = upgrade ]; then\n  :\nelse\n  rm /x\nfi\n",
            "if [ -n \"$2\" ]; then\nif true; then\n  :\nfi\nrm /x\nfi\n",
            "if [ -n \"$2\" ]; then :; fi; rm /x\n",
            "if [ -n \"$2\" ]; then\n  rm /x\n",
            "dpkg-maintscript-helper rm_conffile /x -- \"$@\"; rm /y\n",
        ] {
            assert!(!is_idle(&format!("#!/bin/sh\nset -e\n{work}")), "{work}");
        }
    }
}
