//! Reads and writes the Leases of nodes. What is written is written over what was read, or, where there was none, made: somebody who
//! was quicker is a 409, and all is looked at again.

use crate::kit::error::{Error, chain, unless_gone};
use crate::kit::names::LEASE_LABEL;
use crate::node::lease::book::{Book, Reference, Root, lease_name};
use crate::node::lease::plan::{Known, Move};
use crate::process::clock;
use crate::process::writes::{self, CALL_LIMIT, bounded};
use crate::write_steps;
use k8s_openapi::api::coordination::v1::Lease;
use kube::api::{ApiResource, DynamicObject, GroupVersionKind, ListParams};
use kube::{Api, Client, ResourceExt};
use std::collections::{BTreeMap, BTreeSet};

write_steps! {
    /// A node that nobody used is used.
    OPEN,
    /// One more, or one less, uses it.
    WRITE,
    /// Nobody uses it any more.
    CLOSE,
}

/// Every Lease of a node, as it was seen at one moment.
#[derive(Debug, Default)]
pub struct Ledger {
    /// What they say.
    pub books: Vec<Book>,
    leases: BTreeMap<String, Lease>,
    unreadable: BTreeMap<String, String>,
    gone: BTreeSet<String>,
}

impl Ledger {
    /// What is known, with the moves that are not over. They are to be read after the Leases: one that is not among them is gone then,
    /// and not yet to be seen.
    #[must_use]
    pub fn known<'a>(&'a self, moves: &'a [Move]) -> Known<'a> {
        Known {
            moves,
            gone: &self.gone,
            unreadable: &self.unreadable,
        }
    }

    fn add(&mut self, lease: Lease) {
        match Book::read(&lease) {
            Ok(book) => self.books.push(book),
            Err(why) => {
                self.unreadable.insert(lease.name_any(), why);
            }
        }
        self.leases.insert(lease.name_any(), lease);
    }
}

/// Reads and writes them, in our own namespace.
#[derive(Clone)]
pub struct Desk {
    client: Client,
    namespace: String,
}

impl Desk {
    /// Of an installation in this namespace.
    #[must_use]
    pub fn new(client: Client, namespace: &str) -> Self {
        Self {
            client,
            namespace: namespace.to_owned(),
        }
    }

    /// All Leases of nodes.
    #[must_use]
    pub fn leases(&self) -> Api<Lease> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    /// All that they say now, and which of their roots are gone.
    ///
    /// # Errors
    /// The API server's answer, or that none came in time.
    pub async fn ledger(&self) -> Result<Ledger, Error> {
        let (leases, ours) = (self.leases(), ListParams::default().labels(LEASE_LABEL));
        let what = format!("leases of nodes in {}", self.namespace);
        let listed = bounded(CALL_LIMIT, "list", what, leases.list(&ours)).await?;
        Ok(self.read(listed.items).await)
    }

    /// The same of one alone; nothing, where it is gone.
    ///
    /// # Errors
    /// The API server's answer, or that none came in time.
    pub async fn page(&self, lease: &str) -> Result<Ledger, Error> {
        let leases = self.leases();
        let what = format!("lease {}/{lease}", self.namespace);
        let found = bounded(CALL_LIMIT, "get", what, leases.get_opt(lease)).await?;
        Ok(self.read(found).await)
    }

    async fn read(&self, leases: impl IntoIterator<Item = Lease>) -> Ledger {
        let mut ledger = Ledger::default();
        for lease in leases {
            ledger.add(lease);
        }
        let roots = ledger.books.iter().filter_map(|book| match &book.root {
            Some(Root::Object(object)) => Some((object.uid.clone(), object.clone())),
            _ => None,
        });
        // One root may hold many nodes.
        let roots: BTreeMap<_, _> = roots.collect();
        for (uid, root) in roots {
            if self.is_gone(&root).await {
                ledger.gone.insert(uid);
            }
        }
        ledger
    }

    /// It was asked for, and is not there, or is another one of its name. Whoever cannot be asked about is there.
    async fn is_gone(&self, root: &Reference) -> bool {
        let (group, version) = match root.api_version.split_once('/') {
            Some((group, version)) => (group, version),
            None => ("", root.api_version.as_str()),
        };
        let kind = GroupVersionKind::gvk(group, version, &root.kind);
        let kind = ApiResource::from_gvk_with_plural(&kind, &root.plural);
        let api: Api<DynamicObject> = match &root.namespace {
            Some(namespace) => Api::namespaced_with(self.client.clone(), namespace, &kind),
            None => Api::all_with(self.client.clone(), &kind),
        };
        match bounded(CALL_LIMIT, "get", root.said(), api.get(&root.name)).await {
            Ok(found) => found.uid().as_ref() != Some(&root.uid),
            Err(error) if error.is_absence_of(&root.name) => true,
            Err(error) => {
                tracing::warn!(error = %chain(&error), "whether the holder of a node is gone cannot be found out");
                false
            }
        }
    }

    /// Writes what is not as it was read; a Lease in which nothing stands is deleted.
    ///
    /// # Errors
    /// The API server's answer, or that none came in time. A 409: somebody wrote first.
    pub async fn write(&self, seen: &Ledger, next: &[Book]) -> Result<(), Error> {
        for book in next {
            let name = lease_name(&book.node);
            let before = seen.leases.get(&name);
            let lease = book.written(before, &self.namespace, clock::now());
            match before {
                None if book.is_blank() => {}
                None => {
                    writes::create(&self.leases(), (&OPEN).into(), &lease).await?;
                }
                Some(before) if book.is_blank() => self.close(before).await?,
                Some(_) if seen.books.contains(book) => {}
                Some(_) => {
                    writes::replace(&self.leases(), (&WRITE).into(), &lease).await?;
                }
            }
        }
        Ok(())
    }

    /// Somebody may have come into it meanwhile: that is another version.
    async fn close(&self, lease: &Lease) -> Result<(), Error> {
        // Somebody may have begun to need it.
        unless_gone(writes::delete_as_seen(&self.leases(), (&CLOSE).into(), lease).await)
    }
}

#[cfg(test)]
mod tests;
