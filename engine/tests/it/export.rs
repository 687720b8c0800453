//! Exports through the library: sizes, exceptions, padding, and files that are read again.

use engine::bytes::ModelBytes;
use engine::encoding::Author;
use engine::export::{
    ExportConfig, ExportError, FileSource, Kept, Plan, Source, WeightTensor, estimate_export_size,
    export_stats, export_to_gguf, file_bytes, write,
};
use engine::format::{Encode, FORMATS, Format};
use engine::gguf::Gguf;
use engine::gguf::writer::Field;
use engine::kernels::Kernel;
use engine::matrix::Matrix;

fn values(count: usize) -> Vec<f32> {
    (0..count).map(|i| (i as f32 * 0.37).sin() / 3.0).collect()
}

fn matrix(name: &str, rows: usize, cols: usize) -> WeightTensor {
    WeightTensor::new(name, values(rows * cols), vec![rows, cols])
}

fn config(format: &str) -> ExportConfig {
    ExportConfig::new(format, "m").expect("a format")
}

fn parse(file: Vec<u8>) -> Gguf {
    Gguf::parse(ModelBytes::from_vec(file)).expect("sound")
}

fn written() -> impl Iterator<Item = &'static Format> {
    FORMATS
        .into_iter()
        .filter(|f| !matches!(f.encode, Encode::Nothing))
}

#[test]
fn sizes_are_those_of_whole_blocks() {
    let one = |format, count| estimate_export_size(&[matrix("w", 1, count)], &config(format));
    let sizes = [
        ("f32", 64, 256),
        ("q4_0", 64, 36),
        ("q8_0", 64, 68),
        ("q4_k", 512, 288),
    ];
    let more = [
        ("q5_k", 512, 352),
        ("q6_k", 512, 420),
        ("q1_0", 256, 36),
        ("tq2_0", 256, 66),
    ];
    for (format, count, bytes) in sizes.into_iter().chain(more) {
        assert_eq!(one(format, count), bytes, "{format}");
    }
    assert_eq!(estimate_export_size(&[], &config("q4_0")), 0);
}

#[test]
fn every_format_is_written_as_planned_and_read_again() {
    let tensors = [
        matrix("blk.0.attn_q.weight", 4, 256),
        matrix("blk.0.ffn_up.weight", 8, 256),
    ];
    for format in written() {
        let file = export_to_gguf(&tensors, &config(format.name), &[]).expect("exported");
        let file = ModelBytes::from_vec(file);
        let gguf = Gguf::parse_as(file, format.dialects.first().copied()).expect(format.name);
        let stats = export_stats(&tensors, &config(format.name)).expect("planned");
        assert_eq!(
            stats.exported_bytes,
            estimate_export_size(&tensors, &config(format.name))
        );
        for (tensor, values) in gguf.tensors.iter().zip(&tensors) {
            assert_eq!(
                tensor.dims[0], 256,
                "{}: the contiguous dimension first",
                format.name
            );
            let forced = format.flavor;
            let matrix = Matrix::from_tensor(&gguf, tensor, forced, Kernel::best());
            let matrix = matrix.expect(format.name);
            let mut row = vec![0.0; 256];
            let mut off = 0f32;
            for (r, original) in values.data.chunks_exact(256).enumerate() {
                matrix.decode_row(r, &mut row);
                off = original
                    .iter()
                    .zip(&row)
                    .fold(off, |off, (x, y)| off.max((x - y).abs()));
            }
            // Signs under the largest magnitude are the coarsest, but for a packing without scale,
            // whose least value is 1.
            let most = if format.name == "qk256" { 1.0 } else { 0.34 };
            assert!(off <= most, "{}: {off}", format.name);
        }
    }
}

#[test]
fn exceptions_win_and_lists_and_vectors_are_told() {
    let tensors = [
        matrix("token_embd.weight", 4, 64),
        matrix("blk.0.attn_q.weight", 4, 64),
        matrix("blk.0.ffn_up.weight", 4, 64),
        WeightTensor::new("output_norm.weight", values(64), vec![64]),
        matrix("blk.0.ffn_down.weight", 64, 40),
        WeightTensor::new("empty", Vec::new(), vec![0, 64]),
    ];
    let mut config = config("q4_0").with_fp32_layers(ExportConfig::default_fp32_exceptions());
    let kept = |config: &ExportConfig| -> Vec<Option<Kept>> {
        let source_of = |file: Vec<u8>| parse(file);
        let gguf = source_of(export_to_gguf(&tensors, config, &[]).expect("exported"));
        assert_eq!(gguf.tensors.iter().count(), 5, "what is empty is left out");
        let specs = FileSource::new(&gguf, None)
            .expect("readable")
            .tensors()
            .to_vec();
        let plan = Plan::new(&specs, config).expect("planned");
        plan.entries.iter().map(|entry| entry.kept).collect()
    };
    let (exception, vector) = (Some(Kept::Exception), Some(Kept::Vector));
    let partial = Some(Kept::PartialBlocks(32));
    assert_eq!(kept(&config), [exception, None, None, exception, partial]);
    config.fp32_layers = vec!["token_embd.*".into()];
    config.quantize_layers = Some(vec!["*attn*".into(), "token*".into(), "*norm*".into()]);
    let not_listed = Some(Kept::NotListed);
    assert_eq!(
        kept(&config),
        [exception, None, not_listed, vector, not_listed]
    );
    let stats = export_stats(&tensors, &config).expect("planned");
    assert_eq!((stats.num_tensors, stats.quantized_tensors), (6, 1));
    config.quantize_layers = Some(vec!["blk.7.*".into()]);
    let slip = export_stats(&tensors, &config)
        .expect_err("it names nothing")
        .to_string();
    assert!(
        slip.contains("blk.7.*") && slip.contains("token_embd.weight"),
        "{slip}"
    );
}

