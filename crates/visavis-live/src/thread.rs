//! Named threads, and panics as errors.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread::{Builder, JoinHandle};

use crate::error::LiveError;

/// Starts a thread with the name of its stage.
///
/// # Errors
/// [`LiveError::Thread`] if the operating system does not start it.
pub(crate) fn spawn<T: Send + 'static>(
    stage: &str,
    run: impl FnOnce() -> T + Send + 'static,
) -> Result<JoinHandle<T>, LiveError> {
    let failed = |error: std::io::Error| LiveError::Thread { stage: stage.to_owned(), reason: error.to_string() };
    Builder::new().name(stage.to_owned()).spawn(run).map_err(failed)
}

/// Runs `work` and returns its result, or the message of its panic. After a panic the caller must discard everything that
/// `work` changes.
pub(crate) fn catch_panic<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|payload| message(payload.as_ref()))
}

fn message(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| payload.downcast_ref::<String>().cloned()).unwrap_or_else(|| "a panic without a message".into())
}
