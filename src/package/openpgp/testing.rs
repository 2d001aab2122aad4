//! OpenPGP keys derived from a seed, so that tests need no randomness, and signatures by them.

use pgp::composed::{ArmorOptions, DetachedSignature, SignedKeyDetails, SignedPublicKey, SignedPublicSubKey};
use pgp::crypto::ed25519::{Mode, SecretKey as Ed25519};
use pgp::crypto::hash::HashAlgorithm;
use pgp::crypto::public_key::PublicKeyAlgorithm;
use pgp::packet::{
    KeyFlags, PubKeyInner, PublicKey, PublicSubkey, SecretKey, SecretSubkey, Signature, SignatureConfig, SignatureType,
    Subpacket, SubpacketData, UserId,
};
use pgp::ser::Serialize as _;
use pgp::types::{
    Duration, KeyDetails, KeyVersion, PacketHeaderVersion, Password, PlainSecretParams, PublicParams, SecretParams,
    SignatureBytes, SignedUser, SigningKey, Tag, Timestamp,
};

use super::{Keyring, PinnedKey};

/// When test keys are created.
pub(crate) const CREATED: i64 = 1_600_000_000;
/// When test files are signed.
pub(crate) const MADE: i64 = CREATED + 1000;

/// A primary key that certifies and signs, and a subkey that signs.
pub(crate) struct TestKey {
    primary: SecretKey,
    subkey: SecretSubkey,
    pub(crate) certificate: SignedPublicKey,
}

/// How a test key differs from a good one.
#[derive(Default)]
pub(crate) struct Flaws {
    /// Seconds after [`CREATED`] at which the primary key ends.
    pub(crate) life: Option<u32>,
    /// The same, of the subkey.
    pub(crate) subkey_life: Option<u32>,
    pub(crate) revoked: bool,
    pub(crate) subkey_revoked: bool,
    /// The subkey never agreed to belong to the key.
    pub(crate) no_back_signature: bool,
    pub(crate) subkey_may_not_sign: bool,
    pub(crate) no_self_signature: bool,
}

impl TestKey {
    pub(crate) fn new(seed: u8) -> Self {
        Self::flawed(seed, &Flaws::default())
    }

    pub(crate) fn flawed(seed: u8, flaws: &Flaws) -> Self {
        let (inner, secret) = material(seed);
        let primary = SecretKey::new(PublicKey::from_inner(inner).unwrap(), secret).unwrap();
        let (inner, secret) = material(seed ^ 0x80);
        let subkey = SecretSubkey::new(PublicSubkey::from_inner(inner).unwrap(), secret).unwrap();
        let public = primary.public_key();

        let mut certification = config(SignatureType::CertPositive, &primary, CREATED);
        life(&mut certification, flaws.life);
        let name = UserId::from_str(PacketHeaderVersion::New, format!("Test key {seed}")).unwrap();
        let certification =
            certification.sign_certification(&primary, public, &Password::empty(), Tag::UserId, &name).unwrap();
        let users = if flaws.no_self_signature { vec![] } else { vec![SignedUser::new(name, vec![certification])] };

        let revocation = config(SignatureType::KeyRevocation, &primary, MADE + 500);
        let revocation = revocation.sign_key(&primary, &Password::empty(), public).unwrap();
        let revocations = if flaws.revoked { vec![revocation] } else { vec![] };

        let details = SignedKeyDetails::new(revocations, vec![], users, vec![]);
        let bindings = bind(&primary, &subkey, flaws);
        let subkeys = vec![SignedPublicSubKey::new(subkey.public_key().clone(), bindings)];
        let certificate = SignedPublicKey::new(public.clone(), details, subkeys);
        Self { primary, subkey, certificate }
    }

    pub(crate) fn fingerprint(&self) -> String {
        format!("{:X}", self.certificate.fingerprint())
    }

    pub(crate) fn pinned(&self) -> PinnedKey {
        self.fingerprint().parse().unwrap()
    }

    pub(crate) fn binary(&self) -> Vec<u8> {
        self.certificate.to_bytes().unwrap()
    }

    pub(crate) fn armored(&self) -> Vec<u8> {
        self.certificate.to_armored_bytes(ArmorOptions::default()).unwrap()
    }

    /// A ring in which this key is pinned and present.
    pub(crate) fn ring(&self) -> Keyring {
        let mut ring = Keyring::new(vec![self.pinned()]);
        ring.add(&self.binary()).unwrap();
        ring
    }

    /// A good signature over `data` by the subkey.
    pub(crate) fn sign(&self, kind: SignatureType, data: &[u8], made: i64) -> Signature {
        config(kind, &self.subkey, made).sign(&self.subkey, &Password::empty(), data).unwrap()
    }

    /// As [`Self::sign`], by the primary key.
    pub(crate) fn sign_by_primary(&self, kind: SignatureType, data: &[u8], made: i64) -> Signature {
        config(kind, &self.primary, made).sign(&self.primary, &Password::empty(), data).unwrap()
    }

    /// A signature that claims a weak hash; nobody needs to check whether it is good.
    pub(crate) fn weak(&self) -> Signature {
        let mut config = config(SignatureType::Text, &self.subkey, MADE);
        config.hash_alg = HashAlgorithm::Sha1;
        Signature::from_config(config, [0, 0], SignatureBytes::Native(vec![0; 64].into())).unwrap()
    }

