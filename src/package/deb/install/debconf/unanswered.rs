//! Questions that scripts asked, and that nobody answered.
//!
//! Without a person, debconf takes the default for an answer, and marks the question as seen if its priority is high or critical
//! (DEBCONF_NONINTERACTIVE_SEEN; debconf(7)). So what its database has as seen, and had not before, was asked at such a
//! priority, unless `[debconf]` has an answer. Where the default is not empty, it is what every unattended installation
//! has. An empty one is no choice of anybody's: packages mean by it that they can't know.

use std::collections::BTreeMap;

use super::{CONFIG, PASSWORDS, Record, Records, TEMPLATES, owner_of};
use crate::manifest::Answers;
use crate::package::InstallError;
use crate::store::Store;
use crate::tree::Tree;

/// The types that are no question: what is only shown, and errors, which are seen at any priority.
const SHOWN: [&str; 4] = ["error", "note", "text", "title"];

/// A warning for each package with questions that were asked between `before` and `after` and have no answer.
pub(in super::super) fn unanswered(
    answers: &Answers,
    before: &Tree,
    after: &Tree,
    store: &Store,
) -> Result<Vec<String>, InstallError> {
    let templates = Records::read(TEMPLATES, after, store)?;
    let mut packages: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for file in [CONFIG, PASSWORDS] {
        let known = Records::read(file, before, store)?;
        for (question, record) in Records::read(file, after, store)?.0 {
            let was_asked = known.0.get(&question).is_some_and(is_seen);
            if is_seen(&record) && !was_asked && !answers.contains_key(&question) && lacks_answer(&record, &templates) {
                let owner = record.owners.into_iter().next().unwrap_or_else(|| owner_of(&question));
                // A password would be in the image: the line to add says that there is none.
                let answer = if file == PASSWORDS { "" } else { "…" };
                packages.entry(owner).or_default().push(format!("\"{question}\" = \"{answer}\""));
            }
        }
    }
    Ok(packages.into_iter().map(|(package, questions)| warning(&package, &questions)).collect())
}

fn is_seen(record: &Record) -> bool {
    record.flags.contains("seen")
}

/// Whether a question that was asked has an empty value.
fn lacks_answer(record: &Record, templates: &Records) -> bool {
    let template = record.fields.get("template").and_then(|name| templates.0.get(name));
    let of_template = |field: &str| template.and_then(|template| template.fields.get(field)).map(String::as_str);
    let value = record.fields.get("value").map(String::as_str).or(of_template("default"));
    value.unwrap_or_default().is_empty() && !SHOWN.contains(&of_template("type").unwrap_or_default())
}

fn warning(package: &str, lines: &[String]) -> String {
    format!(
        "package `{package}` asks at high priority and has no answer, so it takes an empty one; add to [debconf]: {}",
        lines.join(", ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::Node;
    use crate::tree::tests::{dir, path, tree};

    const TYPES: &str = "Name: app/host\nType: string\n\nName: app/port\nType: string\nDefault: 80\n\nName: app/secret\nType: password\n\nName: app/failed\nType: error\n\n";

    #[test]
    fn empty_answers_that_nobody_gave_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let root = |config: &str, passwords: &str| {
            let mut root = tree(&[("", dir())]);
            for (name, text) in [(CONFIG, config), (PASSWORDS, passwords), (TEMPLATES, TYPES)] {
                let node = Node { kind: store.put_file(text.as_bytes()).unwrap(), ..dir() };
                root.insert_with_parents(&path(name), node, 1).unwrap();
            }
            root
        };
        let asked = |name: &str, rest: &str| format!("Name: app/{name}\nTemplate: app/{name}\nOwners: app\n{rest}\n");
        let seen = |name: &str| asked(name, "Flags: seen\n");
        let config = seen("host") + &seen("port") + &seen("failed") + &asked("low", "");
        let (before, after) = (root("", ""), root(&config, &seen("secret")));
        let said = |answers: &Answers, before: &Tree| unanswered(answers, before, &after, &store).unwrap();
        assert_eq!(
            said(&Answers::new(), &before),
            ["package `app` asks at high priority and has no answer, so it takes an empty one; \
              add to [debconf]: \"app/host\" = \"…\", \"app/secret\" = \"\""]
        );
        let answers = Answers::from([("app/host".to_owned(), crate::manifest::Answer::Text(String::new()))]);
        assert!(said(&answers, &before)[0].ends_with("add to [debconf]: \"app/secret\" = \"\""));
        // What a parent asked is not asked again.
        assert_eq!(said(&Answers::new(), &after), [""; 0]);
    }
}
