"""The whole round with kafka-python: newest and 2.0.2 (the most deployed) run this same program."""

import time

import kafka
from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka import errors
from kafka.admin import ConfigResource, ConfigResourceType, KafkaAdminClient, NewPartitions, NewTopic

from kolk_compat import *

TOPIC = unique("kafka-python")
PARTITIONS = 3
COUNT = 600
OLD = kafka.__version__.startswith("2.0.")
print(f"kafka-python {kafka.__version__}")

admin = KafkaAdminClient(bootstrap_servers=KAFKA)
# (partition, offset) -> (key, value): what the producer was told.
acked = {}
times = {}


def consumer(topic=None, **config):
    config = {"auto_offset_reset": "earliest", "enable_auto_commit": False, "consumer_timeout_ms": 5000, **config}
    return KafkaConsumer(*([topic] if topic else []), bootstrap_servers=KAFKA, **config)


def read_all(topic, **config):
    """All records up to the end offsets of this moment."""
    reader = consumer(**config)
    try:
        # Topics made by others may need a moment to be seen.
        parts = eventually(lambda: reader.partitions_for_topic(topic), what="partitions known")
        parts = [TopicPartition(topic, p) for p in sorted(parts)]
        reader.assign(parts)
        reader.seek_to_beginning(*parts)
        ends = reader.end_offsets(parts)
        records = []
        while any(reader.position(p) < ends[p] for p in parts):
            page = reader.poll(timeout_ms=5000)
            assert page, f"no records, positions {[reader.position(p) for p in parts]} ends {ends}"
            for batch in page.values():
                records.extend(batch)
        return records
    finally:
        reader.close()


@case("create topic")
def _():
    admin.create_topics([NewTopic(TOPIC, PARTITIONS, 1, topic_configs={"retention.ms": "172800000"})])
    reader = consumer()
    same(eventually(lambda: reader.partitions_for_topic(TOPIC)), set(range(PARTITIONS)), "partitions")
    reader.close()


@case("create existing topic is refused")
def _():
    raises(errors.TopicAlreadyExistsError, admin.create_topics, [NewTopic(TOPIC, 1, 1)])


@case("invalid topics are refused")
def _():
    raises(errors.InvalidTopicError, admin.create_topics, [NewTopic("a topic with spaces", 1, 1)])
    raises(errors.InvalidPartitionsError, admin.create_topics, [NewTopic(unique("none"), 0, 1)])
    refused = (getattr(errors, "InvalidConfigurationError", errors.KafkaError), errors.KafkaError)
    raises(refused, admin.create_topics, [NewTopic(unique("bad"), 1, 1, topic_configs={"retention.ms": "soon"})])


