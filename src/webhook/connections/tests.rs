//! Who has a seat, who gives one up, and when.

use super::*;
use crate::process::telemetry::Telemetry;

const PATIENCE: Patience = Patience {
    most: 3,
    handshake: Duration::from_secs(5),
    head: Duration::from_secs(10),
    rest: Duration::from_secs(120),
    age: Duration::from_secs(600),
};

fn connections() -> Arc<Connections> {
    Arc::new(Connections::new(PATIENCE, Telemetry::default().webhooks))
}

fn connect(connections: &Arc<Connections>, doing: Doing) -> Option<Arc<Seat>> {
    let taken = connections.take(Instant::now())?;
    let seat = taken.seat();
    seat.begins(doing, Instant::now());
    let task = tokio::spawn(async move {
        let _taken = taken;
        std::future::pending::<()>().await;
    });
    seat.runs_in(task.abort_handle());
    Some(seat)
}

fn is_closed(seat: &Seat) -> bool {
    seat.task.get().unwrap().is_finished()
}

async fn pass(time: Duration) {
    tokio::time::advance(time).await;
}

#[tokio::test(start_paused = true)]
async fn when_all_seats_are_taken_who_never_asked_goes_first_and_a_review_never() {
    let connections = connections();
    let good = connect(&connections, Doing::Review).unwrap();
    good.begins(Doing::Rest, Instant::now());
    pass(Duration::from_secs(1)).await;
    let first = connect(&connections, Doing::Rest).unwrap();
    pass(Duration::from_secs(1)).await;
    let second = connect(&connections, Doing::Head).unwrap();
    pass(Duration::from_secs(1)).await;
    let busy = connect(&connections, Doing::Review).unwrap();
    pass(Duration::ZERO).await;
    assert!(is_closed(&first) && !is_closed(&second) && !is_closed(&good));
    connect(&connections, Doing::Review).unwrap();
    pass(Duration::ZERO).await;
    assert!(is_closed(&second) && !is_closed(&good));
    connect(&connections, Doing::Review).unwrap();
    pass(Duration::ZERO).await;
    assert!(is_closed(&good), "it rested, the others do not");
    assert!(connect(&connections, Doing::Rest).is_none());
    assert!(!is_closed(&busy));
    assert_eq!(connections.count(), PATIENCE.most);
}

#[tokio::test(start_paused = true)]
async fn whoever_takes_too_long_is_closed_and_a_rest_may_be_long() {
    let connections = connections();
    let shaking = connect(&connections, Doing::Handshake).unwrap();
    let asking = connect(&connections, Doing::Rest).unwrap();
    let resting = connect(&connections, Doing::Rest).unwrap();
    pass(Duration::from_secs(4)).await;
    asking.hears();
    connections.sweep(Instant::now());
    pass(Duration::from_secs(2)).await;
    connections.sweep(Instant::now());
    pass(Duration::from_secs(5)).await;
    asking.hears();
    assert!(is_closed(&shaking) && !is_closed(&asking));
    pass(Duration::from_secs(4)).await;
    connections.sweep(Instant::now());
    pass(Duration::from_secs(100)).await;
    assert!(is_closed(&asking) && !is_closed(&resting));
    pass(Duration::from_secs(6)).await;
    connections.sweep(Instant::now());
    pass(Duration::ZERO).await;
    assert!(is_closed(&resting));
    assert_eq!(connections.count(), 0);
}

#[tokio::test(start_paused = true)]
async fn connections_grow_old_one_after_the_other() {
    let connections = connections();
    let first = connect(&connections, Doing::Rest).unwrap();
    let second = connect(&connections, Doing::Rest).unwrap();
    pass(Duration::from_secs(601)).await;
    assert!(first.is_old(Instant::now()) && !second.is_old(Instant::now()));
    pass(Duration::from_secs(300)).await;
    assert!(second.is_old(Instant::now()));
}

#[tokio::test(start_paused = true)]
async fn a_server_that_goes_waits_for_reviews_and_for_newcomers() {
    let connections = connections();
    let [resting, busy, new] = [Doing::Rest, Doing::Review, Doing::Rest]
        .map(|doing| connect(&connections, doing).unwrap());
    resting.has_asked.store(true, Ordering::Relaxed);
    connections.close_resting(Instant::now());
    pass(Duration::from_millis(1)).await;
    assert!(is_closed(&resting) && !is_closed(&busy) && !is_closed(&new));
    pass(Duration::from_secs(1)).await;
    connections.close_resting(Instant::now());
    pass(Duration::from_millis(1)).await;
    assert!(is_closed(&new) && !is_closed(&busy));
}

#[tokio::test(start_paused = true)]
async fn who_comes_and_goes_without_a_word_is_not_remembered() {
    let connections = connections();
    let stays = connect(&connections, Doing::Rest).unwrap();
    for _guest in 0..100 {
        drop(connections.take(Instant::now()));
    }
    assert!(connections.seats().silent.len() <= 2 * PATIENCE.most);
    for _guest in 0..PATIENCE.most {
        connect(&connections, Doing::Handshake).unwrap();
    }
    pass(Duration::ZERO).await;
    assert!(is_closed(&stays), "it came first, and never asked");
}
