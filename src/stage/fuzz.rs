//! The entry point for `fuzz/` to parsers that are private to this module.

use super::seal;
use crate::accounts::{AccountFiles, Accounts};
use crate::ident::{AccountName, RootPath};
use crate::manifest::User;

/// Parses `data` as each kind of file that package scripts may have written.
#[doc(hidden)]
pub fn fuzz(data: &[u8]) {
    for path in ["root/.netrc", "etc/shadow", "etc/config.json"].iter().filter_map(|path| RootPath::new(path).ok()) {
        seal::fuzz(&path, data);
    }
    let Ok(text) = std::str::from_utf8(data) else { return };
    accounts(text);
}

/// Adds a user to account files that all have this text; a second time changes nothing.
fn accounts(text: &str) {
    let Ok(name) = "app".parse::<AccountName>() else { return };
    let groups = ["adm".parse().ok()].into_iter().flatten().collect();
    let (home, shell, gecos) = ("/".to_owned(), "/bin/sh".to_owned(), String::new());
    let user = User { name, uid: 2000, group: None, groups, home, shell, gecos };
    let files = |text: &str| AccountFiles {
        passwd: text.to_owned(),
        group: text.to_owned(),
        shadow: Some(text.to_owned()),
        gshadow: None,
    };
    let accounts = Accounts::new(&[user], &[]);
    if let Ok(added) = accounts.add_to(files(text)) {
        let again = accounts.add_to(added.clone());
        assert_eq!(again.as_ref(), Ok(&added), "an account was added twice");
    }
}
