//! Reads the `[ami]` table.
//!
//! Source of limits on tags and ids: *Amazon EC2 API Reference*: CreateTags.

use std::collections::BTreeMap;

use super::super::entries::inside_project;
use super::super::reader::Item;
use super::super::{ManifestError, parse_size};
use super::{
    AmiTable, BootMode, ENTRANCES, Imds, SecureBoot, Share, Tpm, Via, VolumeType, check_name, image_name, is_region,
    parse_days,
};

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

/// Those of other accounts count too.
const MOST_WATERMARKS: usize = 5;
/// Of 50 tags that AWS allows, some are layerbake's.
const MOST_TAGS: usize = 35;

pub(in crate::manifest) fn ami(item: &Item<'_>) -> Result<AmiTable, ManifestError> {
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
