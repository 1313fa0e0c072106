//! hooklatch.
fn main() {}
