-- Rows that were set aside: those that cannot be published, and those that wait behind them for the sake of the order.
--
--   failed ──redrive──► redriving ──published──► redriven      parked: behind a failed one of its key
--     │ ▲                 │    ▲
--     │ └──failed again───┘    └──released── parked
--     └──discard──► discarded

CREATE TABLE IF NOT EXISTS outbox_relay.dead_letters (
    letter_id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    slot_name         text NOT NULL,
    system_identifier text NOT NULL,
    commit_lsn        pg_lsn NOT NULL,
    ordinal           bigint NOT NULL,
    xid               bigint NOT NULL,
    committed_at      timestamptz NOT NULL,
    outbox            text NOT NULL,
    idempotency_key   text NOT NULL,
    aggregate_type    text,
    tenant            text,
    -- Null where the row's topic could not be made.
    topic             text,
    key               bytea,
    -- [[name, value], …], as they go to Kafka.
    headers           jsonb NOT NULL,
    payload           bytea,
    payload_bytes     bigint,
    occurred_at       timestamptz NOT NULL,
    error_type        text NOT NULL,
    error_message     text NOT NULL,
    error_causes      text[] NOT NULL DEFAULT '{}',
    broker_response   text,
    attempts          integer NOT NULL,
    attempts_max      integer NOT NULL,
    first_failed_at   timestamptz NOT NULL,
    last_failed_at    timestamptz NOT NULL,
    -- Later rows of its key wait behind it.
    parks_key         boolean NOT NULL,
    state             text NOT NULL CHECK (state IN ('failed', 'parked', 'redriving', 'redriven', 'discarded')),
    set_aside_at      timestamptz NOT NULL DEFAULT clock_timestamp(),
    resolved_at       timestamptz,
    -- The dead-letter topic, where there is one, was not told of it yet.
    notice_due        boolean NOT NULL DEFAULT false,
    UNIQUE (slot_name, system_identifier, commit_lsn, ordinal)
);

COMMENT ON TABLE outbox_relay.dead_letters IS
    'Rows set aside by the relay on a slot. A resolved one stays until its position is durable in the slot, so that it is recognised when the server sends it again.';

CREATE INDEX IF NOT EXISTS dead_letters_unresolved ON outbox_relay.dead_letters (slot_name, topic, key, commit_lsn, ordinal)
    WHERE state IN ('failed', 'parked', 'redriving');
-- By the event, whose id may be longer than an index takes.
CREATE INDEX IF NOT EXISTS dead_letters_unresolved_event ON outbox_relay.dead_letters (slot_name, outbox, hashtext(idempotency_key))
    WHERE state IN ('failed', 'parked', 'redriving');
CREATE INDEX IF NOT EXISTS dead_letters_parked ON outbox_relay.dead_letters (slot_name, topic, key) WHERE state = 'parked';
CREATE INDEX IF NOT EXISTS dead_letters_redriving ON outbox_relay.dead_letters (slot_name, system_identifier, commit_lsn, ordinal)
    WHERE state = 'redriving';
CREATE INDEX IF NOT EXISTS dead_letters_notice_due ON outbox_relay.dead_letters (slot_name, letter_id) WHERE notice_due;

-- Events that somebody has named, to be set aside when the relay comes to them.
CREATE TABLE IF NOT EXISTS outbox_relay.skips (
    slot_name       text NOT NULL,
    idempotency_key text NOT NULL,
    asked_at        timestamptz NOT NULL DEFAULT clock_timestamp(),
    why             text NOT NULL,
    PRIMARY KEY (slot_name, idempotency_key)
);

-- What does not flow because somebody said so: the whole relay where `outbox` is empty, or one route.
CREATE TABLE IF NOT EXISTS outbox_relay.pauses (
    slot_name text NOT NULL,
    outbox    text NOT NULL,
    paused_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    why       text NOT NULL,
    PRIMARY KEY (slot_name, outbox)
);

-- Whoever changes the states of letters does it alone: relay and operators by turns.
CREATE OR REPLACE FUNCTION outbox_relay.letters_lock(slot text) RETURNS void
LANGUAGE sql SET search_path = pg_catalog AS $$
    SELECT pg_advisory_xact_lock(hashtext('outbox_relay letters'), hashtext(slot))
$$;

-- Of these parked letters, those that no longer wait for anything are to be published. What a letter waits for is found once for
-- each key, not once for each letter: a failed one before it that parks the key, or one before it whose outbox is paused.
CREATE OR REPLACE FUNCTION outbox_relay.letters_set_free(slot text, candidates bigint[]) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
DECLARE
    released bigint;
