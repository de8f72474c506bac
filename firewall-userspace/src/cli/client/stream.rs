//! An answer of any size, read while it comes.

use std::{io, sync::mpsc::Receiver};

use axum::body::Bytes;

/// An answer that comes piece by piece.
pub struct Stream {
    pub(super) pieces: Receiver<io::Result<Bytes>>,
    pub(super) piece: Bytes,
}

impl io::Read for Stream {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        while self.piece.is_empty() {
            match self.pieces.recv() {
                Ok(piece) => self.piece = piece?,
                Err(_) => return Ok(0),
            }
        }
        let piece = self.piece.split_to(self.piece.len().min(into.len()));
        if let Some(into) = into.get_mut(..piece.len()) {
            into.copy_from_slice(&piece);
        }
        Ok(piece.len())
    }
}
