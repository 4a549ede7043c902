//! Requests that are nearly right, beside what hyper makes of them.

use super::*;
use proptest::prelude::*;

/// Lines of a head that mean what they say, and such as mean something else to somebody.
const LINES: [&str; 16] = [
    "Host: x",
    "X: y, z",
    "content-length: 5",
    "Content-Length: 6",
    "Content-Length: +5",
    "Content-Length: 5, 5",
    "Content-Length:\t5 ",
    "Content-Length : 5",
    "Content-Length: 05",
    "Content-Type: text/plain",
    "content-type:application/json",
    "Content-Type: application/json;x",
    "Transfer-Encoding: chunked",
    "Connection: close",
    " folded: 5",
    "X\u{1}: y",
];

/// A request that is nearly as it has to be, or quite.
fn nearly() -> impl Strategy<Value = String> {
    let method = prop_oneof![9 => Just("POST"), 1 => Just("GET"), 1 => Just("POST ")];
    let path = prop_oneof![9 => Just("/echo"), 1 => Just("/other"), 1 => Just("//echo"), 1 => Just("/echo/")];
    let query = prop_oneof![3 => "(\\?[a-z=&]{0,5})?", 2 => "\\?[!-~]{0,2}"];
    let version = prop_oneof![15 => Just("HTTP/1.1"), 1 => Just("HTTP/1.0")];
    let line = prop::sample::select(&LINES[..]);
    let more = (0..8_u8, prop::collection::vec(line, 2));
    let end = prop_oneof![9 => Just("\r\n"), 1 => Just("\n")];
    let body =
        prop_oneof![9 => Just("now, "), 1 => Just("now"), 1 => Just("5\r\nnow, \r\n0\r\n\r\n")];
    let all = (method, path, query, version, more, end, body);
    all.prop_map(|(method, path, query, version, (odd, more), end, body)| {
        let mut lines = vec![
            "Host: x",
            "Content-Length: 5",
            "Content-Type: application/json",
        ];
        match odd {
            0 => lines.extend(more),
            1 => lines.insert(0, more[0]),
            2 => lines[1] = more[0],
            3 => lines[2] = more[0],
            _ => {}
        }
        let lines = lines.join(end);
        format!("{method} {path}{query} {version}{end}{lines}{end}{end}{body}")
    })
}

proptest! {
    /// Were a request read otherwise here than by hyper, something could be smuggled past whoever stands in front.
    #[test]
    fn whatever_comes_is_answered_as_by_hyper_alone(first in nearly(), second in nearly(), cut in any::<prop::sample::Index>()) {
        let both = format!("{first}{second}");
        let (begin, end) = both.as_bytes().split_at(cut.index(both.len()));
        let pieces: Vec<_> = [begin, end].into_iter().filter(|piece| !piece.is_empty()).collect();
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = runtime.enable_all().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let world = world();
            let of_hyper = world.of_hyper(both.as_bytes()).await;
            let (mut answered, left) = world.answers(&pieces).await;
            if let Some(left) = left {
                answered.push_str(&world.of_hyper(&left).await);
            }
            prop_assert_eq!(undated(&answered), undated(&of_hyper), "{:?}", both);
            Ok(())
        })?;
    }
}

#[test]
fn what_is_nearly_a_request_is_often_one() {
    use proptest::strategy::ValueTree;
    use proptest::test_runner::TestRunner;
    let mut runner = TestRunner::deterministic();
    let is_found = |_: &u8| {
        let text = nearly().new_tree(&mut runner).unwrap().current();
        matches!(find(text.as_bytes(), LARGEST), Found::Request(..))
    };
    let found = (0..100_u8).filter(is_found).count();
    assert!((20..=80).contains(&found), "{found} of 100");
}
