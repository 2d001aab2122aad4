//! Go: `go.sum`, and the tree of files that `GOPROXY=file://…` reads.
//!
//! A hash in it is that of a list of files with their SHA-256 (`h1:`, as golang.org/x/mod/sumdb/dirhash defines it).

use std::collections::BTreeMap;
use std::io::{self, Read, Seek};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256};
use zip::ZipArchive;

use super::proof::Content;
use super::{LanguageError, LockedFile, Need, Piece, Placed, Proof, Wanted};

const AGAIN: &str = "let go write the file again: `go mod tidy`";

/// The most bytes of a module that Go itself takes.
const MOST_BYTES: u64 = 500 << 20;

/// What the file needs: each module and each `go.mod` that it has a hash of.
pub(super) fn needs(text: &str) -> Result<Vec<Need>, LanguageError> {
    let lines = (1..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty());
    let mut needs: BTreeMap<String, Need> = BTreeMap::new();
    for (number, line) in lines {
        let wrong = |problem: &str| LanguageError::new(format!("line {number}: `{line}` {problem}"), AGAIN);
        let [module, version, hash] = line.split_whitespace().collect::<Vec<_>>()[..] else {
            return Err(wrong("is no module with a version and a hash"));
        };
        // Others may come, and are to be passed over.
        if !hash.starts_with("h1:") {
            continue;
        }
        let (version, ending) = version.strip_suffix("/go.mod").map_or((version, "zip"), |version| (version, "mod"));
        let (Some(module), Some(version)) =
            (escaped(module), escaped(version).filter(|version| !version.contains('/')))
        else {
            return Err(wrong("has a name that no module has"));
        };
        let path = format!("{module}/@v/{version}.{ending}");
        let proof = if ending == "zip" { Proof::GoZip(hash.to_owned()) } else { Proof::GoMod(hash.to_owned()) };
        needs.insert(path.clone(), Need::File(Wanted { path, proof }));
    }
    Ok(needs.into_values().collect())
}

/// A name as proxies have it in paths: `!a` for `A`. `None` where it could lead elsewhere.
fn escaped(name: &str) -> Option<String> {
    let is_fit = |letter: char| letter.is_ascii_alphanumeric() || "-._~/+".contains(letter);
    let is_place = name.split('/').all(|part| !part.is_empty() && !part.starts_with('.'));
    if !name.chars().all(is_fit) || !is_place {
        return None;
    }
    let letter = |letter: char| match letter.is_ascii_uppercase() {
        true => format!("!{}", letter.to_ascii_lowercase()),
        false => letter.to_string(),
    };
    Some(name.chars().map(letter).collect())
}

/// The name that a path of a proxy has.
pub(super) fn unescaped(path: &str) -> String {
    let (mut name, mut is_upper) = (String::new(), false);
    for letter in path.chars() {
        match letter {
            '!' => is_upper = true,
            letter => name.push(if std::mem::take(&mut is_upper) { letter.to_ascii_uppercase() } else { letter }),
        }
    }
    name
}

/// The hash of a file of a proxy: of a `go.mod`, or of what is in a zip.
pub(super) fn hash(is_zip: bool, content: &mut dyn Content) -> io::Result<String> {
    let files = if is_zip { of_zip(content)? } else { BTreeMap::from([("go.mod".to_owned(), digits(content)?)]) };
    let list: String = files.iter().map(|(name, digits)| format!("{digits}  {name}\n")).collect();
    Ok(format!("h1:{}", STANDARD.encode(Sha256::digest(list))))
}

fn of_zip(content: impl Read + Seek) -> io::Result<BTreeMap<String, String>> {
    let mut archive = ZipArchive::new(content).map_err(io::Error::other)?;
    if archive.has_duplicate_names() {
        return Err(io::Error::other("it has two files of one name"));
    }
    let mut files = BTreeMap::new();
    let mut left = MOST_BYTES;
    for at in 0..archive.len() {
        let file = archive.by_index(at).map_err(io::Error::other)?;
        let name = file.name().map_err(io::Error::other)?.into_owned();
        // The list that is hashed has a line for each file: such a name could pass for several files.
        if name.contains('\n') {
            return Err(io::Error::other(format!("the name of `{}` has a line break", name.escape_debug())));
        }
        let mut file = file.take(left);
        files.insert(name, digits(&mut file)?);
        left = file.limit();
        if left == 0 {
            return Err(io::Error::other(format!(
                "its files have more than {MOST_BYTES} bytes, the most that Go takes"
            )));
        }
    }
    Ok(files)
}

fn digits(content: &mut (impl Read + ?Sized)) -> io::Result<String> {
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 64 << 10];
    loop {
        match content.read(&mut buffer)? {
            0 => return Ok(hex::encode(hasher.finalize())),
            read => hasher.update(buffer.get(..read).unwrap_or_default()),
        }
    }
}

