import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Collection;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.Set;
import java.util.TreeMap;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Future;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.function.Consumer;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.AlterConfigOp;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.clients.admin.ConsumerGroupDescription;
import org.apache.kafka.clients.admin.DescribeTopicsOptions;
import org.apache.kafka.clients.admin.NewPartitions;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.clients.admin.RecordsToDelete;
import org.apache.kafka.clients.admin.TopicDescription;
import org.apache.kafka.clients.consumer.ConsumerConfig;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.consumer.OffsetOutOfRangeException;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerConfig;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.GroupState;
import org.apache.kafka.common.KafkaException;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.errors.GroupNotEmptyException;
import org.apache.kafka.common.errors.InvalidConfigurationException;
import org.apache.kafka.common.errors.InvalidPartitionsException;
import org.apache.kafka.common.errors.InvalidTopicException;
import org.apache.kafka.common.errors.RecordTooLargeException;
import org.apache.kafka.common.errors.TopicExistsException;
import org.apache.kafka.common.errors.UnknownTopicOrPartitionException;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;
import software.amazon.awssdk.core.SdkBytes;
import software.amazon.awssdk.services.kinesis.KinesisClient;
import software.amazon.awssdk.services.kinesis.model.PutRecordResponse;
import software.amazon.awssdk.services.kinesis.model.Record;
import software.amazon.awssdk.services.kinesis.model.ScalingType;
import software.amazon.awssdk.services.kinesis.model.Shard;

/** The whole round with the Java kafka-clients: producer, consumer, admin. */
public final class KafkaClientsRound {
    private static final String TOPIC = Compat.unique("java");
    private static final int PARTITIONS = 3;
    private static final int COUNT = 1000;

    private static Admin admin;
    /** "partition/offset" to "key=value" of all that was acked. */
    private static final Map<String, String> ACKED = new ConcurrentHashMap<>();

    public static void main(String[] args) {
        admin = Admin.create(Map.of("bootstrap.servers", Compat.KAFKA, "default.api.timeout.ms", "20000", "request.timeout.ms", "10000"));
        Compat.test("create and describe a topic", KafkaClientsRound::createTopic);
        Compat.test("topics are refused with Kafka's errors", KafkaClientsRound::refusedTopics);
        Compat.test("produce with every codec, idempotent, with headers", KafkaClientsRound::produce);
        Compat.test("consume all from the beginning", KafkaClientsRound::consume);
        Compat.test("offsets: earliest, latest, by time, of the largest timestamp", KafkaClientsRound::offsets);
        Compat.test("replay from an offset; out of range", KafkaClientsRound::replay);
        Compat.test("group: commit, resume, describe, alter, delete", KafkaClientsRound::group);
        Compat.test("group: cooperative members come and go", KafkaClientsRound::cooperative);
        Compat.test("too large record is refused and the producer goes on", KafkaClientsRound::tooLarge);
        Compat.test("a transactional producer is refused at once or works", KafkaClientsRound::transactional);
        Compat.test("configs: incremental alter, describe, reset", KafkaClientsRound::configs);
        Compat.test("cluster, log directories, features and groups are described", KafkaClientsRound::cluster);
        Compat.crossTest("read back through Kinesis: every record, offset = sequence index - 1", Compat.KINESIS, KafkaClientsRound::readThroughKinesis);
        Compat.crossTest("records put through Kinesis are read by kafka-clients", Compat.KINESIS, KafkaClientsRound::readKinesisPuts);
        Compat.test("CreatePartitions under load: no producer error, nothing lost or twice", KafkaClientsRound::createPartitions);
        Compat.crossTest("SplitShard under load: no producer error, nothing lost or twice", Compat.KINESIS, KafkaClientsRound::splitShards);
        Compat.test("DeleteRecords moves the beginning", KafkaClientsRound::deleteRecords);
        Compat.test("delete the topic", KafkaClientsRound::deleteTopic);
        Compat.finish();
    }

