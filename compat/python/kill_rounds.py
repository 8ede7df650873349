"""kill -9 at random moments under load from both protocols.

An idempotent confluent-kafka producer, a plain one, boto3 PutRecords and, where KOLK_CLASS_PATH says where its classes are,
the Java client write into one topic while the server (the binary KOLK_BIN) is killed and started again, round after round,
on the same data; beside them topics are made and deleted, and the shards of a stream are split and merged. After some rounds
both protocols' view is held against what was acked: nothing acked may be lost or moved, idempotent producers leave
nothing twice although they send again, offsets are dense, topics and shards are as they were acked. The log is kept
small, so that it is rewritten all the time; what a kill interrupted is read from the files that it left, and told at the end.
The seed is printed; KOLK_SEED repeats it. KOLK_FULL=1 runs 100 rounds, stops the server for 30 s, and starts on logs of up
to 16 GB (KOLK_LOG_GB=1,4 chooses others).
"""

import pathlib
import random
import signal
import subprocess
import tempfile

import botocore.exceptions
import confluent_kafka
from confluent_kafka import OFFSET_BEGINNING, Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

import kolk_compat
from kolk_compat import *

# The server takes KOLK_* variables for its settings; those of the tests are none of them.
ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith("KOLK_")}
ROUNDS = int(os.environ.get("KOLK_ROUNDS", 100 if FULL else 20))
PADDING = 900
CLASS_PATH = os.environ.get("KOLK_CLASS_PATH")
PARTITIONS = 4
SEED = int(os.environ.get("KOLK_SEED", random.randrange(2**32)))
TOPIC, STREAM = "kill", "splits"
print(f"seed {SEED}: KOLK_SEED={SEED} repeats the moments of the kills")
dice = random.Random(SEED)


class Kolk:
    """The server, started, killed and started again on the same data and ports."""

    def __init__(self, *settings):
        self.home = tempfile.TemporaryDirectory(prefix="kolk-kill-", dir=os.environ.get("KOLK_DATA"))
        self.kafka, self.kinesis = "127.0.0.1:0", "127.0.0.1:0"
        self.settings = list(settings)
        self.start()

    def start(self):
        ready = pathlib.Path(self.home.name, "ready.json")
        ready.unlink(missing_ok=True)
        with open(pathlib.Path(self.home.name, "log"), "ab") as log:
            self.process = subprocess.Popen(
                [os.environ["KOLK_BIN"], "serve", "--data-dir", f"{self.home.name}/data", "--ready-file", str(ready)]
                + ["--kafka", self.kafka, "--kinesis", self.kinesis] + self.settings,
                env=ENVIRONMENT, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            )
        end = time.monotonic() + 60
        while not ready.exists():
            if self.process.poll() is not None or time.monotonic() > end:
                raise AssertionError(f"the server did not start: {self.log()}")
            time.sleep(0.005)
        addresses = json.loads(ready.read_text())
        self.kafka, self.kinesis = addresses["kafka"], addresses["kinesis"]

    def log(self):
        return pathlib.Path(self.home.name, "log").read_text()[-4000:]

    def kill(self):
        assert self.process.poll() is None, f"the server ended by itself: {self.log()}"
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def interrupted(self):
        """What the server was doing when it was killed, by the files that it left."""
        data = pathlib.Path(self.home.name, "data")
        lines = [line.split() for line in (data / "manifest").read_text().splitlines()]
        named = {f"{int(number):016x}.seg" for kind, number in (l for l in lines if len(l) == 2) if kind == "segment"}
        named |= {f"{int(number):016x}.snap" for kind, number in (l for l in lines if len(l) == 2) if kind == "snapshot"}
        unnamed = [f.suffix for part in ("segments", "snapshots") for f in (data / part).iterdir() if f.name not in named]
        found = []
        if ".seg" in unnamed:
            found.append("rewrite")
        if ".snap" in unnamed:
            found.append("snapshot")
        if (data / "manifest.new").exists():
            found.append("manifest")
        return found


