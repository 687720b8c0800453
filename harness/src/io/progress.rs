//! Progress on a terminal, silence everywhere else.
#![forbid(unsafe_code)]

use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::io::look;

/// A bar on stderr that counts `total` things called `what`; its prefix is lines above it.
/// Invisible when stderr is no terminal.
pub fn bar(total: u64, what: &str) -> ProgressBar {
    let style = ProgressStyle::with_template("{prefix}{msg} {wide_bar} {pos}/{len} {eta}")
        .expect("the template is a constant");
    on_stderr(Some(total), what).with_style(style)
}

/// A sign of life on stderr for work whose length nobody knows.
pub fn spinner(what: &str) -> ProgressBar {
    let style = ProgressStyle::with_template("{spinner} {msg} {elapsed}")
        .expect("the template is a constant");
    let spinner = on_stderr(None, what).with_style(style);
    // It ticks on a thread of its own, which not every system can give.
    if !cfg!(target_family = "wasm") {
        spinner.enable_steady_tick(Duration::from_millis(200));
    }
    spinner
}

fn on_stderr(total: Option<u64>, what: &str) -> ProgressBar {
    let target = if look::is_quiet() {
        ProgressDrawTarget::hidden()
    } else {
        ProgressDrawTarget::stderr()
    };
    ProgressBar::with_draw_target(total, target)
        .with_message(what.to_owned())
        .with_finish(indicatif::ProgressFinish::AndClear)
}
