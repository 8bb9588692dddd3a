//! `visavis serve`: the API and the page without a source.

use anyhow::{Result, bail};
use clap::Parser;
use visavis_cli::options::{EngineArgs, NetworkArgs, SourceArgs};
use visavis_cli::terminal::LogArgs;

use crate::alarms::{AlarmArgs, GrowthArgs, SightingArgs};
use crate::audit_log::AuditArgs;
use crate::commands::live::{self, OutputArgs, RunningArgs};
use crate::mqtt::MqttArgs;
use crate::page::PageArgs;

/// Serve the API without a camera: analyse, compare and search photos for other programs
///
/// The page runs too, and a source can be chosen there. Photos that are sent are not stored, except those that are added to the
/// gallery.
#[derive(Parser)]
#[command(after_help = "Examples:
  visavis serve                                              the API is described at http://127.0.0.1:8080/api/v1/docs
  visavis serve --gallery people.gallery --listen 0.0.0.0:8080 --token 0123456789abcdef
  curl --data-binary @photo.jpg http://127.0.0.1:8080/api/v1/analyze
  curl -F a=@one.jpg -F b=@other.jpg http://127.0.0.1:8080/api/v1/compare
  curl --data-binary @photo.jpg http://127.0.0.1:8080/api/v1/people/search")]
pub(crate) struct Args {
    #[command(flatten)]
    reading: SourceArgs,
    #[command(flatten)]
    engines: EngineArgs,
    #[command(flatten)]
    networks: NetworkArgs,
    /// Create the gallery if it does not exist
    #[arg(long, help_heading = "Gallery")]
    new_gallery: bool,
    #[command(flatten)]
    growth: GrowthArgs,
    #[command(flatten)]
    sightings: SightingArgs,
    #[command(flatten, next_help_heading = "Alarms")]
    alarms: AlarmArgs,
    #[command(flatten, next_help_heading = "Page")]
    page: PageArgs,
    #[command(flatten, next_help_heading = "Output")]
    mqtt: MqttArgs,
    #[command(flatten, next_help_heading = "Output")]
    pub(crate) log: LogArgs,
    #[command(flatten, next_help_heading = "Output")]
    audit: AuditArgs,
}

pub(crate) fn run(args: Args) -> Result<()> {
    if !args.page.is_wanted() {
        bail!("serve serves the page and the API: leave out --no-page");
    }
    let Args { reading, engines, networks, new_gallery, growth, sightings, alarms, page, mqtt, log, audit } = args;
    let (running, outputs) = (RunningArgs::default(), OutputArgs::default());
    let source = Vec::new();
    live::run(&live::Args {
        source,
        without_source: true,
        config: None,
        reading,
        engines,
        networks,
        running,
        outputs,
        page,
        growth,
        sightings,
        alarms,
        mqtt,
        log,
        audit,
        new_gallery,
    })
}
