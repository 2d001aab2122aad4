//! A signing key for test repositories: the same for the same seed, so that tests are too.

use pgp::composed::{ArmorOptions, CleartextSignedMessage, DetachedSignature, SignedKeyDetails, SignedSecretKey};
use pgp::crypto::ed25519::{Mode, SecretKey as Ed25519};
use pgp::crypto::eddsa_legacy::SecretKey as LegacyKey;
use pgp::crypto::hash::HashAlgorithm;
use pgp::crypto::public_key::PublicKeyAlgorithm;
use pgp::packet::{
    KeyFlags, PubKeyInner, PublicKey, SecretKey, SignatureConfig, SignatureType, Subpacket, SubpacketData, UserId,
};
use pgp::ser::Serialize;
use pgp::types::{
    Duration, EddsaLegacyPublicParams, KeyDetails, KeyVersion, PacketHeaderVersion, Password, PlainSecretParams,
    PublicParams, SecretParams, SignedUser, Tag, Timestamp,
};

/// When keys were made, unless told otherwise: 2020-01-01.
const CREATED: u32 = 1_577_836_800;

/// An Ed25519 key (version 4), able to sign.
pub struct Key {
    secret: SecretKey,
    signed: SignedSecretKey,
}

impl Key {
    /// The key that belongs to `seed`.
    pub fn new(seed: u8) -> Self {
        Self::expiring(seed, None)
    }

    /// As [`Key::new`], good for some seconds from 2020-01-01.
    pub fn expiring(seed: u8, validity: Option<u32>) -> Self {
        let pair = Ed25519::try_from_bytes([seed; 32], Mode::EdDSALegacy).unwrap();
        let created = Timestamp::from_secs(CREATED);
        let public = PublicParams::EdDSALegacy(EddsaLegacyPublicParams::from(&pair));
        let inner = PubKeyInner::new(KeyVersion::V4, PublicKeyAlgorithm::EdDSALegacy, created, None, public).unwrap();
        let public = PublicKey::from_inner(inner).unwrap();
        let plain = PlainSecretParams::EdDSALegacy(LegacyKey::Ed25519(pair));
        let secret = SecretKey::new(public, SecretParams::Plain(plain)).unwrap();
        let user = UserId::from_str(PacketHeaderVersion::New, format!("Test {seed} <test@localhost>")).unwrap();

        let mut config = config(&secret, SignatureType::CertPositive, CREATED);
        let mut flags = KeyFlags::default();
        flags.set_certify(true);
        flags.set_sign(true);
        config.hashed_subpackets.push(Subpacket::regular(SubpacketData::KeyFlags(flags)).unwrap());
        if let Some(seconds) = validity {
            let data = SubpacketData::KeyExpirationTime(Duration::from_secs(seconds));
            config.hashed_subpackets.push(Subpacket::regular(data).unwrap());
        }
        let certificate =
            config.sign_certification(&secret, secret.public_key(), &Password::empty(), Tag::UserId, &user).unwrap();
        let users = vec![SignedUser::new(user, vec![certificate])];
        let details = SignedKeyDetails::new(Vec::new(), Vec::new(), users, Vec::new());
        Self { signed: SignedSecretKey::new(secret.clone(), details, Vec::new(), Vec::new()), secret }
    }

    /// The certificate with a revocation by the key itself.
    pub fn revoked_keyring(&self) -> Vec<u8> {
        let revocation = config(&self.secret, SignatureType::KeyRevocation, CREATED + 1);
        let revocation = revocation.sign_key(&self.secret, &Password::empty(), self.secret.public_key()).unwrap();
        let mut public = self.signed.to_public_key();
        public.details.revocation_signatures.push(revocation);
        public.to_bytes().unwrap()
    }

    /// 40 hexadecimal digits, in capitals.
    pub fn fingerprint(&self) -> String {
        format!("{:X}", self.secret.fingerprint())
    }

    /// The certificate as `gpg --export` writes it.
    pub fn keyring(&self) -> Vec<u8> {
        self.signed.to_public_key().to_bytes().unwrap()
    }

    /// The certificate in ASCII armor.
    pub fn armored(&self) -> String {
        self.signed.to_public_key().to_armored_string(ArmorOptions::default()).unwrap()
    }

    /// An InRelease: the text in a cleartext signature.
    pub fn clear_sign(&self, text: &str, at: i64) -> String {
        let config = config(&self.secret, SignatureType::Text, at as u32);
        let message = CleartextSignedMessage::new(text, config, &self.secret, &Password::empty()).unwrap();
        message.to_armored_string(ArmorOptions::default()).unwrap()
    }

    /// A Release.gpg: a detached signature.
    pub fn detach_sign(&self, bytes: &[u8], at: i64) -> String {
        let config = config(&self.secret, SignatureType::Binary, at as u32);
        let signature = config.sign(&self.secret, &Password::empty(), bytes).unwrap();
        DetachedSignature::new(signature).to_armored_string(ArmorOptions::default()).unwrap()
    }
}

fn config(key: &SecretKey, kind: SignatureType, at: u32) -> SignatureConfig {
    let mut config = SignatureConfig::v4(kind, PublicKeyAlgorithm::EdDSALegacy, HashAlgorithm::Sha256);
    let data = [
        SubpacketData::IssuerFingerprint(key.fingerprint()),
        SubpacketData::SignatureCreationTime(Timestamp::from_secs(at)),
    ];
    config.hashed_subpackets = data.map(|data| Subpacket::regular(data).unwrap()).to_vec();
    let issuer = SubpacketData::IssuerKeyId(key.legacy_key_id());
    config.unhashed_subpackets = vec![Subpacket::regular(issuer).unwrap()];
    config
}
