//! Flags about alarms, visitors and sightings, and where alarms and sightings are written.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use anyhow::{Context, Result, bail};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use visavis_cli::options::{complain, parse_rate};
use visavis_gallery::SightingId;
use visavis_live::{Alarm, AlarmParams, Event, GrowthParams, Sighting, SightingParams, rfc3339};
use visavis_web::OutputCounts;

use crate::event_outputs::{EventOutputs, Receiver};

/// Flags about alarms.
#[derive(clap::Args, Clone, Debug, Default)]
pub(crate) struct AlarmArgs {
    /// Append each alarm to this file as one JSON line
    #[arg(long, value_name = "FILE")]
    pub(crate) alarm_log: Option<PathBuf>,
    /// Post each alarm as JSON to this URL; failed posts are retried
    ///
    /// An alarm that cannot be delivered is retried for four minutes and then dropped. One that the receiver refuses (status 4xx other
    /// than 408 and 429) is not retried.
    #[arg(long, value_name = "URL")]
    pub(crate) alarm_webhook: Option<String>,
    /// PEM file of certificate authorities trusted for web hooks, in addition to those of the system
    #[arg(long, value_name = "FILE", hide_short_help = true)]
    pub(crate) alarm_webhook_ca: Option<PathBuf>,
    /// Secret that signs the posts of web hooks
    ///
    /// Each post gets the header `X-Visavis-Signature: sha256=…`, the HMAC-SHA-256 of its body. Without a secret, posts are
    /// not signed.
    #[arg(long, value_name = "SECRET", env = "VISAVIS_WEBHOOK_SECRET", hide_env_values = true, hide_short_help = true)]
    pub(crate) alarm_secret: Option<String>,
    /// Run this shell command for each alarm
    ///
    /// The command gets the alarm as JSON on its standard input. A command that runs for more than 30 seconds is stopped.
    #[arg(long, value_name = "COMMAND")]
    pub(crate) alarm_command: Option<String>,
    /// Include the picture of the face in each alarm, as JPEG in base64
    #[arg(long, hide_short_help = true)]
    pub(crate) alarm_crops: bool,
    /// Number of consecutive comparisons of a face that must agree before an alarm is raised
    #[arg(long, value_name = "N", default_value_t = AlarmParams::default().confirm, hide_short_help = true)]
    pub(crate) alarm_confirm: usize,
    /// Seconds that a person must be out of view before the same person raises another alarm
    #[arg(long, value_name = "SECONDS", default_value_t = AlarmParams::default().cool_down.as_secs(), hide_short_help = true)]
    pub(crate) alarm_cool_down: u64,
    /// Share of comparisons of strangers that may be taken for a person on the watch list, 0 to 1
    ///
    /// A smaller share gives fewer false alarms: a face must then be more similar to a photo of the watched person.
    #[arg(long, value_name = "SHARE", default_value_t = 0.001, value_parser = parse_rate, hide_short_help = true)]
    pub(crate) alarm_rate: f64,
    /// Also raise an alarm for faces that are not in the gallery
    #[arg(long)]
    pub(crate) alarm_unknown: bool,
}

/// Flags about a gallery that grows.
#[derive(clap::Args, Clone, Debug, Default)]
pub(crate) struct GrowthArgs {
    /// Add every visitor to the gallery, once
    ///
    /// Creates the gallery if it does not exist. Visitors who turn out to be the same person are merged.
    #[arg(long, help_heading = "Gallery")]
    pub(crate) grow: bool,
    /// Delete a visitor who was not seen for this many days
    #[arg(
        long,
        value_name = "DAYS",
        default_value_t = 30.0,
        value_parser = parse_days,
        requires = "grow",
        hide_short_help = true,
        help_heading = "Gallery"
    )]
    pub(crate) grow_keep: f64,
}

/// Flags about sightings.
#[derive(clap::Args, Clone, Debug, Default)]
pub(crate) struct SightingArgs {
    /// Record who was seen when, with the best picture of each visit
    ///
    /// Also records age, gender and name. Creates the gallery if it does not exist. The sightings are stored in the gallery.
    /// `visavis gallery sightings` and the page list them and find those of a face on a photo. Without this flag nothing is
    /// recorded.
    #[arg(long, help_heading = "Gallery")]
    pub(crate) remember: bool,
    /// Delete sightings after this many days
    #[arg(
        long,
        value_name = "DAYS",
        default_value_t = 30.0,
        value_parser = parse_days,
        requires = "remember",
        hide_short_help = true,
        help_heading = "Gallery"
    )]
    pub(crate) remember_days: f64,
    /// Seconds after which a face that was not seen has left; when it comes back later, a new sighting begins
    #[arg(
        long,
        value_name = "SECONDS",
        default_value_t = 30.0,
        value_parser = parse_seconds,
        requires = "remember",
        hide_short_help = true,
        help_heading = "Gallery"
    )]
    pub(crate) remember_gap: f64,
    /// Append each event of a sighting (appeared, identified, left) to this file as one JSON line
    #[arg(long, value_name = "FILE", requires = "remember", hide_short_help = true, help_heading = "Gallery")]
    pub(crate) sighting_log: Option<PathBuf>,
    /// Post each event of a sighting as JSON to this URL, as --alarm-webhook does
    #[arg(long, value_name = "URL", requires = "remember", hide_short_help = true, help_heading = "Gallery")]
    pub(crate) sighting_webhook: Option<String>,
}

