//! `visavis-lab evaluate similarity`: accuracy of embeddings.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use clap::Parser;
use serde::Serialize;
use visavis_data::layout::lfw::{FacePair, pairs, stem};
use visavis_data::pack::{Pack, PackedFace};
use visavis_eval::bootstrap::Bootstrap;
use visavis_eval::groups::Grouping;
use visavis_eval::protocol::{self, AttributeAnswer, ProtocolParams, ViewAnswers};
use visavis_eval::similarity::{
    Calibration, Embedded, GalleryCheck, GalleryTrial, Identification, OpenSet, Pair, Verification, answers, calibrate,
    identification, identification_of, made_up, open_set, verification,
};
use visavis_gallery::IdentityParams;
use visavis_image::draw::{Colour, TextPainter, Weight, outline, paste_rounded};
use visavis_image::{Picture, Rect, Similarity, warp_into};
use visavis_infer::manifest::{HeadDecode, Likeness, Metric, Strangers};
use visavis_infer::{Manifest, Task};

use super::faces::{FaceArgs, Networks, Row, note, watched, write_picture};
use super::text_table::TextTable;
use crate::endings::{PICTURES, check_ending};
use visavis_cli::options::{EngineArgs, complain, parse_rate, say_json};

/// Measure the accuracy of embeddings
///
/// The packs of --data must have identities. Identification: a third of each person's photos are queries, the others are the
/// gallery. Open set: a third of the people are left out of the gallery. Verification: the pairs of a list, each fold with the
/// threshold that is best on the others. With --gallery: the share of strangers that is identified as a person or gets a
/// probability of one half or more, and the share of second photos that is identified. All networks get exactly the same faces.
#[derive(Parser)]
#[command(after_help = "Examples:
  visavis-lab evaluate similarity --data packs/celeba --network dlib_face_recognition --view detected,small,blurred --groups
  visavis-lab evaluate similarity --data packs/lfw --split all --pairs lfw/pairs.txt --network dlib_face_recognition
  visavis-lab evaluate similarity --data packs/lfw --split all --network dlib_face_recognition --gallery packs/portraits packs/celeba
  visavis-lab evaluate similarity --data packs/celebrities --split all --network dlib_face_recognition --sheet top5.png")]
pub(super) struct Args {
    /// Networks to measure
    #[arg(long, required = true, value_delimiter = ',', value_name = "NETWORK,…")]
    network: Vec<String>,
    /// Network that locates the keypoints for alignment, as live [default: the detector's keypoints]
    #[arg(long, value_name = "NETWORK")]
    keypoints: Option<String>,
    #[command(flatten)]
    faces: FaceArgs,
    /// Pairs to verify: LFW's pairs.txt, or a CSV with the columns fold, a, b, same
    #[arg(long, value_name = "FILE")]
    pairs: Option<PathBuf>,
    /// Share of strangers' queries that may be identified as a person
    #[arg(long, default_value_t = 0.01, value_name = "SHARE", value_parser = parse_rate)]
    fpir: f64,
    /// Packs whose faces fill galleries, in this order, each face as another person; they need no identities. The faces of --data
    /// are identified with these galleries, as strangers; of people with two photos or more, the first photo is also added to the
    /// gallery and the others are identified as known people. If the packs have too few faces, synthetic vectors are added
    #[arg(long, num_args = 1.., value_name = "PACK")]
    gallery: Vec<PathBuf>,
    /// Sizes of the galleries, in photos
    #[arg(
        long,
        default_value = "400,10000,100000",
        value_delimiter = ',',
        value_name = "N,…",
        value_parser = parse_count,
        requires = "gallery"
    )]
    gallery_sizes: Vec<usize>,
    /// People of --data who are among the faces of --gallery, and so are no strangers; may be given more than once
    #[arg(long, value_name = "IDENTITY", requires = "gallery")]
    leave_out: Vec<String>,
    /// Share of strangers that may be identified as a person in the gallery
    #[arg(long, default_value_t = 0.01, value_name = "SHARE", value_parser = parse_rate, requires = "gallery")]
    false_matches: f64,
    /// Identification also by the gender, glasses and smile of the query
    #[arg(long)]
    groups: bool,
    /// Draw queries beside the five most similar photos of the gallery, PNG or JPEG by the extension; for one pack, view and
    /// network
    #[arg(long, value_name = "FILE")]
    sheet: Option<PathBuf>,
    /// Queries on the sheet; wrong ones come first
    #[arg(long, default_value_t = 24, value_name = "N", requires = "sheet")]
    sheet_count: usize,
    #[command(flatten)]
    engines: EngineArgs,
    /// As JSON, for scripts
    #[arg(long)]
    json: bool,
}

