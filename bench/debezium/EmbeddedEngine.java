// Debezium's embedded engine with a Kafka producer behind it: what `compare` runs where the Java of Debezium Server is missing.
// It reads the server's own settings and does with them what the server does.

import io.debezium.engine.ChangeEvent;
import io.debezium.engine.DebeziumEngine;
import io.debezium.engine.Header;
import io.debezium.engine.format.Json;
import io.debezium.engine.format.KeyValueHeaderChangeEventFormat;
import io.debezium.engine.format.SimpleString;
import java.io.Reader;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.concurrent.Future;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;

public final class EmbeddedEngine {
    /** What the server makes of its settings' names. */
    private static final Map<String, String> PREFIXES =
            Map.of(
                    "debezium.source.", "",
                    "debezium.transforms", "transforms",
                    "debezium.format.header.", "header.converter.");

    private static final String PRODUCER_PREFIX = "debezium.sink.kafka.producer.";

    private final KafkaProducer<String, String> producer;

    private EmbeddedEngine(Properties settings) {
        producer = new KafkaProducer<>(settings);
    }

    public static void main(String[] arguments) throws Exception {
        Properties settings = new Properties();
        try (Reader file = Files.newBufferedReader(Path.of(arguments[0]))) {
            settings.load(file);
        }
        EmbeddedEngine sink = new EmbeddedEngine(renamed(settings, Map.of(PRODUCER_PREFIX, "")));
        Properties source = renamed(settings, PREFIXES);
        source.setProperty("name", "bench");
        DebeziumEngine<ChangeEvent<String, String>> engine =
                DebeziumEngine.create(
                                KeyValueHeaderChangeEventFormat.of(SimpleString.class, SimpleString.class, Json.class))
                        .using(source)
                        .using(EmbeddedEngine::ended)
                        .notifying(sink::publish)
                        .build();
        Runtime.getRuntime().addShutdownHook(new Thread(() -> stop(engine, sink)));
        engine.run();
    }

    private static Properties renamed(Properties settings, Map<String, String> prefixes) {
        Properties renamed = new Properties();
        for (String name : settings.stringPropertyNames()) {
            prefixes.forEach(
                    (before, after) -> {
                        if (name.startsWith(before)) {
                            // The server's configuration library would fill a variable in, but for the second $.
                            String value = settings.getProperty(name).replace("$${", "${");
                            renamed.setProperty(after + name.substring(before.length()), value);
                        }
                    });
        }
        return renamed;
    }

    /** As the server's sink: all of a batch is sent, then waited for, then marked. */
    private void publish(
            List<ChangeEvent<String, String>> events,
            DebeziumEngine.RecordCommitter<ChangeEvent<String, String>> committer)
            throws InterruptedException {
        List<Future<RecordMetadata>> sent = new ArrayList<>(events.size());
        for (ChangeEvent<String, String> event : events) {
            sent.add(producer.send(record(event)));
        }
        try {
            for (Future<RecordMetadata> one : sent) {
                one.get();
            }
        } catch (java.util.concurrent.ExecutionException failed) {
            throw new IllegalStateException("a record was refused", failed.getCause());
        }
        for (ChangeEvent<String, String> event : events) {
            committer.markProcessed(event);
        }
        committer.markBatchFinished();
    }

    private static ProducerRecord<String, String> record(ChangeEvent<String, String> event) {
        ProducerRecord<String, String> record =
                new ProducerRecord<>(event.destination(), null, null, event.key(), event.value());
        List<Header<Object>> headers = event.headers();
        for (Header<Object> header : headers) {
            record.headers().add(header.getKey(), header.getValue().toString().getBytes(StandardCharsets.UTF_8));
        }
        return record;
    }

    private static void ended(boolean isWell, String message, Throwable error) {
        if (error != null) {
            error.printStackTrace();
        }
        if (!isWell) {
            System.err.println(message);
            Runtime.getRuntime().halt(1);
        }
    }

    private static void stop(DebeziumEngine<?> engine, EmbeddedEngine sink) {
        try {
            engine.close();
        } catch (java.io.IOException | IllegalStateException failed) {
            System.err.println("the engine did not stop: " + failed);
        }
        sink.producer.close();
    }
}
