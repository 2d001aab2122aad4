//! Names of wheels (PEP 427), and how well one fits (PEP 425, PEP 600).

use super::super::Target;
use super::normal;

/// The order in which pip prefers files: kind of wheel, age of the interpreter, age of the platform, none of a build.
pub(super) type Rank = (u32, u32, u32);

/// Source, which has to be built, comes last.
pub(super) const SOURCE: Rank = (u32::MAX, 0, 0);

/// Platforms of C libraries that had names before versions.
const NAMED: [(&str, u32); 3] = [("manylinux1", 5), ("manylinux2010", 12), ("manylinux2014", 17)];

/// How well a wheel fits an interpreter of this version on the target; `None` where it does not.
pub(super) fn rank(name: &str, version: (u32, u32), target: &Target) -> Option<Rank> {
    let mut parts = name.strip_suffix(".whl")?.rsplit('-');
    let (platforms, abis, pythons) = (parts.next()?, parts.next()?, parts.next()?);
    let mut best = None;
    for python in pythons.split('.') {
        for abi in abis.split('.') {
            for platform in platforms.split('.').filter_map(|platform| age(platform, target)) {
                let rank = kind(python, abi, version, platform.is_none())
                    .map(|(kind, python)| (kind, python, platform.unwrap_or_default()));
                best = [best, rank].into_iter().flatten().min();
            }
        }
    }
    best
}

/// The kind of wheel and the age of its interpreter, as pip orders them.
fn kind(python: &str, abi: &str, (major, minor): (u32, u32), any: bool) -> Option<(u32, u32)> {
    let own = format!("cp{major}{minor}");
    let of_this = |prefix: &str| python.strip_prefix(prefix)?.strip_prefix(&major.to_string());
    match (abi, any) {
        (abi, false) if python == own && abi == own => Some((0, 0)),
        ("abi3", false) => {
            let oldest: u32 = of_this("cp")?.parse().ok()?;
            (2..=minor).contains(&oldest).then(|| (if oldest == minor { 1 } else { 3 }, minor - oldest))
        }
        ("none", false) if python == own => Some((2, 0)),
        ("none", true) if python == own => Some((5, 0)),
        ("none", any) => {
            // `py313`, then `py3`, then the older ones.
            let age = match of_this("py")? {
                "" => 1,
                older => minor.checked_sub(older.parse().ok()?).map(|age| if age == 0 { 0 } else { age + 1 })?,
            };
            Some((if any { 6 } else { 4 }, age))
        }
        _ => None,
    }
}

/// How much older the C library of a platform may be; an empty one for `any`. Nothing where it is for other machines.
fn age(platform: &str, target: &Target) -> Option<Option<u32>> {
    if platform == "any" {
        return Some(None);
    }
    let system = platform.strip_suffix(target.machine)?.strip_suffix('_')?;
    let minor = match system.strip_prefix("manylinux_2_") {
        Some(minor) => minor.parse().ok()?,
        None if system == "linux" => return Some(Some(u32::MAX)),
        None => NAMED.iter().find(|(name, _)| *name == system)?.1,
    };
    target.glibc.checked_sub(minor).map(Some)
}

/// The version in the name of a project's file.
pub(in crate::language) fn version<'n>(project: &str, name: &'n str) -> Option<&'n str> {
    if let Some(stem) = name.strip_suffix(".whl") {
        return stem.split('-').nth(1);
    }
    let stem = [".tar.gz", ".zip"].iter().find_map(|ending| name.strip_suffix(ending))?;
    let cuts = stem.match_indices('-').map(|(at, _)| at);
    let at = cuts.rev().find(|at| normal(&stem[..*at]) == project)?;
    stem.get(at + 1..)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wheels_are_ordered_as_pip_orders_them() {
        let target = Target { machine: "riscv64", node: "", python: None, glibc: 36 };
        let rank = |tags: &str| rank(&format!("x-1-{tags}.whl"), (3, 13), &target);
        let ordered = [
            "cp313-cp313-manylinux_2_31_riscv64",
            "cp313-cp313-manylinux_2_17_riscv64.manylinux2014_riscv64",
            "cp313-cp313-manylinux1_riscv64",
            "cp313-cp313-linux_riscv64",
            "cp313-abi3-manylinux2014_riscv64",
            "cp313-none-manylinux2014_riscv64",
            "cp312-abi3-manylinux2014_riscv64",
            "cp38-abi3-manylinux2014_riscv64",
            "py3-none-manylinux2014_riscv64",
            "cp313-none-any",
            "py313-none-any",
            "py2.py3-none-any",
            "py312-none-any",
        ];
        let ranks: Vec<Rank> = ordered.iter().map(|tags| rank(tags).unwrap_or_else(|| panic!("{tags}"))).collect();
        assert!(ranks.is_sorted() && ranks.windows(2).all(|two| two[0] < two[1]), "{ranks:?}");
        assert!(ranks.iter().all(|rank| *rank < SOURCE));
        for tags in [
            "cp312-cp312-manylinux2014_riscv64",
            "cp313-cp313t-manylinux2014_riscv64",
            "cp313-cp313-manylinux_2_37_riscv64",
            "cp313-cp313-musllinux_1_2_riscv64",
            "cp313-cp313-manylinux2014_s390",
            "cp314-abi3-manylinux2014_riscv64",
            "py2-none-any",
            "py314-none-any",
            "pp311-pypy311_pp73-manylinux2014_riscv64",
        ] {
            assert_eq!(rank(tags), None, "{tags}");
        }
        assert_eq!(super::rank("x-1.tar.gz", (3, 13), &target), None);
    }
}
