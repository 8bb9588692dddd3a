//! What the two programs, `visavis` and `visavis-lab`, share: flags, opening networks and galleries, ending on Ctrl-C.

pub mod credentials;
pub mod gallery_key;
pub mod index;
pub mod interrupt;
pub mod options;
pub mod output;
pub mod place;
pub mod run;
pub mod session;
pub mod terminal;
