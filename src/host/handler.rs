//! Which handler containerd is to have: as its default one, but with our program as the runtime's. Pure: configurations in, the
//! handler and the comparison of two effective configurations out.

use super::values::{at, is_nothing, pruned, put, take, text, without_empty_tables};
use crate::kit::error::Error;
use serde_json::{Map, Value, json};
use std::path::Path;

/// The handler's name, and the `RuntimeClass`'s.
pub(crate) const NAME: &str = "holdfast";
/// Our program's file name, by which a handler is known to be ours.
pub(crate) const PROGRAM: &str = "holdfast-runtime";
const SHIM: &str = "io.containerd.runc.v2";
/// Which of a pod's annotations the runtime gets to see.
const ANNOTATIONS: &str = "holdfast.dev/*";
/// What a handler of runc's shim says of itself, or is out of use.
const OWN: [&str; 6] = [
    "runtime_type",
    "runtime_path",
    "runtime_engine",
    "runtime_root",
    "options",
    "pod_annotations",
];

/// How containerd names things in a version of its configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Dialect(i64);

impl Dialect {
    /// That of a configuration.
    ///
    /// # Errors
    /// If it is one that today's containerd does not read.
    pub(crate) fn of(what: &str, config: &Value) -> Result<Self, Error> {
        let version = config.get("version").and_then(Value::as_i64).unwrap_or(1);
        if version >= 2 {
            return Ok(Self(version));
        }
        Err(Error::Invalid {
            what: what.to_owned(),
            why: format!(
                "it is of version {version}, which containerd 2 does not read any more: write it anew with `containerd config migrate`, or begin it with `version = 2`, and install again"
            ),
        })
    }

    /// The number in `version = …`.
    pub(crate) fn number(self) -> i64 {
        self.0
    }

    /// The plugin that runs pods.
    pub(crate) fn plugin(self) -> &'static str {
        if self.0 == 2 {
            "io.containerd.grpc.v1.cri"
        } else {
            "io.containerd.cri.v1.runtime"
        }
    }

    /// Where the handlers are.
    pub(crate) fn handlers(self) -> [&'static str; 4] {
        ["plugins", self.plugin(), "containerd", "runtimes"]
    }

    fn handler(self, name: &str) -> [&str; 5] {
        let [plugins, plugin, containerd, runtimes] = self.handlers();
        [plugins, plugin, containerd, runtimes, name]
    }
}

/// The handler that is to be there, and what was learnt on the way.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Wanted {
    /// Its table.
    pub(crate) table: Value,
    /// The runtime that the node's default handler names, if it names one.
    pub(crate) named: Option<String>,
    /// Whether the node's runtime makes its cgroups through systemd.
    pub(crate) is_systemd: bool,
}

/// The handler that fits an effective configuration.
///
/// # Errors
/// If the part that runs pods is switched off.
pub(crate) fn wanted(effective: &Value, program: &Path) -> Result<Wanted, Error> {
    let dialect = Dialect::of("containerd's effective configuration", effective)?;
    refuse_without_pods(effective)?;
    let handlers = at(effective, &dialect.handlers());
    let default = text(
        effective,
        &[
            "plugins",
            dialect.plugin(),
            "containerd",
            "default_runtime_name",
        ],
    );
    let empty = Value::Null;
    let pattern = [default, "runc"]
        .into_iter()
        .filter(|name| *name != NAME)
        .filter_map(|name| at(handlers?, &[name]))
        .find(|handler| text(handler, &["runtime_type"]) == SHIM)
        .unwrap_or(&empty);
    let mut options = pattern.get("options").map_or(Value::Null, pruned);
    let named = take(&mut options, &["BinaryName"]);
    put(
        &mut options,
        &["BinaryName"],
        json!(program.display().to_string()),
    );
    let is_systemd = options.get("SystemdCgroup") == Some(&Value::Bool(true));
    let mut annotations = pattern.get("pod_annotations").cloned().unwrap_or_default();
    if !annotations
        .as_array()
        .is_some_and(|all| all.contains(&json!(ANNOTATIONS)))
    {
        let mut all = annotations.as_array().cloned().unwrap_or_default();
        all.push(json!(ANNOTATIONS));
        annotations = Value::Array(all);
    }
    let mut table = Map::new();
    table.insert("runtime_type".into(), json!(SHIM));
    table.insert("pod_annotations".into(), annotations);
    for (key, value) in pattern.as_object().into_iter().flatten() {
        if !OWN.contains(&key.as_str()) && !is_nothing(value) {
            table.insert(key.clone(), pruned(value));
        }
    }
    table.insert("options".into(), options);
    Ok(Wanted {
        table: Value::Object(table),
        named: named.and_then(|name| name.as_str().map(str::to_owned)),
        is_systemd,
    })
}

fn refuse_without_pods(effective: &Value) -> Result<(), Error> {
    let disabled = effective.get("disabled_plugins").and_then(Value::as_array);
    let is_off = |name: &Value| {
        name.as_str().is_some_and(|name| {
            [
                "cri",
                "io.containerd.grpc.v1.cri",
                "io.containerd.cri.v1.runtime",
            ]
            .contains(&name)
        })
    };
    if !disabled.is_some_and(|all| all.iter().any(is_off)) {
        return Ok(());
    }
    Err(Error::Invalid {
        what: "containerd's configuration".into(),
        why: "its `disabled_plugins` switch off the part that runs pods: take `cri` out of them, or name this node's real configuration with --containerd-config".into(),
    })
}

/// The handler that an effective configuration has under our name.
pub(crate) fn present(effective: &Value) -> Option<&Value> {
    let dialect = Dialect::of("", effective).ok()?;
    at(effective, &dialect.handler(NAME))
}

/// Whether a handler is one that we made: it runs our program, wherever that lies.
pub(crate) fn is_ours(handler: &Value) -> bool {
    let program = Path::new(text(handler, &["options", "BinaryName"]));
    program.file_name().is_some_and(|name| name == PROGRAM)
}

/// Whether an effective configuration has the handler as wanted.
pub(crate) fn has(effective: &Value, wanted: &Value) -> bool {
    present(effective).is_some_and(|found| pruned(found) == pruned(wanted))
}

/// Whether two effective configurations differ in nothing but our handler. Which files were read is no part of what they say.
pub(crate) fn is_same_but_for_ours(one: &Value, other: &Value) -> bool {
    rest(one) == rest(other)
}

/// The handlers that `before` had and `after` has lost. containerd 1.7 takes its built-in `runc` away as soon as a file names any
/// handler.
pub(crate) fn lost(before: &Value, after: &Value) -> Vec<(String, Value)> {
    let Ok(dialect) = Dialect::of("", before) else {
        return Vec::new();
    };
    let handlers = at(before, &dialect.handlers()).and_then(Value::as_object);
    let remaining = at(after, &dialect.handlers());
    handlers
        .into_iter()
        .flatten()
        .filter(|(name, _)| *name != NAME && remaining.is_none_or(|all| all.get(name).is_none()))
        .map(|(name, handler)| (name.clone(), pruned(handler)))
        .collect()
}

fn rest(effective: &Value) -> Value {
    let mut rest = effective.clone();
    if let Ok(dialect) = Dialect::of("", &rest) {
        take(&mut rest, &dialect.handler(NAME));
        // A handler that is written out has fewer empty fields than one that is built in.
        if let Some(handlers) = take(&mut rest, &dialect.handlers()) {
            put(&mut rest, &dialect.handlers(), pruned(&handlers));
        }
    }
    take(&mut rest, &["imports"]);
    without_empty_tables(&rest)
}

#[cfg(test)]
mod tests;
