//! The keeper thread: what looks at faces mean for the gallery and for alarms. It alone waits for the gallery's store, so that
//! neither the picture nor recognition ever does.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use serde::Serialize;
use visavis_face::gallery::{EmbeddingId, Gallery, GalleryError, Match, NewPhoto, PersonId};
use visavis_face::visitors::{Deed, Quality, Scale, VisitorLook, VisitorParams, Visitors};
use visavis_face::{FaceView, TrackId, thumbnail};
use visavis_image::{Frame, Rect};

use crate::Event;
use crate::alarm::{AlarmParams, Cause, Watch};
use crate::clock::seconds_since_1970;
use crate::gallery::Asker;
use crate::panic::caught;
use crate::pipeline::Shared;

/// How a gallery grows by itself.
#[derive(Debug, Clone, PartialEq)]
pub struct GrowthParams {
    /// Who is added.
    pub visitors: VisitorParams,
    /// Whoever was added so and was not seen for so long is forgotten.
    pub keep: Duration,
}

impl Default for GrowthParams {
    /// A month.
    fn default() -> Self {
        Self { visitors: VisitorParams::default(), keep: Duration::from_secs(30 * 24 * 3600) }
    }
}

/// Somebody is there of whom an alarm tells.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Alarm {
    /// Counts from 1 in a run.
    pub number: u64,
    /// Seconds since 1970.
    pub time: i64,
    /// The frame.
    pub frame: u64,
    /// The face.
    pub track: TrackId,
    /// Where it was: x, y, width, height in pixels.
    #[serde(serialize_with = "numbers")]
    pub rect: Rect,
    /// Whom it is about.
    #[serde(flatten)]
    pub cause: Cause,
    /// The face as JPEG, where alarms carry it.
    #[serde(skip)]
    pub crop: Option<Vec<u8>>,
    /// The embedding of the look that rang.
    #[serde(skip)]
    pub vector: Vec<f32>,
}

fn numbers<S: serde::Serializer>(rect: &Rect, serializer: S) -> Result<S::Ok, S::Error> {
    <[f32; 4]>::from(*rect).serialize(serializer)
}

/// What the keeper does.
#[derive(Debug, Clone, Default)]
pub(crate) struct KeeperParams {
    pub(crate) alarm: Option<AlarmParams>,
    pub(crate) growth: Option<GrowthParams>,
}

/// What the keeper is told.
pub(crate) enum Note {
    /// A worker looked at a face.
    Look(Box<Look>),
    /// The last alarm was wrong.
    NotThisPerson,
    /// From now on something else is to be done.
    Change(Box<KeeperParams>),
    Stop,
}

/// A look at a face, with its embedding.
pub(crate) struct Look {
    pub(crate) track: TrackId,
    pub(crate) frame: Frame,
    pub(crate) view: FaceView,
    pub(crate) vector: Vec<f32>,
    /// What it was compared with, and whom that has nearest.
    pub(crate) gallery: Arc<dyn Gallery>,
    pub(crate) nearest: Vec<Match>,
}

/// Looks that may wait; more are dropped, since newer ones come.
pub(crate) const WAITING: usize = 64;

/// How many people are looked at for one who is near and not to be seen elsewhere.
const ALIKE: usize = 5;
/// How often changes that others made to the gallery are looked for.
const REFRESHED_EVERY: Duration = Duration::from_millis(500);
/// How often visitors long gone are looked for.
const TIDIED_EVERY: Duration = Duration::from_secs(600);

/// Runs until told to stop.
pub(crate) fn run(shared: &Shared, notes: &Receiver<Note>) {
    let (alarm, growth) = (shared.params.alarm.clone(), shared.params.growth.clone());
    let mut keeper = Keeper::new(KeeperParams { alarm, growth });
    loop {
        // Waits for work; the timeout is for what others change, of which nobody tells.
        let note = match notes.recv_timeout(REFRESHED_EVERY) {
            Ok(Note::Stop) | Err(RecvTimeoutError::Disconnected) => return,
            Ok(Note::Change(params)) => {
                keeper.change(*params);
                continue;
            }
            Ok(note) => Some(note),
            Err(RecvTimeoutError::Timeout) => None,
        };
        let Some(gallery) = shared.board.lineup().gallery.clone() else { continue };
        let result = caught(|| keeper.take(shared, gallery.as_ref(), note));
        match result {
            Ok(Ok(())) => {}
            Ok(Err(error)) => keeper.failed(shared, error),
            Err(panic) => {
                shared.tell(Event::StageRestarted { stage: "gallery".into(), reason: panic });
                keeper = Keeper::new(keeper.params);
            }
        }
    }
}

