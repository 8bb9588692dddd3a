//! Antialiased shapes, drawn by their signed distance: a pixel whose centre lies `d` outside the edge has a coverage of
//! ½ − d, clamped to 0…1.

use super::{Clip, Colour, blend, blend_span};
use crate::{Picture, Point, Rect};

/// Coverage of a pixel whose centre lies `distance` outside (negative: inside) of an edge.
fn coverage(distance: f32) -> f32 {
    0.5 - distance
}

/// An upright box with round corners.
struct Rounded {
    centre: Point,
    half: Point,
    radius: f32,
}

impl Rounded {
    fn new(rect: Rect, radius: f32) -> Option<Self> {
        if !rect.is_proper() {
            return None;
        }
        // Beyond any picture, but small enough for halves and centres to stay exact to 1/16 pixel.
        let near = |side: f32| side.clamp(-1e6, 1e6);
        let rect = Rect::from_corners(near(rect.x), near(rect.y), near(rect.right()), near(rect.bottom()));
        if !rect.is_proper() {
            return None;
        }
        let half = Point::new(rect.width / 2.0, rect.height / 2.0);
        // `max` before `min`: a NaN radius becomes 0.
        Some(Self { centre: rect.centre(), half, radius: radius.max(0.0).min(half.x).min(half.y) })
    }

    /// Signed distance from the edge to a point, negative inside.
    fn distance(&self, x: f32, y: f32) -> f32 {
        let across = (x - self.centre.x).abs() - self.half.x + self.radius;
        let down = (y - self.centre.y).abs() - self.half.y + self.radius;
        let corner = length(across.max(0.0), down.max(0.0));
        across.max(down).min(0.0) + corner - self.radius
    }

    /// How far left and right of the centre the pixels of row `y` have one colour, for a paint that is constant deeper than
    /// `core` inside the edge. Most of a large shape is such a stretch, and filling it is cheap.
    fn even_half(&self, y: f32, core: f32) -> f32 {
        let down = (y - self.centre.y).abs() - self.half.y + self.radius;
        let corner = self.half.x - self.radius;
        let deep = self.radius - core;
        match (down <= deep, down > 0.0) {
            (true, true) => corner + (deep * deep - down * down).max(0.0).sqrt(),
            (true, false) => self.half.x - core,
            (false, true) => corner,
            (false, false) => corner + down,
        }
    }

    /// Columns of `clip` (from, to) in which row `y` has one colour.
    fn even(&self, y: f32, core: f32, clip: Clip) -> (usize, usize) {
        let half = self.even_half(y, core);
        let from = (self.centre.x - half - 0.5).ceil().clamp(clip.left as f32, clip.right as f32) as usize;
        let to = ((self.centre.x + half - 0.5).floor() + 1.0).clamp(clip.left as f32, clip.right as f32) as usize;
        if half >= 0.0 && from < to { (from, to) } else { (clip.right, clip.right) }
    }

    /// Paints every pixel by `paint(distance)`, which must be 0 farther than `reach` outside and the same everywhere
    /// deeper than `core` inside.
    fn paint(&self, canvas: &mut Picture, colour: Colour, reach: f32, core: f32, paint: impl Fn(f32) -> f32) {
        let outer = Rect::around(self.centre, (self.half.x + reach) * 2.0, (self.half.y + reach) * 2.0);
        let Some(clip) = Clip::new(canvas, outer) else { return };
        // Rows between the corners are all alike left and right of the stretch of one colour.
        let straight = (self.half.y - self.radius).min(self.half.y - core);
        let mut sides: Vec<u32> = Vec::new();
        clip.rows(canvas, |y, row| {
            let y = y as f32 + 0.5;
            let (from, to) = self.even(y, core, clip);
            let weight = |x: usize| colour.weight(paint(self.distance(x as f32 + 0.5, y)));
            let columns = || (clip.left..from).chain(to..clip.right);
            let pixel = |x: usize| (x - clip.left) * 3..(x - clip.left) * 3 + 3;
            if (y - self.centre.y).abs() <= straight {
                if sides.is_empty() {
                    sides.extend(columns().map(weight));
                }
                for (x, &weight) in columns().zip(&sides) {
                    blend(&mut row[pixel(x)], colour.rgb, weight);
                }
            } else {
                for x in columns() {
                    blend(&mut row[pixel(x)], colour.rgb, weight(x));
                }
            }
            if from < to {
                let weight = colour.weight(paint(self.distance(self.centre.x, y)));
                blend_span(&mut row[(from - clip.left) * 3..(to - clip.left) * 3], colour.rgb, weight);
            }
        });
    }
}

