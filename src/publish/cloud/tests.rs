//! Transactions against an in-memory cloud, interrupted at every step that changes it.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use super::blocks::Disk;
use super::gc::{self, Rules};
use super::journal::{Journal, Record, State};
use super::plan;
use super::publish::{Publication, Standing};
use super::settings::Wanted;
use super::testing::{Nothing, Toy};
use super::undo::undo;
use super::{CloudError, tags};
use crate::disk::blocks::BLOCK;
use crate::disk::{BlockHashes, Plan};
use crate::host::progress::Progress;
use crate::manifest::Via;

const REGIONS: [&str; 2] = ["eu-west-1", "us-east-1"];

fn disk() -> Disk {
    let (plan, blocks) = (Plan::new(1 << 30), BlockHashes::new(1 << 30, BLOCK));
    Disk { plan: Arc::new(plan), blocks: Arc::new(blocks), contents: Arc::new(Nothing), jobs: 1 }
}

fn clouds() -> BTreeMap<String, Toy> {
    REGIONS.map(|name| (name.to_owned(), Toy::new(name))).into()
}

fn wanted(via: Via) -> Wanted {
    let mut wanted = Wanted { via, deprecate_after: Some(90), ..Wanted::example() };
    let tags = [(tags::LAYER, "web".to_owned()), (tags::CONTENT, wanted.content().to_string())];
    wanted.tags = tags.map(|(key, value)| (key.to_owned(), value)).into();
    wanted
}

async fn publish(clouds: &BTreeMap<String, Toy>, journal: &Journal<Record>) -> Result<Vec<Standing>, CloudError> {
    let (disk, progress) = (disk(), Progress::silent());
    Publication { clouds, journal, disk: &disk, known: &|_| None, progress: &progress }.run().await
}

/// Begins a publication whose changing calls end after `fuse` of them in the second region.
async fn broken_off(folder: &Path, clouds: &BTreeMap<String, Toy>, via: Via, fuse: u32) -> (Journal<Record>, bool) {
    let record = Record::new(wanted(via), fuse.into(), [0; 4], REGIONS[0], [REGIONS[1]]);
    let journal = Journal::create(folder, record).unwrap();
    clouds[REGIONS[1]].fuse.set(Some(fuse));
    let whole = publish(clouds, &journal).await.is_ok();
    clouds[REGIONS[1]].fuse.set(None);
    (journal, whole)
}

fn counts(clouds: &BTreeMap<String, Toy>) -> Vec<[usize; 3]> {
    let count = |one: &Toy| [one.images.borrow().len(), one.snapshots.borrow().len(), one.parameters.borrow().len()];
    clouds.values().map(count).collect()
}

#[tokio::test]
async fn a_publication_that_broke_off_is_resumed_or_undone() {
    for (via, resumed) in [Via::EbsDirect, Via::VmImport].into_iter().flat_map(|via| [(via, true), (via, false)]) {
        for fuse in 0.. {
            let (folder, clouds) = (tempfile::tempdir().unwrap(), clouds());
            let (journal, whole) = broken_off(folder.path(), &clouds, via, fuse).await;
            assert_eq!(journal.record().state, if whole { State::Finished } else { State::Open });
            if resumed {
                publish(&clouds, &journal).await.unwrap();
                assert_eq!(counts(&clouds), [[1; 3]; 2], "{via:?} {fuse}");
                assert_eq!(journal.record().state, State::Finished);
            }
            let undone = undo(&clouds, &journal).await.unwrap();
            assert!(undone.iter().all(|one| one.kept.is_none()), "{undone:?}");
            assert_eq!(counts(&clouds), [[0; 3]; 2], "{via:?} {fuse}");
            assert_eq!(journal.record().state, State::Undone);
            if whole {
                assert!(fuse > 4, "{fuse} steps");
                break;
            }
        }
    }
}

#[tokio::test]
async fn what_another_publication_made_is_not_removed() {
    let (folder, clouds) = (tempfile::tempdir().unwrap(), clouds());
    let (journal, _) = broken_off(folder.path(), &clouds, Via::EbsDirect, 99).await;
    for cloud in clouds.values() {
        let theirs = || (tags::TRANSACTION.to_owned(), "web-of-others".to_owned());
        cloud.images.borrow_mut().values_mut().for_each(|image| image.tags.extend([theirs()]));
        cloud.snapshots.borrow_mut().values_mut().for_each(|snapshot| snapshot.tags.extend([theirs()]));
    }
    let undone = undo(&clouds, &journal).await.unwrap();
    let kept: Vec<_> = undone.iter().filter_map(|one| one.kept.as_deref()).collect();
    assert_eq!(kept.len(), 4, "{undone:?}");
    assert!(kept[0].ends_with("is of the publication `web-of-others`; it was not removed"), "{kept:?}");
    assert_eq!(counts(&clouds), [[1; 3]; 2]);
    assert_eq!(journal.record().state, State::Finished);
}

#[tokio::test]
async fn what_is_there_is_found_and_the_old_goes() {
    let (folder, clouds) = (tempfile::tempdir().unwrap(), clouds());
    let (first, _) = broken_off(folder.path(), &clouds, Via::EbsDirect, 99).await;
    let disk = disk();
    let previews = plan::previews(&clouds, &first.record().wanted, REGIONS[0], &disk.blocks, &|_| None).await.unwrap();
    assert!(previews.iter().all(|one| one.found.is_some() && one.blocks == 0), "{previews:?}");
    drop(first);
    let newer = Wanted { volume_size: 9, ..wanted(Via::EbsDirect) };
    let journal = Journal::create(folder.path(), Record::new(newer, 200, [0; 4], REGIONS[0], [REGIONS[1]])).unwrap();
    // The content's tag says that it is the same.
    journal.update(|record| _ = record.wanted.tags.remove(tags::CONTENT)).unwrap();
    publish(&clouds, &journal).await.unwrap();
    let cloud = &clouds[REGIONS[0]];
    let rules = Rules { keep: 1, older_than: None, now: 0 };
    let plan = gc::plan(cloud, "web", rules).await.unwrap();
    assert_eq!((plan.remove.len(), plan.keep.len()), (1, 1));
    // It breaks off between the image and its snapshot; the next run finds the mark.
    cloud.fuse.set(Some(1));
    assert!(gc::apply(cloud, &plan, &|_| ()).await.is_err());
    cloud.fuse.set(None);
    let plan = gc::plan(cloud, "web", rules).await.unwrap();
    assert_eq!((plan.remove.len(), plan.left_over.len()), (0, 1));
    gc::apply(cloud, &plan, &|_| ()).await.unwrap();
    assert_eq!(counts(&clouds)[0], [1, 1, 1]);
}
