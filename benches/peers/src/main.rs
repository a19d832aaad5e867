//! Sinew beside its peers; see the library.

fn main() -> std::process::ExitCode {
    sinew_peers::main()
}