/// The figures of one network.
#[derive(Serialize)]
struct Figures {
    identification: Option<Identification>,
    open_set: Option<OpenSet>,
    calibration: Option<Calibration>,
    verification: Option<Verification>,
    /// Identification of strangers and of known people, with galleries of several sizes.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    galleries: Vec<GalleryCheck>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    groups: Vec<GroupRow>,
}

/// Identification of queries of one group, in the whole gallery.
#[derive(Serialize)]
struct GroupRow {
    by: &'static str,
    group: String,
    identification: Identification,
}

/// Parses a number of at least 1.
fn parse_count(text: &str) -> Result<usize> {
    let count: usize = text.parse().with_context(|| format!("`{text}` is not a whole number"))?;
    ensure!(count > 0, "0 is not 1 or more");
    Ok(count)
}

pub(super) fn run(args: &Args) -> Result<()> {
    args.sheet.iter().try_for_each(|path| check_ending(path, PICTURES))?;
    let networks = Networks::open(&args.engines)?;
    networks.check(&args.network, &[Task::Similarity])?;
    networks.check(args.keypoints.as_slice(), &[Task::Keypoints])?;
    let one = args.network.len() == 1 && args.faces.data.len() == 1 && args.faces.view.len() == 1;
    if args.sheet.is_some() && !one {
        bail!("--sheet is for one pack, one view and one network");
    }
    let listed = args.pairs.as_deref().map(pairs).transpose()?;
    let packs = args.faces.packs()?;
    for pack in &packs {
        let identified = args.faces.any(pack, |face| face.identity.is_some());
        ensure!(identified, "{}: no face that --split selects has an identity", pack.folder().display());
    }
    let fill = fill(args, &networks)?;
    let mut rows = Vec::new();
    for pack in packs {
        let keypoints = args.keypoints.as_deref();
        let make = || networks.attributes(&args.network, keypoints);
        let params = args.faces.params(args.engines.threads);
        for answers in watched(&pack, |progress| protocol::embeddings(&pack, &params, &make, progress))? {
            for (place, network) in args.network.iter().enumerate() {
                let metric = metric(networks.manifest(network)?)?;
                let (faces, packed) = embedded(&pack, &answers, place);
                let bootstrap = Bootstrap::default();
                let identification = identification(metric, &faces, &bootstrap);
                let others = args.sheet.is_none() && (args.pairs.is_some() || !args.gallery.is_empty());
                if identification.is_none() && !others {
                    let folder = pack.folder().display();
                    bail!("{folder}: no person has two photos in the view `{}`: there are no queries", answers.view);
                }
                if let Some(path) = &args.sheet {
                    write_sheet(path, args, metric, &pack, &faces, &packed)?;
                }
                let figures = Figures {
                    identification,
                    open_set: open_set(metric, &faces, args.fpir, &bootstrap),
                    calibration: calibrate(metric, &faces),
                    verification: verify(args, listed.as_deref(), metric, &pack, &faces)?,
                    galleries: before_galleries(args, networks.manifest(network)?, &pack, &fill[place], &faces)?,
                    groups: if args.groups { by_group(metric, &pack, &faces, &packed) } else { Vec::new() },
                };
                rows.push(Row::new(&pack, &answers, network, figures));
            }
        }
    }
    if args.json { say_json(&rows) } else { print(&rows) }
}

/// The embeddings of the faces that fill galleries, by each of the networks.
fn fill(args: &Args, networks: &Networks) -> Result<Vec<Vec<Vec<f32>>>> {
    let mut vectors = vec![Vec::new(); args.network.len()];
    let params = ProtocolParams {
        views: args.faces.view.first().copied().into_iter().collect(),
        split: None,
        limit: None,
        ..args.faces.params(args.engines.threads)
    };
    for folder in &args.gallery {
        let pack = Pack::open(folder)?;
        let make = || networks.attributes(&args.network, args.keypoints.as_deref());
        for answers in watched(&pack, |progress| protocol::gallery_embeddings(&pack, &params, &make, progress))? {
            for (network, vectors) in vectors.iter_mut().enumerate() {
                vectors.extend(answers.of(network).filter_map(|(_, findings)| findings.embedding.clone()));
            }
        }
    }
    Ok(vectors)
}

