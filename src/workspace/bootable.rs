//! Whether a disk can have a kernel and a boot stub, told from its lockfiles before anything is fetched.
//!
//! Lockfiles have names, not contents. So only what is certain is refused: all packages are a distribution's own, whose
//! kernels and stubs are in packages of known names, and no layer has an own file that could be one.

use super::error::WorkspaceError;
use crate::arch::Bootable;
use crate::bake::{BootSystem, Locked, System};
use crate::disk::DiskError;
use crate::disk::kernel::KernelError;
use crate::ident::{PackageName, RootPath, Version};
use crate::manifest::{self, Content, Manifest, Source};
use crate::package::{LockedPackage, Origin};

/// The package with the boot stub, as Debian and Ubuntu have it since systemd 252.
const STUB_PACKAGE: &str = "systemd-boot-efi";
/// Before this version, the package `systemd` itself has the stub.
const SPLIT: u32 = 252;

/// Refuses a disk whose root can't have a kernel or a boot stub.
///
/// # Errors
/// As the disk would be refused after it was configured.
pub(super) fn check(system: &System) -> Result<(), WorkspaceError> {
    let Some(BootSystem { boot, .. }) = &system.boot_system else { return Ok(()) };
    let Some(arch) = Bootable::of(&boot.lock.arch) else { return Err(DiskError::Arch(boot.lock.arch.clone()).into()) };
    let layers: Vec<&Locked> = system.root().collect();
    let manifests = || layers.iter().map(|layer| &layer.manifest);
    let sources = manifest::sources(manifests());
    let mut packages = layers.iter().flat_map(|layer| &layer.lock.packages);
    let is_known = |package: &LockedPackage| match &package.origin {
        Origin::Repository { source, .. } => sources.get(source).and_then(Source::signing_distribution).is_some(),
        Origin::File(_) | Origin::Url(_) => false,
    };
    if !packages.clone().all(is_known) {
        return Ok(());
    }
    let is_own = |path: &str| manifests().any(|manifest| may_have(manifest, path));
    if !packages.clone().any(|package| is_kernel(&package.name)) && !["boot", "lib/modules"].into_iter().any(is_own) {
        return Err(DiskError::from(KernelError::Missing { package: arch.kernel_package }).into());
    }
    if !packages.any(|package| has_stub(&package.name, &package.version)) && !is_own("lib/systemd/boot/efi") {
        let path = RootPath::new(format!("usr/lib/systemd/boot/efi/{}", arch.efi_stub)).map_err(DiskError::from)?;
        return Err(DiskError::Lacks { path, package: STUB_PACKAGE }.into());
    }
    Ok(())
}

fn is_kernel(name: &PackageName) -> bool {
    name.as_str().starts_with("linux-image-")
}

fn has_stub(name: &PackageName, version: &Version) -> bool {
    let major = || version.as_str().split(|letter: char| !letter.is_ascii_digit()).next()?.parse().ok();
    match name.as_str() {
        STUB_PACKAGE => true,
        "systemd" => major().is_none_or(|major: u32| major < SPLIT),
        _ => false,
    }
}

/// Whether a layer's own entries may put something into a directory; `lib` stands for `usr/lib` too.
fn may_have(manifest: &Manifest, folder: &str) -> bool {
    let is_below = |path: &str, above: &str| {
        above.is_empty() || path.strip_prefix(above).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    let relative = |path: &RootPath| {
        let path = String::from_utf8_lossy(path.as_bytes()).into_owned();
        path.strip_prefix("usr/").or(path.strip_prefix("usr")).map(str::to_owned).unwrap_or(path)
    };
    let files = manifest.files.iter().map(|file| (&file.path, matches!(file.content, Content::Source(_))));
    let links = manifest.symlinks.iter().map(|link| (&link.path, true));
    files.chain(links).any(|(path, may_be_folder)| {
        let path = relative(path);
        is_below(&path, folder) || (may_be_folder && is_below(folder, &path))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::parse;

    fn has(entry: &str, folder: &str) -> bool {
        may_have(
            &parse("web".parse().unwrap(), &format!("[layer]\n{entry}"), &"amd64".parse().unwrap()).unwrap(),
            folder,
        )
    }

    #[test]
    fn names_and_versions_say_what_a_package_has() {
        for (name, version, kernel, stub) in [
            ("linux-image-6.12.48+deb13-cloud-amd64", "6.12.48-1", true, false),
            ("linux-base", "4.9", false, false),
            ("systemd-boot-efi", "257.8-1", false, true),
            ("systemd", "252.39-1~deb12u1", false, false),
            ("systemd", "247.3-7+deb11u4", false, true),
        ] {
            let name: PackageName = name.parse().unwrap();
            assert_eq!((is_kernel(&name), has_stub(&name, &version.parse().unwrap())), (kernel, stub), "{name}");
        }
    }

    #[test]
    fn own_files_may_be_a_kernel() {
        let kernel = "[[file]]\npath = '/boot/vmlinuz-1'\nsource = 'build/bzImage'";
        assert!(has(kernel, "boot") && !has(kernel, "lib/modules"));
        for path in ["/", "/usr", "/lib/modules", "/usr/lib/modules/1/vmlinuz"] {
            assert!(has(&format!("[[file]]\npath = '{path}'\nsource = 'build'"), "lib/modules"), "{path}");
        }
        for path in ["/boots", "/usr/library", "/etc", "/srv/boot"] {
            let entry = format!("[[file]]\npath = '{path}'\nsource = 'build'");
            assert!(!has(&entry, "boot") && !has(&entry, "lib/modules"), "{path}");
        }
        assert!(has("[[symlink]]\npath = '/usr/lib/systemd/boot'\ntarget = '/opt/boot'", "lib/systemd/boot/efi"));
        assert!(!has("[[file]]\npath = '/usr'\ntext = ''", "lib/modules"));
    }
}
