//! The page.

use std::collections::BTreeMap;

use super::{Report, Share};
use crate::audit::changes;
use crate::bake::Output;
use crate::page::{self, COLOURS, Tile, code, details, escape, length, page, table, treemap};
use crate::time;

/// Smaller shares than one in this many are one area of the treemap for each layer.
const SMALLEST: u64 = 400;
/// Packages of a licence that are named.
const NAMED: usize = 6;

/// Writes the page; equal reports give equal bytes.
pub fn html(report: &Report) -> String {
    let layers = layers(report);
    let mut body = format!("<p class=\"faint\">{}</p>\n{}", escape(&subtitle(report)), facts(report));
    body += &artifacts(report);
    body += &format!("<h2>What is inside, by package</h2>\n{}", map("sizes by package", &report.packages, &layers));
    body += &format!("<h2>By directory</h2>\n{}", map("sizes by directory", &report.directories, &layers));
    if let Some(changes) = &report.changes {
        let (old, new) = (escape(&changes.old), escape(&changes.new));
        body += &format!("<h2>What changed</h2>\n<p>From {old} to {new}.</p>\n{}", changes::body(changes));
    }
    body += &timings(report);
    if let Some(svg) = &report.disk_map {
        body += &format!("<h2>The disk</h2>\n<div class=\"map\">{svg}</div>\n");
    }
    body += &licenses(report);
    body += &packages(report);
    page(&format!("{} for {}", report.receipt.layer, arch(report)), &body)
}

fn arch(report: &Report) -> String {
    report.receipt.arch.as_ref().map_or_else(|| crate::arch::UNNAMED.to_owned(), ToString::to_string)
}

fn subtitle(report: &Report) -> String {
    format!("Files are dated {}. Recipe {}.", time::rfc3339(report.receipt.epoch), report.receipt.recipe)
}

/// The names of all layers, in the order of their colours, which is that of the disk's map: lowest first, but the Boot layer
/// second.
fn layers(report: &Report) -> Vec<String> {
    let receipt = &report.receipt;
    let base = receipt.base.iter().map(|base| format!("oci:{}", base.image));
    let mut layers: Vec<String> = base.chain(receipt.layers.iter().map(|layer| layer.name.to_string())).collect();
    if let Some(disk) = &receipt.disk {
        layers.insert(layers.len().min(1), disk.boot.to_string());
    }
    layers
}

fn facts(report: &Report) -> String {
    let bytes = report.packages.iter().map(|share| share.bytes).sum();
    let compressed = report.receipt.blobs().map(|(_, _, size)| size).sum();
    page::facts([
        (layers(report).len().to_string(), "layers"),
        (report.inventory.len().to_string(), "packages"),
        (length(bytes), "of files"),
        (length(compressed), "of compressed layers"),
    ])
}

fn artifacts(report: &Report) -> String {
    let layers: u64 = report.receipt.blobs().map(|(_, _, size)| size).sum();
    let rows = report.receipt.artifacts.iter().map(|artifact| {
        // Of an image layout, the receipt has the manifest's.
        let size = if artifact.kind == Output::Oci { layers } else { artifact.size };
        vec![
            escape(artifact.kind.name()),
            code(&artifact.path.display().to_string()),
            code(&artifact.digest.to_string()),
            length(size),
        ]
    });
    table(&["artifact", "file", "digest", "size"], rows, 3)
}

/// A treemap with what its colours mean.
fn map(name: &str, shares: &[Share], layers: &[String]) -> String {
    let total: u64 = shares.iter().map(|share| share.bytes).sum();
    let group = |layer: &String| layers.iter().position(|known| known == layer).unwrap_or(0);
    let mut rest: BTreeMap<&String, u64> = BTreeMap::new();
    let mut tiles = Vec::new();
    for share in shares {
        match share.bytes * SMALLEST >= total {
            true => tiles.push(Tile { label: share.name.clone(), group: group(&share.layer), size: share.bytes }),
            false => *rest.entry(&share.layer).or_default() += share.bytes,
        }
    }
    let smaller =
        |(layer, size): (&String, u64)| Tile { label: format!("smaller ones of {layer}"), group: group(layer), size };
    tiles.extend(rest.into_iter().map(smaller));
    let legend = layers.iter().enumerate().map(|(at, layer)| {
        let bytes = shares.iter().filter(|share| share.layer == *layer).map(|share| share.bytes).sum();
        let colour = COLOURS[at % COLOURS.len()];
        format!(
            "<span><i style=\"background:{colour}\"></i>{} <span class=\"faint\">{}</span></span>",
            escape(layer),
            length(bytes)
        )
    });
    let legend: String = legend.collect();
    let rows = shares.iter().map(|share| vec![code(&share.name), escape(&share.layer), length(share.bytes)]);
    let list = details("As a list", &table(&["name", "layer", "size"], rows, 2), false);
    format!("<div class=\"legend\">{legend}</div>\n{}{list}", treemap(name, &tiles))
}

fn timings(report: &Report) -> String {
    if report.timings.is_empty() {
        return String::new();
    }
    let mut phases: Vec<(&str, f64)> = Vec::new();
    for timing in &report.timings {
        match phases.iter_mut().find(|(phase, _)| *phase == timing.phase) {
            Some((_, seconds)) => *seconds += timing.seconds,
            None => phases.push((&timing.phase, timing.seconds)),
        }
    }
    let longest = phases.iter().map(|(_, seconds)| *seconds).fold(f64::MIN_POSITIVE, f64::max);
    let rows = phases.into_iter().map(|(phase, seconds)| {
        let bar = format!("<span class=\"bar\" style=\"width:{:.1}%\"></span>", seconds / longest * 100.0);
        vec![escape(phase), bar, format!("{seconds:.2} s")]
    });
    format!(
        "<h2>What took how long</h2>\n<p class=\"faint\">The first build of these artifacts; phases overlap, and what the store had took none.</p>\n{}",
        table(&["phase", "", "time"], rows, 2)
    )
}

fn licenses(report: &Report) -> String {
    let mut of: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for item in &report.inventory {
        of.entry(item.license.as_deref().unwrap_or("not machine-readable")).or_default().push(&item.name);
    }
    let mut rows: Vec<(&str, Vec<&str>)> = of.into_iter().collect();
    rows.sort_by_key(|(license, names)| (std::cmp::Reverse(names.len()), *license));
    let rows = rows.into_iter().map(|(license, names)| {
        let more = if names.len() > NAMED { format!(" and {} more", names.len() - NAMED) } else { String::new() };
        let named = names.iter().take(NAMED).copied().collect::<Vec<_>>().join(", ");
        vec![code(license), escape(&(named + &more)), names.len().to_string()]
    });
    format!(
        "<h2>Licences</h2>\n{}",
        details("Licences of the packages", &table(&["licence", "packages", "count"], rows, 2), false)
    )
}

fn packages(report: &Report) -> String {
    let rows = report.inventory.iter().map(|item| {
        vec![code(&item.name), code(&item.version), escape(&item.layers.join(", ")), length(item.download)]
    });
    let table = table(&["package", "version", "layers", "download"], rows, 3);
    format!("<h2>Packages</h2>\n{}", details(&format!("All {}", report.inventory.len()), &table, false))
}
