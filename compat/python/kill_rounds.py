"""kill -9 under load from both protocols, at random moments and in the middle of what the server does beside.

An idempotent confluent-kafka producer, a plain one, boto3 PutRecords and, where KOLK_CLASS_PATH says where its classes are,
the Java client write into one topic while the server (the binary KOLK_BIN) is killed and started again, round after round,
on the same data; beside them topics are made and deleted, and the shards of a stream are split and merged under writers of its own.
Every other kill waits for one of these: a rewrite, a snapshot, a deletion, a split, a merge. After some rounds
both protocols' view is held against what was acked: nothing acked may be lost or moved, idempotent producers leave
nothing twice although they send again, offsets are dense, topics and shards are as they were acked; over splits and merges both
protocols show the same records, those of a key in the order in which they were written. The log is kept
small, so that it is rewritten all the time; what a kill interrupted is read from the files that it left and from the calls
without an answer, and told at the end.
The seed is printed; KOLK_SEED repeats it. KOLK_FULL=1 runs 100 rounds, stops the server for 30 s, and starts on logs of up
to 16 GB (KOLK_LOG_GB=1,4 chooses others).
"""

import random
import sys

from confluent_kafka import KafkaError

from fault_load import *

ROUNDS = int(os.environ.get("KOLK_ROUNDS", 100 if FULL else 12))
TOPIC, STREAM = "kill", "splits"
SEED = int(os.environ.get("KOLK_SEED", random.randrange(2**32)))
print(f"seed {SEED}: KOLK_SEED={SEED} repeats the moments of the kills")
dice = random.Random(SEED)
# Threads take turns at once, so that a kill comes while a call is under way.
sys.setswitchinterval(0.0002)


def interrupted_files(kolk):
    """What the server was doing when it was killed, by the files that it left."""
    lines = [line.split() for line in (kolk.data / "manifest").read_text().splitlines()]
    named = {f"{int(number):016x}.seg" for kind, number in (l for l in lines if len(l) == 2) if kind == "segment"}
    named |= {f"{int(number):016x}.snap" for kind, number in (l for l in lines if len(l) == 2) if kind == "snapshot"}
    unnamed = [f.suffix for part in ("segments", "snapshots") for f in (kolk.data / part).iterdir() if f.name not in named]
    found = []
    if ".seg" in unnamed:
        found.append("rewrite")
    if ".snap" in unnamed:
        found.append("snapshot")
    if (kolk.data / "manifest.new").exists():
        found.append("manifest")
    return found


