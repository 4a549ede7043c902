//! A registry of images on a node of the world: Debian's, by TLS, and for whoever knows the password.

use crate::world::{World, eventually, text};
use serde_json::json;
use std::future::ready;
use std::path::PathBuf;

/// Where it runs.
const NODE: &str = "node1";
const PASSWORD: &str = "let-me-in";
/// The same, by bcrypt.
const HASHED: &str = "$2y$05$holdfastworldregistryu2.Du0mx1QOPG0365mwdzHzWH8WYOpAi";
/// Below this are its images, as it keeps them.
const REPOSITORIES: &str = "/var/lib/registry/docker/registry/v2/repositories";

pub(crate) struct Registry {
    /// `IP:PORT`.
    pub(crate) at: String,
}

impl Registry {
    /// Starts it, and tells both nodes whose certificate it shows.
    pub(crate) async fn start(world: &World) -> Self {
        let line = format!("get node {NODE} -o jsonpath={{.status.addresses[0].address}}");
        let address = world.kubectl(&line);
        let at = format!("{address}:5000");
        let own = rcgen::generate_simple_self_signed(vec![address.clone()]).unwrap();
        let built = world.command(&["build", "registry"]);
        let folder = PathBuf::from(built.trim().rsplit_once(": ").unwrap().1);
        world.put_on_node(
            NODE,
            "/usr/local/bin/docker-registry",
            &folder.join("usr/bin/docker-registry"),
        );
        let config = json!({
            "version": "0.1", "storage": { "filesystem": { "rootdirectory": "/var/lib/registry" } },
            "http": { "addr": at, "secret": "of the world", "tls": { "certificate": "/etc/registry/tls.crt", "key": "/etc/registry/tls.key" } },
            "auth": { "htpasswd": { "realm": "world", "path": "/etc/registry/htpasswd" } },
        });
        put(world, NODE, "/etc/registry/config.yml", &config.to_string());
        put(
            world,
            NODE,
            "/etc/registry/htpasswd",
            &format!("holdfast:{HASHED}\n"),
        );
        put(world, NODE, "/etc/registry/tls.crt", &own.cert.pem());
        put(
            world,
            NODE,
            "/etc/registry/tls.key",
            &own.signing_key.serialize_pem(),
        );
        let folder = format!("/etc/containerd/certs.d/{at}");
        let hosts = format!("server = \"https://{at}\"\nca = \"{folder}/ca.crt\"\n");
        for node in ["node1", "node2"] {
            put(world, node, &format!("{folder}/ca.crt"), &own.cert.pem());
            put(world, node, &format!("{folder}/hosts.toml"), &hosts);
        }
        let start = "setsid /usr/local/bin/docker-registry serve /etc/registry/config.yml > /var/log/registry.log 2>&1 < /dev/null &";
        assert!(world.on_node(NODE, start).status.success());
        let registry = Self { at };
        eventually("the registry takes an image", 30, || {
            ready(
                registry
                    .try_push(world, "first:1", "localhost/busybox:1")
                    .then_some(()),
            )
        })
        .await;
        registry
    }

    /// An image's name there.
    pub(crate) fn image(&self, name: &str) -> String {
        format!("{}/{name}", self.at)
    }

    /// Pushes an image that every node has under another name.
    pub(crate) fn push(&self, world: &World, name: &str, from: &str) {
        assert!(self.try_push(world, name, from), "{name} is not pushed");
    }

    fn try_push(&self, world: &World, name: &str, from: &str) -> bool {
        let line = format!(
            "ctr -n k8s.io images push --user holdfast:{PASSWORD} --hosts-dir /etc/containerd/certs.d {} {from}",
            self.image(name)
        );
        let done = world.on_node(NODE, &line);
        if !done.status.success() {
            eprintln!("{}", text(&done.stderr));
        }
        done.status.success()
    }

    /// It is nowhere any more.
    pub(crate) fn forget(world: &World, repository: &str) {
        let done = world.on_node(NODE, &format!("rm -r {REPOSITORIES}/{repository}"));
        assert!(done.status.success(), "{done:?}");
    }

    /// Makes the Secret `key` anew, with this password.
    pub(crate) fn secret(&self, world: &World, password: &str) {
        world.kubectl("delete secret key --ignore-not-found");
        world.kubectl(&format!(
            "create secret docker-registry key --docker-server={} --docker-username=holdfast --docker-password={password}",
            self.at
        ));
    }

    /// The right one.
    pub(crate) fn right_secret(&self, world: &World) {
        self.secret(world, PASSWORD);
    }

    /// Whether a node has an image under this name.
    pub(crate) fn is_on(&self, world: &World, node: &str, name: &str) -> bool {
        let listed = world.on_node(node, "ctr -n k8s.io images ls -q");
        assert!(listed.status.success(), "{listed:?}");
        let image = self.image(name);
        text(&listed.stdout).lines().any(|line| line == image)
    }
}

fn put(world: &World, node: &str, path: &str, content: &str) {
    let file = std::env::temp_dir().join(format!("holdfast-registry-{}", std::process::id()));
    std::fs::write(&file, content).unwrap();
    world.put_on_node(node, path, &file);
    std::fs::remove_file(file).unwrap();
}
