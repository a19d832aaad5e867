//! `src/proto`, `src/routing` and the pool's scheduler stay free of the runtime, the network, the clock and everything
//! above them.

#![allow(clippy::expect_used, reason = "a test that cannot go on says why and stops")]

use std::fs;
use std::path::{Path, PathBuf};

const ABOVE: [&str; 4] = ["tokio", "std::net", "crate::engine", "crate::socket"];
const IO: [&str; 3] = ["std::thread", "Instant", "SystemTime"];

#[test]
fn proto_and_routing_reach_for_nothing_above_them() {
    check(&["proto", "routing"], &ABOVE);
}

#[test]
fn the_scheduler_has_no_runtime_no_network_and_no_clock() {
    check(&["pool/scheduler", "pool/strategy"], &[&ABOVE[..], &IO[..]].concat());
}

fn check(folders: &[&str], above: &[&str]) {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    for folder in folders {
        let files = sources(&src.join(folder));
        assert!(!files.is_empty(), "no sources in {folder}");
        for file in files {
            let text = fs::read_to_string(&file).expect("a source file can be read");
            let code = text.lines().enumerate().filter(|(_, line)| !line.trim_start().starts_with("//"));
            for (number, line) in code {
                found.extend(
                    above
                        .iter()
                        .filter(|name| line.contains(**name))
                        .map(|name| format!("{}:{}: {name}", file.display(), number + 1)),
                );
            }
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

fn sources(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("the folder can be listed");
    let paths = entries.map(|entry| entry.expect("an entry can be read").path());
    paths
        .flat_map(|path| if path.is_dir() { sources(&path) } else { vec![path] })
        .filter(|path| path.extension().is_some_and(|extension| extension == "rs"))
        .collect()
}
