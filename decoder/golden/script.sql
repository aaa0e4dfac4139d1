-- What the captures show. Each step, from one `-- step:` line to the next, is sent as one query and therefore is one
-- transaction unless it says otherwise. Runs after the slots are made.

-- step: every payload type, with values in every column
BEGIN;
INSERT INTO sales.outbox VALUES
    ('00000000-0000-4000-8000-000000000001', 'Order', 'o-1', 'OrderPlaced', '{"total" :  1.50}',
     '{"trace_id": "t-1", "tenant": 7, "user": "Zoë \"Z\"", "none": null}', '2026-11-22 15:39:13.123456+00', 1),
    ('00000000-0000-4000-8000-000000000002', 'Order', 'o-2', 'été', '[]', '{}', '1999-12-31 23:59:59.999+00',
     9223372036854775807);
INSERT INTO sales.outbox_text VALUES
    ('00000000-0000-4000-8000-000000000003', 'Invoice', -9223372036854775808, 'padded', E'tab\there, snow ☃',
     '{"trace_id" : [1,  2]}', '2026-11-22 15:39:13.5', -2147483648);
INSERT INTO sales.outbox_jsonb VALUES
    (-4, 'Customer', 'AAAAAAAA-bbbb-4ccc-8ddd-eeeeeeeeeeee', '{"b":1, "a" : "x"}', '{"trace_id":"t-4"}', 1795361953123, -1);
INSERT INTO sales.outbox_bytea VALUES
    ('five', 'Image', true, 'c', '\x00ff0a62', '2026-11-22 15:39:13+05:30');
COMMIT;

-- step: NULL wherever it is allowed
BEGIN;
INSERT INTO sales.outbox (id, aggregate_type) VALUES ('00000000-0000-4000-8000-000000000006', 'Order');
INSERT INTO sales.outbox_bytea (id, aggregate_type, payload, created_at) VALUES ('', 'Image', '', 'infinity');
COMMIT;

-- step: rows without an id, two in one transaction
INSERT INTO sales.outbox_without_id VALUES ('Order', 'k-1', 'first'), ('Order', NULL, 'second');

-- step: COPY gives its rows one LSN
COPY sales.outbox_text (id, aggregate_type, aggregate_id, payload) FROM PROGRAM
    'for n in 7 8 9; do echo "00000000-0000-4000-8000-00000000000$n,Copy,$n,copied $n"; done' (FORMAT csv);

-- step: the columns that Debezium expects
INSERT INTO debezium.outbox VALUES
    ('00000000-0000-4000-8000-00000000000a', 'Order', 'o-1', 'OrderPlaced', '{"total": 2}');

-- step: names that are not ASCII
INSERT INTO "店舗"."箱 出し" VALUES ('00000000-0000-4000-8000-00000000000b', 'Order', '鍵', '注文', '内容です');

-- step: types with a form of their own
BEGIN;
INSERT INTO sales.outbox_domain VALUES ('00000000-0000-4000-8000-00000000000c', 'Order', 'k', '{"a": 1}');
INSERT INTO sales.outbox_domain VALUES ('00000000-0000-4000-8000-00000000000d', 'Order', 'k', NULL);
INSERT INTO sales.outbox_number VALUES ('00000000-0000-4000-8000-00000000001c', 'Order', 5, 'keyed by a number');
INSERT INTO sales.outbox_acl VALUES ('00000000-0000-4000-8000-00000000000e', 'Order', 'k', 'postgres=r/postgres');
INSERT INTO sales.outbox_numeric VALUES ('00000000-0000-4000-8000-00000000000f', 'Order', 'k', 12.50);
INSERT INTO sales.outbox_array VALUES ('00000000-0000-4000-8000-000000000010', 'Order', 'k', '{1,NULL}');
COMMIT;

-- step: rows that no outbox of the configuration fits
BEGIN;
INSERT INTO public.stranger VALUES (1);
INSERT INTO public.outbox_without_payload VALUES ('00000000-0000-4000-8000-000000000011', 'Order', 'k');
INSERT INTO sales.outbox (id, aggregate_type) VALUES ('00000000-0000-4000-8000-000000000012', 'not a topic');
COMMIT;

-- step: before the table changes
INSERT INTO changing.outbox VALUES ('00000000-0000-4000-8000-000000000013', 'Order', 'k', 'before', 'one');

-- step: a column is added between two rows of one transaction
BEGIN;
INSERT INTO changing.outbox VALUES ('00000000-0000-4000-8000-000000000014', 'Order', 'k', 'still before', 'two');
ALTER TABLE changing.outbox ADD COLUMN version integer DEFAULT 3;
INSERT INTO changing.outbox VALUES ('00000000-0000-4000-8000-000000000015', 'Order', 'k', 'after', 'three', 4);
COMMIT;

