use super::*;
use crate::preflight::finding::Severity;
use proptest::prelude::*;

fn process(pid: i32, parent: i32) -> Process {
    Process {
        pid,
        parent,
        name: "web".into(),
        namespaces: ["user:[1]", "pid:[2]", "net:[3]"].map(str::to_owned),
        memory: (1000, 50),
        ..Process::default()
    }
}

fn container(name: &str, init: i32) -> Container {
    Container {
        name: name.into(),
        init,
        processes: vec![process(init, 1), process(init.saturating_add(1), init)],
        renewed: vec!["/etc/config".into()],
        ..Container::default()
    }
}

fn pod() -> Living {
    Living {
        containers: vec![container("app", 10), container("side", 20)],
        peers: Some(BTreeMap::new()),
        has_time: true,
        users: "user:[1]".into(),
        room: Some(1 << 30),
        ..Living::default()
    }
}

fn opens(pod: &mut Living, container: usize, link: &str) {
    pod.containers[container].processes[1]
        .open
        .push(link.into());
}

fn listening(address: &str, inode: u64) -> Inet {
    Inet {
        is_tcp: true,
        local: address.parse().unwrap(),
        remote: "0.0.0.0:0".parse().unwrap(),
        state: 0x0a,
        inode,
    }
}

fn connected(local: &str, remote: &str, inode: u64) -> Inet {
    Inet {
        remote: remote.parse().unwrap(),
        state: 1,
        ..listening(local, inode)
    }
}

/// The one thing that is found.
fn only(pod: &Living) -> Finding {
    let found = pod.findings();
    assert_eq!(found.len(), 1, "{found:#?}");
    found[0].clone()
}

fn refused(pod: &Living, item: Item, part: &str) {
    let one = only(pod);
    assert_eq!(
        (one.id.as_str(), one.severity),
        (item.about().id, Severity::Refuses)
    );
    assert!(one.sentence.contains(part), "{one:?}");
}

fn warned(pod: &Living, item: Item, part: &str) {
    let one = only(pod);
    assert_eq!(
        (one.id.as_str(), one.severity),
        (item.about().id, Severity::Warns)
    );
    assert!(one.sentence.contains(part), "{one:?}");
}

#[test]
fn a_plain_pod_has_nothing_that_is_told() {
    let mut pod = pod();
    for link in [
        "pipe:[3]",
        "/dev/null",
        "/var/log/x",
        "anon_inode:[eventpoll]",
        "anon_inode:inotify",
        "anon_inode:[timerfd]",
        "/memfd:x (deleted)",
        "/dev/shm/sem.x",
        "/etc/config",
        "/etc/configured/..x",
    ] {
        opens(&mut pod, 0, link);
    }
    assert_eq!(pod.findings(), []);
    assert_eq!(pod.memory(), 4100);
}

#[test]
fn tcp_established_warns() {
    let mut pod = pod();
    opens(&mut pod, 0, "socket:[7]");
    pod.sockets = vec![
        connected("10.0.0.5:80", "10.0.0.9:4000", 7),
        connected("10.0.0.5:80", "10.0.0.9:4001", 0),
    ];
    warned(&pod, Item::TcpEstablished, "10.0.0.9:4000, which is closed");
}

#[test]
fn tcp_within_warns() {
    let mut pod = pod();
    opens(&mut pod, 0, "socket:[7]");
    opens(&mut pod, 1, "socket:[8]");
    pod.sockets = vec![
        connected("127.0.0.1:80", "127.0.0.1:4000", 7),
        connected("127.0.0.1:4000", "127.0.0.1:80", 8),
    ];
    warned(&pod, Item::TcpWithin, "127.0.0.1:4000, which is closed");
}

#[test]
fn own_address_refuses() {
    let mut pod = pod();
    opens(&mut pod, 1, "socket:[7]");
    pod.sockets = vec![
        listening("0.0.0.0:80", 7),
        listening("127.0.0.1:81", 7),
        listening("10.0.0.5:82", 8),
    ];
    assert_eq!(pod.findings(), [], "8 is nobody's");
    pod.sockets.push(listening("10.0.0.5:83", 7));
    refused(
        &pod,
        Item::OwnAddress,
        "container side: process 21 (web) has a TCP socket bound to 10.0.0.5:83",
    );
    pod.sockets[3].is_tcp = false;
    pod.sockets[3].state = 7;
    refused(&pod, Item::OwnAddress, "UDP");
}

#[test]
fn unix_outside_refuses() {
    let mut pod = pod();
    opens(&mut pod, 0, "socket:[7]");
    opens(&mut pod, 0, "socket:[8]");
    let connect =
        |pod: &mut Living, peer: u64| pod.peers = Some(BTreeMap::from([(7, peer), (peer, 7)]));
    connect(&mut pod, 8);
    assert_eq!(pod.findings(), [], "both ends go along");
    connect(&mut pod, 0);
    assert_eq!(pod.findings(), [], "nobody has taken it yet");
    connect(&mut pod, 9);
    refused(&pod, Item::UnixOutside, "a process outside of it");
    let mut with_exec = pod.clone();
    with_exec.containers[0].processes.push(Process {
        open: vec!["socket:[9]".into()],
        ..process(90, 0)
    });
    let found = with_exec.findings();
    assert!(
        found[0]
            .sentence
            .contains("process 90 (web), which the container's own"),
        "{found:?}"
    );
    opens(&mut pod, 1, "socket:[9]");
    let found = pod.findings();
    assert!(
        found[0].sentence.contains("connected to container side"),
        "{found:?}"
    );
    assert_eq!(found.len(), 2, "each side is told of the other");
}

