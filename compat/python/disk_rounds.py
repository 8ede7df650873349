"""A disk that fails or fills up under load from both protocols.

The disk fails in faults.c, which the server is started with: any write or sync of any file, once or for good. The server must
end with exit code 1 and a sentence that names the reason; on a disk that works everything acked is there, and `kolk verify`
finds nothing. The disk that fills up is a small file system of its own, or where this machine lets users mount none, a directory
that faults.c keeps small: clients see their protocol's retriable error, keep on trying, and get done when space comes back; all
else goes on meanwhile.
The seed is printed; KOLK_SEED repeats it. KOLK_FULL=1 lets each disk fail at ten moments, and fills up both kinds.
"""

import errno
import platform
import random

from confluent_kafka import KafkaError
from confluent_kafka.admin import AlterConfigOpType, ConfigEntry, ConfigResource

from fault_load import *

SEED = int(os.environ.get("KOLK_SEED", random.randrange(2**32)))
MOMENTS = int(os.environ.get("KOLK_ROUNDS", 10 if FULL else 1))
print(f"seed {SEED}: KOLK_SEED={SEED} repeats the moments of the faults")
dice = random.Random(SEED)
workshop = tempfile.TemporaryDirectory(prefix="kolk-faults-")


def library():
    """faults.c as a library."""
    built = pathlib.Path(workshop.name, "faults.so")
    if not built.exists():
        source = pathlib.Path(__file__).with_name("faults.c")
        subprocess.run(["cc", "-O1", "-shared", "-fPIC", "-o", str(built), str(source), "-ldl"], check=True)
    return str(built)


# What fails -> rules (see faults.c), with the range that the number of the call is taken from. The smallest log and a load of some
# MB a second: a file of the log, a segment and a snapshot are made every few seconds.
FOR_GOOD, ONCE = 0, 1
DISKS = {
    "a write of the log": ("write", errno.EIO, (50, 400), ONCE, "/wal/"),
    "all writes of the log": ("write", errno.EIO, (50, 400), FOR_GOOD, "/wal/"),
    "a log's file system that turns read-only": ("write", errno.EROFS, (50, 400), FOR_GOOD, "/data/"),
    "a sync of the log, without direct writes": ("sync", errno.EIO, (50, 400), ONCE, "/wal/"),
    "a write of the log that finds no space": ("write", errno.ENOSPC, (100, 400), ONCE, "/wal/"),
    "a write of a segment": ("write", errno.EIO, (1, 15), ONCE, "/segments/"),
    "a sync of a segment": ("sync", errno.EIO, (1, 3), ONCE, "/segments/"),
    "a sync of a snapshot": ("sync", errno.EIO, (1, 2), ONCE, "/snapshots/"),
    "a rename of the manifest": ("name", errno.EIO, (2, 3), ONCE, "/manifest"),
}


def fail_disk(what, rule):
    call, error, moments, count, path = rule
    rules = [f"{call} {error} {dice.randint(*moments)} {count} {path}"]
    if "without direct" in what:
        rules.insert(0, f"direct {errno.EINVAL} 1 0 {path}")
    kolk = Kolk("--wal-max", "32MiB")
    load = Load(kolk, "load", 4)
    try:
        load.create()
        kolk.stop()
        kolk.spawn(environment={"LD_PRELOAD": library(), "FAULT_RULES": "\n".join(rules)})
        kolk.wait_ready()
        load.start("failing")
        try:
            code = kolk.process.wait(60)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"the server goes on: {kolk.log()}")
        told = kolk.log().splitlines()
        before = sum(load.counts().values())
        same(code, 1, f"exit code; it said {told[-4:]}")
        sentence = told[-1]
        assert sentence.startswith("kolk: ") and os.strerror(error) in sentence, f"no reason: {told[-4:]}"
        assert any(line.startswith("fault: ") for line in told), "nothing failed"
        kolk.verify()
        kolk.start()
        time.sleep(0.5)
        load.stop()
        records, twice = load.check()
        load.check_protocols()
        kolk.stop()
        kolk.verify()
        print(f"  {next(l for l in told if l.startswith('fault: '))}\n  {sentence}\n"
              f"  {before} acked before, {records} records after, {twice} second copies of unacked writes")
    finally:
        load.end()
        kolk.remove()


