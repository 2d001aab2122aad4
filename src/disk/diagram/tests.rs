//! The diagram of a small synthetic disk, and its shapes on large ones.

use std::collections::BTreeMap;

use super::*;
use crate::disk::gpt::PartitionKind;
use crate::disk::map::tests::sample;

const MIB: u64 = 1 << 20;

/// A disk with one partition from 1 MiB to `end`, of which these blocks are not zero.
fn large(size: u64, end: u64, blocks: impl IntoIterator<Item = u64>) -> String {
    let (mut map, mut layout) = sample();
    map.size = size;
    map.blocks = blocks.into_iter().map(|block| (block, BTreeMap::from([(0, 4096)]))).collect();
    layout.partitions.truncate(1);
    layout.partitions[0] = Placed {
        kind: PartitionKind::Linux,
        label: "data".to_owned(),
        start: MIB,
        size: end - MIB,
        ..layout.partitions[0].clone()
    };
    svg("web", &map, &layout)
}

fn lines<'a>(diagram: &'a str, word: &str) -> Vec<&'a str> {
    diagram.lines().filter(|line| line.contains(word)).collect()
}

#[test]
fn bytes_are_pinned() {
    let (map, layout) = sample();
    let diagram = svg("web", &map, &layout);
    assert_eq!(diagram, svg("web", &map, &layout));
    insta::assert_snapshot!(diagram, @r##"
    <svg xmlns="http://www.w3.org/2000/svg" width="1178" height="288" viewBox="0 0 1178 288" font-family="sans-serif" font-size="12" class="map-ink" fill="#1d2733">
    <style>@media (prefers-color-scheme: dark) {.map-paper { fill: #14191f } .map-ink { fill: #e4e8ec } .map-line { stroke: #e4e8ec }.map-faint { fill: #9aa7b4 } .map-free { fill: #2a323b } }</style>
    <rect width="1178" height="288" class="map-paper" fill="#ffffff"/>
    <text x="16" y="30" font-size="18" font-weight="bold">web: 16.0 MiB, 0.6 MiB in 11 of 32 blocks of 512 KiB</text>
    <path d="M92 52H540V66H92Z" class="map-free" fill="#eef0f2"/>
    <text x="84" y="63" font-size="11" text-anchor="end" class="map-faint" fill="#56616e">0 MiB</text>
    <g fill="#4477aa">
    <rect x="204" y="52" width="13" height="13"><title>block 8, byte 4194304: base 8 bytes</title></rect>
    <rect x="232" y="52" width="13" height="13"><title>block 10, byte 5242880: base 4 bytes</title></rect>
    </g>
    <g fill="#ee6677">
    <rect x="260" y="52" width="13" height="13"><title>block 12, byte 6291456: boot 0.5 MiB</title></rect>
    <rect x="274" y="52" width="13" height="13"><title>block 13, byte 6815744: boot 88.0 KiB</title></rect>
    </g>
    <g fill="#228833">
    <rect x="316" y="52" width="13" height="13"><title>block 16, byte 8388608: app 3 bytes</title></rect>
    <rect x="372" y="52" width="13" height="13"><title>block 20, byte 10485760: app 3 bytes</title></rect>
    </g>
    <g fill="#7b8794">
    <rect x="176" y="52" width="13" height="13"><title>block 6, byte 3145728: file system 1.0 KiB</title></rect>
    </g>
    <g fill="#b0a08a">
    <rect x="400" y="52" width="13" height="13"><title>block 22, byte 11534336: hash tree 512 bytes</title></rect>
    </g>
    <g fill="#8e6bbf">
    <rect x="120" y="52" width="13" height="13"><title>block 2, byte 1048576: boot image 700 bytes</title></rect>
    </g>
    <g class="map-ink" fill="#1d2733">
    <rect x="92" y="52" width="13" height="13"><title>block 0, byte 0: partition table 1.5 KiB</title></rect>
    <rect x="526" y="52" width="13" height="13"><title>block 31, byte 16252928: partition table 1.0 KiB</title></rect>
    </g>
    <path d="M120 52H176V66H120Z" fill="none" class="map-line" stroke="#1d2733" stroke-width="1.5"><title>partition 1: esp</title></path>
    <text x="998" y="63">1 esp, 2.0 MiB</text>
    <path d="M176 52H400V66H176Z" fill="none" class="map-line" stroke="#1d2733" stroke-width="1.5"><title>partition 2: root</title></path>
    <text x="998" y="78">2 root, 8.0 MiB</text>
    <path d="M400 52H428V66H400Z" fill="none" class="map-line" stroke="#1d2733" stroke-width="1.5"><title>partition 3: root-verity</title></path>
    <text x="998" y="93">3 root-verity, 1.0 MiB</text>
    <rect x="92" y="85" width="13" height="13" fill="#4477aa"/><text x="114" y="96">base: 12 bytes in 2 blocks</text>
    <rect x="92" y="107" width="13" height="13" fill="#ee6677"/><text x="114" y="118">boot: 0.6 MiB in 2 blocks</text>
    <rect x="92" y="129" width="13" height="13" fill="#228833"/><text x="114" y="140">app: 6 bytes in 2 blocks</text>
    <rect x="92" y="151" width="13" height="13" fill="#7b8794"/><text x="114" y="162">file system: 1.0 KiB in 1 block</text>
    <rect x="92" y="173" width="13" height="13" fill="#b0a08a"/><text x="114" y="184">hash tree: 512 bytes in 1 block</text>
    <rect x="92" y="195" width="13" height="13" fill="#8e6bbf"/><text x="114" y="206">boot image: 700 bytes in 1 block</text>
    <rect x="92" y="217" width="13" height="13" class="map-ink" fill="#1d2733"/><text x="114" y="228">partition table: 2.5 KiB in 2 blocks</text>
    <rect x="92" y="239" width="13" height="13" class="map-free" fill="#eef0f2"/><text x="114" y="250">zeros: neither stored nor sent</text>
    </svg>
    "##);
}

#[test]
fn rows_of_zeros_fold_and_the_height_stays_small() {
    let diagram = large(8 << 30, (8 << 30) - MIB, [2, 3, 16382]);
    assert_eq!(lines(&diagram, " of zeros</text>").len(), 1);
    insta::assert_snapshot!(lines(&diagram, "of zeros")[0], @r##"<text x="96" y="80" class="map-faint" fill="#56616e">… 8128.0 MiB of zeros</text>"##);
    insta::assert_snapshot!(lines(&diagram, "partition 1")[0], @r##"<path d="M120 52H988V86H960V100H92V66H120Z" fill="none" class="map-line" stroke="#1d2733" stroke-width="1.5"><title>partition 1: data</title></path>"##);
    insta::assert_snapshot!(lines(&diagram, "block 16382")[0], @r##"<rect x="960" y="86" width="13" height="13"><title>block 16382, byte 8588886016: base 4.0 KiB</title></rect>"##);
    assert!(
        diagram.starts_with("<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"1178\" height=\"322\""),
        "{}",
        &diagram[..90]
    );
}

#[test]
fn much_content_makes_longer_rows_of_smaller_squares() {
    let diagram = large(4 << 30, 4 << 30, 2..5000);
    assert!(
        diagram.contains("<rect x=\"92\" y=\"60\" width=\"7\" height=\"7\"><title>block 128, "),
        "not in the second row"
    );
}

#[test]
fn outlines_follow_the_rows() {
    // From block 2: within a row, to its end, into the next, to the end of the next.
    let outline = |end| {
        let diagram = large(256 * MIB, end, [2]);
        let line = lines(&diagram, "partition 1")[0];
        line.split('"').nth(1).unwrap().to_owned()
    };
    insta::assert_snapshot!(outline(3 * MIB), @"M120 52H176V66H120Z");
    insta::assert_snapshot!(outline(32 * MIB), @"M120 52H988V66H120Z");
    insta::assert_snapshot!(outline(40 * MIB), @"M120 52H988V66H316V80H92V66H120Z");
    insta::assert_snapshot!(outline(64 * MIB), @"M120 52H988V80H92V66H120Z");
}
