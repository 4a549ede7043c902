//! Events as plain values: a plan says what is to be told, `process::writes` tells it.

/// One thing worth telling about an object: a transition, never a mere reconcile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// A person should look.
    pub is_warning: bool,
    /// Why, as a `PascalCase` constant.
    pub reason: &'static str,
    /// What the controller was doing, as a `PascalCase` constant.
    pub action: &'static str,
    /// The sentence for a person.
    pub note: String,
}