struct Keeper {
    params: KeeperParams,
    watch: Option<Watch>,
    visitors: Option<Visitors>,
    /// The best look of each face that may be added.
    portraits: HashMap<TrackId, (f32, NewPhoto)>,
    /// The distance within which somebody watched rings; unknown until the gallery was looked at.
    within: Option<f32>,
    last_alarm: Option<(TrackId, PersonId, Vec<f32>)>,
    alarms: u64,
    /// Whose vectors all of this is about.
    network: Option<EmbeddingId>,
    refreshed: Option<Duration>,
    tidied: Option<Duration>,
    /// The gallery refuses changes.
    refusing: bool,
}

impl Keeper {
    fn new(params: KeeperParams) -> Self {
        Self {
            watch: params.alarm.clone().map(Watch::new),
            visitors: params.growth.as_ref().map(|growth| Visitors::new(growth.visitors.clone())),
            params,
            portraits: HashMap::new(),
            within: None,
            last_alarm: None,
            alarms: 0,
            network: None,
            refreshed: None,
            tidied: None,
            refusing: false,
        }
    }

    /// What was seen so far counts on, where it is still wanted.
    fn change(&mut self, params: KeeperParams) {
        match (&mut self.watch, &params.alarm) {
            (Some(watch), Some(alarm)) => watch.set_params(alarm.clone()),
            (watch, alarm) => *watch = alarm.clone().map(Watch::new),
        }
        match &params.growth {
            None => {
                self.visitors = None;
                self.portraits.clear();
            }
            Some(growth) if self.visitors.is_none() || !self.grows_like(growth) => {
                self.visitors = Some(Visitors::new(growth.visitors.clone()));
            }
            Some(_) => {}
        }
        // How near a face must come, and for how long visitors are kept, are looked at anew.
        (self.within, self.tidied) = (None, None);
        self.params = params;
    }

    fn grows_like(&self, growth: &GrowthParams) -> bool {
        self.params.growth.as_ref().is_some_and(|now| now.visitors == growth.visitors)
    }

    fn failed(&mut self, shared: &Shared, error: GalleryError) {
        if matches!(error, GalleryError::Unreachable { .. }) {
            shared.gallery_answered(Asker::Keeper, &Err::<(), _>(error));
        } else if !self.refusing {
            // Once for each time that it begins: a gallery that may not be written fails with every visitor.
            shared.tell(Event::StageFailed { stage: "gallery".into(), reason: error.to_string() });
            self.refusing = true;
        }
    }

    fn take(&mut self, shared: &Shared, gallery: &dyn Gallery, note: Option<Note>) -> Result<(), GalleryError> {
        let network = gallery.embedding();
        if self.network.as_ref().is_none_or(|known| !known.compares_with(network)) {
            self.change_network(network);
        }
        self.look_after(shared, gallery)?;
        match note {
            // Compared with another gallery, its vector says nothing here.
            Some(Note::Look(look)) if !look.gallery.embedding().compares_with(network) => Ok(()),
            Some(Note::Look(look)) => {
                self.watch(shared, gallery, &look)?;
                self.visitors(shared, gallery, look)
            }
            Some(Note::NotThisPerson) => self.not_this_person(shared, gallery),
            Some(Note::Change(_) | Note::Stop) | None => Ok(()),
        }
    }

    /// Vectors and distances of the network before are of no use any more.
    fn change_network(&mut self, network: &EmbeddingId) {
        (self.within, self.last_alarm) = (None, None);
        self.visitors.iter_mut().for_each(Visitors::change_network);
        self.network = Some(network.clone());
    }

    /// What others changed, and who is long gone.
    fn look_after(&mut self, shared: &Shared, gallery: &dyn Gallery) -> Result<(), GalleryError> {
        let now = shared.clock.now();
        let due = |last: Option<Duration>, every: Duration| last.is_none_or(|last| now >= last + every);
        if due(self.refreshed, REFRESHED_EVERY) {
            self.refreshed = Some(now);
            let changed = gallery.refresh();
            shared.gallery_answered(Asker::Keeper, &changed);
            match changed {
                Ok(false) => {}
                Ok(true) => {
                    self.within = None;
                    shared.tell(Event::GalleryChanged);
                }
                // Told already; asked again in a while.
                Err(_) => return Ok(()),
            }
        }
        if let Some(growth) = &self.params.growth
            && due(self.tidied, TIDIED_EVERY)
        {
            self.tidied = Some(now);
            let before = seconds_since_1970() - i64::try_from(growth.keep.as_secs()).unwrap_or(i64::MAX);
            let people = gallery.forget_met_before(before)?;
            if people > 0 {
                shared.tell(Event::Forgot { people });
            }
        }
        Ok(())
    }

