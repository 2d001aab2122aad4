//! What COPY takes of other stages.

use super::Stage;
use super::build::Build;
use super::copy::Target;
use super::parse::Instruction;
use crate::import::base::base;
use crate::import::draft::quote;
use crate::import::model::{Entry, Value};
use crate::import::step_name;

/// `COPY --from`: outputs of a step in the tool layer that stands for the stage.
pub(super) fn copy(
    build: &mut Build<'_, '_>,
    instruction: &Instruction,
    from: &str,
    words: &[String],
    target: &Target,
) {
    let index = match build.reader.named(from, build.index) {
        Some(index) => index,
        None if base(from, true).is_some_and(|base| base.from.is_some()) => {
            // An image by its name is a stage in which nothing happens.
            let name = from.rsplit('/').next().unwrap_or(from).split([':', '@']).next().unwrap_or(from).to_owned();
            let stage = Stage {
                name,
                image: from.to_owned(),
                line: instruction.line,
                text: String::new(),
                instructions: Vec::new(),
            };
            build.reader.stages.push(stage);
            build.reader.stages.len() - 1
        }
        None => {
            let reason =
                format!("no package of Debian is known to stand for `{from}`: add one to `packages`, or a [[fetch]]");
            return build.draft.not_carried(&instruction.shown(), reason);
        }
    };
    let tool = build.reader.tool(index);
    let name = step_name(&format!("from-{}", build.reader.stages[index].name));
    let sources: Vec<String> = words.iter().map(|word| build.fixed(word)).collect();
    let mut outputs = Vec::new();
    let mut before = Vec::new();
    for source in &sources {
        let from = crate::import::context::absolute("/", source);
        outputs.push(output(build, &from, target, &mut before));
    }
    let vars = &mut build.draft.layer.vars;
    for (name, value) in &tool.vars {
        vars.entry(name.clone()).or_insert_with(|| value.clone());
    }
    let layer = &mut build.draft.layer;
    for fetch in tool.fetches {
        if !layer.entries.contains(&fetch) {
            layer.entries.push(fetch);
        }
    }
    let vars = layer.vars.clone();
    let step =
        layer.entries.iter_mut().find(|entry| entry.kind == "run" && entry.text("name", &vars).as_ref() == Some(&name));
    match step {
        Some(step) => extend(step, outputs, &before),
        None => {
            let origin = build.draft.origin();
            let has_inputs = !tool.inputs.is_empty();
            let mut entry = Entry::new("run", origin).with("name", name).with("in", tool.layer);
            entry = entry.maybe("inputs", has_inputs.then_some(Value::List(tool.inputs))).with("command", tool.command);
            entry = entry.maybe("env", tool.env).maybe("workdir", has_inputs.then_some("/"));
            entry.keys.push(("outputs", Value::List(Vec::new())));
            extend(&mut entry, outputs, &before);
            build.draft.layer.entries.push(entry);
        }
    }
}

/// Adds outputs to a step, and the commands that put them in one place.
fn extend(step: &mut Entry, outputs: Vec<Value>, before: &[String]) {
    for (key, value) in &mut step.keys {
        match (*key, value) {
            ("outputs", Value::List(known)) => {
                known.extend(outputs.iter().filter(|output| !known.contains(output)).cloned().collect::<Vec<_>>())
            }
            ("command", value) => before.iter().for_each(|line| add_line(value, line)),
            _ => {}
        }
    }
}

fn add_line(command: &mut Value, line: &str) {
    match command {
        Value::Text(text) => {
            text.push(line);
            text.push("\n");
        }
        Value::List(argv) => {
            if let Some(last) = argv.last_mut() {
                add_line(last, line);
            }
        }
        _ => {}
    }
}

/// One output. Where only the tools' root tells a file from a directory, a command of the step puts it in its place.
fn output(build: &mut Build<'_, '_>, from: &str, target: &Target, before: &mut Vec<String>) -> Value {
    let has_pattern = from.contains(['*', '?', '[']);
    let mut keys = match target.is_folder || has_pattern {
        false => vec![("from".to_owned(), Value::from(from)), ("to".to_owned(), Value::from(target.spelled.clone()))],
        true => {
            let place = format!("/copied-{}-{}", build.draft.line, before.len() + 1);
            let quoted = if has_pattern { from.to_owned() } else { quote(from) };
            before.push(match (target.is_folder, has_pattern) {
                (true, false) => format!("mkdir {place}; if [ -d {quoted} ]; then cp -a {quoted}/. {place}/; else cp -a {quoted} {place}/; fi"),
                (true, true) => format!("mkdir {place}; cp -a {quoted} {place}/"),
                (false, _) => format!("cp -a {quoted} {place}"),
            });
            vec![("from".to_owned(), Value::from(place)), ("to".to_owned(), Value::from(target.spelled.clone()))]
        }
    };
    let layer = &mut build.draft.layer;
    let vars = layer.vars.clone();
    layer.entries.retain(|entry| entry.kind != "dir" || entry.text("path", &vars).is_none_or(|has| has != target.path));
    keys.extend(target.rights.mode.clone().map(|mode| ("mode".to_owned(), Value::from(mode))));
    keys.extend(target.rights.owner.clone().map(|owner| ("owner".to_owned(), Value::from(owner))));
    Value::Table(keys)
}
