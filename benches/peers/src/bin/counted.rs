//! The same, with its heap allocations counted: slower, so a program of its own.

use std::alloc::System;

use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};

#[global_allocator]
static GLOBAL: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

fn main() -> std::process::ExitCode {
    sinew_peers::report_at_end(|| {
        let stats = GLOBAL.stats();
        eprintln!("allocations {}", stats.allocations + stats.reallocations);
    });
    sinew_peers::main()
}
