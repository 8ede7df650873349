"""The whole round with boto3 (JSON 1.1 over HTTP/1.1)."""

import datetime
import hashlib
import http.client
import urllib.parse

import boto3
import botocore
from botocore.exceptions import ClientError

from kolk_compat import *

STREAM = unique("boto3")
SHARDS = 3
HASH_KEYS = 2**128
print(f"boto3 {boto3.__version__}, botocore {botocore.__version__}")

# What is wrong is for the server to say, not for the client.
client = kinesis_client(parameter_validation=False)
# (shard id, sequence number) -> (partition key, data), in the order of the puts.
acked = {}


def refused(code, call, **arguments):
    """Calls the operation, expects the error code (or one of several) and answers its message."""
    error = raises(ClientError, call, **arguments).response
    codes = code if isinstance(code, tuple) else (code,)
    assert error["Error"]["Code"] in codes, f"{error['Error']}, expected {codes}"
    same(error["ResponseMetadata"]["HTTPStatusCode"], 400, "HTTP status")
    return error["Error"]["Message"]


def summary(stream=STREAM):
    return client.describe_stream_summary(StreamName=stream)["StreamDescriptionSummary"]


def made(prefix, shards):
    """A new active stream."""
    stream = unique(prefix)
    client.create_stream(StreamName=stream, ShardCount=shards)
    wait_active(client, stream)
    return stream


def range_of(shard):
    return int(shard["HashKeyRange"]["StartingHashKey"]), int(shard["HashKeyRange"]["EndingHashKey"])


def shard_of(shards, key):
    """The shard whose range holds MD5 of the partition key."""
    value = int.from_bytes(hashlib.md5(key.encode()).digest(), "big")
    return next(s["ShardId"] for s in shards if range_of(s)[0] <= value <= range_of(s)[1])


def tiles(shards):
    """The ranges cover the hash space exactly, without gap or overlap."""
    ranges = sorted(range_of(shard) for shard in shards)
    same(ranges[0][0], 0, "first hash key")
    same(ranges[-1][1], HASH_KEYS - 1, "last hash key")
    for (_, end), (start, _) in zip(ranges, ranges[1:]):
        same(start, end + 1, "start of the next range")


@case("create and describe a stream")
def _():
    client.create_stream(StreamName=STREAM, ShardCount=SHARDS)
    wait_active(client, STREAM)
    found = summary()
    same((found["OpenShardCount"], found["RetentionPeriodHours"], found["StreamName"]), (SHARDS, 24, STREAM))
    assert found["StreamARN"].startswith("arn:aws:kinesis:us-east-1:") and found["StreamARN"].endswith(f":stream/{STREAM}")
    assert "StreamId" not in found, "SDKs leave the endpoint override when they see a StreamId"
    description = client.describe_stream(StreamName=STREAM)["StreamDescription"]
    width = HASH_KEYS // SHARDS
    starts = [int(s["HashKeyRange"]["StartingHashKey"]) for s in description["Shards"]]
    same(starts, [i * width for i in range(SHARDS)], "starting hash keys")
    same([s["ShardId"] for s in description["Shards"]], [f"shardId-{i:012d}" for i in range(SHARDS)], "ids")
    tiles(description["Shards"])
    same(client.describe_stream(StreamARN=found["StreamARN"])["StreamDescription"]["StreamName"], STREAM, "by ARN")
    assert STREAM in client.list_streams(Limit=1000)["StreamNames"]


@case("list streams page by page")
def _():
    names, more = [], {}
    while True:
        page = client.list_streams(Limit=1, **more)
        names += page["StreamNames"]
        if not page["HasMoreStreams"]:
            break
        more = {"ExclusiveStartStreamName": names[-1]}
    assert STREAM in names and len(set(names)) == len(names), names


@case("streams are refused with Kinesis's errors")
def _():
    refused("ResourceInUseException", client.create_stream, StreamName=STREAM, ShardCount=1)
    message = refused("ValidationException", client.create_stream, StreamName="a stream", ShardCount=1)
    assert "streamName" in message and "regular expression" in message, message
    refused("ValidationException", client.create_stream, StreamName=unique("none"), ShardCount=0)
    message = refused("ResourceNotFoundException", client.describe_stream_summary, StreamName=unique("missing"))
    assert "not found" in message and "under account" in message, message
    refused("ResourceNotFoundException", client.put_record, StreamName=unique("missing"), Data=b"x", PartitionKey="k")
    refused("ResourceNotFoundException", client.delete_stream, StreamName=unique("missing"))


