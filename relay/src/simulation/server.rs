//! PostgreSQL, as far as a slot's reader sees it: what it says, in which order, and what it does with a confirmation.
//!
//! The semantics are those that were measured on 14 to 18: a transaction is passed over if its commit **starts** before the
//! confirmed position; a keepalive carries the position up to which everything was sent, which can be the very start of the
//! next commit; the confirmed position reaches the disk only now and then.

use std::hash::{Hash, Hasher};

use fastrand::Rng;
use outbox_decoder::Lsn;

/// One outbox row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) id: u32,
    pub(super) topic: u8,
    pub(super) key: u8,
}

/// A committed transaction. One without rows is what PostgreSQL 14 sends of foreign ones.
#[derive(Debug, Clone)]
pub(super) struct Transaction {
    pub(super) commit_lsn: Lsn,
    pub(super) end_lsn: Lsn,
    pub(super) rows: Vec<Row>,
}

/// One replication connection, as the server sees it.
#[derive(Debug, Hash)]
struct Walsender {
    /// Said, and not yet arrived.
    wire: Vec<u8>,
    /// The next transaction to send.
    next: usize,
    /// Up to here everything was sent.
    sent: Lsn,
    /// The highest position that a reader of this connection can know.
    told: Lsn,
    has_described: bool,
}

#[derive(Debug)]
pub(super) struct Server {
    wal_end: Lsn,
    transactions: Vec<Transaction>,
    next_row: u32,
    confirmed: Lsn,
    on_disk: Lsn,
    walsender: Option<Walsender>,
    told_max: Lsn,
}

const OID: u32 = 7;

impl Server {
    pub(super) fn new() -> Self {
        let start = Lsn::new(1_000);
        Self {
            wal_end: start,
            transactions: Vec::new(),
            next_row: 0,
            confirmed: start,
            on_disk: start,
            walsender: None,
            told_max: start,
        }
    }

    fn write(&mut self, bytes: u64) -> Lsn {
        self.wal_end = Lsn::new(self.wal_end.as_u64() + bytes);
        self.wal_end
    }

    /// The commit of dead letters, which no stream of ours shows.
    pub(super) fn write_letters(&mut self) -> Lsn {
        self.write(24)
    }

    /// The highest position that any reader was told, on whatever connection.
    pub(super) const fn told_max(&self) -> Lsn {
        self.told_max
    }

    /// WAL of others: another database, or work that is rolled back.
    pub(super) fn write_foreign(&mut self, random: &mut Rng) {
        self.write(random.u64(1..200));
    }

    /// Commits a transaction with so many rows.
    pub(super) fn commit(&mut self, rows: usize, random: &mut Rng) -> Transaction {
        let rows: Vec<(u8, u8)> = (0..rows).map(|_| (random.u8(0..2), random.u8(0..4))).collect();
        self.commit_rows(&rows, random)
    }

    /// Commits a transaction with rows of these topics and keys.
    pub(super) fn commit_rows(&mut self, rows: &[(u8, u8)], random: &mut Rng) -> Transaction {
        let rows = rows
            .iter()
            .map(|&(topic, key)| {
                self.next_row += 1;
                Row {
                    id: self.next_row,
                    topic,
                    key,
                }
            })
            .collect::<Vec<_>>();
        // Without rows nothing need be between two commits, and then a keepalive can be at the start of the second.
        let before = 8 * rows.len() as u64;
        let commit_lsn = self.write(before);
        let end_lsn = self.write(random.u64(1..40));
        let transaction = Transaction {
            commit_lsn,
            end_lsn,
            rows,
        };
        self.transactions.push(transaction.clone());
        transaction
    }

    /// `START_REPLICATION … 0/0`. The first thing that it says can be a keepalive.
    pub(super) fn start(&mut self, greets: bool) {
        let confirmed = self.confirmed;
        let next = self
            .transactions
            .partition_point(|transaction| transaction.commit_lsn < confirmed);
        let mut walsender = Walsender {
            wire: Vec::new(),
            next,
            sent: confirmed,
            told: confirmed,
            has_described: false,
        };
        if greets {
            walsender.keepalive(confirmed, false);
        }
        self.walsender = Some(walsender);
    }

    /// The connection is gone, with whatever had not arrived.
    pub(super) fn disconnect(&mut self) {
        self.walsender = None;
    }

    /// What was confirmed since the last checkpoint is forgotten.
    pub(super) fn crash(&mut self) {
        self.walsender = None;
        self.confirmed = self.on_disk;
    }

    pub(super) fn checkpoint(&mut self) {
        self.on_disk = self.confirmed;
    }

    /// Sends the next transaction, if there is one.
    pub(super) fn stream(&mut self, random: &mut Rng) {
        let Some(walsender) = &mut self.walsender else { return };
        let Some(transaction) = self.transactions.get(walsender.next) else {
            return;
        };
        walsender.next += 1;
        walsender.transaction(transaction, random);
        self.told_max = self.told_max.max(walsender.told);
    }

    /// Says up to where everything was sent.
    pub(super) fn say_alive(&mut self, reply_requested: bool) {
        let end = self.wal_end;
        let all_sent = |walsender: &Walsender, transactions: &[Transaction]| walsender.next == transactions.len();
        if let Some(walsender) = &mut self.walsender {
            if all_sent(walsender, &self.transactions) {
                walsender.sent = end;
            } else if let Some(next) = self.transactions.get(walsender.next) {
                // It has decoded up to the commit record that it will send next.
                walsender.sent = walsender.sent.max(next.commit_lsn);
            }
            let sent = walsender.sent;
            walsender.keepalive(sent, reply_requested);
            self.told_max = self.told_max.max(walsender.told);
        }
    }

