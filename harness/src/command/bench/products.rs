//! `harness bench --kernels`: single products, without a model.

use engine::flavor::Shape;
use engine::format::FORMATS;

use crate::bench::products::{self, Plan};
use crate::command::finish::finish;
use crate::command::flags::{self, Json, OneModel};
use crate::exit::{Exit, Failure};
use crate::io::{output, progress};

/// What is asked of single products.
#[derive(clap::Args)]
pub struct Products {
    /// Time single products instead of a model
    #[arg(long, conflicts_with_all = ["model", "reference", "profile", "kernel", "likeliest"])]
    kernels: bool,

    /// Only those of this format; may be given several times [default: all]
    #[arg(long, value_name = "NAME", requires = "kernels")]
    format: Vec<String>,

    /// Rows and columns of the matrix
    #[arg(long, value_name = "ROWS,COLS", requires = "kernels", default_value = "256,2560",
        value_parser = shape)]
    matrix: Shape,

    /// Numbers of tokens computed together
    #[arg(long, value_name = "N,…", value_delimiter = ',', requires = "kernels",
        default_value = "1,16,128", value_parser = flags::positive)]
    tokens: Vec<usize>,
}

impl Products {
    /// Whether they are what is to be timed; otherwise a model is missing.
    pub fn are_asked_for(&self, model: &OneModel) -> Result<(), Failure> {
        if self.kernels {
            return Ok(());
        }
        model.path().map(drop)
    }

    /// Runs the command.
    pub fn run(&self, seed: u64, json: &Json) -> Result<Exit, Failure> {
        json.beside([])?;
        let plan = Plan {
            formats: self.format.clone(),
            shape: self.matrix,
            tokens: self.tokens.clone(),
            seed,
        };
        let formats = match self.format.len() {
            0 => FORMATS.len(),
            some => some,
        };
        let bar = progress::bar(formats as u64, "bench");
        let report = products::run(&plan, &mut || bar.inc(1)).map_err(Failure::input)?;
        bar.finish_and_clear();
        finish(
            report.outcome,
            &report.render(output::width()),
            &report,
            json,
        )
    }
}

fn shape(text: &str) -> Result<Shape, String> {
    let number = |text: &str| flags::positive(text.trim());
    let (rows, cols) = text.split_once(',').ok_or("expected ROWS,COLS")?;
    Ok(Shape {
        rows: number(rows)?,
        cols: number(cols)?,
    })
}
