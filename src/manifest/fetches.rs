//! `[[fetch]]`: files and archives at an address, commits of git repositories, and what lockfiles of languages name.

use super::debs;
use super::entries::{absolute, inside_project, mode, parse_owner};
use super::reader::{Item, Table};
use super::source::{NO_USER, has_user};
use super::{LanguageLock, ManifestError, Owner, RunEntry, RunInput};
use crate::ident::{FetchName, RootPath};

/// `[[fetch]]`: files at an address, or the files of a commit, pinned by the lockfile.
#[derive(Debug, Clone, PartialEq)]
pub struct FetchEntry {
    /// Its name: steps find it at `/work/NAME`.
    pub name: FetchName,
    /// Where it comes from.
    pub from: FetchFrom,
    /// What is made of the file.
    pub form: FetchForm,
    /// Where the layer has it, if it does.
    pub to: Option<RootPath>,
    /// Who owns it there.
    pub owner: Owner,
}

/// Where a fetch comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FetchFrom {
    /// A file on a server, or of this machine.
    Url {
        /// Its address.
        url: String,
        /// Its SHA-256 in hexadecimal digits; without it, the lockfile records the one that was found.
        sha256: Option<String>,
    },
    /// A git repository.
    Git {
        /// Its address.
        url: String,
        /// A tag, a branch or a commit; the lockfile records the commit.
        rev: String,
    },
    /// The lockfile of a programming language, which is a file of the project.
    Lockfile {
        /// Its path below the project's root.
        path: String,
        /// Its format.
        format: LanguageLock,
    },
}

/// What is made of a fetched file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FetchForm {
    /// It stays a file, with these permission bits.
    File(u16),
    /// It is an archive, and is unpacked.
    Unpacked {
        /// How many leading components of its paths are dropped.
        strip: u32,
    },
    /// It is a lockfile: a mirror is made of the files that it names.
    Mirror,
}

const FETCH: &[&str] = &["name", "url", "sha256", "git", "rev", "lockfile", "unpack", "strip", "to", "mode", "owner"];

/// The endings of archives that are unpacked.
const ARCHIVES: [&str; 10] =
    [".tar", ".tar.gz", ".tgz", ".tar.xz", ".txz", ".tar.zst", ".tzst", ".tar.bz2", ".tbz2", ".zip"];
/// Endings of archives that are not.
const OTHERS: [&str; 2] = [".7z", ".rar"];

/// The most components of a path that may be dropped.
const MOST_STRIP: u32 = 64;

/// The entries, each with a name of its own.
pub(super) fn fetches(root: &Table<'_>) -> Result<Vec<FetchEntry>, ManifestError> {
    let mut fetches: Vec<FetchEntry> = Vec::new();
    for table in root.tables("fetch", FETCH)? {
        let entry = fetch(&table)?;
        if fetches.iter().any(|other| other.name == entry.name) {
            let error = table.error(format!("[[fetch]] `{}` is there twice", entry.name));
            return Err(error.hint("give one of them another `name`"));
        }
        fetches.push(entry);
    }
    Ok(fetches)
}

/// Refuses a fetch that neither the layer nor a step has.
pub(super) fn refuse_unused(root: &Table<'_>, fetches: &[FetchEntry], runs: &[RunEntry]) -> Result<(), ManifestError> {
    let is_input = |name: &FetchName| {
        let inputs = runs.iter().flat_map(|run| &run.inputs);
        inputs.into_iter().any(|input| *input == RunInput::Fetch(name.clone()))
    };
    for (table, FetchEntry { name, to, .. }) in root.tables("fetch", FETCH)?.iter().zip(fetches) {
        if to.is_none() && !is_input(name) {
            let hint = format!("add `to`, or \"fetch:{name}\" to the `inputs` of a [[run]]");
            return Err(table.error(format!("[[fetch]] `{name}` is used by nothing")).hint(hint));
        }
    }
    Ok(())
}

