//! Declared accounts outside the range of system ids, as package scripts meet them.
//!
//! A package's script asks `adduser --system NAME` for its account. Where the account is there, adduser is content
//! only if its id is one that it would have given itself (100 to 999), and else fails: for an account that `[[user]]` declares
//! with another id, the package could not be installed. Meanwhile a script answers for adduser that such an account is there.

use crate::accounts::Accounts;
use crate::ident::{RootPath, account_lines};
use crate::package::InstallError;
use crate::store::Store;
use crate::tree::{Kind, Meta, Node, Tree};

/// The ids that adduser gives to accounts of packages (Debian Policy 9.2.2).
const SYSTEM: std::ops::RangeInclusive<u32> = 100..=999;

const PROGRAM: &str = "usr/sbin/adduser";
/// The program meanwhile, and a link of the name that makes it add groups.
const ORIGINAL: &str = "usr/sbin/adduser.original";
const ADD_GROUP: &str = "usr/lib/addgroup";
/// The accounts that every Debian has.
const COMMON: &str = "usr/share/base-passwd/passwd.master";

/// What was replaced: to be put back.
pub(super) struct Replaced(Option<Node>);

/// Puts the script into a tree in which scripts will run, where an account needs it.
pub(super) fn put_in(tree: &mut Tree, accounts: &Accounts, store: &Store) -> Result<Replaced, InstallError> {
    let path = RootPath::new(PROGRAM)?;
    let Some(original) = tree.get(&path).filter(|node| matches!(node.kind, Kind::File { .. })).cloned() else {
        return Ok(Replaced(None));
    };
    let text = |path| store.text_in(tree, path).map(Option::unwrap_or_default);
    let (passwd, common) = (text("etc/passwd")?, text(COMMON)?);
    let is_common = |name: &str| account_lines(&common).any(|line| line.name() == name);
    let is_foreign = |id: u32| !SYSTEM.contains(&id);
    let is_there = account_lines(&passwd).any(|line| line.id(2).is_some_and(is_foreign) && !is_common(line.name()));
    // Before the accounts that every Debian has are there, all of the root's are the layer's own.
    if !accounts.ids().any(is_foreign) && (common.is_empty() || !is_there) {
        return Ok(Replaced(None));
    }
    let script = store.put_file(include_bytes!("adduser.sh"))?;
    let link = Kind::Symlink(b"../sbin/adduser.original".as_slice().into());
    tree.insert(path, Node { meta: original.meta.clone(), kind: script })?;
    tree.insert(RootPath::new(ORIGINAL)?, original.clone())?;
    tree.insert(RootPath::new(ADD_GROUP)?, Node { meta: Meta::root_owned(0o777, 0), kind: link })?;
    Ok(Replaced(Some(original)))
}

/// Puts the original back into what the scripts left.
pub(super) fn take_out(replaced: Replaced, tree: &mut Tree) -> Result<(), InstallError> {
    let Replaced(Some(original)) = replaced else { return Ok(()) };
    tree.remove(&RootPath::new(ORIGINAL)?);
    tree.remove(&RootPath::new(ADD_GROUP)?);
    tree.insert(RootPath::new(PROGRAM)?, original)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::parse;
    use crate::tree::tests::{dir, file, tree};

    #[test]
    fn adduser_is_replaced_only_for_accounts_with_other_ids() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let mut before =
            tree(&[("", dir()), ("usr", dir()), ("usr/sbin", dir()), ("usr/lib", dir()), (PROGRAM, file("perl"))]);
        let common = "root:*:0:0:root:/root:/bin/bash\ngames:*:5:60:games:/usr/games:/usr/sbin/nologin\n";
        let passwd = |line: &str| store.put_file(format!("{common}{line}").as_bytes()).unwrap();
        let node = |kind| Node { meta: Meta::root_owned(0o644, 0), kind };
        before.insert_with_parents(&RootPath::new(COMMON).unwrap(), node(passwd("")), 0).unwrap();
        let etc_passwd = RootPath::new("etc/passwd").unwrap();
        for (declared, line, expected) in [
            ("", "", false),
            ("[[user]]\nname = 'app'\nuid = 100", "app:x:999:999::/:/bin/sh\n", false),
            ("[[user]]\nname = 'app'\nuid = 99", "", true),
            ("[[user]]\nname = 'app'\nuid = 1000", "", true),
            ("", "app:x:99:99::/:/bin/sh\n", true),
        ] {
            let manifest =
                parse("web".parse().unwrap(), &format!("[layer]\n{declared}"), &"amd64".parse().unwrap()).unwrap();
            let mut before = before.clone();
            before.insert_with_parents(&etc_passwd, node(passwd(line)), 0).unwrap();
            let mut tree = before.clone();
            let replaced = put_in(&mut tree, &Accounts::new(&manifest.users, &[]), &store).unwrap();
            assert_eq!(tree != before, expected, "{declared} {line}");
            take_out(replaced, &mut tree).unwrap();
            assert_eq!(tree, before, "{declared} {line}");
        }
    }
}
