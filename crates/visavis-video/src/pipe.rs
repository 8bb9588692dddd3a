//! Reads a pipe that may stop delivering.

use std::collections::VecDeque;
use std::io::{self, Read};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread;
use std::time::Duration;

use crate::source::Interrupter;

/// Number of bytes that are read at once.
const CHUNK: usize = 64 << 10;
/// Number of chunks that are read ahead.
const AHEAD: usize = 4;
/// Pause after a pipe could not be reopened.
const PAUSE: Duration = Duration::from_secs(1);

/// Opens the pipe, and reopens it after each end.
pub(crate) type EachTime = Box<dyn FnMut() -> io::Result<Box<dyn Read + Send>> + Send>;

/// A pipe that is read by a separate thread, so that a waiting reader can be interrupted.
///
/// The thread itself cannot be interrupted: it ends with the pipe or with the program.
pub(crate) struct PipeReader {
    shared: Arc<Shared>,
    /// The chunk that is being read.
    chunk: Vec<u8>,
    given: usize,
    pipe: Option<Pipe>,
}

enum Pipe {
    Once(Box<dyn Read + Send>),
    Reopening(EachTime),
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    chunks: VecDeque<Vec<u8>>,
    end: Option<io::Result<()>>,
    interrupted: bool,
    /// Whether the reader was dropped.
    dropped: bool,
}

impl PipeReader {
    /// A pipe that is not reopened when it ends.
    pub(crate) fn once(pipe: Box<dyn Read + Send>) -> Self {
        Self::new(Pipe::Once(pipe))
    }

    /// A pipe that is reopened when it ends or fails.
    pub(crate) fn reopening(each_time: EachTime) -> Self {
        Self::new(Pipe::Reopening(each_time))
    }

    fn new(pipe: Pipe) -> Self {
        Self { shared: Arc::default(), chunk: Vec::new(), given: 0, pipe: Some(pipe) }
    }

    /// Makes a waiting read, or the next one that would wait, fail with [`io::ErrorKind::WouldBlock`]. Further reads
    /// continue.
    pub(crate) fn interrupter(&self) -> Interrupter {
        let shared = Arc::clone(&self.shared);
        Arc::new(move || {
            shared.lock().interrupted = true;
            shared.changed.notify_all();
        })
    }
}

impl Read for PipeReader {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        // The thread starts at the first read: until then, standard input may belong to another source.
        if let Some(pipe) = self.pipe.take() {
            let shared = Arc::clone(&self.shared);
            thread::Builder::new().name("pipe".into()).spawn(move || pump(pipe, &shared))?;
        }
        if self.given == self.chunk.len() {
            let mut state = self.shared.lock();
            loop {
                if let Some(chunk) = state.chunks.pop_front() {
                    (self.chunk, self.given) = (chunk, 0);
                    break;
                }
                if let Some(end) = &mut state.end {
                    return std::mem::replace(end, Ok(())).map(|()| 0);
                }
                if std::mem::take(&mut state.interrupted) {
                    return Err(io::ErrorKind::WouldBlock.into());
                }
                state = self.shared.changed.wait(state).unwrap_or_else(|poisoned| poisoned.into_inner());
            }
            drop(state);
            self.shared.changed.notify_all();
        }
        let count = out.len().min(self.chunk.len() - self.given);
        out[..count].copy_from_slice(&self.chunk[self.given..self.given + count]);
        self.given += count;
        Ok(count)
    }
}