/// Fills a box with corners of this radius in pixels.
pub fn fill_rounded(canvas: &mut Picture, rect: Rect, radius: f32, colour: Colour) {
    if let Some(shape) = Rounded::new(rect, radius) {
        shape.paint(canvas, colour, 0.5, 0.5, coverage);
    }
}

/// Draws the outline of a box with round corners; the line lies half inside, half outside of the edge.
pub fn stroke_rounded(canvas: &mut Picture, rect: Rect, radius: f32, thickness: f32, colour: Colour) {
    let Some(half) = half_of(thickness) else { return };
    if let Some(shape) = Rounded::new(rect, radius) {
        shape.paint(canvas, colour, half + 0.5, half + 0.5, |distance| coverage(distance.abs() - half));
    }
}

/// A soft shadow around a box with round corners, `blur` pixels wide, fading out quadratically. It is not drawn under
/// the box itself, so that a translucent box keeps its colour.
pub fn shadow(canvas: &mut Picture, rect: Rect, radius: f32, blur: f32, colour: Colour) {
    let Some(half) = half_of(blur) else { return };
    let blur = half * 2.0;
    if let Some(shape) = Rounded::new(rect, radius) {
        shape.paint(canvas, colour, blur, 0.5, |distance| {
            let fade = (1.0 - distance / blur).clamp(0.0, 1.0);
            // Ends at the antialiased edge of the box.
            fade * fade * (distance + 0.5).clamp(0.0, 1.0)
        });
    }
}

/// Pastes `photo` with its top left pixel at (`x`, `y`) and round corners of this radius.
pub fn paste_rounded(canvas: &mut Picture, photo: &Picture, x: i32, y: i32, radius: f32) {
    let rect = Rect::new(x as f32, y as f32, photo.width() as f32, photo.height() as f32);
    let (Some(shape), Some(clip)) = (Rounded::new(rect, radius), Clip::new(canvas, rect)) else { return };
    // f32 rounds coordinates beyond 2²⁴, but no picture is that large.
    if x.unsigned_abs() > 1 << 24 || y.unsigned_abs() > 1 << 24 {
        return;
    }
    clip.rows(canvas, |row_y, row| {
        let source = photo.row((row_y as i64 - i64::from(y)) as u32);
        let at = |column: usize| (column as i64 - i64::from(x)) as usize * 3;
        let centre_y = row_y as f32 + 0.5;
        let (from, to) = shape.even(centre_y, 0.5, clip);
        let opaque = Colour::new(0, 0, 0);
        for column in (clip.left..from).chain(to..clip.right) {
            let rgb = [source[at(column)], source[at(column) + 1], source[at(column) + 2]];
            let weight = opaque.weight(coverage(shape.distance(column as f32 + 0.5, centre_y)));
            blend(&mut row[(column - clip.left) * 3..][..3], rgb, weight);
        }
        if from < to {
            // The stretch of one colour in the first and last rows may be covered in part only.
            let weight = opaque.weight(coverage(shape.distance(shape.centre.x, centre_y)));
            let (target, source) =
                (&mut row[(from - clip.left) * 3..(to - clip.left) * 3], &source[at(from)..at(to - 1) + 3]);
            if weight == 256 {
                target.copy_from_slice(source);
            } else {
                for (pixel, rgb) in target.chunks_exact_mut(3).zip(source.chunks_exact(3)) {
                    blend(pixel, [rgb[0], rgb[1], rgb[2]], weight);
                }
            }
        }
    });
}

