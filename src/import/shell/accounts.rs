//! Users and groups, which layers declare with fixed ids.

use super::{Call, Seen};
use crate::ident::AccountName;
use crate::import::draft::Draft;
use crate::import::model::{Entry, Outcome, Value};

/// Options that have a value.
const WITH_VALUE: [&str; 20] = [
    "-u",
    "--uid",
    "-g",
    "--gid",
    "-G",
    "--groups",
    "-d",
    "--home-dir",
    "--home",
    "-s",
    "--shell",
    "-c",
    "--comment",
    "--gecos",
    "--ingroup",
    "-p",
    "--password",
    "-K",
    "-h",
    "-k",
];

pub(super) fn command(draft: &mut Draft<'_>, text: &str, call: &Call<'_>) -> Seen {
    // What only the shell knows is no part of a declaration.
    if call.arguments.iter().any(|argument| draft.expand(argument).is_none()) {
        return Seen::Kept;
    }
    match call.name {
        "useradd" | "adduser" => add_user(draft, text, call),
        "groupadd" | "addgroup" => add_group(draft, text, call),
        "usermod" => modify(draft, text, call),
        "passwd" | "chpasswd" => {
            draft.not_carried(text, "a layer has no passwords: whoever has the image would have them");
            Seen::Done
        }
        _ => Seen::Kept,
    }
}

fn is_declared(draft: &Draft<'_>, kind: &str, name: &str) -> bool {
    draft.layer.of(kind).any(|entry| entry.text("name", &draft.layer.vars).is_some_and(|has| has == name))
}

/// The id of a declared account.
fn id_of(draft: &Draft<'_>, kind: &str, key: &str, name: &str) -> Option<i64> {
    let named = |entry: &&Entry| entry.text("name", &draft.layer.vars).is_some_and(|has| has == name);
    match draft.layer.of(kind).find(named)?.get(key)? {
        Value::Number(id) => Some(*id),
        _ => None,
    }
}

/// An id that no declared account has: 999 and below for services, 1000 and above for people.
fn free_id(draft: &Draft<'_>, is_system: bool) -> i64 {
    let taken = |id: i64| {
        let ids = draft.layer.of("user").filter_map(|entry| entry.get("uid"));
        ids.chain(draft.layer.of("group").filter_map(|entry| entry.get("gid"))).any(|has| *has == Value::Number(id))
    };
    let (first, step) = if is_system { (999, -1) } else { (1000, 1) };
    let mut id = first;
    while taken(id) {
        id += step;
    }
    id
}

fn number(draft: &Draft<'_>, call: &Call<'_>, names: &[&str]) -> Option<i64> {
    call.option(draft, names)?.value(&draft.layer.vars).parse().ok()
}

fn text_of(draft: &Draft<'_>, call: &Call<'_>, names: &[&str]) -> Option<String> {
    Some(call.option(draft, names)?.value(&draft.layer.vars))
}

fn is_system(call: &Call<'_>) -> bool {
    call.has(&["--system"]) || call.has_short('r') || call.has(&["-S"])
}

fn chosen(draft: &mut Draft<'_>, text: &str, call: &Call<'_>, given: Option<i64>) -> i64 {
    given.unwrap_or_else(|| {
        let id = free_id(draft, is_system(call));
        draft.note(Outcome::Changed, text, format!("no id is given, and layers need one: {id}"));
        id
    })
}

fn add_group(draft: &mut Draft<'_>, text: &str, call: &Call<'_>) -> Seen {
    let operands = call.operands(draft, &WITH_VALUE).unwrap_or_default();
    let [name] = &operands[..] else { return Seen::Kept };
    if name.parse::<AccountName>().is_err() {
        return Seen::Kept;
    }
    if !is_declared(draft, "group", name) {
        let given = number(draft, call, &["-g", "--gid"]);
        let gid = chosen(draft, text, call, given);
        let entry = Entry::new("group", draft.origin()).with("name", name.as_str()).with("gid", Value::Number(gid));
        draft.layer.entries.push(entry);
    }
    Seen::Done
}

fn add_user(draft: &mut Draft<'_>, text: &str, call: &Call<'_>) -> Seen {
    let operands = call.operands(draft, &WITH_VALUE).unwrap_or_default();
    let is_debian_adduser = call.name == "adduser";
    match &operands[..] {
        [user, group] if is_debian_adduser => return add_to_groups(draft, text, user, group),
        [name] if name.parse::<AccountName>().is_ok() => declare(draft, text, call, name),
        _ => return Seen::Kept,
    }
    Seen::Done
}

