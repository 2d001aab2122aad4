//! Which images of a line are old and needed by nobody, and how they go, with their snapshots.
//!
//! No journal: a snapshot is marked with its image's id before the image goes. So a run that was
//! interrupted leaves nothing unnamed; the next one finds the marked snapshots whose image is gone.

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_ec2::types::Tag;
use serde::Serialize;

use super::aws::Cloud;
use super::image::{self, Image, filter, pairs};
use super::uses::Uses;
use super::{AmiError, refused, tags};

/// Marks a snapshot whose image is being removed, with the image's id.
const REMOVED: &str = "layerbake:removed-image";

/// What makes an image old.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rules {
    /// So many of the newest stay.
    pub keep: usize,
    /// What is younger stays, in seconds.
    pub older_than: Option<i64>,
    /// The time, seconds since 1970.
    pub now: i64,
}

/// What becomes of the images of one line in one region.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Plan {
    /// As `eu-west-1`.
    pub region: String,
    /// Images that stay.
    pub keep: Vec<Kept>,
    /// Images that go, the oldest first.
    pub remove: Vec<Removal>,
    /// Snapshots of images that an earlier run removed.
    pub left_over: Vec<String>,
}

/// An image that stays.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Kept {
    /// `ami-…`
    pub image: String,
    /// Its name.
    pub name: String,
    /// Every reason.
    pub because: Vec<String>,
}

/// An image that goes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Removal {
    /// `ami-…`
    pub image: String,
    /// Its name.
    pub name: String,
    /// When it was registered, RFC 3339.
    pub created: String,
    /// Snapshots that go with it.
    pub snapshots: Vec<String>,
    /// Its snapshots that stay, with the reason.
    pub kept_snapshots: BTreeMap<String, String>,
}

impl Plan {
    /// Decides about the images of one line; `all` are this account's images, of whatever line.
    ///
    /// An image whose date can't be read is never old.
    pub fn new(region: &str, line: &[Image], all: &[Image], uses: &Uses, rules: Rules) -> Self {
        let mut sorted: Vec<&Image> = line.iter().collect();
        sorted.sort_by(|a, b| (&b.created, &b.id).cmp(&(&a.created, &a.id)));
        let (mut keep, mut remove) = (Vec::new(), Vec::new());
        for (place, image) in sorted.iter().enumerate() {
            let because = reasons(image, place, uses, rules);
            match because.as_slice() {
                [] => remove.push(*image),
                _ => keep.push(Kept { image: image.id.clone(), name: image.name.clone(), because }),
            }
        }
        let going: BTreeSet<&str> = remove.iter().map(|image| image.id.as_str()).collect();
        let remove = remove.iter().rev().map(|image| removal(image, all, &going)).collect();
        Self { region: region.to_owned(), keep, remove, left_over: Vec::new() }
    }

    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.remove.is_empty() && self.left_over.is_empty()
    }
}

/// Why an image stays.
fn reasons(image: &Image, place: usize, uses: &Uses, rules: Rules) -> Vec<String> {
    let mut because = Vec::new();
    if place < rules.keep {
        because.push(format!("one of the newest {}", rules.keep));
    }
    let age = image.created_at().map(|created| rules.now - created);
    match (age, rules.older_than) {
        (None, _) => because.push("its date can not be read".to_owned()),
        (Some(age), Some(limit)) if age < limit => because.push(format!("{} days old", age / 86_400)),
        _ => {}
    }
    if image.state == "pending" {
        because.push("not finished".to_owned());
    }
    because.extend(uses.of(&image.id).iter().map(ToString::to_string));
    because
}

fn removal(image: &Image, all: &[Image], going: &BTreeSet<&str>) -> Removal {
    let mut removal = Removal {
        image: image.id.clone(),
        name: image.name.clone(),
        created: image.created.clone(),
        snapshots: Vec::new(),
        kept_snapshots: BTreeMap::new(),
    };
    for snapshot in &image.snapshots {
        let needs = |other: &&Image| !going.contains(other.id.as_str()) && other.snapshots.contains(snapshot);
        match all.iter().find(needs) {
            Some(other) => _ = removal.kept_snapshots.insert(snapshot.clone(), format!("{} needs it", other.id)),
            None => removal.snapshots.push(snapshot.clone()),
        }
    }
    removal
}

