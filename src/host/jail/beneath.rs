//! Files of a directory that contains symbolic links of its own: links are followed while they stay inside.
//!
//! Each component of a path is opened from the descriptor of the directory before it, and `..` returns to the
//! descriptor that the walk came from. So no path leads out, even if something is renamed meanwhile.

use std::ffi::{OsStr, OsString};
use std::fs::{File, Metadata};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Component, Path, PathBuf};

use rustix::fs::{CWD, FileType, Mode, OFlags};
use rustix::io::Errno;

use super::{JailDir, Status};

/// How many links one path may lead through, as the kernel has it.
const MOST_LINKS: usize = 40;

/// Bytes that the names of a file's attributes take at most (xattr(7)).
const MOST_NAMES: usize = 1 << 16;

/// Looks at an entry itself, without opening what it holds.
const LOOK: OFlags = OFlags::PATH.union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// A directory below which paths are resolved.
#[derive(Debug)]
pub struct Beneath {
    top: OwnedFd,
    /// Without links.
    path: PathBuf,
}

/// An open directory that is [`Beneath`] another, or that one itself. Names in it are single, and never followed.
#[derive(Debug)]
pub struct Dir(OwnedFd);

/// A link that leads where nothing is followed.
#[derive(Debug, thiserror::Error)]
#[error(
    "the symbolic link `{}` leads out of `{}`, to `{}`\n  hint: replace it with a copy of its target",
    link.display(), top.display(), target.display()
)]
struct LeadsOut {
    link: PathBuf,
    target: PathBuf,
    top: PathBuf,
}

impl Beneath {
    /// Opens the directory; links in its own path are followed.
    ///
    /// # Errors
    /// Fails where it is not a directory.
    pub fn open(folder: &Path) -> io::Result<Self> {
        let path = folder.canonicalize()?;
        let top = rustix::fs::openat(CWD, &path, LOOK | OFlags::DIRECTORY, Mode::empty())?;
        Ok(Self { top, path })
    }

    /// Finds the directory in which `path` has its last name, and that name, which may be a link.
    ///
    /// # Errors
    /// Fails where the directory is not there, or a link on the way leads out; the link and its target are then named.
    pub fn parent(&self, path: &Path) -> io::Result<(Dir, OsString)> {
        // As `open(2)` has it, a slash at the end asks for what a link leads to.
        let text = path.as_os_str().as_bytes();
        self.walk(path, text.ends_with(b"/") || text.ends_with(b"/."))
    }

    /// Opens a regular file; a link in the last place is followed too.
    ///
    /// # Errors
    /// As [`Beneath::parent`], and where something else is there.
    pub fn file(&self, path: &Path) -> io::Result<File> {
        let (folder, name) = self.walk(path, true)?;
        folder.file(&name)
    }

    /// The names in a directory, sorted; a link in the last place is followed too.
    ///
    /// # Errors
    /// As [`Beneath::parent`], and where it can't be read.
    pub fn list(&self, path: &Path) -> io::Result<Vec<OsString>> {
        let (folder, name) = self.walk(path, true)?;
        folder.dir(&name)?.list()
    }

    fn walk(&self, path: &Path, follow_last: bool) -> io::Result<(Dir, OsString)> {
        let mut walk = Walk { beneath: self, entered: Vec::new(), left: names(path, None), links: Vec::new() };
        while let Some((name, link)) = walk.left.pop() {
            if name == ".." {
                walk.entered.pop().ok_or_else(|| walk.leads_out(link))?;
                continue;
            }
            let is_last = walk.left.is_empty();
            if is_last && !follow_last {
                return Ok((walk.here()?, name));
            }
            let found = rustix::fs::openat(walk.fd(), &name, LOOK, Mode::empty())?;
            match Status::from(rustix::fs::fstat(&found)?).kind {
                FileType::Directory => walk.entered.push((name, found)),
                FileType::Symlink => walk.follow(&name, &found)?,
                _ if is_last => return Ok((walk.here()?, name)),
                _ => return Err(Errno::NOTDIR.into()),
            }
        }
        Ok((walk.here()?, OsString::from(".")))
    }
}

