//! Networks that earlier versions of the program contained.

/// Name of a network, and of its replacement.
const RETIRED: [(&str, &str); 2] =
    [("multitask_mobilenetv1", "multitask_efficientnet_lite0"), ("ssdlite_mobilenetv2", "yunet")];

/// The replacement of the network `name`; `None` if the program never contained `name`, or still does.
pub(super) fn successor(name: &str) -> Option<&'static str> {
    RETIRED.iter().find(|(retired, _)| *retired == name).map(|(_, successor)| *successor)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::EMBEDDED;

    #[test]
    fn successors_are_in_the_program_and_retired_networks_are_not() {
        let names: Vec<String> = EMBEDDED.iter().map(|model| model.find().name).collect();
        for (retired, successor) in RETIRED {
            assert!(!names.iter().any(|name| name == retired), "{retired} is still there");
            assert!(names.iter().any(|name| name == successor), "{successor} is not there");
        }
    }
}