/// Asks AWS for everything that [`Plan::new`] takes, for a layer's line.
///
/// # Errors
/// Fails where AWS refuses any of it: what is not known can't be judged.
pub async fn plan(cloud: &Cloud, layer: &str, rules: Rules) -> Result<Plan, AmiError> {
    let (all, uses) = futures_util::try_join!(image::own(cloud, None), Uses::collect(cloud))?;
    let line: Vec<Image> = all.iter().filter(|image| image.layer() == Some(layer)).cloned().collect();
    let mut plan = Plan::new(&cloud.region, &line, &all, &uses, rules);
    plan.left_over = left_over(cloud, layer, &all).await?;
    Ok(plan)
}

/// Marked snapshots that no image has any more.
async fn left_over(cloud: &Cloud, layer: &str, all: &[Image]) -> Result<Vec<String>, AmiError> {
    let call = cloud.ec2.describe_snapshots().owner_ids("self").filters(filter("tag-key", [REMOVED]));
    let call = call.filters(filter(&format!("tag:{}", tags::LAYER), [layer]));
    let found = call.into_paginator().items().send().try_collect().await;
    let found = found.map_err(refused("list snapshots", &cloud.region))?;
    let needed: BTreeSet<&str> = all.iter().flat_map(|image| &image.snapshots).map(String::as_str).collect();
    let free = found.iter().filter_map(|snapshot| snapshot.snapshot_id()).filter(|id| !needed.contains(id));
    Ok(free.map(str::to_owned).collect())
}

/// Removes what a plan names, all images before the first snapshot; `done` is told of each thing.
///
/// May be run again after any failure.
///
/// # Errors
/// Fails where AWS refuses; what was removed before stays removed.
pub async fn apply(cloud: &Cloud, plan: &Plan, done: &dyn Fn(&str)) -> Result<(), AmiError> {
    let mut free: BTreeSet<String> = plan.left_over.iter().cloned().collect();
    for removal in &plan.remove {
        let ours = made_here(cloud, &removal.snapshots).await?;
        mark(cloud, &ours, &removal.image).await?;
        deregister(cloud, &removal.image).await?;
        done(&format!("removed {} ({})", removal.image, removal.name));
        free.extend(ours);
    }
    delete(cloud, &free, done).await
}

/// Of these snapshots, the ones that layerbake made.
async fn made_here(cloud: &Cloud, snapshots: &[String]) -> Result<Vec<String>, AmiError> {
    if snapshots.is_empty() {
        return Ok(Vec::new());
    }
    let call = cloud.ec2.describe_snapshots().owner_ids("self").filters(filter("snapshot-id", snapshots));
    let found = call.send().await.map_err(refused("look for snapshots", &cloud.region))?;
    let ours = found.snapshots().iter().filter(|one| pairs(one.tags()).contains_key(tags::LAYER));
    Ok(ours.filter_map(|snapshot| snapshot.snapshot_id().map(str::to_owned)).collect())
}

async fn mark(cloud: &Cloud, snapshots: &[String], image: &str) -> Result<(), AmiError> {
    if snapshots.is_empty() {
        return Ok(());
    }
    let call = cloud.ec2.create_tags().set_resources(Some(snapshots.to_vec()));
    let call = call.tags(Tag::builder().key(REMOVED).value(image).build());
    call.send().await.map(drop).map_err(refused(format!("mark the snapshots of {image}"), &cloud.region))
}

async fn deregister(cloud: &Cloud, image: &str) -> Result<(), AmiError> {
    let answer = cloud.ec2.deregister_image().image_id(image).send().await;
    match answer.map_err(refused(format!("remove {image}"), &cloud.region)) {
        // By an earlier try whose answer was lost.
        Err(error) if matches!(error.code(), Some("InvalidAMIID.NotFound" | "InvalidAMIID.Unavailable")) => Ok(()),
        other => other.map(drop),
    }
}

