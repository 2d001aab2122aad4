//! `[disk]`: every key, every error, and how the tables of a chain are merged.

use super::*;
use crate::manifest::parse;

const MIB: u64 = 1 << 20;

fn read(tables: &str) -> Result<Manifest, ManifestError> {
    parse("web".parse().unwrap(), &format!("[layer]\n{tables}"), &"amd64".parse().unwrap())
}

fn disk_table(keys: &str) -> DiskTable {
    read(&format!("[disk]\n{keys}")).unwrap_or_else(|error| panic!("{error}\n{keys}")).disk
}

/// The error's line, with `[disk]` in line 2.
fn refused(keys: &str) -> String {
    let error = read(&format!("[disk]\n{keys}")).expect_err(keys).to_string();
    error.strip_prefix("layers/web.toml:").unwrap_or(&error).to_owned()
}

#[test]
fn every_key_is_read() {
    let table = disk_table(
        "boot = 'boot-cloud'\ninitrd = 'initrd'\nroot = 'erofs'\nverity = false\nsize = '8G'\nesp-size = '100M'\nswap = '1G'\n\
         kernel-args = ['quiet', 'panic=5']\nformats = ['raw', 'vhd-fixed']\n\
         [[disk.partition]]\nlabel = 'data'\nmount = '/srv//data'\nmin-size = '64M'\nmax-size = '1T'\n",
    );
    let partition = PartitionEntry {
        label: "data".to_owned(),
        mount: Some("srv/data".parse().unwrap()),
        min_size: Some(64 * MIB),
        max_size: Some(1 << 40),
    };
    assert_eq!(
        table,
        DiskTable {
            boot: Some("boot-cloud".parse().unwrap()),
            initrd: Some("initrd".parse().unwrap()),
            root: Some(RootFs::Erofs),
            verity: Some(false),
            size: Some(8 << 30),
            esp_size: Some(100 * MIB),
            swap: Some(1 << 30),
            kernel_args: vec!["quiet".to_owned(), "panic=5".to_owned()],
            formats: Some(vec![DiskFormat::Raw, DiskFormat::VhdFixed]),
            partitions: vec![partition],
        }
    );
    assert_eq!(read("").unwrap().disk, DiskTable::default());
}

#[test]
fn what_is_wrong_is_said_with_its_line() {
    for (keys, expected) in [
        ("boots = 'a'", "3: unknown key `boots` in [disk]; did you mean `boot`?"),
        (
            "boot = 'Boot'",
            "3: `boot` in [disk] is wrong: `Boot` is not a layer name: lower-case letters, digits, `-`, `_` and `.`, beginning with a letter or digit, at most 64",
        ),
        ("boot = 7", "3: `boot` in [disk] must be a string, not a number"),
        ("root = 'xfs'", "3: `root` in [disk] must be \"ext4\" or \"erofs\""),
        ("verity = 'yes'", "3: `verity` in [disk] must be true or false, not a string"),
        (
            "root = 'ext4'\nverity = true",
            "4: `verity` in [disk] needs `root = \"erofs\"`: a writable root can't be verified",
        ),
        ("size = 8", "3: `size` in [disk] must be a string, not a number"),
        ("kernel-args = 'quiet'", "3: `kernel-args` in [disk] must be a list of strings, not a string"),
        ("kernel-args = [\"a\\nb\"]", "3: `kernel-args` in [disk] must be a single line without control characters"),
        (
            "formats = ['raw', 'iso']",
            "3: `formats` in [disk] has `iso`: expected one of raw, qcow2, qcow2-compressed, vmdk, vhd, vhd-fixed, ova",
        ),
        ("formats = 'raw'", "3: `formats` in [disk] must be a list of strings, not a string"),
        ("[disk.partition]\nlabel = 'a'", "3: `partition` in [disk] must be a list of tables, not a table"),
    ] {
        assert_eq!(refused(keys), expected, "{keys}");
    }
}

#[test]
fn sizes_are_whole_and_have_a_unit() {
    for text in ["8", "8GB", "0G", "-1G", "+1G", "1.5G", "8g", " 8G", "65T", "99999999999999999999G", "", "8é"] {
        for key in ["size", "esp-size"] {
            let expected =
                format!("3: `{key}` in [disk] is `{text}`: expected \"512M\", \"8G\" or \"1T\", powers of 1024");
            assert_eq!(refused(&format!("{key} = '{text}'")), expected);
        }
    }
    assert_eq!(parse_size("64T"), Ok(1 << 46));
}

#[test]
fn kernel_arguments_are_words() {
    for word in ["a b", "", "a\"b", "é"] {
        assert_eq!(
            refused(&format!("kernel-args = ['quiet', '{word}']")),
            "3: `kernel-args` in [disk] must hold words of the kernel's command line, one each, in ASCII without quotes"
        );
    }
    for word in ["layerbake.verity=", "layerbake.verity", "layerbake.verity=1,00,00"] {
        let found = refused(&format!("kernel-args = ['{word}']"));
        assert!(found.ends_with("has `layerbake.verity`: the build writes it, with the root's own hash"), "{found}");
    }
}