    fn watch(&mut self, shared: &Shared, gallery: &dyn Gallery, look: &Look) -> Result<(), GalleryError> {
        let (Some(watch), Some(params)) = (&mut self.watch, &self.params.alarm) else { return Ok(()) };
        let within = match self.within {
            Some(within) => within,
            None => *self.within.insert(ringing_distance(gallery, params.false_alarms)?),
        };
        let Some(cause) = watch.look(shared.clock.now(), look.track, &look.nearest, within) else { return Ok(()) };
        self.alarms += 1;
        if let Cause::Watched { person, .. } = &cause {
            self.last_alarm = Some((look.track, *person, look.vector.clone()));
        }
        let rect = look.view.rect;
        shared.tell(Event::Alarm(Arc::new(Alarm {
            number: self.alarms,
            time: seconds_since_1970(),
            frame: look.frame.seq,
            track: look.track,
            rect,
            cause,
            crop: if params.crops { thumbnail(&look.frame.picture, &rect) } else { None },
            vector: look.vector.clone(),
        })));
        Ok(())
    }

    fn not_this_person(&mut self, shared: &Shared, gallery: &dyn Gallery) -> Result<(), GalleryError> {
        let Some((track, person, vector)) = &self.last_alarm else { return Ok(()) };
        let (track, person) = (*track, *person);
        gallery.deny(person, vector)?;
        (self.last_alarm, self.refusing) = (None, false);
        if let Some(watch) = &mut self.watch {
            watch.void(track);
        }
        shared.tell(Event::Denied { person });
        Ok(())
    }

    fn visitors(&mut self, shared: &Shared, gallery: &dyn Gallery, look: Box<Look>) -> Result<(), GalleryError> {
        let (Some(visitors), Some(growth)) = (&mut self.visitors, &self.params.growth) else { return Ok(()) };
        let (at, scale) = (shared.clock.now(), Scale::of(gallery));
        let quality = Quality::measure(&look.frame.picture, &look.view.rect, look.view.landmarks.as_ref());
        let deeds = visitors.look(&VisitorLook {
            track: look.track,
            at,
            quality,
            vector: &look.vector,
            scale,
            nearest: &look.nearest,
        });
        let better = self.portraits.get(&look.track).is_none_or(|(score, _)| quality.score() > *score);
        if better && quality.suffices(&growth.visitors) {
            self.portraits.insert(look.track, (quality.score(), photo_of(&look, quality)));
        }
        let mut due: Vec<Deed> = deeds;
        let accepts = !due.is_empty();
        while let Some(deed) = due.pop() {
            match deed {
                Deed::Meet { track, vector } => {
                    let nearest = gallery.search(&vector, ALIKE)?;
                    let known = self.visitors.as_ref().and_then(|all| all.known(track, at, &nearest, scale));
                    let person = match known {
                        Some(known) => known,
                        None => {
                            let Some((_, portrait)) = self.portraits.get(&track) else { continue };
                            let photo = NewPhoto { vector, ..portrait.clone() };
                            let person = gallery.meet(&photo, seconds_since_1970())?;
                            self.portraits.remove(&track);
                            shared.tell(Event::Met { person });
                            person
                        }
                    };
                    if let Some(visitors) = &mut self.visitors {
                        let noted = visitors.settled(track, person, at);
                        // The first visit of somebody new is counted with them.
                        due.extend(noted.into_iter().filter(|_| known.is_some()));
                    }
                }
                Deed::Seen { person, new } => gallery.seen(person, seconds_since_1970(), new)?,
                Deed::AddPhoto { person } => {
                    gallery.add_photo_if_met(person, &photo_of(&look, quality))?;
                }
                Deed::Merge { from, into } => {
                    // Who was added by hand stays, whichever of the two it is.
                    let joined = if gallery.merge_if_met(from, into)? {
                        Some((from, into))
                    } else {
                        gallery.merge_if_met(into, from)?.then_some((into, from))
                    };
                    let Some(visitors) = &mut self.visitors else { continue };
                    match joined {
                        Some((from, into)) => {
                            visitors.forget(from);
                            shared.tell(Event::Joined { from, into });
                        }
                        None => visitors.are_two(from, into),
                    }
                }
            }
        }
        self.refusing &= !accepts;
        // As many as can be in view at once, and those who just left.
        if self.portraits.len() > 256 {
            self.portraits.clear();
        }
        Ok(())
    }
}

fn photo_of(look: &Look, quality: Quality) -> NewPhoto {
    NewPhoto {
        source: format!("frame {}, face #{}", look.frame.seq, look.track),
        sha256: None,
        vector: look.vector.clone(),
        thumbnail: thumbnail(&look.frame.picture, &look.view.rect),
        score: Some(quality.score()),
    }
}

/// The distance within which somebody watched rings, for a wanted share of false alarms: so that among all photos of those
/// who are watched together no more are taken for them.
fn ringing_distance(gallery: &dyn Gallery, false_alarms: Option<f64>) -> Result<f32, GalleryError> {
    let same_person = gallery.embedding().same_person;
    let Some(share) = false_alarms else { return Ok(same_person) };
    let people = gallery.people()?;
    let photos: usize = people.iter().filter(|person| person.watched).map(|person| person.photos).sum();
    let within = gallery.strangers_within(share / photos.max(1) as f64)?;
    Ok(within.unwrap_or(same_person))
}
