//! The locks that the buffer uses, in one place so that the loom check can put its own here.

pub(crate) use std::sync::{Condvar, Mutex, MutexGuard};
