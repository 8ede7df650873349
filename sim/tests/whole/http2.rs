//! HTTP/2 with prior knowledge keeps to the seed too: many requests at once on one connection.

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::Request;
use hyper::client::conn::http2;
use hyper_util::rt::TokioIo;
use kolk_engine::door::sim::{self, Sim};
use kolk_engine::door::{Door, Tasks};
use kolk_sim::KINESIS;

#[test]
fn http2_keeps_to_the_seed() {
    for seed in 0..3 {
        assert_eq!(sim::run(seed, many_at_once), sim::run(seed, many_at_once), "seed {seed}");
    }
}

/// Runs what hyper starts through the door.
#[derive(Clone)]
struct Executor(Door);

impl<F: Future<Output: Send> + Send + 'static> hyper::rt::Executor<F> for Executor {
    fn execute(&self, future: F) {
        let tasks: &dyn Tasks = &*self.0.tasks;
        drop(tasks.spawn("sim-http2", Box::pin(async move { drop(future.await) })));
    }
}

/// Asks thirty things at once; gives the answers' lengths and the trace.
async fn many_at_once(sim: Sim) -> (Vec<usize>, u64) {
    let server = kolk_sim::start(&sim).await;
    let door = sim.outside();
    let stream = door.network.connect(KINESIS.parse().expect("an address")).await.expect("a listener");
    // Until the server has said how many streams it takes, no more than that.
    let mut client = http2::Builder::new(Executor(door.clone()));
    let handshake = client.initial_max_send_streams(16).handshake(TokioIo::new(stream));
    let (sender, connection) = handshake.await.expect("HTTP/2 is spoken");
    let driver = door.tasks.spawn("sim-http2", Box::pin(async move { drop(connection.await) }));
    let asked: Vec<_> = (0..30)
        .map(|number| {
            let (operation, body) = match number % 3 {
                0 => ("CreateStream", format!(r#"{{"StreamName":"s{number}","ShardCount":2}}"#)),
                1 => ("ListStreams", "{}".to_owned()),
                _ => ("DescribeLimits", "{}".to_owned()),
            };
            let request = Request::post(format!("http://{KINESIS}/"))
                .header("content-type", "application/x-amz-json-1.1")
                .header("x-amz-target", format!("Kinesis_20131202.{operation}"))
                .header("x-amz-date", "20250615T000000Z")
                .header(
                    "authorization",
                    "AWS4-HMAC-SHA256 Credential=a/20250615/us-east-1/kinesis/aws4_request, \
                     SignedHeaders=host;x-amz-date, Signature=0",
                )
                .body(Full::new(Bytes::from(body)))
                .expect("a request");
            let answer = sender.clone().send_request(request);
            let (tell, told) = tokio::sync::oneshot::channel();
            let ask = async move {
                let answer = answer.await.expect("an answer");
                let status = answer.status();
                let body = answer.into_body().collect().await.expect("a body").to_bytes();
                assert!(status.is_success(), "{status}: {}", String::from_utf8_lossy(&body));
                let _ = tell.send(body.len());
            };
            door.tasks.spawn("sim-http2-call", Box::pin(ask));
            told
        })
        .collect();
    let mut lengths = Vec::new();
    for told in asked {
        lengths.push(told.await.expect("a call was refused, see above"));
    }
    drop(sender);
    server.stop().await.expect("a healthy log closes");
    driver.0.await.expect("the connection ends");
    (lengths, sim.trace_hash())
}
