//! One request and its answer.
//!
//! A fault of ours is never an answer to the question: it is a code that is no 200, and the webhook's failure policy decides.
//!
//! | what comes | code |
//! |---|---|
//! | a path that nobody serves | 404 |
//! | not a POST | 405 |
//! | not `application/json` | 415 |
//! | too large a body | 413 |
//! | a body that stops coming | 408 |
//! | no review that can be read | 400, with a sentence |
//! | more than is worked on at once | 503 at once, with `Retry-After`: a queue would only make all of them late |
//! | an endpoint that panicked, or was late | 500 |

use crate::process::telemetry::{EndpointMetrics, WebhookMetrics};
use crate::webhook::body::{Allowance, Bounds, collect, discard};
use crate::webhook::connections::{Doing, Seat};
use crate::webhook::endpoint::{Endpoint, Reply};
use crate::webhook::refusal::Refusal;
use crate::webhook::review::Malformed;
use bytes::Bytes;
use futures::FutureExt;
use http::header::{ALLOW, CONNECTION, CONTENT_TYPE, RETRY_AFTER};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use http_body::Body;
use http_body_util::Full;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

/// The API server says how long it waits; this is for whoever does not say.
const USUAL_TIME: Duration = Duration::from_secs(2);
/// More than Kubernetes allows a webhook.
const LONGEST_TIME: Duration = Duration::from_secs(30);
/// How much earlier than the API server we give up, at least: the answer has to get there.
const LEAST_MARGIN: Duration = Duration::from_millis(50);

const JSON: HeaderValue = HeaderValue::from_static("application/json");
const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");
const CLOSE: HeaderValue = HeaderValue::from_static("close");

struct Route {
    endpoint: Arc<dyn Endpoint>,
    metrics: EndpointMetrics,
}

/// A review that was answered at once.
pub(super) struct Answered {
    /// As JSON.
    pub(super) body: Vec<u8>,
    /// With this answer the connection ends.
    pub(super) is_last: bool,
    pub(super) at: Instant,
}

/// What all connections of one server share.
pub(super) struct Exchange {
    routes: Vec<Route>,
    bounds: Bounds,
    most_reviews: usize,
    metrics: WebhookMetrics,
    allowance: Allowance,
    reviews: AtomicUsize,
    is_leaving: AtomicBool,
}

type Outcome = std::thread::Result<Result<Reply, Malformed>>;

impl Route {
    /// What the endpoint says without waiting, if it does; or that it panicked.
    fn at_once(&self, body: &[u8]) -> Option<Outcome> {
        catch_unwind(AssertUnwindSafe(|| self.endpoint.at_once(body))).transpose()
    }
}

impl Exchange {
    pub(super) fn new(
        endpoints: Vec<Arc<dyn Endpoint>>,
        bounds: Bounds,
        most_reviews: usize,
        metrics: WebhookMetrics,
    ) -> Self {
        let routes = endpoints.into_iter().map(|endpoint| Route {
            metrics: metrics.of(endpoint.name()),
            endpoint,
        });
        Self {
            routes: routes.collect(),
            bounds,
            most_reviews,
            metrics,
            allowance: Allowance::default(),
            reviews: AtomicUsize::default(),
            is_leaving: AtomicBool::default(),
        }
    }

    /// From now on each answer closes its connection, so that the next request goes to somebody else.
    pub(super) fn leaves(&self) {
        self.is_leaving.store(true, Ordering::Relaxed);
    }

    /// The longest body that draws on no allowance.
    pub(super) const fn small(&self) -> usize {
        self.bounds.small
    }

    /// Answers a review for this path, if it can be answered at once; it is under way until whoever sends the answer says that the
    /// seat rests. Otherwise nothing was counted, and it has to be asked again by `answer`, which refuses what is to be refused.
    pub(super) fn at_once(&self, seat: &Seat, path: &str, body: &[u8]) -> Option<Answered> {
        let route = self.serving(path)?;
        let _turn = self.turn().ok()?;
        let arrived = Instant::now();
        seat.begins(Doing::Review, arrived);
        let Some(Ok(Ok(reply))) = route.at_once(body) else {
            // No review is under way until `answer` begins one, and hyper may refuse the request before: that, too, may not last for ever.
            seat.begins(Doing::Head, arrived);
            return None;
        };
        let at = done(route, &reply, arrived);
        Some(Answered {
            body: reply.body,
            is_last: self.is_last(seat, at),
            at,
        })
    }

