//! A source that plays one of several: the first source, or a guest that replaces it for a time.

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use crate::source::{Interrupter, Playing};
use crate::{Shot, Source, SourceInfo, VideoError};

/// Interrupts a waiting read of a guest.
type Closer = Box<dyn Fn() + Send>;

struct State {
    next: Option<Next>,
    closer: Option<Closer>,
    /// Interrupts a read of the source that plays.
    interrupter: Option<Interrupter>,
    playing: Playing,
    /// The name of the first source.
    first: String,
    mirror: Option<bool>,
}

impl State {
    fn is_mirrored(&self) -> bool {
        self.mirror.unwrap_or_else(|| self.playing.info.is_mirrored_by_default())
    }
}

enum Next {
    Guest(Box<dyn Source>),
    First,
}

/// Controls a switched source while it runs. Cheap to clone; works from any thread.
#[derive(Clone)]
pub struct SourceSwitch(Arc<Mutex<State>>);

impl SourceSwitch {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// Plays `guest` from the next frame on; a recording is repeated. When it ends or fails, the first source continues.
    /// `closer` interrupts a waiting read of the guest; it is called when another source should play.
    pub fn put(&self, guest: Box<dyn Source>, closer: Option<Closer>) {
        self.change(Some(Next::Guest(guest)), closer);
    }

    /// Continues with the first source.
    pub fn back(&self) {
        self.change(Some(Next::First), None);
    }

    /// Interrupts a waiting read of a guest, so that the reading thread can end.
    pub fn close(&self) {
        self.change(None, None);
    }

    fn change(&self, next: Option<Next>, closer: Option<Closer>) {
        let mut state = self.lock();
        state.next = next;
        let old = std::mem::replace(&mut state.closer, closer);
        drop(state);
        if let Some(close) = old {
            close();
        }
        self.interrupt();
    }

    /// Interrupts a waiting read. The next read plays the new source.
    fn interrupt(&self) {
        // Called without the lock, which the reader may need to return.
        let interrupter = self.lock().interrupter.clone();
        if let Some(interrupt) = interrupter {
            interrupt();
        }
    }

    /// What is playing now.
    #[must_use]
    pub fn playing(&self) -> Playing {
        let state = self.lock();
        Playing { mirrored: state.is_mirrored(), ..state.playing.clone() }
    }

    /// The name of the first source.
    #[must_use]
    pub fn first(&self) -> String {
        self.lock().first.clone()
    }

    /// Sets whether pictures are mirrored; `None`: only those of cameras.
    pub fn set_mirror(&self, mirror: Option<bool>) {
        self.lock().mirror = mirror;
    }

    /// Whether the pictures of the source that plays are mirrored.
    #[must_use]
    pub fn is_mirrored(&self) -> bool {
        self.lock().is_mirrored()
    }
}

/// A source that plays `first` until its switch replaces it. It mirrors the pictures itself.
#[must_use]
pub fn switched(first: Box<dyn Source>, mirror: Option<bool>) -> (Box<dyn Source>, SourceSwitch) {
    let name = first.info().name.clone();
    let playing = Playing::only(first.info().clone());
    let interrupter = first.interrupter();
    let state = State { next: None, closer: None, interrupter, playing, first: name, mirror };
    let switch = SourceSwitch(Arc::new(Mutex::new(state)));
    let source = SwitchedSource {
        switch: switch.clone(),
        first,
        guest: None,
        guest_shots: 0,
        guest_failure: None,
        meets: Some((Duration::ZERO, Duration::ZERO)),
        last: Duration::ZERO,
    };
    (Box::new(source), switch)
}

struct SwitchedSource {
    switch: SourceSwitch,
    first: Box<dyn Source>,
    guest: Option<Box<dyn Source>>,
    /// Number of pictures since the guest began or was repeated.
    guest_shots: u64,
    /// Why its last picture could not be read.
    guest_failure: Option<String>,
    /// A time of the playing source and our time for it, so that our time never goes back; `None` until its next picture.
    meets: Option<(Duration, Duration)>,
    last: Duration,
}

/// Time between the last picture of one source and the first of the next.
const GAP: Duration = Duration::from_millis(40);

impl SwitchedSource {
    fn take_next(&mut self) {
        let next = self.switch.lock().next.take();
        match next {
            Some(Next::Guest(guest)) => self.play(Some(guest), None),
            Some(Next::First) if self.guest.is_some() => self.play(None, None),
            Some(Next::First) | None => {}
        }
    }

    fn play(&mut self, guest: Option<Box<dyn Source>>, failure: Option<String>) {
        self.guest = guest;
        (self.guest_shots, self.guest_failure, self.meets) = (0, None, None);
        let first = self.guest.is_none();
        let info = self.info().clone();
        let interrupter = self.guest.as_ref().map_or_else(|| self.first.interrupter(), |guest| guest.interrupter());
        let mut state = self.switch.lock();
        state.interrupter = interrupter;
        state.playing = Playing { turn: state.playing.turn + 1, info, first, mirrored: false, failure };
    }

    fn finished(&mut self, mut shot: Shot) -> Shot {
        if self.switch.is_mirrored() {
            shot.picture.mirror();
        }
        // Another source, or the same one from its start.
        shot.cut |= self.meets.is_none() && self.last > Duration::ZERO;
        let (theirs, ours) = *self.meets.get_or_insert((shot.at, self.last + GAP));
        shot.at = ours + shot.at.saturating_sub(theirs);
        self.last = shot.at;
        shot
    }
}

