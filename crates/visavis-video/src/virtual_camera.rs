//! A simulated camera that moves over still photos.

use std::path::{Path, PathBuf};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use visavis_image::{Picture, PicturePool, Point, Rect, Resizer};

use crate::options::VirtualCameraParams;
use crate::source::FRAME_RATES;
use crate::still::{list, load};
use crate::{OpenOptions, Pace, Shot, Source, SourceInfo, VideoError, display_name};

/// Share of its time for which a photo is shown completely before the camera moves.
const REST: f32 = 0.25;
/// Targets of the camera, as fractions of the photo: the upper middle, where faces usually are. Photos alternate between
/// them.
const FOCUSES: [(f32, f32); 3] = [(0.5, 0.4), (0.44, 0.42), (0.56, 0.42)];
/// Brightness of the margin beside a photo of another aspect ratio.
const MARGIN_BRIGHTNESS: f32 = 0.35;

/// The same photos always give the same frames.
pub(crate) struct VirtualCamera {
    info: SourceInfo,
    params: VirtualCameraParams,
    photos: Vec<PathBuf>,
    max_pixels: u64,
    frames_per_photo: u64,
    number: u64,
    /// Number of frames that were skipped, since their photo cannot be decoded. They take no time.
    missing: u64,
    /// The current photo and its index in the list.
    scene: Option<(usize, Scene)>,
    next: Option<Preparation>,
    zoomer: Resizer,
    pool: PicturePool,
}

impl VirtualCamera {
    pub(crate) fn open(path: &Path, options: &OpenOptions) -> Result<Self, VideoError> {
        let params = options.virtual_camera;
        let name = format!("virtual:{}", path.display());
        let VirtualCameraParams { width, height, frame_rate, seconds_per_photo, zoom, loops } = params;
        let wrong = |reason: String| Err(VideoError::Spec { spec: display_name(&name), reason });
        if width == 0 || height == 0 {
            return wrong(format!("a picture of {width}x{height}"));
        }
        if !(1.0..=4.0).contains(&zoom) {
            return wrong(format!("a zoom of {zoom}; it must lie between 1 and 4"));
        }
        let (canvas_width, canvas_height) = canvas_size(&params);
        if u64::from(canvas_width) * u64::from(canvas_height) > options.max_pixels {
            return Err(VideoError::TooLarge { name: display_name(&name), width, height, most: options.max_pixels });
        }
        if !(FRAME_RATES.contains(&frame_rate) && seconds_per_photo > 0.0 && seconds_per_photo <= 86_400.0) {
            return wrong(format!(
                "{frame_rate} frames a second, {seconds_per_photo} s per photo; 0.001 to 1000, and a day at most"
            ));
        }
        let photos = list(path)?;
        let frames_per_photo = (seconds_per_photo * frame_rate).round().max(1.0) as u64;
        let info = SourceInfo {
            name,
            width,
            height,
            frame_rate: Some(frame_rate),
            frames: loops.map(|loops| u64::from(loops) * photos.len() as u64 * frames_per_photo),
            pace: Pace::Timeline,
        };
        let (place, first) = first_scene(&photos, &params, options.max_pixels)?;
        Ok(Self {
            info,
            params,
            photos,
            max_pixels: options.max_pixels,
            frames_per_photo,
            // Photos before the first one that can be decoded are reported as errors, each in its turn.
            number: 0,
            missing: 0,
            scene: Some((place, first)),
            next: None,
            zoomer: Resizer::new(),
            pool: PicturePool::new(12),
        })
    }

    /// Starts with the photo at this index, which the background thread has usually prepared by now.
    fn film(&mut self, place: usize, moment: f32) -> Result<Picture, VideoError> {
        let scene = match self.scene.take() {
            Some((shown, scene)) if shown == place => scene,
            _ => match self.next.take().filter(|next| next.place == place).and_then(Preparation::wait) {
                Some(prepared) => prepared?,
                None => Scene::load(&self.photos[place], place, &self.params, self.max_pixels)?,
            },
        };
        if self.photos.len() > 1 && self.next.is_none() {
            let place = (place + 1) % self.photos.len();
            self.next = Preparation::start(place, self.photos[place].clone(), self.params, self.max_pixels);
        }
        let mut picture = self.pool.take(self.params.width, self.params.height);
        scene.film(moment, &mut self.zoomer, &mut picture);
        self.scene = Some((place, scene));
        Ok(picture)
    }
}

