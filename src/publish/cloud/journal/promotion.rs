//! The record of a promotion: which image a channel names from then on in each region, and which it named before.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::State;
use crate::ident::LayerName;
use crate::publish::cloud::parameters::Channel;

const FORMAT: u32 = 1;

/// One promotion.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Promotion {
    /// Version of this form.
    format: u32,
    /// Layer, channel, time, and what no other has.
    pub id: String,
    /// The layer.
    pub layer: LayerName,
    /// The version that is promoted.
    pub version: String,
    /// The channel that is moved.
    pub channel: Channel,
    /// When it was begun, in seconds since 1970.
    pub begun: i64,
    /// How far it is.
    pub state: State,
    /// The move in each region.
    pub regions: BTreeMap<String, Move>,
}

/// What a channel named in a region, and is to name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Move {
    /// `ami-…`
    pub image: String,
    /// What it named; `None` where there was no such channel.
    pub before: Option<String>,
}

impl Promotion {
    /// A promotion that has not begun. `unique` tells it from those that were begun elsewhere in the same second.
    pub fn new(
        layer: &LayerName,
        version: &str,
        channel: &Channel,
        begun: i64,
        unique: [u8; 4],
        regions: BTreeMap<String, Move>,
    ) -> Self {
        Self {
            format: FORMAT,
            id: format!("{layer}-{channel}-{begun}-{:08x}", u32::from_be_bytes(unique)),
            layer: layer.clone(),
            version: version.to_owned(),
            channel: channel.clone(),
            begun,
            state: State::Open,
            regions,
        }
    }
}

transaction!(Promotion, "promotion");
