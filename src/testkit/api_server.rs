//! An API server in memory, for tests of call sequences: it keeps objects, counts `resourceVersion`, answers 404 and 409, honours
//! finalizers, lists in pages, answers watches and can be cut off. It has no schemas and no rights; those are tested on the real one.

mod listing;
mod resizing;
mod watching;

use crate::process::farewell::{Carrier, HeldBody, Judged};
use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, Uri};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use kube::Client;
use kube::client::Body;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use watching::History;

/// The body of an answer: whole, or a watch that stays open.
type Answer = UnsyncBoxBody<Bytes, std::convert::Infallible>;

/// The server, shared by its clients and its test.
#[derive(Clone, Default)]
pub(crate) struct ApiServer(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    objects: BTreeMap<String, Value>,
    version: u64,
    uids: u64,
    cut_off: bool,
    calls: Vec<String>,
    forbidden: Vec<String>,
    slow: Option<(Duration, usize)>,
    stalled: Vec<String>,
    refused_once: Vec<(String, StatusCode, String)>,
    sent: Vec<(String, Value)>,
    answers: Vec<(String, Value)>,
    served: Vec<String>,
    history: History,
}

impl ApiServer {
    /// A client of this server.
    pub(crate) fn client(&self) -> Client {
        let server = self.clone();
        Client::new(
            tower::service_fn(move |request: Request<Body>| server.clone().answer(request)),
            "default",
        )
    }

    /// The same server for last writes: it judges a request by its head, and acts when the body has come.
    pub(crate) fn carrier(&self) -> Carrier {
        let server = self.clone();
        let service = tower::service_fn(move |request: Request<HeldBody>| {
            let server = server.clone();
            async move {
                let (head, body) = request.into_parts();
                let call = format!("{} {}", head.method, head.uri.path());
                if server.state(|state| {
                    state.cut_off || state.stalled.iter().any(|prefix| call.starts_with(prefix))
                }) {
                    std::future::pending::<()>().await;
                }
                if !server.state(|state| state.is_forbidden(&head.method, head.uri.path()))
                    && let Some(judged) = head.extensions.get::<Judged>()
                {
                    judged.tell();
                    let content = body.collect().await?.to_bytes().to_vec();
                    return server
                        .whole_answer(Request::from_parts(head, Body::from(content)))
                        .await;
                }
                server
                    .whole_answer(Request::from_parts(head, Body::empty()))
                    .await
            }
        });
        Carrier::new(service)
    }

    async fn whole_answer(
        self,
        request: Request<Body>,
    ) -> Result<Response<Vec<u8>>, tower::BoxError> {
        let (head, body) = self.answer(request).await?.into_parts();
        Ok(Response::from_parts(
            head,
            body.collect().await?.to_bytes().to_vec(),
        ))
    }

    /// From now on no call is answered (true), or again each one (false).
    pub(crate) fn cut_off(&self, cut_off: bool) {
        self.state(|state| state.cut_off = cut_off);
    }

    /// Calls whose `METHOD path` starts with this text are refused with 403.
    pub(crate) fn forbid(&self, prefix: &str) {
        self.state(|state| state.forbidden.push(prefix.to_owned()));
    }

    /// The next call whose `METHOD path` starts with this text is refused with this code; the ones after it are not.
    pub(crate) fn refuse_once(&self, prefix: &str, code: StatusCode) {
        self.refuse_saying(prefix, code, "Refused");
    }

    /// The same, in these words.
    pub(crate) fn refuse_saying(&self, prefix: &str, code: StatusCode, message: &str) {
        let refused = (prefix.to_owned(), code, message.to_owned());
        self.state(|state| state.refused_once.push(refused));
    }

    /// Calls whose `METHOD path` starts with this text are answered with this, and nothing is kept of them.
    pub(crate) fn answer_with(&self, prefix: &str, answer: Value) {
        self.state(|state| state.answers.push((prefix.to_owned(), answer)));
    }

    /// What was sent with the calls whose `METHOD path` starts with this text.
    pub(crate) fn sent(&self, prefix: &str) -> Vec<Value> {
        let sent = self.state(|state| state.sent.clone());
        let ours = sent
            .into_iter()
            .filter(|(call, _)| call.starts_with(prefix));
        ours.map(|(_, body)| body).collect()
    }

    /// Puts an object at a path, as some other client would.
    pub(crate) fn put(&self, path: &str, object: Value) {
        self.state(|state| state.store(path, object));
    }

    /// Takes away the object at a path.
    pub(crate) fn remove(&self, path: &str) {
        self.state(|state| state.take_away(path));
    }

    /// A collection can be listed and watched although there never was anything in it.
    pub(crate) fn serve_empty(&self, collection: &str) {
        self.state(|state| state.served.push(collection.to_owned()));
    }

