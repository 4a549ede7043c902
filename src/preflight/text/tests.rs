use super::*;
use proptest::prelude::*;

const TCP: &str = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 00000000:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 101 1 0000000000000000 100 0 0 10 0
   1: 0A02F40A:1F91 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 102 1 0000000000000000 100 0 0 10 0
   2: 0100007F:C350 0100007F:1F90 01 00000000:00000000 00:00000000 00000000     0        0 103 1 0000000000000000 20 4 30 10 -1
   3: nonsense
";
const TCP6: &str = "  sl  local_address                         remote_address                        st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 00000000000000000000000000000000:1F90 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 201 1 0000000000000000 100 0 0 10 0
   1: 0000000000000000FFFF00000A02F40A:1F92 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 202 1 0000000000000000 100 0 0 10 0
";

#[test]
fn sockets_are_told_with_their_addresses() {
    let all: Vec<_> = sockets(TCP, true).collect();
    assert_eq!(all.len(), 3);
    assert_eq!(all[0].local.to_string(), "0.0.0.0:8080");
    assert!(!all[0].is_bound_to_pod() && !all[0].is_connected());
    assert_eq!(all[1].local.to_string(), "10.244.2.10:8081");
    assert!(all[1].is_bound_to_pod());
    assert!(all[2].is_connected() && !all[2].is_bound_to_pod());
    assert_eq!(all[2].inode, 103);
    let all: Vec<_> = sockets(TCP6, true).collect();
    assert!(!all[0].is_bound_to_pod());
    assert_eq!(all[1].local.to_string(), "10.244.2.10:8082");
    assert!(all[1].is_bound_to_pod());
}

#[test]
fn a_process_may_be_called_what_it_likes() {
    let stat = "7 (a) S 1 (b) S 42 7 7 0";
    assert_eq!(parent(stat), Some(42));
    assert_eq!(name(stat), "a??S?1??b");
    assert_eq!(parent("7 (a"), None);
    assert_eq!(name("7 (\u{1b}[31m) S 1"), "??31m");
}

#[test]
fn memory_is_what_a_status_says() {
    let status = "Name:\tx\nRssAnon:\t     100 kB\nRssFile:\t 5 kB\nRssShmem:\t       4 kB\n";
    assert_eq!(memory(status), (102_400, 4096));
    assert_eq!(memory("Name: RssAnon: 7 kB"), (0, 0));
}

#[test]
fn files_that_are_mapped_are_told_with_their_blanks() {
    let maps = "00400000-00452000 r-xp 00000000 08:02 173521 /usr/bin/a b\n\
        7f00-7f01 rw-p 00000000 00:00 0 \n7f02-7f03 rw-s 00000000 00:01 5 /etc/config/..2026_01/key (deleted)\n7ffc-7ffd rw-p 0 00:00 0 [stack]\n";
    let all: Vec<_> = mapped(maps).collect();
    assert_eq!(all, ["/usr/bin/a b", "/etc/config/..2026_01/key (deleted)"]);
}

#[test]
fn mounts_are_told_with_their_kinds() {
    let text = "36 35 98:0 / / rw master:1 - overlay overlay rw\n37 36 0:4 / /a\\040b rw - fuse.sshfs me rw\nbroken\n";
    let all: Vec<_> = mounts(text).collect();
    assert_eq!(
        all,
        [
            ("/".to_owned(), "overlay"),
            ("/a b".to_owned(), "fuse.sshfs")
        ]
    );
}

#[test]
fn what_is_watched_is_told_by_its_number() {
    let text = "pos:\t0\nflags:\t00\nmnt_id:\t13\ninotify wd:2 ino:7e9e sdev:800013 mask:800afce ignored_mask:0 fhandle-bytes:8\ninotify wd:1\n";
    let all: Vec<_> = watches(text).collect();
    assert_eq!(
        all,
        [Inode {
            device: (8, 19),
            number: 0x7e9e
        }]
    );
    let text = "fanotify flags:0 event-flags:8000\nfanotify ino:4f969 sdev:1b mflags:0 mask:1\n";
    assert_eq!(
        watches(text).next(),
        Some(Inode {
            device: (0, 27),
            number: 0x4f969
        })
    );
}

#[test]
fn objects_are_counted_and_links_are_read() {
    assert_eq!(objects("  key  shmid perms\n"), 0);
    assert_eq!(objects("  key shmid\n  0 1 600\n  0 2 600\n"), 2);
    assert_eq!(socket("socket:[17]"), Some(17));
    for link in ["socket:[x]", "pipe:[17]", "/socket:[17]"] {
        assert_eq!(socket(link), None);
    }
}

proptest! {
    #[test]
    fn nothing_that_is_shown_makes_it_panic(text in "\\PC{0,400}", bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let odd = String::from_utf8_lossy(&bytes);
        for text in [text.as_str(), &odd, &format!("x\n   0: {text} {odd}\n"), &format!("inotify ino:{text} sdev:{odd}")] {
            let _all: Vec<_> = sockets(text, true).chain(sockets(text, false)).collect();
            let _all: Vec<_> = mapped(text).collect();
            let _all: Vec<_> = mounts(text).collect();
            let _all: Vec<_> = watches(text).collect();
            let _told = (parent(text), name(text), memory(text), objects(text), socket(text));
            prop_assert!(name(text).chars().count() <= 32);
        }
    }

    #[test]
    fn every_address_is_read_as_it_was_written(ip in any::<u32>(), port in any::<u16>(), inode in any::<u64>()) {
        let word = u32::from_ne_bytes(ip.to_be_bytes());
        let line = format!("head\n 0: {word:08X}:{port:04X} 00000000:0000 0A 0:0 0:0 0 0 0 {inode} 1\n");
        let one = sockets(&line, true).next().unwrap();
        prop_assert_eq!(one.local, SocketAddr::new(IpAddr::V4(Ipv4Addr::from(ip)), port));
        prop_assert_eq!(one.inode, inode);
    }
}
