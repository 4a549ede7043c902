//! How an authority of ours gives way to the next without an API server ever meeting a certificate that it cannot verify. Pure: what
//! was seen and the time go in, the next step comes out, or nothing.
//!
//! ```text
//!             signs        API servers trust          next step
//!  1          current      current                    two thirds of its life are over, or asked: make the next  Prepare
//!  2          current      current                    the next one is trusted too, everywhere                  Publish
//!  3          current      current + next             seen in every configuration: write down when             Announce
//!  4          current      current + next             the grace is over: all API servers have heard of it      Promote
//!  5          next         retired + next             all that the retired one signed has run out              Publish
//!  6          next         next                       seen in every configuration                              Forget
//!  1          next         next
//! ```
//!
//! All of the state is in one Secret and in the configurations themselves. Whoever dies between two steps is followed by somebody who
//! sees the same, and does the same.

use crate::webhook::authority::Authority;
use jiff::Timestamp;
use std::collections::BTreeSet;
use std::time::Duration;

/// A certificate's bytes.
pub type Der = Vec<u8>;

/// The authorities of one installation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authorities {
    /// Signs.
    pub current: Authority,
    /// Will sign.
    pub next: Option<Next>,
    /// Signed.
    pub retired: Option<Retired>,
    /// Somebody asks for a new one now.
    pub is_asked: bool,
}

/// The authority that comes next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Next {
    /// Certificate and key.
    pub authority: Authority,
    /// Since when every configuration has it.
    pub announced: Option<Timestamp>,
}

/// Authorities that sign no more; their keys are gone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Retired {
    /// Their certificates, in PEM form.
    pub certificates: String,
    /// Since when the last of them signs no more.
    pub since: Timestamp,
}

/// What was seen.
pub struct Seen<'a> {
    /// In the Secret.
    pub authorities: &'a Authorities,
    /// What API servers have to trust, whatever else they do: the authorities', and what is served from files.
    pub wanted: &'a BTreeSet<Der>,
    /// What the next authority's certificate is.
    pub next: Option<&'a Der>,
    /// What they trust, as the configurations say that are ours to write.
    pub trusted: &'a [BTreeSet<Der>],
    /// How long a leaf lives.
    pub leaf: Duration,
    /// How long all API servers are given to hear of a new authority.
    pub grace: Duration,
    /// The time.
    pub now: Timestamp,
}

/// What to do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Make the authority that comes next.
    Prepare,
    /// Write what API servers have to trust into every configuration that says otherwise.
    Publish,
    /// Write down that every configuration has the next authority.
    Announce,
    /// Take that back: a configuration has lost it, or the clock was set back.
    Retract,
    /// The next authority signs from now on.
    Promote,
    /// Nobody needs the retired ones any more.
    Forget,
}

/// The next step, if there is one.
#[must_use]
pub fn plan(seen: &Seen<'_>) -> Option<Step> {
    let Seen {
        authorities,
        leaf,
        grace,
        now,
        ..
    } = *seen;
    if let Some(Next {
        announced: Some(announced),
        ..
    }) = authorities.next
        && (announced > now || !is_trusted_everywhere(seen))
    {
        return Some(Step::Retract);
    }
    if seen.trusted.iter().any(|trusted| trusted != seen.wanted) {
        return Some(Step::Publish);
    }
    if let Some(next) = &authorities.next {
        return match next.announced {
            None => Some(Step::Announce),
            Some(announced) => may_sign(announced, seen).then_some(Step::Promote),
        };
    }
    if authorities.retired.is_some() && !authorities.needs_retired(leaf, grace, now) {
        return Some(Step::Forget);
    }
    let is_due = now >= authorities.current.validity().renewal();
    (is_due || authorities.is_asked).then_some(Step::Prepare)
}

fn is_trusted_everywhere(seen: &Seen<'_>) -> bool {
    seen.next
        .is_some_and(|next| seen.trusted.iter().all(|trusted| trusted.contains(next)))
}

/// An authority that is over helps nobody: then the next one need not wait.
fn may_sign(announced: Timestamp, seen: &Seen<'_>) -> bool {
    let is_over = !seen.authorities.current.validity().holds(seen.now);
    is_over || since(announced, seen.now) >= seen.grace
}

fn since(then: Timestamp, now: Timestamp) -> Duration {
    now.duration_since(then).try_into().unwrap_or_default()
}

impl Authorities {
    /// The first authority.
    #[must_use]
    pub fn of(current: Authority) -> Self {
        Self {
            current,
            next: None,
            retired: None,
            is_asked: false,
        }
    }

    /// With an authority that comes next.
    #[must_use]
    pub fn prepared(mut self, authority: Authority) -> Self {
        self.next = Some(Next {
            authority,
            announced: None,
        });
        self.is_asked = false;
        self
    }

    /// With the time since when every configuration has the next one; none takes it back.
    #[must_use]
    pub fn announced(mut self, announced: Option<Timestamp>) -> Self {
        if let Some(next) = &mut self.next {
            next.announced = announced;
        }
        self
    }

    /// With the next one in the place of the current one.
    #[must_use]
    pub fn promoted(mut self, now: Timestamp) -> Self {
        let Some(next) = self.next.take() else {
            return self;
        };
        let former = std::mem::replace(&mut self.current, next.authority);
        let mut certificates = former.certificate().to_owned();
        if let Some(retired) = self.retired {
            certificates.push_str(&retired.certificates);
        }
        self.retired = Some(Retired {
            certificates,
            since: now,
        });
        self
    }

    /// Without the retired ones.
    #[must_use]
    pub fn forgetting(mut self) -> Self {
        self.retired = None;
        self
    }

    /// Whether something that a retired one signed may still be served. Whoever did not hear of the change at once may have signed a
    /// little longer.
    fn needs_retired(&self, leaf: Duration, grace: Duration, now: Timestamp) -> bool {
        let retired = self.retired.as_ref();
        retired.is_some_and(|retired| since(retired.since, now) < leaf.saturating_add(grace))
    }

    /// The certificates that API servers have to trust now, in PEM form, the one that signs first.
    #[must_use]
    pub fn trusted(&self, leaf: Duration, grace: Duration, now: Timestamp) -> String {
        let mut needed = self.clone();
        if !self.needs_retired(leaf, grace, now) {
            needed.retired = None;
        }
        needed.certificates()
    }

    /// All certificates, in PEM form.
    #[must_use]
    pub fn certificates(&self) -> String {
        let next = self.next.iter().map(|next| next.authority.certificate());
        let retired = self.retired.iter().map(|retired| &*retired.certificates);
        let current = [self.current.certificate()].into_iter();
        // Each is a text of whole lines.
        current.chain(next).chain(retired).collect()
    }
}

#[cfg(test)]
mod tests;
