//! Why a command ends without having done what was asked, besides the faults: one table, from which come the codes, the
//! exit codes and a part of `docs/FAULTS.md`.

/// What is known of a refusal whatever the case at hand.
#[derive(Debug, Clone, Copy)]
pub struct Entry {
    /// Its name, the last line of the message.
    pub name: &'static str,
    /// The process's exit code.
    pub exit: u8,
    /// Which commands give it.
    pub commands: &'static str,
    /// What it means.
    pub means: &'static str,
    /// What to do, as far as that can be said without the case at hand.
    pub remedy: &'static str,
}

macro_rules! refusals {
    ($($variant:ident = $name:literal, $exit:literal, $commands:literal: $means:literal, $remedy:literal;)+) => {
        /// Which refusal.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Refusal {
            $(#[doc = $means] $variant,)+
        }

        impl Refusal {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            /// What is known of it.
            pub const fn entry(self) -> Entry {
                match self {
                    $(Self::$variant => Entry {
                        name: $name,
                        exit: $exit,
                        commands: $commands,
                        means: $means,
                        remedy: $remedy,
                    },)+
                }
            }
        }
    };
}

// 64, 70, 75 and 78 are EX_USAGE, EX_SOFTWARE, EX_TEMPFAIL and EX_CONFIG of sysexits.h; 130 is 128 + SIGINT, as shells say it.
#[rustfmt::skip]
refusals! {
    CommandLineWrong = "command_line_wrong", 64, "all":
        "a command, flag or argument that does not exist",
        "`outbox-relay --help`";
    ConfigurationWrong = "configuration_wrong", 78, "all but `healthcheck`":
        "a key is unknown, missing or out of bounds, or a file cannot be read; every error is listed with its place",
        "correct what is listed";
    PropertyRefused = "property_refused", 78, "`run`, `config check`":
        "librdkafka does not accept a property",
        "correct `kafka.properties`";
    AdminAddressTaken = "admin_address_taken", 1, "`run`":
        "nothing can listen on `admin.listen`",
        "choose another address, or stop what holds it";
    SystemRefused = "system_refused", 1, "all":
        "the operating system refused a thread, a signal handler or an output",
        "look at the limits of the process, and at the disk that output goes to";
    StoppedUndrained = "stopped_undrained", 75, "`run`":
        "stopped before everything was confirmed; the log says what was in flight",
        "nothing: it repeats after the next start, and nothing is lost";
    LeftAtOnce = "left_at_once", 130, "`run`":
        "a second signal came before the drain had ended",
        "nothing: what was in flight repeats after the next start";
    LoopStuck = "loop_stuck", 70, "`run`":
        "the relay's own loop has not turned for `admin.stuck_after_ms`: a bug, or a file system that does not answer",
        "look at the file systems that hold its secrets; what was in flight repeats after the next start";
    CodeUnknown = "code_unknown", 1, "`explain`":
        "there is no fault or refusal of that name",
        "`outbox-relay explain` lists them all";
    NotLive = "not_live", 2, "`healthcheck`":
        "the relay does not answer, or its loop does not turn",
        "is it running, and is `admin.listen` the same for both?";
    PasswordMissing = "password_missing", 1, "all that connect":
        "the server asks for a password, or `--set-password` needs one, and none is given",
        "set `postgres.password_file`; for another role `--user ROLE --password-file FILE`";
    LoginRefused = "login_refused", 1, "all with `--user`":
        "the role or password given by flags is wrong",
        "check `--user`, `--password-file` and `pg_hba.conf`";
    MigrationRefused = "migration_refused", 1, "`migrate`":
        "the database refused a statement; what was done before it stays, and can be repeated",
        "the message says which right or object is missing; then run it again";
    SlotCreationWaits = "slot_creation_waits", 1, "`slot create`, `recover`":
        "a transaction stays open, and a slot starts only when all that are running have ended",
        "end it (`pg_stat_activity`), or give a longer `--wait-ms`";
    FailoverUnsupported = "failover_unsupported", 1, "`slot create --failover`, `recover --failover`":
        "the server is older than PostgreSQL 17, and cannot keep a logical slot on its standbys",
        "leave out `--failover`";
    SlotInUse = "slot_in_use", 1, "`slot drop`, `slot forget`, `recover`, `dead-letters redrive --execute`":
        "a relay streams from the slot",
        "stop it, and those that stand by";
    SlotHoldsEvents = "slot_holds_events", 1, "`slot drop`":
        "the slot holds WAL that is not confirmed, and events in it would never be published from it",
        "`outbox-relay slot drop --yes`, if that is meant";
    RecoveryNotNeeded = "recovery_not_needed", 1, "`recover`":
        "the slot is there and whole: what Kafka lacks comes from it",
        "start the relay; `--keep-slot --since TIME` where rows are missing all the same";
    RecoveryImpossible = "recovery_impossible", 1, "`recover`":
        "a table has no id, or no column that says when a row was written",
        "`--by COLUMN`; without an id by hand: [RECOVERY](RECOVERY.md)";
    RecoveryUnsure = "recovery_unsure", 1, "`recover`":
        "what Kafka lacks cannot be told: since when is not known, topics or evidence do not reach back so far, or a topic is compacted",
        "the message says which: `--since TIME`, `--accept-duplicates`, `--events-max`";
    RecoveryNotConfirmed = "recovery_not_confirmed", 1, "`recover`":
        "it was not said that this is meant; nothing was done",
        "the same with `--yes`";
    RecoveryInterrupted = "recovery_interrupted", 130, "`recover`":
        "interrupted; what was published by then is in Kafka",
        "run it again: it goes on";
    DatabaseNewer = "database_newer", 1, "`dead-letters`, `pause`, `resume`, `skip`, `audit`, `purge`, `archive republish`, `recover`, `slot`":
        "a newer outbox-relay migrated the database to a version that this program does not know",
        "use the program that migrated it, or a newer one";
    RoleNotPermitted = "role_not_permitted", 1, "`dead-letters`, `pause`, `resume`, `skip`, `audit`, `purge`":
        "the role that is logged in as has no right to it",
        "`--user ROLE --password-file FILE`, as a member of `roles.operator`, `roles.auditor` or `roles.janitor`";
    ReasonMissing = "reason_missing", 64, "`dead-letters redrive`, `dead-letters discard`, `pause`, `resume`, `skip`, `purge --vouch`, `archive republish`":
        "no reason is given, or an empty one",
        "say why with `--reason TEXT`; it goes to the audit trail";
    NothingSelected = "nothing_selected", 64, "`dead-letters redrive`, `dead-letters discard`":
        "neither letters nor a filter are given",
        "name letters by number, give a filter such as `--topic`, or `--all`";
    NotConfirmed = "not_confirmed", 1, "`dead-letters redrive`, `dead-letters discard`":
        "somebody said no, or there is no terminal to ask at; nothing was done",
        "the same command with `--yes`";
    DeadLetterUnknown = "dead_letter_unknown", 1, "`dead-letters show`, `dead-letters redrive`, `dead-letters discard`":
        "the slot has no dead letter of that number or event",
        "`outbox-relay dead-letters list` lists those that there are";
    WrongState = "wrong_state", 1, "`dead-letters redrive`, `dead-letters discard`, `pause`, `resume`, `skip`":
        "it is done already, or something else was done",
        "the message names the state and what can be done in it; `outbox-relay dead-letters show`, `pause --list` and `skip --list` show it";
    EarlierDeadLetter = "earlier_dead_letter", 1, "`dead-letters redrive`":
        "an earlier dead letter of the key is left out, and a key is published in its order",
        "name the earlier one too, or discard it";
    DeadLetterWithoutTopic = "dead_letter_without_topic", 1, "`dead-letters redrive`":
        "the row had neither a topic nor an aggregate type: nothing says where it belongs",
        "leave it out, or discard it";
    RedriveFailedAgain = "redrive_failed_again", 1, "`dead-letters redrive`":
        "some of the letters could not be published this time either; they are dead letters as before",
        "`outbox-relay dead-letters show` says why; mend it and redrive, or discard";
    Interrupted = "interrupted", 130, "`dead-letters redrive`":
        "a signal came; what is marked stays marked, and the relay publishes it",
        "the same command goes on with the rest";
    EventIdWrong = "event_id_wrong", 64, "`skip`":
        "no row can have that id: the outboxes' ids are UUIDs, in lower case",
        "give the row's id as PostgreSQL shows it; the log and `/readyz` name the event that the line halts at";
    OutboxUnknown = "outbox_unknown", 1, "`pause`, `resume`":
        "no outbox of that name is configured",
        "the message lists those that are";
    AuditTrailKept = "audit_trail_kept", 1, "`audit expire`":
        "the audit trail is only ever appended, and kept for at least 30 days",
        "give 30 days or more";
    AuditTrailBroken = "audit_trail_broken", 1, "`audit verify`":
        "a row of the audit trail was changed, removed or put in",
        "compare it with an export or a backup; only an owner of the table or a superuser can have changed it";
    RetentionUnproven = "retention_unproven", 1, "`purge`":
        "a table held rows before the slot was made, or before the table was published: nobody knows whether they were published",
        "look for them in Kafka; then `outbox-relay purge --vouch --reason TEXT`";
    RelayLags = "relay_lags", 75, "`purge`":
        "the slot has more WAL to confirm than `retention.lag_bytes_max`: the relay goes first",
        "run it again later; what was removed until then stays removed";
    JanitorBusy = "janitor_busy", 75, "`purge`":
        "another `purge`, or the janitor of a running relay, removes rows for this slot",
        "nothing: it does the same; or run it again later";
    ArchiveNotWritten = "archive_not_written", 1, "`purge`":
        "rows could not be archived, and were not removed",
        "the message says why; mend the folder or the program, and run it again";
    ArchiveUnreadable = "archive_unreadable", 1, "`archive verify`, `archive republish`":
        "the folder cannot be read, or has no archive in it",
        "name the folder that `retention.archive_folder` names";
    ArchiveDamaged = "archive_damaged", 1, "`archive verify`, `archive republish`":
        "files are not as their manifests say; every one is listed, and nothing was published",
        "restore them from a backup, or move them away together with their manifests";
    RepublishNotMeant = "republish_not_meant", 1, "`archive republish`":
        "without `--yes` the command only says what it would publish",
        "the same once more with `--yes`, if that is meant";
}

impl Refusal {
    /// How a command ends at a fault: it does not wait for it to pass, as `run` does.
    pub const FAULT_EXIT: u8 = 1;

    /// The one of that name.
    pub fn find(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|refusal| refusal.entry().name == name)
    }
}
