//! Ctrl-C: stops the running pipeline and completes its files; pressed again, it ends the program at once.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, Once};

use anyhow::{Context, Result};
use visavis_live::Pipeline;

type Stopper = Box<dyn Fn() + Send>;

static INTERRUPTED: AtomicBool = AtomicBool::new(false);
static RUNNING: Mutex<Option<Stopper>> = Mutex::new(None);

/// Makes Ctrl-C (or SIGTERM) stop `pipelines`. A later call replaces the pipelines.
pub fn stops<'a>(pipelines: impl IntoIterator<Item = &'a Pipeline>) -> Result<()> {
    let stoppers: Vec<_> = pipelines.into_iter().map(Pipeline::stopper).collect();
    calls(Box::new(move || stoppers.iter().for_each(|stop| stop())))
}

/// Makes Ctrl-C (or SIGTERM) set `flag`.
pub fn sets(flag: &'static AtomicBool) -> Result<()> {
    calls(Box::new(|| flag.store(true, Ordering::Relaxed)))
}

/// Makes Ctrl-C (or SIGTERM) only set the flag of [`pressed`].
pub fn watch() -> Result<()> {
    calls(Box::new(|| {}))
}

fn calls(stopper: Stopper) -> Result<()> {
    static ONCE: Once = Once::new();
    *RUNNING.lock().unwrap_or_else(|poisoned| poisoned.into_inner()) = Some(stopper);
    let mut set = Ok(());
    ONCE.call_once(|| set = ctrlc::set_handler(handle));
    set.context("Ctrl-C cannot be watched")
}

/// Whether Ctrl-C was pressed.
pub fn pressed() -> bool {
    INTERRUPTED.load(Ordering::Relaxed)
}

/// The exit code that a shell expects of a program ended by Ctrl-C: 128 + SIGINT.
const EXIT_CODE: i32 = 130;

fn handle() {
    if INTERRUPTED.swap(true, Ordering::Relaxed) {
        std::process::exit(EXIT_CODE);
    }
    if let Some(stop) = &*RUNNING.lock().unwrap_or_else(|poisoned| poisoned.into_inner()) {
        stop();
    }
}
