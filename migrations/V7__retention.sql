-- Which rows of an outbox table nobody needs any more, and how they are removed. What proves it is here, in the database: the
-- janitor's role has no right to delete a row, only to call these functions, and they remove nothing that is not confirmed.
--
--   a mark:  first  the horizon, the oldest transaction that runs
--            then   the LSN where the WAL ends
--
-- Every transaction below the horizon had ended by then, so its commit lies before the LSN. Once the slot has confirmed the LSN,
-- every row that such a transaction has written is in Kafka or a dead letter. The horizon alone, and not what else had ended by
-- then: a snapshot does not list subtransactions, and one of a transaction that still runs would count as ended.

CREATE TABLE IF NOT EXISTS outbox_relay.retention_marks (
    slot_name   text NOT NULL,
    lsn         pg_lsn NOT NULL,
    horizon     xid8 NOT NULL,
    -- The slot's, at that time.
    restart_lsn pg_lsn NOT NULL,
    taken_at    timestamptz NOT NULL,
    PRIMARY KEY (slot_name, lsn)
);

-- The outbox tables of each slot. Rows that were there before the slot, or before the table was published, are in no stream: a
-- table that held any is not whole, and nothing of it is removed until somebody vouches for them.
CREATE TABLE IF NOT EXISTS outbox_relay.retained_tables (
    slot_name    text NOT NULL,
    schema_name  text NOT NULL,
    table_name   text NOT NULL,
    -- The table, the publication and the table's membership. Another one means that rows may have passed the stream by.
    membership   text NOT NULL,
    is_whole     boolean NOT NULL,
    known_since  timestamptz NOT NULL DEFAULT clock_timestamp(),
    -- The mark up to which a sweep has come to its end.
    swept_lsn    pg_lsn,
    -- Rows removed that the audit trail does not tell of yet.
    removed_rows bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (slot_name, schema_name, table_name)
);

COMMENT ON TABLE outbox_relay.retention_marks IS
    'Once the slot has confirmed lsn, every row written by a transaction below horizon is published or a dead letter.';
COMMENT ON TABLE outbox_relay.retained_tables IS
    'Outbox tables and whether all of their rows were written where the slot brings them to the relay.';

-- Whether a row with this xmin was written by a transaction below the horizon; `next` is the next transaction, or one a little
-- before it. A row shows 32 bits of its transaction's number, also when it is frozen, so an old one may count as younger than
-- it is, and stays for a while, but none counts as older. What is above the upper bound is above `next`. A horizon above it is
-- another server's.
CREATE OR REPLACE FUNCTION outbox_relay.is_before(row_xmin xid, horizon bigint, next bigint) RETURNS boolean
LANGUAGE sql IMMUTABLE AS $$
    SELECT horizon <= next AND ((next - row_xmin::text::bigint) & 4294967295) BETWEEN next - horizon + 1 AND 4026531840
$$;

CREATE OR REPLACE FUNCTION outbox_relay.next_transaction() RETURNS bigint
LANGUAGE sql STABLE SET search_path = pg_catalog AS $$
    SELECT pg_snapshot_xmax(pg_current_snapshot())::text::bigint
$$;

-- Null where the publication does not bring the table's inserts. The oid of a membership is another one after the table was
-- taken out and put back, or its row filter changed; the xmin of a publication after what it publishes was changed.
CREATE OR REPLACE FUNCTION outbox_relay.retention_membership(publication text, of_schema text, of_table text) RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog AS $$
    SELECT concat_ws(' ', c.oid, p.oid, p.xmin, m.oid)
    FROM pg_publication p
        JOIN pg_class c ON c.oid = to_regclass(format('%I.%I', of_schema, of_table))
        LEFT JOIN pg_publication_rel m ON m.prpubid = p.oid AND m.prrelid = c.oid
    WHERE p.pubname = publication AND p.pubinsert AND EXISTS (
        SELECT FROM pg_publication_tables t
        WHERE t.pubname = publication AND t.schemaname = of_schema AND t.tablename = of_table)
$$;

