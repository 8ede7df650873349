import java.math.BigInteger;
import java.security.MessageDigest;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.atomic.AtomicBoolean;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;
import software.amazon.awssdk.core.SdkBytes;
import software.amazon.awssdk.services.kinesis.KinesisClient;
import software.amazon.awssdk.services.kinesis.model.GetRecordsResponse;
import software.amazon.awssdk.services.kinesis.model.InvalidArgumentException;
import software.amazon.awssdk.services.kinesis.model.KinesisException;
import software.amazon.awssdk.services.kinesis.model.PutRecordResponse;
import software.amazon.awssdk.services.kinesis.model.PutRecordsRequestEntry;
import software.amazon.awssdk.services.kinesis.model.PutRecordsResponse;
import software.amazon.awssdk.services.kinesis.model.Record;
import software.amazon.awssdk.services.kinesis.model.ResourceInUseException;
import software.amazon.awssdk.services.kinesis.model.ResourceNotFoundException;
import software.amazon.awssdk.services.kinesis.model.ScalingType;
import software.amazon.awssdk.services.kinesis.model.Shard;
import software.amazon.awssdk.services.kinesis.model.ShardFilterType;
import software.amazon.awssdk.services.kinesis.model.ShardIteratorType;

/** The whole round with the AWS SDK for Java 2, which speaks CBOR. */
public final class KinesisSdkRound {
    private static final String STREAM = Compat.unique("java-sdk");
    private static final int SHARDS = 3;

    private static KinesisClient client;
    /** Shard and sequence number to partition key and data, in the order of the puts. */
    private static final Map<String, String> ACKED = new LinkedHashMap<>();

    public static void main(String[] args) {
        client = Compat.kinesis();
        Compat.test("create and describe a stream", KinesisSdkRound::create);
        Compat.test("put one and many: routed by MD5", KinesisSdkRound::put);
        Compat.test("read everything from the trim horizon; arrival times are milliseconds", KinesisSdkRound::read);
        Compat.test("iterators of all five types", KinesisSdkRound::iterators);
        Compat.test("errors are the modelled exceptions", KinesisSdkRound::errors);
        Compat.test("split and merge: lineage and child shards", KinesisSdkRound::lineage);
        Compat.test("reshard under load: no error, once each, in order per key", KinesisSdkRound::load);
        Compat.crossTest("the same records by a Kafka consumer", Compat.KAFKA, KinesisSdkRound::readByKafka);
        Compat.crossTest("records of a Kafka producer", Compat.KAFKA, KinesisSdkRound::writtenByKafka);
        Compat.test("delete the stream", KinesisSdkRound::delete);
        client.close();
        Compat.finish();
    }

    private static void note(String shard, String number, String key, String data) {
        ACKED.put(shard + " " + number, key + "=" + data);
    }

    private static void create() throws Exception {
        client.createStream(r -> r.streamName(STREAM).shardCount(SHARDS));
        Compat.waitActive(client, STREAM);
        var summary = client.describeStreamSummary(r -> r.streamName(STREAM)).streamDescriptionSummary();
        Compat.same(summary.openShardCount(), SHARDS, "open shards");
        Compat.same(summary.retentionPeriodHours(), 24, "retention");
        Compat.same(summary.streamId(), null, "stream id");
        Duration age = Duration.between(summary.streamCreationTimestamp(), Instant.now()).abs();
        Compat.check(age.compareTo(Duration.ofMinutes(5)) < 0, "creation is " + age + " from now: CBOR times are milliseconds");
        Compat.check(client.listStreamsPaginator().streamNames().stream().anyMatch(STREAM::equals), "not listed");
        Compat.same(client.listShards(r -> r.streamName(STREAM).shardFilter(f -> f.type(ShardFilterType.AT_LATEST))).shards().size(), SHARDS, "shards");
    }

