//! Settings, `kolk config`, and commands that need no server.

use serde_json::Value;

use crate::harness::{json_lines, kolk, run, write};

fn setting<'a>(lines: &'a [Value], key: &str) -> &'a Value {
    lines.iter().find(|line| line["key"] == key).expect(key)
}

#[test]
fn config_prints_every_value_and_where_it_came_from() {
    let home = tempfile::tempdir().expect("a temporary directory");
    let file = home.path().join("kolk.toml");
    write(&file, "memory-max = \"1MiB\"\ndurability = \"os\"\n[kafka]\nnum.partitions = 6\n");
    let said = kolk(&["config", "--json", "--memory-max", "3MiB", "--config"])
        .arg(&file)
        .env("KOLK_AWS_REGION", "eu-west-1")
        .output()
        .expect("kolk can be run");
    let lines = json_lines(std::str::from_utf8(&said.stdout).expect("UTF-8"));
    let is = |key: &str, value: Value, origin: &str| {
        let found = setting(&lines, key);
        assert_eq!((&found["value"], found["origin"].as_str()), (&value, Some(origin)), "{key}");
    };
    let file_name = file.to_str().expect("UTF-8");
    is("memory-max", "3MiB".into(), "flag");
    is("aws-region", "eu-west-1".into(), "KOLK_AWS_REGION");
    is("durability", "os".into(), file_name);
    is("num.partitions", 6.into(), file_name);
    is("log.retention.ms", Value::Null, "default");
    is("log.retention.hours", 168.into(), "default");
    is("ready-file", Value::Null, "default");
}

#[test]
fn config_shows_no_default_beside_another_name_that_is_given() {
    let said = run(&["config", "--kafka-set", "log.retention.minutes=5"]).done();
    assert!(said.contains("log.retention.minutes = 5  # flag\n"), "{said}");
    assert!(said.contains("# log.retention.hours is not set\n"), "168 hours hold no more: {said}");
}

#[test]
fn what_config_prints_is_a_configuration() {
    let home = tempfile::tempdir().expect("a temporary directory");
    let file = home.path().join("kolk.toml");
    let printed =
        run(&["config", "--kafka-set", "num.partitions=6", "--create", "a:1", "--create", "b:2"]).done();
    assert!(printed.contains("create = [\"a:1\", \"b:2\"]  # flag\n"), "{printed}");
    write(&file, &printed);
    let again = run(&["config", "--config", file.to_str().expect("UTF-8")]).done();
    let values = |text: &str| -> Vec<String> {
        text.lines().map(|line| line.split("  # ").next().unwrap_or_default().to_owned()).collect()
    };
    assert_eq!(values(&again), values(&printed));
}

#[test]
fn wrong_settings_stop_with_exit_code_2_and_name_the_nearest() {
    run(&["serve", "--memory-maxx", "1"]).usage("--memory-max");
    run(&["serve", "--memory-max", "much"]).usage("no unit of size");
    run(&["serve", "--kafka-set", "num.partition=1"]).usage("did you mean `num.partitions`?");
    run(&["serve", "--kafka-set", "log.retention.ms=x"]).usage("`log.retention.ms` cannot be `x`");
    run(&["serve", "--config", "/nonexistent/kolk.toml"]).usage("cannot read the configuration file");
    let said = kolk(&["serve"]).env("KOLK_MEMORYMAX", "1").output().expect("kolk can be run");
    crate::harness::Said::from(said).usage("did you mean `KOLK_MEMORY_MAX`?");
}

#[test]
fn wrong_usage_is_exit_code_2() {
    for arguments in [
        &["nonsense"][..],
        &["topic"],
        &["topic", "create"],
        &["topic", "create", "t", "--partitions", "0"],
        &["topic", "alter", "t"],
        &["topic", "trim", "t"],
        &["topic", "trim", "t", "--all", "--before", "1"],
        &["group", "reset", "g"],
        &["group", "reset", "g", "--to-latest", "--to-earliest"],
        &["group", "reset", "g", "--to-time", "yesterday"],
        &["consume"],
        &["consume", "t", "--format", "%q"],
        &["consume", "t", "--group", "g", "--from", "5"],
        &["consume", "t", "--until", "5", "--follow"],
        &["produce", "t", "--acks", "2"],
        &["produce", "t", "--server", "nowhere"],
        &["shard", "list", "t", "--kinesis-endpoint", "https://127.0.0.1:1"],
        &["backup"],
        &["backup", "x", "--http-endpoint", "127.0.0.1:8080"],
        &["completions", "dos"],
    ] {
        let said = run(arguments);
        assert_eq!((said.code, said.out.as_str()), (2, ""), "{arguments:?} said: {}", said.err);
    }
}

#[test]
fn help_and_version_go_to_standard_output() {
    let version = run(&["--version"]).done();
    for part in ["kolk 0.", "commit: ", "data format: ", "Kafka protocol: 4.4"] {
        assert!(version.contains(part), "{version}");
    }
    for command in [
        &["serve"][..],
        &["config"],
        &["topic", "create"],
        &["topic", "list"],
        &["topic", "describe"],
        &["topic", "alter"],
        &["topic", "trim"],
        &["topic", "delete"],
        &["shard", "list"],
        &["shard", "split"],
        &["shard", "merge"],
        &["shard", "decode"],
        &["group", "list"],
        &["group", "describe"],
        &["group", "reset"],
        &["group", "delete"],
        &["produce"],
        &["consume"],
        &["backup"],
        &["verify"],
        &["dump"],
        &["repair"],
        &["completions"],
    ] {
        let help = run(&[command, &["--help"]].concat()).done();
        assert!(help.contains("Example: kolk "), "{command:?} has no example");
    }
}

#[test]
fn completions_are_scripts() {
    for (shell, mark) in
        [("bash", "complete -F _kolk"), ("zsh", "#compdef kolk"), ("fish", "complete -c kolk")]
    {
        assert!(run(&["completions", shell]).done().contains(mark), "{shell}");
    }
}

#[test]
fn sequence_numbers_are_taken_apart_without_a_server() {
    let number = "49680477997361119390198922125992686219698155599408660546";
    let lines = json_lines(&run(&["shard", "decode", number, "--json"]).done());
    assert_eq!(lines[0]["shard"], "shardId-000000000004");
    assert_eq!(lines[0]["position"], "start");
    assert_eq!(lines[0]["offset"], Value::Null);
    let text = run(&["shard", "decode", number]).done();
    assert!(text.starts_with("SHARD") && text.contains("start"), "{text}");
    run(&["shard", "decode", "12"]).failed("12: ");
}
