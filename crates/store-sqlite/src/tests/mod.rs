//! What the contract does not say: the file, its lock, its limits, its damage.
