//! Runs every network on every face under every view.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use visavis_data::pack::PackedFace;
use visavis_face::{FaceView, Findings};
use visavis_image::{Landmarks, Picture, Resizer};

use super::viewed_face::{ViewedFace, view_face};
use super::{
    AttributeAnswer, AttributeNetworks, FaceAnswers, FaceSource, KeypointAnswer, KeypointFinder, ProtocolError,
    ProtocolParams, View, ViewAnswers,
};

/// Makes the networks of one worker.
type Make<'a, N> = &'a (dyn Fn() -> Result<N, Box<dyn std::error::Error + Send + Sync>> + Sync);

/// Runs keypoint networks on the faces with labelled keypoints. `make` makes one worker's networks, always the same in the
/// same order; `progress` is called once with the number of faces, and then after each face.
///
/// # Errors
/// [`ProtocolError`] for a parameter out of range, if there are no such faces, a face that cannot be read, a network that fails.
pub fn keypoints(
    source: &dyn FaceSource,
    params: &ProtocolParams,
    make: Make<'_, Vec<KeypointFinder>>,
    progress: &(dyn Fn(Progress) + Sync),
) -> Result<Vec<ViewAnswers<KeypointAnswer>>, ProtocolError> {
    let faces = select(source.faces(), params, "labelled keypoints", |face| face.landmarks.is_some())?;
    walk(source, params, &faces, make, progress, |finders, _, viewed| {
        let locate = |finder: &mut KeypointFinder| {
            let found = finder.find(&viewed.picture, &viewed.rect)?;
            Ok(found.map(|landmarks| viewed.to_own(landmarks)))
        };
        finders.iter_mut().map(locate).collect()
    })
}

/// Runs networks for age, gender, smile or expression on the faces with any of these labels.
///
/// # Errors
/// [`ProtocolError::NoLocator`] for [`View::Jitter`] if a network crops by keypoints and there is no locator; else as
/// [`keypoints`].
pub fn attributes(
    source: &dyn FaceSource,
    params: &ProtocolParams,
    make: Make<'_, AttributeNetworks>,
    progress: &(dyn Fn(Progress) + Sync),
) -> Result<Vec<ViewAnswers<AttributeAnswer>>, ProtocolError> {
    let labelled = |face: &PackedFace| {
        let labels = &face.labels;
        labels.age.is_some() || labels.gender.is_some() || labels.smile.is_some() || labels.expression.is_some()
    };
    let faces = select(source.faces(), params, "an age, a gender, a smile or an expression", labelled)?;
    walk(source, params, &faces, make, progress, predict)
}

/// Runs embedding networks on the faces with an identity.
///
/// # Errors
/// As [`attributes`].
pub fn embeddings(
    source: &dyn FaceSource,
    params: &ProtocolParams,
    make: Make<'_, AttributeNetworks>,
    progress: &(dyn Fn(Progress) + Sync),
) -> Result<Vec<ViewAnswers<AttributeAnswer>>, ProtocolError> {
    let faces = select(source.faces(), params, "an identity", |face| face.identity.is_some())?;
    walk(source, params, &faces, make, progress, predict)
}

/// Runs embedding networks on all faces, for a gallery in which each face is another person: identities are not needed.
///
/// # Errors
/// As [`attributes`].
pub fn gallery_embeddings(
    source: &dyn FaceSource,
    params: &ProtocolParams,
    make: Make<'_, AttributeNetworks>,
    progress: &(dyn Fn(Progress) + Sync),
) -> Result<Vec<ViewAnswers<AttributeAnswer>>, ProtocolError> {
    let faces = select(source.faces(), params, "a picture", |_| true)?;
    walk(source, params, &faces, make, progress, predict)
}

/// Progress of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// The number of faces to do.
    Faces(usize),
    /// One more face is done.
    Done,
}

fn predict(
    networks: &mut AttributeNetworks,
    view: View,
    viewed: &ViewedFace<'_>,
) -> Result<Vec<Findings>, ProtocolError> {
    let mut landmarks = viewed.landmarks;
    if networks.tested.iter().any(|network| network.needs_landmarks()) {
        landmarks = aligned_by(networks.keypoints.as_mut(), view, viewed)?;
    }
    let face = FaceView::upright(viewed.rect, landmarks);
    let run = |network: &mut Box<dyn visavis_face::Recognise>| {
        let mut answers = network.recognise(&viewed.picture, &[face])?;
        Ok(answers.pop().unwrap_or_default())
    };
    networks.tested.iter_mut().map(run).collect()
}

/// The keypoints for cropping: under [`View::Labelled`] the labelled ones, else those that the live program would use.
fn aligned_by(
    finder: Option<&mut KeypointFinder>,
    view: View,
    viewed: &ViewedFace<'_>,
) -> Result<Option<Landmarks>, ProtocolError> {
    match (view, finder) {
        (View::Labelled, _) if viewed.landmarks.is_some() => Ok(viewed.landmarks),
        (View::Jitter, None) => Err(ProtocolError::NoLocator { view }),
        (_, None) => Ok(viewed.landmarks),
        (_, Some(finder)) => Ok(finder.find(&viewed.picture, &viewed.rect)?),
    }
}

