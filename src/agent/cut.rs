//! One cut through a frozen pod: the processes of its containers, what they changed in their own files, and its volumes.

use crate::agent::api::ContainerReport;
use crate::agent::host::{self, Host};
use crate::agent::marks::Mark;
use crate::agent::pods::Living;
use crate::agent::poised::{Poised, on_host, tail};
use crate::agent::store::manifest::{Manifest, VolumeNote};
use crate::agent::store::{Generation, VOLUMES};
use crate::engine::dump::{self, Dump};
use crate::engine::{criu, mounts, timers, volumes};
use crate::oci::bundle;
use crate::oci::failure::Failure;
use crate::oci::files::{self, make_folder};
use crate::oci::gate;
use crate::oci::settings::Settings;
use crate::tree::{Kind, pack};
use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{BufWriter, ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// Our runtime, wherever it lies.
const RUNTIME: &str = "holdfast-runtime";

/// What dumps, and where.
#[derive(Debug, Clone)]
pub(crate) struct Engine {
    pub(crate) host: Host,
    /// Our runtime in the agent's own image: it enters the host.
    pub(crate) enter: PathBuf,
    /// Our runtime on the host.
    pub(crate) runtime: PathBuf,
    /// What the installation there says.
    pub(crate) settings: Settings,
    /// The real runtime of the host.
    pub(crate) real: PathBuf,
}

/// Why there is no cut.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NoCut {
    pub(crate) why: String,
    /// CRIU was at work on a container when it went wrong.
    pub(crate) has_criu_died: bool,
}

impl From<Failure> for NoCut {
    fn from(failure: Failure) -> Self {
        Self {
            why: failure.to_string(),
            has_criu_died: false,
        }
    }
}

impl Engine {
    /// What is installed on this node, below one of these places.
    ///
    /// # Errors
    /// A sentence that says what is missing.
    pub(crate) fn find(host: &Host, prefixes: &[&str]) -> Result<Self, Failure> {
        let programs = prefixes
            .iter()
            .map(|prefix| Path::new(prefix).join("bin").join(RUNTIME));
        let runtime = programs
            .into_iter()
            .find(|program| host.path(program).exists())
            .ok_or_else(|| {
                Failure::new("holdfast-runtime is not installed on this node: run `holdfast host install` there")
            })?;
        let settings = Settings::of_program(&host.path(&runtime))?;
        let real = settings.real.clone().ok_or_else(|| {
            Failure::new("the installation on this node names no real runtime: run `holdfast host install` there again")
        })?;
        let own = std::env::current_exe();
        let own =
            own.map_err(|error| Failure::new(format!("cannot find this program: {error}")))?;
        Ok(Self {
            host: host.clone(),
            enter: own.with_file_name(RUNTIME),
            runtime,
            settings,
            real,
        })
    }

    /// Makes ready what is to dump these containers, before anything is frozen: programs of the host that wait for a word.
    pub(crate) fn prepare(
        &self,
        generation: &Generation,
        containers: &[Living],
    ) -> Result<Dumpers, Failure> {
        generation.begin()?;
        let config = generation.part().join("criu.conf");
        files::put(&config, dump::CONFIG.as_bytes())?;
        let mut dumpers = Dumpers::new();
        let gate = self.gate(generation.name())?;
        let skips_in_flight = self.skips_in_flight();
        for container in containers {
            let folder = dump::folder(&generation.part(), &container.held.name);
            make_folder(&folder.join("images"))?;
            make_folder(&folder.join("work"))?;
            let dumper = self.dumper(generation, container, (&gate, skips_in_flight))?;
            dumpers.insert(container.held.name.clone(), dumper);
        }
        for (name, dumper) in &mut dumpers {
            dumper.is_there().map_err(|failure| {
                Failure::new(format!("container {name} was not dumped: {failure}"))
            })?;
        }
        Ok(dumpers)
    }

    /// Whether the real runtime has the flag: an older one would refuse it. One that cannot be asked says why when it dumps.
    fn skips_in_flight(&self) -> bool {
        let mut asked = on_host(&self.enter, &[]);
        asked.arg(&self.real).args(["checkpoint", "--help"]);
        let told = asked.output().map(|output| output.stdout);
        let told = told.unwrap_or_default();
        String::from_utf8_lossy(&told).contains(dump::SKIPS_IN_FLIGHT)
    }

