//! The texts of the notice.

mod de;
mod en;
mod es;
mod fr;
mod it;

use super::language::Language;

/// The texts in one language. Texts with `{…}` have a value put in.
pub(super) struct Words {
    pub(super) title: &'static str,
    /// On a sheet of paper, beside a code to scan.
    pub(super) invitation: &'static str,
    /// For one camera, and for several: `{n}`.
    pub(super) camera: &'static str,
    pub(super) cameras: &'static str,

    pub(super) analysed: &'static str,
    pub(super) faces: &'static str,
    pub(super) age: &'static str,
    pub(super) gender: &'static str,
    pub(super) smile: &'static str,
    pub(super) expression: &'static str,
    pub(super) head_pose: &'static str,
    pub(super) compared: &'static str,
    pub(super) alarms: &'static str,
    pub(super) alarms_of_unknown: &'static str,

    /// Before the list of what is off now: `{list}`.
    pub(super) off: &'static str,
    pub(super) off_age: &'static str,
    pub(super) off_gender: &'static str,
    pub(super) off_smile: &'static str,
    pub(super) off_expression: &'static str,
    pub(super) off_head_pose: &'static str,
    pub(super) off_compared: &'static str,
    pub(super) off_sightings: &'static str,
    pub(super) off_film: &'static str,

    pub(super) stored: &'static str,
    pub(super) nothing: &'static str,
    /// Kept for `{time}`.
    pub(super) visitors: &'static str,
    pub(super) sightings: &'static str,
    pub(super) alarm_list: &'static str,
    pub(super) alarm_pictures: &'static str,
    pub(super) film: &'static str,
    pub(super) files: &'static str,
    pub(super) sent: &'static str,
    pub(super) on_this_machine: &'static str,
    pub(super) in_a_database: &'static str,
    pub(super) day: &'static str,
    /// `{n}`.
    pub(super) days: &'static str,

    pub(super) responsible: &'static str,
    pub(super) no_operator: &'static str,
    pub(super) contact: &'static str,
    pub(super) purpose: &'static str,

    pub(super) rights: &'static str,
    pub(super) rights_begin: &'static str,
    pub(super) access: &'static str,
    pub(super) erasure: &'static str,
    pub(super) objection: &'static str,
    pub(super) complaint: &'static str,
    pub(super) rights_end: &'static str,

    pub(super) end: &'static str,
}

/// The texts in a language.
pub(super) fn words(language: Language) -> &'static Words {
    match language {
        Language::English => &en::WORDS,
        Language::German => &de::WORDS,
        Language::French => &fr::WORDS,
        Language::Spanish => &es::WORDS,
        Language::Italian => &it::WORDS,
    }
}