/// The indices of the faces to run on: those with what is `wanted`, as `has` tells.
fn select(
    faces: &[PackedFace],
    params: &ProtocolParams,
    wanted: &'static str,
    has: impl Fn(&PackedFace) -> bool,
) -> Result<Vec<usize>, ProtocolError> {
    let refuse = |name, reason: &str| Err(ProtocolError::Params { name, reason: reason.to_owned() });
    if params.views.is_empty() {
        return refuse("views", "name at least one of labelled, detected, jitter, small, blurred");
    }
    if !(0.0..1.0).contains(&params.jitter) {
        return refuse("jitter", &format!("{} is not from 0 to below 1", params.jitter));
    }
    if !(params.small.is_finite() && params.small >= 1.0) {
        return refuse("small", &format!("{} is not a width of at least 1 pixel", params.small));
    }
    if params.workers == 0 {
        return refuse("workers", "at least one is needed");
    }
    if params.limit == Some(0) {
        return refuse("limit", "at least one face is needed");
    }
    let of_side = |place: &usize| params.split.is_none_or(|split| faces[*place].split == split);
    let side: Vec<usize> = (0..faces.len()).filter(of_side).collect();
    let mut places: Vec<usize> = side.iter().copied().filter(|&place| has(&faces[place])).collect();
    if places.is_empty() {
        return Err(ProtocolError::NoFaces { faces: side.len(), split: params.split, wanted });
    }
    if let Some(limit) = params.limit.filter(|&limit| limit < places.len()) {
        // Sets are often sorted by label: the first faces alone would be of one kind.
        places = (0..limit).map(|number| places[number * places.len() / limit]).collect();
    }
    Ok(places)
}

/// The results for one face: for each view the result of each network and whether the view changed nothing, or `None` if
/// the face has no such view.
type FaceRow<A> = Vec<Option<(Vec<A>, bool)>>;

fn walk<N, A: Send>(
    source: &dyn FaceSource,
    params: &ProtocolParams,
    faces: &[usize],
    make: Make<'_, N>,
    progress: &(dyn Fn(Progress) + Sync),
    run: impl Fn(&mut N, View, &ViewedFace<'_>) -> Result<Vec<A>, ProtocolError> + Sync,
) -> Result<Vec<ViewAnswers<A>>, ProtocolError> {
    progress(Progress::Faces(faces.len()));
    let next = AtomicUsize::new(0);
    let done: Mutex<Vec<(usize, FaceRow<A>)>> = Mutex::new(Vec::with_capacity(faces.len()));
    let worker = || -> Result<(), ProtocolError> {
        let mut networks = make().map_err(ProtocolError::Networks)?;
        let mut resizer = Resizer::new();
        while let Some(&face) = faces.get(next.fetch_add(1, Ordering::Relaxed)) {
            let picture = source.picture(face)?;
            let row = face_row(&picture, &source.faces()[face], params, &mut resizer, &mut networks, &run)?;
            done.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).push((face, row));
            progress(Progress::Done);
        }
        Ok(())
    };
    thread::scope(|scope| {
        let workers: Vec<_> = (0..params.workers.min(faces.len()).max(1))
            .map(|_| {
                scope.spawn(|| {
                    let ended = worker();
                    if ended.is_err() {
                        // The other workers start no further face.
                        next.store(faces.len(), Ordering::Relaxed);
                    }
                    ended
                })
            })
            .collect();
        let end = |worker: thread::ScopedJoinHandle<'_, _>| match worker.join() {
            Ok(ended) => ended,
            Err(panic) => std::panic::resume_unwind(panic),
        };
        workers.into_iter().try_for_each(end)
    })?;
    let rows = done.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner());
    Ok(by_view(&params.views, rows))
}

fn face_row<N, A>(
    picture: &Picture,
    face: &PackedFace,
    params: &ProtocolParams,
    resizer: &mut Resizer,
    networks: &mut N,
    run: impl Fn(&mut N, View, &ViewedFace<'_>) -> Result<Vec<A>, ProtocolError>,
) -> Result<FaceRow<A>, ProtocolError> {
    let under = |&view: &View| {
        let seen = view_face(view, picture, face, params, resizer);
        seen.map(|viewed| Ok((run(networks, view, &viewed)?, viewed.unchanged))).transpose()
    };
    params.views.iter().map(under).collect()
}

fn by_view<A>(views: &[View], mut rows: Vec<(usize, FaceRow<A>)>) -> Vec<ViewAnswers<A>> {
    rows.sort_by_key(|(face, _)| *face);
    let empty = |&view: &View| ViewAnswers { view, faces: Vec::with_capacity(rows.len()), left_out: 0, unchanged: 0 };
    let mut answers: Vec<ViewAnswers<A>> = views.iter().map(empty).collect();
    for (face, row) in rows {
        for (view, answer) in answers.iter_mut().zip(row) {
            match answer {
                Some((answers, unchanged)) => {
                    view.faces.push(FaceAnswers { face, answers });
                    view.unchanged += usize::from(unchanged);
                }
                None => view.left_out += 1,
            }
        }
    }
    answers
}
