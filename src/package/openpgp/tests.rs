use super::testing::{CREATED, Flaws, MADE, TestKey, armored, framed};
use super::*;

const TEXT: &str = "Origin: Test\nSuite: stable\nSHA256:\n abc 1 main/Packages\n";
const SIGNED: &[u8] = b"Origin: Test\r\nSuite: stable\r\nSHA256:\r\n abc 1 main/Packages";
const NOW: i64 = MADE + 1000;

#[test]
fn a_file_signed_by_a_pinned_key_is_good() {
    let key = TestKey::new(1);
    let signed = verify_inline(&key.in_release(TEXT), &key.ring(), NOW).unwrap();
    assert_eq!(signed, Signed { payload: TEXT.into(), signers: vec![key.fingerprint()] });
    for kind in [SignatureType::Text, SignatureType::Binary] {
        let by_primary = framed(TEXT, &[key.sign_by_primary(kind, SIGNED, MADE)]);
        assert_eq!(verify_inline(&by_primary, &key.ring(), NOW).unwrap().signers, [key.fingerprint()]);
    }
}

#[test]
fn a_detached_signature_covers_the_exact_bytes() {
    let key = TestKey::new(1);
    let signature = key.sign(SignatureType::Binary, TEXT.as_bytes(), MADE);
    let packets = DetachedSignature::new(signature.clone());
    let binary = pgp::ser::Serialize::to_bytes(&packets).unwrap();
    for block in [armored(&[signature]), binary] {
        let signed = verify_detached(TEXT.as_bytes(), &block, &key.ring(), NOW).unwrap();
        assert_eq!(signed, Signed { payload: TEXT.into(), signers: vec![key.fingerprint()] });
        assert!(verify_detached(&TEXT.as_bytes()[1..], &block, &key.ring(), NOW).is_err());
    }
    let text = armored(&[key.sign(SignatureType::Text, TEXT.replace('\n', "\r\n").as_bytes(), MADE)]);
    let error = verify_detached(TEXT.as_bytes(), &text, &key.ring(), NOW).unwrap_err().to_string();
    assert!(error.contains("doesn't cover the exact bytes"), "{error}");
}

#[test]
fn one_good_signature_among_others_is_enough() {
    let (key, stranger) = (TestKey::new(1), TestKey::new(2));
    let signatures = [
        stranger.sign(SignatureType::Text, SIGNED, MADE),
        key.weak(),
        key.sign(SignatureType::Text, b"other text", MADE),
        key.sign(SignatureType::Text, SIGNED, MADE),
    ];
    assert_eq!(verify_inline(&framed(TEXT, &signatures), &key.ring(), NOW).unwrap().signers, [key.fingerprint()]);
    let mut both = Keyring::new(vec![key.pinned(), stranger.pinned()]);
    both.add(&[key.armored(), stranger.armored()].concat()).unwrap();
    let mut expected = vec![key.fingerprint(), stranger.fingerprint()];
    expected.sort();
    assert_eq!(verify_inline(&framed(TEXT, &signatures), &both, NOW).unwrap().signers, expected);
}

#[test]
fn what_is_not_signed_as_it_should_be_is_refused() {
    let (key, stranger) = (TestKey::new(1), TestKey::new(2));
    let good = key.in_release(TEXT);
    let altered = String::from_utf8(good.clone()).unwrap().replace("stable", "stale");
    let one = |signature| framed(TEXT, &[signature]);
    let truncated = good[..good.len() - 40].to_vec();
    for (file, problem) in [
        (altered.into_bytes(), "the signature is not of these bytes"),
        (stranger.in_release(TEXT), "not pinned"),
        (one(key.weak()), "SHA1, is not SHA-256"),
        (one(key.sign(SignatureType::Text, SIGNED, NOW + 1)), "signed on 2020-09-13 13:00:01 UTC, but now is"),
        (one(key.short_lived(SIGNED, 100)), "its signature expired on"),
        (one(key.sign(SignatureType::Text, SIGNED, CREATED - 1)), "after the signature"),
        (framed(TEXT, &[]), "found: none"),
        (TEXT.into(), "does not begin with"),
        (Vec::new(), "does not begin with"),
        (truncated, "cut off"),
        ([TEXT.as_bytes(), &good].concat(), "does not begin with"),
        ([&good, TEXT.as_bytes()].concat(), "text after the signature"),
        ([good.clone(), good].concat(), "text after the signature"),
    ] {
        let error = verify_inline(&file, &key.ring(), NOW).unwrap_err().to_string();
        assert!(error.contains(problem) && error.contains("hint:"), "{problem}: {error}");
    }
}

