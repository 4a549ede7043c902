//! Holdfast keeps a Kubernetes workload's share and state while the nodes beneath it change.
//!
//! This page is the map. An import points down, never up, and never sideways except within a module or to another slice's `api`;
//! `tests/architecture.rs` holds it.
//!
//! ```text
//! 5 mains    main.rs
//! 4 edge     app (the one table of CRDs, webhooks and controllers)   cli (the user's verbs)
//! 3 slices   sizing
//! 2 door     webhook (server, certificates, reviews)
//! 1 ground   process (flags, telemetry, leader, runner, clients, writes, teardown)
//! 0 kit      names  conditions  events  error  quantity  json
//! ```

/// Values and rules that know no process and no cluster.
pub mod kit {
    pub mod conditions;
    pub mod documents;
    pub mod error;
    pub mod events;
    pub mod json;
    pub mod names;
    pub mod near;
    pub mod quantity;
}

/// What every process of ours needs.
pub mod process {
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
    pub mod runner;
    pub mod signals;
    pub mod teardown;
    pub mod telemetry;
    pub mod writes;
}

/// Serving to the API server and to scrapers over TLS.
pub mod webhook {
    pub mod authority;
    mod body;
    pub mod clients;
    mod connections;
    pub mod endpoint;
    mod exchange;
    pub mod handshake;
    pub mod identity;
    pub mod review;
    pub mod rollover;
    pub mod server;
    mod socket;
    pub mod store;
    pub mod tls;
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
    pub(crate) mod explain;
    mod feed;
    pub(crate) mod findings;
    pub(crate) mod forecast;
    #[cfg(any(test, fuzzing))]
    pub mod fuzzing;
    mod judge;
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
    #[cfg(test)]
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

pub mod app;

/// The user's verbs.
pub mod cli {
    pub mod arguments;
    pub mod certs;
    pub mod explain;
    mod files;
    pub mod lint;
    pub mod print;
    pub mod table;
    pub mod teardown;
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
}