CREATE OR REPLACE FUNCTION outbox_relay.retention_slot(slot text) RETURNS SETOF pg_replication_slots
LANGUAGE sql STABLE SET search_path = pg_catalog AS $$
    SELECT s.* FROM pg_replication_slots s
    WHERE s.slot_name = slot AND s.database = current_database() AND s.wal_status IS DISTINCT FROM 'lost'
$$;

-- Of a slot that was dropped or is made anew: what it had confirmed says nothing of the next one of its name.
CREATE OR REPLACE FUNCTION outbox_relay.retention_forget(slot text) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog AS $$
    DELETE FROM outbox_relay.retention_marks m WHERE m.slot_name = slot;
    DELETE FROM outbox_relay.retained_tables r WHERE r.slot_name = slot AND r.removed_rows = 0;
    UPDATE outbox_relay.retained_tables r SET is_whole = false, membership = '', swept_lsn = NULL WHERE r.slot_name = slot;
$$;

-- Whether the table is empty and nobody is writing to it: then every later row comes through the slot. Null where that cannot
-- be known now.
CREATE OR REPLACE FUNCTION outbox_relay.retention_is_empty(of_schema text, of_table text) RETURNS boolean
LANGUAGE plpgsql SET search_path = pg_catalog SET lock_timeout = '2s' AS $$
DECLARE
    is_empty boolean;
BEGIN
    -- The second look has to see what was committed until then.
    IF current_setting('transaction_isolation') <> 'read committed' THEN
        RETURN NULL;
    END IF;
    EXECUTE format('SELECT NOT EXISTS (SELECT FROM %I.%I)', of_schema, of_table) INTO is_empty;
    IF NOT is_empty THEN
        RETURN false;
    END IF;
    -- A transaction that began to write before the table was published may yet commit, and is in no stream.
    EXECUTE format('LOCK TABLE %I.%I IN SHARE MODE', of_schema, of_table);
    EXECUTE format('SELECT NOT EXISTS (SELECT FROM %I.%I)', of_schema, of_table) INTO is_empty;
    RETURN is_empty;
EXCEPTION WHEN lock_not_available OR deadlock_detected THEN
    RETURN NULL;
END
$$;

-- Whether every row of the table was written where the slot brings it. Notes what it finds when the table, its place in the
-- publication or the slot is another one than before.
CREATE OR REPLACE FUNCTION outbox_relay.retention_know(slot text, publication text, of_schema text, of_table text)
RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
DECLARE
    now_is   text := outbox_relay.retention_membership(publication, of_schema, of_table);
    known    outbox_relay.retained_tables;
    is_empty boolean;
BEGIN
    IF NOT EXISTS (SELECT FROM outbox_relay.retention_slot(slot)) THEN
        PERFORM outbox_relay.retention_forget(slot);
        RETURN false;
    END IF;
    IF now_is IS NULL THEN
        UPDATE outbox_relay.retained_tables r SET is_whole = false, membership = ''
        WHERE r.slot_name = slot AND r.schema_name = of_schema AND r.table_name = of_table AND r.membership <> '';
        RETURN false;
    END IF;
    SELECT r.* INTO known FROM outbox_relay.retained_tables r
    WHERE r.slot_name = slot AND r.schema_name = of_schema AND r.table_name = of_table;
    IF known.membership = now_is THEN
        RETURN known.is_whole;
    END IF;
    is_empty := outbox_relay.retention_is_empty(of_schema, of_table);
    IF is_empty IS NULL THEN
        RETURN false;
    END IF;
    INSERT INTO outbox_relay.retained_tables AS r (slot_name, schema_name, table_name, membership, is_whole)
    VALUES (slot, of_schema, of_table, now_is, is_empty)
    ON CONFLICT ON CONSTRAINT retained_tables_pkey DO UPDATE
        SET membership = excluded.membership, is_whole = excluded.is_whole, known_since = excluded.known_since, swept_lsn = NULL;
    RETURN is_empty;
END
$$;

CREATE OR REPLACE FUNCTION outbox_relay.retention_know_all(slot text, publication text) RETURNS bigint
LANGUAGE sql SET search_path = pg_catalog AS $$
    SELECT count(outbox_relay.retention_know(slot, publication, t.schemaname, t.tablename))
    FROM pg_publication_tables t WHERE t.pubname = publication
$$;

