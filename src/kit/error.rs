//! The one error of the library. A variant keeps its source and names the verb and the object, so that a log line or a
//! condition says what was tried on what. Messages are lowercase and have no full stop.

use std::time::Duration;

/// What can go wrong.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The API server refused or could not be reached.
    #[error("cannot {verb} {object}")]
    Api {
        /// What was tried.
        verb: &'static str,
        /// On which object.
        object: String,
        /// What the client said.
        #[source]
        source: Box<kube::Error>,
    },
    /// A call did not answer within its limit.
    #[error("cannot {verb} {object}: no answer within {limit:?}")]
    TimedOut {
        /// What was tried.
        verb: &'static str,
        /// On which object.
        object: String,
        /// The limit of the call.
        limit: Duration,
    },
    /// A read or write of a file or socket failed.
    #[error("cannot {verb} {object}")]
    Io {
        /// What was tried.
        verb: &'static str,
        /// On which path or address.
        object: String,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// Something that we were given cannot be used.
    #[error("{what} cannot be used: {why}")]
    Invalid {
        /// What was given.
        what: String,
        /// Why it cannot be used, and what to change.
        why: String,
    },
    /// A part of the process ended although it must not.
    #[error("{part} ended: {why}")]
    Ended {
        /// Which part.
        part: &'static str,
        /// Why.
        why: String,
    },
}

impl Error {
    /// The API server's answer to a call.
    pub fn api(verb: &'static str, object: impl Into<String>, source: kube::Error) -> Self {
        Self::Api {
            verb,
            object: object.into(),
            source: Box::new(source),
        }
    }

    /// The system's answer to a read or write.
    pub fn io(verb: &'static str, object: impl Into<String>, source: std::io::Error) -> Self {
        Self::Io {
            verb,
            object: object.into(),
            source,
        }
    }

    /// The HTTP status that the API server answered with, if it answered.
    #[must_use]
    pub fn code(&self) -> Option<u16> {
        match self {
            Self::Api { source, .. } => match source.as_ref() {
                kube::Error::Api(status) => Some(status.code),
                _ => None,
            },
            _ => None,
        }
    }

    /// What the API server said, if it answered.
    #[must_use]
    pub fn said(&self) -> Option<&str> {
        match self {
            Self::Api { source, .. } => match source.as_ref() {
                kube::Error::Api(status) => Some(&status.message),
                _ => None,
            },
            _ => None,
        }
    }

    /// Somebody else wrote first (409): observe again.
    #[must_use]
    pub fn is_conflict(&self) -> bool {
        self.code() == Some(409)
    }

    /// The object is not there (404).
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        self.code() == Some(404)
    }

    /// The API server knows the kind, and no object of this name. A kind that it does not know, or not yet, is a 404 as well, and says
    /// nothing about an object.
    #[must_use]
    pub fn is_absence_of(&self, name: &str) -> bool {
        let Self::Api { source, .. } = self else {
            return false;
        };
        let kube::Error::Api(status) = source.as_ref() else {
            return false;
        };
        let about = status.details.as_ref();
        status.code == 404 && about.is_some_and(|about| about.name == name)
    }

    /// We lack the right (403).
    #[must_use]
    pub fn is_forbidden(&self) -> bool {
        self.code() == Some(403)
    }

    /// The namespace or the kind is going, and nobody can be asked any more: to wait would keep it from going for ever.
    #[must_use]
    pub fn is_of_what_goes(&self) -> bool {
        let said = self.said().unwrap_or_default();
        self.is_not_found() || said.contains("being terminated") || said.contains("is terminating")
    }

    /// It was looked at, and is not let in (400, 403, 422): asking again changes nothing.
    #[must_use]
    pub fn is_refused(&self) -> bool {
        matches!(self.code(), Some(400 | 403 | 422))
    }

    /// Was it this that could not be done?
    #[must_use]
    pub fn is_about(&self, tried: &str) -> bool {
        matches!(self, Self::Api { verb, .. } | Self::TimedOut { verb, .. } if *verb == tried)
    }

    /// Nobody knows who we are any more (401): our account is gone, and no further try will help.
    #[must_use]
    pub fn is_lost_identity(&self) -> bool {
        self.code() == Some(401)
    }

    /// A short name for a metric's label: bounded, never free text.
    #[must_use]
    pub fn class(&self) -> &'static str {
        match self {
            Self::Api { .. } => match self.code() {
                Some(403) => "forbidden",
                Some(404) => "not_found",
                Some(409) => "conflict",
                Some(429) => "throttled",
                Some(400..=499) => "refused",
                Some(_) => "server",
                None => "unreachable",
            },
            Self::TimedOut { .. } => "timed_out",
            Self::Io { .. } => "io",
            Self::Invalid { .. } => "invalid",
            Self::Ended { .. } => "ended",
        }
    }
}

/// The whole story of an error, cause by cause, on one line.
#[must_use]
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut story = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let said = cause.to_string();
        if !story.contains(&said) {
            story.push_str(": ");
            story.push_str(&said);
        }
        next = cause.source();
    }
    story
}

/// What is gone already need not be taken away.
///
/// # Errors
/// Every other one.
pub fn unless_gone<T>(done: Result<T, Error>) -> Result<(), Error> {
    match done {
        Err(error) if !error.is_not_found() => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(code: u16) -> Error {
        let status = kube::core::Status {
            code,
            message: "said so".into(),
            ..Default::default()
        };
        Error::api("patch", "node n1", kube::Error::Api(Box::new(status)))
    }

    #[test]
    fn tells_a_conflict_from_a_missing_object() {
        assert!(answered(409).is_conflict() && !answered(409).is_not_found());
        assert!(answered(404).is_not_found() && !answered(404).is_conflict());
        assert_eq!(answered(429).class(), "throttled");
        assert_eq!(answered(500).class(), "server");
    }

    #[test]
    fn tells_the_whole_story_once() {
        let story = chain(&answered(409));
        assert!(story.starts_with("cannot patch node n1: "), "{story}");
        assert!(story.contains("said so"), "{story}");
    }
}
