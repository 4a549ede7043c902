//! Who comes first, who waits, and what is found again.

use super::*;
use crate::node::lease::samples::{root, seat};

fn under(name: &str, root: &str) -> Seat {
    Seat {
        under: Some(root.into()),
        ..seat(name)
    }
}

fn book(node: &str, holder: Option<&str>, seats: &[&str]) -> Book {
    Book {
        node: node.into(),
        root: holder.map(|name| Root::Object(root(name))),
        seats: seats.iter().map(|name| seat(name)).collect(),
    }
}

/// A world in which all of these are not over, and these roots are gone.
#[derive(Default)]
struct World {
    moves: Vec<Move>,
    gone: BTreeSet<String>,
    unreadable: BTreeMap<String, String>,
}

impl World {
    fn of(moves: &[(&str, &[&str])]) -> Self {
        let moves = moves.iter().map(|(name, nodes)| Move {
            seat: seat(name),
            nodes: nodes.iter().map(|node| (*node).to_owned()).collect(),
        });
        Self {
            moves: moves.collect(),
            ..Self::default()
        }
    }

    fn known(&self) -> Known<'_> {
        Known {
            moves: &self.moves,
            gone: &self.gone,
            unreadable: &self.unreadable,
        }
    }

    fn claim(&self, mine: &Seat, nodes: [&str; 2], books: &[Book]) -> Result<Vec<Book>, String> {
        let asked = Claim {
            seat: mine,
            nodes,
            most: 2,
        };
        claim(asked, books, self.known())
    }
}

#[test]
fn a_seat_is_taken_on_both_nodes_and_asking_again_changes_nothing() {
    let world = World::of(&[("m", &[])]);
    let taken = world.claim(&seat("m"), ["a", "b"], &[]).unwrap();
    assert_eq!(taken, [book("a", None, &["m"]), book("b", None, &["m"])]);
    let again = world.claim(&seat("m"), ["a", "b"], &taken).unwrap();
    assert_eq!(again, taken);
}

#[test]
fn it_waits_where_so_many_take_part_and_says_who_they_are() {
    let world = World::of(&[("m", &[]), ("x", &["b", "c"]), ("y", &["b"])]);
    let full = [book("b", None, &["x", "y"])];
    let why = world.claim(&seat("m"), ["a", "b"], &full).unwrap_err();
    assert!(
        why.starts_with("node b ") && why.contains("(apps/x, apps/y)"),
        "{why}"
    );
    // What one of them wrote was lost: that it has begun counts all the same, and is written again.
    let lost = [book("b", None, &["y"])];
    assert!(world.claim(&seat("m"), ["a", "b"], &lost).is_err());
    assert!(world.claim(&seat("m"), ["a", "b"], &[]).is_err());
    let found = world.claim(&seat("m"), ["a", "c"], &[]).unwrap();
    assert_eq!(found[1], book("c", None, &["x", "m"]));
    // Its own seat, from before somebody died, is none of the others'.
    let own = [book("b", None, &["m", "x"])];
    let fewer = World::of(&[("m", &[]), ("x", &["b", "c"])]);
    assert!(fewer.claim(&seat("m"), ["a", "b"], &own).is_ok());
}

#[test]
fn seats_of_moves_that_are_over_or_gone_are_free() {
    let world = World::of(&[("m", &[]), ("new", &[]), ("far", &["c", "d"])]);
    let stale = book("b", None, &["gone", "new", "far"]);
    let next = world.claim(&seat("m"), ["a", "b"], &[stale]).unwrap();
    assert_eq!(next[0], book("b", None, &["new", "m"]));
}

#[test]
fn a_seat_on_a_node_that_was_meant_before_is_given_back() {
    let world = World::of(&[("m", &[])]);
    let before = [book("a", None, &["m"]), book("b", None, &["m"])];
    let next = world.claim(&seat("m"), ["a", "c"], &before).unwrap();
    assert_eq!(
        next,
        [
            book("a", None, &["m"]),
            book("b", None, &[]),
            book("c", None, &["m"])
        ]
    );
}

