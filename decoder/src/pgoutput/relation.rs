//! A table's description.

use crate::DecodeError;
use crate::wire::Reader;

/// A table's description. Its columns were checked when it was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RelationBody<'a> {
    /// The table's oid: what its rows refer to.
    pub oid: u32,
    /// Its schema; empty for `pg_catalog`.
    pub schema: &'a str,
    /// Its name.
    pub table: &'a str,
    columns: u16,
    bytes: &'a [u8],
}

impl<'a> RelationBody<'a> {
    /// Reads a description and checks every column of it.
    pub(super) fn parse(body: &'a [u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(body, "Relation");
        let (oid, schema, table) = (reader.u32()?, reader.cstr()?, reader.cstr()?);
        reader.u8()?;
        let columns = reader.u16()?;
        let body = Self {
            oid,
            schema,
            table,
            columns,
            bytes: reader.rest(),
        };
        let mut columns = body.columns();
        columns.by_ref().try_for_each(|column| column.map(drop))?;
        columns.reader.end()?;
        Ok(body)
    }

    /// The columns, in the order in which rows send them.
    pub fn columns(&self) -> RelationColumns<'a> {
        RelationColumns {
            left: self.columns,
            reader: Reader::new(self.bytes, "Relation"),
        }
    }
}

/// A column of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RelationColumn<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its type.
    pub type_oid: u32,
}

/// Iterates over the columns of a [`RelationBody`].
#[derive(Debug, Clone)]
pub struct RelationColumns<'a> {
    left: u16,
    reader: Reader<'a>,
}

impl<'a> Iterator for RelationColumns<'a> {
    type Item = Result<RelationColumn<'a>, DecodeError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        let mut read = || {
            self.reader.u8()?;
            let column = RelationColumn {
                name: self.reader.cstr()?,
                type_oid: self.reader.u32()?,
            };
            self.reader.i32()?;
            Ok(column)
        };
        let column = read();
        if column.is_err() {
            self.left = 0;
        }
        Some(column)
    }
}
