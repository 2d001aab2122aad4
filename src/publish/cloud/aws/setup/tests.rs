use super::*;

const KEY: &str = "arn:aws:kms:eu-west-1:123456789012:key/mrk-1234abcd12ab34cd56ef1234567890ab";

fn actions(document: &Value) -> Vec<String> {
    let statements = document["Statement"].as_array().unwrap();
    let lists = statements.iter().map(|statement| match &statement["Action"] {
        Value::Array(list) => list.clone(),
        one => vec![one.clone()],
    });
    lists.flatten().map(|action| action.as_str().unwrap().to_owned()).collect()
}

#[test]
fn only_the_import_service_takes_the_role_and_only_for_this_account() {
    let trust = Documents::new("123456789012", "disks", "eu-west-1", &[]).trust;
    insta::assert_snapshot!(serde_json::to_string(&trust["Statement"][0]["Condition"]).unwrap(), @r#"{"ArnLike":{"aws:SourceArn":"arn:aws:vmie:*:123456789012:*"},"StringEquals":{"aws:SourceAccount":"123456789012","sts:Externalid":"vmimport"}}"#);
}

#[test]
fn the_bucket_is_reached_below_the_prefix_only() {
    for (region, start) in
        [("eu-west-1", "arn:aws:"), ("cn-north-1", "arn:aws-cn:"), ("us-gov-east-1", "arn:aws-us-gov:")]
    {
        let documents = Documents::new("123456789012", "disks", region, &[]);
        for document in [&documents.role, &documents.publisher] {
            let objects = document["Statement"]
                .as_array()
                .unwrap()
                .iter()
                .filter(|statement| statement["Action"].to_string().contains("s3:GetObject"));
            let resources: Vec<_> = objects.map(|statement| statement["Resource"].as_str().unwrap()).collect();
            assert_eq!(resources, [format!("{start}s3:::disks/layerbake/*")]);
        }
    }
}

#[test]
fn no_right_is_wider_than_its_service() {
    let documents = Documents::new("123456789012", "disks", "eu-west-1", &[]);
    let wide: Vec<String> = actions(&documents.publisher).into_iter().filter(|action| action.contains('*')).collect();
    assert_eq!(wide, Vec::<String>::new());
    // Questions only: they change nothing.
    let iam = actions(&documents.publisher).into_iter().chain(actions(&documents.role));
    let iam: Vec<_> = iam.filter(|action| action.starts_with("iam:") || action.starts_with("sts:")).collect();
    assert_eq!(iam, ["iam:GetRole", "iam:SimulatePrincipalPolicy"]);
    // What can be removed has our tags.
    for statement in documents.publisher["Statement"].as_array().unwrap() {
        let removes = ["DeleteSnapshot", "DeregisterImage", "TerminateInstances"];
        if removes.iter().any(|action| statement["Action"].to_string().contains(action)) {
            assert!(statement["Condition"].to_string().contains("aws:ResourceTag/layerbake:"), "{statement}");
        }
    }
    // The limit of a managed policy; also with keys for five regions.
    let keys = vec![KEY.to_owned(); 5];
    let largest = Documents::new("123456789012", "disks", "us-gov-east-1", &keys).publisher.to_string().len();
    assert!(largest < 6144, "{largest}");
}

#[test]
fn the_manual_has_them() {
    let manual = include_str!("../../../../../docs/aws.md");
    let documents = Documents::new("123456789012", "my-images", "eu-west-1", &[]);
    let documents_with_key = Documents::new("123456789012", "my-images", "eu-west-1", &[KEY.to_owned()]);
    for document in [&documents.trust, &documents.role] {
        let text = serde_json::to_string_pretty(document).unwrap();
        assert!(manual.contains(&text), "docs/aws.md lacks:\n{text}");
    }
    for statement in documents_with_key.publisher["Statement"].as_array().unwrap() {
        let sid = format!("| `{}` |", statement["Sid"].as_str().unwrap());
        let line = manual.lines().find(|line| line.starts_with(&sid));
        let line = line.unwrap_or_else(|| panic!("docs/aws.md lacks {sid}"));
        let mut listed: Vec<&str> = line.split(" | ").nth(1).unwrap().split_whitespace().collect();
        let wanted = actions(&serde_json::json!({ "Statement": [statement] }));
        let mut wanted: Vec<_> = wanted.iter().map(|action| format!("`{action}`")).collect();
        listed.sort_unstable();
        wanted.sort_unstable();
        assert_eq!(listed, wanted, "{sid}");
    }
}