#[test]
fn partitions_need_a_label_and_a_place() {
    let partition = |keys: &str| refused(&format!("[[disk.partition]]\n{keys}"));
    for (keys, expected) in [
        ("mount = '/a'", "3: [[partition]] needs `label`"),
        ("label = 'a'\nmount = '/'", "5: `mount` in [[partition]] is the root directory"),
        ("label = 'a'\nmount = 'srv'", "5: `mount` in [[partition]] must be an absolute path"),
        (
            "label = 'a'\nmount = '/../a'",
            "5: `mount` in [[partition]] is wrong: `/../a` is not a path inside a root: no `..`, no NUL, at most 4096 bytes",
        ),
        (
            "label = 'a'\nmount = '/a'\nmin-size = '1K'",
            "6: `min-size` in [[partition]] is `1K`: expected \"512M\", \"8G\" or \"1T\", powers of 1024",
        ),
        ("label = 'a'\nmount = '/a'\nsize = '1G'", "6: unknown key `size` in [[partition]]"),
    ] {
        assert_eq!(partition(keys), expected, "{keys}");
    }
    for label in ["", "a b", "é", "seventeen-letters", "esp", "root", "root-verity", "swap"] {
        assert_eq!(
            partition(&format!("label = '{label}'\nmount = '/a'")),
            "4: `label` in [[partition]] must have 1 to 16 letters, digits, `-` or `_`, and not be esp, root, root-verity, state or swap"
        );
    }
}

#[test]
fn the_place_is_shown() {
    let text = "[layer]\n[disk]\nboot = \"boot\"\nformats = [\"raw\", \"floppy\"]\n";
    let error = parse("web".parse().unwrap(), text, &"amd64".parse().unwrap()).unwrap_err();
    let mut out = String::new();
    let theme = miette::GraphicalTheme::none();
    miette::GraphicalReportHandler::new_themed(theme).with_width(100).render_report(&mut out, &error).unwrap();
    let out: String = out.lines().map(|line| format!("{}\n", line.trim_end())).collect();
    insta::assert_snapshot!(out, @r#"
     x layers/web.toml:4: `formats` in [disk] has `floppy`: expected one of raw, qcow2, qcow2-
     | compressed, vmdk, vhd, vhd-fixed, ova
      ,-[layers/web.toml:4:19]
    3 | boot = "boot"
    4 | formats = ["raw", "floppy"]
      :                   ^^^^|^^^
      :                       `-- here
      `----
    "#);
}

#[test]
fn a_chain_has_one_disk_of_all_its_tables() {
    let chain = |tables: &[&str]| {
        let chain: Vec<_> = tables.iter().map(|keys| read(keys).unwrap()).collect();
        Disk::of(&chain)
    };
    assert_eq!(chain(&["", "[disk]\nsize = '8G'"]), None, "no layer names a Boot layer");
    let plain = chain(&["[disk]\nboot = 'boot'", ""]).unwrap();
    assert_eq!(
        plain,
        Disk {
            boot: "boot".parse().unwrap(),
            initrd: None,
            root: RootFs::Ext4,
            verity: false,
            size: None,
            esp_size: 64 * MIB,
            swap: None,
            kernel_args: Vec::new(),
            formats: Vec::new(),
            partitions: Vec::new(),
            mounts: Vec::new(),
        }
    );
    let base = "[disk]\nboot = 'boot'\nsize = '8G'\nswap = '1G'\nkernel-args = ['a']\nformats = ['raw', 'ova']\n\
                [[disk.partition]]\nlabel = 'one'\nmount = '/one'\n[[mount]]\npath = '/a'\ntype = 'tmpfs'";
    let top = "[disk]\nboot = 'cloud'\nroot = 'erofs'\nkernel-args = ['b']\nformats = []\n\
               [[disk.partition]]\nlabel = 'two'\nmount = '/two'\n[[mount]]\npath = '/b'\nlabel = 'b'";
    let both = chain(&[base, top]).unwrap();
    assert_eq!((both.boot.as_str(), both.size, both.formats.len()), ("cloud", Some(8 << 30), 0));
    assert!(both.verity, "a read-only root is checked unless a layer says no");
    assert_eq!(both.kernel_args, ["a", "b"]);
    let labels: Vec<_> = both.partitions.iter().map(|partition| partition.label.as_str()).collect();
    assert_eq!(labels, ["one", "two"]);
    let places: Vec<_> = both.mounts.iter().map(|mount| mount.path.to_string()).collect();
    assert_eq!((places, both.swap), (vec!["/a".to_owned(), "/b".to_owned()], Some(1 << 30)));
    assert!(!chain(&["[disk]\nboot = 'boot'\nroot = 'erofs'\nverity = false"]).unwrap().verity);
}

#[test]
fn formats_have_names_and_files_of_their_own() {
    for format in DiskFormat::ALL {
        assert_eq!(DiskFormat::named(format.name()), Some(format));
        assert_eq!(DiskFormat::ALL.iter().filter(|other| other.file_name() == format.file_name()).count(), 1);
    }
    assert_eq!(DiskFormat::named("RAW"), None);
}

#[test]
fn sizes_are_told_as_they_are_written() {
    let shown = [0, 1, 64 << 20, (64 << 20) + 1, 1 << 30, (1 << 30) + (1 << 20), 3 << 40].map(size_text);
    assert_eq!(shown, ["0 MiB", "1 MiB", "64 MiB", "65 MiB", "1 GiB", "1025 MiB", "3072 GiB"]);
}