BEGIN
    PERFORM outbox_relay.letters_lock(slot);
    WITH waiting AS MATERIALIZED (
        SELECT d.letter_id, d.commit_lsn, d.ordinal, d.outbox, d.topic, d.key
        FROM unnest(candidates) AS id JOIN outbox_relay.dead_letters d ON d.letter_id = id
        WHERE d.slot_name = slot AND d.state = 'parked'
    ), keys AS MATERIALIZED (
        SELECT DISTINCT w.topic, w.key FROM waiting w WHERE w.topic IS NOT NULL AND w.key IS NOT NULL
    ), blocked AS MATERIALIZED (
        SELECT k.topic, k.key, f.commit_lsn, f.ordinal FROM keys k, LATERAL (
            SELECT b.commit_lsn, b.ordinal FROM outbox_relay.dead_letters b
            WHERE b.slot_name = slot AND b.topic = k.topic AND b.key = k.key AND b.state IN ('failed', 'parked', 'redriving')
                AND b.parks_key AND (b.state = 'failed' OR EXISTS (
                    SELECT FROM outbox_relay.pauses p WHERE p.slot_name = slot AND p.outbox = b.outbox))
            ORDER BY b.commit_lsn, b.ordinal LIMIT 1
        ) f
    )
    UPDATE outbox_relay.dead_letters u SET state = 'redriving'
    FROM waiting w LEFT JOIN blocked b ON b.topic = w.topic AND b.key = w.key
    WHERE u.letter_id = w.letter_id
        AND (b.commit_lsn IS NULL OR (w.commit_lsn, w.ordinal) < (b.commit_lsn, b.ordinal))
        AND NOT EXISTS (SELECT FROM outbox_relay.pauses p WHERE p.slot_name = slot AND p.outbox = w.outbox);
    GET DIAGNOSTICS released = ROW_COUNT;
    RETURN released;
END
$$;

-- The same of all parked letters of these letters' keys.
CREATE OR REPLACE FUNCTION outbox_relay.letters_release(slot text, ids bigint[]) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
DECLARE
    candidates bigint[];
BEGIN
    PERFORM outbox_relay.letters_lock(slot);
    -- Those without a key apart: an index finds what is equal, not what is not distinct, and there may be many letters.
    WITH freed AS (
        SELECT DISTINCT l.topic, l.key FROM unnest(ids) AS id JOIN outbox_relay.dead_letters l ON l.letter_id = id
        WHERE l.slot_name = slot
    )
    SELECT array_agg(waiting.letter_id) INTO candidates FROM (
        SELECT d.letter_id FROM freed k JOIN outbox_relay.dead_letters d
            ON d.slot_name = slot AND d.state = 'parked' AND d.topic = k.topic AND d.key = k.key
        UNION ALL
        SELECT d.letter_id FROM freed k JOIN outbox_relay.dead_letters d
            ON d.slot_name = slot AND d.state = 'parked' AND d.topic = k.topic AND d.key IS NULL
        WHERE k.key IS NULL
    ) AS waiting;
    RETURN CASE WHEN candidates IS NULL THEN 0 ELSE outbox_relay.letters_set_free(slot, candidates) END;
END
$$;

