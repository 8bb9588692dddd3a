//! The text beside the name of a person: identified, with a probability, or only similar, on a scale.

use std::fmt;

/// The result of comparing a face with a person.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Verdict {
    /// Whether the face is identified as this person.
    pub(crate) same_person: bool,
    /// The probability that it is this person, 0 to 1; `None` for a network whose distances were not measured.
    pub(crate) identified: Option<f32>,
    /// Similarity, 0 to 1; not a probability.
    pub(crate) likeness: f32,
}

impl fmt::Display for Verdict {
    /// `identified, 97 %` or `looks like, 3 of 5`. Never 100 %: no comparison of faces is certain.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match (self.same_person, self.identified) {
            (true, Some(chance)) => format!("identified, {:.0} %", f64::from(chance).min(0.99) * 100.0),
            (true, None) => "identified".to_owned(),
            (false, _) => format!("looks like, {:.0} of 5", self.likeness.clamp(0.0, 1.0) * 5.0),
        };
        f.pad(&text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_likeness_has_no_percent_and_no_identification_has_a_hundred() {
        let found = Verdict { same_person: true, identified: Some(0.9999), likeness: 0.9 };
        assert_eq!(found.to_string(), "identified, 99 %");
        assert_eq!(Verdict { identified: None, ..found }.to_string(), "identified");
        let alike = Verdict { same_person: false, identified: Some(0.3), likeness: 0.62 };
        assert_eq!(alike.to_string(), "looks like, 3 of 5");
        assert_eq!(format!("{alike:20}|"), "looks like, 3 of 5  |");
    }
}