/// Identifies these faces with galleries of several sizes.
fn before_galleries(
    args: &Args,
    manifest: &Manifest,
    pack: &Pack,
    fill: &[Vec<f32>],
    faces: &[Embedded],
) -> Result<Vec<GalleryCheck>> {
    if args.gallery.is_empty() {
        return Ok(Vec::new());
    }
    let Some(HeadDecode::Embedding { metric, likeness: Some(likeness), .. }) =
        manifest.head(Task::Similarity).map(|head| &head.decode)
    else {
        bail!(
            "the manifest of {} does not say what distances mean: put the numbers of the row `likeness` of this command \
             into it as `likeness`, without --gallery",
            manifest.name
        );
    };
    let faces: Vec<Embedded> =
        faces.iter().filter(|face| !args.leave_out.iter().any(|name| name == face.identity)).cloned().collect();
    ensure!(!faces.is_empty(), "{}: --leave-out leaves no face to identify", pack.folder().display());
    let most = args.gallery_sizes.iter().copied().max().unwrap_or(0);
    let real: Vec<&[f32]> = fill.iter().map(Vec::as_slice).collect();
    let mut gallery = fill.to_vec();
    gallery.extend(made_up(&real, most.saturating_sub(fill.len()), args.faces.seed));
    let params = IdentityParams { false_matches: args.false_matches, ..IdentityParams::default() };
    let check = |size: &usize| {
        let gallery = &gallery[..(*size).min(gallery.len())];
        let made_up = gallery.len().saturating_sub(fill.len());
        GalleryTrial { metric: *metric, likeness, params, gallery, made_up, faces: &faces }.check(&Bootstrap::default())
    };
    Ok(args.gallery_sizes.iter().filter_map(check).collect())
}

/// Identification figures of each network, under the first view of `params`.
pub(super) fn identifications(
    networks: &Networks,
    names: &[String],
    keypoints: Option<&str>,
    pack: &Pack,
    params: &ProtocolParams,
) -> Result<Vec<Option<Identification>>> {
    let make = || networks.attributes(names, keypoints);
    let views = watched(pack, |progress| protocol::embeddings(pack, params, &make, progress))?;
    let of = |(place, network): (usize, &String)| {
        let metric = metric(networks.manifest(network)?)?;
        Ok(views.first().and_then(|view| identification(metric, &embedded(pack, view, place).0, &Bootstrap::default())))
    };
    names.iter().enumerate().map(of).collect()
}

pub(super) fn metric(manifest: &Manifest) -> Result<Metric> {
    match manifest.head(Task::Similarity).map(|head| &head.decode) {
        Some(HeadDecode::Embedding { metric, .. }) => Ok(*metric),
        _ => bail!("{} makes no embedding", manifest.name),
    }
}

/// The faces that have both an identity and an embedding, with their source.
pub(super) fn embedded<'a>(
    pack: &'a Pack,
    answers: &'a ViewAnswers<AttributeAnswer>,
    network: usize,
) -> (Vec<Embedded<'a>>, Vec<usize>) {
    let found = answers.of(network).filter_map(|(place, findings)| {
        let face: &PackedFace = &pack.faces()[place];
        let (identity, vector) = (face.identity.as_deref()?, findings.embedding.as_deref()?);
        Some((Embedded { file: &face.file, identity, vector }, place))
    });
    found.unzip()
}

fn by_group(metric: Metric, pack: &Pack, faces: &[Embedded], packed: &[usize]) -> Vec<GroupRow> {
    let by = |grouping: Grouping| {
        let labels = packed.iter().map(|&place| (&*pack.faces()[place].file, &pack.faces()[place].labels));
        grouping.split(labels).into_iter().filter_map(move |(group, places)| {
            let asks = |place: usize| places.binary_search(&place).is_ok();
            let identification = identification_of(metric, faces, asks, &Bootstrap::default())?;
            Some(GroupRow { by: grouping.name(), group, identification })
        })
    };
    [Grouping::Gender, Grouping::Glasses, Grouping::Smile].into_iter().flat_map(by).collect()
}