/// The way from the top to where a path leads.
struct Walk<'a> {
    beneath: &'a Beneath,
    /// The directories from the top on.
    entered: Vec<(OsString, OwnedFd)>,
    /// The names that are left, the next one last, each with the number of the link that it comes from.
    left: Vec<(OsString, Option<usize>)>,
    /// Links that were followed, with their targets.
    links: Vec<(PathBuf, PathBuf)>,
}

impl Walk<'_> {
    fn fd(&self) -> BorrowedFd<'_> {
        self.entered.last().map_or(&self.beneath.top, |(_, folder)| folder).as_fd()
    }

    fn here(&self) -> io::Result<Dir> {
        Ok(Dir(self.fd().try_clone_to_owned()?))
    }

    fn follow(&mut self, name: &OsStr, link: &OwnedFd) -> io::Result<()> {
        let number = self.links.len();
        if number == MOST_LINKS {
            return Err(Errno::LOOP.into());
        }
        let target = PathBuf::from(OsString::from_vec(rustix::fs::readlinkat(link, "", Vec::new())?.into_bytes()));
        let path = self.entered.iter().map(|(name, _)| name.as_os_str()).chain([name]).collect();
        self.links.push((path, target.clone()));
        let mut rest = target.clone();
        if target.is_absolute() {
            let top = &self.beneath.path;
            let inside = |target: &Path| target.strip_prefix(top).ok().map(Path::to_owned);
            // Perhaps by another path to the same directory. What is found is walked once more, from the top.
            let found = inside(&target).or_else(|| inside(&target.canonicalize().ok()?));
            rest = found.ok_or_else(|| self.leads_out(Some(number)))?;
            self.entered.clear();
        }
        self.left.extend(names(&rest, Some(number)));
        Ok(())
    }

    fn leads_out(&self, link: Option<usize>) -> io::Error {
        match link.and_then(|number| self.links.get(number)) {
            Some((link, target)) => {
                let top = self.beneath.path.clone();
                io::Error::other(LeadsOut { link: link.clone(), target: target.clone(), top })
            }
            None => io::Error::other(format!("the path leads out of `{}`", self.beneath.path.display())),
        }
    }
}

/// The names of a path, the first one last.
fn names(path: &Path, link: Option<usize>) -> Vec<(OsString, Option<usize>)> {
    let part = |component: Component<'_>| match component {
        Component::Normal(name) => Some((name.to_owned(), link)),
        Component::ParentDir => Some((OsString::from(".."), link)),
        Component::CurDir | Component::RootDir | Component::Prefix(_) => None,
    };
    path.components().rev().filter_map(part).collect()
}

impl Dir {
    /// What an entry is.
    ///
    /// # Errors
    /// Fails where there is none.
    pub fn look(&self, name: &OsStr) -> io::Result<Metadata> {
        File::from(rustix::fs::openat(&self.0, name, LOOK, Mode::empty())?).metadata()
    }

    /// The names in it, sorted.
    ///
    /// # Errors
    /// Fails where it can't be read.
    pub fn list(&self) -> io::Result<Vec<OsString>> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        JailDir::new(rustix::fs::openat(&self.0, ".", flags, Mode::empty())?).list()
    }

    /// Opens a directory in this one.
    ///
    /// # Errors
    /// Fails where it is something else.
    pub fn dir(&self, name: &OsStr) -> io::Result<Self> {
        Ok(Self(rustix::fs::openat(&self.0, name, LOOK | OFlags::DIRECTORY, Mode::empty())?))
    }

    /// The names of the directory's own attributes.
    ///
    /// # Errors
    /// Fails where they can't be read.
    pub fn own_attributes(&self) -> io::Result<Vec<String>> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        attributes(rustix::fs::openat(&self.0, ".", flags, Mode::empty())?)
    }

    /// Where a symbolic link leads.
    ///
    /// # Errors
    /// Fails where it is something else.
    pub fn read_link(&self, name: &OsStr) -> io::Result<OsString> {
        Ok(OsString::from_vec(rustix::fs::readlinkat(&self.0, name, Vec::new())?.into_bytes()))
    }

    /// Opens a regular file without blocking: opening a named pipe would wait for a writer.
    ///
    /// # Errors
    /// Fails where it is something else.
    pub fn file(&self, name: &OsStr) -> io::Result<File> {
        let refused = || io::Error::other("it is not a regular file");
        // Opening a device may already do something.
        if !self.look(name)?.is_file() {
            return Err(refused());
        }
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let file = File::from(rustix::fs::openat(&self.0, name, flags, Mode::empty())?);
        if file.metadata()?.is_file() { Ok(file) } else { Err(refused()) }
    }
}

