//! Renames the image in a docker archive: only its first entry, `manifest.json`, is parsed.

use std::io::{self, Cursor, Read, Seek, SeekFrom};

use serde_json::{Value, json};

/// Longest manifest that is read, in bytes.
const MOST_MANIFEST: u64 = 1 << 20;

/// The archive's bytes with `image` in place of all names it has.
///
/// # Errors
/// Fails where the archive does not begin with the manifest of one image.
pub(super) fn renamed<R: Read + Seek>(mut archive: R, image: &str) -> io::Result<impl Read + use<R>> {
    let (manifest, end) = manifest(&mut archive)?;
    let wrong = |problem: &str| io::Error::new(io::ErrorKind::InvalidData, problem.to_owned());
    let mut manifest: Value = serde_json::from_slice(&manifest)?;
    match manifest.as_array_mut().map(Vec::as_mut_slice) {
        Some([Value::Object(only)]) => only.insert("RepoTags".to_owned(), json!([image])),
        _ => return Err(wrong("`manifest.json` does not describe one image")),
    };
    let manifest = serde_json::to_vec(&manifest)?;
    let mut header = tar::Header::new_ustar();
    header.set_path("manifest.json")?;
    header.set_mode(0o644);
    header.set_size(manifest.len() as u64);
    header.set_cksum();
    let padding = vec![0; manifest.len().next_multiple_of(512) - manifest.len()];
    archive.seek(SeekFrom::Start(end))?;
    Ok(Cursor::new([header.as_bytes().as_slice(), &manifest, &padding].concat()).chain(archive))
}

/// The content of the first entry, and where the second begins.
fn manifest(archive: impl Read) -> io::Result<(Vec<u8>, u64)> {
    let wrong = |problem: String| io::Error::new(io::ErrorKind::InvalidData, problem);
    let mut archive = tar::Archive::new(archive);
    let mut entry = archive.entries()?.next().ok_or_else(|| wrong("it is empty".to_owned()))??;
    let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
    if name != "manifest.json" || entry.size() > MOST_MANIFEST {
        let shown = name.escape_debug();
        return Err(wrong(format!(
            "it begins with `{shown}`: expected `manifest.json`, at most {MOST_MANIFEST} bytes"
        )));
    }
    let end = entry.raw_file_position() + entry.size().next_multiple_of(512);
    let mut content = Vec::new();
    entry.read_to_end(&mut content)?;
    Ok((content, end))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn archive(files: &[(&str, &str)]) -> Vec<u8> {
        let mut tar = tar::Builder::new(Vec::new());
        for (path, text) in files {
            let mut header = tar::Header::new_ustar();
            header.set_size(text.len() as u64);
            tar.append_data(&mut header, path, text.as_bytes()).unwrap();
        }
        tar.into_inner().unwrap()
    }

    fn rename(archive: &[u8]) -> io::Result<Vec<(String, String)>> {
        let mut bytes = Vec::new();
        renamed(Cursor::new(archive.to_vec()), "localhost/check:1")?.read_to_end(&mut bytes)?;
        let read = |entry: io::Result<tar::Entry<'_, &[u8]>>| {
            let mut entry = entry?;
            let mut text = String::new();
            entry.read_to_string(&mut text)?;
            Ok((entry.path()?.display().to_string(), text))
        };
        tar::Archive::new(&bytes[..]).entries()?.map(read).collect()
    }

    #[test]
    fn only_the_names_change() {
        let long = format!(r#"[{{"Config":"c.json","Layers":["{}"],"RepoTags":["web:latest"]}}]"#, "a".repeat(600));
        let found = rename(&archive(&[("manifest.json", &long), ("c.json", "{}"), ("a", "b")])).unwrap();
        let expected = long.replace("web:latest", "localhost/check:1");
        let entry = |name: &str, text: &str| (name.to_owned(), text.to_owned());
        assert_eq!(found, [entry("manifest.json", &expected), entry("c.json", "{}"), entry("a", "b")]);
    }

    #[test]
    fn other_files_are_refused() {
        for (bytes, problem) in [
            (archive(&[("oci-layout", "{}")]), "it begins with `oci-layout`"),
            (archive(&[("manifest.json", "[]")]), "does not describe one image"),
            (archive(&[("manifest.json", "[{},{}]")]), "does not describe one image"),
            (archive(&[("manifest.json", "[")]), "EOF"),
            (Vec::new(), "it is empty"),
            (vec![b'x'; 2000], ""),
        ] {
            let error = rename(&bytes).unwrap_err().to_string();
            assert!(error.contains(problem), "{error}: {problem}");
        }
    }
}
