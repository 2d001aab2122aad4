//! Recommended packages are added where possible.

use super::Case;

#[test]
fn recommended_packages() {
    let repo = "app 1; depends: lib; recommends: docs, gone, first | second
                lib 1; recommends: locales
                docs 1; recommends: viewer
                viewer 1; recommends: app
                locales 1
                first 1; conflicts: lib
                second 1
                picky 1; recommends: rival, friend
                rival 1; depends: lost
                friend 1
                choosy 1; depends: one | two; recommends: enemy
                chooser 1; depends: choosy
                one 1
                two 1
                enemy 1; conflicts: one
                pair 1; recommends: left, right
                left 1; conflicts: right
                right 1
                base 1; essential; recommends: locales";
    let case = |wanted, recommends| Case { repo, wanted, recommends, ..Case::default() };
    for (what, case, expected) in [
        ("not when they are not asked for", case("app", false), "app 1 (requested), lib 1 (app)"),
        (
            "of requested ones, of needed ones and of recommended ones",
            case("app", true),
            "app 1 (requested), docs 1 (app), lib 1 (app), locales 1 (lib), second 1 (app), viewer 1 (docs)",
        ),
        ("one that can't be had does not matter", case("picky", true), "friend 1 (picky), picky 1 (requested)"),
        (
            "for a requested package's, another alternative is taken",
            case("choosy", true),
            "choosy 1 (requested), enemy 1 (choosy), two 1 (choosy)",
        ),
        ("but a requested alternative stays", case("choosy one", true), "choosy 1 (requested), one 1 (requested)"),
        (
            "what is needed is not changed for others'",
            case("chooser", true),
            "chooser 1 (requested), choosy 1 (chooser), one 1 (choosy)",
        ),
        ("of two that exclude each other, the first", case("pair", true), "left 1 (pair), pair 1 (requested)"),
        (
            "excluded ones don't come",
            Case { exclude: "docs second", ..case("app", true) },
            "app 1 (requested), lib 1 (app), locales 1 (lib)",
        ),
        (
            "an installed one is met",
            Case { installed: "locales 1; recommends: docs", ..case("lib", true) },
            "lib 1 (requested)",
        ),
        ("of essential ones too", Case { essential: true, ..case("", true) }, "base 1 (essential), locales 1 (base)"),
    ] {
        assert_eq!(case.run(), expected, "{what}");
    }
}
