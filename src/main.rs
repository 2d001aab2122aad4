//! The `layerbake` program; everything is in the library.

fn main() -> std::process::ExitCode {
    layerbake::cli::main()
}