    fn dumper(
        &self,
        generation: &Generation,
        container: &Living,
        (gate, skips_in_flight): (&Path, bool),
    ) -> Result<Poised, Failure> {
        let on_node = dump::folder(&self.host.without(&generation.part()), &container.held.name);
        let (images, work) = (on_node.join("images"), on_node.join("work"));
        let dump = Dump {
            real: &self.real,
            criu: self.settings.criu.as_deref(),
            gate,
            config: &self.host.without(&generation.part()).join("criu.conf"),
            root: &container.held.root,
            id: &container.held.id,
            images: &images,
            work: &work,
            skips_in_flight,
        };
        let command = dump.command();
        Poised::begin_for_the_gate(&self.enter, &command.words, command.variables)
    }

    /// A folder of the node in which whoever dumps meets our runtime as CRIU.
    fn gate(&self, who: &str) -> Result<PathBuf, Failure> {
        let folder = self.host.run().join("gate");
        gate::lay(&folder, &self.runtime, who)?;
        Ok(self.host.without(&folder))
    }

    /// Dumps what is frozen. `containers` are those that are wanted. `is_still`: whether nobody let them go meanwhile; what was dumped
    /// after that is of another moment.
    pub(crate) fn cut(
        &self,
        generation: &Generation,
        containers: &[Living],
        (manifest, dumpers): (Manifest, Dumpers),
        is_still: impl Fn() -> bool,
    ) -> Result<(), NoCut> {
        let (mut manifest, mut dumpers) = (manifest, dumpers);
        let archiving = Mark::begin("archive volumes", generation.name());
        manifest.volumes = self.volumes(generation, containers, &manifest.uid)?;
        drop(archiving);
        for container in containers {
            let name = &container.held.name;
            let dumper = dumpers
                .remove(name)
                .ok_or_else(|| Failure::new(format!("nothing was made ready to dump {name}")))?;
            let report = self.container(generation, container, dumper)?;
            manifest.containers.push(report);
        }
        if !is_still() {
            let why = "its time was over before all of it was dumped; the pod was let go";
            return Err(Failure::new(why).into());
        }
        generation.cut(&manifest)?;
        Ok(())
    }

    fn container(
        &self,
        generation: &Generation,
        container: &Living,
        dumper: Poised,
    ) -> Result<ContainerReport, NoCut> {
        let began = Instant::now();
        let folder = dump::folder(&generation.part(), &container.held.name);
        let specification = bundle::read(&self.host.path(&container.bundle))?;
        files::put(&folder.join("config.json"), &specification)?;
        let archiving = Mark::begin("archive a layer", &container.held.name);
        let layer_bytes = self.layer(container, &folder.join("layer.tar"))?;
        drop(archiving);
        dump(container, &folder, dumper)?;
        wind_timers(&folder.join("images"))?;
        Ok(ContainerReport {
            name: container.held.name.clone(),
            memory_bytes: size(&folder.join("images"))?,
            layer_bytes,
            dump_millis: i64::try_from(began.elapsed().as_millis()).unwrap_or(i64::MAX),
        })
    }

    /// What the container changed in its own files.
    fn layer(&self, container: &Living, archive: &Path) -> Result<i64, Failure> {
        let table = host::process(1).join("mountinfo");
        let mounts = std::fs::read(&table).map_err(|error| Failure::at("read", &table, error))?;
        let root = container.bundle.join("rootfs");
        let upper = mounts::upper(&mounts, &root).map_err(Failure::new)?;
        carry(&self.host, &upper, archive, Kind::Layer)
    }

    fn volumes(
        &self,
        generation: &Generation,
        containers: &[Living],
        uid: &str,
    ) -> Result<Vec<VolumeNote>, Failure> {
        let mut configs = Vec::new();
        for container in containers {
            let bundle = self.host.path(&container.bundle);
            let config = serde_json::from_slice(&bundle::read(&bundle)?)
                .map_err(|error| Failure::at("use", &bundle, error))?;
            configs.push(config);
        }
        let folder = generation.part().join(VOLUMES);
        make_folder(&folder)?;
        let found = volumes::of_pod(configs.iter(), uid);
        let carried = found.into_iter().enumerate().map(|(number, volume)| {
            let file = format!("{number}.tar");
            let archive = folder.join(&file);
            let bytes = carry(&self.host, &volume.source, &archive, Kind::Volume)?;
            Ok(VolumeNote {
                name: volume.name,
                file: format!("{VOLUMES}/{file}"),
                bytes,
            })
        });
        carried.collect()
    }
}

