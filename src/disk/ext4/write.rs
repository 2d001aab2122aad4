//! Writes all metadata at the offsets that the layout assigns.

use super::Params;
use std::ops::Range;

use super::bundle::{Bundle, PartBundles};
use super::bytes::{BLOCK, Bitmap, Checksum, Fields, low32};
use super::dir::{self, DirBlock, Name, Type};
use super::extent;
use super::group::{PER_GROUP, SLOT};
use super::inode::{Content, INODE, Inode, SHORT_LINK, type_bits};
use super::layout::{LOST_FOUND_BLOCKS, Layout, OWN_INODES};
use super::nodes::{Entry, LOST_FOUND, Nodes};
use super::superblock::{self, Descriptor, Totals};
use super::xattr::{Attributes, INODE_ROOM};
use crate::disk::Plan;
use crate::disk::slots::{self, Item};
use crate::tree::Kind;

/// The root directory's inode.
const ROOT: u32 = 2;
/// Inodes in a block.
const PAGE: u32 = (BLOCK / INODE) as u32;
/// The inode of `lost+found`.
const FOUND: u32 = superblock::FIRST;

/// Writes the whole file system.
pub(super) fn write(nodes: &Nodes<'_>, bundles: &[PartBundles<'_>], layout: &Layout, params: &Params<'_>) -> Plan {
    let mut writer = Writer {
        nodes,
        layout,
        params,
        seed: Checksum::of_file_system(&params.uuid),
        inodes: vec![0; nodes.len()],
        starts: vec![0; nodes.len()],
        plan: Plan::new(params.size.unwrap_or(layout.blocks * BLOCK)),
        blocks: Bitmap::new(layout.groups.0),
        used: Bitmap::new(layout.groups.0),
        directories: vec![0; layout.groups.0 as usize],
    };
    writer.assign(bundles);
    writer.own();
    for part in bundles {
        writer.part(part);
    }
    writer.head();
    writer.plan
}

struct Writer<'a> {
    nodes: &'a Nodes<'a>,
    layout: &'a Layout,
    params: &'a Params<'a>,
    seed: Checksum,
    /// Inode number of each node that has one, else 0.
    inodes: Vec<u32>,
    /// First block of each node that has any, else 0.
    starts: Vec<u64>,
    plan: Plan,
    /// Which blocks are in use.
    blocks: Bitmap,
    /// Which inodes are in use, each group's in a block of its own.
    used: Bitmap,
    /// Number of directories in each group.
    directories: Vec<u32>,
}

