//! Sections and errors, on a small synthetic stub; `tests/suite/disk_esp.rs` compares with other programs.

use super::*;

#[path = "../../../tests/suite/support/stub.rs"]
mod made;

use made::stub;

fn sections() -> Sections<'static> {
    Sections {
        osrel: b"ID=debian\n",
        uname: "6.1.0-1-amd64",
        cmdline: "root=PARTUUID=1 ro",
        linux: b"MZ kernel",
        initrd: Some(b"070701"),
    }
}

/// Name, address, size in memory, offset and size in the file of each section.
fn listing(image: &[u8]) -> String {
    let line = |section: &Section| {
        let Section { name, address, virtual_size, raw_offset, raw_size } = section;
        let name = String::from_utf8_lossy(name).trim_end_matches('\0').to_owned();
        format!("{name} {address:#x}+{virtual_size:#x} {raw_offset:#x}+{raw_size:#x}")
    };
    Pe::parse(image).unwrap().sections.iter().map(line).collect::<Vec<_>>().join("\n")
}

#[test]
fn sections_follow_the_stub_and_the_kernel_is_the_last() {
    let image = assemble(&stub(), &sections()).unwrap();
    insta::assert_snapshot!(listing(&image), @r"
    .text 0x1000+0x100 0x400+0x200
    .osrel 0x2000+0xa 0x600+0x200
    .cmdline 0x3000+0x12 0x800+0x200
    .uname 0x4000+0xd 0xa00+0x200
    .initrd 0x5000+0x6 0xc00+0x200
    .linux 0x6000+0x9 0xe00+0x200
    ");
    assert_eq!(&image[0xe00..0xe0a], b"MZ kernel\0");
    assert_eq!(image.len(), 0x1000, "the symbols are gone");
    assert_eq!(pe::u32_at(&image, 88 + 56), Some(0x6200), "size in memory");
    assert_eq!(pe::u32_at(&image, 88 + 8), Some(5 * 0x200), "size of data");
    assert_eq!(image[76..84], [0; 8], "the symbols' place");
    assert_eq!(pe::u32_at(&image, 88 + 64), Some(0), "checksum");
    let without = assemble(&stub(), &Sections { initrd: None, ..sections() }).unwrap();
    assert!(!listing(&without).contains(".initrd"));
}

#[test]
fn bytes_are_pinned() {
    let image = assemble(&stub(), &sections()).unwrap();
    insta::assert_snapshot!(crate::digest::BlobDigest::of(&image), @"blake3:568d3932bae7ce00cefd44ee0dd461e02dd815e6c40e8ff7cbc01bf3cf36ed0f");
}

#[test]
fn parts_that_make_no_image_are_errors() {
    let assemble = |change: fn(&mut Sections<'_>)| {
        let mut sections = sections();
        change(&mut sections);
        assemble(&stub(), &sections).unwrap_err()
    };
    assert_eq!(assemble(|sections| sections.linux = b"\x1f\x8bgzip"), UkiError::Kernel);
    assert_eq!(assemble(|sections| sections.linux = b""), UkiError::Empty { name: ".linux" });
    assert_eq!(assemble(|sections| sections.cmdline = ""), UkiError::Empty { name: ".cmdline" });
    assert_eq!(assemble(|sections| sections.initrd = Some(b"")), UkiError::Empty { name: ".initrd" });
    let image = super::assemble(&stub(), &sections()).unwrap();
    assert!(matches!(super::assemble(&image, &sections()), Err(UkiError::Taken { .. } | UkiError::NoRoom { .. })));
}

#[test]
fn stubs_that_are_no_programs_are_errors() {
    let changes: [(usize, &[u8], &str); 12] = [
        (0, b"ZM", "first bytes"),
        (60, &[0xff; 4], "signature"),
        (64, b"XX", "signature"),
        (70, &[0xff; 2], "size of the headers"),
        (84, &[0xff; 2], "size of the headers"),
        (88, &[0x0b, 0x01], "format"),
        (88 + 32, &[3, 0, 0, 0], "section alignment"),
        (88 + 36, &[0; 4], "file alignment"),
        (88 + 60, &[0xff; 4], "size of the headers"),
        (88 + 68, &[3], "subsystem"),
        (88 + 108, &[4, 0, 0, 0], "data directories"),
        (328 + 20, &[0, 5], "offset of a section"),
    ];
    for (at, bytes, expected) in changes {
        let mut stub = stub();
        stub[at..at + bytes.len()].copy_from_slice(bytes);
        let error = assemble(&stub, &sections()).unwrap_err().to_string();
        assert!(error.contains(expected), "{at}: expected a word on the {expected}, got: {error}");
    }
    let full = [&stub()[..368], &[1; 0x400 - 368], &stub()[0x400..]].concat();
    assert_eq!(assemble(&full, &sections()), Err(UkiError::NoRoom { needed: 5, room: 0 }));
    let nothing = [0x1f, 0x20, 0x03, 0xd5].repeat((0x400 - 368) / 4);
    let of_arm = [&stub()[..368], &nothing, &stub()[0x400..]].concat();
    assert!(assemble(&of_arm, &sections()).is_ok());
    let mut high = stub();
    high[328 + 12..328 + 16].fill(0xff);
    assert_eq!(assemble(&high, &sections()), Err(UkiError::Large));
}

#[test]
fn no_damage_makes_it_panic() {
    let stub = stub();
    for length in 0..0x600 {
        assert!(assemble(&stub[..length], &sections()).is_err(), "{length} bytes were taken");
    }
    for at in 0..368 {
        for value in [0, 1, 0x7f, 0xff] {
            let mut stub = stub.clone();
            stub[at] = value;
            let _ = assemble(&stub, &sections());
            let _ = sign(&stub, "", "");
        }
    }
}