-- For `slot create`: what its tables hold at the slot's beginning.
CREATE OR REPLACE FUNCTION outbox_relay.retention_begin(slot text, publication text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
BEGIN
    PERFORM outbox_relay.retention_forget(slot);
    PERFORM outbox_relay.retention_know_all(slot, publication);
END
$$;

-- Somebody says that every row which the tables hold now was published, or is yet to come through the slot. Returns nulls
-- without a slot: nobody could know it.
CREATE OR REPLACE FUNCTION outbox_relay.retention_vouch(
    slot text, publication text, why text, actor jsonb, OUT tables bigint, OUT audit_seq bigint, OUT audit_head text)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
BEGIN
    PERFORM outbox_relay.must_have_reason(why);
    IF NOT EXISTS (SELECT FROM outbox_relay.retention_slot(slot)) THEN
        RETURN;
    END IF;
    PERFORM outbox_relay.retention_know_all(slot, publication);
    UPDATE outbox_relay.retained_tables r SET is_whole = true WHERE r.slot_name = slot AND r.membership <> '' AND NOT r.is_whole;
    GET DIAGNOSTICS tables = ROW_COUNT;
    SELECT a.seq, a.head INTO audit_seq, audit_head FROM outbox_relay.audit_append(
        'administration', 'retention.vouch', format('slot %s', slot), why, format('%s tables are whole', tables), actor) a;
END
$$;

-- Takes a mark, unless the newest one is younger than `spacing`, and drops those that nobody needs any more: all before the newest
-- that is confirmed and older than `keep`.
CREATE OR REPLACE FUNCTION outbox_relay.retention_mark(slot text, keep interval, spacing interval) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
DECLARE
    horizon xid8;
    lsn     pg_lsn;
    here    record;
    usable  pg_lsn;
BEGIN
    SELECT s.restart_lsn, s.confirmed_flush_lsn INTO here FROM outbox_relay.retention_slot(slot) s;
    IF here.restart_lsn IS NULL THEN
        RETURN;
    END IF;
    IF NOT EXISTS (
        SELECT FROM outbox_relay.retention_marks m WHERE m.slot_name = slot AND m.taken_at > clock_timestamp() - spacing
    ) THEN
        -- In this order.
        horizon := pg_snapshot_xmin(pg_current_snapshot());
        lsn := pg_current_wal_insert_lsn();
        INSERT INTO outbox_relay.retention_marks VALUES (slot, lsn, horizon, here.restart_lsn, clock_timestamp())
        ON CONFLICT DO NOTHING;
    END IF;
    SELECT max(m.lsn) INTO usable FROM outbox_relay.retention_marks m
    WHERE m.slot_name = slot AND m.lsn <= here.confirmed_flush_lsn AND m.taken_at <= clock_timestamp() - keep;
    DELETE FROM outbox_relay.retention_marks m WHERE m.slot_name = slot AND m.lsn < usable;
END
$$;

-- The horizon of a mark. OR007 unless the slot has confirmed it.
CREATE OR REPLACE FUNCTION outbox_relay.retention_horizon(slot text, mark pg_lsn) RETURNS bigint
LANGUAGE plpgsql STABLE SET search_path = pg_catalog AS $$
DECLARE
    horizon bigint;
BEGIN
    SELECT m.horizon::text::bigint INTO horizon
    FROM outbox_relay.retention_marks m, outbox_relay.retention_slot(slot) s
    WHERE m.slot_name = slot AND m.lsn = mark AND m.lsn <= s.confirmed_flush_lsn;
    IF horizon IS NULL THEN
        RAISE EXCEPTION 'slot % has not confirmed a mark at %', slot, mark USING ERRCODE = 'OR007';
    END IF;
    RETURN horizon;
END
$$;

-- What holds the rows: the table itself, or its partitions.
CREATE OR REPLACE FUNCTION outbox_relay.retention_leaves(of_schema text, of_table text) RETURNS SETOF regclass
LANGUAGE sql STABLE SET search_path = pg_catalog AS $$
    SELECT c.oid::regclass FROM pg_class c WHERE c.oid = to_regclass(format('%I.%I', of_schema, of_table)) AND c.relkind = 'r'
    UNION
    SELECT t.relid FROM pg_partition_tree(to_regclass(format('%I.%I', of_schema, of_table))) t WHERE t.isleaf
$$;

-- Where the rows are stored: another place after VACUUM FULL and the like, which move rows.
CREATE OR REPLACE FUNCTION outbox_relay.retention_storage(of_schema text, of_table text) RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog AS $$
    SELECT coalesce(md5(string_agg(leaf::oid || ':' || pg_relation_filenode(leaf), ' ' ORDER BY leaf::oid)), '')
    FROM outbox_relay.retention_leaves(of_schema, of_table) AS leaf
$$;

-- What else a row must meet, beside its age: the publication's row filter, where there is one (PostgreSQL 15 and later); the
-- others are another relay's.
CREATE OR REPLACE FUNCTION outbox_relay.retention_filter(publication text, of_schema text, of_table text) RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog AS $$
    SELECT coalesce(to_jsonb(t) ->> 'rowfilter', 'true') FROM pg_publication_tables t
    WHERE t.pubname = publication AND t.schemaname = of_schema AND t.tablename = of_table
$$;

-- A row whose letter is unresolved stays, to be looked at: the letter itself does not need it.
CREATE OR REPLACE FUNCTION outbox_relay.retention_without_letter(slot text, outbox text, id_column text) RETURNS text
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog AS $$
    SELECT CASE WHEN id_column IS NULL THEN 'true' ELSE format(
        'NOT EXISTS (SELECT FROM outbox_relay.dead_letters d WHERE d.slot_name = %L AND d.outbox = %L
             AND d.state IN (''failed'', ''parked'', ''redriving'') AND hashtext(d.idempotency_key) = hashtext(o.%I::text)
             AND d.idempotency_key = o.%I::text)',
        slot, outbox, id_column, id_column) END
