//! Questions to the API server, each asked once: whoever asks the same meanwhile waits for the same answer, and an answer is
//! remembered for a moment. Bounded in every way: how long a question may take, how many are open, how many answers are remembered.

use super::Found;
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{Semaphore, watch};
use tokio::time::Instant;

/// How long it is remembered that something is not there.
const ABSENT: Duration = Duration::from_secs(1);
/// How long an object is remembered: the watch has it by then. The mirror counts more, so this is seldom read.
const THERE: Duration = Duration::from_secs(3);
/// So many answers are remembered; then the oldest goes. Whoever asks for endless names fills no memory.
const MOST: usize = 1024;

/// What is asked.
pub(super) struct Question<V> {
    pub(super) key: String,
    /// The object has to be at least this new; where that is not known, the least number.
    pub(super) generation: i64,
    /// How new an object is, in the same count.
    pub(super) generation_of: fn(&V) -> i64,
    /// How many objects of the kind went so far, as far as is known: an older answer may be of one of them.
    pub(super) removals: u64,
}

/// Answers, and questions that are still open.
pub(super) struct Asked<V>(Mutex<Memory<V>>);

struct Memory<V> {
    entries: HashMap<Arc<str>, Entry<V>>,
    order: VecDeque<Arc<str>>,
}

struct Entry<V> {
    answer: Pending<V>,
    since: Instant,
    generation: i64,
    removals: u64,
}

/// Nothing, until there is an answer.
type Pending<V> = watch::Receiver<Option<Found<V>>>;

enum Look<V> {
    Known(Found<V>),
    /// And the generation that was asked for.
    Open(Pending<V>, i64),
    NoSeat,
}

impl<V> Default for Asked<V> {
    fn default() -> Self {
        Self(Mutex::new(Memory {
            entries: HashMap::new(),
            order: VecDeque::new(),
        }))
    }
}

impl<V: Send + Sync + 'static> Asked<V> {
    /// The answer, from memory or from whoever is asking already; else `get` is called, if there is a seat for it. What was begun goes
    /// on when its asker goes: others may wait for it.
    pub(super) async fn ask<F>(
        &self,
        question: Question<V>,
        seats: &Arc<Semaphore>,
        deadline: Instant,
        get: impl Fn() -> F,
    ) -> Found<V>
    where
        F: Future<Output = Found<V>> + Send + 'static,
    {
        loop {
            let (mut answer, generation) = match self.look(&question, seats, &get) {
                Look::Known(found) => return found,
                Look::Open(answer, generation) => (answer, generation),
                Look::NoSeat => return Found::Unknown("busy"),
            };
            let waited = tokio::time::timeout_at(deadline, answer.wait_for(Option::is_some)).await;
            let found = match waited {
                Ok(Ok(found)) => found.clone().unwrap_or(Found::Unknown("ended")),
                Ok(Err(_ended)) => Found::Unknown("ended"),
                Err(_elapsed) => Found::Unknown("timed_out"),
            };
            match found {
                // Somebody else had asked for an older one, and got it.
                Found::There(view)
                    if generation < question.generation && !question.suits(&view) => {}
                found => return found,
            }
        }
    }

    #[cfg(test)]
    pub(super) fn remembered(&self) -> usize {
        self.0.lock().unwrap().entries.len()
    }

    fn look<F>(
        &self,
        question: &Question<V>,
        seats: &Arc<Semaphore>,
        get: &impl Fn() -> F,
    ) -> Look<V>
    where
        F: Future<Output = Found<V>> + Send + 'static,
    {
        let mut memory = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = memory.entries.get(question.key.as_str());
        if let Some(look) = entry.and_then(|entry| entry.look(question)) {
            return look;
        }
        let Ok(seat) = Arc::clone(seats).try_acquire_owned() else {
            return Look::NoSeat;
        };
        let (teller, answer) = watch::channel(None);
        memory.insert(
            &question.key,
            Entry {
                answer: answer.clone(),
                since: Instant::now(),
                generation: question.generation,
                removals: question.removals,
            },
        );
        drop(memory);
        let asking = get();
        tokio::spawn(async move {
            let found = asking.await;
            drop(seat);
            teller.send_replace(Some(found));
        });
        Look::Open(answer, question.generation)
    }
}

impl<V> Memory<V> {
    fn insert(&mut self, key: &str, entry: Entry<V>) {
        let key = Arc::<str>::from(key);
        if self.entries.insert(Arc::clone(&key), entry).is_none() {
            self.order.push_back(key);
        }
        if self.order.len() > MOST
            && let Some(oldest) = self.order.pop_front()
        {
            self.entries.remove(&oldest);
        }
    }
}

impl<V> Entry<V> {
    /// Nothing where it has to be asked again.
    fn look(&self, question: &Question<V>) -> Option<Look<V>> {
        let age = self.since.elapsed();
        let answer = self.answer.borrow();
        let is_known = match &*answer {
            None => {
                let is_open = self.answer.has_changed().is_ok();
                return is_open.then(|| Look::Open(self.answer.clone(), self.generation));
            }
            Some(Found::There(view)) => {
                // One that is older than was asked for is all there is, if as new a one was asked for a moment ago.
                let is_new_enough = question.suits(view)
                    || (self.generation >= question.generation && age < ABSENT);
                is_new_enough && age < THERE && self.removals == question.removals
            }
            Some(Found::Absent) => age < ABSENT,
            // A fault is told to whoever waited for it, and not remembered.
            Some(Found::Unknown(_)) => false,
        };
        let found = answer.clone().filter(|_| is_known);
        found.map(Look::Known)
    }
}

impl<V> Question<V> {
    fn suits(&self, view: &V) -> bool {
        (self.generation_of)(view) >= self.generation
    }
}
