//! `kolk serve`: a [`Server`](crate::Server) as a process. Logs, signals, the ready file and what is printed.
//!
//! Everything it says goes to standard error, standard output stays empty; programs read the ready file.

use std::fmt::Write as _;
use std::net::SocketAddr;

use crate::config::{Config, LogFormat, Settings};

/// Sends log lines to standard error as configured. Call it once.
pub fn start_log(settings: &Settings) {
    use std::io::IsTerminal;
    use tracing_subscriber::filter::Targets;
    use tracing_subscriber::layer::SubscriberExt;
    use tracing_subscriber::util::SubscriberInitExt;

    let filter: Targets = settings.log.parse().expect("the setting was checked");
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let registry = tracing_subscriber::registry().with(filter);
    match settings.log_format {
        LogFormat::Text => {
            let colour = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
            registry.with(lines.with_ansi(colour)).init();
        }
        LogFormat::Json => registry.with(lines.json().flatten_event(true)).init(),
    }
}

/// What listens where, and settings to copy for the usual clients.
pub fn ready_text(config: &Config, kafka: &[SocketAddr], kinesis: &[SocketAddr]) -> String {
    let settings = &config.settings;
    let log = if settings.ephemeral {
        "log in memory, gone when the server stops".to_owned()
    } else {
        format!("log in {}", settings.data_dir.display())
    };
    let list = |addresses: &[SocketAddr], scheme: &str| {
        addresses.iter().map(|a| format!("{scheme}{a}")).collect::<Vec<_>>().join("  ")
    };
    let mut text = format!("Kolk {} is ready: {log}\n\n", crate::version::VERSION);
    let _ = writeln!(text, "  Kafka     {}", list(kafka, ""));
    let _ = writeln!(text, "  Kinesis   {}", list(kinesis, "http://"));
    let kafka = kafka.first().map(|a| reachable(*a)).expect("a server listens for Kafka");
    let kinesis = kinesis.first().map(|a| reachable(*a)).expect("a server listens for Kinesis");
    let region = &settings.aws_region;
    let _ = write!(
        text,
        "\nTo connect:\n\n  \
         kcat          kcat -b {kafka} -L\n  \
         kafka-python  KafkaProducer(bootstrap_servers=\"{kafka}\")\n  \
         Java          bootstrap.servers={kafka}\n  \
         boto3         boto3.client(\"kinesis\", endpoint_url=\"http://{kinesis}\", region_name=\"{region}\",\n                             \
         aws_access_key_id=\"any\", aws_secret_access_key=\"any\")\n  \
         AWS CLI       AWS_ACCESS_KEY_ID=any AWS_SECRET_ACCESS_KEY=any aws kinesis list-streams \\\n                \
         --endpoint-url http://{kinesis} --region {region}\n\n"
    );
    text
}

/// The address that a client on this machine connects to.
fn reachable(address: SocketAddr) -> SocketAddr {
    use std::net::{Ipv4Addr, Ipv6Addr};
    match address {
        SocketAddr::V4(a) if a.ip().is_unspecified() => (Ipv4Addr::LOCALHOST, a.port()).into(),
        SocketAddr::V6(a) if a.ip().is_unspecified() => (Ipv6Addr::LOCALHOST, a.port()).into(),
        other => other,
    }
}