-- step: a column is dropped
ALTER TABLE changing.outbox DROP COLUMN event_type;

-- step: after a column is dropped
INSERT INTO changing.outbox VALUES ('00000000-0000-4000-8000-000000000016', 'Order', 'k', 'four', 5);

-- step: a column moves to the end
BEGIN;
ALTER TABLE changing.outbox DROP COLUMN aggregate_id;
ALTER TABLE changing.outbox ADD COLUMN aggregate_id varchar(10);
INSERT INTO changing.outbox VALUES ('00000000-0000-4000-8000-000000000017', 'Order', 'five', 6, 'k');
COMMIT;

-- step: the table is made anew with its columns in another order
BEGIN;
DROP TABLE changing.outbox;
CREATE TABLE changing.outbox (payload text, aggregate_id text, aggregate_type text, id uuid);
ALTER PUBLICATION outbox ADD TABLE changing.outbox;
COMMIT;

-- step: a row of the new table
INSERT INTO changing.outbox VALUES ('six', 'k', 'Order', '00000000-0000-4000-8000-000000000018');

-- step: a savepoint is rolled back
BEGIN;
INSERT INTO sales.outbox_bytea (id, aggregate_type) VALUES ('kept', 'Order');
SAVEPOINT s;
INSERT INTO sales.outbox_bytea (id, aggregate_type) VALUES ('rolled back', 'Order');
ROLLBACK TO SAVEPOINT s;
SAVEPOINT t;
INSERT INTO sales.outbox_bytea (id, aggregate_type) VALUES ('kept, too', 'Order');
RELEASE SAVEPOINT t;
COMMIT;

-- step: a transaction is rolled back
BEGIN;
INSERT INTO sales.outbox_bytea (id, aggregate_type) VALUES ('rolled back', 'Order');
ROLLBACK;

-- step: a row is inserted and deleted in one transaction
BEGIN;
INSERT INTO sales.outbox_bytea (id, aggregate_type) VALUES ('deleted at once', 'Order');
DELETE FROM sales.outbox_bytea WHERE id = 'deleted at once';
COMMIT;

-- step: updates, deletes and truncates that the publication leaves out
BEGIN;
UPDATE sales.outbox_bytea SET payload = 'x';
DELETE FROM sales.outbox_text;
TRUNCATE debezium.outbox;
COMMIT;

-- step: rows of two partitions, one with another column order
INSERT INTO parts.outbox VALUES
    ('00000000-0000-4000-8000-000000000019', 'Order', 'k-1', 'first', 'one'),
    ('00000000-0000-4000-8000-00000000001a', 'Other', 'k-2', 'second', 'two'),
    ('00000000-0000-4000-8000-00000000001b', 'Order', 'k-3', 'third', 'three');

-- step: a transaction without a published row
INSERT INTO public.unpublished VALUES (1);

-- step: messages of pg_logical_emit_message
BEGIN;
SELECT pg_logical_emit_message(true, 'outbox', 'part of the transaction, snow ☃');
INSERT INTO sales.outbox_bytea (id, aggregate_type) VALUES ('beside a message', 'Order');
SELECT pg_logical_emit_message(true, '', ''::bytea);
COMMIT;

-- step: a message of a transaction that is rolled back
BEGIN;
SELECT pg_logical_emit_message(true, 'outbox', 'rolled back');
SELECT pg_logical_emit_message(false, 'outbox', 'sent nevertheless');
ROLLBACK;

-- step: a transaction that another replication brought
SELECT pg_replication_origin_session_setup('elsewhere');
BEGIN;
SELECT pg_replication_origin_xact_setup('0/ABCDEF', '2026-01-02 03:04:05+00');
INSERT INTO sales.outbox_bytea (id, aggregate_type) VALUES ('from elsewhere', 'Order');
COMMIT;
SELECT pg_replication_origin_session_reset();

-- step: updates by key
BEGIN;
INSERT INTO wide.by_key VALUES (1, 'one', repeat('long', 1000));
INSERT INTO wide.by_key VALUES (2, 'two', NULL);
UPDATE wide.by_key SET name = 'uno' WHERE id = 1;
UPDATE wide.by_key SET id = 3 WHERE id = 2;
DELETE FROM wide.by_key WHERE id = 3;
COMMIT;

-- step: updates of a table whose whole row is its identity
BEGIN;
INSERT INTO wide.whole_row VALUES (1, 'one');
UPDATE wide.whole_row SET name = 'uno';
DELETE FROM wide.whole_row;
COMMIT;

-- step: truncates
TRUNCATE wide.by_key, wide.whole_row RESTART IDENTITY CASCADE;

-- step: the end
INSERT INTO public.last VALUES (1);
