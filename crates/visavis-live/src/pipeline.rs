//! Starting, steering and stopping the threads.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{self, Receiver, Sender, SyncSender};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use visavis_face::gallery::GalleryError;
use visavis_face::{Detect, EstimatesParams, TrackerParams};
use visavis_image::Frame;
use visavis_infer::Task;
use visavis_video::{Pace, Source};

use crate::alarm::AlarmParams;
use crate::board::Board;
use crate::buffer::{FrameBuffer, Pacing};
use crate::clock::Clock;
use crate::controller::{Controller, Message};
use crate::crew::Crew;
use crate::gallery::GalleryTrouble;
use crate::grabber::Grabber;
use crate::keeper::{self, GrowthParams, Note};
use crate::lineup::{Choice, DetectorSlot, Lane, Lineup, Locator, Pool, RECOGNITION};
use crate::panic::caught;
use crate::statistics::{Statistics, StatisticsReport};
use crate::subscription::{Channel, Delivery, Subscription};
use crate::{Event, LiveError, Loader, ScheduleParams, Steering, detection};

/// How a pipeline runs.
#[derive(Debug, Clone, PartialEq)]
pub struct PipelineParams {
    /// Newest frame wins, or every frame.
    pub pacing: Pacing,
    /// Frames kept between the grabber and the rest. The paper's demo had 8.
    pub buffer: usize,
    /// Recognition workers, at least 1. Workers × threads of an engine should not exceed the cores.
    pub workers: usize,
    /// Start a file again at its end.
    pub repeat: bool,
    /// Mirror the picture left to right, as people expect of a screen that watches them.
    pub mirror: bool,
    /// The networks.
    pub choice: Choice,
    /// Tying faces over time.
    pub tracker: TrackerParams,
    /// Averaging over time.
    pub estimates: EstimatesParams,
    /// Sharing recognition out.
    pub schedule: ScheduleParams,
    /// Alarms, if any, while live.
    pub alarm: Option<AlarmParams>,
    /// Everyone seen is added to the gallery, if at all, while live.
    pub growth: Option<GrowthParams>,
}

impl Default for PipelineParams {
    fn default() -> Self {
        Self {
            pacing: Pacing::Live,
            buffer: 8,
            workers: 1,
            repeat: false,
            mirror: false,
            choice: Choice::default(),
            tracker: TrackerParams::default(),
            estimates: EstimatesParams::default(),
            schedule: ScheduleParams::default(),
            alarm: None,
            growth: None,
        }
    }
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Outcome {
    /// Scenes published.
    pub frames: u64,
    /// What broke the source, if something did. Everything before it was still shown.
    pub source_failure: Option<String>,
    /// Frames and jobs that a stage failed on; each was told as an [`Event`].
    pub stage_failures: u32,
}

/// What all threads share.
pub(crate) struct Shared {
    pub(crate) params: PipelineParams,
    pub(crate) clock: Arc<Clock>,
    pub(crate) statistics: Arc<Statistics>,
    pub(crate) buffer: FrameBuffer<Frame>,
    pub(crate) board: Board,
    pub(crate) loader: Arc<dyn Loader>,
    pub(crate) channels: Vec<Arc<Channel>>,
    detector: Mutex<Arc<DetectorSlot>>,
    events: Sender<Event>,
    requests: Sender<Request>,
    /// The keeper, where there is one.
    keeper: Option<SyncSender<Note>>,
    pub(crate) gallery: GalleryTrouble,
    failures: AtomicU32,
}

impl Shared {
    /// Tells the people in front of the program.
    pub(crate) fn tell(&self, event: Event) {
        if event.is_failure() {
            self.failures.fetch_add(1, Ordering::Relaxed);
            log::warn!("{event}");
        } else {
            log::info!("{event}");
        }
        // Nobody need listen.
        let _ = self.events.send(event);
    }

    /// The detector now in use.
    pub(crate) fn detector(&self) -> Arc<DetectorSlot> {
        Arc::clone(&self.detector.lock().unwrap_or_else(|poisoned| poisoned.into_inner()))
    }

    /// Tells the keeper, unless it has more to do than it can: newer looks come.
    pub(crate) fn note(&self, note: impl FnOnce() -> Note) {
        if let Some(keeper) = &self.keeper {
            let _ = keeper.try_send(note());
        }
    }

