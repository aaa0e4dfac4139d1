-- Where CONNECT was taken from PUBLIC, as hardened servers have it, the relay's role needs it by name.
CREATE OR REPLACE FUNCTION outbox_relay.ensure_connect(relay text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN
    EXECUTE format('GRANT CONNECT ON DATABASE %I TO %I', current_database(), relay);
END
$$;

REVOKE ALL ON FUNCTION outbox_relay.ensure_connect(text) FROM PUBLIC;