    private static KafkaProducer<String, String> producer(Map<String, String> more) {
        Properties config = new Properties();
        config.put(ProducerConfig.BOOTSTRAP_SERVERS_CONFIG, Compat.KAFKA);
        config.put(ProducerConfig.ENABLE_IDEMPOTENCE_CONFIG, "true");
        config.put(ProducerConfig.DELIVERY_TIMEOUT_MS_CONFIG, "30000");
        config.put(ProducerConfig.REQUEST_TIMEOUT_MS_CONFIG, "10000");
        config.putAll(more);
        return new KafkaProducer<>(config, new StringSerializer(), new StringSerializer());
    }

    private static KafkaConsumer<String, String> consumer(Map<String, String> more) {
        Properties config = new Properties();
        config.put(ConsumerConfig.BOOTSTRAP_SERVERS_CONFIG, Compat.KAFKA);
        config.put(ConsumerConfig.AUTO_OFFSET_RESET_CONFIG, "earliest");
        config.put(ConsumerConfig.ENABLE_AUTO_COMMIT_CONFIG, "false");
        config.putAll(more);
        return new KafkaConsumer<>(config, new StringDeserializer(), new StringDeserializer());
    }

    private static String place(int partition, long offset) {
        return partition + "/" + offset;
    }

    private static void note(RecordMetadata meta, String key, String value) {
        String before = ACKED.put(place(meta.partition(), meta.offset()), key + "=" + value);
        Compat.check(before == null, meta + " was acked twice");
    }

    private static List<TopicPartition> partitions(String topic) throws Exception {
        TopicDescription described = admin.describeTopics(List.of(topic)).allTopicNames().get().get(topic);
        return described.partitions().stream().map(info -> new TopicPartition(topic, info.partition())).toList();
    }

    private static List<ConsumerRecord<String, String>> readAll(String topic) throws Exception {
        List<ConsumerRecord<String, String>> records = new ArrayList<>();
        try (KafkaConsumer<String, String> reader = consumer(Map.of())) {
            List<TopicPartition> parts = partitions(topic);
            reader.assign(parts);
            reader.seekToBeginning(parts);
            Map<TopicPartition, Long> ends = reader.endOffsets(parts);
            long end = System.nanoTime() + 30_000_000_000L;
            while (parts.stream().anyMatch(part -> reader.position(part) < ends.get(part))) {
                Compat.check(System.nanoTime() < end, "read " + records.size() + " up to " + ends);
                reader.poll(Duration.ofSeconds(1)).forEach(records::add);
            }
        }
        return records;
    }

    private static void createTopic() throws Exception {
        admin.createTopics(List.of(new NewTopic(TOPIC, PARTITIONS, (short) 1).configs(Map.of("retention.ms", "172800000")))).all().get();
        // With the size of a page set, the client uses DescribeTopicPartitions.
        var options = new DescribeTopicsOptions().partitionSizeLimitPerResponse(2);
        TopicDescription topic = admin.describeTopics(List.of(TOPIC), options).allTopicNames().get().get(TOPIC);
        Compat.same(topic.partitions().size(), PARTITIONS, "partitions");
        Compat.same(topic.partitions().get(0).replicas().size(), 1, "replicas");
        Compat.check(admin.listTopics().names().get().contains(TOPIC), "not listed");
    }

    private static void refusedTopics() {
        Compat.raises(TopicExistsException.class, () -> admin.createTopics(List.of(new NewTopic(TOPIC, 1, (short) 1))).all().get());
        Compat.raises(InvalidTopicException.class, () -> admin.createTopics(List.of(new NewTopic("a topic", 1, (short) 1))).all().get());
        Compat.raises(InvalidPartitionsException.class, () -> admin.createTopics(List.of(new NewTopic(Compat.unique("x"), 0, (short) 1))).all().get());
        Compat.raises(KafkaException.class, () -> admin.createTopics(List.of(new NewTopic(Compat.unique("x"), Integer.MAX_VALUE, (short) 1))).all().get());
        NewTopic bad = new NewTopic(Compat.unique("x"), 1, (short) 1).configs(Map.of("retention.ms", "soon"));
        Compat.raises(InvalidConfigurationException.class, () -> admin.createTopics(List.of(bad)).all().get());
        Compat.raises(UnknownTopicOrPartitionException.class, () -> admin.describeTopics(List.of(Compat.unique("none"))).allTopicNames().get());
        Compat.raises(InvalidPartitionsException.class, () -> admin.createPartitions(Map.of(TOPIC, NewPartitions.increaseTo(1))).all().get());
    }