/// A filled disc.
pub fn disc(canvas: &mut Picture, centre: Point, radius: f32, colour: Colour) {
    paint(canvas, Rect::around(centre, radius * 2.0 + 1.0, radius * 2.0 + 1.0), colour, |point| {
        coverage(length(point.x - centre.x, point.y - centre.y) - radius)
    });
}

/// A line through the points, with round ends and joints.
pub fn polyline(canvas: &mut Picture, points: &[Point], thickness: f32, colour: Colour) {
    let (Some(half), Some(first)) = (half_of(thickness), points.first()) else { return };
    let (mut low, mut high) = (*first, *first);
    for point in points {
        low = Point::new(low.x.min(point.x), low.y.min(point.y));
        high = Point::new(high.x.max(point.x), high.y.max(point.y));
    }
    let reach = half + 0.5;
    let bounds = Rect::from_corners(low.x - reach, low.y - reach, high.x + reach, high.y + reach);
    paint(canvas, bounds, colour, |point| {
        let squares = points.windows(2).map(|ends| square_to_segment(point, ends[0], ends[1]));
        coverage(squares.fold(f32::INFINITY, f32::min).sqrt() - half)
    });
}

/// The outline of a box.
pub fn outline(canvas: &mut Picture, rect: &Rect, thickness: f32, colour: Colour) {
    let (left, top, right, bottom) = (rect.x, rect.y, rect.right(), rect.bottom());
    let corners = [(left, top), (right, top), (right, bottom), (left, bottom), (left, top)];
    polyline(canvas, &corners.map(|(x, y)| Point::new(x, y)), thickness, colour);
}

/// A filled triangle with its corners in either order.
pub fn triangle(canvas: &mut Picture, corners: [Point; 3], colour: Colour) {
    let [a, b, c] = corners;
    let turn = (b.x - a.x) * (c.y - a.y) - (b.y - a.y) * (c.x - a.x);
    if turn == 0.0 || !turn.is_finite() {
        return;
    }
    let edges = [(a, b), (b, c), (c, a)].map(|(from, to)| {
        let length = length(to.x - from.x, to.y - from.y).copysign(turn);
        (from, Point::new((to.y - from.y) / length, (from.x - to.x) / length))
    });
    let (xs, ys) = (corners.map(|corner| corner.x), corners.map(|corner| corner.y));
    let bounds = Rect::from_corners(
        xs.into_iter().fold(f32::INFINITY, f32::min),
        ys.into_iter().fold(f32::INFINITY, f32::min),
        xs.into_iter().fold(f32::NEG_INFINITY, f32::max),
        ys.into_iter().fold(f32::NEG_INFINITY, f32::max),
    );
    paint(canvas, bounds, colour, |point| {
        let outside = edges
            .iter()
            .map(|(from, normal)| (point.x - from.x) * normal.x + (point.y - from.y) * normal.y)
            .fold(f32::NEG_INFINITY, f32::max);
        coverage(outside)
    });
}