-- Refuses what no operator may do: OR001 unknown, OR002 in another state, OR003 behind an earlier one, OR004 without a
-- reason, OR005 with nothing that could be published.
CREATE OR REPLACE FUNCTION outbox_relay.letters_must_be(slot text, ids bigint[], states text[], why text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog AS $$
DECLARE
    wrong text;
BEGIN
    PERFORM outbox_relay.must_have_reason(why);
    PERFORM outbox_relay.letters_lock(slot);
    SELECT string_agg(wanted::text, ', ' ORDER BY wanted) INTO wrong FROM unnest(ids) AS wanted
    WHERE NOT EXISTS (SELECT FROM outbox_relay.dead_letters d WHERE d.slot_name = slot AND d.letter_id = wanted);
    IF wrong IS NOT NULL THEN
        RAISE EXCEPTION 'slot % has no dead letter %', slot, wrong USING ERRCODE = 'OR001';
    END IF;
    SELECT string_agg(format('%s is %s', d.letter_id, d.state), ', ' ORDER BY d.letter_id) INTO wrong
    FROM outbox_relay.dead_letters d WHERE d.letter_id = ANY (ids) AND d.state <> ALL (states);
    IF wrong IS NOT NULL THEN
        RAISE EXCEPTION 'dead letter %; it would have to be %', wrong, array_to_string(states, ' or ')
            USING ERRCODE = 'OR002', HINT = 'run the same command once more: it takes those that can be taken, as they are now';
    END IF;
END
$$;

-- What is to be published once more, by the relay, in its own order. Returns how many letters that are, the released ones
-- included, and the head of the audit trail.
CREATE OR REPLACE FUNCTION outbox_relay.letters_redrive(
    slot text, ids bigint[], why text, actor jsonb, OUT redriving bigint, OUT audit_seq bigint, OUT audit_head text)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
DECLARE
    wrong    text;
    released bigint;
BEGIN
    PERFORM outbox_relay.letters_must_be(slot, ids, ARRAY['failed', 'parked'], why);
    SELECT string_agg(format('%s waits behind %s', d.letter_id, e.letter_id), ', ' ORDER BY d.letter_id) INTO wrong
    FROM outbox_relay.dead_letters d, LATERAL (
        SELECT f.letter_id FROM outbox_relay.dead_letters f
        WHERE f.slot_name = slot AND f.topic = d.topic AND f.key = d.key AND f.state = 'failed' AND f.parks_key
            AND (f.commit_lsn, f.ordinal) < (d.commit_lsn, d.ordinal) AND f.letter_id <> ALL (ids)
        ORDER BY f.commit_lsn, f.ordinal LIMIT 1
    ) e
    WHERE d.letter_id = ANY (ids);
    IF wrong IS NOT NULL THEN
        RAISE EXCEPTION 'dead letter %, an earlier one of its key', wrong
            USING ERRCODE = 'OR003', HINT = 'name the earlier one too, or discard it';
    END IF;
    SELECT string_agg(d.letter_id::text, ', ' ORDER BY d.letter_id) INTO wrong
    FROM outbox_relay.dead_letters d WHERE d.letter_id = ANY (ids) AND d.topic IS NULL AND d.aggregate_type IS NULL;
    IF wrong IS NOT NULL THEN
        RAISE EXCEPTION 'dead letter % has neither topic nor aggregate type', wrong USING ERRCODE = 'OR005';
    END IF;
    UPDATE outbox_relay.dead_letters d SET state = 'redriving' WHERE d.letter_id = ANY (ids);
    GET DIAGNOSTICS redriving = ROW_COUNT;
    released := outbox_relay.letters_release(slot, ids);
    redriving := redriving + released;
    SELECT a.seq, a.head INTO audit_seq, audit_head FROM outbox_relay.audit_append(
        'operation', 'dead_letters.redrive', format('slot %s, letters %s', slot, outbox_relay.letters_named(ids)), why,
        format('%s to be published, %s of them released', redriving, released), actor) a;
END
$$;

-- What is never to be published. The letters stay; those that wait behind them do not wait any more.
CREATE OR REPLACE FUNCTION outbox_relay.letters_discard(
    slot text, ids bigint[], why text, actor jsonb, OUT discarded bigint, OUT released bigint, OUT audit_seq bigint,
    OUT audit_head text)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
BEGIN
    PERFORM outbox_relay.letters_must_be(slot, ids, ARRAY['failed', 'parked'], why);
    UPDATE outbox_relay.dead_letters d SET state = 'discarded', resolved_at = clock_timestamp() WHERE d.letter_id = ANY (ids);
    GET DIAGNOSTICS discarded = ROW_COUNT;
    released := outbox_relay.letters_release(slot, ids);
    SELECT a.seq, a.head INTO audit_seq, audit_head FROM outbox_relay.audit_append(
        'operation', 'dead_letters.discard', format('slot %s, letters %s', slot, outbox_relay.letters_named(ids)), why,
        format('%s discarded, %s released behind them', discarded, released), actor) a;
END
$$;

-- Ids as text, as ranges where there are many.
CREATE OR REPLACE FUNCTION outbox_relay.letters_named(ids bigint[]) RETURNS text
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog AS $$
    SELECT string_agg(CASE WHEN low = high THEN low::text ELSE format('%s-%s', low, high) END, ', ' ORDER BY low)
    FROM (
        SELECT min(id) AS low, max(id) AS high
        FROM (SELECT id, id - row_number() OVER (ORDER BY id) AS run FROM (SELECT DISTINCT unnest(ids) AS id) AS named) AS runs
        GROUP BY run
    ) AS ranges
$$;

-- The relay on the slot sets the event aside when it comes to it.
CREATE OR REPLACE FUNCTION outbox_relay.skip(
    slot text, event_id text, why text, actor jsonb, OUT audit_seq bigint, OUT audit_head text)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
BEGIN
    PERFORM outbox_relay.must_have_reason(why);
    IF (SELECT count(*) >= 1000 FROM outbox_relay.skips s WHERE s.slot_name = slot) THEN
        RAISE EXCEPTION '1000 events are named to be skipped already'
            USING ERRCODE = 'OR002', HINT = 'outbox-relay skip --list shows them; skip EVENT_ID --withdraw takes one back';
    END IF;
    INSERT INTO outbox_relay.skips (slot_name, idempotency_key, why) VALUES (slot, event_id, why) ON CONFLICT DO NOTHING;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'event % is named to be skipped already', event_id
            USING ERRCODE = 'OR002', HINT = 'nothing: the relay has not come to it; outbox-relay skip --list says since when';
    END IF;
    SELECT a.seq, a.head INTO audit_seq, audit_head FROM outbox_relay.audit_append(
        'operation', 'skip', format('slot %s, event %s', slot, event_id), why, 'asked for', actor) a;
END
$$;

-- Takes that back, as long as the relay has not come to the event.
CREATE OR REPLACE FUNCTION outbox_relay.skip_withdraw(
    slot text, event_id text, why text, actor jsonb, OUT audit_seq bigint, OUT audit_head text)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
BEGIN
    PERFORM outbox_relay.must_have_reason(why);
    DELETE FROM outbox_relay.skips s WHERE s.slot_name = slot AND s.idempotency_key = event_id;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'event % is not named to be skipped', event_id
            USING ERRCODE = 'OR002', HINT = 'outbox-relay skip --list shows those that are';
    END IF;
    SELECT a.seq, a.head INTO audit_seq, audit_head FROM outbox_relay.audit_append(
        'operation', 'skip.withdraw', format('slot %s, event %s', slot, event_id), why, 'taken back', actor) a;
END
$$;

-- `outbox` is empty for the whole relay.
CREATE OR REPLACE FUNCTION outbox_relay.pause(
    slot text, outbox text, why text, actor jsonb, OUT audit_seq bigint, OUT audit_head text)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
BEGIN
    PERFORM outbox_relay.must_have_reason(why);
    INSERT INTO outbox_relay.pauses (slot_name, outbox, why) VALUES (slot, outbox, why) ON CONFLICT DO NOTHING;
    IF NOT FOUND THEN
        RAISE EXCEPTION '% is paused already', outbox_relay.paused_named(slot, outbox)
            USING ERRCODE = 'OR002', HINT = 'nothing; outbox-relay pause --list says since when and why, outbox-relay resume ends it';
    END IF;
    SELECT a.seq, a.head INTO audit_seq, audit_head FROM outbox_relay.audit_append(
        'operation', 'pause', outbox_relay.paused_named(slot, outbox), why, 'paused', actor) a;
END
$$;

CREATE OR REPLACE FUNCTION outbox_relay.resume(
    slot text, outbox text, why text, actor jsonb, OUT released bigint, OUT audit_seq bigint, OUT audit_head text)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
BEGIN
    PERFORM outbox_relay.must_have_reason(why);
    PERFORM outbox_relay.letters_lock(slot);
    DELETE FROM outbox_relay.pauses p WHERE p.slot_name = slot AND p.outbox = resume.outbox;
    IF NOT FOUND THEN
        RAISE EXCEPTION '% is not paused', outbox_relay.paused_named(slot, outbox)
            USING ERRCODE = 'OR002', HINT = 'nothing; outbox-relay pause --list shows what is';
    END IF;
    released := outbox_relay.letters_release(slot, ARRAY(
        SELECT d.letter_id FROM outbox_relay.dead_letters d
        WHERE d.slot_name = slot AND d.outbox = resume.outbox AND d.state = 'parked'));
    SELECT a.seq, a.head INTO audit_seq, audit_head FROM outbox_relay.audit_append(
        'operation', 'resume', outbox_relay.paused_named(slot, outbox), why, format('resumed, %s released', released), actor) a;
END
$$;

CREATE OR REPLACE FUNCTION outbox_relay.paused_named(slot text, outbox text) RETURNS text
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog AS $$
    SELECT CASE WHEN outbox = '' THEN format('the relay on slot %s', slot) ELSE format('outbox %s of slot %s', outbox, slot) END
$$;

REVOKE ALL ON FUNCTION
    outbox_relay.letters_lock(text),
    outbox_relay.letters_set_free(text, bigint[]),
    outbox_relay.letters_release(text, bigint[]),
    outbox_relay.letters_must_be(text, bigint[], text[], text),
    outbox_relay.letters_named(bigint[]),
    outbox_relay.letters_redrive(text, bigint[], text, jsonb),
    outbox_relay.letters_discard(text, bigint[], text, jsonb),
    outbox_relay.skip(text, text, text, jsonb),
    outbox_relay.skip_withdraw(text, text, text, jsonb),
    outbox_relay.pause(text, text, text, jsonb),
    outbox_relay.resume(text, text, text, jsonb),
    outbox_relay.paused_named(text, text)
FROM PUBLIC;
