//! How long every network in a folder takes for one picture and, if it accepts several, for four, in every engine of this computer.
//!
//! `cargo run --release -p visavis-infer --example speed -- FOLDER [THREADS]`

use std::env;
use std::error::Error;
use std::time::{Duration, Instant};

use visavis_infer::{EngineChoice, EngineOptions, Registry, Runtime, Tensor};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = env::args().skip(1);
    let folder = arguments.next().ok_or("name a folder of networks")?;
    let threads = arguments.next().map_or(Ok(1), |text| text.parse())?;
    let runtime = Runtime::discover(None);
    let registry = Registry::join(&[], None, &[folder.into()])?;
    let mut table = format!("{:24} {:18} {:>9} {:>9}  where\n", "network", "input", "median ms", "best ms");
    for entry in registry.entries() {
        let [width, height] = entry.manifest.input.size;
        let counts: &[usize] = if entry.manifest.input.batch { &[1, 4] } else { &[1] };
        for &count in counts {
            let shape = entry.manifest.input.shape(count, width, height);
            let mut input = Tensor::zeros(&shape);
            for (index, value) in input.data.iter_mut().enumerate() {
                let pixel = (index * 7919 % 256) as f32;
                *value = (pixel - entry.manifest.input.mean[0]) / entry.manifest.input.std[0];
            }
            for engine in [EngineChoice::Tract, EngineChoice::OnnxRuntime] {
                let options = EngineOptions { engine, threads, ..EngineOptions::default() };
                if runtime.choose(&options).is_err() {
                    continue;
                }
                let mut model = entry.load(&runtime, &options)?;
                let mut times: Vec<Duration> = Vec::new();
                let start = Instant::now();
                while times.len() < 10 || start.elapsed() < Duration::from_secs(2) {
                    let run = Instant::now();
                    model.run(&input)?;
                    times.push(run.elapsed());
                }
                times.sort_unstable();
                let ms = |time: Duration| time.as_secs_f64() * 1e3;
                let shape = format!("{shape:?}");
                table += &format!(
                    "{:24} {shape:18} {:9.2} {:9.2}  {}\n",
                    entry.manifest.name,
                    ms(times[times.len() / 2]),
                    ms(times[0]),
                    model.placement()
                );
            }
        }
    }
    std::io::Write::write_all(&mut std::io::stdout(), table.as_bytes())?;
    Ok(())
}