/// Verifies the pairs of a list; fails if the pack has not both kinds of them.
fn verify(
    args: &Args,
    listed: Option<&[FacePair]>,
    metric: Metric,
    pack: &Pack,
    faces: &[Embedded],
) -> Result<Option<Verification>> {
    let (Some(path), Some(listed)) = (&args.pairs, listed) else { return Ok(None) };
    let pairs = measured(metric, faces, listed);
    let found = verification(&pairs, &Bootstrap::default()).with_context(|| {
        format!(
            "{}: pairs of one person and pairs of two people are needed, but it has both faces of only {} of the {} pairs in {}",
            pack.folder().display(),
            pairs.len(),
            listed.len(),
            path.display()
        )
    });
    found.map(Some)
}

/// The pairs of a list of which both faces exist.
fn measured(metric: Metric, faces: &[Embedded], listed: &[FacePair]) -> Vec<Pair> {
    let by_name: HashMap<&str, &Embedded> = faces.iter().map(|face| (stem(face.file), face)).collect();
    let both = |pair: &FacePair| {
        let [a, b] = pair.faces.each_ref().map(|name| by_name.get(&**name));
        let distance = visavis_gallery::distance(metric, a?.vector, b?.vector);
        Some(Pair { distance, same: pair.same, fold: pair.fold })
    };
    let found: Vec<Pair> = listed.iter().filter_map(both).collect();
    if found.len() < listed.len() {
        complain(&format!("{} of {} pairs have a face that is not there", listed.len() - found.len(), listed.len()));
    }
    found
}

fn print(rows: &[Row<Figures>]) -> Result<()> {
    let mut table = TextTable::new(&["set", "view", "network", "figure", "n", "value", "note"]);
    for row in rows {
        let mut line = |figure: &str, n: usize, value: String, remark: String| {
            table.row(row.names().into_iter().chain([figure.to_owned(), n.to_string(), value, remark]));
        };
        let seen = note(row.left_out, row.unchanged);
        if let Some(found) = &row.figures.identification {
            let gallery = format!("{} photos of {} people to choose from", found.gallery, found.people);
            for (figure, value, remark) in [
                ("rank-1, %", &found.rank_1, gallery),
                ("rank-5, %", &found.rank_5, String::new()),
                ("rank-10, %", &found.rank_10, String::new()),
                ("mAP, %", &found.mean_average_precision, seen.clone()),
            ] {
                line(figure, value.n, value.times(100.0).text(1), remark);
            }
        }
        for GroupRow { by, group, identification } in &row.figures.groups {
            for (figure, value) in [("rank-1", &identification.rank_1), ("mAP", &identification.mean_average_precision)]
            {
                let figure = format!("{figure}, %, {by} {group}");
                line(&figure, value.n, value.times(100.0).text(1), String::new());
            }
        }
        if let Some(found) = &row.figures.open_set {
            let figure = format!("FNIR at FPIR {} %, %", found.fpir * 100.0);
            let remark = format!("threshold {:.3}, by {} strangers", found.threshold, found.strangers);
            line(&figure, found.fnir.n, found.fnir.times(100.0).text(1), remark);
        }
        if let Some(found) = &row.figures.calibration {
            let strangers = "within it one of 1,000 pairs of strangers".to_owned();
            line("same person, distance", found.pairs[0], format!("{:.4}", found.same_person), strangers);
            line(
                "pairs of one person within, %",
                found.pairs[0],
                format!("{:.1}", found.accepted * 100.0),
                String::new(),
            );
            if let Some(Likeness { median, spread, strangers: Strangers { within, scale, shape } }) = found.likeness {
                let numbers = [median, spread, within, scale, shape].map(|number| format!("{number:.4}")).join(",");
                let misfit = found.misfit.unwrap_or_default();
                let remark = format!(
                    "median, spread; within, scale, shape of {} pairs of two people, off by at most {misfit:.4}",
                    found.pairs[1]
                );
                line("likeness", found.pairs[0], numbers, remark);
            }
        }
        for found in &row.figures.galleries {
            let of = format!("gallery of {} photos", found.photos);
            let remark = match found.made_up {
                0 => format!("distance within {:.4}", found.within),
                made_up => format!("distance within {:.4}; {made_up} photos are made up", found.within),
            };
            line(
                &format!("strangers identified as a person, %, {of}"),
                found.taken.n,
                found.taken.times(100.0).text(2),
                remark,
            );
            let figure = format!("strangers identified with 50 % or more, %, {of}");
            line(&figure, found.half.n, found.half.times(100.0).text(2), String::new());
            if let Some(identified) = &found.identified {
                let figure = format!("second photos identified, %, {of}");
                line(&figure, identified.n, identified.times(100.0).text(2), String::new());
            }
        }
        if let Some(found) = &row.figures.verification {
            let remark = format!("best threshold {:.3}", found.threshold);
            line("verification, %", found.accuracy.n, found.accuracy.times(100.0).text(2), remark);
            for (rate, accepted) in found.accepted {
                let share = accepted.map_or("–".to_owned(), |share| format!("{:.1}", share * 100.0));
                line(&format!("TAR at FAR {} %, %", rate * 100.0), found.accuracy.n, share, String::new());
            }
        }
    }
    table.print()
}