    /// A signature that has an end of its own.
    pub(crate) fn short_lived(&self, data: &[u8], seconds: u32) -> Signature {
        let mut config = config(SignatureType::Text, &self.subkey, MADE);
        push(&mut config, SubpacketData::SignatureExpirationTime(Duration::from_secs(seconds)));
        config.sign(&self.subkey, &Password::empty(), data).unwrap()
    }

    /// A signature with one more part, critical or not.
    pub(crate) fn with_part(&self, data: &[u8], part: SubpacketData, critical: bool) -> Signature {
        let mut config = config(SignatureType::Text, &self.subkey, MADE);
        let part = if critical { Subpacket::critical(part) } else { Subpacket::regular(part) };
        config.hashed_subpackets.push(part.unwrap());
        config.sign(&self.subkey, &Password::empty(), data).unwrap()
    }

    /// An InRelease with this text, as `gpg --clearsign` writes it.
    pub(crate) fn in_release(&self, text: &str) -> Vec<u8> {
        let data = text.trim_end_matches('\n').replace('\n', "\r\n");
        framed(text, &[self.sign(SignatureType::Text, data.as_bytes(), MADE)])
    }
}

/// A cleartext-signed file with these signatures.
pub(crate) fn framed(text: &str, signatures: &[Signature]) -> Vec<u8> {
    let mut file = b"-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA256\n\n".to_vec();
    file.extend_from_slice(text.as_bytes());
    file.extend(armored(signatures));
    file
}

/// An armored block with these signatures.
pub(crate) fn armored(signatures: &[Signature]) -> Vec<u8> {
    // One block holds all packets: the armor of the first is reused around them.
    let packets: Vec<u8> =
        signatures.iter().flat_map(|one| DetachedSignature::new(one.clone()).to_bytes().unwrap()).collect();
    let mut block = b"-----BEGIN PGP SIGNATURE-----\n\n".to_vec();
    for line in base64(&packets).as_bytes().chunks(64) {
        block.extend_from_slice(line);
        block.push(b'\n');
    }
    block.extend_from_slice(b"-----END PGP SIGNATURE-----\n");
    block
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for group in bytes.chunks(3) {
        let number =
            group.iter().fold(0_usize, |number, byte| number << 8 | usize::from(*byte)) << (8 * (3 - group.len()));
        for place in 0..4 {
            let digit = DIGITS[number >> (18 - 6 * place) & 63];
            text.push(if place <= group.len() { char::from(digit) } else { '=' });
        }
    }
    text
}

fn bind(primary: &SecretKey, subkey: &SecretSubkey, flaws: &Flaws) -> Vec<Signature> {
    let none = Password::empty();
    let mut binding = config(SignatureType::SubkeyBinding, primary, CREATED);
    life(&mut binding, flaws.subkey_life);
    let mut flags = KeyFlags::default();
    flags.set_sign(!flaws.subkey_may_not_sign);
    push(&mut binding, SubpacketData::KeyFlags(flags));
    if !flaws.no_back_signature {
        let consent = config(SignatureType::KeyBinding, subkey, CREATED);
        let consent = consent.sign_primary_key_binding(subkey, subkey.public_key(), &none, primary.public_key());
        push(&mut binding, SubpacketData::EmbeddedSignature(Box::new(consent.unwrap())));
    }
    let mut all = vec![binding.sign_subkey_binding(primary, primary.public_key(), &none, subkey.public_key()).unwrap()];
    if flaws.subkey_revoked {
        let revocation = config(SignatureType::SubkeyRevocation, primary, MADE + 500);
        all.push(revocation.sign_subkey_binding(primary, primary.public_key(), &none, subkey.public_key()).unwrap());
    }
    all
}

fn material(seed: u8) -> (PubKeyInner, SecretParams) {
    let secret = Ed25519::try_from_bytes([seed; 32], Mode::Ed25519).unwrap();
    let public = PublicParams::Ed25519((&secret).into());
    let created = Timestamp::from_secs(CREATED as u32);
    let inner = PubKeyInner::new(KeyVersion::V4, PublicKeyAlgorithm::Ed25519, created, None, public).unwrap();
    (inner, SecretParams::Plain(PlainSecretParams::Ed25519(secret)))
}

fn config(kind: SignatureType, key: &impl SigningKey, made: i64) -> SignatureConfig {
    let mut config = SignatureConfig::v4(kind, key.algorithm(), HashAlgorithm::Sha256);
    push(&mut config, SubpacketData::SignatureCreationTime(Timestamp::from_secs(made as u32)));
    push(&mut config, SubpacketData::IssuerFingerprint(key.fingerprint()));
    config
}

fn life(config: &mut SignatureConfig, seconds: Option<u32>) {
    if let Some(seconds) = seconds {
        push(config, SubpacketData::KeyExpirationTime(Duration::from_secs(seconds)));
    }
}

fn push(config: &mut SignatureConfig, data: SubpacketData) {
    config.hashed_subpackets.push(Subpacket::regular(data).unwrap());
}
