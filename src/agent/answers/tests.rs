use super::*;
use crate::agent::orders::Orders;
use crate::agent::waiting::Waiting;
use crate::hold::change::{Beginning, HoldStep};
use crate::hold::record::{Deadline, Held, Role};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::sync::mpsc;

struct Node {
    folder: PathBuf,
    answers: Arc<Answers>,
    records: Records,
}

impl Node {
    fn new(name: &str) -> Self {
        let folder =
            std::env::temp_dir().join(format!("holdfast-answers-{}-{name}", std::process::id()));
        let host = Host::at(folder.clone());
        std::fs::create_dir_all(host.run().join("containers")).unwrap();
        let records = Records::open(&host.records()).unwrap();
        let targets = Targets::new(
            (host.clone(), "n1".into()),
            records.clone(),
            Orders::default(),
            Waiting::default(),
        );
        let metrics = AgentMetrics::default();
        let answers = Answers::new(records.clone(), host, metrics, (targets, &[]));
        Self {
            folder,
            answers: Arc::new(answers),
            records,
        }
    }

    /// Asks for a container; its lines.
    fn create(&self, container: Option<&str>) -> mpsc::UnboundedReceiver<Line> {
        let place = place(container);
        Places::below(&Host::at(self.folder.clone()).run())
            .put(&place)
            .unwrap();
        let (sender, lines) = mpsc::unbounded_channel();
        let answers = Arc::clone(&self.answers);
        let question = Question {
            version: crate::runtime::api::VERSION,
            ask: Ask::Create { place },
        };
        tokio::spawn(async move { answers.answer(question, None, &mut Lines(sender)).await });
        lines
    }

    async fn change(&self, step: HoldStep) {
        self.records
            .change(&whose(&place(None)).unwrap(), &Change::hold("op", step))
            .await
            .unwrap();
    }

    async fn record(&self) -> Record {
        self.records.read(&uid()).await.unwrap().unwrap()
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _gone = std::fs::remove_dir_all(&self.folder);
    }
}

struct Lines(mpsc::UnboundedSender<Line>);

impl Teller for Lines {
    async fn tell(&mut self, line: &Line) -> io::Result<()> {
        self.0.send(line.clone()).map_err(io::Error::other)
    }
}

fn uid() -> Uid {
    Uid::try_from("u1").unwrap()
}

fn place(container: Option<&str>) -> Place {
    Place {
        id: "c1".into(),
        root: "/run/runc".into(),
        bundle: "/bundle".into(),
        namespace: "ns".into(),
        pod: "web".into(),
        uid: "u1".into(),
        container: container.map(str::to_owned),
        sandbox: container.is_none(),
        expects: None,
    }
}

fn beginning() -> HoldStep {
    HoldStep::Begin(Beginning {
        role: Role::Checkpoint,
        target: None,
        generation: "g1".into(),
        deadline: Deadline {
            boot: "b".into(),
            nanos: u64::MAX,
        },
        containers: vec![Held {
            name: "a".into(),
            id: "c1".into(),
            root: "/run/runc".into(),
            cgroups: Vec::new(),
        }],
    })
}

#[tokio::test]
async fn an_ordinary_container_starts_and_that_is_noted() {
    let node = Node::new("ordinary");
    assert_eq!(node.create(None).recv().await, Some(Line::Start));
    let mut lines = node.create(Some("a"));
    assert_eq!(lines.recv().await, Some(Line::Start));
    assert_eq!(lines.recv().await, None);
    assert_eq!(
        node.record().await.started,
        BTreeSet::from(["a".to_owned()])
    );
}

#[tokio::test]
async fn nothing_starts_in_a_held_pod_until_the_hold_is_over() {
    let node = Node::new("held");
    node.change(beginning()).await;
    let mut lines = node.create(Some("a"));
    let Some(Line::Wait { why }) = lines.recv().await else {
        panic!("it does not wait");
    };
    assert!(why.contains("frozen for operation op"), "{why}");
    node.change(HoldStep::Withdraw).await;
    let Some(Line::Wait { why }) = lines.recv().await else {
        panic!("it does not wait for the end");
    };
    assert!(why.contains("about to run here again"), "{why}");
    node.change(HoldStep::End).await;
    assert_eq!(lines.recv().await, Some(Line::Start));
}

#[tokio::test]
async fn a_record_that_cannot_be_read_keeps_everything_waiting() {
    let node = Node::new("unreadable");
    let path = Path::new(&node.folder).join("var/lib/holdfast/records/u1.json");
    std::fs::write(&path, b"{\"version\":1,").unwrap();
    let mut lines = node.create(Some("a"));
    let Some(Line::Wait { why }) = lines.recv().await else {
        panic!("it does not wait");
    };
    assert!(why.contains("cannot be read"), "{why}");
    std::fs::remove_file(path).unwrap();
    assert_eq!(
        lines.recv().await,
        Some(Line::Start),
        "somebody looked at it"
    );
}

#[tokio::test]
async fn a_signal_to_a_held_container_is_noted_and_others_pass() {
    let node = Node::new("signals");
    node.create(Some("a")).recv().await;
    assert_eq!(
        node.answers.kill("c1", "TERM").await,
        Line::Pass,
        "nothing holds it"
    );
    assert_eq!(node.answers.kill("unknown", "TERM").await, Line::Pass);
    node.change(beginning()).await;
    assert_eq!(node.answers.kill("c1", "TERM").await, Line::Done);
    assert_eq!(node.answers.kill("c1", "0").await, Line::Done);
    assert_eq!(node.record().await.hold.unwrap().wishes, ["TERM c1"]);
    assert_eq!(node.answers.remove("c1", false).await, Line::Pass);
}

#[tokio::test]
async fn a_pod_without_a_proper_uid_is_refused() {
    let node = Node::new("liar");
    let whose = whose(&Place {
        uid: "../x".into(),
        ..place(None)
    });
    assert!(whose.unwrap_err().contains("not the uid of a pod"));
    drop(node);
}
