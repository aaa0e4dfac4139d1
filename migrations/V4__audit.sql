-- Who did what, and why: rows that are only ever appended, each chained to the one before by a hash, so that a change is
-- evident to whoever has kept a head of the chain. `outbox-relay audit verify` computes the same outside the database.

CREATE TABLE IF NOT EXISTS outbox_relay.audit (
    seq            bigint PRIMARY KEY,
    kind           text NOT NULL CHECK (kind IN ('operation', 'administration')),
    at             timestamptz NOT NULL,
    -- From here on to content_hash: what is emptied when the retention of its kind is over.
    tenant         text,
    database_role  text,
    os_user        text,
    actor          text,
    action         text,
    resource       text,
    why            text,
    result         text,
    correlation_id text,
    source_address text,
    content_hash   bytea NOT NULL,
    hash           bytea NOT NULL,
    expired_at     timestamptz
);

COMMENT ON TABLE outbox_relay.audit IS
    'hash = sha256(hash of the row before || content_hash); content_hash = sha256 over the fields seq to source_address, each as length:text, or -, when it is null.';

-- A field of the content: its length in bytes makes where it ends a matter of fact.
CREATE OR REPLACE FUNCTION outbox_relay.audit_field(field text) RETURNS text
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog AS $$
    SELECT coalesce(octet_length(convert_to(field, 'UTF8')) || ':' || field || ',', '-,')
$$;

CREATE OR REPLACE FUNCTION outbox_relay.audit_content_hash(entry outbox_relay.audit) RETURNS bytea
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog AS $$
    SELECT sha256(convert_to(string_agg(outbox_relay.audit_field(field), '' ORDER BY place), 'UTF8'))
    FROM unnest(ARRAY[
        entry.seq::text, entry.kind, ((extract(epoch FROM entry.at) * 1000000)::bigint)::text, entry.tenant,
        entry.database_role, entry.os_user, entry.actor, entry.action, entry.resource, entry.why, entry.result,
        entry.correlation_id, entry.source_address
    ]) WITH ORDINALITY AS fields (field, place)
$$;

-- Appends one row and returns the head of the chain. The database role and the address are the connection's own; the rest of
-- `actor` (name, os_user, tenant, correlation_id) is what the caller says of itself. (From PostgreSQL 16 on,
-- the operating system's user cannot have the obvious name: it is a word of SQL.)
CREATE OR REPLACE FUNCTION outbox_relay.audit_append(
    kind text, action text, resource text, why text, result text, actor jsonb, OUT seq bigint, OUT head text)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
DECLARE
    newest record;
    entry  outbox_relay.audit;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('outbox_relay'), hashtext('audit'));
    SELECT a.seq, a.hash INTO newest FROM outbox_relay.audit a ORDER BY a.seq DESC LIMIT 1;
    entry.seq := coalesce(newest.seq, 0) + 1;
    entry.kind := audit_append.kind;
    entry.at := clock_timestamp();
    entry.tenant := actor ->> 'tenant';
    entry.database_role := session_user;
    entry.os_user := actor ->> 'os_user';
    entry.actor := actor ->> 'name';
    entry.action := audit_append.action;
    entry.resource := audit_append.resource;
    entry.why := audit_append.why;
    entry.result := audit_append.result;
    entry.correlation_id := actor ->> 'correlation_id';
    entry.source_address := host(inet_client_addr());
    entry.content_hash := outbox_relay.audit_content_hash(entry);
    entry.hash := sha256(coalesce(newest.hash, decode(repeat('00', 32), 'hex')) || entry.content_hash);
    INSERT INTO outbox_relay.audit SELECT entry.*;
    seq := entry.seq;
    head := encode(entry.hash, 'hex');
END
$$;

-- The newest row, which stands for all before it: for whoever keeps heads elsewhere, and may not read what they say.
CREATE OR REPLACE FUNCTION outbox_relay.audit_head(OUT seq bigint, OUT head text, OUT at text)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog AS $$
    SELECT a.seq, encode(a.hash, 'hex'), to_char(a.at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')
    FROM outbox_relay.audit a ORDER BY a.seq DESC LIMIT 1
$$;

-- OR004 without a reason: whoever looks into the trail later has nobody to ask.
CREATE OR REPLACE FUNCTION outbox_relay.must_have_reason(why text) RETURNS void
LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog AS $$
BEGIN
    IF btrim(coalesce(why, '')) = '' THEN
        RAISE EXCEPTION 'a reason is required' USING ERRCODE = 'OR004';
    END IF;
END
$$;

-- No row changes, but that its content is emptied when its retention is over: the hashes stay, and with them the chain.
CREATE OR REPLACE FUNCTION outbox_relay.audit_keeps() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN
    IF TG_OP = 'UPDATE' THEN
        IF OLD.expired_at IS NULL AND NEW.expired_at IS NOT NULL
            AND (NEW.seq, NEW.kind, NEW.at, NEW.content_hash, NEW.hash)
                IS NOT DISTINCT FROM (OLD.seq, OLD.kind, OLD.at, OLD.content_hash, OLD.hash)
            AND num_nonnulls(NEW.tenant, NEW.database_role, NEW.os_user, NEW.actor, NEW.action, NEW.resource, NEW.why,
                             NEW.result, NEW.correlation_id, NEW.source_address) = 0
        THEN
            RETURN NEW;
        END IF;
    END IF;
    RAISE EXCEPTION 'the audit trail is only ever appended' USING ERRCODE = 'OR009';
END
$$;

CREATE OR REPLACE TRIGGER audit_keeps BEFORE UPDATE OR DELETE ON outbox_relay.audit
    FOR EACH ROW EXECUTE FUNCTION outbox_relay.audit_keeps();
CREATE OR REPLACE TRIGGER audit_keeps_all BEFORE TRUNCATE ON outbox_relay.audit
    FOR EACH STATEMENT EXECUTE FUNCTION outbox_relay.audit_keeps();

-- Empties what is older, of one kind, and notes that in the trail itself. The chain up to there does not change by it.
CREATE OR REPLACE FUNCTION outbox_relay.audit_expire(
    expired_kind text, older_than timestamptz, actor jsonb, OUT emptied bigint, OUT audit_seq bigint, OUT audit_head text)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
BEGIN
    IF older_than > now() - interval '30 days' THEN
        RAISE EXCEPTION 'the audit trail is kept for at least 30 days' USING ERRCODE = 'OR009';
    END IF;
    UPDATE outbox_relay.audit a
    SET tenant = NULL, database_role = NULL, os_user = NULL, actor = NULL, action = NULL, resource = NULL, why = NULL,
        result = NULL, correlation_id = NULL, source_address = NULL, expired_at = clock_timestamp()
    WHERE a.kind = expired_kind AND a.at < older_than AND a.expired_at IS NULL;
    GET DIAGNOSTICS emptied = ROW_COUNT;
    IF emptied > 0 THEN
        SELECT a.seq, a.head INTO audit_seq, audit_head FROM outbox_relay.audit_append(
            'administration', 'audit.expire', format('kind %s, before %s', expired_kind, older_than),
            'its retention is over', format('%s rows emptied', emptied), audit_expire.actor) a;
    END IF;
END
$$;

REVOKE ALL ON FUNCTION
    outbox_relay.audit_field(text),
    outbox_relay.audit_content_hash(outbox_relay.audit),
    outbox_relay.audit_append(text, text, text, text, text, jsonb),
    outbox_relay.audit_head(),
    outbox_relay.must_have_reason(text),
    outbox_relay.audit_keeps(),
    outbox_relay.audit_expire(text, timestamptz, jsonb)
FROM PUBLIC;