@case("put records one by one and many at once: routed by MD5, numbers go up")
def _():
    shards = open_shards(client, STREAM)
    last = {}

    def note(key, data, result):
        same(result["ShardId"], shard_of(shards, key), "shard")
        number = int(result["SequenceNumber"])
        assert number > last.get(result["ShardId"], 0), "sequence numbers must go up"
        last[result["ShardId"]] = number
        acked[(result["ShardId"], result["SequenceNumber"])] = (key, data)

    for i in range(30):
        key, data = f"key-{i % 10}", f"one-{i}".encode()
        note(key, data, client.put_record(StreamName=STREAM, Data=data, PartitionKey=key))
    batch = [{"PartitionKey": f"key-{i % 40}", "Data": f"many-{i} ".encode() * (i % 20)} for i in range(500)]
    answer = client.put_records(StreamName=STREAM, Records=batch)
    same((answer["FailedRecordCount"], len(answer["Records"])), (0, 500), "failed and all")
    for entry, result in zip(batch, answer["Records"]):
        note(entry["PartitionKey"], entry["Data"], result)
    same(len({len(number) for _, number in acked}), 1, "lengths of the numbers")


@case("an explicit hash key routes")
def _():
    for shard in open_shards(client, STREAM):
        for value in range_of(shard):
            result = client.put_record(StreamName=STREAM, Data=b"hash", PartitionKey="any", ExplicitHashKey=str(value))
            same(result["ShardId"], shard["ShardId"], f"shard of {value}")
            acked[(result["ShardId"], result["SequenceNumber"])] = ("any", b"hash")


@case("read everything from the trim horizon")
def _():
    found = {(s, r["SequenceNumber"]): (r["PartitionKey"], r["Data"]) for s, r in read_stream(client, STREAM)}
    same(found, acked, "records")
    for shard in open_shards(client, STREAM):
        numbers = [int(n) for s, n in found if s == shard["ShardId"]]
        same(numbers, sorted(numbers), "order in a shard")


@case("iterators of all five types")
def _():
    shard = open_shards(client, STREAM)[0]["ShardId"]
    numbers = [number for s, number in acked if s == shard]
    middle = len(numbers) // 2
    read = lambda **start: [r["SequenceNumber"] for r in read_shard(client, STREAM, shard, start)[0]]
    same(read(ShardIteratorType="TRIM_HORIZON"), numbers, "trim horizon")
    at = {"StartingSequenceNumber": numbers[middle]}
    same(read(ShardIteratorType="AT_SEQUENCE_NUMBER", **at), numbers[middle:], "at")
    same(read(ShardIteratorType="AFTER_SEQUENCE_NUMBER", **at), numbers[middle + 1 :], "after")
    same(read(ShardIteratorType="LATEST"), [], "latest")
    hour = datetime.timedelta(hours=1)
    now = datetime.datetime.now(datetime.timezone.utc)
    same(read(ShardIteratorType="AT_TIMESTAMP", Timestamp=now - hour), numbers, "an hour ago")
    time.sleep(1.1)
    mark = datetime.datetime.now(datetime.timezone.utc)
    result = client.put_record(StreamName=STREAM, Data=b"later", PartitionKey="any", ExplicitHashKey="0")
    acked[(shard, result["SequenceNumber"])] = ("any", b"later")
    same(read(ShardIteratorType="AT_TIMESTAMP", Timestamp=mark), [result["SequenceNumber"]], "at the mark")
    # The shard's own starting number is where it begins.
    start = all_shards(client, STREAM)[shard]["SequenceNumberRange"]["StartingSequenceNumber"]
    same(read(ShardIteratorType="AT_SEQUENCE_NUMBER", StartingSequenceNumber=start)[0], numbers[0], "at the start")


@case("a page ends at the limit and the next goes on")
def _():
    shard = open_shards(client, STREAM)[1]["ShardId"]
    expected = [number for s, number in acked if s == shard]
    iterator = client.get_shard_iterator(StreamName=STREAM, ShardId=shard, ShardIteratorType="TRIM_HORIZON")["ShardIterator"]
    found = []
    while len(found) < len(expected):
        page = client.get_records(ShardIterator=iterator, Limit=7)
        assert 0 < len(page["Records"]) <= 7
        found += [r["SequenceNumber"] for r in page["Records"]]
        iterator = page["NextShardIterator"]
        assert len(iterator) <= 512
    same(found, expected, "numbers")


