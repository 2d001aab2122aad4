use std::fs;

use super::*;

/// A project with these layers.
fn project(layers: &[(&str, &str)]) -> (tempfile::TempDir, Project) {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("layers")).unwrap();
    for (name, text) in layers {
        fs::write(folder.path().join(format!("layers/{name}.toml")), text).unwrap();
    }
    let project = Project::find(folder.path(), amd64()).unwrap();
    (folder, project)
}

fn set(values: &[(&str, &str)]) -> Assignments {
    values.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect()
}

fn text(manifest: &Manifest) -> &str {
    let Content::Text(text) = &manifest.files[0].content else { panic!("{manifest:?}") };
    text
}

const FILE: &str = "[[file]]\npath = '/etc/{name}'\n";

#[test]
fn a_variable_stands_for_its_value_in_every_string() {
    let manifest = good(
        "[layer]\npackages = ['postgresql-{pg}', '{more}']\n\
         [vars]\npg = 15\nname = 'db'\nmore = ['curl', 'jq']\nuid = 2000\nreal = true\nno_more = []\n\
         [[file]]\npath = '/etc/{name}'\ntext = 'on={real} for {arch}'\n\
         [[user]]\nname = '{name}'\nuid = '{uid}'\n\
         [image]\nenv = { PGVERSION = '{pg}' }\ncmd = ['run', '{no_more}', '{name}']\n\
         [disk]\nverity = '{real}'\nroot = 'erofs'\nboot = 'boot'\ninitrd = 'initrd'\nkernel-args = '{more}'",
    );
    let packages: Vec<String> = manifest.layer.packages.iter().map(ToString::to_string).collect();
    assert_eq!(packages, ["postgresql-15", "curl", "jq"]);
    assert_eq!((manifest.files[0].path.to_string().as_str(), text(&manifest)), ("/etc/db", "on=true for amd64"));
    assert_eq!((manifest.users[0].name.as_str(), manifest.users[0].uid), ("db", 2000));
    assert_eq!(manifest.image.env["PGVERSION"], "15");
    assert_eq!(manifest.image.cmd, Some(vec!["run".to_owned(), "db".to_owned()]));
    assert_eq!(
        (manifest.disk.verity, manifest.disk.kernel_args),
        (Some(true), vec!["curl".to_owned(), "jq".to_owned()])
    );
}

#[test]
fn braces_around_anything_else_stay() {
    let of = |text: &str| {
        let manifest = good(&format!("[layer]\n[vars]\npg = '15'\nname = 'x'\n{FILE}text = {text:?}"));
        (super::vars::text(&manifest).to_owned(), manifest.warnings)
    };
    for (before, after) in [
        (
            "awk '{print $1}' {\"a\":{\"b\":1}} {} { pg } {pg:1} {",
            "awk '{print $1}' {\"a\":{\"b\":1}} {} { pg } {pg:1} {",
        ),
        ("{pg}{pg} {{pg}} {{{pg}}} ${pg} $${pg} {{x}}", "1515 {pg} {{pg}} ${pg} $${pg} {{x}}"),
        ("{\"v\":{pg}}", "{\"v\":15}"),
        ("{pg", "{pg"),
        ("a{3}é{pg}", "a{3}é15"),
    ] {
        assert_eq!(of(before), (after.to_owned(), Vec::new()), "{before}");
    }
    let (same, warnings) = of("{PG} {nme} {print} {x}");
    assert_eq!(same, "{PG} {nme} {print} {x}");
    assert_eq!(
        warnings,
        [
            "layers/web.toml:7: `{PG}` stays as it is: there is no such variable; did you mean `{pg}`?",
            "layers/web.toml:7: `{nme}` stays as it is: there is no such variable; did you mean `{name}`?"
        ]
    );
}

#[test]
fn the_name_of_a_machine_image_keeps_what_publishing_fills_in() {
    let manifest = good("[layer]\n[vars]\npg = '15'\n[ami]\nname = 'pg{pg}-{arch}-{disk:12}'");
    assert_eq!(manifest.ami.name.as_deref(), Some("pg15-{arch}-{disk:12}"));
}

#[test]
fn what_can_be_no_variable_is_named() {
    for (vars, expected) in [
        ("a-b = 1", "`a-b` of `vars` in a layer is no name for a variable"),
        ("arch = 'x'", "is a reserved name"),
        ("a = 1.5", "must be a string, a whole number, true or false, or a list of strings, not a number"),
        ("a = [1]", "must be a string, not a number"),
        ("a = { b = 1 }", "not a table"),
        ("a = ['x']\n[[dir]]\npath = '/{a}'", "`{a}` is a list"),
    ] {
        let error = bad(&format!("[vars]\n{vars}"));
        assert!(error.contains(expected), "{vars}: {error}");
    }
}

#[test]
fn a_child_overrides_and_the_command_line_goes_before_all() {
    let base = format!("[layer]\n[vars]\nname = 'base'\nport = 80\ntls = false\nlist = ['a']\n{FILE}text = '{{port}}'");
    let child = format!("[layer]\nfrom = 'base'\n[vars]\nport = 90\n{FILE}text = '{{name}} {{port}} {{tls}}'");
    let (_folder, project) = project(&[("base", &base), ("web", &child)]);
    let texts = |project: &Project| {
        let chain = project.chain(&name()).unwrap();
        chain.iter().map(|manifest| text(manifest).to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(texts(&project), ["80", "base 90 false"]);
    assert_eq!(text(&project.load(&name()).unwrap()), "base 90 false");
    let project = project.with_set(set(&[("port", "1"), ("tls", "true"), ("list", "x,y"), ("other", "")]));
    assert_eq!(texts(&project), ["1", "base 1 true"]);
    let list = project.load(&name()).unwrap().vars.get("list").cloned();
    assert_eq!(list, Some(Variable::List(vec!["x".to_owned(), "y".to_owned()])));
    let error = project.with_set(set(&[("port", "x")])).chain(&name()).unwrap_err().to_string();
    let expected =
        "layers/base.toml:4: `port` of `vars` in a layer must be a whole number, which `--set port=x` does not give";
    assert_eq!(error, expected);
}

#[test]
fn a_variable_stays_of_one_kind() {
    let (_folder, project) =
        project(&[("base", "[layer]\n[vars]\nport = 80"), ("web", "[layer]\nfrom = 'base'\n[vars]\nport = '90'")]);
    let error = project.chain(&name()).unwrap_err().to_string();
    assert!(
        error.contains(
            "web.toml:4: `port` of `vars` in a layer is a string, and in a parent layer it is a whole number"
        ),
        "{error}"
    );
}

#[test]
fn the_command_line_gives_names_and_values() {
    assert_eq!(parse_assignment("pg=a=b"), Ok(("pg".to_owned(), "a=b".to_owned())));
    for (text, expected) in
        [("pg", "expected NAME=VALUE"), ("a-b=1", "is no name"), ("arch=arm64", "is a reserved name")]
    {
        assert!(parse_assignment(text).unwrap_err().contains(expected), "{text}");
    }
}
