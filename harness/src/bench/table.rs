//! A run as text: what it was measured on, how every build starts, how fast each is.

use std::fmt::Write as _;

use super::report::{Build, Logits, Measured, Report, Speed};
use crate::io::table::{Table, number, words};
use crate::numbers::metrics::median;

impl Report {
    /// For a person, on a terminal of that width.
    pub fn render(&self, width: Option<usize>) -> String {
        let machine = &self.machine;
        let (cpu, processors) = (&machine.processor, machine.processors);
        let features = machine.cpu_features.join(" ");
        let mut text = format!("{cpu}, {processors} processors, {features}\n\n");
        text.push_str(&self.starts().render(width));
        text.push('\n');
        text.push_str(&self.speeds().render(width));
        text.push('\n');
        for measured in &self.tests {
            text.push_str(&limits(measured));
        }
        text.push_str(&self.notes());
        let _ = writeln!(text, "{}", self.outcome.name());
        text
    }

    fn starts(&self) -> Table {
        let mut table = Table::new(&[
            words("build"),
            number("file MB"),
            number("load ms"),
            number("first token ms"),
            number("in memory MB"),
            number("above file MB"),
        ]);
        for build in &self.builds {
            let file = build.model_bytes as f64 / 1e6;
            let resident = median(&build.resident_mb);
            table.row([
                build.name.clone(),
                format!("{file:.0}"),
                shown(median(&build.load_ms), 1),
                shown(median(&build.first_token_ms), 0),
                shown(resident, 0),
                shown(resident.map(|resident| resident - file), 0),
            ]);
        }
        table
    }

    fn speeds(&self) -> Table {
        let mut table = Table::new(&[
            words("test"),
            number("threads"),
            words("build"),
            number("tok/s"),
            words("the engine is"),
            number("MB/token"),
            number("GB/s"),
            number("of stream"),
            number("of int8"),
            words("logits"),
        ]);
        for measured in &self.tests {
            for speed in &measured.speeds {
                table.row(row(measured, speed));
            }
        }
        table
    }

    /// What must not be overlooked.
    fn notes(&self) -> String {
        let mut text = String::new();
        let lost = |build: &Build| {
            let why = build.lost.as_ref()?;
            Some(format!("{} did not start: {why}\n", build.name))
        };
        text.extend(self.builds.iter().filter_map(lost));
        for measured in &self.tests {
            for speed in &measured.speeds {
                if let Logits::Lost { why } = &speed.logits {
                    let _ = writeln!(text, "{}: {why}", measured.test.name());
                }
                if speed.impossible {
                    let (test, build) = (measured.test.name(), &speed.build);
                    let _ = writeln!(
                        text,
                        "{test}: {build} claims more bytes a second than memory has: it did not \
                         read all weights, or the stream was disturbed"
                    );
                }
            }
        }
        text
    }
}

fn row(measured: &Measured, speed: &Speed) -> [String; 10] {
    let percent =
        |share: Option<f64>| share.map_or(String::new(), |s| format!("{:.0} %", 100.0 * s));
    let ratio = speed.engine_is.map_or(String::new(), |ratio| {
        format!(
            "{:.2}x ({:.2} to {:.2})",
            ratio.median, ratio.low, ratio.high
        )
    });
    let decodes = measured.test.n_gen > 0;
    let read = decodes.then_some(speed.mb_per_token);
    let flag = if speed.impossible { "!" } else { "" };
    [
        measured.test.name(),
        measured.test.n_threads.to_string(),
        speed.build.clone(),
        shown(speed.median_ts, 2),
        ratio,
        read.map_or(String::new(), |mb| format!("{mb:.0}")),
        speed
            .gb_per_s
            .map_or(String::new(), |gb| format!("{flag}{gb:.1}")),
        percent(speed.of_stream),
        percent(speed.of_int8),
        logits(&speed.logits),
    ]
}

fn logits(logits: &Logits) -> String {
    match logits {
        Logits::Own => String::new(),
        Logits::Equal { values } => format!("same bits ({values})"),
        Logits::Close { nmse } => format!("nmse {nmse:.1e}"),
        Logits::Different {
            differing, values, ..
        } => {
            format!("{differing} of {values} differ: does not count")
        }
        Logits::Lost { .. } => "none: does not count".into(),
    }
}

fn limits(measured: &Measured) -> String {
    let (roofline, load) = (&measured.roofline, &measured.load);
    let mut text = format!(
        "{} on {} threads: stream {:.1} GB/s, int8 {:.0} GMAC/s",
        measured.test.name(),
        measured.test.n_threads,
        roofline.stream_gb_per_s,
        roofline.int8_gmac_per_s
    );
    if let Some(average) = load.average {
        let _ = write!(text, ", load {average:.1}");
    }
    if let Some(steal) = load.steal {
        let _ = write!(text, ", stolen {:.1} %", 100.0 * steal);
    }
    text.push('\n');
    text
}

fn shown(value: Option<f64>, digits: usize) -> String {
    value.map_or("-".into(), |value| format!("{value:.digits$}"))
}