impl Source for VirtualCamera {
    fn info(&self) -> &SourceInfo {
        &self.info
    }

    fn read(&mut self) -> Result<Option<Shot>, VideoError> {
        let number = self.number;
        if self.info.frames.is_some_and(|frames| number >= frames) {
            return Ok(None);
        }
        let place = ((number / self.frames_per_photo) % self.photos.len() as u64) as usize;
        let moment = (number % self.frames_per_photo) as f32 / self.frames_per_photo.saturating_sub(1).max(1) as f32;
        let at = Duration::from_secs_f64((number - self.missing) as f64 / self.params.frame_rate);
        match self.film(place, moment) {
            Ok(picture) => {
                self.number += 1;
                // A single photo that is repeated jumps back, but shows the same faces.
                let cut = number.is_multiple_of(self.frames_per_photo) && self.photos.len() > 1;
                Ok(Some(Shot { cut, ..Shot::new(picture, at) }))
            }
            Err(error) => {
                // Continue with the next photo.
                self.number = (number / self.frames_per_photo + 1) * self.frames_per_photo;
                self.missing += self.number - number;
                Err(error)
            }
        }
    }

    fn rewind(&mut self) -> Result<(), VideoError> {
        (self.number, self.missing) = (0, 0);
        Ok(())
    }
}

/// The first photo that can be decoded, with its index; the error of the first one if none can.
fn first_scene(
    photos: &[PathBuf],
    params: &VirtualCameraParams,
    max_pixels: u64,
) -> Result<(usize, Scene), VideoError> {
    let mut first = None;
    for (place, photo) in photos.iter().enumerate() {
        match Scene::load(photo, place, params, max_pixels) {
            Ok(scene) => return Ok((place, scene)),
            Err(error) => first = first.or(Some(error)),
        }
    }
    Err(first.unwrap_or(VideoError::NoPictures { path: String::new() }))
}

/// A photo that is being prepared on a separate thread, so that decoding does not interrupt the film.
struct Preparation {
    place: usize,
    thread: Option<JoinHandle<Result<Scene, VideoError>>>,
}

impl Preparation {
    /// `None` if the system starts no thread; the photo is then prepared when it is due.
    fn start(place: usize, photo: PathBuf, params: VirtualCameraParams, max_pixels: u64) -> Option<Self> {
        let thread = thread::Builder::new()
            .name("virtual-camera".into())
            .spawn(move || Scene::load(&photo, place, &params, max_pixels))
            .ok()?;
        Some(Self { place, thread: Some(thread) })
    }

    fn wait(mut self) -> Option<Result<Scene, VideoError>> {
        self.thread.take()?.join().ok()
    }
}

impl Drop for Preparation {
    fn drop(&mut self) {
        if let Some(thread) = self.thread.take() {
            // A panic of the thread was printed by the panic hook.
            let _ = thread.join();
        }
    }
}

/// A photo on its background, at a scale at which the largest zoom needs no enlarging.
struct Scene {
    canvas: Picture,
    focus: Point,
    zoom: f32,
}

impl Scene {
    fn load(photo: &Path, place: usize, params: &VirtualCameraParams, max_pixels: u64) -> Result<Self, VideoError> {
        Ok(Self::new(&load(photo, max_pixels)?.picture, place, params))
    }

    fn new(photo: &Picture, place: usize, params: &VirtualCameraParams) -> Self {
        let (width, height) = canvas_size(params);
        let mut resizer = Resizer::new();
        let mut canvas = margin(photo, width, height, &mut resizer);
        let scale = (width as f32 / photo.width() as f32).min(height as f32 / photo.height() as f32);
        let fitted = |side: u32, most: u32| ((side as f32 * scale).round() as u32).clamp(1, most);
        let mut whole = Picture::new(fitted(photo.width(), width), fitted(photo.height(), height));
        resizer.stretch(photo, &mut whole);
        let (left, top) = ((width - whole.width()) / 2, (height - whole.height()) / 2);
        let (stride, row) = (width as usize * 3, whole.width() as usize * 3);
        for y in 0..whole.height() {
            let at = (top + y) as usize * stride + left as usize * 3;
            canvas.pixels_mut()[at..at + row].copy_from_slice(whole.row(y));
        }
        let (x, y) = FOCUSES[place % FOCUSES.len()];
        let focus = Point::new(left as f32 + x * whole.width() as f32, top as f32 + y * whole.height() as f32);
        Self { canvas, focus, zoom: params.zoom }
    }

