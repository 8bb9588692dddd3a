#![allow(warnings)]
use std::time::*;
use visavis_video::*;
fn main() {
    let a: Vec<String> = std::env::args().collect();
    let mut s = open(&a[2], &OpenOptions::default()).unwrap();
    let info = s.info().clone();
    if a[1] == "levels" {
        let mut n = 0;
        loop { match s.read() {
            Ok(Some(shot)) => { println!("{:.4} {}", shot.at.as_secs_f64(), shot.picture.pixel(2, 2)[0]); n += 1; }
            Ok(None) => break, Err(e) => println!("error {e}") } }
    } else {
        let mut w = Mp4Writer::create(a[3].as_ref(), info.width, info.height, info.frame_rate.unwrap_or(30.0)).unwrap();
        let mut t = Duration::ZERO; let mut n = 0;
        while n < 600 { let Some(shot) = s.read().unwrap() else { break };
            let i = Instant::now(); w.write(&shot.picture, shot.at).unwrap(); t += i.elapsed(); n += 1; }
        w.finish().unwrap();
        println!("{n} frames, {:.2} ms each to write, {:.2} Mbit/s", t.as_secs_f64()*1e3/n as f64, std::fs::metadata(&a[3]).unwrap().len() as f64*8e-6/(n as f64/30.0));
    }
}