    private static void produce() throws Exception {
        List<String> codecs = List.of("none", "gzip", "snappy", "lz4", "zstd");
        for (int number = 0; number < codecs.size(); number++) {
            try (var writer = producer(Map.of(ProducerConfig.COMPRESSION_TYPE_CONFIG, codecs.get(number), ProducerConfig.LINGER_MS_CONFIG, "5"))) {
                List<Future<RecordMetadata>> sent = new ArrayList<>();
                int from = number * COUNT / codecs.size();
                int to = (number + 1) * COUNT / codecs.size();
                for (int i = from; i < to; i++) {
                    var record = new ProducerRecord<>(TOPIC, "key-" + i % 50, ("value-" + i + " ").repeat(1 + i % 7));
                    record.headers().add("n", Integer.toString(i).getBytes(StandardCharsets.UTF_8));
                    sent.add(writer.send(record));
                }
                for (int i = from; i < to; i++) {
                    note(sent.get(i - from).get(), "key-" + i % 50, ("value-" + i + " ").repeat(1 + i % 7));
                }
            }
        }
        Compat.same(ACKED.size(), COUNT, "acked");
    }

    private static void consume() throws Exception {
        Map<String, String> found = new HashMap<>();
        for (ConsumerRecord<String, String> record : readAll(TOPIC)) {
            Compat.check(found.put(place(record.partition(), record.offset()), record.key() + "=" + record.value()) == null, "read twice");
            Compat.check(record.headers().lastHeader("n") != null, "header is missing");
        }
        Compat.same(found, new HashMap<>(ACKED), "records");
    }

    private static long listOffset(TopicPartition part, OffsetSpec spec) throws Exception {
        return admin.listOffsets(Map.of(part, spec)).partitionResult(part).get().offset();
    }

    private static void offsets() throws Exception {
        TopicPartition part = new TopicPartition(TOPIC, 1);
        TreeMap<Long, Long> times = new TreeMap<>();
        for (ConsumerRecord<String, String> record : readAll(TOPIC)) {
            if (record.partition() == 1) {
                times.put(record.offset(), record.timestamp());
            }
        }
        Compat.same(listOffset(part, OffsetSpec.earliest()), 0L, "earliest");
        Compat.same(listOffset(part, OffsetSpec.latest()), (long) times.size(), "latest");
        long wanted = times.get((long) times.size() / 2);
        long first = times.entrySet().stream().filter(entry -> entry.getValue() >= wanted).findFirst().orElseThrow().getKey();
        Compat.same(listOffset(part, OffsetSpec.forTimestamp(wanted)), first, "by time");
        long newest = times.values().stream().max(Long::compare).orElseThrow();
        Compat.same(times.get(listOffset(part, OffsetSpec.maxTimestamp())), newest, "largest timestamp");
        Compat.same(listOffset(part, OffsetSpec.forTimestamp(System.currentTimeMillis() + 3_600_000)), -1L, "in an hour");
        try (var reader = consumer(Map.of())) {
            Compat.same(reader.offsetsForTimes(Map.of(part, wanted)).get(part).offset(), first, "by time, consumer");
        }
    }

    private static void replay() {
        TopicPartition part = new TopicPartition(TOPIC, 2);
        try (var reader = consumer(Map.of("max.poll.records", "1", "auto.offset.reset", "none"))) {
            reader.assign(List.of(part));
            reader.seek(part, 11);
            var record = reader.poll(Duration.ofSeconds(10)).iterator().next();
            Compat.same(record.offset(), 11L, "offset");
            Compat.same(record.key() + "=" + record.value(), ACKED.get(place(2, 11)), "record");
            reader.seek(part, 1_000_000);
            Compat.raises(OffsetOutOfRangeException.class, () -> {
                for (int i = 0; i < 20; i++) {
                    reader.poll(Duration.ofMillis(500));
                }
            });
        }
    }

    private static Set<String> consumeGroup(KafkaConsumer<String, String> reader, int count) {
        Set<String> places = new HashSet<>();
        long end = System.nanoTime() + 30_000_000_000L;
        while (places.size() < count) {
            Compat.check(System.nanoTime() < end, places.size() + " of " + count);
            for (var record : reader.poll(Duration.ofSeconds(1))) {
                Compat.check(places.add(place(record.partition(), record.offset())), "read twice");
            }
        }
        return places;
    }

