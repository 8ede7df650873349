import java.math.BigInteger;
import java.net.URI;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import java.util.UUID;
import java.util.concurrent.Callable;
import software.amazon.awssdk.auth.credentials.AwsBasicCredentials;
import software.amazon.awssdk.auth.credentials.StaticCredentialsProvider;
import software.amazon.awssdk.regions.Region;
import software.amazon.awssdk.services.kinesis.KinesisClient;
import software.amazon.awssdk.services.kinesis.model.GetRecordsResponse;
import software.amazon.awssdk.services.kinesis.model.ListShardsRequest;
import software.amazon.awssdk.services.kinesis.model.ListShardsResponse;
import software.amazon.awssdk.services.kinesis.model.Record;
import software.amazon.awssdk.services.kinesis.model.Shard;
import software.amazon.awssdk.services.kinesis.model.ShardIteratorType;
import software.amazon.awssdk.services.kinesis.model.StreamStatus;

/**
 * What the Java programs share: cases, checks, and reading a stream whole through Kinesis.
 *
 * <p>KOLK_KAFKA=HOST:PORT and KOLK_KINESIS=http://HOST:PORT are the two faces of the server under test; cases that
 * need one that is not set are skipped.
 */
final class Compat {
    static final String KAFKA = System.getenv("KOLK_KAFKA");
    static final String KINESIS = System.getenv("KOLK_KINESIS");

    private static final String[] ONLY = System.getProperty("only", "").split(",");
    private static int passed;
    private static int failed;

    private Compat() {}

    interface Body {
        void run() throws Exception;
    }

    /** Runs one case and prints `ok` or `FAIL`. */
    static void test(String name, Body body) {
        if (ONLY[0].length() > 0 && Arrays.stream(ONLY).noneMatch(name::contains)) {
            return;
        }
        long start = System.nanoTime();
        try {
            body.run();
            passed++;
            System.out.printf("ok %s (%.1f s)%n", name, (System.nanoTime() - start) / 1e9);
        } catch (Throwable error) {
            failed++;
            error.printStackTrace();
            System.out.println("FAIL " + name + ": " + error.toString().replace('\n', ' '));
        }
    }

    /** A case that talks to the other face too. */
    static void crossTest(String name, String face, Body body) {
        if (face == null) {
            System.out.println("skip " + name + ": the other face is not set");
        } else {
            test(name, body);
        }
    }

    static void finish() {
        System.out.println(passed + " cases held, " + failed + " did not");
        System.exit(failed == 0 ? 0 : 1);
    }

    static String unique(String prefix) {
        return prefix + "-" + UUID.randomUUID().toString().substring(0, 8);
    }

    static void same(Object found, Object expected, String what) {
        if (!Objects.equals(found, expected)) {
            String text = what + ": found " + found + ", expected " + expected;
            throw new AssertionError(text.length() < 600 ? text : text.substring(0, 600) + "...");
        }
    }

    static void check(boolean holds, String what) {
        if (!holds) {
            throw new AssertionError(what);
        }
    }

    /** Runs the body and answers the exception of the expected type that it (or its cause) is. */
    static <E extends Throwable> E raises(Class<E> expected, Body body) {
        try {
            body.run();
        } catch (Throwable error) {
            for (Throwable one = error; one != null; one = one.getCause()) {
                if (expected.isInstance(one)) {
                    return expected.cast(one);
                }
            }
            throw new AssertionError("expected " + expected.getName() + ", found " + error, error);
        }
        throw new AssertionError("expected " + expected.getName() + ", found success");
    }

    static void eventually(String what, Callable<Boolean> condition) throws Exception {
        long end = System.nanoTime() + 30_000_000_000L;
        while (!condition.call()) {
            check(System.nanoTime() < end, what + " did not come true within 30 s");
            Thread.sleep(100);
        }
    }

    /** Shard index of a sequence number: 8 hex digits before the last. */
    static int shardOf(String sequenceNumber) {
        return Integer.parseInt(hex(sequenceNumber).substring(38, 46), 16);
    }

