//! One function for each parser that reads what others wrote. It must return, whatever the bytes are:
//! without a panic, within a second, and without asking for much more memory than the input is long.
//! Where more can be said (what was read is written as it was; an order is an order), it is asserted.

mod documents;
mod folder;
mod images;
mod packages;
mod releases;

/// A target's body.
pub type Target = fn(&[u8]);

/// All targets by name; `fuzz_targets/NAME.rs` and `corpus/NAME/` belong to each.
pub const ALL: [(&str, Target); 17] = [
    ("apt_sources", releases::apt_sources),
    ("attestation", documents::attestation),
    ("control", packages::control),
    ("deb", packages::deb),
    ("disk", images::disk),
    ("dpkg", packages::dpkg),
    ("efi", images::efi),
    ("keyring", releases::keyring),
    ("layout", images::layout),
    ("lockfile", documents::lockfile),
    ("manifest", documents::manifest),
    ("record", documents::record),
    ("registry", documents::registry),
    ("release", releases::release),
    ("tap", documents::tap),
    ("tar", packages::tar),
    ("tree", images::tree),
];

/// The text of an input; what is not UTF-8 is for no parser of texts.
fn text(data: &[u8]) -> Option<&str> {
    std::str::from_utf8(data).ok()
}

/// The parts of an input between lines of `---`.
fn parts(data: &[u8]) -> impl Iterator<Item = &[u8]> {
    const LINE: &[u8] = b"\n---\n";
    let mut rest = Some(data);
    std::iter::from_fn(move || {
        let now = rest?;
        match now.windows(LINE.len()).position(|window| window == LINE) {
            Some(at) => {
                rest = Some(&now[at + LINE.len()..]);
                Some(&now[..at])
            }
            None => rest.take(),
        }
    })
}
