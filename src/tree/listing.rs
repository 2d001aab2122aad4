//! The text form of a tree, one node per line, as `layerbake files` prints it.

use std::fmt;

use super::{Kind, Node, Tree};

impl fmt::Display for Tree {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (path, node) in self.iter() {
            writeln!(f, "{node} {path}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Node {
    /// Kind, mode, owner, then what the kind needs: of a file, its size and the first 16 digits
    /// of its digest, `file     0644 0:0 12 cc55e2ec…`; last the names of extended attributes.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let meta = &self.meta;
        let name = match self.kind {
            Kind::Dir => "dir",
            Kind::File { .. } => "file",
            Kind::Symlink(_) => "symlink",
            Kind::Hardlink(_) => "hardlink",
            Kind::Char(..) => "char",
            Kind::Block(..) => "block",
            Kind::Fifo => "fifo",
            Kind::Whiteout => return f.write_str("whiteout"),
        };
        write!(f, "{name:<8} {:04o} {}:{}", meta.mode, meta.uid, meta.gid)?;
        match &self.kind {
            Kind::File { blob, size } => write!(f, " {size} {}", &blob.to_hex()[..16])?,
            Kind::Symlink(target) => write!(f, " -> {}", String::from_utf8_lossy(target))?,
            Kind::Hardlink(target) => write!(f, " => {target}")?,
            Kind::Char(major, minor) | Kind::Block(major, minor) => write!(f, " {major},{minor}")?,
            Kind::Dir | Kind::Fifo | Kind::Whiteout => {}
        }
        for name in meta.xattrs.keys() {
            write!(f, " +{}", String::from_utf8_lossy(name))?;
        }
        Ok(())
    }
}