    /// Answers one request of the connection on this seat.
    pub(super) async fn answer<B>(&self, seat: &Seat, request: Request<B>) -> Response<Full<Bytes>>
    where
        B: Body<Data = Bytes> + Unpin,
    {
        let arrived = Instant::now();
        seat.begins(Doing::Body, arrived);
        let (mut response, is_last) = match self.review(seat, request, arrived).await {
            Ok((route, reply)) => {
                let is_last = self.rests(seat, done(route, &reply, arrived));
                let mut response = Response::new(Full::from(reply.body));
                response.headers_mut().insert(CONTENT_TYPE, JSON);
                (response, is_last)
            }
            Err(refusal) => {
                let response = self.refuse(refusal);
                (response, self.rests(seat, Instant::now()))
            }
        };
        if is_last {
            response.headers_mut().insert(CONNECTION, CLOSE);
        }
        response
    }

    /// Nothing is under way on this connection any more; whether it ends.
    fn rests(&self, seat: &Seat, now: Instant) -> bool {
        seat.begins(Doing::Rest, now);
        self.is_last(seat, now)
    }

    fn is_last(&self, seat: &Seat, now: Instant) -> bool {
        self.is_leaving.load(Ordering::Relaxed) || seat.is_old(now)
    }

    async fn review<B>(
        &self,
        seat: &Seat,
        request: Request<B>,
        arrived: Instant,
    ) -> Result<(&Route, Reply), Refusal>
    where
        B: Body<Data = Bytes> + Unpin,
    {
        let (head, body) = request.into_parts();
        let route = match self.route(&head) {
            Ok(route) => route,
            Err(refusal) => {
                discard(body, &self.bounds).await;
                return Err(refusal);
            }
        };
        let body = collect(body, &self.bounds, &self.allowance).await?;
        let _turn = self.turn()?;
        seat.begins(Doing::Review, arrived);
        let endpoint = &*route.endpoint;
        // Nearly every answer is there at once: neither a task nor a timer is made for it.
        let answered = if let Some(answered) = route.at_once(&body.bytes) {
            answered
        } else {
            let (deadline, limit) = deadline(arrived, head.uri.query());
            // The call itself may panic before there is a future.
            let reviewed = AssertUnwindSafe(async { endpoint.review(&body.bytes, deadline).await });
            let reviewed = timeout_at(limit, reviewed.catch_unwind()).await;
            reviewed.map_err(|_elapsed| Refusal::Late)?
        };
        match answered {
            Ok(Ok(reply)) => Ok((route, reply)),
            Ok(Err(malformed)) => Err(Refusal::Malformed(malformed.to_string())),
            Err(_panic) => {
                tracing::error!(
                    webhook = endpoint.name(),
                    "a review panicked: its failure policy decides"
                );
                Err(Refusal::Panicked)
            }
        }
    }

    /// Whether anybody answers reviews for this path.
    pub(super) fn serves(&self, path: &str) -> bool {
        self.serving(path).is_some()
    }

    /// The client of a review was gone before all of its body had come: there is nobody to be told.
    pub(super) fn was_cut(&self) {
        let (_code, reason, _why) = Refusal::CutBody.told();
        self.metrics.refused(reason);
    }

    fn serving(&self, path: &str) -> Option<&Route> {
        let mut routes = self.routes.iter();
        routes.find(|route| route.endpoint.path() == path)
    }

    /// Whom a request is for, as far as its head says that it is one.
    fn route(&self, head: &Parts) -> Result<&Route, Refusal> {
        let route = self.serving(head.uri.path()).ok_or(Refusal::UnknownPath)?;
        if head.method != Method::POST {
            return Err(Refusal::BadMethod);
        }
        if !is_json(&head.headers) {
            return Err(Refusal::BadType);
        }
        Ok(route)
    }

