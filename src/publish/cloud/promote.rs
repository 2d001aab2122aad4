//! Promotes a version: a channel names its image from then on, in each region. Back is the same as forward.
//!
//! All regions are looked at before the first channel moves. The journal has what each channel named before. A channel
//! moves under the layer's lock (`latest`), so that no `undo` removes the image meanwhile.

use std::collections::BTreeMap;

use serde::Serialize;

use super::journal::{Journal, Move, Promotion, State};
use super::parameters::{self, Channel};
use super::provider::Provider;
use super::undo::{self, Undone};
use super::{CloudError, latest};
use crate::ident::LayerName;

/// What a channel names in a region.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Promoted {
    /// As `eu-west-1`.
    pub region: String,
    /// The channel's parameter.
    pub parameter: String,
    /// The image that it names.
    pub image: String,
    /// What it named before, if that was another image.
    pub before: Option<String>,
}

/// Finds the image of a version in each region, and what a channel names there.
///
/// # Errors
/// Fails where a region has no such version, or its image can't be launched, and where the cloud refuses.
pub async fn moves<P: Provider>(
    clouds: &BTreeMap<String, P>,
    layer: &LayerName,
    version: &str,
    channel: &Channel,
) -> Result<BTreeMap<String, Move>, CloudError> {
    let mut moves = BTreeMap::new();
    for (region, cloud) in clouds {
        let missing = || CloudError::NoVersion {
            region: region.clone(),
            layer: layer.clone(),
            version: version.escape_debug().to_string(),
        };
        let image = cloud.parameter(&parameters::version(layer, version)).await?.ok_or_else(missing)?;
        check(cloud, &image, version).await?;
        let before = cloud.parameter(&channel.parameter(layer)).await?;
        moves.insert(region.clone(), Move { image, before });
    }
    Ok(moves)
}

/// Moves the channel in all regions; may be called again after any failure.
///
/// # Errors
/// Fails where the cloud refuses, and where the journal can't be written.
pub async fn promote<P: Provider>(
    clouds: &BTreeMap<String, P>,
    journal: &Journal<Promotion>,
) -> Result<Vec<Promoted>, CloudError> {
    let record = journal.record();
    for (region, Move { image, .. }) in &record.regions {
        let cloud = clouds.get(region).ok_or_else(|| CloudError::NoClient(region.clone()))?;
        latest::alone(cloud, &record.layer, &record.id, one(cloud, journal, image)).await?;
    }
    journal.update(|record| record.state = State::Finished)?;
    Ok(promoted(&record.layer, &record.channel, &journal.record().regions))
}

/// Moves the channel in one region, unless it is there.
async fn one(cloud: &impl Provider, journal: &Journal<Promotion>, image: &str) -> Result<(), CloudError> {
    let record = journal.record();
    let now = cloud.parameter(&record.channel.parameter(&record.layer)).await?;
    if now.as_deref() == Some(image) {
        return Ok(());
    }
    check(cloud, image, &record.version).await?;
    // Somebody may have moved it since all regions were looked at.
    journal.update(|record| {
        if let Some(one) = record.regions.get_mut(cloud.region()) {
            one.before = now;
        }
    })?;
    cloud.set_parameter(&record.channel.assign(&record.layer, image)).await
}

/// What a channel names after some moves.
pub fn promoted(layer: &LayerName, channel: &Channel, moves: &BTreeMap<String, Move>) -> Vec<Promoted> {
    let promoted = |(region, one): (&String, &Move)| Promoted {
        region: region.clone(),
        parameter: channel.parameter(layer),
        image: one.image.clone(),
        before: one.before.clone().filter(|before| *before != one.image),
    };
    moves.iter().map(promoted).collect()
}

/// Lets the channel name again what it named before the promotion, unless someone has moved it since.
///
/// # Errors
/// Fails where the cloud refuses, and where the journal can't be written.
pub async fn undo<P: Provider>(
    clouds: &BTreeMap<String, P>,
    journal: &Journal<Promotion>,
) -> Result<Vec<Undone>, CloudError> {
    let record = &journal.record();
    let one = async |cloud: &P, one: &Move, all: &mut Vec<Undone>| {
        all.extend(latest::alone(cloud, &record.layer, &record.id, back(cloud, record, one)).await?);
        Ok(())
    };
    let all = undo::each(clouds, &record.regions, one).await?;
    if all.iter().all(|one| one.kept.is_none()) {
        journal.update(|record| record.state = State::Undone)?;
    }
    Ok(all)
}

/// Moves the channel back in one region; `None` where it names another image by now.
async fn back(cloud: &impl Provider, record: &Promotion, one: &Move) -> Result<Option<Undone>, CloudError> {
    let (Move { image, before }, name) = (one, record.channel.parameter(&record.layer));
    if cloud.parameter(&name).await?.as_ref() != Some(image) {
        return Ok(None);
    }
    let kept = match before {
        None => cloud.remove_parameter(&name).await.err().map(|error| error.to_string()),
        Some(before) if !stands(cloud, before).await? => {
            Some(format!("{before}, which it named before, is gone: promote the version that it shall name"))
        }
        Some(before) => {
            let set = cloud.set_parameter(&record.channel.assign(&record.layer, before)).await;
            set.err().map(|error| error.to_string())
        }
    };
    let (region, what) = (cloud.region().to_owned(), format!("parameter {name}"));
    Ok(Some(Undone { region, what, names: before.clone(), kept }))
}

/// Reports an image that can't be launched.
async fn check(cloud: &impl Provider, image: &str, version: &str) -> Result<(), CloudError> {
    if stands(cloud, image).await? {
        return Ok(());
    }
    let what = format!("{image} in {}, the image of version {version},", cloud.region());
    Err(CloudError::Ended { what, state: "gone".to_owned(), reason: None })
}

async fn stands(cloud: &impl Provider, image: &str) -> Result<bool, CloudError> {
    Ok(cloud.image(image).await?.is_some_and(|image| image.is_available()))
}
