-- What the relay keeps in the database: a memory that can make it refuse, never a position.

CREATE TABLE IF NOT EXISTS outbox_relay.advisory (
    slot_name         text PRIMARY KEY,
    system_identifier text NOT NULL,
    timeline          bigint NOT NULL,
    confirmed_lsn     pg_lsn NOT NULL,
    clean_stop        boolean NOT NULL,
    written_at        timestamptz NOT NULL,
    -- Of the relay that may change dead letters: the one that streams. It takes a new one with each stream.
    letters_claim     uuid
);

COMMENT ON TABLE outbox_relay.advisory IS
    'What the relay on a slot last knew. A server that does not fit it is refused; the slot alone is the position.';
