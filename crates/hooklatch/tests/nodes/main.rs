//! Three nodes and one ledger: 64 clients send each key to two nodes at once, while nodes are killed
//! with -9, stopped past their leases, cut off from the database and given a wrong clock, and the
//! database is restarted and killed. No acknowledged request is lost, no key has two originals, no
//! delivery has two live leases, and every delivery ends.
//!
//! `HOOKLATCH_TEST_NODES_ROUNDS=10` does it all ten times over, with more load and every node in
//! every place.

mod checks;
mod clients;
mod cluster;
mod node;
mod postgres;
mod process;
mod proxy;
mod sink;
mod support;
mod tally;

use std::time::Duration;

use checks::Findings;
use clients::{Acknowledged, Clients, NODES};
use cluster::{Cluster, Disturbance};
use node::Clock;

/// How many times everything is done.
const ROUNDS: &str = "HOOKLATCH_TEST_NODES_ROUNDS";
/// Each client has something new once in so long; in the long form more often.
const PACE: Duration = Duration::from_millis(2_000);
const PACE_OF_MANY_ROUNDS: Duration = Duration::from_millis(500);
/// No node may ever need more memory: queues and caches are bounded by 64 MiB each.
const MEMORY_MAX_KIB: u64 = 256 * 1024;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_nodes_lose_nothing_and_accept_no_key_twice_whatever_is_done_to_them() {
    let rounds = std::env::var(ROUNDS).map_or(1, |rounds| {
        rounds.parse().expect("the number of rounds is a number")
    });
    let mut cluster = Cluster::start().await;
    let pace = if rounds > 1 {
        PACE_OF_MANY_ROUNDS
    } else {
        PACE
    };
    let clients = Clients::start(&cluster.world, pace);
    cluster.disturb(Disturbance::Nothing, 0).await;
    for round in 0..rounds {
        for (disturbance, node) in disturbances(round) {
            cluster.disturb(disturbance, node).await;
        }
    }
    let mut acknowledged = clients.finish().await;
    acknowledged.append(&mut cluster.probes);
    let findings = check(&mut cluster, &acknowledged).await;

    println!("\n{}", cluster.world.tally.table());
    for (name, count) in &findings.figures {
        println!("{name:<42} {count:>8}");
    }
    assert!(findings.wrong.is_empty(), "{}", findings.wrong.join("\n"));
    cluster.end().await;
}

/// What is done in a round, and to which node; in the next one every node has another place.
fn disturbances(round: usize) -> [(Disturbance, usize); 6] {
    let node = |place: usize| (round + place) % NODES;
    let clock = if round.is_multiple_of(2) {
        Clock::Ahead
    } else {
        Clock::Behind
    };
    [
        (Disturbance::Killed, node(0)),
        (Disturbance::WrongClock(clock), node(2)),
        (Disturbance::Frozen, node(0)),
        (Disturbance::DatabaseRestarted, 0),
        (Disturbance::CutOff, 1),
        (Disturbance::DatabaseKilled, 0),
    ]
}

async fn check(cluster: &mut Cluster, acknowledged: &[Acknowledged]) -> Findings {
    let mut findings = Findings::default();
    let database = cluster.database().await;
    let originals = checks::originals(acknowledged, &mut findings);
    checks::wait_for_the_end(&database, &mut findings).await;
    let api = cluster.nodes[1].api();
    checks::api_agrees(&api, acknowledged, &originals, &mut findings).await;
    checks::ledger_agrees(&database, &originals, &mut findings).await;
    let attempts = checks::attempts(&database).await;
    checks::leases_agree(&database, &attempts, &mut findings).await;
    let seen = cluster.sink.seen();
    let endpoints = &cluster.endpoints;
    checks::sink_agrees(&seen, endpoints, &originals, &attempts, &mut findings);
    findings.wrong.extend(cluster.world.tally.wrong());
    for (number, node) in cluster.nodes.iter_mut().enumerate() {
        if !node.is_running() {
            findings
                .wrong
                .push(format!("node {number} ended by itself"));
            continue;
        }
        let peak_kib = node.peak_memory_kib();
        findings.figures.push((MEMORY_OF[number], peak_kib / 1024));
        if peak_kib > MEMORY_MAX_KIB {
            let what = format!("node {number} had {peak_kib} KiB of memory at once");
            findings.wrong.push(what);
        }
        findings.wrong.extend(node.bugs());
    }
    findings
}

/// What a node's most memory is called.
const MEMORY_OF: [&str; NODES] = [
    "most memory of node 0, MiB",
    "most memory of node 1, MiB",
    "most memory of node 2, MiB",
];
