// The whole round with the AWS SDK for JavaScript v3, which speaks HTTP/2 for every call, over plain http with
// prior knowledge; read back and written with kafkajs.
//
// KOLK_KINESIS=http://HOST:PORT and KOLK_KAFKA=HOST:PORT are the two faces of the server under test.
import assert from "node:assert/strict";
import { createHash, randomUUID } from "node:crypto";
import http from "node:http";
import {
  CreateStreamCommand,
  DeleteStreamCommand,
  DescribeStreamSummaryCommand,
  GetRecordsCommand,
  GetShardIteratorCommand,
  KinesisClient,
  ListShardsCommand,
  ListStreamsCommand,
  MergeShardsCommand,
  PutRecordCommand,
  PutRecordsCommand,
  SplitShardCommand,
  UpdateShardCountCommand,
} from "@aws-sdk/client-kinesis";

process.env.KAFKAJS_NO_PARTITIONER_WARNING = "1";
const { Kafka, logLevel } = (await import("kafkajs")).default;

const KINESIS = process.env.KOLK_KINESIS;
const KAFKA = process.env.KOLK_KAFKA;
const STREAM = unique("js");
const SHARDS = 3;
const cases = [];
const acked = new Map(); // "shard number" -> "key=data"

const client = new KinesisClient({
  endpoint: KINESIS,
  region: "us-east-1",
  credentials: { accessKeyId: "AKIAIOSFODNN7EXAMPLE", secretAccessKey: "secret" },
});

function unique(prefix) {
  return `${prefix}-${randomUUID().slice(0, 8)}`;
}

function test(name, body, kafka = false) {
  cases.push({ name, body, kafka });
}

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const bytes = (text) => new TextEncoder().encode(text);
const text = (data) => new TextDecoder().decode(data);

async function eventually(what, condition) {
  const end = Date.now() + 30000;
  while (!(await condition())) {
    assert.ok(Date.now() < end, `${what} did not come true within 30 s`);
    await sleep(100);
  }
}

// Shard index and Kafka offset out of a sequence number (47 hex digits).
function decode(number) {
  const hex = BigInt(number).toString(16);
  assert.equal(hex.length, 47, "hex digits of a sequence number");
  return { shard: parseInt(hex.slice(38, 46), 16), offset: parseInt(hex.slice(11, 27), 16) - 1 };
}

async function waitActive(stream) {
  await eventually(`${stream} active`, async () => {
    const answer = await client.send(new DescribeStreamSummaryCommand({ StreamName: stream }));
    return answer.StreamDescriptionSummary.StreamStatus === "ACTIVE";
  });
}

async function listShards(stream) {
  const shards = [];
  let page = await client.send(new ListShardsCommand({ StreamName: stream, MaxResults: 2 }));
  for (;;) {
    shards.push(...page.Shards);
    if (!page.NextToken) return shards;
    page = await client.send(new ListShardsCommand({ NextToken: page.NextToken }));
  }
}

const isOpen = (shard) => !shard.SequenceNumberRange.EndingSequenceNumber;
const openShards = async (stream) => (await listShards(stream)).filter(isOpen);

async function readShard(stream, shard, start = { ShardIteratorType: "TRIM_HORIZON" }) {
  let { ShardIterator: iterator } = await client.send(new GetShardIteratorCommand({ StreamName: stream, ShardId: shard, ...start }));
  const records = [];
  for (;;) {
    const page = await client.send(new GetRecordsCommand({ ShardIterator: iterator }));
    records.push(...page.Records);
    iterator = page.NextShardIterator;
    if (!iterator) {
      assert.ok(page.ChildShards?.length, `${shard} ended without child shards`);
      return records;
    }
    if (page.Records.length === 0 && page.MillisBehindLatest === 0) return records;
  }
}

// All records, parents before children.
async function readStream(stream) {
  const shards = await listShards(stream);
  const ids = new Set(shards.map((shard) => shard.ShardId));
  const done = new Set();
  const records = [];
  while (done.size < shards.length) {
    const before = done.size;
    for (const shard of shards) {
      const parents = [shard.ParentShardId, shard.AdjacentParentShardId].filter((id) => ids.has(id));
      if (done.has(shard.ShardId) || parents.some((id) => !done.has(id))) continue;
      for (const record of await readShard(stream, shard.ShardId)) records.push({ shard: shard.ShardId, ...record });
      done.add(shard.ShardId);
    }
    assert.ok(done.size > before, "the lineage has a circle");
  }
  return records;
}

