-- Who may do what with dead letters and the audit trail. `outbox-relay migrate` calls this with the configured names; the
-- matrix in SECURITY.md is what a test finds each role able to do.
CREATE OR REPLACE FUNCTION outbox_relay.ensure_operating_roles(relay text, operator text, auditor text, janitor text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog AS $$
DECLARE
    wanted text;
BEGIN
    FOREACH wanted IN ARRAY ARRAY[auditor, janitor] LOOP
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = wanted) THEN
            EXECUTE format('CREATE ROLE %I NOLOGIN', wanted);
        END IF;
    END LOOP;
    EXECUTE format('GRANT USAGE ON SCHEMA outbox_relay TO %I, %I', auditor, janitor);
    -- So that a program sees whether it is as new as the database.
    EXECUTE format('GRANT SELECT ON outbox_relay.migrations TO %I, %I, %I, %I', relay, operator, auditor, janitor);

    -- The relay writes letters and what became of them, and appends to the audit trail.
    EXECUTE format('GRANT SELECT, INSERT ON outbox_relay.dead_letters TO %I', relay);
    EXECUTE format(
        'GRANT UPDATE (state, resolved_at, attempts, error_type, error_message, error_causes, broker_response, last_failed_at, notice_due)
         ON outbox_relay.dead_letters TO %I', relay);
    EXECUTE format('GRANT SELECT, DELETE ON outbox_relay.skips TO %I', relay);
    EXECUTE format('GRANT SELECT ON outbox_relay.pauses TO %I', relay);
    EXECUTE format(
        'GRANT EXECUTE ON FUNCTION outbox_relay.letters_lock(text), outbox_relay.letters_set_free(text, bigint[]),
             outbox_relay.letters_named(bigint[]), outbox_relay.audit_append(text, text, text, text, text, jsonb),
             outbox_relay.audit_head()
         TO %I', relay);

    -- The operator decides, by functions that note it.
    EXECUTE format('GRANT SELECT ON outbox_relay.dead_letters, outbox_relay.skips, outbox_relay.pauses TO %I', operator);
    EXECUTE format(
        'GRANT EXECUTE ON FUNCTION outbox_relay.letters_redrive(text, bigint[], text, jsonb),
             outbox_relay.letters_discard(text, bigint[], text, jsonb), outbox_relay.skip(text, text, text, jsonb),
             outbox_relay.skip_withdraw(text, text, text, jsonb),
             outbox_relay.pause(text, text, text, jsonb), outbox_relay.resume(text, text, text, jsonb)
         TO %I', operator);

    -- The auditor reads: everything that was done, and of the letters everything but what they say.
    EXECUTE format('GRANT SELECT ON outbox_relay.audit, outbox_relay.skips, outbox_relay.pauses, outbox_relay.advisory TO %I', auditor);
    EXECUTE format(
        'GRANT SELECT (letter_id, slot_name, system_identifier, commit_lsn, ordinal, xid, committed_at, outbox, idempotency_key,
             aggregate_type, tenant, topic, key, payload_bytes, occurred_at, error_type, error_message, error_causes,
             broker_response, attempts, attempts_max, first_failed_at, last_failed_at, parks_key, state, set_aside_at,
             resolved_at)
         ON outbox_relay.dead_letters TO %I', auditor);

    -- The janitor empties what has outlived its retention; the function notes it.
    EXECUTE format('GRANT EXECUTE ON FUNCTION outbox_relay.audit_expire(text, timestamptz, jsonb) TO %I', janitor);
END
$$;

REVOKE ALL ON FUNCTION outbox_relay.ensure_operating_roles(text, text, text, text) FROM PUBLIC;
