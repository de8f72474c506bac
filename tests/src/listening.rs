//! A thread that listens in the background until it is asked what came.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
};

use anyhow::{Context as _, Result, anyhow};

/// Listens until it is asked, or dropped.
#[derive(Debug)]
pub struct Listening<T> {
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<io::Result<T>>>,
}

impl<T: Send + 'static> Listening<T> {
    /// `listen` is told by a flag when it is to end; it looks now and then, and ends when nothing has come since.
    pub fn start(listen: impl FnOnce(&AtomicBool) -> io::Result<T> + Send + 'static) -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let thread = thread::spawn({
            let over = over.clone();
            move || listen(&over)
        });
        Self { over, thread: Some(thread) }
    }

    /// What came, once nothing comes any more.
    ///
    /// # Errors
    /// When it could not listen.
    pub fn finish(mut self) -> Result<T> {
        self.over.store(true, Ordering::Relaxed);
        let thread = self.thread.take().context("a listener is asked once")?;
        Ok(thread.join().map_err(|_| anyhow!("a listener panicked"))??)
    }
}

impl<T> Drop for Listening<T> {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
    }
}
