//! What to do about an error, with the flags of this program: the libraries that report errors know none.

use visavis_data::DataError;
use visavis_eval::protocol::ProtocolError;
use visavis_train::TrainError;

/// The flag or the command that helps with an error.
pub(crate) fn for_error(error: &anyhow::Error) -> Option<&'static str> {
    error.chain().find_map(|cause| {
        let training = cause.downcast_ref().and_then(for_training);
        let data = || cause.downcast_ref().and_then(for_data);
        let protocol = || cause.downcast_ref().and_then(for_protocol);
        training.or_else(data).or_else(protocol)
    })
}

fn for_training(error: &TrainError) -> Option<&'static str> {
    match error {
        TrainError::Stopped => Some("the same command with --resume continues it"),
        TrainError::RunExists { .. } => Some("--resume continues the run; --out names another folder"),
        TrainError::Data(error) => for_data(error),
        _ => None,
    }
}

fn for_data(error: &DataError) -> Option<&'static str> {
    match error {
        DataError::NoPack { .. } => Some("'visavis-lab data pack' makes a pack"),
        DataError::NoPictures { .. } => Some("--images names the folder of the pictures"),
        DataError::UnknownClass { .. } => Some("'visavis-lab data pack' takes rules with --class FOLDER=LABEL:VALUE"),
        _ => None,
    }
}

fn for_protocol(error: &ProtocolError) -> Option<&'static str> {
    match error {
        ProtocolError::NoLocator { .. } => Some("--keypoints NETWORK names a network that locates keypoints"),
        ProtocolError::NoFaces { split: Some(_), .. } => {
            Some("--split selects the other part of the pack, or all faces")
        }
        ProtocolError::Data(error) => for_data(error),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_flag_is_found_for_an_error_below_others() {
        let advice = |error: anyhow::Error| for_error(&error.context("runs/a")).unwrap_or_default();
        assert!(advice(TrainError::Stopped.into()).contains("--resume"));
        assert!(advice(TrainError::RunExists { path: "runs/a".into() }.into()).contains("--out"));
        let pack = || DataError::NoPack { path: "packs/a".into() };
        for error in [pack().into(), TrainError::from(pack()).into(), ProtocolError::from(pack()).into()] {
            assert!(advice(error).contains("data pack"));
        }
        assert_eq!(advice(anyhow::anyhow!("something else")), "");
    }
}
