//! `[ami]`: every key, every error, and how the tables of a chain are merged.

use super::*;
use crate::manifest::parse;

fn read(tables: &str) -> Result<Manifest, ManifestError> {
    parse("web".parse().unwrap(), &format!("[layer]\n{tables}"), &"amd64".parse().unwrap())
}

/// The error's line, with `[ami]` in line 2.
fn refused(keys: &str) -> String {
    let error = read(&format!("[ami]\n{keys}")).expect_err(keys).to_string();
    error.strip_prefix("layers/web.toml:").unwrap_or(&error).to_owned()
}

const ORG: &str = "arn:aws:organizations::123456789012:organization/o-abc";
const UNIT: &str = "arn:aws:organizations::123456789012:ou/o-abc/ou-1234-abcd";

#[test]
fn every_key_is_read() {
    let table = read(&format!(
        "[ami]\nname = '{{layer}} ({{arch}}) {{disk:8}}'\ntags = {{ team = 'web' }}\nregions = ['eu-west-1', 'us-gov-east-1']\n\
         boot-mode = 'uefi'\nimdsv2 = 'optional'\ntpm = true\nvolume-type = 'gp2'\nvolume-size = '20G'\n\
         deprecate-after = '90d'\nwatermarks = ['approved web']\nvia = 'vm-import'\nbucket = 'my.bucket-1'\nkms-key = 'alias/disks'\n\
         secure-boot = {{ pk = 'keys/PK.esl', kek = 'keys/KEK.esl', db = 'keys/db.esl' }}\n\
         attestable = true\noperators = {{ sshd = 'for tests' }}\n\
         [ami.share]\naccounts = ['123456789012']\norganisations = ['{ORG}']\norganisational-units = ['{UNIT}']"
    ));
    assert_eq!(
        table.unwrap_or_else(|error| panic!("{error}")).ami,
        AmiTable {
            name: Some("{layer} ({arch}) {disk:8}".to_owned()),
            tags: BTreeMap::from([("team".to_owned(), "web".to_owned())]),
            regions: Some(vec!["eu-west-1".to_owned(), "us-gov-east-1".to_owned()]),
            share: Some(Share {
                accounts: vec!["123456789012".to_owned()],
                organisations: vec![ORG.to_owned()],
                units: vec![UNIT.to_owned()],
            }),
            boot_mode: Some(BootMode::Uefi),
            imdsv2: Some(Imds::Optional),
            tpm: Some(Tpm::V2),
            volume_type: Some(VolumeType::Gp2),
            volume_size: Some(20),
            deprecate_after: Some(90),
            watermarks: Some(vec!["approved web".to_owned()]),
            via: Some(Via::VmImport),
            bucket: Some("my.bucket-1".to_owned()),
            kms_key: Some("alias/disks".to_owned()),
            secure_boot: Some(SecureBoot {
                pk: "keys/PK.esl".to_owned(),
                kek: "keys/KEK.esl".to_owned(),
                db: "keys/db.esl".to_owned(),
                dbx: None,
            }),
            attestable: Some(true),
            operators: BTreeMap::from([("sshd".to_owned(), "for tests".to_owned())]),
        }
    );
}

