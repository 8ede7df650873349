#![allow(clippy::disallowed_methods, reason = "tests write the files that are read")]

use std::ffi::OsString;

use super::*;

fn load_with(flags: &[&str], variables: &[(&str, &str)]) -> Result<Loaded, String> {
    let command = augment(Command::new("serve"));
    let matches = command.try_get_matches_from(["serve"].iter().chain(flags)).map_err(|e| e.to_string())?;
    let variables = variables.iter().map(|(name, value)| (OsString::from(name), OsString::from(value)));
    load(&matches, variables.collect::<Vec<_>>().into_iter()).map_err(|e| e.to_string())
}

fn file(text: &str) -> (tempfile::TempDir, String) {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let path = dir.path().join("kolk.toml");
    std::fs::write(&path, text).expect("a file in it");
    let path = path.to_str().expect("UTF-8").to_owned();
    (dir, path)
}

fn origin(loaded: &Loaded, key: &str) -> String {
    loaded.effective.iter().find(|e| e.key == key).expect(key).origin.to_string()
}

#[test]
fn a_flag_beats_a_variable_beats_the_file_beats_the_default() {
    let (_dir, path) =
        file("memory-max = \"1MiB\"\naws-region = \"eu-west-1\"\ndurability = \"os\"\nephemeral = true\n");
    let loaded = load_with(
        &["--config", &path, "--memory-max", "3MiB", "--ephemeral=false"],
        &[("KOLK_MEMORY_MAX", "2MiB"), ("KOLK_AWS_REGION", "eu-west-2"), ("KOLKSOMETHING", "else")],
    )
    .expect("legal");
    let settings = &loaded.config.settings;
    assert_eq!(settings.memory_max, ByteSize(3 << 20));
    assert_eq!(settings.aws_region, "eu-west-2");
    assert_eq!(settings.durability, Durability::Os);
    assert!(!settings.ephemeral);
    assert_eq!(settings.aws_account, "000000000000");
    assert_eq!(origin(&loaded, "memory-max"), "flag");
    assert_eq!(origin(&loaded, "aws-region"), "KOLK_AWS_REGION");
    assert_eq!(origin(&loaded, "durability"), path);
    assert_eq!(origin(&loaded, "aws-account"), "default");
}

#[test]
fn nothing_given_is_the_defaults() {
    let loaded = load_with(&[], &[]).expect("legal");
    assert_eq!(loaded.config, Config::default());
    assert!(loaded.effective.iter().all(|e| e.origin == Origin::Default));
}

#[test]
fn lists_come_from_every_source() {
    let expected: Vec<KafkaListener> =
        ["0.0.0.0:9092", "0.0.0.0:29092,advertise=localhost:29092"].map(|t| t.parse().expect(t)).into();
    let (_dir, path) =
        file("[kafka]\nlisteners = [\"0.0.0.0:9092\", \"0.0.0.0:29092,advertise=localhost:29092\"]\n");
    let by_file = load_with(&["--config", &path], &[]).expect("legal");
    assert_eq!(by_file.config.settings.kafka, expected);
    let by_variable =
        load_with(&[], &[("KOLK_KAFKA", "0.0.0.0:9092  0.0.0.0:29092,advertise=localhost:29092")])
            .expect("legal");
    assert_eq!(by_variable.config.settings.kafka, expected);
    let by_flag = load_with(
        &["--kafka", "0.0.0.0:9092", "--kafka", "0.0.0.0:29092,advertise=localhost:29092"],
        &[("KOLK_KAFKA", "127.0.0.1:1")],
    )
    .expect("legal");
    assert_eq!(by_flag.config.settings.kafka, expected);
}

#[test]
fn kafkas_own_settings_come_from_every_source() {
    let (_dir, path) =
        file("[kafka]\nnum.partitions = 6\n\"auto.create.topics.enable\" = false\ngroup.max.size = 9\n");
    let loaded = load_with(
        &["--config", &path, "--kafka-set", "num.partitions=8"],
        &[("KOLK_KAFKA_GROUP_MAX_SIZE", "10"), ("KOLK_KAFKA_NUM_PARTITIONS", "7")],
    )
    .expect("legal");
    let mut settings = kolk_broker::Settings::default();
    loaded.config.kafka.apply(&mut settings);
    assert_eq!(settings.default_partitions, 8);
    assert!(!settings.auto_create_topics);
    assert_eq!(settings.groups.members_max, 10);
    assert_eq!(settings.offsets_retention_minutes, 10080);
    assert_eq!(origin(&loaded, "num.partitions"), "flag");
    assert_eq!(origin(&loaded, "group.max.size"), "KOLK_KAFKA_GROUP_MAX_SIZE");
    assert_eq!(origin(&loaded, "auto.create.topics.enable"), path);
}