    /// Tells the keeper what must not get lost, so this waits for a moment where its queue is full.
    pub(crate) fn insist(&self, note: Note) {
        if let Some(keeper) = &self.keeper {
            let _ = keeper.send(note);
        }
    }

    /// Asks the loader for something.
    pub(crate) fn request(&self, request: Request) {
        let _ = self.requests.send(request);
    }

    /// Everything measured so far.
    pub(crate) fn report(&self) -> StatisticsReport {
        self.statistics.report(self.clock.now(), self.buffer.skipped(), self.buffer.len())
    }

    /// Asks the loader to take a network out that fails again and again.
    pub(crate) fn give_up(&self, model: &str, failures: u32) {
        self.request(Request::GiveUp { model: model.to_owned(), failures });
    }
}

/// What the loader thread is asked to do.
pub(crate) enum Request {
    Switch { task: Task, model: Option<String> },
    GiveUp { model: String, failures: u32 },
    Workers(usize),
    Stop,
}

/// Networks loaded, nothing running yet: the place to subscribe without missing a frame.
pub struct Prepared {
    params: PipelineParams,
    loader: Arc<dyn Loader>,
    lineup: Lineup,
    detector: DetectorSlot,
    running: Vec<Event>,
    clock: Arc<Clock>,
    statistics: Arc<Statistics>,
    channels: Vec<Arc<Channel>>,
}

impl Prepared {
    /// Loads the chosen networks.
    ///
    /// # Errors
    /// [`LiveError`] for the first network that cannot be loaded.
    pub fn new(params: PipelineParams, loader: Arc<dyn Loader>) -> Result<Self, LiveError> {
        let mut running = Vec::new();
        let detector = load_detector(loader.as_ref(), &params.choice.detector, 1, &mut running)?;
        let choice = &params.choice;
        let lineup = assemble(loader.as_ref(), choice, params.workers.max(1), &Lineup::default(), &mut running)?;
        let (clock, statistics) = (Arc::new(Clock::start()), Arc::new(Statistics::new()));
        Ok(Self { params, loader, lineup, detector, running, clock, statistics, channels: Vec::new() })
    }

    /// A stream of scenes.
    pub fn subscribe(&mut self, delivery: Delivery) -> Subscription {
        let channel = Arc::new(Channel::new(delivery, self.params.pacing == Pacing::EveryFrame));
        self.channels.push(Arc::clone(&channel));
        Subscription { channel, clock: Arc::clone(&self.clock), statistics: Arc::clone(&self.statistics) }
    }

