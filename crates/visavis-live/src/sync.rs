//! The locks of the buffer. `checks/loom` replaces this module by the locks of loom.

pub(crate) use std::sync::{Condvar, Mutex, MutexGuard};
