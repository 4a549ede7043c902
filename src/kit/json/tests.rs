//! `serde_json` is the oracle: whatever is answered quickly, it answers the same.

use super::*;
use proptest::prelude::*;
use proptest::sample::{Index as Place, select};
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::{Value, json};

/// Something of each kind that can be read.
#[derive(Debug, Default, PartialEq, Deserialize)]
struct Sample<'a> {
    #[serde(borrow, default)]
    name: Cow<'a, str>,
    #[serde(borrow, default)]
    word: Option<Cow<'a, str>>,
    #[serde(default)]
    flag: Option<bool>,
    #[serde(borrow, default)]
    list: Option<Vec<Sample<'a>>>,
}

quick_fields!(Sample { b"name" => name, b"word" => word, b"flag" => flag, b"list" => list });

fn is_json(bytes: &[u8]) -> bool {
    Index::of(bytes).is_some()
}

/// Panics where a quick answer is not that of `serde_json`.
fn agrees(bytes: &[u8]) {
    let oracle = serde_json::from_slice::<IgnoredAny>(bytes);
    assert!(!is_json(bytes) || oracle.is_ok(), "{:?}", lossy(bytes));
    if let Some(read) = quick::<Sample>(bytes, &Shapes::default()) {
        let oracle = serde_json::from_slice::<Sample>(bytes);
        assert_eq!(oracle.ok(), Some(read), "{:?}", lossy(bytes));
    }
}

/// Panics where a text that has the shape of another is read otherwise than by itself.
fn agrees_by_shape(known: &[u8], bytes: &[u8]) -> bool {
    let shapes = Shapes::default();
    drop(quick::<Sample>(known, &shapes));
    let shape = shapes.of::<Sample>(bytes);
    if let Some(shape) = &shape {
        let index = Index::of(bytes).expect("it is JSON");
        let by_shape = Index::of(trimmed(known)).expect("it was remembered");
        assert_eq!(shape.index.is_ascii, by_shape.is_ascii);
        assert_eq!(shape.index.free, by_shape.free);
        assert_eq!(by_shape.stops, index.stops, "{:?}", lossy(bytes));
        assert_eq!(by_shape.brackets, index.brackets, "{:?}", lossy(bytes));
        assert!(index.is_ascii || !by_shape.is_ascii, "{:?}", lossy(bytes));
        let alone = quick::<Sample>(bytes, &Shapes::default());
        assert_eq!(quick::<Sample>(bytes, &shapes), alone);
    }
    shape.is_some()
}

#[test]
fn texts_have_the_shape_of_another_if_only_plain_letters_differ() {
    for space in 0..70 {
        let known = format!(
            r#"{{"{}":[{{}},1,"x\u00e4yz\n12345-"],"name":"node-1"}}"#,
            "s".repeat(space)
        );
        let has_its_shape = |from: &str, to: &str| {
            agrees_by_shape(known.as_bytes(), known.replacen(from, to, 1).as_bytes())
        };
        for (from, to) in [("", ""), ("node-1", "other["), ("12345-", "6789+-")] {
            assert!(has_its_shape(from, to), "{from} {to} {known}");
        }
        for (from, to) in [
            ("node-1", "node-"),
            ("node-1", "node\"1"),
            ("node-1", "node\\1"),
            ("node-1", "node\n1"),
            ("node-1", "nodeä"),
            ("node-1", "node-12"),
            ("e4y", "e5y"),
            ("e4y", "eyy"),
            ("\\n", "\\q"),
            ("\\n", "--"),
            (",1,", ",2,"),
            ("{}", "[]"),
            ("[{", "{{"),
            // Which of its fields are read hangs on its keys.
            ("name", "word"),
        ] {
            assert!(!has_its_shape(from, to), "{from} {to} {known}");
        }
    }
}

#[test]
fn the_letters_of_keys_are_those_of_the_shape() {
    // Wherever in a block a key begins and ends, also one that is longer than a block.
    for space in 0..140 {
        let key = "k".repeat(space);
        let known = format!(r#"{{"{key}":"{key}","x":["y{key}",{{"{key}z":"v"}}]}}"#);
        for (at, letter) in known
            .bytes()
            .enumerate()
            .filter(|(_, byte)| byte.is_ascii_lowercase())
        {
            let mut bytes = known.clone().into_bytes();
            bytes[at] = letter ^ 1;
            let end = known[at..].find('"').expect("it is in a string") + at;
            let is_key = known[end..].starts_with("\":");
            assert_eq!(
                agrees_by_shape(known.as_bytes(), &bytes),
                !is_key,
                "{at} {known}"
            );
        }
    }
}

#[test]
fn another_reader_goes_another_way() {
    #[derive(Debug, Default, PartialEq)]
    struct Word<'a> {
        word: Option<Cow<'a, str>>,
    }
    quick_fields!(Word { b"word" => word });
    let shapes = Shapes::default();
    let text = br#"{"name":"a","word":"b","list":[{"word":"c"}]}"#;
    for _ in 0..2 {
        let sample: Sample = quick(text, &shapes).unwrap();
        assert_eq!(sample.name, "a");
        let word: Word = quick(text, &shapes).unwrap();
        assert_eq!(word.word.as_deref(), Some("b"));
    }
}