    private static void group() throws Exception {
        String group = Compat.unique("group");
        Set<String> seen;
        try (var reader = consumer(Map.of("group.id", group, "max.poll.records", "100"))) {
            reader.subscribe(List.of(TOPIC));
            seen = consumeGroup(reader, 300);
            reader.commitSync();
            ConsumerGroupDescription described = admin.describeConsumerGroups(List.of(group)).all().get().get(group);
            Compat.same(described.groupState(), GroupState.STABLE, "state");
            Compat.same(described.members().size(), 1, "members");
            Compat.raises(GroupNotEmptyException.class, () -> admin.deleteConsumerGroups(List.of(group)).all().get());
        }
        Set<String> rest = new HashSet<>();
        try (var reader = consumer(Map.of("group.id", group))) {
            reader.subscribe(List.of(TOPIC));
            rest.addAll(consumeGroup(reader, ACKED.size() - seen.size()));
            reader.commitSync();
        }
        Compat.check(rest.stream().noneMatch(seen::contains), "the second member read again what was committed");
        Compat.check(admin.listGroups().all().get().stream().anyMatch(one -> one.groupId().equals(group)), "not listed");
        TopicPartition part = new TopicPartition(TOPIC, 0);
        admin.alterConsumerGroupOffsets(group, Map.of(part, new OffsetAndMetadata(5, "by hand"))).all().get();
        OffsetAndMetadata committed = admin.listConsumerGroupOffsets(group).partitionsToOffsetAndMetadata().get().get(part);
        Compat.same(committed.offset() + committed.metadata(), "5by hand", "committed");
        admin.deleteConsumerGroupOffsets(group, Set.of(part)).all().get();
        Compat.same(admin.listConsumerGroupOffsets(group).partitionsToOffsetAndMetadata().get().get(part), null, "deleted offset");
        admin.deleteConsumerGroups(List.of(group)).all().get();
    }

    private static void cooperative() throws Exception {
        String group = Compat.unique("group");
        Map<String, Collection<TopicPartition>> assigned = new ConcurrentHashMap<>();
        Map<String, String> config =
                Map.of("group.id", group, "partition.assignment.strategy", "org.apache.kafka.clients.consumer.CooperativeStickyAssignor", "heartbeat.interval.ms", "500", "session.timeout.ms", "6000");
        Consumer<AtomicBoolean> member = stop -> {
            String name = Thread.currentThread().getName();
            try (var reader = consumer(config)) {
                reader.subscribe(List.of(TOPIC));
                while (!stop.get()) {
                    reader.poll(Duration.ofMillis(100));
                    assigned.put(name, reader.assignment());
                }
            }
            assigned.remove(name);
        };
        AtomicBoolean stopFirst = new AtomicBoolean();
        AtomicBoolean stopSecond = new AtomicBoolean();
        Thread first = new Thread(() -> member.accept(stopFirst), "first");
        Thread second = new Thread(() -> member.accept(stopSecond), "second");
        first.start();
        try {
            Compat.eventually("one member has all", () -> assigned.getOrDefault("first", List.of()).size() == PARTITIONS);
            second.start();
            Compat.eventually("two members share", () -> {
                Set<TopicPartition> all = new HashSet<>();
                assigned.values().forEach(all::addAll);
                int sum = assigned.values().stream().mapToInt(Collection::size).sum();
                return assigned.size() == 2 && all.size() == PARTITIONS && sum == PARTITIONS && assigned.values().stream().noneMatch(Collection::isEmpty);
            });
            stopSecond.set(true);
            second.join();
            Compat.eventually("the other takes over", () -> assigned.getOrDefault("first", List.of()).size() == PARTITIONS);
        } finally {
            stopFirst.set(true);
            stopSecond.set(true);
            first.join();
        }
    }

    private static void tooLarge() throws Exception {
        try (var writer = producer(Map.of(ProducerConfig.MAX_REQUEST_SIZE_CONFIG, "10000000"))) {
            Compat.raises(RecordTooLargeException.class, () -> writer.send(new ProducerRecord<>(TOPIC, 0, "big", "x".repeat(2_000_000))).get());
            note(writer.send(new ProducerRecord<>(TOPIC, 0, "after", "small")).get(), "after", "small");
        }
    }

