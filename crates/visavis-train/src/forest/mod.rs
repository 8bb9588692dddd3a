//! Training of regression forests (Kazemi and Sullivan, CVPR 2014).
