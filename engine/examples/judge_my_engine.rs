//! How far another engine's logits are from these: `judge_my_engine MODEL TEXT LOGITS`, the last a
//! file of little-endian floats, a row of the vocabulary for each token of the text. Ends with 1
//! where a row has another likeliest token.
//!
//! `harness crossval --subject` judges more, and names the operation that differs.

use engine::sampler::greedy;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [model, text, theirs] = &words[..] else {
        return Err("usage: judge_my_engine MODEL TEXT LOGITS".into());
    };

    let model = engine::open(model)?;
    let ours = model.session()?.logits(&model.tokenize(text)?)?;
    let bytes = std::fs::read(theirs)?;
    let floats = bytes.as_chunks().0.iter();
    let theirs: Vec<f32> = floats.map(|bytes| f32::from_le_bytes(*bytes)).collect();
    if 4 * ours.len() != bytes.len() {
        let (wanted, found) = (4 * ours.len(), bytes.len());
        return Err(format!("{found} bytes of logits, where the text has {wanted}").into());
    }

    let (mut equal, mut flips) = (0, 0);
    let width = model.config().vocab_size;
    for (position, (ours, theirs)) in ours.chunks(width).zip(theirs.chunks(width)).enumerate() {
        let pairs = || {
            ours.iter()
                .zip(theirs)
                .map(|(&a, &b)| (f64::from(a), f64::from(b)))
        };
        let error: f64 = pairs().map(|(a, b)| (a - b) * (a - b)).sum();
        let signal: f64 = pairs().map(|(a, _)| a * a).sum();
        let bits = ours.iter().zip(theirs);
        equal += bits.filter(|(a, b)| a.to_bits() == b.to_bits()).count();
        let same = greedy(ours) == greedy(theirs);
        flips += usize::from(!same);
        let word = if same { "same" } else { "OTHER" };
        println!(
            "position {position}: nmse {:.1e}, likeliest token {word}",
            error / signal
        );
    }
    println!(
        "{equal} of {} logits have the same bits, {flips} likeliest tokens differ",
        ours.len()
    );
    std::process::exit(i32::from(flips > 0));
}