    /// The visible part of the canvas at a moment from 0 to 1.
    fn view(&self, moment: f32) -> Rect {
        let moved = smooth(((moment - REST) / (1.0 - REST)).clamp(0.0, 1.0));
        let (width, height) = (self.canvas.width() as f32, self.canvas.height() as f32);
        let zoom = 1.0 + (self.zoom - 1.0) * moved;
        let middle = Point::new(width / 2.0, height / 2.0).lerp(self.focus, moved);
        let view = Rect::around(middle, width / zoom, height / zoom);
        let (x, y) = (view.x.clamp(0.0, width - view.width), view.y.clamp(0.0, height - view.height));
        // Rounding must not move it beyond the edge.
        Rect::new(x, y, view.width.min(width - x), view.height.min(height - y))
    }

    /// Renders the view into `out`.
    fn film(&self, moment: f32, zoomer: &mut Resizer, out: &mut Picture) {
        zoomer.zoom(&self.canvas, self.view(moment), out);
    }
}

fn canvas_size(params: &VirtualCameraParams) -> (u32, u32) {
    let side = |pixels: u32| (pixels as f32 * params.zoom).ceil() as u32;
    (side(params.width), side(params.height))
}

/// The photo itself, darkened and blurred so much that no face is found in it.
fn margin(photo: &Picture, width: u32, height: u32, resizer: &mut Resizer) -> Picture {
    let (mut few, mut many) = (Picture::new(8, 5), Picture::new(width, height));
    resizer.stretch(photo, &mut few);
    for value in few.pixels_mut() {
        *value = (f32::from(*value) * MARGIN_BRIGHTNESS) as u8;
    }
    resizer.stretch(&few, &mut many);
    many
}

/// Smooth start and stop: 3t² − 2t³.
fn smooth(t: f32) -> f32 {
    t * t * (3.0 - 2.0 * t)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn params() -> VirtualCameraParams {
        VirtualCameraParams { width: 160, height: 90, ..VirtualCameraParams::default() }
    }

    #[test]
    fn starts_whole_and_ends_on_the_focus_inside_the_canvas() {
        for place in 0..3 {
            let scene = Scene::new(&Picture::filled(300, 400, [200; 3]), place, &params());
            let (width, height) = (scene.canvas.width() as f32, scene.canvas.height() as f32);
            assert_eq!(scene.view(0.0), Rect::new(0.0, 0.0, width, height));
            assert_eq!(scene.view(REST), scene.view(0.0));
            let mut before = width + 1.0;
            for step in 0..=100 {
                let view = scene.view(step as f32 / 100.0);
                assert!(
                    view.x >= 0.0 && view.y >= 0.0 && view.right() <= width + 0.01 && view.bottom() <= height + 0.01
                );
                assert!(view.width <= before);
                before = view.width;
            }
            let last = scene.view(1.0);
            assert!((width / last.width - 1.3).abs() < 1e-3);
            assert!(last.centre().y < height / 2.0);
        }
    }

    #[test]
    fn photo_stands_in_the_middle_of_a_dark_margin() {
        let scene = Scene::new(&Picture::filled(90, 180, [200, 100, 50]), 0, &params());
        let (mut zoomer, mut out) = (Resizer::new(), Picture::new(160, 90));
        scene.film(0.0, &mut zoomer, &mut out);
        assert_eq!(out.pixel(80, 45), [200, 100, 50]);
        let margin = out.pixel(5, 45);
        assert!((60..=75).contains(&margin[0]), "{margin:?}");
        assert!(out.pixels().chunks_exact(3).all(|pixel| pixel[0] >= 60), "no black edge");
        scene.film(1.0, &mut zoomer, &mut out);
        assert!(out.pixels().chunks_exact(3).all(|pixel| pixel[0] >= 60), "no black edge");
    }

    #[test]
    fn frames_differ_only_while_moving() {
        let mut photo = Picture::new(320, 180);
        for x in 0..320 {
            for y in 0..180 {
                photo.set_pixel(x, y, [(x * y % 255) as u8, x as u8, y as u8]);
            }
        }
        let scene = Scene::new(&photo, 1, &params());
        let mut zoomer = Resizer::new();
        let mut film = |moment| {
            let mut out = Picture::new(160, 90);
            scene.film(moment, &mut zoomer, &mut out);
            out
        };
        assert_eq!(film(0.0), film(0.2));
        assert_ne!(film(0.5), film(0.6));
    }
}