def refuses_to_start(wanted, before=(), **environment):
    kolk = Kolk()
    try:
        kolk.stop()
        kolk.spawn(before, environment)
        same(kolk.process.wait(30), 1, f"exit code; it said {kolk.log()}")
        sentence = kolk.log().splitlines()[-1]
        assert sentence.startswith("kolk: cannot open the log: ") and str(kolk.data) in sentence, sentence
        assert os.strerror(wanted) in sentence, sentence
        print(f"  {sentence}")
        kolk.start()
        kolk.stop()
        kolk.verify()
    finally:
        kolk.remove()


def mounted(how):
    """The words before a command that give it a mount of its own at DATA, which ends with it."""
    return ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", how + ' && exec "$@"', "DATA"]


SMALL_BYTES = 64 << 20
SMALL = mounted(f'mount -t tmpfs -o size={SMALL_BYTES} kolk-test "$0"')
READ_ONLY = mounted('mount --bind "$0" "$0" && mount -o remount,ro,bind "$0"')


def may_mount():
    """Whether this machine lets users mount file systems for themselves; containers and some distributions do not."""
    directory = tempfile.mkdtemp(dir=workshop.name)
    words = [word.replace("DATA", directory) for word in SMALL]
    return platform.system() == "Linux" and subprocess.run(words + ["true"], capture_output=True).returncode == 0


class FullDisk:
    """A server on a small disk, ballast on it, and load that fills what is left."""

    BALLAST = ["deleted", "trimmed", "expired", "last"]

    def __init__(self, is_mounted):
        how = {"before": SMALL} if is_mounted else {"LD_PRELOAD": library(), "FAULT_DISK": f"{SMALL_BYTES} DATA"}
        self.kolk = Kolk("--wal-max", "32MiB", "--kafka-set", "log.retention.check.interval.ms=500", **how)
        self.admin = AdminClient({"bootstrap.servers": self.kolk.kafka, "log_level": 0})
        self.load = Load(self.kolk, "load", 4, ahead=300)
        self.client = self.kolk.client(retries={"mode": "standard", "total_max_attempts": 3})

    def fill(self):
        self.load.create()
        names = [NewTopic(name, 1, 1) for name in self.BALLAST + ["probe"]]
        for future in self.admin.create_topics(names).values():
            future.result(20)
        writer = Producer({"bootstrap.servers": self.kolk.kafka, "log_level": 0})
        for name in self.BALLAST:
            for _ in range(50):
                writer.produce(name, os.urandom(100_000))
            same(writer.flush(60), 0, "records without an answer")
        self.load.start("full")
        self.until_full()

    def refusal(self):
        try:
            self.client.put_record(StreamName="probe", PartitionKey="k", Data=b"x")
        except botocore.exceptions.ClientError as error:
            return error.response

    def until_full(self):
        refused = eventually(self.refusal, 60, "a full disk")
        same((refused["Error"]["Code"], refused["ResponseMetadata"]["HTTPStatusCode"]), ("InternalFailure", 500), "refusal")
        same(refused["ResponseMetadata"]["RetryAttempts"], 2, "times that boto3 tried again by itself")

    def until_going_on(self):
        # Who takes the new space first is not said.
        before = sum(self.load.counts().values())
        eventually(lambda: sum(self.load.counts().values()) > before + 300, 60, "acks after space came back")

    def refused_by_kafka(self):
        """What a client is told that does not try again."""
        writer = Producer({"bootstrap.servers": self.kolk.kafka, "retries": 0, "log_level": 0})
        told = []
        writer.produce("probe", b"x", on_delivery=lambda error, _: told.append(error))
        same(writer.flush(30), 0, "records without an answer")
        assert told[0] is not None and told[0].code() == KafkaError.KAFKA_STORAGE_ERROR, told
        if CLASS_PATH:
            probe = Load(self.kolk, "probe", 1)
            java = JavaWriter(probe, "retries=0", "enable.idempotence=false")
            writing = Background(lambda stopping: java.load(stopping, "once"))
            eventually(lambda: probe.failures, 30, "a refusal for Java")
            writing.stop(60)
            java.end()
            word, why = probe.failures[0].split(" ", 4)[3:]
            assert word == "true" and "KafkaStorageException" in why, probe.failures[0]

    def goes_on(self):
        """Everything but appends."""
        read = read_topic(self.kolk, "trimmed")
        found = [record["Data"] for _, record in read_stream(self.kolk.client(), "trimmed")]
        assert found == [read[0, offset][1] for offset in range(50)], "the protocols differ"
        member = Consumer({"bootstrap.servers": self.kolk.kafka, "group.id": "full", "log_level": 0})
        member.commit(offsets=[TopicPartition("trimmed", 0, 7)], asynchronous=False)
        same(member.committed([TopicPartition("trimmed", 0)], 20)[0].offset, 7, "committed offset")
        member.close()

    def free(self, name):
        if name == "trimmed":
            for future in self.admin.delete_records([TopicPartition(name, 0, 50)]).values():
                same(future.result(20).low_watermark, 50, "log start after DeleteRecords")
        elif name == "expired":
            change = ConfigEntry("retention.ms", "1", incremental_operation=AlterConfigOpType.SET)
            for future in self.admin.incremental_alter_configs([ConfigResource("topic", name, incremental_configs=[change])]).values():
                future.result(20)
        else:
            for future in self.admin.delete_topics([name]).values():
                future.result(20)


