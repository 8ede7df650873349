"""The round with Debian's kcat, driven as a person drives it: one process a command."""

import subprocess

from kolk_compat import *

TOPIC = unique("kcat")
print(subprocess.run(["kcat", "-V"], capture_output=True, text=True).stdout.splitlines()[-1])


def kcat(*arguments, stdin=b"", code=0):
    """Runs kcat and answers its stdout."""
    done = subprocess.run(["kcat", "-b", KAFKA, *arguments], input=stdin, capture_output=True, timeout=60)
    same(done.returncode, code, f"exit code ({done.stderr.decode()})")
    return done.stdout.decode()


def consume(*arguments, topic=TOPIC):
    """All lines of a reader that ends at the end."""
    return kcat("-C", "-q", "-e", "-t", topic, *arguments).splitlines()


@case("produce makes the topic, lines are messages")
def _():
    kcat("-P", "-t", TOPIC, stdin=b"".join(b"line %d\n" % i for i in range(100)))
    same(consume("-f", "%p %o %s\n"), [f"0 {i} line {i}" for i in range(100)], "lines")


@case("list topics, brokers and JSON")
def _():
    assert TOPIC in kcat("-L")
    listed = json.loads(kcat("-L", "-J", "-t", TOPIC))
    same([p["partition"] for p in listed["topics"][0]["partitions"]], [0], "partitions")
    same(len(listed["brokers"]), 1, "brokers")


@case("keys, headers and every codec")
def _():
    for number, codec in enumerate(["none", "gzip", "snappy", "lz4"]):
        kcat("-P", "-t", TOPIC, "-K", ":", "-H", f"codec={codec}", "-z", codec, stdin=b"key:%d\n" % number * 50)
    lines = consume("-o", "100", "-f", "%k|%s|%h\n")
    same(len(lines), 200, "lines")
    same(lines[0], "key|0|codec=none", "first")
    same(lines[-1], "key|3|codec=lz4", "last")


@case("replay from an offset, the end and a timestamp")
def _():
    same(consume("-o", "290", "-f", "%o ")[0].split(), [str(o) for o in range(290, 300)], "from an offset")
    same(consume("-o", "-3", "-f", "%o ")[0].split(), ["297", "298", "299"], "the last three")
    stamps = [int(s) for s in consume("-f", "%T\n")]
    wanted = stamps[250]
    first = next(i for i, s in enumerate(stamps) if s >= wanted)
    same(consume("-o", f"s@{wanted}", "-f", "%o\n")[0], str(first), "from a timestamp")
    same(kcat("-Q", "-t", f"{TOPIC}:0:{wanted}").strip(), f"{TOPIC} [0] offset {first}", "query")


@case("a balanced consumer group")
def _():
    group = unique("group")
    read = lambda: subprocess.run(
        ["kcat", "-b", KAFKA, "-q", "-c", "100", "-f", "%o\n", "-X", "auto.offset.reset=earliest", "-G", group, TOPIC],
        capture_output=True, text=True, timeout=60,
    ).stdout.split()
    same(read(), [str(o) for o in range(100)], "first hundred")
    same(read(), [str(o) for o in range(100, 200)], "the group goes on")


@case("a topic that is not there")
def _():
    done = subprocess.run(
        ["kcat", "-b", KAFKA, "-C", "-e", "-t", unique("none"), "-X", "allow.auto.create.topics=false"], capture_output=True, timeout=60
    )
    assert done.returncode != 0 and b"nknown topic" in done.stderr, done


@case("a message over the limit is refused")
def _():
    big = b"x" * 2_000_000
    done = subprocess.run(
        ["kcat", "-b", KAFKA, "-P", "-t", TOPIC, "-X", "message.max.bytes=10000000"], input=big, capture_output=True, timeout=60
    )
    assert b"too large" in done.stderr.lower(), done.stderr


@case("read back through Kinesis", kinesis=True)
def _():
    records = [record for _, record in read_stream(kinesis_client(), TOPIC)]
    same([offset_of(r["SequenceNumber"]) for r in records], list(range(300)), "offsets")
    same([r["Data"].decode() for r in records[:100]], [f"line {i}" for i in range(100)], "data")
    same({r["PartitionKey"] for r in records[100:]}, {"key"}, "keys")


@case("what Kinesis puts kcat reads, before and after a split", kinesis=True)
def _():
    client = kinesis_client()
    put = lambda count: [client.put_record(StreamName=TOPIC, Data=f"put {i}", PartitionKey=f"pk{i}") for i in range(count)]
    put(10)
    same(len(consume("-o", "300", "-f", "%k=%s\n")), 10, "lines")
    split(client, TOPIC, open_shards(client, TOPIC)[0])
    results = put(40)
    same(len({r["ShardId"] for r in results}), 2, "shards written to")
    lines = consume("-f", "%p %k=%s\n")
    same(len(lines), 350, "lines over both partitions")
    same({line.split()[0] for line in lines}, {"0", "1"}, "partitions")


main()