    /// Some of the bytes that are on their way arrive.
    pub(super) fn deliver(&mut self, bytes: usize) -> Vec<u8> {
        let Some(walsender) = &mut self.walsender else {
            return Vec::new();
        };
        let arriving = bytes.min(walsender.wire.len());
        walsender.wire.drain(..arriving).collect()
    }

    /// A status update arrives. Returns the new confirmed position if it moved.
    ///
    /// # Errors
    /// It claims what this connection never said: a real server believes it, and skips everything below it.
    pub(super) fn status(&mut self, flushed: Lsn) -> Result<Option<Lsn>, String> {
        let Some(walsender) = &self.walsender else {
            return Ok(None);
        };
        if flushed > walsender.told {
            let told = walsender.told;
            return Err(format!("confirmed above this connection: {flushed}, told only {told}"));
        }
        if flushed <= self.confirmed {
            return Ok(None);
        }
        self.confirmed = flushed;
        Ok(Some(flushed))
    }

    pub(super) const fn confirmed(&self) -> Lsn {
        self.confirmed
    }

    pub(super) const fn wal_end(&self) -> Lsn {
        self.wal_end
    }

    /// What a crash goes back to.
    pub(super) const fn on_disk(&self) -> Lsn {
        self.on_disk
    }

    /// What was said and has not arrived.
    pub(super) fn wire(&self) -> &[u8] {
        let wire = self.walsender.as_ref().map(|walsender| walsender.wire.as_slice());
        wire.unwrap_or_default()
    }

    /// Whether a transaction is still to be sent.
    pub(super) fn has_more(&self) -> bool {
        let walsender = self.walsender.as_ref();
        walsender.is_some_and(|walsender| walsender.next < self.transactions.len())
    }

    /// What decides how it goes on, but for what is on the disk: that is asked for only by those who can still crash.
    pub(super) fn digest(&self, hasher: &mut impl Hasher) {
        self.confirmed.hash(hasher);
        self.walsender.hash(hasher);
    }

    /// Where the commit starts that ends there.
    pub(super) fn start_of_commit(&self, end_lsn: Lsn) -> Option<Lsn> {
        let found = self
            .transactions
            .iter()
            .find(|transaction| transaction.end_lsn == end_lsn);
        found.map(|transaction| transaction.commit_lsn)
    }

    /// Where the commit of a row ends.
    pub(super) fn end_of_row(&self, id: u32) -> Option<Lsn> {
        let is_in = |transaction: &&Transaction| transaction.rows.iter().any(|row| row.id == id);
        self.transactions
            .iter()
            .find(is_in)
            .map(|transaction| transaction.end_lsn)
    }
}

impl Walsender {
    fn keepalive(&mut self, position: Lsn, reply_requested: bool) {
        self.told = self.told.max(position);
        let mut body = vec![b'k'];
        body.extend(position.as_u64().to_be_bytes());
        body.extend([0; 8]);
        body.push(u8::from(reply_requested));
        self.frame(&body);
    }

    fn transaction(&mut self, transaction: &Transaction, random: &mut Rng) {
        let Transaction {
            commit_lsn,
            end_lsn,
            rows,
        } = transaction;
        let (commit, end) = (commit_lsn.as_u64().to_be_bytes(), end_lsn.as_u64().to_be_bytes());
        self.message(&[b"B", &commit[..], &[0; 8], &9_u32.to_be_bytes()].concat());
        for row in rows {
            // Descriptions also come again for no visible reason.
            if !self.has_described || random.u8(..8) == 0 {
                self.has_described = true;
                self.message(&relation());
            }
            if random.u8(..8) == 0 {
                let sent = self.sent.max(*commit_lsn);
                self.keepalive(sent, random.bool());
            }
            self.message(&insert(*row));
        }
        self.message(&[b"C\0", &commit[..], &end[..], &[0; 8]].concat());
        self.sent = self.sent.max(*end_lsn);
        self.told = self.told.max(*end_lsn);
    }

    fn message(&mut self, message: &[u8]) {
        let body = [b"w", &[0; 24][..], message].concat();
        self.frame(&body);
    }

    fn frame(&mut self, body: &[u8]) {
        self.wire.push(b'd');
        let length = u32::try_from(body.len() + 4).expect("a short frame");
        self.wire.extend(length.to_be_bytes());
        self.wire.extend(body);
    }
}

fn relation() -> Vec<u8> {
    let mut message = [b"R", &OID.to_be_bytes()[..], b"public\0outbox\0d\0\x04"].concat();
    for name in ["id", "aggregate_type", "aggregate_id", "payload"] {
        message.push(0);
        message.extend(name.as_bytes());
        message.extend([0, 0, 0, 0, 25, 255, 255, 255, 255]);
    }
    message
}

fn insert(row: Row) -> Vec<u8> {
    let mut message = [b"I", &OID.to_be_bytes()[..], b"N\0\x04"].concat();
    for value in [
        row.id.to_string(),
        format!("t{}", row.topic),
        format!("k{}", row.key),
        "{}".to_owned(),
    ] {
        message.push(b't');
        message.extend(u32::try_from(value.len()).expect("short").to_be_bytes());
        message.extend(value.as_bytes());
    }
    message
}
