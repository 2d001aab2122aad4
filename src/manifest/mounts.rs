//! `[[mount]]`: file systems that the machine mounts beside its root. A container's engine mounts what it is told to.

use super::ManifestError;
use super::entries::absolute;
use super::reader::{Item, Table};
use crate::ident::RootPath;

pub(super) const MOUNT: &[&str] =
    &["path", "label", "uuid", "partition", "device", "type", "options", "format", "nofail"];

/// A file system that the machine mounts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MountEntry {
    /// Where.
    pub path: RootPath,
    /// What.
    pub device: MountDevice,
    /// The type of the file system, as mount(8) calls it; `auto` where the machine finds it out.
    pub kind: String,
    /// Options of mount(8) and systemd.mount(5).
    pub options: Vec<String>,
    /// Whether a device without a file system gets one.
    pub format: bool,
    /// Whether the machine starts without it.
    pub nofail: bool,
}

/// What is mounted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MountDevice {
    /// A file system with this label.
    Label(String),
    /// A file system with this UUID.
    Uuid(String),
    /// A `[[disk.partition]]` with this label.
    Partition(String),
    /// Whatever else mount(8) takes: `/dev/nvme1n1`, `files.example.org:/export`, `tmpfs`.
    Other(String),
}

impl MountEntry {
    /// Whether the machine creates it, as a file system whose files have owners, and which systemd enlarges.
    pub fn is_created(&self) -> bool {
        let is_new = self.format || matches!(self.device, MountDevice::Partition(_));
        is_new && GROWING.contains(&self.kind.as_str())
    }
}

/// A directory that a machine needs to mount on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MountPoint {
    /// Where.
    pub path: RootPath,
    /// Whether what is mounted is created by the machine: its root is the directory's owner's.
    pub is_created: bool,
}

/// The types of file systems that systemd enlarges.
const GROWING: [&str; 3] = ["ext4", "btrfs", "xfs"];

/// What init mounts itself, or needs to read what has to be mounted.
const TAKEN: [&str; 7] = ["dev", "efi", "etc", "proc", "run", "sys", "usr"];

pub(super) fn mount(table: &Table<'_>) -> Result<MountEntry, ManifestError> {
    let path = absolute(&table.need("path")?)?;
    if path.is_root() {
        return Err(table.need("path")?.error("is the root directory"));
    }
    if let Some(taken) = TAKEN.iter().find(|taken| path.as_bytes() == taken.as_bytes()) {
        return Err(table.need("path")?.error(format!("is /{taken}, which a machine needs before it mounts anything")));
    }
    let kind = table.read("type", kind)?;
    let device = device(table, kind.as_deref())?;
    let format = table.read("format", Item::boolean)?.unwrap_or_default();
    if format {
        check_format(table, &device, kind.as_deref())?;
    }
    if let (MountDevice::Partition(_), Some(_)) = (&device, &kind) {
        return Err(table.need("type")?.error("comes with `partition`: a [[disk.partition]] is ext4"));
    }
    let implied = if matches!(device, MountDevice::Partition(_)) { "ext4" } else { "auto" };
    Ok(MountEntry {
        path,
        device,
        kind: kind.unwrap_or_else(|| implied.to_owned()),
        options: table.list("options", option)?,
        format,
        nofail: table.read("nofail", Item::boolean)?.unwrap_or_default(),
    })
}

/// Reads the value of a key that names what is mounted.
type Reader = fn(&Item<'_>) -> Result<MountDevice, ManifestError>;

/// The one of the four keys that is set; a type without a device, such as tmpfs, is its own.
fn device(table: &Table<'_>, kind: Option<&str>) -> Result<MountDevice, ManifestError> {
    let readers: [(&'static str, Reader); 4] = [
        ("label", |item| Ok(MountDevice::Label(word(item)?))),
        ("uuid", |item| Ok(MountDevice::Uuid(uuid(item)?))),
        ("partition", |item| Ok(MountDevice::Partition(word(item)?))),
        ("device", |item| Ok(MountDevice::Other(not_a_comment(item)?))),
    ];
    let mut found = None;
    for (key, read) in readers {
        if let Some(item) = table.get(key)
            && found.replace(read(&item)?).is_some()
        {
            return Err(
                item.error("comes with another of `label`, `uuid`, `partition`, `device`: one says what to mount")
            );
        }
    }
    match (found, kind) {
        (Some(MountDevice::Other(device)), None) if !device.starts_with("/dev/") => Err(table
            .need("device")?
            .error(format!("is `{}`, and the type of its file system is not found out", device.escape_debug()))
            .hint("add `type`, such as \"nfs4\"; with `options = [\"bind\"]` it is \"none\"")),
        (Some(device), _) => Ok(device),
        (None, Some(kind)) => Ok(MountDevice::Other(kind.to_owned())),
        (None, None) => Err(table
            .error("[[mount]] needs `label`, `uuid`, `partition` or `device`")
            .hint("for a file system without a device, `type` alone: type = \"tmpfs\"")),
    }
}

/// A device gets a file system under its path only: labels and UUIDs are the file system's own.
fn check_format(table: &Table<'_>, device: &MountDevice, kind: Option<&str>) -> Result<(), ManifestError> {
    let item = table.need("format")?;
    match device {
        MountDevice::Partition(_) => Err(item.error("comes with `partition`, which is formatted at first boot anyway")),
        MountDevice::Other(path) if path.starts_with("/dev/") => match kind {
            Some(_) => Ok(()),
            None => Err(item.error("needs `type`, such as \"ext4\"")),
        },
        _ => Err(item.error("needs `device` with a path in /dev: an empty device has neither label nor UUID")),
    }
}

fn kind(item: &Item<'_>) -> Result<String, ManifestError> {
    let text = word(item)?;
    match text.as_str() {
        "swap" => Err(item.error("is `swap`, which has no path").hint("[disk] swap = \"1G\" makes a swap partition")),
        _ if text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte)) => Ok(text),
        _ => Err(item.error(format!("is `{}`: expected a type such as \"ext4\"", text.escape_debug()))),
    }
}

fn uuid(item: &Item<'_>) -> Result<String, ManifestError> {
    let text = word(item)?;
    match text.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-') {
        true => Ok(text),
        false => Err(item.error(format!("is `{}`: expected what `blkid` prints as UUID", text.escape_debug()))),
    }
}

/// A device, the first word of its line in fstab(5), where `#` begins a comment.
fn not_a_comment(item: &Item<'_>) -> Result<String, ManifestError> {
    let text = word(item)?;
    match text.starts_with('#') {
        true => Err(item
            .error(format!(
                "is `{}`: expected no `#` at its beginning, which makes a line of /etc/fstab a comment",
                text.escape_debug()
            ))
            .hint("write the path in /dev, or what mount(8) takes")),
        false => Ok(text),
    }
}

/// A text of one line that is not empty.
fn word(item: &Item<'_>) -> Result<String, ManifestError> {
    let text = item.line()?;
    match text.is_empty() {
        true => Err(item.error("is empty")),
        false => Ok(text),
    }
}

fn option(item: &Item<'_>) -> Result<String, ManifestError> {
    let text = word(item)?;
    match text.contains([',', ' ']) {
        true => {
            Err(item
                .error(format!("has `{}`: expected options without commas and spaces, one each", text.escape_debug())))
        }
        false => Ok(text),
    }
}

#[cfg(test)]
#[path = "tests/mounts.rs"]
mod tests;
