use super::*;
use serde_json::json;

const TWO: &str = "# a comment\n---\nkind: A\nspec:\n  list:\n  - name: x\n    size: 0.5\n  text: |\n    ---\n    not: a document\n---\n\n---\nkind: B\nvalue: [1, true, null, ~]\n";

#[test]
fn documents_are_parted_where_the_parser_says() {
    let read: Vec<_> = documents(TWO).into_iter().map(Result::unwrap).collect();
    assert_eq!(read.len(), 2);
    assert_eq!(read[0].value["spec"]["text"], "---\nnot: a document\n");
    assert_eq!(read[0].value["spec"]["list"][0]["size"], json!(0.5));
    assert_eq!((read[0].number, read[1].number), (1, 2));
    assert_eq!(
        read[1].value,
        json!({ "kind": "B", "value": [1, true, null, null] })
    );
}

#[test]
fn every_field_has_its_line() {
    let read: Vec<_> = documents(TWO).into_iter().map(Result::unwrap).collect();
    let spec = Field::of("spec");
    let size = spec.key("list").at(0).key("size");
    assert_eq!(size.to_string(), "spec.list[0].size");
    for (field, line) in [
        (Field::of("kind"), 3),
        (spec.clone(), 4),
        (size, 7),
        (spec.key("absent").key("deeper"), 4),
    ] {
        assert_eq!(read[0].line(&field), line, "{field}");
    }
    assert_eq!(read[1].line(&Field::of("value")), 15);
}

#[test]
fn a_mistake_has_its_line_and_hides_nothing_before_it() {
    let read = documents("a: 1\n---\nb: [1, 2\nc: 3\n---\nd: 4\n");
    assert_eq!(read.len(), 2, "{read:?}");
    assert!(read[0].is_ok());
    let unreadable = read[1].as_ref().unwrap_err();
    assert_eq!(unreadable.number, 2);
    assert!(
        unreadable.line.is_some_and(|line| line >= 3),
        "{unreadable:?}"
    );
    assert!(
        !unreadable.why.contains('\n') && unreadable.why.len() > 5,
        "{unreadable:?}"
    );
}

#[test]
fn a_key_that_is_there_twice_is_a_mistake_of_that_document_alone() {
    let read = documents("a: 1\na: 2\n---\nb: 1\n");
    let found: Vec<_> = read.iter().map(Result::is_ok).collect();
    assert_eq!(found, [false, true], "{read:?}");
}

#[test]
fn json_is_read_too() {
    let text = "{\"a\": {\"b\": [1, 2.5]}}\n{\"c\": \"d\"}";
    assert_eq!(
        values(text).unwrap(),
        [json!({ "a": { "b": [1, 2.5] } }), json!({ "c": "d" })]
    );
    assert_eq!(documents("{\n\"a\": 1\n}").len(), 1);
    assert_eq!(values("").unwrap(), Vec::<Value>::new());
}

#[test]
fn anchors_stand_for_what_they_name() {
    let values = values("a: &x {b: 1}\nc: *x\nd:\n  <<: *x\n  e: 2\n").unwrap();
    let expected = json!({ "a": { "b": 1 }, "c": { "b": 1 }, "d": { "b": 1, "e": 2 } });
    assert_eq!(values, [expected]);
}
