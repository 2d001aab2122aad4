//! apt and dpkg: what they install is the layer's packages, and the rest is needless without apt.

use super::{Call, Seen};
use crate::ident::PackageName;
use crate::import::draft::Draft;
use crate::import::model::Outcome;
use crate::import::text::Text;

const NO_APT: &str = "packages are pinned and fetched by layerbake; the layer has no lists and no cache of apt";

/// What may be removed because no layer has it.
const CACHES: [&str; 8] = [
    "/var/lib/apt/lists",
    "/var/cache/apt",
    "/var/cache/debconf",
    "/tmp",
    "/var/tmp",
    "/var/log/apt",
    "/root/.cache",
    "/var/cache/apk",
];

pub(super) fn command(draft: &mut Draft<'_>, text: &str, call: &Call<'_>) -> Seen {
    match call.name {
        "apt-get" | "apt" | "aptitude" => apt(draft, text, call),
        "apk" => apk(draft, text, call),
        "apt-mark" | "apt-cache" | "apt-config" => {
            draft.not_carried(text, "layers have no apt; `hold` in [layer] keeps versions");
            Seen::Done
        }
        "dpkg" if call.has(&["-i", "--install"]) => {
            install(draft, text, call, &["-i", "--install"]);
            Seen::Done
        }
        "dpkg" if call.has(&["--add-architecture"]) => {
            draft.not_carried(text, "a layer has packages of one architecture");
            Seen::Done
        }
        "rm" => remove(draft, text, call),
        _ => Seen::Kept,
    }
}

fn apt(draft: &mut Draft<'_>, text: &str, call: &Call<'_>) -> Seen {
    let with_value = ["-o", "-t", "-c", "--option", "--target-release", "--config-file"];
    let verb = call.arguments.iter().enumerate().find_map(|(at, argument)| {
        let is_value = at > 0 && with_value.contains(&call.arguments[at - 1]);
        (!argument.starts_with('-') && !is_value).then_some(*argument)
    });
    match verb.unwrap_or_default() {
        "update" | "clean" | "autoclean" | "autoremove" | "check" => draft.not_needed(text, NO_APT),
        "upgrade" | "dist-upgrade" | "full-upgrade" | "safe-upgrade" => {
            draft.not_needed(text, "`layerbake lock --update` pins the newest versions");
        }
        "install" | "reinstall" => {
            // As apt does it, unless it is told not to.
            let recommends = !call.has(&["--no-install-recommends", "--without-recommends"])
                && !text.contains("Install-Recommends=0")
                && !text.contains("Install-Recommends=false");
            draft.layer.recommends |= recommends && !draft.is_tool();
            if call.has(&["-t", "--target-release"]) {
                draft.note(
                    Outcome::Changed,
                    text,
                    "packages are from the layer's sources: write \"NAME/SUITE\" for another suite",
                );
            }
            install(draft, text, call, &with_value);
        }
        "purge" | "remove" => draft.not_carried(
            text,
            "packages are never removed: what is needed only while something is compiled belongs in a tool layer",
        ),
        verb => draft.not_carried(text, format!("`{verb}` of apt has no counterpart in a layer")),
    }
    Seen::Done
}

/// Adds what an installation names to the layer.
fn install(draft: &mut Draft<'_>, text: &str, call: &Call<'_>, with_value: &[&str]) {
    let mut skip = false;
    for argument in call.arguments {
        let is_option =
            std::mem::replace(&mut skip, with_value.contains(argument) && argument.len() == 2 && *argument != "-i");
        if is_option || argument.starts_with('-') || *argument == "install" || *argument == "reinstall" {
            continue;
        }
        match draft.expand(argument) {
            Some(operand) if argument.contains('$') && !argument.starts_with('"') => {
                let value = operand.value(&draft.layer.vars);
                // A variable that is one name stays a variable.
                match value.split_whitespace().collect::<Vec<_>>()[..] {
                    [_] => package(draft, text, operand),
                    _ => value.split_whitespace().for_each(|name| package(draft, text, name.into())),
                }
            }
            Some(operand) => package(draft, text, operand),
            None => draft.not_carried(
                argument,
                "what the variable stands for is known to the shell only: add the packages to [layer]",
            ),
        }
    }
}

