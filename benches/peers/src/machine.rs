//! Where and of what a measurement was taken.

use std::process::Command;

/// Lines of markdown.
pub(crate) fn describe() -> Vec<String> {
    let (major, minor, patch) = zmq::version();
    let args: Vec<_> = std::env::args().skip(1).collect();
    let system = rustix::system::uname();
    vec![
        format!("Date: {}", jiff::Zoned::now().strftime("%Y-%m-%d %H:%M %Z")),
        format!("Machine: {}, {} cores, {}", processor(), cores(), memory()),
        format!(
            "System: {} {}, TCP congestion control {}",
            system.sysname().to_string_lossy(),
            system.release().to_string_lossy(),
            std::fs::read_to_string("/proc/sys/net/ipv4/tcp_congestion_control").unwrap_or_default().trim()
        ),
        format!("Sinew: commit {}", command("git", &["describe", "--always", "--dirty"])),
        format!("Compiler: {}", command("rustc", &["--version"])),
        format!(
            "Peers: libzmq {major}.{minor}.{patch}, omq-tokio {}, zeromq {}, rzmq {}; tokio {}",
            version("omq-tokio"),
            version("zeromq"),
            version("rzmq"),
            version("tokio")
        ),
        format!(
            "Command: `cargo run --release --manifest-path benches/peers/Cargo.toml -- {}`",
            args.join(" ")
        ),
    ]
}

/// The version of a dependency, as locked.
fn version(package: &str) -> &str {
    let lock = include_str!("../Cargo.lock");
    let entry = lock.split("[[package]]").find(|entry| entry.contains(&format!("name = \"{package}\"\n")));
    let line = entry.and_then(|entry| entry.lines().find_map(|line| line.strip_prefix("version = ")));
    line.map_or("unknown", |version| version.trim_matches('"'))
}

fn processor() -> String {
    let text = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("model name"));
    line.map_or_else(|| "unknown processor".into(), |line| line.trim_start_matches([' ', '\t', ':']).into())
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(0, usize::from)
}

fn memory() -> String {
    let text = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"));
    let kib: u64 = line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok()).unwrap_or(0);
    format!("{} GiB", kib >> 20)
}

fn command(program: &str, args: &[&str]) -> String {
    let output = Command::new(program).args(args).output().ok().filter(|output| output.status.success());
    output.map_or_else(|| "unknown".into(), |output| String::from_utf8_lossy(&output.stdout).trim().into())
}
