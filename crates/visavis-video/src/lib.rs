//! Sources and sinks of frames: pictures, folders, GIF, MP4, webcams, standard input, a virtual camera.
