//! visavis-lab: the laboratory of visavis. Prepares labelled faces, trains networks, measures and compares them.

// A training step allocates and frees hundreds of megabytes. The system's allocator would return this memory to the system and
// get it back page by page.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

mod advice;
mod bench;
mod data;
mod endings;
mod evaluate;
mod train;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use visavis_cli::terminal::{LogFormat, complain};

/// The laboratory of visavis: data, training, evaluation, tables
///
/// The program `visavis` watches cameras; `visavis-lab` makes and compares its networks.
#[derive(Parser)]
#[command(
    name = "visavis-lab",
    version,
    max_term_width = 110,
    after_help = "Examples:
  visavis-lab data pack --layout table --from faces/ --out packs/faces    prepare labelled faces
  visavis-lab train network --recipe recipes/smile_mobilenetv1.toml --out runs/smile  train a network
  visavis-lab evaluate detection --boxes wider/boxes.json                 measure the default detector
  visavis-lab tables --out tables.md                                      compare all networks"
)]
struct Cli {
    /// Log more on standard error (-v: information, -vv: everything)
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    verbose: u8,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Data(data::Args),
    Train(train::Args),
    Evaluate(evaluate::Args),
    Tables(Box<evaluate::TablesArgs>),
    Bench(bench::Args),
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let mut advice = None;
    let code = visavis_cli::run::run(cli.verbose, LogFormat::Text, || {
        let result = match cli.command {
            Command::Data(args) => data::run(&args),
            Command::Train(args) => train::run(&args),
            Command::Evaluate(args) => evaluate::run(&args),
            Command::Tables(args) => evaluate::tables(&args),
            Command::Bench(args) => bench::run(&args),
        };
        result.inspect_err(|error| advice = advice::for_error(error))
    });
    // Below the error, which is printed by now.
    if let Some(advice) = advice {
        complain(advice);
    }
    code
}
