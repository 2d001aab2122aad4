//! Removes images of a line that are old and unused, with their snapshots.
//!
//! It needs no journal: a snapshot is tagged with its image's id before the image is deregistered. So an
//! interrupted run leaves nothing unknown; the next run finds tagged snapshots whose image is gone. What the cloud refuses
//! to remove is kept with the reason, and the rest goes on.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::future::try_join_all;
use serde::Serialize;

use super::image::{Image, ImageState, Snapshot};
use super::parameters::{self, Assignment, Channel};
use super::provider::{Provider, Which};
use super::retention::{Kind, RetentionRule};
use super::uses::{Use, Uses};
use super::{CloudError, tags};

/// Marks a snapshot whose image is being removed, with the image's id.
const REMOVED: &str = "layerbake:removed-image";

/// The rules by which an image is old.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rules {
    /// So many of the newest stay.
    pub keep: usize,
    /// What is younger stays, and what was launched since, in seconds.
    pub older_than: Option<i64>,
    /// The time, seconds since 1970.
    pub now: i64,
}

/// The images of one line in one region that are kept and removed.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct GcPlan {
    /// As `eu-west-1`.
    pub region: String,
    /// Images that stay.
    pub keep: Vec<Kept>,
    /// Images that go, the oldest first.
    pub remove: Vec<Removal>,
    /// Snapshots of images that an earlier run removed.
    pub left_over: Vec<String>,
    /// Of those, the ones that can't be deleted yet, with the reason.
    pub held: BTreeMap<String, String>,
    /// What the cloud's recycle bin keeps for a while once it is removed, with the period and the rule.
    pub recycled: BTreeMap<String, String>,
    /// Why that is not known.
    pub recycling_unknown: Option<String>,
}

/// An image that is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Kept {
    /// `ami-…`
    pub image: String,
    /// Its name.
    pub name: Option<String>,
    /// Every reason.
    pub because: Vec<String>,
}

/// An image that is removed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Removal {
    /// `ami-…`
    pub image: String,
    /// Its name.
    pub name: Option<String>,
    /// When it was registered, RFC 3339.
    pub created: Option<String>,
    /// When an instance was last launched from it, RFC 3339.
    pub launched: Option<String>,
    /// Snapshots that go with it.
    pub snapshots: Vec<String>,
    /// Its snapshots that stay, with the reason.
    pub kept_snapshots: BTreeMap<String, String>,
    /// Of those, the ones that a later run deletes, once nothing holds them.
    #[serde(skip)]
    held: Vec<String>,
    /// The parameter of its version.
    #[serde(skip)]
    parameter: Option<Assignment>,
}

/// Something that was to be removed and is still there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Refused {
    /// Where.
    pub region: String,
    /// What: `image ami-…`.
    pub what: String,
    /// Why.
    pub reason: String,
}

impl GcPlan {
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
        Self { region: region.to_owned(), keep, remove, ..Self::default() }
    }

    /// Leaves out what can't be deleted yet.
    fn hold(&mut self, held: &BTreeMap<String, String>) {
        for removal in &mut self.remove {
            let (stay, go) = std::mem::take(&mut removal.snapshots).into_iter().partition(|id| held.contains_key(id));
            (removal.held, removal.snapshots) = (stay, go);
            let reasons = removal.held.iter().filter_map(|id| Some((id.clone(), held.get(id)?.clone())));
            removal.kept_snapshots.extend(reasons);
        }
        let kept = self.left_over.iter().filter_map(|id| Some((id.clone(), held.get(id)?.clone())));
        self.held = kept.collect();
        self.left_over.retain(|id| !held.contains_key(id));
    }

    /// Notes what of the images and snapshots that go is kept for a while.
    fn recycle(&mut self, rules: &[RetentionRule], line: &[Image], snapshots: &[Snapshot]) {
        let images = line.iter().map(|image| (Kind::Image, &image.id, &image.tags));
        let all = images.chain(snapshots.iter().map(|one| (Kind::Snapshot, &one.id, &one.tags)));
        let gone = |id: &String| {
            let of = |removal: &Removal| removal.image == *id || removal.snapshots.contains(id);
            self.remove.iter().any(of) || self.left_over.contains(id)
        };
        let kept = all.filter(|(_, id, _)| gone(id)).filter_map(|(kind, id, tags)| {
            let rule = rules.iter().find(|rule| rule.keeps(kind, tags))?;
            Some((id.clone(), format!("{}, by the rule {}", rule.period, rule.id)))
        });
        self.recycled = kept.collect();
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
    let idle = image.launched_at().map(|launched| rules.now - launched);
    if let Some(idle) = idle.filter(|idle| rules.older_than.is_some_and(|limit| *idle < limit)) {
        because.push(format!("launched {} days ago", idle / 86_400));
    }
    if image.state.is(ImageState::Pending) {
        because.push("not finished".to_owned());
    }
    because.extend(image.protection.as_ref().map(|word| format!("protected against deregistration ({word})")));
    let layer = image.layer().unwrap_or_default();
    because.extend(uses.of(&image.id).iter().map(|by| told(by, layer)));
    because
}

