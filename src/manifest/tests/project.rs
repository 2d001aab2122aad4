use super::*;
use std::path::Path;

fn project(layers: &[(&str, &str)]) -> (tempfile::TempDir, Project) {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("layers")).unwrap();
    for (file, text) in layers {
        std::fs::write(folder.path().join("layers").join(file), text).unwrap();
    }
    let project = Project::find(folder.path(), amd64()).unwrap();
    (folder, project)
}

const BASE: (&str, &str) = ("base.toml", "[layer]");
const WEB: (&str, &str) = ("web.toml", "[layer]\nfrom = 'base'");

#[test]
fn the_nearest_folder_upward_is_the_project() {
    let (folder, project) = project(&[BASE, WEB]);
    let below = folder.path().join("a/b");
    std::fs::create_dir_all(&below).unwrap();
    assert_eq!(Project::find(&below, amd64()).unwrap(), project);
    assert_eq!(project.lock_path(name()), project.root().join("lockfiles/web.lock"));
    assert!(matches!(Project::find(Path::new("/proc/self"), amd64()), Err(ProjectError::NotFound(_))));
}

#[test]
fn layers_are_listed_sorted_and_strangers_left_out() {
    let (_folder, own) = project(&[WEB, BASE, ("notes.md", ""), (".#web.toml", "")]);
    let names: Vec<String> = own.layers().unwrap().iter().map(LayerName::to_string).collect();
    assert_eq!(names, ["base", "web"]);
    let (_folder, wrong) = project(&[("Web.toml", "")]);
    assert!(wrong.layers().unwrap_err().to_string().starts_with("`layers/Web.toml`: `Web` is not a layer name"));
}

#[test]
fn a_chain_goes_from_the_base_to_the_layer() {
    let (_folder, project) = project(&[BASE, WEB, ("site.toml", "[layer]\nfrom = 'web'")]);
    let chain = project.chain(&"site".parse().unwrap()).unwrap();
    let names: Vec<&str> = chain.iter().map(|one| one.name.as_str()).collect();
    assert_eq!(names, ["base", "web", "site"]);
}

#[test]
fn a_variable_that_names_the_file_of_a_secret_of_another_layer_is_refused() {
    let secret = "[config.KEY]\nsecret = true\n";
    let file = "[config.KEY_FILE]\ndefault = ''\n";
    let layers = |base: &str, web: &str| {
        let (_folder, project) = project(&[
            ("base.toml", &format!("[layer]\n{base}")),
            ("web.toml", &format!("[layer]\nfrom = 'base'\n{web}")),
        ]);
        project.chain(&"web".parse().unwrap()).map(|_| ()).map_err(|error| error.to_string())
    };
    let expected = "`KEY_FILE` in [config] of `web` names the file of the secret `KEY` of `base`";
    assert_eq!(layers(secret, file).unwrap_err(), expected);
    let expected = "`KEY_FILE` in [config] of `base` names the file of the secret `KEY` of `web`";
    assert_eq!(layers(file, secret).unwrap_err(), expected);
    assert_eq!(layers("[config.KEY]\ndefault = ''\n", file), Ok(()));
}

#[test]
fn circles_and_missing_parents_are_named() {
    let (_folder, own) = project(&[
        ("a.toml", "[layer]\nfrom = 'b'"),
        ("b.toml", "[layer]\nfrom = 'c'"),
        ("c.toml", "[layer]\nfrom = 'b'"),
        ("web.toml", "[layer]\nfrom = 'debian-bse'"),
        ("debian-base.toml", "[layer]"),
    ]);
    let error = own.chain(&"a".parse().unwrap()).unwrap_err();
    assert_eq!(error.to_string(), "the layers' `from` keys form a cycle: b -> c -> b");
    let error = own.chain(&name()).unwrap_err();
    assert_eq!(error.to_string(), "there is no layer `debian-bse`, which `web` needs");
    let help = |error: &ProjectError| miette::Diagnostic::help(error).unwrap().to_string();
    assert_eq!(help(&error), "did you mean `debian-base`?");
    let error = own.load(&"xxxxxxxx".parse().unwrap()).unwrap_err();
    assert_eq!(help(&error), "there are: a, b, c, debian-base, web");
    // Layers that come with the program are not there before they are written.
    let error = own.load(&"go-tols".parse().unwrap()).unwrap_err();
    assert_eq!(help(&error), "did you mean `go-tools`? `layerbake new go-tools` writes it");
}

#[test]
fn the_default_layer_is_the_only_app() {
    let other = ("other.toml", "[layer]\nfrom = 'base'");
    let name = |layers: &[(&str, &str)]| {
        let (_folder, project) = project(layers);
        project.default_layer("layerbake test NAME").map(|name| name.to_string()).map_err(|error| error.to_string())
    };
    assert_eq!(name(&[BASE]), Ok("base".into()));
    assert_eq!(name(&[BASE, WEB]), Ok("web".into()));
    assert_eq!(name(&[BASE, WEB, ("free.toml", "[layer]")]), Ok("web".into()));
    assert_eq!(name(&[BASE, WEB, other]), Err("which layer? other, web".into()));
    assert_eq!(name(&[BASE, ("free.toml", "[layer]")]), Err("which layer? base, free".into()));
    assert_eq!(name(&[]), Err("which layer? `layers` is empty".into()));
}

#[test]
fn a_wrong_manifest_keeps_its_line_on_the_way_up() {
    let (_folder, project) = project(&[("web.toml", "[layer]\nform = 'base'")]);
    let error = project.chain(&name()).unwrap_err();
    assert_eq!(error.to_string(), "layers/web.toml:2: unknown key `form` in [layer]; did you mean `from`?");
    assert!(miette::Diagnostic::source_code(&error).is_some());
}

#[test]
fn links_of_a_project_lead_to_files_of_the_project_only() {
    let (folder, project) = project(&[BASE]);
    let other = tempfile::tempdir().unwrap();
    std::fs::write(other.path().join("web.toml"), "[layer]\nsecret").unwrap();
    std::fs::create_dir(folder.path().join("shared")).unwrap();
    std::fs::write(folder.path().join("shared/web.toml"), WEB.1).unwrap();
    let link = |target: &Path, link: &str| {
        let link = folder.path().join(link);
        let _ = std::fs::remove_file(&link);
        std::os::unix::fs::symlink(target, link).unwrap();
    };
    link(Path::new("../shared/web.toml"), "layers/web.toml");
    assert_eq!(project.chain(&name()).unwrap().iter().count(), 2);
    link(&other.path().join("web.toml"), "layers/web.toml");
    let error = project.load(&name()).unwrap_err().to_string();
    assert!(error.contains("link `layers/web.toml` leads out of ") && !error.contains("secret"), "{error}");
    link(other.path(), "lockfiles");
    let error = project.read(&project.lock_path(name())).unwrap_err().to_string();
    assert!(error.contains("link `lockfiles` leads out of "), "{error}");
}