    private static String expectedShard(String key) throws Exception {
        BigInteger hash = new BigInteger(1, MessageDigest.getInstance("MD5").digest(key.getBytes("UTF-8")));
        for (Shard shard : Compat.openShards(client, STREAM)) {
            boolean above = hash.compareTo(new BigInteger(shard.hashKeyRange().startingHashKey())) >= 0;
            if (above && hash.compareTo(new BigInteger(shard.hashKeyRange().endingHashKey())) <= 0) {
                return shard.shardId();
            }
        }
        throw new AssertionError("the shards do not cover " + hash);
    }

    private static void put() throws Exception {
        for (int i = 0; i < 20; i++) {
            String key = "key-" + i % 10;
            String data = "one-" + i;
            PutRecordResponse put = client.putRecord(r -> r.streamName(STREAM).partitionKey(key).data(SdkBytes.fromUtf8String(data)));
            Compat.same(put.shardId(), expectedShard(key), "shard");
            note(put.shardId(), put.sequenceNumber(), key, data);
        }
        List<PutRecordsRequestEntry> entries = new ArrayList<>();
        for (int i = 0; i < 500; i++) {
            String key = "key-" + i % 40;
            String data = ("many-" + i + " ").repeat(i % 20);
            entries.add(PutRecordsRequestEntry.builder().partitionKey(key).data(SdkBytes.fromUtf8String(data)).build());
        }
        PutRecordsResponse answer = client.putRecords(r -> r.streamName(STREAM).records(entries));
        Compat.same(answer.failedRecordCount(), 0, "failed");
        for (int i = 0; i < 500; i++) {
            var result = answer.records().get(i);
            note(result.shardId(), result.sequenceNumber(), entries.get(i).partitionKey(), entries.get(i).data().asUtf8String());
        }
    }

    private static void read() {
        Map<String, String> found = new HashMap<>();
        for (Record record : Compat.readStream(client, STREAM)) {
            String shard = String.format("shardId-%012d", Compat.shardOf(record.sequenceNumber()));
            found.put(shard + " " + record.sequenceNumber(), record.partitionKey() + "=" + record.data().asUtf8String());
            Duration age = Duration.between(record.approximateArrivalTimestamp(), Instant.now()).abs();
            Compat.check(age.compareTo(Duration.ofMinutes(5)) < 0, "arrival is " + age + " from now");
        }
        Compat.same(found, new HashMap<>(ACKED), "records");
    }

    private static List<String> numbersFrom(String shard, ShardIteratorType type, String number, Instant time) {
        String iterator =
                client.getShardIterator(r -> r.streamName(STREAM).shardId(shard).shardIteratorType(type).startingSequenceNumber(number).timestamp(time))
                        .shardIterator();
        List<String> numbers = new ArrayList<>();
        while (true) {
            String at = iterator;
            GetRecordsResponse page = client.getRecords(r -> r.shardIterator(at).limit(50));
            page.records().forEach(record -> numbers.add(record.sequenceNumber()));
            if (page.records().isEmpty() && page.millisBehindLatest() == 0) {
                return numbers;
            }
            iterator = page.nextShardIterator();
        }
    }

    private static void iterators() {
        String shard = Compat.openShards(client, STREAM).get(0).shardId();
        List<String> numbers = ACKED.keySet().stream().filter(key -> key.startsWith(shard)).map(key -> key.split(" ")[1]).toList();
        int middle = numbers.size() / 2;
        Compat.same(numbersFrom(shard, ShardIteratorType.TRIM_HORIZON, null, null), numbers, "trim horizon");
        Compat.same(numbersFrom(shard, ShardIteratorType.AT_SEQUENCE_NUMBER, numbers.get(middle), null), numbers.subList(middle, numbers.size()), "at");
        Compat.same(numbersFrom(shard, ShardIteratorType.AFTER_SEQUENCE_NUMBER, numbers.get(middle), null), numbers.subList(middle + 1, numbers.size()), "after");
        Compat.same(numbersFrom(shard, ShardIteratorType.LATEST, null, null), List.of(), "latest");
        Compat.same(numbersFrom(shard, ShardIteratorType.AT_TIMESTAMP, null, Instant.now().minusSeconds(3600)), numbers, "an hour ago");
    }

