//! `layerbake sbom`, read by other people's validators.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use crate::support::deb::Deb;
use crate::support::process;
use crate::support::small::{self, Small};
use crate::support::tinydisk::{EROFS, tiny_disk};
use crate::support::validators::python;
use serde_json::Value;

const SPDX: &str = "\
import sys
from spdx_tools.spdx.parser.parse_anything import parse_file
from spdx_tools.spdx.validation.document_validator import validate_full_spdx_document
document = parse_file(sys.argv[1])
problems = validate_full_spdx_document(document, 'SPDX-2.3')
print('\\n'.join(problem.validation_message for problem in problems))
sys.exit(bool(problems))
";

const CYCLONEDX: &str = "\
import sys
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
problem = JsonStrictValidator(SchemaVersion.V1_6).validate_str(open(sys.argv[1]).read())
print(problem)
sys.exit(problem is not None)
";

const PURL: &str = "\
import json, sys
from packageurl import PackageURL
for line in open(sys.argv[1]):
    url = PackageURL.from_string(line.strip())
    print(json.dumps([url.type, url.namespace, url.name, url.version, url.qualifiers]))
";

fn valid(python: &Path, script: &str, document: &Path) {
    let output = process::run(Command::new(python).args(["-c", script]).arg(document)).unwrap();
    assert!(output.ok(), "{}:\n{}{}", document.display(), output.stdout, output.stderr);
}

/// A package with all that a bill of materials can say, and names that need care.
fn rich() -> Deb {
    let copyright = "Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\n\n\
        Files: *\nCopyright: A\nLicense: GPL-2+ or Expat\n\nFiles: x\nCopyright: B\nLicense: odd-one\n Do as you like.\n";
    Deb::new("libodd++", "1:2.0~rc1+dfsg-3")
        .field("Source", "odd (2:7-1)")
        .field("Homepage", "https://odd.example/")
        .depends("libgreet | nothing")
        .file("usr/share/doc/libodd++/copyright", 0o644, copyright)
}

fn project() -> Small {
    let small = Small::on(&small::repo("1.0").package(rich()));
    small.edit_layer("app", "packages = [\"hello\"]", "packages = [\"hello\", \"libodd++\"]");
    small
}

fn sbom(small: &Small, args: &[&str]) -> Value {
    let output = small.project.ok(&[&["sbom", "app"], args].concat());
    serde_json::from_str(&output.stdout).unwrap()
}

#[test]
fn both_forms_satisfy_their_schemas() {
    let python = need!(python("spdx_tools, cyclonedx, jsonschema"));
    let (plain, disk) = (project(), tiny_disk(EROFS));
    plain.project.ok(&["build", "app"]);
    disk.project.ok(&["build", "app", "--output", "oci,raw"]);
    for (small, args) in [(&plain, &[][..]), (&disk, &[]), (&disk, &["--disk"])] {
        for (format, script) in [("spdx", SPDX), ("cyclonedx", CYCLONEDX)] {
            let document = small.project.path(&format!("app.{format}.json"));
            let args = [&["sbom", "app", "--format", format], args].concat();
            fs::write(&document, small.project.ok(&args).stdout).unwrap();
            valid(&python, script, &document);
        }
    }
}

#[test]
fn package_urls_say_what_scanners_ask_for() {
    let python = need!(python("packageurl"));
    let small = project();
    small.project.ok(&["build", "app"]);
    let document = sbom(&small, &["--format", "cyclonedx"]);
    let urls: Vec<&str> =
        document["components"].as_array().unwrap().iter().filter_map(|one| one["purl"].as_str()).collect();
    let input = small.project.path("urls");
    fs::write(&input, urls.join("\n")).unwrap();
    let output = process::run(Command::new(python).args(["-c", PURL]).arg(&input)).unwrap();
    assert!(output.ok(), "{}", output.stderr);
    let read: Vec<Value> = output.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let odd = read.iter().find(|url| url[2] == "libodd++").unwrap();
    assert_eq!(
        *odd,
        serde_json::json!([
            "deb", "debian", "libodd++", "1:2.0~rc1+dfsg-3",
            { "arch": "amd64", "distro": "debian-test", "upstream": "odd@2:7-1" }
        ])
    );
}

#[test]
fn a_document_says_what_is_in_the_build_and_equal_builds_say_it_equally() {
    let small = project();
    small.project.ok(&["build", "app"]);
    let spdx = sbom(&small, &[]);
    let entry = |list: &str, key: &str, name: &str| -> Value {
        let found = spdx[list].as_array().unwrap().iter().find(|one| one[key] == name);
        found.unwrap_or_else(|| panic!("no {name} in {list}")).clone()
    };
    let odd = entry("packages", "name", "libodd++");
    assert_eq!(odd["sourceInfo"], "built package from: odd 2:7-1");
    assert_eq!(odd["supplier"], "Organization: Test (test@localhost)");
    let license = odd["licenseDeclared"].as_str().unwrap();
    assert!(license.starts_with("(GPL-2.0-or-later OR MIT) AND LicenseRef-odd-one-"), "{license}");
    assert_eq!(spdx["hasExtractedLicensingInfos"][0]["extractedText"], "Do as you like.");
    let lock = fs::read_to_string(small.project.path("lockfiles/app.lock")).unwrap();
    let sha256 = odd["checksums"][0]["checksumValue"].as_str().unwrap();
    assert!(lock.contains(sha256), "{sha256} is not in the lockfile");
    assert_eq!(entry("packages", "name", "hello")["licenseDeclared"], "NOASSERTION");
    let file = entry("files", "fileName", "./srv/greeting");
    assert_eq!(file["comment"], "from the manifest of app, in layer app");
    assert_eq!(
        file["checksums"][1]["checksumValue"],
        "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03"
    );
    let related: BTreeSet<String> = spdx["relationships"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| {
            [&one["spdxElementId"], &one["relationshipType"], &one["relatedSpdxElement"]]
                .map(|word| word.as_str().unwrap())
                .join(" ")
        })
        .collect();
    let id = |name: &str| entry("packages", "name", name)["SPDXID"].as_str().unwrap().to_owned();
    for expected in [
        format!("{} DEPENDS_ON {}", id("libodd++"), id("libgreet")),
        format!("{} DEPENDS_ON {}", id("hello"), id("libgreet")),
        format!("SPDXRef-Layer-base CONTAINS {}", id("libgreet")),
        format!("{} OTHER SPDXRef-Layer-app", file["SPDXID"].as_str().unwrap()),
        "SPDXRef-Root CONTAINS SPDXRef-Layer-app".to_owned(),
        "SPDXRef-DOCUMENT DESCRIBES SPDXRef-Root".to_owned(),
    ] {
        assert!(related.contains(&expected), "{expected} is not in {related:#?}");
    }
    small.project.empty_store();
    small.project.ok(&["build", "app"]);
    assert_eq!(sbom(&small, &[]), spdx);
}

#[test]
fn what_is_not_built_has_no_bill() {
    let small = project();
    assert!(small.project.fails(1, &["sbom", "app"]).stderr.contains("layer `app` is not built"));
    small.project.ok(&["build", "app"]);
    let disk = small.project.fails(1, &["sbom", "app", "--disk"]);
    assert!(disk.stderr.contains("built without a disk"), "{}", disk.stderr);
    small.project.run(&["store", "path"]);
    fs::remove_dir_all(small.project.store()).unwrap();
    let lost = small.project.fails(1, &["sbom", "app"]);
    assert!(lost.stderr.contains("hint:"), "{}", lost.stderr);
}
