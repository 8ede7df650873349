//! Log lines that a client can cause again and again.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Lets one line through in a while and counts those left out: what a client asks for again and again fills neither a
/// disk nor the log that somebody reads.
#[derive(Debug)]
pub struct Seldom {
    every: Duration,
    said: Mutex<Said>,
}

#[derive(Debug, Default)]
struct Said {
    last: Option<Instant>,
    unsaid: u64,
}

impl Seldom {
    /// One line in `every`.
    pub fn new(every: Duration) -> Seldom {
        Seldom { every, said: Mutex::default() }
    }

    /// Whether to log now: how many times it was not done since the last line. `None`: leave it out.
    pub fn say(&self) -> Option<u64> {
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        if said.last.is_some_and(|last| now < last + self.every) {
            said.unsaid += 1;
            return None;
        }
        said.last = Some(now);
        Some(std::mem::take(&mut said.unsaid))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn one_line_in_a_while_tells_of_those_left_out() {
        let seldom = Seldom::new(Duration::from_secs(60));
        assert_eq!(seldom.say(), Some(0));
        assert!((0..1000).all(|_| seldom.say().is_none()));
        tokio::time::advance(Duration::from_secs(59)).await;
        assert_eq!(seldom.say(), None);
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!((seldom.say(), seldom.say()), (Some(1001), None));
        tokio::time::advance(Duration::from_secs(60)).await;
        assert_eq!(seldom.say(), Some(1));
    }
}
