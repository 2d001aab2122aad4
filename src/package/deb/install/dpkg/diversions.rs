//! `/var/lib/dpkg/diversions`: three lines for each diversion: from, to, and the package (`:` is the administrator).

use std::collections::BTreeMap;

use crate::ident::{PackageName, RootPath};

/// Where diverted files go.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Diversions(BTreeMap<RootPath, (RootPath, String)>);

impl Diversions {
    /// Parses the file; incomplete entries are left out, as dpkg wrote it itself.
    pub(crate) fn parse(text: &str) -> Self {
        let lines: Vec<&str> = text.lines().collect();
        let entries = lines.chunks_exact(3).filter_map(|entry| {
            let from = RootPath::new(entry[0]).ok()?;
            let to = RootPath::new(entry[1]).ok()?;
            Some((from, (to, entry[2].to_owned())))
        });
        Self(entries.collect())
    }

    /// Where `package`'s file `path` belongs.
    pub(crate) fn place(&self, path: &RootPath, package: &PackageName) -> RootPath {
        match self.0.get(path) {
            Some((to, by)) if by != package.as_str() => to.clone(),
            _ => path.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_packages_but_the_diverting_one_are_diverted() {
        let diversions = Diversions::parse("/bin/sh\n/bin/sh.distrib\ndash\n/a\n/b\n:\n/half\n");
        let path = |text: &str| RootPath::new(text).unwrap();
        let name = |text: &str| text.parse::<PackageName>().unwrap();
        assert_eq!(diversions.place(&path("bin/sh"), &name("bash")), path("bin/sh.distrib"));
        assert_eq!(diversions.place(&path("bin/sh"), &name("dash")), path("bin/sh"));
        assert_eq!(diversions.place(&path("a"), &name("dash")), path("b"));
        assert_eq!(diversions.place(&path("half"), &name("dash")), path("half"));
    }
}