# The smallest log: it is rewritten about once a round.
kolk = Kolk("--wal-max", "32MiB")
kolk_compat.KINESIS = f"http://{kolk.kinesis}"
# value -> (partition, offset) of what was acked, per writer; values that were sent more than once or not acked.
acked = {"idempotent": {}, "plain": {}, "kinesis": {}, **({"java": {}} if CLASS_PATH else {})}
unsure = {"plain": set(), "kinesis": set()}
failures = []


def kafka_writer(name, **config):
    """Writes numbered records for one round; answers when all are acked or, for the plain one, given up."""
    writer = Producer({"bootstrap.servers": kolk.kafka, "linger.ms": 1, "acks": "all", "reconnect.backoff.max.ms": 200,
                       "retry.backoff.ms": 50, "message.timeout.ms": 60000, "log_level": 0, **config})

    def load(stopping, round_):
        def done(error, message):
            value = message.value().decode().split(" ")[0]
            if error is None:
                acked[name][value] = (message.partition(), message.offset())
            elif name == "plain":
                unsure[name].add(value)
            else:
                failures.append(f"{name}: {error}")

        i = 0
        while not stopping.is_set():
            try:
                writer.produce(TOPIC, f"{name}-{round_}-{i} {'x' * PADDING}", f"key-{i % 64}", on_delivery=done)
                i += 1
            except BufferError:
                pass
            writer.poll(0)
            if i % 5 == 0:
                time.sleep(0.001)
        left = writer.flush(90)
        if left:
            failures.append(f"{name}: {left} records were not answered within 90 s")

    return load


def kinesis_writer():
    def load(stopping, round_):
        client = kinesis_client(retries={"total_max_attempts": 1}, read_timeout=5, connect_timeout=2)
        i = 0
        while not stopping.is_set():
            values = [f"kinesis-{round_}-{i + n}" for n in range(20)]
            i += 20
            end = time.monotonic() + 60
            while True:
                records = [{"PartitionKey": f"key-{n}", "Data": f"{v} {'x' * PADDING}"} for n, v in enumerate(values)]
                try:
                    results = client.put_records(StreamName=TOPIC, Records=records)["Records"]
                except (botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError) as error:
                    unsure["kinesis"].update(values)
                    if time.monotonic() > end:
                        failures.append(f"kinesis: {error}")
                        return
                    time.sleep(0.02)
                    continue
                for value, result in zip(values, results):
                    parts = decode_sequence_number(result["SequenceNumber"])
                    acked["kinesis"][value] = (parts["shard"], parts["index"] - 1)
                break

    return load