#[test]
fn padding_fills_the_last_block_and_nothing_else_may_be_short() {
    let tensors = [matrix("w", 3, 40)];
    let mut config = config("q4_0");
    let stats = export_stats(&tensors, &config).expect("planned");
    assert_eq!((stats.quantized_tensors, stats.exported_bytes), (0, 480));
    config.pad_partial_blocks = true;
    // 120 values are three blocks and three quarters.
    assert_eq!(estimate_export_size(&tensors, &config), 4 * 18);
    let file = export_to_gguf(&tensors, &config, &[]).expect("exported");
    assert!(file.len() >= 72);
    let short = WeightTensor::new("w", values(7), vec![2, 4]);
    let error = export_to_gguf(&[short], &config, &[]).expect_err("seven are not two fours");
    assert!(error.to_string().contains("7 values"), "{error}");
    let none = export_to_gguf(&[], &config, &[]);
    assert!(matches!(none, Err(ExportError::Empty)));
}

#[test]
fn metadata_is_kept_and_what_an_export_says_of_itself_replaces_it() {
    let mut config = config("q4_0").with_description("smaller");
    config.model_version = Some("1.2".into());
    let keys = [
        ("general.name", Field::from("old")),
        ("general.file_type", Field::U32(0)),
        ("a.key", Field::U32(7)),
    ];
    let gguf = parse(export_to_gguf(&[matrix("w", 1, 64)], &config, &keys).expect("exported"));
    let text = |key| gguf.metadata.string(key).expect("text");
    assert_eq!(text("general.name"), Some("m"));
    assert_eq!(text("general.version"), Some("1.2"));
    assert_eq!(text("general.description"), Some("smaller"));
    let number = |key| {
        gguf.metadata
            .iter()
            .find(|(k, _)| *k == key)
            .map(|(_, v)| Field::from(v))
    };
    assert_eq!(number("general.file_type"), Some(Field::U32(2)));
    assert_eq!(number("a.key"), Some(Field::U32(7)));
    assert_eq!(
        gguf.metadata
            .iter()
            .filter(|(k, _)| *k == "general.name")
            .count(),
        1
    );
}

#[test]
fn a_file_is_exported_again_without_loss_where_weights_are_ternary() {
    let ternary = (0..2048)
        .map(|i| ((i * 5 % 7 % 3) as f32 - 1.0) * 0.5)
        .collect();
    let weights = [WeightTensor::new(
        "blk.0.ffn_up.weight",
        ternary,
        vec![8, 256],
    )];
    let mut file = export_to_gguf(&weights, &config("i2_s-p128"), &[]).expect("exported");
    let first = file.clone();
    for format in ["tq2_0", "tq1_0", "f16", "q2_0", "i2_s-p128"] {
        let gguf = parse(file);
        let source = FileSource::new(&gguf, None).expect("readable");
        let config = config(format);
        let plan = Plan::new(source.tensors(), &config).expect("planned");
        let mut out = Vec::new();
        let keys: Vec<_> = gguf
            .metadata
            .iter()
            .map(|(k, v)| (k.to_owned(), v.into()))
            .collect();
        let mut lossless = true;
        write(&source, &plan, &config, &keys, &mut out, &mut |written| {
            lossless &= written.loss.is_none();
        })
        .expect("written");
        assert!(lossless, "{format}");
        assert_eq!(
            out.len() as u64,
            file_bytes(&plan, &config, &keys),
            "{format}: as planned"
        );
        file = out;
    }
    assert!(file == first, "the way there and back gives the first file");
}

#[test]
fn both_authors_write_every_format_and_agree_where_nothing_is_searched() {
    let weights = [matrix("w", 4, 256)];
    let file = |format: &str, author| {
        let config = ExportConfig {
            author,
            ..config(format)
        };
        export_to_gguf(&weights, &config, &[]).expect("exported")
    };
    for format in [
        "f16", "q8_0", "q4_0", "q4_1", "q5_0", "q5_1", "tq1_0", "tq2_0",
    ] {
        let [one, other] = [Author::Upstream, Author::Bitnet].map(|author| file(format, author));
        assert!(one == other, "{format}");
    }
}
