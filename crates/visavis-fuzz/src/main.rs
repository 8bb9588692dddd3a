//! Calls a fuzz target with inputs from files, or writes its seeds.
//!
//! `checks/fuzz` builds this program a second time, with the instrumentation of libFuzzer and libFuzzer's own `main`. The environment
//! variable `VISAVIS_FUZZ_TARGET` then names the target.

#![cfg_attr(fuzzing, no_main)]

#[cfg(fuzzing)]
mod driver {
    use std::sync::OnceLock;

    use visavis_fuzz::{Target, panics, target};

    static TARGET: OnceLock<Target> = OnceLock::new();

    /// Finds the target, once, before the first input. Writes its seeds into the folder that `VISAVIS_FUZZ_SEEDS` names.
    fn begin() {
        let name = std::env::var("VISAVIS_FUZZ_TARGET").expect("VISAVIS_FUZZ_TARGET names the target");
        let target = target(&name).unwrap_or_else(|| panic!("there is no target `{name}` in this build"));
        // The hook of libFuzzer also stops at panics that a target expects.
        drop(std::panic::take_hook());
        panics::watch(panics::AtPanic::Abort);
        if let Ok(folder) = std::env::var("VISAVIS_FUZZ_SEEDS") {
            target.write_seeds(folder.as_ref()).expect("the seeds can be written");
        }
        TARGET.set(target).expect("the target is set once");
    }

    libfuzzer_sys::fuzz_target!(init: begin(), |bytes: &[u8]| {
        if let Some(target) = TARGET.get() {
            (target.run)(bytes);
        }
    });
}

#[cfg(not(fuzzing))]
fn main() -> std::process::ExitCode {
    use std::path::Path;
    use std::process::ExitCode;

    use visavis_fuzz::{target, targets};

    #[expect(clippy::print_stdout, clippy::print_stderr, reason = "a program")]
    fn run(words: &[String]) -> std::io::Result<ExitCode> {
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        match words[..] {
            ["list"] => targets().iter().for_each(|target| println!("{} {}", target.name, target.most_bytes)),
            ["seeds", name, folder] if target(name).is_some() => {
                target(name).map_or(Ok(()), |target| target.write_seeds(Path::new(folder)))?;
            }
            ["run", name, ref files @ ..] if target(name).is_some() => {
                for file in files {
                    let bytes = std::fs::read(file)?;
                    println!("{file}: {} bytes", bytes.len());
                    target(name).into_iter().for_each(|target| (target.run)(&bytes));
                }
            }
            _ => {
                eprintln!("usage: visavis-fuzz list | seeds TARGET FOLDER | run TARGET FILE...");
                return Ok(ExitCode::FAILURE);
            }
        }
        Ok(ExitCode::SUCCESS)
    }

    let words: Vec<String> = std::env::args().skip(1).collect();
    run(&words).unwrap_or_else(|error| {
        #[expect(clippy::print_stderr, reason = "a program")]
        {
            eprintln!("error: {error}");
        }
        ExitCode::FAILURE
    })
}
