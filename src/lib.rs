//! Holdfast keeps a Kubernetes workload's share and state while the nodes beneath it change.
//!
//! This page is the map. An import points down, never up, and never sideways except within a module or to another slice's `api`;
//! `tests/architecture.rs` holds it.
//!
//! ```text
//! 4 mains    main.rs
//! 3 edge     app (the one table of CRDs and controllers)   cli (the user's verbs)
//! 2 slices   sizing
//! 1 ground   process (flags, telemetry, leader, runner, clients, writes, teardown)   webhook (TLS)
//! 0 kit      names  conditions  events  error  quantity
//! ```

/// Values and rules that know no process and no cluster.
pub mod kit {
    pub mod conditions;
    pub mod error;
    pub mod events;
    pub mod names;
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
    pub mod endpoint;
    pub mod review;
    pub mod tls;
}

/// Shares: `DaemonSet` pods get a part of the node that they land on.
pub mod sizing {
    mod admission;
    mod amounts;
    pub mod api;
    mod crowd;
    mod desire;
    mod findings;
    #[cfg(any(test, fuzzing))]
    pub mod fuzzing;
    mod judge;
    mod landing;
    mod load;
    mod notes;
    mod patch;
    mod plan;
    mod pod;
    mod recipe;
    pub(crate) mod reconcile;
    mod rules;
    mod share;
    mod split;
    #[cfg(any(test, fuzzing))]
    mod testkit;
    mod view;
}

pub mod app;

/// The user's verbs.
pub mod cli {
    pub mod arguments;
    pub mod print;
    pub mod teardown;
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