    /// What is stored at a path.
    pub(crate) fn stored(&self, path: &str) -> Option<Value> {
        self.state(|state| state.objects.get(path).cloned())
    }

    /// A last write whose `METHOD path` starts with this text is never judged.
    pub(crate) fn stall(&self, prefix: &str) {
        self.state(|state| state.stalled.push(prefix.to_owned()));
    }

    /// The finalizers of the object at a path.
    pub(crate) fn finalizers(&self, path: &str) -> Vec<String> {
        let object = self.stored(path).unwrap_or_default();
        let list = object["metadata"]["finalizers"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        list.iter()
            .filter_map(Value::as_str)
            .map(str::to_owned)
            .collect()
    }

    /// From now on every answer takes this long, and after so many calls in all there is none any more.
    pub(crate) fn slow_down(&self, answer: Duration, last_call: usize) {
        self.state(|state| state.slow = Some((answer, last_call)));
    }

    /// The calls so far, as `METHOD path`.
    pub(crate) fn calls(&self) -> Vec<String> {
        self.state(|state| state.calls.clone())
    }

    fn state<T>(&self, look: impl FnOnce(&mut State) -> T) -> T {
        look(&mut self.0.lock().unwrap())
    }

    async fn answer(
        self,
        request: Request<Body>,
    ) -> Result<Response<Answer>, std::convert::Infallible> {
        let (parts, body) = request.into_parts();
        if self.state(|state| state.cut_off) {
            std::future::pending::<()>().await;
        }
        if let Some((answer, last_call)) = self.state(|state| state.slow) {
            tokio::time::sleep(answer).await;
            if self.state(|state| state.calls.len() >= last_call) {
                std::future::pending::<()>().await;
            }
        }
        let bytes = body.collect_bytes().await.unwrap_or_default();
        let sent = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
        let (code, answer) = self.state(|state| state.serve(&parts.method, &parts.uri, sent));
        let body = match watching::since(parts.uri.query()) {
            Some(since) if code == StatusCode::OK => self.watch(parts.uri.path(), since),
            _ => Full::from(serde_json::to_vec(&answer).unwrap()).boxed_unsync(),
        };
        Ok(Response::builder()
            .status(code)
            .header("content-type", "application/json")
            .body(body)
            .unwrap())
    }
}

fn refusal(code: StatusCode, reason: &str) -> (StatusCode, Value) {
    (
        code,
        json!({ "kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code.as_u16(), "reason": reason, "message": reason }),
    )
}

impl State {
    fn serve(&mut self, method: &Method, uri: &Uri, sent: Value) -> (StatusCode, Value) {
        let path = uri.path();
        let call = format!("{method} {path}");
        self.calls.push(call.clone());
        self.sent.push((call.clone(), sent.clone()));
        if self.is_forbidden(method, path) {
            return refusal(StatusCode::FORBIDDEN, "Forbidden");
        }
        let once = |(prefix, ..): &(String, _, _)| call.starts_with(prefix);
        if let Some(at) = self.refused_once.iter().position(once) {
            let (_, code, message) = self.refused_once.remove(at);
            return refusal(code, &message);
        }
        let mut answers = self.answers.iter();
        if let Some((_, answer)) = answers.find(|(prefix, _)| call.starts_with(prefix)) {
            return (StatusCode::OK, answer.clone());
        }
        match *method {
            Method::GET => self.read(path, uri.query()),
            Method::POST => self.create(path, sent),
            Method::PATCH if path.ends_with("/resize") => {
                self.resize(path.trim_end_matches("/resize"), &sent)
            }
            Method::PUT | Method::PATCH => {
                let path = path
                    .trim_end_matches("/status")
                    .trim_end_matches("/approval");
                self.change(method, path, sent)
            }
            Method::DELETE => self.delete(path, &sent),
            _ => refusal(StatusCode::METHOD_NOT_ALLOWED, "MethodNotAllowed"),
        }
    }

    fn is_forbidden(&self, method: &Method, path: &str) -> bool {
        let call = format!("{method} {path}");
        self.forbidden.iter().any(|prefix| call.starts_with(prefix))
    }

    fn create(&mut self, path: &str, mut sent: Value) -> (StatusCode, Value) {
        let name = sent["metadata"]["name"]
            .as_str()
            .map_or_else(|| format!("generated-{}", self.version), str::to_owned);
        let path = format!("{path}/{name}");
        if self.objects.contains_key(&path) {
            return refusal(StatusCode::CONFLICT, "AlreadyExists");
        }
        sent["metadata"]["name"] = name.into();
        self.store(&path, sent);
        (StatusCode::CREATED, self.objects[&path].clone())
    }

    fn change(&mut self, method: &Method, path: &str, sent: Value) -> (StatusCode, Value) {
        let Some(former) = self.objects.get(path) else {
            return refusal(StatusCode::NOT_FOUND, "NotFound");
        };
        let judged_on = &sent["metadata"]["resourceVersion"];
        if !judged_on.is_null() && *judged_on != former["metadata"]["resourceVersion"] {
            return refusal(StatusCode::CONFLICT, "Conflict");
        }
        let mut next = match (method, &sent) {
            (&Method::PUT, _) => sent,
            (_, Value::Array(_)) => match operated(former.clone(), sent) {
                Some(next)
                    if next["metadata"]["resourceVersion"]
                        != former["metadata"]["resourceVersion"] =>
                {
                    return refusal(StatusCode::CONFLICT, "Conflict");
                }
                Some(next) => next,
                None => return refusal(StatusCode::UNPROCESSABLE_ENTITY, "Invalid"),
            },
            // An apply: what its one owner does not say any more is gone.
            _ if sent["kind"].is_string() && sent["status"].is_object() => {
                let mut next = former.clone();
                next["status"] = sent["status"].clone();
                next
            }
            _ => merged(former.clone(), sent),
        };
        next["metadata"]["uid"] = former["metadata"]["uid"].clone();
        self.store(path, next.clone());
        if next["metadata"]["deletionTimestamp"].is_string() && !has_finalizers(&next) {
            self.take_away(path);
            return (StatusCode::OK, next);
        }
        (StatusCode::OK, self.objects[path].clone())
    }

    fn delete(&mut self, path: &str, sent: &Value) -> (StatusCode, Value) {
        let Some(mut object) = self.objects.get(path).cloned() else {
            return refusal(StatusCode::NOT_FOUND, "NotFound");
        };
        let differs = |key: &str| {
            let wanted = &sent["preconditions"][key];
            !wanted.is_null() && *wanted != object["metadata"][key]
        };
        if differs("uid") || differs("resourceVersion") {
            return refusal(StatusCode::CONFLICT, "Conflict");
        }
        if has_finalizers(&object) {
            object["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
            self.store(path, object.clone());
        } else {
            self.take_away(path);
        }
        (StatusCode::OK, object)
    }

    fn take_away(&mut self, path: &str) {
        if let Some(mut object) = self.objects.remove(path) {
            self.version = self.version.saturating_add(1);
            object["metadata"]["resourceVersion"] = json!(self.version.to_string());
            self.history.tell(self.version, path, "DELETED", object);
        }
    }

    fn store(&mut self, path: &str, mut object: Value) {
        self.version = self.version.saturating_add(1);
        object["metadata"]["resourceVersion"] = json!(self.version.to_string());
        if !object["metadata"]["uid"].is_string() {
            self.uids = self.uids.saturating_add(1);
            object["metadata"]["uid"] = json!(format!("uid-{}", self.uids));
        }
        let known = self.objects.insert(path.to_owned(), object.clone());
        let kind = known.map_or("ADDED", |_| "MODIFIED");
        self.history.tell(self.version, path, kind, object);
    }
}

/// Whether an object's path lies in a collection: right below it, or, for one of all namespaces, below the same one of any of them.
fn is_in(collection: &str, path: &str) -> bool {
    let is_right_below = |collection: &str, path: &str| {
        let rest = path.strip_prefix(collection);
        rest.and_then(|rest| rest.strip_prefix('/'))
            .is_some_and(|rest| !rest.contains('/'))
    };
    let in_a_namespace = || {
        let (group, plural) = collection.rsplit_once('/')?;
        let rest = path.strip_prefix(group)?.strip_prefix("/namespaces/")?;
        let (_, rest) = rest.split_once('/')?;
        Some(is_right_below(plural, rest))
    };
    is_right_below(collection, path) || in_a_namespace().unwrap_or_default()
}

fn has_finalizers(object: &Value) -> bool {
    object["metadata"]["finalizers"]
        .as_array()
        .is_some_and(|list| !list.is_empty())
}

fn operated(mut target: Value, operations: Value) -> Option<Value> {
    let patch: json_patch::Patch = serde_json::from_value(operations).ok()?;
    json_patch::patch(&mut target, &patch).ok()?;
    Some(target)
}

fn merged(mut target: Value, patch: Value) -> Value {
    match patch {
        Value::Object(fields) => {
            if !target.is_object() {
                target = json!({});
            }
            for (key, value) in fields {
                if value.is_null() {
                    target.as_object_mut().unwrap().remove(&key);
                } else {
                    let former = target[&key].take();
                    target[&key] = merged(former, value);
                }
            }
            target
        }
        other => other,
    }
}