#[test]
fn few_shapes_are_remembered_and_new_ones_come_among_them() {
    let (shapes, text) = (Shapes::default(), |length: usize| {
        format!(r#"{{"name":"{}"}}"#, "x".repeat(8000 + length))
    });
    for length in 0..2000 {
        quick::<Sample>(text(length).as_bytes(), &shapes).unwrap();
    }
    let known = (0..2000).filter(|length| shapes.of::<Sample>(text(*length).as_bytes()).is_some());
    let known: Vec<_> = known.collect();
    // Each takes its letters, and an eighth of that for what may differ.
    assert!((400..500).contains(&known.len()), "{}", known.len());
    let recent = known.iter().filter(|length| **length >= 500).count();
    assert!(recent > 150, "{known:?}");
    assert!(shapes.of::<Sample>(text(0).as_bytes()).is_none());
    let long = text(20_000);
    for _ in 0..100 {
        quick::<Sample>(long.as_bytes(), &shapes).unwrap();
    }
    assert!(shapes.of::<Sample>(long.as_bytes()).is_none());
}

#[test]
fn of_texts_that_are_as_long_few_are_remembered() {
    let shapes = Shapes::default();
    // A bracket at another place each time.
    let text = |at: usize| {
        let (before, behind) = ("x".repeat(at), "x".repeat(50 - at));
        format!(r#"{{"list":[{{"name":"{before}"}},{{"name":"{behind}"}}]}}"#)
    };
    for at in 0..20 {
        quick::<Sample>(text(at).as_bytes(), &shapes).unwrap();
    }
    let known = (0..20).filter(|at| shapes.of::<Sample>(text(*at).as_bytes()).is_some());
    assert_eq!(known.collect::<Vec<_>>(), [16, 17, 18, 19]);
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn fields_are_found_among_others() {
    let sample = json!({
        "before": { "name": "not this", "list": [[], {}, [[1, -2.5e3, "x\\\"}"]]] },
        "name": "a", "empty": {}, "none": [], "word": null, "flag": true,
        "list": [{}, { "name": "ä", "list": [] }, { "word": "w", "more": "m\n".repeat(99), "flag": null }],
        "after": "]}",
    });
    let mut bytes = serde_json::to_vec(&sample).unwrap();
    bytes.push(b'\n');
    let read = quick::<Sample>(&bytes, &Shapes::default()).unwrap();
    assert_eq!(read, serde_json::from_slice(&bytes).unwrap());
    assert_eq!(read.list.unwrap()[1].name, "ä");
}

#[test]
fn brackets_beyond_measure_are_left_to_the_oracle() {
    let nested = format!("{}1{}", "[".repeat(60), "]".repeat(60));
    let many = format!(r#"{{"name":"a","list":[{}]}}"#, vec![nested; 50].join(","));
    assert!(serde_json::from_str::<Value>(&many).is_ok());
    assert!(!is_json(many.as_bytes()));
    let long = format!(r#"{{"list":[{}]}}"#, vec!["{}"; 1001].join(","));
    assert_eq!(quick::<Sample>(long.as_bytes(), &Shapes::default()), None);
}

#[test]
fn what_is_escaped_is_what_the_oracle_writes() {
    for text in ["", "plain ä", "a\"b\\c\n\u{1}", "\u{7f}"] {
        let oracle = serde_json::to_string(text).unwrap();
        assert_eq!(format!("\"{}\"", escaped(text)), oracle);
    }
}

#[test]
fn only_the_spaces_of_json_may_stand_behind() {
    for (space, is_read) in [(" \t\r\n", true), ("\u{c}", false), ("\u{b}", false)] {
        let text = format!(r#"{{"name":"a"}}{space}"#);
        agrees(text.as_bytes());
        let read = quick::<Sample>(text.as_bytes(), &Shapes::default());
        assert_eq!(read.is_some(), is_read, "{text:?}");
    }
}

/// Texts that are no JSON, three spaces apart.
const NO_JSON: &str = r#"
1   "a"   []   {   }   {}}   {}{}   {},{"a":1}   {},[1]   {},5,{"a":[1]}   {},   {]   {"a"}   {"a":}   {"a":1,}   {,"a":1}   {"a":1 }   {"a" :1}
{"a":1,,"b":1}   {"a""b"}   {"a":"b""c"}   {"a":"b"1}   {"a":1"b"}   {1:1}   {null:1}   {{}:1}   {"a":1:2}
{"a":{}:2}   {"a":[1:2]}   {"a":["b":2]}   {"a":[,]}   {"a":[1,]}   {"a":[1 2]}   {"a":[1}   {"a":[1}]
{"a":{1}}   {"a":{}[]}   {"a":[][]}   {"a":[]1}   {"a":1[]}   {"a":01}   {"a":1.}   {"a":.5}   {"a":-}
{"a":1e}   {"a":+1}   {"a":truer}   {"a":nul}   {"a":NaN}   {"a":"\x"}   {"a":"\u12g4"}   {"a":"b   {"a":"b\"}
{"a":\"b"}   {"a":1}x   {"a":1},{"a":1}   {'a':1}   {"a":[}]   {"a":[}}   {"a":{]}   {"a":b"c"}   {"a":"c"d}   {"a":ä}
"#;

#[test]
fn what_is_no_json_is_not_read() {
    let texts = NO_JSON.lines().flat_map(|line| line.split("   "));
    for text in texts.chain(["{\"a\":\"\n\"}", "{\"a\":1//\n}", "\u{feff}{\"a\":1}"]) {
        // Wherever in a block it stands.
        for space in 0..70 {
            let padded = text.replacen('{', &format!("{{\"{}\":0,", "x".repeat(space)), 1);
            for text in [text, &*padded] {
                assert!(!is_json(text.as_bytes()), "{text}");
                agrees(text.as_bytes());
            }
        }
    }
}

#[test]
fn whatever_is_unusual_is_left_to_the_oracle() {
    let deep = format!("{{\"a\":{}1{}}}", "[".repeat(100), "]".repeat(100));
    for text in [
        r#"{"na\u006de":"a"}"#,
        r#"{"name":"a\nb"}"#,
        r#"{"name":"a","name":"b"}"#,
        r#"{"name":null}"#,
        r#"{"flag":1}"#,
        r#"{"list":{}}"#,
        r#"["a"]"#,
        r#"{ "name": "a" }"#,
        "{\"name\":\n\"a\"}",
        r#"{"ä":1}"#,
        &deep,
    ] {
        assert_eq!(
            quick::<Sample>(text.as_bytes(), &Shapes::default()),
            None,
            "{text}"
        );
    }
    assert_eq!(
        quick::<Sample>(b"{\"name\":\"\xff\"}", &Shapes::default()),
        None
    );
    assert!(
        quick::<Sample>(b"{\"other\":\"\xff\\ud800\"}", &Shapes::default()).is_some(),
        "nobody reads it"
    );
}

fn value() -> impl Strategy<Value = Value> {
    let text = prop_oneof![
        select(vec![
            "name", "word", "flag", "list", "", "a", "\"", "\\", "{", "ä€", "\n", "}],:"
        ])
        .prop_map(str::to_owned),
        "[ -~]{0,90}",
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        text.clone().prop_map(Value::from),
    ];
    let any = leaf.prop_recursive(6, 60, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::vec((text.clone(), inner), 0..6)
                .prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    });
    any.prop_map(|value| {
        if value.is_object() {
            value
        } else {
            json!({ "list": [{ "name": "n", "x": value }] })
        }
    })
}

proptest! {
    #[test]
    fn all_that_is_written_without_spaces_is_read(value in value()) {
        let bytes = serde_json::to_vec(&value).unwrap();
        let is_empty = bytes == b"{}";
        prop_assert!(is_empty || is_json(&bytes), "{}", lossy(&bytes));
        agrees(&bytes);
    }

    #[test]
    fn what_was_spoilt_is_read_as_the_oracle_reads_it(
        value in value(),
        spoils in prop::collection::vec((any::<Place>(), 0_u8..3, select(b"{}[],:\"\\ \n\x001-.eEtfnul\xc3au".to_vec())), 1..4),
    ) {
        let mut bytes = serde_json::to_vec(&value).unwrap();
        for (place, how, byte) in spoils {
            let at = place.index(bytes.len());
            match how {
                0 => bytes[at] = byte,
                1 => bytes.insert(at, byte),
                _ => drop(bytes.remove(at)),
            }
            if bytes.is_empty() {
                bytes.push(byte);
            }
        }
        agrees(&bytes);
    }

    #[test]
    fn whatever_has_the_shape_of_another_text_is_read_as_by_itself(
        value in value(),
        letters in prop::collection::vec((any::<Place>(), select(b"xyz\"\\\n{}u09\xc3".to_vec())), 1..4),
    ) {
        let known = serde_json::to_vec(&value).unwrap();
        let mut bytes = known.clone();
        for (place, letter) in letters {
            let at = place.index(bytes.len());
            bytes[at] = letter;
        }
        agrees_by_shape(&known, &bytes);
    }

    #[test]
    fn bytes_that_come_to_mind_are_read_as_the_oracle_reads_them(
        bytes in prop::collection::vec(select(b"{}[],:\"\\1-.e0".to_vec()), 0..140),
    ) {
        agrees(&bytes);
        agrees(&[b"{\"a\":", &*bytes, b"}"].concat());
    }
}