impl Source for SwitchedSource {
    fn info(&self) -> &SourceInfo {
        self.guest.as_ref().map_or_else(|| self.first.info(), |guest| guest.info())
    }

    fn read(&mut self) -> Result<Option<Shot>, VideoError> {
        loop {
            self.take_next();
            let Some(guest) = &mut self.guest else {
                match self.first.read() {
                    // Interrupted because another source was requested: the loop switches to it.
                    Err(VideoError::Interrupted { .. }) if self.switch.lock().next.is_some() => continue,
                    read => return Ok(read?.map(|shot| self.finished(shot))),
                }
            };
            match guest.read() {
                Ok(Some(shot)) => {
                    self.guest_shots += 1;
                    self.guest_failure = None;
                    return Ok(Some(self.finished(shot)));
                }
                // A recording is repeated, unless another source is requested.
                Ok(None) if self.guest_shots > 0 && guest.rewind().is_ok() => {
                    (self.guest_shots, self.meets) = (0, None);
                }
                Ok(None) => {
                    let failure = self.guest_failure.take();
                    self.play(None, failure);
                }
                Err(error @ VideoError::Interrupted { .. }) => {
                    if self.switch.lock().next.is_none() {
                        return Err(error);
                    }
                }
                // The next read continues after the error, or ends the guest.
                Err(error) => {
                    self.guest_failure = Some(error.to_string());
                    return Err(error);
                }
            }
        }
    }

    fn playing(&self) -> Playing {
        self.switch.playing()
    }

    fn interrupter(&self) -> Option<Interrupter> {
        let switch = self.switch.clone();
        Some(Arc::new(move || switch.close()))
    }

    /// Starts the first source again.
    fn rewind(&mut self) -> Result<(), VideoError> {
        self.first.rewind()?;
        // The caller that rewinds continues its own count of time.
        (self.meets, self.last) = (Some((Duration::ZERO, Duration::ZERO)), Duration::ZERO);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Pace, pushed};
    use std::thread;
    use visavis_image::{Picture, codec};

    /// A film of pictures of one width, whose left pixel is white.
    struct Film {
        info: SourceInfo,
        left: u64,
    }

    fn film(width: u32, frames: u64) -> Box<dyn Source> {
        let info = SourceInfo {
            name: width.to_string(),
            width,
            height: 1,
            frame_rate: Some(10.0),
            frames: Some(frames),
            pace: Pace::Timeline,
        };
        Box::new(Film { info, left: frames })
    }

    impl Source for Film {
        fn info(&self) -> &SourceInfo {
            &self.info
        }

        fn read(&mut self) -> Result<Option<Shot>, VideoError> {
            if self.left == 0 {
                return Ok(None);
            }
            self.left -= 1;
            let mut picture = Picture::new(self.info.width, 1);
            picture.set_pixel(0, 0, [255; 3]);
            let number = self.info.frames.unwrap() - self.left - 1;
            Ok(Some(Shot::new(picture, Duration::from_millis(number * 100))))
        }

        fn rewind(&mut self) -> Result<(), VideoError> {
            self.left = self.info.frames.unwrap();
            Ok(())
        }
    }

    fn width(source: &mut Box<dyn Source>) -> u32 {
        source.read().unwrap().unwrap().picture.width()
    }

    #[test]
    fn a_guest_plays_again_and_again_until_the_first_goes_on() {
        let (mut source, switch) = switched(film(3, 3), None);
        assert_eq!(width(&mut source), 3);
        switch.put(film(5, 2), None);
        let shots: Vec<Shot> = (0..5).map(|_| source.read().unwrap().unwrap()).collect();
        assert!(shots.iter().all(|shot| shot.picture.width() == 5));
        assert!(shots.windows(2).all(|pair| pair[0].at < pair[1].at), "time goes on");
        assert_eq!((switch.playing().first, switch.playing().info.width), (false, 5));
        switch.back();
        assert_eq!((width(&mut source), width(&mut source)), (3, 3));
        assert!(switch.playing().first);
        assert!(source.read().unwrap().is_none(), "the first ends as if alone");
    }

    #[test]
    fn a_guest_that_nobody_feeds_gives_way() {
        let (mut source, switch) = switched(film(3, 9), None);
        let (pusher, guest) = pushed("a phone", 1000);
        let closing = pusher.clone();
        switch.put(guest, Some(Box::new(move || closing.close())));
        pusher.push(codec::encode_jpeg(&Picture::new(7, 1), 90).unwrap());
        assert_eq!(width(&mut source), 7);
        // It waits for the next picture, which does not come.
        let reading = thread::spawn(move || width(&mut source));
        switch.back();
        assert_eq!(reading.join().unwrap(), 3);
    }

    #[test]
    fn cameras_are_mirrored_unless_said_otherwise() {
        let (mut source, switch) = switched(film(3, 9), None);
        let mut white_at = |mirror| {
            switch.set_mirror(mirror);
            let picture = source.read().unwrap().unwrap().picture;
            (0..3).find(|&x| picture.pixel(x, 0) == [255; 3])
        };
        assert_eq!((white_at(None), white_at(Some(true)), white_at(Some(false))), (Some(0), Some(2), Some(0)));
    }
}
