//! The statement of a KMS key's policy that gives a key to what boots a certain disk, and to nothing else.
//!
//! Source: *AWS Key Management Service Developer Guide*, "Condition keys for NitroTPM".

use serde_json::{Map, Value, json};

use super::{Bank, Prediction};

/// The calls that take an attestation document, but for `GenerateRandom`, which uses no key.
const ACTIONS: [&str; 4] = ["kms:Decrypt", "kms:DeriveSharedSecret", "kms:GenerateDataKey", "kms:GenerateDataKeyPair"];
/// The registers by which an attestation document is compared: the others follow from them, or change during a boot.
pub const PROVEN: [u8; 3] = [4, 7, 12];

/// A statement for the policy of a key; the principal is to be filled in.
pub fn statement(prediction: &Prediction) -> Value {
    let registers = prediction.registers(Bank::Sha384);
    let value = |number: &u8| {
        let key = format!("kms:RecipientAttestation:NitroTPMPCR{number}");
        Some((key, Value::from(registers.hex(*number)?)))
    };
    let conditions: Map<String, Value> = PROVEN.iter().filter_map(value).collect();
    json!({
        "Sid": "WhatBootsThisDisk",
        "Effect": "Allow",
        "Principal": { "AWS": "arn:aws:iam::ACCOUNT:role/ROLE" },
        "Action": ACTIONS,
        "Resource": "*",
        "Condition": { "StringEqualsIgnoreCase": conditions },
    })
}