$$;

-- OR006 unless every row of the table was written where the slot brings it.
CREATE OR REPLACE FUNCTION outbox_relay.retention_must_be_whole(slot text, publication text, of_schema text, of_table text)
RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN
    IF NOT outbox_relay.retention_know(slot, publication, of_schema, of_table) THEN
        RAISE EXCEPTION 'of some rows of %.% nobody knows whether they were published', of_schema, of_table
            USING ERRCODE = 'OR006';
    END IF;
END
$$;

-- Removes rows of a mark in these blocks, `most` of them. OR008 if the rows were moved since `storage` was asked for.
CREATE OR REPLACE FUNCTION outbox_relay.retention_remove(
    slot text, publication text, outbox text, of_schema text, of_table text, id_column text, mark pg_lsn,
    from_block bigint, to_block bigint, storage text, most bigint) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
DECLARE
    horizon bigint := outbox_relay.retention_horizon(slot, mark);
    removed bigint;
BEGIN
    PERFORM outbox_relay.retention_must_be_whole(slot, publication, of_schema, of_table);
    EXECUTE format('LOCK TABLE %I.%I IN ROW EXCLUSIVE MODE', of_schema, of_table);
    IF outbox_relay.retention_storage(of_schema, of_table) IS DISTINCT FROM storage THEN
        RAISE EXCEPTION 'the rows of %.% have been moved', of_schema, of_table USING ERRCODE = 'OR008';
    END IF;
    EXECUTE format(
        'DELETE FROM %1$I.%2$I
         WHERE ctid >= $1 AND ctid < $2 AND outbox_relay.is_before(xmin, $3, $4) AND (tableoid, ctid) IN (
             SELECT o.tableoid, o.ctid FROM %1$I.%2$I AS o
             WHERE o.ctid >= $1 AND o.ctid < $2 AND outbox_relay.is_before(o.xmin, $3, $4) AND (%3$s) AND %4$s LIMIT $5)',
        of_schema, of_table, outbox_relay.retention_filter(publication, of_schema, of_table),
        outbox_relay.retention_without_letter(slot, outbox, id_column))
    USING format('(%s,0)', from_block)::tid, format('(%s,0)', to_block)::tid, horizon, outbox_relay.next_transaction(), most;
    GET DIAGNOSTICS removed = ROW_COUNT;
    UPDATE outbox_relay.retained_tables r SET removed_rows = r.removed_rows + removed
    WHERE removed > 0 AND r.slot_name = slot AND r.schema_name = of_schema AND r.table_name = of_table;
    RETURN removed;
