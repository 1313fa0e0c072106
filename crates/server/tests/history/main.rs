//! The history over the reference store: every route, one whole record of each kind, and nothing
//! of another project.

#[cfg(test)]
mod access;
#[cfg(test)]
mod claims;
#[cfg(test)]
mod deliveries;
#[cfg(test)]
mod keys;
#[cfg(test)]
mod messages;
#[cfg(test)]
mod requests;
#[cfg(test)]
mod world;