    private static void errors() {
        Compat.raises(ResourceInUseException.class, () -> client.createStream(r -> r.streamName(STREAM).shardCount(1)));
        Compat.raises(ResourceNotFoundException.class, () -> client.describeStream(r -> r.streamName(Compat.unique("none"))));
        Compat.raises(InvalidArgumentException.class, () -> client.getRecords(r -> r.shardIterator("garbage")));
        String shard = Compat.openShards(client, STREAM).get(0).shardId();
        Compat.raises(
                InvalidArgumentException.class,
                () -> client.getShardIterator(r -> r.streamName(STREAM).shardId(shard).shardIteratorType("AT_SEQUENCE_NUMBER").startingSequenceNumber("1")));
        Compat.raises(
                InvalidArgumentException.class,
                () -> client.putRecord(r -> r.streamName(STREAM).partitionKey("k").data(SdkBytes.fromUtf8String("x")).explicitHashKey(BigInteger.TWO.pow(128).toString())));
        KinesisException large =
                Compat.raises(KinesisException.class, () -> client.putRecord(r -> r.streamName(STREAM).partitionKey("k").data(SdkBytes.fromByteArray(new byte[1024 * 1024 + 1]))));
        Compat.same(large.statusCode(), 400, "status");
        KinesisException wrong = Compat.raises(KinesisException.class, () -> client.createStream(r -> r.streamName("a stream").shardCount(1)));
        Compat.same(wrong.awsErrorDetails().errorCode(), "ValidationException", "code");
        Compat.check(wrong.requestId() != null, "request id");
    }

    private static void lineage() throws Exception {
        String stream = Compat.unique("java-lineage");
        client.createStream(r -> r.streamName(stream).shardCount(1));
        Compat.waitActive(client, stream);
        Shard parent = Compat.openShards(client, stream).get(0);
        Compat.split(client, stream, parent);
        List<Shard> children = Compat.openShards(client, stream);
        Compat.same(children.stream().map(Shard::parentShardId).toList(), List.of(parent.shardId(), parent.shardId()), "parents");
        String iterator = client.getShardIterator(r -> r.streamName(stream).shardId(parent.shardId()).shardIteratorType("TRIM_HORIZON")).shardIterator();
        GetRecordsResponse end = client.getRecords(r -> r.shardIterator(iterator));
        Compat.same(end.nextShardIterator(), null, "iterator at the end");
        Compat.same(end.childShards().size(), 2, "child shards");
        Compat.same(end.childShards().get(0).parentShards(), List.of(parent.shardId()), "parents of a child");
        client.mergeShards(r -> r.streamName(stream).shardToMerge(children.get(0).shardId()).adjacentShardToMerge(children.get(1).shardId()));
        Compat.waitActive(client, stream);
        Shard merged = Compat.openShards(client, stream).get(0);
        Compat.same(List.of(merged.parentShardId(), merged.adjacentParentShardId()), children.stream().map(Shard::shardId).toList(), "parents of a merge");
        Compat.same(merged.hashKeyRange(), parent.hashKeyRange(), "range");
        client.deleteStream(r -> r.streamName(stream));
    }

