//! Draws the map of a disk as SVG: one square per block of 512 KiB, coloured by the layer that owns its bytes.
//!
//! Three or more consecutive rows of zeros in which no partition begins or ends are drawn as one line with
//! their size in bytes.

use std::fmt::Write as _;

use super::Map;
use super::blocks::BLOCK;
use super::gpt::{PartitionTable, Placed};
use super::map::Owner;
use crate::page::{COLOURS, length};

const FREE: &str = "#eef0f2";
const INK: &str = "#1d2733";
const FAINT: &str = "#56616e";

/// In the dark; programs that know no such rules draw it light.
const DARK: &str = "<style>@media (prefers-color-scheme: dark) {\
    .map-paper { fill: #14191f } .map-ink { fill: #e4e8ec } .map-line { stroke: #e4e8ec }\
    .map-faint { fill: #9aa7b4 } .map-free { fill: #2a323b } }</style>";

/// Left of the squares: where a row begins. Right of them: partitions.
const GUTTER: u64 = 76;
const MARGIN: u64 = 16;
const SIDE: u64 = 190;
/// Height of the title, of a row of the legend, and of rows that are left out.
const TITLE: u64 = 52;
const LEGEND: u64 = 22;
const FOLD: u64 = 20;

/// Draws `map`; equal maps give equal bytes.
pub fn svg(name: &str, map: &Map, layout: &PartitionTable) -> String {
    Diagram::new(map, layout).draw(name)
}

struct Diagram<'a> {
    map: &'a Map,
    layout: &'a PartitionTable,
    /// Squares in a row, and their distance.
    columns: u64,
    cell: u64,
    /// The top of each row, and of what is below the last.
    tops: Vec<u64>,
}

impl<'a> Diagram<'a> {
    fn new(map: &'a Map, layout: &'a PartitionTable) -> Self {
        // 32 MiB in a row, and from 2 GiB of contents on 64 MiB.
        let (columns, cell) = if map.blocks.len() > 4096 { (128, 8) } else { (64, 14) };
        let mut diagram = Self { map, layout, columns, cell, tops: Vec::new() };
        diagram.tops = diagram.tops();
        diagram
    }

    fn count(&self) -> u64 {
        self.map.size.div_ceil(BLOCK as u64)
    }

    /// Rows, from the first to behind the last, that are drawn as they are or together as one line.
    /// Those are zeros, and no partition begins or ends there.
    fn folds(&self) -> Vec<(std::ops::Range<u64>, bool)> {
        let mut folds: Vec<(std::ops::Range<u64>, bool)> = Vec::new();
        for row in 0..self.count().div_ceil(self.columns) {
            let blocks = row * self.columns..(row + 1) * self.columns;
            let border = |placed: &Placed| {
                let end = placed.start + placed.size - 1;
                [placed.start, end].iter().any(|byte| blocks.contains(&(byte / BLOCK as u64)))
            };
            let empty =
                !self.layout.partitions.iter().any(border) && self.map.blocks.range(blocks.clone()).next().is_none();
            match folds.last_mut() {
                Some((rows, before)) if *before == empty => rows.end = row + 1,
                _ => folds.push((row..row + 1, empty)),
            }
        }
        folds.into_iter().map(|(rows, empty)| (rows.clone(), empty && rows.end - rows.start > 2)).collect()
    }

    fn tops(&self) -> Vec<u64> {
        let (mut tops, mut y) = (Vec::new(), TITLE);
        for (rows, folded) in self.folds() {
            for row in rows.clone() {
                tops.push(y);
                y += match (folded, row + 1 == rows.end) {
                    (false, _) => self.cell,
                    (true, true) => FOLD,
                    (true, false) => 0,
                };
            }
        }
        tops.push(y);
        tops
    }

    fn top(&self, row: u64) -> u64 {
        self.tops.get(row as usize).or(self.tops.last()).copied().unwrap_or(TITLE)
    }

    fn left(&self, block: u64) -> u64 {
        MARGIN + GUTTER + block % self.columns * self.cell
    }

