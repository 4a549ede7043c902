//! An agent that says what a test tells it to.

use serde_json::Value;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

/// What it says to one question, after it has heard it. The connection is closed when it comes back.
type Says = Box<dyn FnMut(usize, &Value, &mut UnixStream) + Send>;

pub(crate) struct Agent {
    path: PathBuf,
    is_over: Arc<AtomicBool>,
    heard: Arc<Mutex<Vec<Value>>>,
    thread: Option<JoinHandle<()>>,
}

impl Agent {
    /// Listens; `says` gets the number of the connection, the question and the stream.
    pub(crate) fn new(
        path: &Path,
        says: impl FnMut(usize, &Value, &mut UnixStream) + Send + 'static,
    ) -> Self {
        let mut says: Says = Box::new(says);
        std::fs::remove_file(path).ok();
        let listener = UnixListener::bind(path).unwrap();
        let is_over = Arc::new(AtomicBool::new(false));
        let heard = Arc::new(Mutex::new(Vec::new()));
        let (over, questions) = (is_over.clone(), heard.clone());
        let thread = std::thread::spawn(move || {
            for number in 0.. {
                let Ok((mut stream, _)) = listener.accept() else {
                    return;
                };
                if over.load(Ordering::SeqCst) {
                    return;
                }
                let mut line = String::new();
                BufReader::new(&stream)
                    .read_line(&mut line)
                    .unwrap_or_default();
                let question = serde_json::from_str(&line).unwrap_or(Value::Null);
                questions.lock().unwrap().push(question.clone());
                says(number, &question, &mut stream);
            }
        });
        Self {
            path: path.to_owned(),
            is_over,
            heard,
            thread: Some(thread),
        }
    }

    /// Says the same to everybody.
    pub(crate) fn saying(path: &Path, lines: &[Value]) -> Self {
        let text: String = lines
            .iter()
            .flat_map(|line| [line.to_string(), "\n".into()])
            .collect();
        Self::new(path, move |_, _, stream| {
            stream.write_all(text.as_bytes()).unwrap_or_default();
        })
    }

    /// All questions so far.
    pub(crate) fn heard(&self) -> Vec<Value> {
        self.heard.lock().unwrap().clone()
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::SeqCst);
        UnixStream::connect(&self.path).ok();
        // A test that failed does not wait for whoever still asks.
        if let Some(thread) = self.thread.take().filter(|_| !std::thread::panicking()) {
            thread.join().ok();
        }
        std::fs::remove_file(&self.path).ok();
    }
}
