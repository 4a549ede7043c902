//! Who may take part in a node, and who may hold it. Pure: what stands in the Leases, and what is known of those who stand there.

use crate::node::lease::book::{Book, Reference, Root, Seat, lease_name, named};
use std::collections::{BTreeMap, BTreeSet};

/// A move that is not over.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Move {
    /// As it stands in a Lease.
    pub seat: Seat,
    /// Where it takes part, if it has begun. One that has not may have a seat: whoever was about to begin it died, or is at it.
    pub nodes: Vec<String>,
}

/// What is known beside what the Leases say, and was read after them.
#[derive(Debug, Clone, Copy)]
pub struct Known<'a> {
    /// Every move that is not over.
    pub moves: &'a [Move],
    /// Uids of roots whose objects are gone. What nobody could find out is not among them.
    pub gone: &'a BTreeSet<String>,
    /// Leases that cannot be read, and why.
    pub unreadable: &'a BTreeMap<String, String>,
}

/// What a move asks for.
#[derive(Debug, Clone, Copy)]
pub struct Claim<'a> {
    /// Who it is.
    pub seat: &'a Seat,
    /// Where it is to take part.
    pub nodes: [&'a str; 2],
    /// So many may take part in one node.
    pub most: usize,
}

/// Nodes that are not to be had, each with what it is to say of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Held(BTreeMap<String, String>);

impl Held {
    /// By whom this one is held.
    #[must_use]
    pub fn why(&self, node: &str) -> Option<&str> {
        self.0.get(&lease_name(node)).map(String::as_str)
    }
}

/// What the Leases keep from whoever runs under this root, if under any.
#[must_use]
pub fn held(books: &[Book], under: Option<&str>, known: Known<'_>) -> Held {
    let unreadable = known.unreadable.iter();
    let unreadable = unreadable.map(|(lease, why)| {
        let why = format!("has a Lease that cannot be read ({lease}: {why}); delete it");
        (lease.clone(), why)
    });
    let held = books.iter().filter_map(|book| {
        let root = book.root.as_ref()?;
        let is_gone = root.uid().is_some_and(|uid| known.gone.contains(uid));
        let is_its = root.uid().is_some() && root.uid() == under;
        let why = format!("is held by {}", root.said());
        (!is_gone && !is_its).then(|| (lease_name(&book.node), why))
    });
    Held(unreadable.chain(held).collect())
}

/// What the Leases are to say, so that a move may begin; of those that need not change, as they are. To ask for what one has changes
/// nothing.
///
/// # Errors
/// Whom it waits for, as a sentence.
pub fn claim(claim: Claim<'_>, books: &[Book], known: Known<'_>) -> Result<Vec<Book>, String> {
    let Claim { seat, nodes, most } = claim;
    let held = held(books, seat.under.as_deref(), known);
    let is_mine = |one: &Seat| one.uid == seat.uid;
    let is_asked_for = |book: &Book| nodes.contains(&book.node.as_str());
    let missing = nodes
        .into_iter()
        .filter(|node| books.iter().all(|book| book.node != **node));
    let missing: BTreeSet<_> = missing.collect();
    let blank: Vec<_> = missing.into_iter().map(Book::blank).collect();
    let mut next: Vec<_> = books
        .iter()
        .chain(&blank)
        .map(|book| tidied(book, known))
        .collect();
    for node in nodes {
        if let Some(why) = held.why(node) {
            return Err(format!("node {node} {why}, which goes first"));
        }
        let here = next.iter().filter(|book| book.node == node);
        let others = here
            .flat_map(|book| &book.seats)
            .filter(|one| !is_mine(one));
        let others: Vec<_> = others.collect();
        if others.len() >= most {
            let (count, names) = (others.len(), named(others));
            return Err(format!(
                "node {node} takes part in {count} other Migrations ({names}), which go first: --moves-per-node"
            ));
        }
    }
    for book in &mut next {
        if !is_asked_for(book) {
            book.seats.retain(|one| !is_mine(one));
        } else if !book.seats.contains(seat) {
            book.seats.retain(|one| !is_mine(one));
            book.seats.push(seat.clone());
        }
    }
    Ok(next)
}

/// Without what is over, and with every move that has begun: what was lost of a Lease is found again.
#[must_use]
pub fn tidied(book: &Book, known: Known<'_>) -> Book {
    let is_here = |one: &Move| one.nodes.contains(&book.node);
    let is_open = |seat: &&Seat| {
        let found = known.moves.iter().find(|one| one.seat.uid == seat.uid);
        found.is_some_and(|one| one.nodes.is_empty() || is_here(one))
    };
    let is_gone = |root: &Root| root.uid().is_some_and(|uid| known.gone.contains(uid));
    let mut seats: Vec<_> = book.seats.iter().filter(is_open).cloned().collect();
    for one in known.moves.iter().filter(|one| is_here(one)) {
        if seats.iter().all(|seat| seat.uid != one.seat.uid) {
            seats.push(one.seat.clone());
        }
    }
    Book {
        node: book.node.clone(),
        root: book.root.clone().filter(|root| !is_gone(root)),
        seats,
    }
}

/// Without this move.
#[must_use]
pub fn left(book: &Book, uid: &str) -> Book {
    let mut next = book.clone();
    next.seats.retain(|seat| seat.uid != uid);
    next
}

/// A node that a root operation holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Taken {
    /// What the Lease is to say.
    pub book: Book,
    /// Moves that were there before, and that it did not cause: until they are over it does nothing to the node. No more come.
    pub waits_for: Vec<Seat>,
}

/// What the Lease is to say, so that a root operation holds the node; where it does already, the same.
///
/// # Errors
/// Whom it waits for, as a sentence.
pub fn take(root: &Reference, book: &Book, known: Known<'_>) -> Result<Taken, String> {
    let node = &book.node;
    let held = held(std::slice::from_ref(book), Some(&root.uid), known);
    if let Some(why) = held.why(node) {
        return Err(format!("node {node} {why}, which goes first"));
    }
    let book = Book {
        root: Some(Root::Object(root.clone())),
        ..tidied(book, known)
    };
    let is_foreign = |seat: &&Seat| seat.under.as_ref() != Some(&root.uid);
    let waits_for = book.seats.iter().filter(is_foreign).cloned().collect();
    Ok(Taken { book, waits_for })
}

/// What it is to say when a root operation is done with the node.
#[must_use]
pub fn given_back(uid: &str, book: &Book) -> Book {
    let mut next = book.clone();
    next.root = next.root.filter(|root| root.uid() != Some(uid));
    next
}

#[cfg(test)]
mod tests;