    /** Kafka offset of a sequence number: 16 hex digits after the shard nibble, less one. */
    static long offsetOf(String sequenceNumber) {
        return Long.parseLong(hex(sequenceNumber).substring(11, 27), 16) - 1;
    }

    private static String hex(String sequenceNumber) {
        String digits = new BigInteger(sequenceNumber).toString(16);
        same(digits.length(), 47, "hex digits of a sequence number");
        return digits;
    }

    /** The SDK's default client: CBOR over HTTP/1.1. */
    static KinesisClient kinesis() {
        return KinesisClient.builder()
                .endpointOverride(URI.create(KINESIS))
                .region(Region.US_EAST_1)
                .credentialsProvider(StaticCredentialsProvider.create(AwsBasicCredentials.create("AKIAIOSFODNN7EXAMPLE", "secret")))
                .build();
    }

    static Map<String, Shard> allShards(KinesisClient client, String stream) {
        Map<String, Shard> shards = new LinkedHashMap<>();
        ListShardsResponse page = client.listShards(ListShardsRequest.builder().streamName(stream).build());
        while (true) {
            page.shards().forEach(shard -> shards.put(shard.shardId(), shard));
            if (page.nextToken() == null) {
                return shards;
            }
            page = client.listShards(ListShardsRequest.builder().nextToken(page.nextToken()).build());
        }
    }

    static List<Shard> openShards(KinesisClient client, String stream) {
        List<Shard> open = new ArrayList<>(allShards(client, stream).values());
        open.removeIf(shard -> shard.sequenceNumberRange().endingSequenceNumber() != null);
        return open;
    }

    static void waitActive(KinesisClient client, String stream) throws Exception {
        eventually(
                stream + " active",
                () -> client.describeStreamSummary(r -> r.streamName(stream)).streamDescriptionSummary().streamStatus() == StreamStatus.ACTIVE);
    }

    /** Splits a shard in the middle of its range. */
    static void split(KinesisClient client, String stream, Shard shard) throws Exception {
        BigInteger low = new BigInteger(shard.hashKeyRange().startingHashKey());
        BigInteger high = new BigInteger(shard.hashKeyRange().endingHashKey());
        String middle = low.add(high).add(BigInteger.ONE).shiftRight(1).toString();
        client.splitShard(r -> r.streamName(stream).shardToSplit(shard.shardId()).newStartingHashKey(middle));
        waitActive(client, stream);
    }

    /** The records of one shard from the trim horizon to its end or tip. */
    static List<Record> readShard(KinesisClient client, String stream, String shard) {
        String iterator =
                client.getShardIterator(r -> r.streamName(stream).shardId(shard).shardIteratorType(ShardIteratorType.TRIM_HORIZON)).shardIterator();
        List<Record> records = new ArrayList<>();
        while (true) {
            String at = iterator;
            GetRecordsResponse page = client.getRecords(r -> r.shardIterator(at));
            records.addAll(page.records());
            iterator = page.nextShardIterator();
            if (iterator == null) {
                check(page.hasChildShards() && !page.childShards().isEmpty(), shard + " ended without child shards");
                return records;
            }
            if (page.records().isEmpty() && page.millisBehindLatest() == 0) {
                return records;
            }
        }
    }

    /** All records of a stream, parents before children. */
    static List<Record> readStream(KinesisClient client, String stream) {
        Map<String, Shard> shards = allShards(client, stream);
        Set<String> done = new HashSet<>();
        List<Record> records = new ArrayList<>();
        while (done.size() < shards.size()) {
            int before = done.size();
            for (Shard shard : shards.values()) {
                boolean ready =
                        parentDone(shards, done, shard.parentShardId()) && parentDone(shards, done, shard.adjacentParentShardId());
                if (ready && !done.contains(shard.shardId())) {
                    records.addAll(readShard(client, stream, shard.shardId()));
                    done.add(shard.shardId());
                }
            }
            check(done.size() > before, "the lineage has a circle");
        }
        return records;
    }

    private static boolean parentDone(Map<String, Shard> shards, Set<String> done, String parent) {
        return parent == null || !shards.containsKey(parent) || done.contains(parent);
    }
}
