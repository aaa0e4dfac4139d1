-- Recoveries of a slot that have begun and not ended: what a second run goes on with.

CREATE TABLE IF NOT EXISTS outbox_relay.recoveries (
    slot_name text PRIMARY KEY,
    -- Rows written since then may be missing in Kafka, by this column; empty for each outbox's own.
    since     timestamptz NOT NULL,
    by_column text NOT NULL,
    begun_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    why       text NOT NULL
);

-- Begins, or begins again: what was to be looked through stays to be looked through.
CREATE OR REPLACE FUNCTION outbox_relay.recovery_begin(
    slot text, since timestamptz, by_column text, what text, why text, actor jsonb, OUT audit_seq bigint, OUT audit_head text)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
BEGIN
    PERFORM outbox_relay.must_have_reason(why);
    INSERT INTO outbox_relay.recoveries AS r (slot_name, since, by_column, why)
    VALUES (slot, recovery_begin.since, recovery_begin.by_column, recovery_begin.why)
    ON CONFLICT (slot_name) DO UPDATE SET
        since = least(r.since, excluded.since), by_column = excluded.by_column, why = excluded.why;
    SELECT a.seq, a.head INTO audit_seq, audit_head
    FROM outbox_relay.audit_append('administration', 'recover', format('slot %s', slot), why, what, actor) a;
END
$$;

-- Notes what came of it. One that did not reach its end stays to be gone on with.
CREATE OR REPLACE FUNCTION outbox_relay.recovery_end(
    slot text, is_done boolean, result text, why text, actor jsonb, OUT audit_seq bigint, OUT audit_head text)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
BEGIN
    IF is_done THEN
        DELETE FROM outbox_relay.recoveries r WHERE r.slot_name = slot;
    END IF;
    SELECT a.seq, a.head INTO audit_seq, audit_head
    FROM outbox_relay.audit_append('administration', 'recover', format('slot %s', slot), why, result, actor) a;
END
$$;

-- The recovery of the slot that did not reach its end, if there is one.
CREATE OR REPLACE FUNCTION outbox_relay.recovery_unfinished(slot text) RETURNS SETOF outbox_relay.recoveries
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog AS $$
    SELECT * FROM outbox_relay.recoveries r WHERE r.slot_name = slot
$$;

-- Events of the slot that somebody or the relay has decided about: they are not in Kafka, and are not to be published as if
-- nobody had.
CREATE OR REPLACE FUNCTION outbox_relay.recovery_left_out(slot text) RETURNS SETOF text
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog AS $$
    SELECT d.idempotency_key FROM outbox_relay.dead_letters d WHERE d.slot_name = slot
    UNION ALL
    SELECT s.idempotency_key FROM outbox_relay.skips s WHERE s.slot_name = slot
$$;

CREATE OR REPLACE FUNCTION outbox_relay.ensure_recovery(relay text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN
    EXECUTE format(
        'GRANT EXECUTE ON FUNCTION
             outbox_relay.recovery_begin(text, timestamptz, text, text, text, jsonb),
             outbox_relay.recovery_end(text, boolean, text, text, jsonb),
             outbox_relay.recovery_unfinished(text),
             outbox_relay.recovery_left_out(text)
         TO %I', relay);
END
$$;

REVOKE ALL ON FUNCTION
    outbox_relay.recovery_begin(text, timestamptz, text, text, text, jsonb),
    outbox_relay.recovery_end(text, boolean, text, text, jsonb),
    outbox_relay.recovery_unfinished(text),
    outbox_relay.recovery_left_out(text),
    outbox_relay.ensure_recovery(text)
FROM PUBLIC;
