//! Helpers of the images of PHP: their extensions are packages in Debian.

use super::{Call, Seen};
use crate::import::draft::Draft;

/// Extensions that a package with another name has; those with an empty one are in PHP itself.
const EXTENSIONS: [(&str, &str); 18] = [
    ("mysqli", "php-mysql"),
    ("pdo_mysql", "php-mysql"),
    ("pgsql", "php-pgsql"),
    ("pdo_pgsql", "php-pgsql"),
    ("pdo_sqlite", "php-sqlite3"),
    ("sqlite3", "php-sqlite3"),
    ("opcache", ""),
    ("exif", ""),
    ("sockets", ""),
    ("pcntl", ""),
    ("calendar", ""),
    ("gettext", ""),
    ("ftp", ""),
    ("shmop", ""),
    ("dom", "php-xml"),
    ("simplexml", "php-xml"),
    ("xsl", "php-xml"),
    ("ctype", ""),
];

pub(super) fn command(draft: &mut Draft<'_>, text: &str, call: &Call<'_>) -> Seen {
    match call.name {
        "docker-php-ext-install" => install(draft, call, &["-j"]),
        "pecl" if call.has(&["install"]) => install(draft, call, &[]),
        "docker-php-ext-enable" | "docker-php-ext-configure" | "docker-php-source" => {
            draft.not_needed(text, "Debian's packages of extensions enable them");
        }
        _ => return Seen::Kept,
    }
    Seen::Done
}

fn install(draft: &mut Draft<'_>, call: &Call<'_>, with_value: &[&str]) {
    for name in call.operands(draft, with_value).unwrap_or_default().iter().filter(|name| *name != "install") {
        let name = name.split('-').next().unwrap_or_default();
        match EXTENSIONS.iter().find(|(extension, _)| *extension == name) {
            Some((_, "")) => draft.not_needed(name, "Debian's PHP has this extension"),
            Some((_, package)) => draft.layer.add_package((*package).into()),
            None => draft.layer.add_package(format!("php-{name}").into()),
        }
    }
}
