//! The operator's client: copies of the running log, made over HTTP as `kolk backup` does.

use std::path::PathBuf;
use std::time::Duration;

use kolk_client::{Error, http};
use serde_json::json;

use super::client::Client;
use crate::history::{History, Operation, Told, What};
use crate::{COPIES_DIR, HTTP};

/// How long a copy may take before its operator goes away; the server goes on with it.
const PATIENCE: Duration = Duration::from_secs(60);

/// Makes copies; of those that are whole it keeps the newest.
pub(super) async fn back_up(client: Client) {
    let endpoint: http::Endpoint = format!("http://{HTTP}").parse().expect("a constant address");
    let mut kept: Vec<PathBuf> = Vec::new();
    for number in 1.. {
        if !client.goes_on(4000).await {
            return;
        }
        let directory = PathBuf::from(format!("{COPIES_DIR}/{number}"));
        let asked = json!({ "directory": directory });
        let door = client.world.sim.outside();
        let what = |told| What::BackUp { directory: directory.clone(), told };
        let copied = async {
            let answer = http::post(&door, &endpoint, "/admin/backup", &asked);
            tokio::time::timeout(PATIENCE, answer)
                .await
                .map_or(Err(Error::Stopped), |answer| answer.map(drop))
        };
        let is_whole = client.act(what, copied).await.ok().is_some();
        if is_whole {
            // One copy at a time: what others have begun is over.
            for old in kept.drain(..) {
                let partial = format!("{}.partial", old.display());
                client.world.sim.remove_tree(&old);
                client.world.sim.remove_tree(partial.as_ref());
            }
        }
        kept.push(directory);
    }
}

/// The newest copy that its operator knows to be whole.
pub(super) fn newest_copy(history: &History) -> Option<(&PathBuf, &Operation)> {
    history.operations.iter().rev().find_map(|operation| match &operation.what {
        What::BackUp { directory, told: Told::Ok(()) } => Some((directory, operation)),
        _ => None,
    })
}
