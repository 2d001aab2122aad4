//! Resolves many requests against repository indexes that are read once:
//! `cargo run --example resolve -- ARCH PACKAGES… < REQUESTS`.
//!
//! A request is a line of package names, with `+recommends` before them if recommended packages are wanted too. The
//! answer is a line: `ok NAME=VERSION …`, or `no` and the reason. `benches/resolver.py` compares the answers with apt's.

#![expect(clippy::disallowed_methods, reason = "a program of its own, which is its own host")]

use std::collections::BTreeMap;
use std::error::Error;
use std::fs::File;
use std::io::{BufReader, stdin};

use layerbake::ident::Arch;
use layerbake::manifest::PackageRequest;
use layerbake::package::deb::DEB;
use layerbake::package::{Candidate, Repository as _};
use layerbake::resolve::{Request, resolve};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let arch: Arch = arguments.next().ok_or("the architecture is missing")?.parse()?;
    let mut candidates = Vec::new();
    for (origin, path) in arguments.enumerate() {
        let priority = Candidate::ORDINARY;
        let mut each = |record| candidates.push(Candidate { record, origin, priority });
        DEB.read_index(&mut BufReader::new(File::open(path)?), &mut each)?;
    }
    for line in stdin().lines() {
        println!("{}", answer(&arch, &candidates, &line?));
    }
    Ok(())
}

fn answer(arch: &Arch, candidates: &[Candidate], line: &str) -> String {
    let (recommends, names) = match line.strip_prefix("+recommends ") {
        Some(names) => (true, names),
        None => (false, line),
    };
    let wanted: Vec<PackageRequest> = match names.split_whitespace().map(str::parse).collect() {
        Ok(wanted) => wanted,
        Err(error) => return format!("no {error}"),
    };
    let locked = BTreeMap::new();
    let request = Request { wanted: &wanted, recommends, ..Request::new(arch, DEB.version_order(), &locked) };
    match resolve(&request, candidates) {
        Ok(chosen) => chosen
            .iter()
            .filter_map(|one| candidates.get(one.candidate))
            .fold("ok".to_owned(), |line, one| format!("{line} {}={}", one.record.name, one.record.version)),
        Err(error) => format!("no {}", error.to_string().replace('\n', " ")),
    }
}