async function split(stream, shard) {
  const low = BigInt(shard.HashKeyRange.StartingHashKey);
  const high = BigInt(shard.HashKeyRange.EndingHashKey);
  const middle = ((low + high + 1n) / 2n).toString();
  await client.send(new SplitShardCommand({ StreamName: stream, ShardToSplit: shard.ShardId, NewStartingHashKey: middle }));
  await waitActive(stream);
}

async function refused(code, command) {
  try {
    await client.send(command);
  } catch (error) {
    assert.equal(error.name, code, error.message);
    assert.equal(error.$metadata.httpStatusCode, 400);
    return error;
  }
  assert.fail(`expected ${code}`);
}

test("create and describe a stream", async () => {
  await client.send(new CreateStreamCommand({ StreamName: STREAM, ShardCount: SHARDS }));
  await waitActive(STREAM);
  assert.equal((await openShards(STREAM)).length, SHARDS);
  const names = (await client.send(new ListStreamsCommand({ Limit: 1000 }))).StreamNames;
  assert.ok(names.includes(STREAM));
});

test("put one and many: routed by MD5", async () => {
  const shards = await openShards(STREAM);
  const expected = (key) => {
    const hash = BigInt("0x" + createHash("md5").update(key).digest("hex"));
    return shards.find((s) => hash >= BigInt(s.HashKeyRange.StartingHashKey) && hash <= BigInt(s.HashKeyRange.EndingHashKey)).ShardId;
  };
  for (let i = 0; i < 20; i++) {
    const [key, data] = [`key-${i % 10}`, `one-${i}`];
    const put = await client.send(new PutRecordCommand({ StreamName: STREAM, PartitionKey: key, Data: bytes(data) }));
    assert.equal(put.ShardId, expected(key));
    acked.set(`${put.ShardId} ${put.SequenceNumber}`, `${key}=${data}`);
  }
  const entries = Array.from({ length: 500 }, (_, i) => ({ PartitionKey: `key-${i % 40}`, Data: bytes(`many-${i} `.repeat(i % 20)) }));
  const answer = await client.send(new PutRecordsCommand({ StreamName: STREAM, Records: entries }));
  assert.equal(answer.FailedRecordCount, 0);
  answer.Records.forEach((result, i) => {
    assert.equal(result.ShardId, expected(entries[i].PartitionKey));
    acked.set(`${result.ShardId} ${result.SequenceNumber}`, `${entries[i].PartitionKey}=${text(entries[i].Data)}`);
  });
});

test("many calls at once over one HTTP/2 connection", async () => {
  const puts = Array.from({ length: 100 }, (_, i) =>
    client.send(new PutRecordCommand({ StreamName: STREAM, PartitionKey: `at-once-${i}`, Data: bytes(`${i}`) })),
  );
  for (const [i, put] of (await Promise.all(puts)).entries()) acked.set(`${put.ShardId} ${put.SequenceNumber}`, `at-once-${i}=${i}`);
});

test("read everything from the trim horizon", async () => {
  const found = new Map();
  for (const record of await readStream(STREAM)) {
    found.set(`${record.shard} ${record.SequenceNumber}`, `${record.PartitionKey}=${text(record.Data)}`);
    assert.ok(Math.abs(Date.now() - record.ApproximateArrivalTimestamp.getTime()) < 300000, "arrival time");
  }
  assert.deepEqual([...found].sort(), [...acked].sort());
});