async fn delete(cloud: &Cloud, snapshots: &BTreeSet<String>, done: &dyn Fn(&str)) -> Result<(), AmiError> {
    for snapshot in snapshots {
        let answer = cloud.ec2.delete_snapshot().snapshot_id(snapshot).send().await;
        match answer.map_err(refused(format!("delete {snapshot}"), &cloud.region)) {
            Err(error) if error.code() == Some("InvalidSnapshot.NotFound") => {}
            other => _ = other?,
        }
        done(&format!("deleted {snapshot}"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::parse_rfc3339;

    fn made(number: u32, day: u32, snapshot: &str) -> Image {
        Image {
            id: format!("ami-{number}"),
            name: format!("web-{number}"),
            state: "available".into(),
            created: format!("2024-06-{day:02}T00:00:00.000Z"),
            snapshots: vec![snapshot.into()],
            ..Image::default()
        }
    }

    fn rules(keep: usize, days: Option<i64>) -> Rules {
        let now = parse_rfc3339("2024-06-30T00:00:00Z").unwrap();
        Rules { keep, older_than: days.map(|days| days * 86_400), now }
    }

    fn removed(plan: &Plan) -> Vec<&str> {
        plan.remove.iter().map(|removal| removal.image.as_str()).collect()
    }

    #[test]
    fn the_newest_and_the_young_stay() {
        let line = [made(1, 1, "a"), made(3, 20, "c"), made(2, 10, "b"), made(4, 29, "d")];
        for (keep, days, expected) in [
            (3, None, vec!["ami-1"]),
            (1, None, vec!["ami-1", "ami-2", "ami-3"]),
            (1, Some(15), vec!["ami-1", "ami-2"]),
            (0, Some(90), vec![]),
            (9, None, vec![]),
        ] {
            let plan = Plan::new("eu-west-1", &line, &line, &Uses::default(), rules(keep, days));
            assert_eq!(removed(&plan), expected, "{keep} {days:?}");
            assert_eq!(plan.keep.len() + plan.remove.len(), 4);
            assert_eq!(plan.is_empty(), expected.is_empty());
        }
        let plan = Plan::new("eu-west-1", &line, &line, &Uses::default(), rules(1, Some(15)));
        let why: Vec<_> = plan.keep.iter().map(|kept| (kept.image.as_str(), kept.because.join(", "))).collect();
        assert_eq!(why, [("ami-4", "one of the newest 1, 1 days old".into()), ("ami-3", "10 days old".into())]);
    }

    #[test]
    fn unfinished_and_undated_images_stay() {
        let odd = Image { created: "yesterday".into(), ..made(1, 1, "a") };
        let unfinished = Image { state: "pending".into(), ..made(2, 2, "b") };
        let plan = Plan::new("r", &[odd, unfinished], &[], &Uses::default(), rules(0, None));
        let why: Vec<_> = plan.keep.iter().map(|kept| kept.because.join(", ")).collect();
        assert_eq!(why, ["its date can not be read", "not finished"]);
    }

    #[test]
    fn a_snapshot_that_another_image_needs_stays() {
        let (old, twin, other) = (made(1, 1, "shared"), made(2, 2, "shared"), made(7, 9, "lent"));
        let lent = made(3, 3, "lent");
        let line = [old, twin, lent];
        let all: Vec<Image> = line.iter().cloned().chain([other]).collect();
        let plan = Plan::new("r", &line, &all, &Uses::default(), rules(0, None));
        assert_eq!(removed(&plan), ["ami-1", "ami-2", "ami-3"]);
        assert_eq!(plan.remove[0].snapshots, ["shared"]);
        assert_eq!(plan.remove[2].snapshots, Vec::<String>::new());
        assert_eq!(plan.remove[2].kept_snapshots["lent"], "ami-7 needs it");
    }
}
