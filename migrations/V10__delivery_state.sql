-- What became of each event, for those who must have it in the database. Beside the outbox table and not in it: updating a row
-- would write it once more, and the relay has no right to.

-- An id may be longer than an index takes.
CREATE OR REPLACE FUNCTION outbox_relay.id_hash(id text) RETURNS bytea
LANGUAGE sql IMMUTABLE PARALLEL SAFE RETURNS NULL ON NULL INPUT AS $$
    SELECT pg_catalog.sha256(pg_catalog.convert_to(id, 'UTF8'))
$$;

CREATE TABLE IF NOT EXISTS outbox_relay.delivery_state (
    slot_name       text NOT NULL,
    outbox          text NOT NULL,
    idempotency_key text NOT NULL,
    status          text NOT NULL CHECK (status IN ('published', 'failed', 'set_aside', 'discarded')),
    published_at    timestamptz,
    -- Attempts after the first one.
    retry_count     integer NOT NULL,
    last_error_code text,
    updated_at      timestamptz NOT NULL,
    key_hash        bytea GENERATED ALWAYS AS (outbox_relay.id_hash(idempotency_key)) STORED,
    PRIMARY KEY (slot_name, outbox, key_hash)
);

COMMENT ON TABLE outbox_relay.delivery_state IS
    'What became of the events of outboxes with delivery_state = true. An event without a row is pending.';

-- The outboxes whose events are noted.
CREATE TABLE IF NOT EXISTS outbox_relay.delivery_outboxes (
    slot_name   text NOT NULL,
    outbox      text NOT NULL,
    view_name   text NOT NULL,
    schema_name text NOT NULL,
    table_name  text NOT NULL,
    id_column   text NOT NULL,
    PRIMARY KEY (slot_name, outbox)
);

-- What becomes of a dead letter, in the transaction that says so.
CREATE OR REPLACE FUNCTION outbox_relay.delivery_of_letter() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
BEGIN
    INSERT INTO outbox_relay.delivery_state AS d
        (slot_name, outbox, idempotency_key, status, published_at, retry_count, last_error_code, updated_at)
    SELECT NEW.slot_name, NEW.outbox, NEW.idempotency_key,
        CASE NEW.state WHEN 'redriven' THEN 'published' WHEN 'discarded' THEN 'discarded' ELSE 'set_aside' END,
        CASE WHEN NEW.state = 'redriven' THEN NEW.resolved_at END, greatest(NEW.attempts - 1, 0), NEW.error_type, clock_timestamp()
    FROM outbox_relay.delivery_outboxes o WHERE o.slot_name = NEW.slot_name AND o.outbox = NEW.outbox
    ON CONFLICT (slot_name, outbox, key_hash) DO UPDATE SET
        status = excluded.status,
        published_at = coalesce(excluded.published_at, d.published_at),
        retry_count = greatest(excluded.retry_count, d.retry_count),
        last_error_code = excluded.last_error_code,
        updated_at = excluded.updated_at;
    RETURN NULL;
END
$$;

CREATE OR REPLACE TRIGGER delivery_of_letter AFTER INSERT OR UPDATE OF state ON outbox_relay.dead_letters
    FOR EACH ROW EXECUTE FUNCTION outbox_relay.delivery_of_letter();

