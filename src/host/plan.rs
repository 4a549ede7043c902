//! What becomes of the runtime's configuration file: pure, from the record and the bytes that are there to the bytes that shall be.

use super::edit;
use super::handler::Dialect;
use super::record::Change;
use super::values::read;
use crate::kit::digest::Digest;
use crate::kit::error::Error;

/// What a file shall hold; none for no file at all.
pub(crate) type Content = Option<Vec<u8>>;

/// The file as it would be without us.
///
/// | it holds now | then |
/// |---|---|
/// | what we wrote | what it held before, byte for byte |
/// | what it held before | that: we never came so far |
/// | something else | that, less our handlers: somebody changed it since |
///
/// # Errors
/// If what it held before is lost, or our handlers cannot be taken out.
pub(crate) fn without_us(
    change: &Change,
    now: &Content,
    kept: impl FnOnce(&Digest) -> Content,
) -> Result<Content, Error> {
    let digest = now.as_deref().map(Digest::of);
    if digest == change.former {
        return Ok(now.clone());
    }
    let Some(now) = now else {
        // Somebody deleted it: that is no reason to bring it back.
        return Ok(None);
    };
    if digest.as_ref() != Some(&change.written) {
        return cut(change, now).map(Some);
    }
    let Some(former) = &change.former else {
        return Ok(None);
    };
    match kept(former).filter(|bytes| Digest::of(bytes) == *former) {
        Some(bytes) => Ok(Some(bytes)),
        // Its copy is lost or damaged, so ours is cut out of what is there.
        None => cut(change, now).map(Some),
    }
}

fn cut(change: &Change, now: &[u8]) -> Result<Vec<u8>, Error> {
    let what = change.path.display().to_string();
    let text = text(&what, now)?;
    let dialect = Dialect::of(&what, &read(&what, text)?)?;
    edit::removed(&what, text, dialect, &change.handlers).map(String::into_bytes)
}

/// A file's bytes as text.
///
/// # Errors
/// If they are none.
pub(crate) fn text<'a>(what: &str, bytes: &'a [u8]) -> Result<&'a str, Error> {
    std::str::from_utf8(bytes).map_err(|error| Error::Invalid {
        what: what.to_owned(),
        why: format!("it is no text: {error}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    const FORMER: &str = "version = 2\n# mine\n[debug]\n  level = \"info\"\n";

    fn dialect() -> Dialect {
        Dialect::of("", &json!({"version": 2})).unwrap()
    }

    fn written(former: &str) -> String {
        let ours = vec![(
            "holdfast".to_owned(),
            json!({"runtime_type": "x", "options": {"BinaryName": "/b"}}),
        )];
        edit::added("x", former, dialect(), &ours).unwrap()
    }

    fn change(former: Option<&str>, written: &str) -> Change {
        Change {
            path: "/etc/containerd/config.toml".into(),
            former: former.map(|text| Digest::of(text.as_bytes())),
            written: Digest::of(written.as_bytes()),
            handlers: vec!["holdfast".into()],
            folders: Vec::new(),
        }
    }

    #[expect(
        clippy::unnecessary_wraps,
        reason = "most tests want the file to be there"
    )]
    fn bytes(text: &str) -> Content {
        Some(text.as_bytes().to_vec())
    }

    #[test]
    fn untouched_means_the_former_bytes() {
        let with = written(FORMER);
        let change = change(Some(FORMER), &with);
        assert_eq!(
            without_us(&change, &bytes(&with), |_| bytes(FORMER)).unwrap(),
            bytes(FORMER)
        );
        let never_came_so_far =
            without_us(&change, &bytes(FORMER), |_| panic!("not asked")).unwrap();
        assert_eq!(never_came_so_far, bytes(FORMER));
    }

    #[test]
    fn a_file_of_ours_alone_goes() {
        let with = written("");
        let change = change(None, &with);
        assert_eq!(without_us(&change, &bytes(&with), |_| None).unwrap(), None);
        assert_eq!(without_us(&change, &None, |_| None).unwrap(), None);
        let changed = with.clone() + "[debug]\nlevel = 'x'\n";
        let left = without_us(&change, &bytes(&changed), |_| None)
            .unwrap()
            .unwrap();
        assert_eq!(
            std::str::from_utf8(&left).unwrap(),
            "version = 2\n\n[debug]\nlevel = 'x'\n"
        );
    }

    #[test]
    fn a_damaged_copy_is_not_put_back() {
        let with = written(FORMER);
        let change = change(Some(FORMER), &with);
        for kept in [None, bytes("something else")] {
            assert_eq!(
                without_us(&change, &bytes(&with), |_| kept).unwrap(),
                bytes(FORMER)
            );
        }
    }

    #[test]
    fn what_is_no_configuration_any_more_is_left_alone_with_a_sentence() {
        let change = change(Some(FORMER), &written(FORMER));
        for now in [&b"\xff"[..], b"a = ", b"a = 1"] {
            let error = without_us(&change, &Some(now.to_vec()), |_| None).unwrap_err();
            assert!(
                error.to_string().contains("/etc/containerd/config.toml"),
                "{error}"
            );
        }
    }

    proptest! {
        #[test]
        fn what_others_add_before_or_behind_stays(name in "[a-z]{1,8}", comment in "[a-z ]{0,12}", in_front in any::<bool>()) {
            let with = written(FORMER);
            let change = change(Some(FORMER), &with);
            let theirs = format!("# {comment}\n[t{name}]\nx = '{name}'\n");
            let (now, expected) = if in_front {
                (with.replace("[debug]", &format!("{theirs}[debug]")), FORMER.replace("[debug]", &format!("{theirs}[debug]")))
            } else {
                (format!("{with}{theirs}"), format!("{FORMER}{theirs}"))
            };
            prop_assert_eq!(without_us(&change, &bytes(&now), |_| None).unwrap(), bytes(&expected));
        }
    }
}