END
$$;

-- When the range of a partition ends; null of one that is no range over one point in time. What has no time zone may be of
-- any: a day more.
CREATE OR REPLACE FUNCTION outbox_relay.retention_partition_end(leaf oid) RETURNS timestamptz
LANGUAGE sql STABLE SET search_path = pg_catalog SET datestyle = 'ISO, YMD' SET timezone = 'UTC' AS $$
    SELECT substring(pg_get_expr(c.relpartbound, c.oid) FROM 'TO \(''([^'']+)''\)')::timestamptz
        + CASE WHEN a.atttypid = 'timestamptz'::regtype THEN interval '0' ELSE interval '1 day' END
    FROM pg_class c
        JOIN pg_inherits i ON i.inhrelid = c.oid AND NOT i.inhdetachpending
        JOIN pg_partitioned_table p ON p.partrelid = i.inhparent AND p.partstrat = 'r' AND p.partnatts = 1
        JOIN pg_attribute a ON a.attrelid = p.partrelid AND a.attnum = p.partattrs[0]
            AND a.atttypid IN ('date'::regtype, 'timestamp'::regtype, 'timestamptz'::regtype)
    WHERE c.oid = leaf AND c.relkind = 'r'
$$;

-- Partitions whose range ended before `ended`, oldest first, each with the condition that its rows meet.
CREATE OR REPLACE FUNCTION outbox_relay.retention_partitions(of_schema text, of_table text, ended timestamptz)
RETURNS TABLE (leaf oid, name text, blocks bigint, bounds text)
LANGUAGE sql STABLE SET search_path = pg_catalog AS $$
    SELECT t.relid::oid, t.relid::text, pg_relation_size(t.relid) / current_setting('block_size')::bigint,
        pg_get_partition_constraintdef(t.relid)
    FROM pg_partition_tree(to_regclass(format('%I.%I', of_schema, of_table))) t
    WHERE t.isleaf AND t.level > 0 AND outbox_relay.retention_partition_end(t.relid) < ended
    ORDER BY outbox_relay.retention_partition_end(t.relid)
$$;

-- Drops a partition whose range is over and whose rows are all of the mark, or only looks whether it could. Returns how many
-- rows those are, or null while one of them is not, while the rows were moved since `storage` was asked for, or while somebody
-- uses it for longer than a quarter of a second. Rows are counted under a lock, so that none comes in between: whoever writes to this
-- partition, whose time is over, waits until they are counted; whoever uses another one of the table, not at all until then, and
-- afterwards for a quarter of a second at the most.
CREATE OR REPLACE FUNCTION outbox_relay.retention_drop(
    slot text, publication text, outbox text, of_schema text, of_table text, id_column text, mark pg_lsn, of_leaf oid,
    storage text, only_look boolean) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog SET lock_timeout = '250ms' AS $$
DECLARE
    horizon bigint := outbox_relay.retention_horizon(slot, mark);
    marked  timestamptz;
    parent  regclass;
    others  bigint;
    removed bigint;
BEGIN
    PERFORM outbox_relay.retention_must_be_whole(slot, publication, of_schema, of_table);
    SELECT m.taken_at INTO marked FROM outbox_relay.retention_marks m WHERE m.slot_name = slot AND m.lsn = mark;
    SELECT i.inhparent INTO parent
    FROM outbox_relay.retention_partitions(of_schema, of_table, marked) p JOIN pg_inherits i ON i.inhrelid = p.leaf
    WHERE p.leaf = of_leaf;
    IF parent IS NULL THEN
        RETURN NULL;
    END IF;
    IF NOT only_look THEN
        EXECUTE format('LOCK TABLE %s IN SHARE ROW EXCLUSIVE MODE', of_leaf::regclass);
    END IF;
    IF outbox_relay.retention_storage(of_schema, of_table) IS DISTINCT FROM storage THEN
        RETURN NULL;
    END IF;
    EXECUTE format(
        'SELECT count(*), count(*) FILTER (WHERE NOT (outbox_relay.is_before(o.xmin, $1, $2) AND (%s) AND %s)) FROM %s AS o',
        outbox_relay.retention_filter(publication, of_schema, of_table),
        outbox_relay.retention_without_letter(slot, outbox, id_column), of_leaf::regclass)
    INTO removed, others USING horizon, outbox_relay.next_transaction();
    IF others > 0 OR only_look THEN
        RETURN CASE WHEN others > 0 THEN NULL ELSE removed END;
    END IF;
    EXECUTE format('ALTER TABLE %s DETACH PARTITION %s', parent, of_leaf::regclass);
    EXECUTE format('DROP TABLE %s', of_leaf::regclass);
    UPDATE outbox_relay.retained_tables r SET removed_rows = r.removed_rows + removed
    WHERE r.slot_name = slot AND r.schema_name = of_schema AND r.table_name = of_table;
    RETURN removed;
