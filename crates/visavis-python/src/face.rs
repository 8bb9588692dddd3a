//! A face, as Python sees it.

use numpy::{PyArray1, PyArray2};
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use visavis_face::{AnalyzedFace, Estimates, EstimatesParams, FaceRecord};

/// The orientation of a head in degrees, as seen in the picture. All angles are 0 for an upright face that looks into the
/// camera.
#[pyclass(frozen, get_all, module = "visavis")]
#[derive(Debug, Clone, Copy)]
pub(crate) struct HeadPose {
    /// Above 0 where the nose points to the right edge of the picture.
    yaw: f32,
    /// Above 0 where the face looks up.
    pitch: f32,
    /// Above 0 where the head is rotated clockwise; -180 to 180.
    roll: f32,
}

#[pymethods]
impl HeadPose {
    fn __repr__(&self) -> String {
        let Self { yaw, pitch, roll } = self;
        format!("HeadPose(yaw={yaw:.1}, pitch={pitch:.1}, roll={roll:.1})")
    }
}

/// A face of a picture. Lengths are in pixels of the picture: x to the right, y down, from its upper left corner.
///
/// What no network estimated is None.
#[pyclass(frozen, module = "visavis")]
pub(crate) struct Face {
    face: visavis_face::Face,
    /// From 1, in the order of the picture's faces.
    number: u64,
    estimates: Estimates,
    /// Width of a pixel of the analysed picture, in pixels of the photo.
    shrunk: f32,
    keypoints: Option<Py<PyArray2<f32>>>,
    age_distribution: Option<Py<PyArray1<f32>>>,
    embedding: Option<Py<PyArray1<f32>>>,
}

impl Face {
    pub(crate) fn new(py: Python<'_>, number: u64, analyzed: AnalyzedFace, shrunk: f32) -> PyResult<Self> {
        let AnalyzedFace { face, findings } = analyzed;
        let mut estimates = Estimates::default();
        estimates.absorb(&findings, &EstimatesParams::default());
        let points = face.landmarks.map(|points| points.to_array().map(|p| vec![p.x * shrunk, p.y * shrunk]));
        let keypoints = points.map(|points| PyArray2::from_vec2(py, &points)).transpose()?;
        let array = |values: &[f32]| PyArray1::from_slice(py, values).unbind();
        Ok(Self {
            face,
            number,
            shrunk,
            keypoints: keypoints.map(Bound::unbind),
            age_distribution: estimates.age_distribution().map(|shares| array(shares)),
            embedding: estimates.embedding().map(|vector| array(vector)),
            estimates,
        })
    }
}

#[pymethods]
impl Face {
    /// x, y, width and height in pixels; may extend beyond the edge of the picture.
    #[getter(r#box)]
    fn bounds(&self) -> (f32, f32, f32, f32) {
        <[f32; 4]>::from(self.face.rect).map(|length| length * self.shrunk).into()
    }

    /// Score of the detection, 0 to 1.
    #[getter]
    fn score(&self) -> f32 {
        self.face.score
    }

    /// Degrees, clockwise, by which the face is turned in the picture: 0, 90, 180 or 270.
    #[getter]
    fn turned(&self) -> u16 {
        self.face.turn.degrees()
    }

    /// float32 array of shape (5, 2): x and y in pixels of left eye, right eye, nose, left and right mouth corner. Left and right
    /// are as seen in the picture when the face is upright.
    #[getter]
    fn keypoints(&self, py: Python<'_>) -> Option<Py<PyArray2<f32>>> {
        self.keypoints.as_ref().map(|array| array.clone_ref(py))
    }

    /// Age in years.
    #[getter]
    fn age(&self) -> Option<f32> {
        self.estimates.age()
    }

    /// float32 array of shape (101,): the probability of each age from 0 to 100 years. None if the network does not give it.
    #[getter]
    fn age_distribution(&self, py: Python<'_>) -> Option<Py<PyArray1<f32>>> {
        self.age_distribution.as_ref().map(|array| array.clone_ref(py))
    }

    /// The more probable gender, "female" or "male", as the training sets label it.
    #[getter]
    fn gender(&self) -> Option<&'static str> {
        self.estimates.attributes().gender()
    }

    /// Probability of "female", 0 to 1; the rest is "male".
    #[getter]
    fn female(&self) -> Option<f32> {
        self.estimates.female()
    }

    /// Whether the probability of a smile reaches the threshold of the network.
    #[getter]
    fn smiling(&self) -> Option<bool> {
        self.estimates.is_smiling()
    }

    /// Probability of a smile, 0 to 1.
    #[getter]
    fn smile(&self) -> Option<f32> {
        self.estimates.smile()
    }

    /// The most probable expression, such as "happiness".
    #[getter]
    fn expression(&self) -> Option<&str> {
        Some(self.estimates.expression()?.likeliest()?.0)
    }

    /// The probability of each expression, 0 to 1, by its name.
    #[getter]
    fn expressions<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyDict>>> {
        let Some(expression) = self.estimates.expression() else { return Ok(None) };
        let shares = PyDict::new(py);
        for (label, share) in expression.labels.iter().zip(&expression.shares) {
            shares.set_item(label, share)?;
        }
        Ok(Some(shares))
    }

    /// The orientation of the head.
    #[getter]
    fn head_pose(&self) -> Option<HeadPose> {
        self.estimates.pose().map(|pose| HeadPose { yaw: pose.yaw, pitch: pose.pitch, roll: pose.roll })
    }

    /// float32 array of shape (n,), not normalised; n depends on the network. Only embeddings of one network can be compared.
    #[getter]
    fn embedding(&self, py: Python<'_>) -> Option<Py<PyArray1<f32>>> {
        self.embedding.as_ref().map(|array| array.clone_ref(py))
    }

    /// The face as `visavis analyze` writes it as JSON: rounded numbers, and without what was not estimated.
    ///
    /// "track" is the number of the face, from 1 in the order of the faces. The embedding and the distribution of ages are left
    /// out.
    fn to_dict<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let record = FaceRecord::new(self.number, &self.face, true, self.estimates.attributes(), self.shrunk);
        let json = serde_json::to_string(&record).map_err(|error| PyRuntimeError::new_err(error.to_string()))?;
        py.import("json")?.call_method1("loads", (json,))
    }

    fn __repr__(&self) -> String {
        let record = FaceRecord::new(self.number, &self.face, true, self.estimates.attributes(), self.shrunk);
        let [x, y, width, height] = record.bounds;
        let mut text = format!("Face(box=({x:?}, {y:?}, {width:?}, {height:?}), score={:?}", record.score);
        let mut add = |name, value: Option<String>| {
            if let Some(value) = value {
                text.extend([", ", name, "=", value.as_str()]);
            }
        };
        let quoted = |word: &str| format!("'{word}'");
        add("age", record.age.map(|age| format!("{age:?}")));
        add("gender", record.gender.map(quoted));
        add("smiling", record.smiling.map(|smiling| if smiling { "True" } else { "False" }.into()));
        add("expression", record.expression.map(|expression| quoted(expression.name)));
        add("embedding", self.estimates.embedding().map(|vector| format!("<{} values>", vector.len())));
        text + ")"
    }
}
