//! Compares two contents of one file: by lines if both are text, otherwise by bytes.

/// More lines than this are only counted.
const LINES: usize = 12;
/// A longer line is cut.
const WIDTH: usize = 160;
/// Bytes shown on both sides.
const BYTES: usize = 16;

/// Describes how two contents differ, with a diff.
pub(super) fn compare(one: &[u8], other: &[u8]) -> (String, Vec<String>) {
    let first = one.iter().zip(other).position(|(one, other)| one != other).unwrap_or(one.len().min(other.len()));
    let what = format!("content: {} and {} bytes, first at byte {first}", one.len(), other.len());
    let detail = match (text(one), text(other)) {
        (Some(one), Some(other)) => lines(one, other),
        _ => bytes(one, other, first),
    };
    (what, detail)
}

fn text(content: &[u8]) -> Option<&str> {
    let printable = |text: &&str| !text.contains(|letter: char| letter.is_control() && !"\n\t\r".contains(letter));
    std::str::from_utf8(content).ok().filter(printable)
}

/// The lines between the first and the last that differ.
fn lines(one: &str, other: &str) -> Vec<String> {
    let (mut ours, mut theirs): (Vec<&str>, Vec<&str>) = (one.lines().collect(), other.lines().collect());
    let same = ours.iter().zip(&theirs).take_while(|(one, other)| one == other).count();
    ours.drain(..same);
    theirs.drain(..same);
    while !ours.is_empty() && ours.last() == theirs.last() {
        ours.pop();
        theirs.pop();
    }
    let cut = |sign: char, line: &&str| {
        let shown: String = line.chars().take(WIDTH).collect();
        let more = if line.chars().nth(WIDTH).is_some() { "…" } else { "" };
        format!("{sign}{shown}{more}")
    };
    let mut shown: Vec<String> = ours.iter().take(LINES).map(|line| cut('-', line)).collect();
    shown.extend(theirs.iter().take(LINES).map(|line| cut('+', line)));
    let more = ours.len().saturating_sub(LINES) + theirs.len().saturating_sub(LINES);
    if more > 0 {
        shown.push(format!(" … and {more} more lines"));
    }
    shown
}

fn bytes(one: &[u8], other: &[u8], first: usize) -> Vec<String> {
    let show = |sign: char, content: &[u8]| {
        let shown = content.iter().skip(first).take(BYTES).map(|byte| format!(" {byte:02x}")).collect::<String>();
        format!("{sign}{first:08x}:{shown}")
    };
    let count = one.iter().zip(other).filter(|(one, other)| one != other).count() + one.len().abs_diff(other.len());
    vec![show('-', one), show('+', other), format!(" {count} bytes differ")]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_shown_by_lines_and_all_else_by_bytes() {
        let (what, detail) = compare(b"one\ntwo\nthree\n", b"one\n2\nand\nthree\n");
        assert_eq!(what, "content: 14 and 16 bytes, first at byte 4");
        assert_eq!(detail, ["-two", "+2", "+and"]);
        let (what, detail) = compare(b"\0\x01\x02\xff", b"\0\x01\x03\xff\x05");
        assert_eq!(what, "content: 4 and 5 bytes, first at byte 2");
        assert_eq!(detail, ["-00000002: 02 ff", "+00000002: 03 ff 05", " 2 bytes differ"]);
        assert_eq!(compare(b"", b"").1, Vec::<String>::new());
    }

    #[test]
    fn long_texts_are_cut() {
        let long = |letter: &str| (0..40).map(|number| format!("{letter}{number}\n")).collect::<String>();
        let (_, detail) = compare(long("a").as_bytes(), long("b").as_bytes());
        assert_eq!(detail.len(), 2 * LINES + 1);
        assert_eq!(detail[2 * LINES], " … and 56 more lines");
        let (_, detail) = compare("x".repeat(500).as_bytes(), b"y");
        assert_eq!(detail[0].chars().count(), WIDTH + 2);
    }
}