EXCEPTION WHEN lock_not_available OR deadlock_detected THEN
    RETURN NULL;
END
$$;

-- Tells the audit trail of what was removed since it was told last; `is_end` when the whole table was swept for the mark.
CREATE OR REPLACE FUNCTION outbox_relay.retention_tell(
    slot text, of_schema text, of_table text, mark pg_lsn, is_end boolean, why text, what text, actor jsonb,
    OUT removed bigint, OUT audit_seq bigint, OUT audit_head text)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
DECLARE
    known outbox_relay.retained_tables;
BEGIN
    SELECT r.* INTO known FROM outbox_relay.retained_tables r
    WHERE r.slot_name = slot AND r.schema_name = of_schema AND r.table_name = of_table FOR UPDATE;
    removed := coalesce(known.removed_rows, 0);
    IF removed > 0 THEN
        SELECT a.seq, a.head INTO audit_seq, audit_head FROM outbox_relay.audit_append(
            'operation', 'purge', format('slot %s, table %s.%s', slot, of_schema, of_table), why,
            format('%s rows removed, committed after %s and before %s; %s', removed, coalesce(known.swept_lsn::text, 'the beginning'),
                   coalesce(mark::text, 'a mark that is gone'), what), actor) a;
    END IF;
    UPDATE outbox_relay.retained_tables r
    SET removed_rows = 0, swept_lsn = CASE WHEN is_end AND r.membership <> '' THEN mark ELSE r.swept_lsn END
    WHERE r.slot_name = slot AND r.schema_name = of_schema AND r.table_name = of_table;
END
$$;

-- Removes resolved letters that are older than the mark and whose position the server cannot send again, `most` of them.
CREATE OR REPLACE FUNCTION outbox_relay.retention_letters(
    slot text, mark pg_lsn, most bigint, actor jsonb, OUT removed bigint, OUT audit_seq bigint, OUT audit_head text)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
DECLARE
    chosen bigint[];
BEGIN
    PERFORM outbox_relay.retention_horizon(slot, mark);
    -- Before the lock: a resolved letter stays one, and to find them takes longer than to remove them.
    SELECT array_agg(l.letter_id) INTO chosen FROM (
        SELECT d.letter_id FROM outbox_relay.dead_letters d
            JOIN outbox_relay.retention_marks m ON m.slot_name = d.slot_name AND m.lsn = mark
        WHERE d.slot_name = slot AND d.state IN ('redriven', 'discarded') AND d.resolved_at < m.taken_at
            AND d.commit_lsn < m.restart_lsn
        LIMIT most) AS l;
    removed := 0;
    IF chosen IS NULL THEN
        RETURN;
    END IF;
    PERFORM outbox_relay.letters_lock(slot);
    DELETE FROM outbox_relay.dead_letters d WHERE d.letter_id = ANY (chosen);
    GET DIAGNOSTICS removed = ROW_COUNT;
    IF removed > 0 THEN
        SELECT a.seq, a.head INTO audit_seq, audit_head FROM outbox_relay.audit_append(
            'operation', 'purge', format('slot %s, dead letters', slot), 'their retention is over',
            format('%s resolved dead letters removed, committed before %s', removed, mark), actor) a;
    END IF;
END
$$;

-- What was archived is published once more: noted before and after.
CREATE OR REPLACE FUNCTION outbox_relay.archive_republish(
    resource text, why text, result text, actor jsonb, OUT audit_seq bigint, OUT audit_head text)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
