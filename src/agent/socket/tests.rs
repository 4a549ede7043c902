use super::*;
use crate::agent::host::Host;
use crate::agent::orders::Orders;
use crate::agent::records::Records;
use crate::agent::targets::Targets;
use crate::agent::waiting::Waiting;
use crate::process::telemetry::AgentMetrics;
use serde_json::{Value, json};
use std::path::PathBuf;
use tokio::io::AsyncBufReadExt;

struct Node {
    folder: PathBuf,
    stop: CancellationToken,
}

impl Node {
    fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("hf-sock-{}-{name}", std::process::id()));
        let host = Host::at(folder.clone()).seen_from(Path::new("/"));
        std::fs::create_dir_all(host.run().join("containers")).unwrap();
        let records = Records::open(&host.records()).unwrap();
        let own = (host.clone(), "n1".into());
        let orders = Orders::default();
        let targets = Targets::new(own, records.clone(), orders, Waiting::default());
        let metrics = AgentMetrics::default();
        let answers = Arc::new(Answers::new(records, host, metrics, (targets, &[])));
        let stop = CancellationToken::new();
        let listener = listen(&folder.join("run/holdfast")).unwrap();
        tokio::spawn(serve(listener, answers, stop.clone()));
        Self { folder, stop }
    }

    fn path(&self) -> PathBuf {
        self.folder.join("run/holdfast/agent.sock")
    }

    /// All lines that come of a question.
    async fn ask(&self, question: &str) -> Vec<Value> {
        let mut stream = UnixStream::connect(self.path()).await.unwrap();
        stream.write_all(question.as_bytes()).await.unwrap();
        let mut lines = BufReader::new(stream).lines();
        let mut all = Vec::new();
        while let Ok(Some(line)) = lines.next_line().await {
            all.push(serde_json::from_str(&line).unwrap());
        }
        all
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.stop.cancel();
        let _gone = std::fs::remove_dir_all(&self.folder);
    }
}

fn create(expects: Option<&str>) -> String {
    let place = json!({
        "id": "c1", "root": "/r", "bundle": "/b", "namespace": "ns", "pod": "web", "uid": "u1",
        "container": "a", "sandbox": false, "expects": expects,
    });
    json!({ "version": 1, "ask": "create", "place": place }).to_string() + "\n"
}

#[tokio::test]
async fn a_connection_is_one_question() {
    let node = Node::new("one");
    assert_eq!(node.ask(&create(None)).await, [json!({ "do": "start" })]);
    let mode = std::fs::metadata(node.path()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

/// Files of the node can be made readable by anybody who is root there once; who asks is looked at all the same.
#[tokio::test]
async fn whoever_is_not_root_is_sent_away() {
    use std::io::{Read, Write};
    let node = Node::new("stranger");
    for path in [node.path(), node.folder.clone(), node.folder.join("run")] {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o777)).unwrap();
    }
    let folder = node.folder.join("run/holdfast");
    std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o777)).unwrap();
    let path = node.path();
    let asks = move |uid: u32| {
        // A system call of this thread alone, which ends with it.
        rustix::thread::set_thread_uid(rustix::process::Uid::from_raw(uid)).unwrap();
        let mut stream = std::os::unix::net::UnixStream::connect(&path).unwrap();
        // It may have been sent away before it has said anything.
        let _told = stream.write_all(create(None).as_bytes());
        let mut answer = String::new();
        let _cut_off = stream.read_to_string(&mut answer);
        answer
    };
    let asked = |uid| {
        tokio::task::spawn_blocking({
            let asks = asks.clone();
            move || std::thread::spawn(move || asks(uid)).join().unwrap()
        })
    };
    assert_eq!(asked(65_534).await.unwrap(), "");
    assert!(asked(0).await.unwrap().contains("start"));
}

#[tokio::test]
async fn what_is_no_question_has_no_answer_and_does_no_harm() {
    let node = Node::new("garbage");
    let long = "x".repeat(LONGEST_LINE + 10);
    for garbage in ["\n", "{}\n", "{\"version\":2,\"ask\":\"kill\"}\n", &long] {
        assert_eq!(node.ask(garbage).await, Vec::<Value>::new());
    }
    assert_eq!(node.ask(&create(None)).await, [json!({ "do": "start" })]);
}

#[tokio::test]
async fn whoever_waits_is_told_why_and_loses_the_connection_with_the_agent() {
    let node = Node::new("waits");
    let mut stream = UnixStream::connect(node.path()).await.unwrap();
    let question = create(Some("op"));
    stream.write_all(question.as_bytes()).await.unwrap();
    let mut lines = BufReader::new(stream).lines();
    let line = lines.next_line().await.unwrap().unwrap();
    node.stop.cancel();
    assert_eq!(lines.next_line().await.unwrap(), None);
    let line: Value = serde_json::from_str(&line).unwrap();
    assert_eq!(line["do"], "wait");
    assert!(line["why"].as_str().unwrap().contains("operation op"));
}

#[tokio::test]
async fn a_socket_that_a_former_agent_left_is_replaced() {
    let node = Node::new("former");
    let run = node.folder.join("run/holdfast");
    node.stop.cancel();
    let again = listen(&run).unwrap();
    let taken = tokio::join!(again.accept(), UnixStream::connect(node.path()));
    assert!(taken.0.is_ok() && taken.1.is_ok());
}
