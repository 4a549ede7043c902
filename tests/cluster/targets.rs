//! The Make targets as a user of the earlier projects types them. Those that install and remove are at work in `going.rs` and in
//! `World::install`.

use crate::world::{IMAGE, World, eventually, make_command, root, succeed, text, world};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// A copy of what git knows, to clean and build in without touching the checkout.
struct Copy(PathBuf);

impl Copy {
    fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("holdfast-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        for part in [
            "Makefile",
            "Cargo.toml",
            "tools",
            "manifests",
            "charts",
            "tests",
        ] {
            succeed(
                Command::new("cp")
                    .arg("-r")
                    .arg(root().join(part))
                    .arg(&folder),
            );
        }
        Self(folder)
    }

    fn make(&self, words: &[&str]) -> String {
        succeed(Command::new("make").current_dir(&self.0).args(words))
    }
}

impl Drop for Copy {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).unwrap();
    }
}

fn make(words: &[&str]) -> String {
    succeed(&mut make_command(words))
}

#[test]
fn help_is_the_default_and_names_every_target() {
    let help = make(&[]);
    let targets = "build manager run test test-full demo image docker-build docker-push install uninstall deploy undeploy deploy-manifests undeploy-manifests build-installer manifests check-manifests check-chart completions lint fmt clean generate-certs clean-certs";
    for target in targets.split_whitespace() {
        assert!(
            help.lines()
                .any(|line| line.split_whitespace().next() == Some(target)),
            "{target} is not in:\n{help}"
        );
    }
}

#[test]
fn build_prints_where_the_program_is_and_manager_leaves_it_in_bin() {
    let said = make(&["build"]);
    let program = said
        .lines()
        .rev()
        .find(|line| line.ends_with("/holdfast"))
        .unwrap_or_else(|| panic!("{said}"));
    let version = concat!("holdfast ", env!("CARGO_PKG_VERSION"), "\n");
    assert_eq!(succeed(Command::new(program).arg("version")), version);
    make(&["manager"]);
    assert_eq!(
        succeed(Command::new(root().join("bin/manager")).arg("version")),
        version
    );
}

#[test]
fn completions_are_written() {
    make(&["completions"]);
    for file in ["holdfast.bash", "holdfast.fish", "holdfast.zsh"] {
        assert!(
            root()
                .join("dist/completions")
                .join(file)
                .metadata()
                .unwrap()
                .len()
                > 500,
            "{file}"
        );
    }
}

#[test]
fn clean_removes_what_make_wrote_and_nothing_else() {
    let copy = Copy::new("clean");
    for made in ["bin/holdfast", "dist/holdfast.tar"] {
        std::fs::create_dir_all(copy.0.join(made).parent().unwrap()).unwrap();
        std::fs::write(copy.0.join(made), "x").unwrap();
    }
    copy.make(&["clean"]);
    assert!(!copy.0.join("bin").exists() && !copy.0.join("dist").exists());
    assert!(copy.0.join("Makefile").exists() && copy.0.join("charts/holdfast/Chart.yaml").exists());
}

