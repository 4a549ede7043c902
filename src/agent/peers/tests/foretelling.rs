//! Memory is sent while its program runs, and what is dumped in the end is another one a little.

use super::ahead::{MEMORY, are_equal, noted, part};
use super::lab::{GENERATION, Lab, OPERATION};
use crate::agent::peers::foretelling::{Laid, Told};
use crate::agent::peers::way::Way;
use crate::agent::store::ahead::Ahead;
use crate::agent::store::foretold::{Foretold, Guess};
use crate::agent::store::only_grows;
use crate::engine::dump::pages::{Process, processes, spans};
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

const NOISE: usize = 5_000_000;

type Change = dyn Fn(&mut Vec<u8>);

/// A program that has noise in its memory, and does nothing.
struct Program(Child);

impl Program {
    fn new() -> Option<Self> {
        let mut tail = Command::new("tail");
        tail.args(["-c", &NOISE.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::null());
        let mut program = Self(tail.spawn().unwrap());
        let noise = (0..NOISE).map(|at| (at.wrapping_mul(at) >> 7).to_le_bytes()[0]);
        let stdin = program.0.stdin.as_mut().unwrap();
        stdin.write_all(&noise.collect::<Vec<_>>()).unwrap();
        if let Err(error) = File::open(program.process().path("mem")) {
            eprintln!("skipped: nobody may read the memory of another process: {error}");
            return None;
        }
        // It may read the last of it still.
        let (mut before, mut now) = (Vec::new(), program.memory());
        while now.len() < NOISE || before != now {
            std::thread::yield_now();
            before = std::mem::replace(&mut now, program.memory());
        }
        Some(program)
    }

    fn process(&self) -> Process {
        let all = processes(self.0.id().cast_signed(), "").unwrap();
        all.into_iter().next().unwrap().0
    }

    fn laid(&self) -> Vec<Laid> {
        vec![Laid {
            path: MEMORY.into(),
            process: self.process(),
        }]
    }

    /// As CRIU would write it.
    fn memory(&self) -> Vec<u8> {
        let memory = File::open(self.process().path("mem")).unwrap();
        let mut all = Vec::new();
        for span in spans(&self.process()).unwrap() {
            let mut bytes = vec![0; usize::try_from(span.bytes).unwrap()];
            memory.read_exact_at(&mut bytes, span.address).unwrap();
            all.extend(bytes);
        }
        all
    }

    /// Changes so many pages of its noise, none of which is near another.
    fn change(&self, pages: u64) {
        let mut options = OpenOptions::new();
        let memory = options.read(true).write(true);
        let memory = memory.open(self.process().path("mem")).unwrap();
        let spans = spans(&self.process()).unwrap();
        let largest = spans.iter().max_by_key(|span| span.bytes).unwrap();
        let first = largest.address.wrapping_add(largest.bytes / 4);
        for page in 0..pages {
            let at = first.wrapping_add(page.wrapping_mul(8 * 4096));
            let mut byte = [0];
            memory.read_exact_at(&mut byte, at).unwrap();
            memory.write_all_at(&[byte[0] ^ 1], at).unwrap();
        }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _killed = self.0.kill();
        let _waited = self.0.wait();
    }
}

async fn tell(way: &mut Way, guess: Guess, program: &Program) -> Told {
    let enough = CancellationToken::new();
    let which = (OPERATION, GENERATION);
    way.foretell(which, guess, program.laid(), &enough).await
}

/// It is dumped as it was foretold, or not, and is the same on both nodes. How many bytes of memory were sent for that at the end.
async fn goes(lab: &Lab, way: &mut Way, guess: Guess, dumped: &[u8]) -> u64 {
    let (generation, is_over) = (part(lab), CancellationToken::new());
    std::fs::write(generation.part().join(MEMORY), dumped).unwrap();
    let foretold = Arc::new(Foretold::new(guess));
    let mut ahead = Ahead::of_foretold(generation.part(), Some(Arc::clone(&foretold)));
    ahead.catch_up(only_grows).unwrap();
    let differs = foretold.waiting(MEMORY);
    is_over.cancel();
    let begun = way
        .send_ahead(OPERATION, &generation, Some(foretold), &is_over)
        .await
        .unwrap();
    let noted = noted(&generation, ahead);
    let sent = way
        .send_on((OPERATION, GENERATION), &noted, Some(begun))
        .await
        .unwrap();
    assert_eq!(sent.bytes, 100, "what was sent ahead is not sent again");
    are_equal(lab, &generation);
    differs
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_told_is_not_sent_again_and_what_changed_is() {
    let Some(program) = Program::new() else {
        return;
    };
    let lab = Lab::new().await;
    let mut way = lab.way();
    let told = tell(&mut way, Guess::new().unwrap(), &program).await;
    let before = program.memory();
    assert_eq!(told.sent.unwrap(), u64::try_from(before.len()).unwrap());
    let there = std::fs::read(lab.at_target().incoming().join(MEMORY)).unwrap();
    assert!(there == before, "it is there as it is here");
    let told = tell(&mut way, told.guess, &program).await;
    assert_eq!(told.sent.unwrap(), 0);
    program.change(1);
    let told = tell(&mut way, told.guess, &program).await;
    assert_eq!(told.sent.unwrap(), 4096);
    program.change(1);
    let now = program.memory();
    assert_eq!(goes(&lab, &mut way, told.guess, &now).await, 4096);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_came_out_longer_shorter_or_otherwise_is_what_was_dumped() {
    let Some(program) = Program::new() else {
        return;
    };
    let memory = program.memory();
    let changes: [&Change; 5] = [
        &|memory| memory.truncate(3 << 20),
        &|memory| memory.truncate((3 << 20) + 4096),
        &|memory| memory.extend(vec![7; (2 << 20) + 8192]),
        &|memory| drop(memory.splice(4096..4096, vec![7; 4096])),
        &|memory| memory.clear(),
    ];
    for change in changes {
        let lab = Lab::new().await;
        let mut way = lab.way();
        let told = tell(&mut way, Guess::new().unwrap(), &program).await;
        let mut dumped = memory.clone();
        change(&mut dumped);
        goes(&lab, &mut way, told.guess, &dumped).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_on_a_wire_that_was_cut_is_told_again() {
    let Some(program) = Program::new() else {
        return;
    };
    let lab = Lab::new().await;
    let mut way = lab.way();
    let told = tell(&mut way, Guess::new().unwrap(), &program).await;
    program.change(60);
    lab.cut_after(100_000);
    let mut way = lab.way();
    let told = tell(&mut way, told.guess, &program).await;
    assert!(told.sent.is_err());
    lab.cut_after(u64::MAX);
    let mut way = lab.way();
    let told = tell(&mut way, told.guess, &program).await;
    let sent = told.sent.unwrap();
    assert!(
        sent > 60 * 4096,
        "what of their blocks is there nobody knows: {sent}"
    );
    assert_eq!(goes(&lab, &mut way, told.guess, &program.memory()).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_target_that_has_lost_it_gets_all_of_it() {
    let Some(program) = Program::new() else {
        return;
    };
    let lab = Lab::new().await;
    let mut way = lab.way();
    let told = tell(&mut way, Guess::new().unwrap(), &program).await;
    lab.at_target().refuse_arrived().unwrap();
    program.change(1);
    let (generation, is_over) = (part(&lab), CancellationToken::new());
    std::fs::write(generation.part().join(MEMORY), program.memory()).unwrap();
    let foretold = Some(Arc::new(Foretold::new(told.guess)));
    let mut ahead = Ahead::of_foretold(generation.part(), foretold.clone());
    ahead.catch_up(only_grows).unwrap();
    is_over.cancel();
    let begun = way
        .send_ahead(OPERATION, &generation, foretold, &is_over)
        .await;
    let noted = noted(&generation, ahead);
    let sent = way.send_on((OPERATION, GENERATION), &noted, Some(begun.unwrap()));
    assert_eq!(sent.await.unwrap().bytes, 100, "all of it was sent ahead");
    are_equal(&lab, &generation);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_gone_is_told_nothing_of() {
    let Some(program) = Program::new() else {
        return;
    };
    let lab = Lab::new().await;
    let mut way = lab.way();
    let laid = program.laid();
    drop(program);
    let (which, enough) = ((OPERATION, GENERATION), CancellationToken::new());
    let guess = Guess::new().unwrap();
    let told = way.foretell(which, guess, laid, &enough).await;
    assert_eq!(told.sent, Ok(0));
    assert_eq!(told.guess.bytes(), 0);
}
