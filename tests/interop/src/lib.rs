//! Interop tests against libzmq; see `tests/`.
