"""What kill_rounds.py and disk_rounds.py share: servers of their own, and load by clients of both protocols whose acks are
remembered and held against the log afterwards.

KOLK_BIN is the binary, KOLK_DATA where data directories are made, KOLK_CLASS_PATH where the Java client's classes are.
"""

import pathlib
import signal
import subprocess
import tempfile

import botocore.exceptions
from confluent_kafka import OFFSET_BEGINNING, Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from kolk_compat import *

# The server takes KOLK_* variables for its settings; those of the tests are none of them.
ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith("KOLK_")}
CLASS_PATH = os.environ.get("KOLK_CLASS_PATH")

# What a server may have taken at its peak: the default of --memory-max, the program with its stacks and the log's tail, and its
# state, which has the topics, producers and offsets of one test.
PEAK_MIB_MAX = 256 + 64 + 16


class Kolk:
    """The server, started, ended and started again on the same data and ports."""

    def __init__(self, *settings, before=(), **environment):
        """`before` is put before the command; the environment is for this first start. DATA in either is the data directory."""
        self.home = tempfile.TemporaryDirectory(prefix="kolk-faults-", dir=os.environ.get("KOLK_DATA"))
        self.data = pathlib.Path(self.home.name, "data")
        self.kafka, self.kinesis = "127.0.0.1:0", "127.0.0.1:0"
        self.settings = list(settings)
        # The most that any of its processes took, of those that did not end by themselves.
        self.peak_mib = 0
        # A mount of its own needs a place.
        self.data.mkdir()
        self.spawn(before, environment)
        self.wait_ready()

    def start(self):
        self.spawn()
        self.wait_ready()

    def spawn(self, before=(), environment={}):
        self.ready = pathlib.Path(self.home.name, "ready.json")
        self.ready.unlink(missing_ok=True)
        before = [word.replace("DATA", str(self.data)) for word in before]
        environment = {name: value.replace("DATA", str(self.data)) for name, value in environment.items()}
        with open(pathlib.Path(self.home.name, "log"), "ab") as log:
            self.process = subprocess.Popen(
                before + [os.environ["KOLK_BIN"], "serve", "--data-dir", str(self.data), "--ready-file", str(self.ready)]
                + ["--kafka", self.kafka, "--kinesis", self.kinesis, "--http", "127.0.0.1:0"] + self.settings,
                env={**ENVIRONMENT, **environment}, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            )

    def wait_ready(self):
        end = time.monotonic() + 60
        while not self.ready.exists():
            if self.process.poll() is not None or time.monotonic() > end:
                raise AssertionError(f"the server did not start: {self.log()}")
            time.sleep(0.005)
        addresses = json.loads(self.ready.read_text())
        self.kafka, self.kinesis = addresses["kafka"], addresses["kinesis"]

    def log(self, last=4000):
        """The end of what it said, or all of it."""
        return pathlib.Path(self.home.name, "log").read_text()[-last if last else 0:]

    def check_memory(self):
        """Its peak so far, in MiB; fails if that is over what it may take."""
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        peak = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM:")) // 1024
        self.peak_mib = max(self.peak_mib, peak)
        assert peak <= PEAK_MIB_MAX, f"the server took {peak} MiB, over {PEAK_MIB_MAX}"
        return peak

    def kill(self):
        assert self.process.poll() is None, f"the server ended by itself: {self.log()}"
        self.check_memory()
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop(self):
        """A clean stop."""
        self.check_memory()
        self.process.terminate()
        same(self.process.wait(30), 0, "exit code")

    def remove(self):
        """Ends it in any way, and removes its data."""
        self.process.kill()
        self.process.wait()
        self.home.cleanup()

    def verify(self):
        """`kolk verify` of its directory, beside the ended server."""
        said = subprocess.run([os.environ["KOLK_BIN"], "verify", str(self.data)], env=ENVIRONMENT, text=True, capture_output=True)
        assert said.returncode == 0 and "everything checks" in said.stdout, f"verify: {said.stdout} {said.stderr}"

    def client(self, **config):
        return kinesis_client(endpoint=f"http://{self.kinesis}", **config)


