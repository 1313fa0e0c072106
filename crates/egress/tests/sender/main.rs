//! The sender against real sockets on this machine: raw servers that misbehave in every way that
//! an endpoint may, and names that resolve to what a test says.

#[cfg(test)]
mod exchange;
#[cfg(test)]
mod guard;
#[cfg(test)]
mod identity;
#[cfg(test)]
mod pool;
#[cfg(test)]
mod refused;
#[cfg(test)]
mod support;
#[cfg(test)]
mod tls;
