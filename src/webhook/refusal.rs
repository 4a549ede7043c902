//! Why a request was not answered with a review, and what is said instead.

use http::StatusCode;

/// Why a request was not answered with a review.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Refusal {
    UnknownPath,
    BadMethod,
    BadType,
    TooLarge(usize),
    SlowBody,
    CutBody,
    Malformed(String),
    Crowded,
    Panicked,
    Late,
}

impl Refusal {
    /// Code, reason for the metric, and a sentence.
    pub(super) fn told(self) -> (StatusCode, &'static str, String) {
        match self {
            Self::UnknownPath => (
                StatusCode::NOT_FOUND,
                "unknown_path",
                "nothing is served here; look at the path in the webhook's configuration".into(),
            ),
            Self::BadMethod => (
                StatusCode::METHOD_NOT_ALLOWED,
                "bad_method",
                "a review is sent with POST".into(),
            ),
            Self::BadType => (
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "bad_type",
                "a review is sent as application/json".into(),
            ),
            Self::TooLarge(largest) => (
                StatusCode::PAYLOAD_TOO_LARGE,
                "too_large",
                format!("a review has at most {largest} bytes"),
            ),
            Self::SlowBody => (
                StatusCode::REQUEST_TIMEOUT,
                "slow_body",
                "the body did not come in time".into(),
            ),
            Self::CutBody => (
                StatusCode::BAD_REQUEST,
                "cut_body",
                "the body was cut off".into(),
            ),
            Self::Malformed(why) => (StatusCode::BAD_REQUEST, "malformed", why),
            Self::Crowded => (
                StatusCode::SERVICE_UNAVAILABLE,
                "crowded",
                "too much is under way; try again".into(),
            ),
            Self::Panicked => (
                StatusCode::INTERNAL_SERVER_ERROR,
                "panicked",
                "the review failed by a fault of Holdfast; its log says where".into(),
            ),
            Self::Late => (
                StatusCode::INTERNAL_SERVER_ERROR,
                "late",
                "the review was not finished in time".into(),
            ),
        }
    }
}
