"""kill -9 at random moments under load from both protocols.

An idempotent confluent-kafka producer, a plain one and boto3 PutRecords write into one topic while the server (the
binary KOLK_BIN) is killed and started again, round after round, on the same data. After each round both protocols'
view is held against what was acked: nothing acked may be lost or moved, the idempotent producer leaves nothing twice
although it sends again, offsets are dense. The seed is printed; KOLK_SEED repeats it.
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
ROUNDS = 60 if FULL else 20
PARTITIONS = 4
SEED = int(os.environ.get("KOLK_SEED", random.randrange(2**32)))
TOPIC = "kill"
print(f"seed {SEED}: KOLK_SEED={SEED} repeats the moments of the kills")
dice = random.Random(SEED)


class Kolk:
    """The server, started, killed and started again on the same data and ports."""

    def __init__(self):
        self.home = tempfile.TemporaryDirectory(prefix="kolk-kill-", dir=os.environ.get("KOLK_DATA"))
        self.kafka, self.kinesis = "127.0.0.1:0", "127.0.0.1:0"
        self.start()

    def start(self):
        ready = pathlib.Path(self.home.name, "ready.json")
        ready.unlink(missing_ok=True)
        with open(pathlib.Path(self.home.name, "log"), "ab") as log:
            self.process = subprocess.Popen(
                [os.environ["KOLK_BIN"], "serve", "--data-dir", f"{self.home.name}/data", "--ready-file", str(ready)]
                + ["--kafka", self.kafka, "--kinesis", self.kinesis],
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


kolk = Kolk()
kolk_compat.KINESIS = f"http://{kolk.kinesis}"
# value -> (partition, offset) of what was acked, per writer; values that were sent more than once or not acked.
acked = {"idempotent": {}, "plain": {}, "kinesis": {}}
unsure = {"plain": set(), "kinesis": set()}
failures = []


def kafka_writer(name, **config):
    """Writes numbered records for one round; answers when all are acked or, for the plain one, given up."""
    writer = Producer({"bootstrap.servers": kolk.kafka, "linger.ms": 1, "acks": "all", "reconnect.backoff.max.ms": 200,
                       "retry.backoff.ms": 50, "message.timeout.ms": 60000, "log_level": 0, **config})

    def load(stopping, round_):
        def done(error, message):
            value = message.value().decode()
            if error is None:
                acked[name][value] = (message.partition(), message.offset())
            elif name == "plain":
                unsure[name].add(value)
            else:
                failures.append(f"{name}: {error}")

        i = 0
        while not stopping.is_set():
            try:
                writer.produce(TOPIC, f"{name}-{round_}-{i}", f"key-{i % 64}", on_delivery=done)
                i += 1
            except BufferError:
                pass
            writer.poll(0 if i % 20 else 0.001)
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
                records = [{"PartitionKey": f"key-{n}", "Data": value} for n, value in enumerate(values)]
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
            found[(message.partition(), message.offset())] = message.value().decode()
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
    wrong = [value for value in twice if value.startswith("idempotent")]
    assert not wrong, f"{len(wrong)} duplicates of the idempotent producer, the first is {wrong[0]}"
    wrong = [value for value in twice if value.startswith("kinesis") and value not in unsure["kinesis"]]
    assert not wrong, f"{len(wrong)} duplicates that were sent once, the first is {wrong[0]}"
    return len(found), len(twice)


@case("a topic to write to")
def _():
    admin = AdminClient({"bootstrap.servers": kolk.kafka})
    for future in admin.create_topics([NewTopic(TOPIC, PARTITIONS, 1)]).values():
        future.result(20)


writers = {}
broken = False


def one_round(number):
    global broken
    assert not broken, "an earlier round broke the server or the log"
    broken = True
    if not writers:
        writers["idempotent"] = kafka_writer("idempotent", **{"enable.idempotence": True})
        writers["plain"] = kafka_writer("plain")
        writers["kinesis"] = kinesis_writer()
    loads = [Background(lambda stopping, load=load: load(stopping, number)) for load in writers.values()]
    time.sleep(dice.uniform(0.05, 0.6))
    kolk.kill()
    time.sleep(dice.uniform(0, 0.1))
    kolk.start()
    time.sleep(dice.uniform(0.05, 0.2))
    for load in loads:
        load.stopping.set()
    for load in loads:
        load.stop()
    # Reading everything each time would make the rounds slower and slower.
    if number % 5 == 4 or number == ROUNDS - 1:
        records, twice = check()
        print(f"  after round {number}: {records} records, {twice} of them second copies of unacked writes")
    broken = False


for number in range(ROUNDS):
    case(f"round {number}")(lambda number=number: one_round(number))


@case("nothing acked was lost, idempotent writes are there once, offsets are dense")
def _():
    records, twice = check()
    counts = {name: len(places) for name, places in acked.items()}
    assert all(count > 100 for count in counts.values()), f"too little load: {counts}"
    print(f"  {records} records, acked {counts}, second copies {twice}")


@case("both protocols show the same log")
def _():
    found = {}
    for _, record in read_stream(kinesis_client(), TOPIC):
        parts = decode_sequence_number(record["SequenceNumber"])
        found[(parts["shard"], parts["index"] - 1)] = record["Data"].decode()
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


try:
    main()
finally:
    kolk.process.kill()
