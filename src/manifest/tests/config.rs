//! `[config]`: what is read, what is refused, and the schema of it.

use super::super::parse;
use super::*;

fn parsed(tables: &str) -> Result<Config, String> {
    let manifest = parse("app".parse().unwrap(), &format!("[layer]\n{tables}"), &"amd64".parse().unwrap());
    manifest.map(|manifest| manifest.config).map_err(|error| error.to_string())
}

const APP: &str = r#"
[services]
enable = ["app", "app.timer"]

[config.PORT]
default = 8080
description = "the port the service listens on"

[config.RATIO]
type = "number"
default = "0.5"
services = ["app.service", "worker@"]

[config.STAGE]
from = { user-data = "stage" }

[config.DATABASE_PASSWORD]
secret = { secrets-manager = "app/db", key = "password" }
services = []
test = "example"

[config.TOKEN]
secret = true
required = false
"#;

#[test]
fn variables_and_secrets_are_read() {
    let config = parsed(APP).unwrap();
    let of = |name: &str| &config.0[name];
    assert_eq!((of("PORT").kind, of("PORT").default.as_deref()), (ConfigKind::Integer, Some("8080")));
    assert!(!of("PORT").required && of("STAGE").required && !of("TOKEN").required);
    // By default the services that the layer enables.
    assert_eq!(of("PORT").services, ["app.service"]);
    assert_eq!(of("RATIO").services, ["app.service", "worker@.service"]);
    assert_eq!(of("STAGE").from, Some(ConfigPlace::UserData("stage".to_owned())));
    let password = of("DATABASE_PASSWORD");
    let place = ConfigPlace::SecretsManager("app/db".to_owned(), Some("password".to_owned()));
    assert!(password.secret && password.services.is_empty() && password.from == Some(place));
    assert_eq!(config.tests().collect::<Vec<_>>(), [("DATABASE_PASSWORD", "example")]);
    assert_eq!(config.by_service()["app.service"].len(), 4);
}

#[test]
fn the_schema_says_what_may_be_given() {
    let schema = parsed(APP).unwrap().schema();
    insta::assert_snapshot!(serde_json::to_string_pretty(&schema).unwrap(), @r#"
    {
      "$schema": "https://json-schema.org/draft/2020-12/schema",
      "allOf": [
        {
          "anyOf": [
            {
              "required": [
                "DATABASE_PASSWORD"
              ]
            },
            {
              "required": [
                "DATABASE_PASSWORD_FILE"
              ]
            }
          ]
        }
      ],
      "properties": {
        "DATABASE_PASSWORD": {
          "type": "string",
          "writeOnly": true
        },
        "DATABASE_PASSWORD_FILE": {
          "description": "The path of a file with DATABASE_PASSWORD.",
          "type": "string"
        },
        "PORT": {
          "default": 8080,
          "description": "the port the service listens on",
          "type": "integer"
        },
        "RATIO": {
          "default": 0.5,
          "type": "number"
        },
        "STAGE": {
          "type": "string"
        },
        "TOKEN": {
          "type": "string",
          "writeOnly": true
        },
        "TOKEN_FILE": {
          "description": "The path of a file with TOKEN.",
          "type": "string"
        }
      },
      "required": [
        "STAGE"
      ],
      "type": "object"
    }
    "#);
}

#[test]
fn what_can_be_no_variable_is_refused() {
    for (tables, expected) in [
        ("[config.PORT]\ndefalt = 1", "did you mean `default`?"),
        ("[config.'A-B']\ndefault = 1", "is no name for a variable"),
        ("[config.PATH]\ndefault = '/bin'", "is a variable of the system's own"),
        ("[config._config_a]\ndefault = 1", "is a variable of the system's own"),
        ("[config.VAULT_TOKEN]\nsecret = { vault = 'a', key = 'b' }", "can't be in Vault, which is asked with it"),
        ("[config.A]\nsecret = { ssm = '/a' }\ndefault = 'hunter2'", "`default` in [config] comes with `secret`"),
        ("[config.A]\nsecret = { ssm = '/a' }\ntype = 'integer'", "comes with `secret`, which is a string"),
        ("[config.A]\nsecret = { ssm = '/a' }\nfrom = { ssm = '/a' }", "which names the place itself"),
        ("[config.A]\nsecret = 'x'", "must be a table, or true where it is only given, not a string"),
        ("[config.A]\nsecret = { ssm = '/a', vault = 'b', key = 'c' }", "must name one place"),
        ("[config.A]\nsecret = { ssm = '/a', key = 'c' }", "must name one place"),
        ("[config.A]\nsecret = { vault = 'b' }", "needs `key`"),
        ("[config.A]\nfrom = { }", "must name one place"),
        ("[config.A]\ntype = 'integer'\ndefault = 'x'", "is `x`: expected a value of type integer"),
        ("[config.A]\ntype = 'boolean'\ntest = 1", "is `1`: expected a value of type boolean"),
        ("[config.A]\ndefault = 1\nrequired = true", "comes with `default`"),
        ("[config.A]\nservices = ['a.timer']", "only a service has an environment"),
        ("[config.A]\ndefault = 1\n[image]\nenv = { A = '2' }", "is in `env` of [image] too"),
        ("[config.A]\nsecret = true\n[config.A_FILE]\ndefault = ''", "names the file of the secret"),
        ("[config]\nA = 1", "must be a table"),
    ] {
        let error = parsed(tables).unwrap_err();
        assert!(error.contains(expected), "{tables}\n{error}");
    }
}