    /// Starts all threads on `source`.
    ///
    /// # Errors
    /// [`LiveError::Thread`] if the system gives no thread; those already started end again.
    pub fn start(self, source: Box<dyn Source>) -> Result<Pipeline, LiveError> {
        let stills = source.info().frame_rate.is_none() && source.info().pace == Pace::Timeline;
        let (events_in, events) = mpsc::channel();
        let (requests, requests_out) = mpsc::channel();
        let (messages, messages_out) = mpsc::channel();
        let kept = self.params.pacing == Pacing::Live && (self.params.alarm.is_some() || self.params.growth.is_some());
        let (keeper, notes) = kept.then(|| mpsc::sync_channel(keeper::WAITING)).unzip();
        let shared = Arc::new(Shared {
            clock: self.clock,
            statistics: self.statistics,
            buffer: FrameBuffer::new(self.params.buffer, self.params.pacing),
            board: Board::new(self.params.schedule.clone(), self.lineup, self.params.workers.max(1)),
            loader: self.loader,
            channels: self.channels,
            detector: Mutex::new(Arc::new(self.detector)),
            events: events_in,
            requests,
            keeper,
            gallery: GalleryTrouble::default(),
            failures: AtomicU32::new(0),
            params: self.params,
        });
        self.running.into_iter().for_each(|event| shared.tell(event));
        let mut pipeline = Pipeline { shared, messages, events: Some(events), threads: Vec::new(), controller: None };
        let started = pipeline.spawn_all(source, stills, messages_out, requests_out, notes);
        match started {
            Ok(()) => Ok(pipeline),
            // Dropping stops and joins whatever runs.
            Err(error) => Err(error),
        }
    }
}

/// A running pipeline. Dropping it stops and joins all its threads.
pub struct Pipeline {
    shared: Arc<Shared>,
    messages: Sender<Message>,
    events: Option<Receiver<Event>>,
    threads: Vec<JoinHandle<()>>,
    controller: Option<JoinHandle<Outcome>>,
}

impl Pipeline {
    fn spawn_all(
        &mut self,
        source: Box<dyn Source>,
        stills: bool,
        messages_out: Receiver<Message>,
        requests_out: Receiver<Request>,
        notes: Option<Receiver<Note>>,
    ) -> Result<(), LiveError> {
        let controller = Controller::new(&self.shared, stills);
        let shared = Arc::clone(&self.shared);
        let run = move || {
            // The scenes end however the controller does.
            let outcome = caught(|| controller.run(&shared, &messages_out));
            shared.wind_down();
            outcome.unwrap_or_else(|reason| {
                shared.tell(Event::StageFailed { stage: "controller".into(), reason: reason.clone() });
                Outcome { source_failure: Some(format!("the controller died: {reason}")), ..Outcome::default() }
            })
        };
        self.controller = Some(spawn("controller", run)?);
        let crew = Crew::hire(&self.shared, &self.messages)?;
        let loader = Arc::clone(&self.shared);
        let (choice, messages) = (self.shared.params.choice.clone(), self.messages.clone());
        self.threads.push(spawn("loader", move || serve(&loader, choice, &requests_out, &messages, crew))?);
        if let Some(notes) = notes {
            let shared = Arc::clone(&self.shared);
            self.threads.push(spawn("gallery", move || keeper::run(&shared, &notes))?);
        }
        let (shared, messages) = (Arc::clone(&self.shared), self.messages.clone());
        self.threads.push(spawn("detection", move || detection::run(&shared, &messages))?);
        let (shared, messages) = (Arc::clone(&self.shared), self.messages.clone());
        let grabber = Grabber { source, repeat: shared.params.repeat, mirror: shared.params.mirror };
        self.threads.push(spawn("grabber", move || {
            if let Err(reason) = caught(|| grabber.run(&shared, &messages)) {
                shared.buffer.close();
                let _ = messages.send(Message::SourceEnded { frames: 0, failure: Some(reason) });
            }
        })?);
        Ok(())
    }

    /// What happens besides frames. The first call gets the stream; later ones get `None`.
    pub fn events(&mut self) -> Option<Receiver<Event>> {
        self.events.take()
    }

    /// Asks for another network (`None`: none) for a task. Returns at once; what comes of it is an [`Event`].
    pub fn switch(&self, task: Task, model: Option<String>) {
        self.shared.request(Request::Switch { task, model });
    }

    /// Says that the last alarm was about somebody else: that face is not to be taken for this person again.
    pub fn not_this_person(&self) {
        self.shared.insist(Note::NotThisPerson);
    }

    /// Everything measured so far.
    #[must_use]
    pub fn statistics(&self) -> StatisticsReport {
        self.shared.report()
    }

    /// Asks all threads to end; returns at once. May be called from any thread, more than once.
    pub fn stop(&self) {
        self.shared.clock.stop();
        let _ = self.messages.send(Message::Stop);
    }

    /// A handle that steers the pipeline from elsewhere.
    #[must_use]
    pub fn steering(&self) -> Steering {
        Steering::new(&self.shared, &self.messages)
    }

    /// A handle that stops the pipeline from elsewhere, such as a Ctrl-C handler.
    pub fn stopper(&self) -> impl Fn() + Send + 'static {
        let steering = self.steering();
        move || steering.stop()
    }

    /// Waits for the end: of the source, or after [`Pipeline::stop`].
    #[must_use]
    pub fn join(mut self) -> Outcome {
        self.finish()
    }

    fn finish(&mut self) -> Outcome {
        let outcome = self.controller.take().and_then(|thread| thread.join().ok()).unwrap_or_default();
        self.shared.wind_down();
        for thread in self.threads.drain(..) {
            // A thread that died has told why; there is nothing more to learn from it here.
            let _ = thread.join();
        }
        Outcome { stage_failures: self.shared.failures.load(Ordering::Relaxed), ..outcome }
    }
}

impl Drop for Pipeline {
    fn drop(&mut self) {
        self.stop();
        self.finish();
    }
}