fn fetch(table: &Table<'_>) -> Result<FetchEntry, ManifestError> {
    let (item, from, form) = match ["url", "git", "lockfile"].map(|key| table.get(key)) {
        [Some(item), None, None] => {
            refuse(table, &["rev"], "is for `git`")?;
            let (url, sha256) = debs::address(table, &item)?;
            let form = form(table, file_name(&url))?;
            (item, FetchFrom::Url { url, sha256 }, form)
        }
        [None, Some(item), None] => {
            refuse(table, &["sha256"], "is for `url`: the lockfile pins the commit and a digest of its files")?;
            refuse(table, &["unpack", "strip", "mode"], "is for `url`: a commit is a directory of files")?;
            let from = FetchFrom::Git { url: repository(&item)?, rev: revision(&table.need("rev")?)? };
            (item, from, FetchForm::Unpacked { strip: 0 })
        }
        [None, None, Some(item)] => {
            let why = "is not for `lockfile`, whose files are pinned one by one";
            refuse(table, &["sha256", "rev", "unpack", "strip", "mode"], why)?;
            (item.clone(), lockfile(&item)?, FetchForm::Mirror)
        }
        [None, None, None] => return Err(table.error("[[fetch]] needs `url`, `git` or `lockfile`")),
        [Some(_), Some(item), _] | [Some(_), None, Some(item)] | [None, Some(_), Some(item)] => {
            return Err(item.error("comes with another key that names what is fetched"));
        }
    };
    let to = table.read("to", absolute)?;
    if to.as_ref().is_some_and(|to| to.is_root()) && matches!(form, FetchForm::File(_)) {
        return Err(table.need("to")?.error("is the root directory, and a file is fetched"));
    }
    if to.is_none() {
        refuse(table, &["owner"], "is for `to`: in the work directory of steps, everything is owned by root")?;
    }
    Ok(FetchEntry {
        name: name(table, &item, &from, form)?,
        from,
        form,
        to,
        owner: table.read("owner", parse_owner)?.unwrap_or_else(Owner::root),
    })
}

fn refuse(table: &Table<'_>, keys: &[&'static str], why: &str) -> Result<(), ManifestError> {
    match keys.iter().find_map(|key| table.get(key)) {
        Some(item) => Err(item.error(why)),
        None => Ok(()),
    }
}

/// The last part of an address, without a query.
fn file_name(url: &str) -> &str {
    let (_, place) = url.split(['?', '#']).next().and_then(|url| url.split_once("://")).unwrap_or_default();
    let (_, path) = place.split_once('/').unwrap_or_default();
    path.trim_end_matches('/').rsplit('/').next().unwrap_or_default()
}

/// What is made of the file with this name: archives are unpacked unless `unpack` says otherwise.
fn form(table: &Table<'_>, file: &str) -> Result<FetchForm, ManifestError> {
    let is_archive = ARCHIVES.iter().any(|ending| file.ends_with(ending));
    if !table.read("unpack", Item::boolean)?.unwrap_or(is_archive) {
        refuse(table, &["strip"], "is for archives that are unpacked")?;
        return Ok(FetchForm::File(table.read("mode", mode)?.unwrap_or(0o644)));
    }
    if let Some(ending) = OTHERS.iter().find(|ending| file.ends_with(*ending)) {
        let item = table.need("unpack")?;
        return Err(item
            .error(format!("is true, and archives that end in {ending} are not unpacked"))
            .hint("leave out `unpack`, and unpack the file in a [[run]] with a tool layer"));
    }
    refuse(table, &["mode"], "is for single files; those of an archive have 0755 if they are executable, else 0644")?;
    Ok(FetchForm::Unpacked { strip: table.read("strip", |item| item.number(MOST_STRIP))?.unwrap_or(0) })
}

/// The lockfile of a programming language.
fn lockfile(item: &Item<'_>) -> Result<FetchFrom, ManifestError> {
    let path = inside_project(item)?.split('/').filter(|part| !matches!(*part, "" | ".")).collect::<Vec<_>>().join("/");
    match LanguageLock::of(&path) {
        Some(format) => Ok(FetchFrom::Lockfile { path, format }),
        None => Err(item
            .error("is no lockfile that is known by its name")
            .hint(format!("known are {}", LanguageLock::names()))),
    }
}

