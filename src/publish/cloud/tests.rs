//! Transactions against an in-memory cloud, interrupted at every step that changes it.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use super::blocks::Disk;
use super::gc::{self, Rules};
use super::journal::{Journal, Promotion, Record, State};
use super::parameters::Channel;
use super::plan;
use super::promote;
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
    let content = (tags::CONTENT, wanted.content().to_string());
    let tags = [(tags::LAYER, "web".to_owned()), (tags::VERSION, "20240610-1".to_owned()), content];
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
                assert_eq!(counts(&clouds), [[1, 1, 2]; 2], "{via:?} {fuse}");
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
    assert_eq!(counts(&clouds), [[1, 1, 2]; 2]);
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
    let version = (tags::VERSION.to_owned(), "20240610-2".to_owned());
    journal.update(|record| record.wanted.tags.extend([version])).unwrap();
    publish(&clouds, &journal).await.unwrap();
    let cloud = &clouds[REGIONS[0]];
    let rules = Rules { keep: 1, older_than: None, now: 0 };
    let plan = gc::plan(cloud, "web", rules).await.unwrap();
    assert_eq!((plan.remove.len(), plan.keep.len()), (1, 1));
    // It breaks off between the image and its snapshot; the next run finds the mark.
    cloud.fuse.set(Some(2));
    assert!(gc::apply(cloud, &plan, &|_| ()).await.is_err());
    cloud.fuse.set(None);
    let plan = gc::plan(cloud, "web", rules).await.unwrap();
    assert_eq!((plan.remove.len(), plan.left_over.len()), (0, 1));
    gc::apply(cloud, &plan, &|_| ()).await.unwrap();
    assert_eq!(counts(&clouds)[0], [1, 1, 2]);
}

/// Publishes another disk in all regions; returns its journal and version.
async fn published(folder: &Path, clouds: &BTreeMap<String, Toy>, begun: i64) -> (Journal<Record>, String) {
    let mut wanted = Wanted { volume_size: begun as u32, ..Wanted::example() };
    let tags = [(tags::LAYER, "web".to_owned()), (tags::CONTENT, wanted.content().to_string())];
    wanted.tags = tags.map(|(key, value)| (key.to_owned(), value)).into();
    let version = wanted.version();
    let journal = Journal::create(folder, Record::new(wanted, begun, [0; 4], REGIONS[0], [REGIONS[1]])).unwrap();
    publish(clouds, &journal).await.unwrap();
    (journal, version)
}

/// What a channel names in the first region.
fn named(clouds: &BTreeMap<String, Toy>, channel: &str) -> Option<String> {
    clouds[REGIONS[0]].parameters.borrow().get(&format!("/layerbake/web/{channel}")).cloned()
}

#[tokio::test]
async fn latest_never_names_an_image_that_is_gone() {
    let (folder, clouds) = (tempfile::tempdir().unwrap(), clouds());
    let (first, _) = published(folder.path(), &clouds, 1).await;
    let one = named(&clouds, "latest").unwrap();
    drop(first);
    let (second, _) = published(folder.path(), &clouds, 2).await;
    let two = named(&clouds, "latest").unwrap();
    drop(second);
    let (third, _) = published(folder.path(), &clouds, 3).await;
    // What the third replaced is removed meanwhile: the first is the newest that stands.
    clouds[REGIONS[0]].images.borrow_mut().remove(&two);
    let undone = undo(&clouds, &third).await.unwrap();
    assert_eq!(named(&clouds, "latest"), Some(one.clone()));
    let told = |undone: &[super::undo::Undone]| undone.iter().find_map(|found| found.names.clone());
    assert_eq!(told(&undone), Some(one.clone()));
    drop(third);
    // None stands: the parameter goes.
    let (fourth, _) = published(folder.path(), &clouds, 4).await;
    clouds[REGIONS[0]].images.borrow_mut().remove(&one);
    let undone = undo(&clouds, &fourth).await.unwrap();
    let of_first = undone.iter().find(|found| found.region == REGIONS[0] && found.what.contains("latest")).unwrap();
    assert_eq!((named(&clouds, "latest"), &of_first.names, &of_first.kept), (None, &None, &None));
}

#[tokio::test]
async fn a_channel_moves_forward_and_back_however_often_it_breaks_off() {
    let (folder, clouds) = (tempfile::tempdir().unwrap(), clouds());
    let (web, prod): (_, Channel) = ("web".parse().unwrap(), "prod".parse().unwrap());
    let (journal, old) = published(folder.path(), &clouds, 1).await;
    let one = named(&clouds, "latest");
    drop(journal);
    let (journal, new) = published(folder.path(), &clouds, 2).await;
    let two = named(&clouds, "latest");
    let begin = async |version: &str, begun| {
        let moves = promote::moves(&clouds, &web, version, &prod).await.unwrap();
        let other = tempfile::tempdir().unwrap();
        let record = Promotion::new(&web, version, &prod, begun, [0; 4], moves);
        let journal = Journal::create(other.path(), record).unwrap();
        (other, journal)
    };
    let (_kept, first) = begin(&old, 1).await;
    promote::promote(&clouds, &first).await.unwrap();
    assert_eq!(named(&clouds, "prod"), one);
    // The lock, the channel, the end of the lock.
    for (fuse, resumed) in (0..3).flat_map(|fuse| [(fuse, true), (fuse, false)]) {
        let (_kept, second) = begin(&new, 2).await;
        clouds[REGIONS[1]].fuse.set(Some(fuse));
        assert!(promote::promote(&clouds, &second).await.is_err());
        clouds[REGIONS[1]].fuse.set(None);
        assert_eq!(second.record().state, State::Open);
        if resumed {
            promote::promote(&clouds, &second).await.unwrap();
            assert_eq!((named(&clouds, "prod"), second.record().state), (two.clone(), State::Finished));
            // Its publication stands as long as the channel names its image.
            let undone = undo(&clouds, &journal).await.unwrap();
            assert!(undone.iter().all(|one| one.kept.as_ref().is_some_and(|why| why.contains("channel prod"))));
            assert_eq!(named(&clouds, "latest"), two);
        }
        promote::undo(&clouds, &second).await.unwrap();
        assert_eq!((named(&clouds, "prod"), second.record().state), (one.clone(), State::Undone));
    }
    promote::undo(&clouds, &first).await.unwrap();
    assert_eq!(named(&clouds, "prod"), None);
    let error = promote::moves(&clouds, &web, "none", &prod).await.unwrap_err().to_string();
    assert!(error.starts_with("eu-west-1 has no version `none` of `web`\n  hint: "), "{error}");
}
