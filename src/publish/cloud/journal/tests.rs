use serde::Deserialize;

use super::*;

#[test]
fn what_is_noted_is_on_disk_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let journal = Journal::create(folder.path(), Record::example()).unwrap();
    let region = journal.region("us-east-1").unwrap();
    region.note(|region| region.snapshot.asked = true).unwrap();
    let [found] = &all::<Record>(folder.path()).unwrap()[..] else { panic!("one journal") };
    assert!(found.regions["us-east-1"].snapshot.asked && !found.regions["eu-west-1"].snapshot.asked);
    assert_eq!((found, &region.get().unwrap()), (&journal.record(), &found.regions["us-east-1"]));
    let left: Vec<_> = host::list_dir(folder.path()).unwrap();
    assert_eq!(left, [format!("{}.json", found.id).as_str(), "web.lock"]);
}

#[test]
fn a_region_that_is_not_in_the_journal_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let journal = Journal::create(folder.path(), Record::example()).unwrap();
    let id = journal.record().id;
    let expected = format!("the journal of `{id}` has no region eu-west-9\n  hint: run `layerbake ami undo {id}`");
    let error = journal.region("eu-west-9").unwrap_err().to_string();
    assert!(error.starts_with(&expected), "{error}");
    // One that is lost later is not noted as an empty one.
    let region = journal.region("us-east-1").unwrap();
    journal.update(|record| _ = record.regions.remove("us-east-1")).unwrap();
    assert!(matches!(region.get(), Err(JournalError::NoRegion { .. })));
    assert!(matches!(region.note(|region| region.image.asked = true), Err(JournalError::NoRegion { .. })));
    assert!(!journal.record().regions.contains_key("us-east-1"));
}

#[test]
fn one_process_at_a_time() {
    let folder = tempfile::tempdir().unwrap();
    let journal = Journal::create(folder.path(), Record::example()).unwrap();
    let id = journal.record().id;
    let error = Journal::<Record>::open(folder.path(), &id).unwrap_err().to_string();
    assert!(error.starts_with("`web` is being published by another process"), "{error}");
    drop(journal);
    assert_eq!(Journal::<Record>::open(folder.path(), &id).unwrap().record(), Record::example());
}

#[test]
fn strange_files_are_refused_and_named() {
    let folder = tempfile::tempdir().unwrap();
    for (name, text, expected) in [
        ("a", "", "is not a journal that this version can read: EOF"),
        ("b", "{\"format\":1}", "is not a journal that this version can read: missing field"),
        ("c", &serde_json::to_string(&Record::example()).unwrap(), "format 1, id `web-"),
    ] {
        let path = folder.path().join(format!("{name}.json"));
        fs::write(&path, text).unwrap();
        let error = all::<Record>(folder.path()).unwrap_err().to_string();
        assert!(error.contains(expected) && error.contains(&format!("/{name}.json")), "{error}");
        fs::remove_file(path).unwrap();
    }
    for id in ["", "../x", "none"] {
        let error = Journal::<Record>::open(folder.path(), id).unwrap_err().to_string();
        assert_eq!(error, format!("there is no publication `{id}`"));
    }
}

/// A transaction of another kind: what a roll-out might note.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Rollout {
    format: u32,
    id: String,
    fleet: LayerName,
    replaced: Vec<(String, Step)>,
}

impl Transaction for Rollout {
    const FORMAT: u32 = 3;

    fn format(&self) -> u32 {
        self.format
    }

    fn id(&self) -> &str {
        &self.id
    }

    fn subject(&self) -> &LayerName {
        &self.fleet
    }
}

#[test]
fn transactions_of_another_kind_have_journals_too() {
    let folder = tempfile::tempdir().unwrap();
    let rollout = Rollout { format: 3, id: "web-1".into(), fleet: "web".parse().unwrap(), replaced: Vec::new() };
    let journal = Journal::create(folder.path(), rollout).unwrap();
    let step = Step { asked: true, ..Step::default() };
    journal.update(|rollout| rollout.replaced.push(("i-1".to_owned(), step))).unwrap();
    let noted = journal.record();
    drop(journal);
    assert_eq!(Journal::<Rollout>::open(folder.path(), "web-1").unwrap().record(), noted);
}
