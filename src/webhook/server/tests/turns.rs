//! Requests that are answered at once, and such as are left to hyper.

use super::*;

#[tokio::test]
async fn usual_and_other_requests_take_turns_on_a_connection() {
    let world = start(PATIENT);
    let at_once = POST.replace("/greets", "/at-once");
    let mut client = world.connect().await;
    for uid in ["one", "two"] {
        let answered = ask(&mut client, &at_once, &question(uid)).await;
        assert_eq!(
            (answered.code, answered.body),
            (200, format!("hello {uid}"))
        );
    }
    for (head, code) in [
        (&*at_once.replace("POST", "PUT"), 405),
        (&*at_once, 200),
        (POST, 200),
        (&*at_once.replace("/json", "/yaml"), 415),
        (&*at_once, 200),
    ] {
        let answered = ask(&mut client, head, &question("three")).await;
        assert_eq!(answered.code, code, "{head}");
    }
    assert!(world.counts(r#"holdfast_admission_total{webhook="greeter",verdict="greeted"} 5"#));
    world.stop.cancel();
    loop {
        let mut client = world.connect().await;
        let answered = ask(&mut client, &at_once, &question("last")).await;
        if answered.headers.contains_key("connection") {
            assert!(read(&mut client).await.is_err(), "and it is closed");
            break;
        }
    }
}
