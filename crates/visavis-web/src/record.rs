//! Recording on request: a thread writes scenes to a film until the recording is stopped.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use tempfile::TempDir;
use tokio::sync::watch;
use visavis_live::Scene;

use crate::problem::Problem;

/// Writes scenes to a film.
pub trait Record: Send {
    /// Adds a scene.
    ///
    /// # Errors
    /// A message, if it cannot be written.
    fn take(&mut self, scene: &Scene) -> Result<(), String>;

    /// Completes the film.
    ///
    /// # Errors
    /// A message, if nothing was written or the film cannot be completed.
    fn finish(self: Box<Self>) -> Result<(), String>;
}

/// Starts a film in a file.
pub type BeginRecord = Box<dyn Fn(&Path) -> Result<Box<dyn Record>, String> + Send + Sync>;

/// Capacity of the queue of scenes. Scenes that find it full are not recorded.
const QUEUE: usize = 60;
/// A recording takes no more scenes after this time.
const MAX_TIME: Duration = Duration::from_secs(30 * 60);

/// The recording that runs, or the last film. The film is in a temporary folder that only this user can open and that is removed when
/// the program ends.
#[derive(Default)]
pub(crate) struct Recorder {
    state: Mutex<State>,
    /// Whether a recording runs, readable without waiting for the lock.
    running: AtomicBool,
}

#[derive(Default)]
enum State {
    #[default]
    Nothing,
    Running {
        scenes: SyncSender<Arc<Scene>>,
        since: Instant,
        writer: JoinHandle<Result<Film, String>>,
    },
    Done(Film),
}

/// A film, and the files that are written while it is recorded.
struct Film(TempDir);

impl Film {
    fn create() -> io::Result<Self> {
        let mut builder = tempfile::Builder::new();
        builder.prefix("visavis-");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            builder.permissions(std::fs::Permissions::from_mode(0o700));
        }
        builder.tempdir().map(Self)
    }

    fn path(&self) -> PathBuf {
        self.0.path().join("film.mp4")
    }
}

impl Recorder {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// Whether a recording runs.
    pub(crate) fn is_running(&self) -> bool {
        self.running.load(Ordering::Relaxed)
    }

    /// Passes a scene to the recording, if one runs. Does not wait.
    pub(crate) fn offer(&self, scene: &Arc<Scene>) {
        if let State::Running { scenes, since, .. } = &*self.lock()
            && since.elapsed() < MAX_TIME
        {
            let _ = scenes.try_send(Arc::clone(scene));
        }
    }

    /// Starts a recording and removes the last film.
    ///
    /// The newest scene, if there is one, is the first of the film. So a film is not empty if it is stopped at once or if the source
    /// delivers no more pictures.
    pub(crate) fn start(&self, begin: &BeginRecord, newest: &watch::Sender<Option<Arc<Scene>>>) -> Result<(), Problem> {
        let mut state = self.lock();
        if matches!(*state, State::Running { .. }) {
            return Err(Problem::conflict("a recording runs already: stop it first"));
        }
        let film = Film::create().map_err(Problem::internal)?;
        let record = begin(&film.path()).map_err(Problem::internal)?;
        let (scenes, waiting) = sync_channel(QUEUE);
        if let Some(scene) = &*newest.borrow() {
            let _ = scenes.try_send(Arc::clone(scene));
        }
        let writer = thread::Builder::new().name("record".into()).spawn(move || write(film, record, &waiting));
        *state = State::Running { scenes, since: Instant::now(), writer: writer.map_err(Problem::internal)? };
        self.running.store(true, Ordering::Relaxed);
        Ok(())
    }

    /// Stops the recording and completes the film.
    pub(crate) fn stop(&self) -> Result<(), Problem> {
        let mut state = self.lock();
        let stopped = match std::mem::take(&mut *state) {
            State::Running { scenes, writer, .. } => {
                // Closes the queue, so the writer completes the film.
                drop(scenes);
                let written = writer.join().map_err(|_| Problem::internal("the recording panicked"));
                written.and_then(|film| film.map_err(Problem::conflict)).map(|film| *state = State::Done(film))
            }
            other => {
                *state = other;
                Err(Problem::conflict("no recording runs"))
            }
        };
        self.running.store(false, Ordering::Relaxed);
        stopped
    }

    /// The last film.
    pub(crate) fn film(&self) -> Result<File, Problem> {
        match &*self.lock() {
            State::Done(film) => File::open(film.path()).map_err(Problem::internal),
            State::Running { .. } => Err(Problem::conflict("the recording still runs: stop it first")),
            State::Nothing => Err(Problem::not_found("nothing was recorded")),
        }
    }
}

fn write(film: Film, mut record: Box<dyn Record>, scenes: &Receiver<Arc<Scene>>) -> Result<Film, String> {
    let mut last: Option<Arc<Scene>> = None;
    for scene in scenes {
        // The first scene comes twice if it was published just before the recording started.
        if last.is_none_or(|last| !Arc::ptr_eq(&last, &scene)) {
            record.take(&scene)?;
        }
        last = Some(scene);
    }
    record.finish()?;
    Ok(film)
}

/// The length of a film in bytes.
pub(crate) fn length(film: &File) -> io::Result<u64> {
    film.metadata().map(|about| about.len())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// Writes to another file, which takes the place of the film at the end, as the writer of MP4 films does.
    struct Replacing(PathBuf);

    impl Record for Replacing {
        fn take(&mut self, _: &Scene) -> Result<(), String> {
            Ok(())
        }

        fn finish(self: Box<Self>) -> Result<(), String> {
            let part = self.0.with_extension("part");
            fs::write(&part, "a film").and_then(|()| fs::rename(part, &self.0)).map_err(|error| error.to_string())
        }
    }

    #[test]
    fn a_finished_film_can_be_read_and_is_private() {
        let place = Arc::new(Mutex::new(PathBuf::new()));
        let begun = Arc::clone(&place);
        let begin: BeginRecord = Box::new(move |path| {
            path.clone_into(&mut begun.lock().unwrap());
            Ok(Box::new(Replacing(path.to_owned())))
        });
        let recorder = Recorder::default();
        recorder.start(&begin, &watch::Sender::new(None)).unwrap();
        assert!(recorder.film().is_err(), "it still runs");
        recorder.stop().unwrap();
        assert_eq!(io::read_to_string(recorder.film().unwrap()).unwrap(), "a film");
        let folder = place.lock().unwrap().parent().unwrap().to_owned();
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(fs::metadata(&folder).unwrap().permissions().mode() & 0o777, 0o700);
        }
        drop(recorder);
        assert!(!folder.exists());
    }
}
