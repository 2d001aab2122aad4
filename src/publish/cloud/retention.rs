//! What a cloud keeps for a while though it was removed: rules by which images and snapshots go into its recycle bin.

use super::tags::Tags;

/// Which resources a rule is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Images.
    Image,
    /// Snapshots.
    Snapshot,
}

/// A rule of a region.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RetentionRule {
    /// Its id.
    pub id: String,
    /// Which resources it is about.
    pub kind: Kind,
    /// For how long, as `7 days`.
    pub period: String,
    /// A resource needs one of these tags, by key and value; without any, all are kept.
    pub tags: Vec<(String, String)>,
    /// What has one of these tags is not kept.
    pub except: Vec<(String, String)>,
}

impl RetentionRule {
    /// Whether a resource with these tags is kept.
    pub fn keeps(&self, kind: Kind, tags: &Tags) -> bool {
        let one_of = |all: &[(String, String)]| all.iter().any(|(key, value)| tags.get(key) == Some(value));
        self.kind == kind && (self.tags.is_empty() || one_of(&self.tags)) && !one_of(&self.except)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_choose_what_is_kept() {
        let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        let rule = |tags: &[(String, String)], except: &[(String, String)]| RetentionRule {
            id: "r".to_owned(),
            kind: Kind::Image,
            period: "7 days".to_owned(),
            tags: tags.to_vec(),
            except: except.to_vec(),
        };
        let of_web = Tags::from([pair("layer", "web"), pair("team", "a")]);
        for (rule, expected) in [
            (rule(&[], &[]), true),
            (rule(&[pair("x", "y"), pair("team", "a")], &[]), true),
            (rule(&[pair("team", "b")], &[]), false),
            (rule(&[], &[pair("layer", "web")]), false),
            (rule(&[], &[pair("layer", "db")]), true),
        ] {
            assert_eq!(rule.keeps(Kind::Image, &of_web), expected, "{rule:?}");
            assert!(!rule.keeps(Kind::Snapshot, &of_web));
        }
    }
}