impl Shared {
    /// Sends every thread home. The controller does it when it ends, whatever ended it.
    fn wind_down(&self) {
        self.clock.stop();
        self.buffer.abort();
        self.board.close();
        let _ = self.requests.send(Request::Stop);
        if let Some(keeper) = &self.keeper {
            // A full queue is emptied sooner or later, and the keeper then finds this.
            let _ = keeper.send(Note::Stop);
        }
        for channel in &self.channels {
            channel.close();
        }
    }
}

pub(crate) fn spawn<T: Send + 'static>(
    stage: &str,
    run: impl FnOnce() -> T + Send + 'static,
) -> Result<JoinHandle<T>, LiveError> {
    thread::Builder::new()
        .name(stage.to_owned())
        .spawn(run)
        .map_err(|error| LiveError::Thread { stage: stage.to_owned(), reason: error.to_string() })
}

/// The loader thread: brings networks up beside the running ones and puts them to use between two frames. The workers are its
/// crew.
fn serve(
    shared: &Shared,
    mut choice: Choice,
    requests: &Receiver<Request>,
    messages: &Sender<Message>,
    mut crew: Crew,
) {
    while let Ok(request) = requests.recv() {
        match request {
            Request::Stop => return crew.dismiss(),
            Request::Workers(count) => {
                if let Err(error) = crew.resize(count) {
                    shared.tell(Event::StageFailed { stage: "recognition".into(), reason: error.to_string() });
                }
            }
            Request::Switch { task: Task::Detection, model } => {
                let Some(model) = model else {
                    let reason = LiveError::NoDetector.to_string();
                    shared.tell(Event::SwitchFailed { task: Task::Detection, model: "none".into(), reason });
                    continue;
                };
                shared.tell(Event::Loading { task: Task::Detection, model: model.clone() });
                let (mut running, generation) = (Vec::new(), shared.detector().generation + 1);
                match guarded(|| load_detector(shared.loader.as_ref(), &model, generation, &mut running)) {
                    Ok(slot) => {
                        *shared.detector.lock().unwrap_or_else(|poisoned| poisoned.into_inner()) = Arc::new(slot);
                        choice.set(Task::Detection, Some(model.clone()));
                        running.into_iter().for_each(|event| shared.tell(event));
                        shared.tell(Event::Switched { task: Task::Detection, model: Some(model) });
                    }
                    Err(reason) => shared.tell(Event::SwitchFailed { task: Task::Detection, model, reason }),
                }
            }
            Request::Switch { task, model } => {
                if let Some(model) = &model {
                    shared.tell(Event::Loading { task, model: model.clone() });
                }
                let mut wanted = choice.clone();
                wanted.set(task, model.clone());
                match change(shared, &wanted, task == Task::Similarity) {
                    Ok(()) => {
                        choice = wanted;
                        let _ = messages.send(Message::Switched(task));
                        shared.tell(Event::Switched { task, model });
                    }
                    Err(reason) => {
                        let model = model.unwrap_or_else(|| "none".into());
                        shared.tell(Event::SwitchFailed { task, model, reason });
                    }
                }
            }
            Request::GiveUp { model, failures } => {
                let mut wanted = choice.clone();
                for task in RECOGNITION.into_iter().filter(|&task| choice.of(task) == Some(&model)) {
                    wanted.set(task, None);
                }
                if wanted != choice && change(shared, &wanted, false).is_ok() {
                    choice = wanted;
                    shared.tell(Event::GaveUp { model, failures });
                }
            }
        }
    }
}

/// Loads what is missing for `choice` and puts it to use; on failure nothing changes. With `converts`, a gallery of another
/// network becomes this one's.
fn change(shared: &Shared, choice: &Choice, converts: bool) -> Result<(), String> {
    let mut running = Vec::new();
    let (old, workers) = (shared.board.lineup(), shared.board.workers());
    let lineup = guarded(|| match assemble(shared.loader.as_ref(), choice, workers, &old, &mut running) {
        Err(LiveError::Gallery(GalleryError::OtherNetwork { .. })) if converts => {
            shared.gallery.changing_hands.store(true, Ordering::Release);
            convert(shared, choice)?;
            running.clear();
            assemble(shared.loader.as_ref(), choice, workers, &old, &mut running)
        }
        other => other,
    });
    let replaced = lineup.map(|lineup| shared.board.replace(lineup));
    shared.gallery.changing_hands.store(false, Ordering::Release);
    replaced?;
    running.into_iter().for_each(|event| shared.tell(event));
    Ok(())
}