    private static void load() throws Exception {
        String stream = Compat.unique("java-load");
        client.createStream(r -> r.streamName(stream).shardCount(2));
        Compat.waitActive(client, stream);
        Map<String, List<String>> perKey = new ConcurrentHashMap<>();
        ConcurrentLinkedQueue<Throwable> errors = new ConcurrentLinkedQueue<>();
        AtomicBoolean stop = new AtomicBoolean();
        List<Thread> writers = new ArrayList<>();
        for (int number = 0; number < 3; number++) {
            int writer = number;
            Thread thread = new Thread(() -> {
                try (KinesisClient own = Compat.kinesis()) {
                    for (int i = 0; i < 500 && !stop.get(); i++) {
                        List<PutRecordsRequestEntry> entries = new ArrayList<>();
                        for (int n = 0; n < 40; n++) {
                            entries.add(PutRecordsRequestEntry.builder().partitionKey(writer + "-" + n % 10).data(SdkBytes.fromUtf8String(Integer.toString(i * 40 + n))).build());
                        }
                        Compat.same(own.putRecords(r -> r.streamName(stream).records(entries)).failedRecordCount(), 0, "failed");
                        entries.forEach(e -> perKey.computeIfAbsent(e.partitionKey(), k -> new ArrayList<>()).add(e.data().asUtf8String()));
                    }
                } catch (Throwable error) {
                    errors.add(error);
                }
            });
            thread.start();
            writers.add(thread);
        }
        Thread.sleep(500);
        Compat.split(client, stream, Compat.openShards(client, stream).get(0));
        Thread.sleep(200);
        client.updateShardCount(r -> r.streamName(stream).targetShardCount(4).scalingType(ScalingType.UNIFORM_SCALING));
        Compat.waitActive(client, stream);
        client.updateShardCount(r -> r.streamName(stream).targetShardCount(2).scalingType(ScalingType.UNIFORM_SCALING));
        Compat.waitActive(client, stream);
        Thread.sleep(300);
        stop.set(true);
        for (Thread thread : writers) {
            thread.join();
        }
        Compat.same(List.copyOf(errors), List.of(), "errors of the writers");
        Map<String, List<String>> found = new HashMap<>();
        for (Record record : Compat.readStream(client, stream)) {
            found.computeIfAbsent(record.partitionKey(), k -> new ArrayList<>()).add(record.data().asUtf8String());
        }
        Compat.same(found, new HashMap<>(perKey), "records in order per key");
        client.deleteStream(r -> r.streamName(stream));
    }

    private static void readByKafka() {
        Properties config = new Properties();
        config.put("bootstrap.servers", Compat.KAFKA);
        Map<String, String> found = new HashMap<>();
        try (var reader = new KafkaConsumer<>(config, new StringDeserializer(), new StringDeserializer())) {
            List<TopicPartition> parts = new ArrayList<>();
            for (int i = 0; i < SHARDS; i++) {
                parts.add(new TopicPartition(STREAM, i));
            }
            reader.assign(parts);
            reader.seekToBeginning(parts);
            long end = System.nanoTime() + 30_000_000_000L;
            while (found.size() < ACKED.size() && System.nanoTime() < end) {
                reader.poll(Duration.ofSeconds(1)).forEach(record -> found.put(record.partition() + "/" + record.offset(), record.key() + "=" + record.value()));
            }
        }
        Map<String, String> expected = new HashMap<>();
        ACKED.forEach((place, record) -> {
            String number = place.split(" ")[1];
            expected.put(Compat.shardOf(number) + "/" + Compat.offsetOf(number), record);
        });
        Compat.same(found, expected, "records");
    }

    private static void writtenByKafka() throws Exception {
        Properties config = new Properties();
        config.put("bootstrap.servers", Compat.KAFKA);
        config.put("compression.type", "snappy");
        Map<String, String> sent = new HashMap<>();
        try (var writer = new KafkaProducer<>(config, new StringSerializer(), new StringSerializer())) {
            for (int i = 0; i < 50; i++) {
                var meta = writer.send(new ProducerRecord<>(STREAM, "kafka-" + i, "value-" + i)).get();
                sent.put(meta.partition() + "/" + meta.offset(), "kafka-" + i + "=value-" + i);
            }
        }
        Map<String, String> found = new HashMap<>();
        for (Record record : Compat.readStream(client, STREAM)) {
            if (record.partitionKey().startsWith("kafka-")) {
                String place = Compat.shardOf(record.sequenceNumber()) + "/" + Compat.offsetOf(record.sequenceNumber());
                found.put(place, record.partitionKey() + "=" + record.data().asUtf8String());
            }
        }
        Compat.same(found, sent, "records");
    }

    private static void delete() throws Exception {
        client.deleteStream(r -> r.streamName(STREAM));
        Compat.eventually("stream gone", () -> client.listStreamsPaginator().streamNames().stream().noneMatch(STREAM::equals));
    }
}
