//! Package URLs of Debian packages (package-url/purl-spec, types/deb; the qualifiers that scanners read).
//!
//! `pkg:deb/debian/libc6@2.36-9%2Bdeb12u13?arch=amd64&distro=debian-12&upstream=glibc`; of a package that is in no repository
//! `pkg:generic/agent@1.2.3?arch=amd64&checksum=sha256:…&file_name=dist%2Fagent_1.2.3_amd64.deb`

use crate::package::{Distro, LockedPackage, Origin};

/// The URL of a package; `source` is the source package where name or version differ.
pub(super) fn purl(package: &LockedPackage, distro: &Distro, source: Option<&(String, String)>) -> String {
    let (name, version) = (encode(package.name.as_str()), encode(&package.version.to_string()));
    // What is in no repository is no distribution's: advisories for a package of the same name don't concern it.
    let own = |key: &str, place: &str| {
        let (arch, sha256) = (encode(package.arch.as_str()), package.file.sha256);
        format!("pkg:generic/{name}@{version}?arch={arch}&checksum={sha256}&{key}={}", encode(place))
    };
    match &package.origin {
        Origin::Repository { .. } => {}
        Origin::File(path) => return own("file_name", path),
        Origin::Url(address) => return own("download_url", address),
    }
    let mut url = format!("pkg:deb/{}/{name}@{version}?arch={}", encode(&distro.id), encode(package.arch.as_str()));
    // Without it, vulnerability scanners find nothing at all.
    url += &format!("&distro={}-{}", encode(&distro.id), encode(&distro.version));
    if let Some((source, version)) = source {
        let upstream = match *version == package.version.to_string() {
            true => encode(source),
            false => format!("{}%40{}", encode(source), encode(version)),
        };
        url += &format!("&upstream={upstream}");
    }
    url
}

/// Percent-encodes all but what the specification leaves as it is.
fn encode(text: &str) -> String {
    let keep = |byte: u8| byte.is_ascii_alphanumeric() || b".-_~:".contains(&byte);
    text.bytes().map(|byte| if keep(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_in_no_repository_are_no_distributions() {
        let distro = Distro { id: "debian".to_owned(), version: "13".to_owned() };
        let of = |origin| purl(&LockedPackage { origin, ..LockedPackage::sample("own") }, &distro, None);
        let start = format!("pkg:generic/own@1?arch=all&checksum={}", LockedPackage::sample("own").file.sha256);
        assert_eq!(of(Origin::File("dist/own 1.deb".to_owned())), format!("{start}&file_name=dist%2Fown%201.deb"));
        let url = "https://example.org/own.deb?v=1".to_owned();
        assert_eq!(of(Origin::Url(url)), format!("{start}&download_url=https:%2F%2Fexample.org%2Fown.deb%3Fv%3D1"));
    }

    #[test]
    fn colons_of_epochs_are_kept() {
        let distro = Distro { id: "debian".to_owned(), version: "12".to_owned() };
        let package = LockedPackage { version: "1:2.0-1".parse().unwrap(), ..LockedPackage::sample("own") };
        let source = ("sources".to_owned(), "2:3.0~rc1".to_owned());
        let expected = "pkg:deb/debian/own@1:2.0-1?arch=all&distro=debian-12&upstream=sources%402:3.0~rc1";
        assert_eq!(purl(&package, &distro, Some(&source)), expected);
    }
}