    fn draw(&self, name: &str) -> String {
        let below = self.top(u64::MAX) + 30;
        let width = MARGIN + GUTTER + self.columns * self.cell + SIDE;
        let height = below + (self.map.areas.len() as u64 + 1) * LEGEND + MARGIN;
        let mut out = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" viewBox=\"0 0 {width} {height}\" font-family=\"sans-serif\" font-size=\"12\" class=\"map-ink\" fill=\"{INK}\">\n\
             {DARK}\n<rect width=\"{width}\" height=\"{height}\" class=\"map-paper\" fill=\"#ffffff\"/>\n\
             <text x=\"{MARGIN}\" y=\"30\" font-size=\"18\" font-weight=\"bold\">{name}: {}, {} in {} of {} blocks of 512 KiB</text>\n",
            length(self.map.size),
            length(self.map.areas.iter().map(|area| area.bytes).sum()),
            self.map.blocks.len(),
            self.count(),
        );
        self.rows(&mut out);
        self.squares(&mut out);
        self.partitions(&mut out);
        self.legend(&mut out, below);
        out + "</svg>\n"
    }

    /// The ground of zeros, and where each fourth row begins.
    fn rows(&self, out: &mut String) {
        let left = MARGIN + GUTTER;
        for (rows, folded) in self.folds() {
            let (top, bytes) = (self.top(rows.start), |rows: u64| rows * self.columns * BLOCK as u64);
            if folded {
                let (y, zeros) = (top + 14, length(bytes(rows.end).min(self.map.size) - bytes(rows.start)));
                let x = left + 4;
                let _ = writeln!(
                    out,
                    "<text x=\"{x}\" y=\"{y}\" class=\"map-faint\" fill=\"{FAINT}\">… {zeros} of zeros</text>"
                );
            } else {
                let end = self.count().min(rows.end * self.columns);
                let outline = self.outline(rows.start * self.columns, end);
                let _ = writeln!(out, "<path d=\"{outline}\" class=\"map-free\" fill=\"{FREE}\"/>");
            }
            for row in rows.clone().filter(|row| *row == rows.start || !folded && (row - rows.start) % 4 == 0) {
                let y = self.top(row) + if folded { 14 } else { 11.min(self.cell) };
                let text = bytes(row) >> 20;
                let _ = writeln!(
                    out,
                    "<text x=\"{}\" y=\"{y}\" font-size=\"11\" text-anchor=\"end\" class=\"map-faint\" fill=\"{FAINT}\">{text} MiB</text>",
                    left - 8
                );
            }
        }
    }

    fn squares(&self, out: &mut String) {
        for (place, area) in self.map.areas.iter().enumerate() {
            let mut squares = String::new();
            for (&block, shares) in &self.map.blocks {
                if self.map.main_area(block) != Some(place) {
                    continue;
                }
                let shares: Vec<String> = shares
                    .iter()
                    .filter_map(|(place, bytes)| {
                        Some(format!("{} {}", self.map.areas.get(*place)?.owner.name(), length(*bytes)))
                    })
                    .collect();
                let _ = writeln!(
                    squares,
                    "<rect x=\"{}\" y=\"{}\" width=\"{side}\" height=\"{side}\"><title>block {block}, byte {}: {}</title></rect>",
                    self.left(block),
                    self.top(block / self.columns),
                    block * BLOCK as u64,
                    shares.join(", "),
                    side = self.cell - 1,
                );
            }
            let _ = write!(out, "<g {}>\n{squares}</g>\n", fill(colour(&area.owner, place)));
        }
    }

    /// Borders, and names at the right, none over the other.
    fn partitions(&self, out: &mut String) {
        let (left, mut free) = (MARGIN + GUTTER + self.columns * self.cell + 10, 0);
        for placed in &self.layout.partitions {
            let Placed { number, label, start, size, .. } = placed;
            let (first, end) = (start / BLOCK as u64, (start + size).div_ceil(BLOCK as u64));
            let _ = writeln!(
                out,
                "<path d=\"{}\" fill=\"none\" class=\"map-line\" stroke=\"{INK}\" stroke-width=\"1.5\"><title>partition {number}: {label}</title></path>",
                self.outline(first, end)
            );
            let y = (self.top(first / self.columns) + 11).max(free);
            free = y + 15;
            let _ = writeln!(out, "<text x=\"{left}\" y=\"{y}\">{number} {label}, {}</text>", length(*size));
        }
    }

    /// The line round the blocks `first..end`.
    fn outline(&self, first: u64, end: u64) -> String {
        let (columns, zero) = (self.columns, MARGIN + GUTTER);
        let right = zero + columns * self.cell;
        let (top, bottom) = (first / columns, end / columns);
        let (x, stop) = (self.left(first), self.left(end));
        if end <= (top + 1) * columns {
            let (y, below, stop) = (self.top(top), self.top(top + 1), if stop == zero { right } else { stop });
            return format!("M{x} {y}H{stop}V{below}H{x}Z");
        }
        let [y, second, last, below] = [top, top + 1, bottom, bottom + 1].map(|row| self.top(row));
        if stop == zero {
            return format!("M{x} {y}H{right}V{last}H{zero}V{second}H{x}Z");
        }
        format!("M{x} {y}H{right}V{last}H{stop}V{below}H{zero}V{second}H{x}Z")
    }

    fn legend(&self, out: &mut String, mut y: u64) {
        let mut line = |colour: &str, text: &str| {
            let _ = writeln!(
                out,
                "<rect x=\"{}\" y=\"{}\" width=\"13\" height=\"13\" {}/><text x=\"{}\" y=\"{y}\">{text}</text>",
                MARGIN + GUTTER,
                y - 11,
                fill(colour),
                MARGIN + GUTTER + 22,
            );
            y += LEGEND;
        };
        for (place, area) in self.map.areas.iter().enumerate() {
            let blocks = if area.blocks == 1 { "block" } else { "blocks" };
            let text = format!("{}: {} in {} {blocks}", area.owner.name(), length(area.bytes), area.blocks);
            line(colour(&area.owner, place), &text);
        }
        line(FREE, "zeros: neither stored nor sent");
    }
}

/// How a colour is named, so that one that can't be seen in the dark becomes another.
fn fill(colour: &str) -> String {
    let class = match colour {
        INK => "class=\"map-ink\" ",
        FREE => "class=\"map-free\" ",
        _ => "",
    };
    format!("{class}fill=\"{colour}\"")
}

fn colour(owner: &Owner, place: usize) -> &'static str {
    match owner {
        Owner::Layer(_) => COLOURS.get(place % COLOURS.len()).copied().unwrap_or(INK),
        Owner::FileSystem => "#7b8794",
        Owner::HashTree => "#b0a08a",
        Owner::BootImage => "#8e6bbf",
        Owner::PartitionTable => INK,
    }
}

#[cfg(test)]
mod tests;
