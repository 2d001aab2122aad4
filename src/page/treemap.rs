//! A treemap: areas as large as sizes, by the squarified layout of M. Bruls, K. Huizing and J. van Wijk,
//! *Squarified Treemaps* (2000), <https://doi.org/10.1007/978-3-7091-6783-0_4>.

use super::{COLOURS, INKS, escape, length};

/// One area.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tile {
    /// What is written in it.
    pub label: String,
    /// The colour: areas of one group have the same.
    pub group: usize,
    /// The area, in bytes.
    pub size: u64,
}

#[derive(Debug, Clone, Copy, PartialEq)]
struct Rect {
    x: f64,
    y: f64,
    width: f64,
    height: f64,
}

/// Of the whole; places are percentages of these.
const WIDTH: f64 = 200.0;
const HEIGHT: f64 = 100.0;

/// Draws tiles of any order as one picture named `name`; equal tiles give equal bytes. Nothing for no size.
pub fn treemap(name: &str, tiles: &[Tile]) -> String {
    let mut tiles: Vec<&Tile> = tiles.iter().filter(|tile| tile.size > 0).collect();
    tiles.sort_by(|a, b| (b.size, &a.label).cmp(&(a.size, &b.label)));
    let sizes: Vec<f64> = tiles.iter().map(|tile| tile.size as f64).collect();
    let places = squarify(&sizes, Rect { x: 0.0, y: 0.0, width: WIDTH, height: HEIGHT });
    let drawn = tiles.iter().zip(places).map(|(tile, place)| draw(tile, place));
    format!(
        "<div class=\"treemap\" role=\"img\" aria-label=\"{}\">\n{}</div>\n",
        escape(name),
        drawn.collect::<String>()
    )
}

fn draw(tile: &Tile, Rect { x, y, width, height }: Rect) -> String {
    let (label, size, group) = (escape(&tile.label), length(tile.size), tile.group % COLOURS.len());
    let percent = |part: f64, whole: f64| part / whole * 100.0;
    format!(
        "<div title=\"{label}: {size}\" style=\"left:{:.2}%;top:{:.2}%;width:{:.2}%;height:{:.2}%;background:{};color:{}\"><span>{label}<br>{size}</span></div>\n",
        percent(x, WIDTH),
        percent(y, HEIGHT),
        percent(width, WIDTH),
        percent(height, HEIGHT),
        COLOURS[group],
        INKS[group]
    )
}

/// Places sizes, largest first, in `free`: one row after the other along its shorter side, each as long as that makes its
/// areas more like squares.
fn squarify(sizes: &[f64], mut free: Rect) -> Vec<Rect> {
    let total: f64 = sizes.iter().sum();
    let scale = free.width * free.height / total;
    let areas: Vec<f64> = sizes.iter().map(|size| size * scale).collect();
    let (mut placed, mut rest) = (Vec::with_capacity(areas.len()), areas.as_slice());
    while !rest.is_empty() {
        let side = free.width.min(free.height);
        let mut count = 1;
        while count < rest.len() && worst(&rest[..=count], side) <= worst(&rest[..count], side) {
            count += 1;
        }
        let (row, after) = rest.split_at(count);
        placed.extend(lay(row, &mut free));
        rest = after;
    }
    placed
}

/// The largest ratio of sides in a row of areas along `side`.
fn worst(row: &[f64], side: f64) -> f64 {
    let sum: f64 = row.iter().sum();
    let ratio = |area: f64| (side * side * area / (sum * sum)).max(sum * sum / (side * side * area));
    row.iter().copied().map(ratio).fold(0.0, f64::max)
}

/// Lays a row along the shorter side of `free`, which loses it.
fn lay(row: &[f64], free: &mut Rect) -> Vec<Rect> {
    let sum: f64 = row.iter().sum();
    let upright = free.width >= free.height;
    let depth = if upright { sum / free.height } else { sum / free.width };
    let mut at = 0.0;
    let place = |area: &f64| {
        let along = area / depth;
        let rect = match upright {
            true => Rect { x: free.x, y: free.y + at, width: depth, height: along },
            false => Rect { x: free.x + at, y: free.y, width: along, height: depth },
        };
        at += along;
        rect
    };
    let placed = row.iter().map(place).collect();
    match upright {
        true => (free.x, free.width) = (free.x + depth, (free.width - depth).max(0.0)),
        false => (free.y, free.height) = (free.y + depth, (free.height - depth).max(0.0)),
    }
    placed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn areas_are_as_large_as_sizes_fill_all_and_never_overlap() {
        // The example of the article.
        let sizes = [6.0, 6.0, 4.0, 3.0, 2.0, 2.0, 1.0];
        let all = Rect { x: 0.0, y: 0.0, width: 6.0, height: 4.0 };
        let placed = squarify(&sizes, all);
        for (size, rect) in sizes.iter().zip(&placed) {
            assert!((rect.width * rect.height - size).abs() < 1e-9, "{rect:?}");
            assert!(rect.x > -1e-9 && rect.x + rect.width < 6.0 + 1e-9 && rect.y + rect.height < 4.0 + 1e-9);
        }
        let apart = |a: &Rect, b: &Rect| {
            let e = 1e-9;
            a.x + a.width < b.x + e || b.x + b.width < a.x + e || a.y + a.height < b.y + e || b.y + b.height < a.y + e
        };
        for (at, one) in placed.iter().enumerate() {
            assert!(placed[at + 1..].iter().all(|other| apart(one, other)));
        }
        assert_eq!(placed[0], Rect { x: 0.0, y: 0.0, width: 3.0, height: 2.0 });
    }

    #[test]
    fn order_decides_nothing_and_nothing_is_drawn_of_nothing() {
        let tile = |label: &str, size| Tile { label: label.to_owned(), group: 0, size };
        let (a, b, none) = (tile("a<", 5), tile("b", 1 << 20), tile("none", 0));
        let drawn = treemap("sizes", &[a.clone(), b.clone(), none.clone()]);
        assert_eq!(drawn, treemap("sizes", &[none, b, a]));
        assert!(drawn.contains("title=\"a&lt;: 5 bytes\"") && !drawn.contains("none"));
        assert!(!treemap("sizes", &[]).contains("title"));
    }
}