#[test]
fn what_is_not_a_setting_stops_the_start_and_names_the_nearest() {
    for (text, wanted) in [
        ("data_dir = \"x\"", "no setting `data_dir`; did you mean `data-dir`?"),
        (
            "[kafka]\nnum.partition = 1",
            "no setting `kafka.num.partition`; did you mean `kafka.num.partitions`?",
        ),
        ("kafka = [\"127.0.0.1:9092\"]", "no setting `kafka`"),
        ("[kinesis]\nx = 1", "no setting `kinesis.x`"),
        ("memory-max = true", "`memory-max` cannot be true (boolean): it is a string"),
        ("memory-max = \"much\"", "`memory-max` cannot be `much`: `much` is no unit of size"),
        ("durability = \"none\"", "`durability` cannot be `none`: it is one of disk, os"),
        ("ephemeral = \"true\"", "`ephemeral` cannot be \"true\" (string): it is true or false"),
        ("create = [1]", "`create` cannot be [1] (array): it is a list of strings"),
        ("aws-account = 12", "`aws-account` cannot be `12`: an account is 12 digits"),
        ("[kafka]\nnum.partitions = 0", "`num.partitions` cannot be `0`: it is a whole number from 1"),
        ("[kafka]\nauto.create.topics.enable = \"yes\"", "it is true or false"),
        // What nothing acts on is no setting.
        ("[kafka]\nmin.insync.replicas = 2", "no setting `kafka.min.insync.replicas`"),
        ("[kafka]\nlog.local.retention.ms = 1", "no setting `kafka.log.local.retention.ms`"),
        ("kinesis-cors = [\"example.com\"]", "`kinesis-cors` cannot be `example.com`: an origin is"),
        ("kinesis-cors = [\"https://example.com/\"]", "`kinesis-cors` cannot be `https://example.com/`"),
        ("= 1", "is not TOML"),
    ] {
        let (_dir, path) = file(text);
        let error = load_with(&["--config", &path], &[]).expect_err(text);
        assert!(error.contains(wanted) && error.contains(&path), "{text}: {error}");
    }
    for (name, value, wanted) in [
        ("KOLK_MEMORYMAX", "1", "no setting `KOLK_MEMORYMAX`; did you mean `KOLK_MEMORY_MAX`?"),
        ("KOLK_MEMORY_MAX", "1QiB", "`KOLK_MEMORY_MAX` cannot be `1QiB`"),
        ("KOLK_EPHEMERAL", "yes", "`KOLK_EPHEMERAL` cannot be `yes`"),
        ("KOLK_KAFKA_NUM_PARTITION", "1", "did you mean `KOLK_KAFKA_NUM_PARTITIONS`?"),
        ("KOLK_KAFKA_NUM_PARTITIONS", "x", "`num.partitions` cannot be `x`"),
        (
            "KOLK_CONFIG",
            "/nonexistent/kolk.toml",
            "cannot read the configuration file /nonexistent/kolk.toml",
        ),
    ] {
        let error = load_with(&[], &[(name, value)]).expect_err(name);
        assert!(error.contains(wanted), "{name}: {error}");
    }
    let error = load_with(&["--kafka-set", "num.partitons=1"], &[]).expect_err("misspelt");
    assert!(
        error.contains("--kafka-set: there is no setting `num.partitons`; did you mean `num.partitions`?"),
        "{error}"
    );
    // A value that a stronger source overrules is checked as well.
    assert!(load_with(&["--memory-max", "1MiB"], &[("KOLK_MEMORY_MAX", "x")]).is_err());
}

#[test]
fn variables_of_containers_and_clients_are_passed_over() {
    let variables = [
        "KOLK_SERVER",
        "KOLK_SERVICE_HOST",
        "KOLK_SERVICE_PORT",
        "KOLK_SERVICE_PORT_KAFKA",
        "KOLK_PORT",
        "KOLK_PORT_9092_TCP_ADDR",
        "KOLK_KAFKA_SERVICE_HOST",
        "KOLK_KAFKA_PORT",
    ];
    for name in variables {
        load_with(&[], &[(name, "x")]).expect(name);
    }
    assert!(load_with(&[], &[("KOLK_PORTS", "x")]).is_err());
}

#[test]
fn the_reference_page_is_in_step() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/configuration.md");
    let page = reference_page();
    if std::env::var_os("KOLK_BLESS").is_some() {
        std::fs::write(&path, &page).expect("the page can be written");
    }
    let there = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(there == page, "docs/configuration.md is out of step: run KOLK_BLESS=1 cargo test -p kolk");
}