-- The view joins an outbox table with it. Of the table it has the id alone, so that the other columns of the table can change.
CREATE OR REPLACE FUNCTION outbox_relay.ensure_delivery_state(
    slot text, outbox text, of_schema text, of_table text, id_column text, relay text, operator text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog AS $$
DECLARE
    named text := left('delivery_' || outbox, 63);
    other record;
BEGIN
    SELECT o.slot_name, o.outbox INTO other FROM outbox_relay.delivery_outboxes o
    WHERE o.view_name = named AND (o.slot_name, o.outbox) <> (ensure_delivery_state.slot, ensure_delivery_state.outbox);
    IF FOUND THEN
        RAISE EXCEPTION 'the view outbox_relay.% tells of outbox % of slot %', named, other.outbox, other.slot_name
            USING HINT = 'give the outbox another name in the configuration; a slot that is gone: DELETE FROM outbox_relay.delivery_outboxes WHERE slot_name = …';
    END IF;
    EXECUTE format(
        'CREATE OR REPLACE VIEW outbox_relay.%I AS
         SELECT o.%I AS id, coalesce(d.status, ''pending'') AS status, d.published_at, coalesce(d.retry_count, 0) AS retry_count,
             d.last_error_code, d.updated_at
         FROM %I.%I AS o LEFT JOIN outbox_relay.delivery_state AS d
             ON d.slot_name = %L AND d.outbox = %L AND d.key_hash = outbox_relay.id_hash(o.%I::text)',
        named, id_column, of_schema, of_table, slot, outbox, id_column);
    EXECUTE format('GRANT SELECT ON outbox_relay.%I, outbox_relay.delivery_state TO %I', named, operator);
    EXECUTE format('GRANT SELECT, INSERT, UPDATE ON outbox_relay.delivery_state TO %I', relay);
    EXECUTE format('GRANT EXECUTE ON FUNCTION outbox_relay.id_hash(text) TO %I, %I', relay, operator);
    EXECUTE format(
        'GRANT EXECUTE ON FUNCTION outbox_relay.recovery_delivered(text, text, text[], timestamptz) TO %I', relay);
    INSERT INTO outbox_relay.delivery_outboxes AS o VALUES (slot, outbox, named, of_schema, of_table, id_column)
    ON CONFLICT ON CONSTRAINT delivery_outboxes_pkey DO UPDATE SET
        view_name = excluded.view_name, schema_name = excluded.schema_name, table_name = excluded.table_name,
        id_column = excluded.id_column;
END
$$;

-- For `recover`: events of an outbox that Kafka has, whoever brought them there; `at` is null where that is not known. A dead
-- letter is told of by itself.
CREATE OR REPLACE FUNCTION outbox_relay.recovery_delivered(slot text, of_outbox text, ids text[], at timestamptz) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog AS $$
    INSERT INTO outbox_relay.delivery_state AS d
        (slot_name, outbox, idempotency_key, status, published_at, retry_count, last_error_code, updated_at)
    SELECT slot, of_outbox, id, 'published', at, 0, NULL, clock_timestamp() FROM unnest(ids) AS id
    WHERE EXISTS (SELECT FROM outbox_relay.delivery_outboxes o WHERE o.slot_name = slot AND o.outbox = of_outbox)
    ON CONFLICT (slot_name, outbox, key_hash) DO UPDATE SET
        status = excluded.status,
        published_at = coalesce(d.published_at, excluded.published_at),
        updated_at = excluded.updated_at
    WHERE d.status = 'failed'
$$;

-- The outbox keeps no states any more; what it has stays.
CREATE OR REPLACE FUNCTION outbox_relay.leave_delivery_state(slot text, of_outbox text) RETURNS void
LANGUAGE sql SET search_path = pg_catalog AS $$
    DELETE FROM outbox_relay.delivery_outboxes o WHERE o.slot_name = slot AND o.outbox = of_outbox
$$;

-- Removes what is told of events that were published before a mark and whose rows are gone; OR007 unless the slot has confirmed
-- the mark.
CREATE OR REPLACE FUNCTION outbox_relay.retention_delivery_state(
    slot text, of_outbox text, mark pg_lsn, from_block bigint, to_block bigint) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
DECLARE
    removed bigint;
    of      outbox_relay.delivery_outboxes;
BEGIN
    PERFORM outbox_relay.retention_horizon(slot, mark);
    SELECT o.* INTO of FROM outbox_relay.delivery_outboxes o WHERE o.slot_name = slot AND o.outbox = of_outbox;
    IF NOT FOUND THEN
        RETURN 0;
    END IF;
    -- By the type of the id, so that the table's own index finds it.
    EXECUTE format(
        'DELETE FROM outbox_relay.delivery_state d USING outbox_relay.retention_marks m
         WHERE d.ctid >= %L::tid AND d.ctid < %L::tid AND m.slot_name = %L AND m.lsn = %L AND d.slot_name = %L AND d.outbox = %L
             AND d.status IN (''published'', ''discarded'') AND d.updated_at < m.taken_at
             AND NOT EXISTS (SELECT FROM %I.%I o WHERE o.%I = d.idempotency_key::%s)',
        format('(%s,0)', from_block), format('(%s,0)', to_block), slot, mark, slot, of_outbox, of.schema_name, of.table_name,
        of.id_column, (SELECT format_type(a.atttypid, NULL) FROM pg_attribute a
            WHERE a.attrelid = format('%I.%I', of.schema_name, of.table_name)::regclass AND a.attname = of.id_column));
    GET DIAGNOSTICS removed = ROW_COUNT;
    RETURN removed;
END
$$;

CREATE OR REPLACE FUNCTION outbox_relay.ensure_delivery_janitor(janitor text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN
    EXECUTE format(
        'GRANT EXECUTE ON FUNCTION outbox_relay.retention_delivery_state(text, text, pg_lsn, bigint, bigint) TO %I', janitor);
END
$$;

REVOKE ALL ON FUNCTION
    outbox_relay.id_hash(text),
    outbox_relay.delivery_of_letter(),
    outbox_relay.ensure_delivery_state(text, text, text, text, text, text, text),
    outbox_relay.leave_delivery_state(text, text),
    outbox_relay.recovery_delivered(text, text, text[], timestamptz),
    outbox_relay.retention_delivery_state(text, text, pg_lsn, bigint, bigint),
    outbox_relay.ensure_delivery_janitor(text)
FROM PUBLIC;
