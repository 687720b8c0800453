//! Pages for the browser: every number on one is the number of its JSON, a wrong one is found, and
//! nothing on it comes from elsewhere.

use regex_lite::{Captures, Regex};
use serde_json::Value;

use crate::program::{Folder, Harness};

/// A run, its JSON and the page it wrote.
struct Written {
    json: Value,
    page: String,
    folder: Folder,
}

impl Written {
    fn by(words: &str, code: i32) -> Self {
        let folder = Folder::new();
        let [json, page] = ["r.json", "r.html"].map(|name| folder.path().join(name));
        let run = Harness::new(words).arg("--json").arg(&json);
        run.arg("--html").arg(&page).run().exits(code);
        let text = std::fs::read_to_string(&json).expect("written");
        Written {
            json: serde_json::from_str(&text).expect("JSON"),
            page: std::fs::read_to_string(&page).expect("written"),
            folder,
        }
    }
}

/// What a page says that its JSON does not, and how much it says of it.
fn contradictions(page: &str, json: &Value) -> (usize, Vec<String>) {
    let number = r#"<data value="([^"]*)" data-from="([^"]*)">([^<]*)</data>"#;
    let number = Regex::new(number).expect("sound");
    let cell = r#"<td class="l\d+" tabindex="-1" data-from="([^"]*)" data-steps="([^"]*)" "#;
    let cell = cell.to_owned() + r#"data-texts="([^"]*)" aria-label="[^"]*">([^<]*)</td>"#;
    let cell = Regex::new(&cell).expect("sound");
    let numbers = number
        .captures_iter(page)
        .map(|found| of_number(&found, json));
    let cells = cell.captures_iter(page).map(|found| of_cell(&found, json));
    let all: Vec<Result<(), String>> = numbers.chain(cells).collect();
    let wrong = all.iter().filter_map(|one| one.clone().err()).collect();
    (all.len(), wrong)
}

fn of_number(found: &Captures<'_>, json: &Value) -> Result<(), String> {
    let [value, from, shown] = [1, 2, 3].map(|at| &found[at]);
    let known = json.pointer(from).and_then(Value::as_f64);
    let exact = known.is_some() && known == value.parse().ok();
    let shown: f64 = shown.replace(',', "").parse().unwrap_or(f64::NAN);
    // Bits are shown as the number they are the bits of.
    let value = |known: f64| f64::from(f32::from_bits(known as u32));
    let known = if from.contains("/bits/") {
        known.map(value)
    } else {
        known
    };
    let near = known.is_some_and(|known| (shown - known).abs() <= 0.05 * known.abs());
    (exact && near)
        .then_some(())
        .ok_or_else(|| format!("{}: {known:?}", &found[0]))
}

fn of_cell(found: &Captures<'_>, json: &Value) -> Result<(), String> {
    let [from, texts, shown] = [1, 3, 4].map(|at| &found[at]);
    let place = json
        .pointer(from)
        .ok_or_else(|| format!("there is no {from}"))?;
    let distance = place.get("distance").unwrap_or(place);
    let equal = match distance.get("differing") {
        Some(differing) => differing == 0,
        None => distance["bit_equal"] == distance["values"],
    };
    let detail = place.get("detail").unwrap_or(place);
    let known = [&distance["nmse"], &detail["max_ulps"], &place["kl"]];
    let texts: Vec<&str> = texts.split(' ').collect();
    let says = |(text, known): (&&str, &&Value)| match (*text, known.as_f64()) {
        ("=", _) => equal,
        ("·", None) | ("!", None) => !equal,
        (text, Some(known)) => {
            let text: f64 = text.parse().unwrap_or(f64::NAN);
            !equal && (text - known).abs() <= 0.5 * known.abs()
        }
        _ => false,
    };
    let right = texts.len() == 3 && texts[0] == shown && texts.iter().zip(&known).all(says);
    right
        .then_some(())
        .ok_or_else(|| format!("{}: {place}", &found[0]))
}

#[test]
fn every_number_of_a_page_is_one_of_its_receipt() {
    let agrees = Written::by("crossval --case b158-ishmael", 0);
    let (numbers, wrong) = contradictions(&agrees.page, &agrees.json);
    assert!(numbers > 250, "{numbers} of a traced case");
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(agrees.page.contains("Every bit agrees"));

    let words = "crossval --case b158-ishmael --profile ggml-avx2 --oracle";
    let differs = Written::by(words, 0);
    let (numbers, wrong) = contradictions(&differs.page, &differs.json);
    assert!(numbers > 400, "{numbers} where bits differ");
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(!differs.page.contains("Every bit agrees"));
    for shown in [
        "The first values that differ",
        "The likeliest next tokens",
        "0x",
    ] {
        assert!(differs.page.contains(shown), "{shown}");
    }
    // Every comparison is on the page, with the word that the table has for it.
    let receipt = harness::receipt::Receipt::read(differs.json.to_string().as_bytes());
    let receipt = receipt.expect("a receipt");
    for comparison in harness::receipt::comparisons(&receipt.cases) {
        assert!(differs.page.contains(&comparison.reference.name));
    }
}

