-- What became of each event, for those who must have it in the database. Beside the outbox table and not in it: updating a row
-- would write it once more, and the relay has no right to.

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
    PRIMARY KEY (slot_name, outbox, idempotency_key)
);

COMMENT ON TABLE outbox_relay.delivery_state IS
    'What became of the events of outboxes with delivery_state = true. An event without a row is pending.';

-- The outboxes whose events are noted.
CREATE TABLE IF NOT EXISTS outbox_relay.delivery_outboxes (
    slot_name text NOT NULL,
    outbox    text NOT NULL,
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
    ON CONFLICT (slot_name, outbox, idempotency_key) DO UPDATE SET
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
    view_name text := left('delivery_' || outbox, 63);
BEGIN
    EXECUTE format(
        'CREATE OR REPLACE VIEW outbox_relay.%I AS
         SELECT o.%I AS id, coalesce(d.status, ''pending'') AS status, d.published_at, coalesce(d.retry_count, 0) AS retry_count,
             d.last_error_code, d.updated_at
         FROM %I.%I AS o LEFT JOIN outbox_relay.delivery_state AS d
             ON d.slot_name = %L AND d.outbox = %L AND d.idempotency_key = o.%I::text',
        view_name, id_column, of_schema, of_table, slot, outbox, id_column);
    EXECUTE format('GRANT SELECT ON outbox_relay.%I, outbox_relay.delivery_state TO %I', view_name, operator);
    EXECUTE format('GRANT SELECT, INSERT, UPDATE ON outbox_relay.delivery_state TO %I', relay);
    INSERT INTO outbox_relay.delivery_outboxes (slot_name, outbox) VALUES (slot, outbox) ON CONFLICT DO NOTHING;
END
$$;

-- Removes what is told of events whose rows are removed up to a mark; OR007 unless the slot has confirmed it.
CREATE OR REPLACE FUNCTION outbox_relay.retention_delivery_state(
    slot text, of_outbox text, mark pg_lsn, from_block bigint, to_block bigint) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
DECLARE
    removed bigint;
BEGIN
    PERFORM outbox_relay.retention_horizon(slot, mark);
    DELETE FROM outbox_relay.delivery_state d USING outbox_relay.retention_marks m
    WHERE d.ctid >= format('(%s,0)', from_block)::tid AND d.ctid < format('(%s,0)', to_block)::tid
        AND m.slot_name = slot AND m.lsn = mark AND d.slot_name = slot AND d.outbox = of_outbox
        AND d.status IN ('published', 'discarded') AND d.updated_at < m.taken_at;
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
    outbox_relay.delivery_of_letter(),
    outbox_relay.ensure_delivery_state(text, text, text, text, text, text, text),
    outbox_relay.retention_delivery_state(text, text, pg_lsn, bigint, bigint),
    outbox_relay.ensure_delivery_janitor(text)
FROM PUBLIC;
