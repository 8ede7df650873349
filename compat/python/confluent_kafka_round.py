"""The whole round with confluent-kafka: librdkafka from its wheel, idempotent producer on by default here."""

import confluent_kafka
from confluent_kafka import Consumer, ConsumerGroupTopicPartitions, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka import OFFSET_BEGINNING, OFFSET_END
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewPartitions,
    NewTopic,
    OffsetSpec,
)

from kolk_compat import *

TOPIC = unique("confluent")
PARTITIONS = 3
COUNT = 1000
print(f"confluent-kafka {confluent_kafka.__version__}, librdkafka {confluent_kafka.libversion()[0]}")

admin = AdminClient({"bootstrap.servers": KAFKA})
acked = {}
times = {}


def wait(futures):
    """Waits for all futures of an admin call and answers their results."""
    return {key: future.result(20) for key, future in futures.items()}


def code_of(error):
    return error.args[0].code()


def producer(**config):
    return Producer({"bootstrap.servers": KAFKA, "enable.idempotence": True, "linger.ms": 5, **config})


def consumer(group=None, **config):
    return Consumer(
        {
            "bootstrap.servers": KAFKA,
            "group.id": group or unique("unused"),
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
            **config,
        }
    )


def partitions_of(topic):
    return sorted(admin.list_topics(topic, timeout=10).topics[topic].partitions)


def read_all(topic):
    """All messages up to the end offsets of this moment."""
    reader = consumer()
    ends = {p: reader.get_watermark_offsets(TopicPartition(topic, p), timeout=10)[1] for p in partitions_of(topic)}
    reader.assign([TopicPartition(topic, p, OFFSET_BEGINNING) for p in ends])
    messages, left = [], sum(ends.values())
    idle = 0
    while len(messages) < left:
        page = reader.consume(1000, timeout=1)
        idle = 0 if page else idle + 1
        assert idle < 20, f"{len(messages)} of {left} messages after 20 s without any"
        for message in page:
            assert not message.error(), message.error()
            messages.append(message)
    reader.close()
    return messages


@case("create topic")
def _():
    wait(admin.create_topics([NewTopic(TOPIC, PARTITIONS, 1, config={"retention.ms": "172800000"})]))
    same(partitions_of(TOPIC), list(range(PARTITIONS)), "partitions")


@case("topics are refused with Kafka's errors")
def _():
    for topic, code in [
        (NewTopic(TOPIC, 1, 1), KafkaError.TOPIC_ALREADY_EXISTS),
        (NewTopic("a topic", 1, 1), KafkaError.TOPIC_EXCEPTION),
        (NewTopic(unique("bad"), 1, 1, config={"no.such.config": "1"}), KafkaError.INVALID_CONFIG),
        (NewTopic(unique("bad"), 1, 1, config={"retention.ms": "soon"}), KafkaError.INVALID_CONFIG),
    ]:
        error = raises(KafkaException, wait, admin.create_topics([topic]))
        same(code_of(error), code, f"code for {topic}")
    error = raises(KafkaException, wait, admin.delete_topics([unique("no-topic")]))
    same(code_of(error), KafkaError.UNKNOWN_TOPIC_OR_PART, "code")