impl Drop for PipeReader {
    fn drop(&mut self) {
        self.shared.lock().dropped = true;
        self.shared.changed.notify_all();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// Queues a chunk, waiting for room. Returns `false` if the reader was dropped.
    fn put(&self, chunk: Vec<u8>) -> bool {
        let mut state = self.lock();
        while state.chunks.len() >= AHEAD && !state.dropped {
            state = self.changed.wait(state).unwrap_or_else(|poisoned| poisoned.into_inner());
        }
        let goes_on = !state.dropped;
        state.chunks.push_back(chunk);
        drop(state);
        self.changed.notify_all();
        goes_on
    }

    fn end(&self, how: io::Result<()>) {
        self.lock().end = Some(how);
        self.changed.notify_all();
    }

    /// Waits before the next attempt. Returns `false` if the reader was dropped.
    fn pause(&self) -> bool {
        let state = self.lock();
        let waited = self.changed.wait_timeout_while(state, PAUSE, |state| !state.dropped);
        !waited.map(|(state, _)| state.dropped).unwrap_or(true)
    }
}

fn pump(pipe: Pipe, shared: &Shared) {
    let mut each_time = match pipe {
        Pipe::Once(mut pipe) => {
            let end = transfer(&mut pipe, shared);
            return shared.end(end.map(|_| ()));
        }
        Pipe::Reopening(each_time) => each_time,
    };
    loop {
        match each_time().and_then(|mut pipe| transfer(&mut pipe, shared)) {
            Ok(true) => {}
            Ok(false) => return,
            Err(error) => {
                log::warn!("a pipe failed and is opened again: {error}");
                if !shared.pause() {
                    return;
                }
            }
        }
    }
}

/// Reads to the end. Returns `false` if the reader was dropped.
fn transfer(pipe: &mut dyn Read, shared: &Shared) -> io::Result<bool> {
    loop {
        let mut chunk = vec![0; CHUNK];
        match pipe.read(&mut chunk) {
            Ok(0) => return Ok(true),
            Ok(count) => {
                chunk.truncate(count);
                if !shared.put(chunk) {
                    return Ok(false);
                }
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    /// A pipe whose writing end the test holds.
    struct Held(mpsc::Receiver<Vec<u8>>);

    impl Read for Held {
        fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
            let Ok(bytes) = self.0.recv() else { return Ok(0) };
            out[..bytes.len()].copy_from_slice(&bytes);
            Ok(bytes.len())
        }
    }

    #[test]
    fn a_silent_pipe_is_interrupted_and_goes_on() {
        let (send, held) = mpsc::channel();
        let mut pipe = PipeReader::once(Box::new(Held(held)));
        let interrupt = pipe.interrupter();
        send.send(b"ab".to_vec()).unwrap();
        let mut out = [0; 1];
        assert_eq!((pipe.read(&mut out).unwrap(), out[0]), (1, b'a'));
        assert_eq!((pipe.read(&mut out).unwrap(), out[0]), (1, b'b'));
        let reading = thread::spawn(move || {
            let interrupted = pipe.read(&mut [0]).map_err(|error| error.kind());
            (interrupted, pipe)
        });
        // Whether or not it already waits.
        interrupt();
        let (interrupted, mut pipe) = reading.join().unwrap();
        assert_eq!(interrupted, Err(io::ErrorKind::WouldBlock));
        send.send(b"c".to_vec()).unwrap();
        drop(send);
        assert_eq!((pipe.read(&mut out).unwrap(), out[0]), (1, b'c'));
        assert_eq!(pipe.read(&mut out).unwrap(), 0);
    }

    #[test]
    fn a_pipe_is_opened_again_after_its_end() {
        let mut turn = 0;
        let each_time: EachTime = Box::new(move || {
            turn += 1;
            Ok(Box::new(io::Cursor::new(vec![turn; 3])))
        });
        let mut bytes = [0; 9];
        PipeReader::reopening(each_time).read_exact(&mut bytes).unwrap();
        assert_eq!(bytes, [1, 1, 1, 2, 2, 2, 3, 3, 3]);
    }

    #[test]
    fn an_error_comes_after_what_was_read_before_it() {
        struct Breaking(bool);
        impl Read for Breaking {
            fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
                if std::mem::replace(&mut self.0, true) {
                    return Err(io::Error::other("torn"));
                }
                out[0] = 7;
                Ok(1)
            }
        }
        let mut pipe = PipeReader::once(Box::new(Breaking(false)));
        let mut out = [0; 4];
        assert_eq!(pipe.read(&mut out).unwrap(), 1);
        assert_eq!(pipe.read(&mut out).unwrap_err().to_string(), "torn");
        assert_eq!(pipe.read(&mut out).unwrap(), 0);
    }
}
