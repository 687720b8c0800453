//! What happens beside the measuring: progress, what 16 bits cannot show, and the file that is
//! written.

use std::io::{self, Write};

use indicatif::ProgressBar;

use super::report::SixteenBits;
use crate::exit::Failure;
use crate::io::kl_base::CodedRow;
use crate::numbers::rows_apart::Believed;
use crate::oracle::perplexity::{Beside, Chunks};
use crate::runner::RunError;

/// Progress, and how coarse the rows are that are believed.
pub struct Side {
    bar: ProgressBar,
    /// The largest half of a step, all that was cut, and the rows.
    coarse: (f64, f64, usize),
}

impl Side {
    /// With nothing seen yet.
    pub fn new(bar: ProgressBar) -> Self {
        let coarse = (0.0, 0.0, 0);
        Side { bar, coarse }
    }

    /// What the rows that are believed cannot show, if they were kept in 16 bits.
    pub fn sixteen_bits(&self) -> Option<SixteenBits> {
        let (half_a_step, cut, rows) = self.coarse;
        (rows > 0).then(|| SixteenBits {
            half_a_step,
            mean_cut: cut / rows as f64,
        })
    }
}

impl Drop for Side {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

impl Beside for Side {
    fn first(&mut self, rows: &Believed, _: usize) -> Result<(), RunError> {
        let Believed::Coded(rows) = rows else {
            return Ok(());
        };
        for row in rows {
            let (half_a_step, cut, count) = &mut self.coarse;
            *half_a_step = row.half_a_step().max(*half_a_step);
            *cut += row.cut();
            *count += 1;
        }
        Ok(())
    }

    fn done(&mut self) {
        self.bar.inc(1);
    }
}

/// The same, and the rows that are believed go into a file of `llama-perplexity`.
pub struct Writing<'w> {
    side: &'w mut Side,
    text: &'w Chunks,
    out: &'w mut dyn Write,
    /// Whether the head is written.
    begun: bool,
    /// Why nothing more can be written.
    failed: Option<io::Error>,
}

impl<'w> Writing<'w> {
    /// Nothing is written yet.
    pub fn new(side: &'w mut Side, text: &'w Chunks, out: &'w mut dyn Write) -> Self {
        Writing {
            side,
            text,
            out,
            begun: false,
            failed: None,
        }
    }

    /// Whether all of it could be written.
    pub fn end(self) -> Result<(), Failure> {
        self.failed.map_or(Ok(()), |e| Err(Failure::environment(e)))
    }

    fn write(&mut self, rows: &[CodedRow], vocab_size: usize) -> io::Result<()> {
        if !std::mem::replace(&mut self.begun, true) {
            self.text.head(vocab_size).write(self.out)?;
        }
        rows.iter().try_for_each(|row| row.write(self.out))
    }
}

impl Beside for Writing<'_> {
    fn first(&mut self, rows: &Believed, width: usize) -> Result<(), RunError> {
        self.side.first(rows, width)?;
        let Believed::Logits(rows) = rows else {
            return Ok(());
        };
        let rows: Option<Vec<CodedRow>> = rows.chunks(width.max(1)).map(CodedRow::of).collect();
        let why = || RunError::NotFinite("a logit is not finite".into());
        let rows = rows.ok_or_else(why)?;
        if self.failed.is_none() {
            self.failed = self.write(&rows, width).err();
        }
        Ok(())
    }

    fn done(&mut self) {
        self.side.done();
    }
}