#[test]
fn docker_build_and_push_work_without_docker_and_say_so() {
    // Whether Docker runs on this machine or not: here it does not answer.
    let stub = std::env::temp_dir().join(format!("holdfast-no-docker-{}", std::process::id()));
    std::fs::create_dir_all(&stub).unwrap();
    std::fs::write(stub.join("docker"), "#!/bin/sh\nexit 1\n").unwrap();
    std::fs::set_permissions(stub.join("docker"), std::fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:{}", stub.display(), std::env::var("PATH").unwrap());
    let make = |words: &[&str]| succeed(make_command(words).env("PATH", &path));
    let registry = Registry::start();
    let image = format!("{}/team/holdfast:t1", registry.address);
    let built = make(&["docker-build", &format!("IMG={image}")]);
    assert!(
        built.to_lowercase().contains("docker") && built.contains("dist/"),
        "{built}"
    );
    let pushed = make(&["docker-push", &format!("IMG={image}")]);
    assert!(pushed.contains("sha256:"), "{pushed}");
    std::fs::remove_dir_all(stub).unwrap();
    // What the other tests load into the nodes.
    make(&["image", &format!("IMG={IMAGE}")]);
}

/// The registry of the pusher's own tests, in a process of its own.
struct Registry {
    process: Child,
    address: String,
}

impl Registry {
    fn start() -> Self {
        use std::io::BufRead;
        let program = "from testing_registry import Registry\nimport sys\nr = Registry()\nprint(r.domain, flush=True)\nsys.stdin.read()\n";
        let mut command = Command::new("python3");
        command
            .args(["-c", program])
            .env("PYTHONPATH", root().join("tools"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let mut process = command.spawn().unwrap();
        let mut address = String::new();
        std::io::BufReader::new(process.stdout.take().unwrap())
            .read_line(&mut address)
            .unwrap();
        Self {
            process,
            address: address.trim().to_owned(),
        }
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        drop(self.process.stdin.take());
        self.process.wait().unwrap();
    }
}

#[tokio::test]
async fn run_serves_here_until_it_is_interrupted() {
    let world = world().await;
    world.install().await;
    // What `make run` starts is compiled first: how long that takes is not what is asked here.
    succeed(Command::new(env!("CARGO")).args(["build", "--bin", "holdfast"]));
    let mut command = make_command(&[
        "run",
        "ARGS=--health-probe-bind-address=127.0.0.1:18081 --metrics-bind-address=127.0.0.1:18080 --webhook-bind-address=127.0.0.1:0",
    ]);
    let mut running = command
        .process_group(0)
        .env("KUBECONFIG", &world.kubeconfig)
        .stderr(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    eventually("it is ready", 60, || async {
        get("127.0.0.1:18081", "/readyz")
            .await
            .contains("200 OK")
            .then_some(())
    })
    .await;
    assert!(
        get("127.0.0.1:18080", "/metrics")
            .await
            .contains("holdfast_leader")
    );
    // As Ctrl-C does: to make and its program, which are a process group of their own.
    succeed(Command::new("kill").args(["-INT", "--", &format!("-{}", running.id())]));
    eventually("it has ended", 30, || {
        std::future::ready(running.try_wait().unwrap())
    })
    .await;
    assert!(!get("127.0.0.1:18081", "/livez").await.contains("200 OK"));
}

async fn get(address: &str, path: &str) -> String {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let Ok(mut stream) = tokio::net::TcpStream::connect(address).await else {
        return String::new();
    };
    let mut answer = Vec::new();
    let asked = stream
        .write_all(
            format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").as_bytes(),
        )
        .await;
    if asked.is_err() || stream.read_to_end(&mut answer).await.is_err() {
        return String::new();
    }
    text(&answer)
}

fn crd_is_there(world: &World) -> bool {
    !world
        .kubectl("get crd flexdaemonsettemplates.flexdaemonsets.xai --ignore-not-found -o name")
        .trim()
        .is_empty()
}

#[tokio::test]
async fn crds_are_installed_and_uninstalled_alone() {
    let world = world().await;
    crate::going::remove(&world);
    assert!(!crd_is_there(&world));
    world.make(&["install"]);
    assert!(crd_is_there(&world));
    world.make(&["uninstall"]);
    assert!(!crd_is_there(&world));
}

#[tokio::test]
async fn build_installer_writes_one_file_that_installs() {
    let world = world().await;
    crate::going::remove(&world);
    world.make(&["build-installer", &format!("IMG={IMAGE}")]);
    let file = root().join("dist/install.yaml");
    assert!(std::fs::read_to_string(&file).unwrap().contains(IMAGE));
    apply_and_wait(&world, &file).await;
    world.make(&["undeploy-manifests"]);
    assert!(!crd_is_there(&world));
}

async fn apply_and_wait(world: &World, file: &Path) {
    world.kubectl(&format!("apply -f {}", file.display()));
    let client = world.client().await;
    eventually("one of two replicas leads", 60, || async {
        let leads = !crate::world::leader(&client).await.is_empty();
        (leads && crate::world::ready_managers(&client).await.len() == 2).then_some(())
    })
    .await;
}
