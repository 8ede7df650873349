//! The door to the machine: its clock, its random numbers, its disk and network, tokio's workers.
//!
//! Nothing of the log's rules is here. What may block a worker is said on each method of the traits: only
//! [`File::write_durable`] does, on purpose and for one sync; all else that can wait for the device runs on
//! tokio's blocking threads, reads on a bounded number of them.

mod disk;
mod network;
pub mod process;

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

pub use disk::{DiskOptions, RealDisk};

use super::{BoxFuture, Clock, Door, Random, TaskHandle, Tasks};

/// A door to this machine. Call it within a tokio runtime: tasks go to that runtime.
///
/// # Panics
/// Outside a tokio runtime.
pub fn door(options: DiskOptions) -> Door {
    Door {
        clock: Arc::new(RealClock),
        random: Arc::new(RealRandom),
        disk: Arc::new(RealDisk::new(options)),
        network: Arc::new(network::RealNetwork),
        tasks: Arc::new(RealTasks(tokio::runtime::Handle::current())),
    }
}

#[derive(Debug)]
struct RealClock;

impl Clock for RealClock {
    fn now_ms(&self) -> i64 {
        match SystemTime::now().duration_since(UNIX_EPOCH) {
            Ok(since) => i64::try_from(since.as_millis()).unwrap_or(i64::MAX),
            // A machine without a battery clock may start before 1970; offsets of time begin at 0.
            Err(_) => 0,
        }
    }
}

#[derive(Debug)]
struct RealRandom;

impl Random for RealRandom {
    fn fill(&self, out: &mut [u8]) {
        getrandom::fill(out).expect("the operating system gives random numbers");
    }
}

#[derive(Debug)]
struct RealTasks(tokio::runtime::Handle);

impl Tasks for RealTasks {
    fn spawn(&self, _name: &'static str, task: BoxFuture<'static, ()>) -> TaskHandle {
        TaskHandle(self.0.spawn(task))
    }

    fn dedicated(&self, name: &'static str, task: BoxFuture<'static, ()>) {
        let handle = self.0.clone();
        std::thread::Builder::new()
            .name(name.into())
            .spawn(move || {
                let run = std::panic::AssertUnwindSafe(|| handle.block_on(task));
                if std::panic::catch_unwind(run).is_err() {
                    // It said why. Everybody else would wait for it for ever.
                    std::process::abort();
                }
            })
            .expect("the operating system starts one more thread");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn clock_random_and_tasks() {
        let door = door(DiskOptions::default());
        assert!(door.clock.now_ms() > 1_700_000_000_000);
        assert_ne!(door.random.next_u64(), door.random.next_u64());
        assert_eq!(door.random.uuid().get_version_num(), 4);
        let (tell, told) = tokio::sync::oneshot::channel();
        let task = async move {
            let _ = tell.send(std::thread::current().name().map(String::from));
        };
        door.tasks.dedicated("a-thread", Box::pin(task));
        assert_eq!(told.await.unwrap().as_deref(), Some("a-thread"));
        let (tell, told) = tokio::sync::oneshot::channel::<()>();
        let task = door.tasks.spawn(
            "never",
            Box::pin(async move {
                std::future::pending::<()>().await;
                drop(tell);
            }),
        );
        task.abort();
        assert!(told.await.is_err(), "an aborted task is dropped");
    }
}