#[test]
fn system_v_refuses_where_containers_share_it() {
    let mut pod = pod();
    pod.system_v = 3;
    refused(&pod, Item::SystemV, "2 containers share 3 objects");
    pod.containers.truncate(1);
    assert_eq!(pod.findings(), [], "those of one container go along");
}

#[test]
fn message_queue_refuses() {
    let mut pod = pod();
    pod.queues = vec!["jobs".into(), "more".into()];
    refused(&pod, Item::MessageQueue, "/jobs and 1 more");
}

#[test]
fn renewed_files_refuse_open_mapped_or_as_working_directory() {
    let link = "/etc/config/..2026_01_01/key";
    let mut open = pod();
    opens(&mut open, 0, link);
    refused(&open, Item::RenewedFiles, "/etc/config/..2026_01_01/key");
    let mut used = pod();
    used.containers[0].processes[0]
        .uses
        .push(format!("{link} (deleted)"));
    refused(&used, Item::RenewedFiles, "process 10");
}

#[test]
fn renewed_watches_refuse() {
    let inode = |number| Inode {
        device: (8, 1),
        number,
    };
    let mut pod = pod();
    pod.containers[0].timed.insert(inode(5));
    pod.containers[0].processes[1].watches.push(inode(4));
    assert_eq!(pod.findings(), []);
    pod.containers[0].processes[1].watches.push(inode(5));
    refused(&pod, Item::RenewedWatches, "process 11 (web) watches");
}

#[test]
fn exec_processes_warn() {
    let mut pod = pod();
    let beside = [
        process(90, 0),
        process(91, 90),
        process(92, 93),
        process(93, 92),
    ];
    pod.containers[0].processes.extend(beside);
    warned(&pod, Item::ExecProcesses, "process 90 (web) and 3 more");
    // What it does is its own affair.
    let open = &mut pod.containers[0].processes[2].open;
    open.extend(["/dev/pts/0", "anon_inode:[io_uring]"].map(str::to_owned));
    warned(&pod, Item::ExecProcesses, "process 90");
}

#[test]
fn io_uring_refuses() {
    let mut pod = pod();
    opens(&mut pod, 0, "anon_inode:[io_uring]");
    refused(&pod, Item::IoUring, "process 11 (web) has a ring");
}

#[test]
fn kernel_object_refuses() {
    let mut pod = pod();
    opens(&mut pod, 0, "anon_inode:bpf-map");
    refused(&pod, Item::KernelObject, "bpf-map");
}

#[test]
fn terminal_refuses_unless_the_container_made_it() {
    let mut pod = pod();
    opens(&mut pod, 0, "/dev/pts/0");
    refused(&pod, Item::Terminal, "/dev/pts/0");
    opens(&mut pod, 0, "/dev/pts/ptmx");
    assert_eq!(pod.findings(), []);
}

#[test]
fn user_namespace_refuses_a_containers_own_and_a_programs_own() {
    let mut whole = pod();
    whole.users = "user:[0]".into();
    assert!(
        whole
            .findings()
            .iter()
            .all(|one| one.id == "user-namespace")
    );
    assert_eq!(whole.findings().len(), 2);
    for at in 0..3 {
        let mut nested = pod();
        nested.containers[0].processes[1].namespaces[at] = "x:[9]".into();
        refused(&nested, Item::UserNamespace, "process 11");
    }
}

#[test]
fn foreign_mounts_refuse() {
    for kind in ["nfs4", "fuse.sshfs", "fuse"] {
        let mut pod = pod();
        pod.containers[0].mounts = vec![
            ("/".into(), "fuse.overlayfs".into()),
            ("/x".into(), "tmpfs".into()),
        ];
        assert_eq!(pod.findings(), []);
        pod.containers[0].mounts.push(("/data".into(), kind.into()));
        refused(&pod, Item::ForeignMounts, "/data");
    }
}

#[test]
fn time_namespace_refuses() {
    let mut pod = pod();
    pod.has_time = false;
    refused(&pod, Item::TimeNamespace, "clocks would go back");
}

#[test]
fn disk_refuses() {
    let mut pod = pod();
    pod.room = Some(100);
    refused(&pod, Item::Disk, "4100 bytes");
}

#[test]
fn not_ours_refuses() {
    refused(&Living::default(), Item::NotOurs, "no container");
}

#[test]
fn unseen_warns() {
    let mut pod = pod();
    pod.unseen = vec!["x".into()];
    warned(&pod, Item::Unseen, "not all of it");
    pod.unseen.clear();
    pod.peers = None;
    warned(&pod, Item::Unseen, "Unix sockets");
}

proptest! {
    #[test]
    fn whatever_a_pod_shows_it_is_told_in_bounds(links in proptest::collection::vec("\\PC{0,60}", 0..20), pids in proptest::collection::vec((0..40_i32, 0..40_i32), 0..30)) {
        let mut pod = pod();
        for (pid, parent) in pids {
            pod.containers[0].processes.push(Process { open: links.clone(), uses: links.clone(), ..process(pid, parent) });
        }
        prop_assert!(pod.findings().len() <= crate::preflight::finding::MOST);
    }
}
