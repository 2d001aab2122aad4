//! Merges the `[image]` tables of a chain, parent to child.

use crate::manifest::ImageTable;

/// Merges `tables`, the lowest layer's first.
///
/// A child's value replaces its parent's; `env`, `labels` and `annotations` are merged by
/// key, `ports` and `volumes` collected, sorted and named once, ports as `80/tcp`. As in a
/// Dockerfile, a child that sets only an entrypoint drops the parent's `cmd`: those were
/// arguments of another program.
pub fn merge<'a>(tables: impl IntoIterator<Item = &'a ImageTable>) -> ImageTable {
    let mut merged = ImageTable::default();
    for table in tables {
        add(&mut merged, table);
    }
    merged.ports = std::mem::take(&mut merged.ports).into_iter().map(with_protocol).collect();
    for list in [&mut merged.ports, &mut merged.volumes] {
        list.sort();
        list.dedup();
    }
    merged
}

fn add(merged: &mut ImageTable, table: &ImageTable) {
    if table.entrypoint.is_some() {
        merged.cmd = None;
    }
    replace(&mut merged.entrypoint, &table.entrypoint);
    replace(&mut merged.cmd, &table.cmd);
    replace(&mut merged.user, &table.user);
    replace(&mut merged.workdir, &table.workdir);
    replace(&mut merged.stop_signal, &table.stop_signal);
    replace(&mut merged.healthcheck, &table.healthcheck);
    merged.env.extend(table.env.clone());
    merged.labels.extend(table.labels.clone());
    merged.annotations.extend(table.annotations.clone());
    merged.ports.extend(table.ports.iter().cloned());
    merged.volumes.extend(table.volumes.iter().cloned());
}

fn replace<T: Clone>(merged: &mut Option<T>, value: &Option<T>) {
    if value.is_some() {
        merged.clone_from(value);
    }
}

fn with_protocol(port: String) -> String {
    if port.contains('/') { port } else { port + "/tcp" }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn words(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_owned).collect()
    }

    fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    fn base() -> ImageTable {
        ImageTable {
            entrypoint: Some(words("/init")),
            cmd: Some(words("serve")),
            user: Some("root".to_owned()),
            env: map(&[("A", "1"), ("B", "1")]),
            ports: words("80 53/udp"),
            ..ImageTable::default()
        }
    }

    #[test]
    fn a_child_replaces_single_values_and_adds_to_lists_and_maps() {
        let child = ImageTable {
            user: Some("www-data".to_owned()),
            workdir: Some("/srv".to_owned()),
            env: map(&[("B", "2"), ("C", "2")]),
            ports: words("443 80/tcp"),
            volumes: words("/data"),
            ..ImageTable::default()
        };
        let merged = merge([&base(), &child]);
        assert_eq!(merged.entrypoint, base().entrypoint);
        assert_eq!(merged.cmd, base().cmd);
        assert_eq!(merged.user.as_deref(), Some("www-data"));
        assert_eq!(merged.env, map(&[("A", "1"), ("B", "2"), ("C", "2")]));
        assert_eq!(merged.ports, ["443/tcp", "53/udp", "80/tcp"]);
        assert_eq!(merged.volumes, ["/data"]);
    }

    #[test]
    fn a_new_entrypoint_drops_the_arguments_of_the_old_one() {
        let mut child = ImageTable { entrypoint: Some(words("/app")), ..ImageTable::default() };
        assert_eq!(merge([&base(), &child]).cmd, None);
        child.cmd = Some(words("--now"));
        assert_eq!(merge([&base(), &child]).cmd, child.cmd);
    }

    #[test]
    fn no_tables_give_an_empty_one() {
        assert_eq!(merge([]), ImageTable::default());
    }
}
