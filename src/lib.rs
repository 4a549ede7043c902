//! Holdfast keeps a Kubernetes workload's share and state while the nodes beneath it change.
//!
//! This page is the map. An import points down, never up, and never sideways except within a module or to another slice's `api`;
//! `tests/architecture` holds it.
//!
//! ```text
//! 5 mains    main.rs  bin/holdfast-runtime.rs
//! 4 edge     app (the one table of CRDs, webhooks and controllers)   cli (the user's verbs)
//! 3 slices   sizing  migration (what the leader decides)  checkpoint  agent (what a node does)  signer (who is which node's agent)
//!            runtime (the OCI runtime on a node)  host (what lies on a node: programs, the runtime's handler)
//! 2 door     webhook (server, certificates, reviews)   node (where a pod could go, where the agents are, who is at work on a node)
//! 1 ground   process (flags, telemetry, leader, runner, clients, writes, teardown)   cri (calls to a node's container runtime)
//!            hold (durable records of a node's pods)   tree (files as they travel)
//!            engine (freezing, dumping, restoring)
//!            oci (what is common to all who speak to a container runtime)
//!            preflight (what keeps a pod where it is: the list, and what the kernel shows of processes)
//! 0 kit      names  conditions  events  error  faults  quantity  json  digest
//! ```

/// Values and rules that know no process and no cluster.
pub mod kit {
    pub mod agents;
    pub mod conditions;
    pub(crate) mod digest;
    pub mod documents;
    pub mod error;
    pub mod events;
    pub mod faults;
    pub mod finalizers;
    pub mod json;
    pub mod names;
    pub mod near;
    pub mod probes;
    pub(crate) mod protobuf;
    pub mod quantity;
    pub mod times;
}

/// Trees of files as they travel between nodes.
pub mod tree;

/// Freezing, dumping and restoring by the real runtime and CRIU: what is in a container beside its memory, where that lies on a node,
/// and what CRIU means when it says no.
pub mod engine {
    pub mod criu;
    pub mod dump;
    pub mod mounts;
    pub mod restore;
    pub(crate) mod timers;
    pub mod volumes;
}

/// What every process of ours needs.
pub mod process {
    pub(crate) mod asking;
    pub mod clients;
    pub mod clock;
    pub mod farewell;
    pub mod faults;
    pub mod flags;
    pub mod health;
    pub mod installation;
    pub mod leader;
    pub mod lease;
    pub mod listeners;
    pub mod memory;
    pub mod runner;
    pub mod signals;
    pub mod teardown;
    pub mod telemetry;
    pub mod writes;
}

/// What keeps a pod where it is: the list of what is looked for, and what the kernel shows of a pod's processes. Pure.
pub mod preflight {
    pub mod diag;
    pub mod finding;
    pub mod freezing;
    pub mod list;
    pub mod living;
    pub mod text;
}

/// What a node knows of its pods, durably: holds, admissions, tokens.
pub mod hold {
    mod admission;
    pub mod answer;
    pub mod change;
    pub mod guard;
    pub mod record;
    pub mod rules;
    pub mod shelf;
    pub mod signal;
    mod source;
    pub mod uid;
}

/// What is common to all who speak to a container runtime by its command line.
pub mod oci {
    pub mod bundle;
    pub mod cgroups;
    pub mod clock;
    pub mod command_line;
    pub mod failure;
    pub mod files;
    mod flags;
    pub mod gate;
    pub mod log;
    pub mod pause;
    pub mod place;
    pub mod real;
    pub mod settings;
    pub mod state;
}

/// Serving to the API server and to scrapers over TLS.
pub mod webhook {
    pub mod authority;
    mod body;
    pub mod clients;
    mod connections;
    pub mod endpoint;
    mod exchange;
    #[cfg(any(test, fuzzing))]
    pub mod fuzzing;
    pub mod handshake;
    mod heard;
    pub mod identity;
    mod refusal;
    pub mod review;
    pub mod rollover;
    pub mod server;
    pub mod store;
    pub mod tls;
    mod usual;
    mod wire;
}

/// Calls to a node's container runtime.
pub mod cri {
    pub mod client;
    pub mod images;
    pub mod runtime;
}

/// What lies on a node: our programs, and the container runtime's handler that runs them.
pub mod host {
    pub(crate) mod acts;
    pub(crate) mod again;
    pub mod check;
    mod commands;
    mod configure;
    mod containerd;
    mod crio;
    mod disk;
    mod edit;
    pub mod facts;
    pub mod fitness;
    mod handler;
    pub mod install;
    pub(crate) mod labels;
    pub mod node;
    mod parts;
    mod plan;
    pub mod prefix;
    mod programs;
    pub mod record;
    mod root;
    mod service;
    mod start;
    #[cfg(test)]
    mod testkit;
    pub mod uninstall;
    mod values;
}

