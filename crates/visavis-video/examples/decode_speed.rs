//! Prints how long a source takes per picture: `cargo run --release -p visavis-video --example decode_speed -- FILE…`

#![allow(clippy::print_stdout)]

use std::time::Instant;

use visavis_video::{OpenOptions, VideoError, open};

fn main() -> Result<(), VideoError> {
    for spec in std::env::args().skip(1) {
        let mut source = open(&spec, &OpenOptions::default())?;
        let (mut count, started) = (0u32, Instant::now());
        // A virtual camera has no end: 2,000 pictures tell enough.
        while count < 2000 && source.read()?.is_some() {
            count += 1;
        }
        let (info, seconds) = (source.info(), started.elapsed().as_secs_f64());
        let each = seconds * 1000.0 / f64::from(count.max(1));
        println!("{spec}: {}x{}, {count} pictures, {each:.2} ms each", info.width, info.height);
    }
    Ok(())
}