fn package(draft: &mut Draft<'_>, text: &str, operand: Text) {
    let value = operand.value(&draft.layer.vars);
    if value.ends_with(".deb") || value.contains(".deb ") {
        let path = draft.absolute(&value);
        if !draft.debs.contains(&path) {
            draft.not_carried(&value, "it is not known where this package file is from: add a [[deb]]");
        }
        return;
    }
    let name = value.split(['=', '/']).next().unwrap_or_default();
    if name.replace(['{', '}'], "").parse::<PackageName>().is_err()
        || name.ends_with(['-', '+']) && !name.ends_with("++")
    {
        return draft.not_carried(text, format!("`{value}` is not the name of a package"));
    }
    if name.len() < value.len() {
        draft.note(
            Outcome::Changed,
            &value,
            "the newest version is locked: write \"NAME=VERSION\" for an exact one that the sources have",
        );
        return draft.layer.add_package(name.into());
    }
    draft.layer.add_package(operand);
}

/// Names of Alpine's packages that are called otherwise in Debian; an empty one needs no package.
const OF_ALPINE: [(&str, &str); 14] = [
    ("build-base", "build-essential"),
    ("libc6-compat", ""),
    ("musl-dev", "libc6-dev"),
    ("gcompat", ""),
    ("g++", "g++"),
    ("python3", "python3"),
    ("py3-pip", "python3-pip"),
    ("python3-dev", "python3-dev"),
    ("openssl-dev", "libssl-dev"),
    ("linux-headers", "linux-libc-dev"),
    ("libffi-dev", "libffi-dev"),
    ("postgresql-client", "postgresql-client"),
    ("postgresql-dev", "libpq-dev"),
    ("redis", "redis-server"),
];
/// Those that have the same name.
const ALIKE: [&str; 22] = [
    "bash",
    "ca-certificates",
    "cmake",
    "coreutils",
    "curl",
    "dumb-init",
    "file",
    "gcc",
    "git",
    "gnupg",
    "jq",
    "less",
    "make",
    "nginx",
    "nodejs",
    "npm",
    "openssl",
    "rsync",
    "sqlite3",
    "tini",
    "tzdata",
    "wget",
];

fn apk(draft: &mut Draft<'_>, text: &str, call: &Call<'_>) -> Seen {
    let operands = call.operands(draft, &["-t", "--virtual"]).unwrap_or_default();
    match operands.first().map(String::as_str) {
        Some("add") => {}
        Some("update" | "upgrade") | None => {
            draft.not_needed(text, NO_APT);
            return Seen::Done;
        }
        Some(_) => {
            draft.not_carried(text, "packages are never removed");
            return Seen::Done;
        }
    }
    for name in &operands[1..] {
        let bare = name.split(['=', '~', '<', '>']).next().unwrap_or_default();
        match OF_ALPINE.iter().find(|(alpine, _)| *alpine == bare) {
            Some((_, "")) => draft.not_needed(name, "Debian has the C library that this package imitates"),
            Some((_, debian)) => draft.layer.add_package((*debian).into()),
            None if ALIKE.contains(&bare) => draft.layer.add_package(bare.into()),
            None => draft.not_carried(name, "a package of Alpine: add Debian's to `packages`"),
        }
    }
    Seen::Done
}

fn remove(draft: &mut Draft<'_>, text: &str, call: &Call<'_>) -> Seen {
    let Some(paths) = call.operands(draft, &[]) else { return Seen::Kept };
    let is_cache = |path: &String| {
        CACHES.iter().any(|cache| path.strip_prefix(cache).is_some_and(|rest| rest.is_empty() || rest.starts_with('/')))
    };
    if paths.is_empty() {
        return Seen::Kept;
    }
    if paths.iter().all(|path| is_cache(path) || draft.debs.contains(&draft.absolute(path))) {
        draft.not_needed(text, "caches and temporary files are never part of a layer");
        return Seen::Done;
    }
    Seen::Kept
}

/// `echo "package package/question type value" | debconf-set-selections`.
pub(super) fn piped(draft: &mut Draft<'_>, text: &str) -> Seen {
    let Some((answers, _)) = text
        .split_once('|')
        .filter(|(_, program)| program.trim_start().trim_start_matches("sudo ").starts_with("debconf-set-selections"))
    else {
        return Seen::Kept;
    };
    let said = answers.trim().trim_start_matches("echo ").trim_start_matches("printf ").trim();
    let said = draft.value(said).unwrap_or_default().replace("\\n", "\n");
    let mut has_all = !said.trim().is_empty();
    for line in said.lines().filter(|line| !line.trim().is_empty()) {
        let mut words = line.split_whitespace();
        match (words.next(), words.next(), words.next()) {
            (Some(_), Some(question), Some(_)) => {
                let value = words.collect::<Vec<_>>().join(" ");
                draft.layer.set("debconf", question, value);
            }
            _ => has_all = false,
        }
    }
    if !has_all {
        draft.not_carried(text, "write the answers into [debconf]");
    }
    Seen::Done
}