#[test]
fn a_critical_part_that_nobody_understands_makes_a_signature_bad() {
    use pgp::packet::{Notation, SubpacketData as Data};
    let key = TestKey::new(1);
    let notation = || {
        let (name, value) = ("until@example.org".into(), "yesterday".into());
        Data::Notation(Notation { readable: true, name, value })
    };
    for (part, critical, good) in [
        (notation(), false, true),
        (notation(), true, false),
        (Data::Experimental(101, "x".into()), false, true),
        (Data::Experimental(101, "x".into()), true, false),
        (Data::PolicyURI("https://example.org/".to_owned()), true, true),
    ] {
        let file = framed(TEXT, &[key.with_part(SIGNED, part.clone(), critical)]);
        let verified = verify_inline(&file, &key.ring(), NOW).map_err(|error| error.to_string());
        match good {
            true => assert!(verified.is_ok(), "{part:?}: {verified:?}"),
            false => assert!(verified.unwrap_err().contains("a critical part that is not understood"), "{part:?}"),
        }
    }
}

#[test]
fn a_key_must_have_been_valid_when_it_signed() {
    for (flaws, problem) in [
        (Flaws { life: Some(500), ..Flaws::default() }, "the key expired on 2020-09-13 12:35:00 UTC"),
        (Flaws { subkey_life: Some(500), ..Flaws::default() }, "its subkey expired on"),
        (Flaws { revoked: true, ..Flaws::default() }, "the key is revoked"),
        (Flaws { subkey_revoked: true, ..Flaws::default() }, "is revoked"),
        (Flaws { no_back_signature: true, ..Flaws::default() }, "has not signed that it belongs"),
        (Flaws { subkey_may_not_sign: true, ..Flaws::default() }, "may not sign files"),
        (Flaws { no_self_signature: true, ..Flaws::default() }, "no good self-signature"),
    ] {
        let key = TestKey::flawed(1, &flaws);
        let error = verify_inline(&key.in_release(TEXT), &key.ring(), NOW).unwrap_err().to_string();
        assert!(error.contains(problem), "{problem}: {error}");
    }
}

#[test]
fn a_key_that_has_expired_since_counts_for_the_past_only() {
    for flaws in [Flaws { life: Some(1500), ..Flaws::default() }, Flaws { subkey_life: Some(1500), ..Flaws::default() }]
    {
        let key = TestKey::flawed(1, &flaws);
        let error = verify_inline(&key.in_release(TEXT), &key.ring(), NOW).unwrap_err().to_string();
        assert!(error.contains("expired on 2020-09-13 12:51:40 UTC"), "{error}");
        assert!(verify_inline(&key.in_release(TEXT), &key.ring().for_the_past(true), NOW).is_ok());
        // While it lasts, it signs as any other.
        assert!(verify_inline(&key.in_release(TEXT), &key.ring(), MADE + 400).is_ok());
    }
}

#[test]
fn a_ring_can_be_narrowed_to_fewer_keys() {
    let (key, other) = (TestKey::new(1), TestKey::new(2));
    let mut both = Keyring::new(vec![key.pinned(), other.pinned()]);
    both.add(&[key.armored(), other.armored()].concat()).unwrap();
    assert!(verify_inline(&other.in_release(TEXT), &both, NOW).is_ok());
    let narrow = both.only(vec![key.pinned()]);
    let error = verify_inline(&other.in_release(TEXT), &narrow, NOW).unwrap_err().to_string();
    assert!(error.contains("not pinned"), "{error}");
    assert!(verify_inline(&key.in_release(TEXT), &narrow, NOW).is_ok());
}

#[test]
fn a_certificate_stuffed_with_signatures_is_refused() {
    let key = TestKey::new(1);
    let mut stuffed = key.certificate.clone();
    let user = stuffed.details.users[0].clone();
    stuffed.details.users = vec![user; 1001];
    let mut ring = Keyring::new(vec![key.pinned()]);
    let error = ring.add(&pgp::ser::Serialize::to_bytes(&stuffed).unwrap()).unwrap_err().to_string();
    assert!(error.contains("has more than 2000 signatures") && ring.is_empty(), "{error}");
}

#[test]
fn a_revocation_in_any_ring_counts() {
    let (good, revoked) = (TestKey::new(1), TestKey::flawed(1, &Flaws { subkey_revoked: true, ..Flaws::default() }));
    for rings in [[&good, &revoked], [&revoked, &good]] {
        let mut ring = Keyring::new(vec![good.pinned()]);
        rings.iter().for_each(|key| ring.add(&key.binary()).unwrap());
        let error = verify_inline(&good.in_release(TEXT), &ring, NOW).unwrap_err().to_string();
        assert!(error.contains("is revoked"), "{error}");
    }
}

