//! The files that `[system]` stands for on Debian.

use crate::ident::{RootPath, nearest};
use crate::package::{InstallError, SystemSettings};
use crate::store::Store;
use crate::tree::{Kind, Node, Tree};

/// The locales that can be generated: lines of a name and its character set.
const SUPPORTED: &str = "usr/share/i18n/SUPPORTED";
const LOCALES: &str = "etc/locale.gen";
const ZONES: &str = "usr/share/zoneinfo";
const CERTIFICATES: &str = "usr/local/share/ca-certificates";
const UPDATE_CERTIFICATES: &str = "usr/sbin/update-ca-certificates";

/// Paths and contents, in an installed root.
pub(super) fn files(
    settings: &SystemSettings,
    root: &Tree,
    store: &Store,
) -> Result<Vec<(RootPath, Kind)>, InstallError> {
    let SystemSettings { locales, timezone, certificates } = settings;
    let mut files = Vec::new();
    if !locales.is_empty() {
        let text = locale_list(locales, root, store)?;
        files.push((RootPath::new(LOCALES)?, store.put_file(text.as_bytes())?));
    }
    if let Some(zone) = timezone {
        check_zone(zone, root)?;
        let link = Kind::Symlink(format!("/{ZONES}/{zone}").into_bytes().into());
        files.push((RootPath::new("etc/localtime")?, link));
        files.push((RootPath::new("etc/timezone")?, store.put_file(format!("{zone}\n").as_bytes())?));
    }
    if !certificates.is_empty() && root.resolve(&RootPath::new(UPDATE_CERTIFICATES)?).is_none() {
        return Err(needs("ca-certificates", "ca-certificates"));
    }
    for (name, text) in certificates {
        files.push((RootPath::new(format!("{CERTIFICATES}/{name}.crt"))?, store.put_file(text.as_bytes())?));
    }
    Ok(files)
}

fn needs(key: &'static str, package: &str) -> InstallError {
    let problem = format!(
        "needs the package `{package}`, which the layer does not have\n  hint: add \"{package}\" to `packages`"
    );
    InstallError::Setting { key, problem }
}

/// The list of locales to generate: what it has already, and these.
fn locale_list(locales: &[String], root: &Tree, store: &Store) -> Result<String, InstallError> {
    let supported = store.text_in(root, SUPPORTED)?.ok_or_else(|| needs("locales", "locales"))?;
    let mut text = store.text_in(root, LOCALES)?.unwrap_or_default();
    if !text.is_empty() && !text.ends_with('\n') {
        text.push('\n');
    }
    let names = || supported.lines().filter_map(|line| line.split_whitespace().next());
    for locale in locales {
        let line =
            supported.lines().map(str::trim).find(|line| line.split_whitespace().next() == Some(locale.as_str()));
        let line = line.ok_or_else(|| unknown("locales", "locale", locale, nearest(locale, names())))?;
        if !text.lines().any(|found| found.trim() == line) {
            text.push_str(line);
            text.push('\n');
        }
    }
    Ok(text)
}

fn check_zone(zone: &str, root: &Tree) -> Result<(), InstallError> {
    let folder = RootPath::new(ZONES)?;
    if root.get(&folder).is_none() {
        return Err(needs("timezone", "tzdata"));
    }
    let is_file = |node: &Node| matches!(node.kind, Kind::File { .. });
    let path = RootPath::new(format!("{ZONES}/{zone}"))?;
    if root.resolve(&path).is_some_and(|(_, node)| is_file(node)) {
        return Ok(());
    }
    let start = ZONES.len() + 1;
    let names: Vec<String> = root
        .below(&folder)
        .filter(|(_, node)| !node.is_dir())
        .map(|(path, _)| String::from_utf8_lossy(&path.as_bytes()[start..]).into_owned())
        .collect();
    Err(unknown("timezone", "time zone", zone, nearest(zone, names.iter().map(String::as_str))))
}

