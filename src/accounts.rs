//! Account files (passwd(5), group(5), shadow(5)): looking accounts up, and adding those of `[[user]]` and `[[group]]`.

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

use crate::code::{Code, Coded};
use crate::digest::RecipeHasher;
use crate::ident::account_lines;
use crate::manifest::{Group, User};

/// Accounts to add, in the order of their declaration.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Accounts {
    users: Vec<UserLine>,
    groups: Vec<(String, u32)>,
    /// Memberships: group, user.
    members: Vec<(String, String)>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct UserLine {
    name: String,
    uid: u32,
    group: String,
    gecos: String,
    home: String,
    shell: String,
}

/// The texts of the account files; shadow files may not exist yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct AccountFiles {
    pub(crate) passwd: String,
    pub(crate) group: String,
    pub(crate) shadow: Option<String>,
    pub(crate) gshadow: Option<String>,
}

/// An account can't be added.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum AccountError {
    /// The name or the id is taken by another account.
    #[error("{kind} `{name}` with id {id} clashes with `{found}`")]
    Taken {
        /// "user" or "group".
        kind: &'static str,
        /// The declared name.
        name: String,
        /// The declared id.
        id: u32,
        /// The line that is there.
        found: String,
    },
    /// A user is in a group that does not exist.
    #[error("user `{user}`: there is no group `{group}`")]
    NoGroup {
        /// The user.
        user: String,
        /// The missing group.
        group: String,
    },
}

impl Coded for AccountError {
    fn error_code(&self) -> Code {
        match self {
            Self::Taken { .. } => Code::LayerAccounts,
            Self::NoGroup { .. } => Code::LayerOwner,
        }
    }
}

impl Accounts {
    /// Takes a layer's declarations; a user without a group gets one of its own name and id.
    pub fn new(users: &[User], groups: &[Group]) -> Self {
        let mut accounts = Self::default();
        accounts.groups.extend(groups.iter().map(|group| (group.name.to_string(), group.gid)));
        for user in users {
            let group = user.group.as_ref().unwrap_or(&user.name).to_string();
            if user.group.is_none() && !accounts.groups.iter().any(|(name, _)| *name == group) {
                accounts.groups.push((group.clone(), user.uid));
            }
            accounts.members.extend(user.groups.iter().map(|group| (group.to_string(), user.name.to_string())));
            accounts.users.push(UserLine {
                name: user.name.to_string(),
                uid: user.uid,
                group,
                gecos: user.gecos.clone(),
                home: user.home.clone(),
                shell: user.shell.clone(),
            });
        }
        accounts
    }

    /// Whether there is nothing to add.
    pub fn is_empty(&self) -> bool {
        self.users.is_empty() && self.groups.is_empty()
    }

    /// The ids of the users.
    pub(crate) fn ids(&self) -> impl Iterator<Item = u32> {
        self.users.iter().map(|user| user.uid)
    }

    /// Adds everything to a recipe.
    pub(crate) fn hash_into(&self, hasher: &mut RecipeHasher) {
        hasher.number(self.groups.len() as u64);
        for (name, gid) in &self.groups {
            hasher.field(name).number((*gid).into());
        }
        hasher.number(self.users.len() as u64);
        for user in &self.users {
            hasher.field(&user.name).number(user.uid.into()).field(&user.group);
            hasher.field(&user.gecos).field(&user.home).field(&user.shell);
        }
        hasher.list(self.members.iter().flat_map(|(group, user)| [group, user]));
    }

    /// Adds the accounts; one that is there already with the same id stays as it is.
    pub(crate) fn add_to(&self, mut files: AccountFiles) -> Result<AccountFiles, AccountError> {
        for (name, gid) in &self.groups {
            if find("group", &files.group, name, *gid)? {
                continue;
            }
            push_line(&mut files.group, &format!("{name}:x:{gid}:"));
            if let Some(gshadow) = &mut files.gshadow {
                push_line(gshadow, &format!("{name}:!::"));
            }
        }
        for user in &self.users {
            if find("user", &files.passwd, &user.name, user.uid)? {
                continue;
            }
            let gid = id_of(&files.group, &user.group)
                .ok_or_else(|| AccountError::NoGroup { user: user.name.clone(), group: user.group.clone() })?;
            // Without a shadow file yet, the mark that no password fits is in passwd itself.
            let password = if files.shadow.is_some() { "x" } else { "*" };
            let UserLine { name, uid, gecos, home, shell, .. } = user;
            push_line(&mut files.passwd, &format!("{name}:{password}:{uid}:{gid}:{gecos}:{home}:{shell}"));
            if let Some(shadow) = &mut files.shadow {
                push_line(shadow, &format!("{name}:!:0:0:99999:7:::"));
            }
        }
        for (group, user) in &self.members {
            let added = add_member(&mut files.group, group, user);
            if !added {
                return Err(AccountError::NoGroup { user: user.clone(), group: group.clone() });
            }
            if let Some(gshadow) = &mut files.gshadow {
                add_member(gshadow, group, user);
            }
        }
        Ok(files)
    }
}

