//! The nodes that a Migration takes part in: it begins when it stands in the Leases of both, and is in neither when it is over.

use super::Pass;
use crate::kit::error::{Error, chain};
use crate::migration::api::Journey;
use crate::migration::seats::{moves, seat};
use crate::migration::turns::{Turn, open_journey, turn};
use crate::node::lease::book::Book;
use crate::node::lease::desk::Ledger;
use crate::node::lease::plan::{Claim, claim, left};
use kube::ResourceExt;

/// Whether a Migration may begin, and what is to be written before it does.
pub(super) struct Seating {
    pub(super) turn: Turn,
    ledger: Ledger,
    next: Vec<Book>,
}

impl Pass<'_> {
    /// Looks at everybody else.
    pub(super) async fn seating(&self, journey: &Journey) -> Result<Seating, Error> {
        let context = self.context;
        // Before the Migrations: whoever stands there and is not among those is gone.
        let ledger = context.desk.ledger().await?;
        let all = self.eyes.all_migrations().await?;
        let mut turn = turn(&self.operation(), journey, &all, context.limits);
        let mut next = Vec::new();
        if turn == Turn::Now {
            let seat = seat(self.migration);
            let asked = Claim {
                seat: &seat,
                nodes: [&journey.source_node, &journey.target_node],
                most: usize::from(context.limits.moves_per_node),
            };
            match claim(asked, &ledger.books, ledger.known(&moves(&all))) {
                Ok(books) => next = books,
                Err(why) => turn = Turn::Later(why),
            }
        }
        Ok(Seating { turn, ledger, next })
    }

    /// Takes them. Whoever dies before it is written that this Migration has begun leaves a seat that its next pass takes, or gives back.
    pub(super) async fn sit(&self, seating: &Seating) -> Result<(), Error> {
        let desk = &self.context.desk;
        desk.write(&seating.ledger, &seating.next).await
    }

    /// Gives them back, if it has not begun, or is over. Only one with our finalizer has any.
    pub(super) async fn rise(&self) -> Result<(), Error> {
        if !self.is_held() {
            return Ok(());
        }
        let desk = &self.context.desk;
        let ledger = desk.ledger().await?;
        let own = self.operation();
        let books = ledger.books.iter();
        let mine = books.filter(|book| book.seats.iter().any(|seat| seat.uid == own));
        let next: Vec<_> = mine.map(|book| left(book, &own)).collect();
        if next.is_empty() || self.has_begun().await? {
            return Ok(());
        }
        desk.write(&ledger, &next).await
    }

    /// What this pass was given may be older than what the last one wrote: a watch tells of it a moment later.
    async fn has_begun(&self) -> Result<bool, Error> {
        let now = self.eyes.migration(&self.migration.name_any()).await?;
        let now = now.filter(|now| now.uid() == self.migration.uid());
        Ok(now.is_some_and(|now| open_journey(&now).is_some()))
    }

    /// The same at the end. That it cannot be written keeps no Migration from going: a seat of one that is over is struck out.
    pub(super) async fn rise_at_last(&self) -> Result<(), Error> {
        // Others of ours that begin or end meanwhile write the same Leases.
        let _turns = self.context.beginning.lock().await;
        match self.rise().await {
            Err(error) if error.is_refused() => {
                tracing::warn!(error = %chain(&error), "a seat on a node is not given back");
                Ok(())
            }
            done => done,
        }
    }
}
