//! Ctrl-C: the running pipeline ends cleanly, files are finished; pressed again, the program ends at once.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, Once};

use anyhow::{Context, Result};
use visavis_live::Pipeline;

type Stopper = Box<dyn Fn() + Send>;

static INTERRUPTED: AtomicBool = AtomicBool::new(false);
static RUNNING: Mutex<Option<Stopper>> = Mutex::new(None);

/// From now on Ctrl-C (or a polite kill) stops `pipeline`. A later call passes it on to the next one.
pub(crate) fn stops(pipeline: &Pipeline) -> Result<()> {
    static ONCE: Once = Once::new();
    *RUNNING.lock().unwrap_or_else(|poisoned| poisoned.into_inner()) = Some(Box::new(pipeline.stopper()));
    let mut set = Ok(());
    ONCE.call_once(|| set = ctrlc::set_handler(handle));
    set.context("Ctrl-C cannot be watched")
}

/// From now on Ctrl-C (or a polite kill) sets `flag`.
#[cfg(feature = "train")]
pub(crate) fn sets(flag: &'static AtomicBool) -> Result<()> {
    *RUNNING.lock().unwrap_or_else(|poisoned| poisoned.into_inner()) =
        Some(Box::new(|| flag.store(true, Ordering::Relaxed)));
    ctrlc::set_handler(handle).context("Ctrl-C cannot be watched")
}

/// Whether Ctrl-C was pressed.
pub(crate) fn pressed() -> bool {
    INTERRUPTED.load(Ordering::Relaxed)
}

/// What a shell expects of a program that Ctrl-C ended: 128 + SIGINT.
const EXIT_CODE: i32 = 130;

fn handle() {
    if INTERRUPTED.swap(true, Ordering::Relaxed) {
        std::process::exit(EXIT_CODE);
    }
    if let Some(stop) = &*RUNNING.lock().unwrap_or_else(|poisoned| poisoned.into_inner()) {
        stop();
    }
}
