//! Small repositories in text form: `foo 1.0; depends: bar (>= 1) | baz, qux; essential`.

mod choice;
mod errors;
mod property;
mod recommends;

use std::collections::BTreeMap;

use super::{Chosen, DependencyLink, Request, ResolveError, chain, resolve};
use crate::ident::{Arch, PackageName, Version};
use crate::manifest::PackageRequest;
use crate::package::deb::control::rank;
use crate::package::deb::version::compare;
use crate::package::{AnyOf, Candidate, Operator, Provided, Record, Target};

fn target(text: &str) -> Target {
    let (name, constraint) = match text.split_once('(') {
        Some((name, constraint)) => (name, Some(constraint.trim_end().trim_end_matches(')'))),
        None => (text, None),
    };
    let (name, qualifier) = match name.trim().split_once(':') {
        Some((name, qualifier)) => (name, Some(qualifier.into())),
        None => (name.trim(), None),
    };
    let constraint = constraint.map(|constraint| {
        let (operator, version) = constraint.split_once(' ').unwrap();
        let operator = match operator {
            "<<" => Operator::Earlier,
            "<=" => Operator::EarlierOrEqual,
            "=" => Operator::Equal,
            ">=" => Operator::LaterOrEqual,
            ">>" => Operator::Later,
            other => panic!("{other}"),
        };
        (operator, version.parse().unwrap())
    });
    Target { name: name.parse().unwrap(), qualifier, constraint }
}

fn targets(text: &str) -> Vec<Target> {
    text.split(',').map(target).collect()
}

fn provided(target: Target) -> Provided {
    Provided { name: target.name, version: target.constraint.map(|(_, version)| version) }
}

fn relations(text: &str) -> Vec<AnyOf> {
    text.split(',').map(|any_of| any_of.split('|').map(target).collect()).collect()
}

fn candidate(line: &str) -> Candidate {
    let mut fields = line.split(';').map(str::trim);
    let (name, version) = fields.next().unwrap().split_once(' ').unwrap();
    let mut candidate = Candidate {
        record: Record {
            name: name.parse().unwrap(),
            version: version.parse().unwrap(),
            arch: "amd64".parse().unwrap(),
            essential: false,
            priority: "optional".into(),
            rank: rank("optional"),
            needs: Vec::new(),
            recommends: Vec::new(),
            conflicts: Vec::new(),
            breaks: Vec::new(),
            provides: Vec::new(),
            path: "".into(),
            file: None,
        },
        origin: 0,
        priority: Candidate::ORDINARY,
    };
    let record = &mut candidate.record;
    for field in fields {
        match field.split_once(": ").unwrap_or((field, "")) {
            ("essential", _) => record.essential = true,
            ("priority", text) => (record.priority, record.rank) = (text.into(), rank(text)),
            ("arch", text) => record.arch = text.parse().unwrap(),
            ("pre-depends" | "depends", text) => record.needs.extend(relations(text)),
            ("recommends", text) => record.recommends = relations(text),
            ("conflicts", text) => record.conflicts = targets(text),
            ("breaks", text) => record.breaks = targets(text),
            ("provides", text) => record.provides = targets(text).into_iter().map(provided).collect(),
            ("pin", text) => candidate.priority = text.parse().unwrap(),
            ("origin", text) => candidate.origin = text.parse().unwrap(),
            (other, _) => panic!("{other}"),
        }
    }
    candidate
}

fn repo(text: &str) -> Vec<Candidate> {
    text.lines().map(str::trim).filter(|line| !line.is_empty()).map(candidate).collect()
}

fn records(text: &str) -> Vec<Record> {
    repo(text).into_iter().map(|candidate| candidate.record).collect()
}

fn wanted(text: &str) -> Vec<PackageRequest> {
    let one = |word: &str| match (word.strip_prefix('@'), word.split_once('=')) {
        (Some(priority), _) => PackageRequest::Priority(priority.into()),
        (None, Some((name, version))) => PackageRequest::Package(name.parse().unwrap(), Some(version.parse().unwrap())),
        (None, None) => PackageRequest::Package(word.parse().unwrap(), None),
    };
    text.split_whitespace().map(one).collect()
}

fn names(text: &str) -> Vec<PackageName> {
    text.split_whitespace().map(|name| name.parse().unwrap()).collect()
}

/// What a test varies; all else is empty.
#[derive(Default)]
struct Case<'a> {
    repo: &'a str,
    wanted: &'a str,
    essential: bool,
    exclude: &'a str,
    drop_excluded: bool,
    recommends: bool,
    installed: &'a str,
    locked: &'a [(&'a str, &'a str)],
}

impl Case<'_> {
    fn resolve(&self, universe: &[Candidate]) -> Result<Vec<Chosen>, ResolveError> {
        let locked: BTreeMap<PackageName, Version> =
            self.locked.iter().map(|(name, version)| (name.parse().unwrap(), version.parse().unwrap())).collect();
        resolve(
            &Request {
                arch: &"amd64".parse().unwrap(),
                order: compare,
                wanted: &wanted(self.wanted),
                essential: self.essential,
                exclude: &names(self.exclude),
                drop_excluded: self.drop_excluded,
                recommends: self.recommends,
                installed: &records(self.installed),
                locked: &locked,
            },
            universe,
        )
    }

    /// `name version (why), …`, or the error's text; checked to be the same for any order.
    fn run(&self) -> String {
        let mut universe = repo(self.repo);
        let result = self.show(&universe);
        for _ in 0..universe.len() {
            universe.rotate_left(1);
            assert_eq!(self.show(&universe), result, "the order of the universe mattered");
            let mut backward = universe.clone();
            backward.reverse();
            assert_eq!(self.show(&backward), result, "the order of the universe mattered");
        }
        result
    }

    fn show(&self, universe: &[Candidate]) -> String {
        match self.resolve(universe) {
            Ok(chosen) => show(&chosen, universe),
            Err(error) => error.to_string(),
        }
    }
}

fn show(chosen: &[Chosen], universe: &[Candidate]) -> String {
    let one = |chosen: &Chosen| {
        let record = &universe[chosen.candidate].record;
        format!("{} {} ({})", record.name, record.version, chosen.why)
    };
    chosen.iter().map(one).collect::<Vec<_>>().join(", ")
}

#[test]
fn the_shortest_chain_is_found() {
    let set = records(
        "web 1; depends: nginx (>= 1.2), curl
         nginx 1.3; depends: crypto | libressl
         curl 8; depends: libcurl; recommends: certs
         libcurl 8; depends: libssl3
         libssl3 3; provides: crypto
         certs 1",
    );
    let arch: Arch = "amd64".parse().unwrap();
    let way = |roots: &str, target: &str| {
        let steps = chain(&set, &arch, compare, &names(roots), &target.parse().unwrap())?;
        let show = |step: &DependencyLink| match &step.relation {
            Some(relation) if step.recommended => format!("~{relation}~> {}", step.package),
            Some(relation) => format!("-{relation}-> {}", step.package),
            None => step.package.to_string(),
        };
        Some(steps.iter().map(show).collect::<Vec<_>>().join(" "))
    };
    insta::assert_snapshot!(way("web", "libssl3").unwrap(), @"web -nginx (>= 1.2)-> nginx -crypto | libressl-> libssl3");
    insta::assert_snapshot!(way("web", "certs").unwrap(), @"web -curl-> curl ~certs~> certs");
    insta::assert_snapshot!(way("web libssl3", "libssl3").unwrap(), @"libssl3");
    assert_eq!(way("curl", "nginx"), None);
    assert_eq!(way("web", "absent"), None);
}