/// Four corner brackets on the edge of `rect`: arms of `length` pixels with round ends and a rounded bend, with a soft
/// dark border of `halo` pixels that keeps them visible on any background.
pub fn brackets(canvas: &mut Picture, rect: Rect, length: f32, thickness: f32, halo: f32, colour: Colour) {
    let Some(half) = half_of(thickness) else { return };
    if !rect.is_proper() || !length.is_finite() || length <= 0.0 {
        return;
    }
    // The arms of adjacent corners never meet.
    let length = length.min(rect.width * 0.45).min(rect.height * 0.45);
    let bend = length * 0.4;
    let halo = if halo.is_finite() { halo.max(0.0) } else { 0.0 };
    let dark = Colour::new(0, 0, 0).with_alpha(130);
    let reach = half + halo + 0.5;
    for (corner, sx, sy) in [
        (Point::new(rect.x, rect.y), 1.0, 1.0),
        (Point::new(rect.right(), rect.y), -1.0, 1.0),
        (Point::new(rect.x, rect.bottom()), 1.0, -1.0),
        (Point::new(rect.right(), rect.bottom()), -1.0, -1.0),
    ] {
        // Distance to the line from the end of one arm over the bend to the end of the other, in coordinates whose origin
        // is the corner and whose axes are the arms.
        let distance = |point: Point| {
            let (x, y) = ((point.x - corner.x) * sx, (point.y - corner.y) * sy);
            if x < bend && y < bend {
                (self::length(x - bend, y - bend) - bend).abs()
            } else {
                let to_arm = |along: f32, off: f32| self::length(along - along.clamp(bend, length), off);
                to_arm(x, y).min(to_arm(y, x))
            }
        };
        let area = |x0: f32, y0: f32, x1: f32, y1: f32| {
            let (ax, bx) = (corner.x + x0 * sx, corner.x + x1 * sx);
            let (ay, by) = (corner.y + y0 * sy, corner.y + y1 * sy);
            Rect::from_corners(ax.min(bx), ay.min(by), ax.max(bx), ay.max(by))
        };
        // Two strips that share no pixel, instead of the square, most of which is empty.
        let seam = corner.y + (bend + reach) * sy;
        let seam = (seam.round() - corner.y) * sy;
        for strip in [area(-reach, -reach, length + reach, seam), area(-reach, seam, reach, length + reach)] {
            let Some(clip) = Clip::new(canvas, strip) else { continue };
            clip.rows(canvas, |y, row| {
                for (x, pixel) in (clip.left..).zip(row.chunks_exact_mut(3)) {
                    let off = distance(Point::new(x as f32 + 0.5, y as f32 + 0.5)) - half;
                    if off >= halo.max(0.5) {
                        continue;
                    }
                    if halo > 0.0 && off > -0.5 {
                        let fade = (1.0 - off.max(0.0) / halo).clamp(0.0, 1.0);
                        blend(pixel, dark.rgb, dark.weight(fade * fade));
                    }
                    blend(pixel, colour.rgb, colour.weight(coverage(off)));
                }
            });
        }
    }
}

/// Paints the pixels of `bounds` by the coverage of their centres.
fn paint(canvas: &mut Picture, bounds: Rect, colour: Colour, cover: impl Fn(Point) -> f32) {
    let Some(clip) = Clip::new(canvas, bounds) else { return };
    clip.rows(canvas, |y, row| {
        for (x, pixel) in (clip.left..).zip(row.chunks_exact_mut(3)) {
            blend(pixel, colour.rgb, colour.weight(cover(Point::new(x as f32 + 0.5, y as f32 + 0.5))));
        }
    });
}

/// Half of a thickness; `None` unless it is a positive number.
fn half_of(thickness: f32) -> Option<f32> {
    (thickness.is_finite() && thickness > 0.0).then_some(thickness / 2.0)
}

/// Length of a vector. `f32::hypot` is many times slower, because it avoids overflows that cannot occur here.
fn length(x: f32, y: f32) -> f32 {
    (x * x + y * y).sqrt()
}