@case("produce with every codec, idempotent, with headers")
def _():
    codecs = ["none", "gzip", "snappy", "lz4", "zstd"]
    for number, codec in enumerate(codecs):
        writer = producer(**{"compression.type": codec})
        failures = []

        def done(error, message):
            if error:
                failures.append(error)
                return
            place = (message.partition(), message.offset())
            assert place not in acked, f"{place} was acked twice"
            acked[place] = (message.key(), message.value())
            times[place] = message.timestamp()[1]

        for i in range(number * COUNT // len(codecs), (number + 1) * COUNT // len(codecs)):
            writer.produce(
                TOPIC, f"value-{i} ".encode() * (1 + i % 7), f"key-{i % 50}".encode(), on_delivery=done, headers={"n": str(i)}
            )
        same(writer.flush(30), 0, "messages left")
        same(failures, [], "failures")
    same(len(acked), COUNT, "acked")


@case("consume all from the beginning")
def _():
    found = {}
    for message in read_all(TOPIC):
        place = (message.partition(), message.offset())
        assert place not in found, f"{place} was read twice"
        found[place] = (message.key(), message.value())
        same(message.timestamp()[1], times[place], "timestamp")
        same(message.headers()[0][0], "n", "header")
    same(found, acked, "messages")


@case("offsets: earliest, latest, by time, of the largest timestamp")
def _():
    part = TopicPartition(TOPIC, 1)
    count = sum(1 for p, _ in acked if p == 1)
    offset = lambda spec: wait(admin.list_offsets({part: spec}))[part].offset
    same((offset(OffsetSpec.earliest()), offset(OffsetSpec.latest())), (0, count), "ends")
    wanted = times[(1, count // 2)]
    first = min(o for (p, o), t in times.items() if p == 1 and t >= wanted)
    same(offset(OffsetSpec.for_timestamp(wanted)), first, "by time")
    newest = max(t for (p, _), t in times.items() if p == 1)
    same(times[(1, offset(OffsetSpec.max_timestamp()))], newest, "time of the largest timestamp")
    reader = consumer()
    same(reader.offsets_for_times([TopicPartition(TOPIC, 1, wanted)], timeout=10)[0].offset, first, "by time, consumer")
    reader.close()


@case("replay from an offset; out of range resets or fails as configured")
def _():
    reader = consumer()
    reader.assign([TopicPartition(TOPIC, 2, 11)])
    message = reader.poll(10)
    same((message.offset(), message.value()), (11, acked[(2, 11)][1]), "message")
    reader.close()
    reader = consumer(**{"auto.offset.reset": "error"})
    reader.assign([TopicPartition(TOPIC, 2, 1_000_000)])
    message = eventually(lambda: reader.poll(1), what="an error")
    assert message.error() and message.error().code() in (KafkaError._AUTO_OFFSET_RESET, KafkaError.OFFSET_OUT_OF_RANGE), message.error()
    reader.close()


@case("end of partition and long poll at the tip")
def _():
    reader = consumer(**{"enable.partition.eof": True})
    reader.assign([TopicPartition(TOPIC, 0, OFFSET_END)])
    message = reader.poll(10)
    same(message.error().code(), KafkaError._PARTITION_EOF, "end of partition")
    writer = producer(**{"linger.ms": 0})
    writer.produce(TOPIC, b"late", b"late", partition=0, on_delivery=lambda e, m: acked.update({(0, m.offset()): (b"late", b"late")}))
    same(writer.flush(10), 0, "left")
    message = eventually(lambda: reader.poll(1), what="the late message")
    same(message.value(), b"late", "value")
    reader.close()


def consume_group(group, count, **config):
    reader = consumer(group, **config)
    reader.subscribe([TOPIC])
    messages = []
    while len(messages) < count:
        page = reader.consume(min(100, count - len(messages)), timeout=10)
        assert page, f"{len(messages)} of {count}"
        messages.extend(page)
    return reader, [(m.partition(), m.offset()) for m in messages]


@case("group: commit, resume, describe, list, alter offsets, delete")
def _():
    group = unique("group")
    reader, first = consume_group(group, 300)
    reader.commit(asynchronous=False)
    described = wait(admin.describe_consumer_groups([group]))[group]
    same((described.state.name, len(described.members)), ("STABLE", 1), "state and members")
    assert group in [g.group_id for g in admin.list_consumer_groups().result(10).valid], "not listed"
    error = raises(KafkaException, wait, admin.delete_consumer_groups([group]))
    same(code_of(error), KafkaError.NON_EMPTY_GROUP, "code")
    reader.close()
    reader, rest = consume_group(group, len(acked) - 300)
    same(sorted(first + rest), sorted(acked), "messages over both members")
    reader.commit(asynchronous=False)
    reader.close()
    target = ConsumerGroupTopicPartitions(group, [TopicPartition(TOPIC, 0, 5)])
    eventually(lambda: wait(admin.describe_consumer_groups([group]))[group].state.name == "EMPTY", what="empty group")
    wait(admin.alter_consumer_group_offsets([target]))
    committed = wait(admin.list_consumer_group_offsets([ConsumerGroupTopicPartitions(group)]))[group]
    offsets = {p.partition: p.offset for p in committed.topic_partitions}
    same(offsets, {0: 5, **{q: sum(1 for p, _ in acked if p == q) for q in (1, 2)}}, "committed")
    wait(admin.delete_consumer_groups([group]))


@case("group: members come and go with every assignor")
def _():
    for assignor in ("range", "roundrobin", "cooperative-sticky"):
        group = unique("group")
        readers = [consumer(group, **{"partition.assignment.strategy": assignor, "session.timeout.ms": 6000}) for _ in range(2)]
        for reader in readers:
            reader.subscribe([TOPIC])

        def shared(active):
            for reader in active:
                reader.poll(0.1)
            parts = [{p.partition for p in reader.assignment()} for reader in active]
            return all(parts) and sorted(p for some in parts for p in some) == list(range(PARTITIONS))

        eventually(lambda: shared(readers), what=f"two members share with {assignor}", seconds=40)
        readers[1].close()
        eventually(lambda: shared(readers[:1]), what=f"one member has all with {assignor}", seconds=40)
        readers[0].close()


@case("group: a static member keeps its partitions over a restart")
def _():
    group, config = unique("static"), {"group.instance.id": "one", "session.timeout.ms": 10000}
    reader, _ = consume_group(group, 10, **config)
    before = wait(admin.describe_consumer_groups([group]))[group].members[0]
    same(before.group_instance_id, "one", "instance id")
    reader.close()
    reader, _ = consume_group(group, 10, **config)
    after = wait(admin.describe_consumer_groups([group]))[group].members
    same([m.group_instance_id for m in after], ["one"], "members after the restart")
    reader.close()


@case("too large message is refused and the producer goes on")
def _():
    writer = producer(**{"message.max.bytes": 10_000_000})
    outcome = []
    writer.produce(TOPIC, b"x" * 2_000_000, b"big", partition=0, on_delivery=lambda e, m: outcome.append(e))
    same(writer.flush(20), 0, "left")
    same(outcome[0].code(), KafkaError.MSG_SIZE_TOO_LARGE, "code")
    writer = producer()
    writer.produce(TOPIC, b"small", b"after", partition=0, on_delivery=lambda e, m: acked.update({(0, m.offset()): (b"after", b"small")}))
    same(writer.flush(20), 0, "left")


@case("transactions are refused at once where they are not served, or work")
def _():
    writer = producer(**{"transactional.id": unique("tx")})
    try:
        writer.init_transactions(10)
    except KafkaException as error:
        assert error.args[0].fatal() or not error.args[0].retriable(), error
        return
    writer.begin_transaction()
    writer.produce(unique("tx-topic"), b"x")
    writer.commit_transaction(20)


@case("unknown partitions and topics are errors")
def _():
    outcome = []
    writer = producer(**{"message.timeout.ms": 5000})
    # librdkafka refuses a partition that the topic does not have by itself; it must know the topic for that.
    writer.list_topics(TOPIC, timeout=10)
    try:
        writer.produce(TOPIC, b"x", partition=77, on_delivery=lambda e, m: outcome.append(e))
        writer.flush(20)
        error = outcome[0]
    except KafkaException as raised:
        error = raised.args[0]
    same(error.code(), KafkaError._UNKNOWN_PARTITION, "code")
    reader = consumer(**{"allow.auto.create.topics": False})
    name = unique("no-topic")
    reader.subscribe([name])
    message = eventually(lambda: reader.poll(1), what="an error")
    same(message.error().code(), KafkaError.UNKNOWN_TOPIC_OR_PART, "code")
    reader.close()


@case("configs: incremental alter, describe, reset")
def _():
    def alter(operation, name, value):
        entry = ConfigEntry(name, value, incremental_operation=operation)
        wait(admin.incremental_alter_configs([ConfigResource("topic", TOPIC, incremental_configs=[entry])]))

    def value_of(name):
        resource = ConfigResource("topic", TOPIC)
        return wait(admin.describe_configs([resource]))[resource][name].value

    alter(AlterConfigOpType.SET, "retention.ms", "259200000")
    eventually(lambda: value_of("retention.ms") == "259200000", what="retention")
    alter(AlterConfigOpType.SET, "max.message.bytes", "500000")
    eventually(lambda: value_of("max.message.bytes") == "500000", what="size")
    alter(AlterConfigOpType.DELETE, "max.message.bytes", None)
    eventually(lambda: value_of("max.message.bytes") == "1048588", what="default size")
    error = raises(KafkaException, alter, AlterConfigOpType.SET, "retention.ms", "soon")
    same(code_of(error), KafkaError.INVALID_CONFIG, "code")
    assert value_of("cleanup.policy") == "delete"


@case("cluster is described")
def _():
    cluster = admin.describe_cluster().result(10)
    assert cluster.controller is not None and len(cluster.nodes) == 1 and cluster.cluster_id
    topic = list(wait(admin.describe_topics(confluent_kafka.TopicCollection([TOPIC]))).values())[0]
    same(len(topic.partitions), PARTITIONS, "partitions")


@case("read back through Kinesis: every record, offset = sequence index - 1", kinesis=True)
def _():
    check_kinesis_copy(kinesis_client(), TOPIC, acked)


@case("a stream made and written through Kinesis is read by librdkafka", kinesis=True)
def _():
    client, stream = kinesis_client(), unique("stream")
    client.create_stream(StreamName=stream, ShardCount=2)
    wait_active(client, stream)
    expected = {}
    for i in range(50):
        result = client.put_record(StreamName=stream, Data=f"put-{i}", PartitionKey=f"pk-{i}")
        parts = decode_sequence_number(result["SequenceNumber"])
        expected[(parts["shard"], parts["index"] - 1)] = (f"pk-{i}".encode(), f"put-{i}".encode())
    messages = read_all(stream)
    same({(m.partition(), m.offset()): (m.key(), m.value()) for m in messages}, expected, "messages")
    same({m.timestamp()[0] for m in messages}, {confluent_kafka.TIMESTAMP_LOG_APPEND_TIME}, "kind of timestamp")
    client.delete_stream(StreamName=stream)
    eventually(lambda: stream not in admin.list_topics(timeout=10).topics, what="topic gone")


def growth_under_load(grow, partitions_after):
    """An idempotent producer writes while the topic grows: no error, no loss, nothing twice."""
    topic = unique("grow")
    wait(admin.create_topics([NewTopic(topic, 2, 1)]))
    sent, failures = {}, []

    def load(stopping):
        writer = producer(**{"topic.metadata.refresh.interval.ms": 500})

        def done(error, message):
            if error:
                failures.append(error)
            else:
                sent[int(message.value())] = (message.partition(), message.offset())

        i = 0
        while not stopping.is_set() and i < 50000:
            writer.produce(topic, str(i).encode(), f"k{i % 200}".encode(), on_delivery=done)
            writer.poll(0)
            time.sleep(0.0003)
            i += 1
        same(writer.flush(30), 0, "left")

    background = Background(load)
    time.sleep(0.5)
    grow(topic)
    eventually(lambda: len({p for p, _ in list(sent.values())}) >= partitions_after, what="writes to all partitions")
    background.stop()
    same(failures, [], "producer errors")
    messages = read_all(topic)
    same(len(messages), len(sent), "messages")
    same({int(m.value()): (m.partition(), m.offset()) for m in messages}, sent, "messages")
    same(len({p for p, _ in sent.values()}), partitions_after, "partitions written to")
    return topic, sent


@case("CreatePartitions under load: no producer error, nothing lost or twice")
def _():
    growth_under_load(lambda topic: wait(admin.create_partitions([NewPartitions(topic, 5)])), 5)


@case("SplitShard and UpdateShardCount under load: no producer error, nothing lost or twice", kinesis=True)
def _():
    client = kinesis_client()

    def grow(topic):
        split(client, topic, open_shards(client, topic)[0])
        split(client, topic, open_shards(client, topic)[-1])
        client.update_shard_count(StreamName=topic, TargetShardCount=8, ScalingType="UNIFORM_SCALING")
        wait_active(client, topic)

    topic, sent = growth_under_load(grow, 8)
    found = [int(record["Data"]) for _, record in read_stream(client, topic)]
    same(sorted(found), sorted(sent), "records read through Kinesis, parents before children")


@case("DeleteRecords moves the beginning")
def _():
    result = wait(admin.delete_records([TopicPartition(TOPIC, 2, 10)]))
    same([r.low_watermark for r in result.values()], [10], "low watermark")
    reader = consumer()
    same(reader.get_watermark_offsets(TopicPartition(TOPIC, 2), timeout=10)[0], 10, "beginning")
    reader.close()


@case("delete topic")
def _():
    wait(admin.delete_topics([TOPIC]))
    eventually(lambda: TOPIC not in admin.list_topics(timeout=10).topics, what="topic gone")


main()
