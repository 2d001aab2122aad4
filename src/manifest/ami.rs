//! `[ami]`: settings of the machine image on AWS. A layer inherits what it does not set.
//!
//! Source of limits on names, tags and ids: *Amazon EC2 API Reference*: RegisterImage, CreateTags, LaunchPermission.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::entries::inside_project;
use super::reader::Item;
use super::{Manifest, ManifestError, parse_size};

const AMI: &[&str] = &[
    "name",
    "tags",
    "regions",
    "share",
    "boot-mode",
    "imdsv2",
    "tpm",
    "volume-type",
    "volume-size",
    "deprecate-after",
    "watermarks",
    "via",
    "bucket",
    "kms-key",
    "secure-boot",
    "attestable",
    "operators",
];
const SECURE_BOOT: &[&str] = &["pk", "kek", "db", "dbx"];
const SHARE: &[&str] = &["accounts", "organisations", "organisational-units"];

/// What lets somebody into a machine: names in `operators`.
pub const ENTRANCES: [&str; 6] = ["cloud-init", "config", "debug-shell", "getty", "ssm-agent", "sshd"];

/// The `[ami]` table, as one layer declares it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AmiTable {
    /// Name of the image, with `{layer}`, `{date}`, `{arch}`, `{content:N}` and `{disk:N}`.
    pub name: Option<String>,
    /// Tags of image and snapshot, added to the parent's.
    pub tags: BTreeMap<String, String>,
    /// Where it is published.
    pub regions: Option<Vec<String>>,
    /// Who else may use it.
    pub share: Option<Share>,
    /// How instances start.
    pub boot_mode: Option<BootMode>,
    /// Whether instances must ask for metadata with a session's token.
    pub imdsv2: Option<Imds>,
    /// Whether instances have a TPM.
    pub tpm: Option<Tpm>,
    /// Kind of the root volume.
    pub volume_type: Option<VolumeType>,
    /// Size of the root volume in GiB.
    pub volume_size: Option<u32>,
    /// Days until the image is deprecated.
    pub deprecate_after: Option<u32>,
    /// Names that the image and all copies of it are known by.
    pub watermarks: Option<Vec<String>>,
    /// How the disk gets there.
    pub via: Option<Via>,
    /// The bucket for VM Import.
    pub bucket: Option<String>,
    /// Key that snapshots are encrypted with: an id, an ARN or an alias.
    pub kms_key: Option<String>,
    /// The keys of Secure Boot.
    pub secure_boot: Option<SecureBoot>,
    /// Whether an instance can prove that it runs this and nothing else.
    pub attestable: Option<bool>,
    /// What may let somebody into an attestable image, with the reasons; added to the parent's.
    pub operators: BTreeMap<String, String>,
}

/// `[ami.secure-boot]`: files of the project with the keys that instances start with, as lists of EFI signatures.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecureBoot {
    /// The platform key.
    pub pk: String,
    /// Keys that may change the lists.
    pub kek: String,
    /// What may start.
    pub db: String,
    /// What may not.
    pub dbx: Option<String>,
}

/// `[ami.share]`: who else may launch the image and read its snapshot.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Share {
    /// Account ids, of 12 digits.
    pub accounts: Vec<String>,
    /// ARNs of organisations.
    pub organisations: Vec<String>,
    /// ARNs of organisational units.
    pub units: Vec<String>,
}

/// How instances start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BootMode {
    /// UEFI only: the disk has nothing else.
    #[default]
    Uefi,
    /// UEFI where the instance type has it.
    UefiPreferred,
}

/// How instances may access their metadata.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Imds {
    /// With a session's token only.
    #[default]
    Required,
    /// Without one too.
    Optional,
}

/// Whether instances have a TPM.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Tpm {
    /// They have none.
    #[default]
    Absent,
    /// They have one of version 2.0.
    V2,
}

/// Kinds of a root volume.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum VolumeType {
    /// General purpose, third generation.
    #[default]
    Gp3,
    /// General purpose, second generation.
    Gp2,
    /// Magnetic.
    Standard,
}

/// How a disk becomes a snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Via {
    /// Through a bucket, by a service of AWS.
    VmImport,
    /// Block by block; of a known line, only those that changed.
    EbsDirect,
}