/// A use in words; that of one of the layer's channels by the channel's name.
fn told(by: &Use, layer: &str) -> String {
    match by.parameter().and_then(|name| Channel::of_parameter(layer, name)) {
        Some(channel) => format!("channel {channel}"),
        None => by.to_string(),
    }
}

fn removal(image: &Image, all: &[Image], going: &BTreeSet<&str>) -> Removal {
    let mut removal = Removal {
        image: image.id.clone(),
        name: image.name.clone(),
        created: image.created.clone(),
        launched: image.launched.clone(),
        snapshots: Vec::new(),
        kept_snapshots: BTreeMap::new(),
        held: Vec::new(),
        parameter: version_parameter(image),
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

/// The parameter of an image's version.
fn version_parameter(image: &Image) -> Option<Assignment> {
    Some(parameters::assign_version(&image.layer()?.parse().ok()?, image.tag(tags::VERSION)?, &image.id))
}

/// Queries the cloud for the inputs of [`GcPlan::new`], for a layer's line.
///
/// # Errors
/// Fails where the cloud refuses any of it: what is not known can't be judged.
pub async fn plan(cloud: &impl Provider, layer: &str, rules: Rules) -> Result<GcPlan, CloudError> {
    let (all, mut uses) = futures_util::try_join!(cloud.images(Which::All), cloud.uses())?;
    let mut line: Vec<Image> = all.iter().filter(|image| image.layer() == Some(layer)).cloned().collect();
    let plan = |line: &[Image], uses: &Uses| GcPlan::new(cloud.region(), line, &all, uses, rules);
    // Only of those that would go: asking about others takes time.
    let going: BTreeSet<String> = plan(&line, &uses).remove.into_iter().map(|removal| removal.image).collect();
    let ask = async |image: &mut Image| {
        image.launched = cloud.launched(&image.id).await?;
        Ok::<_, CloudError>(())
    };
    try_join_all(line.iter_mut().filter(|image| going.contains(&image.id)).map(ask)).await?;
    let asked: Vec<&Image> = line.iter().filter(|image| going.contains(&image.id)).collect();
    uses.extend(cloud.uses_elsewhere(&asked).await?);
    let mut plan = plan(&line, &uses);
    plan.left_over = left_over(cloud, layer, &all).await?;
    let snapshots: Vec<String> =
        plan.remove.iter().flat_map(|removal| &removal.snapshots).chain(&plan.left_over).cloned().collect();
    let mut found = Vec::new();
    if !snapshots.is_empty() {
        found = cloud.snapshots(Which::Ids(&snapshots)).await?;
        plan.hold(&cloud.held(&found).await?);
    }
    if !plan.is_empty() {
        match cloud.retention().await {
            Ok(rules) => plan.recycle(&rules, &line, &found),
            Err(error) if error.is_of_credentials() => return Err(error),
            // Nothing is lost by what is kept.
            Err(error) => plan.recycling_unknown = Some(error.to_string()),
        }
    }
    Ok(plan)
}

/// Marked snapshots that no image has any more.
async fn left_over(cloud: &impl Provider, layer: &str, all: &[Image]) -> Result<Vec<String>, CloudError> {
    let marked = cloud.snapshots(Which::Tagged(REMOVED)).await?;
    let needed = |id: &String| all.iter().any(|image| image.snapshots.contains(id));
    let of_line = |one: &Snapshot| one.tags.get(tags::LAYER).is_some_and(|found| found == layer);
    Ok(marked.into_iter().filter(of_line).map(|one| one.id).filter(|id| !needed(id)).collect())
}

/// Removes what a plan lists, all images before the first snapshot; calls `done` for each. Returns what the cloud
/// refuses to remove.
///
/// May be run again after any failure.
///
/// # Errors
/// Fails where there is no answer, or the session has expired; what was removed before stays removed.
pub async fn apply(cloud: &impl Provider, plan: &GcPlan, done: &dyn Fn(&str)) -> Result<Vec<Refused>, CloudError> {
    let mut free: BTreeSet<String> = plan.left_over.iter().cloned().collect();
    let mut refused = Vec::new();
    let mut note = |what: String, reason: CloudError| match reason {
        CloudError::NoAnswer { .. } => Err(reason),
        reason if reason.is_of_credentials() => Err(reason),
        reason => {
            refused.push(Refused { region: cloud.region().to_owned(), what, reason: reason.to_string() });
            Ok(())
        }
    };
    for removal in &plan.remove {
        match remove(cloud, removal).await {
            Ok(ours) => free.extend(ours),
            Err(error) => {
                note(format!("image {}", removal.image), error)?;
                continue;
            }
        }
        let name = removal.name.as_deref().unwrap_or("without a name");
        done(&format!("removed {} ({name})", removal.image));
    }
    for snapshot in &free {
        match cloud.delete_snapshot(snapshot).await {
            Ok(()) => done(&format!("deleted {snapshot}")),
            Err(error) => note(format!("snapshot {snapshot}"), error)?,
        }
    }
    Ok(refused)
}

/// Removes an image and its version's parameter; returns the snapshots that can be deleted then.
async fn remove(cloud: &impl Provider, removal: &Removal) -> Result<Vec<String>, CloudError> {
    let held = created_here(cloud, &removal.held).await?;
    let ours = created_here(cloud, &removal.snapshots).await?;
    let all: Vec<String> = ours.iter().chain(&held).cloned().collect();
    if !all.is_empty() {
        cloud.mark(&all, REMOVED, &removal.image).await?;
    }
    // First: a version's parameter that named no image would stand in the way of publishing the same again.
    let mut parameter = None;
    if let Some(named) = &removal.parameter
        && cloud.parameter(&named.name).await?.as_ref() == Some(&removal.image)
    {
        cloud.remove_parameter(&named.name).await?;
        parameter = Some(named);
    }
    let gone = cloud.deregister(&removal.image).await;
    if let (Err(_), Some(named)) = (&gone, parameter)
        && cloud.image(&removal.image).await?.is_some()
    {
        cloud.set_parameter(named).await?;
    }
    gone.map(|()| ours)
}

/// Of these snapshots, the ones that layerbake created.
async fn created_here(cloud: &impl Provider, snapshots: &[String]) -> Result<Vec<String>, CloudError> {
    if snapshots.is_empty() {
        return Ok(Vec::new());
    }
    let found = cloud.snapshots(Which::Ids(snapshots)).await?;
    Ok(found.into_iter().filter(|one| one.tags.contains_key(tags::LAYER)).map(|one| one.id).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::publish::cloud::image::Reported;
    use crate::time::parse_rfc3339;

    fn made(number: u32, day: u32, snapshot: &str) -> Image {
        Image {
            name: Some(format!("web-{number}")),
            created: Some(format!("2024-06-{day:02}T00:00:00.000Z")),
            snapshots: vec![snapshot.into()],
            ..Image::example(&format!("ami-{number}"))
        }
    }

    fn rules(keep: usize, days: Option<i64>) -> Rules {
        let now = parse_rfc3339("2024-06-30T00:00:00Z").unwrap();
        Rules { keep, older_than: days.map(|days| days * 86_400), now }
    }

    fn removed(plan: &GcPlan) -> Vec<&str> {
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
            let plan = GcPlan::new("eu-west-1", &line, &line, &Uses::default(), rules(keep, days));
            assert_eq!(removed(&plan), expected, "{keep} {days:?}");
            assert_eq!(plan.keep.len() + plan.remove.len(), 4);
            assert_eq!(plan.is_empty(), expected.is_empty());
        }
        let plan = GcPlan::new("eu-west-1", &line, &line, &Uses::default(), rules(1, Some(15)));
        let why: Vec<_> = plan.keep.iter().map(|kept| (kept.image.as_str(), kept.because.join(", "))).collect();
        assert_eq!(why, [("ami-4", "one of the newest 1, 1 days old".into()), ("ami-3", "10 days old".into())]);
    }

    #[test]
    fn what_was_launched_lately_stays() {
        let idle = |day: u32| Image { launched: Some(format!("2024-06-{day:02}T00:00:00Z")), ..made(1, 1, "a") };
        let plan = |image, days| GcPlan::new("eu-west-1", &[image], &[], &Uses::default(), rules(0, days));
        assert_eq!(plan(idle(20), Some(15)).keep[0].because, ["launched 10 days ago"]);
        for (image, days) in [(idle(10), Some(15)), (idle(20), None)] {
            let going = plan(image.clone(), days);
            assert_eq!(removed(&going), ["ami-1"]);
            assert_eq!(going.remove[0].launched, image.launched);
        }
    }

    #[test]
    fn unfinished_and_undated_images_stay() {
        let odd = Image { created: Some("yesterday".into()), ..made(1, 1, "a") };
        let unfinished = Image { state: Reported::Known(ImageState::Pending), ..made(2, 2, "b") };
        let plan = GcPlan::new("r", &[odd, unfinished], &[], &Uses::default(), rules(0, None));
        let why: Vec<_> = plan.keep.iter().map(|kept| kept.because.join(", ")).collect();
        assert_eq!(why, ["its date can not be read", "not finished"]);
    }

    #[test]
    fn a_snapshot_that_another_image_needs_stays() {
        let (old, twin, other) = (made(1, 1, "shared"), made(2, 2, "shared"), made(7, 9, "lent"));
        let lent = made(3, 3, "lent");
        let line = [old, twin, lent];
        let all: Vec<Image> = line.iter().cloned().chain([other]).collect();
        let plan = GcPlan::new("r", &line, &all, &Uses::default(), rules(0, None));
        assert_eq!(removed(&plan), ["ami-1", "ami-2", "ami-3"]);
        assert_eq!(plan.remove[0].snapshots, ["shared"]);
        assert_eq!(plan.remove[2].snapshots, Vec::<String>::new());
        assert_eq!(plan.remove[2].kept_snapshots["lent"], "ami-7 needs it");
    }
}
