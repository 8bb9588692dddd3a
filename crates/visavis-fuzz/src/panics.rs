//! Notices panics on every thread, also those that the program catches.

use std::cell::Cell;
use std::panic;
use std::process;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

thread_local! {
    static EXPECTED: Cell<bool> = const { Cell::new(false) };
}

/// Number of threads within [`expected`].
static EXPECTING: AtomicUsize = AtomicUsize::new(0);

static SEEN: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// The thread that calls the RTSP client and catches its panics.
const RTSP: &str = "rtsp";

/// What happens at a panic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AtPanic {
    /// The process is aborted, so that libFuzzer keeps the input.
    Abort,
    /// It is remembered for [`seen`].
    Remember,
}

/// Watches all panics from now on, except for those within `expected`.
pub fn watch(at_panic: AtPanic) {
    let usual = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        // Threads without a name are those of rayon, to which a call may give its work.
        if EXPECTED.get() || EXPECTING.load(Ordering::SeqCst) > 0 && thread::current().name().is_none() {
            return;
        }
        // Paths of our own code are relative.
        let of_library = info.location().is_some_and(|place| place.file().starts_with('/'));
        if of_library && thread::current().name() == Some(RTSP) {
            return;
        }
        usual(info);
        match at_panic {
            AtPanic::Abort => process::abort(),
            AtPanic::Remember => SEEN.lock().unwrap_or_else(PoisonError::into_inner).push(info.to_string()),
        }
    }));
}

/// The panics that were remembered since the last call.
pub fn seen() -> Vec<String> {
    std::mem::take(&mut *SEEN.lock().unwrap_or_else(PoisonError::into_inner))
}

/// Calls code that catches the panics of another library and returns them as errors. A panic that leaves `call` is reported.
#[cfg_attr(not(any(feature = "models", feature = "training")), expect(dead_code))]
pub(crate) fn expected<T>(call: impl FnOnce() -> T) -> T {
    EXPECTED.set(true);
    EXPECTING.fetch_add(1, Ordering::SeqCst);
    let result = panic::catch_unwind(panic::AssertUnwindSafe(call));
    EXPECTING.fetch_sub(1, Ordering::SeqCst);
    EXPECTED.set(false);
    result.unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(|&text| text.to_owned()));
        panic!("a panic was not caught: {}", text.unwrap_or_default());
    })
}