    /// A place among the reviews that are under way.
    fn turn(&self) -> Result<Turn<'_>, Refusal> {
        let before = self.reviews.fetch_add(1, Ordering::Relaxed);
        let turn = Turn(&self.reviews);
        if before >= self.most_reviews {
            return Err(Refusal::Crowded);
        }
        Ok(turn)
    }

    fn refuse(&self, refusal: Refusal) -> Response<Full<Bytes>> {
        let is_crowded = refusal == Refusal::Crowded;
        let (code, reason, why) = refusal.told();
        if is_crowded {
            self.metrics.shed();
        } else {
            self.metrics.refused(reason);
        }
        let mut response = Response::new(Full::from(format!("{why}\n")));
        *response.status_mut() = code;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, TEXT);
        if is_crowded {
            headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
        }
        if code == StatusCode::METHOD_NOT_ALLOWED {
            headers.insert(ALLOW, HeaderValue::from_static("POST"));
        }
        response
    }
}

/// A review is answered: when.
fn done(route: &Route, reply: &Reply, arrived: Instant) -> Instant {
    let now = Instant::now();
    let took = now.saturating_duration_since(arrived);
    route.metrics.answered(reply.verdict, took);
    now
}

struct Turn<'a>(&'a AtomicUsize);

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Parameters, such as a character set, are allowed.
fn is_json(headers: &HeaderMap) -> bool {
    let Some(value) = headers.get(CONTENT_TYPE) else {
        return false;
    };
    if value == JSON {
        return true;
    }
    let essence = value.to_str().unwrap_or_default().split(';').next();
    essence.is_some_and(|essence| essence.trim().eq_ignore_ascii_case("application/json"))
}

/// Until when an endpoint may take, and when it is given up: both before the API server gives up.
fn deadline(arrived: Instant, query: Option<&str>) -> (Instant, Instant) {
    let asked = query
        .into_iter()
        .flat_map(|query| query.split('&'))
        .find_map(|field| field.strip_prefix("timeout="))
        .and_then(duration)
        .filter(|time| !time.is_zero())
        .map_or(USUAL_TIME, |time| time.min(LONGEST_TIME));
    // A tenth of the time, for the way there and back; of a very short time, a half.
    let part = |of: Duration, parts| of.checked_div(parts).unwrap_or_default();
    let margin = part(asked, 10).max(LEAST_MARGIN).min(part(asked, 2));
    let until = |margin| {
        arrived
            .checked_add(asked.saturating_sub(margin))
            .unwrap_or(arrived)
    };
    (until(margin), until(part(margin, 2)))
}

/// `2s` is what an API server sends.
fn duration(text: &str) -> Option<Duration> {
    if let Some(seconds) = text.strip_suffix('s').and_then(|text| text.parse().ok()) {
        return Some(Duration::from_secs(seconds));
    }
    let parsed: jiff::SignedDuration = text.parse().ok()?;
    Duration::try_from(parsed).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gives_up_before_the_api_server_does() {
        let now = Instant::now();
        for (query, until) in [
            (None, 1_800),
            (Some("timeout=10s"), 9_000),
            (Some("x=1&timeout=500ms"), 450),
            (Some("timeout=1m0s"), 27_000),
            (Some("timeout=60ms"), 30),
            (Some("timeout=0s"), 1_800),
            (Some("timeout=-1s"), 1_800),
            (Some("timeout=soon"), 1_800),
        ] {
            let (deadline, limit) = deadline(now, query);
            assert_eq!(deadline - now, Duration::from_millis(until), "{query:?}");
            assert!(limit > deadline, "{query:?}");
        }
    }

    #[test]
    fn knows_json_with_and_without_parameters() {
        for (value, expected) in [
            ("application/json", true),
            ("application/json; charset=utf-8", true),
            ("Application/JSON", true),
            ("application/json-patch+json", false),
            ("text/plain", false),
            ("", false),
        ] {
            let headers = HeaderMap::from_iter([(CONTENT_TYPE, value.parse().unwrap())]);
            assert_eq!(is_json(&headers), expected, "{value}");
        }
        assert!(!is_json(&HeaderMap::new()));
    }
}