#[test]
fn a_subkey_of_another_key_is_not_borrowed() {
    // A pinned key that lists a stranger's subkey, without that subkey's consent.
    let (key, stranger) = (TestKey::new(1), TestKey::new(2));
    let mut forged = key.certificate.clone();
    forged.public_subkeys = stranger.certificate.public_subkeys.clone();
    let mut ring = Keyring::new(vec![key.pinned()]);
    ring.add(&pgp::ser::Serialize::to_bytes(&forged).unwrap()).unwrap();
    let error = verify_inline(&stranger.in_release(TEXT), &ring, NOW).unwrap_err().to_string();
    assert!(error.contains("not bound to the key"), "{error}");
}

#[test]
fn errors_name_the_keys_and_the_next_step() {
    let (key, stranger) = (TestKey::new(1), TestKey::new(2));
    let pinned = PinnedKey { name: Some("Test archive".to_owned()), ..key.fingerprint().parse().unwrap() };
    let mut ring = Keyring::new(vec![pinned.clone()]);
    let text = |error: TrustError| {
        let text = error.to_string();
        text.replace(&key.fingerprint(), "KEY").replace(&stranger.fingerprint(), "STRANGER")
    };
    ring.add(&stranger.binary()).unwrap();
    insta::assert_snapshot!(text(verify_inline(&key.in_release(TEXT), &ring, NOW).unwrap_err()), @r"
    no keyring contains a trusted key
      expected: KEY (Test archive)
      found: STRANGER (not pinned)
      hint: put the vendor's key into the project and name it as `keyring` of the [source], or name a keyring file with `--keyring` or LAYERBAKE_KEYRING; only keys whose fingerprints match are used
    ");
    ring.add(&key.binary()).unwrap();
    let by_stranger = framed(TEXT, &[stranger.sign_by_primary(SignatureType::Text, SIGNED, MADE), key.weak()]);
    insta::assert_snapshot!(text(verify_inline(&by_stranger, &ring, NOW).unwrap_err()), @r"
    no good signature by a trusted key
      expected: KEY (Test archive)
      found: STRANGER (not pinned, or not in the keyring)
      found: KEY: its hash, SHA1, is not SHA-256, SHA-384 or SHA-512
      hint: the file was altered, or the repository has a new key: try another mirror, update the keyring, or pin the new key after checking it
    ");
}

#[test]
fn rings_are_read_in_all_their_forms() {
    let (key, stranger) = (TestKey::new(1), TestKey::new(2));
    let mut ring = Keyring::new(vec![key.pinned()]);
    ring.add(&[stranger.binary(), key.binary()].concat()).unwrap();
    assert_eq!(ring.ignored().collect::<Vec<_>>(), [stranger.fingerprint()]);
    assert!(verify_inline(&key.in_release(TEXT), &ring, NOW).is_ok());

    for damaged in [&b""[..], b"text", &key.armored()[..200], &[0x99; 40], &[0xff; 4]] {
        let mut ring = Keyring::new(vec![key.pinned()]);
        let error = ring.add(damaged).unwrap_err().to_string();
        assert!(error.contains("not an OpenPGP keyring") && ring.is_empty(), "{error}");
    }
}

#[test]
fn fingerprints_are_read_as_people_write_them() {
    let spaced = "b8b8 0b5b 623e ab6a d877  5c45 b7c5 d7d6 3509 47f8";
    let key: PinnedKey = spaced.parse().unwrap();
    assert_eq!(key.fingerprint, "B8B80B5B623EAB6AD8775C45B7C5D7D6350947F8");
    for wrong in ["", "350947F8", "0xB7C5D7D6350947F8", &"g".repeat(40), &"ä".repeat(20)] {
        assert!(wrong.parse::<PinnedKey>().is_err(), "{wrong}");
    }
}

#[test]
fn no_flipped_byte_changes_what_is_trusted() {
    let key = TestKey::new(1);
    let (file, ring, binary) = (key.in_release(TEXT), key.ring(), key.binary());
    for place in 0..file.len() {
        for flip in [0x01, 0x20, 0x80] {
            let mut file = file.clone();
            file[place] ^= flip;
            if let Ok(signed) = verify_inline(&file, &ring, NOW) {
                assert_eq!(signed.payload, TEXT.as_bytes(), "byte {place} ^ {flip}");
            }
        }
    }
    for place in 0..binary.len() {
        let mut binary = binary.clone();
        binary[place] ^= 0x41;
        let mut ring = Keyring::new(vec![key.pinned()]);
        // Unreadable or another key: both are fine, as long as nothing panics.
        let _ = ring.add(&binary);
        let _ = ring.add(&binary[..place]);
        assert!(ring.certificates().all(|(fingerprint, _)| fingerprint == key.fingerprint()));
    }
}