@case("latest sees what is put after it")
def _():
    shard = open_shards(client, STREAM)[0]["ShardId"]
    iterator = client.get_shard_iterator(StreamName=STREAM, ShardId=shard, ShardIteratorType="LATEST")["ShardIterator"]
    page = client.get_records(ShardIterator=iterator)
    same((page["Records"], page["MillisBehindLatest"]), ([], 0), "tip")
    result = client.put_record(StreamName=STREAM, Data=b"new", PartitionKey="any", ExplicitHashKey="0")
    acked[(shard, result["SequenceNumber"])] = ("any", b"new")
    page = client.get_records(ShardIterator=page["NextShardIterator"])
    same([r["SequenceNumber"] for r in page["Records"]], [result["SequenceNumber"]], "new record")


@case("wrong iterators and positions are refused")
def _():
    first, second = (s["ShardId"] for s in open_shards(client, STREAM)[:2])
    number = next(n for s, n in acked if s == second)
    get = lambda kind, shard=first, **more: dict(StreamName=STREAM, ShardId=shard, ShardIteratorType=kind, **more)
    iterator = client.get_shard_iterator
    refused("InvalidArgumentException", client.get_records, ShardIterator="AAAAgarbage")
    good = iterator(**get("LATEST"))["ShardIterator"]
    middle = len(good) // 2
    forged = good[:middle] + ("A" if good[middle] != "A" else "B") + good[middle + 1 :]
    refused("InvalidArgumentException", client.get_records, ShardIterator=forged)
    refused("InvalidArgumentException", iterator, **get("AT_SEQUENCE_NUMBER", StartingSequenceNumber=number))
    refused("InvalidArgumentException", iterator, **get("AT_SEQUENCE_NUMBER", StartingSequenceNumber="12345"))
    refused("InvalidArgumentException", iterator, **get("AT_SEQUENCE_NUMBER"))
    refused("InvalidArgumentException", iterator, **get("AT_TIMESTAMP"))
    future = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(hours=2)
    refused("InvalidArgumentException", iterator, **get("AT_TIMESTAMP", Timestamp=future))
    refused("ValidationException", iterator, **get("SOMEWHERE"))
    refused("ResourceNotFoundException", iterator, **get("LATEST", "shardId-000000000099"))
    refused(("InvalidArgumentException", "ValidationException"), client.get_records, ShardIterator=good, Limit=10001)
    refused("ValidationException", client.get_records, ShardIterator=good, Limit=0)


@case("wrong records are refused")
def _():
    put = lambda **more: dict(StreamName=STREAM, **{"Data": b"x", "PartitionKey": "k", **more})
    too_large = ("ValidationException", "InvalidArgumentException")
    refused(too_large, client.put_record, **put(Data=b"x" * (1024 * 1024 + 1)))
    refused("ValidationException", client.put_record, **put(PartitionKey="k" * 257))
    refused("ValidationException", client.put_record, **put(PartitionKey=""))
    message = refused("InvalidArgumentException", client.put_record, **put(ExplicitHashKey=str(HASH_KEYS)))
    assert str(HASH_KEYS) in message, message
    refused("ValidationException", client.put_record, **put(ExplicitHashKey="-1"))
    records = [{"Data": b"x", "PartitionKey": "k"}]
    message = refused("ValidationException", client.put_records, StreamName=STREAM, Records=records * 501)
    assert "less than or equal to 500" in message, message
    refused("ValidationException", client.put_records, StreamName=STREAM, Records=[])
    # The largest allowed record, and data of no bytes, are taken.
    for data in (b"x" * (1024 * 1024 - 1), b""):
        result = client.put_record(**put(Data=data))
        acked[(result["ShardId"], result["SequenceNumber"])] = ("k", data)
    found = {(s, r["SequenceNumber"]): (r["PartitionKey"], r["Data"]) for s, r in read_stream(client, STREAM)}
    same(len(found), len(acked), "records")
    assert found == acked, "nothing refused was written"


