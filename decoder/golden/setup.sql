-- What the captures start from: the outbox tables of the golden tests, and two publications.
-- `decoder/tests/wire/tables.rs` maps them. Runs before the slots are made.

CREATE SCHEMA sales;
CREATE TYPE sales.kind AS ENUM ('OrderPlaced', 'OrderPaid', 'été');
CREATE DOMAIN sales.topic_name AS text;
CREATE DOMAIN sales.document AS jsonb;
CREATE DOMAIN sales.order_number AS bigint;

-- The standard columns, once for each type that a payload can have.
CREATE TABLE sales.outbox (
    id             uuid PRIMARY KEY,
    aggregate_type text NOT NULL,
    aggregate_id   varchar(40),
    event_type     sales.kind,
    payload        json,
    metadata       jsonb,
    created_at     timestamptz,
    version        bigint,
    shouting       text GENERATED ALWAYS AS (upper(aggregate_id)) STORED
);
CREATE TABLE sales.outbox_text (
    id             uuid PRIMARY KEY,
    aggregate_type varchar(20) NOT NULL,
    aggregate_id   bigint,
    event_type     char(12),
    payload        text,
    metadata       json,
    created_at     timestamp,
    version        integer
);
CREATE TABLE sales.outbox_jsonb (
    id             bigint PRIMARY KEY,
    aggregate_type name NOT NULL,
    aggregate_id   uuid,
    payload        jsonb,
    metadata       text,
    created_at     bigint,
    version        smallint
);
CREATE TABLE sales.outbox_bytea (
    id             text PRIMARY KEY,
    aggregate_type text NOT NULL,
    aggregate_id   boolean,
    event_type     "char",
    payload        bytea,
    created_at     timestamptz
);
CREATE TABLE sales.outbox_without_id (
    aggregate_type text NOT NULL,
    aggregate_id   bytea,
    payload        varchar
);

-- Types that the wire sends in a form of their own, or that no record can be made of.
CREATE TABLE sales.outbox_domain (id uuid, aggregate_type sales.topic_name, aggregate_id text, payload sales.document);
CREATE TABLE sales.outbox_number (id uuid, aggregate_type text, aggregate_id sales.order_number, payload text);
CREATE TABLE sales.outbox_acl (id uuid, aggregate_type text, aggregate_id text, payload aclitem);
CREATE TABLE sales.outbox_numeric (id uuid, aggregate_type text, aggregate_id text, payload numeric);
CREATE TABLE sales.outbox_array (id uuid, aggregate_type text, aggregate_id text, payload integer[]);

CREATE SCHEMA debezium;
CREATE TABLE debezium.outbox (
    id            uuid PRIMARY KEY,
    aggregatetype varchar(255) NOT NULL,
    aggregateid   varchar(255) NOT NULL,
    type          varchar(255) NOT NULL,
    payload       jsonb
);

CREATE SCHEMA "店舗";
CREATE TYPE "店舗"."種別" AS ENUM ('注文');
CREATE TABLE "店舗"."箱 出し" (
    "識別子" uuid PRIMARY KEY,
    "集約型" text NOT NULL,
    "Agrégat ""id""" text,
    "種別" "店舗"."種別",
    "内容" text
);

CREATE SCHEMA changing;
CREATE TABLE changing.outbox (
    id             uuid,
    aggregate_type text,
    aggregate_id   text,
    event_type     text,
    payload        text
);

CREATE SCHEMA parts;
CREATE TABLE parts.outbox (
    id             uuid,
    aggregate_type text,
    aggregate_id   text,
    event_type     text,
    payload        text
) PARTITION BY LIST (aggregate_type);
CREATE TABLE parts.outbox_order PARTITION OF parts.outbox FOR VALUES IN ('Order');
CREATE TABLE parts.outbox_other (
    payload        text,
    event_type     text,
    gone           integer,
    aggregate_id   text,
    aggregate_type text,
    id             uuid
);
ALTER TABLE parts.outbox_other DROP COLUMN gone;
ALTER TABLE parts.outbox ATTACH PARTITION parts.outbox_other DEFAULT;

-- Published, and no outbox is mapped to it; mapped, and a column is missing.
CREATE TABLE public.stranger (a integer);
CREATE TABLE public.outbox_without_payload (id uuid, aggregate_type text, aggregate_id text);
-- Not published.
CREATE TABLE public.unpublished (a integer);
-- In both publications: its row is the last one of a capture.
CREATE TABLE public.last (a integer);

CREATE PUBLICATION outbox FOR TABLE
    sales.outbox, sales.outbox_text, sales.outbox_jsonb, sales.outbox_bytea, sales.outbox_without_id,
    sales.outbox_domain, sales.outbox_number, sales.outbox_acl, sales.outbox_numeric, sales.outbox_array, debezium.outbox,
    "店舗"."箱 出し", changing.outbox, parts.outbox, public.stranger, public.outbox_without_payload, public.last
    WITH (publish = 'insert', publish_via_partition_root = true);

CREATE SCHEMA wide;
CREATE TABLE wide.by_key (id integer PRIMARY KEY, name text, note text);
ALTER TABLE wide.by_key ALTER COLUMN note SET STORAGE EXTERNAL;
CREATE TABLE wide.whole_row (id integer, name text);
ALTER TABLE wide.whole_row REPLICA IDENTITY FULL;

CREATE PUBLICATION wide FOR TABLE wide.by_key, wide.whole_row, public.last
    WITH (publish = 'insert, update, delete, truncate');

SELECT pg_replication_origin_create('elsewhere');