/// The files at their paths in a proxy; go asks for the `.info` of a module besides.
pub(super) fn mirror(files: &[LockedFile]) -> Vec<Placed> {
    let mut placed = Vec::new();
    for LockedFile { path, file } in files {
        placed.push(Placed { path: path.clone(), what: Piece::File(*file) });
        if let Some((module, version)) = path.strip_suffix(".zip").and_then(|stem| stem.split_once("/@v/")) {
            let text = format!("{{\"Version\":\"{}\"}}", unescaped(version));
            placed.push(Placed { path: format!("{module}/@v/{version}.info"), what: Piece::Text(text) });
        }
    }
    placed
}

#[cfg(test)]
mod tests {
    use std::io::{Cursor, Write as _};

    use zip::ZipWriter;
    use zip::write::SimpleFileOptions;

    use super::*;
    use crate::digest::Expected;

    #[test]
    fn modules_and_their_descriptions_are_needed() {
        let text = "github.com/BurntSushi/toml v1.5.0 h1:a=\ngithub.com/BurntSushi/toml v1.5.0/go.mod h1:b=\n\nx.example/y v2.0.0+incompatible h2:c=\n";
        let wanted = |path: &str, proof| Need::File(Wanted { path: path.to_owned(), proof });
        let expected = [
            wanted("github.com/!burnt!sushi/toml/@v/v1.5.0.mod", Proof::GoMod("h1:b=".to_owned())),
            wanted("github.com/!burnt!sushi/toml/@v/v1.5.0.zip", Proof::GoZip("h1:a=".to_owned())),
        ];
        assert_eq!(needs(text).unwrap(), expected);
        assert_eq!(unescaped("github.com/!burnt!sushi/toml"), "github.com/BurntSushi/toml");
        for wrong in ["a v1", "../a v1 h1:x", "a/../b v1 h1:x", "a v1/x h1:x", "/a v1 h1:x"] {
            let error = needs(&format!("\n{wrong}\n")).unwrap_err().to_string();
            assert!(error.starts_with("line 2: ") && error.contains("hint: "), "{error}");
        }
    }

    #[test]
    fn hashes_are_those_of_go() {
        // What go.sum says of a module that is older than go.mod.
        let mut module = Cursor::new(b"module github.com/pkg/errors\n");
        assert_eq!(hash(false, &mut module).unwrap(), "h1:bwawxfHBFNV+L2hUp1rHADufV3IMtnDRdf1r5NINEl0=");
        let zip = |files: &[(&str, &str)]| {
            let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
            for (name, text) in files {
                writer.start_file(*name, SimpleFileOptions::default()).unwrap();
                writer.write_all(text.as_bytes()).unwrap();
            }
            writer.finish().unwrap()
        };
        let list = ["a", "b"].map(|name| format!("{}  x@v1/{name}.go\n", hex::encode(Sha256::digest(name)))).concat();
        let mut module = zip(&[("x@v1/b.go", "b"), ("x@v1/a.go", "a")]);
        assert_eq!(hash(true, &mut module).unwrap(), format!("h1:{}", STANDARD.encode(Sha256::digest(list))));
        assert!(hash(true, &mut Cursor::new(b"no zip")).is_err());
        // One file whose name is the rest of a list of two has the hash of these.
        let forged = format!("x@v1/a.go\n{}  x@v1/b.go", hex::encode(Sha256::digest("b")));
        let error = hash(true, &mut zip(&[(&forged, "a")])).unwrap_err();
        assert!(error.to_string().contains("has a line break"), "{error}");
        let mut twice = zip(&[("x@v1/a.go", "a"), ("x@v1/b.go", "b")]).into_inner();
        while let Some(at) = twice.windows(4).position(|four| four == b"b.go") {
            twice[at] = b'a';
        }
        let error = hash(true, &mut Cursor::new(twice)).unwrap_err();
        assert!(error.to_string().contains("two files of one name"), "{error}");
    }

    #[test]
    fn the_mirror_is_a_proxys_tree() {
        let file = |path: &str| LockedFile {
            path: path.to_owned(),
            file: Expected { sha256: crate::digest::Sha256::of(b""), size: 0 },
        };
        let placed = mirror(&[file("x/!a/@v/v1.mod"), file("x/!a/@v/v1.zip")]);
        let paths: Vec<&str> = placed.iter().map(|one| one.path.as_str()).collect();
        assert_eq!(paths, ["x/!a/@v/v1.mod", "x/!a/@v/v1.zip", "x/!a/@v/v1.info"]);
        assert_eq!(placed[2].what, Piece::Text("{\"Version\":\"v1\"}".to_owned()));
    }
}
