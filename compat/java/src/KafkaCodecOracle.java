import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStream;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.HexFormat;
import org.apache.kafka.common.compress.Compression;
import org.apache.kafka.common.errors.RetriableException;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.header.internals.RecordHeader;
import org.apache.kafka.common.protocol.ApiKeys;
import org.apache.kafka.common.protocol.ByteBufferAccessor;
import org.apache.kafka.common.protocol.Errors;
import org.apache.kafka.common.protocol.Message;
import org.apache.kafka.common.protocol.ObjectSerializationCache;
import org.apache.kafka.common.record.TimestampType;
import org.apache.kafka.common.record.internal.ControlRecordType;
import org.apache.kafka.common.record.internal.EndTransactionMarker;
import org.apache.kafka.common.record.internal.MemoryRecords;

/**
 * Kafka's own codec, asked by `compat/codec`: one question a line on stdin, one answer a line on stdout.
 *
 * <pre>
 * message NAME VERSION HEX        same | absent | differs HEX | fails WHY     read and written again by class NAME
 * definition NAME                 the definition of the message, one line of JSON
 * apis                            KEY NAME MIN MAX LATEST-UNSTABLE, separated by ';'
 * errors                          CODE NAME RETRIABLE, separated by ';'
 * read HEX                        the records in it, as text
 * write MAGIC CODEC               records of known content as HEX
 * marker COMMIT                   a control batch as HEX
 * </pre>
 */
public class KafkaCodecOracle {
    private static final HexFormat HEX = HexFormat.of();

    public static void main(String[] args) throws Exception {
        var in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8), 1 << 16);
        var out = new PrintStream(System.out, false, StandardCharsets.UTF_8);
        for (String line; (line = in.readLine()) != null; ) {
            String[] words = line.split(" ");
            String answer;
            try {
                answer = switch (words[0]) {
                    case "message" -> message(words[1], Short.parseShort(words[2]), HEX.parseHex(words.length > 3 ? words[3] : ""));
                    case "definition" -> definition(words[1]);
                    case "apis" -> apis();
                    case "errors" -> errors();
                    case "read" -> read(HEX.parseHex(words[1]));
                    case "write" -> HEX.formatHex(write(Byte.parseByte(words[1]), words[2]));
                    case "marker" -> HEX.formatHex(marker(Boolean.parseBoolean(words[1])));
                    default -> "fails no such question";
                };
            } catch (Throwable error) {
                answer = "fails " + error.toString().replace('\n', ' ');
            }
            out.println(answer);
            out.flush();
        }
    }

    private static String message(String name, short version, byte[] bytes) throws Exception {
        Class<?> type;
        try {
            type = Class.forName("org.apache.kafka.common.message." + name + "Data");
        } catch (ClassNotFoundException notAnApi) {
            type = Class.forName("org.apache.kafka.common.message." + name);
        }
        var message = (Message) type.getConstructor().newInstance();
        if (version < message.lowestSupportedVersion() || version > message.highestSupportedVersion()) {
            return "absent";
        }
        var input = ByteBuffer.wrap(bytes);
        message.read(new ByteBufferAccessor(input), version);
        if (input.hasRemaining()) {
            return "fails " + input.remaining() + " bytes not read";
        }
        var cache = new ObjectSerializationCache();
        var output = ByteBuffer.allocate(message.size(cache, version));
        message.write(new ByteBufferAccessor(output), cache, version);
        return ByteBuffer.wrap(bytes).equals(output.flip()) ? "same" : "differs " + HEX.formatHex(output.array());
    }

    private static String definition(String name) throws IOException {
        try (InputStream in = KafkaCodecOracle.class.getResourceAsStream("/common/message/" + name + ".json")) {
            if (in == null) {
                return "fails no such definition";
            }
            var text = new String(in.readAllBytes(), StandardCharsets.UTF_8);
            var json = new StringBuilder();
            for (String line : text.split("\n")) {
                if (!line.strip().startsWith("//")) {
                    json.append(line.strip()).append(' ');
                }
            }
            return json.toString();
        }
    }

    private static String apis() {
        var text = new StringBuilder();
        for (ApiKeys key : ApiKeys.values()) {
            text.append(key.id).append(' ').append(key.name)
                .append(' ').append(key.messageType.lowestSupportedVersion())
                .append(' ').append(key.messageType.highestSupportedVersion(true))
                .append(' ').append(key.messageType.highestSupportedVersion(false)).append(';');
        }
        return text.toString();
    }

    private static String errors() {
        var text = new StringBuilder();
        for (Errors error : Errors.values()) {
            boolean retriable = error.exception() instanceof RetriableException;
            text.append(error.code()).append(' ').append(error.name()).append(' ').append(retriable).append(';');
        }
        return text.toString();
    }

    private static String read(byte[] bytes) {
        var text = new StringBuilder();
        var records = MemoryRecords.readableRecords(ByteBuffer.wrap(bytes));
        for (var batch : records.batches()) {
            batch.ensureValid();
            for (var record : batch) {
                record.ensureValid();
                text.append(record.offset()).append(' ').append(record.timestamp());
                text.append(' ').append(part(record.key())).append(' ').append(part(record.value()));
                for (Header header : record.headers()) {
                    text.append(' ').append(header.key()).append('=');
                    text.append(header.value() == null ? "-" : HEX.formatHex(header.value()));
                }
                text.append(';');
            }
        }
        return text.toString();
    }

    private static String part(ByteBuffer bytes) {
        if (bytes == null) {
            return "-";
        }
        var copy = new byte[bytes.remaining()];
        bytes.duplicate().get(copy);
        return "x" + HEX.formatHex(copy);
    }

    /** Five records, the same that the other side makes. */
    private static byte[] write(byte magic, String codec) throws IOException {
        boolean two = magic == 2;
        var builder = MemoryRecords.builder(
            ByteBuffer.allocate(1 << 16), magic,
            Compression.of(codec).build(),
            TimestampType.CREATE_TIME, 100L, -1L,
            two ? 42L : -1L, two ? (short) 3 : (short) -1, two ? 7 : -1, two, two ? 9 : -1);
        for (int i = 0; i < 5; i++) {
            byte[] key = i % 3 == 0 ? null : ("key-" + i).getBytes(StandardCharsets.UTF_8);
            byte[] value = i == 4 ? null : "value ".repeat(i * 20).getBytes(StandardCharsets.UTF_8);
            var headers = new Header[two ? i : 0];
            for (int j = 0; j < headers.length; j++) {
                headers[j] = new RecordHeader("h" + j, j % 2 == 0 ? null : new byte[] {(byte) j});
            }
            long timestamp = magic == 0 ? -1 : 1000 + (i * 37 % 50);
            builder.appendWithOffset(100 + i, timestamp, key, value, headers);
        }
        var buffer = builder.build().buffer();
        var bytes = new byte[buffer.remaining()];
        buffer.get(bytes);
        return bytes;
    }

    private static byte[] marker(boolean commit) {
        var type = commit
            ? ControlRecordType.COMMIT
            : ControlRecordType.ABORT;
        var buffer = MemoryRecords.withEndTransactionMarker(
            10L, 1234L, -1, 99L, (short) 2,
            new EndTransactionMarker(type, 5)).buffer();
        var bytes = new byte[buffer.remaining()];
        buffer.get(bytes);
        return bytes;
    }
}