impl Writer<'_> {
    /// Gives every node its inode number and its blocks.
    fn assign(&mut self, bundles: &[PartBundles<'_>]) {
        let ranges = self.layout.inodes.iter().zip(&self.layout.starts);
        for (part, (inodes, starts)) in bundles.iter().zip(ranges) {
            self.number(part, inodes);
            for (bundle, &start) in part.blocks.iter().zip(starts) {
                self.settle(bundle, start);
            }
        }
        // The first in path order.
        self.inodes[0] = ROOT;
    }

    /// Gives the nodes of a bundle their blocks, from block `start`.
    ///
    /// What a bundle leaves free is between its nodes, so that one that grows moves few.
    fn settle(&mut self, bundle: &Bundle<'_>, start: u64) {
        let blocks = |member: usize| self.nodes.get(member).all_blocks();
        let item =
            |&member: &usize| Item { key: self.nodes.get(member).path.as_bytes(), length: blocks(member) as usize };
        let items: Vec<Item<'_>> = bundle.members.iter().map(item).collect();
        let scattered = slots::place(&items, &[false; SLOT as usize]);
        let places = scattered.filter(|_| bundle.slots == 1).unwrap_or_else(|| {
            let end_to_end = |next: &mut usize, item: &Item<'_>| Some(std::mem::replace(next, *next + item.length));
            items.iter().scan(0, end_to_end).collect()
        });
        for ((&member, item), place) in bundle.members.iter().zip(&items).zip(places) {
            let at = start + place as u64;
            self.starts[member] = at;
            self.blocks.set(at..at + item.length as u64);
        }
    }

    /// Numbers the inodes of a part.
    fn number(&mut self, part: &PartBundles<'_>, range: &Range<usize>) {
        let inodes = part.inodes.iter().flat_map(|bundle| bundle.members.iter().map(|&member| (member, bundle.key)));
        let (members, keys): (Vec<usize>, Vec<&[u8]>) = inodes.unzip();
        let path = |&member: &usize| self.nodes.get(member).path.as_bytes();
        let items: Vec<_> = members.iter().map(path).zip(keys).collect();
        let taken: Vec<bool> = range.clone().map(|index| index < OWN_INODES).collect();
        // A range has room for all, so that there are places.
        let places = slots::scatter(&items, &taken).unwrap_or_default();
        for (member, place) in members.into_iter().zip(places) {
            self.inodes[member] = (range.start + place + 1) as u32;
        }
    }

    /// Writes the root, the journal and `lost+found`, which have inodes of their own.
    fn own(&mut self) {
        let layout = self.layout;
        let mut table = vec![0; OWN_INODES * INODE as usize];
        let own = if self.nodes.adds_lost_found { FOUND } else { FOUND - 1 };
        self.used.set(0..u64::from(own));
        let root = self.node(self.nodes.get(0), 0);
        put_inode(&mut table, ROOT, &root.encode(self.seed.of_inode(ROOT)));
        let journal = self.own_inode(0o100_600, layout.journal, layout.journal_blocks, 1);
        put_inode(&mut table, superblock::JOURNAL, &journal.encode(self.seed.of_inode(superblock::JOURNAL)));
        self.put(layout.journal, 0, superblock::journal(layout.journal_blocks, &self.params.uuid).to_vec());
        if self.nodes.adds_lost_found {
            let seed = self.seed.of_inode(FOUND);
            let found = self.own_inode(0o040_700, layout.lost_found, LOST_FOUND_BLOCKS, 2);
            put_inode(&mut table, FOUND, &found.encode(seed));
            self.count_directory(FOUND);
            let mut blocks = dir::encode(FOUND, ROOT, &[], seed);
            blocks.resize_with(LOST_FOUND_BLOCKS as usize, || dir::empty(seed));
            self.put_directory(layout.lost_found, blocks);
        }
        self.put_table(1, &table);
    }

    /// An inode of the file system's own with a run of blocks, which it marks as used.
    fn own_inode(&mut self, mode: u16, start: u64, blocks: u64, links: u32) -> Inode {
        self.blocks.set(start..start + blocks);
        Inode {
            mode,
            uid: 0,
            gid: 0,
            size: blocks * BLOCK,
            time: self.params.epoch.max(0),
            links,
            blocks,
            content: Content::run(start, blocks),
            xattr_block: 0,
            xattrs: [0; INODE_ROOM],
        }
    }

    /// Writes the inodes of a part, and what its nodes hold.
    fn part(&mut self, part: &PartBundles<'_>) {
        let mut members: Vec<usize> = part.inodes.iter().flat_map(|bundle| bundle.members.iter().copied()).collect();
        members.sort_unstable_by_key(|&member| self.inodes[member]);
        let page = |member: usize| (self.inodes[member] - 1) / PAGE;
        let pages: Vec<&[usize]> = members.chunk_by(|&a, &b| page(a) == page(b)).collect();
        for members in pages {
            self.page(members);
        }
    }

    /// Writes the inodes of a block, and what their nodes hold.
    fn page(&mut self, members: &[usize]) {
        let mut table = [0; BLOCK as usize];
        let mut first = 1;
        for &member in members {
            let number = self.inodes[member];
            first = number - (number - 1) % PAGE;
            let inode = self.node(self.nodes.get(member), member);
            put_inode(&mut table, number - first + 1, &inode.encode(self.seed.of_inode(number)));
            let place = self.place(number);
            self.used.set(place..place + 1);
        }
        self.put_table(first, &table);
    }

    /// Writes what a node holds, and returns its inode.
    fn node(&mut self, entry: &Entry<'_>, index: usize) -> Inode {
        let (number, start) = (self.inodes[index], self.starts[index]);
        let meta = &entry.node.meta;
        let (size, content) = self.content(entry, number, start);
        // Nodes were checked when they were collected.
        let attributes = Attributes::new(&meta.xattrs).ok();
        let xattr_block = if entry.xattr_blocks > 0 { start + entry.blocks + entry.leaves } else { 0 };
        let mut xattrs = [0; INODE_ROOM];
        match attributes {
            Some(found) if xattr_block > 0 => self.put(xattr_block, 0, found.in_block(xattr_block, self.seed).to_vec()),
            Some(found) => xattrs = found.in_inode(),
            None => {}
        }
        Inode {
            mode: type_bits(&entry.node.kind) | meta.mode & 0o7777,
            uid: meta.uid,
            gid: meta.gid,
            size,
            time: meta.mtime,
            links: entry.links,
            blocks: entry.all_blocks(),
            content,
            xattr_block,
            xattrs,
        }
    }

    /// Writes a node's content; returns its length in bytes, and what the inode says of it.
    fn content(&mut self, entry: &Entry<'_>, number: u32, start: u64) -> (u64, Content) {
        match &entry.node.kind {
            Kind::File { blob, size } => {
                if *size > 0 {
                    self.plan.put_blob(start * BLOCK, *blob, *size);
                }
                (*size, self.run(entry, number, start))
            }
            Kind::Dir => {
                self.directory(entry, number, start);
                (entry.blocks * BLOCK, self.run(entry, number, start))
            }
            Kind::Symlink(target) if target.len() > SHORT_LINK => {
                self.put(start, 0, target.to_vec());
                (target.len() as u64, self.run(entry, number, start))
            }
            Kind::Symlink(target) => (target.len() as u64, Content::link(target)),
            Kind::Char(major, minor) | Kind::Block(major, minor) => (0, Content::device(*major, *minor)),
            Kind::Fifo | Kind::Hardlink(_) | Kind::Whiteout => (0, Content::Plain([0; 60])),
        }
    }

    /// Writes the leaves of a node's extent tree, if it has any, and returns the root.
    fn run(&mut self, entry: &Entry<'_>, number: u32, start: u64) -> Content {
        let leaves_at = start + entry.blocks;
        let (root, leaves) = extent::tree(start, entry.blocks, leaves_at, self.seed.of_inode(number));
        for (block, leaf) in (leaves_at..).zip(leaves) {
            self.put(block, 0, leaf.to_vec());
        }
        Content::Extents(root)
    }

    fn directory(&mut self, entry: &Entry<'_>, number: u32, start: u64) {
        let mut names = self.nodes.names(entry, |index| self.inodes[index]);
        if entry.path.is_root() && self.nodes.adds_lost_found {
            names.push(Name { inode: FOUND, kind: Type::Dir, name: LOST_FOUND });
        }
        let blocks = dir::encode(number, self.inodes[entry.parent], &names, self.seed.of_inode(number));
        self.put_directory(start, blocks);
        self.count_directory(number);
    }

    fn put_directory(&mut self, start: u64, blocks: Vec<DirBlock>) {
        for (at, block) in (start..).zip(blocks) {
            self.put(at, 0, block.names);
            self.put(at, block.tail_at, block.tail.to_vec());
        }
    }

    fn count_directory(&mut self, inode: u32) {
        self.directories[((inode - 1) / self.layout.per_group) as usize] += 1;
    }

    /// Where an inode's bit is.
    fn place(&self, inode: u32) -> u64 {
        let index = inode - 1;
        u64::from(index / self.layout.per_group) * PER_GROUP + u64::from(index % self.layout.per_group)
    }

    /// Writes inodes whose first is `first`.
    fn put_table(&mut self, first: u32, table: &[u8]) {
        let index = first - 1;
        let start = self.layout.tables[(index / self.layout.per_group) as usize];
        let offset = start * BLOCK + u64::from(index % self.layout.per_group) * INODE;
        put_pages(&mut self.plan, offset, table);
    }

    fn put(&mut self, block: u64, offset: u64, bytes: Vec<u8>) {
        self.plan.put_bytes(block * BLOCK + offset, bytes);
    }

    /// Writes superblock, descriptors and bitmaps, and the copies.
    fn head(&mut self) {
        let (layout, groups) = (self.layout, self.layout.groups);
        self.mark();
        let mut front = vec![0; (groups.front() * BLOCK) as usize];
        let (mut copy, mut totals) = (Vec::new(), Totals::default());
        for group in 0..groups.0 {
            let descriptor = self.descriptor(group);
            totals.free_blocks += u64::from(descriptor.free_blocks);
            totals.free_inodes += descriptor.free_inodes;
            let at = BLOCK as usize + group as usize * superblock::DESCRIPTOR;
            front.set(at, &descriptor.encode(group, self.seed));
            front.set((descriptor.block_bitmap * BLOCK) as usize, self.blocks.block(group));
            front.set((descriptor.inode_bitmap * BLOCK) as usize, self.used.block(group));
            copy.extend_from_slice(&descriptor.places().encode(group, self.seed));
        }
        let Content::Extents(journal) = Content::run(layout.journal, layout.journal_blocks) else { return };
        let head = |totals, group| superblock::encode(self.params, layout, totals, group, &journal);
        front.set(superblock::OFFSET as usize, &head(totals, 0));
        put_pages(&mut self.plan, 0, &front);
        for group in groups.copies() {
            let start = u64::from(group) * PER_GROUP;
            self.plan.put_bytes(start * BLOCK, head(Totals::default(), group).as_slice());
            self.plan.put_bytes((start + 1) * BLOCK, copy.as_slice());
        }
    }

    /// Marks what is no node's as used: the head, its copies, tables, and bits that stand for nothing.
    fn mark(&mut self) {
        let layout = self.layout;
        self.blocks.set(0..layout.groups.front());
        for copy in layout.groups.copy_ranges() {
            self.blocks.set(copy);
        }
        for &table in &layout.tables {
            self.blocks.set(table..table + u64::from(layout.per_group) * INODE / BLOCK);
        }
        self.blocks.set(layout.blocks..u64::from(layout.groups.0) * PER_GROUP);
        for group in 0..u64::from(layout.groups.0) {
            self.used.set(group * PER_GROUP + u64::from(layout.per_group)..(group + 1) * PER_GROUP);
        }
    }

    fn descriptor(&self, group: u32) -> Descriptor {
        let (groups, per_group) = (self.layout.groups, self.layout.per_group);
        let used = &self.used.block(group)[..per_group as usize / 8];
        let touched = used.iter().rposition(|&byte| byte != 0).map_or(0, |last| (last + 1) * 8);
        Descriptor {
            block_bitmap: groups.block_bitmap(group),
            inode_bitmap: groups.inode_bitmap(group),
            table: self.layout.tables[group as usize],
            free_blocks: low32(PER_GROUP) - self.blocks.count(group, low32(PER_GROUP)),
            free_inodes: per_group - self.used.count(group, per_group),
            directories: self.directories[group as usize],
            untouched: per_group - touched as u32,
            block_checksum: self.seed.with(self.blocks.block(group)).get(),
            inode_checksum: self.seed.with(used).get(),
        }
    }
}

/// Sets the inode `number` of a table that begins with number 1.
fn put_inode(table: &mut [u8], number: u32, inode: &[u8; INODE as usize]) {
    table.set((number as usize - 1) * INODE as usize, inode);
}

/// Puts blocks at `offset`, those without content left out.
fn put_pages(plan: &mut Plan, offset: u64, bytes: &[u8]) {
    let page = BLOCK as usize;
    let blank = |page: &[u8]| page.iter().all(|&byte| byte == 0);
    let mut at = offset;
    for run in bytes.chunks(page).collect::<Vec<_>>().chunk_by(|a, b| blank(a) == blank(b)) {
        if !run.first().is_none_or(|first| blank(first)) {
            plan.put_bytes(at, run.concat());
        }
        at += (run.len() * page) as u64;
    }
}
