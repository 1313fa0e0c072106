//! The engine end to end: the in-memory store on a clock that tests set, and receivers on real
//! sockets of this machine.

#[cfg(test)]
mod attempts;
#[cfg(test)]
mod endings;
#[cfg(test)]
mod endpoints;
#[cfg(test)]
mod entry;
#[cfg(test)]
mod receiver;
#[cfg(test)]
mod world;
