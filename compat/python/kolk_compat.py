"""What the Python programs of compat/ share: cases, the server's addresses, and the Kinesis side of a round.

A program defines cases with `@case(...)` and ends with `main()`. It prints `ok NAME` or `FAIL NAME: why` per case.
KOLK_KAFKA=HOST:PORT and KOLK_KINESIS=http://HOST:PORT are the two faces of the server under test. With one of
them unset the cases that need it are skipped, so that each half can be held against another broker or Kinesis.
"""

import base64
import json
import os
import sys
import threading
import time
import traceback
import uuid

KAFKA = os.environ.get("KOLK_KAFKA")
KINESIS = os.environ.get("KOLK_KINESIS")
FULL = os.environ.get("KOLK_FULL") == "1"

_cases = []


def case(name, kinesis=False, kafka=False):
    """Registers a case; `kinesis` or `kafka` says that it talks to that face beside the program's own."""

    def register(function):
        _cases.append((name, kinesis, kafka, function))
        return function

    return register


def main():
    """Runs all cases in order and ends the process."""
    only = sys.argv[1:]
    passed = failed = 0
    for name, kinesis, kafka, function in _cases:
        if only and not any(word in name for word in only):
            continue
        missing = [n for n, asked, there in (("KOLK_KINESIS", kinesis, KINESIS), ("KOLK_KAFKA", kafka, KAFKA)) if asked and not there]
        if missing:
            print(f"skip {name}: {missing[0]} is not set", flush=True)
            continue
        start = time.monotonic()
        try:
            function()
            passed += 1
            print(f"ok {name} ({time.monotonic() - start:.1f} s)", flush=True)
        except BaseException as error:  # a case may fail in any way; the others still run
            if isinstance(error, KeyboardInterrupt):
                raise
            failed += 1
            traceback.print_exc()
            print(f"FAIL {name}: {type(error).__name__}: {error}".replace("\n", " "), flush=True)
    print(f"{passed} cases held, {failed} did not", flush=True)
    sys.stdout.flush()
    # Clients may have left threads behind that must not hold the process.
    os._exit(1 if failed else 0)


def unique(prefix):
    """A name that no other run uses."""
    return f"{prefix}-{uuid.uuid4().hex[:8]}"


def same(found, expected, what="value"):
    if found != expected:
        text = f"{what}: found {found!r}, expected {expected!r}"
        raise AssertionError(text if len(text) < 600 else text[:600] + "...")


def raises(expected, function, *arguments, **named):
    """Calls the function and answers the expected exception."""
    try:
        result = function(*arguments, **named)
    except expected as error:
        return error
    raise AssertionError(f"expected {expected}, found result {result!r}")


def eventually(function, seconds=20, what="condition"):
    """Calls the function until it answers something true."""
    end = time.monotonic() + seconds
    while True:
        result = function()
        if result:
            return result
        if time.monotonic() > end:
            raise AssertionError(f"{what} did not come true within {seconds} s")
        time.sleep(0.1)


def decode_sequence_number(number):
    """The parts of a sequence number: shard create second, shard index, index (offset + 1), append second."""
    digits = f"{int(number):047x}"
    same(len(digits), 47, "hex digits of a sequence number")
    same((digits[0], digits[46]), ("2", "2"), "version nibbles of a sequence number")
    return {
        "create_second": int(digits[1:10], 16),
        "index": int(digits[11:27], 16),
        "append_second": int(digits[29:38], 16),
        "shard": int(digits[38:46], 16),
    }


def offset_of(number):
    """The Kafka offset that a sequence number names."""
    return decode_sequence_number(number)["index"] - 1


def kinesis_client(endpoint=None, **config):
    """A boto3 client of the server under test, or of another; credentials are made up, as the server accepts any."""
    import boto3
    from botocore.config import Config

    return boto3.client(
        "kinesis",
        endpoint_url=endpoint or KINESIS,
        region_name="us-east-1",
        aws_access_key_id="AKIAIOSFODNN7EXAMPLE",
        aws_secret_access_key="secret",
        config=Config(**{"retries": {"mode": "standard", "total_max_attempts": 2}, "read_timeout": 30, **config}),
    )


def all_shards(client, stream):
    """All listed shards of a stream, by id."""
    shards, request = {}, {"StreamName": stream}
    while True:
        page = client.list_shards(**request)
        shards.update((shard["ShardId"], shard) for shard in page["Shards"])
        if "NextToken" not in page:
            return shards
        request = {"NextToken": page["NextToken"]}


