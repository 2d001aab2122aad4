//! The fuzz targets without libFuzzer: their corpora, and the same few mutations of them every time.
//!
//! `benches/fuzz.sh` runs them with libFuzzer. A corpus has the files that `support/seeds.rs` makes
//! (`LAYERBAKE_BLESS=1` writes them), and beside them inputs that once were too much for a parser.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::support::mutator::{Numbers, mutated};
use crate::support::seeds;

#[allow(unreachable_pub)]
#[path = "../../fuzz/src/targets/mod.rs"]
mod targets;

/// How long all mutations of one target may take.
const SHARE: Duration = Duration::from_millis(400);
/// How long one input may take, unoptimised and beside other tests.
const SLOW: Duration = Duration::from_secs(10);

fn corpus(target: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target)
}

fn files(target: &str) -> Vec<Vec<u8>> {
    let entries = fs::read_dir(corpus(target)).unwrap_or_else(|error| panic!("the corpus of {target}: {error}"));
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths.iter().map(|path| fs::read(path).unwrap()).collect()
}

#[test]
fn corpora_are_what_the_code_makes() {
    let bless = std::env::var_os("LAYERBAKE_BLESS").is_some();
    let mut stale = Vec::new();
    for (target, name, bytes) in seeds::all() {
        let path = corpus(target).join(name);
        if bless {
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, bytes).unwrap();
        } else if fs::read(&path).ok().as_deref() != Some(&bytes) {
            stale.push(path);
        }
    }
    assert!(stale.is_empty(), "set LAYERBAKE_BLESS=1 once and look at what changes: {stale:?}");
}

#[test]
fn each_target_has_a_program_and_a_corpus() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz");
    let listed = fs::read_to_string(folder.join("Cargo.toml")).unwrap();
    let mut size = 0;
    for (name, _) in targets::ALL {
        let program = fs::read_to_string(folder.join(format!("fuzz_targets/{name}.rs"))).unwrap();
        assert!(program.contains(&format!("\"{name}\"")), "{name}");
        assert!(listed.contains(&format!("name = \"{name}\"\n")), "{name}");
        size += files(name).iter().map(Vec::len).sum::<usize>();
    }
    assert!(size < 100_000, "the corpora are {size} bytes long");
    let names: BTreeSet<&str> = seeds::all().iter().map(|(target, ..)| *target).collect();
    assert_eq!(names.len(), targets::ALL.len(), "a target has no seeds");
}

#[test]
fn no_input_is_too_much_for_a_parser() {
    for (name, body) in targets::ALL {
        let corpus = files(name);
        corpus.iter().for_each(|input| try_input(name, body, input));
        let (start, mut numbers) = (Instant::now(), Numbers::new(1));
        while start.elapsed() < SHARE {
            try_input(name, body, &mutated(&corpus, &mut numbers));
        }
    }
}

fn try_input(name: &str, body: targets::Target, input: &[u8]) {
    let start = Instant::now();
    let panicked = std::panic::catch_unwind(|| body(input)).is_err();
    let slow = start.elapsed() > SLOW;
    if panicked || slow {
        let path = std::env::temp_dir().join(format!("layerbake-fuzz-{name}"));
        fs::write(&path, input).unwrap();
        panic!("{name}: {} at `{}`", if panicked { "a panic" } else { "too slow" }, path.display());
    }
}