class Load:
    """Writers of one topic, an idempotent and a plain librdkafka producer, boto3 PutRecords and, where KOLK_CLASS_PATH is set,
    the Java client; and what was acked to each of them."""

    def __init__(self, kolk, topic, partitions, padding=900, ahead=5000):
        """`ahead` is how many records a writer has in flight at most."""
        self.kolk, self.topic, self.partitions, self.padding, self.ahead = kolk, topic, partitions, padding, ahead
        # value -> (partition, offset) of what was acked, per writer.
        self.acked = {"idempotent": {}, "plain": {}, "kinesis": {}, **({"java": {}} if CLASS_PATH else {})}
        # Values that were sent more than once, or not acked.
        self.unsure = {"plain": set(), "kinesis": set()}
        self.failures = []
        self.writers = []
        # More that shall write, or do what else goes on meanwhile.
        self.writers_beside = []
        self.java = None

    def create(self):
        admin = AdminClient({"bootstrap.servers": self.kolk.kafka})
        for future in admin.create_topics([NewTopic(self.topic, self.partitions, 1)]).values():
            future.result(20)

    def start(self, round_):
        """Lets all of them write; `stop` ends it."""
        if not self.writers:
            self.writers = [self.kafka_writer("idempotent", **{"enable.idempotence": True}), self.kafka_writer("plain"),
                            self.kinesis_writer]
            if CLASS_PATH:
                self.java = JavaWriter(self, f"buffer.memory={self.ahead * 1024}", "max.block.ms=120000")
                self.writers.append(self.java.load)
        self.running = [Background(lambda stopping, write=write: write(stopping, round_)) for write in self.writers + self.writers_beside]

    def stop(self):
        """Waits until what was sent is answered."""
        for writer in self.running:
            writer.stopping.set()
        for writer in self.running:
            writer.stop(180)

    def end(self):
        """Without waiting for what was not answered."""
        if self.java:
            self.java.end()

    def counts(self):
        return {name: len(places) for name, places in self.acked.items()}

    def kafka_writer(self, name, **config):
        """Writes numbered records for one round; ends when all are acked or, for the plain one, given up."""
        writer = Producer({"bootstrap.servers": self.kolk.kafka, "linger.ms": 1, "acks": "all", "reconnect.backoff.max.ms": 200,
                           "retry.backoff.ms": 50, "message.timeout.ms": 120000, "log_level": 0, **config})

        def load(stopping, round_):
            def done(error, message):
                value = message.value().decode().split(" ")[0]
                if error is None:
                    self.acked[name][value] = (message.partition(), message.offset())
                elif name == "plain":
                    self.unsure[name].add(value)
                else:
                    self.failures.append(f"{name}: {error}")

            i = 0
            while not stopping.is_set():
                if len(writer) < self.ahead:
                    writer.produce(self.topic, f"{name}-{round_}-{i} {'x' * self.padding}", f"key-{i % 64}", on_delivery=done)
                    i += 1
                writer.poll(0)
                if i % 5 == 0:
                    time.sleep(0.001)
            left = writer.flush(150)
            if left:
                self.failures.append(f"{name}: {left} records were not answered within 150 s")

        return load

    def kinesis_writer(self, stopping, round_):
        client = self.kolk.client(retries={"total_max_attempts": 1}, read_timeout=5, connect_timeout=2)
        i = 0
        while not stopping.is_set():
            values = [f"kinesis-{round_}-{i + n}" for n in range(20)]
            i += 20
            left, end = values, time.monotonic() + 120
            while left:
                records = [{"PartitionKey": f"key-{values.index(v)}", "Data": f"{v} {'x' * self.padding}"} for v in left]
                try:
                    results = client.put_records(StreamName=self.topic, Records=records)["Records"]
                except (botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError) as error:
                    self.unsure["kinesis"].update(left)
                    if time.monotonic() > end:
                        self.failures.append(f"kinesis: {error}")
                        return
                    time.sleep(0.02)
                    continue
                refused = []
                for value, result in zip(left, results):
                    if "ErrorCode" in result:
                        refused.append(value)
                        continue
                    parts = decode_sequence_number(result["SequenceNumber"])
                    self.acked["kinesis"][value] = (parts["shard"], parts["index"] - 1)
                if refused:
                    if time.monotonic() > end:
                        self.failures.append(f"kinesis: {results}")
                        return
                    time.sleep(0.02)
                left = refused

    def read_all(self):
        """{(partition, offset): value} of the whole topic through Kafka."""
        return {place: value.decode().split(" ")[0] for place, (_, value) in read_topic(self.kolk, self.topic).items()}

    def check(self):
        """Nothing acked is lost or moved, idempotent producers left nothing twice; the number of records, and of second copies."""
        assert not self.failures, self.failures[:5]
        found = self.read_all()
        for name, places in self.acked.items():
            lost = [value for value, place in places.items() if found.get(place) != value]
            assert not lost, f"{name}: {len(lost)} acked records lost or moved, the first is {lost[0]} at {places[lost[0]]}"
        copies = {}
        for value in found.values():
            copies[value] = copies.get(value, 0) + 1
        twice = {value for value, count in copies.items() if count > 1}
        # librdkafka's plain producer sends again by itself what it had no answer for.
        wrong = [value for value in twice if value.startswith(("idempotent", "java"))]
        assert not wrong, f"{len(wrong)} duplicates of the idempotent producers, the first is {wrong[0]}"
        wrong = [value for value in twice if value.startswith("kinesis") and value not in self.unsure["kinesis"]]
        assert not wrong, f"{len(wrong)} duplicates that were sent once, the first is {wrong[0]}"
        return len(found), len(twice)

    def check_protocols(self):
        """Both protocols show the same log."""
        found = {}
        for _, record in read_stream(self.kolk.client(), self.topic):
            parts = decode_sequence_number(record["SequenceNumber"])
            found[(parts["shard"], parts["index"] - 1)] = record["Data"].decode().split(" ")[0]
        assert found == self.read_all(), "the protocols differ"


