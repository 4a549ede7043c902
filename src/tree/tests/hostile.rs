use super::*;
use proptest::prelude::*;
use tar::{Builder, EntryType, Header};

/// An archive by hand: (name, kind, link, content, records).
type Hostile<'a> = (
    &'a [u8],
    EntryType,
    &'a str,
    &'a [u8],
    &'a [(&'a str, &'a [u8])],
);

fn archive(entries: &[Hostile]) -> Vec<u8> {
    let mut builder = Builder::new(Vec::new());
    for (name, kind, link, content, records) in entries {
        let mut header = Header::new_gnu();
        header.as_old_mut().name[..name.len()].copy_from_slice(name);
        header.set_entry_type(*kind);
        header.set_mode(0o755);
        header.set_uid(rustix::process::geteuid().as_raw().into());
        header.set_gid(rustix::process::getegid().as_raw().into());
        header.set_mtime(0);
        header.set_size(content.len() as u64);
        header.set_link_name_literal(link).unwrap();
        if kind.is_character_special() {
            header.set_device_major(0).unwrap();
            header.set_device_minor(0).unwrap();
        }
        header.set_cksum();
        builder
            .append_pax_extensions(records.iter().copied())
            .unwrap();
        builder.append(&header, *content).unwrap();
    }
    builder.into_inner().unwrap()
}

const FILE: EntryType = EntryType::Regular;
const NONE: &[(&str, &[u8])] = &[];

/// What a liar sends, and what is said of it.
fn hostile<'a>(out: &'a str, secret: &'a str) -> [(&'static str, Vec<Hostile<'a>>); 12] {
    let link = |name: &'static [u8]| (name, EntryType::Symlink, out, &b""[..], NONE);
    [
        (
            "leads upwards",
            vec![(b"../outside/x", FILE, "", b"", NONE)],
        ),
        ("is absolute", vec![(b"/x", FILE, "", b"", NONE)]),
        (
            "through a link",
            vec![link(b"l"), (b"l/x", FILE, "", b"", NONE)],
        ),
        (
            "through a link",
            vec![link(b"l"), (b"l/d/", EntryType::Directory, "", b"", NONE)],
        ),
        ("comes twice", vec![link(b"l"), (b"l", FILE, "", b"", NONE)]),
        (
            "something else",
            vec![link(b"l"), (b"l", EntryType::Directory, "", b"", NONE)],
        ),
        (
            "is absolute",
            vec![(b"h", EntryType::Link, secret, b"", NONE)],
        ),
        (
            "did not come before",
            vec![(b"h", EntryType::Link, "nothing", b"", NONE)],
        ),
        (
            "leads upwards",
            vec![(b"x", FILE, "", b"", &[("path", b"a/../../x")])],
        ),
        (
            "leads upwards",
            vec![(
                b"x",
                EntryType::Link,
                "",
                b"",
                &[("linkpath", b"../outside/secret")],
            )],
        ),
        (
            "kind that is not taken",
            vec![(b"x", EntryType::GNUSparse, "", b"", NONE)],
        ),
        ("directory itself", vec![(b"./", FILE, "", b"", NONE)]),
    ]
}

#[test]
fn nothing_leads_out_of_the_directory() {
    let place = Place::new();
    let outside = place.directory("outside");
    fs::write(outside.join("secret"), b"s").unwrap();
    let (out, secret) = (outside.to_str().unwrap(), outside.join("secret"));
    let secret = secret.to_str().unwrap();
    let hostile = hostile(out, secret);
    for kind in [Kind::Volume, Kind::Layer] {
        for (number, (why, entries)) in hostile.iter().enumerate() {
            if kind == Kind::Layer && ["comes twice", "something else"].contains(why) {
                continue;
            }
            let to = place.directory(&format!("{kind:?}-{number}"));
            let refused = unpack(&to, &archive(entries)[..], kind, ROOM);
            let said = refused.map_err(|error| error.to_string()).unwrap_err();
            assert!(said.contains(why) || number == 10, "{number}: {said}");
            assert_eq!(fs::read_dir(&outside).unwrap().count(), 1, "{number}");
            assert_eq!(fs::metadata(secret).unwrap().nlink(), 1, "{number}");
        }
    }
}

#[test]
fn numbers_have_bounds_and_a_stream_that_ends_early_is_no_tree() {
    let place = Place::new();
    let two = archive(&[(b"a", FILE, "", b"xx", NONE), (b"b", FILE, "", b"xx", NONE)]);
    for (entries, bytes, why) in [(1, 9, "more than 1 files"), (9, 3, "more than 3 bytes")] {
        let to = place.directory(&format!("{entries}-{bytes}"));
        let said = unpack(&to, &two[..], Kind::Volume, Bounds { entries, bytes }).unwrap_err();
        assert!(said.to_string().contains(why), "{said}");
    }
    let long = archive(&[(b"a", FILE, "", &[1; 5000], NONE)]);
    let to = place.directory("cut");
    assert!(unpack(&to, &long[..2000], Kind::Volume, ROOM).is_err());
    let large = vec![0; 65_537];
    let records: &[(&str, &[u8])] = &[("SCHILY.xattr.user.x", &large)];
    let attribute = archive(&[(b"a", FILE, "", b"", records)]);
    assert!(
        unpack(
            &place.directory("attribute"),
            &attribute[..],
            Kind::Volume,
            ROOM
        )
        .is_err()
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Whatever comes: no panic, and nothing outside.
    #[test]
    fn no_stream_does_harm(flips in prop::collection::vec((0_usize..6000, any::<u8>()), 1..24), cut in 0_usize..9000) {
        let place = Place::new();
        let (outside, to) = (place.directory("outside"), place.directory("to"));
        let mut bytes = archive(&[
            (b"d", EntryType::Directory, "", b"", NONE),
            (b"d/a", FILE, "", b"content", &[("mtime", b"5.5"), ("SCHILY.xattr.user.x", b"v")]),
            (b"l", EntryType::Symlink, "../outside", b"", NONE),
            (b"d/b", EntryType::Link, "d/a", b"", NONE),
        ]);
        for (at, byte) in flips {
            let at = at.checked_rem(bytes.len()).unwrap_or_default();
            bytes[at] = byte;
        }
        bytes.truncate(bytes.len().saturating_sub(cut / 4));
        let _outcome = unpack(&to, &bytes[..], Kind::Volume, ROOM);
        prop_assert_eq!(fs::read_dir(&outside).unwrap().count(), 0);
    }
}