/// Square of the distance from a point to the line between two others.
fn square_to_segment(point: Point, from: Point, to: Point) -> f32 {
    let (dx, dy) = (to.x - from.x, to.y - from.y);
    let square = dx * dx + dy * dy;
    let along = if square > 0.0 { ((point.x - from.x) * dx + (point.y - from.y) * dy) / square } else { 0.0 };
    let nearest = from.lerp(to, along.clamp(0.0, 1.0));
    (point.x - nearest.x).powi(2) + (point.y - nearest.y).powi(2)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const INK: Colour = Colour::new(255, 255, 255);

    /// Sum of the red channel over 255: the painted area in pixels, on black.
    fn area(canvas: &Picture) -> f32 {
        canvas.pixels().chunks_exact(3).map(|pixel| f32::from(pixel[0])).sum::<f32>() / 255.0
    }

    #[test]
    fn areas_are_those_of_geometry() {
        let pi = std::f32::consts::PI;
        let rect = Rect::new(10.25, 8.5, 60.0, 40.0);
        type Draw = fn(&mut Picture, Rect);
        let cases: [(&str, Draw, f32); 5] = [
            ("fill", |canvas, rect| fill_rounded(canvas, rect, 0.0, INK), 2400.0),
            ("round fill", |canvas, rect| fill_rounded(canvas, rect, 12.0, INK), 2400.0 - (4.0 - pi) * 144.0),
            ("stroke", |canvas, rect| stroke_rounded(canvas, rect, 12.0, 3.0, INK), 3.0 * (104.0 + 24.0 * pi)),
            ("disc", |canvas, rect| disc(canvas, rect.centre(), 15.0, INK), pi * 225.0),
            (
                "triangle",
                |canvas, rect| {
                    let corners = [(10.0, 8.0), (70.0, 8.0), (30.0, 48.0)].map(|(x, y)| Point::new(x, y));
                    assert!(rect.is_proper());
                    triangle(canvas, corners, INK);
                },
                1200.0,
            ),
        ];
        for (name, draw, expected) in cases {
            let mut canvas = Picture::new(100, 60);
            draw(&mut canvas, rect);
            let found = area(&canvas);
            assert!((found - expected).abs() < expected * 0.01 + 1.0, "{name}: {found}, not {expected}");
        }
    }

    #[test]
    fn the_fast_stretch_equals_the_slow_pixels() {
        // The same shape, drawn with and without the shortcut for stretches of one colour.
        for (radius, core) in [(0.0, 0.5), (3.0, 0.5), (10.0, 0.5), (10.0, 2.5), (2.0, 6.0), (30.0, 1.0)] {
            let rect = Rect::new(4.3, 5.6, 50.2, 30.9);
            let shape = Rounded::new(rect, radius).unwrap();
            let paint_one = |distance: f32| coverage(distance.abs() - (core - 0.5));
            let (mut fast, mut slow) = (Picture::new(64, 48), Picture::new(64, 48));
            shape.paint(&mut fast, INK, core, core, paint_one);
            paint(&mut slow, rect.expanded(2.0), INK, |point| paint_one(shape.distance(point.x, point.y)));
            let worst = fast.pixels().iter().zip(slow.pixels()).map(|(a, b)| a.abs_diff(*b)).max().unwrap();
            assert!(worst <= 1, "radius {radius}, core {core}: {worst}");
        }
    }

    #[test]
    fn pasted_photo_keeps_its_pixels_and_loses_its_corners() {
        let mut photo = Picture::new(20, 20);
        for (index, value) in photo.pixels_mut().iter_mut().enumerate() {
            *value = (index % 200) as u8 + 1;
        }
        let mut canvas = Picture::new(40, 30);
        paste_rounded(&mut canvas, &photo, 5, 7, 6.0);
        assert_eq!(canvas.pixel(15, 17), photo.pixel(10, 10));
        assert_eq!(canvas.pixel(5, 17), photo.pixel(0, 10));
        assert_eq!(canvas.pixel(5, 7), [0; 3]);
        assert_eq!(canvas.pixel(24, 26), [0; 3]);
    }

    #[test]
    fn shadow_spares_the_box_itself() {
        let mut canvas = Picture::filled(60, 60, [255; 3]);
        shadow(&mut canvas, Rect::new(20.0, 20.0, 20.0, 20.0), 4.0, 10.0, Colour::new(0, 0, 0));
        assert_eq!(canvas.pixel(30, 30), [255; 3]);
        assert!(canvas.pixel(30, 18)[0] < canvas.pixel(30, 13)[0]);
        assert_eq!(canvas.pixel(30, 9), [255; 3]);
    }

    #[test]
    fn brackets_leave_the_middle_of_each_side_free() {
        let mut canvas = Picture::filled(100, 100, [128; 3]);
        brackets(&mut canvas, Rect::new(20.0, 20.0, 60.0, 60.0), 15.0, 4.0, 3.0, INK);
        for (x, y) in [(50, 20), (50, 79), (20, 50), (79, 50), (50, 50)] {
            assert_eq!(canvas.pixel(x, y), [128; 3], "({x}, {y})");
        }
        for (x, y) in [(30, 20), (20, 30), (70, 79), (79, 70)] {
            assert_eq!(canvas.pixel(x, y), [255; 3], "({x}, {y})");
        }
    }

    #[test]
    fn an_endless_box_ends_where_it_begins() {
        for height in [1e9, f32::MAX] {
            let mut canvas = Picture::new(8, 30);
            fill_rounded(&mut canvas, Rect::new(-1e9, 10.0, 2e9, height), 3.0, INK);
            assert_eq!([9, 10, 29].map(|y| canvas.pixel(4, y)[0]), [0, 255, 255], "{height}");
        }
    }

    fn any_number() -> impl Strategy<Value = f32> {
        prop_oneof![
            8 => -60.0f32..120.0,
            1 => prop::sample::select(vec![
                f32::NAN, f32::INFINITY, f32::NEG_INFINITY, f32::MAX, f32::MIN, 0.0, -0.0, 1e-30, 1e9, -1e9
            ]),
        ]
    }

    proptest! {
        /// No shape panics for any numbers, and none changes a pixel farther out than its line or blur reaches.
        #[test]
        fn shapes_are_clipped(
            (width, height) in (0u32..40, 0u32..40),
            [x, y, w, h, radius] in [any_number(), any_number(), any_number(), any_number(), any_number()],
            thickness in prop_oneof![4 => 0.1f32..12.0, 1 => any_number()],
            which in 0usize..8,
        ) {
            let rect = Rect::new(x, y, w, h);
            let mut canvas = Picture::filled(width, height, [7, 77, 177]);
            let (a, b, c) = (Point::new(x, y), Point::new(w, h), Point::new(radius, thickness));
            let mut bounds = rect;
            let reach = match which {
                0 => { fill_rounded(&mut canvas, rect, radius, INK); 0.0 }
                1 => { stroke_rounded(&mut canvas, rect, radius, thickness, INK); thickness }
                2 => { shadow(&mut canvas, rect, radius, thickness, INK); thickness }
                3 => { brackets(&mut canvas, rect, radius, thickness, 3.0, INK); thickness + 3.0 }
                4 => { disc(&mut canvas, a, radius, INK); bounds = Rect::around(a, radius * 2.0, radius * 2.0); 0.0 }
                5 => {
                    polyline(&mut canvas, &[a, b], thickness, INK);
                    bounds = Rect::from_corners(x.min(w), y.min(h), x.max(w), y.max(h));
                    thickness
                }
                6 => {
                    triangle(&mut canvas, [a, b, c], INK);
                    bounds = Rect::from_corners(
                        x.min(w).min(radius), y.min(h).min(thickness), x.max(w).max(radius), y.max(h).max(thickness),
                    );
                    0.0
                }
                _ => {
                    let photo = Picture::filled(9, 5, [1, 2, 3]);
                    paste_rounded(&mut canvas, &photo, x as i32, y as i32, radius);
                    bounds = Rect::new((x as i32) as f32, (y as i32) as f32, 9.0, 5.0);
                    0.0
                }
            };
            let reach = reach + 1.01;
            for row in 0..height {
                for column in 0..width {
                    let (px, py) = (column as f32 + 0.5, row as f32 + 0.5);
                    let outside = px < bounds.x - reach || px > bounds.right() + reach
                        || py < bounds.y - reach || py > bounds.bottom() + reach;
                    if outside {
                        prop_assert_eq!(canvas.pixel(column, row), [7, 77, 177], "({}, {})", column, row);
                    }
                }
            }
        }
    }
}