/// Side of a photo on the sheet in pixels.
const SIDE: u32 = 128;
const GAP: u32 = 8;
const CAPTION: u32 = 20;
const TOP: usize = 5;
const GROUND: [u8; 3] = [24, 24, 28];
const TEXT: Colour = Colour::new(235, 235, 235);
const RIGHT: Colour = Colour::new(80, 230, 120);
const WRONG: Colour = Colour::new(255, 90, 80);

/// Two queries per row, each with its five nearest photos; those of the same person have a green frame.
fn write_sheet(
    path: &Path,
    args: &Args,
    metric: Metric,
    pack: &Pack,
    faces: &[Embedded],
    packed: &[usize],
) -> Result<()> {
    let mut found = answers(metric, faces, TOP);
    let wrong = |(query, order): &(usize, Vec<(f32, usize)>)| {
        order.first().is_none_or(|(_, place)| faces[*place].identity != faces[*query].identity)
    };
    // All wrong queries, followed by evenly chosen correct ones.
    found.sort_by_key(|answer| !wrong(answer));
    let mistakes = found.iter().filter(|answer| wrong(answer)).count();
    found.truncate(args.sheet_count.max(1));
    let (cell, strip) = ([SIDE + GAP, SIDE + GAP + CAPTION], (TOP as u32 + 1) * (SIDE + GAP) + 2 * GAP);
    let rows = found.len().div_ceil(2) as u32;
    let mut sheet = Picture::filled(2 * strip, rows * cell[1] + GAP + CAPTION, GROUND);
    let mut text = TextPainter::new();
    let title =
        format!("{} on {}: the {mistakes} wrong queries, then some correct ones", args.network[0], pack.info().name);
    text.draw(&mut sheet, GAP as f32, CAPTION as i32 - 5, &title, Weight::Bold, 13, TEXT);
    for (at, (query, order)) in found.iter().enumerate() {
        let (left, top) = ((at as u32 % 2) * strip + GAP, (at as u32 / 2) * cell[1] + GAP + CAPTION);
        let shown = std::iter::once((None, *query)).chain(order.iter().map(|(away, place)| (Some(*away), *place)));
        for (column, (away, place)) in shown.enumerate() {
            let (face, photo) = (&pack.faces()[packed[place]], pack.picture(packed[place])?);
            let mut small = Picture::new(SIDE, SIDE);
            let square = face.rect.square().expanded(1.3);
            let to_photo = Similarity::scale_then_shift(square.width / SIDE as f32, square.x, square.y);
            warp_into(&photo, &to_photo, &mut small);
            let x = left + column as u32 * cell[0] + if column > 0 { GAP } else { 0 };
            paste_rounded(&mut sheet, &small, x as i32, top as i32, 0.0);
            let caption = match away {
                None => faces[place].identity.to_owned(),
                Some(away) => {
                    let same = faces[place].identity == faces[*query].identity;
                    let frame = Rect::new(x as f32, top as f32, SIDE as f32, SIDE as f32);
                    outline(&mut sheet, &frame, 3.0, if same { RIGHT } else { WRONG });
                    format!("{away:.2} {}", faces[place].identity)
                }
            };
            let caption = text.fitted(&caption, Weight::Regular, 12, SIDE as f32).into_owned();
            text.draw(&mut sheet, x as f32, (top + SIDE) as i32 + 14, &caption, Weight::Regular, 12, TEXT);
        }
    }
    write_picture(path, &sheet)
}
