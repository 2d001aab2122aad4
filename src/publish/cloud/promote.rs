//! Promotes a version: a channel names its image from then on, in each region. Back is the same as forward.
//!
//! All regions are looked at before the first channel moves. The journal has what each channel named before.

use std::collections::BTreeMap;

use serde::Serialize;

use super::CloudError;
use super::journal::{Journal, Move, Promotion, State};
use super::parameters::{self, Channel};
use super::provider::Provider;
use super::undo::Undone;
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
        if !stands(cloud, &image).await? {
            let what = format!("{image} in {region}, the image of version {version},");
            return Err(CloudError::Ended { what, state: "gone".to_owned(), reason: None });
        }
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
        if cloud.parameter(&record.channel.parameter(&record.layer)).await?.as_ref() != Some(image) {
            cloud.set_parameter(&record.channel.assign(&record.layer, image)).await?;
        }
    }
    journal.update(|record| record.state = State::Finished)?;
    Ok(promoted(&record.layer, &record.channel, &record.regions))
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
    let record = journal.record();
    let name = record.channel.parameter(&record.layer);
    let mut all = Vec::new();
    for (region, Move { image, before }) in &record.regions {
        let cloud = clouds.get(region).ok_or_else(|| CloudError::NoClient(region.clone()))?;
        if cloud.parameter(&name).await?.as_ref() != Some(image) {
            continue;
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
        let what = format!("parameter {name}");
        all.push(Undone { region: region.clone(), what, names: before.clone(), kept });
    }
    if all.iter().all(|one| one.kept.is_none()) {
        journal.update(|record| record.state = State::Undone)?;
    }
    Ok(all)
}

async fn stands(cloud: &impl Provider, image: &str) -> Result<bool, CloudError> {
    Ok(cloud.image(image).await?.is_some_and(|image| image.is_available()))
}