#[test]
fn a_planted_wrong_number_is_found() {
    let Written { json, page, .. } = Written::by("crossval --case b158-ishmael", 0);
    let tile = r#"data-from="/coverage/nodes/compared">"#;
    let at = page.find(tile).expect("a tile") + tile.len();
    let planted = format!("{}9{}", &page[..at], &page[at..]);
    assert_eq!(contradictions(&planted, &json).1.len(), 1, "in a tile");

    let cell = page.find("data-texts=\"= = =\"").expect("a cell");
    let planted = format!("{}1e-3 = =\"{}", &page[..cell + 12], &page[cell + 18..]);
    assert_eq!(contradictions(&planted, &json).1.len(), 1, "in a cell");

    let mut other = json.clone();
    let place = "/cases/0/measured/0/findings/lanes/0/positions/3/distance/bit_equal";
    *other.pointer_mut(place).expect("there") = Value::from(7);
    assert_eq!(contradictions(&page, &other).1.len(), 1, "in the receipt");
}

/// A number of a page is at least so often, and never another than in the JSON.
fn agrees(written: &Written, least: usize, shown: &[&str]) {
    let (numbers, wrong) = contradictions(&written.page, &written.json);
    assert!(numbers >= least, "{numbers}");
    assert!(wrong.is_empty(), "{wrong:#?}");
    for words in shown {
        assert!(written.page.contains(words), "{words}");
    }
}

#[test]
fn other_commands_have_pages_of_their_json() {
    let model = "fixtures/moby-tiny/moby-tiny-b158.gguf";
    let root = crate::program::fixture("..").display().to_string();
    let recording = "--recording dec2024-bitnet-neon-fp16 --profile ggml-avx512";
    let trace = format!("trace --case bitnet-ishmael {recording}");
    let said = [
        "No operation is to blame",
        "Local error",
        "Inherited error",
        "Certificates of",
    ];
    agrees(&Written::by(&trace, 0), 300, &said);

    let power = "power --fault rope-theta-by-pow --clean-runs 1";
    let said = ["Every planted fault is caught", "mean cosine"];
    agrees(&Written::by(power, 0), 4, &said);

    let models = format!("compare {root}/{model} {root}/{model} --prompt whale");
    agrees(&Written::by(&models, 0), 100, &["The same model"]);

    let folder = Folder::new();
    let [one, other] = ["a.npy", "b.npy"].map(|name| folder.path().join(name));
    for (file, profile) in [(&one, "ggml-avx512"), (&other, "ggml-avx2")] {
        let eval = format!("eval --model {root}/{model} --prompt whale --profile {profile}");
        Harness::new(&eval).arg("--logits").arg(file).run().exits(0);
    }
    let outputs = format!("compare {} {}", one.display(), other.display());
    agrees(
        &Written::by(&outputs, 0),
        10,
        &["The first values that differ"],
    );
}

#[test]
fn a_folder_of_receipts_shows_trends_and_names_what_is_neither() {
    let Written { folder, .. } = Written::by("crossval --case b158-ishmael", 0);
    folder.file("other.json", b"{\"a\": 1}");
    let page = Harness::new("report")
        .arg(folder.path())
        .run()
        .exits(0)
        .stdout;
    for words in ["The latest run agrees", "<polyline", "r.json", "other.json"] {
        assert!(page.contains(words), "{words}");
    }
    let empty = Folder::new();
    Harness::new("report").arg(empty.path()).run().exits(2);
}

#[test]
fn a_receipt_makes_the_page_that_its_run_wrote() {
    let Written { page, folder, .. } = Written::by("crossval --case b158-ishmael", 0);
    let receipt = folder.path().join("r.json");
    let again = Harness::new("report").arg(&receipt).run().exits(0);
    assert_eq!(again.stdout, page);
    let nothing = folder.file("n.json", b"{}");
    let refused = Harness::new("report").arg(&nothing).run().exits(2);
    assert!(refused.stderr.contains("n.json"), "{}", refused.stderr);
    let over = Harness::new("report")
        .arg(&receipt)
        .arg("--html")
        .arg(&receipt);
    assert!(over.run().exits(2).stderr.contains("same file"));
}

#[test]
fn a_page_needs_no_network_and_runs_no_text() {
    let folder = Folder::new();
    let model = crate::program::fixture("moby-tiny/moby-tiny-b158.gguf");
    let page = folder.path().join("r.html");
    let prompt = "</script><script>alert(1)</script>\"&'";
    let run = Harness::new("crossval --model")
        .arg(&model)
        .arg("--prompt")
        .arg(prompt);
    run.arg("--html").arg(&page).run();
    let page = std::fs::read_to_string(&page).expect("written");
    assert!(!page.contains("alert(1)</script>"));
    assert_eq!(page.matches("<script").count(), 1, "our own");
    for outside in ["http://", "https://", " src=", "<link", "@import", "url("] {
        assert!(!page.contains(outside), "{outside}");
    }
}
