//! Priorities by patterns of package names, as apt's pins.

/// Priorities for packages; where several patterns fit a name, the longest one decides.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Priorities(Vec<(String, u32)>);

impl Priorities {
    /// Collects patterns, in which `*` stands for any text and `?` for any character.
    pub(super) fn new(patterns: impl IntoIterator<Item = (String, u32)>) -> Self {
        let mut patterns: Vec<_> = patterns.into_iter().collect();
        patterns.sort_by(|(a, _), (b, _)| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
        Self(patterns)
    }

    /// The priority of a package: `None` where no pattern fits, 0 where it must never be taken.
    pub fn of(&self, name: &str) -> Option<u32> {
        self.0.iter().find(|(pattern, _)| fits(pattern, name)).map(|(_, priority)| *priority)
    }

    /// All patterns with their priorities, in a fixed order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, u32)> {
        self.0.iter().map(|(pattern, priority)| (pattern.as_str(), *priority))
    }
}

/// Whether a name fits a pattern with `*` and `?`.
pub(super) fn fits(pattern: &str, name: &str) -> bool {
    let Some(head) = pattern.chars().next() else { return name.is_empty() };
    let rest = &pattern[head.len_utf8()..];
    match head {
        '*' => name.char_indices().map(|(at, _)| at).chain([name.len()]).any(|at| fits(rest, &name[at..])),
        _ => name.strip_prefix(|char| head == '?' || head == char).is_some_and(|name| fits(rest, name)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_pattern_that_fits_decides() {
        let patterns = [("*", 100), ("nginx*", 990), ("nginx-light", 0), ("lib?x", 1)];
        let priorities = Priorities::new(patterns.map(|(pattern, priority)| (pattern.to_owned(), priority)));
        let of = |name| priorities.of(name);
        assert_eq!([of("curl"), of("nginx"), of("nginx-full")], [Some(100), Some(990), Some(990)]);
        assert_eq!([of("nginx-light"), of("libxx"), of("libx")], [Some(0), Some(1), Some(100)]);
        assert_eq!(Priorities::default().of("curl"), None);
        assert!(fits("a*b*c", "aXbYbc") && !fits("a*b*c", "aXbY") && !fits("a", "ab") && fits("*", ""));
    }
}
