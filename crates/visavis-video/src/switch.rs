//! A source that plays one of several: the one of the start, or a guest that was put in its place while it runs.

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use crate::{Pace, Shot, Source, SourceInfo, VideoError};

/// What plays now.
#[derive(Debug, Clone, PartialEq)]
pub struct Playing {
    /// Changes whenever another source plays.
    pub turn: u64,
    /// The source.
    pub info: SourceInfo,
    /// Whether it is the one of the start.
    pub first: bool,
    /// Why the guest before it ended, if it broke.
    pub failure: Option<String>,
}

/// Ends a guest whose read may wait.
type Closer = Box<dyn Fn() + Send>;

struct State {
    next: Option<Next>,
    closer: Option<Closer>,
    playing: Playing,
    /// The name of the source of the start.
    first: String,
    mirror: Option<bool>,
}

enum Next {
    Guest(Box<dyn Source>),
    First,
}

/// Puts guests in the place of a source that runs. Cheap to clone; works from any thread.
#[derive(Clone)]
pub struct SourceSwitch(Arc<Mutex<State>>);

impl SourceSwitch {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// Plays `guest` from the next frame on, a recording again and again. When it ends or breaks, the first source goes on.
    /// `closer` ends a read of the guest that waits; it is called when something else is to play.
    pub fn put(&self, guest: Box<dyn Source>, closer: Option<Closer>) {
        self.change(Some(Next::Guest(guest)), closer);
    }

    /// Goes on with the source of the start.
    pub fn back(&self) {
        self.change(Some(Next::First), None);
    }

    /// Lets a read that waits for a guest return, so that whoever reads can end.
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
    }

    /// What plays now.
    #[must_use]
    pub fn playing(&self) -> Playing {
        self.lock().playing.clone()
    }

    /// The name of the source of the start.
    #[must_use]
    pub fn first(&self) -> String {
        self.lock().first.clone()
    }

    /// Whether pictures are mirrored; `None`: those of cameras are.
    pub fn set_mirror(&self, mirror: Option<bool>) {
        self.lock().mirror = mirror;
    }

    /// Whether the pictures of what plays now are mirrored.
    #[must_use]
    pub fn is_mirrored(&self) -> bool {
        let state = self.lock();
        state.mirror.unwrap_or(state.playing.info.pace == Pace::Own)
    }
}

/// A source that plays `first` until its switch puts another in its place. It mirrors by itself.
#[must_use]
pub fn switched(first: Box<dyn Source>, mirror: Option<bool>) -> (Box<dyn Source>, SourceSwitch) {
    let name = first.info().name.clone();
    let playing = Playing { turn: 0, info: first.info().clone(), first: true, failure: None };
    let switch = SourceSwitch(Arc::new(Mutex::new(State { next: None, closer: None, playing, first: name, mirror })));
    let source = SwitchedSource {
        switch: switch.clone(),
        first,
        guest: None,
        guest_shots: 0,
        meets: Some((Duration::ZERO, Duration::ZERO)),
        last: Duration::ZERO,
    };
    (Box::new(source), switch)
}

struct SwitchedSource {
    switch: SourceSwitch,
    first: Box<dyn Source>,
    guest: Option<Box<dyn Source>>,
    /// Pictures since the guest began, or began again.
    guest_shots: u64,
    /// Which time of what plays falls on which of ours, so that ours never goes back; `None` until its next picture.
    meets: Option<(Duration, Duration)>,
    last: Duration,
}

/// How long the last picture of one source stands before the first of the next.
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
        (self.guest_shots, self.meets) = (0, None);
        let first = self.guest.is_none();
        let info = self.info().clone();
        let mut state = self.switch.lock();
        state.playing = Playing { turn: state.playing.turn + 1, info, first, failure };
    }

    fn finished(&mut self, mut shot: Shot) -> Shot {
        if self.switch.is_mirrored() {
            shot.picture.mirror();
        }
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
                return Ok(self.first.read()?.map(|shot| self.finished(shot)));
            };
            match guest.read() {
                Ok(Some(shot)) => {
                    self.guest_shots += 1;
                    return Ok(Some(self.finished(shot)));
                }
                // A recording begins again; whatever is there to come next goes before it.
                Ok(None) if self.guest_shots > 0 && guest.rewind().is_ok() => {
                    (self.guest_shots, self.meets) = (0, None);
                }
                Ok(None) => self.play(None, None),
                Err(error) => self.play(None, Some(error.to_string())),
            }
        }
    }

    /// Starts the source of the start again.
    fn rewind(&mut self) -> Result<(), VideoError> {
        self.first.rewind()?;
        // Whoever rewinds counts on by itself from where it was.
        (self.meets, self.last) = (Some((Duration::ZERO, Duration::ZERO)), Duration::ZERO);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pushed;
    use std::thread;
    use visavis_image::{Picture, codec};

    /// A film of pictures of one width, their left pixel white.
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
            Ok(Some(Shot { picture, at: Duration::from_millis(number * 100) }))
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
        // It waits for the next picture, which never comes.
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
