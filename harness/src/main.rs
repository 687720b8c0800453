//! The `harness` program: parse, run, end with a code from the one table.
#![forbid(unsafe_code)]

fn main() -> std::process::ExitCode {
    harness::command::cli::run()
}
