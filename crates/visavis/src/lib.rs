//! visavis: finds the faces in the pictures of a camera and reports age, gender, smile and the most similar person for each.
//!
//! The program is [`main`]. It is a library only for the fuzz targets.

mod alarms;
mod annotate;
mod audit_log;
mod authorities;
mod commands;
mod config_file;
mod event_outputs;
mod film;
#[doc(hidden)]
pub mod fuzzing;
mod memory;
mod mqtt;
mod outputs;
mod page;
mod record;
mod samples;
mod verdict;

use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};
use visavis_cli::options::complain;
use visavis_cli::terminal::{LogFormat, with_causes};

/// Finds every face of a camera or film and reports its age, gender, smile and most similar person
///
/// The analysis runs on this machine. No picture, crop or embedding is written to a disk unless you ask for a file or name a
/// gallery in a database.
#[derive(Parser)]
#[command(
    name = "visavis",
    version,
    max_term_width = 110,
    after_help = "Examples:
  visavis demo                                  a demonstration on sample photos
  visavis live                                  analyse the first webcam
  visavis live film.mp4 --record seen.mp4       analyse a film and write an annotated copy
  visavis analyze photos/ --out faces.jsonl     write one line for each picture
  visavis gallery build people/ --out people.gallery"
)]
struct Cli {
    /// Log more on standard error (-v: information, -vv: debugging)
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    verbose: u8,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Live(Box<commands::live::Args>),
    Serve(Box<commands::serve::Args>),
    Analyze(commands::analyze::Args),
    Demo(commands::demo::Args),
    Gallery(commands::gallery::Args),
    Models(commands::models::Args),
    Runtime(commands::runtime::Args),
    Bench(commands::bench::Args),
    Config(commands::config::Args),
    Health(commands::health::Args),
    Notice(commands::notice::Args),
    Completions(commands::completions::Args),
    #[command(hide = true)]
    Man(commands::man::Args),
    #[command(hide = true)]
    Data(MovedArgs),
    #[command(hide = true)]
    Evaluate(MovedArgs),
    #[command(hide = true)]
    Train(MovedArgs),
}

/// Parses the arguments, completed with the settings of a configuration file.
fn parse() -> anyhow::Result<Cli> {
    let program = Cli::command();
    let completed = config_file::complete(&program, std::env::args_os().collect())?;
    match (Cli::try_parse_from(completed.words), completed.file) {
        (Ok(cli), _) => Ok(cli),
        (Err(error), file) => {
            // An error in the file is reported with its line.
            if let Some(file) = file {
                file.refuse_values(&program)?;
            }
            error.exit()
        }
    }
}

/// The program, with the arguments of the process.
pub fn main() -> ExitCode {
    memory::return_large_allocations();
    let cli = match parse() {
        Ok(cli) => cli,
        Err(error) => {
            complain(&format!("error: {}", with_causes(&error)));
            return ExitCode::FAILURE;
        }
    };
    let format = match &cli.command {
        Command::Live(args) => args.log.log_format,
        Command::Serve(args) => args.log.log_format,
        _ => LogFormat::Text,
    };
    visavis_cli::run::run(cli.verbose, format, || match cli.command {
        Command::Live(args) => {
            let _regular_return = memory::RegularReturn::start()?;
            commands::live::run(&args)
        }
        Command::Serve(args) => {
            let _regular_return = memory::RegularReturn::start()?;
            commands::serve::run(*args)
        }
        Command::Analyze(args) => commands::analyze::run(&args),
        Command::Demo(args) => commands::demo::run(&args),
        Command::Gallery(args) => commands::gallery::run(&args),
        Command::Models(args) => commands::models::run(&args),
        Command::Runtime(args) => commands::runtime::run(&args),
        Command::Bench(args) => commands::bench::run(&args),
        Command::Config(args) => commands::config::run(&args, &Cli::command()),
        Command::Health(args) => commands::health::run(&args),
        Command::Notice(args) => commands::notice::run(&args),
        Command::Completions(args) => commands::completions::run(&args, Cli::command()),
        Command::Man(args) => commands::man::run(&args, Cli::command()),
        Command::Data(args) | Command::Evaluate(args) | Command::Train(args) => args.refuse(),
    })
}

/// The arguments of a command that has moved to visavis-lab.
#[derive(clap::Args)]
#[command(disable_help_flag = true)]
struct MovedArgs {
    #[arg(hide = true, allow_hyphen_values = true, trailing_var_arg = true)]
    _arguments: Vec<std::ffi::OsString>,
}

impl MovedArgs {
    #[expect(clippy::unused_self, reason = "the arguments of a moved command are ignored")]
    fn refuse(&self) -> anyhow::Result<()> {
        anyhow::bail!(
            "data, train and evaluate are now commands of visavis-lab: build it with `cargo build --release -p visavis-lab`; \
             the flags are the same"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_short_help_of_live_fits_a_screen_and_the_long_help_shows_every_flag() {
        let mut command = Cli::command();
        command.build();
        let live = command.find_subcommand_mut("live").unwrap();
        let (short, long) = (live.render_help().to_string(), live.render_long_help().to_string());
        println!("{short}");
        assert!(short.lines().count() <= 55, "{} lines:\n{short}", short.lines().count());
        for flag in live.get_arguments().filter_map(clap::Arg::get_long) {
            assert!(long.contains(&format!("--{flag}")), "--{flag} is missing in the long help");
        }
    }
}