class Churn:
    """Makes and deletes topics, splits and merges shards, one call at a time, and knows what was acked."""

    def __init__(self):
        # Name -> whether it must be there; None if the outcome is not known.
        self.topics = {}
        self.number = 0
        # Shards, open and closed ones, that the stream has at least.
        self.shards = 1
        # What the next kill waits for, and that it began.
        self.awaited, self.begun = None, threading.Event()
        # Calls that were sent and not answered.
        self.unanswered = []

    def call(self, what, function):
        if what == self.awaited:
            self.begun.set()
        try:
            function()
        except botocore.exceptions.BotoCoreError:
            self.unanswered.append(what)
            raise

    def write(self, stopping, round_):
        client = kolk.client(retries={"total_max_attempts": 1}, read_timeout=5, connect_timeout=2)
        while not stopping.is_set():
            try:
                self.turn(client)
            except botocore.exceptions.ClientError as error:
                if error.response["Error"]["Code"] == "InvalidArgumentException":
                    load.failures.append(f"topics and shards: {error}")
                    return
            except botocore.exceptions.BotoCoreError:
                time.sleep(0.02)

    def turn(self, client):
        self.number += 1
        name = f"churn-{self.number}"
        self.topics[name] = None
        self.call("creation", lambda: client.create_stream(StreamName=name, ShardCount=4))
        self.topics[name] = True
        for n in range(3):
            client.put_record(StreamName=name, PartitionKey=str(n), Data="x" * 20000)
        if self.number % 4:
            self.topics[name] = None
            self.call("deletion", lambda: client.delete_stream(StreamName=name))
            self.topics[name] = False
        shards = open_shards(client, STREAM)
        at = dice.randrange(len(shards))
        if len(shards) < 3 or len(shards) < 6 and self.number % 2:
            low, high = (int(shards[at]["HashKeyRange"][end]) for end in ("StartingHashKey", "EndingHashKey"))
            self.call("split", lambda: client.split_shard(
                StreamName=STREAM, ShardToSplit=shards[at]["ShardId"], NewStartingHashKey=str((low + high + 1) // 2)))
            self.shards += 2
        else:
            at = min(at, len(shards) - 2)
            self.call("merge", lambda: client.merge_shards(
                StreamName=STREAM, ShardToMerge=shards[at]["ShardId"], AdjacentShardToMerge=shards[at + 1]["ShardId"]))
            self.shards += 1

    def check(self):
        client = kolk.client()
        names, request = set(), {}
        while True:
            page = client.list_streams(**request)
            names.update(page["StreamNames"])
            if not page["HasMoreStreams"]:
                break
            request = {"ExclusiveStartStreamName": page["StreamNames"][-1]}
        wrong = [name for name, there in self.topics.items() if there is not None and there != (name in names)]
        assert not wrong, f"topics that were acked are not as acked: {[(n, self.topics[n]) for n in wrong[:5]]}"
        shards = all_shards(client, STREAM)
        assert len(shards) >= self.shards, f"{len(shards)} shards of {self.shards}"


class Resharded:
    """Writers of the stream that is split and merged: one over Kinesis that waits for each answer, and two over
    Kafka: an idempotent one to the partition that every merge keeps, and one to all partitions. (One that is idempotent takes a
    new epoch when a retired partition refuses a record, and then sends again what it had no answer for.)
    The records of a key are numbered; what is tried again over Kinesis is another record of the same number."""

    KEYS = [f"k{n}" for n in range(8)]

    def __init__(self):
        # (writer, key) -> the number of its next record.
        self.next = {}
        # Value -> where it was acked to be: a sequence number, or (partition, offset).
        self.acked = {}
        self.tries = set()
        self.refused = 0
        self.producers = {}

    def number(self, writer, key):
        number = self.next.get((writer, key), 0)
        self.next[writer, key] = number + 1
        return number

    def put(self, stopping, round_):
        client = kolk.client(retries={"total_max_attempts": 1}, read_timeout=5, connect_timeout=2)
        while not stopping.is_set():
            for key in self.KEYS:
                number, attempt, end = self.number("kinesis", key), 0, time.monotonic() + 60
                while True:
                    value = f"kinesis {key} {number} {attempt}"
                    self.tries.add(value)
                    try:
                        self.acked[value] = client.put_record(StreamName=STREAM, PartitionKey=key, Data=value)["SequenceNumber"]
                        break
                    except (botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError) as error:
                        assert time.monotonic() < end, error
                        attempt += 1
                        time.sleep(0.02)

    def produce_kept(self, stopping, round_):
        self.produce("kept", stopping, {"enable.idempotence": True}, {"partition": 0})

    def produce_any(self, stopping, round_):
        # Soon enough to write to the partitions that splits make.
        self.produce("any", stopping, {"topic.metadata.refresh.interval.ms": 200}, {})

    def produce(self, writer, stopping, config, where):
        if writer not in self.producers:
            self.producers[writer] = Producer({"bootstrap.servers": kolk.kafka, "linger.ms": 1, "log_level": 0,
                                               "reconnect.backoff.max.ms": 200, "retry.backoff.ms": 50, **config})
        producer = self.producers[writer]

        def done(error, message):
            if error is None:
                self.acked[message.value().decode()] = (message.partition(), message.offset())
            elif writer == "any" and error.code() == KafkaError.POLICY_VIOLATION:
                # A merge had retired its partition. (A first attempt without an answer may be in the log.)
                self.refused += 1
            else:
                load.failures.append(f"the stream's producer: {error}")

        while not stopping.is_set():
            for key in self.KEYS:
                value = f"{writer} {key} {self.number(writer, key)} 0"
                self.tries.add(value)
                producer.produce(STREAM, value, key, on_delivery=done, **where)
            producer.poll(0.003)
        left = producer.flush(120)
        assert not left, f"{left} records were not answered within 120 s"

    def check(self):
        """The records of the stream."""
        over_kafka = {place: (key.decode(), value.decode()) for place, (key, value) in read_topic(kolk, STREAM).items()}
        over_kinesis = [(record["SequenceNumber"], record["PartitionKey"], record["Data"].decode())
                        for _, record in read_stream(kolk.client(), STREAM)]
        same(sorted((key, value) for _, key, value in over_kinesis), sorted(over_kafka.values()), "records of the stream")
        values = [value for _, _, value in over_kinesis]
        places = {}
        for place, (_, value) in sorted(over_kafka.items()):
            places.setdefault(value, []).append(place)
        twice = {value: at for value, at in places.items() if len(at) > 1}
        wrong = [(value, at) for value, at in twice.items() if not value.startswith("any ")]
        assert not wrong, f"{len(wrong)} records are there twice: {wrong[:5]}"
        assert set(values) <= self.tries, "a record that nobody sent"
        # A key's records over Kafka, partition by partition, are in the order in which the shards show them.
        shown = {value: at for at, value in enumerate(values)}
        last = {}
        for (partition, offset), (key, value) in sorted(over_kafka.items()):
            if value in twice:
                continue
            assert last.get((partition, key), -1) < shown[value], f"{value} at {partition}/{offset} comes earlier over the shards"
            last[partition, key] = shown[value]
        # A writer that waits for its answers finds its order again, whatever became of the shards in between.
        numbers = {}
        for value in values:
            writer, key, number, _ = value.split()
            if writer == "kinesis":
                assert numbers.get(key, 0) <= int(number), f"{value} comes after number {numbers[key]}"
                numbers[key] = int(number)
        # The same over Kafka within each partition: one that retries does not reorder either.
        numbers = {}
        for (partition, _), (key, value) in sorted(over_kafka.items()):
            writer, _, number, _ = value.split()
            if writer == "any":
                continue
            assert numbers.get((writer, partition, key), 0) <= int(number), f"{value} is out of order in partition {partition}"
            numbers[writer, partition, key] = int(number)
        sequence = {value: number for number, _, value in over_kinesis}
        for value, place in self.acked.items():
            if isinstance(place, tuple):
                same(over_kafka.get(place, (0, None))[1], value, f"record acked at {place}")
            else:
                same(sequence.get(value), place, f"sequence number of {value}")
        return len(values)


# The smallest log: it is rewritten about once a round.
kolk = Kolk("--wal-max", "32MiB")
load = Load(kolk, TOPIC, 4)
churn, resharded = Churn(), Resharded()
load.writers_beside = [churn.write, resharded.put, resharded.produce_kept, resharded.produce_any]
phases = {}
broken = False


@case("a topic to write to")
def _():
    load.create()
    # Only a stream's shards can be merged.
    kolk.client().create_stream(StreamName=STREAM, ShardCount=2)


def check():
    records, twice = load.check()
    churn.check()
    return records, twice, resharded.check()


def aim(phase):
    """Waits until the server is in that phase, or for 3 s."""
    end = time.monotonic() + 3
    if phase in ("rewrite", "snapshot"):
        while time.monotonic() < end and phase not in interrupted_files(kolk):
            time.sleep(0.0005)
    else:
        churn.begun.clear()
        churn.awaited = phase
        churn.begun.wait(3)
        churn.awaited = None
        time.sleep(dice.uniform(0, 0.004))


def one_round(number):
    global broken
    assert not broken, "an earlier round broke the server or the log"
    broken = True
    load.start(number)
    if number % 2:
        aim(["rewrite", "deletion", "split", "snapshot", "merge"][number // 2 % 5])
    else:
        time.sleep(dice.uniform(0.05, 1.0))
    churn.unanswered.clear()
    kolk.kill()
    files = interrupted_files(kolk)
    time.sleep(dice.uniform(0, 0.1))
    kolk.start()
    time.sleep(dice.uniform(0.05, 0.2))
    load.stop()
    for phase in files + churn.unanswered[:1] or ["writing only"]:
        phases[phase] = phases.get(phase, 0) + 1
    # Reading everything each time would make the rounds slower and slower.
    if number % 10 == 9 or number == ROUNDS - 1:
        records, twice, stream = check()
        print(f"  after round {number}: {records} records, {twice} of them second copies of unacked writes; {stream} in the stream")
    broken = False


for number in range(ROUNDS):
    case(f"round {number}")(lambda number=number: one_round(number))


if FULL:

    @case("stopped for 30 s under load, nothing acked is lost, everybody goes on, members of a group come back")
    def _():
        seen = [0, 0]

        def member(at):
            def consume(stopping):
                reader = Consumer({"bootstrap.servers": kolk.kafka, "group.id": "stopped", "session.timeout.ms": 6000,
                                   "auto.offset.reset": "latest", "log_level": 0})
                reader.subscribe([TOPIC])
                while not stopping.is_set():
                    for message in reader.consume(500, timeout=0.2):
                        seen[at] += 0 if message.error() else 1
                reader.close()

            return consume

        members = [Background(member(at)) for at in range(2)]
        load.start("stopped")
        eventually(lambda: all(seen), 30, "records for both members")
        process = kolk.process
        process.send_signal(signal.SIGSTOP)
        before = load.counts()
        time.sleep(30)
        process.send_signal(signal.SIGCONT)
        start = time.monotonic()
        seen[:] = [0, 0]
        stood = {name: count - before[name] for name, count in load.counts().items()}
        eventually(lambda: all(count > before[name] + 100 for name, count in load.counts().items()), 60, "acks for all")
        acks_after = time.monotonic() - start
        eventually(lambda: all(seen), 60, "records for both members")
        print(f"  acked while it was stopped {stood}; all writers have acks {acks_after:.1f} s after, "
              f"both members records {time.monotonic() - start:.1f} s after")
        load.stop()
        for one in members:
            one.stop()
        same(kolk.process.poll(), None, "exit code of the server")
        check()


@case("nothing acked was lost, idempotent writes are there once, offsets are dense")
def _():
    records, twice, stream = check()
    counts = load.counts()
    assert all(count > 100 for count in counts.values()), f"too little load: {counts}"
    print(f"  {records} records, acked {counts}, second copies {twice}; {stream} records in the stream of "
          f"{churn.shards} shards, {resharded.refused} refused by retired partitions; {churn.number} topics")
    print(f"  what the kills interrupted: {phases}; VmHWM {kolk.peak_mib} MiB at most")


@case("both protocols show the same log")
def _():
    load.check_protocols()


@case("a clean stop after all that, nothing to be repaired, and a start that finds everything")
def _():
    before = read_topic(kolk, TOPIC), read_topic(kolk, STREAM)
    kolk.stop()
    kolk.verify()
    kolk.start()
    assert (read_topic(kolk, TOPIC), read_topic(kolk, STREAM)) == before, "records changed over a clean restart"
    kolk.stop()
    kolk.home.cleanup()


if FULL:
    for gb in os.environ.get("KOLK_LOG_GB", "1,4,16").split(","):

        @case(f"a start after kill -9 with {gb} GB of log")
        def _(gb=int(gb)):
            server = Kolk()
            try:
                writer = Producer({"bootstrap.servers": server.kafka, "message.max.bytes": 2000000, "linger.ms": 0,
                                   "queue.buffering.max.kbytes": 65536, "log_level": 0})
                failed = []
                done = lambda error, message: failed.append(error) if error else None
                for i in range(gb * 1100):
                    while True:
                        try:
                            writer.produce("large", os.urandom(1000) * 980, on_delivery=done)
                            break
                        except BufferError:
                            writer.poll(0.01)
                    writer.poll(0)
                same(writer.flush(300), 0, "records without an answer")
                assert not failed, failed[0]
                server.kill()
                start = time.monotonic()
                server.start()
                ready = time.monotonic()
                one = Producer({"bootstrap.servers": server.kafka, "linger.ms": 0, "log_level": 0})
                one.produce("large", b"first", on_delivery=done)
                same(one.flush(60), 0, "records without an answer")
                acked_at = time.monotonic()
                assert not failed, failed[0]
                print(f"  {gb} GB: ready after {ready - start:.3f} s, first ack after {acked_at - start:.3f} s, "
                      f"VmHWM {server.check_memory()} MiB")
            finally:
                server.process.kill()
                server.process.wait()
                server.home.cleanup()


try:
    main()
finally:
    kolk.process.kill()
