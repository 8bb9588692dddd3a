//! visavis: watches a camera and tells of every face: age, gender, smile, and whom it resembles.

// Training takes and gives back hundreds of megabytes at every step, which the system's allocator returns to the system and
// fetches again page by page.
#[cfg(feature = "train")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

mod alarms;
mod annotate;
mod commands;
mod film;
mod interrupt;
mod options;
mod page;
mod place;
mod record;
mod samples;
mod session;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Watches a camera and tells of every face: age, gender, smile, and whom it resembles.
///
/// Everything stays on this machine: no picture, crop or embedding reaches a disk unless you ask for a file.
#[derive(Parser)]
#[command(
    name = "visavis",
    version,
    max_term_width = 110,
    after_help = "Examples:
  visavis demo --models DIR                     see it at work on sample photos
  visavis live --models DIR                     watch the first webcam
  visavis live film.mp4 --record seen.mp4       watch a film, write an annotated one
  visavis analyze photos/ --out faces.jsonl     every face of every picture, one line each
  visavis gallery build people/ --out people.gallery"
)]
struct Cli {
    /// Say more (-v: what happens, -vv: everything). Goes to standard error.
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    verbose: u8,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Live(Box<commands::live::Args>),
    Analyze(commands::analyze::Args),
    Demo(commands::demo::Args),
    Gallery(commands::gallery::Args),
    Models(commands::models::Args),
    Runtime(commands::runtime::Args),
    Bench(commands::bench::Args),
    Evaluate(commands::evaluate::Args),
    Data(commands::data::Args),
    Train(commands::train::Args),
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let level = ["warn", "info", "debug"][usize::from(cli.verbose.min(2))];
    // The engines' own chatter is of use to their authors only.
    let filter = format!("{level},tract_onnx=error,tract_core=error,tract_hir=error,tract_linalg=error,ort=error");
    env_logger::Builder::new().parse_filters(&filter).parse_env("VISAVIS_LOG").init();
    let done = match cli.command {
        Command::Live(args) => commands::live::run(&args),
        Command::Analyze(args) => commands::analyze::run(&args),
        Command::Demo(args) => commands::demo::run(&args),
        Command::Gallery(args) => commands::gallery::run(&args),
        Command::Models(args) => commands::models::run(&args),
        Command::Runtime(args) => commands::runtime::run(&args),
        Command::Bench(args) => commands::bench::run(&args),
        Command::Evaluate(args) => commands::evaluate::run(&args),
        Command::Data(args) => commands::data::run(&args),
        Command::Train(args) => commands::train::run(&args),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        // The reader of our output has gone (`visavis … | head`): nothing is wrong.
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            options::complain(&format!("error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let io = |cause: &(dyn std::error::Error + 'static)| cause.downcast_ref::<std::io::Error>().map(|e| e.kind());
    error.chain().any(|cause| io(cause) == Some(std::io::ErrorKind::BrokenPipe))
}
