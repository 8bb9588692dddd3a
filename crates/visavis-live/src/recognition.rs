//! The recognition workers: keypoints, crops, networks, search in the gallery.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use visavis_face::{FaceView, Findings, Locate, Recognise};
use visavis_gallery::{Gallery, GalleryError, Match};
use visavis_infer::Task;
use visavis_infer::manifest::Crop;

use crate::estimates::NEAREST;
use crate::event::Event;
use crate::gallery_health::GalleryClient;
use crate::job_queue::{Job, Next};
use crate::message::{GalleryRequest, LoaderRequest, Message, Observation, RecognitionResult};
use crate::model_set::ModelSet;
use crate::shared::{CameraPool, Shared};
use crate::statistics::KEYPOINTS;
use crate::thread::catch_panic;

/// The network instances of one worker. No other thread uses them, so they need no lock.
#[derive(Default)]
struct WorkerModels {
    models: Arc<ModelSet>,
    recognisers: HashMap<String, Box<dyn Recognise>>,
    locator: Option<Box<dyn Locate>>,
}

/// Runs the worker with this number until the job queue is closed or needs fewer workers.
pub(crate) fn run(pool: &CameraPool, number: usize) {
    let mut own = WorkerModels::default();
    loop {
        let (id, camera, job) = match pool.jobs.take(number, own.models.generation) {
            Next::Closed => return,
            Next::Changed(models) => {
                own.set_models(models);
                continue;
            }
            Next::Job(id, camera, job) => (id, camera, job),
        };
        let shared = &camera.shared;
        let started = Instant::now();
        let result = catch_panic(|| own.run(shared, &job));
        let took = started.elapsed();
        let (model, tracks) = (Arc::clone(&job.model), job.tracks());
        let results = match result {
            Ok(Ok(results)) => {
                shared.statistics.record(&model.name, shared.clock.now(), took);
                model.succeeded();
                Some(results)
            }
            Ok(Err(reason)) => {
                shared.emit(Event::StageFailed { stage: model.name.clone(), reason });
                None
            }
            Err(reason) => {
                // The state of the networks may be inconsistent: all are loaded again.
                own.recognisers.clear();
                own.locator = None;
                shared.emit(Event::StageRestarted { stage: model.name.clone(), reason });
                None
            }
        };
        let succeeded = results.is_some();
        if !succeeded {
            shared.statistics.fail(&model.name);
            if let Some(failures) = model.failed() {
                pool.request(LoaderRequest::Disable { model: model.name.clone(), failures });
            }
        }
        // Fails if the camera has ended.
        let _ = camera.messages.send(Message::Recognised { job, results });
        // Before the end of the job is recorded, because the end of a pipeline waits for that and then for its last owner.
        drop(camera);
        pool.jobs.finish(id, &model.name, &tracks, succeeded, took);
    }
}

impl WorkerModels {
    /// Uses another model set. Instances of networks that are not in it are dropped.
    fn set_models(&mut self, models: Arc<ModelSet>) {
        self.recognisers.retain(|model, _| models.recogniser(model).is_some());
        let is_same = match (&self.models.keypoints, &models.keypoints) {
            (Some(old), Some(new)) => Arc::ptr_eq(old, new),
            (None, None) => true,
            _ => false,
        };
        if !is_same {
            self.locator = None;
        }
        self.models = models;
    }

    /// Runs the network of a job on its faces. One result for each face.
    fn run(&mut self, shared: &Shared, job: &Job) -> Result<Vec<RecognitionResult>, String> {
        let views = self.views(shared, job)?;
        let recogniser = match self.recognisers.get_mut(&job.model.name) {
            Some(recogniser) => recogniser,
            None => {
                let loaded = match job.model.instances.take() {
                    Some(instance) => instance,
                    None => shared.jobs.pool.loader.recogniser(&job.model.name).map_err(|error| error.to_string())?,
                };
                self.recognisers.entry(job.model.name.clone()).or_insert(loaded)
            }
        };
        let picture = &job.work.frame.picture;
        let mut cut =
            |place: usize, crop: &Crop, size| job.work.faces[job.faces[place]].crop(picture, &views[place], crop, size);
        let findings = recogniser.recognise_cut(picture, &views, &mut cut).map_err(|error| error.to_string())?;
        let gallery = self.models.gallery.as_ref();
        let faces = findings.into_iter().zip(&job.faces).zip(views);
        faces.map(|((findings, &face), view)| compare(shared, job, gallery, face, view, findings)).collect()
    }

    /// Boxes and keypoints of the faces of a job; keypoints from the keypoint network, if there is one and they are needed.
    fn views(&mut self, shared: &Shared, job: &Job) -> Result<Vec<FaceView>, String> {
        let faces = job.faces.iter().map(|&index| &job.work.faces[index]);
        let Some(chosen) = self.models.keypoints.clone().filter(|_| job.model.needs_landmarks) else {
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
                            let loaded = chosen
                                .instances
                                .take()
                                .map_or_else(|| shared.jobs.pool.loader.locator(&chosen.name), Ok);
                            match loaded {
                                Ok(loaded) => self.locator.insert(loaded),
                                Err(error) => {
                                    failure = Some(error.to_string());
                                    return None;
                                }
                            }
                        }
                    };
                    let started = Instant::now();
                    let found = locator.locate(picture, &face.view.rect, face.view.turn);
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

/// Compares the embedding of a face with the gallery, if the job asks for it, and passes it to the gallery worker.
fn compare(
    shared: &Shared,
    job: &Job,
    gallery: Option<&Arc<Gallery>>,
    face: usize,
    view: FaceView,
    mut findings: Findings,
) -> Result<RecognitionResult, String> {
    if !job.compared.contains(&face) {
        // The identity is settled: the embedding that the network made besides its other results is not used.
        findings.embedding = None;
    }
    let (Some(gallery), Some(vector)) = (gallery, findings.embedding.clone()) else {
        return Ok((findings, Vec::new()));
    };
    let nearest: Vec<Match> = match gallery.search(&vector, NEAREST) {
        // A failure of the network, not of the gallery.
        Err(error @ GalleryError::Query { .. }) => return Err(error.to_string()),
        result => {
            shared.gallery_used(GalleryClient::Search, &result);
            // A failure of the gallery, not of the network: the other findings are used.
            result.unwrap_or_else(|_| {
                findings.embedding = None;
                Vec::new()
            })
        }
    };
    if job.model.tasks.contains(&Task::Similarity) && findings.embedding.is_some() {
        shared.offer_to_gallery(|| {
            let (frame, gallery) = (job.work.frame.clone(), Arc::clone(gallery));
            let (track, nearest, pose) = (job.work.faces[face].track, nearest.clone(), findings.pose);
            let in_view = job.work.faces.iter().map(|face| face.track).collect();
            let seen = Observation { track, in_view, frame, view, pose, vector, gallery, nearest };
            GalleryRequest::Observe(Box::new(seen))
        });
    }
    Ok((findings, nearest))
}