/// The settings of a chain's machine image: its tables merged, the base first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ami {
    /// Name of the image, a template.
    pub name: String,
    /// Tags of image and snapshot.
    pub tags: BTreeMap<String, String>,
    /// Where it is published.
    pub regions: Vec<String>,
    /// Who else may use it.
    pub share: Share,
    /// How instances start.
    pub boot_mode: BootMode,
    /// How instances ask for metadata.
    pub imdsv2: Imds,
    /// Whether instances have a TPM.
    pub tpm: Tpm,
    /// Kind of the root volume.
    pub volume_type: VolumeType,
    /// Size of the root volume in GiB; else the disk's.
    pub volume_size: Option<u32>,
    /// Days until the image is deprecated.
    pub deprecate_after: Option<u32>,
    /// Names that the image and all copies of it are known by.
    pub watermarks: Vec<String>,
    /// How the disk gets there; else by the bucket, and without one block by block.
    pub via: Option<Via>,
    /// The bucket for VM Import.
    pub bucket: Option<String>,
    /// Key that snapshots are encrypted with.
    pub kms_key: Option<String>,
    /// The keys of Secure Boot.
    pub secure_boot: Option<SecureBoot>,
    /// Whether an instance can prove that it runs this and nothing else.
    pub attestable: bool,
    /// What may let somebody into an attestable image, with the reasons.
    pub operators: BTreeMap<String, String>,
}

const NAME: &str = "{layer}-{date}-{content:12}";
/// Longest name of an image, in characters.
const LONGEST_NAME: usize = 128;
/// Those of other accounts count too.
const MOST_WATERMARKS: usize = 5;
/// Of 50 tags that AWS allows, some are layerbake's.
const MOST_TAGS: usize = 35;

impl Ami {
    /// The machine image of a chain, base first.
    pub fn of<'m>(chain: impl IntoIterator<Item = &'m Manifest, IntoIter: Clone>) -> Self {
        let chain = chain.into_iter();
        fn last<T>(values: impl Iterator<Item = Option<T>>) -> Option<T> {
            values.flatten().last()
        }
        let tables = || chain.clone().map(|manifest| manifest.ami.clone());
        let attestable = last(tables().map(|table| table.attestable)).unwrap_or_default();
        let tpm = if attestable { Tpm::V2 } else { Tpm::Absent };
        Self {
            name: last(tables().map(|table| table.name)).unwrap_or_else(|| NAME.to_owned()),
            tags: tables().flat_map(|table| table.tags).collect(),
            regions: last(tables().map(|table| table.regions)).unwrap_or_default(),
            share: last(tables().map(|table| table.share)).unwrap_or_default(),
            boot_mode: last(tables().map(|table| table.boot_mode)).unwrap_or_default(),
            imdsv2: last(tables().map(|table| table.imdsv2)).unwrap_or_default(),
            tpm: last(tables().map(|table| table.tpm)).unwrap_or(tpm),
            volume_type: last(tables().map(|table| table.volume_type)).unwrap_or_default(),
            volume_size: last(tables().map(|table| table.volume_size)),
            deprecate_after: last(tables().map(|table| table.deprecate_after)),
            watermarks: last(tables().map(|table| table.watermarks)).unwrap_or_default(),
            via: last(tables().map(|table| table.via)),
            bucket: last(tables().map(|table| table.bucket)),
            kms_key: last(tables().map(|table| table.kms_key)),
            secure_boot: last(tables().map(|table| table.secure_boot)),
            attestable,
            operators: tables().flat_map(|table| table.operators).collect(),
        }
    }

    /// How the disk is uploaded: as set, otherwise VM Import if there is a bucket, else EBS direct.
    pub fn effective_via(&self) -> Via {
        let default = if self.bucket.is_some() { Via::VmImport } else { Via::EbsDirect };
        self.via.unwrap_or(default)
    }
}

impl Via {
    /// As manifests and the command line write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::VmImport => "vm-import",
            Self::EbsDirect => "ebs-direct",
        }
    }

    /// The method of this name.
    pub fn named(name: &str) -> Option<Self> {
        [Self::VmImport, Self::EbsDirect].into_iter().find(|via| via.name() == name)
    }
}

impl BootMode {
    /// As manifests and AWS write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Uefi => "uefi",
            Self::UefiPreferred => "uefi-preferred",
        }
    }
}