@case("produce with every codec, keys and headers")
def _():
    codecs = [None, "gzip", "snappy", "lz4"] + ([] if OLD else ["zstd"])
    for number, codec in enumerate(codecs):
        producer = KafkaProducer(bootstrap_servers=KAFKA, acks="all", compression_type=codec, linger_ms=5)
        futures = []
        for i in range(number * COUNT // len(codecs), (number + 1) * COUNT // len(codecs)):
            key, value = f"key-{i % 50}".encode(), f"value-{i} ".encode() * (1 + i % 7)
            futures.append((key, value, producer.send(TOPIC, value, key, headers=[("n", str(i).encode())])))
        producer.flush(30)
        for key, value, future in futures:
            meta = future.get(10)
            place = (meta.partition, meta.offset)
            assert place not in acked, f"{place} was acked twice"
            acked[place] = (key, value)
            times[place] = meta.timestamp
        producer.close()
        time.sleep(0.02)
    for partition in range(PARTITIONS):
        offsets = sorted(o for p, o in acked if p == partition)
        same(offsets, list(range(len(offsets))), f"offsets of partition {partition}")


@case("consume all from the beginning")
def _():
    found = {}
    for record in read_all(TOPIC):
        place = (record.partition, record.offset)
        assert place not in found
        found[place] = (record.key, record.value)
        same(record.timestamp, times[place], "timestamp")
        same(record.headers[0][0], "n", "header")
    same(found, acked, "records")


@case("begin and end offsets, offsets by time")
def _():
    reader = consumer()
    parts = [TopicPartition(TOPIC, p) for p in range(PARTITIONS)]
    counts = {p: sum(1 for q, _ in acked if q == p.partition) for p in parts}
    same(reader.beginning_offsets(parts), {p: 0 for p in parts}, "beginning")
    same(reader.end_offsets(parts), counts, "end")
    for p in parts:
        middle = counts[p] // 2
        wanted = times[(p.partition, middle)]
        first = min(o for (q, o), t in times.items() if q == p.partition and t >= wanted)
        found = reader.offsets_for_times({p: wanted})[p]
        same((found.offset, found.timestamp >= wanted), (first, True), "offset by time")
        same(reader.offsets_for_times({p: int(time.time() * 1000) + 3600000})[p], None, "offset by future time")
    reader.close()


@case("replay from an offset")
def _():
    reader = consumer()
    part = TopicPartition(TOPIC, 1)
    reader.assign([part])
    start = 17
    reader.seek(part, start)
    record = next(reader)
    same((record.offset, record.key, record.value), (start, *acked[(1, start)]), "record")
    reader.close()


@case("offset out of range")
def _():
    reader = consumer(auto_offset_reset="none")
    part = TopicPartition(TOPIC, 0)
    reader.assign([part])
    reader.seek(part, 10_000_000)
    refused = (errors.OffsetOutOfRangeError, getattr(errors, "NoOffsetForPartitionError", errors.OffsetOutOfRangeError))
    raises(refused, lambda: [reader.poll(timeout_ms=1000) for _ in range(10)])
    reader.close()
    # The same position with a reset policy starts over.
    reader = consumer()
    reader.assign([part])
    reader.seek(part, 10_000_000)
    same(next(reader).offset, 0, "offset after the reset")
    reader.close()


@case("group: commit, resume, lag")
def _():
    group = unique("group")
    reader = consumer(TOPIC, group_id=group)
    seen = [next(reader) for _ in range(100)]
    reader.commit()
    reader.close()
    reader = consumer(TOPIC, group_id=group)
    rest = list(iter(lambda: next(reader, None), None))
    places = [(r.partition, r.offset) for r in seen + rest]
    same(sorted(places), sorted(acked), "records over both members")
    reader.commit()
    reader.close()
    key = lambda offsets: {(tp.partition, value.offset) for tp, value in offsets.items()}
    committed = admin.list_group_offsets(group) if hasattr(admin, "list_group_offsets") else admin.list_consumer_group_offsets(group)
    if group in committed:
        committed = committed[group]
    same(key(committed), {(p, sum(1 for q, _ in acked if q == p)) for p in range(PARTITIONS)}, "committed")


@case("group: two members share the partitions")
def _():
    group = unique("group")
    assigned = {}

    def member(name):
        def poll(stopping):
            reader = consumer(TOPIC, group_id=group)
            while not stopping.is_set():
                reader.poll(timeout_ms=500)
                assigned[name] = {part.partition for part in reader.assignment()}
            reader.close()
            assigned[name] = set()

        return Background(poll)

    everything = set(range(PARTITIONS))
    first = member("first")
    eventually(lambda: assigned.get("first") == everything, what="first member has all")
    second = member("second")

    def shared():
        a, b = assigned["first"], assigned.get("second", set())
        return a and b and not a & b and a | b == everything

    eventually(shared, what="disjoint assignment")
    groups = admin.list_groups() if hasattr(admin, "list_groups") else admin.list_consumer_groups()
    assert group in str(groups), f"{group} is not listed"
    second.stop()
    eventually(lambda: assigned["first"] == everything, what="the first member takes over")
    first.stop()


@case("unknown topic is created on first use")
def _():
    topic = unique("auto")
    producer = KafkaProducer(bootstrap_servers=KAFKA, acks="all")
    meta = producer.send(topic, b"first").get(20)
    same((meta.partition, meta.offset), (0, 0), "place")
    producer.close()
    admin.delete_topics([topic])


@case("too large record is refused and the producer goes on")
def _():
    producer = KafkaProducer(bootstrap_servers=KAFKA, acks="all", max_request_size=10_000_000, retries=0)
    refused = producer.send(TOPIC, b"x" * 2_000_000, b"big", partition=0)
    raises(errors.MessageSizeTooLargeError, refused.get, 20)
    meta = producer.send(TOPIC, b"small", b"after", partition=0).get(20)
    acked[(meta.partition, meta.offset)] = (b"after", b"small")
    producer.close()


@case("a transactional producer is refused at once or works")
def _():
    if OLD:
        return  # knows no transactions
    producer = KafkaProducer(bootstrap_servers=KAFKA, transactional_id=unique("tx"), max_block_ms=20_000)
    try:
        producer.init_transactions()
    except errors.KafkaTimeoutError:
        raise AssertionError("the refusal was retried for ever")
    except errors.KafkaError as refused:
        print(f"refused with {refused!r}")
        return
    else:
        producer.begin_transaction()
        producer.send(unique("tx-topic"), b"x").get(20)
        producer.commit_transaction()
    finally:
        producer.close(timeout=5)


@case("topic configs: describe, alter, describe")
def _():
    resource = ConfigResource(ConfigResourceType.TOPIC, TOPIC)
    assert "172800000" in str(admin.describe_configs([resource]))
    admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, TOPIC, configs={"retention.ms": "259200000"})])
    eventually(lambda: "259200000" in str(admin.describe_configs([resource])), what="new retention")


