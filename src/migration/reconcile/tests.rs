//! Whole passes over an API server in memory.

mod inspected;
mod silent;

use super::*;
