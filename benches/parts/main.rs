//! What the parts of the data path cost: encoding, decoding, matching topics, handing over, routing.
//!
//! `RUSTFLAGS="--cfg sinew_bench" cargo bench --bench parts`: the parts are private, and shown under that flag only.

#[cfg(sinew_bench)]
mod parts;

#[cfg(sinew_bench)]
fn main() {
    parts::run();
}

#[cfg(not(sinew_bench))]
fn main() {
    eprintln!("the parts are private; run: RUSTFLAGS=\"--cfg sinew_bench\" cargo bench --bench parts");
}
