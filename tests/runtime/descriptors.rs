//! What is inherited arrives: descriptors, environment, the terminal's socket.

use crate::agent::Agent;
use crate::fixture::{Node, annotations, eventually, run};
use crate::lab::{CRUN, RUNC, lab};
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};
use serde_json::json;
use std::fs::File;
use std::io::{IoSliceMut, Read};
use std::mem::MaybeUninit;
use std::os::unix::net::UnixListener;
use std::process::Command;

/// Runs a command with descriptors 3 and 4 open on files of the node's.
fn with_descriptors(node: &Node, command: &Command, variables: &str) -> Command {
    let mut shell = lab().command("sh");
    let open = format!(
        "exec 3>>{0}/three 4>>{0}/four; {variables} exec \"$0\" \"$@\"",
        node.folder.display()
    );
    shell.args(["-c", &open]).args(command.get_args().skip(4));
    shell
}

fn content(node: &Node, name: &str) -> String {
    std::fs::read_to_string(node.path(name)).unwrap_or_default()
}

#[test]
fn activated_sockets_and_preserved_descriptors_arrive_in_the_container() {
    for real in [RUNC, CRUN] {
        let node = Node::new(real);
        node.make_pod_bundle("c1", "echo three >&3; echo four >&4");
        let _agent = Agent::saying(&node.socket(), &[json!({"do":"start"})]);
        let bundle = node.bundle("c1");
        let create = node.verb(&[
            "create",
            "--preserve-fds",
            "1",
            "--bundle",
            bundle.to_str().unwrap(),
            "c1",
        ]);
        run(&mut with_descriptors(
            &node,
            &create,
            "LISTEN_FDS=1 LISTEN_PID=$$",
        ))
        .well();
        run(&mut node.verb(&["start", "c1"])).well();
        eventually("both were written to", || {
            content(&node, "four") == "four\n"
        });
        assert_eq!(content(&node, "three"), "three\n");
    }
}

#[test]
fn no_descriptor_of_ours_is_left_open() {
    let node = Node::new(RUNC);
    let listing = node.path("listing");
    let script = "#!/bin/sh\nls -l /proc/self/fd > LISTING; env | sort >> LISTING\n";
    let script = script.replace("LISTING", listing.to_str().unwrap());
    node.write_program("real", &script);
    let settings =
        json!({"real": node.path("real"), "run": node.path("run"), "socket": node.socket()});
    std::fs::write(node.path("runtime.json"), settings.to_string()).unwrap();
    node.make_pod_bundle("c1", "true");
    let _agent = Agent::saying(&node.socket(), &[json!({"do":"start"})]);
    let sees = |mut command: Command| {
        run(command.env("COLOUR", "blue").env("LISTEN_PID", "1")).well();
        let text = std::fs::read_to_string(&listing).unwrap();
        let descriptors = text.lines().filter(|line| line.contains(" -> ")).count();
        let variables = text
            .lines()
            .filter(|line| line.contains('='))
            .map(str::to_owned);
        (descriptors, variables.collect::<Vec<_>>())
    };
    let ours = sees(node.create("c1"));
    assert!(ours.1.contains(&"COLOUR=blue".to_owned()));
    // What this test inherited itself, the script sees too.
    assert_eq!(ours, sees(lab().command(node.path("real"))));
}

#[test]
fn a_terminal_goes_to_the_callers_socket() {
    for (real, is_no_op) in [(RUNC, false), (RUNC, true), (CRUN, true)] {
        let node = Node::new(real);
        node.make_bundle("c1", "echo hello", |config| {
            config["annotations"] = annotations("container");
            config["process"]["terminal"] = true.into();
        });
        let says = if is_no_op { "no-op" } else { "start" };
        let _agent = Agent::saying(&node.socket(), &[json!({ "do": says })]);
        let socket = node.path("console");
        let listener = UnixListener::bind(&socket).unwrap();
        let bundle = node.bundle("c1");
        let words = [
            "create",
            "--console-socket",
            socket.to_str().unwrap(),
            "--bundle",
            bundle.to_str().unwrap(),
            "c1",
        ];
        let terminal = std::thread::spawn(move || receive(&listener));
        run(&mut node.verb(&words)).well();
        let mut terminal = terminal.join().unwrap();
        run(&mut node.verb(&["start", "c1"]));
        let mut said = Vec::new();
        // Reading a terminal whose other side is closed ends with an error.
        terminal.read_to_end(&mut said).ok();
        let said = String::from_utf8_lossy(&said);
        if !is_no_op {
            assert_eq!(said, "hello\r\n");
        }
    }
}

/// The descriptor that comes over a socket.
fn receive(listener: &UnixListener) -> File {
    let (stream, _) = listener.accept().unwrap();
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let mut name = [0_u8; 4096];
    recvmsg(
        &stream,
        &mut [IoSliceMut::new(&mut name)],
        &mut ancillary,
        RecvFlags::empty(),
    )
    .unwrap();
    let rights = ancillary.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut descriptors) => descriptors.next(),
        _ => None,
    });
    File::from(rights.expect("the terminal came"))
}