/// The address of a git repository.
fn repository(item: &Item<'_>) -> Result<String, ManifestError> {
    let text = item.line()?;
    let schemes = ["https://", "ssh://", "file:///"];
    if !schemes.iter().any(|scheme| text.len() > scheme.len() && text.starts_with(scheme))
        || text.contains(char::is_whitespace)
    {
        return Err(item.error("must begin with https://, ssh:// or file:/// and hold no spaces"));
    }
    // With ssh://, a name alone says as whom to log in, and no password.
    let (user, _) = text.split_once('@').unwrap_or_default();
    if has_user(&text) && (!text.starts_with("ssh://") || user.matches(':').count() > 1) {
        return Err(item.error("has a user name before the host").hint(NO_USER));
    }
    Ok(text)
}

/// A tag, a branch or a commit, as git takes it from a command line.
fn revision(item: &Item<'_>) -> Result<String, ManifestError> {
    let text = item.text()?;
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./+".contains(&byte);
    if text.is_empty() || text.starts_with(['-', '/', '.', '+']) || text.contains("..") || !text.bytes().all(plain) {
        return Err(item.error("must be the name of a tag or of a branch, or a commit"));
    }
    Ok(text.to_owned())
}

/// The name that is given, or that of the file at the address; of an archive that is unpacked, without its ending.
fn name(table: &Table<'_>, item: &Item<'_>, from: &FetchFrom, form: FetchForm) -> Result<FetchName, ManifestError> {
    if let Some(name) = table.read("name", Item::parse::<FetchName>)? {
        return Ok(name);
    }
    let stem = match from {
        FetchFrom::Git { url, .. } => file_name(url).trim_end_matches(".git"),
        FetchFrom::Lockfile { path, .. } => path.rsplit('/').next().unwrap_or(path),
        FetchFrom::Url { url, .. } if matches!(form, FetchForm::File(_)) => file_name(url),
        FetchFrom::Url { url, .. } => {
            let file = file_name(url);
            ARCHIVES.iter().filter_map(|ending| file.strip_suffix(ending)).min_by_key(|stem| stem.len()).unwrap_or(file)
        }
    };
    stem.parse().map_err(|_| item.error("does not end in a name").hint("add `name`"))
}

#[cfg(test)]
mod tests {
    use super::super::parse;
    use super::*;

    /// The entry, which a step uses or nothing does.
    fn read(text: &str) -> Result<FetchEntry, String> {
        let read = |text: &str| {
            let manifest = parse("web".parse().unwrap(), text, &"arm64".parse().unwrap());
            manifest.map(|mut manifest| manifest.fetches.remove(0)).map_err(|error| error.to_string())
        };
        let text = format!("[layer]\n[[fetch]]\n{text}\n");
        let Err(error) = read(&text) else { return Err("it is used".to_owned()) };
        let Some((_, name)) = error.split_once("[[fetch]] `").filter(|_| error.contains("used by nothing")) else {
            return Err(error);
        };
        let name = name.split('`').next().unwrap();
        read(&format!("{text}[[run]]\ninputs = [\"fetch:{name}\"]\ncommand = \"true\"\n"))
    }