class JavaWriter:
    """The Java client as a process of its own: it keeps its producer over all rounds."""

    def __init__(self):
        self.process = subprocess.Popen(
            ["java", "-Xmx256m", "-cp", CLASS_PATH, "KillLoad", TOPIC, str(PADDING)],
            env={**os.environ, "KOLK_KAFKA": kolk.kafka}, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )

    def say(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def load(self, stopping, round_):
        self.say(f"go {round_}")
        # Its answers are few enough to wait in the pipe's reader until the round ends.
        reader = Background(lambda _: self.answers())
        stopping.wait()
        self.say("stop")
        reader.thread.join(150)
        reader.stop()

    def answers(self):
        for line in self.process.stdout:
            word, *rest = line.split()
            if word == "done":
                return
            if word == "acked":
                acked["java"][rest[0]] = (int(rest[1]), int(rest[2]))
            else:
                failures.append(f"java: {line.strip()}")
        failures.append("java: the client ended")


class Churn:
    """Makes and deletes topics, splits and merges shards, one call at a time, and knows what was acked."""

    def __init__(self):
        # Name -> whether it must be there; None if the outcome is not known.
        self.topics = {}
        self.calling = None
        self.number = 0
        # Shards, open and closed ones, that the stream has at least.
        self.shards = 1
        self.put = {}

    def call(self, what, function):
        """Calls; what fails stays known as what was interrupted."""
        self.calling = what
        function()
        self.calling = None

    def load(self, stopping, round_):
        client = kinesis_client(retries={"total_max_attempts": 1}, read_timeout=5, connect_timeout=2)
        while not stopping.is_set():
            try:
                self.turn(client)
            except botocore.exceptions.ClientError as error:
                # An answer: nothing was interrupted.
                self.calling = None
                if error.response["Error"]["Code"] == "InvalidArgumentException":
                    failures.append(f"topics and shards: {error}")
                    return
            except botocore.exceptions.BotoCoreError:
                time.sleep(0.02)

    def turn(self, client):
        self.number += 1
        name = f"churn-{self.number}"
        self.topics[name] = None
        self.call("create", lambda: client.create_stream(StreamName=name, ShardCount=4))
        self.topics[name] = True
        for n in range(3):
            client.put_record(StreamName=name, PartitionKey=str(n), Data="x" * 20000)
        if self.number % 4:
            self.topics[name] = None
            self.call("deletion", lambda: client.delete_stream(StreamName=name))
            self.topics[name] = False
        shards = open_shards(client, STREAM)
        at = dice.randrange(len(shards))
        if len(shards) < 6:
            low, high = (int(shards[at]["HashKeyRange"][end]) for end in ("StartingHashKey", "EndingHashKey"))
            self.call("split", lambda: client.split_shard(
                StreamName=STREAM, ShardToSplit=shards[at]["ShardId"], NewStartingHashKey=str((low + high + 1) // 2)))
            self.shards += 2
        else:
            at = min(at, len(shards) - 2)
            self.call("merge", lambda: client.merge_shards(
                StreamName=STREAM, ShardToMerge=shards[at]["ShardId"], AdjacentShardToMerge=shards[at + 1]["ShardId"]))
            self.shards += 1
        for n in range(4):
            value = f"split-{self.number}-{n}"
            self.put[value] = None
            answer = client.put_record(StreamName=STREAM, PartitionKey=value, Data=value)
            self.put[value] = answer["SequenceNumber"]

    def check(self):
        client = kinesis_client()
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
        found = {}
        for _, record in read_stream(client, STREAM):
            value = record["Data"].decode()
            found.setdefault(value, []).append(record["SequenceNumber"])
        lost = [v for v, number in self.put.items() if number and number not in found.get(v, [])]
        assert not lost, f"{len(lost)} records lost over splits, the first is {lost[0]}"
        assert not [v for v in found if v not in self.put], "records that nobody put"


def read_all():
    """{(partition, offset): value} of the whole topic through Kafka."""
    reader = Consumer({"bootstrap.servers": kolk.kafka, "group.id": "check", "enable.auto.commit": False})
    parts = [TopicPartition(TOPIC, p) for p in range(PARTITIONS)]
    ends = {p.partition: reader.get_watermark_offsets(p, timeout=20)[1] for p in parts}
    reader.assign([TopicPartition(TOPIC, p, OFFSET_BEGINNING) for p in ends])
    found, idle = {}, 0
    while len(found) < sum(ends.values()):
        page = reader.consume(5000, timeout=1)
        idle = 0 if page else idle + 1
        assert idle < 20, f"{len(found)} records of {ends}"
        for message in page:
            assert not message.error(), message.error()
            found[(message.partition(), message.offset())] = message.value().decode().split(" ")[0]
    reader.close()
    for p, end in ends.items():
        same(sorted(o for q, o in found if q == p), list(range(end)), f"offsets of partition {p}")
    return found


def check():
    assert not failures, failures[:5]
    found = read_all()
    for name, places in acked.items():
        lost = [value for value, place in places.items() if found.get(place) != value]
        assert not lost, f"{name}: {len(lost)} acked records lost or moved, the first is {lost[0]} at {places[lost[0]]}"
    copies = {}
    for value in found.values():
        copies[value] = copies.get(value, 0) + 1
    twice = {value for value, count in copies.items() if count > 1}
    # librdkafka's plain producer sends again by itself what it had no answer for.
    wrong = [value for value in twice if value.startswith(("idempotent", "java"))]
    assert not wrong, f"{len(wrong)} duplicates of the idempotent producers, the first is {wrong[0]}"
    wrong = [value for value in twice if value.startswith("kinesis") and value not in unsure["kinesis"]]
    assert not wrong, f"{len(wrong)} duplicates that were sent once, the first is {wrong[0]}"
    churn.check()
    return len(found), len(twice)


@case("a topic to write to")
def _():
    admin = AdminClient({"bootstrap.servers": kolk.kafka})
    for future in admin.create_topics([NewTopic(TOPIC, PARTITIONS, 1)]).values():
        future.result(20)
    # Only a stream's shards can be merged.
    kinesis_client().create_stream(StreamName=STREAM, ShardCount=1)


writers = {}
churn = Churn()
phases = {}
broken = False


def aim(phase):
    """Waits until the server is in that phase, or for 2 s."""
    end = time.monotonic() + 2
    while time.monotonic() < end and phase != churn.calling and phase not in kolk.interrupted():
        time.sleep(0.0005)


def one_round(number):
    global broken
    assert not broken, "an earlier round broke the server or the log"
    broken = True
    if not writers:
        writers["idempotent"] = kafka_writer("idempotent", **{"enable.idempotence": True})
        writers["plain"] = kafka_writer("plain")
        writers["kinesis"] = kinesis_writer()
        writers["churn"] = churn.load
        if CLASS_PATH:
            writers["java"] = JavaWriter().load
    loads = [Background(lambda stopping, load=load: load(stopping, number)) for load in writers.values()]
    if number % 2:
        aim(dice.choice(["rewrite", "snapshot", "deletion", "split", "merge"]))
    else:
        time.sleep(dice.uniform(0.05, 1.0))
    kolk.kill()
    interrupted = kolk.interrupted() + ([churn.calling] if churn.calling else [])
    for phase in interrupted or ["writing only"]:
        phases[phase] = phases.get(phase, 0) + 1
    time.sleep(dice.uniform(0, 0.1))
    kolk.start()
    time.sleep(dice.uniform(0.05, 0.2))
    for load in loads:
        load.stopping.set()
    for load in loads:
        load.stop()
    # Reading everything each time would make the rounds slower and slower.
    if number % 10 == 9 or number == ROUNDS - 1:
        records, twice = check()
        print(f"  after round {number}: {records} records, {twice} of them second copies of unacked writes")
    broken = False


for number in range(ROUNDS):
    case(f"round {number}")(lambda number=number: one_round(number))


if FULL:

    @case("stopped for 30 s under load, nothing acked is lost and everybody goes on")
    def _():
        loads = [Background(lambda stopping, load=load: load(stopping, "stopped")) for load in writers.values()]
        time.sleep(0.5)
        kolk.process.send_signal(signal.SIGSTOP)
        time.sleep(30)
        kolk.process.send_signal(signal.SIGCONT)
        time.sleep(2)
        for load in loads:
            load.stopping.set()
        for load in loads:
            load.stop()
        check()


@case("nothing acked was lost, idempotent writes are there once, offsets are dense")
def _():
    records, twice = check()
    counts = {name: len(places) for name, places in acked.items()}
    assert all(count > 100 for count in counts.values()), f"too little load: {counts}"
    print(f"  {records} records, acked {counts}, second copies {twice}")
    print(f"  what the kills interrupted: {phases}")


@case("both protocols show the same log")
def _():
    found = {}
    for _, record in read_stream(kinesis_client(), TOPIC):
        parts = decode_sequence_number(record["SequenceNumber"])
        found[(parts["shard"], parts["index"] - 1)] = record["Data"].decode().split(" ")[0]
    assert found == read_all(), "the protocols differ"


@case("a clean stop after all that, and a start that finds everything")
def _():
    before = read_all()
    kolk.process.terminate()
    same(kolk.process.wait(30), 0, "exit code")
    kolk.start()
    assert read_all() == before, "records changed over a clean restart"
    kolk.process.terminate()
    same(kolk.process.wait(30), 0, "exit code")
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
                status = pathlib.Path(f"/proc/{server.process.pid}/status").read_text()
                memory = next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM"))
                print(f"  {gb} GB: ready after {ready - start:.3f} s, first ack after {acked_at - start:.3f} s, "
                      f"VmHWM {int(memory) // 1024} MiB")
            finally:
                server.process.kill()
                server.process.wait()
                server.home.cleanup()


try:
    main()
finally:
    kolk.process.kill()