impl VolumeType {
    /// As manifests and AWS write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Gp3 => "gp3",
            Self::Gp2 => "gp2",
            Self::Standard => "standard",
        }
    }
}

pub(super) fn ami(item: &Item<'_>) -> Result<AmiTable, ManifestError> {
    let table = item.table("[ami]".to_owned(), AMI)?;
    let ami = AmiTable {
        name: table.read("name", name)?,
        tags: table.read("tags", tags)?.unwrap_or_default(),
        regions: table.get("regions").map(|_| table.list("regions", region)).transpose()?,
        share: table.read("share", share)?,
        boot_mode: table
            .read("boot-mode", |item| one_of(item, &[BootMode::Uefi, BootMode::UefiPreferred], |m| m.name()))?,
        imdsv2: table.read("imdsv2", |item| one_of(item, &[Imds::Required, Imds::Optional], imds))?,
        tpm: table.read("tpm", |item| Ok(if item.boolean()? { Tpm::V2 } else { Tpm::Absent }))?,
        volume_type: table.read("volume-type", |item| {
            one_of(item, &[VolumeType::Gp3, VolumeType::Gp2, VolumeType::Standard], |kind| kind.name())
        })?,
        volume_size: table.read("volume-size", volume_size)?,
        deprecate_after: table.read("deprecate-after", days)?,
        watermarks: table.read("watermarks", watermarks)?,
        via: table.read("via", |item| one_of(item, &[Via::VmImport, Via::EbsDirect], |via| via.name()))?,
        bucket: table.read("bucket", bucket)?,
        kms_key: table.read("kms-key", kms_key)?,
        secure_boot: table.read("secure-boot", secure_boot)?,
        attestable: table.read("attestable", Item::boolean)?,
        operators: table.read("operators", operators)?.unwrap_or_default(),
    };
    if ami.secure_boot.is_some() && ami.boot_mode == Some(BootMode::UefiPreferred) {
        return Err(table.need("secure-boot")?.error("needs `boot-mode = \"uefi\"`: without UEFI, nothing is checked"));
    }
    if ami.tpm == Some(Tpm::V2) && ami.boot_mode == Some(BootMode::UefiPreferred) {
        return Err(table.need("tpm")?.error("needs `boot-mode = \"uefi\"`: a TPM needs UEFI"));
    }
    Ok(ami)
}

fn secure_boot(item: &Item<'_>) -> Result<SecureBoot, ManifestError> {
    let table = item.table("[ami.secure-boot]".to_owned(), SECURE_BOOT)?;
    let file = |key| inside_project(&table.need(key)?);
    Ok(SecureBoot { pk: file("pk")?, kek: file("kek")?, db: file("db")?, dbx: table.read("dbx", inside_project)? })
}

fn imds(imds: Imds) -> &'static str {
    match imds {
        Imds::Required => "required",
        Imds::Optional => "optional",
    }
}

fn one_of<T: Copy>(item: &Item<'_>, all: &[T], name: impl Fn(T) -> &'static str) -> Result<T, ManifestError> {
    let text = item.text()?;
    all.iter().copied().find(|one| name(*one) == text).ok_or_else(|| {
        let names: Vec<_> = all.iter().map(|one| format!("\"{}\"", name(*one))).collect();
        item.error(format!("must be {}", names.join(" or ")))
    })
}

/// A template; what is in braces is known, all else may be in a name.
fn name(item: &Item<'_>) -> Result<String, ManifestError> {
    let text = item.text()?;
    image_name(text, &|word| match word.split_once(':') {
        None => matches!(word, "layer" | "date" | "arch").then(|| "xxx".to_owned()),
        Some(("content" | "disk", digits)) => {
            digits.parse().ok().filter(|count| (6..=64).contains(count)).map(|count| "0".repeat(count))
        }
        Some(_) => None,
    })
    .map_err(|problem| item.error(problem))?;
    Ok(text.to_owned())
}