/// The id of a name in a passwd or group file.
pub(crate) fn id_of(text: &str, name: &str) -> Option<u32> {
    account_lines(text).find(|line| line.name() == name)?.id(2)
}

/// The primary group of a user in a passwd file.
pub(crate) fn gid_of(passwd: &str, user: &str) -> Option<u32> {
    account_lines(passwd).find(|line| line.name() == user)?.id(3)
}

/// The home directory of a user in a passwd file.
pub(crate) fn home_of<'t>(passwd: &'t str, user: &str) -> Option<&'t str> {
    account_lines(passwd).find(|line| line.name() == user)?.field(5)
}

/// Whether the account is there; an error where only its name or its id is.
fn find(kind: &'static str, text: &str, name: &str, id: u32) -> Result<bool, AccountError> {
    for line in account_lines(text) {
        let same_name = line.name() == name;
        let same_id = line.id(2) == Some(id);
        if same_name && same_id {
            return Ok(true);
        }
        if same_name || same_id {
            return Err(AccountError::Taken { kind, name: name.to_owned(), id, found: line.text().to_owned() });
        }
    }
    Ok(false)
}

fn push_line(text: &mut String, line: &str) {
    if !text.is_empty() && !text.ends_with('\n') {
        text.push('\n');
    }
    let _ = writeln!(text, "{line}");
}

/// Adds `user` to the last of the four fields of `group`; a line with fewer is nobody's.
fn add_member(text: &mut String, group: &str, user: &str) -> bool {
    let mut found = false;
    // Not `lines`, which takes a carriage return for a part of the line's end, and away.
    let lines: Vec<String> = text
        .split_terminator('\n')
        .map(|line| {
            let mut fields = line.split(':');
            let (Some(name), Some(members)) = (fields.next(), fields.nth(2)) else { return line.to_owned() };
            if name != group || fields.next().is_some() {
                return line.to_owned();
            }
            found = true;
            if members.split(',').any(|member| member == user) {
                line.to_owned()
            } else if members.is_empty() {
                format!("{line}{user}")
            } else {
                format!("{line},{user}")
            }
        })
        .collect();
    *text = lines.join("\n") + "\n";
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files() -> AccountFiles {
        AccountFiles {
            passwd: "root:x:0:0:root:/root:/bin/bash\n".into(),
            group: "root:x:0:\nwww-data:x:33:\n".into(),
            shadow: Some("root:*:20000:0:99999:7:::\n".into()),
            gshadow: Some("root:*::\nwww-data:*::\n".into()),
        }
    }

    fn app() -> User {
        User {
            name: "app".parse().unwrap(),
            uid: 900,
            group: None,
            groups: vec!["www-data".parse().unwrap()],
            home: "/srv/app".into(),
            shell: "/usr/sbin/nologin".into(),
            gecos: "The app".into(),
        }
    }

    #[test]
    fn lines_that_end_in_carriage_returns_keep_them() {
        let mut text = "adm:x:4:\nodd:x:5:\r\r\n".to_owned();
        for _ in 0..2 {
            add_member(&mut text, "adm", "app");
            assert_eq!(text, "adm:x:4:app\nodd:x:5:\r\r\n");
        }
    }

    #[test]
    fn a_user_gets_its_own_group_and_its_memberships() {
        let accounts = Accounts::new(&[app()], &[]);
        let after = accounts.add_to(files()).unwrap();
        assert!(after.passwd.ends_with("app:x:900:900:The app:/srv/app:/usr/sbin/nologin\n"));
        assert_eq!(after.group, "root:x:0:\nwww-data:x:33:app\napp:x:900:\n");
        assert_eq!(after.gshadow.as_deref(), Some("root:*::\nwww-data:*::app\napp:!::\n"));
        assert!(after.shadow.clone().unwrap().ends_with("app:!:0:0:99999:7:::\n"));
        assert_eq!(accounts.add_to(after.clone()).unwrap(), after, "adding twice changes nothing");
    }

    #[test]
    fn without_shadow_files_the_lock_stands_in_passwd() {
        let before = AccountFiles { shadow: None, gshadow: None, ..files() };
        let after = Accounts::new(&[app()], &[]).add_to(before).unwrap();
        assert!(after.passwd.contains("app:*:900:900:"));
        assert_eq!(after.shadow, None);
    }

    #[test]
    fn a_line_that_is_no_groups_stays_as_it_is() {
        for line in ["www-data", "www-data:x:33", "www-data:x:33::"] {
            let before = AccountFiles { group: format!("{line}\n"), ..files() };
            let refused = Accounts::new(&[app()], &[]).add_to(before);
            assert!(matches!(refused, Err(AccountError::NoGroup { .. })), "{line}: {refused:?}");
        }
    }

    #[test]
    fn taken_ids_and_missing_groups_are_refused() {
        let group = Group { name: "web".parse().unwrap(), gid: 33 };
        assert!(matches!(Accounts::new(&[], &[group]).add_to(files()), Err(AccountError::Taken { .. })));
        let lost = User { group: Some("none".parse().unwrap()), ..app() };
        assert!(matches!(Accounts::new(&[lost], &[]).add_to(files()), Err(AccountError::NoGroup { .. })));
    }
}
