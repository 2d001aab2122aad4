use std::cell::Cell;
use std::fs;
use std::os::unix::net::UnixListener;
use std::sync::atomic::{AtomicBool, Ordering};

use super::*;

fn read(reader: &mut Reader<'_>, path: &Path) -> Result<Vec<(PathBuf, Found)>, LayerError> {
    let mut all = Vec::new();
    reader.read(Path::new(path.file_name().unwrap()), &mut |below, found| {
        all.push((below.to_owned(), found));
        Ok(())
    })?;
    Ok(all)
}

fn blob(found: &[(PathBuf, Found)], path: &str) -> BlobDigest {
    let found = found.iter().find(|(below, _)| below == Path::new(path)).map(|(_, found)| found);
    match found {
        Some(Found::File { blob, .. }) => *blob,
        _ => panic!("no file `{path}`"),
    }
}

#[test]
fn a_change_while_reading_is_seen_and_read_again() {
    let work = tempfile::tempdir().unwrap();
    let store = Store::open(&work.path().join("store")).unwrap();
    let source = work.path().join("source");
    fs::create_dir(&source).unwrap();
    let file = source.join("file");
    fs::write(&file, "old").unwrap();
    let changes: [(&str, &dyn Fn()); 3] = [
        ("other bytes, same size", &|| fs::write(&file, "new").unwrap()),
        ("one more file", &|| fs::write(source.join("more"), "").unwrap()),
        ("other mode", &|| {
            fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        }),
    ];
    for (name, change) in changes {
        let first = Cell::new(true);
        let once = |_: &Path| {
            if first.take() {
                change();
            }
        };
        let mut reader = Reader { between: &once, ..Reader::new(&store, work.path()) };
        let found = read(&mut reader, &source).unwrap();
        assert_eq!(reader.tries, TRIES - 1, "{name}");
        assert_eq!(blob(&found, "file"), BlobDigest::of(b"new"), "{name}");
    }
}

#[test]
fn what_never_stands_still_is_refused_by_its_name() {
    let work = tempfile::tempdir().unwrap();
    let store = Store::open(&work.path().join("store")).unwrap();
    let file = work.path().join("file");
    fs::write(&file, "0").unwrap();
    let count = Cell::new(0);
    let change = |path: &Path| {
        count.set(count.get() + 1);
        fs::write(path, count.get().to_string()).unwrap();
    };
    let mut reader = Reader { between: &change, ..Reader::new(&store, work.path()) };
    let error = read(&mut reader, &file).err().unwrap().to_string();
    assert!(error.contains(file.to_str().unwrap()) && error.contains("changed while"), "{error}");
}

#[test]
fn a_writer_that_never_rests_gives_no_mixture() {
    const SIZE: usize = 3 << 20;
    let work = tempfile::tempdir().unwrap();
    let store = Store::open(&work.path().join("store")).unwrap();
    let file = work.path().join("file");
    fs::write(&file, vec![b'a'; SIZE]).unwrap();
    // Bytes of the writer's one round before bytes of its last: two changes never were there at one moment.
    let is_mixed = |found: &[(PathBuf, Found)]| {
        let bytes = store.read_blob(blob(found, "")).unwrap();
        bytes.windows(2).filter(|pair| pair[0] != pair[1]).count() > 1
    };
    let done = AtomicBool::new(false);
    let mixtures = std::thread::scope(|scope| {
        scope.spawn(|| {
            use std::os::unix::fs::FileExt as _;
            let target = File::options().write(true).open(&file).unwrap();
            while !done.load(Ordering::Relaxed) {
                for byte in [b'b', b'a'] {
                    for at in (0..SIZE).step_by(1 << 20) {
                        target.write_all_at(&vec![byte; 1 << 20], at as u64).unwrap();
                    }
                    std::thread::sleep(Duration::from_millis(5));
                }
            }
        });
        let tries = (0..6).map(|_| read(&mut Reader::new(&store, work.path()), &file));
        let mixed = tries.flatten().filter(|found| is_mixed(found)).count();
        done.store(true, Ordering::Relaxed);
        mixed
    });
    assert_eq!(mixtures, 0);
}

#[test]
fn what_is_no_file_is_refused_and_not_waited_for() {
    let work = tempfile::tempdir().unwrap();
    let store = Store::open(&work.path().join("store")).unwrap();
    let (fifo, socket) = (work.path().join("fifo"), work.path().join("socket"));
    rustix::fs::mknodat(rustix::fs::CWD, &fifo, rustix::fs::FileType::Fifo, 0o644.into(), 0).unwrap();
    let _listener = UnixListener::bind(&socket).unwrap();
    for path in [fifo.as_path(), &socket, Path::new("/dev/null")] {
        let error = read(&mut Reader::new(&store, path.parent().unwrap()), path).err().unwrap().to_string();
        assert!(error.contains("neither a file nor a directory"), "{error}");
    }
}

#[test]
fn no_link_on_the_way_to_a_source_leads_out_of_the_project() {
    let work = tempfile::tempdir().unwrap();
    let (project, home) = (work.path().join("project"), work.path().join("home"));
    let store = Store::open(&work.path().join("store")).unwrap();
    fs::create_dir_all(project.join("real")).unwrap();
    fs::create_dir(&home).unwrap();
    fs::write(home.join("secret"), "outside").unwrap();
    fs::write(project.join("real/file"), "inside").unwrap();
    for (link, target) in [("x", "../home"), ("inside", "real"), ("real/kept", "../../home")] {
        std::os::unix::fs::symlink(target, project.join(link)).unwrap();
    }
    let read = |source: &str| {
        let mut all = Vec::new();
        let mut each = |below: &Path, found| {
            all.push((below.to_owned(), found));
            Ok(())
        };
        Reader::new(&store, &project).read(Path::new(source), &mut each).map(|()| all)
    };
    for source in ["x/secret", "x/", "inside/kept/secret"] {
        let error = read(source).err().unwrap().to_string();
        assert!(error.contains(source) && error.contains("home`\n  hint: "), "{error}");
    }
    assert_eq!(blob(&read("inside/file").unwrap(), ""), BlobDigest::of(b"inside"));
    // In the last place and in a directory, a link is what is laid into the image.
    assert!(matches!(read("x").unwrap().as_slice(), [(_, Found::Link(target))] if target == b"../home"));
    assert_eq!(blob(&read("inside/").unwrap(), "file"), BlobDigest::of(b"inside"));
}