BEGIN
    PERFORM outbox_relay.must_have_reason(why);
    SELECT a.seq, a.head INTO audit_seq, audit_head
    FROM outbox_relay.audit_append('operation', 'archive.republish', resource, why, result, actor) a;
END
$$;

-- What the roles may of all this: the janitor have removed what is published, the operator vouch, the relay begin and forget.
CREATE OR REPLACE FUNCTION outbox_relay.ensure_retention(relay text, operator text, janitor text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = janitor) THEN
        EXECUTE format('CREATE ROLE %I NOLOGIN', janitor);
    END IF;
    EXECUTE format('GRANT USAGE ON SCHEMA outbox_relay TO %I', janitor);
    EXECUTE format('GRANT SELECT ON outbox_relay.retention_marks, outbox_relay.retained_tables TO %I, %I', operator, janitor);
    EXECUTE format(
        'GRANT EXECUTE ON FUNCTION outbox_relay.is_before(xid, bigint, bigint), outbox_relay.next_transaction(),
             outbox_relay.retention_slot(text), outbox_relay.retention_know(text, text, text, text),
             outbox_relay.retention_leaves(text, text), outbox_relay.retention_storage(text, text),
             outbox_relay.retention_filter(text, text, text),
             outbox_relay.retention_partition_end(oid), outbox_relay.retention_partitions(text, text, timestamptz),
             outbox_relay.retention_mark(text, interval, interval),
             outbox_relay.retention_remove(text, text, text, text, text, text, pg_lsn, bigint, bigint, text, bigint),
             outbox_relay.retention_drop(text, text, text, text, text, text, pg_lsn, oid, text, boolean),
             outbox_relay.retention_tell(text, text, text, pg_lsn, boolean, text, text, jsonb),
             outbox_relay.retention_letters(text, pg_lsn, bigint, jsonb)
         TO %I', janitor);
    EXECUTE format('GRANT EXECUTE ON FUNCTION outbox_relay.retention_vouch(text, text, text, jsonb) TO %I', operator);
    EXECUTE format('GRANT EXECUTE ON FUNCTION outbox_relay.archive_republish(text, text, text, jsonb) TO %I, %I', relay, operator);
    EXECUTE format(
        'GRANT EXECUTE ON FUNCTION outbox_relay.retention_begin(text, text), outbox_relay.retention_forget(text) TO %I', relay);
END
$$;

-- Reading a table is needed to archive it, and for nothing else.
CREATE OR REPLACE FUNCTION outbox_relay.ensure_janitor(of_schema text, of_table text, janitor text, archives boolean) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN
    EXECUTE format('GRANT USAGE ON SCHEMA %I TO %I', of_schema, janitor);
    IF archives THEN
        EXECUTE format('GRANT SELECT ON %I.%I TO %I', of_schema, of_table, janitor);
    END IF;
END
$$;

-- The login that the janitor works through. One that does not exist is made.
CREATE OR REPLACE FUNCTION outbox_relay.ensure_janitor_login(janitor text, login text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = login) THEN
        EXECUTE format('CREATE ROLE %I LOGIN', login);
    END IF;
    EXECUTE format('GRANT CONNECT ON DATABASE %I TO %I', current_database(), login);
    EXECUTE format('GRANT %I TO %I', janitor, login);
END
$$;

-- For applications that delete in the transaction that inserts: by id, which has to be read for it.
CREATE OR REPLACE FUNCTION outbox_relay.ensure_application_deletes(of_schema text, of_table text, id_column text, application text)
RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN
    EXECUTE format('GRANT DELETE, SELECT (%I) ON %I.%I TO %I', id_column, of_schema, of_table, application);
END
$$;

DO $$
DECLARE
    ours record;
BEGIN
    FOR ours IN
        SELECT p.oid::regprocedure AS name FROM pg_proc p
        WHERE p.pronamespace = 'outbox_relay'::regnamespace
            AND (p.proname LIKE 'retention\_%' OR p.proname LIKE 'archive\_%' OR p.proname LIKE 'ensure\_%' OR p.proname IN ('is_before', 'next_transaction'))
    LOOP
        EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', ours.name);
    END LOOP;
END
$$;