/// Shares: `DaemonSet` pods get a part of the node that they land on.
pub mod sizing {
    pub(crate) mod acting;
    mod admission;
    mod amounts;
    pub mod api;
    pub(crate) mod cache;
    mod changes;
    mod crowd;
    mod desire;
    mod excess;
    pub(crate) mod explain;
    mod feed;
    pub(crate) mod findings;
    pub(crate) mod forecast;
    #[cfg(any(test, fuzzing))]
    pub mod fuzzing;
    mod judge;
    mod kinds;
    mod landing;
    pub(crate) mod lint;
    mod load;
    mod lookup;
    mod mirror;
    pub(crate) mod missing;
    mod neighbours;
    mod newborn;
    mod notes;
    mod observed;
    mod observing;
    mod owners;
    mod partial;
    mod patch;
    mod plan;
    mod pod;
    mod pulse;
    mod quota;
    mod recipe;
    pub(crate) mod reconcile;
    mod resizing;
    mod rules;
    pub(crate) mod running;
    mod share;
    pub(crate) mod snapshot;
    mod split;
    mod standing;
    mod summary;
    mod target;
    #[cfg(any(test, fuzzing))]
    mod testkit;
    mod texts;
    mod tried;
    mod triggers;
    mod validation;
    mod view;
    mod waves;
    mod webhook;
}

/// The container runtime that stands before the real one: what each verb does.
pub mod runtime {
    pub mod api;
    pub mod asking;
    mod call;
    pub(crate) mod create;
    pub(crate) mod delete;
    mod enter;
    mod gate;
    pub(crate) mod guard;
    mod held;
    mod no_op;
    mod parent;
    pub mod program;
    mod records;
    mod start;
    mod ticket;
}

/// Nodes: which a pod could go to, where their agents are, and who is at work on them.
pub mod node {
    pub mod agents;
    mod fits;
    pub mod lease;
    pub mod select;
}

/// State: a pod moves with all that it has in memory. What the leader decides.
pub mod migration {
    pub(crate) mod affinity;
    pub mod api;
    pub(crate) mod bare;
    pub(crate) mod beginning;
    pub(crate) mod equal;
    pub(crate) mod fetching;
    pub(crate) mod gate;
    pub(crate) mod hands;
    pub(crate) mod herding;
    pub(crate) mod images;
    pub(crate) mod journey;
    pub(crate) mod many;
    pub(crate) mod observing;
    pub mod plan;
    pub(crate) mod pods;
    pub(crate) mod preflight;
    pub(crate) mod reconcile;
    pub(crate) mod request;
    pub(crate) mod seats;
    pub(crate) mod sight;
    pub(crate) mod strays;
    pub(crate) mod summary;
    pub mod sweep;
    pub(crate) mod turns;
    pub(crate) mod wanting;
}

/// State that is kept: a Checkpoint names a pod, the leader asks the pod's node for it, and says what became of it.
pub mod checkpoint {
    pub mod api;
    pub(crate) mod keeping;
    pub(crate) mod looking;
    pub(crate) mod plan;
    pub(crate) mod reconcile;
    pub(crate) mod request;
    pub(crate) mod retention;
    mod seats;
}

/// State, on a node: what is held, dumped, sent, restored and killed there. The runtime asks before a container of a protected pod is
/// made, signalled or deleted while it is held; the agent answers from the node's records, and changes them. It asks no API server for
/// that: a node that is cut off, and whose pods are neither held nor expected, goes on as any node.
///
/// ```text
/// holdfast-runtime ── socket ──► answers ──► hold (pure) ──► shelf, on disk
///                    (one question a connection; who waits is told every few seconds, and again when something changes)
/// ```
pub mod agent {
    pub(crate) mod answers;
    pub mod api;
    mod attempt;
    mod blocking;
    mod carrying;
    mod checkpoint;
    /// Copies of states that are kept, on other nodes.
    pub(crate) mod copies {
        pub(crate) mod desk;
        pub(crate) mod give;
        pub(crate) mod keep;
        #[cfg(test)]
        mod tests;
    }
    mod cut;
    mod garbage;
    pub(crate) mod hands;
    pub(crate) mod holds;
    mod host;
    mod images;
    mod inspect;
    mod marks;
    mod orders;
    mod own;
    pub(crate) mod peer;
    pub mod peers;
    mod pods;
    mod poised;
    pub(crate) mod preparing;
    mod records;
    #[cfg(feature = "faults")]
    pub mod rehearsal;
    pub mod serving;
    mod sights;
    mod socket;
    pub mod source;
    pub(crate) mod store;
    mod sweep;
    pub mod target;
    mod targets;
    pub(crate) mod tasks;
    mod waiting;
}

/// Certificates for the agents of nodes: an agent asks for one by a `CertificateSigningRequest`, the leader judges, and signs.
pub mod signer {
    pub(crate) mod plan;
    pub(crate) mod reconcile;
    pub(crate) mod rolling;
}

pub mod app;

/// The user's verbs.
pub mod cli {
    pub mod arguments;
    pub mod certs;
    pub mod checkpoint;
    pub mod checkpoints;
    pub mod explain;
    mod files;
    pub mod holds;
    pub mod host;
    pub mod lint;
    pub mod listing;
    pub mod migrate;
    pub mod migrations;
    pub mod pods;
    pub mod preflight;
    pub mod print;
    pub mod resolve;
    pub mod table;
    pub mod teardown;
    mod watching;
    pub mod what_if;
}

/// Chooses the cryptography of this process. The first line of every main: with none chosen, the first TLS connection would panic.
pub fn install_crypto() {
    // An error means that it was chosen before, which is as good.
    let _chosen_before = rustls::crypto::ring::default_provider().install_default();
}

#[cfg(test)]
pub(crate) mod testkit {
    pub(crate) mod api_server;
    pub(crate) mod folder;
}
