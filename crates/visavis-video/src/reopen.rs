//! A live source that is reopened when it fails, such as a camera that was unplugged.

use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use crate::source::Interrupter;
use crate::{Shot, Source, SourceInfo, VideoError};

/// The first pause between attempts, and the longest; each is twice as long as the one before.
const PAUSES: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(8));

/// Opens the source.
pub(crate) type Open = Box<dyn FnMut() -> Result<Box<dyn Source>, VideoError> + Send>;

/// Reads from a source, and reopens it when it fails.
pub(crate) struct Reopening {
    open: Open,
    info: SourceInfo,
    source: Option<Box<dyn Source>>,
    pause: Duration,
    started: Instant,
    /// When the current source was opened.
    opened: Duration,
    /// Whether the next picture is the first after a gap.
    cut: bool,
    waits: Arc<Waits>,
}

#[derive(Default)]
struct Waits {
    interrupted: Mutex<bool>,
    changed: Condvar,
}

impl Reopening {
    /// Opens it for the first time, which must succeed.
    pub(crate) fn new(mut open: Open) -> Result<Self, VideoError> {
        let source = open()?;
        let info = source.info().clone();
        Ok(Self {
            open,
            info,
            source: Some(source),
            pause: PAUSES.0,
            started: Instant::now(),
            opened: Duration::ZERO,
            cut: false,
            waits: Arc::default(),
        })
    }

    /// Waits before the next attempt. Returns `false` if it was interrupted.
    fn rest(&mut self) -> bool {
        let interrupted = self.waits.interrupted.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let waited = self.waits.changed.wait_timeout_while(interrupted, self.pause, |interrupted| !*interrupted);
        let mut interrupted = waited.unwrap_or_else(|poisoned| poisoned.into_inner()).0;
        self.pause = (self.pause * 2).min(PAUSES.1);
        !std::mem::take(&mut *interrupted)
    }
}

impl Source for Reopening {
    fn info(&self) -> &SourceInfo {
        &self.info
    }

    /// The next picture. Returns one error for each failure of the source, and never ends.
    fn read(&mut self) -> Result<Option<Shot>, VideoError> {
        loop {
            let Some(source) = &mut self.source else {
                if !self.rest() {
                    return Err(VideoError::Interrupted { name: self.info.name.clone() });
                }
                match (self.open)() {
                    Ok(source) => {
                        log::info!("{}: reopened", self.info.name);
                        (self.info, self.source) = (source.info().clone(), Some(source));
                        (self.opened, self.cut) = (self.started.elapsed(), true);
                    }
                    Err(error) => log::debug!("{}: cannot be opened yet: {error}", self.info.name),
                }
                continue;
            };
            match source.read() {
                Ok(Some(shot)) => {
                    self.pause = PAUSES.0;
                    let cut = std::mem::take(&mut self.cut) || shot.cut;
                    return Ok(Some(Shot { cut, at: self.opened + shot.at, ..shot }));
                }
                Err(error @ VideoError::Interrupted { .. }) => return Err(error),
                Ok(None) => self.source = None,
                Err(error) => {
                    self.source = None;
                    return Err(error);
                }
            }
        }
    }

    /// A live source just continues.
    fn rewind(&mut self) -> Result<(), VideoError> {
        Ok(())
    }

    fn interrupter(&self) -> Option<Interrupter> {
        let waits = Arc::clone(&self.waits);
        Some(Arc::new(move || {
            *waits.interrupted.lock().unwrap_or_else(|poisoned| poisoned.into_inner()) = true;
            waits.changed.notify_all();
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Pace;
    use visavis_image::Picture;

    /// A camera that delivers two pictures and then fails.
    struct Loose(SourceInfo, u64);

    impl Source for Loose {
        fn info(&self) -> &SourceInfo {
            &self.0
        }

        fn read(&mut self) -> Result<Option<Shot>, VideoError> {
            self.1 += 1;
            if self.1 > 2 {
                return Err(VideoError::Camera { device: "loose".into(), reason: "it is gone".into() });
            }
            Ok(Some(Shot::new(Picture::new(2, 2), Duration::from_millis(self.1))))
        }

        fn rewind(&mut self) -> Result<(), VideoError> {
            Ok(())
        }
    }

    fn loose() -> Box<dyn Source> {
        let name = "loose".into();
        Box::new(Loose(SourceInfo { name, width: 2, height: 2, frame_rate: None, frames: None, pace: Pace::Own }, 0))
    }

    fn missing() -> VideoError {
        VideoError::Camera { device: "loose".into(), reason: "not there".into() }
    }

    #[test]
    fn a_camera_that_was_pulled_out_comes_back() {
        let mut turn = 0;
        // The second attempt fails.
        let open: Open = Box::new(move || {
            turn += 1;
            if turn == 2 { Err(missing()) } else { Ok(loose()) }
        });
        let mut source = Reopening::new(open).unwrap();
        source.pause = Duration::from_millis(1);
        let mut last = Duration::ZERO;
        for _ in 0..2 {
            let shot = source.read().unwrap().unwrap();
            assert!(!shot.cut && shot.at > last);
            last = shot.at;
        }
        assert!(source.read().unwrap_err().to_string().contains("it is gone"));
        let shot = source.read().unwrap().unwrap();
        assert!(shot.cut && shot.at > last, "time goes on");
        assert!(!source.read().unwrap().unwrap().cut);
    }

    #[test]
    fn one_that_is_not_there_at_first_is_an_error_and_waiting_can_be_interrupted() {
        assert!(Reopening::new(Box::new(|| Err(missing()))).is_err());
        let mut first = true;
        let open: Open = Box::new(move || if std::mem::take(&mut first) { Ok(loose()) } else { Err(missing()) });
        let mut source = Reopening::new(open).unwrap();
        let interrupt = source.interrupter().unwrap();
        while source.read().is_ok() {}
        interrupt();
        assert!(matches!(source.read(), Err(VideoError::Interrupted { .. })));
    }
}
