//! The recording proxy between scripted servers and plain clients: what passes, what breaks, what is on the tape.

mod broken;
mod passing;
mod pressure;
mod replaying;
mod support;
mod tunnels;
