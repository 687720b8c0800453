//! A prefill of so many tokens and so many steps after it, on one thread: `passes MODEL KERNEL
//! TOKENS STEPS`. What `scripts/instructions.sh` counts.

use std::path::Path;

use engine::kernels::Kernel;
use engine::sampler::greedy;
use engine::session::{OpenOptions, SessionOptions, Wanted};
use engine::{Model, Session, Token};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [model, kernel, tokens, steps] = &words[..] else {
        return Err("usage: passes MODEL KERNEL TOKENS STEPS".into());
    };
    let (tokens, steps): (Token, usize) = (tokens.parse()?, steps.parse()?);

    let chosen = Kernel::from_name(kernel);
    let kernel = Some(chosen.ok_or_else(|| format!("no kernel {kernel} on this processor"))?);
    let options = OpenOptions {
        kernel,
        ..OpenOptions::default()
    };
    let model = Model::open(Path::new(model), &options)?;
    let options = SessionOptions {
        threads: 1,
        ..SessionOptions::of(&model)
    };
    let mut session = Session::new(&model, options)?;

    let prompt: Vec<Token> = (1..=tokens).collect();
    let mut row = session.feed(&prompt, Wanted::Last, &mut ())?;
    for _ in 0..steps {
        row = session.feed(&[greedy(&row)], Wanted::Last, &mut ())?;
    }
    println!("{}", greedy(&row));
    Ok(())
}