    private static void transactional() throws Exception {
        try (var writer = producer(Map.of(ProducerConfig.TRANSACTIONAL_ID_CONFIG, Compat.unique("tx"), ProducerConfig.MAX_BLOCK_MS_CONFIG, "20000"))) {
            try {
                writer.initTransactions();
            } catch (org.apache.kafka.common.errors.TimeoutException error) {
                throw new AssertionError("the refusal was retried for ever", error);
            } catch (KafkaException refused) {
                return;
            }
            writer.beginTransaction();
            writer.send(new ProducerRecord<>(Compat.unique("tx-topic"), "k", "v"));
            writer.commitTransaction();
        }
    }

    private static String config(ConfigResource resource, String name) throws Exception {
        return admin.describeConfigs(List.of(resource)).all().get().get(resource).get(name).value();
    }

    private static void alter(ConfigResource resource, AlterConfigOp.OpType operation, String name, String value) throws Exception {
        admin.incrementalAlterConfigs(Map.of(resource, List.of(new AlterConfigOp(new ConfigEntry(name, value), operation)))).all().get();
    }

    private static void configs() throws Exception {
        ConfigResource topic = new ConfigResource(ConfigResource.Type.TOPIC, TOPIC);
        Compat.same(config(topic, "retention.ms"), "172800000", "retention");
        Compat.same(config(topic, "cleanup.policy"), "delete", "cleanup policy");
        alter(topic, AlterConfigOp.OpType.SET, "max.message.bytes", "500000");
        Compat.eventually("new size", () -> config(topic, "max.message.bytes").equals("500000"));
        alter(topic, AlterConfigOp.OpType.DELETE, "max.message.bytes", null);
        Compat.eventually("default size", () -> config(topic, "max.message.bytes").equals("1048588"));
        Compat.raises(InvalidConfigurationException.class, () -> alter(topic, AlterConfigOp.OpType.SET, "retention.ms", "soon"));
        Compat.raises(InvalidConfigurationException.class, () -> alter(topic, AlterConfigOp.OpType.SET, "no.such.config", "1"));
        String node = Integer.toString(admin.describeCluster().nodes().get().iterator().next().id());
        Compat.same(config(new ConfigResource(ConfigResource.Type.BROKER, node), "num.partitions"), "1", "broker config");
    }

    private static void cluster() throws Exception {
        var cluster = admin.describeCluster();
        Compat.same(cluster.nodes().get().size(), 1, "nodes");
        Compat.check(!cluster.clusterId().get().isEmpty(), "cluster id");
        int node = cluster.nodes().get().iterator().next().id();
        var directories = admin.describeLogDirs(List.of(node)).allDescriptions().get().get(node);
        long size = 0;
        for (var directory : directories.values()) {
            for (var replica : directory.replicaInfos().entrySet()) {
                size += replica.getKey().topic().equals(TOPIC) ? replica.getValue().size() : 0;
            }
        }
        Compat.check(size > 10_000, "bytes of the topic: " + size);
        Compat.check(admin.describeFeatures().featureMetadata().get().finalizedFeatures().containsKey("metadata.version"), "features");
        admin.listGroups().all().get();
    }

    private static void readThroughKinesis() throws Exception {
        try (KinesisClient client = Compat.kinesis()) {
            Map<String, String> found = new HashMap<>();
            for (Record record : Compat.readStream(client, TOPIC)) {
                String place = place(Compat.shardOf(record.sequenceNumber()), Compat.offsetOf(record.sequenceNumber()));
                String text = record.partitionKey() + "=" + record.data().asUtf8String();
                Compat.check(found.put(place, text) == null, place + " was read twice");
            }
            Compat.same(found, new HashMap<>(ACKED), "records");
        }
    }

    private static void readKinesisPuts() throws Exception {
        try (KinesisClient client = Compat.kinesis()) {
            for (int i = 0; i < 50; i++) {
                String key = "pk-" + i;
                String value = "put-" + i;
                PutRecordResponse put = client.putRecord(r -> r.streamName(TOPIC).partitionKey(key).data(SdkBytes.fromUtf8String(value)));
                ACKED.put(place(Compat.shardOf(put.sequenceNumber()), Compat.offsetOf(put.sequenceNumber())), key + "=" + value);
            }
        }
        Map<String, String> found = new HashMap<>();
        readAll(TOPIC).forEach(record -> found.put(place(record.partition(), record.offset()), record.key() + "=" + record.value()));
        Compat.same(found, new HashMap<>(ACKED), "records of both writers");
    }