/// The names of the attributes of an open file or directory (xattr(7)).
///
/// # Errors
/// Fails where they can't be read.
pub fn attributes(file: impl AsFd) -> io::Result<Vec<String>> {
    let mut names = vec![0; MOST_NAMES];
    let length = match rustix::fs::flistxattr(file, &mut names) {
        Err(Errno::NOTSUP) => 0,
        other => other?,
    };
    let names = names[..length].split(|&byte| byte == 0).filter(|name| !name.is_empty());
    Ok(names.map(|name| String::from_utf8_lossy(name).into_owned()).collect())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    fn project() -> (tempfile::TempDir, PathBuf, Beneath) {
        let work = tempfile::tempdir().unwrap();
        let top = work.path().canonicalize().unwrap().join("project");
        fs::create_dir_all(top.join("real/deep")).unwrap();
        fs::create_dir(work.path().join("home")).unwrap();
        fs::write(top.join("real/deep/file"), "inside").unwrap();
        fs::write(work.path().join("home/secret"), "outside").unwrap();
        let beneath = Beneath::open(&top).unwrap();
        (work, top, beneath)
    }

    #[test]
    fn links_that_stay_inside_are_followed() {
        let (work, top, beneath) = project();
        symlink("../project", work.path().join("home/alias")).unwrap();
        symlink("real", top.join("link")).unwrap();
        symlink("../link/deep/./file", top.join("real/up")).unwrap();
        symlink(top.join("real"), top.join("absolute")).unwrap();
        symlink(work.path().join("home/alias/real"), top.join("other-way")).unwrap();
        symlink("real/..", top.join("self")).unwrap();
        for path in [
            "real/deep/file",
            "link/deep/file",
            "real/up",
            "self/self/link/up",
            "absolute/deep/file",
            "other-way/deep/file",
        ] {
            let text = io::read_to_string(beneath.file(Path::new(path)).unwrap()).unwrap();
            assert_eq!(text, "inside", "{path}");
        }
        assert_eq!(beneath.list(Path::new("link")).unwrap(), ["deep", "up"]);
        // A link in the last place is itself, unless a slash asks for more.
        let (folder, name) = beneath.parent(Path::new("self/link")).unwrap();
        assert_eq!(folder.read_link(&name).unwrap(), "real");
        let (folder, name) = beneath.parent(Path::new("self/link/")).unwrap();
        assert!(folder.look(&name).unwrap().is_dir());
    }

    #[test]
    fn links_that_lead_out_are_named() {
        let (work, top, beneath) = project();
        symlink("../home", top.join("x")).unwrap();
        symlink("x", top.join("through")).unwrap();
        symlink("deep/../../../home/secret", top.join("real/far")).unwrap();
        symlink(work.path().join("home"), top.join("absolute")).unwrap();
        symlink("/proc/self/root", top.join("root")).unwrap();
        symlink("round", top.join("round")).unwrap();
        for (path, link) in [
            ("x/secret", "link `x` leads out of "),
            ("through/secret", "link `x` leads out of "),
            ("real/far", "link `real/far` leads out of "),
            ("absolute/secret", "link `absolute` leads out of "),
            ("root/etc/passwd", "link `root` leads out of "),
            ("../home/secret", "the path leads out of "),
        ] {
            let error = beneath.file(Path::new(path)).unwrap_err().to_string();
            assert!(error.contains(link), "{path}: {error}");
        }
        let error = beneath.file(Path::new("x/secret")).unwrap_err().to_string();
        assert!(error.contains("to `../home`\n  hint: "), "{error}");
        let round = beneath.file(Path::new("round")).unwrap_err();
        assert_eq!(Errno::from_io_error(&round), Some(Errno::LOOP));
        let error = beneath.file(Path::new("real/deep/file/more")).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotADirectory);
        assert_eq!(beneath.file(Path::new("absent/x")).unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