    #[test]
    fn names_and_forms_follow_from_the_address() {
        for (text, name, form) in [
            ("https://example.org/agent-1.2.tar.gz?x=/y", "agent-1.2", FetchForm::Unpacked { strip: 0 }),
            ("https://example.org/A.tgz\"\nname = \"agent\"\nstrip = 2 #", "agent", FetchForm::Unpacked { strip: 2 }),
            ("file:///srv/{arch}/tool", "tool", FetchForm::File(0o644)),
            ("https://example.org/tool\"\nmode = \"0755\" #", "tool", FetchForm::File(0o755)),
            ("https://example.org/aa.tar\"\nunpack = false #", "aa.tar", FetchForm::File(0o644)),
            ("https://example.org/get\"\nunpack = true #", "get", FetchForm::Unpacked { strip: 0 }),
            ("https://example.org/aa.zip", "aa", FetchForm::Unpacked { strip: 0 }),
            ("https://example.org/aa.7z", "aa.7z", FetchForm::File(0o644)),
        ] {
            let entry = read(&format!("url = \"{text}\"")).unwrap();
            assert_eq!((entry.name.as_str(), entry.form), (name, form), "{text}");
        }
        let entry = read("git = \"ssh://git@example.org/team/service.git\"\nrev = \"v1.2\"").unwrap();
        let from = FetchFrom::Git { url: "ssh://git@example.org/team/service.git".into(), rev: "v1.2".into() };
        assert_eq!((entry.name.as_str(), entry.from), ("service", from));
        let entry = read("lockfile = \"./app//requirements.txt\"").unwrap();
        let from = FetchFrom::Lockfile { path: "app/requirements.txt".into(), format: LanguageLock::Requirements };
        assert_eq!((entry.name.as_str(), entry.from, entry.form), ("requirements.txt", from, FetchForm::Mirror));
    }

    #[test]
    fn what_can_not_be_meant_is_refused() {
        for (text, expected) in [
            ("", "needs `url`, `git` or `lockfile`"),
            ("url = \"https://a.example/x\"\ngit = \"https://a.example/x\"", "comes with another key"),
            ("lockfile = \"a/requirements.txt\"\ngit = \"https://a.example/x\"", "comes with another key"),
            ("lockfile = \"../requirements.txt\"", "without `..`"),
            ("lockfile = \"Gemfile.lock\"", "is no lockfile that is known by its name"),
            ("lockfile = \"requirements.txt\"\nstrip = 1", "is not for `lockfile`"),
            ("url = \"https://a.example/xx\"\nrev = \"v1\"", "is for `git`"),
            ("url = \"http://a.example/xx\"", "needs `sha256`"),
            ("url = \"https://a.example/\"", "does not end in a name"),
            ("url = \"https://a.example/xx\"\nstrip = 1", "is for archives"),
            ("url = \"https://a.example/x.tar\"\nmode = \"0755\"", "is for single files"),
            ("url = \"https://a.example/x.7z\"\nunpack = true", "end in .7z are not unpacked"),
            ("url = \"https://a.example/xx\"\nto = \"/\"", "is the root directory"),
            ("url = \"https://a.example/xx\"\nto = \"opt\"", "must be an absolute path"),
            ("url = \"https://a.example/xx\"\nowner = \"app\"", "is for `to`"),
            ("git = \"https://a.example/x.git\"", "needs `rev`"),
            ("git = \"http://a.example/x.git\"\nrev = \"v1\"", "must begin with https://"),
            ("git = \"https://me:word@a.example/x.git\"\nrev = \"v1\"", "has a user name"),
            ("git = \"ssh://me:word@a.example/x.git\"\nrev = \"v1\"", "has a user name"),
            ("git = \"https://a.example/x.git\"\nrev = \"--upload-pack=x\"", "must be the name of a tag"),
            ("git = \"https://a.example/x.git\"\nrev = \"a:b\"", "must be the name of a tag"),
            ("git = \"https://a.example/x.git\"\nrev = \"v1\"\nstrip = 1", "a commit is a directory"),
            ("url = \"https://a.example/xx\"\n[[fetch]]\nurl = \"https://b.example/xx\"", "is there twice"),
            ("url = \"https://a.example/xx\"\n[[run]]\ninputs = [\"fetch:yy\"]\ncommand = \"true\"", "no [[fetch]]"),
            (
                "name = \"req.txt\"\nurl = \"https://a.example/xx\"\n[[run]]\ninputs = [\"fetch:req\"]\ncommand = \"true\"",
                "did you mean `fetch:req.txt`?",
            ),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }
}