test("iterators of all five types", async () => {
  const shard = (await openShards(STREAM))[0].ShardId;
  const numbers = [...acked.keys()].filter((key) => key.startsWith(shard)).map((key) => key.split(" ")[1]);
  numbers.sort((a, b) => (BigInt(a) < BigInt(b) ? -1 : 1));
  const middle = Math.floor(numbers.length / 2);
  const read = async (start) => (await readShard(STREAM, shard, start)).map((record) => record.SequenceNumber);
  assert.deepEqual(await read({ ShardIteratorType: "TRIM_HORIZON" }), numbers);
  assert.deepEqual(await read({ ShardIteratorType: "AT_SEQUENCE_NUMBER", StartingSequenceNumber: numbers[middle] }), numbers.slice(middle));
  assert.deepEqual(await read({ ShardIteratorType: "AFTER_SEQUENCE_NUMBER", StartingSequenceNumber: numbers[middle] }), numbers.slice(middle + 1));
  assert.deepEqual(await read({ ShardIteratorType: "LATEST" }), []);
  assert.deepEqual(await read({ ShardIteratorType: "AT_TIMESTAMP", Timestamp: new Date(Date.now() - 3600000) }), numbers);
});

test("errors are the modelled exceptions", async () => {
  await refused("ResourceInUseException", new CreateStreamCommand({ StreamName: STREAM, ShardCount: 1 }));
  await refused("ResourceNotFoundException", new DescribeStreamSummaryCommand({ StreamName: unique("none") }));
  await refused("ValidationException", new CreateStreamCommand({ StreamName: "a stream", ShardCount: 1 }));
  await refused("InvalidArgumentException", new GetRecordsCommand({ ShardIterator: "garbage" }));
  const hash = (1n << 128n).toString();
  await refused("InvalidArgumentException", new PutRecordCommand({ StreamName: STREAM, PartitionKey: "k", Data: bytes("x"), ExplicitHashKey: hash }));
  const shard = (await openShards(STREAM))[0].ShardId;
  const start = { ShardIteratorType: "AT_SEQUENCE_NUMBER", StartingSequenceNumber: "1" };
  await refused("InvalidArgumentException", new GetShardIteratorCommand({ StreamName: STREAM, ShardId: shard, ...start }));
});

test("reshard under load: no error, once each, in order per key", async () => {
  const stream = unique("js-load");
  await client.send(new CreateStreamCommand({ StreamName: stream, ShardCount: 2 }));
  await waitActive(stream);
  const perKey = new Map();
  let stop = false;
  const writer = async (number) => {
    for (let i = 0; i < 500 && !stop; i++) {
      const entries = Array.from({ length: 40 }, (_, n) => ({ PartitionKey: `${number}-${n % 10}`, Data: bytes(`${i * 40 + n}`) }));
      const answer = await client.send(new PutRecordsCommand({ StreamName: stream, Records: entries }));
      assert.equal(answer.FailedRecordCount, 0);
      for (const entry of entries) {
        if (!perKey.has(entry.PartitionKey)) perKey.set(entry.PartitionKey, []);
        perKey.get(entry.PartitionKey).push(text(entry.Data));
      }
    }
  };
  const writers = [0, 1, 2].map(writer);
  await sleep(300);
  await split(stream, (await openShards(stream))[0]);
  const [lower, upper] = (await openShards(stream)).sort((a, b) => (BigInt(a.HashKeyRange.StartingHashKey) < BigInt(b.HashKeyRange.StartingHashKey) ? -1 : 1));
  await client.send(new MergeShardsCommand({ StreamName: stream, ShardToMerge: lower.ShardId, AdjacentShardToMerge: upper.ShardId }));
  await waitActive(stream);
  await client.send(new UpdateShardCountCommand({ StreamName: stream, TargetShardCount: 4, ScalingType: "UNIFORM_SCALING" }));
  await waitActive(stream);
  await sleep(300);
  stop = true;
  await Promise.all(writers);
  const found = new Map();
  for (const record of await readStream(stream)) {
    if (!found.has(record.PartitionKey)) found.set(record.PartitionKey, []);
    found.get(record.PartitionKey).push(text(record.Data));
  }
  assert.deepEqual([...found].sort(), [...perKey].sort());
  await client.send(new DeleteStreamCommand({ StreamName: stream }));
});

