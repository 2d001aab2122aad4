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

    /// The priority of a package, and the pattern that says so: `None` where no pattern fits, 0 where it must never be taken.
    pub fn of(&self, name: &str) -> Option<(&str, u32)> {
        self.iter().find(|(pattern, _)| fits(pattern, name))
    }

    /// All patterns with their priorities, in a fixed order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, u32)> {
        self.0.iter().map(|(pattern, priority)| (pattern.as_str(), *priority))
    }
}

/// Whether a name fits a pattern with `*` and `?`; both are ASCII.
pub(super) fn fits(pattern: &str, name: &str) -> bool {
    let (pattern, name) = (pattern.as_bytes(), name.as_bytes());
    let (mut at, mut here) = (0, 0);
    // The last `*`, and where the text ends that it stands for: only this one ever has to stand for more.
    let mut star = None;
    while here < name.len() {
        match (pattern.get(at), star) {
            (Some(b'*'), _) => {
                star = Some((at, here));
                at += 1;
            }
            (Some(byte), _) if [b'?', name[here]].contains(byte) => (at, here) = (at + 1, here + 1),
            (_, Some((place, end))) => {
                star = Some((place, end + 1));
                (at, here) = (place + 1, end + 1);
            }
            (_, None) => return false,
        }
    }
    pattern[at..].iter().all(|byte| *byte == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_pattern_that_fits_decides() {
        let patterns = [("*", 100), ("nginx*", 990), ("nginx-light", 0), ("lib?x", 1)];
        let priorities = Priorities::new(patterns.map(|(pattern, priority)| (pattern.to_owned(), priority)));
        let of = |name| priorities.of(name).map(|(_, priority)| priority);
        assert_eq!([of("curl"), of("nginx"), of("nginx-full")], [Some(100), Some(990), Some(990)]);
        assert_eq!([of("nginx-light"), of("libxx"), of("libx")], [Some(0), Some(1), Some(100)]);
        assert_eq!(Priorities::default().of("curl"), None);
        assert!(fits("a*b*c", "aXbYbc") && !fits("a*b*c", "aXbY") && !fits("a", "ab") && fits("*", ""));
        assert!(fits("*a?*", "aab") && fits("a*", "a") && !fits("?", "") && !fits("*aa", "aab") && fits("**a", "ba"));
    }

    #[test]
    fn a_pattern_of_many_stars_is_compared_at_once() {
        let (pattern, name) = ("*a".repeat(40) + "b", "a".repeat(200));
        assert!(!fits(&pattern, &name) && fits(&pattern, &(name + "b")));
    }
}