def full_disk(is_mounted):
    disk = FullDisk(is_mounted)
    try:
        disk.fill()
        disk.refused_by_kafka()
        for name in disk.BALLAST:
            disk.until_full()
            if name == "deleted":
                disk.goes_on()
            before = disk.load.counts()
            time.sleep(1)
            # One more may have been under way.
            stood = {k: n - before[k] for k, n in disk.load.counts().items()}
            disk.free(name)
            if name == "last":
                disk.load.stop()
            else:
                disk.until_going_on()
            print(f"  {name}: acked {before} when the disk was full, {stood} in the next second, {disk.load.counts()} later")
        records, twice = disk.load.check()
        disk.load.check_protocols()
        log = disk.kolk.log(None)
        assert "the disk is full" in log and "space came back" in log, log[:4000]
        # Thousands of refusals filled the log of the server before it was one line a second.
        assert log.count("an operation failed") < 300, "the log is flooded"
        disk.kolk.stop()
        print(f"  {records} records of {disk.load.counts()}, {twice} second copies of unacked writes; VmHWM {disk.kolk.peak_mib} MiB")
    finally:
        disk.load.end()
        disk.kolk.remove()


if platform.system() == "Linux":
    read_only = f"open {errno.EROFS} 1 0 /data/\nname {errno.EROFS} 1 0 /data/"
    case("a directory on a read-only disk refuses to start")(
        lambda: refuses_to_start(errno.EROFS, LD_PRELOAD=library(), FAULT_RULES=read_only))
    may = may_mount()
    if may:
        # Where nobody may mount, the case above is all that there is.
        case("a directory on a read-only mount refuses to start")(lambda: refuses_to_start(errno.EROFS, READ_ONLY))
        case("a full file system is told as what may be tried again, and clients get done once there is space")(
            lambda: full_disk(True))
    if FULL or not may:
        case("a full disk is told as what may be tried again, and clients get done once there is space")(
            lambda: full_disk(False))
    for what, rule in DISKS.items():
        for moment in range(MOMENTS):
            case(f"{what} fails, moment {moment}")(lambda what=what, rule=rule: fail_disk(what, rule))

try:
    main()
finally:
    workshop.cleanup()
