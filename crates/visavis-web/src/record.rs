//! Recording on request: a thread that writes scenes into a film, until somebody stops it.

use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use tempfile::NamedTempFile;
use visavis_live::Scene;

use crate::problem::Problem;

/// Writes scenes into a film.
pub trait Record: Send {
    /// Adds a scene.
    ///
    /// # Errors
    /// In words, where it cannot be written.
    fn take(&mut self, scene: &Scene) -> Result<(), String>;

    /// Completes the film.
    ///
    /// # Errors
    /// In words, where nothing was written or it cannot be completed.
    fn finish(self: Box<Self>) -> Result<(), String>;
}

/// Begins a film in a file.
pub type BeginRecord = Box<dyn Fn(&Path) -> Result<Box<dyn Record>, String> + Send + Sync>;

/// Scenes that wait to be written; more are left out of the film, the picture waits for nothing.
const WAITING: usize = 60;
/// A recording that nobody stops ends by itself.
const LONGEST: Duration = Duration::from_secs(30 * 60);

/// The recording that runs, or the film that was made last. It lies in a temporary file, gone with the program.
#[derive(Default)]
pub(crate) struct Recorder(Mutex<State>);

#[derive(Default)]
enum State {
    #[default]
    Nothing,
    Running {
        scenes: SyncSender<Arc<Scene>>,
        since: Instant,
        writer: JoinHandle<Result<NamedTempFile, String>>,
    },
    Done(NamedTempFile),
}

impl Recorder {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// Hands a scene to the recording, if one runs. Waits for nothing.
    pub(crate) fn offer(&self, scene: &Arc<Scene>) {
        if let State::Running { scenes, since, .. } = &*self.lock()
            && since.elapsed() < LONGEST
        {
            let _ = scenes.try_send(Arc::clone(scene));
        }
    }

    /// Begins to record; the film before is gone.
    pub(crate) fn start(&self, begin: &BeginRecord) -> Result<(), Problem> {
        let mut state = self.lock();
        if matches!(*state, State::Running { .. }) {
            return Err(Problem::conflict("a recording runs already: stop it first"));
        }
        let file = NamedTempFile::with_suffix(".mp4").map_err(Problem::internal)?;
        let film = begin(file.path()).map_err(Problem::internal)?;
        let (scenes, waiting) = sync_channel(WAITING);
        let writer = thread::Builder::new().name("record".into()).spawn(move || write(file, film, &waiting));
        *state = State::Running { scenes, since: Instant::now(), writer: writer.map_err(Problem::internal)? };
        Ok(())
    }

    /// Ends the recording and completes the film.
    pub(crate) fn stop(&self) -> Result<(), Problem> {
        let mut state = self.lock();
        match std::mem::take(&mut *state) {
            State::Running { scenes, writer, .. } => {
                // The writer finds no more scenes and completes the film.
                drop(scenes);
                let died = || Problem::internal("the recording died");
                *state = State::Done(writer.join().map_err(|_| died())?.map_err(Problem::conflict)?);
                Ok(())
            }
            other => {
                *state = other;
                Err(Problem::conflict("no recording runs"))
            }
        }
    }

    /// The film that was made last.
    pub(crate) fn film(&self) -> Result<File, Problem> {
        match &*self.lock() {
            State::Done(film) => film.reopen().map_err(Problem::internal),
            State::Running { .. } => Err(Problem::conflict("the recording still runs: stop it first")),
            State::Nothing => Err(Problem::not_found("nothing was recorded")),
        }
    }
}

fn write(
    file: NamedTempFile,
    mut film: Box<dyn Record>,
    scenes: &Receiver<Arc<Scene>>,
) -> Result<NamedTempFile, String> {
    for scene in scenes {
        film.take(&scene)?;
    }
    film.finish()?;
    Ok(file)
}

/// The length of a film, for whoever fetches it.
pub(crate) fn length(film: &File) -> io::Result<u64> {
    film.metadata().map(|about| about.len())
}
