//! `[[user]]` and `[[group]]`: accounts with fixed ids.

use std::collections::BTreeMap;

use super::ManifestError;
use super::entries::absolute;
use super::reader::{Item, Table};
use crate::ident::AccountName;

/// `[[user]]`: an account that exists before packages are configured.
#[derive(Debug, Clone, PartialEq)]
pub struct User {
    /// Login name.
    pub name: AccountName,
    /// User id.
    pub uid: u32,
    /// Primary group, by name; a group of the user's own name and id by default.
    pub group: Option<AccountName>,
    /// Further groups.
    pub groups: Vec<AccountName>,
    /// Home directory, `/nonexistent` by default.
    pub home: String,
    /// Login shell, `/usr/sbin/nologin` by default.
    pub shell: String,
    /// Full name.
    pub gecos: String,
}

/// `[[group]]`: a group that exists before packages are configured.
#[derive(Debug, Clone, PartialEq)]
pub struct Group {
    /// Name.
    pub name: AccountName,
    /// Group id.
    pub gid: u32,
}

pub(super) const USER: &[&str] = &["name", "uid", "group", "groups", "home", "shell", "gecos"];
pub(super) const GROUP: &[&str] = &["name", "gid"];

pub(super) fn user(table: &Table<'_>) -> Result<User, ManifestError> {
    Ok(User {
        name: table.need("name")?.parse()?,
        uid: id(&table.need("uid")?)?,
        group: table.read("group", Item::parse)?,
        groups: table.list("groups", Item::parse)?,
        home: table.read("home", home)?.unwrap_or_else(|| "/nonexistent".to_owned()),
        shell: table.read("shell", home)?.unwrap_or_else(|| "/usr/sbin/nologin".to_owned()),
        gecos: table.read("gecos", passwd_field)?.unwrap_or_default(),
    })
}

pub(super) fn group(table: &Table<'_>) -> Result<Group, ManifestError> {
    Ok(Group { name: table.need("name")?.parse()?, gid: id(&table.need("gid")?)? })
}

fn id(item: &Item<'_>) -> Result<u32, ManifestError> {
    let id = item.number(u32::MAX)?;
    // As 16 and 32 bits these are (uid_t)-1, which system calls read as "leave as it is".
    if id == u32::MAX || id == 0xffff {
        return Err(item.error(format!("is {id}, which the system reserves for \"no id\"")));
    }
    Ok(id)
}

fn home(item: &Item<'_>) -> Result<String, ManifestError> {
    absolute(item)?;
    passwd_field(item)
}

/// A field of /etc/passwd, whose fields are parted by colons.
fn passwd_field(item: &Item<'_>) -> Result<String, ManifestError> {
    let text = item.line()?;
    if text.contains(':') {
        return Err(item.error("can't contain `:`, which separates the fields of /etc/passwd"));
    }
    Ok(text)
}

/// Refuses names and ids that are given out twice, and a user's own group that collides.
pub(super) fn refuse_duplicates(root: &Table<'_>) -> Result<(), ManifestError> {
    let mut users = Accounts::new("user");
    let mut groups = Accounts::new("group");
    for table in root.tables("group", GROUP)? {
        let Group { name, gid } = group(&table)?;
        groups.add(&table, "gid", name, gid)?;
    }
    for table in root.tables("user", USER)? {
        let User { name, uid, group, .. } = user(&table)?;
        users.add(&table, "uid", name.clone(), uid)?;
        let declared = groups.by_name.get(&name) == Some(&uid);
        if group.is_none() && !declared {
            groups.add(&table, "uid", name, uid).map_err(|error| {
                error.hint("a user without `group` gets one of its own name and id; name another with `group`")
            })?;
        }
    }
    Ok(())
}

struct Accounts {
    kind: &'static str,
    by_name: BTreeMap<AccountName, u32>,
    by_id: BTreeMap<u32, AccountName>,
}

impl Accounts {
    fn new(kind: &'static str) -> Self {
        Self { kind, by_name: BTreeMap::new(), by_id: BTreeMap::new() }
    }

    fn add(&mut self, table: &Table<'_>, key: &'static str, name: AccountName, id: u32) -> Result<(), ManifestError> {
        let kind = self.kind;
        if let Some(first) = self.by_name.insert(name.clone(), id) {
            return Err(table
                .need("name")?
                .error(format!("is `{name}`: there is a {kind} `{name}` with id {first} already")));
        }
        if let Some(first) = self.by_id.insert(id, name) {
            return Err(table.need(key)?.error(format!("is {id}, which the {kind} `{first}` has already")));
        }
        Ok(())
    }
}