#[test]
fn a_root_that_is_there_goes_first_and_one_that_is_gone_is_struck_out() {
    let mut world = World::of(&[("m", &[])]);
    let books = [book("a", Some("op"), &[])];
    for nodes in [["a", "b"], ["b", "a"]] {
        let why = world.claim(&seat("m"), nodes, &books).unwrap_err();
        assert_eq!(why, "node a is held by NodeOp ops/op, which goes first");
    }
    assert_eq!(
        held(&books, None, world.known()).why("a"),
        Some("is held by NodeOp ops/op")
    );
    assert_eq!(held(&books, None, world.known()).why("b"), None);
    world.gone.insert("op".into());
    assert_eq!(held(&books, None, world.known()), Held::default());
    let next = world.claim(&seat("m"), ["a", "b"], &books).unwrap();
    assert_eq!(next[0], book("a", None, &["m"]));
}

#[test]
fn what_a_root_causes_runs_under_it_and_not_under_another() {
    let world = World::of(&[("m", &[])]);
    let books = [book("a", Some("op"), &[])];
    let mine = under("m", "op");
    let next = world.claim(&mine, ["a", "b"], &books).unwrap();
    assert_eq!(next[0].root, books[0].root);
    assert_eq!(next[0].seats, [mine]);
    let other = under("m", "other");
    assert!(world.claim(&other, ["a", "b"], &books).is_err());
}

#[test]
fn nobody_can_show_that_somebody_is_gone() {
    let mut world = World::of(&[("m", &[])]);
    let mut books = [book("a", None, &[])];
    books[0].root = Some(Root::Somebody("alice".into()));
    world.gone.insert("alice".into());
    let why = world.claim(&seat("m"), ["a", "b"], &books).unwrap_err();
    assert!(why.contains("held by alice"), "{why}");
    assert!(take(&root("op"), &books[0], world.known()).is_err());
    assert_eq!(tidied(&books[0], world.known()), books[0]);
}

#[test]
fn a_lease_that_cannot_be_read_is_not_taken_for_none() {
    let mut world = World::of(&[("m", &[])]);
    let lease = lease_name("b");
    world.unreadable.insert(lease.clone(), "why".into());
    let why = world.claim(&seat("m"), ["a", "b"], &[]).unwrap_err();
    assert!(why.contains(&lease) && why.contains("delete it"), "{why}");
    assert!(held(&[], None, world.known()).why("b").is_some());
    let blank = Book::blank("b");
    assert!(take(&root("op"), &blank, world.known()).is_err());
}

#[test]
fn a_root_holds_a_node_at_once_and_waits_for_the_moves_that_were_there() {
    let world = World::of(&[("x", &["a", "b"]), ("own", &["a", "b"])]);
    let mut before = book("a", None, &["x", "over"]);
    before.seats.push(under("own", "op"));
    let taken = take(&root("op"), &before, world.known()).unwrap();
    assert_eq!(taken.waits_for, [seat("x")]);
    // No more come.
    let books = [taken.book.clone()];
    assert!(world.claim(&seat("new"), ["a", "c"], &books).is_err());
    // It may ask again; another may not.
    let again = take(&root("op"), &taken.book, world.known()).unwrap();
    assert_eq!(again, taken);
    let why = take(&root("other"), &taken.book, world.known()).unwrap_err();
    assert!(why.contains("NodeOp ops/op"), "{why}");
    // What is over frees it.
    let alone = World::of(&[("own", &["a", "b"])]);
    let free = take(&root("op"), &taken.book, alone.known()).unwrap();
    assert_eq!(free.waits_for, []);
}

#[test]
fn a_node_whose_holder_is_gone_is_taken_and_a_namesake_takes_nothing_for_granted() {
    let mut world = World::default();
    let before = book("a", Some("op"), &[]);
    // The same name, another uid.
    let namesake = Reference {
        uid: "op-2".into(),
        ..root("op")
    };
    assert!(take(&namesake, &before, world.known()).is_err());
    world.gone.insert("op".into());
    let taken = take(&namesake, &before, world.known()).unwrap();
    assert_eq!(taken.book.root, Some(Root::Object(namesake)));
}

#[test]
fn each_gives_back_its_own_and_no_more() {
    let before = book("a", Some("op"), &["m", "x"]);
    assert_eq!(left(&before, "m"), book("a", Some("op"), &["x"]));
    assert_eq!(left(&before, "y"), before);
    assert_eq!(given_back("op", &before), book("a", None, &["m", "x"]));
    assert_eq!(given_back("other", &before), before);
    assert!(left(&book("a", None, &["m"]), "m").is_blank());
}
