//! What operators ask is answered in the world too, and keeps to the seed.

use kolk_engine::door::sim::{self, Sim};
use kolk_sim::HTTP;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

#[test]
fn operators_are_answered_and_keep_to_the_seed() {
    for seed in 0..3 {
        assert_eq!(sim::run(seed, asked), sim::run(seed, asked), "seed {seed}");
    }
}

async fn get(sim: &Sim, path: &str) -> String {
    let mut stream =
        sim.outside().network.connect(HTTP.parse().expect("an address")).await.expect("a listener");
    let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.expect("it reads");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("an answer");
    answer
}

async fn asked(sim: Sim) -> (String, u64) {
    let server = kolk_sim::start(&sim).await;
    assert!(get(&sim, "/healthz").await.starts_with("HTTP/1.1 200 OK\r\n"));
    assert!(get(&sim, "/readyz").await.ends_with("\r\n\r\nready\n"));
    let page = get(&sim, "/metrics").await;
    assert!(page.contains("\nkolk_ready 1\n") && page.contains("\nkolk_log_sync_seconds_count "), "{page}");
    server.stop().await.expect("a healthy log closes");
    (page, sim.trace_hash())
}
