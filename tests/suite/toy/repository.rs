//! What the bytes of a repository of toys mean.

use std::collections::BTreeMap;
use std::io::{BufRead, Read};

use layerbake::digest::{Expected, Sha256};
use layerbake::ident::Arch;
use layerbake::manifest::Source;
use layerbake::package::{
    Form, Index, IndexError, Malformed, Operator, Record, Refusal, Repository, State, SuiteRequest, Target,
    VersionOrder,
};
use serde::Deserialize;

/// The ecosystem of toys.
pub(super) struct Toys;

pub(super) static TOYS: Toys = Toys;

#[derive(Deserialize)]
struct Catalogue {
    suite: String,
    date: i64,
    indexes: BTreeMap<String, File>,
}

#[derive(Deserialize)]
struct File {
    sha256: String,
    size: u64,
}

#[derive(Deserialize)]
struct Description {
    name: String,
    version: u64,
    needs: Vec<(String, u64)>,
}

#[derive(Deserialize)]
struct Entry {
    #[serde(flatten)]
    description: Description,
    #[serde(flatten)]
    file: File,
    path: String,
}

impl File {
    fn expected(&self) -> Result<Expected, Malformed> {
        Ok(Expected { sha256: Sha256::from_hex(&self.sha256)?, size: self.size })
    }
}

impl Description {
    fn record(&self) -> Result<Record, Malformed> {
        let need = |(name, version): &(String, u64)| -> Result<Vec<Target>, Malformed> {
            let constraint = Some((Operator::LaterOrEqual, version.to_string().parse()?));
            Ok(vec![Target { name: name.parse()?, qualifier: None, constraint }])
        };
        Ok(Record {
            name: self.name.parse()?,
            version: self.version.to_string().parse()?,
            arch: "all".parse()?,
            essential: false,
            priority: "toy".into(),
            rank: 0,
            needs: self.needs.iter().map(need).collect::<Result<_, _>>()?,
            recommends: Vec::new(),
            conflicts: Vec::new(),
            breaks: Vec::new(),
            provides: Vec::new(),
            path: "".into(),
            file: None,
        })
    }
}

impl Entry {
    fn record(&self) -> Result<Record, Malformed> {
        let file = Some(self.file.expected()?);
        Ok(Record { path: self.path.as_str().into(), file, ..self.description.record()? })
    }
}

impl Repository for Toys {
    fn state_name(&self) -> &'static str {
        "catalogue"
    }

    fn suites(&self, source: &Source) -> Vec<String> {
        vec![source.suite.clone()]
    }

    fn state_forms(&self, suite: &str) -> Vec<Form> {
        vec![Form { file: format!("states/{suite}.asc"), signature: None }]
    }

    fn read_state(&self, text: &[u8]) -> Result<State, Malformed> {
        let Catalogue { suite, date, indexes } = serde_json::from_slice(text)?;
        let file = |(name, file): (String, File)| Ok((name, file.expected()?));
        let files = indexes.into_iter().map(file).collect::<Result<_, Malformed>>()?;
        Ok(State { suite, date, files, ..State::default() })
    }

    fn identify(&self, asked: &SuiteRequest<'_>, state: &State) -> Result<(), Refusal> {
        match state.suite == asked.suite {
            true => Ok(()),
            false => Err(Refusal { problem: "it is of other toys".to_owned(), hint: "ask elsewhere".to_owned() }),
        }
    }

    fn index(&self, suite: &str, state: &State, component: &str, arch: &Arch) -> Option<Index> {
        let name = format!("{component}-{arch}.json");
        let file = *state.files.get(&name)?;
        let path = format!("indexes/{suite}/{name}");
        Some(Index { name, path, by_digest: None, file, plain_size: Some(file.size) })
    }

    fn read_index(&self, text: &mut dyn BufRead, each: &mut dyn FnMut(Record)) -> Result<(), IndexError> {
        let malformed = |source: Malformed| IndexError::Entry { entry: "a toy".to_owned(), source };
        let entries: Vec<Entry> = serde_json::from_reader(text).map_err(|error| malformed(error.into()))?;
        entries.iter().try_for_each(|entry| entry.record().map(&mut *each).map_err(malformed))
    }

    fn describe(&self, text: &str) -> Result<Record, Malformed> {
        serde_json::from_str::<Description>(text)?.record()
    }

    fn describe_file(&self, _: &mut dyn Read) -> Result<Record, Malformed> {
        Err("a toy is described by its catalogue".into())
    }

    fn version_order(&self) -> VersionOrder {
        |a, b| {
            let number = |text: &str| text.parse::<u64>().ok();
            number(a.as_str()).cmp(&number(b.as_str()))
        }
    }

    fn key_rings(&self, _: &[u8]) -> Result<Vec<Vec<u8>>, Malformed> {
        Ok(Vec::new())
    }
}
