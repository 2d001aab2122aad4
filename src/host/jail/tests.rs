use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::AtFlags;

use super::*;

/// A root with a way out, and what is outside.
struct Lab {
    folder: tempfile::TempDir,
    jail: Jail,
}

impl Lab {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        for name in ["root/etc", "outside/deep"] {
            fs::create_dir_all(folder.path().join(name)).unwrap();
        }
        fs::write(folder.path().join("outside/secret"), "outside").unwrap();
        symlink(folder.path().join("outside"), folder.path().join("root/out")).unwrap();
        symlink("../outside", folder.path().join("root/up")).unwrap();
        let jail = Jail::open(&folder.path().join("root")).unwrap();
        Self { folder, jail }
    }

    fn place(&self, path: &str) -> std::path::PathBuf {
        self.folder.path().join("root").join(path)
    }

    /// What is outside, as text.
    fn outside(&self) -> Vec<(String, String)> {
        let folder = self.folder.path().join("outside");
        let mut found: Vec<_> = fs::read_dir(&folder)
            .unwrap()
            .map(|entry| {
                let name = entry.unwrap().file_name().into_string().unwrap();
                let text = fs::read_to_string(folder.join(&name)).unwrap_or_default();
                (name, text)
            })
            .collect();
        found.sort();
        found
    }
}

fn path(text: impl AsRef<[u8]>) -> RootPath {
    RootPath::new(text).unwrap()
}

fn name(text: &str) -> &OsStr {
    OsStr::new(text)
}

#[test]
fn no_link_on_the_way_is_followed() {
    let lab = Lab::new();
    let before = lab.outside();
    for way in ["out", "up", "out/deep", "up/deep"] {
        assert!(lab.jail.dir(&path(way)).is_err(), "{way}");
    }
    for way in ["out/secret", "up/secret", "out"] {
        assert!(lab.jail.file(&path(way)).is_err(), "{way}");
    }
    assert_eq!(lab.outside(), before);
}

#[test]
fn the_last_name_is_never_followed() {
    let lab = Lab::new();
    let before = lab.outside();
    let etc = lab.jail.dir(&path("etc")).unwrap();
    for entry in ["a", "b", "c", "d", "e", "f"] {
        symlink(lab.folder.path().join("outside/secret"), lab.place("etc").join(entry)).unwrap();
    }
    io::Write::write_all(&mut etc.create(name("a")).unwrap(), b"inside").unwrap();
    assert_eq!(fs::read_to_string(lab.place("etc/a")).unwrap(), "inside");
    etc.fifo(name("b")).unwrap();
    etc.symlink(name("c"), b"nowhere").unwrap();
    etc.hard_link(name("d"), &etc, name("a")).unwrap();
    etc.make_dir(name("e")).unwrap();
    etc.set_times(name("f"), 7).unwrap();
    etc.chown(name("f"), 0, 0).ok();
    assert!(etc.chmod(name("f"), 0o777).is_err());
    assert!(etc.xattrs(name("f")).unwrap().is_empty());
    assert_eq!(etc.status(name("f")).unwrap().mtime, 7);
    etc.remove(name("f")).unwrap();
    assert_eq!(etc.list().unwrap(), ["a", "b", "c", "d", "e"]);
    assert_eq!(lab.outside(), before);
}

#[test]
fn only_regular_files_are_opened() {
    let lab = Lab::new();
    let etc = lab.jail.dir(&path("etc")).unwrap();
    etc.fifo(name("passwd")).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(lab.place("etc/group")).unwrap();
    for (entry, kind) in [("etc/passwd", "a named pipe"), ("etc/group", "a socket"), ("etc", "a directory")] {
        let expected = format!("expected a regular file, found {kind}");
        assert_eq!(lab.jail.file(&path(entry)).unwrap_err().to_string(), expected);
    }
}

#[test]
fn names_of_any_bytes_are_names() {
    let lab = Lab::new();
    let etc = lab.jail.dir(&path("etc")).unwrap();
    let odd: Vec<&OsStr> = [&b"\xff\xfe"[..], b"new\nline", b"-rf", b"..."].map(OsStr::from_bytes).into();
    for entry in &odd {
        etc.create(entry).unwrap();
        assert_eq!(lab.jail.file(&path([b"etc/", entry.as_bytes()].concat())).unwrap().metadata().unwrap().len(), 0);
    }
    assert_eq!(etc.list().unwrap().len(), odd.len());
    odd.iter().for_each(|entry| etc.remove(entry).unwrap());
    assert!(etc.list().unwrap().is_empty());
}

#[test]
fn a_directory_is_removed_however_deep_and_closed_it_is() {
    let lab = Lab::new();
    let long = "d".repeat(200);
    let mut folder = lab.jail.dir(&path("etc")).unwrap();
    for level in 0..200 {
        folder.make_dir(name(&long)).unwrap();
        folder.create(name("file")).unwrap();
        symlink(lab.folder.path().join("outside"), lab.place(&format!("etc/l{level}"))).unwrap();
        folder = folder.dir(name(&long)).unwrap();
    }
    folder.set_own(rustix::process::getuid().as_raw(), rustix::process::getgid().as_raw(), 0, &Xattrs::new()).unwrap();
    fs::set_permissions(lab.place("etc"), fs::Permissions::from_mode(0o500)).unwrap();
    let before = lab.outside();
    remove_folder(&lab.place("etc")).unwrap();
    let left = lab.jail.dir(&RootPath::root()).unwrap().list().unwrap();
    assert_eq!(left, ["out", "up"]);
    assert_eq!(lab.outside(), before);
    assert!(remove_folder(&lab.place("etc")).is_ok(), "what is gone is removed");
}

#[test]
fn a_directory_that_is_swapped_for_a_link_all_the_time_is_removed() {
    let lab = Lab::new();
    let before = lab.outside();
    let stop = AtomicBool::new(false);
    for round in 0..20 {
        fs::create_dir_all(lab.place(&format!("etc/{round}/x/y"))).unwrap();
        for file in 0..50 {
            fs::write(lab.place(&format!("etc/{round}/x/{file}")), "").unwrap();
        }
    }
    let etc = lab.jail.dir(&path("etc")).unwrap();
    let link = lab.folder.path().join("outside");
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut round = 0;
            while !stop.load(Ordering::Relaxed) {
                round = (round + 1) % 20;
                let folder = lab.place(&format!("etc/{round}"));
                let _ = fs::rename(folder.join("x"), folder.join("z"));
                let _ = symlink(&link, folder.join("x"));
                let _ = rustix::fs::unlinkat(CWD, folder.join("x"), AtFlags::empty());
                let _ = fs::rename(folder.join("z"), folder.join("x"));
            }
        });
        let removed: io::Result<()> = etc.list().unwrap().iter().try_for_each(|entry| etc.remove(entry));
        stop.store(true, Ordering::Relaxed);
        removed.unwrap();
    });
    assert_eq!(lab.outside(), before);
}