fn parse_seconds(text: &str) -> Result<f64> {
    let seconds: f64 = text.parse().with_context(|| format!("`{text}` is not a number"))?;
    if !(seconds > 0.0 && seconds <= 86_400.0) {
        bail!("{seconds} is not between 0 and 86400");
    }
    Ok(seconds)
}

fn parse_days(text: &str) -> Result<f64> {
    let days: f64 = text.parse().with_context(|| format!("`{text}` is not a number"))?;
    if !(days > 0.0 && days <= 36_500.0) {
        bail!("{days} is not between 0 and 36500");
    }
    Ok(days)
}

impl AlarmArgs {
    /// The parameters of alarms.
    pub(crate) fn alarm(&self) -> AlarmParams {
        AlarmParams {
            confirm: self.alarm_confirm,
            cool_down: Duration::from_secs(self.alarm_cool_down),
            false_alarms: Some(self.alarm_rate),
            unknown: self.alarm_unknown,
            crops: self.alarm_crops,
        }
    }
}

impl GrowthArgs {
    /// The parameters of growth; `None` if the gallery does not grow.
    pub(crate) fn growth(&self) -> Option<GrowthParams> {
        let keep = Duration::from_secs_f64(self.grow_keep * 24.0 * 3600.0);
        self.grow.then(|| GrowthParams { keep, ..GrowthParams::default() })
    }
}

impl SightingArgs {
    /// The parameters of sightings; `None` if they are not recorded.
    pub(crate) fn sightings(&self) -> Option<SightingParams> {
        let keep = Duration::from_secs_f64(self.remember_days * 24.0 * 3600.0);
        let away = Duration::from_secs_f64(self.remember_gap);
        self.remember.then_some(SightingParams { keep, away })
    }
}

/// Where the alarms and sightings of a run are written.
pub(crate) struct Journal {
    alarms: EventOutputs,
    sightings: EventOutputs,
}

impl Journal {
    /// Opens the files and starts the threads of the hooks.
    pub(crate) fn open(alarms: &AlarmArgs, sightings: &SightingArgs) -> Result<Self> {
        let webhook = |url: &Option<String>| {
            url.clone().map(|url| Receiver::WebHook {
                url,
                secret: alarms.alarm_secret.clone(),
                authorities: alarms.alarm_webhook_ca.clone(),
            })
        };
        let command = alarms.alarm_command.clone().map(Receiver::Command);
        let receivers = webhook(&alarms.alarm_webhook).into_iter().chain(command).collect();
        Ok(Self {
            alarms: EventOutputs::open("alarm", alarms.alarm_log.as_deref(), receivers)?,
            sightings: EventOutputs::open(
                "sighting",
                sightings.sighting_log.as_deref(),
                webhook(&sightings.sighting_webhook).into_iter().collect(),
            )?,
        })
    }

    /// What each output has delivered and dropped.
    pub(crate) fn counts(&self) -> Vec<Arc<OutputCounts>> {
        self.alarms.counts().chain(self.sightings.counts()).collect()
    }

    /// Writes an event if it is an alarm or about a sighting. `camera` is the name of the camera if there are several.
    pub(crate) fn write(&mut self, event: &Event, camera: Option<&str>) {
        match event {
            Event::Alarm(alarm) => match alarm_json(alarm, camera) {
                Ok(json) => self.alarms.send(&json),
                Err(error) => complain(&format!("alarm {} cannot be written: {error}", alarm.number)),
            },
            Event::Sighting(sighting) => self.sightings.send(&sighting_fields(sighting).to_string()),
            _ => {}
        }
    }
}

/// The fields of an alarm without its picture.
pub(crate) fn alarm_fields(alarm: &Alarm) -> serde_json::Result<Value> {
    serde_json::to_value(alarm)
}

fn alarm_json(alarm: &Alarm, camera: Option<&str>) -> Result<String> {
    let mut value = alarm_fields(alarm)?;
    if let Some(fields) = value.as_object_mut() {
        fields.extend(alarm.crop.as_ref().map(|crop| ("crop".into(), STANDARD.encode(crop).into())));
        fields.extend(camera.map(|camera| ("camera".into(), camera.into())));
    }
    Ok(value.to_string())
}

/// A Unix time in seconds in RFC 3339 format.
pub(crate) fn time_of(seconds: i64) -> String {
    rfc3339(UNIX_EPOCH + Duration::from_secs(u64::try_from(seconds).unwrap_or(0)))
}

/// The fields of an event of a sighting.
pub(crate) fn sighting_fields(sighting: &Sighting) -> Value {
    let Sighting { kind, id: SightingId(id), camera, person, identified, age, female, smiling, .. } = sighting;
    let rounded = |value: Option<f32>, factor: f64| value.map(|value| (f64::from(value) * factor).round() / factor);
    let mut value = json!({
        "event": kind.word(),
        "sighting": id,
        "camera": camera,
        "first_seen": time_of(sighting.first_seen),
        "last_seen": time_of(sighting.last_seen),
        "person": person.as_ref().map(|(person, _)| person.0),
        "name": person.as_ref().map(|(_, name)| &**name),
        "identified": rounded(*identified, 1e3),
        "age": rounded(*age, 10.0),
        "female": rounded(*female, 1e3),
        "smiling": rounded(*smiling, 1e3),
    });
    if let Some(fields) = value.as_object_mut() {
        fields.retain(|_, value| !value.is_null());
    }
    value
}
