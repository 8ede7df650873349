import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.util.HashMap;
import java.util.Map;
import java.util.concurrent.atomic.AtomicBoolean;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.errors.RetriableException;

/**
 * An idempotent producer under faults, driven through its standard input by fault_load.py.
 *
 * <p>`go NAME` starts writing records `java-NAME-0`, `java-NAME-1`, ..., `stop` ends it and waits for all answers. It prints
 * `acked VALUE PARTITION OFFSET` for each answer, `failed VALUE RETRIABLE WHY` for each failure (RETRIABLE: whether the client says
 * that it may be tried again), and `done` after a stop. Arguments behind the topic and the padding's length are settings, NAME=VALUE.
 */
final class FaultLoad {
    private FaultLoad() {}

    public static void main(String[] args) throws Exception {
        String topic = args[0];
        String padding = " " + "x".repeat(Integer.parseInt(args[1]));
        Map<String, Object> config = new HashMap<>(Map.of(
                "bootstrap.servers", System.getenv("KOLK_KAFKA"),
                "key.serializer", "org.apache.kafka.common.serialization.StringSerializer",
                "value.serializer", "org.apache.kafka.common.serialization.StringSerializer",
                "enable.idempotence", true,
                "linger.ms", 1,
                "retry.backoff.ms", 50,
                "reconnect.backoff.max.ms", 200,
                "delivery.timeout.ms", 120_000));
        for (int i = 2; i < args.length; i++) {
            int equals = args[i].indexOf('=');
            config.put(args[i].substring(0, equals), args[i].substring(equals + 1));
        }
        AtomicBoolean stopping = new AtomicBoolean();
        Thread writing = null;
        try (KafkaProducer<String, String> producer = new KafkaProducer<>(config)) {
            BufferedReader commands = new BufferedReader(new InputStreamReader(System.in));
            for (String command = commands.readLine(); command != null; command = commands.readLine()) {
                if (command.startsWith("go ")) {
                    String name = "java-" + command.substring(3) + "-";
                    stopping.set(false);
                    writing = new Thread(() -> write(producer, topic, name, padding, stopping));
                    writing.start();
                } else {
                    stopping.set(true);
                    writing.join();
                    producer.flush();
                    System.out.println("done");
                }
            }
        }
    }

    private static void write(
            KafkaProducer<String, String> producer, String topic, String name, String padding, AtomicBoolean stopping) {
        for (int i = 0; !stopping.get(); i++) {
            String value = name + i;
            producer.send(new ProducerRecord<>(topic, "key-" + i % 64, value + padding), (metadata, error) -> {
                synchronized (FaultLoad.class) {
                    if (error == null) {
                        System.out.println("acked " + value + " " + metadata.partition() + " " + metadata.offset());
                    } else {
                        boolean retriable = error instanceof RetriableException;
                        System.out.println("failed " + value + " " + retriable + " " + error.toString().replace('\n', ' '));
                    }
                }
            });
            if (i % 5 == 0) {
                try {
                    Thread.sleep(1);
                } catch (InterruptedException e) {
                    return;
                }
            }
        }
    }
}
