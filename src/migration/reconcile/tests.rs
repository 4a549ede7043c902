//! Whole passes over an API server in memory.

mod inspected;
mod seated;
mod silent;

use super::*;