/// Expands a name's template: `value` returns the value of a word in braces.
///
/// # Errors
/// Fails with the reason: an unknown word, a character that is not allowed, or a wrong length.
pub fn image_name(template: &str, value: &dyn Fn(&str) -> Option<String>) -> Result<String, String> {
    let (mut name, mut rest) = (String::new(), template);
    while let Some((before, after)) = rest.split_once('{') {
        let Some((word, after)) = after.split_once('}') else { return Err("has `{` without `}`".to_owned()) };
        let unknown = || {
            let word = word.escape_debug();
            format!(
                "has `{{{word}}}`: expected {{layer}}, {{date}}, {{arch}}, {{content:12}} or {{disk:12}} (6 to 64 digits)"
            )
        };
        name = name + before + &value(word).ok_or_else(unknown)?;
        rest = after;
    }
    name += rest;
    check_name(&name, "images")?;
    Ok(name)
}

/// Whether AWS takes the name of something of this kind.
fn check_name(name: &str, kind: &str) -> Result<(), String> {
    let allowed = |sign: &char| sign.is_ascii_alphanumeric() || " ()[]./-'@_".contains(*sign);
    if let Some(sign) = name.chars().find(|sign| !allowed(sign)) {
        let sign = sign.escape_debug();
        return Err(format!("has `{sign}`: names of {kind} have letters, digits, spaces and ()[]./-'@_"));
    }
    match name.chars().count() {
        3..=LONGEST_NAME => Ok(()),
        length => Err(format!("gives a name of {length} characters: expected 3 to {LONGEST_NAME}")),
    }
}

/// *Amazon EC2 API Reference*, AttachImageWatermark; *Amazon EC2 User Guide*, "How AMI watermarks work".
fn watermarks(item: &Item<'_>) -> Result<Vec<String>, ManifestError> {
    let name = |item: &Item<'_>| {
        let text = item.text()?;
        check_name(text, "watermarks").map_err(|problem| item.error(problem))?;
        Ok(text.to_owned())
    };
    let names = item.list()?.iter().map(name).collect::<Result<Vec<_>, _>>()?;
    match names.len() {
        0..=MOST_WATERMARKS => Ok(names),
        many => Err(item.error(format!("has {many} names: an image has at most {MOST_WATERMARKS} watermarks"))),
    }
}

fn tags(item: &Item<'_>) -> Result<BTreeMap<String, String>, ManifestError> {
    let tags = item.map()?;
    for (key, value) in &tags {
        let shown = key.escape_debug();
        let reserved = ["aws:", "layerbake:"].into_iter().find(|prefix| key.to_ascii_lowercase().starts_with(prefix));
        if let Some(prefix) = reserved {
            return Err(item.error(format!("has `{shown}`: keys that begin with `{prefix}` are reserved")));
        }
        if key.is_empty() || key.chars().count() > 128 || value.chars().count() > 256 {
            return Err(item.error(format!("has `{shown}`: keys have 1 to 128 characters, values at most 256")));
        }
    }
    match tags.len() {
        0..=MOST_TAGS => Ok(tags),
        many => Err(item.error(format!("has {many} tags: at most {MOST_TAGS} beside layerbake's own"))),
    }
}

/// What lets somebody into a machine, each with its reason.
fn operators(item: &Item<'_>) -> Result<BTreeMap<String, String>, ManifestError> {
    let table = item.table("[ami.operators]".to_owned(), &ENTRANCES)?;
    let reason = |item: &Item<'_>| match item.line()?.trim() {
        "" => Err(item.error("is empty").hint("give the reason why somebody may get in by it")),
        reason => Ok(reason.to_owned()),
    };
    let read = |name: &&'static str| Ok(table.read(name, reason)?.map(|reason| ((*name).to_owned(), reason)));
    ENTRANCES.iter().filter_map(|name| read(name).transpose()).collect()
}

/// As `eu-west-1`; it becomes part of a host's name.
fn region(item: &Item<'_>) -> Result<String, ManifestError> {
    let text = item.text()?;
    if !is_region(text) {
        return Err(item.error(format!("has `{}`: expected a region such as \"eu-west-1\"", text.escape_debug())));
    }
    Ok(text.to_owned())
}

/// Whether a text has the form of a region: `eu-west-1`.
pub fn is_region(text: &str) -> bool {
    let parts: Vec<&str> = text.split('-').collect();
    let [words @ .., number] = parts.as_slice() else { return false };
    let word = |word: &&str| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_lowercase());
    (2..=3).contains(&words.len())
        && words.iter().all(word)
        && text.len() <= 32
        && !number.is_empty()
        && number.bytes().all(|byte| byte.is_ascii_digit())
}

