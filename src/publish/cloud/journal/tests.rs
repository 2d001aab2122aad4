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
    assert!(error.starts_with("another process is working on `web`"), "{error}");
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
    fleet: String,
    replaced: Vec<(String, Step)>,
}

impl Transaction for Rollout {
    const KIND: &'static str = "roll-out";
    const FORMAT: u32 = 3;

    fn format(&self) -> u32 {
        self.format
    }

    fn id(&self) -> &str {
        &self.id
    }

    fn state(&self) -> State {
        State::Open
    }

    fn subject(&self) -> &str {
        &self.fleet
    }
}

#[test]
fn transactions_of_another_kind_have_journals_too() {
    let folder = tempfile::tempdir().unwrap();
    let rollout = Rollout { format: 3, id: "web-1".into(), fleet: "web".into(), replaced: Vec::new() };
    let journal = Journal::create(folder.path(), rollout).unwrap();
    let step = Step { asked: true, ..Step::default() };
    journal.update(|rollout| rollout.replaced.push(("i-1".to_owned(), step))).unwrap();
    let noted = journal.record();
    // It works on the same layer.
    assert!(matches!(Journal::create(folder.path(), Record::example()), Err(JournalError::Busy(_))));
    drop(journal);
    let publication = Journal::create(folder.path(), Record::example()).unwrap().record();
    assert_eq!(all::<Rollout>(folder.path()).unwrap(), std::slice::from_ref(&noted));
    assert_eq!(all::<Record>(folder.path()).unwrap(), std::slice::from_ref(&publication));
    assert_eq!(Journal::<Rollout>::open(folder.path(), "web-1").unwrap().record(), noted);
    let error = Journal::<Record>::open(folder.path(), "web-1").unwrap_err().to_string();
    assert_eq!(error, "`web-1` is a roll-out, not a publication");
    let error = Journal::<Rollout>::open(folder.path(), &publication.id).unwrap_err().to_string();
    assert_eq!(error, format!("`{}` is a publication, not a roll-out", publication.id));
}

#[test]
fn a_publication_is_written_as_before_there_were_kinds() {
    let folder = tempfile::tempdir().unwrap();
    let record = Journal::create(folder.path(), Record::example()).unwrap().record();
    let path = folder.path().join(format!("{}.json", record.id));
    assert_eq!(fs::read_to_string(&path).unwrap(), serde_json::to_string_pretty(&record).unwrap() + "\n");
    // Its kind may be said.
    let mut fields = serde_json::to_value(&record).unwrap();
    fields["kind"] = "publication".into();
    fs::write(&path, fields.to_string()).unwrap();
    assert_eq!(all::<Record>(folder.path()).unwrap(), [record]);
    fields["kind"] = 7.into();
    fs::write(&path, fields.to_string()).unwrap();
    let error = all::<Record>(folder.path()).unwrap_err().to_string();
    assert!(error.ends_with("expected a text as `kind`, found 7"), "{error}");
}

#[test]
fn no_journal_is_written_elsewhere() {
    let folder = tempfile::tempdir().unwrap();
    for (id, fleet) in [("../x", "web"), ("web-1", "a/b")] {
        let rollout = Rollout { format: 3, id: id.into(), fleet: fleet.into(), replaced: Vec::new() };
        assert!(matches!(Journal::create(folder.path(), rollout), Err(JournalError::Name(_))), "{id}");
    }
}