@case("read back through Kinesis: every record, offset = sequence index - 1", kinesis=True)
def _():
    check_kinesis_copy(kinesis_client(), TOPIC, acked)


@case("Kinesis sees the topic's retention", kinesis=True)
def _():
    summary = kinesis_client().describe_stream_summary(StreamName=TOPIC)["StreamDescriptionSummary"]
    same((summary["RetentionPeriodHours"], summary["OpenShardCount"]), (72, PARTITIONS), "hours and shards")


@case("records put through Kinesis are read by kafka-python", kinesis=True)
def _():
    client, expected = kinesis_client(), {}
    for i in range(0, 100, 20):
        batch = [{"Data": f"put-{n}".encode(), "PartitionKey": f"pk-{n % 7}"} for n in range(i, i + 20)]
        for entry, result in zip(batch, client.put_records(StreamName=TOPIC, Records=batch)["Records"]):
            parts = decode_sequence_number(result["SequenceNumber"])
            expected[(parts["shard"], parts["index"] - 1)] = (entry["PartitionKey"].encode(), entry["Data"])
    found = {(r.partition, r.offset): (r.key, r.value) for r in read_all(TOPIC)}
    for place, record in expected.items():
        same(found.get(place), record, f"record {place}")
    acked.update(expected)
    same(found, acked, "all records of both writers")


def growth_under_load(grow, partitions_after):
    """Kafka producers write while the topic grows: no error, no loss, nothing twice."""
    topic = unique("grow")
    admin.create_topics([NewTopic(topic, 2, 1)])
    sent = {}
    errors_seen = []

    def load(stopping):
        producer = KafkaProducer(bootstrap_servers=KAFKA, acks="all", linger_ms=2, metadata_max_age_ms=500)
        i = 0
        while not stopping.is_set() and i < 20000:
            future = producer.send(topic, str(i).encode(), f"k{i % 40}".encode())
            future.add_callback(lambda meta, n=i: sent.update({n: (meta.partition, meta.offset)}))
            future.add_errback(errors_seen.append)
            i += 1
            time.sleep(0.0005)
        producer.flush(30)
        producer.close()

    background = Background(load)
    time.sleep(0.5)
    grow(topic)
    eventually(lambda: len({p for p, _ in list(sent.values())}) >= partitions_after, what="writes to all partitions")
    background.stop()
    same(errors_seen, [], "producer errors")
    found = {int(r.value): (r.partition, r.offset) for r in read_all(topic)}
    same(found, sent, "records")
    same(len({p for p, _ in sent.values()}), partitions_after, "partitions written to")
    return topic, sent


@case("CreatePartitions under load: no producer error, nothing lost or twice")
def _():
    growth_under_load(lambda topic: admin.create_partitions({topic: NewPartitions(4)}), 4)


@case("SplitShard under load: no producer error, nothing lost or twice on both sides", kinesis=True)
def _():
    client = kinesis_client()

    def split_both(topic):
        for shard in open_shards(client, topic):
            split(client, topic, shard)

    topic, sent = growth_under_load(split_both, 4)
    found = [int(record["Data"]) for _, record in read_stream(client, topic)]
    same(sorted(found), sorted(sent), "records read through Kinesis, parents before children")


if not OLD:

    @case("DeleteRecords moves the beginning")
    def _():
        part = TopicPartition(TOPIC, 2)
        admin.delete_records({part: 10})
        reader = consumer()
        same(reader.beginning_offsets([part])[part], 10, "beginning")
        reader.close()


@case("delete topic")
def _():
    admin.delete_topics([TOPIC])
    eventually(lambda: TOPIC not in admin.list_topics(), what="topic gone")
    raises(errors.UnknownTopicOrPartitionError, admin.delete_topics, [TOPIC])


main()
