-- What `outbox-relay migrate` calls for each role, outbox and publication of its configuration. Every function can be
-- called again at any time and changes nothing that is as it should be.

-- Roles belong to the whole server: one that exists is left as it is, except that the relay gets what it cannot do
-- without. REPLICATION is not inherited through membership, so the login role has it itself.
CREATE OR REPLACE FUNCTION outbox_relay.ensure_roles(relay text, application text, operator text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog AS $$
DECLARE
    wanted record;
BEGIN
    FOR wanted IN
        SELECT * FROM (VALUES (application, 'NOLOGIN'), (operator, 'NOLOGIN'), (relay, 'LOGIN')) AS r (name, attributes)
    LOOP
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = wanted.name) THEN
            EXECUTE format('CREATE ROLE %I %s', wanted.name, wanted.attributes);
        END IF;
    END LOOP;

    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'rds_replication') THEN
        EXECUTE format('GRANT rds_replication TO %I', relay);
    ELSIF NOT (SELECT rolreplication FROM pg_roles WHERE rolname = relay) THEN
        EXECUTE format('ALTER ROLE %I REPLICATION', relay);
    END IF;

    EXECUTE format('GRANT USAGE ON SCHEMA outbox_relay TO %I, %I', relay, operator);
    EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON outbox_relay.advisory TO %I', relay);
    EXECUTE format('GRANT SELECT ON outbox_relay.advisory TO %I', operator);
END
$$;

-- An outbox table with the standard columns. One that exists is left as it is, whatever its columns.
CREATE OR REPLACE FUNCTION outbox_relay.ensure_outbox(schema_name text, table_name text, application text, operator text)
RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN
    EXECUTE format('CREATE SCHEMA IF NOT EXISTS %I', schema_name);
    IF to_regclass(format('%I.%I', schema_name, table_name)) IS NULL THEN
        EXECUTE format(
            'CREATE TABLE %I.%I (
                id             uuid PRIMARY KEY DEFAULT gen_random_uuid(),
                aggregate_type text NOT NULL,
                aggregate_id   text NOT NULL,
                event_type     text NOT NULL,
                payload        json NOT NULL,
                metadata       jsonb,
                version        bigint,
                created_at     timestamptz NOT NULL DEFAULT clock_timestamp()
            )',
            schema_name, table_name);
    END IF;
    EXECUTE format('GRANT USAGE ON SCHEMA %I TO %I, %I', schema_name, application, operator);
    EXECUTE format('GRANT INSERT ON %I.%I TO %I', schema_name, table_name, application);
    EXECUTE format('GRANT SELECT ON %I.%I TO %I', schema_name, table_name, operator);
END
$$;

-- A publication of inserts that holds the table. It must be there before the slot: creating it later does not help,
-- because decoding sees the catalog as it was when the row was written.
CREATE OR REPLACE FUNCTION outbox_relay.ensure_publication(publication text, schema_name text, table_name text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_publication WHERE pubname = publication) THEN
        EXECUTE format(
            'CREATE PUBLICATION %I WITH (publish = ''insert'', publish_via_partition_root = true)', publication);
    END IF;
    IF NOT EXISTS (
        SELECT FROM pg_publication p JOIN pg_publication_rel r ON r.prpubid = p.oid
        WHERE p.pubname = publication AND r.prrelid = to_regclass(format('%I.%I', schema_name, table_name))
    ) THEN
        EXECUTE format('ALTER PUBLICATION %I ADD TABLE %I.%I', publication, schema_name, table_name);
    END IF;
END
$$;

REVOKE ALL ON FUNCTION
    outbox_relay.ensure_roles(text, text, text),
    outbox_relay.ensure_outbox(text, text, text, text),
    outbox_relay.ensure_publication(text, text, text)
FROM PUBLIC;
