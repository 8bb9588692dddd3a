//! What the notice says besides the state of the pipelines.

/// What the operator states in the notice, and what the program does besides its pipelines.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NoticeParams {
    /// Who is responsible: a name and, if wanted, an address.
    pub operator: Option<String>,
    /// How the operator is reached: an address, a telephone number, an e-mail address.
    pub contact: Option<String>,
    /// Why the cameras are analysed.
    pub purpose: Option<String>,
    /// Whether the whole run is recorded as a film.
    pub film: bool,
    /// Whether results of faces are written to files.
    pub files: bool,
    /// Whether results are sent to other programs.
    pub sent: bool,
    /// Whether the gallery is in a database instead of a file of this machine.
    pub database: bool,
}