    interface Grow {
        void run(String topic) throws Exception;
    }

    /** An idempotent producer writes while the topic grows: no error, no loss, nothing twice. */
    private static Map<Integer, String> growthUnderLoad(String topic, Grow grow, int partitionsAfter) throws Exception {
        admin.createTopics(List.of(new NewTopic(topic, 2, (short) 1))).all().get();
        Map<Integer, String> sent = new ConcurrentHashMap<>();
        Set<Integer> partitions = ConcurrentHashMap.newKeySet();
        ConcurrentLinkedQueue<Exception> errors = new ConcurrentLinkedQueue<>();
        AtomicBoolean stop = new AtomicBoolean();
        Thread load = new Thread(() -> {
            try (var writer = producer(Map.of(ProducerConfig.METADATA_MAX_AGE_CONFIG, "500", ProducerConfig.LINGER_MS_CONFIG, "2"))) {
                for (int i = 0; i < 40_000 && !stop.get(); i++) {
                    int n = i;
                    writer.send(new ProducerRecord<>(topic, "k" + i % 200, Integer.toString(i)), (meta, error) -> {
                        if (error != null) {
                            errors.add(error);
                        } else {
                            sent.put(n, place(meta.partition(), meta.offset()));
                            partitions.add(meta.partition());
                        }
                    });
                    Thread.sleep(0, 500_000);
                }
            } catch (InterruptedException error) {
                errors.add(error);
            }
        });
        load.start();
        Thread.sleep(500);
        try {
            grow.run(topic);
            Compat.eventually("writes to all partitions", () -> partitions.size() >= partitionsAfter);
        } finally {
            stop.set(true);
            load.join();
        }
        Compat.same(List.copyOf(errors), List.of(), "producer errors");
        Map<Integer, String> found = new HashMap<>();
        for (ConsumerRecord<String, String> record : readAll(topic)) {
            String before = found.put(Integer.valueOf(record.value()), place(record.partition(), record.offset()));
            Compat.check(before == null, "read twice: " + record.value());
        }
        Compat.same(found, new HashMap<>(sent), "records");
        return found;
    }

    private static void createPartitions() throws Exception {
        growthUnderLoad(Compat.unique("grow"), topic -> admin.createPartitions(Map.of(topic, NewPartitions.increaseTo(5))).all().get(), 5);
    }

    private static void splitShards() throws Exception {
        try (KinesisClient client = Compat.kinesis()) {
            String topic = Compat.unique("split");
            Map<Integer, String> sent = growthUnderLoad(topic, name -> {
                for (Shard shard : Compat.openShards(client, name)) {
                    Compat.split(client, name, shard);
                }
                client.updateShardCount(r -> r.streamName(name).targetShardCount(8).scalingType(ScalingType.UNIFORM_SCALING));
                Compat.waitActive(client, name);
            }, 8);
            List<Integer> found = Compat.readStream(client, topic).stream().map(r -> Integer.valueOf(r.data().asUtf8String())).sorted().toList();
            Compat.same(found, sent.keySet().stream().sorted().toList(), "records read through Kinesis");
        }
    }

    private static void deleteRecords() throws Exception {
        TopicPartition part = new TopicPartition(TOPIC, 2);
        var result = admin.deleteRecords(Map.of(part, RecordsToDelete.beforeOffset(10)));
        Compat.same(result.lowWatermarks().get(part).get().lowWatermark(), 10L, "low watermark");
        Compat.same(listOffset(part, OffsetSpec.earliest()), 10L, "earliest");
    }

    private static void deleteTopic() throws Exception {
        admin.deleteTopics(List.of(TOPIC)).all().get();
        Compat.eventually("topic gone", () -> !admin.listTopics().names().get().contains(TOPIC));
        Compat.raises(UnknownTopicOrPartitionException.class, () -> admin.deleteTopics(List.of(TOPIC)).all().get());
    }
}
