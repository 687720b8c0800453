//! Files, terminals and the kernel: how bytes get in and out, and nothing of what they mean.
#![deny(unsafe_code)] // `process` is allowed it, every other file forbids it

pub mod array;
pub mod atomic;
#[cfg(unix)]
pub mod descendants;
pub mod destination;
pub mod floats;
pub mod http;
pub mod kl_base;
pub mod look;
pub mod npy;
pub mod output;
#[allow(unsafe_code)]
pub mod process;
pub mod progress;
pub mod safetensors;
pub mod signals;
pub mod table;
pub mod threads;
