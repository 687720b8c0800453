//! The five likeliest tokens behind each token of a text: `logits MODEL [TEXT]`.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut words = std::env::args().skip(1);
    let model = words.next().ok_or("usage: logits MODEL [TEXT]")?;
    let text = words.next().unwrap_or_else(|| "Call me Ishmael.".into());

    let model = engine::open(model)?;
    let tokens = model.tokenize(&text)?;
    let logits = model.session()?.logits(&tokens)?;
    for (token, row) in tokens.iter().zip(logits.chunks(model.config().vocab_size)) {
        let mut ranked: Vec<usize> = (0..row.len()).collect();
        ranked.sort_by(|&one, &other| row[other].total_cmp(&row[one]));
        print!("{:>12?} ", model.detokenize(&[*token])?);
        for &next in &ranked[..5.min(ranked.len())] {
            print!(" {:?} {:.3}", model.detokenize(&[next as u32])?, row[next]);
        }
        println!();
    }
    Ok(())
}