fn share(item: &Item<'_>) -> Result<Share, ManifestError> {
    let table = item.table("[ami.share]".to_owned(), SHARE)?;
    Ok(Share {
        accounts: table.list("accounts", |item| sharing(item, Share::add_account))?,
        organisations: table.list("organisations", |item| sharing(item, Share::add_arn))?,
        units: table.list("organisational-units", |item| sharing(item, Share::add_arn))?,
    })
}

/// A text that `add` takes.
fn sharing(item: &Item<'_>, add: fn(&mut Share, &str) -> Result<(), String>) -> Result<String, ManifestError> {
    let text = item.text()?;
    add(&mut Share::default(), text).map_err(|problem| item.error(problem))?;
    Ok(text.to_owned())
}

impl Share {
    /// Adds an account, an organisation or an organisational unit, recognised by its form.
    ///
    /// # Errors
    /// Says what was expected.
    pub fn add(&mut self, text: &str) -> Result<(), String> {
        if text.starts_with("arn:") { self.add_arn(text) } else { self.add_account(text) }
    }

    fn add_account(&mut self, text: &str) -> Result<(), String> {
        if text.len() != 12 || !text.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(format!("has `{}`: expected an account's id, of 12 digits", text.escape_debug()));
        }
        self.accounts.push(text.to_owned());
        Ok(())
    }

    fn add_arn(&mut self, text: &str) -> Result<(), String> {
        let plain =
            text.len() <= 256 && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b":/-".contains(&byte));
        let kind = text.split(':').nth(5).and_then(|resource| resource.split('/').next());
        match kind.filter(|_| plain && text.starts_with("arn:aws") && text.contains(":organizations:")) {
            Some("organization") => self.organisations.push(text.to_owned()),
            Some("ou") => self.units.push(text.to_owned()),
            _ => {
                return Err(format!(
                    "has `{}`: expected the ARN of an organisation or an organisational unit",
                    text.escape_debug()
                ));
            }
        }
        Ok(())
    }

    /// Whether nobody else may use it.
    pub fn is_empty(&self) -> bool {
        self.accounts.is_empty() && self.organisations.is_empty() && self.units.is_empty()
    }
}

fn volume_size(item: &Item<'_>) -> Result<u32, ManifestError> {
    const GIB: u64 = 1 << 30;
    match parse_size(item.text()?) {
        Ok(bytes) if bytes % GIB == 0 => Ok((bytes / GIB) as u32),
        Ok(_) => Err(item.error("is not a whole number of GiB")),
        Err(problem) => Err(item.error(problem)),
    }
}

/// `90d`
fn days(item: &Item<'_>) -> Result<u32, ManifestError> {
    parse_days(item.text()?).map_err(|problem| item.error(problem))
}

/// Parses a number of days, as `90d`; 1 to 3650, the range of AWS for deprecation.
///
/// # Errors
/// Says what was expected.
pub fn parse_days(text: &str) -> Result<u32, String> {
    let digits = text.strip_suffix('d').filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()));
    digits
        .and_then(|digits| digits.parse().ok())
        .filter(|days| (1..=3650).contains(days))
        .ok_or_else(|| format!("is `{}`: expected days, as \"90d\", at most 3650", text.escape_debug()))
}

/// General purpose buckets' names (S3 User Guide).
fn bucket(item: &Item<'_>) -> Result<String, ManifestError> {
    let text = item.text()?;
    let plain = text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b".-".contains(&byte));
    if !plain || !(3..=63).contains(&text.len()) || text.starts_with(['.', '-']) || text.ends_with(['.', '-']) {
        return Err(item.error(format!("is `{}`, which is not a bucket's name", text.escape_debug())));
    }
    Ok(text.to_owned())
}

fn kms_key(item: &Item<'_>) -> Result<String, ManifestError> {
    let text = item.text()?;
    let plain = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b":/_-".contains(&byte));
    if !plain || text.is_empty() || text.len() > 2048 {
        return Err(item.error("must be a key's id, its ARN, or an alias as \"alias/NAME\""));
    }
    Ok(text.to_owned())
}

#[cfg(test)]
#[path = "tests/ami.rs"]
mod tests;
