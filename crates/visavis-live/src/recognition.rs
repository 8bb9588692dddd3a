//! The recognition workers: keypoints, alignment, networks, gallery.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::time::Instant;

use visavis_face::gallery::{GalleryError, Match};
use visavis_face::{FaceView, Findings, Locate, Recognise};
use visavis_infer::Task;

use crate::Event;
use crate::board::{Job, Next};
use crate::controller::Message;
use crate::gallery::Asker;
use crate::keeper::{Look, Note};
use crate::lineup::Lineup;
use crate::panic::caught;
use crate::pipeline::Shared;
use crate::statistics::KEYPOINTS;

/// One answer: what the network said, and whom the gallery has nearest, best first.
pub(crate) type Answer = (Findings, Vec<Match>);

/// People of the gallery that a look is compared with: a second and a third for where another face has the first.
const NEAREST: usize = 3;

/// The networks of one worker: its own, so that nothing is locked while they run.
#[derive(Default)]
struct Bench {
    lineup: Arc<Lineup>,
    recognisers: HashMap<String, Box<dyn Recognise>>,
    locator: Option<Box<dyn Locate>>,
}

/// Runs the `number`th worker until the board is closed, or wants fewer.
pub(crate) fn run(shared: &Shared, number: usize, messages: &Sender<Message>) {
    let mut bench = Bench::default();
    loop {
        let job = match shared.board.take(number, bench.lineup.generation) {
            Next::Closed => return,
            Next::Changed(lineup) => {
                bench.adopt(lineup);
                continue;
            }
            Next::Job(job) => job,
        };
        let started = Instant::now();
        let result = caught(|| bench.perform(shared, &job));
        let took = started.elapsed();
        let model = job.lane.model.clone();
        let answers = match result {
            Ok(Ok(answers)) => {
                shared.statistics.record(&model, shared.clock.now(), took);
                job.lane.succeeded();
                Some(answers)
            }
            Ok(Err(reason)) => {
                shared.tell(Event::StageFailed { stage: model.clone(), reason });
                None
            }
            Err(reason) => {
                // The networks may be half-way through anything: all are loaded afresh.
                bench.recognisers.clear();
                bench.locator = None;
                shared.tell(Event::StageRestarted { stage: model.clone(), reason });
                None
            }
        };
        if answers.is_none() {
            shared.statistics.fail(&model);
            if let Some(failures) = job.lane.failed() {
                shared.give_up(&model, failures);
            }
        }
        shared.board.finish(&job, answers.is_some());
        if messages.send(Message::Recognised { job, answers }).is_err() {
            return;
        }
    }
}

impl Bench {
    /// Takes over the networks now in use and lets go of the others.
    fn adopt(&mut self, lineup: Arc<Lineup>) {
        self.recognisers.retain(|model, _| lineup.lane(model).is_some());
        let same = |a: &Lineup, b: &Lineup| match (&a.locator, &b.locator) {
            (Some(a), Some(b)) => Arc::ptr_eq(a, b),
            (None, None) => true,
            _ => false,
        };
        if !same(&self.lineup, &lineup) {
            self.locator = None;
        }
        self.lineup = lineup;
    }

    fn perform(&mut self, shared: &Shared, job: &Job) -> Result<Vec<Answer>, String> {
        let views = self.views(shared, job)?;
        let recogniser = match self.recognisers.get_mut(&job.lane.model) {
            Some(recogniser) => recogniser,
            None => {
                let fresh = match job.lane.pool.take() {
                    Some(instance) => instance,
                    None => shared.loader.recogniser(&job.lane.model).map_err(|error| error.to_string())?,
                };
                self.recognisers.entry(job.lane.model.clone()).or_insert(fresh)
            }
        };
        let findings = recogniser.recognise(&job.work.frame.picture, &views).map_err(|error| error.to_string())?;
        let gallery = self.lineup.gallery.as_ref();
        findings
            .into_iter()
            .zip(job.tracks())
            .zip(views)
            .map(|((mut findings, track), view)| {
                let nearest = match (gallery, &findings.embedding) {
                    (Some(gallery), Some(embedding)) => match gallery.search(embedding, NEAREST) {
                        // The network's failure, not the gallery's.
                        Err(fault @ GalleryError::Query { .. }) => return Err(fault.to_string()),
                        answer => {
                            shared.gallery_answered(Asker::Search, &answer);
                            // The gallery's failure, not the network's: the rest of what it said counts.
                            answer.unwrap_or_else(|_| {
                                findings.embedding = None;
                                Vec::new()
                            })
                        }
                    },
                    _ => Vec::new(),
                };
                if job.lane.tasks.contains(&Task::Similarity)
                    && let (Some(gallery), Some(vector)) = (gallery, &findings.embedding)
                {
                    shared.note(|| {
                        let (frame, vector, nearest) = (job.work.frame.clone(), vector.clone(), nearest.clone());
                        Note::Look(Box::new(Look { track, frame, view, vector, gallery: Arc::clone(gallery), nearest }))
                    });
                }
                Ok((findings, nearest))
            })
            .collect()
    }

    /// Where the faces are, with keypoints from the keypoint network if one is chosen and needed.
    fn views(&mut self, shared: &Shared, job: &Job) -> Result<Vec<FaceView>, String> {
        let faces = job.faces.iter().map(|&index| &job.work.faces[index]);
        let Some(chosen) = self.lineup.locator.clone().filter(|_| job.lane.needs_landmarks) else {
            return Ok(faces.map(|face| face.view).collect());
        };
        let picture = &job.work.frame.picture;
        faces
            .map(|face| {
                let mut failure = None;
                let landmarks = *face.located.get_or_init(|| {
                    let locator = match &mut self.locator {
                        Some(locator) => locator,
                        None => {
                            let fresh = chosen.pool.take().map_or_else(|| shared.loader.locator(&chosen.model), Ok);
                            match fresh {
                                Ok(fresh) => self.locator.insert(fresh),
                                Err(error) => {
                                    failure = Some(error.to_string());
                                    return None;
                                }
                            }
                        }
                    };
                    let started = Instant::now();
                    let found = locator.locate(picture, &face.view.rect);
                    shared.statistics.record(KEYPOINTS, shared.clock.now(), started.elapsed());
                    found.map_err(|error| failure = Some(error.to_string())).ok()
                });
                match failure {
                    Some(reason) => Err(reason),
                    None => Ok(FaceView { landmarks: landmarks.or(face.view.landmarks), ..face.view }),
                }
            })
            .collect()
    }
}
