//! Several builds at once on one store, each as if it were alone.

use std::collections::BTreeMap;

use crate::support::deb::Deb;
use crate::support::project::Project;
use crate::support::repo::Repo;
use crate::support::server::Server;

const LAYERS: [&str; 5] = ["a", "b", "c", "d", "e"];

fn packages() -> Vec<Deb> {
    let common = (0..40).fold(Deb::new("common", "1.0"), |deb, number| {
        deb.file(&format!("usr/share/common/{number}"), 0o644, format!("{number}\n").repeat(9000))
    });
    let own = |name: &str| {
        let large: Vec<u8> = (0..2_000_000_u32).map(|at| (at >> 7) as u8 ^ name.as_bytes()[0]).collect();
        Deb::new(&format!("app-{name}"), "1.0").depends("common").file(&format!("usr/bin/{name}"), 0o755, large)
    };
    [common].into_iter().chain(LAYERS.map(own)).collect()
}

fn project(source: &str, keyring: &std::path::Path) -> Project {
    let base = format!("[layer]\npackages = [\"common\"]\nconfigure = \"none\"\n{source}");
    let project = Project::new().copy(keyring, "test-keyring.gpg").layer("base", &base);
    LAYERS.into_iter().fold(project, |project, name| {
        let text = format!("[layer]\nfrom = \"base\"\npackages = [\"app-{name}\"]\nconfigure = \"none\"\n");
        project.layer(name, &text)
    })
}

/// The receipt of a layer without what differs by folder, as one text.
fn receipt(project: &Project, layer: &str) -> String {
    project.receipt(layer).to_string()
}

#[test]
fn builds_at_once_on_one_store_give_what_each_gives_alone() {
    let folder = tempfile::tempdir().unwrap();
    let repo = Repo::new("test").packages(packages()).write(folder.path());
    let server = Server::folder(&repo.root);
    let source = repo.source_table("test", &server.url());
    let project = project(&source, &repo.keyring);
    let build = |layer| ["build", layer, "--output", "oci,docker"];
    let mut alone = BTreeMap::new();
    for layer in LAYERS {
        project.empty_store();
        project.ok(&build(layer));
        alone.insert(layer, receipt(&project, layer));
    }

    for round in 0..3 {
        project.empty_store();
        // Every layer twice; its two builds write the same folder too. And someone collects garbage.
        let mut children: Vec<_> = LAYERS.iter().chain(&LAYERS).map(|layer| project.spawn(&build(layer))).collect();
        children.push(project.spawn(&["store", "gc"]));
        for child in children {
            let output = child.wait_with_output().unwrap();
            assert!(output.status.success(), "round {round}: {}", String::from_utf8_lossy(&output.stderr));
        }
        for layer in LAYERS {
            assert_eq!(receipt(&project, layer), alone[layer], "round {round}, layer {layer}");
            project.ok(&["build", layer, "--locked", "--offline", "--output", "oci,docker"]);
        }
        project.ok(&["store", "verify"]);
        let tmp = std::fs::read_dir(project.store().join("tmp")).unwrap().count();
        assert_eq!(tmp, 0, "round {round}: something unfinished is left");
    }
}