def read_shard(client, stream, shard_id, start=None, until=None):
    """The records of one shard from `start` (arguments of GetShardIterator) to its end or its present tip.

    Answers (records, children): children is None while the shard is open.
    """
    start = start or {"ShardIteratorType": "TRIM_HORIZON"}
    iterator = client.get_shard_iterator(StreamName=stream, ShardId=shard_id, **start)["ShardIterator"]
    records = []
    while True:
        page = client.get_records(ShardIterator=iterator, Limit=10000)
        records.extend(page["Records"])
        iterator = page.get("NextShardIterator")
        if iterator is None:
            children = page.get("ChildShards")
            assert children, f"{shard_id} ended without ChildShards"
            return records, [child["ShardId"] for child in children]
        assert "ChildShards" not in page, f"{shard_id} is open and has ChildShards"
        if page["MillisBehindLatest"] == 0 and not page["Records"]:
            return records, None


def read_stream(client, stream):
    """All records of a stream, parents before children: a list of (shard id, record)."""
    shards = all_shards(client, stream)
    done, records, open_ = set(), [], list(shards)
    while open_:
        progress = False
        for shard_id in list(open_):
            shard = shards[shard_id]
            parents = {shard.get("ParentShardId"), shard.get("AdjacentParentShardId")} & set(shards)
            if parents - done:
                continue
            found, children = read_shard(client, stream, shard_id)
            same(children is None, "EndingSequenceNumber" not in shard["SequenceNumberRange"], f"{shard_id} is open")
            records.extend((shard_id, record) for record in found)
            done.add(shard_id)
            open_.remove(shard_id)
            progress = True
        assert progress, f"the lineage of {stream} has a circle: {open_}"
    return records


def open_shards(client, stream):
    """The open shards, by starting hash key."""
    shards = [s for s in all_shards(client, stream).values() if "EndingSequenceNumber" not in s["SequenceNumberRange"]]
    return sorted(shards, key=lambda shard: int(shard["HashKeyRange"]["StartingHashKey"]))


def split(client, stream, shard):
    """Splits an open shard in the middle of its hash range and waits until the stream is active again."""
    low, high = (int(shard["HashKeyRange"][end]) for end in ("StartingHashKey", "EndingHashKey"))
    middle = str((low + high + 1) // 2)
    client.split_shard(StreamName=stream, ShardToSplit=shard["ShardId"], NewStartingHashKey=middle)
    wait_active(client, stream)


def wait_active(client, stream):
    eventually(
        lambda: client.describe_stream_summary(StreamName=stream)["StreamDescriptionSummary"]["StreamStatus"] == "ACTIVE",
        what=f"stream {stream} active",
    )


class Background:
    """Runs a function in a thread until `stop()`; `stop` raises what the function raised."""

    def __init__(self, function):
        self.stopping = threading.Event()
        self.error = None

        def run():
            try:
                function(self.stopping)
            except BaseException as error:  # handed over by stop()
                self.error = error

        self.thread = threading.Thread(target=run, daemon=True)
        self.thread.start()

    def stop(self, seconds=60):
        self.stopping.set()
        self.thread.join(seconds)
        assert not self.thread.is_alive(), "the background load did not end"
        if self.error:
            raise self.error


def check_kinesis_copy(client, stream, expected, shard_of_partition=None):
    """Reads the stream whole through Kinesis and holds it against what Kafka holds.

    `expected` maps (partition, offset) to (key, value) in bytes. Without reshards a shard's index is its partition.
    """
    found = {}
    for shard_id, record in read_stream(client, stream):
        parts = decode_sequence_number(record["SequenceNumber"])
        same(int(shard_id.rpartition("-")[2]), parts["shard"], "shard index in the sequence number")
        place = (parts["shard"], parts["index"] - 1)
        assert place not in found, f"record {place} was read twice"
        found[place] = (record["PartitionKey"].encode(), record["Data"])
        age = abs(record["ApproximateArrivalTimestamp"].timestamp() - time.time())
        assert age < 3600, f"arrival time is {age} s from now"
    same(len(found), len(expected), "records read through Kinesis")
    for place, record in expected.items():
        same(found.get(place), record, f"record {place}")
