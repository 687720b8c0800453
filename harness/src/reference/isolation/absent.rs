//! The same where there is no Unix: no worker can be started and none can be one, so nothing that
//! would have to be asked or confined can exist.

use std::io::{self, ErrorKind, Read, Write};
use std::process::Command;

use super::death::WorkerExit;
use super::limits::{Limits, Terms};
use super::message::{Hello, Reply, Request};

const NONE: &str = "code that may die runs in a process of its own, which needs Unix";

/// A worker: there is none.
pub enum Worker {}

/// The way between two processes: there is none.
pub enum Stream {}

#[allow(missing_docs)] // documented where they do something
impl Worker {
    pub fn start(_: Command, _: impl Into<Terms>) -> Result<(Self, Hello), WorkerExit> {
        Err(WorkerExit::Refused(NONE.into()))
    }

    pub fn ask<T>(
        &mut self,
        _: &Request,
        _: impl FnMut(Reply) -> Result<Option<T>, String>,
    ) -> Result<T, WorkerExit> {
        match *self {}
    }

    pub fn memory_seen(&self) -> u64 {
        match *self {}
    }

    pub fn reject(&mut self, _: String) -> WorkerExit {
        match *self {}
    }
}

impl Read for Stream {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        match *self {}
    }
}

impl Write for Stream {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        match *self {}
    }

    fn flush(&mut self) -> io::Result<()> {
        match *self {}
    }
}

pub fn take_channel() -> io::Result<Stream> {
    Err(io::Error::new(ErrorKind::Unsupported, NONE))
}

pub fn start_new_session() -> io::Result<()> {
    Ok(())
}

pub fn confine(_: &Limits) -> io::Result<()> {
    Ok(())
}