test("HTTP/1.1 is answered on the same port", async () => {
  const address = new URL(KINESIS);
  const headers = { "content-type": "application/x-amz-json-1.1", "x-amz-target": "Kinesis_20131202.ListStreams" };
  const answer = await new Promise((resolve, reject) => {
    const request = http.request({ host: address.hostname, port: address.port, method: "POST", headers }, resolve);
    request.on("error", reject);
    request.end("{}");
  });
  assert.equal(answer.statusCode, 400);
  assert.ok(answer.headers["x-amzn-requestid"]);
  answer.resume();
});

test("the same records by kafkajs", async () => {
  const kafka = new Kafka({ brokers: [KAFKA], logLevel: logLevel.NOTHING });
  const consumer = kafka.consumer({ groupId: unique("js") });
  const found = new Map();
  await consumer.connect();
  await consumer.subscribe({ topic: STREAM, fromBeginning: true });
  await consumer.run({
    eachMessage: async ({ partition, message }) => {
      found.set(`${partition}/${message.offset}`, `${message.key}=${message.value}`);
    },
  });
  await eventually("all records read", () => found.size >= acked.size);
  await consumer.disconnect();
  const expected = new Map();
  for (const [place, record] of acked) {
    const { shard, offset } = decode(place.split(" ")[1]);
    expected.set(`${shard}/${offset}`, record);
  }
  assert.deepEqual([...found].sort(), [...expected].sort());
}, true);

test("records of a kafkajs producer", async () => {
  const kafka = new Kafka({ brokers: [KAFKA], logLevel: logLevel.NOTHING });
  const admin = kafka.admin();
  const topic = unique("kafkajs");
  await admin.connect();
  await admin.createTopics({ topics: [{ topic, numPartitions: 2, replicationFactor: 1 }] });
  const producer = kafka.producer({ idempotent: true });
  await producer.connect();
  const messages = Array.from({ length: 60 }, (_, i) => ({ key: `k${i}`, value: `v${i}` }));
  await producer.send({ topic, messages, acks: -1 });
  await producer.disconnect();
  const found = (await readStream(topic)).map((record) => `${record.PartitionKey}=${text(record.Data)}`);
  assert.deepEqual(found.sort(), messages.map(({ key, value }) => `${key}=${value}`).sort());
  await admin.deleteTopics({ topics: [topic] });
  await admin.disconnect();
}, true);

test("a transactional kafkajs producer is refused at once or works", async () => {
  const kafka = new Kafka({ brokers: [KAFKA], logLevel: logLevel.NOTHING, retry: { retries: 2 } });
  const producer = kafka.producer({ transactionalId: unique("tx"), maxInFlightRequests: 1, idempotent: true });
  await producer.connect();
  try {
    const topic = unique("tx-topic");
    const attempt = (async () => {
      const transaction = await producer.transaction();
      await transaction.send({ topic, messages: [{ value: "x" }] });
      await transaction.commit();
    })();
    const late = new Promise((_, reject) => setTimeout(() => reject(new Error("the refusal was retried for ever")), 20_000).unref());
    // What the broker said is lost in kafkajs: it "failed to find" a coordinator. But it knows that to be final.
    await Promise.race([attempt, late]).catch((error) => {
      if (error.retriable !== false) throw error;
    });
  } finally {
    await producer.disconnect();
  }
}, true);

test("delete the stream", async () => {
  await client.send(new DeleteStreamCommand({ StreamName: STREAM }));
  await eventually("stream gone", async () => !(await client.send(new ListStreamsCommand({ Limit: 1000 }))).StreamNames.includes(STREAM));
});

let failed = 0;
let held = 0;
const only = process.argv.slice(2);
for (const { name, body, kafka } of cases) {
  if (only.length > 0 && !only.some((word) => name.includes(word))) continue;
  if (kafka && !KAFKA) {
    console.log(`skip ${name}: KOLK_KAFKA is not set`);
    continue;
  }
  const start = Date.now();
  try {
    await body();
    held++;
    console.log(`ok ${name} (${((Date.now() - start) / 1000).toFixed(1)} s)`);
  } catch (error) {
    failed++;
    console.error(error);
    console.log(`FAIL ${name}: ${String(error.message ?? error).replaceAll("\n", " ").slice(0, 500)}`);
  }
}
console.log(`${held} cases held, ${failed} did not`);
process.exit(failed === 0 ? 0 : 1);