/// What dumps, by the names of the containers.
pub(crate) type Dumpers = BTreeMap<String, Poised>;

fn dump(container: &Living, folder: &Path, dumper: Poised) -> Result<(), NoCut> {
    let mark = Mark::begin("CRIU's dump", &container.held.name);
    let output = dumper.run();
    drop(mark);
    let output = output.map_err(|error| {
        let name = &container.held.name;
        Failure::new(format!("container {name} was not dumped: {error}"))
    })?;
    if output.status.success() {
        return Ok(());
    }
    let log = std::fs::read_to_string(folder.join("work").join(dump::LOG)).unwrap_or_default();
    let said = String::from_utf8_lossy(&output.stderr);
    for line in criu::errors(&log).into_iter().take(MOST_LINES) {
        tracing::warn!(container = container.held.name, line, "CRIU says");
    }
    let why = criu::why(&log).unwrap_or_else(|| tail(&said).to_owned());
    Err(NoCut {
        why: format!("container {} was not dumped: {why}", container.held.name),
        // It says so itself where it gave up in order; then it let go of what it held.
        has_criu_died: !log.contains("Dumping FAILED") && log.contains("Seized task"),
    })
}

/// Timers that would be restored stopped are mended in what was dumped, where it names some.
fn wind_timers(images: &Path) -> Result<(), Failure> {
    let path = images.join(timers::FILES);
    let noted = match std::fs::read(&path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        noted => noted.map_err(|error| Failure::at("read", &path, error))?,
    };
    match timers::wound(&noted) {
        Some((mended, 1..)) => files::put(&path, &mended),
        _ => Ok(()),
    }
}

/// So many lines of CRIU's log are told.
const MOST_LINES: usize = 12;

/// A directory becomes an archive that root alone may read.
fn carry(host: &Host, directory: &Path, archive: &Path, kind: Kind) -> Result<i64, Failure> {
    let open = || -> std::io::Result<File> {
        let mut options = OpenOptions::new();
        options.write(true).create_new(true).mode(0o600);
        options.open(archive)
    };
    let file = open().map_err(|error| Failure::at("write", archive, error))?;
    let mut out = BufWriter::with_capacity(1 << 20, file);
    let directory = host.open(directory)?;
    pack(&directory.path(), &mut out, kind).map_err(|error| Failure::new(error.to_string()))?;
    out.flush()
        .map_err(|error| Failure::at("write", archive, error))?;
    let length = std::fs::metadata(archive).map(|about| about.len());
    let length = length.map_err(|error| Failure::at("look at", archive, error))?;
    Ok(i64::try_from(length).unwrap_or(i64::MAX))
}

/// What the files in a folder take.
fn size(folder: &Path) -> Result<i64, Failure> {
    let failed = |error| Failure::at("list", folder, error);
    let mut sum = 0_u64;
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        let about = entry.and_then(|entry| entry.metadata()).map_err(failed)?;
        sum = sum.saturating_add(about.len());
    }
    Ok(i64::try_from(sum).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::timers::tests::{image, timer};
    use crate::testkit::folder::Folder;
    use std::os::unix::fs::MetadataExt;

    #[test]
    fn what_was_noted_of_timers_is_written_where_one_is_to_be_wound_and_only_there() {
        let folder = Folder::new();
        let path = folder.path().join(timers::FILES);
        wind_timers(folder.path()).unwrap();
        assert!(!path.exists(), "there is none");
        let [fired, waits] = [0, 7].map(|left| image(&[timer(1, [0, left], [0, 50])]));
        for (noted, is_mended) in [(fired, true), (waits, false), (b"none".to_vec(), false)] {
            std::fs::write(&path, &noted).unwrap();
            let before = std::fs::metadata(&path).unwrap().ino();
            wind_timers(folder.path()).unwrap();
            let after = std::fs::metadata(&path).unwrap().ino();
            assert_eq!(before != after, is_mended, "{noted:?}");
            assert_eq!(std::fs::read(&path).unwrap() != noted, is_mended);
        }
    }
}
