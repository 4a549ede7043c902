use super::*;

/// A root file system as an image has it.
fn beneath(root: &Path) {
    for (name, content) in [
        ("kept", "0"),
        ("changed", "0"),
        ("gone", "0"),
        ("gone-too", "0"),
        ("dir-gone/x", "0"),
        ("dir/old", "0"),
        ("hidden/old", "0"),
        ("was-dir/x", "0"),
        ("was-file", "0"),
    ] {
        let path = root.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
    symlink("/nowhere", root.join("was-link")).unwrap();
}

/// What a program changed in it, as the overlay file system keeps it.
fn changes(upper: &Path) {
    let whiteout = |name: &str| {
        mknodat(
            CWD,
            upper.join(name),
            FileType::CharacterDevice,
            Mode::empty(),
            0,
        )
        .unwrap();
    };
    whiteout("gone");
    // The kernel keeps one file for all that is deleted, under many names.
    fs::hard_link(upper.join("gone"), upper.join("gone-too")).unwrap();
    fs::hard_link(upper.join("gone"), upper.join("dir-gone")).unwrap();
    whiteout("never-there");
    fs::write(upper.join("changed"), "1").unwrap();
    fs::write(upper.join("was-dir"), "1").unwrap();
    fs::write(upper.join("was-link"), "1").unwrap();
    fs::create_dir_all(upper.join("was-file/sub")).unwrap();
    fs::create_dir_all(upper.join("dir")).unwrap();
    fs::write(upper.join("dir/new"), "1").unwrap();
    fs::create_dir_all(upper.join("hidden")).unwrap();
    fs::write(upper.join("hidden/new"), "1").unwrap();
    set_xattr(&upper.join("hidden"), "trusted.overlay.opaque", b"y").unwrap();
    set_xattr(&upper.join("dir"), "trusted.overlay.impure", b"y").unwrap();
}

#[test]
fn a_layer_changes_what_is_beneath_it() {
    if !is_root() {
        println!("SKIP root: whiteouts and trusted attributes need root");
        return;
    }
    let place = Place::new();
    let (root, upper) = (place.directory("root"), place.directory("upper"));
    beneath(&root);
    changes(&upper);
    let unpacked = unpack(&root, &packed(&upper, Kind::Layer)[..], Kind::Layer, ROOM).unwrap();
    let names: Vec<_> = seen(&root)
        .into_keys()
        .map(|name| name.to_str().unwrap().to_owned())
        .collect();
    assert_eq!(
        names,
        [
            "",
            "changed",
            "dir",
            "dir/new",
            "dir/old",
            "hidden",
            "hidden/new",
            "kept",
            "was-dir",
            "was-file",
            "was-file/sub",
            "was-link"
        ]
    );
    for name in ["changed", "was-dir", "was-link"] {
        assert_eq!(fs::read_to_string(root.join(name)).unwrap(), "1");
    }
    assert!(
        fs::symlink_metadata(root.join("was-link"))
            .unwrap()
            .is_file()
    );
    assert_eq!(xattrs(&root.join("hidden")).unwrap(), []);
    assert_eq!(unpacked.removed, 8);
    set_xattr(&upper.join("dir"), "trusted.overlay.redirect", b"/x").unwrap();
    let refused = pack(&upper, &mut Vec::new(), Kind::Layer).unwrap_err();
    assert!(refused.to_string().contains("redirect_dir"), "{refused}");
}