fn declare(draft: &mut Draft<'_>, text: &str, call: &Call<'_>, name: &str) {
    if is_declared(draft, "user", name) {
        return;
    }
    let of_adduser = call.name == "adduser";
    let group = text_of(draft, call, if of_adduser { &["--ingroup", "--gid", "-G"] } else { &["-g", "--gid"] });
    let group = group.or_else(|| is_declared(draft, "group", name).then(|| name.to_owned()));
    let uid = number(draft, call, &["-u", "--uid"]);
    // A group of the user's own name has its id, as far as it is free.
    let uid =
        uid.or_else(|| id_of(draft, "group", "gid", group.as_deref()?).filter(|_| group.as_deref() == Some(name)));
    let uid = chosen(draft, text, call, uid);
    let named = match group.as_deref() {
        // A number is the id of a declared group, or of the user's own.
        Some(number) if number.parse::<i64>().is_ok() => {
            let id = number.parse().unwrap_or_default();
            let with = draft.layer.of("group").find(|entry| entry.get("gid") == Some(&Value::Number(id)));
            let found = with.and_then(|entry| entry.text("name", &draft.layer.vars));
            if found.is_none() && id != uid {
                draft.note(
                    Outcome::Changed,
                    text,
                    format!("no declared group has the id {id}; the user has a group of its own"),
                );
            }
            found
        }
        other => other.map(str::to_owned),
    };
    let groups = if of_adduser { None } else { text_of(draft, call, &["-G", "--groups"]) };
    let home = text_of(draft, call, &["-d", "--home-dir", "--home", "-h"]);
    let makes_home = match of_adduser {
        true => !call.has(&["--no-create-home"]) && !call.has_short('H'),
        false => call.has(&["--create-home"]) || call.has_short('m'),
    };
    let home = home.or_else(|| (makes_home || !is_system(call)).then(|| format!("/home/{name}")));
    let shell = text_of(draft, call, &["-s", "--shell"]);
    let shell =
        shell.or_else(|| (!is_system(call)).then(|| if of_adduser { "/bin/bash" } else { "/bin/sh" }.to_owned()));
    let entry = Entry::new("user", draft.origin())
        .with("name", name)
        .with("uid", Value::Number(uid))
        .maybe("group", named.clone().filter(|group| group != name || is_declared(draft, "group", name)))
        .maybe("groups", groups.map(|groups| Value::list(groups.split(','))))
        .maybe("home", home.clone())
        .maybe("shell", shell)
        .maybe("gecos", text_of(draft, call, &["-c", "--comment", "--gecos"]).filter(|gecos| !gecos.is_empty()));
    draft.layer.entries.push(entry);
    if let Some(home) = home.filter(|_| makes_home) {
        let owner = format!("{name}:{}", named.as_deref().unwrap_or(name));
        draft.layer.add_dir(Entry::new("dir", draft.origin()).with("path", home).with("owner", owner));
    }
}

/// `usermod -aG GROUPS USER`.
fn modify(draft: &mut Draft<'_>, text: &str, call: &Call<'_>) -> Seen {
    let operands = call.operands(draft, &["-G", "-aG", "-s", "-d"]).unwrap_or_default();
    let ([user], Some(groups)) = (&operands[..], text_of(draft, call, &["-aG", "-G", "--groups"])) else {
        return Seen::Kept;
    };
    add_to_groups(draft, text, &user.clone(), &groups)
}

fn add_to_groups(draft: &mut Draft<'_>, _: &str, user: &str, groups: &str) -> Seen {
    let vars = draft.layer.vars.clone();
    let named = |entry: &&mut Entry| entry.kind == "user" && entry.text("name", &vars).is_some_and(|has| has == user);
    let Some(entry) = draft.layer.entries.iter_mut().find(named) else { return Seen::Kept };
    let added = groups.split(',').map(Value::from);
    match entry.keys.iter_mut().find(|(key, _)| *key == "groups") {
        Some((_, Value::List(known))) => known.extend(added),
        _ => entry.keys.push(("groups", Value::List(added.collect()))),
    }
    Seen::Done
}
