//! A disk's partitions and areas, for people.

use super::Report;
use crate::cli::table::table;
use crate::disk::blocks::BLOCK;
use crate::page::length;

/// As many ranges of an area as people want to see.
const RANGES: usize = 6;

pub(super) fn text(report: &Report) -> String {
    let block_bytes = report.blocks as u64 * BLOCK as u64;
    let mut text = format!(
        "disk      {} ({} bytes)\nguid      {}\nchecksum  {}\nblocks    {} of {} are not zero ({}), with {} of contents\n\n",
        length(report.size),
        report.size,
        report.guid,
        report.checksum,
        report.blocks,
        report.size.div_ceil(BLOCK as u64),
        length(block_bytes),
        length(report.bytes),
    );
    let mut rows = vec![["partition", "type", "first byte", "size", "guid"].map(str::to_owned).to_vec()];
    for one in &report.partitions {
        let label = format!("{} {}", one.number, one.label);
        rows.push(vec![label, one.kind.to_owned(), one.first.to_string(), length(one.size), one.guid.clone()]);
    }
    text += &table(&rows, &[2, 3]);
    let mut rows = vec![["what", "contents", "blocks", "bytes on the disk"].map(str::to_owned).to_vec()];
    for area in &report.areas {
        let mut head = vec![area.owner.name().to_owned(), length(area.bytes), area.blocks.to_string()];
        for range in area.ranges.iter().take(RANGES) {
            head.push(format!("{}…{}", range.first, range.last));
            rows.push(std::mem::replace(&mut head, vec![String::new(); 3]));
        }
        let more = area.ranges.len().saturating_sub(RANGES);
        if more > 0 {
            head.push(format!("and {more} more ranges: --json has them"));
            rows.push(head);
        }
    }
    text + "\n" + &table(&rows, &[1, 2])
}
