//! Arrows between the folders of `src` run down only; `src/proto`, `src/routing` and the pool's scheduler stay free of the
//! runtime, the network and the clock, too.

#![allow(clippy::expect_used, reason = "a test that cannot go on says why and stops")]

use std::fs;
use std::path::{Path, PathBuf};

/// From above to below, as ARCHITECTURE.md draws them; those of one line know nothing of each other.
const FOLDERS: [&[&str]; 8] = [
    &["pool"],
    &["patterns"],
    &["engine"],
    &["socket"],
    &["options"],
    &["pipe", "transport"],
    &["routing"],
    &["proto"],
];
const RUNTIME: [&str; 2] = ["tokio", "std::net"];
const CLOCK: [&str; 3] = ["std::thread", "Instant", "SystemTime"];

#[test]
fn arrows_between_folders_run_down_only() {
    for (rank, folders) in FOLDERS.iter().enumerate() {
        for folder in *folders {
            let above = FOLDERS[..=rank].iter().copied().flatten().filter(|above| *above != folder);
            let above: Vec<_> = above.map(|above| format!("crate::{above}")).collect();
            check(&[folder], &above.iter().map(String::as_str).collect::<Vec<_>>());
        }
    }
}

#[test]
fn proto_and_routing_have_no_runtime_and_no_network() {
    check(&["proto", "routing"], &RUNTIME);
}

#[test]
fn the_scheduler_has_no_runtime_no_network_and_no_clock() {
    let sockets = ["crate::engine", "crate::socket", "crate::patterns"];
    check(&["pool/scheduler", "pool/strategy"], &[&sockets[..], &RUNTIME[..], &CLOCK[..]].concat());
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