class JavaWriter:
    """The Java client as a process of its own: it keeps its producer over all rounds."""

    def __init__(self, owner, *config):
        """`config` is Kafka's names and values for the producer, as NAME=VALUE."""
        self.owner = owner
        self.process = subprocess.Popen(
            ["java", "-Xmx256m", "-cp", CLASS_PATH, "FaultLoad", owner.topic, str(owner.padding), *config],
            env={**os.environ, "KOLK_KAFKA": owner.kolk.kafka}, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
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
                self.owner.acked["java"][rest[0]] = (int(rest[1]), int(rest[2]))
            else:
                self.owner.failures.append(f"java: {line.strip()}")
        self.owner.failures.append("java: the client ended")

    def end(self):
        """Without waiting for what was not answered."""
        self.process.kill()
        self.process.wait()


def read_topic(kolk, topic):
    """{(partition, offset): (key, value)} of a topic from its beginning; offsets are dense."""
    reader = Consumer({"bootstrap.servers": kolk.kafka, "group.id": "check", "enable.auto.commit": False, "log_level": 0})
    parts = [TopicPartition(topic, p) for p in reader.list_topics(topic, 20).topics[topic].partitions]
    bounds = {p.partition: reader.get_watermark_offsets(p, timeout=20) for p in parts}
    reader.assign([TopicPartition(topic, p, OFFSET_BEGINNING) for p in bounds])
    total = sum(end - start for start, end in bounds.values())
    found, idle = {}, 0
    while len(found) < total:
        page = reader.consume(5000, timeout=1)
        idle = 0 if page else idle + 1
        assert idle < 20, f"{len(found)} records of {bounds}"
        for message in page:
            assert not message.error(), message.error()
            found[(message.partition(), message.offset())] = (message.key(), message.value())
    reader.close()
    for p, (start, end) in bounds.items():
        same(sorted(o for q, o in found if q == p), list(range(start, end)), f"offsets of partition {p}")
    return found