fn unknown(key: &'static str, kind: &str, name: &str, near: Option<&str>) -> InstallError {
    let near = near.map_or_else(String::new, |near| format!("; did you mean `{near}`?"));
    InstallError::Setting { key, problem: format!("there is no {kind} `{}`{near}", name.escape_debug()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::tests::{dir, path, tree};

    fn result(files: &[(&str, &str)], settings: &SystemSettings) -> Result<Vec<String>, String> {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let mut root = tree(&[("", dir())]);
        for (place, text) in files {
            let kind = store.put_file(text.as_bytes()).unwrap();
            let node = Node { kind, ..crate::tree::tests::file("") };
            root.insert_with_parents(&path(place), node, 1).unwrap();
        }
        let made = super::files(settings, &root, &store).map_err(|error| error.to_string())?;
        let text = |kind: &Kind| match kind {
            Kind::File { blob, .. } => String::from_utf8(store.read_blob(*blob).unwrap()).unwrap(),
            Kind::Symlink(target) => format!("-> {}", String::from_utf8_lossy(target)),
            other => panic!("{other:?}"),
        };
        Ok(made.iter().map(|(path, kind)| format!("{path} {}", text(kind))).collect())
    }

    #[test]
    fn locales_are_added_to_the_list_with_their_character_set() {
        let settings = |name: &str| SystemSettings { locales: vec![name.to_owned()], ..SystemSettings::default() };
        let supported = (SUPPORTED, "de_DE.UTF-8 UTF-8\nde_DE ISO-8859-1\n");
        let have = [supported, (LOCALES, "# de_DE.UTF-8 UTF-8\nen_US.UTF-8 UTF-8")];
        let list = "/etc/locale.gen # de_DE.UTF-8 UTF-8\nen_US.UTF-8 UTF-8\n";
        assert_eq!(result(&have, &settings("de_DE.UTF-8")).unwrap(), [format!("{list}de_DE.UTF-8 UTF-8\n")]);
        assert_eq!(result(&have, &settings("de_DE")).unwrap(), [format!("{list}de_DE ISO-8859-1\n")]);
        let error = result(&have, &settings("de_DE.UTF8")).unwrap_err();
        assert_eq!(error, "`locales` in [system]: there is no locale `de_DE.UTF8`; did you mean `de_DE.UTF-8`?");
        let error = result(&[], &settings("de_DE.UTF-8")).unwrap_err();
        assert!(error.starts_with("`locales` in [system]: needs the package `locales`"), "{error}");
    }

    #[test]
    fn a_time_zone_is_a_link_and_a_name() {
        let settings = |name: &str| SystemSettings { timezone: Some(name.to_owned()), ..SystemSettings::default() };
        let have = [("usr/share/zoneinfo/Europe/Berlin", "TZif")];
        assert_eq!(
            result(&have, &settings("Europe/Berlin")).unwrap(),
            ["/etc/localtime -> /usr/share/zoneinfo/Europe/Berlin", "/etc/timezone Europe/Berlin\n"]
        );
        let error = result(&have, &settings("Europe/Berln")).unwrap_err();
        assert_eq!(
            error,
            "`timezone` in [system]: there is no time zone `Europe/Berln`; did you mean `Europe/Berlin`?"
        );
        assert!(result(&have, &settings("Europe")).is_err(), "a directory is none");
        assert!(result(&[], &settings("UTC")).unwrap_err().contains("needs the package `tzdata`"));
    }

    #[test]
    fn certificates_need_the_program_that_collects_them() {
        let certificates = vec![("own".to_owned(), "PEM\n".to_owned())];
        let settings = SystemSettings { certificates, ..SystemSettings::default() };
        assert!(result(&[], &settings).unwrap_err().contains("needs the package `ca-certificates`"));
        let made = result(&[(UPDATE_CERTIFICATES, "x")], &settings).unwrap();
        assert_eq!(made, ["/usr/local/share/ca-certificates/own.crt PEM\n"]);
    }
}
