//! Gallery photos scaled for the overlay, cached while they are on screen.

use std::sync::Arc;

use crate::{Picture, Resizer};

/// A photo not drawn for this many frames is dropped; so a face lost for a moment does not need scaling again.
const KEPT_FRAMES: u32 = 60;

/// Square thumbnails by photo and side.
#[derive(Debug, Default)]
pub(super) struct Thumbnails {
    entries: Vec<Thumbnail>,
    resizer: Resizer,
}

#[derive(Debug)]
struct Thumbnail {
    /// Kept alive so that no other photo can have its address, which is the key.
    photo: Arc<Picture>,
    scaled: Arc<Picture>,
    unused: u32,
}

impl Thumbnails {
    /// The photo as a square of `side` pixels, cropped if its sides differ; `None` for a photo without pixels.
    pub(super) fn get(&mut self, photo: &Arc<Picture>, side: u32) -> Option<Arc<Picture>> {
        let found = |entry: &&mut Thumbnail| Arc::ptr_eq(&entry.photo, photo) && entry.scaled.width() == side;
        if let Some(entry) = self.entries.iter_mut().find(found) {
            entry.unused = 0;
            return Some(Arc::clone(&entry.scaled));
        }
        let square = photo.width().min(photo.height());
        if square == 0 || side == 0 {
            return None;
        }
        let mut scaled = Picture::new(side, side);
        if photo.width() == photo.height() {
            self.resizer.stretch(photo, &mut scaled);
        } else {
            self.resizer.stretch(&cut_square(photo, square), &mut scaled);
        }
        let scaled = Arc::new(scaled);
        self.entries.push(Thumbnail { photo: Arc::clone(photo), scaled: Arc::clone(&scaled), unused: 0 });
        Some(scaled)
    }

    /// Ends a frame: drops photos that have not been used for a while.
    pub(super) fn end_frame(&mut self) {
        self.entries.retain_mut(|entry| {
            entry.unused += 1;
            entry.unused <= KEPT_FRAMES
        });
    }
}

/// The middle square of a photo; of a portrait photo, a square a bit above the middle, where the head is.
fn cut_square(photo: &Picture, square: u32) -> Picture {
    let (left, top) = ((photo.width() - square) / 2, (photo.height() - square) * 2 / 5);
    let mut cut = Picture::new(square, square);
    let (from, length) = (left as usize * 3, square as usize * 3);
    for (y, row) in (top..).zip(cut.pixels_mut().chunks_exact_mut(length)) {
        row.copy_from_slice(&photo.row(y)[from..from + length]);
    }
    cut
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thumbnails_are_cut_square_and_made_once() {
        let mut photo = Picture::filled(60, 20, [250, 0, 0]);
        for y in 0..20 {
            for x in 20..40 {
                photo.set_pixel(x, y, [0, 200, 100]);
            }
        }
        let photo = Arc::new(photo);
        let mut thumbnails = Thumbnails::default();
        let first = thumbnails.get(&photo, 10).unwrap();
        assert!(first.pixels().chunks_exact(3).all(|pixel| pixel == [0, 200, 100]));
        assert!(Arc::ptr_eq(&first, &thumbnails.get(&photo, 10).unwrap()));
        assert_eq!(thumbnails.get(&photo, 12).unwrap().width(), 12);
    }

    #[test]
    fn unused_thumbnails_are_forgotten() {
        let mut thumbnails = Thumbnails::default();
        thumbnails.get(&Arc::new(Picture::new(4, 4)), 2).unwrap();
        (0..KEPT_FRAMES).for_each(|_| thumbnails.end_frame());
        assert_eq!(thumbnails.entries.len(), 1);
        thumbnails.end_frame();
        assert!(thumbnails.entries.is_empty());
    }

    #[test]
    fn photo_without_pixels_gives_none() {
        assert!(Thumbnails::default().get(&Arc::new(Picture::new(0, 9)), 5).is_none());
    }
}
