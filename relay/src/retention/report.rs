//! What a round has done.

/// Of all tables.
#[derive(Debug, Default)]
pub(crate) struct Report {
    /// When the mark was taken that the round went by; nothing without one.
    pub(crate) marked_at: Option<String>,
    /// Of each table.
    pub(crate) tables: Vec<TableReport>,
    /// Resolved dead letters removed.
    pub(crate) letters: u64,
    /// Rows of the audit trail emptied.
    pub(crate) audit_rows: u64,
}

/// Of one table.
#[derive(Debug, Default)]
pub(crate) struct TableReport {
    /// With its schema.
    pub(crate) table: String,
    /// Rows removed, those of dropped partitions included.
    pub(crate) rows: u64,
    /// Partitions dropped.
    pub(crate) partitions: u64,
    /// Rows archived, in so many files.
    pub(crate) archived_rows: u64,
    pub(crate) archive_files: u64,
    /// Of some of its rows nobody knows whether they were published: none was removed.
    pub(crate) is_unproven: bool,
}

impl TableReport {
    /// For the audit trail and for people.
    pub(crate) fn how(&self) -> String {
        let dropped = match self.partitions {
            0 => String::new(),
            1 => ", 1 partition dropped".to_owned(),
            partitions => format!(", {partitions} partitions dropped"),
        };
        match (self.archived_rows, self.archive_files) {
            (_, 0) => format!("not archived{dropped}"),
            (rows, 1) => format!("{rows} archived in 1 file{dropped}"),
            (rows, files) => format!("{rows} archived in {files} files{dropped}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_says_what_became_of_its_rows() {
        let report = |partitions, archived_rows, archive_files| TableReport {
            partitions,
            archived_rows,
            archive_files,
            ..TableReport::default()
        };
        assert_eq!(report(0, 0, 0).how(), "not archived");
        assert_eq!(report(1, 10, 1).how(), "10 archived in 1 file, 1 partition dropped");
        assert_eq!(report(2, 10, 3).how(), "10 archived in 3 files, 2 partitions dropped");
    }
}