/// How often people are told how far a gallery is.
const TOLD_EVERY: Duration = Duration::from_secs(3);

/// Has the photos of the gallery looked at by the similarity network of `choice`.
fn convert(shared: &Shared, choice: &Choice) -> Result<(), LiveError> {
    let model = choice.similarity.clone().unwrap_or_default();
    let mut told: Option<Duration> = None;
    let converted = shared.loader.convert_gallery(choice, &mut |done, photos| {
        let now = shared.clock.now();
        if told.is_none_or(|told| now >= told + TOLD_EVERY) {
            told = Some(now);
            shared.tell(Event::Converting { model: model.clone(), done, photos });
        }
        !shared.clock.is_stopped()
    })?;
    shared.tell(Event::Converted { model, converted });
    Ok(())
}

fn guarded<T>(load: impl FnOnce() -> Result<T, LiveError>) -> Result<T, String> {
    caught(load).and_then(|loaded| loaded.map_err(|error| error.to_string()))
}

fn load_detector(
    loader: &dyn Loader,
    model: &str,
    generation: u64,
    running: &mut Vec<Event>,
) -> Result<DetectorSlot, LiveError> {
    if model.is_empty() {
        return Err(LiveError::NoDetector);
    }
    let detector: Box<dyn Detect> = loader.detector(model)?;
    let placement = detector.placement();
    running.push(Event::Running { task: Task::Detection, model: model.to_owned(), placement });
    Ok(DetectorSlot { generation, model: model.to_owned(), pool: Pool::new(vec![detector]) })
}

/// The lineup for `choice`, with `workers` instances of every network that `old` does not have.
fn assemble(
    loader: &dyn Loader,
    choice: &Choice,
    workers: usize,
    old: &Lineup,
    running: &mut Vec<Event>,
) -> Result<Lineup, LiveError> {
    let mut tasks_of: BTreeMap<&str, Vec<Task>> = BTreeMap::new();
    let mut order: Vec<&str> = Vec::new();
    for task in RECOGNITION {
        if let Some(model) = choice.of(task) {
            tasks_of.entry(model).or_default().push(task);
            if !order.contains(&model) {
                order.push(model);
            }
        }
    }
    let mut lanes = Vec::new();
    for model in order {
        let tasks = tasks_of.remove(model).unwrap_or_default();
        if let Some(lane) = old.lane(model).filter(|lane| lane.tasks == tasks) {
            lanes.push(Arc::clone(lane));
            continue;
        }
        let (supports, needs_landmarks, pool) = match old.lane(model) {
            // Loaded already, for other tasks: the workers keep their instances.
            Some(lane) => (lane.supports.clone(), lane.needs_landmarks, Arc::clone(&lane.pool)),
            None => {
                let instances = (0..workers).map(|_| loader.recogniser(model)).collect::<Result<Vec<_>, _>>()?;
                let Some(first) = instances.first() else { continue };
                running.extend(tasks.iter().map(|&task| Event::Running {
                    task,
                    model: model.to_owned(),
                    placement: first.placement(),
                }));
                (first.tasks().to_vec(), first.needs_landmarks(), Arc::new(Pool::new(instances)))
            }
        };
        if let Some(&task) = tasks.iter().find(|task| !supports.contains(task)) {
            return Err(LiveError::WrongTask { model: model.to_owned(), task });
        }
        let failures = AtomicU32::new(0);
        lanes.push(Arc::new(Lane { model: model.to_owned(), tasks, supports, needs_landmarks, pool, failures }));
    }
    let locator = match &choice.keypoints {
        None => None,
        Some(model) => match old.locator.as_ref().filter(|locator| locator.model == *model) {
            Some(locator) => Some(Arc::clone(locator)),
            None => {
                let instances = (0..workers).map(|_| loader.locator(model)).collect::<Result<Vec<_>, _>>()?;
                running.extend(instances.first().map(|first| Event::Running {
                    task: Task::Keypoints,
                    model: model.clone(),
                    placement: first.placement(),
                }));
                Some(Arc::new(Locator { model: model.clone(), pool: Arc::new(Pool::new(instances)) }))
            }
        },
    };
    let gallery = match &choice.similarity {
        Some(model) => loader.gallery(model)?,
        None => None,
    };
    Ok(Lineup { generation: old.generation + 1, lanes, locator, gallery })
}