@case("split and merge: lineage, shard end, child shards")
def _():
    stream = made("lineage", 2)
    first, second = open_shards(client, stream)
    keys = [f"key-{i}" for i in range(60)]
    order = {key: [] for key in keys}

    def put_all(round_):
        for key in keys:
            data = f"{round_}".encode()
            client.put_record(StreamName=stream, PartitionKey=key, Data=data)
            order[key].append(data)

    put_all(1)
    low, high = range_of(first)
    refused("InvalidArgumentException", client.split_shard, StreamName=stream, ShardToSplit=first["ShardId"], NewStartingHashKey=str(high + 5))
    refused("InvalidArgumentException", client.split_shard, StreamName=stream, ShardToSplit=first["ShardId"], NewStartingHashKey=str(low))
    refused("ResourceNotFoundException", client.split_shard, StreamName=stream, ShardToSplit="shardId-000000000077", NewStartingHashKey="5")
    split(client, stream, first)
    put_all(2)
    shards = all_shards(client, stream)
    same(sorted(shards), [f"shardId-{i:012d}" for i in range(4)], "ids")
    lower, upper = shards["shardId-000000000002"], shards["shardId-000000000003"]
    same((range_of(lower)[0], range_of(upper)[1]), (low, high), "outer ends")
    same(range_of(lower)[1] + 1, range_of(upper)[0], "inner ends")
    for child in (lower, upper):
        same((child["ParentShardId"], child.get("AdjacentParentShardId")), (first["ShardId"], None), "parents")
    assert "EndingSequenceNumber" in shards[first["ShardId"]]["SequenceNumberRange"]
    _, children = read_shard(client, stream, first["ShardId"])
    same(sorted(children), [lower["ShardId"], upper["ShardId"]], "child shards")
    # A closed shard has no new records: LATEST on it ends at once.
    same(read_shard(client, stream, first["ShardId"], {"ShardIteratorType": "LATEST"})[0], [], "latest on a closed shard")
    # kinesalite's captures say ResourceInUse or InvalidArgument depending on the year; both are final for a client.
    refused(("InvalidArgumentException", "ResourceInUseException"), client.split_shard, StreamName=stream, ShardToSplit=first["ShardId"], NewStartingHashKey=str((low + high) // 2))
    refused("InvalidArgumentException", client.merge_shards, StreamName=stream, ShardToMerge=lower["ShardId"], AdjacentShardToMerge=second["ShardId"])
    client.merge_shards(StreamName=stream, ShardToMerge=lower["ShardId"], AdjacentShardToMerge=upper["ShardId"])
    wait_active(client, stream)
    put_all(3)
    merged = all_shards(client, stream)["shardId-000000000004"]
    same((merged["ParentShardId"], merged["AdjacentParentShardId"]), (lower["ShardId"], upper["ShardId"]), "parents")
    same(range_of(merged), (low, high), "range")
    for parent in (lower, upper):
        same(read_shard(client, stream, parent["ShardId"])[1], [merged["ShardId"]], "child of a merge")
    tiles(open_shards(client, stream))
    found = {key: [] for key in keys}
    for _, record in read_stream(client, stream):
        found[record["PartitionKey"]].append(record["Data"])
    same(found, order, "order per key, parents before children")
    client.delete_stream(StreamName=stream)


@case("ListShards filters")
def _():
    stream = made("filters", 2)
    time.sleep(1.2)
    before = datetime.datetime.now(datetime.timezone.utc)
    time.sleep(1.2)
    split(client, stream, open_shards(client, stream)[0])
    listed = lambda **filter_: client.list_shards(StreamName=stream, ShardFilter=filter_)["Shards"]
    same(sorted(s["ShardId"] for s in listed(Type="AT_LATEST")), [f"shardId-{i:012d}" for i in (1, 2, 3)], "AT_LATEST")
    same(len(listed(Type="FROM_TRIM_HORIZON")), 4, "FROM_TRIM_HORIZON")
    same(sorted(s["ShardId"] for s in listed(Type="AT_TRIM_HORIZON")), [f"shardId-{i:012d}" for i in (0, 1)], "AT_TRIM_HORIZON")
    same(sorted(s["ShardId"] for s in listed(Type="AT_TIMESTAMP", Timestamp=before)), [f"shardId-{i:012d}" for i in (0, 1)], "AT_TIMESTAMP")
    same(len(listed(Type="FROM_TIMESTAMP", Timestamp=before)), 4, "FROM_TIMESTAMP")
    same([s["ShardId"] for s in listed(Type="AFTER_SHARD_ID", ShardId="shardId-000000000001")], [f"shardId-{i:012d}" for i in (2, 3)], "AFTER_SHARD_ID")
    for kind in ("AT_LATEST", "AT_TRIM_HORIZON"):
        tiles(listed(Type=kind))
    page = client.list_shards(StreamName=stream, MaxResults=3)
    rest = client.list_shards(NextToken=page["NextToken"])
    same(len(page["Shards"]) + len(rest["Shards"]), 4, "both pages")
    refused(("InvalidArgumentException", "ValidationException"), client.list_shards, NextToken=page["NextToken"], StreamName=stream)
    client.delete_stream(StreamName=stream)


@case("UpdateShardCount up and down: ranges even, nothing lost")
def _():
    stream = made("count", 2)
    sent = set()
    for target in (4, 3, 6, 3, 2):
        for i in range(40):
            data = f"{target}-{i}-{len(sent)}".encode()
            client.put_record(StreamName=stream, PartitionKey=f"k{i}", Data=data)
            sent.add(data)
        client.update_shard_count(StreamName=stream, TargetShardCount=target, ScalingType="UNIFORM_SCALING")
        wait_active(client, stream)
        shards = open_shards(client, stream)
        width = HASH_KEYS // target
        same([range_of(s)[0] for s in shards], [i * width for i in range(target)], "starting hash keys")
        tiles(shards)
    found = [r["Data"] for _, r in read_stream(client, stream)]
    same((len(found), set(found)), (len(sent), sent), "records")
    client.delete_stream(StreamName=stream)


@case("reshard under load of four writers: no error, once each, in order per key")
def _():
    stream = made("load", 2)
    written = [[] for _ in range(4)]

    def writer(number):
        own = kinesis_client(retries={"mode": "standard", "total_max_attempts": 1})

        def load(stopping):
            i = 0
            while not stopping.is_set() and i < 400:
                records = [{"PartitionKey": f"{number}-{n % 16}", "Data": f"{i * 50 + n}".encode()} for n in range(50)]
                answer = own.put_records(StreamName=stream, Records=records)
                same(answer["FailedRecordCount"], 0, "failed records")
                for entry, result in zip(records, answer["Records"]):
                    written[number].append((result["ShardId"], result["SequenceNumber"], entry["PartitionKey"], entry["Data"]))
                i += 1

        return Background(load)

    writers = [writer(number) for number in range(4)]
    time.sleep(0.5)
    split(client, stream, open_shards(client, stream)[0])
    time.sleep(0.3)
    left, right = open_shards(client, stream)[:2]
    client.merge_shards(StreamName=stream, ShardToMerge=left["ShardId"], AdjacentShardToMerge=right["ShardId"])
    wait_active(client, stream)
    client.update_shard_count(StreamName=stream, TargetShardCount=4, ScalingType="UNIFORM_SCALING")
    wait_active(client, stream)
    time.sleep(0.5)
    for one in writers:
        one.stop()
    expected, per_key = {}, {}
    for records in written:
        for shard, number, key, data in records:
            expected[(shard, number)] = (key, data)
            per_key.setdefault(key, []).append(data)
    found, found_per_key = {}, {}
    for shard, record in read_stream(client, stream):
        place = (shard, record["SequenceNumber"])
        assert place not in found, f"{place} was read twice"
        found[place] = (record["PartitionKey"], record["Data"])
        found_per_key.setdefault(record["PartitionKey"], []).append(record["Data"])
    same(len(found), len(expected), "records")
    assert found == expected, "records differ"
    same(found_per_key, per_key, "order per key")
    assert len({shard for shard, _ in found}) >= 6, "the load met every reshard"
    client.delete_stream(StreamName=stream)


@case("retention period")
def _():
    client.increase_stream_retention_period(StreamName=STREAM, RetentionPeriodHours=48)
    same(summary()["RetentionPeriodHours"], 48, "hours")
    refused("InvalidArgumentException", client.increase_stream_retention_period, StreamName=STREAM, RetentionPeriodHours=24)
    client.decrease_stream_retention_period(StreamName=STREAM, RetentionPeriodHours=24)
    same(summary()["RetentionPeriodHours"], 24, "hours")
    refused(("InvalidArgumentException", "ValidationException"), client.increase_stream_retention_period, StreamName=STREAM, RetentionPeriodHours=9000)


@case("tags and limits")
def _():
    client.add_tags_to_stream(StreamName=STREAM, Tags={"team": "log", "cost": "low"})
    tags = lambda: {t["Key"]: t["Value"] for t in client.list_tags_for_stream(StreamName=STREAM)["Tags"]}
    same(tags(), {"team": "log", "cost": "low"}, "tags")
    client.remove_tags_from_stream(StreamName=STREAM, TagKeys=["cost"])
    same(tags(), {"team": "log"}, "tags")
    limits = client.describe_limits()
    assert limits["ShardLimit"] >= limits["OpenShardCount"] >= SHARDS, limits


@case("requests without a proper signature are refused as AWS does")
def _():
    address = urllib.parse.urlparse(KINESIS)

    def post(**headers):
        connection = http.client.HTTPConnection(address.hostname, address.port, timeout=10)
        headers = {"Content-Type": "application/x-amz-json-1.1", "X-Amz-Target": "Kinesis_20131202.ListStreams", **headers}
        connection.request("POST", "/", body=b"{}", headers=headers)
        response = connection.getresponse()
        body = response.read().decode()
        return response.status, json.loads(body)["__type"].rpartition("#")[2]

    same(post(), (400, "MissingAuthenticationTokenException"), "no signature")
    status, kind = post(Authorization="AWS4-HMAC-SHA256 Credential=a/b")
    same(kind, "IncompleteSignatureException", "incomplete signature")
    assert status in (400, 403), status


@case("the same shard is the same Kafka partition: records, offsets, keys", kafka=True)
def _():
    from confluent_kafka import OFFSET_BEGINNING, Consumer, TopicPartition

    reader = Consumer({"bootstrap.servers": KAFKA, "group.id": unique("reader"), "auto.offset.reset": "earliest"})
    reader.assign([TopicPartition(STREAM, p, OFFSET_BEGINNING) for p in range(SHARDS)])
    found = {}
    idle = 0
    while len(found) < len(acked):
        page = reader.consume(500, timeout=0.5)
        idle = 0 if page else idle + 1
        assert idle < 20, f"{len(found)} of {len(acked)} records"
        for message in page:
            assert not message.error(), message.error()
            found[(message.partition(), message.offset())] = (message.key().decode(), message.value())
    reader.close()
    expected = {}
    for (shard, number), record in acked.items():
        parts = decode_sequence_number(number)
        same(int(shard[-12:]), parts["shard"], "shard index in the number")
        expected[(parts["shard"], parts["index"] - 1)] = record
    assert found == expected, "records differ between the two faces"


@case("records of a Kafka producer are read through Kinesis: keys of every kind", kafka=True)
def _():
    from confluent_kafka import Producer

    stream = made("kafka", 1)
    keys = ["plain", "with ünicode", None, "", b"\xff\xfe\x00", "long " * 100]
    writer = Producer({"bootstrap.servers": KAFKA, "compression.type": "zstd", "linger.ms": 100})
    for i, key in enumerate(keys):
        writer.produce(stream, f"value-{i}", key, partition=0)
    same(writer.flush(20), 0, "left")
    writer.produce(stream, None, "tombstone", partition=0)
    same(writer.flush(20), 0, "left")
    records = [record for _, record in read_stream(client, stream)]
    same([r["Data"] for r in records], [f"value-{i}".encode() for i in range(len(keys))] + [b""], "data")
    same([offset_of(r["SequenceNumber"]) for r in records], list(range(len(keys) + 1)), "offsets")
    found = [r["PartitionKey"] for r in records]
    same(found[:2], ["plain", "with ünicode"], "keys that Kinesis can show")
    assert all(1 <= len(key) <= 256 for key in found), found
    assert len(set(found)) >= 5, "keys stay apart"
    client.delete_stream(StreamName=stream)


@case("delete a stream")
def _():
    shard = open_shards(client, STREAM)[0]["ShardId"]
    iterator = client.get_shard_iterator(StreamName=STREAM, ShardId=shard, ShardIteratorType="LATEST")["ShardIterator"]
    client.delete_stream(StreamName=STREAM)

    def gone():
        try:
            summary()
        except ClientError as error:
            same(error.response["Error"]["Code"], "ResourceNotFoundException", "code")
            return True

    eventually(gone, what="stream gone")
    refused("ResourceNotFoundException", client.get_records, ShardIterator=iterator)
    # The same name again is another stream: old iterators do not read it.
    client.create_stream(StreamName=STREAM, ShardCount=1)
    wait_active(client, STREAM)
    refused("ResourceNotFoundException", client.get_records, ShardIterator=iterator)
    client.delete_stream(StreamName=STREAM)


main()