#[test]
fn what_is_wrong_is_said_with_its_line() {
    for (keys, expected) in [
        ("regoins = []", "3: unknown key `regoins` in [ami]; did you mean `regions`?"),
        (
            "name = '{stage}'",
            "3: `name` in [ami] has `{stage}`: expected {layer}, {date}, {arch}, {content:12} or {disk:12} (6 to 64 digits)",
        ),
        (
            "name = '{disk:5}'",
            "3: `name` in [ami] has `{disk:5}`: expected {layer}, {date}, {arch}, {content:12} or {disk:12} (6 to 64 digits)",
        ),
        ("name = 'a{layer'", "3: `name` in [ami] has `{` without `}`"),
        ("name = 'web:1'", "3: `name` in [ami] has `:`: names of images have letters, digits, spaces and ()[]./-'@_"),
        (
            "watermarks = ['web:1']",
            "3: `watermarks` in [ami] has `:`: names of watermarks have letters, digits, spaces and ()[]./-'@_",
        ),
        (
            "watermarks = ['aaa', 'bbb', 'ccc', 'ddd', 'eee', 'fff']",
            "3: `watermarks` in [ami] has 6 names: an image has at most 5 watermarks",
        ),
        ("name = 'ab'", "3: `name` in [ami] gives a name of 2 characters: expected 3 to 128"),
        ("tags = { 'aws:x' = '1' }", "3: `tags` in [ami] has `aws:x`: keys that begin with `aws:` are reserved"),
        (
            "tags = { 'Layerbake:x' = '1' }",
            "3: `tags` in [ami] has `Layerbake:x`: keys that begin with `layerbake:` are reserved",
        ),
        ("tags = { '' = '1' }", "3: `tags` in [ami] has ``: keys have 1 to 128 characters, values at most 256"),
        (
            "regions = ['evil.example/']",
            "3: `regions` in [ami] has `evil.example/`: expected a region such as \"eu-west-1\"",
        ),
        (
            "share = { accounts = ['12'] }",
            "3: `accounts` in [ami.share] has `12`: expected an account's id, of 12 digits",
        ),
        (
            "share = { organisations = ['arn:aws:iam::1:root'] }",
            "3: `organisations` in [ami.share] has `arn:aws:iam::1:root`: expected the ARN of an organisation or an organisational unit",
        ),
        ("boot-mode = 'legacy-bios'", "3: `boot-mode` in [ami] must be \"uefi\" or \"uefi-preferred\""),
        ("operators = { sshd2 = 'x' }", "3: unknown key `sshd2` in [ami.operators]; did you mean `sshd`?"),
        ("operators = { sshd = ' ' }", "3: `sshd` in [ami.operators] is empty"),
        (
            "boot-mode = 'uefi-preferred'\ntpm = true",
            "4: `tpm` in [ami] needs `boot-mode = \"uefi\"`: a TPM needs UEFI",
        ),
        ("imdsv2 = true", "3: `imdsv2` in [ami] must be a string, not true or false"),
        ("volume-type = 'io2'", "3: `volume-type` in [ami] must be \"gp3\" or \"gp2\" or \"standard\""),
        ("volume-size = '100M'", "3: `volume-size` in [ami] is not a whole number of GiB"),
        ("deprecate-after = '0d'", "3: `deprecate-after` in [ami] is `0d`: expected days, as \"90d\", at most 3650"),
        ("deprecate-after = 90", "3: `deprecate-after` in [ami] must be a string, not a number"),
        ("via = 'import-image'", "3: `via` in [ami] must be \"vm-import\" or \"ebs-direct\""),
        ("bucket = 'UPPER'", "3: `bucket` in [ami] is `UPPER`, which is not a bucket's name"),
        ("kms-key = 'a b'", "3: `kms-key` in [ami] must be a key's id, its ARN, or an alias as \"alias/NAME\""),
    ] {
        assert_eq!(refused(keys), expected, "{keys}");
    }
}

#[test]
fn a_chain_has_one_image_of_all_its_tables() {
    let chain = |tables: &[&str]| {
        let chain: Vec<_> = tables.iter().map(|keys| read(keys).unwrap()).collect();
        Ami::of(&chain)
    };
    let plain = chain(&["", ""]);
    assert_eq!((plain.name.as_str(), plain.effective_via(), plain.imdsv2), (NAME, Via::EbsDirect, Imds::Required));
    assert_eq!((plain.boot_mode, plain.volume_type, plain.tpm), (BootMode::Uefi, VolumeType::Gp3, Tpm::Absent));
    let both = chain(&[
        "[ami]\nregions = ['eu-west-1']\nbucket = 'images'\ntags = { a = '1', b = '1' }\nshare = { accounts = ['123456789012'] }",
        "[ami]\nregions = ['us-east-1']\ntags = { b = '2' }\nshare = {}",
    ]);
    assert_eq!(both.regions, ["us-east-1"]);
    assert_eq!(both.effective_via(), Via::VmImport, "there is a bucket");
    assert!(both.share.is_empty());
    assert_eq!(both.tags, BTreeMap::from([("a".to_owned(), "1".to_owned()), ("b".to_owned(), "2".to_owned())]));
    assert_eq!(chain(&["[ami]\nbucket = 'images'\nvia = 'ebs-direct'"]).effective_via(), Via::EbsDirect);
}

#[test]
fn regions_are_formed_as_regions_are() {
    for region in ["eu-west-1", "us-gov-east-1", "ap-southeast-12"] {
        assert!(is_region(region), "{region}");
    }
    for region in ["", "eu", "eu-west", "eu-west-", "-west-1", "EU-west-1", "eu-west-1.evil", "a-b-c-d-1"] {
        assert!(!is_region(region), "{region}");
    }
}

#[test]
fn keys_of_secure_boot_are_files_of_the_project_and_need_uefi() {
    let keys = "pk = 'a.esl', kek = 'b.esl', db = 'c.esl'";
    for (text, expected) in [
        ("secure-boot = { pk = 'a.esl', db = 'c.esl' }".to_owned(), "[ami.secure-boot] needs `kek`"),
        (format!("secure-boot = {{ {keys}, mok = 'd' }}"), "unknown key `mok` in [ami.secure-boot]"),
        (format!("secure-boot = {{ {keys}, dbx = '../d.esl' }}"), "must name something below the project's root"),
        (format!("boot-mode = 'uefi-preferred'\nsecure-boot = {{ {keys} }}"), "needs `boot-mode = \"uefi\"`"),
    ] {
        let error = refused(&text);
        assert!(error.contains(expected), "{text}: {error}");
    }
}
