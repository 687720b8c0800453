//! Writes on where a prompt ends: `generate MODEL [PROMPT [TOKENS]]`.

use std::io::Write;

use engine::sampler::Sampling;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut words = std::env::args().skip(1);
    let model = words
        .next()
        .ok_or("usage: generate MODEL [PROMPT [TOKENS]]")?;
    let prompt = words.next().unwrap_or_else(|| "Call me".into());
    let tokens = words.next().map_or(Ok(60), |count| count.parse())?;

    let model = engine::open(model)?;
    let mut session = model.session()?;
    let generation = session.generate(&model.tokenize(&prompt)?, &Sampling::default())?;
    print!("{prompt}");
    for piece in generation.at_most(tokens).text() {
        print!("{}", piece?);
        std::io::stdout().flush()?;
    }
    println!();
    Ok(())
}
