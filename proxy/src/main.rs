//! The external key store proxy, as a program.

use std::process::ExitCode;

fn main() -> ExitCode {
    xks_proxy::cli::main()
}
